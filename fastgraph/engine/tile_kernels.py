"""Kernels of tiles: as ``kernels``, for many input sets at a time, with the inner steps of ``tiles`` and ``moves``.

In: the address of a ``TILES``. Out: numbers in the caller's arrays, or sums of them.
"""

import numpy as np
from numba import carray, types

from fastgraph.engine import tiles
from fastgraph.engine.addresses import call_address, claim, pointer, record
from fastgraph.engine.kernels import SHARED, one_nan, run
from fastgraph.engine.moves import KIND, SUMS, add_column, add_slot, fill_column, load_column, spread_slot, store_column
from fastgraph.engine.reverse import TRASH
from fastgraph.jit import compiled, native

NOTHING, FINISHED = -1, -2  # of a summed gradient: nothing arrives; the epilogue leaves it among the adjoints
DOUBLE = KIND[np.dtype(np.float64)]
PIECE = tiles.GROUP * tiles.VECTOR  # bytes of a slot that a sweep does at least, unless tiles are narrow

# Everything a sweep reads and writes; addresses are integers, strides are bytes. What is moved into or out of a tile is
# a list of numbers ``n``, each an index into the call's tables of addresses, strides and kinds, and an offset in a
# buffer, in bytes.
TILES = record(
    "single",  # 1 for float32
    "tile",  # bytes of a slot
    "span",  # bytes of a slot and those of its tangents; 0: there are none
    "lanes",  # input sets in a tile
    "context",  # two addresses: of the program's tables, and of those of its functions
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
    "head",  # a CALL that does the prologue as one set; 0: none
    "seeded",  # 0: every cotangent is 1
    "n_totals",
    "total_offsets",
    "summed",  # 1: results are summed, not stored
    "block",  # sets whose sums are added up before they join those of other blocks
    "sums",  # SUMS running sums of a block for each output, then for each total
    "sums_step",  # bytes from those of one to those of the next; 0 where a tile is a block
    "partials",  # rows of a double for each output and total: the sum at hand, then those that wait, by level
    "sources",  # for each wanted gradient, the number of its total; ``NOTHING``, ``FINISHED``
    "results",  # doubles: summed outputs, then the wanted gradients
    "start",
    "stop",
    *SHARED,
    "totals",  # rows of a double for each output and total: the sums of each piece
    # kernels
    "forward_kernel",
    "reverse_kernel",
)


def drivers():
    """Make what sweeps tile after tile ready."""
    for driver in (prepare_tiles, run_tiles, finish_tiles):
        driver.compile((types.intp,))
    add_rows.compile((types.intp, types.intp, types.intp))


# The native sweeps of one tile: of float32 (1) or float64 (0), of one vector (1) or any size (0).
def forward_of(is_single, is_narrow):
    """The forward sweep."""

    @native("void(intp, intp, intp, intp, intp, intp)")
    def forward(runs, n_runs, operands, tile, values, context):
        tiles.forward_sweep(is_single, is_narrow, runs, n_runs, operands, tile, values, context)

    return forward


def along_of(is_single, is_narrow):
    """The forward sweep of values and tangents."""

    @native("void(intp, intp, intp, intp, intp, intp, intp, intp)")
    def along(runs, n_runs, operands, tile, values, context, step, span):
        tiles.along_sweep(is_single, is_narrow, runs, n_runs, operands, tile, values, context, step, span)

    return along


def reverse_of(is_single, is_narrow):
    """The reverse sweep."""

    @native("void(intp, intp, intp, intp, intp, intp)")
    def reverse(runs, n_runs, operands, tile, values, adjoints):
        tiles.reverse_sweep(is_single, is_narrow, runs, n_runs, operands, tile, values, adjoints)

    return reverse


@compiled
def prepare_tiles(address):
    """Do what is done once a call: load the uniform leaves, sweep what depends on them only.

    The smallest piece of a tile is enough for that, or one set; the results are then spread over the whole tile.
    """
    call = carray(pointer(address), 1, TILES)[0]
    size = min(PIECE, call.tile)
    piece = size * call.lanes // call.tile
    _load(call, call.uniform_n, call.uniform_indices, call.uniform_offsets, 0, 1, piece)
    if call.head:
        run(call.head)
    else:
        _forward(call, (call.prologue_runs, call.prologue_n, call.prologue_operands), size)
    if call.lanes > piece:
        _spread(call, call.uniform_n, call.uniform_offsets)
    if call.lanes > piece or call.head:
        _spread(call, call.spread_n, call.spread_offsets)


@compiled
def _forward(call, stream, size):
    """Sweep a stream forward, in so many bytes of each slot."""
    if call.span:
        call_address(call.forward_kernel, (*stream, size, call.values, call.context, call.tile, call.span))
    else:
        call_address(call.forward_kernel, (*stream, size, call.values, call.context))


@compiled
def _spread(call, n, offsets_address):
    offsets = carray(pointer(offsets_address), n, np.int64)
    for k in range(n):
        spread_slot(call.single, call.values + offsets[k], call.lanes)


@compiled
def run_tiles(address):
    """Sweep the input sets ``start`` to ``stop`` of a TILES, tile after tile, or those it can claim of them."""
    call = carray(pointer(address), 1, TILES)[0]
    if call.claims == 0:
        _run_tiles(call, call.start, call.stop)
        return
    n = call.output_n + call.n_totals
    call.swept = 0
    while call.swept < call.quota:
        start = claim(call.claims, call.piece)
        if start >= call.stop:
            break
        stop = min(start + call.piece, call.stop)
        _run_tiles(call, start, stop)
        call.swept += stop - start
        if call.summed:
            sums = carray(pointer(call.partials), n, np.float64)
            total = carray(pointer(call.totals + 8 * n * ((start - call.start) // call.piece)), n, np.float64)
            for k in range(n):
                total[k] = sums[k]


@compiled
def _run_tiles(call, first, stop):
    body = call.body_runs, call.body_n, call.body_operands
    back = call.reverse_runs, call.reverse_n, call.reverse_operands
    for start in range(first, stop, call.lanes):
        width = min(call.lanes, stop - start)
        _load(call, call.varying_n, call.varying_indices, call.varying_offsets, start, width, call.lanes)
        _forward(call, body, call.tile)
        if call.seed_n:
            _seed_tile(call, start, width)
            call_address(call.reverse_kernel, (*back, call.tile, call.values, call.adjoints))
        if call.summed:
            _sum(call, start - first, width, stop - first)
        else:
            _store(call, call.values, call.output_n, call.output_indices, call.output_offsets, call.output_addresses,
                   call.output_strides, start, width)  # fmt: skip
            _store(call, call.adjoints, call.gradient_n, call.gradient_indices, call.gradient_offsets,
                   call.gradient_addresses, call.gradient_strides, start, width)  # fmt: skip
    if call.summed:
        _join(call, stop - first)


@compiled
def _load(call, n, indices_address, offsets_address, start, width, lanes):
    indices = carray(pointer(indices_address), n, np.int64)
    offsets = carray(pointer(offsets_address), n, np.int64)
    addresses = carray(pointer(call.leaf_addresses), n, np.int64)
    strides = carray(pointer(call.leaf_strides), n, np.int64)
    kinds = carray(pointer(call.leaf_kinds), n, np.int64)
    for k in range(n):
        leaf = indices[k]
        target = call.values + offsets[k]
        if call.outer_n:
            _load_pieces(call, leaf, addresses[leaf], strides[leaf], kinds[leaf], target, start, width, lanes)
        else:
            source = addresses[leaf] + start * strides[leaf]
            load_column(call.single, kinds[leaf], source, strides[leaf], target, width, lanes)


@compiled
def _load_pieces(call, leaf, address, stride, kind, target, start, width, lanes):
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
        load_column(call.single, kind, source, stride, target + done * size, count, lanes - done)
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


# -- sums over the batch --------------------------------------------------------------------------------------
@compiled
def _sum(call, done, width, n_sets):
    """Add a tile, before which ``done`` sets were, to the running sums of its block; a full one joins those before it.

    Its running sums are added pairwise. Then, as a binary counter carries, the sum of every two blocks, of every two
    such pairs, and so on: a sum waits in the row of its level until the one beside it is there.
    """
    first, last = done % call.block == 0, (done + width) % call.block == 0 or done + width == n_sets
    n = call.output_n + call.n_totals
    _sum_columns(call, call.values, call.output_offsets, call.output_n, 0, width, first, last)
    _sum_columns(call, call.adjoints, call.total_offsets, call.n_totals, call.output_n, width, first, last)
    if last:
        sums = carray(pointer(call.partials), n, np.float64)
        row, number = call.partials + 8 * n, done // call.block
        while number & 1:
            waiting = carray(pointer(row), n, np.float64)
            for k in range(n):
                sums[k] = waiting[k] + sums[k]
            row, number = row + 8 * n, number >> 1
        waiting = carray(pointer(row), n, np.float64)
        for k in range(n):
            waiting[k] = sums[k]


@compiled
def _sum_columns(call, buffer, offsets_address, n, before, width, first, last):
    offsets = carray(pointer(offsets_address), n, np.int64)
    partial = carray(pointer(call.partials + 8 * before), n, np.float64)
    for k in range(n):
        address = call.sums + (before + k) * call.sums_step
        s = carray(pointer(address), SUMS, np.float64)
        if first:
            s[:] = 0.0
        add_column(call.single, buffer + offsets[k], address, width)
        if last:
            partial[k] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))


@compiled
def _join(call, n_sets):
    """Leave the sum of all blocks of these sets: what waits for more joins from the last, smallest part on."""
    n = call.output_n + call.n_totals
    sums = carray(pointer(call.partials), n, np.float64)
    row, number = call.partials + 8 * n, -(-n_sets // call.block)
    is_first = True
    while number:
        if number & 1:
            waiting = carray(pointer(row), n, np.float64)
            for k in range(n):
                sums[k] = waiting[k] if is_first else waiting[k] + sums[k]
            is_first = False
        row, number = row + 8 * n, number >> 1


@compiled
def finish_tiles(address):
    """From the sums over the whole batch, the results: sweep the epilogue, in the smallest piece of a tile."""
    call = carray(pointer(address), 1, TILES)[0]
    n, piece = call.output_n, min(PIECE, call.tile)
    results = carray(pointer(call.results), n + call.gradient_n, np.float64)
    sums = carray(pointer(call.partials), n + call.n_totals, np.float64)
    for k in range(n + call.n_totals):
        sums[k] = one_nan(sums[k])
    for k in range(n):
        results[k] = sums[k]
    if call.epilogue_n:
        offsets = carray(pointer(call.total_offsets), call.n_totals, np.int64)
        for k in range(call.n_totals):
            source = call.partials + 8 * (n + k)
            load_column(call.single, DOUBLE, source, 0, call.adjoints + offsets[k], 1, piece * call.lanes // call.tile)
        stream = call.epilogue_runs, call.epilogue_n, call.epilogue_operands
        call_address(call.reverse_kernel, (*stream, piece, call.values, call.adjoints))
    sources = carray(pointer(call.sources), call.gradient_n, np.int64)
    offsets = carray(pointer(call.gradient_offsets), call.gradient_n, np.int64)
    for k in range(call.gradient_n):
        if sources[k] == NOTHING:
            results[n + k] = 0.0
        elif sources[k] != FINISHED:
            results[n + k] = sums[n + sources[k]]
        elif call.single:
            results[n + k] = one_nan(np.float64(carray(pointer(call.adjoints + offsets[k]), 1, np.float32)[0]))
        else:
            results[n + k] = one_nan(carray(pointer(call.adjoints + offsets[k]), 1, np.float64)[0])


@compiled
def add_rows(address, n_rows, n):
    """Leave in the first of so many rows of ``n`` doubles the sum of all, added pairwise as blocks are."""
    step = 1
    while step < n_rows:
        for row in range(0, n_rows - step, 2 * step):
            left = carray(pointer(address + 8 * n * row), n, np.float64)
            right = carray(pointer(address + 8 * n * (row + step)), n, np.float64)
            for k in range(n):
                left[k] = left[k] + right[k]
        step *= 2
