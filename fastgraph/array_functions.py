"""Array functions: what NumPy's functions of numbers become for arrays of expressions, with its arguments and shapes.

In: arrays of expressions, mixed with numbers. Out: expressions. Named as in NumPy; ``numpy_functions`` has the table.
"""

import numpy as np

from fastgraph import functions as fg
from fastgraph import interpolation, linear_algebra
from fastgraph.errors import ExprError, ShapeError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, as_expressions, graph_of, nodes_of
from fastgraph.numpy_ufuncs import accumulate, reduce
from fastgraph.ops import OPS

_MISSING = np._NoValue
_F = fg.FUNCTIONS


def _is_missing(value):
    return value is None or value is _MISSING


def wrapped(graph, result):
    """Nodes, or lists of arrays of them, as expressions."""
    if isinstance(result, list | tuple):
        return type(result)([wrapped(graph, r) for r in result])
    result = np.asarray(result)
    return ExprArray(graph, result.astype(np.int64, copy=False)) if result.ndim else Expr(graph, int(result))


# -- reductions -----------------------------------------------------------------------------------------------
def reduction(name):
    op = OPS[name]

    def call(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
        _plain(name, dtype, out)
        keepdims = False if keepdims is _MISSING else keepdims
        where = True if where is _MISSING else where
        return reduce(op, a, axis, keepdims, None if initial is _MISSING else initial, where)

    return call


def extreme(name):
    call = reduction(name)
    return lambda a, axis=None, out=None, keepdims=False, initial=None, where=True: call(
        a, axis, None, out, keepdims, initial, where
    )


def _plain(what, dtype=None, out=None):
    if out is not None:
        raise ExprError(f"np.{what} of expressions does not take out=: assign the result into x.copy()")
    if not _is_missing(dtype) and np.dtype(dtype) != np.float64:
        raise ExprError(f"np.{what}: expressions are float64 while they are recorded, not {np.dtype(dtype)}")


def _count(array, axis):
    return int(np.prod([array.shape[k] for k in fg.axes_of(array, axis)]))


def mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    _plain("mean", dtype, out)
    _unchosen("mean", where)
    return fg.mean(a, axis, False if keepdims is _MISSING else keepdims)


def _unchosen(what, where):
    if where is not True and where is not _MISSING:
        raise ExprError(
            f"np.{what} of expressions does not take where=: multiply by the condition, and divide by its sum"
        )


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None):
    _plain("var", dtype, out)
    _unchosen("var", where)
    keepdims = False if keepdims is _MISSING else keepdims
    array = fg.array_of(a)
    centre = fg.mean(array, axis, True) if _is_missing(mean) else mean
    rest = ddof if _is_missing(correction) else correction
    return fg.sum(_F["square"](array - centre), axis, keepdims) / (_count(array, axis) - rest)


def std(a, *args, **options):
    return _F["sqrt"](var(a, *args, **options))


def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    keepdims = False if keepdims is _MISSING else keepdims
    array = fg.array_of(as_expressions(a, graph_of([a, weights])))
    if weights is None:
        result, total = fg.mean(array, axis, keepdims), float(_count(array, axis))
    else:
        weights = fg.array_of(as_expressions(weights, array.graph))
        if weights.shape != array.shape:
            (k,) = fg.axes_of(array, axis)
            weights = fg.shaped(weights, [-1 if j == k else 1 for j in range(array.ndim)])
        weights = ExprArray(array.graph, np.broadcast_to(weights.nodes, array.shape))
        total = fg.sum(weights, axis, keepdims)
        result = fg.sum(array * weights, axis, keepdims) / total
    return (result, total) if returned else result


def ptp(a, axis=None, out=None, keepdims=False):
    return extreme("maximum")(a, axis, out, keepdims) - extreme("minimum")(a, axis, out, keepdims)


def any_(a, axis=None, out=None, keepdims=False, *, where=True):
    return reduction("logical_or")(fg.array_of(a) != 0.0, axis, None, out, keepdims, None, where)


def all_(a, axis=None, out=None, keepdims=False, *, where=True):
    return reduction("logical_and")(fg.array_of(a) != 0.0, axis, None, out, keepdims, None, where)


def count_nonzero(a, axis=None, *, keepdims=False):
    return fg.sum(fg.array_of(a) != 0.0, axis, keepdims)


def running(name):
    def call(a, axis=None, dtype=None, out=None):
        _plain({"add": "cumsum", "mul": "cumprod"}[name], dtype, out)
        return accumulate(OPS[name], a, axis)

    return call


# -- choices ----------------------------------------------------------------------------------------------------
def where(condition, x=None, y=None):
    if x is None or y is None:
        raise ExprError(
            "np.where(condition) asks for places, which depend on values: np.where(condition, x, y) chooses"
        )
    return _F["where"](condition, x, y)


def select(condlist, choicelist, default=0.0):
    return fg.select(condlist, choicelist, default)


def clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None, **options):  # noqa: A002  (NumPy's names)
    _plain("clip", options.pop("dtype", None), out)
    low, high = (b if _is_missing(a) else a for a, b in ((a_min, min), (a_max, max)))
    result = a if _is_missing(low) else _F["maximum"](a, low)
    return result if _is_missing(high) else _F["minimum"](result, high)


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    largest = np.finfo(np.float64).max
    x = _F["where"](_F["isnan"](x), nan, x)
    x = _F["where"](x == np.inf, largest if posinf is None else posinf, x)
    return _F["where"](x == -np.inf, -largest if neginf is None else neginf, x)


def nansum(a, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=True):
    a = fg.array_of(a)
    return reduction("add")(_F["where"](_F["isnan"](a), 0.0, a), axis, dtype, out, keepdims, initial, where)


# -- rounding -----------------------------------------------------------------------------------------------------
def around(a, decimals=0, out=None):
    _plain("round", None, out)
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        return _F["rint"](a)
    return _F["rint"](a * scale) / scale if decimals > 0 else _F["rint"](a / scale) * scale


def fix(x, out=None):
    _plain("fix", None, out)
    return _F["trunc"](x)


def sinc(x):
    y = np.pi * x
    return _F["where"](y == 0.0, 1.0, _F["sin"](y) / y)


# -- differences, integrals, polynomials ------------------------------------------------------------------------
def diff(a, n=1, axis=-1, prepend=_MISSING, append=_MISSING):
    graph = graph_of([a, prepend, append])
    array = fg.array_of(as_expressions(a, graph))
    (axis,) = fg.axes_of(array, axis)
    parts = []
    for extra in (prepend, array, append):
        if extra is _MISSING:
            continue
        nodes = np.asarray(nodes_of(graph, extra))
        if nodes.ndim == 0:
            nodes = np.broadcast_to(nodes, [1 if k == axis else m for k, m in enumerate(array.shape)])
        parts.append(nodes)
    array = ExprArray(graph, np.moveaxis(np.concatenate(parts, axis=axis), axis, -1))
    for _ in range(n):
        array = array[..., 1:] - array[..., :-1]
    return ExprArray(graph, np.moveaxis(array.nodes, -1, axis))


def trapezoid(y, x=None, dx=1.0, axis=-1):
    graph = graph_of([y, x, dx])
    y = fg.array_of(as_expressions(y, graph))
    (axis,) = fg.axes_of(y, axis)
    y = ExprArray(graph, np.moveaxis(y.nodes, axis, -1))
    step = dx
    if x is not None:
        x = fg.array_of(as_expressions(x, graph))  # differences of constants are folded
        step = diff(x) if x.ndim == 1 else ExprArray(graph, np.moveaxis(diff(x, axis=axis).nodes, axis, -1))
    return fg.sum(step * (y[..., 1:] + y[..., :-1]) / 2.0, -1)


def polyval(p, x):
    graph = graph_of([p, x])
    p = fg.array_of(as_expressions(p, graph)) if graph_of([p]) else np.asarray(p)
    x = as_expressions(x, graph) if graph_of([x]) else np.asarray(x, np.float64)
    result = x * 0.0
    for k in range(len(p)):
        result = result * x + p[k]
    return result


def interp(x, xp, fp, left=None, right=None, period=None):
    if period is not None:
        raise ExprError("np.interp of expressions does not take period=: take x % period, and repeat a knot")
    return interpolation.interp(x, xp, fp, left, right)


# -- arrays like others -----------------------------------------------------------------------------------------
def full(graph, shape, value):
    nodes = np.broadcast_to(np.asarray(nodes_of(graph, value)), shape).copy()
    return ExprArray(graph, nodes) if nodes.ndim else Expr(graph, int(nodes))


def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return full(graph_of([a]), np.shape(a) if shape is None else shape, 0.0)


def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return full(graph_of([a]), np.shape(a) if shape is None else shape, 1.0)


def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return full(graph_of([a, fill_value]), np.shape(a) if shape is None else shape, fill_value)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    _plain("linspace", dtype)
    graph = graph_of([start, stop])
    start, stop = (as_expressions(v, graph) for v in (start, stop))
    parts = num - 1 if endpoint else num
    step = (stop - start) / parts
    rows = [start + step * float(k) if k else start for k in range(num)]
    if endpoint and num > 1:
        rows[-1] = stop
    result = wrapped(graph, np.stack([np.asarray(nodes_of(graph, r)) for r in rows], axis=axis))
    return (result, step) if retstep else result


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    _plain("trace", dtype, out)
    array = fg.array_of(a)
    return fg.sum(ExprArray(array.graph, np.diagonal(array.nodes, offset, axis1, axis2)), -1)


def kron(a, b):
    a, b = linear_algebra.both(a, b)
    n = max(a.ndim, b.ndim)
    a, b = (fg.array_of(fg.shaped(v, (1,) * (n - v.ndim) + v.shape)) for v in (a, b))
    product = fg.shaped(a, [m for size in a.shape for m in (size, 1)]) * fg.shaped(
        b, [m for size in b.shape for m in (1, size)]
    )
    return fg.shaped(fg.array_of(product), [p * q for p, q in zip(a.shape, b.shape, strict=True)])


def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    a, b = linear_algebra.both(a, b)
    axisa, axisb, axisc = (axis,) * 3 if axis is not None else (axisa, axisb, axisc)
    a, b = (ExprArray(v.graph, np.moveaxis(v.nodes, k, -1)) for v, k in ((a, axisa), (b, axisb)))
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"np.cross of expressions takes vectors of length 3, not {a.shape} and {b.shape}")
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return wrapped(a.graph, np.stack([np.asarray(nodes_of(a.graph, p)) for p in parts], axis=axisc))


def convolve(a, v, mode="full"):
    a, v = linear_algebra.both(a, v)
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ShapeError(f"np.convolve takes two vectors, not shapes {a.shape} and {v.shape}")
    if len(v) > len(a):
        a, v = v, a
    zero = a.graph.constant_node(0.0)
    padded = np.concatenate([np.full(len(v) - 1, zero), a.nodes, np.full(len(v) - 1, zero)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(v))
    full = linear_algebra.matmul(ExprArray(a.graph, windows), ExprArray(a.graph, v.nodes[::-1]))
    start = {"full": 0, "same": (len(v) - 1) // 2, "valid": len(v) - 1}[mode]
    length = {"full": len(full), "same": len(a), "valid": len(a) - len(v) + 1}[mode]
    return full[start : start + length]


def matrix_power(a, n):
    array = fg.array_of(a)
    if n < 0:
        array, n = linear_algebra.inv(array), -n
    result = as_expressions(np.broadcast_to(np.eye(array.shape[-1]), array.shape), array.graph)
    square, started = array, False
    while n:
        if n & 1:
            result, started = (linear_algebra.matmul(result, square) if started else square), True
        n >>= 1
        if n:
            square = linear_algebra.matmul(square, square)
    return result


def multi_dot(arrays, *, out=None):
    result = arrays[0]
    for array in arrays[1:]:
        result = linear_algebra.dot(result, array)
    return result


def einsum(*operands, **options):
    options = {k: v for k, v in options.items() if k not in ("optimize", "order", "casting")}
    _plain("einsum", options.pop("dtype", None), options.pop("out", None))
    return linear_algebra.einsum(*operands)


def without_out(function, name):
    def call(*args, out=None, **options):
        _plain(name, None, out)
        return function(*args, **options)

    return call


def compress(condition, a, axis=None, out=None):
    _plain("compress", None, out)
    graph = graph_of([a])
    return wrapped(graph, np.compress(condition, nodes_of(graph, a), axis=axis))


def block(arrays):
    graph = graph_of([arrays])

    def nodes(part):
        return [nodes(p) for p in part] if isinstance(part, list) else np.asarray(nodes_of(graph, part))

    return wrapped(graph, np.block(nodes(arrays)))


def copy(a, order="K", subok=False):
    return fg.array_of(a).copy()
