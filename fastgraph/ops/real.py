"""Numbers of the mpmath algebra: the extended real line at any precision, with a sign of zero.

In: mpmath, Python or NumPy numbers. Out: :class:`Real`, which :mod:`fastgraph.ops.oracle` computes with.
"""

import math
import operator

try:
    import mpmath
except ImportError as error:  # pragma: no cover
    raise ImportError("fastgraph.ops.oracle needs mpmath: pip install 'fastgraph[test]'") from error

INF, NAN = math.inf, math.nan
_mp = mpmath.mp


class Real:
    """A number of the extended real line at mpmath's working precision, with the sign of zero that mpmath lacks.

    Operators follow IEEE 754 at inf, nan and signed zeros, and neither overflow nor underflow.
    """

    __slots__ = ("_minus_zero", "value")
    __hash__ = None

    def __init__(self, value, minus_zero=False):
        if isinstance(value, Real):
            value, minus_zero = value.value, value._minus_zero
        elif isinstance(value, float) and value == 0.0:
            minus_zero = math.copysign(1.0, value) < 0.0
        self.value = value if isinstance(value, mpmath.mpf) else mpmath.mpf(value)
        self._minus_zero = minus_zero and self.value == 0

    @property
    def negative(self):
        """The sign bit; a NaN has none."""
        return self._minus_zero or self.value < 0

    @property
    def isnan(self):
        return self.value != self.value

    @property
    def isfinite(self):
        return bool(_mp.isfinite(self.value))

    def __float__(self):
        return -0.0 if self._minus_zero else float(self.value)

    def __repr__(self):
        return f"Real({'-0.0' if self._minus_zero else self.value})"

    def __neg__(self):
        return Real(-self.value, self.value == 0 and not self._minus_zero)

    def __add__(self, other):
        other = Real(other)
        return Real(self.value + other.value, self._minus_zero and other._minus_zero)

    __radd__ = __add__

    def __sub__(self, other):
        return self + -Real(other)

    def __rsub__(self, other):
        return Real(other) + -self

    def __mul__(self, other):
        other = Real(other)
        return Real(self.value * other.value, self.negative != other.negative)

    __rmul__ = __mul__

    def __truediv__(self, other):
        other = Real(other)
        minus = self.negative != other.negative
        if other.value == 0:
            return Real(NAN if self.value == 0 or self.isnan else -INF if minus else INF)
        return Real(self.value / other.value, minus)

    def __rtruediv__(self, other):
        return Real(other) / self

    def _compared(self, relation, other):
        return bool(relation(self.value, Real(other).value))

    def __lt__(self, other):
        return self._compared(operator.lt, other)

    def __le__(self, other):
        return self._compared(operator.le, other)

    def __gt__(self, other):
        return self._compared(operator.gt, other)

    def __ge__(self, other):
        return self._compared(operator.ge, other)

    def __eq__(self, other):
        return self._compared(operator.eq, other)

    def __ne__(self, other):
        return self._compared(operator.ne, other)
