"""The error function and the normal distribution function, with their complements, scaled and logarithmic forms."""

import math

from fastgraph.vecmath._doubled import horner, two_product
from fastgraph.vecmath._registry import function
from fastgraph.vecmath.exponential import exp_doubled

INF = math.inf
SQRT_2, SQRT_2_LOW, SQRT_HALF = 1.4142135623730951, -9.667293313452913e-17, 0.7071067811865476
DEEP, EXP_MINUS_DEEP = 37.0, 8.533047625744066e-17  # to 2**-60 of it
ONE_OVER_SQRT_PI = 0.5641895835477563

# erf(x)/x - 1 in x*x, x <= 1, minimax: error 2**-57.
ERF = (
    0.12837916709551256,
    -0.3761263890318355,
    0.11283791670945252,
    -0.026866170643276056,
    0.005223977607422344,
    -0.000854832598965295,
    0.00012055295319462789,
    -1.4924744648320775e-05,
    1.6447517544822102e-06,
    -1.620917524165533e-07,
    1.3722974676329368e-08,
    -7.80118801929386e-10,
)
# erfcx(x) in (x - 3) / (x + 3), 1 <= x <= 6, minimax for its product with exp(-x*x): error 2**-57.1.
ERFC = (
    0.17900115118135376,
    -0.3262335600459019,
    0.24560380166430157,
    -0.15011593634365689,
    0.07166585013119989,
    -0.024392327872100102,
    0.004270353821045323,
    0.0007131753371291297,
    -0.0005810921258549067,
    7.639407831629713e-05,
    0.00010295185227563562,
    1.5203293705670805e-05,
)
# ((1 + 2 x) erfcx(x) - 1) / (1 + t) in t = (x - 3.75) / (x + 3.75), x >= 0, minimax: relative error of erfcx 2**-58.2.
# After Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x**2) erfc x" (Math. Comp. 36, 1981).
CENTRE = 3.75
ERFCX = (
    0.2375126308378276,
    -0.3777532294233746,
    0.38133864490883934,
    -0.2990619064186926,
    0.1902579762769268,
    -0.09795365511658881,
    0.03926025652727676,
    -0.010897979107841838,
    0.0011513995466106031,
    0.0006042263030679901,
    -0.00031051261890909204,
    2.0358551554840883e-05,
    3.129047926758841e-05,
    -8.906274775062659e-06,
    -2.537707559469289e-06,
    1.5642073102412304e-06,
    1.8716756902697082e-07,
    -2.4445264649087996e-07,
    -1.3938057897811628e-08,
    3.7248561408927265e-08,
    1.240777969722572e-09,
    -5.0038048384815575e-09,
    -9.873362560166397e-11,
    4.131504346799252e-10,
)


@function
def erf(m, x):
    """Error function; within 1.1 ulp, keeps the sign of zero."""
    a = m.abs(x)
    a = m.where(a > 6.0, 6.0, a)
    small = a < 1.0
    t = m.where(small, a * a, (a - 3.0) / (a + 3.0))
    value = m.where(small, ERF[-1], ERFC[-1])
    for near, far in zip(reversed(ERF[:-1]), reversed(ERFC[:-1]), strict=True):
        value = m.fma(value, t, m.where(small, near, far))
    high, low = two_product(m, a, a)
    complement = m.where(small, 0.0, exp_doubled(m, -high, -low))
    return m.copysign(m.where(small, m.fma(a, value, a), m.fma(-complement, value, 1.0)), x)


def _scaled(m, twice, shifted, divisor, low):
    """erfcx(z) from 2z, z + CENTRE and 1 + 2z = divisor + low, by one division."""
    reciprocal = 1.0 / (shifted * divisor)
    s = (twice * divisor) * reciprocal
    numerator = m.fma(s, horner(m, s - 1.0, ERFCX), 1.0)
    reciprocal = shifted * reciprocal
    value = numerator * reciprocal
    rest = m.fma(-value, low, m.fma(-value, divisor, numerator))
    return m.fma(rest, reciprocal, value)


def _scaled_at(m, a):
    """erfcx(a) for 0 <= a < 2**500."""
    twice = a + a
    divisor = 1.0 + twice
    return _scaled(m, twice, a + CENTRE, divisor, (1.0 - divisor) + twice)


def _scaled_at_root(m, a):
    """erfcx(a / sqrt(2)) for 0 <= a < 2**500."""
    divisor = m.fma(a, SQRT_2, 1.0)
    low = m.fma(a, SQRT_2_LOW, m.fma(a, SQRT_2, 1.0 - divisor))
    return _scaled(m, a * SQRT_2, m.fma(a, SQRT_HALF, CENTRE), divisor, low)


def _tail(m, scaled, high, low, factor=1.0):
    """factor * scaled * exp(-high - low), rounded to a subnormal only in the last step."""
    deep = high > 600.0
    power = exp_doubled(m, m.where(deep, DEEP, 0.0) - high, -low)
    return power * scaled * m.where(deep, factor * EXP_MINUS_DEEP, factor)


@function
def erfc(m, x):
    """1 - erf(x); within 3.5 ulp, subnormal results included."""
    a = m.abs(x)
    a = m.where(a > 30.0, 30.0, a)
    tail = _tail(m, _scaled_at(m, a), *two_product(m, a, a))
    return m.where(x < 0.0, 2.0 - tail, tail)


@function
def erfcx(m, x):
    """exp(x*x) erfc(x); within 3 ulp."""
    a = m.abs(x)
    bounded = m.where(a > 2.0**60, 2.0**60, a)
    value = m.where(a > 2.0**60, ONE_OVER_SQRT_PI / a, _scaled_at(m, bounded))

    def reflected():
        b = m.where(a > 30.0, 30.0, a)
        high, low = two_product(m, b, b)
        return 2.0 * exp_doubled(m, high, low) - value

    return m.rare(x < 0.0, reflected, value)


@function
def ndtr(m, x):
    """Normal cumulative distribution function; within 3 ulp, subnormal results included."""
    a = m.abs(x)
    a = m.where(a > 40.0, 40.0, a)
    tail = _tail(m, _scaled_at_root(m, a), *two_product(m, 0.5 * a, a), 0.5)
    return m.where(x > 0.0, 1.0 - tail, tail)


@function
def log_ndtr(m, x):
    """log(ndtr(x)); within 4 ulp, subnormal results included."""
    a = m.abs(x)
    high = (0.5 * a) * a
    low = m.where(high < 2.0**120, m.fma(0.5 * a, a, -high), 0.0)
    scaled = _scaled_at_root(m, m.where(a > 2.0**400, 2.0**400, a))
    # Both terms are negative: nothing cancels.
    left = (m.log(0.5 * scaled) - low) - high
    return m.rare(x > 0.0, lambda: m.log1p(-_tail(m, scaled, high, low, 0.5)), left)
