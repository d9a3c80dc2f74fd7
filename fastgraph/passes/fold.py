"""Fold: replace what depends on constants alone by its value.

In: ``Columns``, and a way to evaluate them. Out: ``Columns``.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops.arrays import ARITY
from fastgraph.passes.prune import prune


def fold(columns, evaluate):
    """Replace every operation on constants by the constant it gives.

    ``evaluate(columns) -> array`` of the outputs sweeps a program, so folded values have the bits that the sweep would
    have computed. New constants follow the old ones, not the order of nodes: ``simplify`` restores it.
    """
    wanted = np.flatnonzero(_constant_nodes(columns.rows, columns.outputs, ARITY))
    if not len(wanted):
        return columns
    values = evaluate(prune(columns.change(outputs=wanted)))
    rows = columns.rows.copy()
    rows[wanted] = 0
    rows[wanted, 0] = CONSTANT
    rows[wanted, 1] = len(columns.constants) + np.arange(len(wanted))
    constants = np.concatenate([columns.constants, values])
    return columns.change(rows, constants, renamed=np.arange(len(rows)))


@adaptive
def _constant_nodes(rows, outputs, arity):
    """Which operations are constant, and read by a varying node or an output."""
    n = len(rows)
    constant = np.zeros(n, np.bool_)
    read = np.zeros(n, np.bool_)
    for node in range(n):
        code = rows[node, 0]
        if code == CONSTANT:
            constant[node] = True
        elif code != INPUT:
            constant[node] = True
            for k in range(arity[code]):
                constant[node] &= constant[rows[node, 1 + k]]
            if not constant[node]:
                for k in range(arity[code]):
                    read[rows[node, 1 + k]] = True
    for node in outputs:
        read[node] = True
    wanted = np.zeros(n, np.bool_)
    for node in range(n):
        wanted[node] = constant[node] and read[node] and rows[node, 0] != CONSTANT
    return wanted
