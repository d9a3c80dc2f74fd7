"""Sweeper: runs a program over input sets: plans, picks tiles, cuts a batch into chunks for threads, adds up sums.

In: a ``Program``, and tables of inputs and results. Out: results written to their addresses, or sums over the batch.
"""

import threading

import numpy as np

from fastgraph.engine import kernels, pool
from fastgraph.engine.lowering import lower
from fastgraph.engine.workspace import Few, OneSet, Single, Tiles, Tiling
from fastgraph.errors import ProgramError
from fastgraph.progress import reporter

# Bytes of a slot, and how many a workspace may take before a smaller one is chosen. Dispatch costs less the larger
# a tile is, and up to 512 bytes nothing is lost where it leaves the L2 cache: larger ones cost 10 to 90 % more.
TILES = (512, 256, 128)
WORKSPACE_BYTES = 1 << 26
# Up to so many sets are swept one by one: a tile of the smallest size costs as much. With the gradient of a program of
# so many slots, whose tile would leave every cache, more of them.
SINGLES, SINGLES_LARGE, LARGE = 2, 8, 1 << 15
CHUNK_OPERATIONS = 10_000_000  # per chunk: 2 to 20 ms, so that Ctrl-C and other threads get their turn
WORTH_SHARING = 400_000  # operations: some 0.1 ms, several times what it takes to wake a thread
BLOCK_OPERATIONS = 1 << 21, 1 << 17  # per block of a sum: at most; at least, so that threads share a small batch
MAX_OFFSET = (1 << 32) - 1  # of a slot in a tile's buffer
SEEDED = 2  # the kind of workspace for one set that takes cotangents
PLANS = 16  # kinds of call whose plans are kept
IDLE_BYTES = 1 << 26  # of workspaces kept for the next call


class Sweeper:
    """Runs one program; callable from many threads at once, since a workspace belongs to one call."""

    def __init__(self, program):
        self.program = program
        self.run = kernels.run
        self._weight = max(1, program.n_operations)
        self._too_large = program.n_slots * TILES[-1] > MAX_OFFSET
        self._takes_singles = program.dtype == np.float64
        self.idle_singles = ([], [], [])  # without gradient, with it, and with one that takes cotangents
        self._idle_few = {}  # by lanes and the bytes of what is wanted
        self._idle_ones = []
        self._tilings = {}

    def single(self, kind):
        """A workspace for one set; give it back by appending it to ``idle_singles[kind]``.

        ``kind`` is whether there is a gradient, or ``SEEDED`` for one that takes cotangents.
        """
        try:
            return self.idle_singles[kind].pop()
        except IndexError:
            return Single(self.program, kind, kind == SEEDED)

    def few(self, n_sets, wanted=None):
        """A workspace for a few sets and what to call when it is not needed any more; None if they are too many.

        ``wanted`` says of each leaf whether its gradient is wanted; None for no gradient.
        """
        weight = self._weight * (3 if wanted is not None else 1)
        lanes = next((n for n in Few.LANES if n_sets <= n), None)
        if not self._takes_singles or lanes is None or max(n_sets, Few.LANES[0]) * weight > WORTH_SHARING:
            return None
        idle = self._idle_few.setdefault((lanes, None if wanted is None else wanted.tobytes()), [])
        try:
            return idle.pop(), idle.append
        except IndexError:
            varying = np.ones(self.program.n_leaves, np.bool_)
            return Few(self.program, self._tiling(lanes, varying, wanted, False), lanes), idle.append

    def one_by_one(self, n_sets, with_gradient):
        """Whether so many sets are swept one by one, for which inputs must be float64."""
        if not self._takes_singles:
            return False
        large = with_gradient and self.program.n_slots > LARGE
        return n_sets <= (SINGLES_LARGE if large else SINGLES) or self._too_large

    # -- results of every set -----------------------------------------------------------------------------
    def sweep(self, n_sets, leaves, outputs, gradient=None, threads=None, seeds=None, progress=None):
        """Sweep ``n_sets`` input sets from and to the addresses in the tables.

        ``gradient`` has address 0 for the leaves whose gradients are not wanted, ``seeds`` for cotangents of 1.
        """
        weight = self._weight * (3 if gradient is not None else 1)
        limit = None if threads is None else pool.check_threads(threads)
        threads = 1 if n_sets * weight < WORTH_SHARING else limit or pool.get_num_threads()
        with reporter(progress, n_sets) as report:
            if n_sets == 0:
                return
            if self.one_by_one(n_sets, gradient is not None):
                self._give_one(self._take_one())  # compiled here, where Ctrl-C is answered, not by a helper
                lanes, take, give = 1, self._take_one, self._give_one
            else:
                wanted = None if gradient is None else gradient.addresses != 0
                tiling = self._tiling(-(-n_sets // threads), leaves.varying, wanted, False)
                lanes, take, give = tiling.lanes, lambda: _take(tiling), lambda workspace: _give(tiling, workspace)
            chunk = max(lanes, CHUNK_OPERATIONS // weight // lanes * lanes)
            if threads > 1 and n_sets < 4 * threads * chunk:
                chunk = max(lanes, -(-n_sets // (4 * threads) // lanes) * lanes)
            n_chunks = -(-n_sets // chunk)

            def begin():
                workspace = take()
                workspace.point(leaves, outputs, gradient, seeds)
                return workspace

            def sweep(workspace, start, stop):
                workspace.sweep(start, stop)

            _share(n_sets, chunk, min(threads, n_chunks), begin, sweep, give, report)

    def _take_one(self):
        try:
            return self._idle_ones.pop()
        except IndexError:
            return OneSet(self.program)

    def _give_one(self, workspace):
        workspace.release()
        self._idle_ones.append(workspace)

    # -- sums over the batch ------------------------------------------------------------------------------
    def sum(self, n_sets, leaves, wanted=None, threads=None, seeds=None, progress=None):
        """Sums over the batch, as float64: of the outputs (m,), and of the gradient of every leaf (n_leaves,) or None.

        The sums are added in the order of a fixed tree, which depends on the program and ``n_sets`` only: 8 running
        sums in each block of sets, added pairwise, then the blocks pairwise.
        """
        threads = pool.get_num_threads() if threads is None else pool.check_threads(threads)
        m, n = len(self.program.outputs), self.program.n_leaves
        if n_sets == 0:  # an epilogue would make 0 * inf of it, and empty arrays have no number to read
            with reporter(progress, 0):
                return np.zeros(m), None if wanted is None else np.zeros(n)
        block = self._block(n_sets)
        tiling = self._tiling(min(n_sets, block), leaves.varying, wanted, True)
        tree = _Tree()

        def begin():
            workspace = _take(tiling)
            workspace.point(leaves, seeds=seeds)
            return workspace

        def sweep(workspace, start, stop):
            with np.errstate(all="ignore"):
                tree.add(start // block, workspace.sums_of(start, stop))

        with reporter(progress, n_sets) as report:
            n_blocks = -(-n_sets // block)
            threads = min(threads, n_blocks)
            _share(n_sets, block, threads, begin, sweep, lambda workspace: _give(tiling, workspace), report)
        with np.errstate(all="ignore"):
            total = tree.total()
        total[np.isnan(total)] = np.nan
        if wanted is None:
            return total, None
        gradient = tiling.gradient_from(total[m:])
        if len(tiling.plan.epilogue.runs):
            workspace = begin()
            workspace.finish(total[m:], gradient)
            _give(tiling, workspace)
        gradient[np.isnan(gradient)] = np.nan
        return total[:m], gradient

    def _block(self, n_sets):
        """Sets in a block of a sum: a power of two, so that it is a multiple of a tile or a part of one."""
        most, least = (max(32, 1 << (n // self._weight).bit_length()) for n in BLOCK_OPERATIONS)
        block = min(8192, most)
        while block > least and n_sets < 8 * block:
            block //= 2
        return block

    # -- plans --------------------------------------------------------------------------------------------
    def _tiling(self, n_sets, varying, wanted, summed):
        plan_key = (varying.tobytes(), None if wanted is None else wanted.tobytes(), summed)
        tilings = self._tilings.get(plan_key)
        if tilings is None:  # two threads at once do it twice; no lock, which a fork could leave locked for ever
            while len(self._tilings) >= PLANS:
                self._tilings.pop(next(iter(list(self._tilings)), None), None)
            tilings = self._tilings.setdefault(plan_key, {None: lower(self.program, varying, wanted, summed)})
        plan = tilings[None]
        slots = max(plan.n_values, plan.n_adjoints)
        if slots * TILES[-1] > MAX_OFFSET:
            raise ProgramError(
                f"a tile would need {slots} slots of {TILES[-1]} bytes, but at most {MAX_OFFSET // TILES[-1]} can be "
                "addressed: in float64, without reduce, such a program is swept set by set"
            )
        tile = _tile(n_sets * self.program.dtype.itemsize, plan)
        if tile not in tilings:
            tilings.setdefault(tile, Tiling(plan, self.program, tile))
        return tilings[tile]


def _tile(size, plan):
    """Bytes of a slot for ``size`` bytes a slot of the whole batch."""
    slots = plan.n_values + plan.n_adjoints
    for tile in TILES:
        if tile < 2 * size and slots * tile <= WORKSPACE_BYTES:
            return tile
    return TILES[-1]


def _take(tiling):
    try:
        return tiling.idle.pop()
    except IndexError:
        return Tiles(tiling)


def _give(tiling, workspace):
    workspace.release()
    if (len(tiling.idle) + 1) * tiling.nbytes <= IDLE_BYTES:
        tiling.idle.append(workspace)


def _share(n_sets, chunk, threads, begin, sweep, give, report):
    """``sweep`` all chunks, each with the workspace of its thread; ``report`` how many sets are done."""
    if chunk >= n_sets:
        workspace = begin()
        sweep(workspace, 0, n_sets)
        give(workspace)
        return
    starts = iter(range(0, n_sets, chunk))
    turn = threading.Lock()
    done = 0

    def work(stop):
        nonlocal done
        workspace = None
        while not stop.is_set():
            with turn:
                start = next(starts, None)
            if start is None:
                break
            if workspace is None:
                workspace = begin()
            end = min(start + chunk, n_sets)
            sweep(workspace, start, end)
            with turn:
                done += end - start
            report(done)
        if workspace is not None:
            give(workspace)

    pool.share(work, threads)


class _Tree:
    """Adds blocks pairwise as they come, in an order that depends on their numbers only."""

    def __init__(self):
        self._waiting = {}
        self._lock = threading.Lock()

    def add(self, number, sums):
        level = 0
        while True:
            with self._lock:
                other = self._waiting.pop((level, number ^ 1), None)
                if other is None:
                    self._waiting[level, number] = sums
                    return
            sums = other + sums if number & 1 else sums + other
            level, number = level + 1, number >> 1

    def total(self):
        """The sum of all blocks: what waits for a partner that never comes joins from the last, smallest part on."""
        total = None
        for _, sums in sorted(self._waiting.items()):
            total = sums if total is None else sums + total
        return total
