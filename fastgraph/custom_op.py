"""Custom ops: the user's own scalar functions as operations of a graph, with the derivatives the user gives.

In: a function of numbers that Numba compiles, and its partial derivatives. Out: a function of expressions.
"""

import numpy as np
from numba.extending import is_jitted

from fastgraph.callee import callee_of
from fastgraph.errors import ArgumentError
from fastgraph.expr_array import graph_of, nodes_of
from fastgraph.functions import FUNCTIONS as _F

ORDERS = 3  # of derivatives that are recorded of a result from which its derivatives are computed


def custom_op(value, partials=None):
    """Make an operation of a scalar function of one or two numbers.

    Parameters
    ----------
    value : callable
        A Python function of float64 arguments, or the result of ``numba.njit``, that returns a number. It is called
        from machine code, for one set after the other, from many threads at once, in a float32 program with float32
        arguments. Where it raises an exception the value is NaN; it may depend on nothing but its arguments.
    partials : sequence or callable, optional
        The derivatives by the arguments: for each of them a number, 0 where the value does not depend on it; a function
        that ``numba.njit`` made or another custom op; or any function of expressions, such as one that calls ``fg.cos``
        or a :class:`Function`. Or one function ``(result, *arguments)`` that gives the sequence. A derivative nobody
        gave is NaN: the first one without ``partials``, those of a compiled function among them, and from the fourth
        order on those of a result that its own partials are computed from.

    Returns
    -------
    callable
        Of expressions and arrays of them, which broadcast; of numbers alone it gives the value.

    Raises
    ------
    ArgumentError
        If ``value`` has another number of arguments, or Numba cannot compile it; if ``partials`` are not as many.

    Notes
    -----
    Values cost a call of a function pointer for each set, some nanoseconds. Functions with custom ops are pickled, with
    the code of ``value``; they have no :meth:`Function.to_bytes`.

    Examples
    --------
    Kepler's equation, solved by Newton's method, with the derivative of the solution:

    >>> import math
    >>> import fastgraph as fg
    >>> def anomaly(m, e):
    ...     x = m
    ...     for _ in range(20):
    ...         x -= (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
    ...     return x
    >>> def slopes(x, m, e):
    ...     return 1.0 / (1.0 - e * fg.cos(x)), fg.sin(x) / (1.0 - e * fg.cos(x))
    >>> kepler = fg.custom_op(anomaly, slopes)
    >>> graph = fg.Graph()
    >>> m, e = graph.inputs("m", "e")
    >>> graph.output(kepler(m, e))
    >>> f = graph.compile()
    >>> y, slope = f.value_and_grad(1.0, 0.5)
    >>> round(float(y), 6), round(float(slope.m), 6)
    (1.498701, 1.037362)
    """
    return CustomOp(value, partials)


class CustomOp:
    """What :func:`custom_op` makes."""

    def __init__(self, value, partials):
        self.callee = callee_of(value)
        n = self.callee.arity
        if partials is not None and not callable(partials):
            partials = tuple(partials) if isinstance(partials, tuple | list) else (partials,)
            if len(partials) != n:
                raise ArgumentError(f"{self!r} has {n} arguments, but {len(partials)} partials were given")
            partials = tuple(custom_op(p) if is_jitted(p) else p for p in partials)
        elif is_jitted(partials):
            raise ArgumentError(f"{self!r}: partials are one for each argument: write ({self.callee.name}_slope,)")
        self.partials = partials

    def __call__(self, *args):
        """Record the operation, and beside it its derivatives; or compute it, of numbers."""
        if len(args) != self.callee.arity:
            raise ArgumentError(f"{self!r} takes {self.callee.arity} arguments, not {len(args)}")
        if graph_of(args) is None:
            found = self.callee(*np.broadcast_arrays(*(np.asarray(x, np.float64) for x in args)))
            return found if found.shape else found[()]
        call = _F["call" if len(args) == 1 else "call2"](*args, self.callee)
        if self.partials is not None and not callable(self.partials):
            return _with_partials(call, args, [p(*args) if callable(p) else p for p in self.partials])
        # NaN, and so is its derivative of any order, by any argument.
        unknown = _F["reciprocal"](np.nan * (args[0] if len(args) == 1 else args[0] + args[1]))
        result, graph = _with_partials(call, args, [unknown] * len(args)), graph_of(args)
        if self.partials is None:
            return result
        # The result that the derivatives are computed from has derivatives itself, up to an order.
        for _ in range(ORDERS):
            before, first = np.asarray(nodes_of(graph, result)), len(graph)
            found = self._computed(result, args)
            result = _with_partials(call, args, found)
            given = [np.asarray(nodes_of(graph, p)) for p in found if graph_of([p]) is not None]
            if not graph.refers(first, before) and not any(np.isin(nodes, before).any() for nodes in given):
                break
        return result

    def _computed(self, result, args):
        found = self.partials(result, *args)
        found = found if isinstance(found, tuple | list) else (found,)
        if len(found) != len(args):
            raise ArgumentError(f"{self!r} has {len(args)} arguments, but partials gave {len(found)} derivatives")
        return found

    def __repr__(self):
        return f"<custom op {self.callee.name}>"


def _with_partials(call, args, partials):
    """``call`` with its derivatives; those of numbers, and those that are the number 0, need not be there."""
    result = call
    for x, partial in zip(args, partials, strict=True):
        is_zero = isinstance(partial, int | float) and partial == 0
        if graph_of([x]) is not None and not is_zero:
            result = _F["with_partial"](result, x, partial)
    return result
