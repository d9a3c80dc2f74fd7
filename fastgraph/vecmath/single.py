"""Variants that compute in binary32, where the functions in binary64 and rounded take over 1.5 times as long.

In, out: lanes of binary32. Arguments whose result is not normal, or hard to get, go to the function (``m.widened``)
through ``m.rare``. Constants are binary32 numbers; each polynomial was fitted one coefficient after the other, the
earlier ones already rounded.
"""

import math

from fastgraph.vecmath._doubled import fast_two_sum, horner, two_sum
from fastgraph.vecmath._registry import single

INF = math.inf
MAGIC = 1.5 * 2.0**23  # x + MAGIC has rint(x) in its low bits, for |x| < 2**22
TINY = 2.0**-126
ONE_BITS = 127 << 23
SIGN_BIT = -(2**31)
LOG2E = 1.4426950216293335
LN2, LN2_LOW = 0.6931471824645996, -1.9046542121259336e-09
# ln 2 again, its high part of 16 bits, so that k LN2_SHORT is exact for every exponent k.
LN2_SHORT, LN2_REST = 0.693145751953125, 1.428606765330187e-06
NEAR_EXP = 87.0  # up to here exp(x) and exp(-x) are normal

# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2: relative error of exp 2**-28.1; and of exp(r) - 1 2**-31.
EXP = (0.4999999403953552, 0.16666516661643982, 0.041668280959129333, 0.008369248360395432, 0.0013820742024108768)
EXPM1 = (
    0.5,
    0.1666666567325592,
    0.041666485369205475,
    0.008333541452884674,
    0.0013933228328824043,
    0.00019766994228120893,
)


def _reduce(m, x):
    """k (in the low bits of the first result), r and its rounding error, with x = k ln 2 + r, for |x| < 2000."""
    shifted = m.fma(x, LOG2E, MAGIC)
    k = shifted - MAGIC
    exact = m.fma(-k, LN2, x)
    r = m.fma(-k, LN2_LOW, exact)
    return shifted, r, m.fma(-k, LN2_LOW, exact - r)


def _power(m, shifted):
    """2**k, k in the low bits of ``shifted``."""
    return m.from_bits((m.bits(shifted) << 23) + ONE_BITS)


def _scale(m, x, shifted):
    """x * 2**k, where x and the result are normal."""
    return m.from_bits(m.bits(x) + (m.bits(shifted) << 23))


def _exp(m, x):
    """exp(x) for |x| < NEAR_EXP."""
    shifted = m.fma(x, LOG2E, MAGIC)
    k = shifted - MAGIC
    r = m.fma(-k, LN2_LOW, m.fma(-k, LN2, x))
    high = 1.0 + r
    return _scale(m, high + m.fma(r * r, horner(m, r, EXP), (1.0 - high) + r), shifted)


@single
def exp(m, x):
    """Within 0.8 ulp."""
    return m.rare(~(m.abs(x) < NEAR_EXP), lambda: m.widened("exp", x), _exp(m, x))


def _expm1(m, x):
    """exp(x) - 1 as an unevaluated sum, for |x| < NEAR_EXP."""
    shifted, r, error = _reduce(m, x)
    power = _power(m, shifted)
    less, less_low = two_sum(power, m.floats(-1.0))
    high, low = fast_two_sum(less, power * r)
    return high, m.fma(power, m.fma(r * r, horner(m, r, EXPM1), error), low + less_low)


@single
def expm1(m, x):
    """Within 0.9 ulp."""
    high, low = _expm1(m, x)
    return m.rare(~(m.abs(x) < NEAR_EXP), lambda: m.widened("expm1", x), m.copysign(high + low, x))


@single
def tanh(m, x):
    """Within 0.8 ulp."""
    # -t / (2 + t), with t = exp(-2|x|) - 1; 1 from 9.02 on.
    size = m.abs(x)
    t, t_low = fast_two_sum(*_expm1(m, -2.0 * m.where(size > 10.0, 10.0, size)))
    divisor = 2.0 + t
    reciprocal = 1.0 / divisor
    q = t * reciprocal
    rest = m.fma(-q, divisor, t) + m.fma(-q, ((2.0 - divisor) + t) + t_low, t_low)
    return m.copysign(m.fma(rest, reciprocal, q), x)


@single
def sigmoid(m, x):
    """Within 0.8 ulp."""
    # t / (1 + t) or 1 / (1 + t), with t = exp(-|x|).
    shifted, r, error = _reduce(m, -m.abs(x))
    power = _power(m, shifted)
    high = 1.0 + r
    high, low = fast_two_sum(high, m.fma(r * r, horner(m, r, EXPM1), error) + ((1.0 - high) + r))
    t, t_low = power * high, power * low
    divisor = 1.0 + t
    reciprocal = 1.0 / divisor
    negative = x < 0.0
    q = m.where(negative, t, 1.0) * reciprocal
    rest = m.fma(-q, divisor, m.where(negative, t, 1.0)) - q * (((1.0 - divisor) + t) + t_low)
    value = m.fma(rest + m.where(negative, t_low, 0.0), reciprocal, q)
    return m.rare(~(m.abs(x) < NEAR_EXP), lambda: m.widened("sigmoid", x), value)


# (log(1 + f) - f + f*f/2) / f**3 on sqrt(1/2) <= 1 + f < sqrt(2): relative error of the logarithm 2**-30.3.
LOG = (
    0.3333331346511841,
    -0.25000008940696716,
    0.2000207155942917,
    -0.16667988896369934,
    0.14220358431339264,
    -0.12406233698129654,
    0.11883548647165298,
    -0.11670097708702087,
    0.06749267876148224,
)
SQRT_HALF_BITS = 0x3F3504F3


def _split(m, x):
    """k and f with x = (1 + f) 2**k and sqrt(1/2) <= 1 + f < sqrt(2), for normal x > 0."""
    bits = m.bits(x) + (ONE_BITS - SQRT_HALF_BITS)
    k = m.to_float((bits >> 23) - 127)
    return k, m.from_bits((bits & ((1 << 23) - 1)) + SQRT_HALF_BITS) - 1.0


def _log(m, k, f, f_low=0.0):
    """k ln 2 + log(1 + f + f_low)."""
    high, low = fast_two_sum(k * LN2_SHORT, f)
    return high + m.fma(f * f, m.fma(f, horner(m, f, LOG), -0.5), m.fma(k, LN2_REST, low + f_low))


@single
def log(m, x):
    """Within 0.9 ulp."""
    return m.rare(~((x >= TINY) & (x < INF)), lambda: m.widened("log", x), _log(m, *_split(m, x)))


@single
def log1p(m, x):
    """Within 0.95 ulp."""
    u, low = two_sum(m.floats(1.0), x)
    k, f = _split(m, u)
    power = m.from_bits(ONE_BITS - (m.bits(k + MAGIC) << 23))
    value = m.copysign(_log(m, k, *fast_two_sum(f, low * power)), x)
    return m.rare(~((x > -0.99) & (x < 1e30)), lambda: m.widened("log1p", x), value)


TWO_OVER_PI = 0.6366197466850281
# pi/2 in three parts, the second of 11 bits: its product with a quotient below 2**13 is exact.
HALF_PI, HALF_PI_2, HALF_PI_3 = 1.5707963705062866, -4.371395334601402e-08, 2.5633440682570896e-12
NEAR = 2.0**13
# (sin(r)/r - 1) / z and (cos(r) - 1 + z/2) / z**2 in z = r*r, |r| <= pi/4: relative errors 2**-27.9 and 2**-33.
SIN = (-0.16666655242443085, 0.008332187309861183, -0.00019517906184773892)
COS = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)


def _sine_and_cosine(m, a):
    """q (in the low bits of the first result), sine and cosine of r, with a = q pi/2 + r, for 0 <= a < NEAR."""
    shifted = m.fma(a, TWO_OVER_PI, MAGIC)
    q = shifted - MAGIC
    exact = m.fma(-q, HALF_PI, a)
    r = m.fma(-q, HALF_PI_2, exact)
    error = m.fma(-q, HALF_PI_3, m.fma(-q, HALF_PI_2, exact - r))
    z = r * r
    one = m.fma(-0.5, z, 1.0)
    rest = m.fma(-r, error, m.fma(-0.5, z, 1.0 - one))
    return m.bits(shifted), r + m.fma(z * r, horner(m, z, SIN), error), one + m.fma(z * z, horner(m, z, COS), rest)


def _with_sign(m, x, i):
    """x with its sign flipped where the top bit of i is set."""
    return m.from_bits(m.bits(x) ^ (i & SIGN_BIT))


@single
def sin(m, x):
    """Within 0.9 ulp."""
    a = m.abs(x)
    q, sine, cosine = _sine_and_cosine(m, a)
    value = _with_sign(m, m.where((q & 1) == 0, sine, cosine), (q << 30) ^ m.bits(x))
    return m.rare(~(a < NEAR), lambda: m.widened("sin", x), value)


@single
def cos(m, x):
    """Within 0.9 ulp."""
    a = m.abs(x)
    q, sine, cosine = _sine_and_cosine(m, a)
    value = _with_sign(m, m.where((q & 1) == 0, cosine, sine), (q + 1) << 30)
    return m.rare(~(a < NEAR), lambda: m.widened("cos", x), value)


# erf(x)/x - 1 in x*x, |x| <= JOINT, and -log(erfc(JOINT + x)), JOINT + x <= 4: relative errors of erf 2**-30.1 and
# 2**-28.5. The joint is one where binary32 almost holds the logarithm of erfc.
JOINT = 0.8408203125
ERF = (
    0.12837916612625122,
    -0.3761262893676758,
    0.11283620446920395,
    -0.02685503102838993,
    0.005189418327063322,
    -0.0007999154040589929,
    7.700324204051867e-05,
)
LOG_ERFC = (
    1.4507240056991577,
    2.3738834857940674,
    0.8216627836227417,
    0.04841533303260803,
    -0.011577210389077663,
    0.0020922154653817415,
    -0.0002036297955783084,
)


@single
def erf(m, x):
    """Within 0.9 ulp."""
    a = m.abs(x)
    b = m.where(a > 4.0, 4.0, a)  # erf(4) rounds to 1
    far = 1.0 - _exp(m, -horner(m, b - JOINT, LOG_ERFC))
    return m.copysign(m.where(b >= JOINT, far, m.fma(b, horner(m, b * b, ERF), b)), x)
