"""The sweeps: short Numba kernels over flat arrays, whose inner step is a switch emitted by ``single`` or ``tiles``.

In: the address of a record which names every buffer by address: ``CALL`` for one input set at a time, ``TILES`` for
tiles. Out: numbers in the caller's buffers. A kernel allocates nothing, keeps nothing, checks nothing:
``Program.verify`` and ``Function`` have done that.
"""

from functools import cache

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgraph.engine import single, tiles
from fastgraph.engine.moves import SUMS, add_column, add_slot, fill_column, load_column, spread_slot, store_column
from fastgraph.engine.streams import TRASH
from fastgraph.jit import compiled, native
from fastgraph.ops.arrays import ARITY, FORWARD_ARITY
from fastgraph.ops.row import MASKED
from fastgraph.program import RUN

ZEROED = 4096  # doubles the reverse sweep zeroes at a time, at least: a chain would else call memset for each slot
PIECE = tiles.GROUP * tiles.VECTOR  # bytes of a slot that a sweep does at least
LINE = 64  # bytes of a cache line
AHEAD = 1 << 18  # bytes the reverse sweep prefetches ahead of itself: as far as a block of the schedule reaches


def _record(*names):
    return np.dtype([(name, "i8") for name in names], align=True)


# Everything a sweep reads and writes. Addresses are integers; *_strides are bytes from one input set to the next.
CALL = _record(
    # the program
    "runs",
    "n_value_runs",  # runs that compute values; the rest compute masks for the reverse sweep
    "n_runs",
    "operands",
    "operands_end",  # address past the last operand of the value runs
    "lows",  # per value run, the lowest slot whose adjoint it or a later run adds to
    "lowest_output",
    "n_leaves",
    "first_op",  # slot of the first operation
    "first_mask",  # slot of the first operation that computes a mask
    "n_slots",
    "outputs",
    "n_outputs",
    # the input sets: per leaf, output, cotangent and gradient entry an address and a stride
    "leaf_addresses",
    "leaf_strides",
    "output_addresses",
    "output_strides",
    "seed_addresses",  # 0: every cotangent is 1
    "seed_strides",
    "gradient_addresses",  # 0 in it: not wanted
    "gradient_strides",
    "gradient",  # 1 to run the reverse sweep
    "start",
    "stop",
    # the workspace
    "values",
    "adjoints",
    # kernels
    "forward",
    "reverse",
)

# The same for tiles. What is moved into or out of a tile is a list of numbers ``n``, each an index into the call's
# tables of addresses, strides and kinds, and an offset in a buffer, in bytes.
TILES = _record(
    "single",  # 1 for float32
    "tile",  # bytes of a slot
    "lanes",  # input sets in a tile
    "values",
    "adjoints",
    *(
        f"{stream}_{what}"
        for stream in ("prologue", "body", "reverse", "epilogue")
        for what in ("runs", "n", "operands")
    ),
    *(
        f"{moved}_{what}"
        for moved in ("uniform", "varying", "output", "seed", "gradient")
        for what in ("n", "indices", "offsets")
    ),
    *(
        f"{table}_{what}"
        for table in ("leaf", "output", "seed", "gradient")
        for what in ("addresses", "strides", "kinds")
    ),
    "spread_n",  # results of the prologue that later sweeps read
    "spread_offsets",
    "seeded",  # 0: every cotangent is 1
    "n_totals",
    "total_offsets",
    "sums",  # SUMS doubles for each output, then for each total
    "summed",  # 1: results are added to them, not stored
    "start",
    "stop",
    # kernels
    "forward_kernel",
    "reverse_kernel",
)


@intrinsic
def _pointer(typingctx, address):
    """An integer address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), codegen


@intrinsic
def _call(typingctx, function, arguments):
    """Call the C function at the address ``function`` with a tuple of integers."""

    def codegen(context, builder, signature, args):
        values = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * len(values))
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), codegen


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


@cache
def one_set():
    """The native forward and reverse sweeps of one input set; compiled or loaded at first use."""

    @native("void(intp)")
    def forward(address):
        call = carray(_pointer(address), 1, CALL)[0]
        runs = carray(_pointer(call.runs), call.n_runs, RUN)
        operands, slot = call.operands, call.first_op
        for k in range(call.n_runs if call.gradient else call.n_value_runs):
            run = runs[k]
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            immediate = np.intp(run.immediate)
            single.forward_run(opcode, flags, immediate, count, operands, slot, call.values)
            operands += 4 * count * (ARITY[opcode] + (flags // MASKED & 1))
            slot += count

    # From the adjoints of the outputs to those of the leaves.
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
                low = zeroed - ZEROED
                low = lows[k] if lows[k] < low else 0 if low < 0 else low
                _zero(call.adjoints, low, zeroed)
                zeroed = low
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            operands -= 4 * count * (ARITY[opcode] + (flags // MASKED & 1))
            slot -= count
            # The forward sweep wrote these slots long ago, in order; the reverse sweep comes from the other end and
            # gathers, which no hardware prefetcher foresees: 10^6 operations take half the time with this.
            # (No max() here: with minsize it is a call, and a chain has a run for every operation.)
            while fetched > 0 and fetched > 8 * slot - AHEAD:
                _prefetch(call.values + fetched)
                _prefetch(call.adjoints + fetched)
                fetched -= LINE
            if flags:  # else nothing flows through this run
                values, weights, immediate = call.values, call.adjoints, np.intp(run.immediate)
                single.reverse_run(opcode, flags, immediate, count, operands, slot, values, weights)
        _zero(call.adjoints, 0, zeroed)

    return forward, reverse


@compiled
def run(address):
    """Sweep the input sets ``start`` to ``stop`` of a CALL, one by one."""
    call = carray(_pointer(address), 1, CALL)[0]
    for k in range(call.start, call.stop):
        _load_leaves(call, k)
        _call(call.forward, (address,))
        _store_outputs(call, k)
        if call.gradient:
            _zero(call.adjoints, call.lowest_output, call.n_slots)
            _seed(call, k)
            _call(call.reverse, (address,))
            _store_gradient(call, k)


@compiled
def _number(address):
    return carray(_pointer(address), 1, np.float64)


@compiled
def _load_leaves(call, k):
    addresses = carray(_pointer(call.leaf_addresses), call.n_leaves, np.int64)
    strides = carray(_pointer(call.leaf_strides), call.n_leaves, np.int64)
    values = carray(_pointer(call.values), call.n_leaves, np.float64)
    for leaf in range(call.n_leaves):
        values[leaf] = _number(addresses[leaf] + k * strides[leaf])[0]


@compiled
def _one_nan(value):
    """``value``, or NaN: which operand's payload and sign survive is not specified, and differs between engines."""
    return value if value == value else np.nan


@compiled
def _store_outputs(call, k):
    outputs = carray(_pointer(call.outputs), call.n_outputs, np.uint32)
    addresses = carray(_pointer(call.output_addresses), call.n_outputs, np.int64)
    strides = carray(_pointer(call.output_strides), call.n_outputs, np.int64)
    values = carray(_pointer(call.values), call.n_slots, np.float64)
    for j in range(call.n_outputs):
        _number(addresses[j] + k * strides[j])[0] = _one_nan(values[np.intp(outputs[j])])


@compiled
def _seed(call, k):
    outputs = carray(_pointer(call.outputs), call.n_outputs, np.uint32)
    adjoints = carray(_pointer(call.adjoints), call.n_slots, np.float64)
    if call.seed_addresses == 0:
        for j in range(call.n_outputs):
            adjoints[np.intp(outputs[j])] += 1.0
        return
    addresses = carray(_pointer(call.seed_addresses), call.n_outputs, np.int64)
    strides = carray(_pointer(call.seed_strides), call.n_outputs, np.int64)
    for j in range(call.n_outputs):
        adjoints[np.intp(outputs[j])] += _number(addresses[j] + k * strides[j])[0]


@compiled
def _store_gradient(call, k):
    addresses = carray(_pointer(call.gradient_addresses), call.n_leaves, np.int64)
    strides = carray(_pointer(call.gradient_strides), call.n_leaves, np.int64)
    adjoints = carray(_pointer(call.adjoints), call.n_leaves, np.float64)
    for leaf in range(call.n_leaves):
        if addresses[leaf]:
            _number(addresses[leaf] + k * strides[leaf])[0] = _one_nan(adjoints[leaf])


# -- tiles --------------------------------------------------------------------------------------------------
@cache
def of_tiles(is_single):
    """The native forward and reverse sweeps of one tile, of float32 (1) or float64 (0)."""

    @native("void(intp, intp, intp, intp, intp)")
    def forward(runs_address, n_runs, operands, tile, values):
        runs = carray(_pointer(runs_address), n_runs, RUN)
        for k in range(n_runs):
            run = runs[k]
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            immediate = np.intp(run.immediate)
            tiles.forward_run(is_single, opcode, flags, immediate, count, operands, tile, values)
            operands += 4 * count * (FORWARD_ARITY[opcode] + 1)

    @native("void(intp, intp, intp, intp, intp, intp)")
    def reverse(runs_address, n_runs, operands, tile, values, adjoints):
        runs = carray(_pointer(runs_address), n_runs, RUN)
        for k in range(n_runs):
            run = runs[k]
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            immediate = np.intp(run.immediate)
            tiles.reverse_run(is_single, opcode, flags, immediate, count, operands, tile, values, adjoints)
            operands += 4 * count * (2 * ARITY[opcode] + 2 + (flags // MASKED & 1))

    return forward, reverse


@compiled
def prepare_tiles(address):
    """Do what is done once a call: load the uniform leaves, sweep what depends on them only.

    The smallest piece of a tile is enough for that; the results are then spread over the whole tile.
    """
    call = carray(_pointer(address), 1, TILES)[0]
    _load(call, call.uniform_n, call.uniform_indices, call.uniform_offsets, 0, call.lanes)
    stream = call.prologue_runs, call.prologue_n, call.prologue_operands
    _call(call.forward_kernel, (*stream, PIECE, call.values))
    offsets = carray(_pointer(call.spread_offsets), call.spread_n, np.int64)
    for k in range(call.spread_n):
        spread_slot(call.single, call.values + offsets[k], call.lanes)


@compiled
def finish_tiles(address):
    """Sweep the epilogue, from totals in the adjoints' slots, in the smallest piece of a tile."""
    call = carray(_pointer(address), 1, TILES)[0]
    stream = call.epilogue_runs, call.epilogue_n, call.epilogue_operands
    _call(call.reverse_kernel, (*stream, PIECE, call.values, call.adjoints))


@compiled
def run_tiles(address):
    """Sweep the input sets ``start`` to ``stop`` of a TILES, one tile after the other."""
    call = carray(_pointer(address), 1, TILES)[0]
    body = call.body_runs, call.body_n, call.body_operands
    back = call.reverse_runs, call.reverse_n, call.reverse_operands
    for start in range(call.start, call.stop, call.lanes):
        width = min(call.lanes, call.stop - start)
        _load(call, call.varying_n, call.varying_indices, call.varying_offsets, start, width)
        _call(call.forward_kernel, (*body, call.tile, call.values))
        if call.seed_n:
            _seed_tile(call, start, width)
            _call(call.reverse_kernel, (*back, call.tile, call.values, call.adjoints))
        if call.summed:
            _sum(call, width)
        else:
            _store(call, call.values, call.output_n, call.output_indices, call.output_offsets, call.output_addresses,
                   call.output_strides, start, width)  # fmt: skip
            _store(call, call.adjoints, call.gradient_n, call.gradient_indices, call.gradient_offsets,
                   call.gradient_addresses, call.gradient_strides, start, width)  # fmt: skip


@compiled
def _load(call, n, indices_address, offsets_address, start, width):
    indices = carray(_pointer(indices_address), n, np.int64)
    offsets = carray(_pointer(offsets_address), n, np.int64)
    addresses = carray(_pointer(call.leaf_addresses), n, np.int64)
    strides = carray(_pointer(call.leaf_strides), n, np.int64)
    kinds = carray(_pointer(call.leaf_kinds), n, np.int64)
    for k in range(n):
        leaf = indices[k]
        source = addresses[leaf] + start * strides[leaf]
        load_column(call.single, kinds[leaf], source, strides[leaf], call.values + offsets[k], width, call.lanes)


@compiled
def _store(call, buffer, n, indices_address, offsets_address, addresses_address, strides_address, start, width):
    indices = carray(_pointer(indices_address), n, np.int64)
    offsets = carray(_pointer(offsets_address), n, np.int64)
    addresses = carray(_pointer(addresses_address), n, np.int64)
    strides = carray(_pointer(strides_address), n, np.int64)
    for k in range(n):
        result = indices[k]
        target = addresses[result] + start * strides[result]
        store_column(call.single, buffer + offsets[k], target, strides[result], width, call.lanes)


@compiled
def _seed_tile(call, start, width):
    offsets = carray(_pointer(call.seed_offsets), call.seed_n, np.int64)
    for k in range(call.seed_n):
        fill_column(call.single, call.adjoints + offsets[k], 0, call.lanes)
    trash = call.adjoints + TRASH * call.tile
    addresses = carray(_pointer(call.seed_addresses), call.seed_n, np.int64)
    strides = carray(_pointer(call.seed_strides), call.seed_n, np.int64)
    kinds = carray(_pointer(call.seed_kinds), call.seed_n, np.int64)
    for k in range(call.seed_n):
        if call.seeded:
            source = addresses[k] + start * strides[k]
            load_column(call.single, kinds[k], source, strides[k], trash, width, call.lanes)
        else:
            fill_column(call.single, trash, 1, call.lanes)
        add_slot(call.single, trash, call.adjoints + offsets[k], call.lanes)


@compiled
def _sum(call, width):
    size = 8 * SUMS
    offsets = carray(_pointer(call.output_offsets), call.output_n, np.int64)
    for k in range(call.output_n):
        add_column(call.single, call.values + offsets[k], call.sums + k * size, width)
    offsets = carray(_pointer(call.total_offsets), call.n_totals, np.int64)
    for k in range(call.n_totals):
        add_column(call.single, call.adjoints + offsets[k], call.sums + (call.output_n + k) * size, width)
