"""JAX: a Function as one of JAX's own, to be jitted, mapped and differentiated to any order.

In: a Function. Out: a callable of JAX arrays: its sweeps (``sweeps``) as one primitive, with the rules by which JAX
transforms it; in compiled code each is one callback.
"""

import ctypes
import math
import sys
from functools import cache, partial

import numpy as np

from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.extras import need
from fastgraph.sweeps import Gradient, Map, Pull, Values, aligned, own_batch

_USER = "fg.jax.wrap"
_ENVIRONMENT = 256  # bytes, several times what a floating-point environment takes on any platform


def wrap(f):
    """Make a Function callable from JAX.

    Parameters
    ----------
    f : Function
        Of any number of inputs, parameters and outputs.

    Returns
    -------
    Wrapped
        Takes the arguments of ``f`` in order or by name, each of its declared shape, and returns what ``f`` returns: an
        array, or a named tuple for several outputs. Works under ``jit``, ``grad``, ``jvp``, ``vmap`` and what is made
        of them, to any order; inputs and parameters are differentiated alike.

    Raises
    ------
    ImportError
        If JAX is not installed.
    ArgumentError
        If ``f`` is no compiled Function; by a call, for missing, surplus or unknown arguments, or not real numbers.
    ShapeError
        By a call, for an argument that has not its declared shape. For a batch there is ``jax.vmap``.

    Notes
    -----
    Whatever the size of a batch, ``vmap`` makes one call of it, with what is not mapped read where it is, and never
    repeated. A gradient by what is not mapped is summed in the sweep, in memory that does not grow with the batch.

    Results have the type that JAX gives an expression of the arguments, float32 unless ``jax_enable_x64`` is set, but
    none wider than that of ``f``; in between, ``f`` computes in its own precision. With float64 throughout, values and
    gradients are those of ``f`` to the bit.

    A call in compiled code is a Python callback, as of ``jax.pure_callback``, but without arrays of JAX in it: these
    cost ten times as much, and can wait for each other forever (https://github.com/jax-ml/jax/issues/24255).

    Examples
    --------
    >>> import fastgraph as fg
    >>> import jax
    >>> graph = fg.Graph()
    >>> x, k = graph.input("x", shape=2), graph.parameter("k")
    >>> graph.output(k * x[0] * x[1] ** 2)
    >>> g = fg.jax.wrap(graph.compile())
    >>> x = jax.numpy.array([3.0, 2.0])
    >>> float(jax.jit(g)(x, k=0.5))
    6.0
    >>> jax.grad(lambda x: g(x, 0.5) ** 2)(x).tolist()
    [24.0, 72.0]
    >>> jax.hessian(g)(x, 0.5).tolist()
    [[0.0, 2.0], [2.0, 3.0]]
    >>> jax.vmap(g, in_axes=(None, 0))(x, jax.numpy.arange(3.0)).tolist()
    [0.0, 12.0, 24.0]
    """
    return Wrapped(f)


class Wrapped:
    """A Function as JAX calls it; see :func:`wrap`.

    Attributes
    ----------
    function : Function
    """

    def __init__(self, function):
        need("jax", _USER)
        _environment()
        self._values = Values(Map.of(function, _USER))
        self.function = function
        self.__name__ = function.name or "fastgraph"

    def __call__(self, /, *args, **named):
        jnp, f = need("jax.numpy", _USER), self.function
        given = f.signature.in_order(args, named)
        arrays = [_array(value, a, f.label) for value, a in zip(given, f.arguments, strict=True)]
        dtype = jnp.result_type(*arrays, float)
        if f.dtype == np.float32 and dtype == np.float64:
            dtype = f.dtype
        # What JAX has besides these, halves and quarters, the sweeps do not read.
        exchanged = np.dtype(np.float64 if dtype == np.float64 else np.float32)
        results = _bind(self._values, [array.astype(exchanged) for array in arrays], exchanged)
        return f._in_form([result.astype(dtype) for result in results])

    def __reduce__(self):
        return wrap, (self.function,)

    def __repr__(self):
        return f"<fg.jax.wrap of {self.function!r}>"


def _array(value, argument, label):
    """A JAX array, or tracer of one, of real numbers and of the declared shape."""
    jnp = need("jax.numpy", _USER)
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(
            f"{label} got {type(value).__name__} for {argument.name}, which JAX makes no array of: {error}"
        ) from None
    if not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise ArgumentError(f"{label} got {argument.name} of type {array.dtype}: expected real numbers")
    if array.shape != argument.shape:
        raise ShapeError(
            f"{label} got {argument.name} with shape {array.shape}: it was declared with shape {argument.shape}; "
            "jax.vmap maps over a batch"
        )
    return array


def _bind(sweep, operands, dtype):
    return _primitives()[0].bind(*operands, sweep=sweep, dtype=dtype)


@cache
def _primitives():
    """The primitive that every sweep is, and the callback that it becomes; registered at the first use of JAX.

    A primitive says what it is linear in and how to transpose it: both modes of all orders by a few rules, where
    ``custom_vjp`` leaves the reverse one.
    """
    core, ad = need("jax.extend.core", _USER), need("jax.interpreters.ad", _USER)
    batching, mlir = need("jax.interpreters.batching", _USER), need("jax.interpreters.mlir", _USER)
    sweep, callback = core.Primitive("fastgraph"), core.Primitive("fastgraph_callback")
    sweep.multiple_results = callback.multiple_results = True
    sweep.def_impl(_evaluate)
    sweep.def_abstract_eval(_abstract)
    ad.primitive_jvps[sweep] = _jvp
    ad.primitive_transposes[sweep] = _transpose
    batching.primitive_batchers[sweep] = _map_batch
    mlir.register_lowering(sweep, mlir.lower_fun(partial(_staged, callback), multiple_results=True))
    callback.def_abstract_eval(_abstract_callback)
    mlir.register_lowering(callback, _lower_callback)
    return sweep, callback


# -- rules: operands and results are those of the sweep -------------------------------------------------------------
def _evaluate(*operands, sweep, dtype):
    jnp = need("jax.numpy", _USER)
    return [jnp.asarray(result) for result in sweep([np.asarray(operand) for operand in operands], dtype)]


def _abstract(*operands, sweep, dtype):
    return _abstract_callback(shapes=sweep.shapes([operand.shape for operand in operands]), dtype=dtype)


def _jvp(primals, tangents, *, sweep, dtype):
    ad = need("jax.interpreters.ad", _USER)
    moved = tuple(k for k, tangent in enumerate(tangents) if type(tangent) is not ad.Zero)
    if isinstance(sweep, Pull):
        return _bind(sweep, primals, dtype), _pull_tangents(sweep, primals, tangents, moved, dtype)
    if isinstance(sweep, Gradient) or _has_ready_gradient(sweep, primals, moved):
        return _jvp_by_gradient(sweep, primals, tangents, moved, dtype)
    directions = [tangents[k] for k in moved]
    along = Values(sweep.map.along(moved))
    return _bind(sweep, primals, dtype), _bind(along, [*primals, *directions], dtype)


def _has_ready_gradient(sweep, primals, moved):
    """Whether to compute the gradient of values with them, so that one callback does for both.

    Not where an argument is shared by a batch: its gradients of all sets, which are to be summed, would fill memory.
    """
    if not sweep.map.function.is_scalar:
        return False
    shapes = list(map(np.shape, primals))  # a primal may be a Python number
    batch = sweep.batch(shapes)
    return all(own_batch(shapes[k], sweep.operands[k]) == batch for k in moved)


def _jvp_by_gradient(sweep, primals, tangents, moved, dtype):
    """Of values, or of a gradient, whose derivative is a product of the Hessian."""
    by = sweep.by if isinstance(sweep, Gradient) else ()
    known = tuple(sorted({*by, *moved}))
    value, *found = _bind(Gradient(sweep.map, known), primals, dtype)
    gradient = dict(zip(known, found, strict=True))
    slope = _total([_inner(gradient[k], tangents[k], sweep.map.arguments[k]) for k in moved])
    if not by:
        return [value], [slope]
    product = sweep.map.along(moved).pulled(by, ((),) * len(by))
    one = need("jax.numpy", _USER).ones((), dtype)
    products = _bind(product, [*primals, *(tangents[k] for k in moved), one], dtype)
    return [value, *(gradient[k] for k in by)], [slope, *products]


def _inner(gradient, direction, declared):
    axes = tuple(range(-len(declared), 0))
    return (gradient * direction).sum(axes) if axes else gradient * direction


def _total(terms):
    return sum(terms[1:], terms[0])


def _pull_tangents(sweep, primals, tangents, moved, dtype):
    """The derivative of a pull: by its arguments, a pull of the derivative along them; in cotangents it is linear."""
    n = len(sweep.map.arguments)
    inner, outer, parts = tuple(k for k in moved if k < n), tuple(k - n for k in moved if k >= n), []
    if inner:
        along = sweep.map.along(inner).pulled(sweep.by, sweep.sums)
        parts.append(_bind(along, [*primals[:n], *(tangents[k] for k in inner), *primals[n:]], dtype))
    if outer:
        linear = sweep.map.only(outer).pulled(sweep.by, sweep.sums)
        parts.append(_bind(linear, [*primals[:n], *(tangents[n + k] for k in outer)], dtype))
    return list(map(_total, zip(*parts, strict=True)))


def _transpose(cotangents, *operands, sweep, dtype):
    """Cotangents of the linear operands: directions of a derivative, or the cotangents of a pull."""
    ad = need("jax.interpreters.ad", _USER)
    there = tuple(k for k, cotangent in enumerate(cotangents) if type(cotangent) is not ad.Zero)
    given, n = [cotangents[k] for k in there], len(sweep.map.arguments)
    linear = [k for k, operand in enumerate(operands) if ad.is_undefined_primal(operand)]
    of, moved = sweep.map.parent, sweep.map.moved
    if isinstance(sweep, Pull) and linear[0] >= n:
        along = sweep.map.along(tuple(sweep.by[k] for k in there))
        found = _bind(Values(along), [*operands[:n], *given], dtype)
        found = [found[k - n] for k in linear]
    else:
        first = len(of.arguments)
        by = tuple(moved[k - first] for k in linear)
        if isinstance(sweep, Pull):  # w·∇(c·J d) is symmetric in the directions w and d
            of, given = of.along(tuple(sweep.by[k] for k in there)), [*given, *operands[n:]]
        else:
            of = of.only(there)
        pulled = [*operands[:first], *given]
        found = _bind(of.pull(by, tuple(map(np.shape, pulled))), pulled, dtype)
    results = [None] * len(operands)
    for k, result in zip(linear, found, strict=True):
        results[k] = _fitted(result, operands[k].aval.shape)
    return results


def _fitted(x, shape):
    """``x`` summed over the axes that ``shape`` has not, and repeated along those that only it has."""
    if x.shape == shape:
        return x
    x = need("jax.numpy", _USER).broadcast_to(x, np.broadcast_shapes(x.shape, shape))
    more = x.ndim - len(shape)
    return x.sum(tuple(k for k, n in enumerate(x.shape) if k < more or n != shape[k - more])).reshape(shape)


def _map_batch(operands, axes, *, sweep, dtype):
    jnp = need("jax.numpy", _USER)
    mapped = [axis is not None for axis in axes]
    operands = [jnp.moveaxis(x, axis, 0) if new else x for x, axis, new in zip(operands, axes, mapped, strict=True)]
    shapes = aligned(list(map(np.shape, operands)), sweep.operands, mapped)
    results = _bind(sweep, list(map(jnp.reshape, operands, shapes)), dtype)
    return results, [0] * len(results)


# -- compiled code --------------------------------------------------------------------------------------------------
# A callback of one operand and one result costs 8 microseconds, of ten and eleven 33: one set goes as one vector.
def _staged(callback, *operands, sweep, dtype):
    jnp, shapes = need("jax.numpy", _USER), tuple(operand.shape for operand in operands)
    if shapes != sweep.operands:
        results = tuple(sweep.shapes(shapes))
        return callback.bind(*operands, call=partial(_of_arrays, sweep, dtype), shapes=results, dtype=dtype)
    vector = jnp.concatenate([jnp.zeros(0, dtype), *(operand.ravel() for operand in operands)])
    size = (sum(map(math.prod, sweep.results)),)
    (found,) = callback.bind(vector, call=partial(_of_vector, sweep, dtype), shapes=(size,), dtype=dtype)
    return sweep.split(found)


def _of_vector(sweep, dtype, vector):
    with _Subnormals():
        return (sweep.of_vector(vector, dtype),)


def _of_arrays(sweep, dtype, *arrays):
    with _Subnormals():
        return tuple(sweep(arrays, dtype))


class _Subnormals:
    """XLA takes them for 0 in its threads; within this, arithmetic is the wrapping thread's. Costs a microsecond."""

    def __enter__(self):
        if (found := _environment()) is not None:
            get, put, usual = found
            self._own = ctypes.create_string_buffer(_ENVIRONMENT)
            get(self._own)
            put(usual)

    def __exit__(self, *_):
        if (found := _environment()) is not None:
            found[1](self._own)


@cache
def _environment():
    """What gets and what puts a thread's floating-point environment, and this thread's; None without a C library."""
    usual = ctypes.create_string_buffer(_ENVIRONMENT)
    try:
        library = ctypes.PyDLL("ucrtbase" if sys.platform == "win32" else None)
        library.fegetenv(usual)
    except (AttributeError, OSError):
        return None
    return library.fegetenv, library.fesetenv, usual


def _abstract_callback(*operands, shapes, dtype, call=None):
    shaped = need("jax.core", _USER).ShapedArray
    return [shaped(shape, dtype) for shape in shapes]


def _lower_callback(context, *operands, call, shapes, dtype):
    emit = need("jax.interpreters.mlir", _USER).emit_python_callback
    return emit(context, call, None, list(operands), context.avals_in, context.avals_out, has_side_effect=False)[0]
