"""The reference machine: the machine interface of ``fastgraph.vecmath`` on NumPy arrays.

In: lanes as float64, int64 and bool arrays. Out: the bits the compiled kernels give, slowly, one step of an
elementary function at a time, in a debugger if wanted.
"""

from fractions import Fraction

import numpy as np

from fastgraph import vecmath

_SPLITTER = 134217729.0  # 2**27 + 1, Dekker (1971)


class NumPyMachine:
    """The machine interface on NumPy arrays; functions of ``fastgraph.vecmath`` are attributes.

    Warnings of NumPy (overflow, invalid) are the caller's to silence: ``with np.errstate(all="ignore")``.

    Examples
    --------
    >>> import numpy as np
    >>> NumPyMachine().fma(np.array([3.0]), 7.0, -1.0)
    array([20.])
    """

    sqrt = staticmethod(np.sqrt)
    abs = staticmethod(np.abs)
    floor = staticmethod(np.floor)
    ceil = staticmethod(np.ceil)
    trunc = staticmethod(np.trunc)
    rint = staticmethod(np.rint)

    def copysign(self, x, y):
        return np.copysign(np.float64(x), y)

    def fma(self, x, y, z):
        return exact_fma(*np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, y, z))))

    def bits(self, x):
        return np.asarray(x, np.float64).view(np.int64)

    def from_bits(self, i):
        return np.asarray(i, np.int64).view(np.float64)

    def to_int(self, x):
        return np.asarray(x).astype(np.int64)

    def to_float(self, i):
        return np.asarray(i).astype(np.float64)

    def shr(self, i, count):
        return (np.asarray(i).view(np.uint64) >> np.asarray(count).astype(np.uint64)).view(np.int64)

    def table(self, values, index):
        return np.asarray(values, np.float64)[index]

    def where(self, mask, x, y):
        if isinstance(x, tuple):
            return tuple(self.where(mask, a, b) for a, b in zip(x, y, strict=True))
        if isinstance(x, int | float) and isinstance(y, int | float):
            x = np.float64(x)
        return np.where(mask, x, y)

    def rare(self, mask, slow, fast):
        return self.where(mask, slow(), fast) if np.any(mask) else fast

    def loop(self, state, condition, body):
        while np.any(condition(*state)):
            state = body(*state)
        return tuple(state)

    def floats(self, value):
        return np.asarray(value, np.float64)

    def __getattr__(self, name):
        try:
            function = vecmath.FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"the machine interface has no {name!r}") from None
        return lambda *args: function(self, *args)


def exact_fma(x, y, z):
    """x*y + z with one rounding, for float64 arrays of one shape.

    Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
    odd" (IEEE Trans. Computers 57, 2008): exact product and sums as pairs, the low parts added with rounding to
    odd. Elements whose exponents leave the range of the proof are done in exact rationals.
    """
    with np.errstate(all="ignore"):
        high, low = _two_product(x, y)
        top, rest = _two_sum(z, low)
        total, error = _two_sum(high, top)
        result = total + _add_to_odd(error, rest)
        plain = x * y + z
        size = np.abs(x * y)
        inside = (size > 1e-200) & (size < 1e250) & (np.abs(x) < 1e250) & (np.abs(y) < 1e250)
        inside &= (np.abs(z) < 1e250) & ((np.abs(z) > 1e-200) | (z == 0.0))
        finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
        simple = ~finite | (x == 0.0) | (y == 0.0)  # x*y is exact or not finite: one rounding at most remains
        inside &= result != 0.0  # the sign of an exact zero is the plain sum's
        out = np.where(inside & ~simple, result, plain)
        # An overflow of x*y with everything finite, or a tiny term, needs the exact path.
        for at in np.argwhere(finite & ~simple & ~inside):
            at = tuple(at)
            out[at] = _rational_fma(float(x[at]), float(y[at]), float(z[at]), float(plain[at]))
    return out


def _rational_fma(x, y, z, plain):
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return plain if plain == 0.0 else 0.0
    try:
        rounded = exact.numerator / exact.denominator  # Python divides integers with one correct rounding
    except OverflowError:
        return np.inf if exact > 0 else -np.inf
    return rounded if rounded != 0.0 else (0.0 if exact > 0 else -0.0)


def _two_sum(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _two_product(a, b):
    p = a * b
    a1 = a * _SPLITTER
    a1 = a1 - (a1 - a)
    a2 = a - a1
    b1 = b * _SPLITTER
    b1 = b1 - (b1 - b)
    b2 = b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _add_to_odd(a, b):
    s, error = _two_sum(a, b)
    bits = s.view(np.int64)
    # Inexact and even: step one bit towards the error, which makes the last bit odd.
    away = (error > 0) == (s > 0)
    stepped = np.where(away, bits + 1, bits - 1).view(np.float64)
    return np.where((error != 0.0) & ((bits & 1) == 0), stepped, s)
