"""Tables: interval and lookup, and what is interpolated by them, against NumPy and SciPy."""

import pickle

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived
from fastgraph.errors import ExprError, GraphError, ProgramError, ShapeError
from fastgraph.ops import OPS
from fastgraph.program import Program
from tests import engines
from tests.bits import assert_same_bits

interpolate = pytest.importorskip("scipy.interpolate")
KINDS = ["not-a-knot", "natural", "clamped", "periodic", ((1, 0.5), (2, -1.0))]


def compiled(record, **options):
    graph = fg.Graph()
    graph.output(record(graph.input("x")))
    return graph.compile(**options)


def knots_and_values(n, seed=0):
    rng = np.random.default_rng([n, seed])
    return np.cumsum(rng.uniform(0.1, 2.0, n)) - n / 2, rng.normal(size=n)


def points(knots, count=500):
    """Between knots, on them, next to them, outside."""
    rng = np.random.default_rng(len(knots))
    inside = rng.uniform(knots[0] - 2.0, knots[-1] + 2.0, count)
    beside = [np.nextafter(knots, np.inf), np.nextafter(knots, -np.inf), [np.inf, -np.inf, np.nan, 0.0, -0.0]]
    return np.concatenate([inside, knots, *beside])


# -- the two ops --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 64, 1000])
def test_interval_is_a_search(n):
    knots, _ = knots_and_values(n)
    x = points(knots)
    f = compiled(lambda x: fg.interval(x, knots))
    expected = np.maximum(np.searchsorted(knots, x, side="right") - 1, 0).astype(float)
    assert_same_bits(f(x), np.where(np.isnan(x), x, expected))
    assert (f.grad(x) == 0.0).all()
    assert f(x[3]) == f(x)[3]


def test_lookup_takes_the_nearest_place():
    numbers = np.array([5.0, -0.0, np.inf, np.nan, 2.5])
    f = compiled(lambda x: fg.lookup(x, numbers))
    x = np.array([-np.inf, -1.0, -0.5, 0.0, 0.999, 1.0, 2.5, 3.0, 4.0, 4.5, 1e300, np.inf, np.nan])
    expected = numbers[np.clip(np.nan_to_num(x, nan=0.0, posinf=9.0, neginf=-9.0), 0, 4).astype(int)]
    assert_same_bits(f(x), np.where(np.isnan(x), x, expected))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_engine(dtype):
    """One set, tiles of every size and the interpreter, where many operations name several tables."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    total = x * 0.0
    for k in range(20):
        knots, values = knots_and_values(5 + 7 * k, seed=1)
        total = total + fg.lookup(fg.interval(x * y + 0.1 * k, knots), values) * (x - y)
    graph.output(total)
    program = graph.compile(dtype).program
    leaves = np.random.default_rng(3).normal(size=(2, 77)).astype(dtype)
    expected = engines.reference(program, leaves)
    for name, engine in engines.of(program.dtype).items():
        got = engine(program, leaves)
        assert_same_bits(got[0], expected[0], name)
        assert_same_bits(got[1], expected[1], name)


def test_tables_are_shared_saved_and_carried_through_everything():
    knots, values = knots_and_values(9)
    step = lambda x: fg.lookup(fg.interval(x, knots), values)  # noqa: E731
    f = compiled(lambda x: step(x) + step(x * 2.0) * x)
    assert len(f.program.tables) == 2 * (1 + 9) and f"table {len(knots) + 1}: 9 numbers" in f.program.disassemble()
    x = points(knots)
    again = pickle.loads(pickle.dumps(f))
    assert_same_bits(again(x), f(x))
    assert_same_bits(again.program.tables, f.program.tables)
    other = fg.Graph()
    y = other.input("y")
    fg.lookup(y, [1.0, 2.0])  # so that tables begin elsewhere
    other.output(f(y) * 1.0)
    assert_same_bits(other.compile()(x), f(x))
    graph = fg.Graph()
    a, b = graph.inputs("a", "b")
    graph.output(fg.lookup(fg.interval(a, knots), values) * b)
    whole = graph.compile()
    bound = whole.bind(a=0.25)
    assert bound.program.n_operations == 1 and not len(bound.program.tables)  # what nothing names is left out
    assert bound(2.0) == 2.0 * whole(0.25, 1.0)


def test_programs_without_the_table_are_refused():
    f = compiled(lambda x: fg.interval(x, [0.0, 1.0, 2.0]))
    p = f.program
    parts = p.n_leaves, p.constants, p.runs, p.n_value_runs, p.operands, p.outputs
    for tables in (
        None,
        [1.0, 0.0, 1.0],
        [2.0, 0.0, 1.0, 2.0],
        [4.0, 0.0, 1.0, 2.0],
        [0.0],
        [np.nan, 1.0],
        [np.inf, 1.0],
    ):
        with pytest.raises(ProgramError, match="table"):
            Program(*parts, None if tables is None else np.array(tables))
    assert Program(*parts, np.array([1.0, 7.0])).n_operations == 1
    runs = p.runs.copy()
    runs["immediate"] = 1
    with pytest.raises(ProgramError, match="no table begins at 1"):
        Program(*parts[:2], runs, *parts[3:], p.tables)


@pytest.mark.parametrize(
    ("record", "error", "match"),
    [
        (lambda x: fg.interval(x, [1.0, 1.0]), ExprError, "must increase"),
        (lambda x: fg.interval(x, [1.0, np.nan]), ExprError, "must increase"),
        (lambda x: fg.lookup(x, []), ShapeError, r"shape \(k,\)"),
        (lambda x: fg.lookup(x, [[1.0]]), ShapeError, r"shape \(k,\)"),
        (lambda x: fg.lookup(x, [x, 1.0]), ExprError, "fg.select"),
        (lambda x: fg.lookup(x, "abc"), ExprError, "real numbers"),
        (lambda x: fg.lookup(2.0, [1.0]), ExprError, "expression"),
        (lambda x: x.graph.table(np.zeros(2**24)), GraphError, "16777215"),
        (lambda x: fg.interp(x, [0.0, 1.0], [1.0]), ShapeError, "one length"),
        (lambda x: fg.interp(x, [1.0, 0.0], [1.0, 2.0]), ExprError, "increase"),
        (lambda x: fg.interp(x, [x, 0.0], [1.0, 2.0]), ExprError, "constant knots"),
        (lambda x: fg.interp(0.5, [0.0, 1.0], [1.0, 2.0]), ExprError, "np.interp"),
        (lambda x: np.interp(x, [0.0, 1.0], [1.0, 2.0], period=1.0), ExprError, "period"),
        (lambda x: fg.piecewise_polynomial(x, [0.0], [[]]), ShapeError, "2 at least"),
        (lambda x: fg.piecewise_polynomial(x, [0.0, 1.0], [[1.0, 2.0]]), ShapeError, r"\(k, 1\)"),
        (lambda x: fg.cubic_spline(x, [0.0, 1.0], [1.0, x]), ExprError, "constant values"),
        (lambda x: fg.cubic_spline(x, [0.0, 1.0], [1.0]), ShapeError, r"\(2,\)"),
        (lambda x: fg.cubic_spline(x, [0.0, 1.0], [1.0, 2.0], "periodic"), ExprError, "periodic"),
        (lambda x: fg.cubic_spline(x, [0.0, 1.0], [1.0, 2.0], "soft"), ExprError, "soft|bc_type"),
    ],
)  # fmt: skip
def test_what_is_refused(record, error, match):
    x = fg.Graph().input("x")
    with pytest.raises(error, match=match):
        record(x)


# -- interpolation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 10, 500])
def test_interp_has_numpys_bits(n):
    knots, values = knots_and_values(n)
    x = points(knots)
    f = compiled(lambda x: np.interp(x, knots, values))
    assert_same_bits(f(x), np.interp(x, knots, values))
    g = compiled(lambda x: fg.interp(x, knots, values, left=-7.0, right=x * x))
    assert_same_bits(g(x), np.where(x > knots[-1], x * x, np.interp(x, knots, values, left=-7.0)))
    assert f.program.n_operations < 16 and f(x[0]) == f(x)[0]


def test_interp_of_expressions_at_the_knots_is_the_same_function():
    knots, values = knots_and_values(12)
    graph = fg.Graph()
    x, v = graph.input("x"), graph.input("v", shape=12)
    graph.output(np.interp(x, knots, v))
    f = graph.compile()
    inside = np.concatenate([points(knots)[:500], knots])
    assert_same_bits(f(inside, values), np.interp(inside, knots, values))
    by_table = compiled(lambda x: np.interp(x, knots, values))
    assert_same_bits(f.grad(inside, values)[0], by_table.grad(inside))
    weights = f.grad(inside, values)[1]
    np.testing.assert_allclose(weights @ values, f(inside, values), rtol=1e-13, atol=1e-13)


def test_slopes_of_interp():
    """Of the interval; above the knot, but for the last; nothing outside."""
    knots, values = np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, -2.0])
    f = compiled(lambda x: fg.interp(x, knots, values))
    x = np.array([-0.1, 0.0, 0.5, 1.0, 2.0, 3.0, 3.1])
    assert f.grad(x).tolist() == [0.0, 1.0, 1.0, -2.0, -2.0, -2.0, 0.0]
    (kink,) = [kink for kink in f.check_kinks((1.0,)) if kink.op == "interval"]
    assert kink.distances.tolist() == [0.0]


@pytest.mark.parametrize("boundary", KINDS, ids=str)
def test_splines_are_scipys(boundary):
    knots, values = knots_and_values(30)
    if boundary == "periodic":
        values[-1] = values[0]
    spline = interpolate.CubicSpline(knots, values, bc_type=boundary, extrapolate=True)
    f = compiled(lambda x: fg.cubic_spline(x, knots, values, boundary))
    x = points(knots)[:530]
    scale = 1.0 + sum(
        np.abs(spline.c[i][np.clip(np.searchsorted(knots, x, side="right") - 1, 0, 28)]) for i in range(4)
    )
    scale *= 1.0 + np.abs(x - knots[np.clip(np.searchsorted(knots, x, side="right") - 1, 0, 28)]) ** 3
    y, slope = f.value_and_grad(x)
    for got, order in ((y, 0), (slope, 1), (f.hessian(x), 2)):
        assert (np.abs(got - spline(x, order)) <= 1e-14 * scale).all(), order
    assert np.isnan(f(np.nan))


@pytest.mark.parametrize("degree", [0, 1, 2, 5])
def test_piecewise_polynomials(degree):
    rng = np.random.default_rng(degree)
    knots, _ = knots_and_values(11)
    coefficients = rng.integers(-4, 5, (degree + 1, 10)).astype(float)
    x = np.round(points(knots)[:500] * 8.0) / 8.0
    knots = np.round(knots * 8.0) / 8.0
    f = compiled(lambda x: fg.piecewise_polynomial(x, knots, coefficients))
    expected = interpolate.PPoly(coefficients, knots)(x)
    np.testing.assert_allclose(f(x), expected, rtol=1e-13, atol=1e-9)


def test_arrays_of_expressions_and_traces():
    knots, values = knots_and_values(8)
    grid = np.linspace(-3.0, 3.0, 12).reshape(3, 4)
    f = fg.trace(lambda x: np.interp(x, knots, values) * 2.0, (3, 4))
    assert_same_bits(f(grid), np.interp(grid, knots, values) * 2.0)
    graph = fg.Graph()
    x = graph.input("x", shape=(3, 4))
    graph.output(fg.cubic_spline(x, knots, values))
    np.testing.assert_allclose(graph.compile()(grid), interpolate.CubicSpline(knots, values)(grid), rtol=1e-12)


def test_symbolic_derivatives_name_the_tables():
    knots, values = knots_and_values(8)
    graph = fg.Graph()
    x = graph.input("x")
    y = fg.cubic_spline(x, knots, values)
    graph.output([graph.gradient(y, x), graph.gradient(graph.gradient(y, x), x)])
    points = np.linspace(-3.0, 3.0, 40)
    spline = interpolate.CubicSpline(knots, values)
    got = graph.compile()(points)
    np.testing.assert_allclose(got, np.stack([spline(points, 1), spline(points, 2)], axis=-1), rtol=1e-9, atol=1e-11)


def test_derived_programs_keep_tables():
    knots, values = knots_and_values(8)
    program = compiled(lambda x: fg.cubic_spline(x, knots, values)).program
    every = np.ones(1, np.bool_)
    for derive in (derived.with_tangents, derived.hessian, derived.gradient):
        made = derive(program, every)
        assert OPS["interval"].code in made.runs["opcode"]
        assert 0 < len(made.tables) <= len(program.tables)
