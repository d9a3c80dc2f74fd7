"""Sweeper: runs a program over input sets: owns workspaces, picks tiles, cuts a batch into chunks for threads.

In: a ``Program``, and addresses and strides of inputs and results. Out: results written to those addresses.
"""

import os
import struct
import threading

import numpy as np

from fastgraph.engine import kernels, pool

TILES = (64, 32, 16, 8)  # sets per tile: whole vectors
TILE_BYTES = 768 * 1024  # values and adjoints of a tile stay in a 1 MiB L2 cache where the program allows it
SINGLES = 2  # up to this many sets are swept one by one: half a tile of the smallest size costs as much
CHUNK_OPERATIONS = 10_000_000  # per chunk: 5 to 20 ms, so that Ctrl-C and other threads get their turn
PADDING = 8  # slots after the last that a sweep may read or write as part of a vector

_first_use = threading.Lock()  # two threads would compile the kernels twice


def _forget_lock():
    global _first_use
    _first_use = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)  # whoever held it is not in the child


class Table:
    """Addresses and strides, one pair per leaf or result; holds the arrays they point into."""

    def __init__(self, addresses, strides, keep):
        self.addresses = np.ascontiguousarray(addresses, dtype=np.int64)
        self.strides = np.ascontiguousarray(strides, dtype=np.int64)
        self.keep = keep


def address_of(array):
    """Address of an array's first element."""
    return array.__array_interface__["data"][0]


class Workspace:
    """Buffers of one sweep at a time, and the CALL record that names them."""

    def __init__(self, program, tile):
        with _first_use:
            forward, reverse = kernels.sweeps(tile > 1)
        self.program = program
        self.tile = tile
        self.values = np.empty((program.n_slots + PADDING) * tile)
        self.values[program.n_slots * tile :] = 1.0
        first = program.n_leaves * tile
        self.values[first : first + len(program.constants) * tile] = np.repeat(program.constants, tile)
        self.adjoints = None
        self.call = call = np.zeros(1, kernels.CALL)
        self.lows = program.lowest_adjoints()
        mask_operations = int(program.runs["count"][program.n_value_runs :].sum(dtype=np.int64))
        mask_operands = program.mask_operands
        fields = {
            "runs": address_of(program.runs),
            "n_value_runs": program.n_value_runs,
            "n_runs": len(program.runs),
            "operands": address_of(program.operands),
            "operands_end": address_of(program.operands) + 4 * (len(program.operands) - mask_operands),
            "lows": address_of(self.lows),
            "lowest_output": int(program.outputs.min()),
            "n_leaves": program.n_leaves,
            "first_op": program.first_operation,
            "first_mask": program.n_slots - mask_operations,
            "n_slots": program.n_slots,
            "outputs": address_of(program.outputs),
            "n_outputs": len(program.outputs),
            "tile": tile,
            "values": address_of(self.values),
            "forward": forward.address,
            "reverse": reverse.address,
        }
        for name, value in fields.items():
            call[name] = value
        self.address = address_of(call)

    def need_adjoints(self):
        if self.adjoints is None:
            self.adjoints = np.empty((self.program.n_slots + PADDING) * self.tile)
            self.call["adjoints"] = address_of(self.adjoints)

    def point(self, leaves, outputs, gradient=None):
        """Name the inputs and results of the next sweeps."""
        call = self.call
        call["leaf_addresses"], call["leaf_strides"] = address_of(leaves.addresses), address_of(leaves.strides)
        call["output_addresses"], call["output_strides"] = address_of(outputs.addresses), address_of(outputs.strides)
        call["gradient"] = gradient is not None
        if gradient is not None:
            self.need_adjoints()
            call["gradient_addresses"] = address_of(gradient.addresses)
            call["gradient_strides"] = address_of(gradient.strides)
        self.tables = (leaves, outputs, gradient)

    def sweep(self, start, stop):
        self.call["start"], self.call["stop"] = start, stop
        kernels.run(self.address)


class Single:
    """A workspace for one input set, with buffers of its own for inputs and results: nothing is set up per call."""

    def __init__(self, program, with_gradient):
        workspace = Workspace(program, 1)
        n, m = program.n_leaves, len(program.outputs)
        self.inputs = np.zeros(n)
        self.results = np.empty(m + n)  # outputs, then the gradient
        zeros = np.zeros(max(n, m), np.int64)
        leaves = Table(address_of(self.inputs) + 8 * np.arange(n), zeros, self.inputs)
        outputs = Table(address_of(self.results) + 8 * np.arange(m), zeros, self.results)
        gradient = Table(address_of(self.results) + 8 * (m + np.arange(n)), zeros, self.results)
        workspace.point(leaves, outputs, gradient if with_gradient else None)
        workspace.call["start"], workspace.call["stop"] = 0, 1
        self.workspace = workspace
        self.address = workspace.address
        self.pack = struct.Struct(f"{n}d").pack_into
        self.buffer = self.inputs.data.cast("B") if n else None


class Sweeper:
    """Runs one program; callable from many threads at once, since a workspace belongs to one call."""

    def __init__(self, program):
        self.program = program
        self.run = kernels.run
        self._idle = {}
        self.idle_singles = ([], [])  # without and with gradient

    def single(self, with_gradient):
        """A workspace for one set; give it back by appending it to ``idle_singles[with_gradient]``."""
        try:
            return self.idle_singles[with_gradient].pop()
        except IndexError:
            return Single(self.program, with_gradient)

    def sweep(self, n_sets, leaves, outputs, gradient=None, threads=None):
        """Sweep ``n_sets`` input sets from and to the addresses in the tables."""
        threads = pool.available_threads() if threads is None else pool.check_threads(threads)
        if n_sets == 0:
            return
        tile = self._tile(n_sets, gradient is not None)
        weight = max(1, self.program.n_operations) * (3 if gradient is not None else 1)
        chunk = max(tile, CHUNK_OPERATIONS // weight // tile * tile)
        n_chunks = -(-n_sets // chunk)
        if n_chunks < 4 * threads and n_sets * weight > 400_000:  # enough for every thread to be worth waking
            chunk = max(tile, -(-n_sets // (4 * threads) // tile) * tile)
            n_chunks = -(-n_sets // chunk)
        threads = min(threads, n_chunks)
        starts = iter(range(0, n_sets, chunk))
        turn = threading.Lock()

        def work(stop):
            workspace = None
            while not stop.is_set():
                with turn:
                    start = next(starts, None)
                if start is None:
                    break
                if workspace is None:
                    workspace = self._workspace(tile)
                    workspace.point(leaves, outputs, gradient)
                workspace.sweep(start, min(start + chunk, n_sets))
            if workspace is not None:
                workspace.tables = None
                self._idle.setdefault(tile, []).append(workspace)

        pool.share(work, threads)

    def _tile(self, n_sets, with_gradient):
        if n_sets <= SINGLES:
            return 1
        per_set = 8 * self.program.n_slots * (2 if with_gradient else 1)
        for tile in TILES:
            if tile < 2 * n_sets and tile * per_set <= TILE_BYTES:
                return tile
        return TILES[-1]

    def _workspace(self, tile):
        try:
            return self._idle.setdefault(tile, []).pop()
        except IndexError:
            return Workspace(self.program, tile)
