"""Rows of the report about Functions inside compiled code: a call of a handle beside the bare sweep and code by hand.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import numpy as np
from numba import njit

from bench.rows import Row, scaled
from bench.timing import interleaved
from fastgraph.embedding import GRADIENT, VALUE
from fastgraph.engine.kernels import run as sweep

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


GROUPS = {"embedding": embedding}
