"""The logarithm of the gamma function and its derivatives."""

import math
from decimal import Context, Decimal

from fastgraph.vecmath._doubled import (
    divide_pairs,
    fast_two_sum,
    horner,
    multiply_pairs,
    square_pair,
    two_product,
    two_sum,
)
from fastgraph.vecmath._registry import function
from fastgraph.vecmath.exponential import exp_doubled, log_doubled
from fastgraph.vecmath.trigonometric import sin_cos_reduced

INF, NAN = math.inf, math.nan
PI, PI_LOW = 3.141592653589793, 1.2246467991473532e-16
LOG_PI = 1.1447298858494002
MAGIC = 1.5 * 2.0**52  # x + MAGIC has rint(x) in its low bits, for |x| < 2**51

# lgamma(2 + d) / d, |d| <= 1/2, minimax: relative error 2**-59.4.
NEAR_2 = (
    0.42278433509846713,
    0.32246703342411326,
    -0.06735230105319831,
    0.020580808427780567,
    -0.007385551028649725,
    0.0028905103310237715,
    -0.0011927539127577827,
    0.0005096695156754806,
    -0.0002231547351784318,
    9.945767003856206e-05,
    -4.492653097778187e-05,
    2.050561737974186e-05,
    -9.437237806368698e-06,
    4.384589708935303e-06,
    -2.0497499330015465e-06,
    9.203149635249134e-07,
    -4.2005269198944166e-07,
    2.784940455217785e-07,
    -1.432862925014284e-07,
)
# (lgamma(x) - (x - 1/2) log(x) + x - log(2 pi)/2) x in 1/x**2, x >= 7.5, minimax: error 2**-53.5.
STIRLING = (
    0.08333333333333326,
    -0.002777777777466868,
    0.0007936505868506087,
    -0.0005951875968827692,
    0.0008361259068343903,
    -0.001621700168887727,
)
HALF_LOG_2PI_LESS_HALF = 0.4189385332046727
# digamma(1 + f) / (f - ROOT) in f - 1/2, 0 <= f <= 1, minimax: relative error 2**-58.5.
ROOT, ROOT_LOW = 0.46163214496836236, -1.5522348162858677e-17
DIGAMMA = (
    0.9510558760318328,
    -0.4236274212814606,
    0.24054248424078722,
    -0.14840492305388028,
    0.09498872445284978,
    -0.06192213327554246,
    0.040760833943390064,
    -0.026975796657632344,
    0.017907248235610247,
    -0.011908220153063585,
    0.007927023326803421,
    -0.005279936636846764,
    0.003518088711683716,
    -0.0023454998310080207,
    0.0015635033578225773,
    -0.0010364320356239794,
    0.0006902822930843947,
    -0.00048603459198651215,
    0.0003258804243062867,
    -0.00014465643428446685,
    9.3295467857858e-05,
    -0.0001783333541592502,
    0.00012117316028197332,
)
# (log(x) - 1/(2 x) - digamma(x)) x**2 in 1/x**2, x >= 6, minimax: error 2**-51.3.
DIGAMMA_TAIL = (
    0.08333333333333297,
    -0.008333333332037798,
    0.003968253203859931,
    -0.00416649666949092,
    0.007557554171936977,
    -0.020067828191457415,
    0.05290349352111348,
)
# B(2j) / (2j)!, the coefficients of Euler and Maclaurin.
EULER_MACLAURIN = (
    0.08333333333333333,
    -0.001388888888888889,
    3.306878306878307e-05,
    -8.267195767195768e-07,
    2.08767569878681e-08,
    -5.284190138687493e-10,
    1.3382536530684679e-11,
    -3.3896802963225827e-13,
    8.586062056277845e-15,
    -2.174868698558062e-16,
    5.5090028283602295e-18,
    -1.3954464685812522e-19,
)
MAX_ORDER = 127
# log(n!) as pairs; in a context of its own, so that the bits do not depend on the caller's.
_DECIMAL = Context(prec=40)
_EXACT = [_DECIMAL.ln(Decimal(math.factorial(n))) for n in range(MAX_ORDER + 1)]
LOG_FACTORIAL = [float(v) for v in _EXACT]
LOG_FACTORIAL_LOW = [float(_DECIMAL.subtract(v, Decimal(float(v)))) for v in _EXACT]


@function
def lgamma(m, x):
    """log|gamma(x)|; within 2 ulp for x > 0, its zeros included; inf at 0, -1, -2...

    For x < 0 within 2 ulp of the larger of 1 and |lgamma(x)|.
    """
    a = m.abs(x)
    value = _lgamma_positive(m, a)
    return m.rare(~((x > 0.0) & (x < 2.0**1000)), lambda: _lgamma_far(m, x, a, value), value)


def _lgamma_positive(m, x):
    """lgamma for 0 < x < 2**1000: Stirling's series, or the polynomial about 2 and the recurrence."""
    far = x >= 7.5
    n = m.rint(x)
    d = x - n
    product = m.where(n < 0.5, x * (1.0 + x), m.where(n < 1.5, x, 1.0))
    for j in range(2, 7):
        product = m.where(n > j + 0.5, product * (d + j), product)
    high, low = log_doubled(m, m.where(far, x, product))
    # Below 1.5 the logarithm is subtracted; it outweighs the other term more than twice, and takes half of it away.
    down = n < 1.5
    first, first_low = _lgamma_near_2(m, d)
    near, error = two_sum(m.where(down, -high, high), first)
    near = near + (error + (first_low + m.where(down, -low, low)))
    inverse = 1.0 / x
    # (x - 1/2) (log(x) - 1) + log(2 pi)/2 - 1/2 + ..., the first product with its error.
    less, less_low = fast_two_sum(high, -1.0)
    half = x - 0.5
    main = half * less
    rest = m.fma(half, less_low + low, m.fma(half, less, -main))
    series = m.fma(horner(m, inverse * inverse, STIRLING), inverse, HALF_LOG_2PI_LESS_HALF)
    return m.where(far, main + (rest + series), near)


def _lgamma_near_2(m, d):
    """lgamma(2 + d) for |d| <= 1/2, as an unevaluated sum."""
    first, error = two_product(m, d, NEAR_2[0])
    return first, m.fma(d * d, horner(m, d, NEAR_2[1:]), error)


def _lgamma_far(m, x, a, value):
    """lgamma for x that is not positive, above 2**1000, or NaN; ``value`` is that of a = |x| where a is neither."""
    n = m.rint(x)
    d = x - n
    huge = (a - 0.5) * (m.log(a) - 1.0)
    # log(pi / (a sin(pi a) gamma(a))): by -24 no double is near enough to a pole for the terms to cancel.
    reflected = LOG_PI - m.log(m.abs(m.sin(PI * d))) - m.log(a) - value
    close = (x < 0.0) & (x > -24.0) & (d != 0.0)
    left = m.where(close, _lgamma_recurrence(m, m.where(close, x, -0.5)), reflected)
    result = m.where(x < 0.0, left, huge)
    result = m.where((x <= 0.0) & (d == 0.0) | (a == INF), INF, result)
    return m.where(x != x, x, result)


def _lgamma_recurrence(m, x):
    """lgamma for -24 < x < 0: lgamma(x + k) - log|x (x + 1) ... (x + k - 1)| with x + k nearest to 2.

    Near a zero the product is near 1; it is computed as a pair, so that no more than an error of 2**-55 is left.
    """
    n = m.rint(x)
    d, count = x - n, 2.0 - n

    def multiply(k, high, low):
        inside = k < count
        product = multiply_pairs(m, (high, low), two_sum(x, k))
        return m.where(inside, k + 1.0, k), m.where(inside, product[0], high), m.where(inside, product[1], low)

    zero = x * 0.0
    start = (zero + 1.0, x, zero)
    _, high, low = m.loop(start, lambda k, high, low: k < count, multiply)
    log_high, log_low = log_doubled(m, m.abs(high))
    first, first_low = _lgamma_near_2(m, d)
    total, error = two_sum(first, -log_high)
    return total + (error + (first_low - (log_low + low / high)))


@function
def digamma(m, x):
    """Derivative of lgamma; within 3 ulp for x > 0, its zero included; inf and -inf at -0 and 0, NaN at -1, -2...

    For x < 0 within 4 ulp of the larger of 1 and |digamma(x)|.
    """
    a = m.abs(x)
    value = _digamma_positive(m, a)

    def reflected():
        d = a - m.rint(a)
        # digamma(-a) = digamma(a) + 1/a + pi cot(pi a); near its zeros the terms cancel.
        high, low = _pi_cot_pi(m, d)
        total, error = two_sum(value, 1.0 / a)
        total, error_2 = two_sum(total, high)
        left = m.where(d == 0.0, NAN, total + ((error + error_2) + low))
        left = m.where(a < 1e-300, 1.0 / a, left)
        return m.where(x == 0.0, m.copysign(INF, -x), left)

    return m.rare(x <= 0.0, reflected, value)


def _pi_cot_pi(m, d):
    """pi / tan(pi d) for |d| <= 1/2, as a pair; anything at 0."""
    h = m.abs(d)
    outer = h > 0.25
    angle = multiply_pairs(m, (m.where(outer, 0.5 - h, h), 0.0), (PI, PI_LOW))
    sine, cosine = sin_cos_reduced(m, *angle)
    sine, cosine = fast_two_sum(*sine), fast_two_sum(*cosine)
    ratio = divide_pairs(m, m.where(outer, sine, cosine), m.where(outer, cosine, sine))
    high, low = multiply_pairs(m, ratio, (PI, PI_LOW))
    return m.copysign(high, d), m.where(d < 0.0, -low, low)


def _digamma_positive(m, x):
    """digamma for x > 0: the asymptotic series, or the polynomial on [1, 2] and the recurrence."""
    far = x >= 6.0
    n = m.floor(x)
    f = m.where(far, 0.0, x - n)
    # The sum of the 1 / (x - j) that lead down to 1 + f, as one fraction; or -1/x from below.
    r = 1.0 + f
    p, q = m.where(n < 0.5, -1.0, m.where(n < 1.5, 0.0, 1.0)), m.where(n < 0.5, x, r)
    for j in range(1, 4):
        step, more = r + float(j), n > j + 1.5
        p, q = m.where(more, m.fma(p, step, q), p), m.where(more, q * step, q)
    quotient = m.where(far, 1.0, p) / m.where(far, x, q)
    near = m.fma((f - ROOT) - ROOT_LOW, horner(m, f - 0.5, DIGAMMA), quotient)
    square = quotient * quotient
    series = m.fma(square, horner(m, square, DIGAMMA_TAIL), 0.5 * quotient)
    return m.where(far, m.log(x) - series, near)


@function
def polygamma(m, x, n):
    """n-th derivative of digamma, 1 <= n <= 127; within 4 ulp for x > 0.

    For x < 0 within 4 ulp of the sum of the sizes of the terms n! / (x + k)**(n + 1), which cancel where n is even.
    At 0, -1, -2...: inf for odd n; for even n -inf at 0, inf at -0, NaN at the others. NaN for any other n.
    """
    x, n = m.floats(x), m.floats(n)
    valid = (n >= 1.0) & (n <= MAX_ORDER) & (m.rint(n) == n)
    order = m.where(valid, n, 1.0)
    odd = (m.bits(order + MAGIC) & 1) != 0
    size = m.where(x == INF, 0.0, _polygamma_size(m, m.where((x > 0.0) & (x < INF), x, 1.0), order))
    value = m.where(odd, size, -size)

    def left():
        d = x - m.rint(x)
        inside = (x < 0.0) & (d != 0.0)
        above = m.where(inside, m.where(d > 0.0, d, 1.0 + d), 1.0)
        below = m.where(inside, m.where(d > 0.0, 1.0 - d, -d), 1.0)
        # The sum of 1 / (x + k)**(n + 1) over all integers k is periodic; it is split at 0.
        others = m.polygamma(below, order) - m.polygamma(m.where(inside, 1.0 - x, 1.0), order)
        reflected = m.polygamma(above, order) + m.where(odd, others, -others)
        pole = m.where(odd, INF, m.where(x == 0.0, m.copysign(INF, -x), NAN))
        return m.where(x == -INF, NAN, m.where(x != x, x, m.where(inside, reflected, pole)))

    return m.where(valid, m.rare(~(x > 0.0), left, value), NAN)


def _polygamma_size(m, x, n):
    """n! times the sum of 1 / (x + k)**(n + 1) over k >= 0, for x > 0.

    The terms relative to the first are added up to x + k >= 8 + 0.8 (n + 1), from where the formula of Euler and
    Maclaurin with twelve terms has an error below 2**-57, or until they no longer count.
    """
    s = n + 1.0
    enough = m.fma(0.8, s, 8.0)

    index = m.bits(n + MAGIC) & MAX_ORDER

    def more(k, term, total, low):
        return (x + k < enough) & (term > 2.0**-60 * total)

    def add(k, term, total, low):
        inside = more(k, term, total, low)
        following = _ratio_power(m, x, two_sum(x, k + 1.0), index + 1)
        total, low = m.where(inside, _add(total, low, term), (total, low))
        return m.where(inside, k + 1.0, k), m.where(inside, following, term), total, low

    zero = x * 0.0
    k, term, total, low = m.loop((zero, zero + 1.0, zero, zero), more, add)
    y = x + k
    inverse = 1.0 / y
    square = inverse * inverse
    factor, tail = s * inverse, 0.5
    for j, coefficient in enumerate(EULER_MACLAURIN):
        tail = m.fma(factor, coefficient, tail)
        factor = factor * ((s + (2.0 * j + 1.0)) * (s + (2.0 * j + 2.0))) * square
    total = total + (low + m.where(y < enough, 0.0, term * (y / n + tail)))
    # n! / x**n, whose logarithm is large, from logarithms as pairs.
    high, low = log_doubled(m, x)
    product, product_low = two_product(m, n, high)
    exponent, error = two_sum(m.table(LOG_FACTORIAL, index), -product)
    rest = (m.table(LOG_FACTORIAL_LOW, index) - product_low) - n * low
    return exp_doubled(m, exponent, error + rest) * (total / x)


def _add(total, low, term):
    total, error = fast_two_sum(total, term)
    return total, low + error


def _ratio_power(m, x, y, count):
    """(x / y)**count for a pair y, by squaring: an error of a rounding of x / y would be multiplied by count."""

    def step(count, base, base_low, power, power_low):
        factor = multiply_pairs(m, (power, power_low), (base, base_low))
        power, power_low = m.where((count & 1) != 0, factor, (power, power_low))
        return count >> 1, *square_pair(m, (base, base_low)), power, power_low

    zero = x * 0.0
    start = (count, *divide_pairs(m, (x, 0.0), y), zero + 1.0, zero)
    return m.loop(start, lambda count, *_: count != 0, step)[3]
