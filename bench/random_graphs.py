"""Random graphs whose values and derivatives stay ordinary numbers, neither huge nor subnormal.

A graph grows one operation at a time. Its values, and its derivative along one direction of the inputs, are carried
along at a few input sets; an operation whose results would leave [1/16, 16] or whose derivative would exceed 64 is
refused and other operands are drawn. So no number overflows, none becomes subnormal, and no sensitivity explodes
with depth, although operands and operations are random. Every node is used: what nothing has used by the time it
falls out of reach becomes an operand, and what is left over at the end is added up.
"""

import math

import numpy as np
from numba import njit

LOW, HIGH, STEEP = 1.0 / 16.0, 16.0, 64.0
TRIES = 100


def grow(n_inputs, n_ops, reach, weights, points, seed):
    """Codes and operands (uint32) of ``n_ops`` operations.

    ``weights`` is the probability of each code of ``workloads.OPS``; ``points`` (n_inputs, k) are the input sets at
    which values are watched; operands are drawn among the last ``reach`` nodes, one in eight among the inputs.
    """
    return _grow(n_inputs, n_ops, reach, np.cumsum(weights), points, np.uint64(seed))


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
def _grow(n_inputs, n_ops, reach, thresholds, points, seed):
    k = points.shape[1]
    n = n_inputs + n_ops
    codes, xs, ys = np.empty(n_ops, np.uint32), np.empty(n_ops, np.uint32), np.empty(n_ops, np.uint32)
    value, slope = np.empty((n, k)), np.empty((n, k))
    used = np.zeros(n, np.bool_)
    state = np.full(1, seed * np.uint64(2654435761) + np.uint64(88172645463325252), np.uint64)
    for i in range(n_inputs):
        sign = 1.0 if _uniform(state) < 0.5 else -1.0
        for p in range(k):
            value[i, p], slope[i, p] = points[i, p], sign * points[i, p]
    unused, oldest, node = n_inputs, 0, n_inputs
    while node - n_inputs + unused - 1 < n_ops:
        while used[oldest]:
            oldest += 1
        forced = oldest < node - reach
        first = max(0, node - reach)
        found = False
        while not found:
            draw = _uniform(state)
            code = 0
            while draw >= thresholds[code]:
                code += 1
            for _ in range(TRIES):
                x = oldest if forced else first + int(_uniform(state) * (node - first))
                y = first + int(_uniform(state) * (node - first))
                if _uniform(state) < 0.125:
                    y = int(_uniform(state) * n_inputs)
                found = x != y
                for p in range(k):
                    r, dr = _apply(code, value[x, p], slope[x, p], value[y, p], slope[y, p])
                    found = found and LOW <= abs(r) <= HIGH and abs(dr) <= STEEP
                    value[node, p], slope[node, p] = r, dr
                if found:
                    break
        i = node - n_inputs
        codes[i], xs[i], ys[i] = code, x, x if code > 3 else y
        unused += 1 - (not used[x])
        used[x] = True
        if code <= 3:
            unused -= not used[y]
            used[y] = True
        node += 1
    # The leftovers, added up as a balanced tree; the count of operations is then exact.
    left = np.flatnonzero(~used[:node])
    while len(left) > 1:
        half = len(left) // 2
        above = np.empty(len(left) - half, np.int64)
        for j in range(half):
            i = node - n_inputs
            codes[i], xs[i], ys[i] = 0, left[2 * j], left[2 * j + 1]
            above[j] = node
            node += 1
        if len(left) % 2:
            above[half] = left[-1]
        left = above
    return codes, xs, ys
