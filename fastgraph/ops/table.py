"""THE op table: one row an op, the only place that knows an op exists.

Rules run on any algebra: lanes of machine code, expressions, duals, NumPy arrays, mpmath numbers. ``m`` is the
algebra, ``x y z`` the operands, ``n`` the immediate, ``r`` the result. Comparisons give masks for ``m.where``.
"""

import math

from fastgraph.ops import rules
from fastgraph.ops.row import Domain, Only, Op

INF, NAN = math.inf, math.nan
PLACES = 0, 2**31 - 1  # where a table may begin; numbers of functions
TINY, HUGE, SUBNORMAL = 2.2250738585072014e-308, 1.7976931348623157e308, 5e-324
ANY = (-1e3, 1e3)
EDGES = (0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, SUBNORMAL, -SUBNORMAL, TINY, HUGE, -HUGE)

ONE = Domain((ANY,), (EDGES,))
TWO = Domain((ANY, ANY), (EDGES, EDGES))
POWERS = (0, 1, 2, 3, 4, 5, 7, 17, 100, -1, -2, -3, -8, 1025, 2**31 - 1, -(2**31))
KNOTS = (0.5,), (-1.0, 0.0), (-2.0, -1.5, -0.0, 0.25, 1.0, 3.0, 5.5, 7.0, 7.5)
LOGICAL = Domain(((-2.0, 2.0),) * 2, ((0.0, -0.0, 1.0, NAN, INF),) * 2)


def _one(low, high, *specials):
    return Domain(((low, high),), (EDGES + specials,))


def _compare(name, relation, doc, ufunc):
    value = lambda m, x, y: rules.truth(m, relation(x, y))
    return Op(name, 2, rules.flat(2), value, doc, domain=TWO, ulps=0, ufunc=ufunc, operator=name,
              switch=rules.at_tie)


ROWS = [
    # -- arithmetic ---------------------------------------------------------------------------------------
    Op("add", 2, lambda m, r, x, y: (1, 1), lambda m, x, y: x + y, "x + y",
       domain=TWO, commutative=True, operator="add"),
    Op("sub", 2, lambda m, r, x, y: (1, -1), lambda m, x, y: x - y, "x - y",
       domain=TWO, ufunc="subtract", operator="sub"),
    Op("mul", 2, lambda m, r, x, y: (y, x), lambda m, x, y: x * y, "x * y",
       domain=TWO, commutative=True, ufunc="multiply", operator="mul"),
    Op("div", 2, lambda m, r, x, y: (1.0 / y, -r / y), lambda m, x, y: x / y, "x / y",
       domain=TWO, ufunc="divide", operator="truediv"),
    Op("neg", 1, lambda m, r, x: (-1,), lambda m, x: -x, "-x", domain=ONE, ulps=0, ufunc="negative", operator="neg"),
    Op("abs", 1, lambda m, r, x: (m.sign(x),), None, "|x|; derivative 0 at 0",
       domain=ONE, ulps=0, ufunc="absolute", operator="abs", switch=rules.at_zero),
    Op("sign", 1, rules.flat(1), None, "-1, 0 or 1, NaN for NaN", domain=ONE, ulps=0, switch=rules.at_zero),
    Op("copysign", 2, rules.copysign_partials, lambda m, x, y: m.where(y != y, m.abs(x), m.copysign(x, y)),
       "the magnitude of x with the sign of y; a NaN y counts as positive", domain=TWO, ulps=0,
       switch=rules.at_either_zero),
    Op("reciprocal", 1, lambda m, r, x: (-(r * r),), lambda m, x: 1.0 / x, "1 / x", domain=ONE),
    Op("square", 1, lambda m, r, x: (2.0 * x,), lambda m, x: x * x, "x * x", domain=ONE),
    Op("sqrt", 1, lambda m, r, x: (0.5 / (r + 0.0),), None, "square root; derivative inf at 0", domain=_one(0.0, 1e6)),
    Op("cbrt", 1, lambda m, r, x: ((1.0 / (3.0 * r)) / r,), None, "cube root", domain=ONE, ulps=1),
    Op("fma", 3, lambda m, r, x, y, z: (y, x, 1), None, "x * y + z, rounded once",
       domain=Domain((ANY,) * 3, ((0.0, -0.0, 1.0, INF, NAN, HUGE, TINY, SUBNORMAL),) * 3)),
    # -- powers, exponentials, logarithms -------------------------------------------------------------------
    Op("pow", 2, rules.pow_partials, None, "x ** y",
       domain=Domain(((1e-3, 1e3), (-30.0, 30.0)), (EDGES + (2.0, -2.0, 0.5), EDGES + (0.5, 2.0, 3.0, -2.0, -3.0))),
       ulps=1, ufunc="power", operator="pow"),
    Op("powi", 1, rules.powi_partials, None,
       "x ** n for an integer n, exact at 0 and for any sign", immediate=(rules.LOWEST_POWER, rules.HIGHEST_POWER),
       domain=Domain(((-30.0, 30.0),), (EDGES,), POWERS), ulps=1),
    Op("exp", 1, lambda m, r, x: (r,), None, "e ** x",
       domain=_one(-745.0, 709.0, 709.782712893384, 709.7827128933841, -745.13, -745.14), ulps=1),
    Op("exp2", 1, lambda m, r, x: (r * rules.LN2,), None, "2 ** x",
       domain=_one(-1075.0, 1024.0, 1024.0, -1075.0), ulps=1),
    Op("expm1", 1, lambda m, r, x: (m.exp(x),), None, "e ** x - 1", domain=_one(-40.0, 709.0), ulps=1),
    Op("log", 1, lambda m, r, x: (1.0 / m.nonnegative(x),), None, "natural logarithm",
       domain=_one(1e-300, 1e300), ulps=1),
    Op("log2", 1, lambda m, r, x: (1.0 / (m.nonnegative(x) * rules.LN2),), None, "logarithm to base 2",
       domain=_one(1e-300, 1e300, 8.0, 0.5), ulps=1),
    Op("log10", 1, lambda m, r, x: (1.0 / (m.nonnegative(x) * rules.LN10),), None,
       "logarithm to base 10", domain=_one(1e-300, 1e300, 1000.0, 0.1), ulps=1),
    Op("log1p", 1, lambda m, r, x: (1.0 / m.nonnegative(1.0 + x),), None, "log(1 + x)",
       domain=_one(-0.999, 1e10), ulps=1),
    # -- trigonometric, hyperbolic --------------------------------------------------------------------------
    Op("sin", 1, lambda m, r, x: (m.cos(x),), None, "sine",
       domain=_one(-1e6, 1e6, 1e22, 6.381956970095103e307), ulps=1),
    Op("cos", 1, lambda m, r, x: (-m.sin(x),), None, "cosine",
       domain=_one(-1e6, 1e6, 1e22, 6.381956970095103e307), ulps=1),
    Op("tan", 1, lambda m, r, x: (1.0 + r * r,), None, "tangent",
       domain=_one(-1e6, 1e6, 1e22, 1.5707963267948966), ulps=1),
    Op("asin", 1, lambda m, r, x: (1.0 / m.sqrt(rules.one_less_square(m, x)),), None, "inverse sine",
       domain=_one(-1.0, 1.0), ulps=1, ufunc="arcsin"),
    Op("acos", 1, lambda m, r, x: (-1.0 / m.sqrt(rules.one_less_square(m, x)),), None, "inverse cosine",
       domain=_one(-1.0, 1.0), ulps=1, ufunc="arccos"),
    Op("atan", 1, rules.atan_partials, None, "inverse tangent", domain=ONE, ulps=1, ufunc="arctan"),
    Op("atan2", 2, rules.atan2_partials, None, "angle of the point (y, x), ordinate first; derivative 0 at the origin",
       domain=TWO, ulps=1, ufunc="arctan2"),
    Op("sinh", 1, lambda m, r, x: (m.cosh(x),), None, "hyperbolic sine", domain=_one(-710.0, 710.0), ulps=1),
    Op("cosh", 1, lambda m, r, x: (m.sinh(x),), None, "hyperbolic cosine", domain=_one(-710.0, 710.0), ulps=1),
    Op("tanh", 1, lambda m, r, x: (rules.sech_squared(m, x),), None, "hyperbolic tangent",
       domain=_one(-20.0, 20.0), ulps=1),
    Op("asinh", 1, lambda m, r, x: (rules.vanishing(m, 1.0 / m.hypot(1.0, x)),), None, "inverse hyperbolic sine",
       domain=ONE, ulps=1, ufunc="arcsinh"),
    Op("acosh", 1, lambda m, r, x: (rules.vanishing(m, (1.0 / m.sqrt(x - 1.0)) / m.sqrt(x + 1.0)),), None,
       "inverse hyperbolic cosine", domain=_one(1.0, 1e10), ulps=1, ufunc="arccosh"),
    Op("atanh", 1, lambda m, r, x: (1.0 / m.nonnegative(rules.one_less_square(m, x)),), None,
       "inverse hyperbolic tangent", domain=_one(-1.0, 1.0), ulps=1, ufunc="arctanh"),
    Op("hypot", 2, lambda m, r, x, y: (rules.direction(m, x, y, r), rules.direction(m, y, x, r)), None,
       "sqrt(x*x + y*y); derivative 0 at the origin", domain=TWO, ulps=1, commutative=True),
    Op("direction", 2, rules.direction_partials, None,
       "x / hypot(x, y), the cosine of the angle of the point (x, y); 0, and derivative 0, at the origin",
       domain=TWO, ulps=2),
    # -- rounding, remainders -------------------------------------------------------------------------------
    Op("floor", 1, rules.flat(1), None, "largest integer not above x", domain=ONE, ulps=0, operator="floor",
       switch=rules.at_integer),
    Op("ceil", 1, rules.flat(1), None, "smallest integer not below x", domain=ONE, ulps=0, operator="ceil",
       switch=rules.at_integer),
    Op("trunc", 1, rules.flat(1), None, "x without its fraction", domain=ONE, ulps=0, operator="trunc",
       switch=rules.at_integer),
    Op("rint", 1, rules.flat(1), None, "nearest integer, ties to even", domain=ONE, ulps=0, switch=rules.at_half),
    Op("mod", 2, lambda m, r, x, y: (1, -m.rint((x - r) / y)), rules.mod, "Python's x % y: the sign of y",
       domain=TWO, ufunc="remainder", operator="mod", switch=rules.at_multiple),
    Op("fmod", 2, lambda m, r, x, y: (1, -m.rint((x - r) / y)), None, "C's remainder: the sign of x",
       domain=TWO, ulps=0, switch=rules.at_multiple),
    # -- choices --------------------------------------------------------------------------------------------
    Op("minimum", 2, lambda m, r, x, y: (rules.larger(m, y, x), rules.larger(m, x, y)), None,
       "the smaller, NaN if either is NaN, -0 below +0; a tie splits the derivative",
       domain=TWO, ulps=0, commutative=True, switch=rules.at_tie),
    Op("maximum", 2, lambda m, r, x, y: (rules.larger(m, x, y), rules.larger(m, y, x)), None,
       "the larger, NaN if either is NaN, +0 above -0; a tie splits the derivative",
       domain=TWO, ulps=0, commutative=True, switch=rules.at_tie),
    Op("fmin", 2, lambda m, r, x, y: (rules.larger_number(m, -x, -y), rules.larger_number(m, -y, -x)), None,
       "the smaller, ignoring NaN; a tie splits the derivative", domain=TWO, ulps=0, commutative=True,
       switch=rules.at_tie),
    Op("fmax", 2, lambda m, r, x, y: (rules.larger_number(m, x, y), rules.larger_number(m, y, x)), None,
       "the larger, ignoring NaN; a tie splits the derivative", domain=TWO, ulps=0, commutative=True,
       switch=rules.at_tie),
    Op("where", 3, lambda m, r, c, x, y: (0, Only(c != 0.0, 1), Only(c == 0.0, 1)),
       lambda m, c, x, y: m.where(c != 0.0, x, y),
       "x where c is not 0, else y; the branch not taken contributes nothing to a derivative",
       domain=Domain(((-1.0, 1.0), ANY, ANY), ((0.0, -0.0, 1.0, NAN, INF), EDGES, EDGES)), ulps=0,
       switch=rules.at_zero),
    _compare("lt", lambda x, y: x < y, "x < y, as 1.0 or 0.0", "less"),
    _compare("le", lambda x, y: x <= y, "x <= y, as 1.0 or 0.0", "less_equal"),
    _compare("gt", lambda x, y: x > y, "x > y, as 1.0 or 0.0", "greater"),
    _compare("ge", lambda x, y: x >= y, "x >= y, as 1.0 or 0.0", "greater_equal"),
    _compare("eq", lambda x, y: x == y, "x == y, as 1.0 or 0.0", "equal"),
    _compare("ne", lambda x, y: x != y, "x != y, as 1.0 or 0.0", "not_equal"),
    Op("logical_and", 2, rules.flat(2), lambda m, x, y: rules.truth(m, (x != 0.0) & (y != 0.0)), "both are not 0",
       domain=LOGICAL, ulps=0, commutative=True, operator="and"),
    Op("logical_or", 2, rules.flat(2), lambda m, x, y: rules.truth(m, (x != 0.0) | (y != 0.0)), "one is not 0",
       domain=LOGICAL, ulps=0, commutative=True, operator="or"),
    Op("logical_xor", 2, rules.flat(2), lambda m, x, y: rules.truth(m, (x != 0.0) ^ (y != 0.0)), "exactly one is not 0",
       domain=LOGICAL, ulps=0, commutative=True, operator="xor"),
    Op("logical_not", 1, rules.flat(1), lambda m, x: rules.truth(m, x == 0.0), "x is 0",
       domain=ONE, ulps=0, operator="invert"),
    Op("isnan", 1, rules.flat(1), lambda m, x: rules.truth(m, x != x), "x is NaN", domain=ONE, ulps=0),
    Op("isinf", 1, rules.flat(1), lambda m, x: rules.truth(m, m.abs(x) == INF), "x is inf or -inf", domain=ONE, ulps=0),
    Op("isfinite", 1, rules.flat(1), lambda m, x: rules.truth(m, m.abs(x) < INF), "x is neither infinite nor NaN",
       domain=ONE, ulps=0),
    # -- special functions ----------------------------------------------------------------------------------
    Op("erf", 1, lambda m, r, x: (rules.TWO_OVER_SQRT_PI * rules.bell(m, x * x),), None, "error function",
       domain=_one(-6.0, 6.0), ulps=2),
    Op("erfc", 1, lambda m, r, x: (-rules.TWO_OVER_SQRT_PI * rules.bell(m, x * x),), None, "1 - erf(x)",
       domain=_one(-6.0, 27.3), ulps=4),
    Op("erfcx", 1, rules.erfcx_partials, None, "exp(x*x) erfc(x)", domain=_one(-26.0, 1e10), ulps=4),
    Op("lgamma", 1, lambda m, r, x: (m.digamma(x),), None, "log |gamma(x)|; the bound holds away from its zeros",
       domain=_one(-30.0, 1e6, 2.0, -2.0, -0.5), ulps=4),
    Op("digamma", 1, lambda m, r, x: (m.polygamma(x, 1),), None,
       "derivative of lgamma; the bound holds away from its zeros", domain=_one(-30.0, 1e6, 2.0, -2.0, -0.5), ulps=4),
    Op("polygamma", 1, rules.polygamma_partials, None,
       "n-th derivative of digamma; the bound holds away from its zeros",
       immediate=(1, rules.HIGHEST_POLYGAMMA),
       domain=Domain(((0.01, 1e4),), (EDGES + (2.0, -2.0, -0.5),), (1, 2, 3, 4, 7, 20)), ulps=4),
    Op("ndtr", 1, lambda m, r, x: (rules.ONE_OVER_SQRT_2PI * rules.bell(m, 0.5 * (x * x)),), None,
       "normal cumulative distribution function", domain=_one(-38.0, 9.0), ulps=4),
    Op("log_ndtr", 1, rules.log_ndtr_partials, None, "log(ndtr(x))",
       domain=_one(-1e6, 9.0), ulps=4),
    Op("sigmoid", 1, rules.sigmoid_partials, None, "1 / (1 + exp(-x))", domain=_one(-745.0, 40.0), ulps=2),
    Op("softplus", 1, lambda m, r, x: (m.sigmoid(x),), None, "log(1 + exp(x))", domain=_one(-745.0, 745.0), ulps=2),
    Op("logaddexp", 2, rules.logaddexp_partials, None, "log(exp(x) + exp(y)); the bound holds away from its zeros",
       domain=TWO, ulps=4, commutative=True),
    Op("xlogy", 2, rules.xlogy_partials, None, "x * log(y), 0 where x is 0 and y is not NaN",
       domain=Domain((ANY, (1e-6, 1e6)), (EDGES, EDGES)), ulps=2),
    # -- what derivatives are written in -------------------------------------------------------------------
    Op("nonnegative", 1, lambda m, r, x: (m.where(x < 0.0, rules.NAN, 1.0),), None,
       "x, but NaN where it is negative and 0 for -0: what logarithms are differentiated in",
       domain=_one(0.0, 1e6), ulps=0),
    Op("sech", 1, lambda m, r, x: (-(r * m.tanh(x)),), None, "hyperbolic secant, 1 / cosh(x)",
       domain=_one(-745.0, 745.0, 710.5, -745.2), ulps=2),
    # -- tables ---------------------------------------------------------------------------------------------
    Op("interval", 1, rules.flat(1), None,
       "the number of the last knot that is not above x, 0 if there is none; the knots are constant, and increase",
       immediate=PLACES, names="table", increasing=True, ulps=0, switch=rules.at_knot,
       domain=Domain(((-3.0, 9.0),), ((*EDGES, 0.25, 7.5),), KNOTS)),
    # Without a switch: where it jumps is where the op that computes the place does.
    Op("lookup", 1, rules.flat(1), None,
       "the number at place x of a constant table, x rounded toward zero; that at the nearest end if there is none",
       immediate=PLACES, names="table", ulps=0,
       domain=Domain(((-3.0, 9.0),), (EDGES,), ((0.5,), (-1.0, 3.5, 0.125, -0.0, INF, NAN, 2.0)))),
    # -- functions of the user, and what he says of derivatives ---------------------------------------------
    Op("call", 1, rules.flat(1), lambda m, x, f: m.call(f, x),
       "what a compiled function of the user gives for x; its derivative is what with_partial says",
       immediate=PLACES, names="function", is_declared=True, ulps=0,
       domain=Domain((ANY,), (EDGES,), (rules.example, rules.absolute))),
    Op("call2", 2, rules.flat(2), lambda m, x, y, f: m.call(f, x, y),
       "what a compiled function of the user gives for x and y", immediate=PLACES, names="function",
       is_declared=True, ulps=0, domain=Domain((ANY, ANY), (EDGES, EDGES), (rules.larger_in_size, rules.other))),
    Op("with_partial", 3, lambda m, r, x, y, z: (1, z, 0), lambda m, x, y, z: x,
       "x, with the partial derivative z by y beside its own", is_declared=True, ulps=0,
       domain=Domain((ANY,) * 3, ((0.0, -0.0, 1.0, INF, NAN, HUGE, TINY, SUBNORMAL),) * 3)),
]
