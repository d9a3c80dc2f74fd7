"""Moves: numbers in and out of a tile, converted on the way.

In: addresses and strides of the caller's arrays, of any real type. Out: three Numba intrinsics that copy or add a
column of numbers, one for each input set of a tile. Nothing is read or written beyond the sets that exist.
"""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgraph.engine.emit import I64, Arm, integer, pointers
from fastgraph.engine.lanes import F32, F64
from fastgraph.engine.tiles import VECTOR

# Types that are converted tile by tile: name, LLVM type, how to make it a float.
_KINDS = [("float64", F64, None), ("float32", F32, None), ("bool", ir.IntType(8), "bool")]
for _bits in (8, 16, 32, 64):
    _KINDS.append((f"int{_bits}", ir.IntType(_bits), "sitofp"))
    _KINDS.append((f"uint{_bits}", ir.IntType(_bits), "uitofp"))
KIND = {np.dtype(name): k for k, (name, *_) in enumerate(_KINDS)}  # what ``load_column`` calls them

_I8 = ir.IntType(8)
SUMS = 8  # partial sums of a column: set i of a block is added to number i % 8


class _Move(Arm):
    """The body of a move: loops over sets, and conversions."""

    def place(self, base, offset):
        return self.at(base, offset, _I8)

    def sets(self, start, stop, body):
        """Run ``body(i)`` for i from ``start`` to ``stop``."""
        self.ascend(self.builder.sub(stop, start), lambda i: body(self.builder.add(start, i)))

    def either(self, condition, yes, no):
        b = self.builder
        with b.if_else(condition) as (then, otherwise):
            with then:
                yes()
            with otherwise:
                no()

    def converted(self, value, how, element):
        """A scalar or vector of a kind as one of ``element``."""
        b = self.builder
        target = ir.VectorType(element, value.type.count) if isinstance(value.type, ir.VectorType) else element
        if how == "bool":  # a byte that is not 0 is true, whatever it is
            return b.uitofp(b.icmp_unsigned("!=", value, ir.Constant(value.type, 0)), target)
        if how is not None:
            return getattr(b, how)(value, target)
        if value.type == target:
            return value
        return b.fpext(value, target) if element is F64 else b.fptrunc(value, target)


def _lanes_of(element):
    return VECTOR // _bytes(element)


def _bytes(kind):
    return 8 if kind is F64 else 4 if kind is F32 else kind.width // 8


def _move(name, n_args, emit):
    """Code that calls ``emit(arm, element, *args)`` compiled for the tile's precision, the first argument when it runs.

    One function a module and precision, kept small: what is copied by vectors is so by the code itself.
    """

    def codegen(context, builder, signature, args):
        single, *values = args
        is_single = builder.icmp_unsigned("!=", single, integer(0))
        with builder.if_else(is_single) as (then, otherwise):
            for branch, element in ((then, F32), (otherwise, F64)):
                with branch:
                    function = _function(builder.module, name, element, [v.type for v in values], emit)
                    builder.call(function, values)
        return context.get_dummy_value()

    return types.void(*[types.intp] * n_args), codegen


def _function(module, name, element, kinds, emit):
    symbol = f"fastgraph.{name}.{element}"
    function = module.globals.get(symbol)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), symbol)
        function.linkage = "internal"
        for attribute in ("noinline", "nounwind", "minsize"):
            function.attributes.add(attribute)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        emit(_Move(builder, None), element, *function.args)
        builder.ret_void()
    return function


def _emit_load(arm, kind, how, element, source, stride, target, width, lanes):
    b = arm.builder
    size, n = _bytes(element), _lanes_of(element)

    def vectors():
        def move(i):
            pointer = arm.place(source, b.mul(i, integer(_bytes(kind))))
            value = b.load(pointer, typ=ir.VectorType(kind, n), align=1)
            b.store(arm.converted(value, how, element), arm.at(target, i, element), align=VECTOR)

        arm.ascend(lanes, move, step=n)

    def scalars():
        def move(i):
            value = b.load(arm.place(source, b.mul(i, stride)), typ=kind, align=1)
            b.store(arm.converted(value, how, element), arm.at(target, i, element), align=size)

        arm.ascend(width, move)
        # Lanes past the last set repeat it.
        last = b.load(arm.at(target, b.sub(width, integer(1)), element), typ=element, align=size)
        arm.sets(width, lanes, lambda i: b.store(last, arm.at(target, i, element), align=size))

    if _bytes(kind) < 4:
        scalars()
        return
    dense = b.icmp_signed("==", stride, integer(_bytes(kind)))
    full = b.icmp_signed("==", width, lanes)
    aligned = b.icmp_unsigned("==", b.and_(b.ptrtoint(target, I64), integer(VECTOR - 1)), integer(0))
    arm.either(b.and_(b.and_(dense, full), aligned), vectors, scalars)


def _load(arm, element, kind, source, stride, target, width, lanes):
    b = arm.builder
    source, target = pointers(b, source, target)
    after = b.append_basic_block("moved")
    switch = b.switch(kind, after)
    for code, (name, llvm_type, how) in enumerate(_KINDS):
        block = b.append_basic_block(name)
        switch.add_case(integer(code), block)
        b.position_at_end(block)
        _emit_load(arm, llvm_type, how, element, source, stride, target, width, lanes)
        b.branch(after)
    b.position_at_end(after)


def _store(arm, element, source, target, stride, width, lanes):
    b, size, n = arm.builder, _bytes(element), _lanes_of(element)
    source, target = pointers(b, source, target)

    def one_nan(value):
        nan = ir.Constant(element, float("nan"))
        if isinstance(value.type, ir.VectorType):
            nan = ir.Constant(value.type, [nan] * n)
        return b.select(b.fcmp_unordered("uno", value, value), nan, value)

    def vectors():
        def move(i):
            value = b.load(arm.at(source, i, element), typ=ir.VectorType(element, n), align=VECTOR)
            b.store(one_nan(value), arm.at(target, i, element), align=1)

        arm.ascend(lanes, move, step=n)

    def scalars():
        def move(i):
            value = b.load(arm.at(source, i, element), typ=element, align=size)
            b.store(one_nan(value), arm.place(target, b.mul(i, stride)), align=1)

        arm.ascend(width, move)

    dense = b.icmp_signed("==", stride, integer(size))
    arm.either(b.and_(dense, b.icmp_signed("==", width, lanes)), vectors, scalars)


def _add(arm, element, source, sums, width):
    b = arm.builder
    source, sums = pointers(b, source, sums)
    kind, counts = ir.VectorType(F64, SUMS), ir.VectorType(I64, SUMS)
    before, (head, inside, after) = b.block, (b.append_basic_block(n) for n in ("head", "inside", "after"))
    start = b.load(sums, typ=kind, align=8)
    b.branch(head)
    b.position_at_end(head)
    i, total = b.phi(I64), b.phi(kind)
    i.add_incoming(integer(0), before)
    total.add_incoming(start, before)
    b.cbranch(b.icmp_signed("<", i, width), inside, after)
    b.position_at_end(inside)
    value = b.load(arm.at(source, i, element), typ=ir.VectorType(element, SUMS), align=_bytes(element) * SUMS)
    there = b.icmp_signed("<", ir.Constant(counts, list(range(SUMS))), _splat(b, b.sub(width, i), SUMS))
    value = b.select(there, arm.converted(value, None, F64), ir.Constant(kind, [0.0] * SUMS))
    total.add_incoming(b.fadd(total, value), inside)
    i.add_incoming(b.add(i, integer(SUMS)), inside)
    b.branch(head)
    b.position_at_end(after)
    b.store(total, sums, align=8)


def _fill(arm, element, target, value, lanes):
    b, n = arm.builder, _lanes_of(element)
    (target,) = pointers(b, target)
    number = _splat(b, arm.converted(b.sitofp(value, F64), None, element), n)
    arm.ascend(lanes, lambda i: b.store(number, arm.at(target, i, element), align=VECTOR), step=n)


def _add_slot(arm, element, source, target, lanes):
    b, n = arm.builder, _lanes_of(element)
    source, target = pointers(b, source, target)

    def add(i):
        there, more = (
            b.load(arm.at(p, i, element), typ=ir.VectorType(element, n), align=VECTOR) for p in (target, source)
        )
        b.store(b.fadd(there, more), arm.at(target, i, element), align=VECTOR)

    arm.ascend(lanes, add, step=n)


def _spread(arm, element, target, lanes):
    b, n = arm.builder, _lanes_of(element)
    (target,) = pointers(b, target)
    first = _splat(b, b.load(target, typ=element, align=VECTOR), n)
    arm.ascend(lanes, lambda i: b.store(first, arm.at(target, i, element), align=VECTOR), step=n)


def _splat(b, value, n):
    kind = ir.VectorType(value.type, n)
    first = b.insert_element(ir.Constant(kind, ir.Undefined), value, integer(0))
    return b.shuffle_vector(
        first, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n)
    )


# The first argument says whether the tile is one of float32.
@intrinsic
def load_column(typingctx, single, kind, source, stride, target, width, lanes):
    """Fill a slot, or its last ``lanes`` numbers, from ``width`` numbers of a kind, ``stride`` bytes apart."""
    return _move("load_column", 7, _load)


@intrinsic
def store_column(typingctx, single, source, target, stride, width, lanes):
    """Copy the first ``width`` numbers of a slot to the caller's array; every NaN becomes the same one.

    Which operand's payload and sign a NaN result has is not specified, and differs between engines.
    """
    return _move("store_column", 6, _store)


@intrinsic
def add_column(typingctx, single, source, sums, width):
    """Add the first ``width`` numbers of a slot to ``SUMS`` doubles, number i to sum i % SUMS, in order."""
    return _move("add_column", 4, _add)


@intrinsic
def fill_column(typingctx, single, target, value, lanes):
    """Set the numbers of a slot to the integer ``value``."""
    return _move("fill_column", 4, _fill)


@intrinsic
def add_slot(typingctx, single, source, target, lanes):
    """Add one slot to another."""
    return _move("add_slot", 4, _add_slot)


@intrinsic
def spread_slot(typingctx, single, target, lanes):
    """Repeat the first number of a slot over all of it."""
    return _move("spread_slot", 3, _spread)
