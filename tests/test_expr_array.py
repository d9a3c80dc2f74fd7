"""Arrays of expressions: NumPy's indexing and broadcasting, recorded in bulk; the same nodes as element by element."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgraph as fg
from fastgraph.errors import ExprError
from fastgraph.expr_array import ExprArray
from tests.bits import assert_same_bits
from tests.random_graphs import an_immediate

X = np.random.default_rng(0).normal(size=(3, 4))


@pytest.fixture
def x():
    return fg.Graph("arrays").input("x", shape=(3, 4))


def evaluated(graph, result, *args):
    graph.output(result)
    return graph.compile()(*args)


KEYS = [
    0,
    -1,
    (1, 2),
    slice(1, 3),
    (slice(None), 1),
    (..., 0),
    (None, slice(None)),
    (slice(None, None, -1), slice(0, 4, 2)),
    [0, 2],
    ([0, 2], [1, 3]),
    np.array([[0, 1], [2, 0]]),
    np.array([True, False, True]),
    X > 0.0,
    (slice(None), [3, 0]),
    ([[0], [2]], [0, 1]),
    (1, ...),
    (),
    np.int64(2),
    (slice(2, 2),),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_is_numpys(x, key):
    wanted = X[key]
    got = x[key]
    assert np.shape(got) == wanted.shape and isinstance(got, ExprArray if wanted.ndim else fg.Expr)
    if wanted.size:
        assert_same_bits(evaluated(x.graph, got, X), wanted)


def test_elements_and_iteration(x):
    assert len(x) == 3 and x.size == 12 and x.ndim == 2 and x.shape == (3, 4) and x.T.shape == (4, 3)
    assert [row.shape for row in x] == [(4,)] * 3 and all(type(e) is fg.Expr for e in x[0])
    assert x.item(5).node == x[1, 1].node and x.tolist()[2][3].node == x[2, 3].node
    a, b, c = x[:, 0]
    assert (a.node, c.node) == (x[0, 0].node, x[2, 0].node) and b.graph is x.graph
    assert (
        repr(x) == "<ExprArray of shape (3, 4): x[0, 0], x[0, 1], x[0, 2], x[0, 3], ..., x[2, 3]>"
        and x.dtype == np.float64
    )
    with pytest.raises(IndexError):
        x[3]
    with pytest.raises(TypeError):
        hash(x)


def test_assignment_into_a_copy(x):
    y = x.copy()
    y[0] = 0.0
    y[1, 2] = x[0, 0] * 2.0
    y[:, 3] = x[:, 0]
    y[2, :2] = [x[0, 1], 5.0]
    expected = X.copy()
    expected[0], expected[1, 2], expected[:, 3], expected[2, :2] = 0.0, 2.0 * X[0, 0], X[:, 0], [X[0, 1], 5.0]
    assert_same_bits(evaluated(x.graph, y, X), expected)
    for target in (x, x[1:], x.T, x.reshape(12)):
        with pytest.raises(ExprError, match=r"x\.copy\(\)"):
            target[0] = 1.0
    with pytest.raises(ValueError):
        y[0] = [1.0, 2.0]
    with pytest.raises(fg.GraphError, match="belongs to"):
        y[0, 0] = fg.Graph().input("z")


def test_an_expression_is_no_index(x):
    for key in (x[0, 0], (0, x[0, 0]), x[0], slice(x[0, 0], None)):
        with pytest.raises(TypeError):
            X[key] if isinstance(key, slice) else x[key]
    with pytest.raises(ExprError, match="interp"):
        x[x[0, 0]]


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.lt,
             operator.ge, operator.eq, operator.ne]  # fmt: skip


@pytest.mark.parametrize("use", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [2.0, 3, np.float32(0.5), X[0], abs(X) + 1.0, X[:, :1].tolist()], ids=str)
def test_operators_with_numbers(x, use, other):
    at = abs(X) + 0.5
    for swapped in (False, True):
        if swapped and use is operator.pow:
            continue  # negative bases
        got = use(other, x) if swapped else use(x, other)
        with np.errstate(all="ignore"):
            wanted = use(np.asarray(other), at) if swapped else use(at, np.asarray(other))
        np.testing.assert_allclose(evaluated(x.graph, got, at), wanted, rtol=4e-16)
        x = fg.Graph().input("x", shape=(3, 4))


def test_operators_with_expressions():
    graph = fg.Graph()
    x, v, t = graph.input("x", shape=(2, 3)), graph.input("v", shape=3), graph.input("t")
    result = (t + x) * v - v[None, :] / t + (-x) ** 2 + abs(v) + t**v + (x > v) * (t < v) + (~(x > 0.0) | (v > t))
    x_, v_, t_ = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([0.5, 1.5, -2.0]), 2.0
    wanted = (t_ + x_) * v_ - v_ / t_ + x_**2 + abs(v_) + t_**v_ + (x_ > v_) * (t_ < v_) + (~(x_ > 0.0) | (v_ > t_))
    np.testing.assert_allclose(evaluated(graph, result, x_, v_, t_), wanted, rtol=1e-15)


def test_powers_are_those_of_elements():
    graph = fg.Graph()
    x = graph.input("x", shape=4)
    at = np.array([-2.0, 0.0, 1.5, -0.5])
    exponents = np.array([2.0, 0.0, 0.5, -3.0])
    graph.output(x**exponents)
    graph.output(np.array([x[k] ** float(n) for k, n in enumerate(exponents)], object))
    graph.output(x ** exponents.tolist())
    graph.output(x**3)
    graph.output(np.array([e**3 for e in x], object))
    a, b, as_list, c, d = graph.compile()(at)
    assert_same_bits(a, b)
    assert_same_bits(as_list, b)
    assert_same_bits(c, d)


@pytest.mark.parametrize("name", ["sin", "exp", "hypot", "maximum", "where", "fma", "pow", "powi"])
def test_arrays_record_what_elements_do(name):
    """Not one node more, and the same program."""
    op = fg.expr.OPS[name]
    graphs = [fg.Graph(), fg.Graph()]
    lengths = []
    for graph, in_bulk in zip(graphs, (True, False), strict=True):
        arrays = [graph.input(shape=5) for _ in range(op.arity)]
        n = an_immediate(op)
        function = getattr(fg, name)
        result = (
            function(*arrays, *n) if in_bulk else [function(*elements, *n) for elements in zip(*arrays, strict=True)]
        )
        graph.output(result)
        lengths.append(len(graph))
    assert lengths[0] == lengths[1]
    first, second = (graph.compile().program for graph in graphs)
    assert first.disassemble() == second.disassemble()


def test_sums_are_balanced_trees():
    """In bulk as element by element, bit by bit."""
    numbers = np.random.default_rng(1).normal(size=(7, 13)) * 10.0 ** np.arange(13)
    graph = fg.Graph()
    x = graph.input("x", shape=(7, 13))
    graph.output(x.sum(axis=1))
    graph.output([fg.sum(list(row)) for row in x])
    graph.output(fg.sum(x, axis=1))
    a, b, c = graph.compile()(numbers)
    assert_same_bits(a, b)
    assert_same_bits(a, c)


def test_constants_are_shared(x):
    before = len(x.graph)
    (x + np.full((3, 4), 2.5)) * 2.5
    assert len(x.graph) == before + 24 + 1
    assert_same_bits(evaluated(x.graph, x * 0.0 + np.array([-0.0, 0.0, np.nan, 5e-324]), np.ones((3, 4)))[0],
                     np.array([0.0, 0.0, np.nan, 5e-324]))  # fmt: skip


def test_no_values(x):
    for use in (bool, float, int, complex, operator.index):
        with pytest.raises(ExprError):
            use(x)
    for use in (lambda: np.asarray(x, float), lambda: x.astype(int), lambda: list(range(x[0, 0]))):
        with pytest.raises(TypeError):
            use()
    with pytest.raises(ExprError, match=r"fg\.where"):
        if x > 0.0:
            pass


@pytest.mark.parametrize(
    "other",
    [1j, "a", None, [1.0, None], np.array(["a"]), np.ones(3, complex), object()],
    ids=lambda v: type(v).__name__,
)
def test_operands_that_are_no_real_numbers(x, other):
    for use in (operator.add, operator.mul, operator.pow, lambda a, b: fg.hypot(a, b)):
        with pytest.raises(TypeError):
            use(x, other)
        with pytest.raises(TypeError):
            use(other, x)


def test_shapes_that_do_not_fit(x):
    with pytest.raises(fg.ShapeError, match=r"\(3, 4\), \(3,\)"):
        x + np.ones(3)
    with pytest.raises(fg.ShapeError, match="matmul"):
        x @ x
    with pytest.raises(fg.GraphError, match="belongs to"):
        x + fg.Graph().input("z", shape=4)
    with pytest.raises(fg.GraphError, match="empty"):
        x.graph.output(x[:, :0])


def test_object_arrays_and_lists_mix(x):
    objects = np.array(x[0].tolist(), object)
    assert objects.shape == (4,) and objects[1].node == x[0, 1].node
    y = x * objects + [x[0, 0], 1.0, 2.0, x[1, 1]]
    assert isinstance(y, ExprArray)
    np.testing.assert_allclose(evaluated(x.graph, y, X), X * X[0] + np.array([X[0, 0], 1.0, 2.0, X[1, 1]]), rtol=1e-15)
    assert np.asarray(x).dtype == object and np.asarray(x).shape == (3, 4)
    assert np.sum(np.asarray(x)).graph is x.graph


def test_derivatives_by_arrays(x):
    y = np.sum(x[0] * x[1])
    g = x.graph.gradient(y, x)
    assert isinstance(g, ExprArray) and g.shape == (3, 4)
    h = x.graph.jacobian(x[0] * x[1], x)
    assert h.shape == (4, 3, 4)
    x.graph.output(g)
    x.graph.output(y)
    f = x.graph.compile()
    assert_same_bits(f(X)[0], np.array([X[1], X[0], np.zeros(4)]))
    graph = fg.Graph()
    z = graph.input("z", shape=3)
    graph.output(np.sum(z * z))
    assert_same_bits(graph.compile().grad([1.0, 2.0, 3.0], wrt=z), np.array([2.0, 4.0, 6.0]))


shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)


@settings(max_examples=60, deadline=None)
@given(shapes, st.sampled_from([np.add, np.multiply, np.hypot, np.maximum]))
def test_broadcasting_is_numpys(found, ufunc):
    graph = fg.Graph()
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=s) for s in found.input_shapes]
    if 0 in [n for s in found.input_shapes for n in s]:
        return
    result = ufunc(*(graph.input(shape=s) for s in found.input_shapes))
    assert np.shape(result) == found.result_shape
    np.testing.assert_allclose(evaluated(graph, result, *arrays), ufunc(*arrays), rtol=1e-15)


def test_a_million_operations_are_recorded_at_once():
    graph = fg.Graph()
    x = graph.input("x", shape=(1000, 1000))
    y = (x + 1.0) * x - x
    assert len(graph) == 4_000_001 and y.shape == (1000, 1000)
