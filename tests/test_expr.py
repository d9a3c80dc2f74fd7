"""Expr: every operator, function and ufunc records its op; whatever has no meaning raises a typed error that helps."""

import copy
import math
import operator

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ExprError, FastgraphError
from fastgraph.expr import FUNCTIONS
from fastgraph.ops import OPS, TABLE
from tests import engines
from tests.bits import assert_same_bits
from tests.random_graphs import plain_program

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
OPERATORS = [op for op in TABLE if op.operator]
NUMBERS = [
    2,
    2.0,
    True,
    np.float64(2.0),
    np.float32(2.0),
    np.int32(2),
    np.uint8(2),
    np.bool_(True),
    np.array(2.0),
    np.array(2),
    np.float16(2.0),
    np.longdouble(2.0),
]


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


# -- operators ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.arity == 2], ids=lambda op: op.name)
def test_binary_operators(graph, op):
    x, y = graph.inputs("x", "y")
    stem = {"and": "and_", "or": "or_"}.get(op.operator, op.operator)
    result = getattr(operator, stem)(x, y)
    assert isinstance(result, fg.Expr) and recorded(graph) == (op.name, [x.node, y.node])


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: type(n).__name__ + str(np.ndim(n)))
@pytest.mark.parametrize("op", [op for op in OPERATORS if op.arity == 2 and op.name != "pow"], ids=lambda op: op.name)
def test_binary_operators_with_numbers(graph, x, op, number):
    """Numbers of any kind on either side: a scalar NumPy number must not make an array of it."""
    stem = {"and": "and_", "or": "or_"}.get(op.operator, op.operator)
    for args in ((x, number), (number, x)):
        result = getattr(operator, stem)(*args)
        assert type(result) is fg.Expr
        constant = graph.constant(float(number)).node
        name, operands = recorded(graph)
        expected = [constant if a is number else x.node for a in args]
        if op.operator in COMPARISONS and args[0] is number:  # Python or NumPy may swap a comparison
            swapped = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}.get(name, name)
            assert (name, operands) == (op.name, expected) or (swapped, operands[::-1]) == (op.name, expected)
        else:
            assert (name, operands) == (op.name, expected)


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.arity == 1], ids=lambda op: op.name)
def test_unary_operators(graph, x, op):
    convert = getattr(operator, op.operator, None) or getattr(math, op.operator)  # math.floor calls __floor__
    convert(x)
    assert recorded(graph) == (op.name, [x.node])


def test_plus_is_nothing(x):
    assert +x is x


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [
        (3, ("powi", 3)),
        (-2, ("powi", -2)),
        (0, ("powi", 0)),
        (2.0, ("powi", 2)),
        (True, ("powi", 1)),
        (np.int64(5), ("powi", 5)),
        (np.float32(5.0), ("powi", 5)),
        (np.array(4), ("powi", 4)),
        (2**31 - 1, ("powi", 2**31 - 1)),
        (-(2**31) + 1, ("powi", -(2**31) + 1)),
        (2**31, ("pow", None)),
        (2.0**40, ("pow", None)),
        (0.5, ("pow", None)),
        (math.inf, ("pow", None)),
        (-math.inf, ("pow", None)),
        (math.nan, ("pow", None)),
        (10**300, ("pow", None)),
    ],
)
@pytest.mark.parametrize("how", [operator.pow, fg.pow, np.power])
def test_powers(graph, x, exponent, expected, how):
    how(x, exponent)
    row = graph.columns()[0][-1]
    name, n = expected
    assert TABLE[row[0]].name == name
    if n is not None:
        assert np.uint32(row[2]).astype(np.int32) == n
    else:
        assert row[2] == graph.constant(float(exponent)).node


def test_reflected_and_modular_powers(graph, x):
    operator.pow(2, x)
    assert recorded(graph) == ("pow", [graph.constant(2.0).node, x.node])
    with pytest.raises(ExprError, match="modulus"):
        pow(x, 2, 3)


@pytest.mark.parametrize("n", [1.5, "2", None, 2.0, 1j, [2], 2**31, -(2**31) - 1, math.nan])
def test_immediates_are_integers_in_range(x, n):
    with pytest.raises(ExprError, match="powi: n must be"):
        fg.powi(x, n)
    with pytest.raises(ExprError, match="polygamma: n must be"):
        fg.polygamma(x, 0 if isinstance(n, int) else n)


def test_an_immediate_is_no_expression(graph, x):
    with pytest.raises(ExprError):
        fg.powi(x, x)
    with pytest.raises(ExprError):
        fg.powi(2.0, 3)


# -- what has no truth value, and no value ------------------------------------------------------------------


@pytest.mark.parametrize(
    "branch",
    [
        bool,
        lambda e: 1 if e else 0,
        lambda e: e and 1,
        lambda e: e or 1,
        lambda e: not e,
        lambda e: 0 < e < 1,
        lambda e: e in [1.0, 2.0],
        lambda e: max(e, 1.0),
        lambda e: min(1.0, e),
        lambda e: sorted([e, e]),
        lambda e: any([e]),
        lambda e: all([e]),
        lambda e: [i for i in (1,) if e],
        lambda e: {1.0: "a"}.get(1.0) if e == 1.0 else None,
    ],
)
def test_a_branch_is_never_frozen_silently(x, branch):
    with pytest.raises(TypeError, match=r"fg\.where") as caught:
        branch(x)
    assert isinstance(caught.value, ExprError) and isinstance(caught.value, FastgraphError)


@pytest.mark.parametrize(
    "convert",
    [
        float,
        int,
        complex,
        operator.index,
        round,
        range,
        hex,
        np.float64,
        lambda e: divmod(e, 2),
    ],
)
def test_an_expression_has_no_value(x, convert):
    with pytest.raises(TypeError):
        convert(x)


@pytest.mark.parametrize("convert", [float, int, complex, operator.index, np.float64])
def test_the_error_names_the_remedies(x, convert):
    with pytest.raises(ExprError, match=r"fg\.where"):
        convert(x)


@pytest.mark.parametrize("function", [math.sin, math.exp, math.sqrt, math.log, math.isnan])
def test_the_math_module(x, function):
    with pytest.raises(ExprError, match=r"fg\.sin"):
        function(x)


@pytest.mark.parametrize(
    "array",
    [
        lambda x: np.array([x], dtype=float),
        lambda x: np.asarray(x, dtype=np.float64),
        lambda x: np.zeros(2).__setitem__(0, x),
    ],
)
def test_arrays_of_numbers_do_not_take_expressions(x, array):
    with pytest.raises((ExprError, TypeError, ValueError)):
        array(x)


@pytest.mark.parametrize("other", [1j, "2", None, b"2", object(), {}, 10**400])
@pytest.mark.parametrize("use", [operator.add, operator.mul, operator.pow, operator.lt, operator.and_])
def test_operands_that_are_no_real_numbers(x, other, use):
    for args in ((x, other), (other, x)):
        with pytest.raises(TypeError):
            use(*args)


@pytest.mark.parametrize(
    "other", [1j, "2", None, b"2", object(), 10**400, np.complex128(1), np.datetime64("2020-01-01")]
)
@pytest.mark.parametrize(
    "function", [fg.hypot, fg.pow, fg.maximum, lambda x, y: fg.where(x, y, 1.0), lambda x, y: fg.fma(y, x, 1.0)]
)
def test_arguments_that_are_no_real_numbers(x, other, function):
    with pytest.raises(ExprError):
        function(x, other)


def test_equality_with_anything_is_no_silent_answer(x):
    """``==`` with what is no number: Python's own answer would be False, and freeze a branch."""
    for other in ("2", None):
        try:
            answer = x == other
        except TypeError:
            continue
        assert answer is False or isinstance(answer, fg.Expr)


@pytest.mark.parametrize("function", [fg.sin, fg.hypot, fg.where, fg.maximum])
def test_functions_of_numbers_alone(function):
    arity = OPS[function.__name__].arity
    with pytest.raises(ExprError, match="NumPy or math"):
        function(*[1.0] * arity)


# -- identity, hash, copies ---------------------------------------------------------------------------------


def test_hash_is_by_identity(graph, x):
    y = graph.input("y")
    table = {x: "x", y: "y"}
    assert table[x] == "x" and table[y] == "y" and len({x, y, x}) == 2


def test_equality_records(graph, x):
    assert type(x == 1.0) is fg.Expr and recorded(graph)[0] == "eq"
    assert type(x != x) is fg.Expr and recorded(graph)[0] == "ne"


def test_expressions_have_no_other_attributes(x):
    with pytest.raises(AttributeError):
        x.label = "x"
    assert not hasattr(x, "__len__") and not hasattr(x, "__iter__")
    with pytest.raises(TypeError):
        iter(x)
    with pytest.raises(TypeError):
        len(x)
    with pytest.raises(TypeError):
        x[0]


def test_copies_belong_to_the_same_graph(graph, x):
    y = copy.copy(x)
    assert y.graph is graph and y.node == x.node


def test_repr(x):
    assert repr(x + 1.0) == "<Expr x + 1>"


# -- values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record_", "args", "expected"),
    [
        (lambda x: 2 - x / 4, (6.0,), 0.5),
        (lambda x: 7 % x, (-4.0,), -1.0),
        (lambda x: x % 4, (-7.0,), 1.0),
        (lambda x: 2**x, (-1.0,), 0.5),
        (lambda x: x**-3, (2.0,), 0.125),
        (lambda x: abs(-x), (-3.0,), 3.0),
        (lambda x: (x > 1) & (x < 3), (2.0,), 1.0),
        (lambda x: (x > 1) | 0, (0.0,), 0.0),
        (lambda x: (x > 1) ^ True, (2.0,), 0.0),
        (lambda x: ~(x == 2), (2.0,), 0.0),
        (lambda x: x >= 1, (1.0,), 1.0),
        (lambda x: np.float64(2) * x + np.float32(0.5), (3.0,), 6.5),
        (lambda x: np.sin(x) ** 2 + np.cos(x) ** 2 - np.sin(x) ** 2, (0.0,), 1.0),
        (lambda x: fg.where(x > 0, 1, 2), (-1.0,), 2.0),
    ],
)
def test_values(graph, record_, args, expected):
    assert evaluated(graph, record_(*graph.inputs(*"ab"[: len(args)])), *args) == expected


def test_functions_of_the_table_and_methods_record_the_same(graph, x):
    """An element's method, which NumPy calls for object arrays, is the function of the same name."""
    for op in TABLE:
        if op.arity == 1 and op.immediate is None:
            FUNCTIONS[op.name](x)
            first = recorded(graph)
            getattr(x, op.ufunc or op.name)()
            assert recorded(graph) == first


def test_bits_of_constants_are_kept(graph, x):
    values = [5e-324, -0.0, 0.1, 1.7976931348623157e308]
    for value in values:
        graph.output(fg.copysign(x.graph.constant(value), 1.0 / graph.constant(value)))
    assert_same_bits(np.array(graph.compile()(1.0)), np.array(values))
