"""Exponentials, logarithms, and what is built of one of each.

Two cores serve the package: ``reduce`` splits an exponent into k ln 2 + r, and ``split`` a number into m 2**k. The
arguments whose result or operand leaves the normal range go through ``m.rare``.
"""

import math

from fastgraph.vecmath._doubled import even_odd, fast_two_sum, horner, multiply_loosely, two_sum
from fastgraph.vecmath._registry import function

INF, NAN = math.inf, math.nan
MAGIC = 1.5 * 2.0**52  # x + MAGIC has rint(x) in its low bits, for |x| < 2**51
TINY = 2.0**-1022
ONE_BITS = 1023 << 52
LOG2E, LOG2E_LOW = 1.4426950408889634, 2.0355273740931033e-17
LN2, LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17
# ln 2 again, its high part of 42 bits, so that k LN2_SHORT is exact for every exponent k.
LN2_SHORT, LN2_REST = 0.6931471805598903, 5.497923018708371e-14
LOG10E, LOG10E_LOW = 0.4342944819032518, 1.098319650216765e-17
LOG10_2_SHORT, LOG10_2_REST = 0.30102999566395283, 2.8363394551044964e-14

# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2, minimax: relative error of exp 2**-57.9.
EXP = (
    0.5000000000000011,
    0.16666666666666438,
    0.0416666666665269,
    0.008333333333479605,
    0.0013888888944374284,
    0.00019841269535742577,
    2.480149240112759e-05,
    2.7557562530993302e-06,
    2.76304796411182e-07,
    2.5007046609415726e-08,
)
# The same one degree higher: relative error of exp(r) - 1 2**-61.7.
EXPM1 = (
    0.5,
    0.16666666666666677,
    0.04166666666666668,
    0.008333333333321436,
    0.0013888888888877095,
    0.00019841269886587047,
    2.4801587342046332e-05,
    2.755724376761472e-06,
    2.7557257429947336e-07,
    2.510918548302632e-08,
    2.092019186603982e-09,
)


def reduce(m, high, low=None):
    """k (in the low bits of the first result; as a float), r and its rounding error, with high + low = k ln 2 + r.

    For |high| < 2000. high - k LN2 is exact: both are multiples of 2**-54, and the result is below 0.35.
    """
    shifted = m.fma(high, LOG2E, MAGIC)
    k = shifted - MAGIC
    exact = m.fma(-k, LN2, high)
    if low is None:
        r = m.fma(-k, LN2_LOW, exact)
        return shifted, k, r, m.fma(-k, LN2_LOW, exact - r)
    return shifted, k, *fast_two_sum(exact, m.fma(-k, LN2_LOW, low))


def _exp_reduced(m, r, error, coefficients):
    """exp(r + error) as an unevaluated sum: 1 + r, and the rest."""
    high = 1.0 + r
    tail = m.fma(r * r, even_odd(m, r, coefficients), error * high)
    return high, ((1.0 - high) + r) + tail


def scale(m, x, shifted):
    """x * 2**k, k in the low bits of ``shifted``, where x and the result are normal."""
    return m.from_bits(m.bits(x) + (m.bits(shifted) << 52))


def scale_far(m, x, k):
    """x * 2**k for any float k of |k| <= 2000, rounded once more if it is subnormal."""
    half = m.bits(k * 0.5 + MAGIC)
    rest = m.bits((k - (m.from_bits(half) - MAGIC)) + MAGIC)
    return x * m.from_bits((half << 52) + ONE_BITS) * m.from_bits((rest << 52) + ONE_BITS)


def _exp_far(m, high, value, k, limit=800.0):
    """What exp gives beyond the range of ``scale``; ``value`` is exp(high) / 2**k where |high| < limit."""
    inside = scale_far(m, value, m.where(m.abs(high) < limit, k, 0.0))
    return m.where(high >= limit, INF, m.where(high <= -limit, 0.0, inside))


@function
def exp(m, x):
    """e ** x; within 0.8 ulp, 0.85 next to the subnormal results."""
    shifted = m.fma(x, LOG2E, MAGIC)
    k = shifted - MAGIC
    r = m.fma(-k, LN2_LOW, m.fma(-k, LN2, x))
    # The sum 1 + r keeps its error, so that only r itself is rounded to more than an eighth of an ulp.
    high = 1.0 + r
    value = high + m.fma(r * r, horner(m, r, EXP), (1.0 - high) + r)
    return m.rare(~(m.abs(x) < 708.0), lambda: _exp_far(m, x, value, k), scale(m, value, shifted))


def exp_doubled(m, high, low):
    """exp(high + low), where |low| is at most a few ulps of high, within 0.65 ulp (0.8 next to the subnormal results).

    Where |high| > 800 the low part is not looked at: it may be NaN.
    """
    shifted, k, r, error = reduce(m, high, low)
    value, rest = _exp_reduced(m, r, error, EXPM1)
    value = value + rest
    return m.rare(~(m.abs(high) < 708.0), lambda: _exp_far(m, high, value, k), scale(m, value, shifted))


@function
def exp2(m, x):
    """2 ** x; within 0.8 ulp, exact at integers."""
    shifted = x + MAGIC
    k = shifted - MAGIC
    r = x - k
    product = r * LN2
    error = m.fma(r, LN2_LOW, m.fma(r, LN2, -product))
    high, low = _exp_reduced(m, product, error, EXP)
    value = high + low
    return m.rare(~(m.abs(x) < 1021.0), lambda: _exp_far(m, x, value, k, 1100.0), scale(m, value, shifted))


def expm1_doubled(m, x):
    """exp(x) - 1 as an unevaluated sum, for |x| < 700."""
    shifted, _, r, error = reduce(m, x)
    square = r * r
    error = m.fma(0.5, m.fma(r, r, -square), m.fma(error, r, error))
    tail = m.fma(square * r, even_odd(m, r, EXPM1[1:]), error)
    # 2**k (1 + r + r*r/2 + tail) - 1: every sum but the last keeps its error, and products with 2**k have none.
    power = m.from_bits((m.bits(shifted) << 52) + ONE_BITS)
    less, less_low = two_sum(power, m.floats(-1.0))
    high, low = fast_two_sum(less, power * r)
    high, lower = fast_two_sum(high, (0.5 * power) * square)
    return high, (low + lower) + m.fma(power, tail, less_low)


@function
def expm1(m, x):
    """e ** x - 1; within 0.7 ulp, keeps the sign of zero."""
    high, low = expm1_doubled(m, x)
    value = m.copysign(high + low, x)
    return m.rare(~(m.abs(x) < 700.0), lambda: m.where(x < 0.0, -1.0, m.exp(x)), value)


@function
def sigmoid(m, x):
    """1 / (1 + e ** -x); within 1.5 ulp."""
    shifted, _, r, error = reduce(m, -m.abs(x))
    high, low = _exp_reduced(m, r, error, EXP)
    t = scale(m, high + low, shifted)
    divisor = 1.0 + t
    reciprocal = 1.0 / divisor
    numerator = m.where(x < 0.0, t, 1.0)
    q = numerator * reciprocal
    rest = m.fma(-q, (1.0 - divisor) + t, m.fma(-q, divisor, numerator))
    value = m.fma(rest, reciprocal, q)
    return m.rare(~(m.abs(x) < 708.0), lambda: m.where(x > 0.0, 1.0, m.exp(x)), value)


def _log1p_exp(m, high, low=None):
    """log(1 + exp(high + low)) as an unevaluated sum, for -708 < high <= 0."""
    shifted, _, r, error = reduce(m, high, low)
    value, rest = fast_two_sum(*_exp_reduced(m, r, error, EXPM1))
    t, t_low = scale(m, value, shifted), rest * m.from_bits((m.bits(shifted) << 52) + ONE_BITS)
    # 1 + t = 2**k (1 + f), k = 0 or 1. The one selection is of constants, so that no machine makes it a branch.
    k = m.where(t > 0.41421356237309503, 1.0, 0.0)
    power = m.fma(-0.5, k, 1.0)
    f, f_low = fast_two_sum(-k, t)
    total, tail = log1p_reduced(m, f * power, (f_low + t_low) * power)
    total, error = fast_two_sum(k * LN2, total)
    return total, error + m.fma(k, LN2_LOW, tail)


@function
def softplus(m, x):
    """log(1 + e ** x); within 0.8 ulp."""
    high, low = _log1p_exp(m, -m.abs(x))
    total, error = two_sum(m.where(x > 0.0, x, 0.0), high)
    return m.rare(~(m.abs(x) < 708.0), lambda: m.where(x > 0.0, x, m.exp(x)), total + (error + low))


@function
def logaddexp(m, x, y):
    """log(e ** x + e ** y); within 1 ulp away from its zeros, to 2**-55 absolutely near them."""
    larger, smaller = m.where(x > y, x, y), m.where(x > y, y, x)
    distance, distance_low = two_sum(smaller, -larger)
    high, low = _log1p_exp(m, distance, distance_low)
    total, error = two_sum(larger, high)

    def far():
        return m.where(x == y, x, larger + m.exp(distance))

    return m.rare(~(distance > -708.0), far, total + (error + low))


# (log((1+s) / (1-s)) - 2 s) / s**3 in z = s*s, |s| <= 3 - 2 sqrt(2), minimax: relative error of the logarithm 2**-59.4.
LOG = (
    0.6666666666666735,
    0.3999999999941005,
    0.2857142874342158,
    0.22222198464344795,
    0.18183570186871809,
    0.15313894304298675,
    0.14797584094691507,
)
# The same after the terms 2/3 + 2/5 z, for pairs: relative error of the logarithm 2**-72.7.
LOG_TAIL = (
    0.2857142857143321,
    0.22222222219993285,
    0.18181818608345685,
    0.153845726748752,
    0.133357724510967,
    0.11684841627964838,
    0.11912708349084035,
)
TWO_THIRDS, TWO_THIRDS_LOW = 0.6666666666666666, 3.700743415417188e-17
TWO_FIFTHS, TWO_FIFTHS_LOW = 0.4, -2.2204460492503132e-17
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


def split(m, x):
    """k and m in [sqrt(1/2), sqrt(2)) with x = m 2**k, for normal x > 0."""
    bits = m.bits(x) + (ONE_BITS - SQRT_HALF_BITS)
    # The exponent goes into the low bits of 2**52, which is a conversion to float.
    k = m.from_bits(m.shr(bits, 52) | (1075 << 52)) - (2.0**52 + 1023.0)
    return k, m.from_bits((bits & ((1 << 52) - 1)) + SQRT_HALF_BITS)


def split_any(m, x):
    """As ``split``, for subnormal x too; the mask says where x is not positive, normal and finite."""
    odd = ~((x >= TINY) & (x < INF))
    scaled, offset = m.rare(
        odd, lambda: (m.where(x < TINY, x * 2.0**54, x), m.where(x < TINY, -54.0, 0.0)), (x, m.floats(0.0))
    )
    k, mantissa = split(m, scaled)
    return k + offset, mantissa, odd


def log_limits(m, x, odd, value):
    """``value``, but for 0, inf, negative numbers and NaN, which are among ``odd``."""
    return m.rare(odd, lambda: m.where(x == 0.0, -INF, m.where(x > 0.0, m.where(x == INF, INF, value), NAN)), value)


def log1p_reduced(m, f, f_low=None):
    """log(1 + f + f_low) as an unevaluated sum, for sqrt(1/2) <= 1 + f < sqrt(2): f - f*f/2, and the rest.

    With s = f / (2 + f), log(1 + f) = f - f*f/2 + s (f*f/2 + R(s*s)), as in fdlibm; the first two terms, which
    decide the accuracy, are summed without error here.
    """
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f
    high = m.fma(-half, f, f)
    low = m.fma(-half, f, f - high)
    if f_low is not None:
        low = m.fma(f_low, m.fma(f, f - 1.0, 1.0), low)  # f_low / (1 + f), near enough
    return high, m.fma(s, m.fma(half, f, z * even_odd(m, z, LOG)), low)


@function
def log(m, x):
    """Natural logarithm; within 0.65 ulp, -inf at 0."""
    k, mantissa, odd = split_any(m, x)
    high, low = log1p_reduced(m, mantissa - 1.0)
    total, error = fast_two_sum(k * LN2_SHORT, high)
    return log_limits(m, x, odd, total + (error + m.fma(k, LN2_REST, low)))


def log1p_doubled(m, x, x_low=None):
    """log(1 + x + x_low) as an unevaluated sum, for -1 < x < 2**1000."""
    u, error = two_sum(1.0, x)
    k, mantissa = split(m, u)
    power = m.from_bits((m.bits(mantissa) - m.bits(u)) + ONE_BITS)  # 2**-k
    f, f_low = fast_two_sum(mantissa - 1.0, error * power)
    if x_low is not None:
        f_low = m.fma(x_low, power, f_low)
    high, low = log1p_reduced(m, f, f_low)
    total, error = fast_two_sum(k * LN2_SHORT, high)
    return total, error + m.fma(k, LN2_REST, low)


@function
def log1p(m, x):
    """log(1 + x); within 0.6 ulp, -inf at -1, keeps the sign of zero."""
    high, low = log1p_doubled(m, x)
    value = m.copysign(high + low, x)
    return m.rare(~((x > -1.0) & (x < 2.0**1000)), lambda: m.where(x == -1.0, -INF, m.log(x)), value)


def _log_to_base(m, x, factor, factor_low, unit, unit_rest):
    """log(x) * (factor + factor_low), where unit + unit_rest is log(2) to that base."""
    k, mantissa, odd = split_any(m, x)
    high, low = fast_two_sum(*log1p_reduced(m, mantissa - 1.0))
    product = high * factor
    rest = m.fma(high, factor_low, m.fma(low, factor, m.fma(high, factor, -product)))
    total, error = fast_two_sum(k * unit, product)
    if unit_rest:
        rest = m.fma(k, unit_rest, rest)
    return log_limits(m, x, odd, total + (error + rest))


@function
def log2(m, x):
    """Logarithm to base 2; within 0.7 ulp, exact at powers of 2."""
    return _log_to_base(m, x, LOG2E, LOG2E_LOW, 1.0, 0.0)


@function
def log10(m, x):
    """Logarithm to base 10; within 0.6 ulp, exact at powers of 10."""
    return _log_to_base(m, x, LOG10E, LOG10E_LOW, LOG10_2_SHORT, LOG10_2_REST)


@function(inline=True)
def xlogy(m, x, y):
    """x log(y), and 0 where x is 0 and y is not NaN; within 1.5 ulp."""
    return m.where((x == 0.0) & (m.abs(y) <= INF), 0.0, x * m.log(y))


def log_doubled(m, x):
    """log(x) as a pair, to 2**-68 of it, for finite x > 0."""
    k, mantissa, _ = split_any(m, x)
    return log_of_parts(m, k, mantissa - 1.0)


def log_of_parts(m, k, f):
    """log((1 + f) 2**k) as a pair, to 2**-68 of it, for sqrt(1/2) <= 1 + f < sqrt(2)."""
    divisor = 2.0 + f
    reciprocal = 1.0 / divisor
    s = f * reciprocal
    s_low = reciprocal * m.fma(-s, (2.0 - divisor) + f, m.fma(-s, divisor, f))
    z = s * s
    z_low = m.fma(s + s, s_low, m.fma(s, s, -z))
    # p = 2/3 + z (2/5 + z T(z)), keeping the errors of the sums and products of the first two terms.
    tail = z * even_odd(m, z, LOG_TAIL)
    q = TWO_FIFTHS + tail
    q_low = ((TWO_FIFTHS - q) + tail) + TWO_FIFTHS_LOW
    p, p_low = multiply_loosely(m, (z, z_low), (q, q_low))
    high = TWO_THIRDS + p
    p_low = ((TWO_THIRDS - high) + p) + (p_low + TWO_THIRDS_LOW)
    p, p_low = multiply_loosely(m, (z, z_low), (high, p_low))
    p, p_low = multiply_loosely(m, (s, s_low), (p, p_low))
    total, error = fast_two_sum(k * LN2_SHORT, s + s)
    total, error_of_p = fast_two_sum(total, p)
    low = m.fma(2.0, s_low, p_low) + m.fma(k, LN2_REST, error + error_of_p)
    return fast_two_sum(total, low)
