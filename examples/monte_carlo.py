"""Monte Carlo in the user's own parallel loop: an Asian option, whose greeks are the gradients along every path."""

import math

import numba
import numpy as np
from numba import njit, prange

import fastgraph as fg

# Clewlow and Strickland, Implementing Derivatives Models (1998), pp. 118-123: a call on the geometric mean of ten
# prices in one year is worth 5.3425606635.
SPOT, VOL, RATE, DIVIDEND, STRIKE, FIXINGS = 100.0, 0.2, 0.06, 0.03, 100.0, 10
PUBLISHED = 5.3425606635
BLOCK = 1000  # paths with one state of the random numbers, so that results do not depend on the threads


def option(payoff):
    """The value along one path, given by normal numbers ``z``; inputs are what it has greeks by."""
    graph = fg.Graph(payoff.__name__)
    spot, vol, rate = graph.inputs("spot", "vol", "rate")
    z = graph.parameter("z", shape=FIXINGS)
    dt = 1.0 / FIXINGS
    logs = fg.log(spot) + np.cumsum((rate - DIVIDEND - 0.5 * vol * vol) * dt + vol * math.sqrt(dt) * z)
    graph.output(fg.exp(-rate) * payoff(logs))
    return graph.compile()


def geometric(logs):
    """A call on the geometric mean of the prices."""
    return fg.maximum(fg.exp(np.mean(logs)) - STRIKE, 0.0)


def arithmetic(logs):
    """A call on the arithmetic mean of the prices."""
    return fg.maximum(np.mean(np.exp(logs)) - STRIKE, 0.0)


def difference(logs):
    """What the arithmetic mean is worth more than the geometric one, whose value is known: it varies little."""
    return arithmetic(logs) - geometric(logs)


def closed_form():
    """The value of the geometric call: the logarithm of the mean is normal."""
    graph = fg.Graph("closed form")
    spot, vol, rate = graph.inputs("spot", "vol", "rate")
    n = FIXINGS
    mean = fg.log(spot) + (rate - DIVIDEND - 0.5 * vol * vol) * (n + 1) / (2 * n)
    spread = vol * math.sqrt((n + 1) * (2 * n + 1) / (6 * n * n))
    d = (mean - math.log(STRIKE)) / spread
    forward = fg.exp(mean + 0.5 * spread * spread)
    graph.output(fg.exp(-rate) * (forward * fg.ndtr(d + spread) - STRIKE * fg.ndtr(d)))
    return graph.compile()


@njit(cache=True, parallel=True)
def sums(handles, x, n_normals, n_blocks, seed):
    """For each block of paths, sums and sums of squares of the value and its gradient."""
    totals = np.full((n_blocks, 2, 1 + len(x)), np.nan)  # so it stays where an error, unheard, ends a thread
    for block in prange(n_blocks):
        np.random.seed(seed + block)  # of this thread
        h, total = handles[numba.get_thread_id()], totals[block]
        total[:] = 0.0
        z, results = np.empty(n_normals), np.empty(1 + len(x))
        for _ in range(BLOCK):
            for j in range(n_normals):
                z[j] = np.random.standard_normal()
            h.set_parameters(z)
            results[0] = h.value_and_grad(x, results[1:])
            for j in range(len(results)):
                total[0, j] += results[j]
                total[1, j] += results[j] * results[j]
    return totals


def simulate(f, n_paths, seed=0):
    """Estimates of the value and the greeks by spot, vol and rate, and their standard errors."""
    handle = f.numba
    handles = tuple(handle.clone() for _ in range(numba.get_num_threads()))
    totals = sums(handles, np.array([SPOT, VOL, RATE]), FIXINGS, n_paths // BLOCK, seed)
    mean, square = totals.sum(axis=0) / n_paths
    return mean, np.sqrt((square - mean * mean) / n_paths)


def main():
    """Price both options; what is known must lie within three standard errors."""
    value, greeks = closed_form().value_and_grad(SPOT, VOL, RATE)
    known = np.array([value, *greeks])
    print(f"the closed form is the published value: {abs(value - PUBLISHED) < 1e-10}")

    estimate, error = simulate(option(geometric), 400_000)
    for name, e, s, k in zip(("price", "delta", "vega", "rho"), estimate, error, known, strict=True):
        print(f"geometric {name} {e:.4f} ± {s:.4f}, closed form {k:.4f}, within 3 errors: {abs(e - k) < 3.0 * s}")

    direct, wide = simulate(option(arithmetic), 400_000, seed=1000)
    more, narrow = simulate(option(difference), 400_000, seed=2000)
    worth = known + more
    agree = np.all(np.abs(worth - direct) < 3.0 * np.hypot(wide, narrow))
    print(f"arithmetic price {worth[0]:.4f} ± {narrow[0]:.4f}, delta {worth[1]:.4f}, vega {worth[2]:.3f}")
    print(f"as without the closed form, within 3 errors: {agree}, which are {wide[0] / narrow[0]:.0f} times as large")


if __name__ == "__main__":
    main()
