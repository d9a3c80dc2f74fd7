"""Simplify: exact strength reductions and deduplication, in one sweep from operands to results.

In: ``Columns``. Out: ``Columns`` in which no two nodes compute the same thing. Every rule gives the same bits for
every operand, inf, nan, signed zeros and subnormals included; so x + 0, x - x, 0 * x and x / x stay as they are.
"""

import numpy as np

from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.jit import adaptive, bits_of, from_bits, helper
from fastgraph.ops import OPS
from fastgraph.ops.arrays import ARITY, COMMUTATIVE, IMMEDIATE

# The opcodes that rules speak of, passed as an array: compiled code on disk must not hold numbers that the table gives.
_NAMES = ("abs", "add", "div", "eq", "logical_not", "mul", "ne", "neg", "powi", "reciprocal", "square", "sub", "where")
ABS, ADD, DIV, EQ, LOGICAL_NOT, MUL, NE, NEG, POWI, RECIPROCAL, SQUARE, SUB, WHERE = range(len(_NAMES))
CODES = np.array([OPS[name].code for name in _NAMES], dtype=np.int64)


def simplify(columns, dtype=np.float64):
    """Apply the rules that are exact in ``dtype`` and share equal nodes."""
    # Only these rules make a constant that was not there; each node makes at most one.
    extra = int(np.isin(columns.rows[:, 0], [CODES[DIV], CODES[POWI]]).sum())
    largest = 1.0 / float(np.finfo(dtype).tiny)  # of the powers of two whose reciprocal is normal
    rows, constants, renamed = _rewrite(
        columns.rows, columns.constants, extra, largest, CODES, ARITY, COMMUTATIVE, IMMEDIATE
    )
    return columns.change(rows, constants, renamed[columns.outputs], renamed=renamed)


@adaptive
def _rewrite(rows, constants, extra, largest, codes, arity, commutative, immediate):
    n_max = len(rows) + extra
    out = np.empty((n_max, N_COLUMNS), np.uint32)
    kinds = np.empty(n_max, np.uint16)  # the codes once more: dense, so that looking at operands stays in cache
    size = 16
    while size < 2 * n_max:
        size *= 2
    table = np.full(size, -1, np.int32)  # open addressing, linear probing
    renamed = np.empty(len(rows), np.int64)
    count = np.zeros(1, np.int64)
    row = np.zeros(N_COLUMNS, np.uint32)
    for node in range(len(rows)):
        code = rows[node, 0]
        for k in range(N_COLUMNS):
            row[k] = rows[node, k]
        if code == CONSTANT:
            _set_constant(row, constants[row[1]])
        elif code != INPUT:
            for k in range(arity[code]):
                row[1 + k] = renamed[row[1 + k]]
            same = -1
            again = True
            while again:
                same, again, divisor = _reduce(row, out, kinds, largest, codes)
                if divisor != 0.0:
                    # x / 2**k is x * 2**-k, exactly: both are normal, and each rounds the same real number.
                    x = row[1]
                    _set_constant(row, 1.0 / divisor)
                    reciprocal = _share(row, out, kinds, table, count)
                    row[0], row[1], row[2], row[3] = codes[MUL], x, reciprocal, 0
            if same >= 0:
                renamed[node] = same
                continue
            code = row[0]
            if code != CONSTANT:
                if commutative[code] and row[1] > row[2]:
                    row[1], row[2] = row[2], row[1]
                for k in range(1 + arity[code] + immediate[code], N_COLUMNS):
                    row[k] = 0
        renamed[node] = _share(row, out, kinds, table, count)
    numbers = np.empty(len(constants) + extra, np.float64)
    n_constants = 0
    for node in range(count[0]):
        if kinds[node] == CONSTANT:  # constants carried their bits, now their index
            numbers[n_constants] = _number(node, out)
            out[node, 1], out[node, 2], out[node, 3] = n_constants, 0, 0
            n_constants += 1
    return out[: count[0]], numbers[:n_constants], renamed


@helper
def _share(row, out, kinds, table, count):
    """The node that equals ``row``: one that is there, or a new one."""
    h = np.uint64(1469598103934665603)
    for k in range(N_COLUMNS):
        h = (h ^ np.uint64(row[k])) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    at = np.intp(h & np.uint64(len(table) - 1))
    while table[at] >= 0:
        there = table[at]
        equal = True
        for k in range(N_COLUMNS):
            equal &= out[there, k] == row[k]
        if equal:
            return np.intp(there)
        at = (at + 1) & (len(table) - 1)
    node = count[0]
    count[0] += 1
    table[at] = node
    kinds[node] = row[0]
    for k in range(N_COLUMNS):
        out[node, k] = row[k]
    return node


@helper
def _set_constant(row, value):
    """Make ``row`` a constant that carries its bits, so that equal bits, and only they, meet in the table."""
    bits = bits_of(value)
    row[0], row[1] = CONSTANT, 0
    row[2], row[3] = bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)


@helper
def _number(node, out):
    return from_bits((np.uint64(out[node, 2]) << np.uint64(32)) | np.uint64(out[node, 3]))


@helper
def _reduce(row, out, kinds, largest, codes):
    """Apply one rule to ``row``: (the node it equals or -1, whether it changed, a power of two it divides by or 0)."""
    code, x, y = row[0], np.intp(row[1]), np.intp(row[2])
    kind = kinds[x]
    u = _number(x, out) if kind == CONSTANT else np.nan  # no rule speaks of NaN
    if code == codes[POWI]:
        n = np.int32(row[2])
        if n == 1:
            return x, False, 0.0
        if n == 0:
            _set_constant(row, 1.0)
        elif n == 2:
            row[0] = codes[SQUARE]
        elif n == -1:
            row[0] = codes[RECIPROCAL]
        return -1, n == 2, 0.0
    if code == codes[NEG] or code == codes[ABS] or code == codes[SQUARE] or code == codes[LOGICAL_NOT]:
        if code == codes[LOGICAL_NOT]:
            if kind == codes[EQ] or kind == codes[NE]:
                row[0] = codes[NE] if kind == codes[EQ] else codes[EQ]
                row[1], row[2] = out[x, 1], out[x, 2]
            return -1, False, 0.0
        if code == codes[NEG] and kind == codes[NEG]:
            return np.intp(out[x, 1]), False, 0.0
        if code == codes[ABS] and kind == codes[ABS]:
            return x, False, 0.0
        if code != codes[NEG] and (kind == codes[NEG] or kind == codes[ABS]):
            row[1] = out[x, 1]
            return -1, True, 0.0
        return -1, False, 0.0
    if code == codes[WHERE]:
        if row[2] == row[3]:
            return y, False, 0.0
        if kind == CONSTANT:
            return np.intp(row[3]) if u == 0.0 else y, False, 0.0
        if kind == codes[LOGICAL_NOT]:
            row[1], row[2], row[3] = out[x, 1], row[3], row[2]
            return -1, True, 0.0
        # A choice by c != 0 is one by c, NaN included.
        if (kind == codes[NE] or kind == codes[EQ]) and kinds[out[x, 2]] == CONSTANT and _number(out[x, 2], out) == 0.0:
            if kind == codes[EQ]:
                row[2], row[3] = row[3], row[2]
            row[1] = out[x, 1]
            return -1, True, 0.0
        return -1, False, 0.0
    if code != codes[ADD] and code != codes[SUB] and code != codes[MUL] and code != codes[DIV]:
        return -1, False, 0.0
    other = kinds[y]
    v = _number(y, out) if other == CONSTANT else np.nan
    if code == codes[ADD]:
        if v == 0.0 and np.signbit(v):
            return x, False, 0.0
        if u == 0.0 and np.signbit(u):
            return y, False, 0.0
        if other == codes[NEG]:
            row[0], row[2] = codes[SUB], out[y, 1]
            return -1, True, 0.0
        if kind == codes[NEG]:
            row[0], row[1], row[2] = codes[SUB], y, out[x, 1]
            return -1, True, 0.0
    elif code == codes[SUB]:
        if v == 0.0 and not np.signbit(v):
            return x, False, 0.0
        if u == 0.0 and np.signbit(u):
            row[0], row[1] = codes[NEG], y
            return -1, True, 0.0
        if other == codes[NEG]:
            row[0], row[2] = codes[ADD], out[y, 1]
            return -1, True, 0.0
    else:
        if v == 1.0:
            return x, False, 0.0
        if v == -1.0:
            row[0] = codes[NEG]
            return -1, True, 0.0
        if kind == codes[NEG] and other == codes[NEG]:
            row[1], row[2] = out[x, 1], out[y, 1]
            return -1, True, 0.0
        if code == codes[MUL]:
            if u == 1.0:
                return y, False, 0.0
            if u == -1.0:
                row[0], row[1] = codes[NEG], y
                return -1, True, 0.0
            if x == y:
                row[0] = codes[SQUARE]
                return -1, True, 0.0
        else:
            if u == 1.0:
                row[0], row[1] = codes[RECIPROCAL], y
                return -1, False, 0.0
            if _is_power_of_two(v, largest):
                return -1, True, v
    return -1, False, 0.0


@helper
def _is_power_of_two(value, largest):
    """Whether ``value`` is a normal power of two whose reciprocal is normal, too; not so for NaN."""
    return bits_of(value) & np.uint64(0xFFFFFFFFFFFFF) == 0 and 1.0 / largest <= np.abs(value) <= largest
