"""Prune: drop what no output needs. In: ``Columns``. Out: ``Columns`` with fewer rows, in the same order."""

from dataclasses import replace

import numpy as np

from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops.arrays import ARITY, HAS_TABLE
from fastgraph.passes.columns import NO_MASK


def prune(columns):
    """Keep the nodes that outputs, and masks of kept nodes, depend on, and only the constants and tables in use."""
    masks = np.empty(0, np.int64) if columns.masks is None else columns.masks
    needed = needed_by(columns.rows, columns.outputs, masks, ARITY)
    rows, constants, renamed = _compact(columns.rows, columns.constants, needed, ARITY)
    kept = None if columns.masks is None else _rename_masks(columns.masks, needed, renamed, len(rows))
    return _with_used_tables(columns.change(rows, constants, renamed[columns.outputs], kept, renamed))


def _with_used_tables(columns):
    """``columns`` with the tables that rows name, in their order."""
    codes, tables = columns.rows[:, 0], columns.tables
    if not len(tables):
        return columns
    at = np.flatnonzero(HAS_TABLE[np.minimum(codes, len(HAS_TABLE) - 1)] & (codes < len(HAS_TABLE)))
    starts, which = np.unique(columns.rows[at, 2], return_inverse=True)  # after the one operand
    ends = starts + 1 + tables[starts].astype(np.int64)
    used = [tables[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    rows, moved = columns.rows.copy(), np.cumsum([0, *map(len, used)])
    rows[at, 2] = moved[which]
    return replace(columns, rows=rows, tables=np.concatenate([tables[:0], *used]))


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
