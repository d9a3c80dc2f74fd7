"""One by one: input sets swept one after the other, which is what tiles of sets are compared with.

In: a workload and sets (n_inputs, n). Out: callables that return values, and gradients (n_inputs, n).
"""

from functools import cache

import numpy as np
from numba import njit

from bench.peers import Fastgraph


@cache
def _loop(sweep):
    @njit(nogil=True)  # not cached on disk: the cache would not see that the sweep has changed
    def loop(address, inputs, found, points, results):
        for k in range(len(points)):
            inputs[:] = points[k]
            sweep(address)
            results[k] = found

    return loop


def compiled(work, sets, gradient):
    """The sweep that a call of one set makes, in a compiled loop: no Python between two sets."""
    sweeper = Fastgraph().record(work).compile().sweeper
    single, loop = sweeper.single(gradient), _loop(sweeper.run)
    points = np.ascontiguousarray(sets.T)
    results = np.empty((len(points), len(single.results)))

    def run():
        loop(single.address, single.inputs, single.results, points, results)
        return results[:, 0], results[:, 1 : 1 + len(sets)].T if gradient else None

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
