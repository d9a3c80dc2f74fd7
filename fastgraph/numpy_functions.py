"""NumPy's functions of arrays of expressions: one table, from NumPy's function to what it records.

In: what NumPy hands to ``__array_function__``. Out: expressions, shapes; a TypeError that names a remedy for the rest.
Functions that only move elements are NumPy's own, applied to the numbers of nodes.
"""

import numpy as np

from fastgraph import array_functions as af
from fastgraph import functions as fg
from fastgraph import linear_algebra
from fastgraph.errors import ExprError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, graph_of, nodes_of


def call_function(function, args, options):
    """What ``function(*args, **options)`` records or returns."""
    found = FUNCTIONS.get(function)
    if found is not None:
        return found(*args, **options)
    advice = _ADVICE.get(getattr(function, "__name__", ""), "the functions that take expressions are in docs/numpy.md")
    raise ExprError(f"np.{getattr(function, '__name__', function)} does not take expressions: {advice}")


_ADVICE = {
    "searchsorted": "the place among constant knots is fg.interval(x, knots), from 0 on; to interpolate use np.interp",
    "argmax": "which element it is depends on values: use np.max, or fg.where",
    "argmin": "which element it is depends on values: use np.min, or fg.where",
    "argsort": "the order depends on values: np.maximum and np.minimum of pairs sort a few expressions",
    "sort": "the order depends on values: np.maximum and np.minimum of pairs sort a few expressions",
    "median": "the order depends on values: np.maximum and np.minimum of pairs sort a few expressions",
    "nonzero": "which elements they are depends on values: use fg.where",
    "unique": "which elements they are depends on values",
    "allclose": "it is no number while it is recorded: compare values of the compiled Function",
    "array_equal": "it is no number while it is recorded: compare values of the compiled Function",
    "isclose": "compare by abs(x - y) <= tolerance, which records 1.0 or 0.0",
    "piecewise": "use fg.where, or np.select with constant choices",
    "vectorize": "call the function on arrays",
    "apply_along_axis": "index the array, and call the function on its parts",
    "fft": "multiply by the matrix of the transform",
    **dict.fromkeys(
        ("eig", "eigh", "eigvals", "eigvalsh", "svd", "svdvals", "qr", "pinv", "lstsq", "matrix_rank", "cond"),
        "its factors have no op; np.linalg.solve, det, inv and cholesky do",
    ),
    **dict.fromkeys(
        ("percentile", "quantile", "histogram", "bincount", "digitize"),
        "the order depends on values: compute it from values of the compiled Function",
    ),
    "random": "draw the numbers outside, and pass them as a parameter",
}


# -- functions that move elements -------------------------------------------------------------------------------
def _moved(function, arguments=1):
    """NumPy's own function on nodes, whose first arguments hold expressions: arrays, or sequences of them."""

    def call(*args, **options):
        names = _NAMES_OF_FIRST
        given = list(args[:arguments])
        if not given:
            name = next(name for name in names if name in options)
            given = [options.pop(name)]
        graph = graph_of(given) or graph_of(given[0])
        nodes = [_nodes_within(graph, value) for value in given]
        return af.wrapped(graph, function(*nodes, *args[arguments:], **options))

    return call


_NAMES_OF_FIRST = ("a", "ary", "arr", "arrays", "tup", "m", "x", "array", "A")


def _nodes_within(graph, value):
    """Nodes in place of expressions: of an array, or of each of a sequence of arrays."""
    if isinstance(value, list | tuple) and any(isinstance(v, ExprArray | np.ndarray | list | tuple) for v in value):
        return [np.asarray(nodes_of(graph, v)) for v in value]
    return np.asarray(nodes_of(graph, value))


def _filled(function):
    """As ``_moved``, for functions that put zeros: nodes count from 1 meanwhile."""

    def call(a, *args, **options):
        graph = graph_of([a])
        found = function(np.asarray(nodes_of(graph, a)) + 1, *args, **options) - 1
        return af.wrapped(graph, np.where(found < 0, graph.constant_node(0.0), found))

    return call


FUNCTIONS = {
    # reductions
    np.sum: af.reduction("add"), np.prod: af.reduction("mul"), np.max: af.extreme("maximum"),
    np.min: af.extreme("minimum"), np.amax: af.extreme("maximum"), np.amin: af.extreme("minimum"),
    np.mean: af.mean, np.var: af.var, np.std: af.std, np.average: af.average, np.ptp: af.ptp,
    np.any: af.any_, np.all: af.all_, np.count_nonzero: af.count_nonzero,
    np.cumsum: af.running("add"), np.cumprod: af.running("mul"), np.trace: af.trace,
    # choices
    np.where: af.where, np.select: af.select, np.clip: af.clip, np.nan_to_num: af.nan_to_num, np.nansum: af.nansum,
    np.round: af.around, np.around: af.around, np.fix: af.fix, np.sinc: af.sinc,
    # differences, integrals, polynomials, tables
    np.diff: af.diff, np.trapezoid: af.trapezoid, np.polyval: af.polyval, np.interp: af.interp,
    np.linspace: af.linspace, np.convolve: af.convolve,
    # products
    np.dot: af.without_out(linear_algebra.dot, "dot"), np.vdot: linear_algebra.vdot, np.inner: linear_algebra.inner,
    np.outer: af.without_out(linear_algebra.outer, "outer"), np.tensordot: linear_algebra.tensordot,
    np.einsum: af.einsum, np.kron: af.kron, np.cross: af.cross,
    # linear algebra
    np.linalg.norm: linear_algebra.norm, np.linalg.solve: linear_algebra.solve, np.linalg.det: linear_algebra.det,
    np.linalg.inv: linear_algebra.inv, np.linalg.cholesky: linear_algebra.cholesky,
    np.linalg.matrix_power: af.matrix_power, np.linalg.multi_dot: af.multi_dot,
    # shapes, and arrays like others
    np.shape: lambda a: fg.array_of(a).shape, np.ndim: lambda a: fg.array_of(a).ndim,
    np.size: lambda a, axis=None: fg.array_of(a).size if axis is None else a.shape[axis],
    np.iscomplexobj: lambda x: False, np.isrealobj: lambda x: True, np.real: lambda val: val, np.copy: af.copy,
    np.compress: af.compress, np.block: af.block,
    np.zeros_like: af.zeros_like, np.ones_like: af.ones_like, np.full_like: af.full_like, np.empty_like: af.zeros_like,
    np.tril: _filled(np.tril), np.triu: _filled(np.triu), np.diag: _filled(np.diag), np.diagflat: _filled(np.diagflat),
}  # fmt: skip
for _function in (
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims,
    np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.split, np.array_split,
    np.hsplit, np.vsplit, np.dsplit, np.roll, np.flip, np.fliplr, np.flipud, np.rot90, np.tile, np.repeat, np.take,
    np.take_along_axis, np.delete, np.broadcast_to, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.diagonal, np.resize,
    *([np.unstack] if hasattr(np, "unstack") else []),  # new in NumPy 2.1
):  # fmt: skip
    FUNCTIONS[_function] = _moved(_function)
for _function in (np.append, np.broadcast_arrays, np.meshgrid):
    FUNCTIONS[_function] = _moved(_function, 2 if _function is np.append else 1 << 10)


def _array_function(self, function, types, args, options):
    return call_function(function, args, options)


# The protocol is the same for one expression and for many, and has one place.
for _class in (Expr, ExprArray):
    setattr(_class, "__array_function__", _array_function)  # noqa: B010


# -- methods ----------------------------------------------------------------------------------------------------
def _reshape(self, *shape, order="C", copy=None):
    return call_function(np.reshape, (self, shape[0] if len(shape) == 1 else shape), {"order": order})


def _transpose(self, *axes):
    return call_function(np.transpose, (self, None if not axes else axes[0] if len(axes) == 1 else axes), {})


def _method(function):
    def method(self, *args, **options):
        return call_function(function, (self, *args), options)

    method.__name__ = function.__name__
    method.__doc__ = f"As ``numpy.{function.__name__}`` of the array."
    return method


_METHODS = {"reshape": _reshape, "transpose": _transpose, "flatten": _method(np.ravel)}
for _function in (
    np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.ptp, np.any, np.all, np.cumsum, np.cumprod, np.clip,
    np.dot, np.ravel, np.squeeze, np.swapaxes, np.repeat, np.take, np.diagonal, np.trace,
):  # fmt: skip
    _METHODS[_function.__name__] = _method(_function)
for _name, _made in _METHODS.items():
    setattr(ExprArray, _name, _made)
