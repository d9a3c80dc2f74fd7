"""Workloads: graphs as neutral lists of operations, so that every peer records the same graph.

In: a name (and a number of operations). Out: a ``Workload``, made from a fixed seed. ``replay`` runs one over anything
that has arithmetic operators: expressions of a library, NumPy arrays, Python floats.
"""

import operator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from bench.random_graphs import COUPLING, grow

OPS = ("add", "sub", "mul", "div", "neg", "exp", "log", "sin", "tanh", "sqrt", "ndtr")
BINARY = 4  # the ops before this index take two operands
CODE = {name: code for code, name in enumerate(OPS)}
OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
}


@dataclass(frozen=True, eq=False)
class Workload:
    """A graph of one output.

    Nodes are numbered: inputs, constants, operations. ``codes[i]`` applied to the nodes ``x[i]`` and ``y[i]`` is
    operation i; ops of one operand ignore ``y``. An input set is ``centre * (1 + spread * u)`` with u in [-1, 1).
    """

    name: str
    names: tuple[str, ...]  # of the inputs, or () for one vector
    centre: np.ndarray
    spread: float
    constants: tuple[float, ...]
    codes: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def n_inputs(self):
        return len(self.centre)

    @property
    def n_ops(self):
        return len(self.codes)

    @cached_property
    def steps(self):
        """Code, x and y as lists of Python integers, which a recording loop reads fastest."""
        return self.codes.tolist(), self.x.tolist(), self.y.tolist()

    def sets(self, n, seed=1):
        """``n`` input sets as an array (n_inputs, n)."""
        u = np.random.default_rng(seed).uniform(-1.0, 1.0, (self.n_inputs, n))
        return self.centre[:, None] * (1.0 + self.spread * u)

    @cached_property
    def one_set(self):
        """One input set, (n_inputs,)."""
        return np.ascontiguousarray(self.sets(1, seed=2)[:, 0])

    def __repr__(self):
        return self.name


def replay(work, leaves, functions):
    """Run the operations on ``leaves``; ``functions`` adds to or replaces ``OPERATORS``. Return all nodes."""
    table = OPERATORS | functions
    apply = [table.get(name) for name in OPS]
    apply[BINARY:] = [lambda x, _, f=f: f(x) for f in apply[BINARY:]]
    nodes = [*leaves, *work.constants]
    append = nodes.append
    for code, x, y in zip(*work.steps, strict=True):
        append(apply[code](nodes[x], nodes[y]))
    return nodes


# -- written by hand ------------------------------------------------------------------------------------------
class _Symbol:
    """Records Python arithmetic as operations of a workload."""

    def __init__(self, tape, key):
        self.tape, self.key = tape, key

    def _record(self, name, x, y):
        keys = [v.key if isinstance(v, _Symbol) else ("constant", float(v)) for v in (x, y)]
        self.tape.append((CODE[name], *keys))
        return _Symbol(self.tape, ("op", len(self.tape) - 1))


for _name, _swapped in (("add", "radd"), ("sub", "rsub"), ("mul", "rmul"), ("truediv", "rtruediv")):
    _op = "div" if _name == "truediv" else _name
    setattr(_Symbol, f"__{_name}__", lambda x, y, op=_op: x._record(op, x, y))
    setattr(_Symbol, f"__{_swapped}__", lambda x, y, op=_op: x._record(op, y, x))


def _function(name):
    return lambda x: x._record(name, x, x)


exp, log, tanh, sqrt, ndtr = map(_function, ("exp", "log", "tanh", "sqrt", "ndtr"))


def written(name, names, centre, spread, formula):
    tape = []
    centre = np.array(centre, dtype=np.float64)
    formula(*(_Symbol(tape, ("input", k)) for k in range(len(centre))))
    constants = list(dict.fromkeys(key[1] for _, *keys in tape for key in keys if key[0] == "constant"))

    def node(key):
        kind, value = key
        if kind == "constant":
            return len(centre) + constants.index(value)
        return value if kind == "input" else len(centre) + len(constants) + value

    codes, x, y = zip(*((code, node(left), node(right)) for code, left, right in tape), strict=True)
    columns = [np.array(c, dtype=np.uint32) for c in (codes, x, y)]
    return Workload(name, names, centre, spread, tuple(constants), *columns)


@cache
def tiny():
    """(a + b) * (b - c)"""
    return written("tiny", ("a", "b", "c"), [2.0, 3.0, 1.0], 0.1, lambda a, b, c: (a + b) * (b - c))


@cache
def black_scholes():
    """The price of a call; its five first derivatives are the greeks delta, dual delta, theta, rho and vega."""

    def price(spot, strike, years, rate, vol):
        deviation = vol * sqrt(years)
        d1 = (log(spot / strike) + (rate + 0.5 * (vol * vol)) * years) / deviation
        return spot * ndtr(d1) - strike * exp(rate * years * -1.0) * ndtr(d1 - deviation)

    names = ("spot", "strike", "years", "rate", "vol")
    return written("black_scholes", names, [100.0, 105.0, 1.0, 0.03, 0.25], 0.3, price)


@cache
def rosenbrock(n=1000):
    """The sum of 100 (x[i+1] - x[i]**2)**2 + (1 - x[i])**2, added one term after the other."""

    def total(*x):
        result = None
        for here, there in zip(x, x[1:], strict=False):
            rise, left = there - here * here, 1.0 - here
            term = 100.0 * (rise * rise) + left * left
            result = term if result is None else result + term
        return result

    return written(f"rosenbrock_{n}", (), np.linspace(0.5, 1.5, n), 0.01, total)


@cache
def chain(n_ops=1_000_000):
    """Dependent operations, two inputs: x <- x * decay, x <- x + 1e-6. Value and adjoint stay near 1."""
    nodes = np.arange(n_ops, dtype=np.uint32)
    x = np.where(nodes == 0, 0, nodes + 2).astype(np.uint32)  # node 2 is the constant, operation i is node 3 + i
    y = np.where(nodes % 2 == 0, 1, 2).astype(np.uint32)
    codes = np.where(nodes % 2 == 0, CODE["mul"], CODE["add"]).astype(np.uint32)
    return Workload(f"chain_{n_ops}", ("start", "decay"), np.array([1.0, 1.0 - 1e-6]), 1e-7, (1e-6,), codes, x, y)


# -- random ---------------------------------------------------------------------------------------------------
REACH = 1000  # operands are among the last so many nodes, or a tenth of the graph, as in graphs written by people


def _random(name, n_ops, weights, n_inputs, reach, seed):
    spread = 1e-4
    points = 1.0 + spread * np.random.default_rng(seed).uniform(-1.0, 1.0, (n_inputs, 4))
    centre = np.random.default_rng(seed + 1).uniform(0.5, 2.0, n_inputs)
    of_code = np.array([weights.get(op, 0.0) for op in OPS])
    codes, x, y = grow(n_inputs, n_ops, reach, of_code / of_code.sum(), centre[:, None] * points, seed)
    return Workload(name, (), centre, spread, (COUPLING,), codes, x, y)


@cache
def arithmetic(n_ops):
    """A random graph of additions, subtractions and products in equal parts."""
    n_inputs = min(32, max(2, n_ops // 4))
    reach = min(REACH, max(n_inputs, n_ops // 10))
    return _random(f"arithmetic_{n_ops}", n_ops, {"add": 1, "sub": 1, "mul": 1}, n_inputs, reach, n_ops)


@cache
def scattered(n_ops):
    """As ``arithmetic``, with operands from anywhere before: few levels, no locality."""
    return _random(f"scattered_{n_ops}", n_ops, {"add": 1, "sub": 1, "mul": 1}, 32, n_ops, n_ops)


@cache
def with_divisions(n_ops):
    """As ``arithmetic``, with one division in ten."""
    return _random(f"divisions_{n_ops}", n_ops, {"add": 3, "sub": 3, "mul": 3, "div": 1}, 32, REACH, n_ops)


@cache
def elementary(n_ops):
    """Half arithmetic, half exp, log, sin, tanh, sqrt."""
    weights = {"add": 2, "sub": 1, "mul": 2, "exp": 1, "log": 1, "sin": 1, "tanh": 1, "sqrt": 1}
    return _random(f"elementary_{n_ops}", n_ops, weights, 32, REACH, n_ops)


def by_name():
    """The workloads of the suites up to 100,000 operations; the larger ones are the report's."""
    made = [tiny(), black_scholes(), rosenbrock(), elementary(10_000), with_divisions(10_000), chain(10_000)]
    made += [arithmetic(1_500), arithmetic(10_000), arithmetic(100_000)]
    return {work.name: work for work in made}
