"""Symbolic derivatives: expressions of derivatives, to any order, and the sweeps' derivatives of the same function."""

import math

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import GraphError
from tests.random_graphs import ARITHMETIC, EVERY, Seeded, input_sets, record


@pytest.mark.parametrize("order", range(1, 7))
def test_derivatives_of_any_order(order):
    graph = fg.Graph()
    x = graph.input("x")
    y = fg.exp(x) * fg.sin(2.0 * x) / (1.0 + x**2)
    for _ in range(order):
        y = graph.gradient(y, x)
    graph.output(y)
    with mpmath.workprec(200):
        exact = mpmath.diff(lambda t: mpmath.exp(t) * mpmath.sin(2 * t) / (1 + t * t), mpmath.mpf("0.75"), order)
    got = float(graph.compile()(0.75))
    assert abs(got - float(exact)) <= 1e-15 * 20**order * math.factorial(order)


@pytest.mark.parametrize("seed", range(25))
def test_the_gradient_of_the_sweep(seed):
    """Within the rounding of sums: as far as they move when the sum is taken in the sweep's order or this one."""
    ops = ARITHMETIC if seed % 2 else EVERY
    graph = record(Seeded(seed), n_ops=30, n_inputs=3, ops=ops)
    swept = graph.compile()
    node = graph.columns()[2][0]
    symbolic = graph.gradient(fg.Expr(graph, int(node)))
    fresh = fg.Graph()
    fresh._rows, fresh._constants, fresh._arguments = graph._rows, graph._constants, graph._arguments
    fresh._tables, fresh._functions = graph._tables, graph._functions
    fresh.output(np.array([fg.Expr(fresh, d.node) for d in symbolic], object))
    recorded = fresh.compile()
    leaves = input_sets(seed, 3, 60, special=0.0)
    with np.errstate(all="ignore"):
        got, expected = recorded(*leaves), np.array(swept.grad(*leaves)).T
    both = np.isfinite(got) & np.isfinite(expected)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert both.any()
    size = 1.0 + np.broadcast_to(np.where(both, np.abs(expected), 0.0).max(axis=-1, keepdims=True), got.shape)
    assert np.all(np.abs(got[both] - expected[both]) <= 1e-12 * size[both])


def test_jacobians_forward_and_reverse_agree():
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    outputs = np.array([x[0] * x[1], fg.sin(x[2]) * x[0], fg.exp(x[1]), x[2] / x[0]], object)
    wide = graph.jacobian(outputs, x)  # fewer inputs than outputs: forward
    tall = np.array([graph.gradient(y, x) for y in outputs])
    assert wide.shape == tall.shape == (4, 3)
    graph.output(wide, name="forward")
    graph.output(tall, name="reverse")
    graph.output(outputs, name="y")
    f = graph.compile()
    point = [0.5, 1.5, 2.5]
    result = f(point)
    np.testing.assert_allclose(result.forward, result.reverse, rtol=4e-16)
    np.testing.assert_allclose(f.jacobian(point).y, result.forward, rtol=4e-16)


def test_forms_of_wrt():
    graph = fg.Graph()
    x, k, t = graph.input("x", shape=(2, 2)), graph.parameter("k"), graph.input("t")
    y = fg.sum(x * k) * t
    by_all = graph.gradient(y)
    assert isinstance(by_all, tuple) and by_all[0].shape == (2, 2) and isinstance(by_all[1], fg.Expr)
    assert isinstance(graph.gradient(y, "k"), fg.Expr)
    assert graph.gradient(y, ["k", t, x[0]])[2].shape == (2,)
    assert graph.jacobian(x * t, [x, "t"])[0].shape == (2, 2, 2, 2)
    assert graph.jacobian(x * t, [x, "t"])[1].shape == (2, 2)
    assert graph.jacobian(y, x).shape == (2, 2)


def test_an_intermediate_expression_is_a_variable_of_its_own():
    graph = fg.Graph()
    x = graph.input("x")
    z = fg.exp(x)
    y = z * z + x
    graph.output(graph.gradient(y, z), name="by_z")
    graph.output(graph.gradient(y, x), name="by_x")
    by_z, by_x = graph.compile()(0.5)
    assert by_z == 2.0 * np.exp(0.5)
    assert abs(by_x - (2.0 * np.exp(1.0) + 1.0)) < 1e-15 * 8


def test_what_does_not_depend_is_zero():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(graph.gradient(fg.floor(x) + y * 2.0, (x, y)))
    assert graph.compile()(1.5, 2.5).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_branches_not_taken_contribute_nothing(bad):
    graph = fg.Graph()
    x = graph.input("x")
    y = fg.where(x > 0.0, fg.sqrt(x) * fg.log(x), 3.0 * x)
    first = graph.gradient(y, x)
    second = graph.gradient(first, x)
    graph.output([y, first, second])
    assert graph.compile()(bad).tolist() == [3.0 * bad, 3.0, 0.0]


def test_only_what_is_needed_is_recorded():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x * y
    for _ in range(100):
        fg.sin(x)  # that nothing needs
    before = len(graph)
    graph.gradient(z, x)
    assert len(graph) - before <= 3


def test_a_long_chain():
    graph = fg.Graph()
    x = graph.input("x")
    y = x
    for _ in range(50_000):
        y = y * 0.99999 + 0.25
    graph.output(graph.gradient(y, x))
    assert abs(float(graph.compile()(1.0)) - 0.99999**50_000) < 1e-12


def test_gradients_inside_a_graph_are_differentiated():
    """A Newton step is a function, whose own derivative by a parameter follows."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    cost = (x * x - k) ** 2
    slope = graph.gradient(cost, x)
    step = x - slope / graph.gradient(slope, x)
    graph.output(step)
    f = graph.compile()
    h = 1e-6
    slope = f.grad(1.5, 2.0).k
    assert abs(slope - (f(1.5, 2.0 + h) - f(1.5, 2.0 - h)) / (2 * h)) < 1e-8


def test_what_does_not_fit_is_said():
    graph, other = fg.Graph("one"), fg.Graph("other")
    x, a = graph.input("x"), other.input("a")
    with pytest.raises(GraphError, match="belongs to"):
        graph.gradient(x * x, a)
    with pytest.raises(GraphError, match="no argument 'z'; it has x"):
        graph.gradient(x * x, "z")
    with pytest.raises(GraphError, match="output must be expressions of"):
        graph.gradient(2.0, x)
    with pytest.raises(GraphError, match="use jacobian"):
        graph.gradient([x, x * x], x)
    with pytest.raises(GraphError, match="wrt must be expressions"):
        graph.gradient(x, 3)
    empty = fg.Graph("empty")
    k = empty.parameter("k")
    with pytest.raises(GraphError, match="has no inputs to differentiate by"):
        empty.gradient(k * k)
