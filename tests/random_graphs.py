"""Random graphs over the whole op table, from a seed or, so that they shrink, from hypothesis.

In: choices. Out: a recorded ``fastgraph.Graph``. An operation whose value is constant, huge or NaN on the
probes is mostly not recorded, and operands are mostly nodes without a user yet, so that a graph's output says
something about what went into it.
"""

import numpy as np
from hypothesis import strategies as st

import fastgraph as fg
from fastgraph.expr import FUNCTIONS
from fastgraph.ops import OPS, TABLE
from fastgraph.ops.accuracy import immediate_lanes, immediates_of
from fastgraph.ops.table import EDGES
from fastgraph.passes import Columns, narrow
from fastgraph.program import DTYPES, assemble
from tests.rough import Rough

PROBES = 3
EVERY = tuple(op for op in TABLE if not op.is_declared)  # whose partials are the derivatives of their values
JOINTS = ("add", "fmin", "fmax", "mul", "fmin", "fmax")  # how nodes left without a user meet in the output
CONSTANTS = (0.5, 2.0, 3.0, -1.5, 0.1, 7.0, 1.0, 0.0)
# Rules that run in no time on NumPy: for tests which want many graphs rather than every op.
ARITHMETIC = tuple(op for op in TABLE if op.name in {"add", "sub", "mul", "div", "neg", "square", "maximum", "where"})
# Values of inputs from which most ops give ordinary numbers, and those that break rules.
ORDINARY = (0.25, 0.5, 1.0, 1.5, 2.0, -0.5, -1.25, 3.0)


class Seeded:
    """Choices by a NumPy generator."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def below(self, n):
        return int(self.rng.integers(n))

    def number(self):
        return float(self.rng.normal(scale=2.0))


class Drawn:
    """Choices by hypothesis."""

    def __init__(self, draw):
        self._draw = draw

    def below(self, n):
        return self._draw(st.integers(0, n - 1))

    def number(self):
        return self._draw(st.floats(-8.0, 8.0, allow_subnormal=False))


def pick(choices, sequence):
    """One element of a sequence."""
    return sequence[choices.below(len(sequence))]


def an_immediate(op):
    """Arguments that functions of expressions take besides the operands: nothing, a number, or a table."""
    return () if op.immediate is None else (op.domain.immediates[1] if op.names else 3,)


def record(
    choices, n_ops=30, n_inputs=3, n_outputs=1, ops=EVERY, constants=CONSTANTS + EDGES, dtype=np.float64
):  # fmt: skip
    """Record a graph of ``n_ops`` operations on ``n_inputs`` scalar inputs and constants.

    Parameters
    ----------
    choices : Seeded or Drawn
    n_ops, n_inputs, n_outputs : int
    ops : sequence of Op
    constants : sequence of float
        What every sixteenth operand is drawn from.
    dtype : float64 or float32
        What the graph can be compiled for: of immediates, those it holds.

    Returns
    -------
    Graph
    """
    graph = fg.Graph("random")
    m = Rough()
    nodes = [(graph.input(f"x{k}"), np.array([0.3, 1.7, -0.9]) * (k + 1)) for k in range(n_inputs)]
    unused = list(nodes)
    for _ in range(n_ops):
        for _ in range(6):
            op = pick(choices, ops)
            if not any(op.flows) and choices.below(3):
                continue
            operands = [_operand(choices, graph, nodes, unused, constants) for _ in range(op.arity)]
            n = () if op.immediate is None else (pick(choices, immediates_of(op, dtype)),)
            with np.errstate(all="ignore"):
                lanes = immediate_lanes(op, *n, PROBES) if n else ()
                value = np.broadcast_to(op.apply(m, *(v for _, v in operands), *lanes), PROBES)
            if _says_something(value) or choices.below(12) == 0:
                break
        else:
            continue
        unused = [node for node in unused if not any(node is operand for operand in operands)]
        nodes.append((FUNCTIONS[op.name](*(x for x, _ in operands), *n), np.array(value, np.float64)))
        unused.append(nodes[-1])
    joined = unused[-8:]
    while len(joined) > 1:
        op = OPS[pick(choices, JOINTS)]
        (x, u), (y, v) = joined[:2]
        with np.errstate(all="ignore"):
            nodes.append((FUNCTIONS[op.name](x, y), op.apply(m, u, v)))
        joined = [*joined[2:], nodes[-1]]
    for k in range(n_outputs):
        graph.output(nodes[-1][0] if k == 0 else pick(choices, nodes)[0])
    return graph


def _says_something(value):
    tame = np.abs(value[np.isfinite(value)])
    return len(tame) > 1 and tame.max() < 1e60 and np.unique(tame).size > 1


def _operand(choices, graph, nodes, unused, constants):
    kind = choices.below(16)
    if kind < 1:
        value = pick(choices, constants)
        return graph.constant(value), np.full(PROBES, value)
    return pick(choices, unused if kind < 9 and unused else nodes)


def input_sets(seed, n_inputs, count, special=0.05):
    """Leaves for ``count`` input sets, shape (n_inputs, count): mostly ordinary, some of them special values."""
    rng = np.random.default_rng([seed, 1])
    leaves = np.where(
        rng.random((n_inputs, count)) < 0.3,
        rng.choice(ORDINARY, (n_inputs, count)),
        rng.normal(scale=2.0, size=(n_inputs, count)),
    )
    return np.where(rng.random((n_inputs, count)) < special, rng.choice(EDGES, (n_inputs, count)), leaves)


@st.composite
def graphs(draw, max_ops=20, max_inputs=3, **options):
    """Strategy of recorded graphs with one output; options as of :func:`record`."""
    n_inputs = draw(st.integers(1, max_inputs))
    n_ops = draw(st.integers(1, max_ops))
    return record(Drawn(draw), n_ops, n_inputs, **options)


def columns_of(graph):
    """What was recorded, before any pass."""
    return Columns(*graph.columns(), None, graph.tables, graph.functions)


def plain_program(graph, dtype=DTYPES[0]):
    """The program of a graph on which no pass but the scheduler has run: nothing folded, shared, pruned or masked."""
    return assemble(narrow(columns_of(graph), dtype), sum(a.size for a in graph.arguments), dtype)
