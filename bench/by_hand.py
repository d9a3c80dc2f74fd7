"""What a person could write in Numba without any library, one Python thread a core: the anchors of the batch rows.

In: input sets (n_inputs, n). Out: callables that return values, and gradients in the shape of the inputs.
Black-Scholes is closed forms in a scalar loop; a graph of sums and products is a loop over its list of operations
whose inner loop, over a block of sets, LLVM makes vectors of.
"""

import math

import numpy as np
from numba import njit

from bench.machine import cores, shared
from bench.workloads import OPS

ROOT2 = math.sqrt(2.0)
DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
LISTED = OPS.index("mul") + 1  # add, sub, mul: what `listed` can do
BLOCK = 128  # sets: of 8, 16, 32, 64 and 128 the fastest for 1,500 operations

native = njit(nogil=True, cache=True, error_model="numpy")


# -- Black-Scholes --------------------------------------------------------------------------------------------
@native
def _price(sets, value):
    for i in range(len(value)):
        spot, strike, years, rate, vol = sets[0, i], sets[1, i], sets[2, i], sets[3, i], sets[4, i]
        deviation = vol * math.sqrt(years)
        d1 = (math.log(spot / strike) + (rate + 0.5 * vol * vol) * years) / deviation
        low, high = 0.5 * math.erfc((deviation - d1) / ROOT2), 0.5 * math.erfc(-d1 / ROOT2)
        value[i] = spot * high - strike * math.exp(-rate * years) * low


@native
def _price_and_greeks(sets, value, greeks):
    for i in range(len(value)):
        spot, strike, years, rate, vol = sets[0, i], sets[1, i], sets[2, i], sets[3, i], sets[4, i]
        root = math.sqrt(years)
        d1 = (math.log(spot / strike) + (rate + 0.5 * vol * vol) * years) / (vol * root)
        d2 = d1 - vol * root
        low, high = 0.5 * math.erfc(-d2 / ROOT2), 0.5 * math.erfc(-d1 / ROOT2)
        discount = math.exp(-rate * years)
        density = spot * DENSITY * math.exp(-0.5 * d1 * d1)
        value[i] = spot * high - strike * discount * low
        greeks[0, i] = high
        greeks[1, i] = -discount * low
        greeks[2, i] = rate * strike * discount * low + 0.5 * density * vol / root
        greeks[3, i] = strike * years * discount * low
        greeks[4, i] = density * root


def options(sets, gradient):
    """A callable that prices all sets."""
    value, greeks = np.empty(sets.shape[1]), np.empty(sets.shape)

    def work(part):
        if gradient:
            _price_and_greeks(sets[:, part], value[part], greeks[:, part])
        else:
            _price(sets[:, part], value[part])

    return _returning(shared(work, sets.shape[1], cores()), value, greeks if gradient else None)


# -- a list of additions, subtractions and products -----------------------------------------------------------
@native
def _sweep(codes, xs, ys, constants, sets, value, slopes, gradient):
    n_inputs, first, n = len(sets), len(sets) + len(constants), len(value)
    nodes = np.empty((first + len(codes), BLOCK))
    weights = np.empty_like(nodes)
    for k in range(len(constants)):
        nodes[n_inputs + k] = constants[k]
    for start in range(0, n, BLOCK):
        width = min(BLOCK, n - start)
        nodes[:n_inputs, :width] = sets[:, start : start + width]
        nodes[:n_inputs, width:] = 1.0
        for i in range(len(codes)):
            r, x, y = nodes[first + i], nodes[xs[i]], nodes[ys[i]]
            if codes[i] == 0:
                for lane in range(BLOCK):
                    r[lane] = x[lane] + y[lane]
            elif codes[i] == 1:
                for lane in range(BLOCK):
                    r[lane] = x[lane] - y[lane]
            else:
                for lane in range(BLOCK):
                    r[lane] = x[lane] * y[lane]
        value[start : start + width] = nodes[-1, :width]
        if gradient:
            weights[:] = 0.0
            weights[-1] = 1.0
            for i in range(len(codes) - 1, -1, -1):
                w, wx, wy = weights[first + i], weights[xs[i]], weights[ys[i]]
                x, y = nodes[xs[i]], nodes[ys[i]]
                if codes[i] == 0:
                    for lane in range(BLOCK):
                        wx[lane] += w[lane]
                        wy[lane] += w[lane]
                elif codes[i] == 1:
                    for lane in range(BLOCK):
                        wx[lane] += w[lane]
                        wy[lane] -= w[lane]
                else:
                    for lane in range(BLOCK):
                        wx[lane] += w[lane] * y[lane]
                        wy[lane] += w[lane] * x[lane]
            slopes[:, start : start + width] = weights[:n_inputs, :width]


def listed(work, sets, gradient):
    """A callable that sweeps the operations of an arithmetic workload."""
    value, slopes = np.empty(sets.shape[1]), np.empty(sets.shape)
    columns = work.codes.astype(np.intp), work.x.astype(np.intp), work.y.astype(np.intp)
    constants = np.array(work.constants)

    def sweep(part):
        _sweep(*columns, constants, sets[:, part], value[part], slopes[:, part], gradient)

    return _returning(shared(sweep, sets.shape[1], cores()), value, slopes if gradient else None)


def _returning(run, value, slopes):
    def returning():
        run()
        return value, slopes

    return returning


# -- a network of two layers of tanh --------------------------------------------------------------------------
@native
def _rows(rows, w1, b1, w2, b2, w3, b3, of_w1, of_b1, of_w2, of_b2, of_w3, of_b3):
    width = len(w1)
    first, second, slope = np.empty(width), np.empty(width), np.empty(width)
    total = 0.0
    for n in range(len(rows)):
        row = rows[n]
        for i in range(width):
            s = b1[i, 0]
            for j in range(w1.shape[1]):
                s += w1[i, j] * row[j]
            first[i] = math.tanh(s)
        output = b3[0, 0]
        for i in range(width):
            s = b2[i, 0]
            for j in range(width):
                s += w2[i, j] * first[j]
            second[i] = math.tanh(s)
            output += w3[0, i] * second[i]
        error = output - row[-1]
        total += error * error
        of_b3[0, 0] += 2.0 * error
        slope[:] = 0.0
        for i in range(width):
            of_w3[0, i] += 2.0 * error * second[i]
            s = 2.0 * error * w3[0, i] * (1.0 - second[i] * second[i])
            of_b2[i, 0] += s
            for j in range(width):
                of_w2[i, j] += s * first[j]
                slope[j] += s * w2[i, j]
        for i in range(width):
            s = slope[i] * (1.0 - first[i] * first[i])
            of_b1[i, 0] += s
            for j in range(w1.shape[1]):
                of_w1[i, j] += s * row[j]
    return total


def network(rows, layers, n_weights):
    """An objective of the weights: the squared error over the rows, and its gradient."""
    point = np.empty(n_weights)

    def work(part):
        gradient = np.zeros(n_weights)
        return _rows(rows[part], *layers(point), *layers(gradient)), gradient

    run = shared(work, len(rows), cores())

    def objective(weights):
        point[:] = weights
        values, gradients = zip(*run(), strict=True)
        return sum(values), np.sum(gradients, axis=0)

    return objective
