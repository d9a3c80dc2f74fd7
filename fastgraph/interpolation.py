"""Interpolation: functions given by numbers at constant knots, recorded as lookups in tables.

In: an expression, knots and what belongs to them. Out: expressions. A set costs a bisection and some lookups, however
many knots there are; derivatives are those of the piece an argument lies in.
"""

import numpy as np

from fastgraph.errors import ExprError, ShapeError
from fastgraph.expr_array import as_expressions, graph_of
from fastgraph.extras import need
from fastgraph.functions import FUNCTIONS as _F


def piecewise_polynomial(x, knots, coefficients):
    """Record a polynomial in each interval between constant knots.

    Parameters
    ----------
    x : Expr or ExprArray
    knots : array_like (n,)
        Increasing, two at least.
    coefficients : array_like (k, n - 1)
        In interval j the value is the sum over i of ``coefficients[i, j] * (x - knots[j]) ** (k - 1 - i)``, as in
        ``scipy.interpolate.PPoly``, whose ``x`` and ``c`` these are. The pieces at the ends go on beyond them.

    Returns
    -------
    Expr or ExprArray, of the shape of ``x``

    Raises
    ------
    ExprError
        If ``x`` is no expression, or the knots do not increase.
    ShapeError
        If the shapes are others.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x = graph.input("x")
    >>> graph.output(fg.piecewise_polynomial(x, [0.0, 1.0, 3.0], [[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]))
    >>> f = graph.compile()
    >>> f([0.5, 2.0]), f.grad([0.5, 2.0])
    (array([0.25, 3.  ]), array([1., 2.]))
    """
    knots = _knots(knots, "fg.piecewise_polynomial", 2)
    coefficients = _numbers(coefficients, "fg.piecewise_polynomial", "coefficients")
    if coefficients.ndim != 2 or coefficients.shape[1] != len(knots) - 1 or not len(coefficients):
        raise ShapeError(
            f"fg.piecewise_polynomial: coefficients of {len(knots)} knots have shape (k, {len(knots) - 1}), not "
            f"{coefficients.shape}"
        )
    place = _F["interval"](x, knots)
    offset = x - _F["lookup"](place, knots[:-1])
    result = _F["lookup"](place, coefficients[0])
    for row in coefficients[1:]:
        result = result * offset + _F["lookup"](place, row)
    return result


def cubic_spline(x, knots, values, boundary="not-a-knot"):
    """Record the cubic spline through values at constant knots, twice continuously differentiable.

    Parameters
    ----------
    x : Expr or ExprArray
    knots, values : array_like (n,)
        The knots increase; two at least.
    boundary : str or tuple
        ``"not-a-knot"``, ``"natural"``, ``"clamped"``, ``"periodic"``, or a pair of ``(order, value)`` of a derivative
        at either end: the ``bc_type`` of ``scipy.interpolate.CubicSpline``, which finds the coefficients.

    Returns
    -------
    Expr or ExprArray, of the shape of ``x``
        Beyond the ends the outermost pieces go on.

    Raises
    ------
    ExprError, ShapeError
        As for :func:`piecewise_polynomial`; also if there is no such spline.
    ImportError
        Without SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> knots = np.linspace(0.0, 3.0, 7)
    >>> graph = fg.Graph()
    >>> x = graph.input("x")
    >>> graph.output(fg.cubic_spline(x, knots, knots**3))
    >>> y, slope = graph.compile().value_and_grad(2.2)
    >>> round(float(y), 12), round(float(slope), 12)
    (10.648, 14.52)
    """
    interpolate = need("scipy.interpolate", "fg.cubic_spline")
    knots = _knots(knots, "fg.cubic_spline", 2)
    values = _numbers(values, "fg.cubic_spline", "values")
    if values.shape != knots.shape:
        raise ShapeError(f"fg.cubic_spline: values of {len(knots)} knots have shape {knots.shape}, not {values.shape}")
    try:
        spline = interpolate.CubicSpline(knots, values, bc_type=boundary)
    except ValueError as error:
        raise ExprError(f"fg.cubic_spline: {error}") from None
    return piecewise_polynomial(x, spline.x, spline.c)


def interp(x, xp, fp, left=None, right=None):
    """Record ``np.interp``: linear between constant knots, constant beyond them.

    Parameters
    ----------
    x : Expr or ExprArray
    xp : array_like (n,)
        The knots; they increase.
    fp : array_like (n,)
        Values there. Expressions are allowed, but then the graph grows with n: one operation for each.
    left, right : float or Expr, optional
        Below the first knot and above the last; the default is the value there.

    Returns
    -------
    Expr or ExprArray, of the shape of ``x``
        The bits of NumPy's, but for slopes that overflow and signs of zero at knots. The derivative at a knot is that
        of the interval above it, at the last one that of the interval below.

    Raises
    ------
    ExprError
        If the knots do not increase, or there is no expression.
    ShapeError
        If ``xp`` and ``fp`` are not of one length.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x = graph.input("x")
    >>> graph.output(fg.interp(x, [0.0, 1.0, 3.0], [0.0, 2.0, 3.0]))
    >>> f = graph.compile()
    >>> f([-1.0, 0.5, 2.0, 9.0]), f.grad([-1.0, 0.5, 2.0, 9.0])
    (array([0. , 1. , 2.5, 3. ]), array([0. , 2. , 0.5, 0. ]))
    """
    xp = _knots(xp, "np.interp", 1)
    if np.shape(fp) != xp.shape:
        raise ShapeError(f"np.interp: xp and fp must be of one length, at least 1, not {xp.shape} and {np.shape(fp)}")
    graph = graph_of([x, fp])
    if graph is None:
        raise ExprError("fg.interp records an operation on expressions; for numbers use np.interp")
    x = as_expressions(x, graph)
    constant = graph_of([fp]) is None
    fp = _numbers(fp, "np.interp", "fp") if constant else as_expressions(fp, graph)
    left, right = fp[0] if left is None else left, fp[len(xp) - 1] if right is None else right
    if len(xp) == 1:
        inside = fp[0]
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = (fp[1:] - fp[:-1]) / np.diff(xp)
        inside = (_looked_up if constant else _chosen)(x, xp, fp, slopes)
    return _F["where"](x < xp[0], left, _F["where"](x > xp[-1], right, inside))


def _looked_up(x, xp, fp, slopes):
    """By tables; at the last knot its own value, with the slope of the last interval."""
    place = _F["interval"](x, xp)
    return _F["lookup"](place, slopes) * (x - _F["lookup"](place, xp)) + _F["lookup"](place, fp)


def _chosen(x, xp, fp, slopes):
    """By comparisons, with half of the intervals left each time."""

    def chosen(first, stop, values):
        if stop - first == 1:
            return values[first]
        middle = (first + stop) // 2
        return _F["where"](x < xp[middle], chosen(first, middle, values), chosen(middle, stop, values))

    n = len(xp) - 1
    inside = chosen(0, n, slopes) * (x - chosen(0, n, xp)) + chosen(0, n, fp)
    return _F["where"](x >= xp[-1], fp[n] + (x - xp[-1]) * slopes[n - 1], inside)


def _knots(knots, what, least):
    knots = _numbers(knots, what, "knots")
    if knots.ndim != 1 or len(knots) < least:
        raise ShapeError(f"{what}: knots have shape (n,), {least} at least, not {knots.shape}")
    if not np.all(knots[1:] > knots[:-1]):
        raise ExprError(f"{what}: the knots must increase")
    return knots


def _numbers(values, what, name):
    if graph_of([values]) is not None:
        raise ExprError(f"{what} takes constant {name}: they become tables of the program")
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ExprError(f"{what} takes real numbers for {name}: {error}") from None
