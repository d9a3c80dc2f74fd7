"""NumPy's ufuncs of expressions: calls, reductions, accumulations, outer products.

In: what NumPy hands to ``__array_ufunc__``. Out: expressions, recorded in bulk; a TypeError for what has no op.
"""

import numpy as np

from fastgraph import functions as fg
from fastgraph.errors import ExprError, ShapeError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, as_expressions, elementwise, graph_of, nodes_of, record
from fastgraph.linear_algebra import matmul, vecdot
from fastgraph.ops import OPS, TABLE

# Ufuncs that are compositions of ops, or none at all.
_UNARY = {
    "conjugate": lambda x: x,
    "fabs": lambda x: abs(x),
    "deg2rad": lambda x: x * (np.pi / 180.0),
    "radians": lambda x: x * (np.pi / 180.0),
    "rad2deg": lambda x: x * (180.0 / np.pi),
    "degrees": lambda x: x * (180.0 / np.pi),
}
COMPOSED = _UNARY | {
    "positive": lambda x: x,
    "float_power": lambda x, y: elementwise(OPS["pow"], x, y),
    "floor_divide": lambda x, y: fg.FUNCTIONS["floor"](x / y),
    "logaddexp2": lambda x, y: fg.FUNCTIONS["logaddexp"](x * np.log(2.0), y * np.log(2.0)) / np.log(2.0),
    "heaviside": lambda x, y: fg.FUNCTIONS["where"](x == 0.0, y, fg.FUNCTIONS["where"](x > 0.0, 1.0, x * 0.0)),
    "matmul": matmul,
    "vecdot": vecdot,
}
OPS_OF_UFUNCS = {}
for _op in TABLE:
    OPS_OF_UFUNCS[_op.ufunc or _op.name] = _op
    if _op.operator:  # NumPy's & | ^ ~ are called bitwise_and, bitwise_or, bitwise_xor and invert
        OPS_OF_UFUNCS.setdefault(f"bitwise_{_op.operator}", _op)
        OPS_OF_UFUNCS.setdefault(_op.operator, _op)
# Reductions, and what an empty one gives; None: there is no such number.
_IDENTITIES = {
    "add": 0.0, "mul": 1.0, "logical_and": 1.0, "logical_or": 0.0, "logical_xor": 0.0, "maximum": None, "minimum": None,
    "fmax": None, "fmin": None, "logaddexp": -np.inf, "hypot": 0.0,
}  # fmt: skip


def call_ufunc(ufunc, method, inputs, options):
    """What ``ufunc.method(*inputs, **options)`` records."""
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    out, where = options.pop("out", (None,)), options.pop("where", True)
    dtype, casting = options.pop("dtype", None), options.pop("casting", None)
    if dtype is not None and np.dtype(dtype) != np.float64 or casting not in (None, "same_kind", "unsafe", "safe"):
        raise ExprError(f"np.{name}: expressions are float64 while they are recorded, not {dtype}")
    inputs = [x.item() if isinstance(x, np.ndarray) and x.dtype == object and x.ndim == 0 else x for x in inputs]
    result = _METHODS.get(method, _refused)(ufunc, inputs, options, where)
    if method == "__call__" and where is not True:
        if out[0] is None:
            raise ExprError(f"np.{name} with where= needs out=, or use fg.where(condition, x, y)")
        result = fg.FUNCTIONS["where"](where, result, out[0])
    if out[0] is None:
        return result
    if len(out) != 1 or not isinstance(out[0], ExprArray):
        raise ExprError(
            f"np.{name}: out= must be an ExprArray that can be assigned to, as x.copy(); an array of numbers cannot "
            "hold expressions: instead of a += x write a = a + x"
        )
    if np.shape(nodes_of(out[0].graph, result)) != out[0].shape:
        raise ShapeError(f"np.{name}: out has shape {out[0].shape}, but the result {np.shape(result)}")
    out[0][...] = result
    return out[0]


def _called(ufunc, inputs, options, where):
    if options:
        raise ExprError(f"np.{ufunc.__name__} of expressions does not take {', '.join(sorted(options))}")
    op = OPS_OF_UFUNCS.get(ufunc.__name__)
    if op is not None:
        return fg.FUNCTIONS[op.name](*inputs)
    if ufunc.__name__ in COMPOSED:
        return COMPOSED[ufunc.__name__](*(_expressions(x, inputs) for x in inputs))
    raise ExprError(f"np.{ufunc.__name__} has no op in fastgraph; the functions that have are in fastgraph.__all__")


def _expressions(x, inputs):
    return as_expressions(x, graph_of(inputs)) if isinstance(x, list | tuple | np.ndarray) else x


def _associative(ufunc, method):
    op = OPS_OF_UFUNCS.get(ufunc.__name__)
    if op is None or op.name not in _IDENTITIES:
        raise ExprError(
            f"np.{ufunc.__name__}.{method} of expressions is not supported: only that of {', '.join(reducible())}"
        )
    return op


def reducible():
    """Names of the ufuncs that reduce and accumulate."""
    return sorted(name for name, op in OPS_OF_UFUNCS.items() if op.name in _IDENTITIES and hasattr(np, name))


def _reduce(ufunc, inputs, options, where):
    op = _associative(ufunc, "reduce")
    x, *rest = inputs
    axis = rest[0] if rest else options.pop("axis", 0)
    keepdims, initial = options.pop("keepdims", False), options.pop("initial", None)
    if options or len(rest) > 1:
        raise ExprError(
            f"np.{ufunc.__name__}.reduce of expressions does not take {', '.join(sorted(options)) or 'that'}"
        )
    return reduce(op, x, axis, keepdims, initial, where)


def reduce(op, x, axis=None, keepdims=False, initial=None, where=True):
    """The elements of ``x`` along axes joined by ``op``, with NumPy's ``initial`` and ``where``."""
    given = initial is not None and initial is not np._NoValue
    identity = initial if given else _IDENTITIES[op.name]
    array = _operands(op, x)
    if where is not True:
        if identity is None:
            raise ExprError(f"{op.name} of some elements needs initial=: what is there if none is chosen")
        array = fg.FUNCTIONS["where"](where, array, identity)
    result = fg.joined(op, array, axis, keepdims, identity)
    return fg.FUNCTIONS[op.name](initial, result) if given and array.size else result


def _operands(op, x):
    """An array of what is joined: of truth values for the logical ops."""
    array = fg.array_of(x)
    return array != 0.0 if op.name.startswith("logical") else array


def _accumulate(ufunc, inputs, options, where):
    op = _associative(ufunc, "accumulate")
    x, *rest = inputs
    axis = rest[0] if rest else options.pop("axis", 0)
    if options or where is not True:
        raise ExprError(f"np.{ufunc.__name__}.accumulate of expressions takes an axis only")
    return accumulate(op, x, axis)


def accumulate(op, x, axis=0):
    """Running sums, products, … along an axis, one after the other as NumPy adds them."""
    array = _operands(op, x)
    if axis is None:
        array, axis = ExprArray(array.graph, array.nodes.ravel()), 0
    (axis,) = fg.axes_of(array, axis)
    nodes = np.moveaxis(array.nodes, axis, 0).copy()
    for k in range(1, len(nodes)):
        nodes[k] = nodes_of(array.graph, record(op, array.graph, [nodes[k - 1], nodes[k]]))
    return ExprArray(array.graph, np.moveaxis(nodes, 0, axis))


def _outer(ufunc, inputs, options, where):
    x, y = (fg.array_of(as_expressions(v, graph_of(inputs))) for v in inputs)
    return _called(ufunc, [ExprArray(x.graph, x.nodes.reshape(x.shape + (1,) * y.ndim)), y], options, where)


def _refused(ufunc, inputs, options, where):
    raise ExprError(
        f"this method of np.{ufunc.__name__} changes arrays in place: index and assign into x.copy() instead"
    )


_METHODS = {"__call__": _called, "reduce": _reduce, "accumulate": _accumulate, "outer": _outer}


def _array_ufunc(self, ufunc, method, *inputs, **options):
    return call_ufunc(ufunc, method, inputs, options)


# The protocol is the same for one expression and for many, and has one place.
for _class in (Expr, ExprArray):
    setattr(_class, "__array_ufunc__", _array_ufunc)  # noqa: B010


def _matmul(self, other):
    return call_ufunc(np.matmul, "__call__", (self, other), {})


def _swapped_matmul(self, other):
    return call_ufunc(np.matmul, "__call__", (other, self), {})


for _name, _made in (("__matmul__", _matmul), ("__rmatmul__", _swapped_matmul)):
    setattr(ExprArray, _name, _made)


# NumPy calls these on the elements of an object array, as those that ``expr`` makes of the table.
for _name, _composed in _UNARY.items():
    setattr(Expr, _name, _composed)
