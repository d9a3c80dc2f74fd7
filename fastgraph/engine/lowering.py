"""Lowering: from a program, and what a call asks of it, to the streams of operations that are swept tile by tile.

In: a verified ``Program``, which leaves vary over the batch, which gradients are wanted. Out: a ``Plan``: what is
done once a call, what is done for every tile, and where in the tile's buffers each number lives.

A tile's buffers are small because slots are used again: of values as soon as the last operation has read them,
where no reverse sweep follows; of adjoints always. So a tile of a large program stays in the L1 or L2 cache.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastgraph.engine.tiles import KEEP
from fastgraph.jit import adaptive, helper
from fastgraph.ops.arrays import ARITY
from fastgraph.ops.row import MASKED
from fastgraph.program import RUN

ZERO, TRASH = 0, 1  # adjoint slots: of zeros, never written; of what nobody reads


@dataclass(frozen=True)
class Stream:
    """Operations for one kernel: runs, and their operands as ``2 * slot`` or, of adjoints, ``2 * slot + KEEP``."""

    runs: np.ndarray
    operands: np.ndarray

    @property
    def n_operations(self):
        return int(self.runs["count"].sum(dtype=np.int64))


@dataclass(frozen=True)
class Plan:
    """What is swept for one kind of call.

    Attributes
    ----------
    n_values, n_adjoints : int
        Slots of the two buffers.
    constants, uniform, varying : int64 (2, k)
        Index and value slot of constants, of leaves that are the same for all sets, and of the others.
    outputs : int64 (m,)
        Value slots.
    prologue, body : Stream
        Forward: what depends on uniform leaves only, once a call; the rest, for every tile.
    reverse, epilogue : Stream
        Reverse, for every tile; where results are summed over the batch, that of the prologue, once a call.
    seeds : int64 (m,)
        Adjoint slots of the outputs.
    gradient : int64 (n_leaves,)
        Adjoint slots of the leaves, ``ZERO`` where nothing arrives.
    wanted : bool (n_leaves,)
    totals : int64 (k,)
        Adjoint slots to be summed over the batch before the epilogue: of wanted leaves, and of the uniform results
        that operations of the body use.
    finished : bool (n_leaves,)
        Which leaves' gradients the epilogue adds to.
    """

    n_values: int
    n_adjoints: int
    constants: np.ndarray
    uniform: np.ndarray
    varying: np.ndarray
    outputs: np.ndarray
    prologue: Stream
    body: Stream
    reverse: Stream
    epilogue: Stream
    seeds: np.ndarray
    gradient: np.ndarray
    wanted: np.ndarray
    totals: np.ndarray
    finished: np.ndarray
    with_gradient: bool


def lower(program, varying, wanted=None, summed=False):
    """The plan of a call.

    Parameters
    ----------
    program : Program
    varying : bool (n_leaves,)
        Which leaves differ from set to set.
    wanted : bool (n_leaves,), optional
        Which leaves' gradients are wanted; None for no reverse sweep.
    summed : bool
        Whether results are summed over the batch.
    """
    with_gradient = wanted is not None
    wanted = np.zeros(program.n_leaves, np.bool_) if wanted is None else np.asarray(wanted, np.bool_)
    runs = program.runs if with_gradient else program.runs[: program.n_value_runs]
    code = Code(
        program.operands, *(runs[name].astype(np.int64) for name in ("opcode", "flags", "immediate", "count")),
        program.n_leaves, program.first_operation, program.n_slots, program.outputs, ARITY,
    )  # fmt: skip
    varies, needed, swept, relevant = _analyse(*code, np.asarray(varying, np.bool_), wanted, with_gradient)
    values, n_values = _place_values(*code, varies, needed, with_gradient)
    prologue, body = (Stream(*_packed(*_forward(*code, needed & part, values))) for part in (~varies, varies))
    adjoints = np.zeros(program.n_slots, np.int64)
    handed = np.zeros(program.n_slots, np.bool_)
    n_adjoints = TRASH + 1
    streams = [Stream(np.zeros(0, RUN), np.zeros(0, np.int64))] * 2
    if with_gradient:
        for k, part in enumerate((varies, ~varies) if summed else (np.ones_like(varies), np.zeros_like(varies))):
            handed[:] = False
            *fields, n_adjoints = _reverse(*code, swept & part, relevant, values, adjoints, handed, n_adjoints, k == 0)
            streams[k] = Stream(*_packed(*fields))
            if k == 0:
                crossing = adjoints != ZERO
                crossing[program.n_leaves :] &= ~varies[program.n_leaves :]
                totals = adjoints[np.flatnonzero(crossing)]
    reverse, epilogue = streams
    leaves, constants = np.arange(program.n_leaves), np.arange(len(program.constants))
    at = values[program.n_leaves + constants]
    leaf_table = np.array([leaves, values[: program.n_leaves]])
    loaded = leaf_table[1] >= 0
    return Plan(
        n_values, n_adjoints, np.array([constants, at])[:, at >= 0],
        leaf_table[:, loaded & ~varies[leaves]], leaf_table[:, loaded & varies[leaves]],
        values[program.outputs], prologue, body, reverse, epilogue,
        np.where(relevant[program.outputs], adjoints[program.outputs], TRASH),
        np.where(wanted, adjoints[leaves], ZERO), wanted,
        totals if with_gradient and summed else np.zeros(0, np.int64),
        handed[: program.n_leaves], with_gradient,
    )  # fmt: skip


class Code(NamedTuple):
    """What the steps below read of a program; slots as in ``Program``, operands column by column per run."""

    operands: np.ndarray
    opcodes: np.ndarray
    flags: np.ndarray
    immediates: np.ndarray
    counts: np.ndarray
    n_leaves: int
    first: int
    n_slots: int
    outputs: np.ndarray
    arity: np.ndarray


def _packed(opcodes, flags, immediates, counts, operands):
    runs = np.zeros(len(opcodes), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = opcodes, flags, immediates, counts
    return runs, operands


@adaptive
def _analyse(
    operands, opcodes, flags, immediates, counts, n_leaves, first, n_slots, outputs, arity,
    varying, wanted, with_gradient,
):  # fmt: skip
    """Per slot: varies over the batch; is to be computed; is swept in reverse; leads to a wanted leaf."""
    varies = np.zeros(n_slots, np.bool_)
    relevant = np.zeros(n_slots, np.bool_)
    for leaf in range(n_leaves):
        varies[leaf] = varying[leaf]
        relevant[leaf] = wanted[leaf]
    # An operation whose mask varies hands on something else for every set: it counts as varying. Masks come after
    # the operations they gate, so that it may take more than one round.
    unsettled = True
    while unsettled:
        unsettled = False
        at, slot = 0, first
        for r in range(len(counts)):
            n, count = arity[opcodes[r]], counts[r]
            masked = (flags[r] & MASKED) != 0
            for i in range(count):
                for k in range(n):
                    operand = operands[at + k * count + i]
                    if varies[operand]:
                        varies[slot + i] = True
                    if flags[r] & (1 << k) and relevant[operand]:
                        relevant[slot + i] = True
                if masked and with_gradient and not varies[slot + i] and varies[operands[at + n * count + i]]:
                    varies[slot + i] = True
            at += count * (n + masked)
            slot += count
        if with_gradient:
            unsettled = _masks_unsettled(operands, opcodes, flags, counts, first, arity, varies)
    needed = np.zeros(n_slots, np.bool_)
    reached = np.zeros(n_slots, np.bool_)
    for output in outputs:
        needed[output] = True
        reached[output] = True
    swept = np.zeros(n_slots, np.bool_)
    end, end_slot = at, slot
    for r in range(len(counts) - 1, -1, -1):
        n, count = arity[opcodes[r]], counts[r]
        masked = (flags[r] & MASKED) != 0
        at -= count * (n + masked)
        slot -= count
        for i in range(count):
            if reached[slot + i] and relevant[slot + i]:
                swept[slot + i] = True
                for k in range(n):
                    operand = operands[at + k * count + i]
                    if flags[r] & (1 << k) and relevant[operand]:
                        reached[operand] = True
                if masked:
                    needed[operands[at + n * count + i]] = True
    at, slot = end, end_slot
    for r in range(len(counts) - 1, -1, -1):
        n, count = arity[opcodes[r]], counts[r]
        at -= count * (n + ((flags[r] & MASKED) != 0))
        slot -= count
        for i in range(count):
            if needed[slot + i]:
                for k in range(n):
                    needed[operands[at + k * count + i]] = True
    return varies, needed, swept, relevant


@helper
def _masks_unsettled(operands, opcodes, flags, counts, first, arity, varies):
    at, slot = 0, first
    for r in range(len(counts)):
        n, count = arity[opcodes[r]], counts[r]
        masked = (flags[r] & MASKED) != 0
        if masked:
            for i in range(count):
                if varies[operands[at + n * count + i]] and not varies[slot + i]:
                    return True
        at += count * (n + masked)
        slot += count
    return False


@adaptive
def _place_values(
    operands, opcodes, flags, immediates, counts, n_leaves, first, n_slots, outputs, arity,
    varies, needed, with_gradient,
):  # fmt: skip
    """Value slots, -1 for what is not needed, and how many there are. A reverse sweep reads all of them."""
    values = np.full(n_slots, -1, np.int64)
    last = np.full(n_slots, -1, np.int64)  # when a slot is read for the last time
    forever = 2 * n_slots
    n_values = time = 0
    for phase in range(2):
        at, slot = 0, first
        for r in range(len(counts)):
            n, count = arity[opcodes[r]], counts[r]
            for i in range(count):
                if needed[slot + i] and varies[slot + i] == (phase == 1):
                    for k in range(n):
                        operand = operands[at + k * count + i]
                        if last[operand] < forever:
                            last[operand] = forever if phase == 1 and not varies[operand] else time
                    time += 1
            at += count * (n + ((flags[r] & MASKED) != 0))
            slot += count
    for output in outputs:
        last[output] = forever
    for slot in range(first):
        if needed[slot]:
            values[slot] = n_values
            n_values += 1
            if slot >= n_leaves:
                last[slot] = forever
    free = np.empty(n_slots, np.int64)
    n_free = time = 0
    for phase in range(2):
        at, slot = 0, first
        for r in range(len(counts)):
            n, count = arity[opcodes[r]], counts[r]
            for i in range(count):
                if needed[slot + i] and varies[slot + i] == (phase == 1):
                    for k in range(n):
                        operand = operands[at + k * count + i]
                        if last[operand] == time and not with_gradient:
                            free[n_free] = values[operand]
                            n_free += 1
                            last[operand] = -1
                    if n_free:
                        n_free -= 1
                        values[slot + i] = free[n_free]
                    else:
                        values[slot + i] = n_values
                        n_values += 1
                    time += 1
            at += count * (n + ((flags[r] & MASKED) != 0))
            slot += count
    return values, n_values


@adaptive
def _forward(
    operands, opcodes, flags, immediates, counts, n_leaves, first, n_slots, outputs, arity, chosen, values
):  # fmt: skip
    """The chosen operations as fields of runs, which need not be independent here, and their operands."""
    n_runs = len(counts)
    kept = np.zeros(n_runs, np.int64)
    slot, total = first, 0
    for r in range(n_runs):
        for i in range(counts[r]):
            if chosen[slot + i]:
                kept[r] += 1
        total += kept[r] * (arity[opcodes[r]] + 1)
        slot += counts[r]
    group, sizes = _joined(np.arange(n_runs), kept, opcodes, immediates, np.zeros(n_runs, np.int64))
    codes, numbers = np.empty(len(sizes), np.int64), np.empty(len(sizes), np.int64)
    words = np.empty(total, np.int64)
    filled = np.zeros(len(sizes), np.int64)
    base = np.zeros(len(sizes), np.int64)
    at, slot, end = 0, first, 0
    for r in range(n_runs):
        n, count, g = arity[opcodes[r]], counts[r], group[r]
        if kept[r]:
            codes[g], numbers[g] = opcodes[r], immediates[r]
            if filled[g] == 0:
                base[g] = end
                end += sizes[g] * (n + 1)
            for i in range(count):
                if chosen[slot + i]:
                    for k in range(n):
                        words[base[g] + k * sizes[g] + filled[g]] = 2 * values[operands[at + k * count + i]]
                    words[base[g] + n * sizes[g] + filled[g]] = 2 * values[slot + i]
                    filled[g] += 1
        at += count * (n + ((flags[r] & MASKED) != 0))
        slot += count
    return codes, np.zeros(len(sizes), np.int64), numbers, sizes, words


@helper
def _joined(order, kept, opcodes, immediates, flags):
    """Number runs, in order, so that neighbours of one kind share a number; and how many operations each has."""
    group = np.full(len(order), -1, np.int64)
    sizes = np.zeros(len(order), np.int64)
    n_groups, previous = 0, -1
    for r in order:
        if kept[r] == 0:
            continue
        same = previous >= 0 and opcodes[r] == opcodes[previous] and flags[r] == flags[previous]
        if not same or immediates[r] != immediates[previous]:
            n_groups += 1
        group[r] = n_groups - 1
        sizes[n_groups - 1] += kept[r]
        previous = r
    return group, sizes[:n_groups]


@adaptive
def _reverse(
    operands, opcodes, flags, immediates, counts, n_leaves, first, n_slots, outputs, arity,
    chosen, relevant, values, adjoints, handed, n_adjoints, seeding,
):  # fmt: skip
    """The chosen operations, last one first, as fields of runs and operands; gives out slots of ``adjoints``."""
    n_runs = len(counts)
    kept = np.zeros(n_runs, np.int64)
    kept_flags = np.zeros(n_runs, np.int64)
    at, slot, total = 0, first, 0
    for r in range(n_runs):
        n, count = arity[opcodes[r]], counts[r]
        masked = flags[r] & MASKED
        for i in range(count):
            if chosen[slot + i]:
                kept[r] += 1
                kept_flags[r] |= masked
                for k in range(n):
                    if flags[r] & (1 << k) and relevant[operands[at + k * count + i]]:
                        kept_flags[r] |= 1 << k
        at += count * (n + (masked != 0))
        slot += count
        total += kept[r] * (2 * n + 2 + (masked != 0))
    order = np.arange(n_runs - 1, -1, -1)
    group, sizes = _joined(order, kept, opcodes, immediates, kept_flags)
    codes, numbers = np.empty(len(sizes), np.int64), np.empty(len(sizes), np.int64)
    run_flags = np.empty(len(sizes), np.int64)
    words = np.empty(total, np.int64)
    filled = np.zeros(len(sizes), np.int64)
    base = np.zeros(len(sizes), np.int64)
    free = np.empty(n_slots + 2, np.int64)
    n_free = end = 0
    if seeding:
        for output in outputs:
            if relevant[output] and adjoints[output] == ZERO:
                adjoints[output] = n_adjoints
                n_adjoints += 1
    for r in order:
        n, count, g = arity[opcodes[r]], counts[r], group[r]
        masked = (flags[r] & MASKED) != 0
        at -= count * (n + masked)
        slot -= count
        if kept[r] == 0:
            continue
        codes[g], numbers[g], run_flags[g] = opcodes[r], immediates[r], kept_flags[r]
        size = sizes[g]
        if filled[g] == 0:
            base[g] = end
            end += size * (2 * n + 2 + masked)
        for i in range(count - 1, -1, -1):
            if not chosen[slot + i]:
                continue
            here = base[g] + filled[g]
            filled[g] += 1
            words[here + n * size] = 2 * values[slot + i]
            words[here + (n + 1) * size] = 2 * adjoints[slot + i]
            if masked:
                words[here + (2 * n + 2) * size] = 2 * values[operands[at + n * count + i]]
            for k in range(n):
                operand = operands[at + k * count + i]
                words[here + k * size] = 2 * values[operand]
                word = 2 * TRASH
                if flags[r] & (1 << k) and relevant[operand]:
                    handed[operand] = True
                    if adjoints[operand] != ZERO:
                        word = 2 * adjoints[operand] + KEEP
                    else:
                        if n_free:
                            n_free -= 1
                            adjoints[operand] = free[n_free]
                        else:
                            adjoints[operand] = n_adjoints
                            n_adjoints += 1
                        word = 2 * adjoints[operand]
                words[here + (n + 2 + k) * size] = word
            free[n_free] = adjoints[slot + i]
            n_free += 1
    return codes, run_flags, numbers, sizes, words, n_adjoints
