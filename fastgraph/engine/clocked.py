"""Clocked: the sweeps once more, stopped between spans of runs to read the clock.

In: a workspace that has been pointed at arguments, and spans: consecutive runs of one opcode, or all of them. Out: what
the sweeps compute, and ticks by the rows that spans belong to. The native sweeps are those of ``kernels`` and
``tile_kernels``; the drivers here call them a span at a time.
"""

import ctypes
import sys
import time

import numpy as np
from numba import carray

from fastgraph.engine import kernels, tile_kernels
from fastgraph.engine.addresses import call_address, pointer, record, zero
from fastgraph.engine.workspace import OneSet, address_of
from fastgraph.jit import compiled
from fastgraph.ops.arrays import ARITY, FORWARD_ARITY, READS
from fastgraph.ops.row import MASKED
from fastgraph.program import RUN

# The C function that tells the time, its two arguments, where it leaves two integers, and what these count for.
CLOCK = record("function", "first", "second", "time", "per_first", "per_second")
# Columns of spans: address of the first run, runs, address of the operands (past them in reverse, of one set), slot of
# the first operation (past the last in reverse, of one set), and the row of the table.
RUNS, N, OPERANDS, SLOT, ROW = range(5)


class Clock:
    """The system's steady clock, as compiled code reads it.

    Attributes
    ----------
    address : int
        Of a ``CLOCK``.
    nanoseconds : float
        Of a tick.
    """

    def __init__(self):
        self._time = np.zeros(2, np.int64)
        self._record = np.zeros(1, CLOCK)
        where = address_of(self._time)
        if sys.platform == "win32":
            self._function = ctypes.windll.kernel32.QueryPerformanceCounter
            frequency = ctypes.c_int64()
            ctypes.windll.kernel32.QueryPerformanceFrequency(ctypes.byref(frequency))
            arguments, units, self.nanoseconds = (where, 0), (1, 0), 1e9 / frequency.value
        else:
            self._function = ctypes.CDLL(None).clock_gettime
            number = time.CLOCK_UPTIME_RAW if sys.platform == "darwin" else time.CLOCK_MONOTONIC
            arguments, units, self.nanoseconds = (number, where), (1_000_000_000, 1), 1.0
        function = ctypes.cast(self._function, ctypes.c_void_p).value
        self._record[0] = (function, *arguments, where, *units)
        self.address = address_of(self._record)


class Clocked:
    """A workspace whose sweeps can be timed, in parts.

    Parameters
    ----------
    workspace : OneSet or Tiles
        Pointed at arguments of float64 and results.
    n_sets : int
    """

    def __init__(self, workspace, n_sets):
        self.workspace, self.n_sets = workspace, n_sets
        self._clock = Clock()
        self.is_one = isinstance(workspace, OneSet)
        if self.is_one:
            forward, reverse = _spans_of_one(workspace)
        else:
            streams = workspace.tiling.streams
            forward, reverse = _spans_of_tiles(*streams["body"], False), _spans_of_tiles(*streams["reverse"], True)
        codes = np.unique(np.concatenate([forward[0][:, ROW], reverse[0][:, ROW]]))
        self.codes = codes.tolist()
        self.counts = np.maximum(*(np.bincount(spans[:, ROW], n, codes.max(initial=0) + 1) for spans, n in
                                   (forward, reverse)))[codes].astype(int).tolist()  # fmt: skip
        self._parts = [spans.copy() for spans, _ in (forward, reverse)]
        for spans in self._parts:
            spans[:, ROW] = np.searchsorted(codes, spans[:, ROW])
        self._wholes = [_joined(spans, self.is_one and k == 1) for k, spans in enumerate(self._parts)]

    def begin(self, longest):
        """Load the drivers, and sweep no more of the first sets from now on than takes so many seconds."""
        self.parts(1)
        took = self.sweeps(1)
        if took > longest:
            lanes = 1 if self.is_one else self.workspace.tiling.lanes
            self.n_sets = min(self.n_sets, max(lanes, int(self.n_sets * longest / took) // lanes * lanes))

    def sweeps(self, times):
        """Sweep all sets so many times, as a call does; seconds for each."""
        begun = time.perf_counter()
        if self.is_one:
            self.workspace.fields[_FIRST], self.workspace.fields[_LAST] = 0, self.n_sets
            _repeat_one(self.workspace.address, times)
        else:
            self.workspace.fields[_START], self.workspace.fields[_STOP] = 0, self.n_sets
            _repeat_tiles(self.workspace.address, times)
        return (time.perf_counter() - begun) / times

    def preparations(self, times):
        """Do what is done once a call so many times; seconds for each."""
        if self.is_one:
            return 0.0
        begun = time.perf_counter()
        _repeat_preparing(self.workspace.address, times)
        return (time.perf_counter() - begun) / times

    def parts(self, times, repeat=1):
        """Nanoseconds of each opcode's runs, forward and reverse, float64 (2, opcodes), for all sets.

        ``repeat`` says how often a span is done in its place; of one set, whose results stay where they are.
        """
        return self._measured(self._parts, len(self.codes), times, repeat)

    def wholes(self, times, repeat=1):
        """Nanoseconds of the forward and of the reverse sweep, float64 (2,), for all sets."""
        return self._measured(self._wholes, 1, times, repeat)[:, 0]

    def _measured(self, spans, n_rows, times, repeat):
        ticks = np.zeros((2, 2, n_rows), np.int64)
        nothing = [part.copy() for part in spans]
        for part in nothing:
            part[:, N] = 0
        # Runs of nothing come first: they leave results that mean nothing.
        for swept, out in zip((nothing, spans), ticks, strict=True):
            if self.is_one:
                call = self.workspace.call
                kept = call.copy()
                call["start"], call["stop"] = 0, self.n_sets
                _clock_one(self.workspace.address, self._clock.address, *swept, out, times, repeat)
                call[:] = kept
            else:
                self.workspace.fields[_START], self.workspace.fields[_STOP] = 0, self.n_sets
                _clock_tiles(self.workspace.address, self._clock.address, *swept, out, times)
        # Readings scatter, but nothing takes less than no time.
        return np.maximum(ticks[1] - ticks[0], 0) * (self._clock.nanoseconds / (times * repeat))


def _field(name, kind):
    return kind.names.index(name)


_FIRST, _LAST = (_field(name, kernels.CALL) for name in ("start", "stop"))
_START, _STOP = (_field(name, tile_kernels.TILES) for name in ("start", "stop"))


# -- spans --------------------------------------------------------------------------------------------------
def _spans_of_one(workspace):
    """Spans of the forward and reverse sweeps of one set, in order, and how many operations each has."""
    program, has_gradient = workspace.program, bool(workspace.call["gradient"][0])
    runs = program.runs if has_gradient else program.runs[: program.n_value_runs]
    words = FORWARD_ARITY[runs["opcode"]] + (runs["flags"] & MASKED != 0)
    forward = _spans(runs, words, address_of(program.runs), address_of(program.operands), program.first_operation)
    if not has_gradient:
        return forward, (np.empty((0, 5), np.int64), np.empty(0, np.int64))
    runs, words = runs[: program.n_value_runs], words[: program.n_value_runs]
    spans, counts = _spans(
        runs, words, address_of(program.runs), address_of(program.operands), program.first_operation, at_end=True
    )
    return forward, (np.ascontiguousarray(spans[::-1]), counts[::-1])


def _spans_of_tiles(runs, operands, in_reverse):
    """Spans of a stream of tiles, and how many operations each has."""
    words = FORWARD_ARITY[runs["opcode"]] + 1
    if in_reverse:
        words = READS[runs["opcode"]].sum(1) + 1 + ARITY[runs["opcode"]] + (runs["flags"] & MASKED != 0)
    return _spans(runs, words, address_of(runs), address_of(operands), 0)


def _spans(runs, words, first_run, first_operand, first_slot, at_end=False):
    """Consecutive runs of one opcode together; operands and slots at their beginning, or at their end."""
    if not len(runs):
        return np.empty((0, 5), np.int64), np.empty(0, np.int64)
    counts = runs["count"].astype(np.int64)
    starts = np.flatnonzero(np.append(True, runs["opcode"][1:] != runs["opcode"][:-1]))
    stops = np.append(starts[1:], len(runs))
    slots, operands = (np.append(0, np.cumsum(n)) for n in (counts, counts * words))
    at = stops if at_end else starts
    spans = np.empty((len(starts), 5), np.int64)
    spans[:, RUNS], spans[:, N] = first_run + RUN.itemsize * starts, stops - starts
    spans[:, OPERANDS], spans[:, SLOT] = first_operand + 4 * operands[at], first_slot + slots[at]
    spans[:, ROW] = runs["opcode"][starts]
    return spans, slots[stops] - slots[starts]


def _joined(spans, is_reversed):
    """One span of all, which come from the last to the first if reversed."""
    if not len(spans):
        return spans
    whole = spans[:1].copy()
    whole[0, N], whole[0, ROW] = spans[:, N].sum(), 0
    if is_reversed:
        whole[0, RUNS] = spans[-1, RUNS]
    return whole


# -- drivers --------------------------------------------------------------------------------------------------
@compiled
def _repeat_one(address, times):
    for _ in range(times):
        kernels.run(address)


@compiled
def _repeat_tiles(address, times):
    for _ in range(times):
        tile_kernels.run_tiles(address)


@compiled
def _repeat_preparing(address, times):
    for _ in range(times):
        tile_kernels.prepare_tiles(address)


@compiled
def _ticks(clock):
    call_address(clock.function, (clock.first, clock.second))
    now = carray(pointer(clock.time), 2, np.int64)
    return now[0] * clock.per_first + now[1] * clock.per_second


@compiled
def _point(call, runs, n):
    call.runs = runs
    call.n_runs = n
    call.n_value_runs = n


@compiled
def _clock_one(address, clock_address, forward, reverse, ticks, times, repeat):
    """As ``kernels.run``. The caller puts back the fields of the CALL that name runs and slots."""
    call = carray(pointer(address), 1, kernels.CALL)[0]
    clock = carray(pointer(clock_address), 1, CLOCK)[0]
    for _ in range(times):
        for k in range(call.start, call.stop):
            kernels._load_leaves(call, k)
            before = _ticks(clock)
            for s in range(len(forward)):
                _point(call, forward[s, RUNS], forward[s, N])
                call.operands = forward[s, OPERANDS]
                call.first_op = forward[s, SLOT]
                for _ in range(repeat):
                    call_address(call.forward, (address,))
                now = _ticks(clock)
                ticks[0, forward[s, ROW]] += now - before
                before = now
            kernels._store_outputs(call, k)
            if call.gradient:
                zero(call.adjoints, 0, call.n_slots)
                kernels._seed(call, k)
                call.lowest_output = 0  # all is zeroed
                before = _ticks(clock)
                for s in range(len(reverse)):
                    _point(call, reverse[s, RUNS], reverse[s, N])
                    call.operands_end = reverse[s, OPERANDS]
                    call.first_mask = reverse[s, SLOT]
                    for _ in range(repeat):
                        call_address(call.reverse, (address,))
                    now = _ticks(clock)
                    ticks[1, reverse[s, ROW]] += now - before
                    before = now
                kernels._store_gradient(call, k)


@compiled
def _clock_tiles(address, clock_address, forward, reverse, ticks, times):
    """As ``tile_kernels.run_tiles``, of results that are not summed."""
    call = carray(pointer(address), 1, tile_kernels.TILES)[0]
    clock = carray(pointer(clock_address), 1, CLOCK)[0]
    for _ in range(times):
        for start in range(call.start, call.stop, call.lanes):
            width = min(call.lanes, call.stop - start)
            tile_kernels._load(
                call, call.varying_n, call.varying_indices, call.varying_offsets, start, width, call.lanes
            )
            before = _ticks(clock)
            for s in range(len(forward)):
                stream = forward[s, RUNS], forward[s, N], forward[s, OPERANDS]
                call_address(call.forward_kernel, (*stream, call.tile, call.values, call.context))
                now = _ticks(clock)
                ticks[0, forward[s, ROW]] += now - before
                before = now
            if call.seed_n:
                tile_kernels._seed_tile(call, start, width)
                before = _ticks(clock)
                for s in range(len(reverse)):
                    stream = reverse[s, RUNS], reverse[s, N], reverse[s, OPERANDS]
                    call_address(call.reverse_kernel, (*stream, call.tile, call.values, call.adjoints))
                    now = _ticks(clock)
                    ticks[1, reverse[s, ROW]] += now - before
                    before = now
            tile_kernels._store(call, call.values, call.output_n, call.output_indices, call.output_offsets,
                                call.output_addresses, call.output_strides, start, width)  # fmt: skip
            tile_kernels._store(call, call.adjoints, call.gradient_n, call.gradient_indices, call.gradient_offsets,
                                call.gradient_addresses, call.gradient_strides, start, width)  # fmt: skip
