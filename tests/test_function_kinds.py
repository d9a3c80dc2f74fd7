"""Function: unusual graphs (constant, unused, empty, huge), copies and pickles, threads."""

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError
from tests.bits import assert_same_bits

# -- shapes of functions ------------------------------------------------------------------------------------


def test_output_that_is_an_input():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(y)
    g = graph.compile()
    assert g(1.0, 2.0) == 2.0 and tuple(g.grad(1.0, 2.0)) == (0.0, 1.0)
    batch = np.arange(100.0)
    assert_same_bits(g(1.0, batch), batch)
    assert g(1.0, batch) is not batch
    assert tuple(v.tolist() for v in g.grad(batch, 3.0)) == ([0.0] * 100, [1.0] * 100)


def test_constant_output_and_unused_inputs():
    graph = fg.Graph()
    graph.inputs("x", "y")
    graph.output(2.5)
    g = graph.compile()
    assert g(1.0, 2.0) == 2.5 and tuple(g.grad(1.0, math.nan)) == (0.0, 0.0)
    assert g(np.zeros((2, 3)), 1.0).tolist() == [[2.5] * 3] * 2
    assert [v.shape for v in g.grad(np.zeros(4), math.inf)] == [(4,), (4,)]


def test_no_inputs_at_all():
    graph = fg.Graph()
    graph.output(fg.sin(graph.constant(1.0)), name="a")
    graph.output([1.0, 2.0], name="b")
    g = graph.compile()
    assert g().a == g().a and g().b.tolist() == [1.0, 2.0]
    assert g.flat(np.empty(0)).shape == (3,) and g.flat(np.empty((5, 0))).shape == (5, 3)
    single = fg.Graph()
    single.output(1.5)
    h = single.compile()
    assert h() == 1.5 and type(h()) is np.float64
    with pytest.raises(ArgumentError):
        h.grad()
    with pytest.raises(ArgumentError, match="takes 0 arguments"):
        h(1.0)


def test_several_outputs_are_a_named_tuple(f):
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x + 1.0)
    graph.output(x * 2.0, name="twice")
    g = graph.compile()
    y = g(3.0)
    assert y._fields == ("y0", "twice") and tuple(y) == (4.0, 6.0) and [type(v) for v in y] == [np.float64] * 2
    assert [v.tolist() for v in g([1.0, 2.0])] == [[2.0, 3.0], [2.0, 4.0]]


def test_a_hundred_thousand_inputs():
    graph = fg.Graph()
    x = graph.input("x", shape=100_000)
    graph.output(fg.dot(x, x))
    g = graph.compile()
    values = np.random.default_rng(0).normal(size=100_000)
    y, gradient = g.value_and_grad(values)
    assert abs(y - values @ values) <= 1e-10 * y
    assert_same_bits(gradient, 2.0 * values)
    batch = np.stack([values] * 10)
    assert_same_bits(g(batch), np.full(10, y))
    assert_same_bits(g.flat.grad(batch.T, axis=0), 2.0 * batch.T)


# -- copies -------------------------------------------------------------------------------------------------


def test_pickle_and_copies(vector, weighted):
    for clone in (pickle.loads(pickle.dumps(vector)), copy.copy(vector), copy.deepcopy(vector)):
        a, b = (g(np.arange(3.0), 2.0, np.ones((2, 2))) for g in (vector, clone))
        assert_same_bits(a.u, b.u)
        assert a.v == b.v and repr(clone) == repr(vector) and clone.arguments == vector.arguments
    clone = pickle.loads(pickle.dumps(weighted))
    assert tuple(map(str, clone.grad([1.0, 2.0], 3.0, 4.0))) == tuple(map(str, weighted.grad([1.0, 2.0], 3.0, 4.0)))


def test_results_can_be_pickled_and_copied(vector, f):
    for result in (
        vector(np.arange(3.0), 2.0, np.ones((2, 2))),
        f.grad(1.0, 2.0, 3.0),
        f.value_and_grad(1.0, 2.0, 3.0),
    ):
        for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), copy.copy(result)):
            assert type(again) is type(result) and repr(again) == repr(result)
    assert f.grad(1.0, 2.0, 3.0)._replace(a=0.0).a == 0.0


def test_functions_are_immutable_in_use(f):
    before = f.to_bytes()
    f(np.arange(100.0), 1.0, 2.0)
    f.grad(1.0, 2.0, 3.0)
    assert f.to_bytes() == before


def test_repr(vector):
    assert repr(vector).startswith("<Function 'vector': (x[3], t, k[2, 2]) -> (u[3], v), ")


# -- threads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, np.float64(2), [1]])
def test_wrong_threads(f, threads):
    for call in (f, f.grad, lambda *a, threads: f.flat(np.ones(3), threads=threads)):
        for args in ((1.0, 2.0, 3.0), (np.ones(5), 2.0, 3.0)):
            with pytest.raises(ArgumentError, match="threads"):
                call(*args, threads=threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 100])
def test_threads(f, threads):
    values = np.arange(200_000.0)
    assert_same_bits(f(values, 1.0, 2.0, threads=threads), (values + 1.0) * -1.0)
    assert f(1.0, 2.0, 3.0, threads=threads) == -3.0


def test_eight_threads_call_one_function(weighted):
    """Every call gets its own workspace: answers never mix, whether of one set or of batches."""

    def calls(seed):
        rng = np.random.default_rng(seed)
        for k in range(60):
            n = (1, 3, 50, 20_000)[k % 4]
            x, t = rng.normal(size=(n, 2)), rng.normal(size=n)
            y, gradient = weighted.value_and_grad(x, 0.5, t)
            assert_same_bits(y, 0.5 * x[:, 0] * x[:, 1] + t * t)
            assert_same_bits(gradient.t, 2.0 * t)
            assert weighted(x[0], 0.5, t[0]) == y[0]
            assert weighted.flat.grad(np.array([*x[0], t[0]]), k=0.5)[2] == 2.0 * t[0]
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(calls, range(8)))
