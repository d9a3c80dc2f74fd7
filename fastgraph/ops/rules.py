"""Rules of the op table that need more than a line.

In: an algebra ``m``, the result ``r``, operands. Out: values, or partials as ``Op`` describes them.

Partials are differentiated again, to any order, by the algebras that record or carry derivatives. So a rule

- selects a special case by ``where`` only if its derivatives too are those of the constant it gives: what is NaN
  outside the domain gets a NaN operand, and a limit whose slope counts is computed, not given;
- has no ``abs`` or ``sign`` where the function is smooth: their derivative at 0 is 0 by convention;
- adds no terms whose derivatives would cancel.
"""

import math

INF, NAN = math.inf, math.nan


def truth(m, mask):
    return m.where(mask, 1.0, 0.0)


def vanishing(m, value):
    """``value``, constant where it has underflowed to 0: there its derivatives would be 0 * inf."""
    return m.where(value == 0.0, 0.0, value)


def flat(arity):
    """Partials of an op that is constant wherever it is differentiable."""
    return lambda m, r, *args: (0,) * arity


def at_zero(m, r, x, *rest):
    return x


def at_either_zero(m, r, x, y):
    return m.minimum(m.abs(x), m.abs(y))


def at_tie(m, r, x, y):
    return m.where(x == y, 0.0, x - y)  # also where both are the same infinity


def at_integer(m, r, x):
    return x - m.rint(x)


def at_knot(m, r, x, table):
    return m.minimum(m.abs(x - m.lookup(r, table)), m.abs(x - m.lookup(r + 1.0, table)))


def at_half(m, r, x):
    return 0.5 - m.abs(x - r)


def at_multiple(m, r, x, y):
    return m.minimum(m.abs(r), m.abs(y) - m.abs(r))


def larger(m, x, y):
    """The share of x in maximum(x, y): 1, 0, or a half at a tie; NaN where either is NaN."""
    return m.where(x > y, 1.0, m.where(x < y, 0.0, m.where(x == y, 0.5, NAN)))


def larger_number(m, x, y):
    """The share of x in fmax(x, y), which ignores NaN: all of it if y is NaN."""
    return m.where((x > y) | (y != y), 1.0, m.where(x == y, 0.5, 0.0))


def copysign_partials(m, r, x, y):
    return m.sign(x) * m.where(y != y, 1.0, m.copysign(1.0, y)), 0


def sech_squared(m, x, height=1.0):
    """(height / cosh(x))**2. Not 1 - tanh(x)**2, which has lost half its digits at x = 10."""
    q = m.sech(x) if height == 1.0 else height * m.sech(x)
    return q * q


def sigmoid_partials(m, r, x):
    return (sech_squared(m, 0.5 * x, 0.5),)


def bell(m, square):
    """exp(-square)."""
    return vanishing(m, m.exp(-square))


def one_less_square(m, x):
    """1 - x**2 in one rounding; (1 - x) * (1 + x) would have a derivative that cancels near 0."""
    return m.fma(-x, x, 1.0)


FAR = 2.0**28  # from here on 1 + x*x is x*x, in binary64 and so in binary32, and x**4 is far from overflow


def atan_partials(m, r, x):
    # 1 / (x*x) as a square, so that its derivatives do not underflow before they have to.
    far = m.abs(x) > FAR
    q = 1.0 / m.where(far, x, 1.0 + x * x)
    return (m.where(far, q * q, q),)


def mod(m, x, y):
    r = m.fmod(x, y)
    wrong_side = (r != 0.0) & ((r < 0.0) ^ (y < 0.0))
    return m.where(r == 0.0, m.copysign(r, y), m.where(wrong_side, r + y, r))


def pow_partials(m, r, x, y):
    # At y = 0 the first is 0, and its derivative by y is 1 / x, except where 0 * inf or 0 * nan would come of it.
    power = m.pow(x, y - 1.0)
    constant = (y == 0.0) & ((m.abs(power) == INF) | (power != power))
    by_x = m.where(constant, 0.0, y * power)
    by_y = m.where((x == 0.0) & (y > 0.0), 0.0, r * m.log(x))
    return by_x, by_y


LOWEST_POWER, HIGHEST_POWER = -(2**31), 2**31 - 1


def powi_partials(m, r, x, n):
    # Below the lowest immediate, which matters where they are recorded, a power takes an operand.
    recorded_lowest = type(n) is int and n == LOWEST_POWER
    power = m.pow(x, n - 1.0) if recorded_lowest else m.powi(x, n - 1)
    return (m.where(n == 0, 0.0, n * power),)


HIGHEST_POLYGAMMA = 127


def polygamma_partials(m, r, x, n):
    # The function is NaN for a higher order; where it is recorded it has no name either.
    recorded_highest = type(n) is int and n == HIGHEST_POLYGAMMA
    return (NAN if recorded_highest else m.polygamma(x, n + 1),)


def direction(m, x, y, h):
    """x / h, 0 at the origin, for ``h = hypot(x, y)``.

    Its derivative cancels near an axis. An algebra whose values are differentiated again says so, and gets the op
    whose partials do not.
    """
    if getattr(m, "differentiable", False):
        return m.direction(x, y)
    return m.where(h == 0.0, 0.0, x / h)


def direction_partials(m, r, x, y):
    h = m.hypot(x, y)
    sine = direction(m, y, x, h)
    share, at_origin = sine / h, h == 0.0
    return m.where(at_origin, 0.0, sine * share), m.where(at_origin, 0.0, -(r * share))


def atan2_partials(m, r, y, x):
    h = m.hypot(x, y)
    at_origin = h == 0.0
    by_y, by_x = direction(m, x, y, h) / h, -direction(m, y, x, h) / h
    return m.where(at_origin, 0.0, by_y), m.where(at_origin, 0.0, by_x)


def xlogy_partials(m, r, x, y):
    origin = (x == 0.0) & (y == 0.0)
    return m.where(origin, 0.0, m.log(y)), m.where(origin, 0.0, x / y)


def logaddexp_partials(m, r, x, y):
    same = (x == y) & (m.abs(x) == INF)  # the difference of equal infinities is NaN
    return m.where(same, 0.5, m.sigmoid(x - y)), m.where(same, 0.5, m.sigmoid(y - x))


SQRT_HALF = 0.7071067811865476
ONE_OVER_SQRT_2PI = 0.3989422804014327
SQRT_2_OVER_PI = 0.7978845608028654
TWO_OVER_SQRT_PI = 1.1283791670955126
LN2, LN10 = math.log(2.0), math.log(10.0)


def log_ndtr_partials(m, r, x):
    # Far out it is -x to the last bit, and -erfcx' would underflow.
    near = vanishing(m, SQRT_2_OVER_PI / m.erfcx(x * -SQRT_HALF))
    return (m.where(x < -FAR, -x, near),)


# -erfcx'(x) * x**2 in t = 1 - 8 / (x + 3), for x >= 1, by Chebyshev interpolation: relative error 2**-57.
ERFCX_SLOPE = (
    # fmt: off
    0.5333197441206577,
    0.09034761761127467,
    -0.10253093642831179,
    0.060576170927525694,
    -0.019047269248948628,
    -0.0018273318880519165,
    0.005966085290001887,
    -0.00358310007765937,
    0.0010835646376649076,
    -4.998032020670608e-05,
    -9.490379198922325e-05,
    2.9081074959526733e-05,
    4.55064958092332e-06,
    -4.133601801113066e-06,
    -5.6019507833634006e-09,
    5.207959874727412e-07,
    -3.614623039481051e-08,
    -6.852458936785498e-08,
    6.359391975716095e-09,
    9.497772001440727e-09,
    -7.194163730231718e-10,
    -1.210375125913568e-09,
    4.537716537315761e-11,
    9.709308706501195e-11,
    # fmt: on
)


def erfcx_partials(m, r, x):
    # From x = 1 on, the two terms of the closed form would cancel: all digits are gone at x = 1e8.
    t = 1.0 - 8.0 / (x + 3.0)
    slope = ERFCX_SLOPE[-1]
    for coefficient in ERFCX_SLOPE[-2::-1]:
        slope = m.fma(slope, t, coefficient)
    return (m.where(x < 1.0, 2.0 * x * r - TWO_OVER_SQRT_PI, (-slope / x) / x),)


# -- what the ops that call functions are tested with: exact in every precision ---------------------------------
def example(x):
    return -x if x > 0.5 else x


def absolute(x):
    return abs(x)


def larger_in_size(x, y):
    return x if abs(x) > abs(y) else y


def other(x, y):
    return -y if x > 0.0 else y
