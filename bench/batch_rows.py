"""Rows of the report about batches: many input sets at once, on all cores, beside the machine's own bound.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``. A lane-op is one recorded operation on one input set.
"""

from dataclasses import replace

import numpy as np

from bench import workloads
from bench.logistic import Logistic
from bench.machine import L1, cores
from bench.mixture import Mixture
from bench.network import Network
from bench.rows import Row, kind_of, ready, scaled
from bench.timing import interleaved
from fastgraph.timing import digits


def lane_op(seconds, sets, operations):
    """Core-nanoseconds a lane-op: what all cores together spend, whether they are busy or not."""
    return seconds * cores() / (sets * operations) * 1e9


def bounded(seconds, bound, sets, operations, gradient, dtype=np.float64):
    """In words: core-nanoseconds a lane-op, and the share of the bound that ``L1`` took ``bound`` seconds for.

    A value counts as one addition in the L1 cache an operation, a value with gradient as three: the operation, and a
    share for the adjoint of each of two operands.
    """
    spent = lane_op(seconds, sets, operations)
    least = L1.core_ns(bound, dtype) * (3 if gradient else 1)
    return f"{digits(spent)} core-ns a lane-op, {digits(100 * least / spent)} % of the L1 bound ({digits(least)})"


def _row(peers, work, n, gradient, what, dtype=np.float64):
    sets = work.sets(n).astype(dtype)
    runs = ready(peers, "batch", work, gradient, sets)
    times = interleaved(runs | {"L1": L1(cores()).run}, rounds=7)
    bound = times.pop("L1").median
    note = bounded(times["fastgraph"].median, bound, n, work.n_ops, gradient, dtype)
    return Row(what, "ns a set", scaled(times, n * 1e-9), extra=note)


def _options(peers, dtype):
    n = 1_000_000
    for gradient in (False, True):
        what = f"batch of 10⁶, Black–Scholes {'price + 5 greeks' if gradient else 'price'}"
        yield _row(peers, workloads.black_scholes(), n, gradient, _in(what, dtype), dtype)


def _graphs(peers, dtype):
    work, n = workloads.arithmetic(1_500), 20_000
    for gradient in (False, True):
        what = _in(f"batch of {n:,}, {work}, {kind_of(gradient)}", dtype)
        yield _row(peers, work, n, gradient, what, dtype)


def _in(what, dtype):
    return what if dtype == np.float64 else f"{what}, {np.dtype(dtype)}"


def batch(peers):
    """Batches, nanoseconds a set. Goals are ratios: seconds are those of this machine in this hour."""
    rows = [*_options(peers, np.float64), *_graphs(peers, np.float64)]
    for row, ratio in zip(rows, (1.13, 1.54, 3.0, 3.0), strict=True):
        goal = ratio * row.results["heyoka"].median if "heyoka" in row.results else None
        yield replace(row, goal=goal, goal_text=f"≤ {ratio:g} × heyoka")


def single_precision(peers):
    """The same batches in float32."""
    yield from _options(peers, np.float32)
    yield from _graphs(peers, np.float32)


def sums(peers):
    """Value and gradient of sums over data rows, by weights that all rows share; nanoseconds a row."""
    for problem in (Network(), Mixture(), Logistic()):
        what = f"sum over {problem}, value + gradient"
        if problem.missing():
            yield Row(what, "ns a row", {}, extra=f"left out: {problem.missing()}")
            continue
        n, n_ops = problem.n_rows, problem.n_ops(peers["fastgraph"].lib)
        runs = {name: run for name, peer in peers.items() if (run := problem.ready(peer)) is not None}
        times = interleaved(runs | {"L1": L1(cores()).run}, rounds=7)
        bound = times.pop("L1").median
        note = bounded(times["fastgraph"].median, bound, n, n_ops, True)
        what = f"{what}: {n:,} rows, {len(problem.weights)} weights, {n_ops} operations a row"
        yield Row(what, "ns a row", scaled(times, n * 1e-9), extra=note)


def fit(peers):
    """A whole fit, milliseconds."""
    problem = Logistic()
    what = "fit of the logistic regression by L-BFGS"
    if problem.missing():
        yield Row(what, "ms", {}, extra=f"left out: {problem.missing()}")
        return
    runs = {name: run for name, peer in peers.items() if (run := problem.fit(peer)) is not None}
    yield Row(what, "ms", scaled(interleaved(runs), 1e-3))


GROUPS = {"batch": batch, "float32": single_precision, "sums": sums, "fit": fit}
