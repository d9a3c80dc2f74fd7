"""Memory: a batch takes that of its results and some tiles; where there is none it raises, and nothing is lost."""

import sys
import tracemalloc

import numpy as np
import pytest

import fastgraph as fg
from tests.subprocesses import run

N = 250_000
TILES = 1 << 18  # bytes: more than the tiles of this graph for two threads, less than a column


@pytest.fixture(scope="module")
def f():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x
    for k in range(12):
        z = fg.sin(z) * y + (x if k % 7 == 0 else 0.25)
    graph.output(z)
    function = graph.compile()
    function.value_and_grad(np.zeros(100), 1.0)  # what Numba takes to load the kernels is not a batch's
    function.value_and_grad(np.zeros(100), 1.0, reduce="sum")
    return function


def columns(kind):
    """Two arguments of ``N`` sets between them, in different layouts and types."""
    if kind == "broadcast":
        return np.linspace(0.0, 1.0, 500)[:, None], np.linspace(0.0, 1.0, 500)
    if kind == "strided":
        return np.zeros((N, 3))[:, 1], np.zeros(2 * N)[::-2]
    if kind == "one varies":
        return np.zeros(N), 0.5
    return np.zeros(N, kind), np.ones(N, kind)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "?", "strided", "one varies", "broadcast"])
@pytest.mark.parametrize("method", ["__call__", "value_and_grad", "sum", "out"])
def test_a_batch_takes_its_results_and_some_tiles(f, kind, threads, method):
    """NumPy tells tracemalloc of every array."""
    args = columns(kind)
    results = np.empty(np.broadcast_shapes(*map(np.shape, args)))
    calls = {
        "__call__": (lambda: f(*args, threads=threads), N * 8),
        "value_and_grad": (lambda: f.value_and_grad(*args, threads=threads), N * 8 * 3),
        "sum": (lambda: f.value_and_grad(*args, threads=threads, reduce="sum"), 0),
        "out": (lambda: f(*args, threads=threads, out=results), 0),
    }
    call, size = calls[method]
    tracemalloc.start()
    try:
        kept = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept is not None and peak < size + TILES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit that Linux keeps to")
def test_a_call_without_memory_raises_and_the_next_one_works():
    """Results that do not fit, then workspaces that do not; the limit stands while the smaller calls run."""
    out = run("""
        import resource
        f.value_and_grad(np.arange(300_000.0), 1.0, threads=2)
        def size():
            return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        def limit(room):
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (hard if room is None else size() + room, hard))
        def refused(call):
            try:
                call()
            except MemoryError:
                return True
        large = np.broadcast_to(0.5, 100_000_000)
        limit(200 << 20)
        for threads in (1, 2):
            print(refused(lambda: f(large, 1.0, threads=threads)))
            print(refused(lambda: f.value_and_grad(large, 1.0, threads=threads)), right(threads=threads))
        limit(None)

        graph = fg.Graph()
        x = graph.input("x", shape=200_000)
        graph.output(fg.sum(x * x))
        wide = graph.compile()
        x = np.ones((4000, 1))
        row = np.broadcast_to(x, (4000, 200_000))
        wide.flat(row[0])
        limit(10 << 20)
        for threads in (1, 2):
            print(refused(lambda: wide.flat(row, threads=threads)), right(threads=threads))
        limit(None)
        print(wide.flat(row[:40], threads=2).tolist() == [200_000.0] * 40)
    """)
    assert out == ["True"] * 11
