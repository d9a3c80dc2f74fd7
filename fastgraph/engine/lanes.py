"""Lanes: the algebra whose values are LLVM IR.

Stands below everything that emits machine code: an op's rule, or a function of ``fastgraph.vecmath``, is run
once on these classes and leaves behind instructions for ``W`` floats at a time (W = 1 is a plain float), of binary64
or binary32. In: a rule and an ``IRBuilder``. Out: IR. Nothing here knows which ops exist.
"""

import ctypes
import struct

from llvmlite import ir

from fastgraph import vecmath
from fastgraph.engine.values import Floats, Ints, Mask, Value

F64, F32 = ir.DoubleType(), ir.FloatType()
_BITS = {F64: 64, F32: 32}
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class Lanes:
    """The machine interface of :mod:`fastgraph.vecmath`, emitting IR for ``width`` lanes into ``builder``.

    Functions of ``fastgraph.vecmath`` are attributes; each becomes one internal function a module, width and element,
    not inlined, so that compile time grows with the number of functions and not with the number of their uses.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    width : int
        Number of lanes; a power of two.
    element : F64 or F32
        What a lane holds. Every operation and primitive rounds to it, and so do Python numbers that become constants.
    """

    def __init__(self, builder, width, element=F64):
        self.builder = builder
        self.width = width
        self.element = element
        self._elements = {Floats: element, Ints: ir.IntType(_BITS[element]), Mask: ir.IntType(1)}

    # -- types, constants ---------------------------------------------------------------------------------
    def type_of(self, kind):
        element = self._elements[kind]
        return element if self.width == 1 else ir.VectorType(element, self.width)

    def constant(self, value, kind=Floats):
        """IR constant with ``value`` in every lane."""
        if kind is Floats:
            value = float(value) if self.element is F64 else ctypes.c_float(value).value
        elif kind is Ints:
            value = _signed(int(value), _BITS[self.element])
        else:
            value = int(bool(value))
        element = ir.Constant(self._elements[kind], value)
        return element if self.width == 1 else ir.Constant(self.type_of(kind), [element] * self.width)

    def floats(self, value):
        """``value`` as Floats: lanes pass through, a Python number fills every lane."""
        return value if isinstance(value, Floats) else Floats(self, self.constant(value))

    def broadcast(self, scalar):
        """A scalar IR float, of the machine's element, in every lane."""
        if self.width == 1:
            return Floats(self, scalar)
        vector = ir.VectorType(self.element, self.width)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
        zeros = ir.Constant(ir.VectorType(_I32, self.width), [0] * self.width)
        return Floats(self, self.builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros))

    # -- float primitives ---------------------------------------------------------------------------------
    def _intrinsic(self, name, *args):
        values = [self.floats(arg).v for arg in args]
        kind = self.type_of(Floats)
        suffix = ("" if self.width == 1 else f"v{self.width}") + f"f{_BITS[self.element]}"
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
        kind = ir.ArrayType(self.element, len(values))
        name = (
            f"fastgraph.table.f{_BITS[self.element]}."
            + struct.pack(f"<{len(values)}d", *values).hex()[:400]
            + f".{len(values)}"
        )
        table = self.builder.module.globals.get(name)
        if table is None:
            table = ir.GlobalVariable(self.builder.module, kind, name)
            table.linkage = "internal"
            table.global_constant = True
            table.initializer = ir.Constant(kind, values)
        zero = ir.Constant(_I64, 0)
        return self._gathered(index, lambda i: self.builder.load(self.builder.gep(table, [zero, i])))

    def _gathered(self, index, load):
        """``load(i)`` in every lane."""
        if self.width == 1:
            return Floats(self, load(index.v))
        gathered = ir.Constant(self.type_of(Floats), ir.Undefined)
        for lane in range(self.width):
            at = ir.Constant(_I32, lane)
            element = load(self.builder.extract_element(index.v, at))
            gathered = self.builder.insert_element(gathered, element, at)
        return Floats(self, gathered)

    def call(self, function, *xs):
        """The C function at the address ``function``, 64 bits, of numbers of the machine's element, in every lane."""
        kind = ir.FunctionType(self.element, [self.element] * len(xs))
        callee = self.builder.inttoptr(function, kind.as_pointer())
        if self.width == 1:
            return Floats(self, self.builder.call(callee, [x.v for x in xs]))
        result = ir.Constant(self.type_of(Floats), ir.Undefined)
        for lane in range(self.width):
            at = ir.Constant(_I32, lane)
            one = self.builder.call(callee, [self.builder.extract_element(x.v, at) for x in xs])
            result = self.builder.insert_element(result, one, at)
        return Floats(self, result)

    def size(self, table):
        """How many numbers a table has that begins at the address ``table`` with their number."""
        return self.to_int(self.broadcast(self.builder.load(table, typ=self.element)))

    def entry(self, table, index):
        """The number at ``index`` of such a table; the caller keeps it in range."""

        def load(i):
            at = self.builder.gep(table, [self.builder.add(i, ir.Constant(i.type, 1))], source_etype=self.element)
            return self.builder.load(at, typ=self.element)

        return self._gathered(index, load)

    # -- masks and control --------------------------------------------------------------------------------
    def where(self, mask, x, y):
        if isinstance(x, tuple):
            return tuple(self.where(mask, a, b) for a, b in zip(x, y, strict=True))
        kind = type(x) if isinstance(x, Value) else type(y) if isinstance(y, Value) else Floats
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
        symbol = f"fastgraph.{name}.w{self.width}" + ("" if self.element is F64 else ".f32")
        callee = module.globals.get(symbol)
        if callee is None:
            callee = ir.Function(module, ir.FunctionType(kind, [kind] * len(args)), symbol)
            callee.linkage = "internal"
            for attribute in ("noinline", "nounwind"):
                callee.attributes.add(attribute)
            inner = Lanes(ir.IRBuilder(callee.append_basic_block("entry")), self.width, self.element)
            lanes = [Floats(inner, arg) for arg in callee.args]
            result = (function if self.element is F64 else vecmath.variant(name))(inner, *lanes)
            inner.builder.ret(inner.floats(result).v)
        return Floats(self, self.builder.call(callee, [arg.v for arg in args]))

    def widened(self, function, *args):
        """``function(m, *lanes)``, or the elementary function of that name, in binary64, rounded to binary32."""
        # As many lanes of binary64 are several registers, whose chains of operations overlap: twice as fast as calling
        # the function for half the lanes and then for the other half.
        wide = Lanes(self.builder, self.width)
        lanes = (Floats(wide, self.builder.fpext(arg.v, wide.type_of(Floats))) for arg in args)
        result = getattr(wide, function)(*lanes) if isinstance(function, str) else function(wide, *lanes)
        return Floats(self, self.builder.fptrunc(result.v, self.type_of(Floats)))


class Recorded(Lanes):
    """Lanes on which rules take the form that is recorded, since it may be differentiated again: to the same bits."""

    differentiable = True


def _signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _declare(module, name, signature):
    function = module.globals.get(name)
    return ir.Function(module, signature, name) if function is None else function
