"""Composition: a Function of expressions is recorded, as often as there are sets; a bound one is optimised anew."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, GraphError, ShapeError
from fastgraph.expr_array import ExprArray
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, input_sets, record


@pytest.fixture(scope="module")
def inner():
    """x (2,), k -> u (2,), v."""
    graph = fg.Graph("inner")
    x, k = graph.input("x", shape=2), graph.parameter("k")
    graph.output(np.exp(x) * k + 2.5, name="u")
    graph.output(fg.where(x[0] > x[1], x[0], k * x[1]), name="v")
    return graph.compile()


@pytest.mark.parametrize("seed", range(12))
def test_a_recorded_function_has_its_bits(seed):
    f = record(Seeded(seed), n_inputs=3, n_ops=60).compile()
    graph = fg.Graph()
    x = graph.inputs("a", "b", "c")
    graph.output(f(*x))
    g = graph.compile()
    for sets in input_sets(seed, 3, 8).T:
        assert_same_bits(g(*sets), f(*sets))


def test_forms(inner):
    graph = fg.Graph()
    x, t = graph.input("x", shape=2), graph.input("t")
    u, v = inner(x, t)
    assert isinstance(u, ExprArray) and u.shape == (2,) and type(v) is fg.Expr and inner(x, k=t)._fields == ("u", "v")
    graph.output(u * v)
    graph.output(inner([t, 1.0], 3.0).v)
    f = graph.compile()
    at = np.array([0.5, -1.0])
    expected = inner(at, 2.0)
    assert_same_bits(f(at, 2.0)[0], expected.u * expected.v)
    assert_same_bits(f(at, 2.0)[1], inner([2.0, 1.0], 3.0).v)


def test_a_batch_of_expressions_repeats_it(inner):
    """Rows of an array, broadcast against others, as a batch of numbers is."""
    graph = fg.Graph()
    x, k = graph.input("x", shape=(4, 3, 2)), graph.input("k", shape=3)
    u, v = inner(x, k)
    assert u.shape == (4, 3, 2) and v.shape == (4, 3)
    graph.output(u)
    graph.output(v)
    rng = np.random.default_rng(1)
    at, ks = rng.normal(size=(4, 3, 2)), rng.normal(size=3)
    got, expected = graph.compile()(at, ks), inner(at, ks)
    assert_same_bits(got[0], expected.u)
    assert_same_bits(got[1], expected.v)


def test_gradients_go_through(inner):
    graph = fg.Graph()
    x = graph.input("x", shape=2)
    graph.output(fg.sum(inner(x, 2.0).u))
    at = np.array([0.5, -1.0])
    assert_same_bits(graph.compile().grad(at), 2.0 * np.exp(at))


def test_wrong_calls_with_expressions(inner):
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    with pytest.raises(ShapeError, match=r"x with shape \(3,\)"):
        inner(x, 1.0)
    with pytest.raises(ShapeError, match="do not broadcast"):
        inner(graph.input("y", shape=(3, 2)), graph.input("k", shape=2))
    with pytest.raises(ArgumentError, match="misses k"):
        inner(x[:2])
    with pytest.raises(ArgumentError, match="takes no out"):
        inner(x[:2], 1.0, threads=2)
    with pytest.raises(GraphError, match="belongs to"):
        inner(x[:2], fg.Graph().input("k"))
    single = fg.trace(lambda x: x * 0.1, (), dtype=np.float32)
    with pytest.raises(ArgumentError, match="float32"):
        single(x[0])


# -- bind -----------------------------------------------------------------------------------------------------
def test_bind(inner):
    at = np.array([0.5, -1.0])
    g = inner.bind(k=3.0)
    assert [a.name for a in g.arguments] == ["x"] and g.name == "inner"
    for got, expected in zip(g(at), inner(at, 3.0), strict=True):
        assert_same_bits(got, expected)
    h = inner.bind(x=at)
    assert_same_bits(h(2.0).u, inner(at, 2.0).u)
    assert h.program.n_operations < inner.program.n_operations  # exp and the comparison are numbers now
    everything = inner.bind(x=at, k=1.0)
    assert everything.program.n_operations == 0
    assert_same_bits(everything().u, inner(at, 1.0).u)
    assert inner.bind()(at, 2.0) is not None
    assert everything.bind()().v == everything().v


@pytest.mark.parametrize("seed", range(10))
def test_bound_functions_keep_their_bits(seed):
    f = record(Seeded(seed), n_inputs=3, n_ops=60).compile()
    names = [a.name for a in f.arguments]
    for sets in input_sets(seed, 3, 6).T:
        for k in range(3):
            g = f.bind(**{names[k]: sets[k]})
            assert_same_bits(g(*np.delete(sets, k)), f(*sets))


def test_wrong_bindings(inner):
    with pytest.raises(ArgumentError, match="no argument 'z'"):
        inner.bind(z=1.0)
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        inner.bind(x=[1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="bound to numbers"):
        inner.bind(k="many")
