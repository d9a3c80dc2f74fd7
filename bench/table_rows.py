"""Rows of the report about tables and custom ops: interpolation beside NumPy, SciPy, JAX and CasADi.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import math

import numpy as np
from numba import njit

from bench.rows import Row, scaled
from bench.timing import interleaved

POINTS = 1_000_000
KNOTS = (8, 100, 10_000)


def _agrees(name, got, wanted):
    assert np.abs(np.asarray(got).ravel() - wanted).max() <= 1e-9, f"{name}: the interpolation is off"


def _interpolated(peers, n, ordered):
    """Linear between ``n`` knots, at random points or at the same ones in order."""
    rng = np.random.default_rng(n)
    knots = np.cumsum(rng.uniform(0.1, 1.0, n))
    values, x = np.sin(knots), rng.uniform(knots[0], knots[-1], POINTS)
    x = np.sort(x) if ordered else x
    f, y = peers["fastgraph"].lib.trace(lambda x: np.interp(x, knots, values), ()), np.empty(POINTS)
    runs = {"fastgraph": lambda: f(x, out=y), "numpy": lambda: np.interp(x, knots, values)}
    if "jax" in peers:
        jax = peers["jax"].lib
        jitted, given = jax.jit(jax.numpy.interp), [jax.numpy.asarray(a) for a in (x, knots, values)]
        runs["jax"] = lambda: jitted(*given).block_until_ready()
    if "casadi" in peers and n <= 100:
        mapped = peers["casadi"].lib.interpolant("f", "linear", [knots], values).map(POINTS)
        runs["casadi"] = lambda: mapped(x[None]).full()
    wanted = np.interp(x, knots, values)
    for name, run in runs.items():
        _agrees(name, run(), wanted)
    what = f"np.interp at 10⁶ {'ordered' if ordered else 'random'} points, {n:,} knots"
    return Row(what, "ns a point", scaled(interleaved(runs, rounds=5), POINTS * 1e-9))


def _splined(peers, n, gradient):
    try:
        from scipy.interpolate import CubicSpline
    except ImportError:
        return Row(f"cubic spline, {n:,} knots", "ns a point", {}, extra="SciPy is not installed")
    rng = np.random.default_rng(n)
    knots = np.cumsum(rng.uniform(0.1, 1.0, n))
    values, x = np.sin(knots), rng.uniform(knots[0], knots[-1], POINTS)
    spline, fg = CubicSpline(knots, values), peers["fastgraph"].lib
    f, out = fg.trace(lambda x: fg.cubic_spline(x, knots, values), ()), (np.empty(POINTS), np.empty(POINTS))
    if gradient:
        runs = {"fastgraph": lambda: f.value_and_grad(x, out=out), "scipy": lambda: (spline(x), spline(x, 1))}
        _agrees("slope", runs["fastgraph"]()[1], spline(x, 1))
    else:
        runs = {"fastgraph": lambda: f(x, out=out[0]), "scipy": lambda: spline(x)}
        _agrees("spline", runs["fastgraph"](), spline(x))
    what = f"cubic spline at 10⁶ random points, {n:,} knots, {'value + slope' if gradient else 'value'}"
    return Row(what, "ns a point", scaled(interleaved(runs, rounds=5), POINTS * 1e-9))


def anomaly(m, e):
    """The eccentric anomaly, by 20 steps of Newton's method."""
    x = m
    for _ in range(20):
        x -= (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
    return x


def _called(peers):
    """A custom op beside the same loop compiled by Numba, on one thread."""
    fg, rng = peers["fastgraph"].lib, np.random.default_rng(1)
    m, e, y = rng.uniform(0.0, 3.0, POINTS // 10), rng.uniform(0.0, 0.8, POINTS // 10), np.empty(POINTS // 10)
    f, compiled = fg.trace(fg.custom_op(anomaly), (), ()), njit(anomaly)

    @njit
    def loop(m, e, y):
        for i in range(len(m)):
            y[i] = compiled(m[i], e[i])

    runs = {"fastgraph": lambda: f(m, e, out=y, threads=1), "numba": lambda: loop(m, e, y)}
    runs["fastgraph"]()
    _agrees("the custom op", y - e * np.sin(y), m)
    times = scaled(interleaved(runs, rounds=5), len(m) * 1e-9)
    return Row("custom op, Kepler's equation at 10⁵ points, one thread", "ns a point", times)


def tables(peers):
    """Interpolation and custom ops; nanoseconds a point."""
    for n in KNOTS:
        yield from (_interpolated(peers, n, ordered) for ordered in (False, True))
    yield from (_splined(peers, 100, gradient) for gradient in (False, True))
    yield _called(peers)


GROUPS = {"tables": tables}
