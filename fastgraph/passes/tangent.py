"""Tangent: differentiate forward. In: ``Columns``, and what moves. Out: ``Columns`` that compute tangents, too.

Every operation is followed by what its row says about tangents, for each direction in which one reaches it, so that
directions share the partials, and what is structurally zero costs nothing.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.jit import adaptive
from fastgraph.ops.arrays import ARITY, FLOWS, IMMEDIATE
from fastgraph.passes.templates import (
    ABOUT,
    N_PLACES,
    RESULT,
    constant_rows,
    instantiate,
    node_at,
    tangent_rule,
    templates_of,
)

UNIT, NOTHING = -2, -1  # seeds that are no leaf: the constant 1, and none


def tangent(columns, seeds, limit=None):
    """Columns whose outputs are those of ``columns``, then their tangents, direction by direction; and the nodes in it.

    Parameters
    ----------
    columns : Columns
    seeds : int64 (n_leaves, k)
        For each of k directions the new leaf that is the tangent of a leaf, or ``UNIT`` or ``NOTHING``.
    limit : int, optional
        Of rows.

    Returns
    -------
    columns : Columns, or None if there would be more than ``limit`` rows
        Their constants do not come in the order of their index: ``prune`` them before anything else.
    renamed : int64 (n,)
        The new number of every node.
    """
    rows, constants, n_constants = columns.rows, columns.constants, len(columns.constants)
    patterns = _patterns(rows, seeds != NOTHING, ARITY, FLOWS)
    templates, numbers = templates_of(tangent_rule, rows, patterns)
    leaves = np.unique(seeds[seeds >= 0])
    pool = np.concatenate([[1.0, 0.0], templates.constants])
    total = len(rows) + len(leaves) + len(pool) + int(templates.counts[numbers[numbers >= 0]].sum())
    if limit is not None and total > limit:
        return None, None
    inputs = np.zeros((len(leaves), N_COLUMNS), np.uint32)
    inputs[:, 0], inputs[:, 1] = INPUT, leaves
    front = np.concatenate([inputs, constant_rows(n_constants, len(pool))])
    one = len(leaves)
    nodes = np.where(seeds == UNIT, one, np.where(seeds == NOTHING, -1, np.searchsorted(leaves, seeds)))
    out = np.empty((total, N_COLUMNS), np.uint32)
    out[: len(front)] = front
    renamed, tangents = _tangents(
        rows, numbers, nodes, one + 2, np.zeros(N_PLACES + templates.longest, np.int64), templates.starts,
        templates.counts, templates.rows, templates.results[:, 0], ARITY, IMMEDIATE, out, len(front),
    )  # fmt: skip
    outputs = tangents[columns.outputs].T.ravel()
    outputs = np.where(outputs < 0, one + 1, outputs)
    outputs = np.concatenate([renamed[columns.outputs], outputs])
    return columns.change(out, np.concatenate([constants, pool]), outputs), renamed


@adaptive
def _patterns(rows, seeded, arity, flows):
    """Per node and direction, bit by bit, which operands have a tangent that flows on; 128 for a seeded leaf."""
    n_directions = seeded.shape[1]
    patterns = np.zeros((len(rows), n_directions), np.uint8)
    for node in range(len(rows)):
        code = rows[node, 0]
        if code < len(arity):
            for k in range(arity[code]):
                if flows[code, k]:
                    for d in range(n_directions):
                        if patterns[rows[node, 1 + k], d]:
                            patterns[node, d] |= 1 << k
        elif code == INPUT:
            for d in range(n_directions):
                patterns[node, d] = 128 if seeded[rows[node, 1], d] else 0
    for node in range(len(rows)):
        if rows[node, 0] >= len(arity):
            for d in range(n_directions):
                patterns[node, d] = 0
    return patterns


@adaptive
def _tangents(rows, numbers, seeds, first_constant, places, starts, counts, templates, results, arity, immediate,
              out, at):  # fmt: skip
    """Write the new rows to ``out``; return the new node of every node, and of its tangents, -1 for none."""
    n_directions = seeds.shape[1]
    renamed = np.empty(len(rows), np.int64)
    tangents = np.full((len(rows), n_directions), -1, np.int64)
    for node in range(len(rows)):
        code = rows[node, 0]
        for k in range(N_COLUMNS):
            out[at, k] = rows[node, k]
        renamed[node] = at
        at += 1
        if code == INPUT:
            for d in range(n_directions):
                tangents[node, d] = seeds[rows[node, 1], d]
        if code == INPUT or code == CONSTANT:
            continue
        n_operands = arity[code]
        for k in range(n_operands):
            operand = renamed[rows[node, 1 + k]]
            out[renamed[node], 1 + k] = operand
            places[k] = operand
        places[RESULT] = renamed[node]
        for d in range(n_directions):
            number = numbers[node, d]
            if number >= 0:
                for k in range(n_operands):
                    places[ABOUT + k] = tangents[rows[node, 1 + k], d]
                at = instantiate(number, places, first_constant, starts, counts, templates, arity, immediate, out, at)
                tangents[node, d] = node_at(results[number], places, first_constant)
    return renamed, tangents
