"""Kernels of one input set: short Numba functions over flat arrays, whose inner step is a switch emitted by ``single``.

In: the address of a ``CALL``, which names every buffer by address. Out: numbers in the caller's buffers. A kernel
allocates nothing, keeps nothing, checks nothing: ``Program.verify`` and ``Function`` have done that.
"""

import numpy as np
from numba import carray, types

from fastgraph.engine import single
from fastgraph.engine.addresses import call_address, claim, pointer, prefetch, record, zero
from fastgraph.jit import compiled, native
from fastgraph.ops.arrays import ARITY, FORWARD_ARITY
from fastgraph.ops.row import MASKED
from fastgraph.program import RUN

ZEROED = 4096  # doubles the reverse sweep zeroes at a time, at least: a chain would else call memset for each slot
LINE = 64  # bytes of a cache line
AHEAD = 1 << 18  # bytes the reverse sweep prefetches ahead of itself: as far as a block of the schedule reaches

# What the threads of a call that share its sets are told besides; ``claims`` is 0 where one thread sweeps them all.
SHARED = (
    "claims",  # address of the first set that no thread has claimed
    "piece",  # sets claimed at a time
    "quota",  # sets after which a sweep returns, to answer Ctrl-C
    "swept",  # sets that it has swept
)
# Everything a sweep reads and writes. Addresses are integers; *_strides are bytes from one input set to the next.
CALL = record(
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
    "context",
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
    *SHARED,
    # the workspace
    "values",
    "adjoints",
    # kernels
    "forward",
    "reverse",
)


def one_set():
    """The native forward and reverse sweeps of one input set, compiled or loaded; :func:`run` is ready, too."""

    @native("void(intp)")
    def forward(address):
        call = carray(pointer(address), 1, CALL)[0]
        runs = carray(pointer(call.runs), call.n_runs, RUN)
        operands, slot = call.operands, call.first_op
        for k in range(call.n_runs if call.gradient else call.n_value_runs):
            run = runs[k]
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            immediate = np.intp(run.immediate)
            single.forward_run(opcode, flags, immediate, count, operands, slot, call.values, call.context)
            operands += 4 * count * (FORWARD_ARITY[opcode] + (flags // MASKED & 1))
            slot += count

    # From the adjoints of the outputs to those of the leaves.
    @native("void(intp)")
    def reverse(address):
        call = carray(pointer(address), 1, CALL)[0]
        runs = carray(pointer(call.runs), call.n_runs, RUN)
        lows = carray(pointer(call.lows), call.n_value_runs, np.int64)
        operands, slot, zeroed = call.operands_end, call.first_mask, call.lowest_output
        fetched = 8 * slot - AHEAD
        for k in range(call.n_value_runs - 1, -1, -1):
            run = runs[k]
            # Adjoints are zeroed just ahead of the sweep, not in a pass of their own that would take them through the
            # cache once more: 4 % of the gradient of 10^4 operations, about a fifth of that of 10^6 scattered ones.
            if lows[k] < zeroed:
                low = zeroed - ZEROED
                low = lows[k] if lows[k] < low else 0 if low < 0 else low
                zero(call.adjoints, low, zeroed)
                zeroed = low
            opcode, flags, count = np.intp(run.opcode), np.intp(run.flags), np.intp(run.count)
            operands -= 4 * count * (ARITY[opcode] + (flags // MASKED & 1))
            slot -= count
            # The forward sweep wrote these slots long ago, in order; the reverse sweep comes from the other end and
            # gathers, which no hardware prefetcher foresees: 10^6 operations take half the time with this.
            # (No max() here: with minsize it is a call, and a chain has a run for every operation.)
            while fetched > 0 and fetched > 8 * slot - AHEAD:
                prefetch(call.values + fetched)
                prefetch(call.adjoints + fetched)
                fetched -= LINE
            if flags:  # else nothing flows through this run
                values, weights, immediate = call.values, call.adjoints, np.intp(run.immediate)
                single.reverse_run(opcode, flags, immediate, count, operands, slot, values, weights)
        zero(call.adjoints, 0, zeroed)

    run.compile((types.intp,))
    return forward, reverse


@compiled
def run(address):
    """Sweep the input sets ``start`` to ``stop`` of a CALL, one by one, or those it can claim of them."""
    call = carray(pointer(address), 1, CALL)[0]
    if call.claims == 0:
        _run(address, call, call.start, call.stop)
        return
    call.swept = 0
    while call.swept < call.quota:
        start = claim(call.claims, call.piece)
        if start >= call.stop:
            break
        stop = min(start + call.piece, call.stop)
        _run(address, call, start, stop)
        call.swept += stop - start


@compiled
def _run(address, call, start, stop):
    for k in range(start, stop):
        _load_leaves(call, k)
        call_address(call.forward, (address,))
        _store_outputs(call, k)
        if call.gradient:
            zero(call.adjoints, call.lowest_output, call.n_slots)
            _seed(call, k)
            call_address(call.reverse, (address,))
            _store_gradient(call, k)


@compiled
def _number(address):
    return carray(pointer(address), 1, np.float64)


@compiled
def _load_leaves(call, k):
    addresses = carray(pointer(call.leaf_addresses), call.n_leaves, np.int64)
    strides = carray(pointer(call.leaf_strides), call.n_leaves, np.int64)
    values = carray(pointer(call.values), call.n_leaves, np.float64)
    for leaf in range(call.n_leaves):
        values[leaf] = _number(addresses[leaf] + k * strides[leaf])[0]


@compiled
def one_nan(value):
    """``value``, or NaN: which operand's payload and sign survive is not specified, and differs between engines."""
    return value if value == value else np.nan


@compiled
def _store_outputs(call, k):
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    addresses = carray(pointer(call.output_addresses), call.n_outputs, np.int64)
    strides = carray(pointer(call.output_strides), call.n_outputs, np.int64)
    values = carray(pointer(call.values), call.n_slots, np.float64)
    for j in range(call.n_outputs):
        _number(addresses[j] + k * strides[j])[0] = one_nan(values[np.intp(outputs[j])])


@compiled
def _seed(call, k):
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    adjoints = carray(pointer(call.adjoints), call.n_slots, np.float64)
    if call.seed_addresses == 0:
        for j in range(call.n_outputs):
            adjoints[np.intp(outputs[j])] += 1.0
        return
    addresses = carray(pointer(call.seed_addresses), call.n_outputs, np.int64)
    strides = carray(pointer(call.seed_strides), call.n_outputs, np.int64)
    for j in range(call.n_outputs):
        adjoints[np.intp(outputs[j])] += _number(addresses[j] + k * strides[j])[0]


@compiled
def _store_gradient(call, k):
    addresses = carray(pointer(call.gradient_addresses), call.n_leaves, np.int64)
    strides = carray(pointer(call.gradient_strides), call.n_leaves, np.int64)
    adjoints = carray(pointer(call.adjoints), call.n_leaves, np.float64)
    for leaf in range(call.n_leaves):
        if addresses[leaf]:
            _number(addresses[leaf] + k * strides[leaf])[0] = one_nan(adjoints[leaf])
