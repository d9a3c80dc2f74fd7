"""Lanes: the algebra whose values are LLVM IR.

Stands below everything that emits machine code: an op's rule, or a function of ``fastgraph.vecmath``, is run
once on these classes and leaves behind instructions for ``W`` doubles at a time (W = 1 is a plain double).
In: a rule and an ``IRBuilder``. Out: IR. Nothing here knows which ops exist.
"""

import struct

from llvmlite import ir

from fastgraph import vecmath

_F64 = ir.DoubleType()
_I64 = ir.IntType(64)
_I1 = ir.IntType(1)
_MASK64 = (1 << 64) - 1


class _Value:
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
        if isinstance(other, _Value):
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


class Floats(_Value):
    """Lanes of binary64. Every operator is one correctly rounded IEEE operation, without fast-math flags."""

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


class Ints(_Value):
    """Lanes of 64-bit two's complement integers; arithmetic wraps, ``>>`` keeps the sign."""

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


class Mask(_Value):
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


_ELEMENT = {Floats: _F64, Ints: _I64, Mask: _I1}


class Lanes:
    """The machine interface of :mod:`fastgraph.vecmath`, emitting IR for ``width`` lanes into ``builder``.

    Functions of ``fastgraph.vecmath`` are attributes; each becomes one internal function a module and width,
    not inlined, so that compile time grows with the number of functions and not with the number of their uses.
    """

    def __init__(self, builder, width):
        self.builder = builder
        self.width = width

    # -- types, constants ---------------------------------------------------------------------------------
    def type_of(self, kind):
        element = _ELEMENT[kind]
        return element if self.width == 1 else ir.VectorType(element, self.width)

    def constant(self, value, kind=Floats):
        """IR constant with ``value`` in every lane."""
        if kind is Floats:
            value = float(value)
        elif kind is Ints:
            value = _signed(int(value))
        else:
            value = int(bool(value))
        element = ir.Constant(_ELEMENT[kind], value)
        return element if self.width == 1 else ir.Constant(self.type_of(kind), [element] * self.width)

    def floats(self, value):
        """``value`` as Floats: lanes pass through, a Python number fills every lane."""
        return value if isinstance(value, Floats) else Floats(self, self.constant(value))

    def broadcast(self, scalar):
        """A scalar IR double in every lane."""
        if self.width == 1:
            return Floats(self, scalar)
        vector = ir.VectorType(_F64, self.width)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return Floats(self, self.builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros))

    # -- float primitives ---------------------------------------------------------------------------------
    def _intrinsic(self, name, *args):
        values = [self.floats(arg).v for arg in args]
        kind = self.type_of(Floats)
        suffix = "f64" if self.width == 1 else f"v{self.width}f64"
        function = _declare(self.builder.module, f"llvm.{name}.{suffix}", ir.FunctionType(kind, [kind] * len(args)))
        return Floats(self, self.builder.call(function, values))

    def fma(self, x, y, z):
        return self._intrinsic("fma", x, y, z)

    def sqrt(self, x):
        return self._intrinsic("sqrt", x)

    def abs(self, x):
        return self._intrinsic("fabs", x)

    def copysign(self, x, y):
        return self._intrinsic("copysign", x, y)

    def floor(self, x):
        return self._intrinsic("floor", x)

    def ceil(self, x):
        return self._intrinsic("ceil", x)

    def trunc(self, x):
        return self._intrinsic("trunc", x)

    def rint(self, x):
        return self._intrinsic("rint", x)

    # -- bits and integers --------------------------------------------------------------------------------
    def bits(self, x):
        return Ints(self, self.builder.bitcast(self.floats(x).v, self.type_of(Ints)))

    def from_bits(self, i):
        return Floats(self, self.builder.bitcast(i.v, self.type_of(Floats)))

    def to_int(self, x):
        return Ints(self, self.builder.fptosi(x.v, self.type_of(Ints)))

    def to_float(self, i):
        return Floats(self, self.builder.sitofp(i.v, self.type_of(Floats)))

    def shr(self, i, count):
        """Logical shift right."""
        return Ints(self, self.builder.lshr(i.v, i._constant(count)))

    def table(self, values, index):
        """``values[index]`` in every lane, from a constant table; the caller keeps ``index`` in range."""
        values = [float(v) for v in values]
        kind = ir.ArrayType(_F64, len(values))
        name = "fastgraph.table." + struct.pack(f"<{len(values)}d", *values).hex()[:400] + f".{len(values)}"
        table = self.builder.module.globals.get(name)
        if table is None:
            table = ir.GlobalVariable(self.builder.module, kind, name)
            table.linkage = "internal"
            table.global_constant = True
            table.initializer = ir.Constant(kind, values)
        zero = ir.Constant(_I64, 0)
        if self.width == 1:
            return Floats(self, self.builder.load(self.builder.gep(table, [zero, index.v])))
        gathered = ir.Constant(self.type_of(Floats), ir.Undefined)
        for lane in range(self.width):
            at = ir.Constant(ir.IntType(32), lane)
            element = self.builder.load(self.builder.gep(table, [zero, self.builder.extract_element(index.v, at)]))
            gathered = self.builder.insert_element(gathered, element, at)
        return Floats(self, gathered)

    # -- masks and control --------------------------------------------------------------------------------
    def where(self, mask, x, y):
        if isinstance(x, tuple):
            return tuple(self.where(mask, a, b) for a, b in zip(x, y, strict=True))
        kind = type(x) if isinstance(x, _Value) else type(y) if isinstance(y, _Value) else Floats
        x, y = (v.v if isinstance(v, kind) else self.constant(v, kind) for v in (x, y))
        return kind(self, self.builder.select(mask.v, x, y))

    def _any(self, mask):
        if self.width == 1:
            return mask.v
        bits = ir.IntType(self.width)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(mask.v, bits), ir.Constant(bits, 0))

    def rare(self, mask, slow, fast):
        """``where(mask, slow(), fast)``, with ``slow`` run only if some lane needs it.

        ``fast`` is a value or a tuple of values, and ``slow()`` returns the same.
        """
        before = self.builder.block
        taken = self.builder.append_basic_block("rare")
        after = self.builder.append_basic_block("common")
        branch = self.builder.cbranch(self._any(mask), taken, after)
        branch.set_weights([1, 10_000])  # or LLVM flattens a short slow path into the common one
        self.builder.position_at_end(taken)
        merged = self.where(mask, slow(), fast)
        leaving = self.builder.block
        self.builder.branch(after)
        self.builder.position_at_end(after)
        pairs = zip(merged, fast, strict=True) if isinstance(fast, tuple) else [(merged, fast)]
        results = []
        for slow_value, fast_value in pairs:
            phi = self.builder.phi(slow_value.v.type)
            phi.add_incoming(slow_value.v, leaving)
            phi.add_incoming(fast_value.v, before)
            results.append(type(slow_value)(self, phi))
        return tuple(results) if isinstance(fast, tuple) else results[0]

    def loop(self, state, condition, body):
        """``while any(condition(*state)): state = body(*state)``; return the final state.

        Lanes whose condition is already false are passed through ``body`` too: it must leave them as they are.
        """
        before = self.builder.block
        header = self.builder.append_basic_block("loop")
        inside = self.builder.append_basic_block("body")
        after = self.builder.append_basic_block("done")
        self.builder.branch(header)
        self.builder.position_at_end(header)
        phis = [self.builder.phi(value.v.type) for value in state]
        for phi, value in zip(phis, state, strict=True):
            phi.add_incoming(value.v, before)
        current = [type(value)(self, phi) for value, phi in zip(state, phis, strict=True)]
        self.builder.cbranch(self._any(condition(*current)), inside, after)
        self.builder.position_at_end(inside)
        following = body(*current)
        for phi, value in zip(phis, following, strict=True):
            phi.add_incoming(value.v, self.builder.block)
        self.builder.branch(header)
        self.builder.position_at_end(after)
        return tuple(current)

    # -- elementary functions -----------------------------------------------------------------------------
    def __getattr__(self, name):
        try:
            function = vecmath.FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"the machine interface has no {name!r}") from None
        if function.inline:
            return lambda *args: function(self, *args)
        return lambda *args: self._call(name, function, [self.floats(arg) for arg in args])

    def _call(self, name, function, args):
        module, kind = self.builder.module, self.type_of(Floats)
        symbol = f"fastgraph.{name}.w{self.width}"
        callee = module.globals.get(symbol)
        if callee is None:
            callee = ir.Function(module, ir.FunctionType(kind, [kind] * len(args)), symbol)
            callee.linkage = "internal"
            for attribute in ("noinline", "nounwind"):
                callee.attributes.add(attribute)
            inner = Lanes(ir.IRBuilder(callee.append_basic_block("entry")), self.width)
            result = function(inner, *(Floats(inner, arg) for arg in callee.args))
            inner.builder.ret(inner.floats(result).v)
        return Floats(self, self.builder.call(callee, [arg.v for arg in args]))


def _signed(value):
    value &= _MASK64
    return value - (1 << 64) if value >> 63 else value


def _declare(module, name, signature):
    function = module.globals.get(name)
    return ir.Function(module, signature, name) if function is None else function
