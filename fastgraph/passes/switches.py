"""Switches: what decides at every corner or jump of a graph. In: ``Columns``. Out: ``Columns`` that compute it.

A row of the table says by its ``switch`` what is zero where its op, or the op's derivative, jumps. A ``where`` by a
comparison switches where the comparison does.
"""

import numpy as np

from fastgraph.expr import Symbols
from fastgraph.graph import INPUT
from fastgraph.jit import adaptive
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY, FLOWS, IMMEDIATE
from fastgraph.passes.templates import N_PLACES, RESULT, constant_rows, instantiate, node_at, templates_of


def switch_rule(op, pattern, masked, places, n):
    """What is zero at the op's switch."""
    return [op.switch(Symbols(), places[RESULT], *places[: op.arity], *n)]


def switches(columns):
    """Columns whose outputs are the switches of ``columns``, and the nodes that these belong to, int64 (k,).

    What depends on no input cannot switch and is left out.
    """
    rows, n = columns.rows, len(columns)
    codes = np.minimum(rows[:, 0], len(TABLE))
    switching = np.array([op.switch is not None for op in TABLE] + [False])[codes] & _moving(rows, ARITY)
    nodes = np.flatnonzero(switching)
    # A choice by something that is no truth value switches where that is zero; by a comparison, where that switches.
    chooses = np.array([op.chooses for op in TABLE] + [False])[codes[nodes]]
    condition = rows[rows[nodes, 1], 0]
    is_number = (condition == INPUT) | np.append(FLOWS.any(1), False)[np.minimum(condition, len(TABLE))]
    nodes = nodes[~chooses | is_number]
    patterns = np.zeros(n, np.uint8)
    patterns[nodes] = 1
    templates, numbers = templates_of(switch_rule, rows, patterns)
    fixed = np.concatenate([rows, constant_rows(len(columns.constants), len(templates.constants))])
    out = np.empty((len(fixed) + int(templates.counts[numbers[nodes]].sum()), rows.shape[1]), np.uint32)
    out[: len(fixed)] = fixed
    found = _switches(
        rows, nodes, numbers, n, np.zeros(N_PLACES + templates.longest, np.int64), templates.starts, templates.counts,
        templates.rows, templates.results[:, 0], ARITY, IMMEDIATE, out, len(fixed),
    )  # fmt: skip
    return columns.change(out, np.concatenate([columns.constants, templates.constants]), found), nodes


@adaptive
def _moving(rows, arity):
    """Which nodes depend on an input."""
    moving = np.zeros(len(rows), np.bool_)
    for node in range(len(rows)):
        code = rows[node, 0]
        moving[node] = code == INPUT
        if code < len(arity):
            for k in range(arity[code]):
                moving[node] |= moving[rows[node, 1 + k]]
    return moving


@adaptive
def _switches(rows, nodes, numbers, first_constant, places, starts, counts, templates, results, arity, immediate, out,
              at):  # fmt: skip
    """Write the new rows to ``out``; return the node of every switch."""
    found = np.empty(len(nodes), np.int64)
    for j in range(len(nodes)):
        node = nodes[j]
        for k in range(arity[rows[node, 0]]):
            places[k] = rows[node, 1 + k]
        places[RESULT] = node
        number = numbers[node]
        at = instantiate(number, places, first_constant, starts, counts, templates, arity, immediate, out, at)
        found[j] = node_at(results[number], places, first_constant)
    return found
