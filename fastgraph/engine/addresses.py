"""Addresses: how kernels are told where everything is, and what they do with a bare address.

Stands below the kernels. In: integers. Out: Numba intrinsics, and the records that calls are described by.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def record(*names):
    """A structured type of 64-bit integers."""
    return np.dtype([(name, "i8") for name in names], align=True)


@intrinsic
def pointer(typingctx, address):
    """An integer address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), codegen


@intrinsic
def call_address(typingctx, function, arguments):
    """Call the C function at the address ``function`` with a tuple of integers."""

    def codegen(context, builder, signature, args):
        values = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(values))
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), codegen


@intrinsic
def zero(typingctx, base, start, stop):
    """Set the doubles from ``start`` to ``stop`` at the address ``base`` to 0, by memset."""

    def codegen(context, builder, signature, args):
        base, start, stop = args
        eight = ir.Constant(start.type, 8)
        first = builder.inttoptr(builder.add(base, builder.mul(start, eight)), ir.PointerType())
        cgutils.memset(builder, first, builder.mul(builder.sub(stop, start), eight), 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line at an address that may be any number; nothing else happens."""

    def codegen(context, builder, signature, args):
        pointer, i32 = ir.PointerType(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        write, second_level, data = (ir.Constant(i32, n) for n in (1, 2, 1))
        builder.call(function, [builder.inttoptr(args[0], pointer), write, second_level, data])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@intrinsic
def claim(typingctx, address, amount):
    """Add ``amount`` to the integer at an address that threads share; what it was before. No other comes between."""

    def codegen(context, builder, signature, args):
        target = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", target, args[1], "monotonic")

    return types.intp(types.intp, types.intp), codegen
