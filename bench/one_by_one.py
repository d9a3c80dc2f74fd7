"""One by one: input sets swept one after the other, which is what batches are compared with, and batches likewise.

In: a workload and sets (n_inputs, n). Out: callables that return values, and gradients (n_inputs, n). What is called
from compiled code passes over the sets ``run.passes`` times a call, so that a call from Python does not count.
"""

from functools import cache

import numpy as np
from numba import njit

from bench.peers import Fastgraph

PASSED = 2_000  # sets swept in a call, at least


@cache
def _loop(sweep):
    @njit(nogil=True)  # not cached on disk: the cache would not see that the sweep has changed
    def loop(address, inputs, found, points, results, passes):
        for _ in range(passes):
            for k in range(len(points)):
                inputs[:] = points[k]
                sweep(address)
                results[k] = found

    return loop


@cache
def _repeat(sweep):
    @njit(nogil=True)
    def repeat(address, passes):
        for _ in range(passes):
            sweep(address)

    return repeat


def _passes(sets):
    return -(-PASSED // sets.shape[1])


def compiled(work, sets, gradient):
    """The sweep that a call of one set makes, in a compiled loop: no Python between two sets."""
    sweeper = Fastgraph().record(work).compile().sweeper
    single, loop, passes = sweeper.single(gradient), _loop(sweeper.run), _passes(sets)
    points = np.ascontiguousarray(sets.T)
    results = np.empty((len(points), len(single.results)))

    def run():
        loop(single.address, single.inputs, single.results, points, results, passes)
        return results[:, 0], results[:, 1 : 1 + len(sets)].T if gradient else None

    run.passes = passes
    return run


def swept(work, sets, gradient):
    """The sweep that a call of the whole batch makes, on one thread, without the call: no Python at all."""
    from fastgraph.engine import kernels, tile_kernels
    from fastgraph.engine.workspace import OneSet, Table, Tiles

    f, n = Fastgraph().record(work).compile(), sets.shape[1]
    wanted = f.flat.leaf_is_input if gradient else None
    ready = f.sweeper.few(n, wanted)
    if ready is not None:
        ready[0].inputs[:, :n] = sets
        workspace, results = ready[0].workspace, ready[0].results[:, :n]
    else:
        results = np.empty((1 + len(sets), n))
        workspace = Tiles(f.sweeper.tiling(n, np.ones(len(sets), np.bool_), wanted, False))
        workspace.point(*map(Table.of_rows, (sets, results[:1], *[results[1:]][:gradient])))
    repeat = _repeat(kernels.run if isinstance(workspace, OneSet) else tile_kernels.run_tiles)
    passes = _passes(sets)
    workspace.sweep(0, n)

    def run():
        repeat(workspace.address, passes)
        return results[0], results[1:] if gradient else None

    run.passes = passes
    return run


def called(work, sets, gradient):
    """A call of ``f.flat`` for every set, from a loop in Python."""
    flat = Fastgraph().record(work).compile().flat
    value, slopes, points = np.empty(sets.shape[1]), np.empty(sets.shape), np.ascontiguousarray(sets.T)

    def run():
        for k, point in enumerate(points):
            if gradient:
                value[k], slopes[:, k] = flat.value_and_grad(point)
            else:
                value[k] = flat(point)
        return value, slopes if gradient else None

    return run
