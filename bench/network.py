"""Network: the squared error of a small neural network over 10⁵ rows, and its gradient by the 433 weights.

8 inputs, two layers of 16 tanh, one output. ``predict`` serves every library that has arrays; NumPy's and Numba's
gradients are written by hand.
"""

from functools import cached_property

import numpy as np

from bench import workloads
from bench.sums import Sum, buffered, traced

SHAPES = ((16, 8), (16, 1), (16, 16), (16, 1), (1, 16), (1, 1))
SIZES = [rows * columns for rows, columns in SHAPES]
ENDS = np.cumsum(SIZES)
N_INPUTS, N_WEIGHTS = 8, int(ENDS[-1])
CHUNK = 4096  # rows at a time in NumPy: the layers stay in the cache


def layers(weights):
    """The weights as w1, b1, w2, b2, w3, b3."""
    pieces = (weights[end - size : end] for end, size in zip(ENDS, SIZES, strict=True))
    return [piece.reshape(shape) for piece, shape in zip(pieces, SHAPES, strict=True)]


def predict(weights, x, tanh):
    """The network's output (1, n) at the columns of ``x`` (8, n): arrays of numbers or of expressions."""
    w1, b1, w2, b2, w3, b3 = layers(weights)
    return w3 @ tanh(w2 @ tanh(w1 @ x + b1) + b2) + b3


def squared_error(weights, row, tanh):
    """The term of one row: 8 inputs, then the target."""
    error = predict(weights, row[:N_INPUTS, None], tanh)[0, 0] - row[N_INPUTS]
    return error * error


class Network(Sum):
    """The problem; fewer rows for smoke tests."""

    def __init__(self, n_rows=100_000):
        self.name, self.n_rows = f"network_{n_rows}", n_rows
        random = np.random.default_rng(8)
        self.weights = random.normal(0.0, 0.4, N_WEIGHTS)
        x = random.normal(size=(n_rows, N_INPUTS))
        target = np.sin(x[:, 0] + 2.0 * x[:, 1]) + 0.1 * random.normal(size=n_rows)
        self.rows = np.column_stack([x, target])
        self.columns = np.ascontiguousarray(x.T)

    @cached_property
    def _expected(self):
        def formula(*inputs):
            inputs = np.array(inputs, dtype=object)
            squared_error(inputs[:N_WEIGHTS], inputs[N_WEIGHTS:], np.frompyfunc(workloads.tanh, 1, 1))

        work = workloads.written(self.name, (), np.ones(N_WEIGHTS + N_INPUTS + 1), 0.0, formula)
        return traced(work, self.weights, self.rows)

    def expected(self):
        return self._expected

    def graph(self, fg):
        graph = fg.Graph("network")
        weights, row = graph.input("weights", N_WEIGHTS), graph.parameter("row", N_INPUTS + 1)
        graph.output(squared_error(weights, row, fg.tanh))
        return graph

    def fastgraph(self, fg):
        f = self.graph(fg).compile()
        return lambda weights: f.value_and_grad(weights, self.rows, reduce="sum")

    def jax(self, jax):
        x, target = jax.numpy.asarray(self.columns), jax.numpy.asarray(self.rows[:, N_INPUTS])

        @jax.jit
        @jax.value_and_grad
        def objective(weights):
            error = predict(weights, x, jax.numpy.tanh)[0] - target
            return error @ error

        return lambda weights: jax.block_until_ready(objective(weights))

    def numpy(self, np):
        def part(weights, x, target, gradient):
            w1, b1, w2, b2, w3, b3 = layers(weights)
            of_w1, of_b1, of_w2, of_b2, of_w3, of_b3 = layers(gradient)
            first = np.tanh(w1 @ x + b1)
            second = np.tanh(w2 @ first + b2)
            error = w3 @ second + b3 - target
            slope = 2.0 * error
            of_w3 += slope @ second.T
            of_b3 += slope.sum(1, keepdims=True)
            slope = (w3.T @ slope) * (1.0 - second * second)
            of_w2 += slope @ first.T
            of_b2 += slope.sum(1, keepdims=True)
            slope = (w2.T @ slope) * (1.0 - first * first)
            of_w1 += slope @ x.T
            of_b1 += slope.sum(1, keepdims=True)
            return error[0] @ error[0]

        cuts = [slice(start, start + CHUNK) for start in range(0, self.n_rows, CHUNK)]
        parts = [(self.columns[:, cut], self.rows[cut, N_INPUTS]) for cut in cuts]

        def objective(weights):
            gradient = np.zeros(N_WEIGHTS)
            return sum(part(weights, x, target, gradient) for x, target in parts), gradient

        return objective

    def numba(self, by_hand):
        return by_hand.network(self.rows, layers, N_WEIGHTS)

    def casadi(self, ca):
        """Matrix expressions, on all rows at once: by the row, through ``map``, it takes several times as long."""
        weights = ca.MX.sym("weights", N_WEIGHTS)
        pieces = ca.vertsplit(weights, [0, *ENDS.tolist()])
        w1, b1, w2, b2, w3, b3 = (ca.reshape(p, *shape[::-1]).T for p, shape in zip(pieces, SHAPES, strict=True))
        ones = ca.DM.ones(1, self.n_rows)
        hidden = ca.tanh(w1 @ ca.DM(self.columns) + b1 @ ones)
        hidden = ca.tanh(w2 @ hidden + b2 @ ones)
        value = ca.sumsqr(w3 @ hidden + b3 @ ones - ca.DM(self.rows[:, N_INPUTS]).T)
        function = ca.Function("network", [weights], [value, ca.gradient(value, weights)])
        return buffered(function, N_WEIGHTS)
