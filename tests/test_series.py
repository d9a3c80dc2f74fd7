"""Truncated power series: Taylor coefficients of every row, over mpmath, NumPy and expressions alike."""

import itertools
import math

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph.expr import Symbols
from fastgraph.ops import OPS, TABLE
from fastgraph.ops.dual import Dual
from fastgraph.ops.oracle import Oracle, Real
from fastgraph.ops.row import Only, Op
from fastgraph.ops.series import Series
from fastgraph.reference import NumPyMachine
from tests.random_graphs import EVERY

INF, NAN = math.inf, math.nan
EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# Whose partials are the derivatives of their values.
EVERY_TRUE_OP = pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
ORDER = 8
# Coefficients of the operands' series from t on: no zero among them, and not of one size.
DIRECTIONS = ((1.0, -0.375, 0.25), (-0.5, 0.75, 0.125), (0.625, 0.5, -0.75))
EPS = 2.0**-52


def points(op, count=3):
    """Ordinary arguments, where series converge for t of size 1 or so, with an immediate."""
    rng = np.random.default_rng([op.code, 11])
    immediates = [n for n in op.domain.immediates if op.names or abs(n) <= 20]
    for k in range(count):
        n = immediates[(3 * k + 1) % len(immediates)] if immediates else None
        args = []
        for low, high in op.domain.intervals:
            low, high = max(low, -3.0), min(high, 3.0)
            arg = float(low + (high - low) * rng.uniform(0.05, 0.95))
            # Away from poles and jumps at integers, towards 0.
            args.append(arg if abs(arg - round(arg)) > 0.05 else arg - math.copysign(0.12, arg))
        yield args, n


def jets(series, args, lift=lambda value: value):
    return [
        series.variable([lift(c) for c in (arg, *direction)]) for arg, direction in zip(args, DIRECTIONS, strict=False)
    ]


def coefficients(op, m, args, n, order=ORDER, lift=lambda value: value):
    """Taylor coefficients of ``op`` along the directions, by the algebra over ``m``; 0 for structural zeros."""
    series = Series(m, order)
    result = getattr(series, op.name)(*jets(series, args, lift), *(() if n is None else (n,)))
    found = [result.coefficient(j) for j in range(order + 1)]
    return [lift(0.0) if c is None else c for c in found]


def exact_coefficients(op, args, n, order=ORDER):
    """The same by mpmath's numerical differentiation of the value, which adds the bits it needs to these."""

    def along(t):
        moved = [a + t * (d[0] + t * (d[1] + t * d[2])) for a, d in zip(args, DIRECTIONS, strict=False)]
        return op.apply(Oracle(), *map(Real, moved), *(() if n is None else (n,))).value

    with mpmath.workprec(80):
        return mpmath.taylor(along, mpmath.mpf(0), order)


def allowances(op, args, n, exact):
    """What coefficients move by with eps of an operand or a direction, and a few roundings of the size of the sums.

    A coefficient is a sum of products of lower ones; the largest coefficient up to it stands for their size.
    """
    moved = [mpmath.mpf(0)] * len(exact)
    for k, arg in enumerate(args):
        there = exact_coefficients(op, [*args[:k], mpmath.mpf(arg) * (1 + mpmath.mpf(EPS)), *args[k + 1 :]], n)
        moved = [m + abs(a - b) for m, a, b in zip(moved, there, exact, strict=True)]
    sizes = itertools.accumulate((abs(c) for c in exact), max)
    return [m + EPS * size for m, size in zip(moved, sizes, strict=True)]


@EVERY_TRUE_OP
def test_coefficients_over_numpy(op):
    for args, n in points(op):
        with np.errstate(all="ignore"):
            found = coefficients(op, NumPyMachine(), args, n, lift=lambda value: np.array([float(value)]))
        exact = exact_coefficients(op, args, n)
        allowed = allowances(op, args, n, exact)
        off = [float(abs(f[0] - e) / a) if a else abs(f[0]) for f, e, a in zip(found, exact, allowed, strict=True)]
        assert max(off) <= 16.0, (args, n, off)


@EVERY_TRUE_OP
def test_coefficients_over_mpmath(op):
    """Up to the binary64 constants of the rules."""
    args, n = next(points(op))
    with mpmath.workprec(300):
        found = coefficients(op, Oracle(), args, n, lift=Real)
    exact = exact_coefficients(op, args, n)
    for f, e, a in zip(found, exact, allowances(op, args, n, exact), strict=True):
        assert abs(f.value - e) <= 4 * a, (args, n)


def test_a_wrong_partial_is_caught():
    op = OPS["sin"]
    args, n = next(points(op))
    exact = exact_coefficients(op, args, n)
    found = coefficients(OPS["sinh"], Oracle(), args, n, lift=Real)
    assert abs(found[3].value - exact[3]) > 1e6 * allowances(op, args, n, exact)[3]


# -- the same bits, whatever the inner algebra ---------------------------------------------------------------------


def as_integers(x):
    x = np.broadcast_to(np.asarray(x, float), (len(COLUMN),))
    return np.where(np.isnan(x), np.nan, x).view(np.int64).tolist()


COLUMN = range(40)


def columns(op):
    """Ordinary and special arguments, one array an operand."""
    rng = np.random.default_rng(op.code)
    for (low, high), specials in zip(op.domain.intervals, op.domain.specials, strict=True):
        ordinary, special = rng.uniform(low, high, len(COLUMN)), rng.choice(specials, len(COLUMN))
        yield np.where(rng.random(len(COLUMN)) < 0.5, ordinary, special)


@EVERY_OP
def test_coefficient_1_is_the_tangent_of_the_row(op):
    """Bit for bit, as ``Dual`` adds it up: the value's rule aside, which for div is a recurrence here."""
    m, n = NumPyMachine(), (op.domain.immediates or (None,))[-3:][0]
    operands, immediate = list(columns(op)), () if n is None else (n,)
    tangents = [np.full(len(COLUMN), t) for t in (0.7, -1.3, 2.1)[: op.arity]]
    series, dual = Series(m, 1), Dual(m)
    with np.errstate(all="ignore"):
        jets, pairs = map(series.variable, zip(operands, tangents, strict=True)), map(dual.pair, operands, tangents)
        jet = getattr(series, op.name)(*jets, *immediate)
        # A pair is no mask.
        pair = op.apply(dual, *pairs) if op.name == "where" else getattr(dual, op.name)(*pairs, *immediate)
        assert as_integers(jet.coefficient(0)) == as_integers(pair.primal)
        got = jet.coefficient(1)
    if got is None or pair.tangent is None:
        assert got is None and pair.tangent is None
    elif op.name == "div":
        plain = np.isfinite(pair.tangent) & np.isfinite(got) & (np.abs(operands[1]) > 1e-150)
        assert plain.sum() > 10
        np.testing.assert_allclose(got[plain], pair.tangent[plain], rtol=4e-16 * 4)
    else:
        assert as_integers(got) == as_integers(pair.tangent)


@EVERY_OP
def test_recorded_coefficients_have_the_bits_of_numbers(op):
    n = (op.domain.immediates or (None,))[-3:][0]
    immediate, order = () if n is None else (n,), 3
    graph = fg.Graph(op.name)
    inputs = [graph.input(f"x{k}", shape=2) for k in range(op.arity)]
    series = Series(Symbols(), order)
    jet = getattr(series, op.name)(*map(series.variable, inputs), *immediate)
    recorded = [jet.coefficient(j) for j in range(order + 1)]
    graph.output([0.0 if c is None else c for c in recorded], "c")
    operands = [np.stack([x, np.full(len(COLUMN), 0.75)], axis=-1) for x in columns(op)]
    got = graph.compile()(*operands)
    series = Series(NumPyMachine(), order)
    with np.errstate(all="ignore"):
        jet = getattr(series, op.name)(*[series.variable([x[:, 0], x[:, 1]]) for x in operands], *immediate)
        for j in range(order + 1):
            number = jet.coefficient(j)
            assert (number is None) == (recorded[j] is None)
            assert as_integers(got[:, j]) == as_integers(0.0 if number is None else number), j


# -- the algebra ----------------------------------------------------------------------------------------------------


@pytest.fixture
def series():
    return Series(Oracle(), ORDER)


def along(series, *values):
    return series.variable([Real(value) for value in values])


def numbers(jet, order=ORDER):
    return [None if (c := jet.coefficient(j)) is None else float(c) for j in range(order + 1)]


def test_a_variable_and_a_constant(series):
    assert numbers(along(series, 3.0, 1.0)) == [3.0, 1.0] + [None] * 7
    assert numbers(series.constant(Real(3.0))) == [3.0] + [None] * 8
    assert numbers(series.variable([Real(1.0)] * 20)) == [1.0] * 9


def test_products_and_quotients(series):
    t = along(series, 0.0, 1.0)
    assert numbers((1.0 + t) * (1.0 - t)) == [1.0, 0.0, -1.0] + [None] * 6
    assert numbers(1.0 / (1.0 - t)) == [1.0] * 9
    assert numbers((1.0 + t * t) / (1.0 - t)) == [1.0, 1.0] + [2.0] * 7
    assert numbers(series.fma(t, t, 1.0 + t)) == [1.0, 1.0, 1.0] + [None] * 6
    assert numbers(-t - 2.0 * t) == [0.0, -3.0] + [None] * 7


def test_composition(series):
    """exp(log(x)) and sin(x)**2 + cos(x)**2 give back what is known, for a series with all its coefficients."""
    x = along(series, *[1.5 / (j + 1) for j in range(ORDER + 1)])
    with mpmath.workprec(200):
        back = numbers(series.exp(series.log(x)))
        one = numbers(series.square(series.sin(x)) + series.square(series.cos(x)))
    assert back == [1.5 / (j + 1) for j in range(ORDER + 1)]
    assert one == pytest.approx([1.0] + [0.0] * ORDER, abs=1e-50)


@EVERY_OP
def test_constants_in_constants_out(op, series):
    args, n = next(points(op))
    jet = getattr(series, op.name)(*[series.constant(Real(a)) for a in args], *(() if n is None else (n,)))
    assert numbers(jet)[1:] == [None] * ORDER


def test_flat_functions_are_structurally_flat(series):
    t = along(series, 2.5, 1.0)
    jets = [series.floor(t), series.rint(t), series.sign(t), series.lt(t, 3.0), series.isnan(t)]
    assert [numbers(jet)[1:] for jet in jets] == [[None] * ORDER] * 5


@pytest.mark.parametrize("bad", [INF, NAN])
def test_where_ignores_the_branch_not_taken(bad):
    series = Series(NumPyMachine(), 3)
    x = series.variable([np.array([4.0, 0.0]), np.array([1.0, bad]), np.array([bad, bad])])
    with np.errstate(all="ignore"):
        for chosen in (series.where(x > 0.0, x, 2.0), series.where(series.gt(x, 0.0), x, 2.0)):
            assert [chosen.coefficient(j)[1] for j in range(3)] == [2.0, 0.0, 0.0]
            assert chosen.coefficient(3) is None
        taken = OPS["where"].apply(series, series.gt(x, 0.0), series.sqrt(x), 5.0)
        assert [taken.coefficient(j)[1] for j in range(4)] == [5.0, 0.0, 0.0, 0.0]
        assert [taken.coefficient(j)[0] for j in range(2)] == [2.0, 0.25]


def test_a_partial_on_one_side_of_a_condition_is_selected():
    """exp for x > 0 and constant elsewhere, where not even 0 * inf flows."""
    row = Op("half", 1, lambda m, r, x: (Only(x > 0.0, r),), lambda m, x: m.where(x > 0.0, m.exp(x), 1.0))
    ramp = Op("ramp", 1, lambda m, r, x: (Only(x > 0.0, 1),), lambda m, x: m.where(x > 0.0, x, 0.0))
    series = Series(NumPyMachine(), 2)
    x = series.variable([np.array([1.0, -1.0]), np.array([1.0, INF])])
    half, flat = series.apply(row, x), series.apply(ramp, x)
    with np.errstate(all="ignore"):
        assert [half.coefficient(j)[1] for j in range(3)] == [1.0, 0.0, 0.0]
    assert [half.coefficient(j)[0] for j in range(3)] == pytest.approx([math.e, math.e, math.e / 2.0])
    assert [flat.coefficient(j).tolist() for j in range(2)] == [[1.0, 0.0], [1.0, 0.0]]


T = (0.0, 1.0)
# (name, series of the operands, immediate, coefficients): conventions are those of first derivatives.
SPECIAL = [
    ("abs", [(0.0, 1.0, 3.0)], None, [0.0, 0.0, 0.0, None]),
    ("abs", [(-2.0, 1.0, 3.0)], None, [2.0, -1.0, -3.0, None]),
    ("maximum", [(1.0, 1.0), (1.0, 0.0, 4.0)], None, [1.0, 0.5, 2.0, None]),
    ("powi", [T], 0, [1.0, None, None, None]),
    ("powi", [T], 1, [0.0, 1.0, None, None]),
    ("powi", [T], 2, [0.0, 0.0, 1.0, None]),
    ("powi", [T], 3, [0.0, 0.0, 0.0, 1.0]),
    ("powi", [T], 5, [0.0, 0.0, 0.0, 0.0]),
    ("pow", [T, (2.0,)], None, [0.0, 0.0, 1.0, 0.0]),
    ("pow", [(2.0,), (0.0, 1.0)], None, [1.0, math.log(2.0), math.log(2.0) ** 2 / 2.0, math.log(2.0) ** 3 / 6.0]),
    ("sqrt", [T], None, [0.0, INF, -INF, INF]),
    ("log", [T], None, [-INF, INF, -INF, INF]),
    ("log", [(-1.0, 1.0)], None, [NAN, NAN, NAN, NAN]),
    ("tanh", [(800.0, 1.0)], None, [1.0, 0.0, 0.0, 0.0]),
    ("tanh", [T], None, [0.0, 1.0, 0.0, -1.0 / 3.0]),
    ("sigmoid", [T], None, [0.5, 0.25, 0.0, -1.0 / 48.0]),
    ("atan", [(INF, 1.0)], None, [math.pi / 2.0, 0.0, 0.0, 0.0]),
    ("erf", [(INF, 1.0)], None, [1.0, 0.0, 0.0, 0.0]),
    ("hypot", [T, T], None, [0.0, 0.0, 0.0, 0.0]),
    ("xlogy", [T, (2.0, 1.0)], None, [0.0, math.log(2.0), 0.5, -0.125]),
    ("logaddexp", [T, (0.0,)], None, [math.log(2.0), 0.5, 0.125, 0.0]),
    ("mod", [(7.0, 1.0), (3.0, 0.5)], None, [1.0, 0.0, None, None]),
    ("fmax", [(NAN, 1.0), (1.0, 2.0)], None, [1.0, 2.0, None, None]),
]


@pytest.mark.parametrize(("name", "operands", "n", "expected"), SPECIAL)
def test_special_points(name, operands, n, expected):
    series = Series(NumPyMachine(), 3)
    with np.errstate(all="ignore"):
        variables = [series.variable([np.array([c]) for c in operand]) for operand in operands]
        jet = getattr(series, name)(*variables, *(() if n is None else (n,)))
        found = [None if (c := jet.coefficient(j)) is None else float(c[0]) for j in range(4)]
    assert [c is None for c in found] == [c is None for c in expected]
    numbers = [(f, e) for f, e in zip(found, expected, strict=True) if f is not None]
    assert all(f == pytest.approx(e, rel=1e-15, abs=1e-17, nan_ok=True) for f, e in numbers), found


def test_what_is_wrong_is_named(series):
    with pytest.raises(IndexError, match="coefficient 9 of a series of order 8"):
        along(series, 1.0).coefficient(9)
    with pytest.raises(ValueError, match="coefficient 0"):
        series.variable([])
    with pytest.raises(AttributeError, match="no 'sine'"):
        series.sine  # noqa: B018


# -- sharing and cost -----------------------------------------------------------------------------------------------


def test_one_op_on_the_same_operands_is_one_series(series):
    x, y = along(series, 1.0, 1.0), along(series, 2.0, 1.0)
    assert series.exp(x) is series.exp(x)
    assert x + y is y + x
    assert x - y is not y - x
    assert x * 2.0 is 2.0 * x
    assert x * 0.0 is not x * -0.0
    assert series.powi(x, 2) is not series.powi(x, 3)
    assert series.where(x < y, x, y) is series.where(x < y, x, y)


def recorded(name, order, n=None):
    """How many nodes the coefficients up to ``order`` record, for an argument with all its coefficients."""
    graph = fg.Graph()
    series = Series(Symbols(), order)
    operands = [series.variable(graph.input(shape=order + 1)) for _ in range(OPS[name].arity)]
    before = len(graph)
    jet = getattr(series, name)(*operands, *(() if n is None else (n,)))
    for j in range(order + 1):
        jet.coefficient(j)
    return len(graph) - before


def test_nodes_of_exp():
    """A product and a sum for each pair of coefficients; a constant, a weight and a division for each coefficient."""
    assert recorded("exp", 20) == 1 + 20 * 21 // 2 + 20 * 19 // 2 + 3 * 19


CHAINS = {"pow", "powi", "lgamma", "digamma", "polygamma"}


@EVERY_OP
def test_cost_grows_as_the_square_of_the_order(op):
    """Or, where each partial leads on to another op, as its cube."""
    n = None if op.immediate is None else -2 if op.name == "powi" else op.domain.immediates[0] if op.names else 2
    once, twice = recorded(op.name, 16, n), recorded(op.name, 32, n)
    assert twice <= (9.0 if op.name in CHAINS else 4.5) * once


def test_large_orders_and_long_chains_do_not_recurse():
    graph = fg.Graph()
    x = graph.input("x")
    series = Series(Symbols(), 60)
    t = series.variable([x, 1.0])
    assert isinstance(series.lgamma(t).coefficient(60), fg.Expr)
    y = t
    for _ in range(3000):
        y = series.sin(y)
    graph.output([y.coefficient(j) for j in (0, 1)], "y")
    value, slope = graph.compile()(0.5)
    expected, product = 0.5, 1.0
    for _ in range(3000):
        product *= math.cos(expected)
        expected = math.sin(expected)
    assert value == pytest.approx(expected, rel=1e-12)
    assert slope == pytest.approx(product, rel=1e-12)
