"""Inverse sine, cosine and tangent, and the angle of a point."""

from fastgraph.vecmath._doubled import fast_two_sum, horner, two_sum
from fastgraph.vecmath._registry import function

INF = float("inf")
HALF_PI, HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17
PI, PI_LOW = 2.0 * HALF_PI, 2.0 * HALF_PI_LOW
TAN_PI_8, TAN_3_PI_8 = 0.41421356237309503, 2.414213562373095

# (atan(t)/t - 1) / z in z = t*t, |t| <= tan(pi/8), minimax: relative error of atan 2**-59.5.
ATAN = (
    -0.333333333333332,
    0.19999999999954,
    -0.1428571428023962,
    0.11111110785673019,
    -0.09090897822562255,
    0.07692061381729452,
    -0.06663117393844474,
    0.05847986574725858,
    -0.05039742389606922,
    0.03807564251798713,
    -0.017919285840192888,
)
# (asin(t)/t - 1) / z in z = t*t, |t| <= 1/2, minimax: relative error of asin 2**-59.8.
ASIN = (
    0.16666666666666763,
    0.07499999999970261,
    0.044642857175122536,
    0.03038194268353617,
    0.022372215662414444,
    0.017351600057507112,
    0.013980961820960688,
    0.011397773273822083,
    0.010786542758553338,
    0.0036829950616894622,
    0.021763603284981968,
    -0.021077427516224975,
    0.032676967912630625,
)


def _angle(m, y, x):
    """atan(y/x) as an unevaluated sum, for y, x >= 0 whose ratio, if not extreme, is of normal numbers.

    atan(y/x) = atan((y - x) / (y + x)) + pi/4 = atan(-x/y) + pi/2, whichever has a ratio t of |t| <= tan(pi/8).
    """
    low, high = y < TAN_PI_8 * x, y > TAN_3_PI_8 * x
    difference, difference_error = two_sum(y, -x)
    total, total_error = two_sum(y, x)
    n = m.where(low, y, m.where(high, -x, difference))
    d = m.where(low, x, m.where(high, y, total))
    middle = ~(low | high)
    base = m.where(low, 0.0, m.where(high, HALF_PI, 0.5 * HALF_PI))
    base_low = m.where(low, 0.0, m.where(high, HALF_PI_LOW, 0.5 * HALF_PI_LOW))
    reciprocal = 1.0 / d
    t = n * reciprocal
    rest = m.fma(-t, d, n) + m.where(middle, m.fma(-t, total_error, difference_error), 0.0)
    t, t_low = fast_two_sum(t, rest * reciprocal)
    z = t * t
    tail = m.fma(t * z, horner(m, z, ATAN), t_low)
    # base is 0 or above t: the sum keeps its error.
    total = base + t
    return total, ((base - total) + t) + (base_low + tail)


@function
def atan(m, x):
    """Inverse tangent; within 0.7 ulp, keeps the sign of zero."""
    a = m.abs(x)
    # Beyond 2**64 the result is that at 2**64; the bound keeps inf out of the products.
    high, low = _angle(m, m.where(a > 2.0**64, 2.0**64, a), m.floats(1.0))
    return m.copysign(high + low, x)


@function
def atan2(m, y, x):
    """The angle of the point (x, y) in [-pi, pi]; within 0.7 ulp. Zeros and infinities as in C99, annex F."""
    b, a = m.abs(y), m.abs(x)
    ordinary = (a > 2.0**-480) & (a < 2.0**480) & (b > 2.0**-480) & (b < 2.0**480)
    high, low = m.rare(~ordinary, lambda: _angle_far(m, b, a), _angle(m, b, a))
    left = m.bits(x) < 0
    total = PI - high
    rest = ((PI - total) - high) + (PI_LOW - low)
    return m.copysign(m.where(left, total + rest, high + low), y)


def _angle_far(m, y, x):
    """``_angle`` for any y, x >= 0."""
    corner = (x == y) & ((x == INF) | (x == 0.0))
    x, y = m.where(corner, 1.0, x), m.where(corner & (y == INF), 1.0, y)
    ratio = y / x
    larger = m.where(x > y, x, y)
    scale = m.where(larger < 2.0**-400, 2.0**600, m.where(larger > 2.0**400, 2.0**-600, 1.0))
    high, low = _angle(m, y * scale, x * scale)
    # Scaled, only numbers of extreme ratio are inexact; for those the result is y/x or pi/2 to the last bit.
    near_x, near_y = ratio < 2.0**-64, ratio > 2.0**64
    high = m.where(near_x, ratio, m.where(near_y, HALF_PI, high))
    return high, m.where(near_x, 0.0, m.where(near_y, HALF_PI_LOW, low))


def _arc(m, x):
    """asin|x| for |x| <= 1/2, else acos|x|, as an unevaluated sum; and whether the second."""
    a = m.abs(x)
    outer = a > 0.5
    # acos(a) = 2 asin(sqrt((1 - a) / 2)), and (1 - a) / 2 is exact.
    z = m.where(outer, m.fma(-0.5, a, 0.5), a * a)
    root = m.sqrt(z)
    t = m.where(outer, root, a)
    tail = t * z * horner(m, z, ASIN)
    # root is 0 or above 2**-28: the tiny term only keeps 0/0 out.
    root_low = m.fma(-root, root, z) * (0.5 / (root + 2.0**-200))
    high = m.where(outer, root + root, a)
    return high, m.where(outer, 2.0 * (tail + root_low), tail), outer


@function
def asin(m, x):
    """Inverse sine; within 0.7 ulp, NaN outside [-1, 1], keeps the sign of zero."""
    high, low, outer = _arc(m, x)
    total = HALF_PI - high
    rest = ((HALF_PI - total) - high) + (HALF_PI_LOW - low)
    return m.copysign(m.where(outer, total + rest, high + low), x)


@function
def acos(m, x):
    """Inverse cosine; within 0.7 ulp, NaN outside [-1, 1]."""
    high, low, outer = _arc(m, x)
    negative = x < 0.0
    minus = outer ^ negative  # whether the arc is to be added, inside, or subtracted, outside
    high, low = m.where(minus, high, -high), m.where(minus, low, -low)
    base = m.where(outer, m.where(negative, PI, 0.0), HALF_PI)
    base_low = m.where(outer, m.where(negative, PI_LOW, 0.0), HALF_PI_LOW)
    total = base + high
    # Where base is 0, high is the greater, but then nothing is lost.
    return total + (((base - total) + high) + (base_low + low))
