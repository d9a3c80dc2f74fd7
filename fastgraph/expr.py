"""Expr: a handle on one node of a graph, with the operators and functions that record more nodes.

In: Python operators and calls, one operation each. Out: rows in the graph the expressions belong to. Operators, methods
and functions are made from the op table, so an op needs no line here. Arrays of expressions are ``expr_array``'s.
"""

import operator

import numpy as np

from fastgraph.errors import ExprError, ShapeError
from fastgraph.ops import OPS, TABLE

NUMBERS = (int, float, np.integer, np.floating, np.bool_)
_POW, _POWI = OPS["pow"], OPS["powi"]


class Valueless:
    """Base of what is recorded: it has no number to give."""

    __slots__ = ()

    def __float__(self):
        has_no_value("float")

    def __int__(self):
        has_no_value("int")

    def __complex__(self):
        has_no_value("complex")

    def __index__(self):
        has_no_value("int")


class Expr(Valueless):
    """One scalar expression of a graph: an input, a parameter, a constant, or the result of an operation.

    Supports Python's arithmetic, comparison and logical (``& | ^ ~``) operators, NumPy's ufuncs, and the functions
    of fastgraph. A comparison gives an expression that is 1.0 or 0.0. An Expr has no value until its graph is
    compiled and called, so ``bool``, ``float`` and ``int`` raise.
    """

    __slots__ = ("graph", "node")

    def __init__(self, graph, node):
        self.graph = graph
        self.node = node

    __hash__ = object.__hash__  # by identity; == records a comparison

    def __repr__(self):
        return f"<Expr {self.graph.formula(self.node)}>"

    def summary(self):
        """What it depends on: operations, depth, arguments, as a :class:`fastgraph.summary.Summary`.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> a, b = graph.inputs("a", "b")
        >>> fg.sin(a * b).summary()
        Expr sin(a * b)
          depends on  a, b
          operations  2
          depth       2
          width       1
        <BLANKLINE>
          op   count  share
          mul      1   50 %
          sin      1   50 %
        """
        return self.graph.summary(self)

    def _repr_html_(self):
        return self.summary()._repr_html_()

    def __bool__(self):
        raise ExprError(
            "an Expr has no truth value while it is recorded, so `if`, `and`, `or`, `not`, `in` and chained "
            "comparisons cannot choose by it: use fg.where(condition, x, y), and & | ~ between conditions; to compare "
            "arrays of objects use fg.lt, fg.le, fg.gt, fg.ge, fg.eq, fg.ne"
        )

    def __pow__(self, other, modulus=None):
        if modulus is not None:
            raise ExprError("pow(x, y, modulus) of an Expr is not supported: use (x ** y) % modulus")
        return _power(self, other) if is_operand(other) else NotImplemented

    def __rpow__(self, other):
        return _operation(_POW, other, self) if is_operand(other) else NotImplemented

    def __pos__(self):
        return self


def has_no_value(kind):
    """Raise the ExprError that an expression has no number to give."""
    raise ExprError(
        f"{kind}() of an Expr: it has no value while it is recorded. Compile the graph and call the Function; "
        "to choose by a value inside the graph use fg.where, to take an element of a table by it fg.lookup, instead of "
        "math.sin and its like fg.sin, and to assign "
        "expressions into an array begin with graph.constant(np.zeros(3)).copy()"
    )


_OPERANDS = (Expr, *NUMBERS)


def is_operand(value):
    """Whether ``value`` is one operand of an operation: an Expr or a number."""
    return isinstance(value, _OPERANDS) or (isinstance(value, np.ndarray) and value.shape == ())


def _operation(op, *operands):
    """Record ``op`` on Exprs and numbers, at least one of them an Expr."""
    for operand in operands:
        if isinstance(operand, Expr):
            graph = operand.graph
            return Expr(graph, graph.record(op.code, *[graph.node_of(x) for x in operands]))
    raise ExprError(f"fg.{op.name} records an operation on expressions; for numbers use NumPy or math")


def checked_immediate(op, n, graph):
    """``n`` as an int in the range of the op's immediate; of a table of numbers, its place in the graph."""
    if op.names and not isinstance(n, int):
        return graph.table(_numbers(op, n)) if op.names == "table" else graph.function_number(n)
    try:
        n = operator.index(n)
    except TypeError:
        raise ExprError(f"fg.{op.name}: n must be an integer known while recording, not {n!r}") from None
    low, high = op.immediate
    if not low <= n <= high:
        raise ExprError(f"fg.{op.name}: n must be from {low} to {high}, not {n}")
    return n


def _numbers(op, table):
    """The numbers of a table, float64 (k,)."""
    if isinstance(table, Expr) or (not isinstance(table, np.ndarray) and any(isinstance(v, Expr) for v in table)):
        raise ExprError(f"fg.{op.name} takes a table of constant numbers: to choose among expressions use fg.select")
    try:
        numbers = np.asarray(table, np.float64)
    except (TypeError, ValueError) as error:
        raise ExprError(f"fg.{op.name} takes a table of real numbers, not {table!r}: {error}") from None
    if numbers.ndim != 1 or not len(numbers):
        raise ShapeError(f"fg.{op.name} takes a table of shape (k,), of a number at least, not {numbers.shape}")
    if op.increasing and not np.all(numbers[1:] > numbers[:-1]):
        raise ExprError(f"fg.{op.name}: the numbers of the table must increase, and be no NaN")
    return numbers


def _immediate_operation(op, *operands):
    *xs, n = operands
    graph = next((x.graph for x in xs if isinstance(x, Expr)), None)
    if graph is None or len(xs) != op.arity:
        raise ExprError(f"fg.{op.name} records an operation on an expression, not on {xs[0]!r}")
    n = checked_immediate(op, n, graph)
    return Expr(graph, graph.record(op.code, *map(graph.node_of, xs), n & 0xFFFFFFFF))


def _power(x, y):
    """``x ** y``; a constant integral y is the op with an immediate, which is exact at 0 and for any sign."""
    if isinstance(y, np.ndarray) and y.shape == ():
        y = y[()]
    if isinstance(x, Expr) and isinstance(y, NUMBERS) and abs(y) < 2**31 and y == int(y):
        return _immediate_operation(_POWI, x, int(y))
    return _operation(_POW, x, y)


class Symbols:
    """The algebra whose values are expressions: a rule of the op table, run on it, records what it computes.

    So the partials of an op become expressions, and derivatives of any order can be recorded. Masks are expressions
    that are 1.0 or 0.0; an immediate is a Python integer.

    Examples
    --------
    >>> import fastgraph as fg
    >>> from fastgraph.ops import OPS
    >>> graph = fg.Graph()
    >>> x = graph.input("x")
    >>> (slope,) = OPS["sin"].partials(Symbols(), fg.sin(x), x)
    >>> graph.output(slope)
    >>> float(graph.compile()(0.0))
    1.0
    """

    differentiable = True

    def __getattr__(self, name):
        try:
            return FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"the op table has no {name!r}") from None


# -- made from the table ------------------------------------------------------------------------------------
def _unary(op):
    def function(x):
        return _operation(op, x)

    return function


def _binary(op):
    if op is _POW:
        return lambda x, y: _power(x, y)

    def function(x, y):
        return _operation(op, x, y)

    return function


def _ternary(op):
    def function(x, y, z):
        return _operation(op, x, y, z)

    return function


def _with_immediate(op):
    if op.arity == 1:
        return lambda x, n: _immediate_operation(op, x, n)
    return lambda x, y, n: _immediate_operation(op, x, y, n)


def _make_function(op):
    function = (_unary, _binary, _ternary)[op.arity - 1](op) if op.immediate is None else _with_immediate(op)
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"Record {op.name}: {op.doc}."
    return function


def _binary_operator(op, swapped):
    code = op.code

    def method(self, other):
        graph = self.graph
        if type(other) is Expr and other.graph is graph:
            node = other.node
        elif is_operand(other):
            node = graph.node_of(other)
        else:
            return NotImplemented
        if swapped:
            return Expr(graph, graph.record(code, node, self.node))
        return Expr(graph, graph.record(code, self.node, node))

    return method


def _unary_operator(op):
    def method(self):
        return Expr(self.graph, self.graph.record(op.code, self.node))

    return method


def add_operators(cls, unary, binary):
    """Give a class Python's operators, by ``unary(op)`` and ``binary(op, swapped)``; those it has already stay."""
    for op in TABLE:
        stem = f"__{op.operator}__"
        if op.operator and op.arity == 1:
            setattr(cls, stem, unary(op))
        elif op.operator and stem not in cls.__dict__:
            setattr(cls, stem, binary(op, swapped=False))
            if op.operator not in ("lt", "le", "gt", "ge", "eq", "ne"):  # Python swaps comparisons by itself
                setattr(cls, f"__r{op.operator}__", binary(op, swapped=True))


def _add_methods():
    for op in TABLE:
        if op.arity <= 2 and op.immediate is None:
            # NumPy calls these on the elements of an object array: np.sin(array) -> element.sin()
            for name in {op.name, op.ufunc} - {""}:
                setattr(Expr, name, _unary_operator(op) if op.arity == 1 else _binary_operator(op, swapped=False))


FUNCTIONS = {op.name: _make_function(op) for op in TABLE}  # of Exprs and numbers; those of arrays are in ``functions``
add_operators(Expr, _unary_operator, _binary_operator)
_add_methods()
