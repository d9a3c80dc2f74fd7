"""The algebra of expressions: the partials of every op, recorded as a graph, are those of its rule, bit for bit."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.expr import Symbols
from fastgraph.ops import TABLE, contribution
from fastgraph.reference import NumPyMachine


def arguments(op, n_points=80):
    """Ordinary and special arguments of an op, one array an operand."""
    rng = np.random.default_rng(op.code)
    columns = []
    for k, (low, high) in enumerate(op.domain.intervals):
        ordinary = rng.uniform(low, high, n_points)
        special = op.domain.specials[k] if op.domain.specials else ()
        mixed = rng.choice(special, n_points) if len(special) else ordinary
        columns.append(np.where(rng.random(n_points) < 0.5, ordinary, mixed))
    return columns


def cases():
    for op in TABLE:
        low, high = op.immediate or (0, 0)
        inner = [n for n in op.domain.immediates if op.names or low < n < high]  # the partials need n - 1 or n + 1
        for n in inner or [None]:
            name = getattr(n, "__name__", n)
            yield pytest.param(op, n, id=op.name if n is None else f"{op.name}-{name}")


def as_integers(x):
    return np.where(np.isnan(x), np.nan, x).view(np.int64)


@pytest.mark.parametrize(("op", "n"), list(cases()))
def test_recorded_partials_have_the_bits_of_the_rule(op, n):
    graph = fg.Graph(op.name)
    xs = [graph.input(f"x{k}") for k in range(op.arity)]
    w = graph.input("w")
    immediate = () if n is None else (n,)
    r = fg.Expr(graph, getattr(fg, op.name)(*xs, *immediate).node)
    shares = [contribution(Symbols(), w, p) for p in op.partials(Symbols(), r, *xs, *immediate)]
    flowing = [k for k, share in enumerate(shares) if share is not None]
    assert tuple(share is not None for share in shares) == op.flows
    if not flowing:
        return
    graph.output([shares[k] for k in flowing], name="shares")
    columns = arguments(op)
    weights = np.random.default_rng(1).normal(size=len(columns[0]))
    recorded = graph.compile()(*columns, weights)

    m = NumPyMachine()
    with np.errstate(all="ignore"):
        immediate = () if n is None else (np.float64(n),)
        r = op.apply(m, *columns, *immediate)
        expected = [contribution(m, weights, p) for p in op.partials(m, r, *columns, *immediate)]
    for j, k in enumerate(flowing):
        wanted = np.broadcast_to(expected[k], weights.shape)
        np.testing.assert_array_equal(as_integers(recorded[:, j]), as_integers(wanted))


def test_an_unknown_function_is_named():
    with pytest.raises(AttributeError, match="nothing_such"):
        Symbols().nothing_such(1.0)
