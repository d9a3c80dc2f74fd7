"""SymPy: expressions, lists and matrices of them, as Functions.

In: SymPy expressions, and the symbols they are functions of. Out: a ``Function``. Expressions are walked with a list of
what waits, not by recursion: ``sympy_walk``.
"""

from collections.abc import Mapping

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.extras import need
from fastgraph.importers.naming import fit_names, shortened
from fastgraph.importers.sympy_walk import Walk, is_symbol


def from_sympy(expressions, variables, parameters=(), *, name=None, dtype=np.float64):
    """Record SymPy expressions, and compile them.

    Parameters
    ----------
    expressions : sympy expression, list, matrix, tuple or mapping
        An expression or condition gives a scalar, a nested list or NumPy array an array, a matrix or ``sympy.Array``
        one of its shape, a column of n rows ``(n, 1)``. A tuple of these gives several outputs, a mapping outputs by
        name.
    variables : symbol, sequence or mapping
        The arguments in order. Each is a symbol, or whatever stands for one: ``q(t)``, ``q(t).diff(t)``, ``x[0]``; or a
        list or matrix of them, an argument of that shape; or a ``MatrixSymbol``. A mapping has them by name, otherwise
        arguments are named as their symbols where these are Python identifiers, ``dq_dt`` for a derivative, and the
        rest ``x`` and their number.
    parameters : symbol, sequence or mapping, optional
        More arguments, after the variables, which derivatives leave out.
    name : str, optional
        As of :class:`Graph`.
    dtype : float64 or float32
        As of :meth:`Graph.compile`.

    Returns
    -------
    Function
        Called with expressions it is recorded into their graph.

    Raises
    ------
    ExprError
        For a head that has no op, a symbol that is not among the arguments, a sum that is not finite: named, with the
        expression it stands in.
    ArgumentError
        If a variable is none, or given twice.
    ShapeError
        If the parts of a list have different shapes.
    ImportError
        If SymPy is not installed.

    Notes
    -----
    Numbers are real: what is complex in SymPy is NaN. Rational numbers and constants such as pi are rounded once, to
    nearest; ``x**n`` is the op with an integer, ``x**Rational(1, 2)`` a square root. A function without an op, of
    numbers alone, is evaluated by SymPy. ``Sum`` and ``Product`` are written out, a million terms in all. ``gamma`` is
    computed by ``lgamma``: its relative error grows to 1e-13.

    Sums and products have no order in SymPy. Here pairs of operands that several of them have are made once, as
    ``sympy.cse`` does it, the rest are balanced trees, and denominators are multiplied before one division.

    Examples
    --------
    >>> import sympy
    >>> import fastgraph as fg
    >>> x, y, k = sympy.symbols("x y k")
    >>> f = fg.from_sympy(sympy.sin(x) * y**3 + sympy.Max(x, k), [x, y], [k])
    >>> f
    <Function: (x, y, k) -> (y0), 5 operations>
    >>> float(f(0.0, 2.0, k=0.5))
    0.5
    >>> f.grad(0.0, 2.0, k=0.5)
    Gradient(x=np.float64(8.0), y=np.float64(0.0))

    An array argument, and a matrix of conditions and derivatives:

    >>> q = sympy.symbols("q:2")
    >>> energy = sympy.Piecewise((q[0] ** 2 * q[1], q[0] > 0), (q[1], True))
    >>> g = fg.from_sympy(sympy.hessian(energy, q), {"q": q})
    >>> g([3.0, 4.0])
    array([[8., 6.],
           [6., 0.]])
    """
    sympy = need("sympy", "fg.from_sympy")
    graph, places = Graph(name), {}
    inputs, others = _items(sympy, variables, "variables"), _items(sympy, parameters, "parameters")
    names = fit_names([label for label, _ in inputs + others])
    for k, (label, (wanted, item)) in enumerate(zip(names, inputs + others, strict=True)):
        symbols, shape = _symbols(sympy, item)
        declare, given = (graph.input, variables) if k < len(inputs) else (graph.parameter, parameters)
        nodes = declare(wanted if isinstance(given, Mapping) else label, shape)
        for symbol, place in zip(symbols, nodes.flat if shape else [nodes], strict=True):
            if symbol in places:
                raise ArgumentError(f"from_sympy: {symbol} is given twice among variables and parameters")
            places[symbol] = place
    outputs = [(label, *_parts(sympy, output)) for label, output in _named(expressions)]
    found = Walk(sympy, graph, places).record([part for _, parts, _ in outputs for part in parts])
    for label, parts, shape in outputs:
        own, found = found[: len(parts)], found[len(parts) :]
        graph.output(np.array(own, object).reshape(shape) if shape else own[0], label)
    return graph.compile(dtype)


# -- arguments ----------------------------------------------------------------------------------------------------
def _items(sympy, given, what):
    """Pairs of a name, or None, and what one argument is."""
    if isinstance(given, Mapping):
        return list(given.items())
    if is_symbol(sympy, given) or isinstance(given, sympy.MatrixSymbol):
        given = [given]
    if isinstance(given, sympy.MatrixBase):
        raise ArgumentError(
            f"from_sympy: {what} is a matrix: write list(matrix) for an argument of each element, [matrix] for one "
            "array argument"
        )
    if not isinstance(given, list | tuple | sympy.Tuple):
        raise ArgumentError(
            f"from_sympy: {what} is a list of symbols, or a mapping of names to them, not {_text(given)}"
        )
    return [(_wanted_name(sympy, item), item) for item in given]


def _wanted_name(sympy, item):
    """The name for the argument that ``item`` stands for, or None."""
    if isinstance(item, sympy.Symbol | sympy.MatrixSymbol):
        return item.name
    if isinstance(item, sympy.core.function.AppliedUndef):
        return type(item).__name__
    if isinstance(item, sympy.Derivative) and len(item.variable_count) == 1:
        (variable, count), whole = item.variable_count[0], _wanted_name(sympy, item.expr)
        order = "" if count == 1 else str(count)
        return whole and f"d{order}{whole}_d{variable}{order}"
    if isinstance(item, sympy.Indexed):
        return "_".join(map(str, item.args))
    return None


def _symbols(sympy, item):
    """The symbols of one argument, and its shape."""
    if isinstance(item, sympy.MatrixSymbol):
        item = item.as_explicit()
    if is_symbol(sympy, item):
        return [item], ()
    parts, shape = _parts(sympy, item)
    for symbol in parts:
        if not is_symbol(sympy, symbol):
            raise ArgumentError(
                f"from_sympy: variables and parameters are symbols such as x, q(t) and its derivatives, x[0], or lists "
                f"of these, not {_text(symbol)}"
            )
    return parts, shape


def _text(value):
    return f"{shortened(repr(value))} of type {type(value).__name__}"


# -- outputs ------------------------------------------------------------------------------------------------------
def _named(expressions):
    """Pairs of a name, or None, and what one output is."""
    if isinstance(expressions, Mapping):
        return [(str(label), output) for label, output in expressions.items()]
    if isinstance(expressions, tuple):
        return [(None, output) for output in expressions]
    return [(None, expressions)]


def _parts(sympy, value):
    """The elements of an array, one after the other, and its shape."""
    if isinstance(value, sympy.MatrixExpr):
        if not all(isinstance(n, int | np.integer) or n.is_Integer for n in value.shape):
            raise ShapeError(f"from_sympy: {shortened(str(value))} has the shape {value.shape}, which is no numbers")
        value = value.as_explicit()
    if isinstance(value, sympy.MatrixBase):
        return list(value), tuple(map(int, value.shape))
    if isinstance(value, sympy.NDimArray):
        return list(value.reshape(len(value))) if value.shape else [value[()]], tuple(map(int, value.shape))
    if isinstance(value, np.ndarray):
        return value.ravel().tolist(), value.shape
    if not isinstance(value, list | tuple | sympy.Tuple):
        return [value], ()
    parts, shapes = [], []
    for part in value:
        elements, shape = _parts(sympy, part)
        parts += elements
        shapes.append(shape)
    if len(set(shapes)) > 1:
        raise ShapeError(
            f"from_sympy: a list of parts of shapes {', '.join(map(str, dict.fromkeys(shapes)))} is no array: give a "
            "tuple for several outputs"
        )
    return parts, (len(parts and value), *(shapes[0] if shapes else ()))
