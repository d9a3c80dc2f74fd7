"""Templates: what rules of the table record, traced once and then repeated in bulk by the passes that differentiate.

In: for every operation which derivative of which op is wanted. Out: ``Templates``, rows whose operands are places:
those of the operation (its operands, its result, their tangents or its adjoint), constants, and earlier rows of the
same template. Tracing runs a rule on ``Symbols``; a graph of a million operations needs some dozens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastgraph.expr import Expr, Symbols
from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS, Recorder
from fastgraph.jit import helper
from fastgraph.ops import TABLE, contribution
from fastgraph.ops.arrays import ARITY, IMMEDIATE
from fastgraph.ops.dual import tangent_of
from fastgraph.ops.row import MAX_ARITY

RESULT = MAX_ARITY  # places: operands, the result, then what the template is about
ABOUT = MAX_ARITY + 1
WEIGHT, MASK = ABOUT, ABOUT + 1
N_PLACES = ABOUT + MAX_ARITY
CONSTANTS = 1 << 20  # places from here on are constants


@dataclass(frozen=True)
class Templates:
    """Several templates, one after the other.

    Attributes
    ----------
    starts, counts : int64 (t,)
    rows : int64 (k, 4)
        Code and places; place ``N_PLACES + j`` is row j of the template.
    results : int64 (t, 3)
        Places of what the template computes, -1 where there is nothing.
    constants : float64 (c,)
    """

    starts: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    results: np.ndarray
    constants: np.ndarray

    @property
    def longest(self):
        return int(self.counts.max(initial=0))


def tangent_rule(op, pattern, masked, places, n):
    """The tangent of the result, from those of the operands that ``pattern`` names."""
    operands, tangents = places[: op.arity], places[ABOUT : ABOUT + op.arity]
    tangents = [tangent if pattern >> k & 1 else None for k, tangent in enumerate(tangents)]
    return [tangent_of(Symbols(), op, places[RESULT], [*operands, *n], tangents)]


def adjoint_rule(op, pattern, masked, places, n):
    """What is added to the adjoint of each operand that ``pattern`` names."""
    m = Symbols()
    shares = []
    for k, partial in enumerate(op.partials(m, places[RESULT], *places[: op.arity], *n)):
        share = contribution(m, places[WEIGHT], partial) if pattern >> k & 1 else None
        shares.append(share if share is None or not masked else m.where(places[MASK], share, 0.0))
    return shares


def templates_of(rule: Callable, rows, patterns, masked=None):
    """Templates by which ``rule`` differentiates ``rows``, and the number of that of each operation.

    Parameters
    ----------
    rule : tangent_rule or adjoint_rule
    rows : uint32 (n, 4)
    patterns : uint8 (n, ...)
        Which operands matter, bit by bit; 0 for none.
    masked : bool (n,), optional

    Returns
    -------
    templates : Templates
    numbers : int64, of the shape of ``patterns``
        -1 where the pattern is 0.
    """
    codes = rows[:, 0].astype(np.int64)
    immediates = np.zeros(len(rows), np.int64)
    with_immediate = np.flatnonzero(np.isin(codes, np.flatnonzero(IMMEDIATE)))
    immediates[with_immediate] = rows[with_immediate, 1 + ARITY[codes[with_immediate]]]
    keys = (codes << 4 | (0 if masked is None else masked.astype(np.int64) << 3)) << 32 | immediates
    keys = keys.reshape(-1, *[1] * (patterns.ndim - 1)) | patterns.astype(np.int64) << 32
    wanted, inverse = np.unique(keys[patterns != 0], return_inverse=True)
    numbers = np.full(patterns.shape, -1, np.int64)
    numbers[patterns != 0] = inverse
    return _joined([_traced(rule, key >> 36, key >> 32 & 15, key & 0xFFFFFFFF) for key in wanted.tolist()]), numbers


@cache
def _traced(rule, code, pattern, immediate):
    """Rows, places of results, and constants of one template."""
    op, recorder = TABLE[code], Recorder()
    places = [Expr(recorder, recorder.record(INPUT, k)) for k in range(N_PLACES)]
    n = () if op.immediate is None else (int(np.uint32(immediate).astype(np.int32)),)
    results = rule(op, pattern & 7, bool(pattern & 8), places, n)
    rows, constants, _ = recorder.columns()
    place = np.arange(len(rows))
    is_constant = rows[:, 0] == CONSTANT
    place[is_constant] = CONSTANTS + rows[is_constant, 1]
    kept = np.flatnonzero(~is_constant)[N_PLACES:]
    place[kept] = N_PLACES + np.arange(len(kept))
    rows = rows[kept].astype(np.int64)
    for row in rows:
        arity = ARITY[row[0]]
        row[1 : 1 + arity] = place[row[1 : 1 + arity]]
    nodes = [-1 if result is None else place[recorder.node_of(result)] for result in results]
    return rows, nodes + [-1] * (MAX_ARITY - len(nodes)), recorder.columns()[1]


def _joined(traced):
    counts = np.array([len(rows) for rows, _, _ in traced], np.int64)
    parts, results, pool = [np.empty((0, N_COLUMNS), np.int64)], [], []
    for rows, places, constants in traced:
        rows, places = rows.copy(), np.array(places)
        for k in range(1, N_COLUMNS):
            column = rows[:, k]
            column[(column >= CONSTANTS) & (k <= ARITY[rows[:, 0]])] += len(pool)
        places[places >= CONSTANTS] += len(pool)
        parts.append(rows)
        results.append(places)
        pool.extend(constants.tolist())
    results = np.array(results, np.int64).reshape(-1, MAX_ARITY)
    return Templates(np.cumsum(counts) - counts, counts, np.concatenate(parts), results, np.array(pool, np.float64))


@helper
def instantiate(number, places, first_constant, starts, counts, rows, arity, immediate, out, at):
    """Write the rows of a template to ``out`` from ``at`` on, and their nodes to ``places``; return the next row."""
    for j in range(counts[number]):
        row = starts[number] + j
        code = rows[row, 0]
        out[at, 0], out[at, 1], out[at, 2], out[at, 3] = code, 0, 0, 0
        for k in range(1, 1 + arity[code]):
            out[at, k] = node_at(rows[row, k], places, first_constant)
        if immediate[code]:
            out[at, 1 + arity[code]] = rows[row, 1 + arity[code]]
        places[N_PLACES + j] = at
        at += 1
    return at


@helper
def node_at(place, places, first_constant):
    """The node of a place."""
    return first_constant + place - CONSTANTS if place >= CONSTANTS else places[place]


def constant_rows(first, count):
    """Rows of ``count`` constants whose indices begin at ``first``."""
    rows = np.zeros((count, N_COLUMNS), np.uint32)
    rows[:, 0], rows[:, 1] = CONSTANT, first + np.arange(count)
    return rows
