"""Lowering: from a program, and what a call asks of it, to the streams of operations that are swept tile by tile.

In: a verified ``Program``, which leaves vary over the batch, which gradients are wanted. Out: a ``Plan``: what is
done once a call, what is done for every tile, and where in the tile's buffers each number lives.

A tile's buffers are small because slots are used again: of values as soon as the last operation has read them, unless
a reverse sweep is to look at them; of adjoints always. So a tile of a large program stays in the L1 or L2 cache, as
long as no reverse sweep has much to look at.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph.engine import streams
from fastgraph.ops.arrays import ARITY, FLIPS, FORWARD_ARITY, FUSES, PASSES, READS
from fastgraph.passes import prune
from fastgraph.program import RUN, Program, assemble

HEAD = 256  # operations of a prologue for which a program of their own is made


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
    spread : int64 (k,)
        Value slots of the prologue's results that anything after it reads.
    head : Program or None
        The prologue as a program whose outputs these are, in float64 and from ``HEAD`` operations on: swept as one set
        it takes a third of the time of a tile, a twelfth where it is elementary functions.
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
    spread: np.ndarray
    head: Program | None
    body: Stream
    reverse: Stream
    epilogue: Stream
    seeds: np.ndarray
    gradient: np.ndarray
    wanted: np.ndarray
    totals: np.ndarray
    finished: np.ndarray
    with_gradient: bool


def lower(program, varying, wanted=None, summed=False, fused=True):
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
    fused : bool
        Whether operations are done as one with what computes their operands in the forward sweep. Changes no bit.
    """
    with_gradient = wanted is not None
    n_leaves, first, n_slots, outputs = program.n_leaves, program.first_operation, program.n_slots, program.outputs
    wanted = np.zeros(n_leaves, np.bool_) if wanted is None else np.asarray(wanted, np.bool_)
    runs = program.runs if with_gradient else program.runs[: program.n_value_runs]
    opcodes, flags, immediates, counts = (runs[name].astype(np.int64) for name in RUN.names)
    rows = streams.rows_of(program.operands, opcodes, flags, counts, ARITY)
    varies, needed, swept, relevant = streams.analyse(rows, first, outputs, varying, wanted, with_gradient)
    read = streams.values_read(rows, first, swept, outputs, READS)
    forward = streams.fuse(rows, first, needed, varies, read, FUSES if fused else FUSES[:0], FLIPS, FORWARD_ARITY)
    n_slots = first + len(rows)
    values, n_values = streams.place_values(forward, first, n_leaves, n_slots, needed, varies, read)
    prologue, body = (
        _stream(*streams.forward_words(forward, values, varies, phase, immediates, FORWARD_ARITY)) for phase in (0, 1)
    )
    crossing = read & ~varies
    operands = forward[varies[forward[:, streams.MASK]], : streams.OPERANDS]
    crossing[operands[operands >= 0]] = True
    crossing[:first] = False
    crossing &= ~varies & (values >= 0)
    spread, head = values[crossing], None
    if prologue.n_operations >= HEAD and len(spread) and program.dtype == np.float64:
        head = prune(streams.as_columns(rows, program, immediates, np.flatnonzero(crossing)))
        head = assemble(head, n_leaves)
    adjoints, handed = np.zeros(n_slots, np.int64), np.zeros(n_slots, np.bool_)
    n_adjoints = streams.TRASH + 1
    reverse = epilogue = Stream(np.zeros(0, RUN), np.zeros(0, np.int64))
    totals = np.zeros(0, np.int64)
    if with_gradient:
        state = relevant, values, adjoints, handed
        table = immediates, ARITY
        has = np.zeros(n_slots, np.bool_)
        has[outputs] = True

        def ordered(chosen):
            return rows, first, outputs, *streams.reverse_order(rows, first, chosen, relevant, has, PASSES)

        *fields, n_adjoints = streams.reverse_words(
            *ordered(swept & varies if summed else swept), *state, n_adjoints, *table
        )
        reverse = _stream(*fields)
        if summed:
            crossing = adjoints != streams.ZERO
            crossing[n_leaves:] &= ~varies[n_leaves:]
            totals = adjoints[np.flatnonzero(crossing)]
            handed[:] = False
            *fields, n_adjoints = streams.reverse_words(*ordered(swept & ~varies), *state, n_adjoints, *table)
            epilogue = _stream(*fields)
    leaves, constants = np.arange(n_leaves), np.arange(len(program.constants))
    loaded = np.array([leaves, values[:n_leaves]])[:, values[:n_leaves] >= 0]
    at = values[n_leaves:first]
    return Plan(
        n_values, n_adjoints, np.array([constants, at])[:, at >= 0],
        loaded[:, ~varies[loaded[0]]], loaded[:, varies[loaded[0]]], values[outputs],
        prologue, spread, head, body, reverse, epilogue,
        np.where(relevant[outputs], adjoints[outputs], streams.TRASH),
        np.where(wanted, adjoints[:n_leaves], streams.ZERO), wanted, totals, handed[:n_leaves], with_gradient,
    )  # fmt: skip


def _stream(opcodes, flags, immediates, counts, operands):
    runs = np.zeros(len(opcodes), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = opcodes, flags, immediates, counts
    return Stream(runs, operands)
