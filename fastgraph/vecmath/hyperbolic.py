"""Hyperbolic functions and their inverses, on the cores of ``exponential``."""

import math

from fastgraph.vecmath._doubled import even_odd, fast_two_sum, half_reciprocal, horner, two_product, two_sum
from fastgraph.vecmath._registry import function
from fastgraph.vecmath.exponential import (
    EXPM1,
    LN2,
    LN2_LOW,
    LN2_REST,
    LN2_SHORT,
    ONE_BITS,
    exp_doubled,
    log1p_doubled,
    log_of_parts,
    reduce,
    split,
)

INF, NAN = math.inf, math.nan

# (sinh(r) - r) / r**3 and (cosh(r) - 1) / r**2 in r*r on |r| <= ln(2)/2, minimax: relative errors 2**-61.7, 2**-70.
SINH = (
    0.16666666666666677,
    0.00833333333332144,
    0.00019841269886574807,
    2.7557243780486416e-06,
    2.5109180994841217e-08,
)
COSH = (
    0.5,
    0.041666666666666685,
    0.0013888888888873307,
    2.480158734910885e-05,
    2.755725193472899e-07,
    2.09217244497048e-09,
)
# (atanh(s) - s) / s**3 in z = s*s, |s| <= 0.2006, minimax: relative error of atanh 2**-62.6.
ATANH = (
    0.333333333333333,
    0.2000000000002857,
    0.1428571427783015,
    0.11111112159607717,
    0.09090832183357986,
    0.07695582290293913,
    0.06586336391321114,
    0.06924764466161946,
)


def _halves(m, x):
    """Of |x| = k ln 2 + r: r, sinh(r) - r, cosh(r) - 1, and 2**(k-1) + 2**(-k-1), 2**(k-1) - 2**(-k-1) as pairs."""
    shifted, _, r, error = reduce(m, m.abs(x))
    square = r * r
    sinh_rest = m.fma(square * r, horner(m, square, SINH), error)
    cosh_rest = m.fma(square, horner(m, square, COSH), error * r)
    exponent = m.bits(shifted) << 52
    up, down = m.from_bits(exponent + (ONE_BITS - (1 << 52))), m.from_bits((ONE_BITS - (1 << 52)) - exponent)
    total, difference = up + down, up - down
    return r, sinh_rest, cosh_rest, (total, (up - total) + down), (difference, (up - difference) - down)


def _half_exp(m, x):
    """exp(|x|) / 2, for |x| where that is sinh and cosh."""
    high, low = fast_two_sum(m.abs(x), -LN2)
    return exp_doubled(m, high, low - LN2_LOW)


def _combine(m, a, b, r, sinh_rest, cosh_rest):
    """a cosh + b sinh of r for pairs a and b."""
    product = b[0] * r
    high, low = fast_two_sum(a[0], product)
    rest = m.fma(b[0], r, -product) + m.fma(b[1], r, a[1])
    return high + (low + m.fma(a[0], cosh_rest, m.fma(b[0], sinh_rest, rest)))


@function
def sinh(m, x):
    """Hyperbolic sine; within 0.75 ulp, keeps the sign of zero."""
    r, sinh_rest, cosh_rest, total, difference = _halves(m, x)
    value = _combine(m, difference, total, r, sinh_rest, cosh_rest)
    return m.copysign(m.rare(~(m.abs(x) < 700.0), lambda: _half_exp(m, x), value), x)


@function
def cosh(m, x):
    """Hyperbolic cosine; within 0.65 ulp."""
    r, sinh_rest, cosh_rest, total, difference = _halves(m, x)
    value = _combine(m, total, difference, r, sinh_rest, cosh_rest)
    return m.rare(~(m.abs(x) < 700.0), lambda: _half_exp(m, x), value)


@function
def sech(m, x):
    """Hyperbolic secant, 1 / cosh; within 1.2 ulp, subnormal results included."""
    return m.rare(~(m.abs(x) < 700.0), lambda: 2.0 * m.exp(-m.abs(x)), 1.0 / m.cosh(x))


@function
def tanh(m, x):
    """Hyperbolic tangent; within 0.8 ulp, keeps the sign of zero."""
    # -t / (2 + t), with t = exp(-2|x|) - 1 = 2**k (1 + r + tail) - 1 as a pair.
    shifted, _, r, error = reduce(m, -2.0 * m.abs(x))
    tail = m.fma(r * r, even_odd(m, r, EXPM1), error)
    power = m.from_bits((m.bits(shifted) << 52) + ONE_BITS)
    less, less_low = fast_two_sum(-1.0, power)
    high, low = fast_two_sum(less, power * r)
    t, t_low = fast_two_sum(high, m.fma(power, tail, less_low) + low)
    divisor = 2.0 + t
    reciprocal = 1.0 / divisor
    q = t * reciprocal
    rest = m.fma(-q, divisor, t) + m.fma(-q, ((2.0 - divisor) + t) + t_low, t_low)
    value = m.fma(rest, reciprocal, q)
    return m.copysign(m.rare(~(m.abs(x) < 300.0), lambda: m.where(m.abs(x) <= INF, 1.0, NAN), value), x)


def _log_of_double(m, x):
    """log(2x), for normal x > 0."""
    k, mantissa = split(m, x)
    high, low = log_of_parts(m, k + 1.0, mantissa - 1.0)
    return high + low


@function
def asinh(m, x):
    """Inverse hyperbolic sine; within 0.7 ulp, keeps the sign of zero."""
    # log(1 + x + (w - 1)) with w = sqrt(1 + x*x) as a pair.
    size = m.abs(x)
    square, square_low = two_product(m, size, size)
    total, error = two_sum(1.0, square)
    w = m.sqrt(total)
    # w_low must be as accurate as x, not as w: 1/w is taken as 1 - x*x/2 below 1/2.
    half = m.where(size < 0.5, m.fma(-0.25, square, 0.5), half_reciprocal(m, w))
    w_low = (m.fma(-w, w, total) + (error + square_low)) * half
    f, f_low = fast_two_sum(size, w - 1.0)
    high, low = log1p_doubled(m, f, f_low + w_low)
    far = ~(size < 2.0**500)
    value = m.rare(far, lambda: m.where(size < INF, _log_of_double(m, size), size), high + low)
    return m.copysign(value, x)


@function
def acosh(m, x):
    """Inverse hyperbolic cosine; within 0.6 ulp, 0 at 1."""
    # log(1 + w + (x - 1)) with w = sqrt(x*x - 1) as a pair.
    square, square_low = two_product(m, x, x)
    total, error = fast_two_sum(square, -1.0)
    total, error = fast_two_sum(total, error + square_low)
    w = m.sqrt(total)
    w_low = (m.fma(-w, w, total) + error) * half_reciprocal(m, w)
    f, f_low = fast_two_sum(w, x - 1.0)
    high, low = log1p_doubled(m, f, f_low + w_low)

    def far():
        return m.where(x == 1.0, 0.0, m.where(x > 1.0, m.where(x < INF, _log_of_double(m, x), x), NAN))

    return m.rare(~((x > 1.0) & (x < 2.0**500)), far, high + low)


@function
def atanh(m, x):
    """Inverse hyperbolic tangent; within 0.6 ulp, keeps the sign of zero, inf at 1."""
    # (1 + x) / (1 - x) = 2**k (1 + s) / (1 - s), with k from the difference of the bits, so that |s| < 0.2006.
    size = m.abs(x)
    above, above_low = fast_two_sum(1.0, size)
    below, below_low = fast_two_sum(1.0, -size)
    exponent = m.shr((m.bits(above) - m.bits(below)) + (1 << 51), 52)
    k = m.from_bits(exponent | (1075 << 52)) - 2.0**52
    power = m.from_bits(ONE_BITS - (exponent << 52))
    above, above_low = above * power, above_low * power
    top, top_low = fast_two_sum(above - below, above_low - below_low)
    bottom, bottom_low = two_sum(above, below)
    bottom_low = bottom_low + (above_low + below_low)
    reciprocal = 1.0 / bottom
    s = top * reciprocal
    s_low = m.fma(-s, bottom_low, m.fma(-s, bottom, top) + top_low) * reciprocal
    z = s * s
    tail = m.fma(z * s, even_odd(m, z, ATANH), s_low)
    total, error = fast_two_sum(k * (0.5 * LN2_SHORT), s)
    value = total + (error + m.fma(k, 0.5 * LN2_REST, tail))
    return m.copysign(m.rare(~(size < 1.0), lambda: m.where(size == 1.0, INF, NAN), value), x)
