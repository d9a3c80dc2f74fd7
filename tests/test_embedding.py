"""Handles: Functions in the user's compiled code give the bits of calls from Python, cached, in threads, checked."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import njit, prange

import fastgraph as fg
from fastgraph.embedding import Handle
from fastgraph.errors import ArgumentError
from tests import subprocesses
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, input_sets, record

ROOT = Path(__file__).resolve().parents[1]


def scalar(n=3):
    """Inputs with a parameter between them."""
    graph = fg.Graph("scalar")
    x, k, t = graph.input("x", shape=n), graph.parameter("k", shape=2), graph.input("t")
    graph.output(fg.sum(fg.sin(x) * x) * k[0] * t + fg.exp(t * k[1]))
    return graph.compile()


def several():
    graph = fg.Graph("several")
    x, k = graph.input("x", shape=3), graph.parameter("k")
    graph.output(fg.exp(x) * k, name="u")
    graph.output(x[0] * x[2] + k, name="v")
    return graph.compile()


K = np.array([0.5, -0.25])
X = np.array([0.3, -1.2, 0.7, 0.9])
V = np.array([1.0, 0.5, -2.0, 0.25])


@njit
def everything(h, x, v):
    n = len(x)
    g, p, y, t = np.empty(n), np.empty(n), np.empty(1), np.empty(1)
    value = h.value_and_grad(x, g)
    h.hvp(x, v, p)
    h.jvp(x, v, y, t)
    return value, h.value(x), g, p, y, t


@njit
def of_several(h, x, v, w, nnz):
    y, t, yt, g, values = np.empty(4), np.empty(4), np.empty(4), np.empty(3), np.empty(nnz)
    h.call(x, y)
    h.jvp(x, v, yt, t)
    h.vjp(x, w, yt, g)
    h.jacobian_values(x, values)
    return y, t, g, values


def test_a_scalar_function():
    f = scalar()
    h = f.numba.bind(k=K).prepare("hvp", "jvp")
    value, again, g, p, y, t = everything(h, X, V)
    expected = f.flat.value_and_grad(X, k=K)
    assert_same_bits(np.array([value, again]), np.array([expected[0]] * 2))
    assert_same_bits(g, expected[1])
    assert_same_bits(p, f.flat.hvp(X, V, k=K))
    assert_same_bits(np.array([y[0], t[0]]), np.array(f.flat.jvp(X, V, k=K)))
    # Strided arrays, and the same methods in Python.
    out = np.zeros((4, 2))
    assert h.value_and_grad(np.repeat(X, 2)[::2], out[:, 1]) == value and (out[:, 0] == 0.0).all()
    assert_same_bits(out[:, 1], g)


def test_several_outputs():
    f, w = several(), np.array([1.0, -1.0, 0.5, 2.0])
    h = f.numba.bind(k=2.0).prepare("jvp", "vjp", "jacobian_values")
    y, t, g, values = of_several(h, X[:3], V[:3], w, f.jacobian_sparsity().nnz)
    assert_same_bits(y, f.flat(X[:3], k=2.0))
    assert_same_bits(t, f.flat.jvp(X[:3], V[:3], k=2.0)[1])
    assert_same_bits(g, f.flat.vjp(X[:3], w, k=2.0)[1])
    assert_same_bits(values, f.flat.sparse_jacobian_values(X[:3], k=2.0))


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs(seed):
    f = record(Seeded(seed), n_inputs=4, n_ops=80).compile()
    h, g = f.numba, np.empty(4)
    for x in input_sets(seed, 4, 9).T:
        x = np.ascontiguousarray(x)
        y = h.value_and_grad(x, g)
        expected = f.flat.value_and_grad(x)
        assert_same_bits(np.array([y, h.value(x)]), np.array([expected[0], f.flat(x)]))
        assert_same_bits(g, expected[1])


def test_parameters():
    f = scalar()

    @njit
    def swept(h, x, ks):
        total = 0.0
        for i in range(len(ks)):
            h.set_parameters(ks[i])
            total += h.value(x)
        return total

    ks = np.random.default_rng(1).normal(size=(5, 2))
    h = f.numba
    with pytest.raises(ValueError, match="parameters of the handle are not bound"):
        h.value(X)
    assert swept(h, X, ks) == sum(f.flat(X, k=k) for k in ks)
    # What was set by compiled code holds for clones, and for what is prepared later.
    product = np.empty(4)
    h.clone().prepare("hvp").hvp(X, V, product)
    assert_same_bits(product, f.flat.hvp(X, V, k=ks[-1]))
    h.prepare("hvp").hvp(X, -V, product)
    assert_same_bits(product, f.flat.hvp(X, -V, k=ks[-1]))
    other = h.bind(k=K)
    assert other.value(X) == f.flat(X, k=K) and h.value(X) == f.flat(X, k=ks[-1])
    assert other.clone().value(X) == other.value(X) == other.prepare("hvp").value(X)
    product = np.empty(4)
    other.hvp(X, V, product)
    assert_same_bits(product, f.flat.hvp(X, V, k=K))


@njit(parallel=True)
def all_of(handles, xs, ys, gs):
    for i in prange(len(xs)):
        ys[i] = handles[numba.get_thread_id()].value_and_grad(xs[i], gs[i])


PARALLEL = """
    import numba
    from tests.test_embedding import K, all_of, scalar
    f = scalar()
    handle = f.numba.bind(k=K)
    handles = tuple(handle.clone() for _ in range(numba.get_num_threads()))
    xs = np.random.default_rng(2).normal(size=(1000, 4))
    ys, gs = np.empty(1000), np.empty((1000, 4))
    all_of(handles, xs, ys, gs)
    expected = f.flat.value_and_grad(xs, k=K)
    print(same_bits(ys, expected[0]) and same_bits(gs, expected[1]))
"""


def test_threads_have_clones():
    """In a process of its own: Numba's threads do not bear a fork, as other tests make them."""
    assert subprocesses.run(PARALLEL) == ["True"]


def test_sizes():
    """In compiled code, so that it can allocate; and in Python."""

    @njit
    def outputs(h):
        y = np.empty(h.m)
        h.call(np.ones(h.n), y)
        return y

    h = several().numba.bind(k=2.0)
    assert (h.n, h.m) == (3, 4)
    assert_same_bits(outputs(h), h.function.flat(np.ones(3), k=2.0))


def test_another_function_needs_no_compilation():
    @njit
    def value(h, x):
        return h.value(x)

    f, g = scalar(3).numba.bind(k=K), scalar(30).numba.bind(k=K)
    value(f, X)
    assert value(g, np.ones(31)) == g.function.flat(np.ones(31), k=K)
    assert len(value.signatures) == 1


@njit
def wrong(h, which, x, a, b):
    if which == 0:
        h.value_and_grad(x, a)
    elif which == 1:
        h.hvp(x, a, b)
    elif which == 2:
        h.call(x, a)
    elif which == 3:
        h.set_parameters(a)
    else:
        h.value(x)


@pytest.mark.parametrize(
    ("make", "which", "sizes", "match"),
    [
        (scalar, 0, (3, 4, 4), "as many elements as the function has inputs"),
        (scalar, 0, (4, 3, 4), "a gradient, direction or product must have as many"),
        (scalar, 1, (4, 4, 4), "not prepared"),
        (scalar, 2, (4, 2, 4), "must be as many as the function has outputs"),
        (scalar, 3, (4, 3, 4), "all parameters, concatenated"),
        (several, 0, (3, 3, 3), "needs one scalar output"),
        (several, 4, (3, 3, 3), "one scalar output: use call"),
    ],
)
def test_what_does_not_fit(make, which, sizes, match):
    f = make()
    h = f.numba.bind(**{p.name: np.ones(p.shape) for p in f.flat.parameters})
    with pytest.raises(ValueError, match=match):
        wrong(h, which, *map(np.ones, sizes))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: scalar().numba.prepare("hessian"), "'hvp'.*not 'hessian'"),
        (lambda: several().numba.prepare("hvp"), "exactly one scalar output"),
        (lambda: scalar().numba.bind(k=np.ones((3, 2))), "not a batch"),
        (lambda: scalar().numba.bind(j=1.0), "no parameter 'j'"),
        (lambda: several_in_float32().numba, "only a float64 function"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ArgumentError, match=match):
        call()


def several_in_float32():
    graph = fg.Graph()
    graph.output(graph.input("x") * 2.0)
    return graph.compile(np.float32)


def test_pickles():
    h = scalar().numba.bind(k=K).prepare("jvp")
    again = pickle.loads(pickle.dumps(h))
    assert isinstance(again, Handle) and again.value(X) == h.value(X) and "jvp" in repr(again)


USER = """
    import sys
    import numpy as np
    from numba import njit
    import fastgraph as fg

    @njit(cache=True)
    def descend(h, x, steps):
        g = np.empty_like(x)
        for _ in range(steps):
            h.value_and_grad(x, g)
            x -= 0.1 * g
        return h.value(x)

    n = int(sys.argv[1])
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    graph.output(fg.sum((x - 1.0) ** 2))
    assert descend(graph.compile().numba, np.zeros(n), 200) < 1e-20
    print(sum(descend.stats.cache_hits.values()), sum(descend.stats.cache_misses.values()))
"""


def test_users_code_is_cached_for_every_function(tmp_path):
    """Compiled once; the next process finds it, with another graph, too."""
    script = tmp_path / "user.py"
    script.write_text(textwrap.dedent(USER))

    def run(n):
        done = subprocess.run(
            [sys.executable, script, str(n)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run(2) == ["0", "1"]
    assert run(5) == ["1", "0"]
