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
_KINDS = [("float64", F64, None), ("float32", F32, None), ("bool", ir.IntType(8), "uitofp")]
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
        if how is not None:
            return getattr(b, how)(value, target)
        if value.type == target:
            return value
        return b.fpext(value, target) if element is F64 else b.fptrunc(value, target)


def _lanes_of(element):
    return VECTOR // _bytes(element)


def _bytes(kind):
    return 8 if kind is F64 else 4 if kind is F32 else kind.width // 8


def _by_precision(builder, single, emit):
    """``emit(element)`` for the tile's precision, which is known when it runs."""
    is_single = builder.icmp_unsigned("!=", single, integer(0))
    with builder.if_else(is_single) as (then, otherwise):
        with then:
            emit(F32)
        with otherwise:
            emit(F64)


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

    dense = b.icmp_signed("==", stride, integer(_bytes(kind)))
    full = b.icmp_signed("==", width, lanes)
    arm.either(b.and_(dense, full), vectors, scalars)


@intrinsic
def load_column(typingctx, single, kind, source, stride, target, width, lanes):
    """Fill a slot of ``lanes`` numbers from ``width`` numbers of a kind, ``stride`` bytes apart."""

    def codegen(context, builder, signature, args):
        single, kind, source, stride, target, width, lanes = args
        source, target = pointers(builder, source, target)

        def emit(element):
            after = builder.append_basic_block("moved")
            switch = builder.switch(kind, after)
            for code, (name, llvm_type, how) in enumerate(_KINDS):
                block = builder.append_basic_block(name)
                switch.add_case(integer(code), block)
                builder.position_at_end(block)
                _emit_load(_Move(builder, None), llvm_type, how, element, source, stride, target, width, lanes)
                builder.branch(after)
            builder.position_at_end(after)

        _by_precision(builder, single, emit)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 7), codegen


@intrinsic
def store_column(typingctx, single, source, target, stride, width, lanes):
    """Copy the first ``width`` numbers of a slot to the caller's array; every NaN becomes the same one.

    Which operand's payload and sign a NaN result has is not specified, and differs between engines.
    """

    def codegen(context, builder, signature, args):
        single, source, target, stride, width, lanes = args
        source, target = pointers(builder, source, target)
        arm = _Move(builder, None)

        def emit(element):
            b, size, n = builder, _bytes(element), _lanes_of(element)

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

        _by_precision(builder, single, emit)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), codegen


@intrinsic
def add_column(typingctx, single, source, sums, width, lanes):
    """Add the first ``width`` numbers of a slot to ``SUMS`` doubles, number i to sum i % SUMS, in order."""

    def codegen(context, builder, signature, args):
        single, source, sums, width, lanes = args
        source, sums = pointers(builder, source, sums)
        arm = _Move(builder, None)
        kind = ir.VectorType(F64, SUMS)

        def emit(element):
            b = builder

            def add(i):
                value = b.load(arm.at(source, i, element), typ=ir.VectorType(element, SUMS), align=_bytes(element) * 8)
                value = arm.converted(value, None, F64)
                left = b.sub(width, i)
                counts = ir.VectorType(I64, SUMS)
                first = b.insert_element(ir.Constant(counts, ir.Undefined), left, integer(0))
                every = ir.Constant(ir.VectorType(ir.IntType(32), SUMS), [0] * SUMS)
                limit = b.shuffle_vector(first, ir.Constant(counts, ir.Undefined), every)
                there = b.icmp_signed("<", ir.Constant(counts, list(range(SUMS))), limit)
                value = b.select(there, value, ir.Constant(kind, [0.0] * SUMS))
                b.store(b.fadd(b.load(sums, typ=kind, align=8), value), sums, align=8)

            arm.ascend(width, add, step=SUMS)

        _by_precision(builder, single, emit)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@intrinsic
def fill_column(typingctx, single, target, value, lanes):
    """Set the numbers of a slot to ``value``."""

    def codegen(context, builder, signature, args):
        single, target, value, lanes = args
        (target,) = pointers(builder, target)
        arm = _Move(builder, None)

        def emit(element):
            n = _lanes_of(element)
            kind = ir.VectorType(element, n)
            number = arm.converted(value, None, element)
            first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, integer(0))
            every = ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n)
            number = builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), every)
            arm.ascend(lanes, lambda i: builder.store(number, arm.at(target, i, element), align=VECTOR), step=n)

        _by_precision(builder, single, emit)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float64, types.intp), codegen


@intrinsic
def add_slot(typingctx, single, source, target, lanes):
    """Add one slot to another."""

    def codegen(context, builder, signature, args):
        single, source, target, lanes = args
        source, target = pointers(builder, source, target)
        arm = _Move(builder, None)

        def emit(element):
            b, kind = builder, ir.VectorType(element, _lanes_of(element))

            def add(i):
                there, more = (b.load(arm.at(p, i, element), typ=kind, align=VECTOR) for p in (target, source))
                b.store(b.fadd(there, more), arm.at(target, i, element), align=VECTOR)

            arm.ascend(lanes, add, step=_lanes_of(element))

        _by_precision(builder, single, emit)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), codegen
