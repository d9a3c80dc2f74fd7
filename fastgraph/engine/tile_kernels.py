"""Kernels of tiles: as ``kernels``, for many input sets at a time, with the inner steps of ``tiles`` and ``moves``.

In: the address of a ``TILES``. Out: numbers in the caller's arrays, or sums of them.
"""

import numpy as np
from numba import carray, types

from fastgraph.engine import tiles
from fastgraph.engine.addresses import call_address, pointer, record
from fastgraph.engine.moves import SUMS, add_column, add_slot, fill_column, load_column, spread_slot, store_column
from fastgraph.engine.streams import TRASH
from fastgraph.jit import compiled, native

PIECE = tiles.GROUP * tiles.VECTOR  # bytes of a slot that a sweep does at least

# Everything a sweep reads and writes; addresses are integers, strides are bytes. What is moved into or out of a tile is
# a list of numbers ``n``, each an index into the call's tables of addresses, strides and kinds, and an offset in a
# buffer, in bytes.
TILES = record(
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
    "outer_n",  # axes of the batch over which leaves have strides of their own
    "outer_dims",
    "outer_strides",  # a row for each axis
    "outer_step",  # bytes from one row to the next
    "inner",  # sets in one step of the last of them
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


def of_tiles(is_single):
    """The native forward and reverse sweeps of one tile, of float32 (1) or float64 (0); the drivers are ready, too."""

    @native("void(intp, intp, intp, intp, intp)")
    def forward(runs, n_runs, operands, tile, values):
        tiles.forward_sweep(is_single, runs, n_runs, operands, tile, values)

    @native("void(intp, intp, intp, intp, intp, intp)")
    def reverse(runs, n_runs, operands, tile, values, adjoints):
        tiles.reverse_sweep(is_single, runs, n_runs, operands, tile, values, adjoints)

    for driver in (prepare_tiles, run_tiles, finish_tiles):
        driver.compile((types.intp,))
    return forward, reverse


@compiled
def prepare_tiles(address):
    """Do what is done once a call: load the uniform leaves, sweep what depends on them only.

    The smallest piece of a tile is enough for that; the results are then spread over the whole tile.
    """
    call = carray(pointer(address), 1, TILES)[0]
    _load(call, call.uniform_n, call.uniform_indices, call.uniform_offsets, 0, call.lanes)
    stream = call.prologue_runs, call.prologue_n, call.prologue_operands
    call_address(call.forward_kernel, (*stream, PIECE, call.values))
    offsets = carray(pointer(call.spread_offsets), call.spread_n, np.int64)
    for k in range(call.spread_n):
        spread_slot(call.single, call.values + offsets[k], call.lanes)


@compiled
def finish_tiles(address):
    """Sweep the epilogue, from totals in the adjoints' slots, in the smallest piece of a tile."""
    call = carray(pointer(address), 1, TILES)[0]
    stream = call.epilogue_runs, call.epilogue_n, call.epilogue_operands
    call_address(call.reverse_kernel, (*stream, PIECE, call.values, call.adjoints))


@compiled
def run_tiles(address):
    """Sweep the input sets ``start`` to ``stop`` of a TILES, one tile after the other."""
    call = carray(pointer(address), 1, TILES)[0]
    body = call.body_runs, call.body_n, call.body_operands
    back = call.reverse_runs, call.reverse_n, call.reverse_operands
    for start in range(call.start, call.stop, call.lanes):
        width = min(call.lanes, call.stop - start)
        _load(call, call.varying_n, call.varying_indices, call.varying_offsets, start, width)
        call_address(call.forward_kernel, (*body, call.tile, call.values))
        if call.seed_n:
            _seed_tile(call, start, width)
            call_address(call.reverse_kernel, (*back, call.tile, call.values, call.adjoints))
        if call.summed:
            _sum(call, width)
        else:
            _store(call, call.values, call.output_n, call.output_indices, call.output_offsets, call.output_addresses,
                   call.output_strides, start, width)  # fmt: skip
            _store(call, call.adjoints, call.gradient_n, call.gradient_indices, call.gradient_offsets,
                   call.gradient_addresses, call.gradient_strides, start, width)  # fmt: skip


@compiled
def _load(call, n, indices_address, offsets_address, start, width):
    indices = carray(pointer(indices_address), n, np.int64)
    offsets = carray(pointer(offsets_address), n, np.int64)
    addresses = carray(pointer(call.leaf_addresses), n, np.int64)
    strides = carray(pointer(call.leaf_strides), n, np.int64)
    kinds = carray(pointer(call.leaf_kinds), n, np.int64)
    for k in range(n):
        leaf = indices[k]
        target = call.values + offsets[k]
        if call.outer_n:
            _load_pieces(call, leaf, addresses[leaf], strides[leaf], kinds[leaf], target, start, width)
        else:
            source = addresses[leaf] + start * strides[leaf]
            load_column(call.single, kinds[leaf], source, strides[leaf], target, width, call.lanes)


@compiled
def _load_pieces(call, leaf, address, stride, kind, target, start, width):
    """Fill a slot from a leaf that has a stride for each axis of the batch."""
    dims = carray(pointer(call.outer_dims), call.outer_n, np.int64)
    size = call.tile // call.lanes
    done = 0
    while done < width:
        outer, within = divmod(start + done, call.inner)
        source = address + within * stride
        for axis in range(call.outer_n - 1, -1, -1):
            outer, at = divmod(outer, dims[axis])
            source += at * carray(pointer(call.outer_strides + axis * call.outer_step + 8 * leaf), 1, np.int64)[0]
        count = min(width - done, call.inner - within)
        load_column(call.single, kind, source, stride, target + done * size, count, call.lanes - done)
        done += count


@compiled
def _store(call, buffer, n, indices_address, offsets_address, addresses_address, strides_address, start, width):
    indices = carray(pointer(indices_address), n, np.int64)
    offsets = carray(pointer(offsets_address), n, np.int64)
    addresses = carray(pointer(addresses_address), n, np.int64)
    strides = carray(pointer(strides_address), n, np.int64)
    for k in range(n):
        result = indices[k]
        target = addresses[result] + start * strides[result]
        store_column(call.single, buffer + offsets[k], target, strides[result], width, call.lanes)


@compiled
def _seed_tile(call, start, width):
    offsets = carray(pointer(call.seed_offsets), call.seed_n, np.int64)
    for k in range(call.seed_n):
        fill_column(call.single, call.adjoints + offsets[k], 0, call.lanes)
    trash = call.adjoints + TRASH * call.tile
    addresses = carray(pointer(call.seed_addresses), call.seed_n, np.int64)
    strides = carray(pointer(call.seed_strides), call.seed_n, np.int64)
    kinds = carray(pointer(call.seed_kinds), call.seed_n, np.int64)
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
    offsets = carray(pointer(call.output_offsets), call.output_n, np.int64)
    for k in range(call.output_n):
        add_column(call.single, call.values + offsets[k], call.sums + k * size, width)
    offsets = carray(pointer(call.total_offsets), call.n_totals, np.int64)
    for k in range(call.n_totals):
        add_column(call.single, call.adjoints + offsets[k], call.sums + (call.output_n + k) * size, width)
