"""What lanes hold: floats, integers and truth values, each an IR value whose Python operators emit instructions.

Stands below ``lanes``, whose machine makes these values and emits what is no operator. In: IR values. Out: IR.
"""


class Value:
    """One IR value of ``W`` lanes; subclasses say what the lanes hold."""

    __slots__ = ("m", "v")
    __hash__ = None

    def __init__(self, machine, value):
        self.m = machine
        self.v = value

    def _binary(self, other, emit, swapped=False):
        other = type(self)(self.m, self._constant(other))
        a, b = (other, self) if swapped else (self, other)
        return type(self)(self.m, emit(a.v, b.v))

    def _constant(self, other):
        if isinstance(other, type(self)):
            return other.v
        if isinstance(other, Value):
            raise TypeError(f"cannot combine {type(self).__name__} with {type(other).__name__}")
        return self.m.constant(other, type(self))

    def _compare(self, relation, other):
        raise NotImplementedError(f"{type(self).__name__} lanes have no order")

    def __lt__(self, other):
        return self._compare("<", other)

    def __le__(self, other):
        return self._compare("<=", other)

    def __gt__(self, other):
        return self._compare(">", other)

    def __ge__(self, other):
        return self._compare(">=", other)

    def __eq__(self, other):
        return self._compare("==", other)

    def __ne__(self, other):
        return self._compare("!=", other)


class Floats(Value):
    """Lanes of IEEE floats. Every operator is one correctly rounded operation, without fast-math flags."""

    __slots__ = ()

    def __add__(self, other):
        return self._binary(other, self.m.builder.fadd)

    def __radd__(self, other):
        return self._binary(other, self.m.builder.fadd, swapped=True)

    def __sub__(self, other):
        return self._binary(other, self.m.builder.fsub)

    def __rsub__(self, other):
        return self._binary(other, self.m.builder.fsub, swapped=True)

    def __mul__(self, other):
        return self._binary(other, self.m.builder.fmul)

    def __rmul__(self, other):
        return self._binary(other, self.m.builder.fmul, swapped=True)

    def __truediv__(self, other):
        return self._binary(other, self.m.builder.fdiv)

    def __rtruediv__(self, other):
        return self._binary(other, self.m.builder.fdiv, swapped=True)

    def __neg__(self):
        return Floats(self.m, self.m.builder.fneg(self.v))

    def _compare(self, relation, other):
        # Ordered but for "!=", which is unordered: NaN != NaN, and every other relation with a NaN is false.
        compare = self.m.builder.fcmp_unordered if relation == "!=" else self.m.builder.fcmp_ordered
        return Mask(self.m, compare(relation, self.v, self._constant(other)))


class Ints(Value):
    """Lanes of two's complement integers as wide as the floats; arithmetic wraps, ``>>`` keeps the sign."""

    __slots__ = ()

    def __add__(self, other):
        return self._binary(other, self.m.builder.add)

    __radd__ = __add__

    def __sub__(self, other):
        return self._binary(other, self.m.builder.sub)

    def __rsub__(self, other):
        return self._binary(other, self.m.builder.sub, swapped=True)

    def __mul__(self, other):
        return self._binary(other, self.m.builder.mul)

    __rmul__ = __mul__

    def __and__(self, other):
        return self._binary(other, self.m.builder.and_)

    __rand__ = __and__

    def __or__(self, other):
        return self._binary(other, self.m.builder.or_)

    __ror__ = __or__

    def __xor__(self, other):
        return self._binary(other, self.m.builder.xor)

    __rxor__ = __xor__

    def __lshift__(self, other):
        return self._binary(other, self.m.builder.shl)

    def __rshift__(self, other):
        return self._binary(other, self.m.builder.ashr)

    def __neg__(self):
        return Ints(self.m, self.m.builder.neg(self.v))

    def _compare(self, relation, other):
        return Mask(self.m, self.m.builder.icmp_signed(relation, self.v, self._constant(other)))


class Mask(Value):
    """Lanes of booleans, as comparisons give them."""

    __slots__ = ()

    def __and__(self, other):
        return self._binary(other, self.m.builder.and_)

    __rand__ = __and__

    def __or__(self, other):
        return self._binary(other, self.m.builder.or_)

    __ror__ = __or__

    def __xor__(self, other):
        return self._binary(other, self.m.builder.xor)

    __rxor__ = __xor__

    def __invert__(self):
        return Mask(self.m, self.m.builder.not_(self.v))
