"""Adjoint: differentiate in reverse. In: ``Columns``. Out: ``Columns`` that compute adjoints of nodes, too.

After the values, from the last operation to the first, come what every row hands to its operands and the sums of that,
so that the adjoint of a graph is a graph. Contributions to an adjoint are added as they come: from the last user to
the first.
"""

import numpy as np

from fastgraph.graph import N_COLUMNS
from fastgraph.jit import adaptive, helper
from fastgraph.ops import OPS
from fastgraph.ops.arrays import ARITY, FLOWS, IMMEDIATE
from fastgraph.passes.columns import NO_MASK
from fastgraph.passes.flow import branch_masks
from fastgraph.passes.templates import (
    MASK,
    N_PLACES,
    RESULT,
    WEIGHT,
    adjoint_rule,
    constant_rows,
    instantiate,
    node_at,
    templates_of,
)


def adjoint(columns, wrt, weights=None):
    """Columns that begin with the rows of ``columns``, and whose outputs are adjoints of nodes.

    Parameters
    ----------
    columns : Columns
    wrt : int64 (k,)
        The nodes.
    weights : int64 (m,), optional
        For each output the node that is its adjoint; all of them 1 by default.

    Returns
    -------
    Columns
        With k outputs; the constant 0 where no adjoint arrives.
    """
    masked = branch_masks(columns)
    rows, constants, n = masked.rows, masked.constants, len(masked)
    masks = np.full(n, NO_MASK, np.int64) if masked.masks is None else masked.masks
    wanted = np.zeros(n, np.bool_)
    wanted[wrt] = True
    patterns = _patterns(rows, wanted, ARITY, FLOWS)
    templates, numbers = templates_of(adjoint_rule, rows, patterns, masks != NO_MASK)
    pool = np.concatenate([[1.0, 0.0], templates.constants])
    fixed = np.concatenate([rows, constant_rows(len(constants), len(pool))])
    one, zero = n, n + 1
    seeds = np.full(len(columns.outputs), one) if weights is None else np.asarray(weights, np.int64)
    used = numbers[numbers >= 0]
    sums = len(seeds) + int((templates.results[used] >= 0).sum())
    out = np.empty((len(fixed) + sums + int(templates.counts[used].sum()), N_COLUMNS), np.uint32)
    out[: len(fixed)] = fixed
    adjoints, end = _adjoints(
        rows, numbers, masks, columns.outputs, seeds, one + 2, np.zeros(N_PLACES + templates.longest, np.int64),
        templates.starts, templates.counts, templates.rows, templates.results, ARITY, IMMEDIATE, OPS["add"].code, out,
        len(fixed),
    )  # fmt: skip
    found = adjoints[wrt]
    return columns.change(out[:end], np.concatenate([constants, pool]), np.where(found < 0, zero, found))


@adaptive
def _patterns(rows, wanted, arity, flows):
    """Per node, bit by bit, the operands through which an adjoint flows to a wanted node."""
    relevant = wanted.copy()
    patterns = np.zeros(len(rows), np.uint8)
    for node in range(len(rows)):
        code = rows[node, 0]
        if code < len(arity):
            for k in range(arity[code]):
                if flows[code, k] and relevant[rows[node, 1 + k]]:
                    patterns[node] |= 1 << k
                    relevant[node] = True
    return patterns


@adaptive
def _adjoints(rows, numbers, masks, outputs, seeds, first_constant, places, starts, counts, templates, results, arity,
              immediate, add, out, at):  # fmt: skip
    """Write the new rows to ``out``; return the node of every node's adjoint, -1 for none, and the rows' end."""
    adjoints = np.full(len(rows), -1, np.int64)
    for j in range(len(outputs)):
        at = _accumulate(adjoints, outputs[j], seeds[j], add, out, at)
    for node in range(len(rows) - 1, -1, -1):
        number = numbers[node]
        if number < 0 or adjoints[node] < 0:
            continue
        code = rows[node, 0]
        for k in range(arity[code]):
            places[k] = rows[node, 1 + k]
        places[RESULT], places[WEIGHT], places[MASK] = node, adjoints[node], masks[node]
        at = instantiate(number, places, first_constant, starts, counts, templates, arity, immediate, out, at)
        for k in range(arity[code]):
            if results[number, k] != -1:
                share = node_at(results[number, k], places, first_constant)
                at = _accumulate(adjoints, rows[node, 1 + k], share, add, out, at)
    return adjoints, at


@helper
def _accumulate(adjoints, node, share, add, out, at):
    """Add ``share`` to the adjoint of ``node``."""
    if adjoints[node] < 0:
        adjoints[node] = share
        return at
    out[at, 0], out[at, 1], out[at, 2], out[at, 3] = add, adjoints[node], share, 0
    adjoints[node] = at
    return at + 1
