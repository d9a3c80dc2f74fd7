"""Dual numbers: tangents of partials are the second derivatives, over mpmath and over NumPy alike."""

import itertools
import math

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph.expr import Symbols
from fastgraph.ops import OPS, TABLE, contribution
from fastgraph.ops.accuracy import arguments
from fastgraph.ops.dual import Dual, Pair
from fastgraph.ops.oracle import Oracle, Real, exact_partials, spacing, ulps
from fastgraph.reference import NumPyMachine
from tests.random_graphs import EVERY

INF, NAN = math.inf, math.nan
TINY, HUGE = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max)
EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# Whose partials are the derivatives of their values.
EVERY_TRUE_OP = pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
# As in test_oracle: units in the last place of the second derivative, and of what it moves by with half a unit of an
# operand, and the smallest normal number. The constants in rules are binary64, so this holds for mpmath too.
ALLOWANCE = 8
COARSE = ("pow", 1)  # its rule forms y - 1, so that a small y is rounded in units of 1


def near_one(op, count=6):
    """Ordinary arguments, near 1 in size where the domain allows it, with an immediate."""
    rng = np.random.default_rng([op.code, 7])
    for k in range(count):
        n = op.domain.immediates[k % len(op.domain.immediates)] if op.domain.immediates else None
        args = [float(rng.uniform(max(low, -4.0), min(high, 4.0))) for low, high in op.domain.intervals]
        yield args, n


def all_over(op, count, specials):
    """Arguments from the whole domain and all exponents, and finite combinations of special points."""
    blocks = arguments(op, count)
    share = -(-count // len(blocks))
    for n, operands in blocks:
        for args in operands.T[:share].tolist():
            yield args, n
    rng = np.random.default_rng(op.code)
    blocks = [n for n, _ in blocks]
    combinations = [[*args] for args in itertools.product(*op.domain.specials) if all(map(math.isfinite, args))]
    chosen = [(args, n) for args in combinations for n in blocks]
    for k in rng.permutation(len(chosen))[:specials]:
        yield chosen[k]


def second_derivative(op, args, j, k, n):
    """The true mixed derivative by operands ``j`` and ``k``, an mpf; None where the partials have none.

    From four values at a tiny step, and at a smaller one, at so high a precision that they agree.
    """
    scales = [0] + [mpmath.mag(arg) for arg in args if arg != 0]
    step_bits = (min(scales) if len(args) == 1 else 2 * (min(scales) - max(scales))) - 60
    precision = 150 - 2 * step_bits + max(scales)
    for _ in range(3):
        with mpmath.workprec(precision):
            value = shifted_values(op, args, j, k, n)
            coarse, fine = (_mixed(value, mpmath.ldexp(1, step_bits - less)) for less in (0, 10))
            error = mpmath.ldexp(fine[1], 4 - precision - 2 * (step_bits - 10))
            coarse, fine = coarse[0], fine[0]
            if not (mpmath.isfinite(coarse) and mpmath.isfinite(fine)):
                return None
            missing = mpmath.mag(error) - max(mpmath.mag(fine) - 60, -1140) if error else 0
            if missing <= 0:
                agree = abs(fine - coarse) <= abs(fine) * 2.0**-55 or max(abs(fine), abs(coarse)) < 2.0**-1120
                return fine if agree else None
        precision += int(missing) + 20
    return None


def shifted_values(op, args, j, k, n):
    """The value as a function of what operands ``j`` and ``k`` move by; each point is computed once: j may be k."""
    known = {}

    def value(by_j, by_k):
        moved = [mpmath.mpf(arg) for arg in args]
        moved[j] += by_j
        moved[k] += by_k
        at = moved[j], moved[k]
        if at not in known:
            known[at] = op.apply(Oracle(), *map(Real, moved), *([] if n is None else [n])).value
        return known[at]

    return value


def _mixed(value, h):
    """The divided difference, and the largest of the values."""
    values = value(h, h), value(h, -h), value(-h, h), value(-h, -h)
    return (values[0] - values[1] - values[2] + values[3]) / (4 * h * h), max(map(abs, values))


def allowance(op, args, j, k, n, exact):
    """How far a second derivative may be off, in ulps."""
    moved = 0
    for i, arg in enumerate(args):
        size = max(abs(arg), 1.0) if (op.name, i) == COARSE else abs(arg)
        nearby = arg + mpmath.ldexp(size, -50)
        there = second_derivative(op, [*args[:i], nearby, *args[i + 1 :]], j, k, n)
        moved += 0 if there is None else abs(there - exact) / 8
    return float(ALLOWANCE * (1 + moved / spacing(exact)) + TINY / spacing(exact))


def partial_tangents(op, m, operands, tangents, n):
    """Tangents of the contributions for adjoint 1, an operand each; 0 where structurally zero."""
    dual = Dual(m)
    pairs = [dual.pair(x, t) for x, t in zip(operands, tangents, strict=True)]
    immediate = () if n is None else (n,)
    partials = op.partials(dual, op.apply(dual, *pairs, *immediate), *pairs, *immediate)
    one = m.where(operands[0] == operands[0], 1.0, 1.0)
    shares = [contribution(dual, dual.pair(one), partial) for partial in partials]
    return [0.0 if share is None or share.tangent is None else share.tangent for share in shares]


def number(value):
    return float(np.ravel(value)[0]) if isinstance(value, np.ndarray) else float(value)


def over_mpmath(op, points, j):
    """Tangents of the partials, when only operand ``j`` has one: a tuple a point."""
    for args, n in points:
        tangents = [Real(1.0) if i == j else None for i in range(op.arity)]
        yield tuple(map(number, partial_tangents(op, Oracle(), [Real(arg) for arg in args], tangents, n)))


def over_numpy(op, points, j):
    """The same in binary64, all neighbouring points of one immediate at once."""
    for n, block in itertools.groupby(points, key=lambda point: point[1]):
        operands = list(np.array([args for args, _ in block]).T)
        tangents = [np.ones_like(operands[0]) if i == j else None for i in range(op.arity)]
        with np.errstate(all="ignore"):
            found = partial_tangents(op, NumPyMachine(), operands, tangents, n)
        yield from zip(*(np.broadcast_to(tangent, operands[0].shape).tolist() for tangent in found), strict=True)


def wrong_second_derivatives(op, tangents, points, rule=None):
    """Where tangents of partials are not the second derivatives; ``tangents`` is one of the two above."""
    points = [(args, n) for args, n in points if has_partials(op, args, n)]
    points.sort(key=lambda point: point[1] or 0)
    found = [list(tangents(rule or op, points, j)) for j in range(op.arity)]
    wrong = []
    for at, (args, n) in enumerate(points):
        for j, k in itertools.combinations_with_replacement(range(op.arity), 2):
            exact = second_derivative(op, args, j, k, n)
            if exact is None:
                continue
            for got in {found[j][at][k], found[k][at][j]}:
                if abs(exact) > HUGE and not math.isfinite(got):
                    continue
                if op.name == "pow" and abs(args[0]) <= TINY and math.isinf(got):
                    continue  # x ** (y - 1) overflows though y times it, or its share in a sum, need not
                off = ulps(got, exact)
                if off > ALLOWANCE and off > (allowed := allowance(op, args, j, k, n, exact)):
                    wrong.append((args, n, (j, k), got, float(exact), f"{off:.3g} ulps, {allowed:.3g} allowed"))
    return wrong


def has_partials(op, args, n):
    """Whether every partial is there and finite."""
    return all(first is not None and abs(first.value) <= HUGE for first in exact_partials(op, args, n))


@EVERY_TRUE_OP
def test_second_derivatives_over_mpmath(op):
    with mpmath.workprec(200):
        assert wrong_second_derivatives(op, over_mpmath, near_one(op)) == []


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])
@EVERY_TRUE_OP
def test_second_derivatives_over_numpy(op, times):
    points = itertools.chain(near_one(op), all_over(op, 5 * times, 12 * times))
    assert wrong_second_derivatives(op, over_numpy, points) == []


# Second derivatives where divided differences have nothing to say: at infinity the limit, at the ends of a domain the
# limit from inside, where there is none a convention. (name, operands, immediate, operands of the derivatives, it).
SPECIAL = [
    *[(name, (x,), None, (0, 0), 0.0) for name in ("abs", "sign", "floor", "rint") for x in (0.0, -0.0, -2.0, INF)],
    *[(name, (x,), None, (0, 0), 0.0) for name in ("tanh", "sigmoid", "softplus") for x in (800.0, -800.0, INF, -INF)],
    *[(name, (x,), None, (0, 0), 0.0) for name in ("atan", "asinh") for x in (1e300, -1e300, INF, -INF)],
    *[(name, (x,), None, (0, 0), 0.0) for name in ("erf", "erfc", "ndtr") for x in (40.0, -40.0, INF, -INF)],
    *[(name, (INF,), None, (0, 0), 0.0) for name in ("sqrt", "cbrt", "log", "log2", "log10", "log1p", "acosh")],
    *[(name, (INF,), None, (0, 0), 0.0) for name in ("erfcx", "lgamma", "digamma", "log_ndtr", "reciprocal")],
    *[(name, (-INF,), None, (0, 0), 0.0) for name in ("cbrt", "exp", "exp2", "expm1", "reciprocal")],
    *[(name, (-1.5,), None, (0, 0), NAN) for name in ("sqrt", "log", "log2", "log10", "log1p", "asin", "acos")],
    *[(name, (-1.5,), None, (0, 0), NAN) for name in ("acosh", "atanh")],
    *[(name, (1.5,), None, (0, 0), NAN) for name in ("asin", "acos", "atanh")],
    *[(name, (0.0,), None, (0, 0), -INF) for name in ("sqrt", "cbrt", "log", "log2", "log10", "digamma")],
    *[(name, (-0.0,), None, (0, 0), -INF) for name in ("sqrt", "log", "log2", "log10")],
    ("cbrt", (-0.0,), None, (0, 0), INF),
    ("log1p", (-1.0,), None, (0, 0), -INF),
    ("asin", (1.0,), None, (0, 0), INF),
    ("asin", (-1.0,), None, (0, 0), -INF),
    ("acos", (1.0,), None, (0, 0), -INF),
    ("acos", (-1.0,), None, (0, 0), INF),
    ("acosh", (1.0,), None, (0, 0), -INF),
    ("atanh", (1.0,), None, (0, 0), INF),
    ("atanh", (-1.0,), None, (0, 0), -INF),
    ("lgamma", (0.0,), None, (0, 0), INF),
    ("log_ndtr", (-1e300,), None, (0, 0), -1.0),
    ("log_ndtr", (-INF,), None, (0, 0), -1.0),
    ("reciprocal", (0.0,), None, (0, 0), INF),
    ("reciprocal", (-0.0,), None, (0, 0), -INF),
    ("div", (1.0, 0.0), None, (1, 1), INF),
    ("div", (1.0, INF), None, (1, 1), 0.0),
    ("div", (1.0, 0.0), None, (0, 1), -INF),
    *[("powi", (0.0,), n, (0, 0), 2.0 if n == 2 else 0.0) for n in (0, 1, 2, 3, 2**31 - 1)],
    *[("powi", (x,), n, (0, 0), 0.0) for n in (0, 1) for x in (INF, -INF, NAN)],
    ("powi", (0.0,), -1, (0, 0), INF),
    ("powi", (-0.0,), -1, (0, 0), -INF),
    ("powi", (1.0,), -(2**31), (0, 0), 2.0**31 * (2.0**31 + 1.0)),
    *[("pow", (0.0, y), None, (0, 0), 2.0 if y == 2.0 else 0.0) for y in (0.0, 1.0, 2.0, 3.0)],
    ("pow", (0.0, 0.5), None, (0, 0), -INF),
    ("pow", (-2.0, 3.0), None, (0, 0), -12.0),
    *[("pow", (x, 0.0), None, (0, 0), 0.0) for x in (-2.0, INF, NAN)],
    *[("pow", (2.0, 0.0), None, mixed, 0.5) for mixed in ((0, 1), (1, 0))],
    *[("pow", (0.0, 2.0), None, both, 0.0) for both in ((0, 1), (1, 0), (1, 1))],
    *[
        (name, (0.0, 0.0), None, both, 0.0)
        for name in ("hypot", "direction", "atan2", "maximum", "fmin", "xlogy")
        for both in ((0, 0), (0, 1), (1, 0), (1, 1))
    ],
    *[
        ("logaddexp", (1.0, 1.0), None, both, 0.25 if both[0] == both[1] else -0.25)
        for both in ((0, 0), (0, 1), (1, 1))
    ],
    *[
        ("logaddexp", args, None, both, 0.0)
        for args in ((INF, 1.0), (1.0, -INF), (INF, INF), (-INF, -INF), (INF, -INF))
        for both in ((0, 0), (0, 1), (1, 0), (1, 1))
    ],
    *[("xlogy", (0.0, 2.0), None, mixed, 0.5) for mixed in ((0, 1), (1, 0))],
    ("copysign", (0.0, -1.0), None, (0, 0), 0.0),
    ("mod", (6.0, 3.0), None, (0, 1), 0.0),
    ("where", (0.0, NAN, INF), None, (2, 2), 0.0),
]


@pytest.mark.parametrize(("name", "args", "n", "by", "expected"), SPECIAL)
def test_second_derivatives_at_special_points(name, args, n, by, expected):
    tangents = [np.array([1.0]) if i == by[0] else None for i in range(len(args))]
    with np.errstate(all="ignore"):
        found = partial_tangents(OPS[name], NumPyMachine(), [np.array([arg]) for arg in args], tangents, n)
    assert ulps(number(found[by[1]]), expected) <= 4.0, found


@pytest.mark.parametrize(
    ("name", "n"), [("powi", -(2**31)), ("powi", 2**31 - 1), ("polygamma", 100), ("polygamma", 127)]
)
def test_partials_at_the_ends_of_immediates_can_be_recorded(name, n):
    """Of polygamma the highest order has no partial but NaN."""
    graph = fg.Graph()
    x = graph.input("x")
    (partial,) = OPS[name].partials(Symbols(), getattr(fg, name)(x, n), x, n)
    graph.output(partial * x, "partial")
    exact = exact_partials(OPS[name], (1.0 + 1e-9,), n)[0].value * (1.0 + 1e-9)
    got = float(graph.compile()(1.0 + 1e-9))
    assert math.isnan(got) if (name, n) == ("polygamma", 127) else ulps(got, exact) <= 16.0 * max(1.0, abs(n) * 1e-9)


@pytest.mark.parametrize("third", [("tanh", -2.0), ("sigmoid", -0.125), ("erf", -4.0 / math.sqrt(math.pi))])
def test_third_derivatives_where_a_rule_could_take_abs(third):
    """At 0, where abs would count as constant."""
    name, expected = third
    inner = Dual(NumPyMachine())
    one = inner.pair(np.array([1.0]))
    x = inner.pair(np.array([0.0]), np.array([1.0]))
    (found,) = partial_tangents(OPS[name], inner, [x], [one], None)
    assert ulps(number(found.tangent), expected) <= 4.0


@pytest.mark.parametrize("x", [-1e2, -1e4, -1e6])
def test_curvature_of_the_normal_tail(x):
    """log_ndtr is -x**2/2 to first order far out; its rule must not lose this in erfcx's derivative."""
    (got,) = partial_tangents(OPS["log_ndtr"], NumPyMachine(), [np.array([x])], [np.array([1.0])], None)
    with mpmath.workprec(200):
        assert ulps(got[0], second_derivative(OPS["log_ndtr"], (x,), 0, 0, None)) <= ALLOWANCE


@pytest.mark.parametrize("tangents", [over_mpmath, over_numpy])
def test_a_wrong_partial_is_caught(tangents):
    op = OPS["sin"]
    assert wrong_second_derivatives(op, tangents, near_one(op), rule=OPS["cos"]) != []


@EVERY_TRUE_OP
def test_tangent_of_the_value_is_the_weighted_sum_of_partials(op):
    """One sweep with all tangents equals, bit for bit, the sum of contributions in the order of operands."""
    m, n = NumPyMachine(), (op.domain.immediates or (None,))[0]
    immediate = () if n is None else (n,)
    operands = [np.array([x]) for x in next(near_one(op))[0]]
    tangents = [np.array([t]) for t in (0.7, -1.3, 2.1)[: op.arity]]
    dual = Dual(m)
    with np.errstate(all="ignore"):
        got = op.apply(dual, *map(dual.pair, operands, tangents), *immediate)
        result = op.apply(m, *operands, *immediate)
        shares = [
            contribution(m, t, p) for t, p in zip(tangents, op.partials(m, result, *operands, *immediate), strict=True)
        ]
    expected = sum(share for share in shares if share is not None)
    assert np.array_equal(got.primal, result, equal_nan=True)
    if op.value is None or op.name in ("add", "sub", "mul", "neg", "square"):
        assert np.array_equal(0.0 if got.tangent is None else got.tangent, expected, equal_nan=True)
    else:  # the rule of the value was differentiated, not the row: equal up to rounding
        assert abs((0.0 if got.tangent is None else got.tangent) - expected) <= 4 * np.spacing(abs(expected))


# -- the algebra --------------------------------------------------------------------------------------------


@pytest.fixture
def dual():
    return Dual(Oracle())


def pair(dual, primal, tangent=None):
    return dual.pair(Real(primal), None if tangent is None else Real(tangent))


def test_product_rule(dual):
    product = pair(dual, 3.0, 5.0) * pair(dual, 7.0, 11.0)
    assert (float(product.primal), float(product.tangent)) == (21.0, 68.0)


def test_quotient_rule(dual):
    quotient = pair(dual, 3.0, 5.0) / pair(dual, 4.0, 8.0)
    assert (float(quotient.primal), float(quotient.tangent)) == (0.75, -0.25)


@pytest.mark.parametrize(
    ("apply", "tangent"),
    [
        (lambda x: x + 1.0, 5.0),
        (lambda x: 1.0 + x, 5.0),
        (lambda x: x - 1.0, 5.0),
        (lambda x: 1.0 - x, -5.0),
        (lambda x: x * 2.0, 10.0),
        (lambda x: 2.0 * x, 10.0),
        (lambda x: x / 2.0, 2.5),
        (lambda x: 8.0 / x, -10.0),
        (lambda x: -x, -5.0),
    ],
)
def test_python_numbers_are_constants(dual, apply, tangent):
    assert float(apply(pair(dual, 2.0, 5.0)).tangent) == tangent


def test_no_tangent_in_no_tangent_out(dual):
    x, y = pair(dual, 2.0), pair(dual, 3.0)
    results = [x + y, x * y, x / y, -x, dual.exp(x), dual.fma(x, y, x), dual.where(x < y, x, y), dual.hypot(x, 1.0)]
    assert [result.tangent for result in results] == [None] * len(results)


def test_flat_functions_have_no_tangent(dual):
    x = pair(dual, 2.5, 1.0)
    assert [getattr(dual, name)(x).tangent for name in ("floor", "rint", "sign", "isnan")] == [None] * 4


def test_comparisons_are_masks_of_the_inner_algebra():
    dual = Dual(NumPyMachine())
    x = dual.pair(np.array([1.0, 2.0, 3.0]), np.ones(3))
    relations = {"<": x < 2.0, "<=": x <= 2.0, ">": x > 2.0, ">=": x >= 2.0, "==": x == 2.0, "!=": x != 2.0}
    assert [relations[r].tolist() for r in ("<", "==")] == [[True, False, False], [False, True, False]]
    assert all(mask.dtype == np.bool_ for mask in relations.values())


@pytest.mark.parametrize("mask", [True, False])
def test_where_takes_the_tangent_of_its_branch(dual, mask):
    x, y = pair(dual, 1.0, 10.0), pair(dual, 2.0, 20.0)
    chosen = dual.where(mask, x, y)
    assert (float(chosen.primal), float(chosen.tangent)) == ((1.0, 10.0) if mask else (2.0, 20.0))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_where_ignores_the_branch_not_taken(bad):
    dual = Dual(NumPyMachine())
    x = dual.pair(np.array([4.0, 0.0]), np.array([1.0, bad]))
    with np.errstate(divide="ignore"):
        chosen = dual.where(x > 0.0, dual.sqrt(x), 0.0)
    assert chosen.primal.tolist() == [2.0, 0.0]
    assert chosen.tangent.tolist() == [0.25, 0.0]


def test_arrays_leave_operators_to_pairs():
    dual = Dual(NumPyMachine())
    x = dual.pair(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    for product in (np.array([5.0, 6.0]) * x, x * np.array([5.0, 6.0])):
        assert isinstance(product, Pair)
        assert product.tangent.tolist() == [15.0, 24.0]


def test_unknown_function_is_an_attribute_error(dual):
    with pytest.raises(AttributeError, match="no 'sine'"):
        dual.sine  # noqa: B018


@pytest.mark.parametrize(("x", "y"), [(0.5, 2.0), (0.5, 3.0), (-1.5, 2.0)])
def test_chain_of_ops(dual, x, y):
    """d/dx of exp(x * y) * sin(x), in closed form."""
    got = (lambda p: dual.exp(p * y) * dual.sin(p))(pair(dual, x, 1.0)).tangent
    with mpmath.workprec(200):
        x, y = mpmath.mpf(x), mpmath.mpf(y)
        exact = mpmath.exp(x * y) * (y * mpmath.sin(x) + mpmath.cos(x))
    assert ulps(float(got), exact) <= 4.0
