"""The mpmath algebra: the op table run at hundreds of bits, as the oracle of tests and of the accuracy table.

In: a row and arguments of binary64 or binary32. Out: its value and true partial derivatives, practically exact, and
the error of a float in units in the last place. Nothing here knows a row's rule for derivatives: partials are divided
differences of the value, so they check the rules and do not repeat them.
"""

import math

import numpy as np

from fastgraph.ops.real import INF, NAN, Real, mpmath

_mp = mpmath.mp


def _mills(x):
    """sqrt(pi) x erfcx(x) for large x: DLMF 7.12.1, whose terms fall until k is about x**2."""
    total = term = _mp.one
    k = 0
    while abs(term) > _mp.eps:
        term *= -(2 * k + 1) / (2 * x * x)
        total += term
        k += 1
    return total


def _erfc(x):
    if x > 1e10:
        # Below 2**(-10**20): of no weight beside any binary64 number, so a few bits do.
        with mpmath.workprec(150):
            return _mp.exp(-x * x) * _mills(x) / (_mp.sqrt(_mp.pi) * x)
    return 2 - _erfc(-x) if x < -1e10 else _mp.erfc(x)


def _erfcx(x):
    if x > 1e10:
        return _mills(x) / (_mp.sqrt(_mp.pi) * x)
    return _mp.exp(x * x) * _erfc(x)


def _is_pole(x):
    return x <= 0 and _mp.isint(x)


def _lgamma(x):
    return _mp.inf if _is_pole(x) else _mp.re(_mp.loggamma(x))


def _digamma(x):
    return _mp.nan if _is_pole(x) else _mp.psi(0, x)


def _polygamma(n, x):
    if x > 0:
        return _mp.psi(n, x)
    # DLMF 5.15.6. The n-th derivative of cot is a polynomial in cot, as its first one is -(1 + cot**2).
    cot = _mp.cospi(x) / _mp.sinpi(x)
    polynomial = [0, 1]
    for _ in range(n):
        inner = [k * c for k, c in enumerate(polynomial)][1:]
        polynomial = [-(a + b) for a, b in zip([*inner, 0, 0], [0, 0, *inner], strict=True)]
    slope = sum(c * cot**k for k, c in enumerate(polynomial))
    return (-1) ** n * _mp.psi(n, 1 - x) - _mp.pi ** (n + 1) * slope


def _log_ndtr(x):
    if x > 0:
        return _mp.log1p(-_erfc(x / _mp.sqrt(2)) / 2)
    return _mp.log(_erfcx(-x / _mp.sqrt(2)) / 2) - x * x / 2


# name: (function of a finite mpf, its limits at -inf and inf). Complex results stand for "not in the domain".
_UNARY = {
    "sqrt": (_mp.sqrt, NAN, INF),
    "cbrt": (lambda x: _mp.sign(x) * _mp.cbrt(abs(x)), -INF, INF),
    "exp": (_mp.exp, 0, INF),
    "exp2": (lambda x: _mp.power(2, x), 0, INF),
    "expm1": (_mp.expm1, -1, INF),
    "log": (_mp.log, NAN, INF),
    "log2": (lambda x: _mp.log(x) / _mp.ln2, NAN, INF),
    "log10": (lambda x: _mp.log(x) / _mp.ln10, NAN, INF),
    "log1p": (lambda x: _mp.log1p(x) if x > -1 else _mp.log(1 + x), NAN, INF),
    "sin": (_mp.sin, NAN, NAN),
    "cos": (_mp.cos, NAN, NAN),
    "tan": (_mp.tan, NAN, NAN),
    "asin": (_mp.asin, NAN, NAN),
    "acos": (_mp.acos, NAN, NAN),
    "atan": (_mp.atan, None, None),
    "sinh": (_mp.sinh, -INF, INF),
    "cosh": (_mp.cosh, INF, INF),
    "sech": (_mp.sech, 0, 0),
    "tanh": (_mp.tanh, -1, 1),
    "asinh": (_mp.asinh, -INF, INF),
    "acosh": (lambda x: _mp.acosh(x) if x >= 1 else _mp.nan, NAN, INF),
    "atanh": (lambda x: _mp.sign(x) * _mp.inf if abs(x) == 1 else _mp.atanh(x), NAN, NAN),
    "nonnegative": (lambda x: x if x >= 0 else _mp.nan, NAN, INF),
    "floor": (_mp.floor, -INF, INF),
    "ceil": (_mp.ceil, -INF, INF),
    "trunc": (lambda x: _mp.sign(x) * _mp.floor(abs(x)), -INF, INF),
    "rint": (_mp.nint, -INF, INF),
    "erf": (lambda x: _mp.erf(x), -1, 1),
    "erfc": (_erfc, 2, 0),
    "erfcx": (_erfcx, INF, 0),
    "lgamma": (_lgamma, INF, INF),
    "digamma": (_digamma, NAN, INF),
    "ndtr": (lambda x: _erfc(-x / _mp.sqrt(2)) / 2, 0, 1),
    "log_ndtr": (_log_ndtr, -INF, -0.0),
    "sigmoid": (lambda x: 1 / (1 + _mp.exp(-x)), 0, 1),
    "softplus": (lambda x: max(x, 0) + _mp.log1p(_mp.exp(-abs(x))), 0, INF),
}
# Functions of which a zero result carries the sign of the argument: odd ones, and the roundings.
_SIGNED_ZERO = {"sqrt", "cbrt", "expm1", "log1p", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "erf"}
_SIGNED_ZERO |= {"floor", "ceil", "trunc", "rint"}


def _unary(name):
    function, low, high = _UNARY[name]

    def apply(x):
        x = Real(x)
        if x.isnan:
            return x
        if not x.isfinite and low is not None:
            return Real(low if x.negative else high)
        result = function(x.value)
        if isinstance(result, mpmath.mpc):
            return Real(NAN)
        return Real(result, name in _SIGNED_ZERO and x.negative)

    return apply


class Oracle:
    """The algebra whose values are :class:`Real`; masks are Python booleans.

    Arguments may be :class:`Real`, mpmath or Python numbers (only the first and floats carry a signed zero).
    Special values follow C99 annex F, NumPy, and where both are silent SciPy.

    Examples
    --------
    >>> Oracle().atan2(0.0, -0.0) > 3.14159
    True
    """

    def __getattr__(self, name):
        if name not in _UNARY:
            raise AttributeError(f"the mpmath algebra has no {name!r}")
        return _unary(name)

    def where(self, mask, x, y):
        return Real(x if mask else y)

    def abs(self, x):
        return Real(abs(Real(x).value))

    def sign(self, x):
        x = Real(x)
        return Real(_mp.sign(x.value))

    def copysign(self, x, y):
        return -self.abs(x) if Real(y).negative else self.abs(x)

    def fma(self, x, y, z):
        return Real(x) * y + z

    def call(self, function, *xs):
        return Real(float(function(*map(float, xs))))

    def interval(self, x, knots):
        x = Real(x)
        return x if x.isnan else Real(max(sum(Real(knot) <= x for knot in knots) - 1, 0))

    def lookup(self, x, numbers):
        x = Real(x)
        if x.isnan:
            return x
        place = min(max(x.value, 0), len(numbers) - 1)
        return Real(float(numbers[int(place)]))

    def hypot(self, x, y):
        x, y = self.abs(x), self.abs(y)
        return Real(INF) if x == INF or y == INF else Real(_mp.sqrt(x.value**2 + y.value**2))

    def direction(self, x, y):
        x, h = Real(x), self.hypot(x, y)
        return Real(0) if h == 0.0 else x / h

    def atan2(self, y, x):
        y, x = Real(y), Real(x)
        if x.isnan or y.isnan:
            return Real(NAN)
        # Infinities, and zeros, keep only their direction.
        if not (x.isfinite and y.isfinite):
            x, y = (Real(_mp.sign(v.value) if not v.isfinite else 0, v.negative) for v in (x, y))
        if y.value == 0:
            angle = +_mp.pi if x.negative else _mp.zero
            return Real(-angle if y.negative else angle, y.negative)
        return Real(_mp.atan2(y.value, x.value))

    def fmod(self, x, y):
        x, y = Real(x), self.abs(y)
        if x.isnan or y.isnan or not x.isfinite or y.value == 0:
            return Real(NAN)
        if not y.isfinite:
            return x
        # Exact, unlike mpmath's: binary64 arguments are integers of at most 2**2100 units.
        (_, a, p, _), (_, b, q, _) = x.value._mpf_, y.value._mpf_
        unit = min(p, q)
        rest = _mp.ldexp((int(a) << (p - unit)) % (int(b) << (q - unit)), unit)
        return self.copysign(rest, x)

    def pow(self, x, y):
        x, y = Real(x), Real(y)
        if y.value == 0 or x.value == 1:
            return Real(1)
        if x.isnan or y.isnan:
            return Real(NAN)
        size = abs(x.value)
        if not y.isfinite:
            return Real(1 if size == 1 else INF if (size > 1) != y.negative else 0)
        odd = _mp.isint(y.value) and not _mp.isint(y.value / 2)
        if size == 0 or size == INF:
            result = Real(0 if (size == 0) != y.negative else INF)
        elif x.negative and not _mp.isint(y.value):
            return Real(NAN)
        else:
            result = Real(_mp.exp(y.value * _mp.log(size)) if size != 1 else 1)
        return -result if odd and x.negative else result

    def powi(self, x, n):
        x, n = Real(x), int(n)
        if x.isfinite and x.value != 0:
            return Real(x.value**n)
        return self.pow(x, n)

    def polygamma(self, x, n):
        x, n = Real(x), int(n)
        if x.isnan or x == -INF:
            return Real(NAN)
        if x == INF:
            return Real(0, n % 2 == 0)
        if _is_pole(x.value):
            # The two sides of a pole agree for an odd order; at zero the sign of zero says which side.
            return Real(INF if n % 2 else NAN if x.value else INF if x.negative else -INF)
        return Real(_polygamma(n, x.value))

    def digamma(self, x):
        x = Real(x)
        return Real(INF if x.negative else -INF) if x.value == 0 else _unary("digamma")(x)

    def minimum(self, x, y):
        return -self.maximum(-Real(x), -Real(y))

    def maximum(self, x, y):
        x, y = Real(x), Real(y)
        if x.isnan or y.isnan:
            return Real(NAN)
        return x if x > y or (x == y and y.negative) else y

    def fmin(self, x, y):
        return -self.fmax(-Real(x), -Real(y))

    def fmax(self, x, y):
        return Real(y) if Real(x).isnan else Real(x) if Real(y).isnan else self.maximum(x, y)

    def logaddexp(self, x, y):
        high, low = self.maximum(x, y), self.minimum(x, y)
        if high.isnan or high == INF or low == -INF:
            return high + 0.0
        return high + Real(_mp.log1p(_mp.exp((low - high).value)))

    def xlogy(self, x, y):
        x, y = Real(x), Real(y)
        return Real(0) if x.value == 0 and not y.isnan else x * self.log(y)


def _close(a, b, bits):
    """Whether two Reals agree in their leading bits (and in kind: nan, inf, zero)."""
    if a.isnan or b.isnan or not (a.isfinite and b.isfinite):
        return a == b or (a.isnan and b.isnan)
    return bool(abs(a.value - b.value) <= _mp.ldexp(abs(b.value), -bits))


def exact_value(op, args, n=None, precision=160):
    """The value of ``op`` as a :class:`Real` with at least ``precision / 2`` correct bits.

    The value is taken at ``precision`` bits and at twice that, and so on until two successive ones agree (Ziv's
    strategy), so that cancellation inside a rule, or inside mpmath, does not pass for a result.
    """
    operands = [Real(arg) for arg in args] + ([] if n is None else [n])
    oracle = Oracle()
    previous = None
    for doubling in range(7):
        with mpmath.workprec(precision << doubling):
            value = op.apply(oracle, *operands)
            if previous is not None and _close(previous, value, precision // 2):
                return value
        previous = value
    raise ArithmeticError(f"{op.name}{tuple(map(float, args))}: no agreement up to {precision << doubling} bits")


def exact_partials(op, args, n=None, dtype=np.float64):
    """The true partial derivatives of the value of ``op``: a tuple with a :class:`Real` or None an operand.

    Each is a central difference of the value, with so small a step at so high a precision that at least 60 bits
    are right (or all of its error is below 2**-1130). None says that the value is not differentiable there, or an
    argument or the value not finite in ``dtype``: what a rule has to give at such points is a convention, see the
    numerical contract.
    """
    operands = [Real(arg) for arg in args]
    if not all(x.isfinite for x in operands):
        return (None,) * len(operands)
    return tuple(_difference(op, operands, k, n, overflow(dtype)) for k in range(len(operands)))


_STEP_BITS = 100


def _difference(op, operands, k, n, limit):
    # The step is small against every scale of the problem: for several operands also against their quotients.
    scales = [0] + [_mp.mag(x.value) for x in operands if x.value != 0]
    ratio = min(scales) if len(operands) == 1 else 2 * (min(scales) - max(scales))
    step_bits = ratio - _STEP_BITS
    precision = 300 - step_bits + max(scales)
    for _ in range(4):
        with mpmath.workprec(precision):
            estimates, error = _divided_differences(op, operands, k, n, step_bits, limit)
            if estimates is None:
                return None
            derivative = estimates[-1]
            missing = _mp.mag(error) - max(_mp.mag(derivative) - 80, -1160) if error else 0
            if missing <= 0:
                right, left, coarse, fine = estimates
                smooth = _mp.mag(fine - coarse) <= _mp.mag(fine) - 60 or max(abs(fine), abs(coarse)) < 2.0**-1000
                kink = _mp.mag(right - left) > max(_mp.mag(right) - 40, step_bits + 60)
                return Real(fine) if smooth and not kink else None
        precision += int(missing) + 20
    raise ArithmeticError(f"{op.name}{tuple(map(float, operands))}: operand {k}: no derivative at {precision} bits")


def _divided_differences(op, operands, k, n, step_bits, limit):
    """One-sided quotients (right, left) and central ones at two steps, and a bound of their rounding error."""
    oracle = Oracle()

    def value(delta):
        shifted = list(operands)
        shifted[k] = shifted[k] + Real(delta) if delta else shifted[k]
        return op.apply(oracle, *shifted, *([] if n is None else [n]))

    step, fine = _mp.ldexp(1, step_bits), _mp.ldexp(1, step_bits - 10)
    values = []
    for delta in (0, step, -step, fine, -fine):
        values.append(value(delta))
        if not abs(values[-1].value) < limit:
            return None, None
    at, right, left, near_right, near_left = (v.value for v in values)
    estimates = (
        (near_right - at) / fine,
        (at - near_left) / fine,
        (right - left) / (2 * step),
        (near_right - near_left) / (2 * fine),
    )
    return estimates, _mp.ldexp(max(abs(v) for v in (at, right, left)) * _mp.eps, 10 - step_bits)


def overflow(dtype=np.float64):
    """The power of two after the largest number of ``dtype``."""
    return _mp.ldexp(1, int(np.finfo(dtype).maxexp))


def spacing(exact, dtype=np.float64):
    """The spacing of the numbers of ``dtype`` in the binade of ``exact``: an mpf, at least the smallest subnormal.

    Beyond the largest number it stays at the last one, 2**971 for float64.
    """
    kind = np.finfo(dtype)
    size, lowest = abs(Real(exact).value), kind.minexp - kind.nmant
    exponent = min(_mp.mag(size), kind.maxexp) - 1 if size else lowest
    return _mp.ldexp(1, max(exponent - kind.nmant, lowest))


def ulps(got, exact, unit_of=0, dtype=np.float64):
    """The error of the float ``got`` in units in the last place of ``exact``, a :class:`Real` or any number.

    The unit is :func:`spacing` at ``exact``, or at ``unit_of`` where that is larger. An infinite ``got`` counts as
    :func:`overflow`, but has error 0 if ``exact`` rounds to it. NaN has error 0
    from NaN and inf from everything else. The sign of zero is not seen.
    """
    exact = Real(exact).value
    got = float(got)
    if exact != exact or got != got or not _mp.isfinite(exact):
        return 0.0 if exact == got or (exact != exact and got != got) else INF
    with mpmath.workprec(2300):
        if math.isinf(got):
            limit = overflow(dtype)
            if abs(exact) >= limit - spacing(limit, dtype) / 2 and (exact > 0) == (got > 0):
                return 0.0
            got = _mp.sign(got) * limit
        return float(abs(got - exact) / spacing(max(abs(exact), unit_of), dtype))
