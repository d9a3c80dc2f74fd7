"""Functions and ufuncs: every op has both, they take scalars, numbers and arrays, and record what they say."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ExprError
from fastgraph.ops import TABLE
from tests import engines
from tests.random_graphs import an_immediate, plain_program


@pytest.fixture
def graph():
    return fg.Graph("test")


@pytest.fixture
def x(graph):
    return graph.input("x")


def evaluated(graph, expr, *args):
    """The value of an expression of the graph, without any pass."""
    graph.output(expr)
    leaves = np.array(args, np.float64).reshape(-1, 1)
    return float(engines.reference(plain_program(graph), leaves)[0][-1][0])


def recorded(graph):
    """(name, operands) of the last row of the graph."""
    row = graph.columns()[0][-1].tolist()
    op = TABLE[row[0]]
    return op.name, row[1 : 1 + op.arity]


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_every_op_has_a_function(graph, op):
    assert op.name in fg.__all__ and getattr(fg, op.name).__name__ == op.name and getattr(fg, op.name).__doc__
    xs = graph.inputs(*"abc"[: op.arity])
    n = an_immediate(op)
    result = getattr(fg, op.name)(*xs, *n)
    assert type(result) is fg.Expr and recorded(graph) == (op.name, [x.node for x in xs])


@pytest.mark.parametrize("op", [op for op in TABLE if op.immediate is None], ids=lambda op: op.name)
def test_functions_broadcast_over_arrays(op):
    graph = fg.Graph()
    arrays = [graph.input(shape=(2, 3)) if k == 0 else graph.input(shape=3) for k in range(op.arity)]
    result = getattr(fg, op.name)(*arrays)
    assert result.shape == (2, 3) and isinstance(result, fg.ExprArray)
    assert all(type(e) is fg.Expr for e in result.flat)
    last = graph.columns()[0][result[1, 2].node].tolist()
    assert last[: 1 + op.arity] == [op.code, *(np.broadcast_to(a, (2, 3))[1, 2].node for a in arrays)]


UFUNCS = [op for op in TABLE if isinstance(getattr(np, op.ufunc or op.name, None), np.ufunc)]


def test_most_ops_are_ufuncs():
    assert len(UFUNCS) > 45


@pytest.mark.parametrize("op", UFUNCS, ids=lambda op: op.name)
def test_every_ufunc_records_its_op(graph, op):
    ufunc = getattr(np, op.ufunc or op.name)
    xs = graph.inputs(*"abc"[: op.arity])
    assert type(ufunc(*xs)) is fg.Expr and recorded(graph) == (op.name, [x.node for x in xs])
    if op.arity == 2:
        constant = graph.constant(2.5).node
        for number in (2.5, np.float64(2.5), np.array(2.5)):
            assert type(ufunc(number, xs[0])) is fg.Expr and recorded(graph) == (op.name, [constant, xs[0].node])
            assert type(ufunc(xs[0], number)) is fg.Expr and recorded(graph) == (op.name, [xs[0].node, constant])


# NumPy's loops over objects compute these by operators, and simplify makes the ops of them; those below it cannot.
ON_OBJECTS = {"square": "mul", "reciprocal": "div"}
NOT_ON_OBJECTS = frozenset(
    [
        "sign",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "isnan",
        "isinf",
        "isfinite",
        "logical_not",
        "copysign",
        "minimum",
        "maximum",
        "fmin",
    ]
)


@pytest.mark.parametrize("op", UFUNCS, ids=lambda op: op.name)
def test_ufuncs_of_object_arrays(op):
    """np.sin of an array of expressions asks each for its method ``sin``; it records the op, or raises a TypeError."""
    graph = fg.Graph()
    arrays = [graph.input(shape=(2, 2)) for _ in range(op.arity)]
    try:
        result = getattr(np, op.ufunc or op.name)(*arrays)
    except TypeError:
        # NumPy's loops ask for a truth value or a number, or there is none: fg's function takes arrays.
        assert op.arity == 2 or op.name in NOT_ON_OBJECTS
        result = getattr(fg, op.name)(*arrays)
    assert result.shape == (2, 2)
    assert all(type(e) is fg.Expr for e in result.flat)
    name, operands = recorded(graph)
    assert name in (op.name, ON_OBJECTS.get(op.name)) and {a[1, 1].node for a in arrays} <= set(operands)


def test_array_arithmetic(graph):
    x = graph.input("x", shape=(2, 2))
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    for result in (x + numbers, numbers * x, x @ numbers, numbers @ x, x / 2.0, 2.0 - x, x**2, -x, abs(x)):
        assert result.shape == (2, 2) and all(type(e) is fg.Expr for e in result.flat)
    assert (x < numbers).shape == (numbers < x).shape == fg.lt(x, numbers).shape == (2, 2)
    total = np.sum(x)
    assert type(total) is fg.Expr
    assert evaluated(graph, total * 1.0, 1.0, 2.0, 3.0, 4.0) == 10.0


def test_expression_with_a_number_array_gives_an_array_of_expressions(graph, x):
    numbers = np.array([1.0, 2.0, 3.0])
    for result in (x + numbers, numbers + x, numbers * x, x - numbers, numbers / x, numbers**x, x < numbers):
        assert isinstance(result, fg.ExprArray) and result.shape == (3,)
        assert all(type(e) is fg.Expr for e in result)
    y = numbers - x
    assert evaluated(graph, y[2], 0.5) == 2.5


@pytest.mark.parametrize("call", [np.spacing, np.nextafter, np.gcd, np.frexp])
def test_ufuncs_without_an_op(x, call):
    with pytest.raises((ExprError, TypeError)):
        call(x, x) if call in (np.nextafter, np.gcd) else call(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.add.at(x, 0, 1),
        lambda x: np.sin(x, out=np.empty(1)),
        lambda x: np.add(x, 1.0, dtype=np.float32),
        lambda x: np.modf(x),
    ],
)
def test_ufunc_methods_and_keywords_are_refused(x, call):
    with pytest.raises(ExprError):
        call(x)
