"""Random graphs whose values and derivatives stay ordinary numbers, neither huge nor subnormal.

A graph grows one operation at a time. Its values, and its derivatives along a few directions of the inputs, are carried
along at a few input sets; an operation whose result would leave [1/16, 16] or whose derivatives would exceed 64 is
refused and other operands are drawn. That bounds values, but rounding errors and adjoints would still grow with
depth, without limit. So a graph consists of blocks: a block starts from the inputs plus 2**-20 times nodes of the block
before, which makes the graph as deep as it is long, but hands only a millionth of any sensitivity on.

Every node is used: what nothing has used by the time it falls out of reach becomes an operand, and what is left over
at the end of a block is added up, as a balanced tree. The sum of the blocks is the output.
"""

import math

import numpy as np
from numba import njit

LOW, HIGH, STEEP = 1.0 / 16.0, 16.0, 64.0
TRIES = 100
COUPLING = 2.0**-20


def grow(n_inputs, n_ops, reach, weights, points, seed):
    """Codes and operands (uint32) of ``n_ops`` operations; node ``n_inputs`` is the constant ``COUPLING``.

    ``weights`` is the probability of each code of ``workloads.OPS``; ``points`` (n_inputs, k) are the input sets at
    which values are watched; operands are drawn among the last ``reach`` nodes of the block, one in eight among the
    inputs. A block has ``10 * reach`` operations.
    """
    return _grow(n_inputs, n_ops, reach, min(n_ops, 10 * reach), np.cumsum(weights), points, np.uint64(seed))


@njit(cache=True)
def _uniform(state):
    """The next number of a 64-bit xorshift generator (Vigna 2016, xorshift64*), in [0, 1)."""
    s = state[0]
    s ^= s >> np.uint64(12)
    s ^= s << np.uint64(25)
    s ^= s >> np.uint64(27)
    state[0] = s
    return ((s * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _apply(code, x, dx, y, dy):
    """Value and derivative of one operation; NaN outside its domain. The codes are those of ``workloads.OPS``."""
    if code == 0:
        return x + y, dx + dy
    if code == 1:
        return x - y, dx - dy
    if code == 2:
        return x * y, dx * y + x * dy
    if code == 3:
        return x / y, (dx - x / y * dy) / y
    if code == 5:
        return math.exp(min(x, 99.0)), math.exp(min(x, 99.0)) * dx
    if code == 6:
        return (math.log(x), dx / x) if x > LOW else (np.nan, np.nan)
    if code == 7:
        return math.sin(x), math.cos(x) * dx
    if code == 8:
        return math.tanh(x), (1.0 - math.tanh(x) ** 2) * dx
    if code == 9:
        return (math.sqrt(x), 0.5 * dx / math.sqrt(x)) if x > LOW else (np.nan, np.nan)
    return np.nan, np.nan


@njit(cache=True)
def _grow(n_inputs, n_ops, reach, block, thresholds, points, seed):
    k = points.shape[1]
    n = n_inputs + 1 + n_ops
    steps = np.empty((3, n_ops), np.uint32)
    value, slope = np.empty((n, k)), np.empty((n, k))
    used = np.zeros(n, np.bool_)
    state = np.full(1, seed * np.uint64(2654435761) + np.uint64(88172645463325252), np.uint64)
    for i in range(n_inputs):
        for p in range(k):
            value[i, p] = points[i, p]
            slope[i, p] = value[i, p] if _uniform(state) < 0.5 else -value[i, p]
    value[n_inputs], slope[n_inputs] = COUPLING, 0.0
    used[n_inputs] = True
    node = ends = n_inputs + 1
    n_blocks = -(-n_ops // block)
    totals = np.empty(n_blocks, np.int64)
    for b in range(n_blocks):
        begin = node
        for i in range(n_inputs if b else 0):
            before = int(_uniform(state) * reach) + 1
            node = _add(2, ends - before, n_inputs, node, steps, n_inputs, value, slope)
            node = _add(0, i, node - 1, node, steps, n_inputs, value, slope)
            used[node - 2] = True
        last = block if b < n_blocks - 1 else n_ops - (n_blocks - 1) * (block + 1)
        node = _fill(
            begin if b else 0, begin, last, reach, thresholds, node, steps, n_inputs, value, slope, used, state
        )
        ends = node
        totals[b], node = _sum(np.flatnonzero(~used[:node]), node, steps, n_inputs, value, slope)
        used[:node] = True
    _sum(totals, node, steps, n_inputs, value, slope)
    return steps


@njit(cache=True)
def _add(code, x, y, node, steps, n_inputs, value, slope):
    """Record one operation, whatever it gives; return the next node."""
    i = node - n_inputs - 1
    steps[0, i], steps[1, i], steps[2, i] = code, x, y
    for p in range(value.shape[1]):
        value[node, p], slope[node, p] = _apply(code, value[x, p], slope[x, p], value[y, p], slope[y, p])
    return node + 1


@njit(cache=True)
def _sum(left, node, steps, n_inputs, value, slope):
    """Add up nodes as a balanced tree; return the sum's node and the next one."""
    while len(left) > 1:
        half = len(left) // 2
        above = np.empty(len(left) - half, np.int64)
        for j in range(half):
            above[j] = node
            node = _add(0, left[2 * j], left[2 * j + 1], node, steps, n_inputs, value, slope)
        if len(left) % 2:
            above[half] = left[-1]
        left = above
    return left[0], node


@njit(cache=True)
def _fill(low, begin, n_ops, reach, thresholds, node, steps, n_inputs, value, slope, used, state):
    """Draw operations until they and the sum of what is unused then are ``n_ops`` since ``begin``."""
    oldest = low
    unused = np.count_nonzero(~used[low:node])
    while node - begin + unused - 1 < n_ops - 1:  # an operation adds 0, 1 or 2 to the left side
        while used[oldest]:
            oldest += 1
        first = max(low, node - reach)
        forced = oldest < node - reach
        found = False
        while not found:
            draw, code = _uniform(state), 0
            while draw >= thresholds[code]:
                code += 1
            for _ in range(TRIES):
                x = oldest if forced else first + int(_uniform(state) * (node - first))
                y = first + int(_uniform(state) * (node - first))
                if _uniform(state) < 0.125:
                    y = int(_uniform(state) * n_inputs)
                _add(code, x, x if code > 3 else y, node, steps, n_inputs, value, slope)
                found = (code > 3 or x != y) and x != n_inputs and y != n_inputs
                for p in range(value.shape[1]):
                    found = found and LOW <= abs(value[node, p]) <= HIGH and abs(slope[node, p]) <= STEEP
                if found:
                    break
        unused += 1 - (not used[x])
        used[x] = True
        if code <= 3:
            unused -= not used[y]
            used[y] = True
        node += 1
    if node - begin + unused - 1 < n_ops:
        used[node - 1] = True
        node = _add(0, node - 1, 0, node, steps, n_inputs, value, slope)
    return node
