"""Variants for binary32 that compute in binary64, whose spare digits save the pairs and half of the polynomials.

In: lanes of binary64 that hold binary32 numbers. Out: lanes of binary64, good to some 2**-29, which the machine rounds.
"""

import math

from fastgraph.vecmath._doubled import even_odd, horner
from fastgraph.vecmath._registry import single
from fastgraph.vecmath.exponential import LN2, LOG2E, MAGIC, scale, split
from fastgraph.vecmath.special import SQRT_2

INF = math.inf

# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2: relative error of exp 2**-34.2.
EXP = (
    0.5000000068037099,
    0.16666665864594105,
    0.041666293635195834,
    0.00833349767390315,
    0.0013944758535208968,
    0.00019790243877038956,
)


def _exp(m, x):
    """exp(x) for |x| < 700."""
    shifted = m.fma(x, LOG2E, MAGIC)
    r = m.fma(-(shifted - MAGIC), LN2, x)
    return scale(m, m.fma(r * r, horner(m, r, EXP), 1.0 + r), shifted)


# log(1 + t) / t on 0 <= t <= 1: relative error 2**-30.3.
LOG1P = (
    0.9999999992568142,
    -0.49999981433491086,
    0.3333255962097985,
    -0.24987270818550358,
    0.19890747403523196,
    -0.16105690313735693,
    0.12418433232050656,
    -0.08244171128818734,
    0.041478191120258946,
    -0.013407512741151786,
    0.0020302378195716647,
)


def _plus_log1p_exp(m, x, distance):
    """x + log(1 + exp(distance)) for distance <= 0."""
    t = _exp(m, m.where(distance < -200.0, -200.0, distance))
    return m.fma(t, even_odd(m, t, LOG1P), x)


@single(wide=True)
def softplus(m, x):
    """Within 0.55 ulp."""
    return _plus_log1p_exp(m, m.where(x < 0.0, 0.0, x), -m.abs(x))


@single(wide=True)
def logaddexp(m, x, y):
    """Within 0.55 ulp away from its zeros, to 2**-30 of the larger operand near them."""
    larger, smaller = m.where(x > y, x, y), m.where(x > y, y, x)
    distance = smaller - larger
    return m.rare(~(distance <= 0.0), lambda: m.logaddexp(x, y), _plus_log1p_exp(m, larger, distance))


# (log(1 + f) - f + f*f/2) / f**3 on sqrt(1/2) <= 1 + f < sqrt(2): relative error of the logarithm 2**-38.2.
LOG = (
    0.3333333339918583,
    -0.25000001125729476,
    0.19999989260104398,
    -0.16666532457809952,
    0.1428617913922437,
    -0.12505713620568049,
    0.11105470880498404,
    -0.09889383588320917,
    0.09040198789271779,
    -0.09286954093561899,
    0.0911576463721159,
    -0.04822613139932175,
)


def _log(m, x, low=0.0):
    """log(x + low) for normal x > 0, where low is below its last digit."""
    k, mantissa = split(m, x)
    f = (mantissa - 1.0) + low
    return m.fma(k, LN2, m.fma(f * f, m.fma(f, even_odd(m, f, LOG), -0.5), f))


@single(wide=True)
def pow_(m, x, y):
    """Within 0.55 ulp."""
    product = y * _log(m, x)
    special = ~((x > 0.0) & (x < INF) & (m.abs(product) < 200.0))
    return m.rare(special, lambda: m.pow(x, y), _exp(m, product))


# exp(x*x/2) ndtr(-x) in 1 / (x + CENTRE) on 0 <= x <= 15: relative error 2**-29.2.
CENTRE = 3.5
TAIL = (
    -3.164445249319649e-06,
    0.3992524609703871,
    1.3829130166732915,
    4.823300562675674,
    7.513967944912931,
    90.33275122376094,
    -373.616789086324,
    2192.14584286943,
    -6845.366388495759,
    9843.307401996488,
    -5488.696364996393,
)


def _tail(m, x):
    """ndtr(-|x|), which is exp(-h) s with h = x*x/2, then h and s; beyond 15, where it rounds to 0, all as at 15."""
    a = m.abs(x)
    a = m.where(a > 15.0, 15.0, a)
    half, scaled = 0.5 * (a * a), even_odd(m, 1.0 / (a + CENTRE), TAIL)
    return _exp(m, -half) * scaled, half, scaled


@single(wide=True)
def log_ndtr(m, x):
    """Within 0.55 ulp."""
    tail, half, scaled = _tail(m, x)
    rest = 1.0 - tail
    left = x < 0.0
    log = _log(m, m.where(left, scaled, rest), m.where(left, 0.0, (1.0 - rest) - tail))
    return m.rare(~(x > -15.0), lambda: m.log_ndtr(x), log - m.where(left, half, 0.0))


@single(wide=True)
def ndtr(m, x):
    """Within 0.55 ulp."""
    tail, _, _ = _tail(m, x)
    return m.where(x > 0.0, 1.0 - tail, tail)


@single(wide=True)
def erfc(m, x):
    """Within 0.55 ulp."""
    half_of_it, _, _ = _tail(m, x * SQRT_2)
    return 2.0 * m.where(x < 0.0, 1.0 - half_of_it, half_of_it)
