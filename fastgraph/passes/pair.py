"""Pair: do two operations as one, where the first has this one use.

In: ``Columns``. Out: ``Columns``, to sweep forward.
The codes of pairs are numbered after the table's, so that no ``Program`` can hold them, and no gradient be asked for.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops.arrays import ARITY, FORWARD_ARITY, FUSES

# A kind of pair that is rarer than one row in so many parts runs more than it saves: without them, tangents of 10,000
# operations, half of them elementary functions, take 0.84 of the time of no pairs, with them 0.89.
RAREST = 64


def pair(columns):
    """``columns`` with the common pairs done as one; the same values, to the last bit."""
    rows, outputs = _paired(columns.rows, columns.outputs, FUSES, FORWARD_ARITY)
    counts = np.bincount(np.minimum(rows[:, 0], len(FORWARD_ARITY)), minlength=len(FORWARD_ARITY) + 1)
    rare = np.flatnonzero(counts[:-1] * RAREST < len(rows))
    rare = rare[rare >= len(ARITY)]
    if counts[rare].any():
        rows, outputs = _paired(columns.rows, columns.outputs, np.where(np.isin(FUSES, rare), -1, FUSES), FORWARD_ARITY)
    return columns.change(rows, outputs=outputs)


@adaptive
def _paired(rows, outputs, fuses, arity):
    n, n_fused = len(rows), len(fuses)
    uses = np.zeros(n, np.int64)
    for node in range(n):
        if rows[node, 0] != INPUT and rows[node, 0] != CONSTANT:
            for k in range(arity[rows[node, 0]]):
                uses[rows[node, 1 + k]] += 1
    for output in outputs:
        uses[output] += 2  # as one that is used elsewhere
    made = rows.copy()
    gone = np.zeros(n, np.bool_)
    for node in range(n):
        outer = rows[node, 0]
        if outer >= n_fused or arity[outer] != 2:
            continue
        for side in range(2):
            inner = rows[node, 1 + side]
            code = rows[inner, 0]
            if code >= n_fused or uses[inner] != 1 or made[inner, 0] != code:
                continue
            pair = fuses[outer, 1 + code, 0] if side == 0 else fuses[outer, 0, 1 + code]
            if pair < 0:
                continue
            made[node, 0] = pair
            made[node, 1], made[node, 2], made[node, 3] = rows[inner, 1], rows[inner, 2], rows[node, 2 - side]
            gone[inner] = True
            break
    renamed = np.full(n, -1, np.int64)
    kept = 0
    for node in range(n):
        if gone[node]:
            continue
        for k in range(rows.shape[1]):
            made[kept, k] = made[node, k]
        if made[kept, 0] != INPUT and made[kept, 0] != CONSTANT:
            for k in range(arity[made[kept, 0]]):
                made[kept, 1 + k] = renamed[made[kept, 1 + k]]
        renamed[node] = kept
        kept += 1
    return made[:kept].copy(), renamed[outputs]
