"""Rows of the report about Functions inside compiled code: handles beside the bare sweep and code by hand, ``quad``.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import sys

import numpy as np
from numba import cfunc, njit

from bench.rows import Row, scaled
from bench.timing import interleaved
from fastgraph.engine.kernels import run as sweep
from fastgraph.handle import GRADIENT, VALUE

CALLS = 10_000
OVERHEAD = 50.0  # nanoseconds over the bare sweep


@njit
def _values(h, x, n):
    total = 0.0
    for _ in range(n):
        total += h.value(x)
    return total


@njit
def _gradients(h, x, g, n):
    total = 0.0
    for _ in range(n):
        total += h.value_and_grad(x, g)
    return total


@njit
def _bare(call, n):
    for _ in range(n):
        sweep(call)


@njit
def _by_hand(x, g):
    value = 0.0
    g[:] = 0.0
    for i in range(len(x) - 1):
        a, b = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        value += 100.0 * a * a + b * b
        g[i] += -400.0 * a * x[i] - 2.0 * b
        g[i + 1] += 200.0 * a
    return value


@njit
def _all_by_hand(x, g, n):
    total = 0.0
    for _ in range(n):
        total += _by_hand(x, g)
    return total


def embedding(peers):
    """Rosenbrock's function called in an ``@njit`` loop; nanoseconds a call."""
    for n in (3, 10, 100):
        f = peers["fastgraph"].lib.trace(
            lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2), (n,)
        )
        h, x, g, by_hand = f.numba, np.linspace(0.5, 1.5, n), np.empty(n), np.empty(n)
        value, gradient = f.value_and_grad(x)
        assert h.value_and_grad(x, g) == h.value(x) == value and np.array_equal(g, gradient)
        assert np.isclose(_by_hand(x, by_hand), value) and np.allclose(by_hand, gradient)
        fields = h.fields
        for kind, at, run in (
            ("value", VALUE, lambda h=h, x=x: _values(h, x, CALLS)),
            ("value + gradient", GRADIENT, lambda h=h, x=x, g=g: _gradients(h, x, g, CALLS)),
        ):
            runs = {
                "fastgraph": run,
                "the bare sweep": lambda fields=fields, at=at: _bare(fields[at], CALLS),
            }
            if at == GRADIENT:
                runs["numba"] = lambda x=x, g=g: _all_by_hand(x, g, CALLS)
            times = scaled(interleaved(runs, rounds=7), CALLS * 1e-9)
            goal = OVERHEAD + times["the bare sweep"].median
            what = f"a call in an @njit loop, rosenbrock_{n}, {kind}"
            yield Row(what, "ns", times, goal, f"≤ {OVERHEAD:g} ns over the bare sweep")


def _bell(x):
    return np.exp(-x * x) * np.cos(3.0 * x) / (1.0 + x * x)


def _nested(x, y, z):
    return np.exp(-x * y) * np.cos(z + x) + np.sqrt(1.0 + y * y + z * z)


def quadrature(peers):
    """SciPy's ``quad`` and ``nquad`` over a graph, beside a C function by hand and a Python function."""
    fg = peers["fastgraph"].lib
    try:
        from scipy import LowLevelCallable as low
        from scipy import integrate
    except ImportError:
        print("quad: SciPy is not installed", file=sys.stderr)
        return
    by_hand = low(cfunc("f8(f8)")(njit(_bell)).ctypes)
    graph = fg.trace(_bell, ()).lowlevel("quad")
    runs = {
        "fastgraph": lambda: integrate.quad(graph, -6.0, 6.0),
        "numba cfunc": lambda: integrate.quad(by_hand, -6.0, 6.0),
        "python": lambda: integrate.quad(_bell, -6.0, 6.0),
    }
    assert len({round(run()[0], 12) for run in runs.values()}) == 1
    points = integrate.quad(graph, -6.0, 6.0, full_output=True)[2]["neval"]
    yield Row(f"scipy quad over a graph, {points} points", "µs", scaled(interleaved(runs, rounds=15), 1e-6), None, "")
    ranges, of_three = [(0.0, 1.0)] * 3, njit(_nested)
    graph_of_three = fg.trace(_nested, (), (), ()).lowlevel("nquad")
    nested_by_hand = low(cfunc("f8(i4, CPointer(f8))")(njit(lambda n, x: of_three(x[0], x[1], x[2]))).ctypes)
    runs = {
        "fastgraph": lambda: integrate.nquad(graph_of_three, ranges),
        "numba cfunc": lambda: integrate.nquad(nested_by_hand, ranges),
        "python": lambda: integrate.nquad(_nested, ranges),
    }
    assert len({round(run()[0], 12) for run in runs.values()}) == 1
    yield Row("scipy nquad of three variables", "µs", scaled(interleaved(runs, rounds=5), 1e-6), None, "")


GROUPS = {"embedding": embedding, "quad": quadrature}
