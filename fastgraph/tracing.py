"""Tracing: a Python function of numbers and arrays, called once with expressions, becomes a Function.

In: a function as it is written for NumPy, and the shapes of its arguments. Out: a ``Function``. Branches that ask an
expression for its value are errors that name the line.
"""

import functools
import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, FastgraphError
from fastgraph.graph import is_name

_HOME = str(Path(__file__).parent)


def trace(fn, *shapes, dtype=np.float64, parameters=(), trace_lines=False):
    """Record what ``fn`` computes, by calling it once with expressions.

    Parameters
    ----------
    fn : callable
        Written for numbers and NumPy arrays. Loops over ranges unroll; a branch on a value is an error.
    *shapes : tuple of int, int, float or array_like
        For each argument of ``fn`` its shape, ``()`` for a number, or an example: a float or an array. An int is the
        length of a vector.
    dtype : float64 or float32
        As of :meth:`Graph.compile`.
    parameters : sequence of str
        Names of arguments that derivatives leave out.
    trace_lines : bool
        As of :class:`Graph`.

    Returns
    -------
    Function
        Its arguments are named as those of ``fn``. A tuple or mapping that ``fn`` returns becomes several outputs.

    Raises
    ------
    ExprError
        If ``fn`` asks an expression for its value; the message begins with the file and the line that did.
    ArgumentError
        If the shapes are not those of the arguments of ``fn``, or it returns what is no expression.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> def rosen(x):
    ...     return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    >>> f = fg.trace(rosen, (3,))
    >>> f
    <Function 'rosen': (x[3]) -> (y0), 15 operations>
    >>> float(f([1.0, 2.0, 3.0]))
    201.0
    """
    names = _names(fn, len(shapes))
    unknown = [name for name in parameters if name not in names]
    if unknown:
        raise ArgumentError(f"trace: parameters names {unknown[0]!r}, but {_label(fn)} has {', '.join(names)}")
    graph = Graph(_name(fn), trace_lines)
    arguments = []
    for name, shape in zip(names, shapes, strict=True):
        declare = graph.parameter if name in parameters else graph.input
        arguments.append(declare(name, _shape(shape, name)))
    try:
        result = fn(*arguments)
    except FastgraphError as error:
        raise _located(error) from error
    _declare(graph, result, fn)
    return graph.compile(dtype)


def function(fn=None, *, dtype=np.float64, parameters=(), trace_lines=False):
    """Decorate a Python function: traced at its first call with arguments of given shapes, then called as a Function.

    The shapes of the arguments are those of the call, so there is no batch: ``decorated.traced(*args)`` is the Function
    for such arguments, with its derivatives, batches and all else. ``decorated.value_and_grad(*args)`` and
    ``decorated.grad(*args)`` are those of that Function.

    Parameters
    ----------
    fn, dtype, parameters, trace_lines
        As for :func:`trace`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> @fg.function
    ... def norm(x):
    ...     return np.sqrt(np.sum(x * x))
    >>> float(norm([3.0, 4.0]))
    5.0
    >>> norm.grad([3.0, 4.0])
    array([0.6, 0.8])
    """
    if fn is None:
        return lambda fn: function(fn, dtype=dtype, parameters=parameters, trace_lines=trace_lines)
    return Traced(fn, dtype, tuple(parameters), trace_lines)


class Traced:
    """What :func:`function` gives: a callable that keeps a Function for each tuple of shapes."""

    def __init__(self, fn, dtype, parameters, trace_lines=False):
        self._fn = fn
        self._options = {"dtype": dtype, "parameters": parameters, "trace_lines": trace_lines}
        self._functions = {}
        functools.update_wrapper(self, fn)

    def traced(self, *args, **named):
        """The Function for arguments of these shapes."""
        return self._traced(_bound(self._fn, args, named))

    def __call__(self, *args, **named):
        bound = _bound(self._fn, args, named)
        return self._traced(bound)(*bound)

    def value_and_grad(self, *args, wrt=None, **named):
        """Value and gradient at one set; see :meth:`Function.value_and_grad`."""
        bound = _bound(self._fn, args, named)
        return self._traced(bound).value_and_grad(*bound, wrt=wrt)

    def grad(self, *args, wrt=None, **named):
        """The gradient alone."""
        return self.value_and_grad(*args, wrt=wrt, **named)[1]

    def _traced(self, bound):
        shapes = tuple(np.shape(value) for value in bound)
        if shapes not in self._functions:
            self._functions.setdefault(shapes, trace(self._fn, *shapes, **self._options))
        return self._functions[shapes]

    def __repr__(self):
        return f"<fg.function {_label(self._fn)}: traced for {len(self._functions)} tuples of shapes>"


def _bound(fn, args, named):
    """The arguments in the order of the signature, with defaults."""
    try:
        bound = inspect.signature(fn).bind(*args, **named)
    except TypeError as error:
        raise ArgumentError(f"{_label(fn)}: {error}") from None
    bound.apply_defaults()
    return bound.args


def _names(fn, count):
    """Names of the first arguments of ``fn``, fit to be names of arguments."""
    try:
        declared = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return [f"x{k}" for k in range(count)]
    kinds = inspect.Parameter
    names = [p.name for p in declared if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    needed = [
        p for p in declared if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    rest = any(p.kind is kinds.VAR_POSITIONAL for p in declared)
    if count < len(needed) or (count > len(names) and not rest):
        raise ArgumentError(
            f"trace: {_label(fn)} takes {', '.join(names) or 'no arguments'}, but {count} shapes were given"
        )
    names += [f"x{k}" for k in range(len(names), count)]
    return [name if is_name(name) else f"x{k}" for k, name in enumerate(names[:count])]


def _shape(given, name):
    if isinstance(given, tuple) and all(isinstance(n, int | np.integer) for n in given):
        return given
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return (int(given),)
    array = np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(
            f"trace: for {name} give a shape, such as () or (3,), or an example, a float or an array, not {given!r}"
        )
    return array.shape


def _declare(graph, result, fn):
    """Declare what ``fn`` returned as outputs."""
    if isinstance(result, Mapping):
        named = [(str(name), value) for name, value in result.items()]
    elif hasattr(result, "_fields"):
        named = list(zip(result._fields, result, strict=True))
    elif isinstance(result, tuple):
        named = [(None, value) for value in result]
    else:
        named = [(None, result)]
    for name, value in named:
        if value is None:
            raise ArgumentError(f"trace: {_label(fn)} returned None: it must return what it computes")
        try:
            graph.output(value, name)
        except FastgraphError as error:
            raise ArgumentError(f"trace: {_label(fn)} returned what is no output: {error}") from None


def _name(fn):
    return getattr(fn, "__name__", None)


def _label(fn):
    return getattr(fn, "__qualname__", None) or repr(fn)


def _located(error):
    """The error, with the last line outside fastgraph and NumPy that led to it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_HOME)]
    own = [f for f in frames if "numpy" not in Path(f.filename).parts] or frames
    if not own:
        return error
    frame = own[-1]
    where = f"{frame.filename}, line {frame.lineno}, in {frame.name}"
    code = f": `{frame.line}`" if frame.line else ""
    return type(error)(f"{where}{code}: {error}")
