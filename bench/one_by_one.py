"""One by one: input sets swept one after the other, which is what tiles of sets are compared with.

In: a workload and sets (n_inputs, n). Out: callables that return values, and gradients (n_inputs, n). The only module
of the benchmarks that knows the inside of the engine: it has no other way into the loop that a call of one set takes.
"""

import numpy as np

from bench.peers import Fastgraph
from fastgraph.engine.workspace import OneSet, Table, address_of


def compiled(work, sets, gradient):
    """The kernel for one set, in a compiled loop: no Python between two sets."""
    workspace = OneSet(Fastgraph().record(work).compile().program)
    value, slopes = np.empty(sets.shape[1]), np.empty(sets.shape)
    tables = [_table(sets), _table(value[None]), _table(slopes) if gradient else None]
    workspace.point(*tables)

    def run():
        workspace.sweep(0, sets.shape[1])
        return value, slopes if gradient else None

    return run


def _table(columns):
    """Where each row of ``columns`` begins, and how far apart its numbers are."""
    starts = address_of(columns) + columns.strides[0] * np.arange(len(columns))
    return Table(starts, np.full(len(columns), columns.strides[1]), columns)


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
