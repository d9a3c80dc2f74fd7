"""Prune: drop what no output needs. In: ``Columns``. Out: ``Columns`` with fewer rows, in the same order."""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops.arrays import ARITY
from fastgraph.passes.columns import NO_MASK, Columns


def prune(columns):
    """Keep the nodes that outputs, and masks of kept nodes, depend on; keep only the constants in use."""
    masks = np.empty(0, np.int64) if columns.masks is None else columns.masks
    needed = needed_by(columns.rows, columns.outputs, masks, ARITY)
    rows, constants, renamed = _compact(columns.rows, columns.constants, needed, ARITY)
    kept = None if columns.masks is None else _rename_masks(columns.masks, needed, renamed, len(rows))
    return Columns(rows, constants, renamed[columns.outputs], kept)


@adaptive
def needed_by(rows, outputs, masks, arity):
    """Mark the nodes that ``outputs`` depend on; with ``masks`` not empty, also through masks."""
    needed = np.zeros(len(rows), np.bool_)
    for node in outputs:
        needed[node] = True
    # A mask may come after the node it gates, but no mask's operands do: two sweeps reach everything.
    for _ in range(2 if len(masks) else 1):
        for node in range(len(rows) - 1, -1, -1):
            code = rows[node, 0]
            if needed[node] and code < len(arity):
                for k in range(arity[code]):
                    needed[rows[node, 1 + k]] = True
                if len(masks) and masks[node] != NO_MASK:
                    needed[masks[node]] = True
    return needed


@adaptive
def _compact(rows, constants, needed, arity):
    renamed = np.full(len(rows), -1, np.int64)
    size = 0
    for node in range(len(rows)):
        size += needed[node]
    kept = np.zeros((size, rows.shape[1]), np.uint32)
    numbers = np.empty(len(constants), np.float64)
    n = n_constants = 0
    for node in range(len(rows)):
        if not needed[node]:
            continue
        code = rows[node, 0]
        for k in range(rows.shape[1]):
            kept[n, k] = rows[node, k]
        if code == CONSTANT:
            numbers[n_constants] = constants[rows[node, 1]]
            kept[n, 1] = n_constants
            n_constants += 1
        elif code != INPUT:
            for k in range(arity[code]):
                kept[n, 1 + k] = renamed[rows[node, 1 + k]]
        renamed[node] = n
        n += 1
    return kept, numbers[:n_constants], renamed


@adaptive
def _rename_masks(masks, needed, renamed, n):
    kept = np.empty(n, np.int64)
    for node in range(len(masks)):
        if needed[node]:
            kept[renamed[node]] = NO_MASK if masks[node] == NO_MASK else renamed[masks[node]]
    return kept
