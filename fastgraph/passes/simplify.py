"""Simplify: exact strength reductions and deduplication, in one sweep from operands to results.

In: ``Columns``. Out: ``Columns`` in which no two nodes compute the same thing. Every rule gives the same bits for
every operand, inf, nan, signed zeros and subnormals included; so x + 0, x - x, 0 * x and x / x stay as they are.
"""

import numpy as np

from fastgraph.jit import compiled
from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.ops.arrays import ARITY, CODES, COMMUTATIVE, IMMEDIATE
from fastgraph.passes.columns import Columns


def simplify(columns):
    """Apply the exact rules and share equal nodes."""
    # Only these rules make a constant that was not there; each node makes at most one.
    extra = int(np.isin(columns.rows[:, 0], [CODES.div, CODES.powi]).sum())
    rows, constants, renamed = _rewrite(columns.rows, columns.constants, extra, CODES, ARITY, COMMUTATIVE, IMMEDIATE)
    return Columns(rows, constants, renamed[columns.outputs])


@compiled
def _rewrite(rows, constants, extra, codes, arity, commutative, immediate):
    out = np.empty((len(rows) + extra, N_COLUMNS), np.uint32)
    kinds = np.empty(len(out), np.uint16)  # the codes once more: dense, so that looking at operands stays in cache
    numbers = np.empty(len(constants) + extra, np.float64)
    size = 16
    while size < 2 * len(out):
        size *= 2
    table = np.full(size, -1, np.int32)  # open addressing, linear probing
    renamed = np.empty(len(rows), np.int64)
    counts = np.zeros(2, np.int64)  # nodes, constants
    row = np.zeros(N_COLUMNS, np.uint32)
    for node in range(len(rows)):
        row[:] = rows[node]
        code = row[0]
        if code == CONSTANT:
            renamed[node] = _constant(constants[row[1]], out, kinds, numbers, table, counts)
            continue
        if code != INPUT:
            for k in range(arity[code]):
                row[1 + k] = renamed[row[1 + k]]
            same = _reduce(row, out, kinds, numbers, table, counts, codes)
            if same >= 0:
                renamed[node] = same
                continue
            if commutative[row[0]] and row[1] > row[2]:
                row[1], row[2] = row[2], row[1]
            for k in range(1 + arity[row[0]] + immediate[row[0]], N_COLUMNS):
                row[k] = 0
        renamed[node] = _share(row, out, kinds, table, counts)
    index = 0
    for node in range(counts[0]):
        if kinds[node] == CONSTANT:  # constants carried their bits, now their index
            out[node, 1], out[node, 2], out[node, 3] = index, 0, 0
            index += 1
    return out[: counts[0]].copy(), numbers[: counts[1]].copy(), renamed


@compiled
def _share(row, out, kinds, table, counts):
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
            return there
        at = (at + 1) & (len(table) - 1)
    node = counts[0]
    table[at] = node
    out[node] = row
    kinds[node] = row[0]
    counts[0] += 1
    return node


@compiled
def _constant(value, out, kinds, numbers, table, counts):
    """The node of a constant. Its row holds the bits, so that equal bits meet in the table."""
    bits = np.array([value]).view(np.uint64)[0]
    row = np.zeros(N_COLUMNS, np.uint32)
    row[0] = CONSTANT
    row[2] = bits >> np.uint64(32)
    row[3] = bits & np.uint64(0xFFFFFFFF)
    before = counts[0]
    node = _share(row, out, kinds, table, counts)
    if node == before:
        numbers[counts[1]] = value
        counts[1] += 1
    return node


@compiled
def _is_number(node, value, out, kinds, either_zero):
    """Whether a node is the constant ``value``; zeros of either sign only if asked."""
    if kinds[node] != CONSTANT:
        return False
    number = _number(node, out)
    if number != value:
        return False
    return either_zero or value != 0.0 or np.signbit(number) == np.signbit(value)


@compiled
def _number(node, out):
    bits = np.empty(1, np.uint64)
    bits[0] = (np.uint64(out[node, 2]) << np.uint64(32)) | np.uint64(out[node, 3])
    return bits.view(np.float64)[0]


@compiled
def _reduce(row, out, kinds, numbers, table, counts, codes):
    """Rewrite ``row`` in place until no rule fits; the node it equals, or -1 if it is still an operation."""
    while True:
        code, x, y = row[0], np.intp(row[1]), np.intp(row[2])
        if code == codes.neg or code == codes.abs or code == codes.square or code == codes.logical_not:
            inner = kinds[x]
            if code == codes.neg and inner == codes.neg:
                return np.intp(out[x, 1])
            if code == codes.abs and inner == codes.abs:
                return x
            if code == codes.logical_not and inner == codes.eq:
                row[0], row[1], row[2] = codes.ne, out[x, 1], out[x, 2]
            elif code == codes.logical_not and inner == codes.ne:
                row[0], row[1], row[2] = codes.eq, out[x, 1], out[x, 2]
            elif code != codes.logical_not and (inner == codes.neg or (inner == codes.abs and code == codes.square)):
                row[1] = out[x, 1]
            else:
                return -1
        elif code == codes.add:
            if _is_number(y, -0.0, out, kinds, False):
                return x
            if _is_number(x, -0.0, out, kinds, False):
                return y
            if kinds[y] == codes.neg:
                row[0], row[2] = codes.sub, out[y, 1]
            elif kinds[x] == codes.neg:
                row[0], row[1], row[2] = codes.sub, y, out[x, 1]
            else:
                return -1
        elif code == codes.sub:
            if _is_number(y, 0.0, out, kinds, False):
                return x
            if _is_number(x, -0.0, out, kinds, False):
                row[0], row[1] = codes.neg, y
            elif kinds[y] == codes.neg:
                row[0], row[2] = codes.add, out[y, 1]
            else:
                return -1
        elif code == codes.mul:
            if _is_number(y, 1.0, out, kinds, False):
                return x
            if _is_number(x, 1.0, out, kinds, False):
                return y
            if _is_number(y, -1.0, out, kinds, False):
                row[0] = codes.neg
            elif _is_number(x, -1.0, out, kinds, False):
                row[0], row[1] = codes.neg, y
            elif x == y:
                row[0] = codes.square
            elif kinds[x] == codes.neg and kinds[y] == codes.neg:
                row[1], row[2] = out[x, 1], out[y, 1]
            else:
                return -1
        elif code == codes.div:
            if _is_number(y, 1.0, out, kinds, False):
                return x
            if _is_number(y, -1.0, out, kinds, False):
                row[0] = codes.neg
            elif _is_number(x, 1.0, out, kinds, False):
                row[0], row[1] = codes.reciprocal, y
            elif kinds[x] == codes.neg and kinds[y] == codes.neg:
                row[1], row[2] = out[x, 1], out[y, 1]
            elif kinds[y] == CONSTANT and _is_power_of_two(_number(y, out)):
                row[0], row[2] = codes.mul, _constant(1.0 / _number(y, out), out, kinds, numbers, table, counts)
            else:
                return -1
        elif code == codes.powi:
            n = np.int32(row[2])
            if n == 0:
                return _constant(1.0, out, kinds, numbers, table, counts)
            if n == 1:
                return x
            if n == 2:
                row[0] = codes.square
            elif n == -1:
                row[0] = codes.reciprocal
            else:
                return -1
        elif code == codes.where:
            z = np.intp(row[3])
            if y == z:
                return y
            if kinds[x] == CONSTANT:
                return z if _is_number(x, 0.0, out, kinds, True) else y
            if kinds[x] == codes.logical_not:
                row[1], row[2], row[3] = out[x, 1], z, y
            else:
                return -1
        else:
            return -1


@compiled
def _is_power_of_two(value):
    """Whether dividing by ``value`` is multiplying by its reciprocal, exactly: both are normal powers of two."""
    bits = np.empty(1, np.float64)
    bits[0] = np.abs(value)
    mantissa = bits.view(np.uint64)[0] & np.uint64(0xFFFFFFFFFFFFF)
    return mantissa == 0 and 1e-300 < np.abs(value) < 1e300
