"""Flow: where adjoints go. In: ``Columns``. Out: flags of the operands that receive them, and masks of branches.

A gradient through ``where`` is safe by structure: an operation whose results are used on one side of a condition
only contributes nothing where the condition takes the other side, whatever its partials are there. The condition
under which a node matters is the union, over its uses, of the conditions under which the users matter.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.jit import adaptive, helper
from fastgraph.ops import OPS
from fastgraph.ops.arrays import ARITY, FLOWS, SCALES
from fastgraph.passes.columns import NO_MASK

_NAMES = ("logical_and", "logical_not", "logical_or", "where")
LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, WHERE = range(len(_NAMES))
CODES = np.array([OPS[name].code for name in _NAMES], dtype=np.int64)

# A condition is a literal, 2 * node + (1 if negated), or one of:
_NEVER, _ALWAYS = -2, -1


def active_operands(columns):
    """Flags (uint16) per node: bit k is set if the node hands an adjoint to operand k.

    It does where an adjoint reaches the node, something flows to operand k, and that operand depends on an input.
    A node that no adjoint reaches has no flags: its adjoint is 0, but 0 * inf would not be.
    """
    return _active(columns.rows, columns.outputs, ARITY, FLOWS)


@adaptive
def _active(rows, outputs, arity, flows):
    varies = np.zeros(len(rows), np.bool_)
    flags = np.zeros(len(rows), np.uint16)
    for node in range(len(rows)):
        code = rows[node, 0]
        if code == INPUT:
            varies[node] = True
        elif code != CONSTANT:
            for k in range(arity[code]):
                if flows[code, k] and varies[rows[node, 1 + k]]:
                    flags[node] |= 1 << k
            varies[node] = flags[node] != 0
    reached = np.zeros(len(rows), np.bool_)
    for node in outputs:
        reached[node] = True
    for node in range(len(rows) - 1, -1, -1):
        if not reached[node]:
            flags[node] = 0
        for k in range(3):
            if flags[node] & (1 << k):
                reached[rows[node, 1 + k]] = True
    return flags


def branch_masks(columns):
    """Give every node that matters on some branches only its mask, with the logical nodes that compute the masks."""
    if not np.any(columns.rows[:, 0] == CODES[WHERE]):
        return columns
    added, conditions = _conditions(columns.rows, columns.outputs, CODES, ARITY, FLOWS)
    rows = np.concatenate([columns.rows, added])
    gated = np.zeros(len(rows), np.bool_)
    codes = columns.rows[:, 0]
    operation = codes < len(ARITY)
    gated[: len(codes)][operation] = SCALES[codes[operation]]
    gated[: len(codes)] &= conditions >= 0
    masks = np.full(len(rows), NO_MASK, np.int64)
    extra = _point(rows, masks, np.flatnonzero(gated), conditions, CODES)
    masks = np.concatenate([masks, np.full(len(extra), NO_MASK)])
    return columns.change(np.concatenate([rows, extra]), masks=masks, renamed=np.arange(len(columns)))


@adaptive
def _conditions(rows, outputs, codes, arity, flows):
    """The condition under which each node matters, and the rows of the compound conditions that had to be added."""
    n = len(rows)
    condition = np.full(n, _NEVER, np.int64)
    for node in outputs:
        condition[node] = _ALWAYS
    added = np.zeros((64, N_COLUMNS), np.uint32)
    n_added = 0
    known = {(0, 0, 0): 0}
    for node in range(n - 1, -1, -1):
        code = rows[node, 0]
        if condition[node] == _NEVER or code >= len(arity):
            continue
        for k in range(arity[code]):
            if not flows[code, k]:
                continue
            if n_added + 16 > len(added):
                added = _grown(added)
            use = condition[node]
            if code == codes[WHERE] and k > 0:
                literal = 2 * np.int64(rows[node, 1]) + (1 if k == 2 else 0)
                use, n_added = _combine(use, literal, codes[LOGICAL_AND], codes, n, added, n_added, known)
            operand = rows[node, 1 + k]
            condition[operand], n_added = _combine(
                condition[operand], use, codes[LOGICAL_OR], codes, n, added, n_added, known
            )
    return added[:n_added], condition


@helper
def _grown(rows):
    grown = np.zeros((2 * len(rows), N_COLUMNS), np.uint32)
    for i in range(len(rows)):
        for k in range(N_COLUMNS):
            grown[i, k] = rows[i, k]
    return grown


@helper
def _combine(p, q, code, codes, n, added, n_added, known):
    """The literal of ``p and q`` or ``p or q``, adding rows where it has none yet."""
    neutral, absorbing = (_ALWAYS, _NEVER) if code == codes[LOGICAL_AND] else (_NEVER, _ALWAYS)
    if p == neutral or p == q:
        return q, n_added
    if q == neutral:
        return p, n_added
    if p == absorbing or q == absorbing or p == (q ^ 1):
        return absorbing, n_added
    low, high = min(p, q), max(p, q)
    key = (np.int64(code), low, high)
    if key in known:
        return known[key], n_added
    operands = np.empty(2, np.int64)
    for k, literal in enumerate((low, high)):
        operands[k] = literal >> 1
        if literal & 1:
            negated = (np.int64(codes[LOGICAL_NOT]), literal, literal)
            if negated not in known:
                added[n_added, 0], added[n_added, 1] = codes[LOGICAL_NOT], literal >> 1
                known[negated] = n + n_added
                n_added += 1
            operands[k] = known[negated]
    added[n_added, 0], added[n_added, 1], added[n_added, 2] = code, operands[0], operands[1]
    known[key] = 2 * (n + n_added)
    return known[key], n_added + 1


@adaptive
def _point(rows, masks, gated, conditions, codes):
    """Point the gated nodes at their masks; return the rows of the negations that are missing, to be appended."""
    negation = np.full(len(rows), -1, np.int64)
    for node in range(len(rows)):
        if rows[node, 0] == codes[LOGICAL_NOT]:
            negation[rows[node, 1]] = node
    extra = np.zeros((len(gated), N_COLUMNS), np.uint32)
    n_extra = 0
    for node in gated:
        literal = conditions[node]
        mask = literal >> 1
        if literal & 1:
            if negation[mask] < 0:
                extra[n_extra, 0], extra[n_extra, 1] = codes[LOGICAL_NOT], mask
                negation[mask] = len(rows) + n_extra
                n_extra += 1
            mask = negation[mask]
        masks[node] = mask
    return extra[:n_extra]
