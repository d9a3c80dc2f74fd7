"""Dual numbers: tangents of partials are the second derivatives, over mpmath and over NumPy alike."""

import mpmath
import numpy as np
import pytest

from fastgraph.ops import OPS, TABLE, contribution
from fastgraph.ops.dual import Dual, Pair
from fastgraph.ops.oracle import Oracle, Real, exact_partials, spacing, ulps
from fastgraph.reference import NumPyMachine

EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# As in test_oracle: units in the last place of the second derivative, and of what it moves by with half a unit of an
# operand. The constants in rules are binary64, so this holds for rules run on mpmath too.
ALLOWANCE = 8


def points(op, count=6):
    """Ordinary arguments, near 1 in size where the domain allows it, with an immediate."""
    rng = np.random.default_rng([op.code, 7])
    for k in range(count):
        n = op.domain.immediates[k % len(op.domain.immediates)] if op.domain.immediates else None
        args = [float(rng.uniform(max(low, -4.0), min(high, 4.0))) for low, high in op.domain.intervals]
        yield args, n


def second_derivative(op, args, j, k, n):
    """The true mixed derivative by operands ``j`` and ``k``, by four values at a tiny step: about 200 bits."""

    def value(by_j, by_k):
        moved = [mpmath.mpf(arg) for arg in args]
        moved[j] += by_j
        moved[k] += by_k
        return op.apply(Oracle(), *map(Real, moved), *([] if n is None else [n])).value

    with mpmath.workprec(900):
        h = mpmath.ldexp(1, -200)
        return (value(h, h) - value(h, -h) - value(-h, h) + value(-h, -h)) / (4 * h * h)


def allowance(op, args, j, k, n, exact):
    """How far a second derivative may be off, in ulps."""
    moved = 0
    for i, arg in enumerate(args):
        nearby = mpmath.mpf(arg) * (1 + mpmath.ldexp(1, -50))
        there = second_derivative(op, [*args[:i], nearby, *args[i + 1 :]], j, k, n)
        moved += abs(there - exact) / 8
    return float(ALLOWANCE * (1 + moved / spacing(exact)))


def partial_tangents(op, m, operands, tangents, n):
    """Tangents of the contributions for adjoint 1, an operand each; 0 where structurally zero."""
    dual = Dual(m)
    pairs = [dual.pair(x, t) for x, t in zip(operands, tangents, strict=True)]
    immediate = () if n is None else (n,)
    partials = op.partials(dual, op.apply(dual, *pairs, *immediate), *pairs, *immediate)
    one = m.where(operands[0] == operands[0], 1.0, 1.0)
    shares = [contribution(dual, dual.pair(one), partial) for partial in partials]
    return [0.0 if share is None or share.tangent is None else share.tangent for share in shares]


def wrong_second_derivatives(op, m, lift, rule=None, cancelling=False):
    """Where tangents of partials in algebra ``m`` are not the second derivatives; ``lift`` makes its numbers.

    ``cancelling`` takes the unit of error at (first partial / operand) where that is larger: that is the size of the
    terms which a product or quotient rule subtracts in binary64, as for hypot near an axis.
    """
    wrong = []
    for args, n in points(op):
        for j in range(op.arity):
            tangents = [lift(1.0) if i == j else None for i in range(op.arity)]
            found = partial_tangents(rule or op, m, [lift(arg) for arg in args], tangents, n)
            for k, got in enumerate(found):
                exact = second_derivative(op, args, j, k, n)
                first = exact_partials(op, args, n)[k] if cancelling else None
                unit_of = 0 if first is None else abs(first.value / args[j])
                off = ulps(float(np.ravel(got)[0]) if isinstance(got, np.ndarray) else float(got), exact, unit_of)
                if off > ALLOWANCE and off > allowance(op, args, j, k, n, exact):
                    wrong.append((args, n, (j, k), got, exact, off))
    return wrong


@EVERY_OP
def test_second_derivatives_over_mpmath(op):
    with mpmath.workprec(200):
        assert wrong_second_derivatives(op, Oracle(), Real) == []


@EVERY_OP
def test_second_derivatives_over_numpy(op):
    with np.errstate(all="ignore"):
        assert wrong_second_derivatives(op, NumPyMachine(), lambda value: np.array([value]), cancelling=True) == []


@pytest.mark.parametrize("x", [-1e2, -1e4, -1e6])
def test_curvature_of_the_normal_tail(x):
    """log_ndtr is -x**2/2 to first order far out; its rule must not lose this in erfcx's derivative."""
    (got,) = partial_tangents(OPS["log_ndtr"], NumPyMachine(), [np.array([x])], [np.array([1.0])], None)
    with mpmath.workprec(200):
        assert ulps(got[0], second_derivative(OPS["log_ndtr"], (x,), 0, 0, None)) <= ALLOWANCE


def test_a_wrong_partial_is_caught():
    op = OPS["sin"]
    assert wrong_second_derivatives(op, Oracle(), Real, rule=OPS["cos"]) != []


@EVERY_OP
def test_tangent_of_the_value_is_the_weighted_sum_of_partials(op):
    """One sweep with all tangents equals, bit for bit, the sum of contributions in the order of operands."""
    m, n = NumPyMachine(), (op.domain.immediates or (None,))[0]
    immediate = () if n is None else (n,)
    operands = [np.array([x]) for x in next(iter(points(op)))[0]]
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
