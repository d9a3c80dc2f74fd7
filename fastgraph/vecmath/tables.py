"""Tables: the place of a number among constant knots, and the number at a place. See the package for the machine ``m``.

The table is no lanes: a machine takes from it what it is asked for.
"""

from fastgraph.vecmath._registry import function

NAN = float("nan")


@function(inline=True)
def interval(m, x, table):
    """By bisection: the last number of an increasing table that is not above x is at ``low`` or after it."""

    def halved(low, high):
        middle = (low + high) >> 1
        reached = m.entry(table, middle) <= x
        return m.where(reached, middle, low), m.where(reached, high, middle)

    zero = m.bits(x) & 0
    low, _ = m.loop((zero, zero + m.size(table)), lambda low, high: high - low > 1, halved)
    return m.where(x == x, m.to_float(low), NAN)


@function(inline=True)
def lookup(m, x, table):
    last = m.to_float((m.bits(x) & 0) + m.size(table)) - 1.0
    place = m.where(x > 0.0, m.where(x < last, x, last), 0.0)
    return m.where(x == x, m.entry(table, m.to_int(place)), NAN)
