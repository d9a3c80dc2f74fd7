"""SymPy's heads: the functions, relations and connectives that have a meaning in ops, one line each.

In: the expressions that the operands became. Out: an expression. ``M`` is the algebra of expressions, whose functions
are the ops. Heads whose arguments need a closer look are in ``sympy_walk``.
"""

import math

from fastgraph.expr import Symbols

M = Symbols()
_SAME = (
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "sech", "asinh", "acosh", "atanh",
    "exp", "log", "sign", "floor", "erf", "erfc", "hypot", "expm1", "log1p", "exp2", "log2", "log10", "isnan", "isinf",
    "fma", "logaddexp", "polygamma", "digamma",
)  # fmt: skip
_RENAMED = {
    "Abs": "abs", "ceiling": "ceil", "Mod": "mod", "loggamma": "lgamma", "Sqrt": "sqrt", "Cbrt": "cbrt",
    "Equality": "eq", "Unequality": "ne", "StrictLessThan": "lt", "LessThan": "le", "StrictGreaterThan": "gt",
    "GreaterThan": "ge", "Not": "logical_not", "ITE": "where", "KroneckerDelta": "eq",
}  # fmt: skip


def tree(op, values):
    """The values joined by a binary op, as a balanced tree."""
    values = list(values)
    while len(values) > 1:
        odd = values[len(values) - len(values) % 2 :]
        values = [op(x, y) for x, y in zip(values[0::2], values[1::2], strict=False)] + odd
    return values[0]


def _gamma(x):
    # lgamma is of |gamma|, which is negative between -1 and 0, -3 and -2, …; a negative integer is a pole.
    sign = M.where(M.floor(x) == x, math.nan, 1.0 - 2.0 * (M.floor(x) % 2.0))
    return M.where(x < 0.0, sign, 1.0) * M.exp(M.lgamma(x))


def _heaviside(x, at_zero):
    return M.where(x == 0.0, at_zero, 0.5 + 0.5 * M.sign(x))


def _piecewise(*xs):
    """Values and conditions in turn, then the value elsewhere, NaN if there is none."""
    pairs = len(xs) // 2
    result = xs[-1] if len(xs) % 2 else math.nan
    for k in reversed(range(pairs)):
        result = M.where(xs[2 * k + 1], xs[2 * k], result)
    return result


def _sinc(x):
    return M.where(x == 0.0, 1.0, M.sin(x) / x)


HEADS = {
    **{name: getattr(M, name) for name in _SAME},
    **{head: getattr(M, name) for head, name in _RENAMED.items()},
    "Max": lambda *xs: tree(M.maximum, xs),
    "Min": lambda *xs: tree(M.minimum, xs),
    "maximum": lambda *xs: tree(M.maximum, xs),
    "minimum": lambda *xs: tree(M.minimum, xs),
    "And": lambda *xs: tree(M.logical_and, xs),
    "Or": lambda *xs: tree(M.logical_or, xs),
    "Xor": lambda *xs: tree(M.logical_xor, xs),
    "Nand": lambda *xs: M.logical_not(tree(M.logical_and, xs)),
    "Nor": lambda *xs: M.logical_not(tree(M.logical_or, xs)),
    "Implies": lambda x, y: M.logical_or(M.logical_not(x), y),
    "Equivalent": lambda x, *ys: tree(M.logical_and, [M.logical_not(M.logical_xor(x, y)) for y in ys]),
    "cot": lambda x: 1.0 / M.tan(x),
    "sec": lambda x: 1.0 / M.cos(x),
    "csc": lambda x: 1.0 / M.sin(x),
    "acot": lambda x: M.atan(1.0 / x),
    "asec": lambda x: M.acos(1.0 / x),
    "acsc": lambda x: M.asin(1.0 / x),
    "coth": lambda x: 1.0 / M.tanh(x),
    "csch": lambda x: 1.0 / M.sinh(x),
    "acoth": lambda x: M.atanh(1.0 / x),
    "asech": lambda x: M.acosh(1.0 / x),
    "acsch": lambda x: M.asinh(1.0 / x),
    "frac": lambda x: x - M.floor(x),
    "sinc": _sinc,
    "Heaviside": _heaviside,
    "gamma": _gamma,
    "factorial": lambda x: _gamma(x + 1.0),
    "erf2": lambda x, y: M.erf(y) - M.erf(x),
    "logaddexp2": lambda x, y: M.logaddexp(x * math.log(2.0), y * math.log(2.0)) / math.log(2.0),
    # All numbers are real here, and what would not be is NaN.
    "re": lambda x: x,
    "conjugate": lambda x: x,
    "UnevaluatedExpr": lambda x: x,
    "Piecewise": _piecewise,
    # What sums, products and powers are written in.
    "neg": lambda x: -x,
    "div": lambda x, y: x / y,
    "reciprocal": M.reciprocal,
    "sqrt": M.sqrt,
    "powi": M.powi,
    "pow": M.pow,
}

_COMPLEX = "numbers are real: use real symbols, symbols('x', real=True), and expand"
ADVICE = {
    "Derivative": "evaluate it, expression.doit(), or have it among the variables; that of Abs needs real symbols",
    "Subs": "evaluate it, expression.doit()",
    "Integral": "evaluate it, expression.doit(), or integrate the compiled function by SciPy",
    "Limit": "evaluate it, expression.doit()",
    "Order": "drop it, expression.removeO()",
    "DiracDelta": "no number is its value at 0",
    "ComplexInfinity": "it is no real number: SymPy has divided by 0",
    "ImaginaryUnit": _COMPLEX,
    "im": _COMPLEX,
    "arg": _COMPLEX,
    "Contains": "write the condition as relations, set.as_relational(x)",
    "beta": "write it by gamma functions, expression.rewrite(gamma)",
    "binomial": "write it by gamma functions, expression.rewrite(gamma)",
}
