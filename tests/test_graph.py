"""Graph: declarations, names, shapes, constants, outputs; every misuse raises an error that says what to change."""

import math

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ExprError, FastgraphError, GraphError, ShapeError


@pytest.fixture
def graph():
    return fg.Graph("test")


# -- declarations -------------------------------------------------------------------------------------------


def test_inputs_are_numbered_and_named(graph):
    graph.input()
    graph.input("b")
    graph.parameter()
    graph.input(shape=2)
    assert [a.name for a in graph.arguments] == ["x0", "b", "x2", "x3"]
    assert [a.differentiable for a in graph.arguments] == [True, True, False, True]
    assert [a.shape for a in graph.arguments] == [(), (), (), (2,)]


def test_default_names_step_aside(graph):
    graph.input("x1")
    graph.input()
    graph.output(1.0, name="y1")
    graph.output(2.0)
    assert [a.name for a in graph.arguments] == ["x1", "x1_"]
    assert [o.name for o in graph.outputs] == ["y1", "y1_"]


@pytest.mark.parametrize("shape", [3, (3,), [3], (2, 3), (1,), (2, 1, 2), np.int64(2), (np.int32(2), 2)])
def test_shapes(graph, shape):
    x = graph.input("x", shape=shape)
    expected = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    assert x.shape == expected and isinstance(x, fg.ExprArray)
    assert graph.arguments[0].shape == expected and graph.arguments[0].size == math.prod(expected)
    assert all(type(n) is int for n in graph.arguments[0].shape)
    assert len({e.node for e in x.flat}) == x.size


@pytest.mark.parametrize(
    "shape", [0, -1, (0,), (2, 0), (2, -1), 1.5, (1.5,), "3", ("3",), None, (None,), {"a": 1}, ((2,),), np.nan]
)
@pytest.mark.parametrize("kind", ["input", "parameter"])
def test_shapes_that_are_none(graph, kind, shape):
    with pytest.raises(GraphError, match="shape"):
        getattr(graph, kind)("x", shape=shape)
    assert graph.arguments == ()


@pytest.mark.parametrize("name", ["", "a b", "1x", "a-b", "a.b", 3, b"x", ("x",), 1.0, True])
@pytest.mark.parametrize("declare", ["input", "parameter", "output"])
def test_names_must_be_identifiers(graph, declare, name):
    x = graph.input("x")
    with pytest.raises(GraphError, match="identifier"):
        graph.output(x, name=name) if declare == "output" else getattr(graph, declare)(name)


@pytest.mark.parametrize(
    "name", ["class", "if", "None", "lambda", "_hidden", "_", "count", "index", "_fields", "__class__"]
)
def test_names_that_named_tuples_or_keywords_could_refuse(name):
    """A name is either refused while declaring, or everything works: calls, gradients, several outputs."""
    graph = fg.Graph()
    try:
        x, y = graph.input(name), graph.input("other")
        graph.output(x * y, name=name)
        graph.output(x + y, name="sum")
    except GraphError:
        return
    f = graph.compile()
    assert tuple(f(2.0, 3.0)) == (6.0, 5.0)
    assert tuple(f(**{name: 2.0, "other": 3.0})) == (6.0, 5.0)
    single = fg.Graph()
    x, y = single.inputs(name, "other")
    single.output(x * y)
    assert tuple(single.compile().grad(2.0, 3.0)) == (3.0, 2.0)


@pytest.mark.parametrize("name", ["out", "threads", "wrt", "reduce", "axis", "x", "self", "args", "named"])
def test_names_that_calls_use_themselves(name):
    """Such a name is refused while declaring, or the argument can be given by name."""
    graph = fg.Graph()
    try:
        p, q = graph.input(name), graph.parameter("q")
        graph.output(p * q)
    except GraphError:
        return
    f = graph.compile()
    assert f(**{name: 2.0, "q": 3.0}) == 6.0
    assert f.grad(**{name: 2.0, "q": 3.0}) == 3.0


@pytest.mark.parametrize("name", ["axis", "out", "threads", "x"])
def test_parameter_names_that_flat_uses_itself(name):
    graph = fg.Graph()
    try:
        x, p = graph.input("a"), graph.parameter(name)
        graph.output(p * x)
    except GraphError:
        return
    assert graph.compile().flat(np.array([2.0]), **{name: 3.0}) == 6.0


def test_duplicate_names(graph):
    graph.input("x")
    for declare in (graph.input, graph.parameter):
        with pytest.raises(GraphError, match="'x' is already taken"):
            declare("x")
    graph.output(1.0, name="y")
    with pytest.raises(GraphError, match="'y' is already taken"):
        graph.output(2.0, name="y")
    graph.output(2.0, name="x")  # outputs have names of their own


def test_a_refused_declaration_leaves_no_trace(graph):
    x = graph.input("x")
    for call in (lambda: graph.input("x"), lambda: graph.input("y", shape=0), lambda: graph.output("?", name="z")):
        with pytest.raises(FastgraphError):
            call()
    graph.output(x, name="z")
    assert (len(graph.arguments), len(graph.outputs)) == (1, 1)
    assert graph.compile()(2.0) == 2.0


@pytest.mark.parametrize("bad", ["text", None, 1j, [None], ["a"], {}, object(), [[1.0], [2.0, 3.0]]])
def test_a_refused_output_leaves_no_trace(graph, bad):
    x = graph.input("x")
    with pytest.raises(FastgraphError):
        graph.output([x, bad] if isinstance(bad, str) else bad, name="y")
    assert graph.outputs == ()
    graph.output(x, name="y")
    assert graph.compile()(2.0) == 2.0


@pytest.mark.parametrize("name", [3, b"x", ["x"], 1.5])
def test_graph_name_is_a_string(name):
    with pytest.raises(GraphError, match="string"):
        fg.Graph(name)


def test_repr_tells_what_is_in_it(graph):
    x = graph.input("x")
    graph.output(x + 1.0)
    assert repr(graph) == "<Graph 'test': 3 nodes, 1 arguments, 1 outputs>"
    assert repr(fg.Graph()) == "<Graph: 0 nodes, 0 arguments, 0 outputs>"


# -- outputs ------------------------------------------------------------------------------------------------


def test_empty_graph(graph):
    with pytest.raises(GraphError, match="no outputs"):
        graph.compile()
    graph.input("x")
    with pytest.raises(GraphError, match=r"graph\.output"):
        graph.compile()


@pytest.mark.parametrize(
    "value", [3, 2.5, np.float64(2.5), np.float32(0.5), np.int8(-3), True, np.bool_(True), math.inf, -0.0]
)
def test_a_number_is_an_output(graph, value):
    graph.output(value)
    got = graph.compile()()
    assert got == float(value) and math.copysign(1, got) == math.copysign(1, float(value))


def test_arrays_are_outputs(graph):
    x = graph.input("x", shape=(2, 3))
    graph.output(x * 2.0, name="twice")
    graph.output([[x[0, 0], 1.0], [2, x[1, 2]]], name="mixed")
    graph.output(np.arange(3.0), name="numbers")
    f = graph.compile()
    values = np.arange(6.0).reshape(2, 3)
    y = f(values)
    assert [v.shape for v in y] == [(2, 3), (2, 2), (3,)]
    assert (
        (y.twice == 2 * values).all()
        and y.mixed.tolist() == [[0.0, 1.0], [2.0, 5.0]]
        and y.numbers.tolist() == [0, 1, 2]
    )


@pytest.mark.parametrize("empty", [[], np.empty(0), np.empty((2, 0)), ()])
def test_empty_outputs_are_refused(graph, empty):
    with pytest.raises(GraphError, match="empty"):
        graph.output(empty)


def test_outputs_of_another_graph(graph):
    other = fg.Graph("other")
    x = other.input("x")
    for foreign in (x, [x], [1.0, x]):
        with pytest.raises(GraphError, match="'other'.*'test'"):
            graph.output(foreign, name="y")


def test_one_expression_in_several_outputs(graph):
    x = graph.input("x")
    y = x * x
    graph.output(y, name="a")
    graph.output([y, y, x], name="b")
    a, b = graph.compile()(3.0)
    assert a == 9.0 and b.tolist() == [9.0, 9.0, 3.0]


# -- constants ----------------------------------------------------------------------------------------------


def test_constants(graph):
    values = [0.0, -0.0, 1, True, math.inf, -math.inf, math.nan, np.float32(0.1), 2**60 + 1, 5e-324]
    for value in values:
        graph.output(graph.constant(value))
    got = np.array(graph.compile()())
    expected = np.array([float(v) for v in values])
    assert np.array_equal(got.view(np.int64), expected.view(np.int64))


def test_constant_arrays(graph):
    c = graph.constant([[1.0, 2.0], [3.0, 4.0]])
    x = graph.input("x", shape=2)
    assert c.shape == (2, 2) and all(isinstance(e, fg.Expr) for e in c.flat)
    graph.output(c @ x)
    assert graph.compile()([1.0, 10.0]).tolist() == [21.0, 43.0]


def test_equal_constants_share_a_node(graph):
    assert graph.constant(2.0).node == graph.constant(2).node == graph.constant(np.float32(2.0)).node
    assert graph.constant(0.0).node != graph.constant(-0.0).node
    assert graph.constant(math.nan).node == graph.constant(float("nan")).node


@pytest.mark.parametrize(
    "bad", [1j, "1", None, 10**400, -(10**309), b"1", object(), np.array(["a"]), np.array(1j), [None], ["a", 1]]
)
def test_constants_that_are_no_real_numbers(graph, bad):
    with pytest.raises(ExprError) as caught:
        graph.constant(bad)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, FastgraphError)


# -- mixing graphs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, y: x + y,
        lambda x, y: y - x,
        lambda x, y: x**y,
        lambda x, y: x < y,
        lambda x, y: x == y,
        lambda x, y: x & y,
        lambda x, y: fg.hypot(x, y),
        lambda x, y: fg.where(x, 1.0, y),
        lambda x, y: fg.fma(x, 2.0, y),
        lambda x, y: np.maximum(x, y),
        lambda x, y: fg.sum([x, y]),
        lambda x, y: fg.dot([x, x], [y, y]),
    ],
)
def test_mixing_graphs(graph, mix):
    x, y = graph.input("x"), fg.Graph("other").input("y")
    with pytest.raises(GraphError) as caught:
        mix(x, y)
    assert "'test'" in str(caught.value) and "'other'" in str(caught.value)
    assert isinstance(caught.value, ValueError)


# -- what happens after compile -----------------------------------------------------------------------------


def test_recording_on_after_compile_changes_no_function(graph):
    x = graph.input("x")
    graph.output(x + 1.0)
    f = graph.compile()
    y = graph.input("y")
    graph.output(x * y, name="product")
    g = graph.compile()
    assert f(2.0) == 3.0 and tuple(g(2.0, 5.0)) == (3.0, 10.0)
    assert len(f.arguments) == 1


def test_compiling_twice_gives_equal_programs(graph):
    x = graph.input("x", shape=4)
    graph.output(fg.sum(fg.sin(x) * x))
    assert graph.compile().program.disassemble() == graph.compile().program.disassemble()


# -- conveniences -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
def test_sum_prod_mean_dot(n):
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    for y in (fg.sum(x), fg.prod(x), fg.mean(x), fg.dot(x, x)):
        graph.output(y)
    values = np.arange(1.0, n + 1)
    assert list(graph.compile()(values)) == [values.sum(), values.prod(), values.mean(), values @ values]


def test_sum_is_a_balanced_tree():
    graph = fg.Graph()
    x = graph.input("x", shape=1024)
    graph.output(fg.sum(x))
    assert len(graph.compile().program.runs) == 10


def test_empty_sums(graph):
    graph.output([fg.sum([]), fg.prod([])])
    assert graph.compile()().tolist() == [0.0, 1.0]
    with pytest.raises(ShapeError, match="empty"):
        fg.mean([])


@pytest.mark.parametrize(("x", "y"), [((2,), (3,)), ((2, 2), (2, 2)), ((), ())])
def test_dot_takes_vectors_of_one_length(graph, x, y):
    x, y = graph.input(shape=x), graph.input(shape=y)
    with pytest.raises(ShapeError, match="dot"):
        fg.dot(x, y)


def test_clip_and_relu(graph):
    x = graph.input("x")
    graph.output(fg.clip(x, -1.0, 2.0), name="clip")
    graph.output(fg.relu(x), name="relu")
    y = graph.compile()(np.array([-3.0, 0.5, 7.0, math.nan]))
    assert np.array_equal(y.clip, [-1.0, 0.5, 2.0, math.nan], equal_nan=True)
    assert y.relu.tolist() == [0.0, 0.5, 7.0, 0.0]  # NaN > 0 is false
