"""Costs: functions whose derivatives are set against their value, each in fastgraph's fastest documented way.

In: fastgraph. Out: problems with callables for one set and for batches, past a gate: along a direction, gradients and
products agree with each other and with differences of the function's own values, which ``bench/test_one_set.py`` holds.
"""

import numpy as np

from bench import workloads
from bench.network import N_INPUTS, N_WEIGHTS, SHAPES, layers, squared_error
from bench.peers import Fastgraph

SMALL = 200  # operations below which a call of one set is mostly Python
LANE_OPS = 20_000_000  # of a batch, in sets times operations
STEP, AGREEMENT = 1e-5, 1e-6  # of a central difference of fourth order; relative to the largest number


class Cost:
    """A function, where it is evaluated, and directions; ``gradient`` says what the reverse sweep of it is called.

    Parameters
    ----------
    name : str
    f : Function
        Without parameters.
    sets : callable
        ``sets(n)``: input sets (n_inputs, n).
    """

    def __init__(self, name, f, sets):
        self.name, self.f, self.sets = name, f, sets
        n = max(1, f.program.n_operations)
        self.n_sets = max(256, LANE_OPS // n // 64 * 64)
        self.few_sets = max(64, self.n_sets // 16)
        self.gradient = "gradient" if f.is_scalar else "vjp"
        self.random = np.random.default_rng(5)
        self.x = np.ascontiguousarray(sets(1)[:, 0])
        self.cotangents = None if f.is_scalar else self.random.normal(size=f.flat.m)

    def one_set(self):
        """Value, gradient, hvp and jvp of one set, arrays in and out."""
        flat, x, w = self.f.flat, self.x, self.cotangents
        v = self.random.normal(size=len(x))
        self.check(v)
        runs = {"value": lambda: flat(x)}
        if w is None:
            runs["gradient"] = lambda: flat.value_and_grad(x)
        else:
            runs["gradient"] = lambda: flat.vjp(x, w)
        return runs | {"hvp": lambda: flat.hvp(x, v, weights=w), "jvp": lambda: flat.jvp(x, v)}

    def batch(self):
        """As ``one_set``, of many, variables first, written to arrays that exist."""
        flat, w, n = self.f.flat, self.cotangents, self.n_sets
        x = self.sets(n)
        v = self.random.normal(size=x.shape)
        y, ty = (np.empty((flat.m, n)[1 if w is None else 0 :]) for _ in range(2))
        product, w = np.empty(x.shape), None if w is None else w[:, None]
        runs = {"value": lambda: flat(x, axis=0, out=y)}
        if w is None:
            runs["gradient"] = lambda: flat.value_and_grad(x, axis=0, out=(y, product))
        else:
            runs["gradient"] = lambda: flat.vjp(x, w, axis=0, out=(y, product))
        runs["hvp"] = lambda: flat.hvp(x, v, axis=0, weights=w, out=product)
        runs["jvp"] = lambda: flat.jvp(x, v, axis=0, out=(y, ty))
        for k in (0, n - 1):  # a set has the same bits in every batch
            one, along = (np.ascontiguousarray(part[:, k]) for part in (x, v))
            runs["jvp"]()
            assert np.array_equal(ty[..., k], flat.jvp(one, along)[1]), f"{self.name}: the jvp of set {k} is off"
            runs["hvp"]()
            alone = flat.hvp(one, along, weights=self.cotangents)
            assert np.array_equal(product[:, k], alone), f"{self.name}: the hvp of set {k} is off"
        return runs

    def along(self, directions):
        """The value, and products with k tangents at one point for each k."""
        flat, x = self.f.flat, self.x
        runs = {"value": lambda: flat(x)}
        self.check(self.random.normal(size=len(x)))
        for k in directions:
            tangents = self.random.normal(size=(k, len(x)))
            alone = flat.jvp(x, tangents[-1])[1]
            assert np.array_equal(flat.jvp(x, tangents)[1][-1], alone), f"{self.name}: tangent {k} is off"
            runs[k] = lambda tangents=tangents: flat.jvp(x, tangents)
        return runs

    def batch_along(self, directions):
        """As ``along``, of a batch: k tangents at every set, in arrays that exist."""
        flat, x = self.f.flat, np.ascontiguousarray(self.sets(self.few_sets).T)
        shape = (self.few_sets, *(() if self.f.is_scalar else (flat.m,)))
        y = np.empty(shape)
        runs = {"value": lambda: flat(x, out=y)}
        for k in directions:
            tangents = self.random.normal(size=(k, 1, len(x[0])))
            out = np.empty((k, *shape)), np.empty((k, *shape))
            runs[k] = lambda tangents=tangents, out=out: flat.jvp(x, tangents, out=out)
        return runs

    def check(self, v):
        """The gate: raise AssertionError unless the derivatives along ``v`` are differences of values and gradients."""
        flat, x, w = self.f.flat, self.x, self.cotangents
        step = STEP * np.abs(x).max() / np.abs(v).max()

        def slopes(at):
            return flat.grad(at) if w is None else flat.vjp(at, w)[1]

        def difference(function):
            near, far = (function(x + h * v) - function(x - h * v) for h in (step, 2.0 * step))
            return (8.0 * near - far) / (12.0 * step)

        value, moved = flat.jvp(x, v)
        self._agree("value", value, flat(x), 0.0)
        self._agree("jvp", moved, difference(flat), AGREEMENT)
        self._agree("gradient", slopes(x) @ v, moved if w is None else w @ moved, 1e-9)
        self._agree("hvp", flat.hvp(x, v, weights=w), difference(slopes), AGREEMENT)

    def _agree(self, what, got, wanted, tolerance):
        error = np.abs(np.asarray(got) - wanted).max() / max(np.abs(wanted).max(), 1e-300)
        assert error <= tolerance, f"{self.name}: the {what} is off by {error:.1e}"


def network(fg):
    """The term of one row of ``bench.network``, by weights and row."""
    graph = fg.Graph("network")
    weights, row = graph.input("weights", N_WEIGHTS), graph.input("row", N_INPUTS + 1)
    graph.output(squared_error(weights, row, fg.tanh))
    return Cost("network, 1 row", graph.compile(), _normal(N_WEIGHTS + N_INPUTS + 1))


def hidden(fg):
    """A function of 16 outputs: the second layer of the network, by weights and inputs."""
    n = N_WEIGHTS - SHAPES[-1][0] - SHAPES[-2][1]
    graph = fg.Graph("layers")
    weights, x = graph.input("weights", n), graph.input("x", N_INPUTS)
    w1, b1, w2, b2, *_ = layers(np.concatenate([weights, np.zeros(N_WEIGHTS - n)]))
    graph.output(fg.tanh(w2 @ fg.tanh(w1 @ x[:, None] + b1) + b2)[:, 0])
    return Cost("two layers, 16 outputs", graph.compile(), _normal(n + N_INPUTS))


def _normal(n):
    return lambda sets: np.random.default_rng(6).normal(0.0, 0.4, (n, sets))


def _recorded(work):
    return lambda fg: Cost(work.name, Fastgraph().record(work).compile(), work.sets)


_WORKLOADS = workloads.arithmetic(10_000), workloads.elementary(10_000), workloads.black_scholes()
PROBLEMS = {work.name: _recorded(work) for work in _WORKLOADS} | {"network": network, "layers": hidden}
