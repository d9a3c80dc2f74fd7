"""Sign, what is not negative, the smaller and the larger of two, the exact remainder."""

import math

from fastgraph.vecmath._registry import function


@function(inline=True)
def sign(m, x):
    """-1, 0 or 1, without the sign of a zero, as NumPy; NaN for NaN. Exact."""
    return m.where(x > 0.0, 1.0, m.where(x < 0.0, -1.0, m.where(x == 0.0, 0.0, x)))


# Where neither operand is the smaller, they are equal (the bits differ at most in the sign of a zero) or one is
# NaN. The union of the bits is then -0 if either is -0, and NaN if either is NaN, in either order of operands.


def _union(m, x, y):
    return m.from_bits(m.bits(x) | m.bits(y))


def _common_sign(m, x, y):
    """The union, with a sign only if both have it."""
    return -_union(m, -x, -y)


@function(inline=True)
def minimum(m, x, y):
    """The smaller of x and y, NaN if either is; -0 is below +0. Exact."""
    return m.where(x < y, x, m.where(x > y, y, _union(m, x, y)))


@function(inline=True)
def maximum(m, x, y):
    """The larger of x and y, NaN if either is; +0 is above -0. Exact."""
    return m.where(x > y, x, m.where(x < y, y, _common_sign(m, x, y)))


@function(inline=True)
def fmin(m, x, y):
    """The smaller of x and y, ignoring a NaN; -0 is below +0. Exact."""
    smaller = m.where(x < y, x, m.where(y != y, x, y))
    return m.where(x == y, _union(m, x, y), smaller)


@function(inline=True)
def fmax(m, x, y):
    """The larger of x and y, ignoring a NaN; +0 is above -0. Exact."""
    larger = m.where(x > y, x, m.where(y != y, x, y))
    return m.where(x == y, _common_sign(m, x, y), larger)


@function
def fmod(m, x, y):
    """C's remainder x - trunc(x/y)*y, exact: the sign is x's; NaN for an infinite x or a zero y."""
    a, b = m.abs(x), m.abs(y)
    many = (a / b >= 2.0**53) & (a < float("inf")) & (b > 0.0)
    long = m.where(many, a, 0.0), m.where(many, b, 1.0)
    remainder = m.rare(many, lambda: _long_remainder(m, *long), _remainder(m, a, b))
    return m.copysign(remainder, x)


def _remainder(m, a, b):
    """a mod b for a/b < 2**53.

    The rounded quotient, truncated, is the true one or one more, as rounding is monotonic and keeps integers.
    Either way a - q*b is a multiple of b's last bit and below b in size: the fma and the correction are exact.
    """
    r = m.fma(-m.trunc(a / b), b, a)
    return m.where(a < b, a, m.where(r < 0.0, r + b, r))


def _long_remainder(m, a, b):
    """a mod b for any finite quotient: long division, 52 bits of the quotient a step."""

    def divides(a, scaled):
        return scaled >= b

    def divide(a, scaled):
        inside = scaled >= b
        return m.where(inside, _remainder(m, a, scaled), a), m.where(inside, scaled * 2.0**-52, scaled)

    def above(scaled):
        return scaled * 2.0**52 <= a

    # Powers of two times b are exact while they do not exceed a; where the product overflows, the loop ends.
    (scaled,) = m.loop((b,), above, lambda scaled: (m.where(above(scaled), scaled * 2.0**52, scaled),))
    remainder, _ = m.loop((a, scaled), divides, divide)
    return remainder


@function(inline=True)
def nonnegative(m, x):
    """``x``, but NaN where it is negative; -0 becomes 0."""
    return m.where(x < 0.0, math.nan, x + 0.0)
