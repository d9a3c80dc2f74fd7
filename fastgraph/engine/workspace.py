"""Workspaces: the buffers of one sweep at a time, and the records that name them to the kernels.

In: a program, or a plan and the size of its tiles. Out: objects whose ``address`` a kernel takes.
"""

import ctypes
import struct
import sys

import numpy as np

from fastgraph.engine import kernels, tile_kernels
from fastgraph.engine.moves import KIND, SUMS
from fastgraph.engine.reverse import TRASH
from fastgraph.engine.tiles import KEEP, VECTOR
from fastgraph.jit import once
from fastgraph.ops.row import NAMED
from fastgraph.program import RUN

DOUBLE = KIND[np.dtype(np.float64)]
PADDING = 8  # slots after the last that a sweep of one set may read or write as part of a vector


class Table:
    """Addresses, strides and kinds, one of each per leaf or result; holds the arrays they point into.

    The strides lead from one input set to the next. Where arguments broadcast so that there is no one such stride,
    they do so within ``inner`` sets, and there are more of them: the strides of the batch's outer axes, of ``dims``
    steps each.
    """

    def __init__(self, addresses, layout, keep):
        self.addresses, self.layout, self.keep = addresses, layout, keep
        self.pointers = address_of(addresses), *layout.pointers

    @property
    def varying(self):
        """Which of them differ from set to set."""
        return self.layout.varying

    @classmethod
    def of(cls, addresses, stride, keep, kind=DOUBLE):
        """A table of numbers of one kind and stride."""
        columns = np.empty((2, len(addresses)), np.int64)
        columns[0], columns[1] = stride, kind
        return cls(addresses, Layout(columns), keep)

    @classmethod
    def of_rows(cls, array):
        """A table of the rows of an array, each a scalar over the batch; rows without a stride are uniform."""
        step, stride = array.strides
        return cls.of(address_of(array) + step * np.arange(len(array)), stride, array, kind_of(array.dtype))


class Layout:
    """What tables of calls with arrays of the same shapes and strides share.

    ``columns``: strides and kinds, then the strides of outer axes, the outermost first.
    """

    def __init__(self, columns, dims=(), inner=0):
        self._columns = columns
        first, step = address_of(columns), columns.strides[0]
        self.pointers = first, first + step
        self.varying = (columns[0] != 0) | (columns[2:] != 0).any(0)
        self.axes = (0, 0, 0, 0, 0)
        if dims:
            self._dims = np.array(dims, np.int64)
            self.axes = len(dims), address_of(self._dims), first + 2 * step, step, inner


def _address_by_interface(array):
    return array.__array_interface__["data"][0]


def _address_by_layout(array):
    return _word_at(id(array) + _DATA).value


# NumPy's ABI puts an array's address right after the object's head, and its C macros read it there; the interface makes
# a dictionary with five more entries, 0.7 microseconds in place of 0.15, several times a call.
_word_at, _DATA = ctypes.c_ssize_t.from_address, object.__basicsize__


def _choose_address():
    """How the address of an array's first element is found: by its layout where that is as NumPy documents it."""
    if sys.implementation.name != "cpython":
        return _address_by_interface
    samples = [np.zeros(3), np.zeros((2, 5), np.int8)[1:, 2:], np.zeros(4)[::-1]]
    agree = all(_address_by_layout(array) == _address_by_interface(array) for array in samples)
    return _address_by_layout if agree else _address_by_interface


address_of = _choose_address()


def _set(record, **fields):
    for name, value in fields.items():
        record[name] = value


class Context:
    """What ops name: the addresses of a program's tables, and of those of its functions."""

    def __init__(self, program):
        self.tables = program.tables
        self.functions = np.array([f.address(program.dtype) for f in program.functions], np.int64)
        arrays = {"table": self.tables, "function": self.functions}
        self.record = np.array([address_of(arrays[name]) for name in NAMED], np.int64)


class OneSet:
    """Buffers for sweeping input sets one by one: of a ``Program``, or of a ``Forward``, without a gradient."""

    def __init__(self, program):
        forward, reverse = once(kernels.one_set)
        self.program = program
        self.context = Context(program)
        self.values = np.empty(program.n_slots + PADDING)
        self.values[program.n_slots :] = 1.0
        self.values[program.n_leaves : program.first_operation] = program.constants
        self.adjoints = None
        mask_operations = int(program.runs["count"][program.n_value_runs :].sum(dtype=np.int64))
        self.call = np.zeros(1, kernels.CALL)
        _set(
            self.call,
            runs=address_of(program.runs),
            n_value_runs=program.n_value_runs,
            n_runs=len(program.runs),
            operands=address_of(program.operands),
            operands_end=address_of(program.operands) + 4 * (len(program.operands) - program.mask_operands),
            lowest_output=int(program.outputs.min()),
            n_leaves=program.n_leaves,
            first_op=program.first_operation,
            first_mask=program.n_slots - mask_operations,
            n_slots=program.n_slots,
            outputs=address_of(program.outputs),
            n_outputs=len(program.outputs),
            context=address_of(self.context.record),
            values=address_of(self.values),
            forward=forward.address,
            reverse=reverse.address,
        )
        self.fields = memoryview(self.call.view(np.int64))  # by number, as those of Tiles
        self.address = address_of(self.call)

    def point(self, leaves, outputs, gradient=None, seeds=None):
        """Name the inputs and results of the next sweeps."""
        call = self.call
        call["leaf_addresses"], call["leaf_strides"], _ = leaves.pointers
        call["output_addresses"], call["output_strides"], _ = outputs.pointers
        call["gradient"] = gradient is not None
        if gradient is not None:
            if self.adjoints is None:
                self.adjoints = np.empty(self.program.n_slots + PADDING)
                self.lows = self.program.lowest_adjoints()
                call["adjoints"], call["lows"] = address_of(self.adjoints), address_of(self.lows)
            call["gradient_addresses"], call["gradient_strides"], _ = gradient.pointers
            call["seed_addresses"], call["seed_strides"], _ = (0, 0, 0) if seeds is None else seeds.pointers
        self.tables = (leaves, outputs, gradient, seeds)

    def sweep(self, start, stop):
        """Sweep the input sets ``start`` to ``stop``."""
        self.fields[_FIRST], self.fields[_LAST] = start, stop
        kernels.run(self.address)

    def join(self, claims):
        """From now on, sweep what this workspace claims."""
        claims.tell(self.fields, _FIRST)

    def sweep_claimed(self):
        """Sweep some sets that no other workspace has claimed; how many."""
        kernels.run(self.address)
        return self.fields[_SWEPT_ONE]

    def release(self):
        """Forget the caller's arrays."""
        self.tables, self.fields[_CLAIMS_ONE] = None, 0


class Single:
    """A workspace for one input set, with buffers of its own for inputs and results: nothing is set up per call."""

    def __init__(self, program, with_gradient, seeded=False):
        workspace = OneSet(program)
        n, m = program.n_leaves, len(program.outputs)
        self.inputs = np.zeros(n)
        self.results = np.empty(m + n)  # outputs, then the gradient
        leaves = Table.of(address_of(self.inputs) + 8 * np.arange(n), 0, self.inputs)
        outputs = Table.of(address_of(self.results) + 8 * np.arange(m), 0, self.results)
        gradient = Table.of(address_of(self.results) + 8 * (m + np.arange(n)), 0, self.results)
        self.seeds = np.ones(m) if seeded else None
        seeds = Table.of(address_of(self.seeds) + 8 * np.arange(m), 0, self.seeds) if seeded else None
        workspace.point(leaves, outputs, gradient if with_gradient else None, seeds)
        workspace.call["start"], workspace.call["stop"] = 0, 1
        self.workspace = workspace
        self.address = workspace.address
        self.pack = struct.Struct(f"{n}d").pack_into
        self.buffer = self.inputs.data.cast("B") if n else None


class Tiling:
    """A plan for tiles of a given size: the streams as the kernels read them. Shared by workspaces, never written."""

    def __init__(self, plan, program, tile):
        self.plan, self.program, self.tile = plan, program, tile
        self.context = Context(program)
        self.lanes = tile // program.dtype.itemsize
        self.is_single = int(program.dtype == np.float32)
        # Here, in the thread that calls, not in a helper: it answers Ctrl-C while this compiles.
        kind = self.is_single, int(tile == VECTOR)
        once(tile_kernels.drivers)
        self.forward = once(tile_kernels.along_of if plan.directions else tile_kernels.forward_of, *kind).address
        self.reverse = once(tile_kernels.reverse_of, *kind).address if plan.with_gradient else 0
        self.streams = {name: self._scaled(getattr(plan, name)) for name in ("prologue", "body", "reverse", "epilogue")}
        outputs = np.arange(len(plan.outputs))
        wanted = np.flatnonzero(plan.wanted)
        self.moved = {
            name: (np.ascontiguousarray(indices), np.ascontiguousarray(slots * tile))
            for name, indices, slots in (
                ("uniform", *plan.uniform),
                ("varying", *plan.varying),
                ("output", outputs, plan.outputs),
                ("seed", outputs[: len(outputs) * plan.with_gradient], plan.seeds),
                ("gradient", wanted, plan.gradient[wanted]),
            )
        }
        self.total_offsets, self.spread_offsets = plan.totals * tile, plan.spread * tile
        totals = np.full(plan.n_adjoints, tile_kernels.NOTHING)
        totals[plan.totals] = np.arange(len(plan.totals))
        sources = np.where(plan.finished, tile_kernels.FINISHED, totals[plan.gradient])
        self.sources = np.ascontiguousarray(sources[wanted], np.int64)
        self.idle = []

    def _scaled(self, stream):
        words = (stream.operands >> 1) * self.tile | (stream.operands & KEEP)
        return np.ascontiguousarray(stream.runs, RUN), words.astype(np.uint32)

    @property
    def n_sums(self):
        """Outputs and totals, each of which is summed over the batch."""
        return len(self.plan.outputs) + len(self.plan.totals)

    @property
    def nbytes(self):
        """Bytes of a workspace's buffers."""
        return (self.plan.n_values + self.plan.n_adjoints) * self.tile


class Tiles:
    """Buffers for sweeping a plan tile by tile."""

    def __init__(self, tiling):
        plan, tile, dtype = tiling.plan, tiling.tile, tiling.program.dtype
        self.tiling = tiling
        self.values = _aligned(plan.n_values, tile, dtype)
        self.values[plan.constants[1]] = tiling.program.constants[plan.constants[0], None]
        self.adjoints = _aligned(plan.n_adjoints, tile, dtype)
        self.adjoints[: TRASH + 1] = 0.0
        if plan.directions:
            self.values[-1] = 0.0
        record = np.zeros(1, tile_kernels.TILES)
        for name, (runs, operands) in tiling.streams.items():
            for what, value in (("runs", address_of(runs)), ("n", len(runs)), ("operands", address_of(operands))):
                record[f"{name}_{what}"] = value
        for name, (indices, offsets) in tiling.moved.items():
            fields = ("n", len(indices)), ("indices", address_of(indices)), ("offsets", address_of(offsets))
            for what, value in fields:
                record[f"{name}_{what}"] = value
        _set(
            record,
            single=tiling.is_single,
            tile=tile,
            span=tile * (1 + plan.directions) if plan.directions else 0,
            lanes=tiling.lanes,
            context=address_of(tiling.context.record),
            values=address_of(self.values),
            adjoints=address_of(self.adjoints),
            spread_n=len(plan.spread),
            spread_offsets=address_of(tiling.spread_offsets),
            n_totals=len(plan.totals),
            total_offsets=address_of(tiling.total_offsets),
            forward_kernel=tiling.forward,
            reverse_kernel=tiling.reverse,
        )
        if plan.head is not None:
            self._make_head(record)
        self.record = record
        self.fields = memoryview(record.view(np.int64))  # by number: setting a field by name costs ten times as much
        self.address = address_of(record)
        self.partials = None

    def _make_head(self, record):
        """Do the prologue as one set, from and to the first lanes of its slots."""
        plan, tile = self.tiling.plan, self.tiling.tile
        addresses = np.full(self.tiling.program.n_leaves, address_of(self.values))  # of leaves it does not read: any
        addresses[plan.uniform[0]] += plan.uniform[1] * tile
        self.head = OneSet(plan.head)
        self.head.point(
            Table.of(addresses, 0, self.values), Table.of(address_of(self.values) + plan.spread * tile, 0, self.values)
        )
        self.head.fields[_FIRST], self.head.fields[_LAST] = 0, 1
        record["head"] = self.head.address

    def point(self, leaves, outputs, gradient=None, seeds=None):
        """Name the inputs and results of the next sweeps.

        Then do what is done once a call: sweep what depends on the uniform leaves only.
        """
        fields = self.fields
        for at, table in ((_LEAF, leaves), (_OUTPUT, outputs), (_GRADIENT, gradient), (_SEED, seeds)):
            if table is not None:
                fields[at], fields[at + 1], fields[at + 2] = table.pointers
        fields[_OUTER], fields[_OUTER + 1], fields[_OUTER + 2], fields[_OUTER + 3], fields[_OUTER + 4] = (
            leaves.layout.axes
        )
        fields[_SEEDED] = seeds is not None
        self.tables = (leaves, outputs, gradient, seeds)
        tile_kernels.prepare_tiles(self.address)

    def sweep_anew(self, start, stop):
        """As :meth:`sweep`, when the numbers that the uniform leaves point at have changed."""
        tile_kernels.prepare_tiles(self.address)
        self.sweep(start, stop)

    def point_sums(self, leaves, seeds, block, blocks):
        """As :meth:`point`, for sums of the results over ``blocks`` blocks, at most, of so many sets."""
        if self.partials is None or len(self.partials) <= blocks.bit_length():
            self._make_sums(blocks.bit_length())
        fields = self.fields
        fields[_BLOCK] = block
        fields[_STEP] = 0 if block <= self.tiling.lanes else 8 * SUMS
        self.point(leaves, None, None, seeds)

    def _make_sums(self, levels):
        """Buffers for sums, of which those of ``levels`` sizes may wait; results are summed from now on."""
        plan = self.tiling.plan
        n = self.tiling.n_sums
        self.sums = _aligned(n, 8 * SUMS, np.float64)
        self.partials = np.empty((1 + levels, n))
        self.results = np.empty(len(plan.outputs) + len(self.tiling.sources))
        _set(
            self.record,
            summed=1,
            sums=address_of(self.sums),
            partials=address_of(self.partials),
            sources=address_of(self.tiling.sources),
            results=address_of(self.results),
        )

    def sweep(self, start, stop):
        """Sweep the input sets ``start`` to ``stop``."""
        self.fields[_START], self.fields[_STOP] = start, stop
        tile_kernels.run_tiles(self.address)

    def join(self, claims):
        """From now on, sweep what this workspace claims."""
        claims.tell(self.fields, _START)

    def sweep_claimed(self):
        """Sweep some sets that no other workspace has claimed; how many."""
        tile_kernels.run_tiles(self.address)
        return self.fields[_SWEPT]

    @property
    def total(self):
        """The sums over the sets of the last sweep: of the outputs, then of the plan's totals."""
        return self.partials[0]

    def finish(self):
        """From :attr:`total`, over the whole batch: the outputs, and the wanted gradients."""
        tile_kernels.finish_tiles(self.address)
        results, m = self.results.copy(), len(self.tiling.plan.outputs)
        return results[:m], results[m:]

    def release(self):
        """Forget the caller's arrays."""
        self.tables, self.fields[_CLAIMS] = None, 0


class Few:
    """A workspace for up to ``lanes`` input sets, with buffers of its own for inputs and results.

    As :class:`Single`: copying a few numbers in and out costs less than telling the kernels where they are.

    Attributes
    ----------
    inputs : ndarray (n_leaves, lanes)
        Of leaves that do not vary, the first column counts.
    results : ndarray (m + n_leaves, lanes)
        Outputs, then the gradient.
    """

    LANES = (8, 16, 32, 64, 256, 1024)  # a tile of each size, and some of the largest

    def __init__(self, program, workspace, lanes, with_gradient, varying):
        n, m = program.n_leaves, len(program.outputs)
        self.inputs = np.zeros((n, lanes))
        self.results = np.zeros((m + n, lanes))
        self.workspace = workspace
        leaves = Table.of_rows(self.inputs)
        if not varying.all():
            leaves = Table.of(leaves.addresses, np.where(varying, self.inputs.strides[1], 0), self.inputs)
        workspace.point(leaves, *map(Table.of_rows, (self.results[:m], *[self.results[m:]][:with_gradient])))
        # (0, n_sets): the first columns.
        self.sweep = workspace.sweep if varying.all() or isinstance(workspace, OneSet) else workspace.sweep_anew


def _field(name, record=tile_kernels.TILES):
    return record.names.index(name)


_LEAF, _OUTPUT, _GRADIENT, _SEED = (_field(f"{table}_addresses") for table in ("leaf", "output", "gradient", "seed"))
_OUTER, _SEEDED, _BLOCK, _STEP, _START, _STOP = map(
    _field, ("outer_n", "seeded", "block", "sums_step", "start", "stop")
)
_CLAIMS, _SWEPT = _field("claims"), _field("swept")
_FIRST, _LAST, _CLAIMS_ONE, _SWEPT_ONE = (_field(name, kernels.CALL) for name in ("start", "stop", "claims", "swept"))


def _aligned(slots, tile, dtype):
    """Uninitialised slots of ``tile`` bytes, the first at a whole vector."""
    raw = np.empty(slots * tile + VECTOR, np.uint8)
    start = -address_of(raw) % VECTOR
    return raw[start : start + slots * tile].view(dtype).reshape(slots, -1)


def kind_of(dtype):
    """The code of a type that is converted tile by tile, or None."""
    return KIND.get(dtype) if dtype.isnative else None
