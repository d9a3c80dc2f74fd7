"""The reference machine: the machine interface of ``fastgraph.vecmath`` on NumPy arrays.

In: lanes as arrays of floats, of integers as wide, and of booleans. Out: the bits the compiled kernels give, slowly,
one step of an elementary function at a time, in a debugger if wanted.
"""

import math

import numpy as np

from fastgraph import vecmath

_SPLITTER = 134217729.0  # 2**27 + 1, Dekker (1971)
FEW = 16  # numbers: a rational each takes 3 microseconds, the arrays 100 together


class NumPyMachine:
    """The machine interface on NumPy arrays; functions of ``fastgraph.vecmath`` are attributes.

    Warnings of NumPy (overflow, invalid) are the caller's to silence: ``with np.errstate(all="ignore")``.

    Parameters
    ----------
    dtype : float64 or float32
        What a lane holds; arrays that mix with Python numbers keep it.

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

    def __init__(self, dtype=np.float64):
        self.dtype = np.dtype(dtype)
        self._single = self.dtype == np.float32
        self._integer, self._unsigned = (np.int32, np.uint32) if self._single else (np.int64, np.uint64)

    def floats(self, value):
        return np.asarray(value, self.dtype)

    def copysign(self, x, y):
        return np.copysign(self.floats(x), y)

    def fma(self, x, y, z):
        terms = np.broadcast_arrays(*(self.floats(v) for v in (x, y, z)))
        return single_fma(*terms) if self._single else exact_fma(*terms)

    def bits(self, x):
        return self.floats(x).view(self._integer)

    def from_bits(self, i):
        return np.asarray(i, self._integer).view(self.dtype)

    def to_int(self, x):
        return np.asarray(x).astype(self._integer)

    def to_float(self, i):
        return np.asarray(i).astype(self.dtype)

    def shr(self, i, count):
        return (np.asarray(i).view(self._unsigned) >> np.asarray(count).astype(self._unsigned)).view(self._integer)

    def table(self, values, index):
        return self.floats(values)[index]

    def call(self, function, *xs):
        """``function`` of numbers, one lane after the other."""
        xs = np.broadcast_arrays(*map(self.floats, xs))
        numbers = zip(*(x.ravel() for x in xs), strict=True)
        return np.array([function(*lane) for lane in numbers], self.dtype).reshape(xs[0].shape)

    def size(self, table):
        return len(table)

    def entry(self, table, index):
        return self.table(table, index)

    def where(self, mask, x, y):
        if isinstance(x, tuple):
            return tuple(self.where(mask, a, b) for a, b in zip(x, y, strict=True))
        if isinstance(x, int | float) and isinstance(y, int | float):
            x = self.dtype.type(x)
        return np.where(mask, x, y)

    def rare(self, mask, slow, fast):
        return self.where(mask, slow(), fast) if np.any(mask) else fast

    def loop(self, state, condition, body):
        while np.any(condition(*state)):
            state = body(*state)
        return tuple(state)

    def widened(self, function, *args):
        """``function(m, *lanes)``, or the elementary function of that name, in binary64, rounded to binary32."""
        wide = NumPyMachine()
        lanes = (self.floats(arg).astype(np.float64) for arg in args)
        result = getattr(wide, function)(*lanes) if isinstance(function, str) else function(wide, *lanes)
        return np.asarray(result).astype(np.float32)

    def __getattr__(self, name):
        try:
            function = vecmath.FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"the machine interface has no {name!r}") from None
        if not self._single or function.inline:
            return lambda *args: function(self, *args)
        return lambda *args: vecmath.variant(name)(self, *(self.floats(arg) for arg in args))


def single_fma(x, y, z):
    """x*y + z with one rounding, for float32 arrays of one shape.

    The product is exact in binary64. The sum, rounded there to odd, rounds to binary32 as the exact one does (Boldo and
    Melquiond 2008), since it has more than two bits to spare.
    """
    x, y, z = (np.asarray(v, np.float64) for v in (x, y, z))
    with np.errstate(all="ignore"):
        plain = x * y + z
        return np.where(np.isfinite(plain) & (plain != 0.0), _add_to_odd(x * y, z), plain).astype(np.float32)


def exact_fma(x, y, z):
    """x*y + z with one rounding, for float64 arrays of one shape.

    Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
    odd" (IEEE Trans. Computers 57, 2008): exact product and sums as pairs, the low parts added with rounding to
    odd. Elements whose exponents leave the range of the proof are done in exact rationals, and so are a few numbers,
    for which that is quicker.
    """
    if x.size <= FEW:
        numbers = zip(x.ravel().tolist(), y.ravel().tolist(), z.ravel().tolist(), strict=True)
        return np.array([_one_fma(*terms) for terms in numbers]).reshape(x.shape)
    with np.errstate(all="ignore"):
        high, low = _two_product(x, y)
        top, rest = _two_sum(z, low)
        total, error = _two_sum(high, top)
        result = total + _add_to_odd(error, rest)
        plain = np.where(np.isfinite(x) & np.isfinite(y) & ~np.isfinite(z), z, x * y + z)
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


def _one_fma(x, y, z):
    plain = x * y + z
    if not (math.isfinite(x) and math.isfinite(y)):
        return plain
    if not math.isfinite(z):
        return z  # where x*y overflows, plain is NaN
    return plain if x == 0.0 or y == 0.0 else _rational_fma(x, y, z, plain)


def _rational_fma(x, y, z, plain):
    (a, b), (c, d), (e, f) = (v.as_integer_ratio() for v in (x, y, z))
    numerator, denominator = a * c * f + e * b * d, b * d * f
    if numerator == 0:
        return plain if plain == 0.0 else 0.0
    try:
        rounded = numerator / denominator  # Python divides integers with one correct rounding
    except OverflowError:
        return np.inf if numerator > 0 else -np.inf
    return rounded if rounded != 0.0 else (0.0 if numerator > 0 else -0.0)


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
