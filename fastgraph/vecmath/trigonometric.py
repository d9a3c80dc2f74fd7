"""Sine, cosine and tangent for every double; the inverse functions are in ``inverse_trigonometric``."""

from fastgraph.vecmath._doubled import fast_two_sum, horner, multiply_pairs, two_product, two_sum
from fastgraph.vecmath._registry import function

INF, NAN = float("inf"), float("nan")
MAGIC = 1.5 * 2.0**52  # x + MAGIC has rint(x) in its low bits, for |x| < 2**51
SIGN_BIT = -(2**63)

TWO_OVER_PI = 0.6366197723675814
HALF_PI, HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17
# HALF_PI_LOW again in two parts, the first of 30 bits: its product with a quotient below 2**22 is exact.
HALF_PI_2, HALF_PI_3 = 6.12323399409214e-17, 1.6446256936324258e-26
NEAR = 2.0**21  # beyond, the three parts of pi/2 are not enough

# 2/pi in binary, after the point; and its bits 26 j to 26 j + 51 as fractions.
_TWO_OVER_PI_BITS = int(
    "28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b801924bba827464873f877ac7"
    "2c4a69cfba208d7d4baed1213a671c09ad17df904e64758e60d4ce7d272117e2ef7e4a0ec7fe25fff7816603fbcbc462d6829b47"
    "db4d9fb3c9f2c26dd3d18fd9a797fa8b5d49eeb1faf97c5ecf41ce7de294a4ba9afed7ec47e357421580c",
    16,
)
_CHUNKS = [(_TWO_OVER_PI_BITS >> (26 * (43 - j)) & (2**52 - 1)) * 2.0**-52 for j in range(44)]

# (sin(r)/r - 1) / z and (cos(r) - 1 + z/2) / z**2 in z = r*r, |r| <= pi/4, minimax: relative error of sin 2**-58,
# error of cos 2**-64.
SIN = (
    -0.16666666666666632,
    0.008333333333322425,
    -0.0001984126982981685,
    2.7557313695190096e-06,
    -2.505075864758777e-08,
    1.589682760731518e-10,
)
COS = (
    0.0416666666666666,
    -0.0013888888888874138,
    2.4801587289491874e-05,
    -2.7557314355255e-07,
    2.0875723686114496e-09,
    -1.1359669949379754e-11,
)


def _reduce(m, a):
    """q (an integer in the low bits of the first result), r and its rounding error, with a = q pi/2 + r, for a >= 0.

    Cody and Waite's reduction by fma (Boldo, Daumas and Li 2009): a - q HALF_PI is exact, both being multiples of
    2**-53 and the difference below 1. So is q HALF_PI_2; where its subtraction is not exact, r is above it.
    """
    shifted = m.fma(a, TWO_OVER_PI, MAGIC)
    q = shifted - MAGIC
    exact = m.fma(-q, HALF_PI, a)
    r = m.fma(-q, HALF_PI_2, exact)
    error = m.fma(-q, HALF_PI_3, m.fma(-q, HALF_PI_2, exact - r))
    return m.rare(~(a < NEAR), lambda: _reduce_far(m, a), (m.bits(shifted), r, error))


def _reduce_far(m, a):
    """As ``_reduce``, for a >= 2**21 (Payne and Hanek 1983); NaN for inf and NaN.

    The bits of 2/pi whose product with a's last bit is a multiple of 4 are left out; the next 208 give
    a * 2/pi modulo 4 to 2**-128, where no double comes nearer than 2**-62 to a multiple of pi/2.
    """
    last = (m.bits(a) >> 52) - (1075 + 2)
    first = (m.where(last > 0, last, 0) * 2521) >> 16  # last // 26
    scaled = m.from_bits(m.bits(a) - ((first * 26) << 52))
    high, low = [], []
    for i in range(4):
        p, e = two_product(m, scaled, m.table(_CHUNKS, first + 2 * i) * 2.0 ** (-52 * i))
        high.append(p)
        low.append(e)
    f, error = two_sum(_modulo_4(m, high[0]), _modulo_4(m, low[0]))
    f, error_1 = two_sum(f, _modulo_4(m, high[1]))
    q = m.rint(f)
    # The sums below keep their errors: f may cancel down to 2**-62.
    error, rest = two_sum(error, error_1)
    f, error = two_sum(f - q, error)
    f, error_1 = two_sum(f, low[1])
    f, error_2 = two_sum(f, high[2])
    rest = ((error + error_1) + error_2) + (rest + (low[2] + high[3]))
    r, error = multiply_pairs(m, fast_two_sum(f, rest), (HALF_PI, HALF_PI_LOW))
    finite = a < INF
    return m.bits(q + MAGIC), m.where(finite, r, NAN), m.where(finite, error, 0.0)


def _modulo_4(m, x):
    return x - 4.0 * m.rint(0.25 * x)


def sin_cos_reduced(m, r, error):
    """sin(r + error) and cos(r + error) for |r| <= pi/4, each as an unevaluated sum of two, the second small."""
    z = r * r
    half = 0.5 * r
    one = m.fma(-half, r, 1.0)
    sine = m.fma(z * r, horner(m, z, SIN), error * one)
    # What rounding left out of 1 - (r + error)**2 / 2.
    rest = m.fma(-r, error, m.fma(-half, r, 1.0 - one))
    cosine = m.fma(z * z, horner(m, z, COS), rest)
    return (r, sine), (one, cosine)


def _with_sign(m, x, i):
    """x with its sign flipped where the top bit of i is set."""
    return m.from_bits(m.bits(x) ^ (i & SIGN_BIT))


@function
def sin(m, x):
    """Sine; within 0.75 ulp for every double, keeps the sign of zero."""
    q, r, error = _reduce(m, m.abs(x))
    sine, cosine = sin_cos_reduced(m, r, error)
    value = m.where((q & 1) == 0, sine[0] + sine[1], cosine[0] + cosine[1])
    return _with_sign(m, value, (q << 62) ^ m.bits(x))


@function
def cos(m, x):
    """Cosine; within 0.75 ulp for every double."""
    q, r, error = _reduce(m, m.abs(x))
    sine, cosine = sin_cos_reduced(m, r, error)
    value = m.where((q & 1) == 0, cosine[0] + cosine[1], sine[0] + sine[1])
    return _with_sign(m, value, (q + 1) << 62)


@function
def tan(m, x):
    """Tangent; within 0.9 ulp for every double, keeps the sign of zero."""
    q, r, error = _reduce(m, m.abs(x))
    sine, cosine = sin_cos_reduced(m, r, error)
    sine, cosine = fast_two_sum(*sine), fast_two_sum(*cosine)
    even = (q & 1) == 0
    n, n_low = m.where(even, sine, cosine)
    d, d_low = m.where(even, cosine, sine)
    reciprocal = 1.0 / d
    t = n * reciprocal
    rest = m.fma(-t, d_low, m.fma(-t, d, n) + n_low)
    return _with_sign(m, m.fma(rest, reciprocal, t), (q << 63) ^ m.bits(x))
