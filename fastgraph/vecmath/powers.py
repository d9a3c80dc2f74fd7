"""Powers and roots."""

from fastgraph.vecmath._doubled import fast_two_sum, half_reciprocal, horner, multiply_pairs, square_pair, two_product
from fastgraph.vecmath._registry import function
from fastgraph.vecmath.exponential import INF, MAGIC, NAN, TINY, exp_doubled, log_of_parts, scale, split_any

# x ** (-1/3) on [1, 2], minimax: relative error 2**-11.9.
INVERSE_CBRT = (1.541794647971632, -0.8097656056487473, 0.3176243822256704, -0.04990753878770279)
CBRT_2, CBRT_HALF = 1.2599210498948732, 0.7937005259840998


@function
def pow_(m, x, y):
    """x ** y with the special values of C99's Annex F; within 0.65 ulp, 0.8 next to the subnormal results."""
    size = m.abs(x)
    k, mantissa, _ = split_any(m, size)
    log, log_low = log_of_parts(m, k, mantissa - 1.0)
    product = y * log
    value = exp_doubled(m, product, m.fma(y, log_low, m.fma(y, log, -product)))
    special = ~((x >= TINY) & (x < INF) & (m.abs(y) < INF))
    return m.rare(special, lambda: _pow_special(m, x, y, value), value)


def _pow_special(m, x, y, value):
    """x ** y, given value = |x| ** y where both are finite and x is not 0."""
    size = m.abs(x)
    whole, half = m.rint(y) == y, y * 0.5
    odd = whole & (m.rint(half) != half)
    limit = m.where((size == INF) ^ (y < 0.0), INF, 0.0)
    value = m.where((size == INF) | (size == 0.0), limit, value)
    value = m.where((x < 0.0) & (size < INF) & ~whole, NAN, value)
    value = m.where(odd, m.copysign(value, x), value)
    endless = m.where(size == 1.0, 1.0, m.where((size > 1.0) ^ (y < 0.0), INF, 0.0))
    value = m.where(m.abs(y) == INF, endless, value)
    value = m.where((size <= INF) & (m.abs(y) <= INF), value, NAN)
    return m.where((y == 0.0) | (x == 1.0), 1.0, value)


@function
def powi(m, x, n):
    """x ** n for an integer n; within 0.7 ulp, and exactly 1, x, x*x and 1/x for n = 0, 1, 2 and -1."""
    size = m.abs(n)
    bits = m.where(size < 64.0, m.bits(size + 2.0**52) & 63, 0)
    # Binary powers as pairs; the first two steps need no full product.
    square = two_product(m, x, x)
    first = m.where((bits & 1) != 0, x, 1.0)
    power = m.where((bits & 2) != 0, _times_float(m, square, first), (first, m.floats(0.0)))

    def body(bits, base, base_low, power, power_low):
        base = square_pair(m, (base, base_low))
        power = m.where((bits & 1) != 0, multiply_pairs(m, base, (power, power_low)), (power, power_low))
        return (m.shr(bits, 1), *base, *power)

    _, _, _, high, low = m.loop((m.shr(bits, 2), *square, *power), lambda bits, *_: bits != 0, body)

    def inverse():
        q = 1.0 / high
        return m.fma(q, m.fma(-q, low, m.fma(-q, high, 1.0)), q)

    value = m.rare(n < 0.0, inverse, high + low)
    # Outside, the low parts are not exact, or the loop did not see all of n.
    magnitude = m.abs(value)
    inside = (magnitude > 2.0**-900) & (magnitude < 2.0**1000) & (size < 64.0)
    return m.rare(~inside, lambda: _powi_far(m, x, n), value)


def _powi_far(m, x, n):
    value = m.where(n == 2.0, x * x, m.where(n == -1.0, 1.0 / x, m.pow(x, n)))
    return m.where(n == 1.0, x, value)


def _times_float(m, a, b):
    p = a[0] * b
    return p, m.fma(a[1], b, m.fma(a[0], b, -p))


@function
def cbrt(m, x):
    """Cube root; within 0.6 ulp, exact at cubes, keeps the sign of zero."""
    size = m.abs(x)
    odd = ~((size >= TINY) & (size < INF))
    a, offset = m.rare(
        odd,
        lambda: (m.where(size < TINY, size * 2.0**54, 1.0), m.where(size < TINY, -18.0, 0.0)),
        (size, m.floats(0.0)),
    )
    # a = 2**(3q + j) mantissa with j in -1, 0, 1; then a is left as 2**j mantissa.
    bits = m.bits(a)
    exponent = m.from_bits(m.shr(bits, 52) | (1075 << 52)) - (2.0**52 + 1023.0)
    mantissa = m.from_bits((bits & ((1 << 52) - 1)) | (1023 << 52))
    third = m.fma(exponent, 0.3333333333333333, MAGIC) - MAGIC
    j = m.fma(-3.0, third, exponent)
    a = scale(m, mantissa, j + MAGIC)
    y = horner(m, mantissa, INVERSE_CBRT)
    y = y * m.where(j == 0.0, 1.0, m.where(j > 0.0, CBRT_HALF, CBRT_2))
    # One step of third order for a ** (-1/3), then one of Newton's for a ** (1/3), its residual from exact products.
    h = m.fma(-(a * y), y * y, 1.0)
    y = m.fma(y * h, m.fma(h, 0.2222222222222222, 0.3333333333333333), y)
    inverse_square = y * y
    root = a * inverse_square
    square, square_low = two_product(m, root, root)
    residual = m.fma(-root, square_low, m.fma(-root, square, a))
    root = m.fma(residual, inverse_square * 0.3333333333333333, root)
    value = m.copysign(scale(m, root, (third + offset) + MAGIC), x)
    return m.rare(odd, lambda: m.where((size > 0.0) & (size < INF), value, x + x), value)


@function
def hypot(m, x, y):
    """sqrt(x*x + y*y) without overflow; within 0.6 ulp, 0.8 where it is subnormal; inf if either is infinite."""
    x, y = m.abs(x), m.abs(y)
    larger, smaller = m.where(x > y, x, y), m.where(x > y, y, x)
    odd = ~((larger < 2.0**500) & (larger > 2.0**-450))
    value = m.rare(odd, lambda: _hypot_far(m, larger, smaller), _hypot(m, larger, smaller))
    return m.rare(odd, lambda: m.where((x == INF) | (y == INF), INF, m.where(x + y <= INF, value, NAN)), value)


@function
def direction(m, x, y):
    """x / hypot(x, y), 0 at the origin; within 1.2 ulp."""
    larger = m.where(m.abs(x) > m.abs(y), m.abs(x), m.abs(y))
    odd = ~((larger < 2.0**500) & (larger > 2.0**-450))
    value = m.rare(odd, lambda: _direction_far(m, x, y, larger), x / m.hypot(x, y))
    return m.where((x == 0.0) & (y == 0.0), 0.0, value)


def _direction_far(m, x, y, larger):
    factor = m.where(larger > 1.0, 2.0**-600, 2.0**600)
    h = m.hypot(x * factor, y * factor)
    return m.where(larger > 1.0, (x / h) * factor, (x * factor) / h)  # a small x beside a large y must not vanish


def _hypot_far(m, larger, smaller):
    factor = m.where(larger > 1.0, 2.0**-600, 2.0**600)
    back = m.where(larger > 1.0, 2.0**600, 2.0**-600)
    return m.where(larger == 0.0, 0.0, _hypot(m, larger * factor, smaller * factor) * back)


def _hypot(m, x, y):
    """hypot for x >= y >= 0 whose squares neither overflow nor vanish; Borges, ACM TOMS 47 (2020), is similar."""
    xx, xx_low = two_product(m, x, x)
    yy, yy_low = two_product(m, y, y)
    total, error = fast_two_sum(xx, yy)
    root = m.sqrt(total)
    residual = m.fma(-root, root, total) + (error + (xx_low + yy_low))
    return m.fma(residual, half_reciprocal(m, root), root)
