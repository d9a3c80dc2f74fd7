"""The sweeps: short Numba kernels over flat arrays, whose inner step is a switch emitted by ``dispatch``.

In: the address of a ``CALL`` record, which names every buffer by address. Out: numbers in the caller's buffers.
A kernel allocates nothing, keeps nothing, checks nothing: ``Program.verify`` and ``Function`` have done that.
"""

from functools import cache

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgraph.engine.dispatch import forward_run, reverse_run
from fastgraph.jit import compiled, native
from fastgraph.ops.arrays import ARITY
from fastgraph.ops.row import MASKED
from fastgraph.program import RUN

ZEROED = 4096  # doubles the reverse sweep zeroes at a time, at least: a chain would else call memset for each slot
LINE = 64  # bytes of a cache line
AHEAD = 1 << 18  # bytes the reverse sweep prefetches ahead of itself: as far as a block of the schedule reaches

# Everything a sweep reads and writes. Addresses are integers; *_stride are bytes from one input set to the next.
CALL = np.dtype(
    [
        # the program
        ("runs", "i8"),
        ("n_value_runs", "i8"),  # runs that compute values; the rest compute masks for the reverse sweep
        ("n_runs", "i8"),
        ("operands", "i8"),
        ("operands_end", "i8"),  # address past the last operand of the value runs
        ("lows", "i8"),  # per value run, the lowest slot whose adjoint it or a later run adds to
        ("lowest_output", "i8"),
        ("n_leaves", "i8"),
        ("first_op", "i8"),  # slot of the first operation
        ("first_mask", "i8"),  # slot of the first operation that computes a mask
        ("n_slots", "i8"),
        ("outputs", "i8"),
        ("n_outputs", "i8"),
        # the input sets: per leaf, output and gradient entry, an address (0: not wanted) and a stride
        ("leaf_addresses", "i8"),
        ("leaf_strides", "i8"),
        ("output_addresses", "i8"),
        ("output_strides", "i8"),
        ("gradient_addresses", "i8"),
        ("gradient_strides", "i8"),
        ("gradient", "i8"),  # 1 to run the reverse sweep
        ("start", "i8"),
        ("stop", "i8"),
        # the workspace
        ("tile", "i8"),
        ("values", "i8"),
        ("adjoints", "i8"),
        # kernels
        ("forward", "i8"),
        ("reverse", "i8"),
    ],
    align=True,
)


@intrinsic
def _pointer(typingctx, address):
    """An integer address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), codegen


@intrinsic
def _call(typingctx, function, argument):
    """Call the C function ``void f(intptr_t)`` at the address ``function``."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def _zero(typingctx, base, start, stop):
    """Set the doubles from ``start`` to ``stop`` at the address ``base`` to 0, by memset."""

    def codegen(context, builder, signature, args):
        base, start, stop = args
        eight = ir.Constant(start.type, 8)
        first = builder.inttoptr(builder.add(base, builder.mul(start, eight)), ir.PointerType())
        cgutils.memset(builder, first, builder.mul(builder.sub(stop, start), eight), 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def _prefetch(typingctx, address):
    """Ask for the cache line at an address that may be any number; nothing else happens."""

    def codegen(context, builder, signature, args):
        pointer, i32 = ir.PointerType(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        write, second_level, data = (ir.Constant(i32, n) for n in (1, 2, 1))
        builder.call(function, [builder.inttoptr(args[0], pointer), write, second_level, data])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


def _forward(tiled):
    """The forward sweep, for tiles (1) or one input set (0)."""

    @native("void(intp)")
    def forward(address):
        call = carray(_pointer(address), 1, CALL)[0]
        runs = carray(_pointer(call.runs), call.n_runs, RUN)
        operands, slot = call.operands, call.first_op
        for k in range(call.n_runs if call.gradient else call.n_value_runs):
            run = runs[k]
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            immediate = np.intp(run.immediate)
            forward_run(tiled, opcode, flags, immediate, count, operands, slot, call.tile, call.values)
            operands += 4 * count * (ARITY[opcode] + (flags // MASKED & 1))
            slot += count

    return forward


def _reverse(tiled):
    """The reverse sweep, from the adjoints of the outputs to those of the leaves."""

    @native("void(intp)")
    def reverse(address):
        call = carray(_pointer(address), 1, CALL)[0]
        runs = carray(_pointer(call.runs), call.n_runs, RUN)
        lows = carray(_pointer(call.lows), call.n_value_runs, np.int64)
        operands, slot, zeroed = call.operands_end, call.first_mask, call.lowest_output
        fetched = 8 * slot - AHEAD
        for k in range(call.n_value_runs - 1, -1, -1):
            run = runs[k]
            # Adjoints are zeroed just ahead of the sweep, not in a pass of their own that would take them through the
            # cache once more: 4 % of the gradient of 10^4 operations, about a fifth of that of 10^6 scattered ones.
            if lows[k] < zeroed:
                low = zeroed - ZEROED // call.tile
                low = lows[k] if lows[k] < low else 0 if low < 0 else low
                _zero(call.adjoints, low * call.tile, zeroed * call.tile)
                zeroed = low
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            operands -= 4 * count * (ARITY[opcode] + (flags // MASKED & 1))
            slot -= count
            if not tiled:
                # The forward sweep wrote these slots long ago, in order; the reverse sweep comes from the other end and
                # gathers, which no hardware prefetcher foresees: 10^6 operations take half the time with this.
                # (No max() here: with minsize it is a call, and a chain has a run for every operation.)
                while fetched > 0 and fetched > 8 * slot - AHEAD:
                    _prefetch(call.values + fetched)
                    _prefetch(call.adjoints + fetched)
                    fetched -= LINE
            if flags:  # else nothing flows through this run
                values, weights, immediate = call.values, call.adjoints, np.intp(run.immediate)
                reverse_run(tiled, opcode, flags, immediate, count, operands, slot, call.tile, values, weights)
        _zero(call.adjoints, 0, zeroed * call.tile)

    return reverse


@cache
def sweeps(tiled):
    """The native forward and reverse sweeps, for tiles or for one input set; compiled or loaded at first use."""
    return _forward(int(tiled)), _reverse(int(tiled))


@compiled
def run(address):
    """Sweep the input sets ``start`` to ``stop`` of a CALL, one tile after the other."""
    call = carray(_pointer(address), 1, CALL)[0]
    tile = call.tile
    values = carray(_pointer(call.values), call.n_slots * tile, np.float64)
    for start in range(call.start, call.stop, tile):
        width = min(tile, call.stop - start)
        _load_leaves(call, values, start, width)
        _call(call.forward, address)
        _store_outputs(call, values, start, width)
        if call.gradient:
            adjoints = carray(_pointer(call.adjoints), call.n_slots * tile, np.float64)
            _zero(call.adjoints, call.lowest_output * tile, call.n_slots * tile)
            _seed(call, adjoints)
            _call(call.reverse, address)
            _store_gradient(call, adjoints, start, width)


@compiled
def _load_leaves(call, values, start, width):
    addresses = carray(_pointer(call.leaf_addresses), call.n_leaves, np.int64)
    strides = carray(_pointer(call.leaf_strides), call.n_leaves, np.int64)
    for leaf in range(call.n_leaves):
        stride = strides[leaf]
        source = addresses[leaf] + start * stride
        first = leaf * call.tile
        if stride == 8:  # a loop of its own, which LLVM makes a copy of vectors
            column = carray(_pointer(source), width, np.float64)
            for lane in range(width):
                values[first + lane] = column[lane]
        else:
            for lane in range(width):
                values[first + lane] = carray(_pointer(source + lane * stride), 1, np.float64)[0]
        # Lanes past the end repeat the last set: nothing is read beyond the caller's arrays.
        for lane in range(width, call.tile):
            values[first + lane] = values[first + width - 1]


@compiled
def _store(address, stride, start, width, first, buffer):
    """Copy ``width`` numbers of ``buffer`` from ``first`` on to the caller's array."""
    target = address + start * stride
    if stride == 8:  # a loop of its own, which LLVM makes a copy of vectors
        column = carray(_pointer(target), width, np.float64)
        for lane in range(width):
            column[lane] = _one_nan(buffer[first + lane])
    else:
        for lane in range(width):
            carray(_pointer(target + lane * stride), 1, np.float64)[0] = _one_nan(buffer[first + lane])


@compiled
def _one_nan(value):
    """``value``, or NaN: which operand's payload and sign survive is not specified, and differs between tiers."""
    return value if value == value else np.nan


@compiled
def _store_outputs(call, values, start, width):
    outputs = carray(_pointer(call.outputs), call.n_outputs, np.uint32)
    addresses = carray(_pointer(call.output_addresses), call.n_outputs, np.int64)
    strides = carray(_pointer(call.output_strides), call.n_outputs, np.int64)
    if call.tile == 1:  # in line: a call an output costs more than the copy
        for k in range(call.n_outputs):
            target = carray(_pointer(addresses[k] + start * strides[k]), 1, np.float64)
            target[0] = _one_nan(values[np.intp(outputs[k])])
        return
    for k in range(call.n_outputs):
        _store(addresses[k], strides[k], start, width, np.intp(outputs[k]) * call.tile, values)


@compiled
def _seed(call, adjoints):
    outputs = carray(_pointer(call.outputs), call.n_outputs, np.uint32)
    for k in range(call.n_outputs):
        for lane in range(call.tile):
            adjoints[np.intp(outputs[k]) * call.tile + lane] += 1.0


@compiled
def _store_gradient(call, adjoints, start, width):
    addresses = carray(_pointer(call.gradient_addresses), call.n_leaves, np.int64)
    strides = carray(_pointer(call.gradient_strides), call.n_leaves, np.int64)
    if call.tile == 1:
        for leaf in range(call.n_leaves):
            if addresses[leaf]:
                target = carray(_pointer(addresses[leaf] + start * strides[leaf]), 1, np.float64)
                target[0] = _one_nan(adjoints[leaf])
        return
    for leaf in range(call.n_leaves):
        if addresses[leaf]:
            _store(addresses[leaf], strides[leaf], start, width, leaf * call.tile, adjoints)
