"""Lowering: from a program, and what a call asks of it, to the streams of operations that are swept tile by tile.

In: a verified ``Program``, which leaves vary over the batch, which gradients are wanted. Out: a ``Plan``: what is
done once a call, what is done for every tile, and where in the tile's buffers each number lives.

A tile's buffers are small because slots are used again: of values as soon as the last operation has read them, unless
a reverse sweep is to look at them; of adjoints always. So a tile of a large program stays in the L1 or L2 cache, as
long as no reverse sweep has much to look at.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from fastgraph.engine import streams
from fastgraph.engine.reverse import TRASH, ZERO, reverse_order, reverse_words
from fastgraph.engine.tiles import SETTLES
from fastgraph.ops.arrays import ARITY, FLIPS, FLOWS, FORWARD_ARITY, FUSES, PASSES, READS
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


NONE = np.zeros(0, np.int64)
NO_STREAM = Stream(np.zeros(0, RUN), NONE)


def _none():
    return field(default_factory=lambda: NONE)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is swept for one kind of call.

    Attributes
    ----------
    n_values, n_adjoints : int
        Slots of the two buffers.
    directions : int
        Of tangents, whose slots follow that of their value; then the last slot of all is one of zeros.
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
    constants: np.ndarray
    uniform: np.ndarray
    varying: np.ndarray
    outputs: np.ndarray
    prologue: Stream
    spread: np.ndarray
    body: Stream
    head: Program | None = None
    directions: int = 0
    with_gradient: bool = False
    n_adjoints: int = TRASH + 1
    reverse: Stream = NO_STREAM
    epilogue: Stream = NO_STREAM
    seeds: np.ndarray = _none()
    gradient: np.ndarray = _none()
    wanted: np.ndarray = _none()
    totals: np.ndarray = _none()
    finished: np.ndarray = _none()


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
    n_leaves, first, outputs = program.n_leaves, program.first_operation, program.outputs
    wanted = np.zeros(n_leaves, np.bool_) if wanted is None else np.asarray(wanted, np.bool_)
    rows, immediates = _rows(program, with_gradient)
    varies, needed, swept, relevant = streams.analyse(rows, first, outputs, varying, wanted, with_gradient)
    read = streams.values_read(rows, first, swept, outputs, READS)
    plain = rows.copy()
    plain[:, streams.FLAGS] = 0
    (prologue, body), values, n_values, crossing = _forward(plain, program, immediates, needed, varies, read, fused)
    spread, head = values[crossing], None
    if prologue.n_operations >= HEAD and len(spread) and program.dtype == np.float64:
        head = prune(streams.as_columns(rows, program, immediates, np.flatnonzero(crossing)))
        head = assemble(head, n_leaves)
    leaves = _placed(np.arange(n_leaves), values[:n_leaves])
    plan = Plan(
        n_values, _placed(np.arange(len(program.constants)), values[n_leaves:first]),
        leaves[:, ~varies[leaves[0]]], leaves[:, varies[leaves[0]]], values[outputs], prologue, spread, body, head,
    )  # fmt: skip
    if not with_gradient:
        return plan
    return _with_gradient(plan, program, rows, immediates, varies, swept, relevant, values, wanted, summed)


def _with_gradient(plan, program, rows, immediates, varies, swept, relevant, values, wanted, summed):
    """The plan, with what is swept in reverse."""
    n_leaves, first, outputs = program.n_leaves, program.first_operation, program.outputs
    n_slots = first + len(rows)
    adjoints, handed, has = np.zeros(n_slots, np.int64), np.zeros(n_slots, np.bool_), np.zeros(n_slots, np.bool_)
    has[outputs] = True
    n_adjoints, totals, epilogue = plan.n_adjoints, NONE, NO_STREAM

    def stream_of(chosen):
        order = reverse_order(rows, first, chosen, relevant, has, PASSES, SETTLES)
        state = relevant, values, adjoints, handed, n_adjoints
        *fields, n = reverse_words(rows, first, outputs, *order, *state, immediates, ARITY, READS)
        return _stream(*fields), n

    reverse, n_adjoints = stream_of(swept & varies if summed else swept)
    if summed:
        crossing = adjoints != ZERO
        crossing[n_leaves:] &= ~varies[n_leaves:]
        totals = adjoints[np.flatnonzero(crossing)]
        handed[:] = False
        epilogue, n_adjoints = stream_of(swept & ~varies)
    return replace(
        plan, with_gradient=True, n_adjoints=n_adjoints, reverse=reverse, epilogue=epilogue,
        seeds=np.where(relevant[outputs], adjoints[outputs], TRASH),
        gradient=np.where(wanted, adjoints[:n_leaves], ZERO), wanted=wanted, totals=totals, finished=handed[:n_leaves],
    )  # fmt: skip


def lower_along(program, varying, moved, directions):
    """The plan of a call for values and tangents along so many directions, as one sweep.

    Its leaves are those of the program, then the tangents of those that are ``moved``, bool (n_leaves,), direction by
    direction; so are its outputs. Bits are those of ``derived.along``, whose own plan has more words, and takes the
    same numbers through slots more often: tangents of 10,000 sums, differences and products take 0.8 of its time, and
    of half as many elementary functions 0.87. Tangents vary where the leaf does.
    """
    n_leaves, first, outputs = program.n_leaves, program.first_operation, program.outputs
    rows, immediates = _rows(program, False)
    varies, needed, swept, _ = streams.analyse(rows, first, outputs, varying, np.zeros(n_leaves, np.bool_), False)
    rows, moves = streams.moving(rows, first, moved, ARITY, FLOWS)
    read = streams.values_read(rows, first, swept, outputs, READS)
    phases, values, n_values, crossing = _forward(rows, program, immediates, needed, varies, read, True)
    width = 1 + directions
    values = np.where(values < 0, values, values * width)
    zeros = n_values * width
    prologue, body = (Stream(phase.runs, phase.operands * width) for phase in phases)
    leaves = [_placed(np.arange(n_leaves), values[:n_leaves])]
    has = leaves[0][:, moved[leaves[0][0]]]
    number = (np.cumsum(moved) - 1)[has[0]]
    for d in range(directions):
        leaves.append(np.array([n_leaves + d * moved.sum() + number, has[1] + 1 + d]))
    varies_too = np.concatenate([varies[leaves[0][0]], *[varies[has[0]]] * directions])
    leaves = np.concatenate(leaves, axis=1)
    crossing = np.flatnonzero(crossing)
    tangents = values[crossing[moves[crossing]]]
    each = np.arange(1, width)[:, None]
    return Plan(
        zeros + 1, _placed(np.arange(len(program.constants)), values[n_leaves:first]),
        leaves[:, ~varies_too], leaves[:, varies_too],
        np.concatenate([values[outputs], *np.where(moves[outputs], values[outputs] + each, zeros)]),
        prologue, np.concatenate([values[crossing], *(tangents + each)]), body, directions=directions,
    )  # fmt: skip


def _rows(program, with_masks):
    """The operations, with or without those that compute masks of a reverse sweep only, and the immediates of runs."""
    runs = program.runs if with_masks else program.runs[: program.n_value_runs]
    opcodes, flags, immediates, counts = (runs[name].astype(np.int64) for name in RUN.names)
    return streams.rows_of(program.operands, opcodes, flags, counts, ARITY), immediates


def _placed(indices, slots):
    """Indices and slots of what has a slot."""
    return np.array([indices, slots])[:, slots >= 0]


def _forward(rows, program, immediates, needed, varies, read, fused):
    """Streams of the two phases, value slots and how many, and the prologue's results that anything after it reads."""
    first = program.first_operation
    forward = streams.fuse(rows, first, needed, varies, read, FUSES if fused else FUSES[:0], FLIPS, FORWARD_ARITY)
    n_slots = first + len(rows)
    values, n_values = streams.place_values(forward, first, program.n_leaves, n_slots, needed, varies, read)
    phases = [
        _stream(*streams.forward_words(forward, values, varies, phase, immediates, FORWARD_ARITY)) for phase in (0, 1)
    ]
    crossing = read & ~varies
    operands = forward[varies[forward[:, streams.MASK]], : streams.OPERANDS]
    crossing[operands[operands >= 0]] = True
    crossing[:first] = False
    return phases, values, n_values, crossing & ~varies & (values >= 0)


def _stream(opcodes, flags, immediates, counts, operands):
    runs = np.zeros(len(opcodes), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = opcodes, flags, immediates, counts
    return Stream(runs, operands)
