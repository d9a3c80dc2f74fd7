"""Functions on expressions and arrays of them: one per op of the table, and the conveniences composed of them."""

import operator

import numpy as np

from fastgraph import expr
from fastgraph.errors import ExprError, ShapeError
from fastgraph.expr import is_operand
from fastgraph.expr_array import ExprArray, as_expressions, elementwise, graph_of, power, reduced, with_immediate
from fastgraph.ops import OPS, TABLE


def _make_function(op):
    """The function of one op: of expressions by ``expr``, of arrays in bulk."""
    scalar = expr.FUNCTIONS[op.name]

    def unary(x):
        return scalar(x) if is_operand(x) else elementwise(op, x)

    def binary(x, y):
        return scalar(x, y) if is_operand(x) and is_operand(y) else elementwise(op, x, y)

    def powers(x, y):
        return scalar(x, y) if is_operand(x) and is_operand(y) else power(x, y)

    def ternary(x, y, z):
        return scalar(x, y, z) if is_operand(x) and is_operand(y) and is_operand(z) else elementwise(op, x, y, z)

    def immediate(*operands):
        *xs, n = operands
        if op.names and isinstance(n, int):
            raise ExprError(f"fg.{op.name} takes a {op.names}, not {n!r}")
        if all(map(is_operand, xs)):
            return scalar(*operands)
        return with_immediate(op, xs, expr.checked_immediate(op, n, graph_of(xs)))

    plain = powers if op.name == "pow" else (unary, binary, ternary)[op.arity - 1]
    function = immediate if op.immediate else plain
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"Record {op.name}: {op.doc}."
    return function


FUNCTIONS = {op.name: _make_function(op) for op in TABLE}
globals().update(FUNCTIONS)


def clip(x, low, high):
    """``minimum(maximum(x, low), high)``, as ``np.clip``."""
    return FUNCTIONS["minimum"](FUNCTIONS["maximum"](x, low), high)


def relu(x):
    """x where it is positive, else 0; derivative 0 at 0."""
    return FUNCTIONS["where"](FUNCTIONS["gt"](x, 0.0), x, 0.0)


def select(conditions, choices, default=0.0):
    """The choice beside the first condition that holds, elementwise, as ``np.select``."""
    if len(conditions) != len(choices) or not len(conditions):
        raise ShapeError(f"fg.select: {len(conditions)} conditions for {len(choices)} choices")
    result = default
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        found = graph_of([condition, choice, result])
        result = np.where(condition, choice, result) if found is None else FUNCTIONS["where"](condition, choice, result)
    return result


def sum(x, axis=None, keepdims=False):  # noqa: A001  (NumPy's name)
    """Sum of the expressions in an array or sequence, all of them or along axes, added as a balanced tree.

    The tree keeps the rounding error at O(log n) and its levels free of dependencies.
    """
    return joined(OPS["add"], x, axis, keepdims, 0.0)


def prod(x, axis=None, keepdims=False):
    """Product of the expressions in an array or sequence, all of them or along axes, multiplied as a balanced tree."""
    return joined(OPS["mul"], x, axis, keepdims, 1.0)


def mean(x, axis=None, keepdims=False):
    """Arithmetic mean of the expressions in an array or sequence, of all of them or along axes."""
    array = array_of(x)
    count = np.prod([array.shape[k] for k in axes_of(array, axis)], dtype=int)
    if count == 0:
        raise ShapeError("fg.mean of an empty array: it needs at least one element")
    return sum(array, axis, keepdims) / int(count)


def dot(x, y):
    """Inner product of two arrays or sequences of one length; the products are added as a balanced tree."""
    x, y = (v if isinstance(v, ExprArray) else np.asarray(v, object) for v in (x, y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"fg.dot takes two vectors of one length, not shapes {x.shape} and {y.shape}")
    return sum(x * y)


def array_of(x):
    """``x`` as an array of expressions, of any shape; an ndarray where there are none."""
    if isinstance(x, ExprArray):
        return x
    graph = graph_of([x])
    if graph is None:
        return np.asarray(x)
    found = as_expressions(x, graph)
    return found if isinstance(found, ExprArray) else ExprArray(graph, np.asarray(found.node))


def shaped(array, shape):
    """An array in another shape; an Expr for ``()``."""
    return as_expressions(ExprArray(array.graph, array.nodes.reshape(shape))[()])


def axes_of(array, axis):
    """``axis`` as a tuple of numbers from 0 on."""
    if axis is None:
        return tuple(range(array.ndim))
    return np.lib.array_utils.normalize_axis_tuple(
        operator.index(axis) if not isinstance(axis, tuple) else axis, array.ndim
    )


def joined(op, x, axis, keepdims, empty):
    """The elements along axes joined by a binary op, as a balanced tree; ``empty`` where there are none."""
    array = array_of(x)
    axes = axes_of(array, axis)
    if not isinstance(array, ExprArray):
        if array.size:
            raise ExprError(
                f"fg.{op.name}: there is no expression in {x!r}: pass an array or a list; for numbers use NumPy"
            )
        return empty
    if 0 in [array.shape[k] for k in axes]:
        if empty is None:
            raise ValueError(f"zero-size array to reduction operation {op.name} which has no identity")
        shape = [1 if k in axes else n for k, n in enumerate(array.shape) if keepdims or k not in axes]
        return as_expressions(np.full(shape, empty), array.graph)
    return reduced(op, array, axes, keepdims)


CONVENIENCES = ("clip", "dot", "mean", "prod", "relu", "select", "sum")
