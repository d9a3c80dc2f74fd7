"""Streams: the steps of lowering, one sweep over a program's operations each.

In: the operations of a program, one row each. Out: what varies, what is fused, where values and adjoints live, and the
words of the streams that the kernels read. ``lowering`` joins them.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.jit import adaptive, adaptive_by_operands, helper
from fastgraph.ops.arrays import ARITY, IMMEDIATE
from fastgraph.ops.row import MASKED
from fastgraph.passes import Columns

# Fields of an operation: up to five operands, the mask, the opcode, the flags, and the number of its run.
OPERANDS = 5
MASK, CODE, FLAGS, RUN = range(OPERANDS, OPERANDS + 4)
N_FIELDS = OPERANDS + 4


@adaptive_by_operands
def rows_of(operands, opcodes, flags, counts, arity):
    """The operations of a program, int64 (n, N_FIELDS), -1 where there is nothing; slots as in the program."""
    total = 0
    for r in range(len(counts)):
        total += counts[r]
    rows = np.full((total, N_FIELDS), -1, np.int64)
    at = i = 0
    for r in range(len(counts)):
        n, count = arity[opcodes[r]], counts[r]
        masked = (flags[r] & MASKED) != 0
        for j in range(count):
            for k in range(n):
                rows[i + j, k] = operands[at + k * count + j]
            if masked:
                rows[i + j, MASK] = operands[at + n * count + j]
            rows[i + j, CODE], rows[i + j, FLAGS], rows[i + j, RUN] = opcodes[r], flags[r], r
        at += count * (n + masked)
        i += count
    return rows


def as_columns(found, program, immediates, outputs):
    """The leaves, constants and operations (rows as of :func:`rows_of`) as columns whose nodes are slots."""
    first, n_leaves = program.first_operation, program.n_leaves
    rows = np.zeros((first + len(found), N_COLUMNS), np.uint32)
    rows[:n_leaves, 0], rows[:n_leaves, 1] = INPUT, np.arange(n_leaves)
    rows[n_leaves:first, 0], rows[n_leaves:first, 1] = CONSTANT, np.arange(first - n_leaves)
    operations, codes = rows[first:], found[:, CODE]
    operations[:, 0] = codes
    for k in range(N_COLUMNS - 1):
        used = k < ARITY[codes]
        operations[used, 1 + k] = found[used, k]
    numbered = np.flatnonzero(IMMEDIATE[codes])
    operations[numbered, 1 + ARITY[codes[numbered]]] = immediates[found[numbered, RUN]].astype(np.int32).view(np.uint32)
    lines = None if program.lines is None else program.lines.beginning(len(rows))
    named = program.tables.astype(np.float64), program.functions, lines
    return Columns(rows, program.constants.astype(np.float64), outputs.astype(np.int64), None, *named)


def columns_of(program):
    """The operations that compute values, as columns whose nodes are the program's slots."""
    runs = program.runs[: program.n_value_runs]
    opcodes, flags, immediates, counts = (
        runs[name].astype(np.int64) for name in ("opcode", "flags", "immediate", "count")
    )
    operands = program.operands[: len(program.operands) - program.mask_operands]
    return as_columns(rows_of(operands, opcodes, flags, counts, ARITY), program, immediates, program.outputs)


@adaptive
def analyse(rows, first, outputs, varying, wanted, with_gradient):
    """Per slot: varies over the batch; is to be computed; is swept in reverse; leads to a wanted leaf."""
    n, n_leaves = len(rows), len(varying)
    n_slots = first + n
    varies = np.zeros(n_slots, np.bool_)
    relevant = np.zeros(n_slots, np.bool_)
    for leaf in range(n_leaves):
        varies[leaf] = varying[leaf]
        relevant[leaf] = wanted[leaf]
    # An operation whose mask varies hands on something else for every set: it counts as varying. Masks come after
    # the operations they gate, so that it may take more than one round.
    unsettled = True
    while unsettled:
        unsettled = False
        for i in range(n):
            for k in range(3):
                operand = rows[i, k]
                if operand >= 0:
                    if varies[operand]:
                        varies[first + i] = True
                    if rows[i, FLAGS] & (1 << k) and relevant[operand]:
                        relevant[first + i] = True
        if with_gradient:
            for i in range(n):
                if rows[i, MASK] >= 0 and varies[rows[i, MASK]] and not varies[first + i]:
                    varies[first + i] = True
                    unsettled = True
    needed = np.zeros(n_slots, np.bool_)
    reached = np.zeros(n_slots, np.bool_)
    for output in outputs:
        needed[output] = True
        reached[output] = True
    swept = np.zeros(n_slots, np.bool_)
    for i in range(n - 1, -1, -1):
        if reached[first + i] and relevant[first + i]:
            swept[first + i] = True
            for k in range(3):
                if rows[i, k] >= 0 and rows[i, FLAGS] & (1 << k) and relevant[rows[i, k]]:
                    reached[rows[i, k]] = True
            if rows[i, MASK] >= 0:
                needed[rows[i, MASK]] = True
    for i in range(n - 1, -1, -1):
        if needed[first + i]:
            for k in range(3):
                if rows[i, k] >= 0:
                    needed[rows[i, k]] = True
    return varies, needed, swept, relevant


@adaptive
def values_read(rows, first, swept, outputs, reads):
    """Per slot, whether its value is looked at after the forward sweep of a tile."""
    read = np.zeros(first + len(rows), np.bool_)
    for i in range(len(rows)):
        if swept[first + i]:
            code = rows[i, CODE]
            for k in range(3):
                if rows[i, k] >= 0 and reads[code, k]:
                    read[rows[i, k]] = True
            if reads[code, 3]:
                read[first + i] = True
            if rows[i, MASK] >= 0:
                read[rows[i, MASK]] = True
    for output in outputs:
        read[output] = True
    return read


@adaptive
def moving(rows, first, moved, arity, flows):
    """The rows, with flags for operands that have tangents which flow on; and, per slot, whether it has one.

    ``moved`` says which leaves have.
    """
    rows = rows.copy()
    moves = np.zeros(first + len(rows), np.bool_)
    for leaf in range(len(moved)):
        moves[leaf] = moved[leaf]
    for i in range(len(rows)):
        flags = 0
        for k in range(arity[rows[i, CODE]]):
            if moves[rows[i, k]] and flows[rows[i, CODE], k]:
                flags |= 1 << k
        rows[i, FLAGS], moves[first + i] = flags, flags != 0
    return rows, moves


@adaptive
def fuse(rows, first, needed, varies, read, fuses, flips, arity):
    """Rows of the forward sweep, in order, with the slot of their result in column MASK; fused where ``fuses`` can.

    ``fuses[outer, left, right]`` is the opcode of a fused row, or -1, where left and right are 1 + the opcode of what
    computes the operand, 0 for any; its operands begin with those of the right one where ``flips``. What is fused must
    have this one use, in the same part of the sweep; and flags for all operands, as the fused row then has, or none.
    """
    n = len(rows)
    uses = np.zeros(first + n, np.int64)
    for i in range(n):
        if needed[first + i]:
            for k in range(3):
                if rows[i, k] >= 0:
                    uses[rows[i, k]] += 1
    forward = rows.copy()
    gone = np.zeros(n, np.bool_)
    kinds = np.zeros(2, np.int64)  # by operand, as in ``fuses``
    n_fused = len(fuses)
    kept = 0
    for i in range(n):
        if not needed[first + i]:
            gone[i] = True
            continue
        forward[i, MASK] = first + i
        kept += 1
        outer = rows[i, CODE]
        flags = rows[i, FLAGS]
        if outer >= n_fused or flags != 0 and flags != (1 << arity[outer]) - 1:
            continue
        for side in range(2):
            kinds[side] = 0
            operand = rows[i, side]
            inner = operand - first
            if inner >= 0 and uses[operand] == 1 and not read[operand] and varies[operand] == varies[first + i]:
                code = forward[inner, CODE]
                if forward[inner, FLAGS] == (0 if flags == 0 else (1 << arity[code]) - 1):
                    kinds[side] = 1 + code
        if fuses[outer, kinds[0], kinds[1]] < 0:  # not both: the left one if that can be
            kinds[1 if fuses[outer, kinds[0], 0] >= 0 else 0] = 0
        fused = fuses[outer, kinds[0], kinds[1]]
        if fused < 0:
            continue
        forward[i, CODE] = fused
        forward[i, FLAGS] = 0 if flags == 0 else (1 << arity[fused]) - 1
        flipped = flips[outer, kinds[0], kinds[1]]
        at = 0
        for step in range(2):
            side = 1 - step if flipped else step
            if kinds[side]:
                inner = rows[i, side] - first
                gone[inner] = True
                kept -= 1
                for k in range(arity[forward[inner, CODE]]):
                    forward[i, at] = forward[inner, k]
                    at += 1
        for side in range(2):
            if not kinds[side]:
                forward[i, at] = rows[i, side]
                at += 1
    # Operations of a run do not depend on each other: those of one kind are put together, so that runs stay long.
    result = np.empty((kept, N_FIELDS), np.int64)
    at = start = 0
    while start < n:
        stop = start
        while stop < n and rows[stop, RUN] == rows[start, RUN]:
            stop += 1
        for i in range(start, stop):
            if not gone[i]:
                code = forward[i, CODE]
                flags = forward[i, FLAGS]
                for j in range(i, stop):
                    if not gone[j] and forward[j, CODE] == code and forward[j, FLAGS] == flags:
                        gone[j] = True
                        for c in range(N_FIELDS):
                            result[at, c] = forward[j, c]
                        at += 1
        start = stop
    return result


@adaptive
def place_values(forward, first, n_leaves, n_slots, needed, varies, read):
    """Value slots, -1 for what has none, and how many there are.

    A slot is used again once nothing is to read it: neither an operation, nor, where it says so in ``read``, what
    follows the forward sweep of a tile; nor, of what does not vary, the next tile.
    """
    n = len(forward)
    values = np.full(n_slots, -1, np.int64)
    last = np.full(n_slots, -1, np.int64)  # the last operation that reads a slot
    for phase in range(2):
        for i in range(n):
            if varies[forward[i, MASK]] == (phase == 1):
                for k in range(OPERANDS):
                    operand = forward[i, k]
                    if operand >= 0:
                        last[operand] = n if phase == 1 and not varies[operand] else max(last[operand], i)
    # Uniform operations are swept before all others: their numbers are compared within their phase only.
    n_values = 0
    for slot in range(first):
        if needed[slot]:
            values[slot] = n_values
            n_values += 1
            if slot >= n_leaves:
                last[slot] = n
    free = np.empty(n + first, np.int64)
    n_free = 0
    for phase in range(2):
        for i in range(n):
            slot = forward[i, MASK]
            if varies[slot] == (phase == 1):
                for k in range(OPERANDS):
                    operand = forward[i, k]
                    if operand >= 0 and last[operand] == i and not read[operand]:
                        free[n_free] = values[operand]
                        n_free += 1
                        last[operand] = -1
                if n_free:
                    n_free -= 1
                    values[slot] = free[n_free]
                else:
                    values[slot] = n_values
                    n_values += 1
    return values, n_values


@adaptive
def forward_words(forward, values, varies, phase, immediates, arity):
    """Fields of runs, and operands, of the operations of a phase: 0 what does not vary, 1 what does."""
    n = len(forward)
    group = np.full(n, -1, np.int64)
    sizes = np.zeros(n, np.int64)
    n_groups = total = 0
    previous = -1
    for i in range(n):
        if varies[forward[i, MASK]] == (phase == 1):
            if previous < 0 or not same(forward, i, previous, immediates):
                n_groups += 1
            group[i] = n_groups - 1
            sizes[n_groups - 1] += 1
            total += arity[forward[i, CODE]] + 1
            previous = i
    codes, numbers = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    flags = np.zeros(n_groups, np.int64)
    words = np.empty(total, np.int64)
    at = 0
    for i in range(n):
        g = group[i]
        if g < 0:
            continue
        m = arity[forward[i, CODE]]
        codes[g], flags[g], numbers[g] = forward[i, CODE], forward[i, FLAGS], immediates[forward[i, RUN]]
        for k in range(m):
            words[at + k] = 2 * values[forward[i, k]]
        words[at + m] = 2 * values[forward[i, MASK]]
        at += m + 1
    return codes, flags, numbers, sizes[:n_groups], words


@helper
def same(rows, i, j, immediates):
    """Whether two operations may share a run."""
    if rows[i, CODE] != rows[j, CODE] or rows[i, FLAGS] != rows[j, FLAGS]:
        return False
    return immediates[rows[i, RUN]] == immediates[rows[j, RUN]]
