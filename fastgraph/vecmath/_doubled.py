"""Pairs of doubles and polynomials, for the elementary functions.

A pair (high, low) stands for the exact sum high + low, with |low| at most half an ulp of high unless said otherwise.
Each helper takes the machine ``m`` first and is inlined where it is called.
"""


def two_sum(a, b):
    """a + b as a pair, exactly (Knuth, TAOCP 2, 4.2.2)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a, b):
    """a + b as a pair, exactly where a is 0 or its exponent is not below b's (Dekker 1971)."""
    s = a + b
    return s, b - (s - a)


def two_product(m, a, b):
    """a * b as a pair, exactly unless it is below 2**-969 or overflows."""
    p = a * b
    return p, m.fma(a, b, -p)


def multiply_loosely(m, a, b):
    """The product of two pairs, not renormalised: its low part may reach two ulps of the high one."""
    p = a[0] * b[0]
    return p, m.fma(a[0], b[1], m.fma(a[1], b[0], m.fma(a[0], b[0], -p)))


def multiply_pairs(m, a, b):
    """The product of two pairs, to 2**-102 of it (after Joldes, Muller and Popescu 2017, DWTimesDW)."""
    return fast_two_sum(*multiply_loosely(m, a, b))


def square_pair(m, a):
    """The square of a pair, to 2**-102 of it."""
    p, e = two_product(m, a[0], a[0])
    return fast_two_sum(p, m.fma(a[0] + a[0], a[1], e))


def divide_pairs(m, a, b):
    """a / b for pairs, to 2**-100 of it, by one division."""
    reciprocal = 1.0 / b[0]
    q = a[0] * reciprocal
    rest = m.fma(-q, b[0], a[0]) + m.fma(-q, b[1], a[1])
    return fast_two_sum(q, rest * reciprocal)


def half_reciprocal(m, x):
    """1 / (2x) to 2%, for normal x in 2**-1000 .. 2**1000: a linear guess from the bits, one step of Newton's."""
    guess = m.from_bits(0x7FCE623822FC16E6 - m.bits(x))
    return m.fma(guess, m.fma(-x, guess + guess, 1.0), guess)


def horner(m, x, coefficients):
    """The polynomial with the given coefficients, constant term first: fewest operations, longest chain."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = m.fma(total, x, c)
    return total


def even_odd(m, x, coefficients):
    """The polynomial with the given coefficients, constant term first: half the chain for one operation more."""
    square = x * x
    return m.fma(x, horner(m, square, coefficients[1::2]), horner(m, square, coefficients[0::2]))
