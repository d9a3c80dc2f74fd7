"""Sweeper: runs a program over input sets: plans, picks tiles, cuts a batch into chunks for threads, adds up sums.

In: a ``Program``, and tables of inputs and results. Out: results written to their addresses, or sums over the batch.
"""

from functools import cache, cached_property

import numpy as np

from fastgraph.engine import kernels, pool, single
from fastgraph.engine.emit import is_expensive
from fastgraph.engine.forward import forward_of, without_partials
from fastgraph.engine.lowering import lower, lower_along
from fastgraph.engine.shares import Claims, Tree, added_pairwise, share
from fastgraph.engine.tiles import VECTOR
from fastgraph.engine.workspace import Few, OneSet, Single, Tiles, Tiling
from fastgraph.errors import ProgramError
from fastgraph.ops import TABLE
from fastgraph.progress import reporter

# Bytes of a slot, and how many a workspace may have, without a gradient and with it, before a smaller one is chosen.
# Dispatch costs less the larger a tile is, but values should stay in the L1 cache, and what is swept in reverse well
# within the L2 cache. With AVX-512, 48 KiB of L1 and 2 MiB of L2, random graphs take, against 512 bytes throughout,
# 0.69 of the time for 1,500 operations with 256 bytes, gradients 0.82; for 10,000 operations 0.80 and 0.77 with 128.
# What fits in one vector has it: eight sets take 0.5 to 0.75 of the time of a tile of 128 bytes.
TILES = (512, 256, 128)
BUDGETS = {512: (48 << 10, 64 << 10), 256: (48 << 10, 200 << 10)}
# A tile of one vector takes as long as some sets one by one: as many as its operations cost more than those of one set.
# There a cheap operation costs 1; eight dear ones of a run, or one on a tile, DEAR; handing on the adjoint of one set's
# dear one SPILL; anything costs FIXED. Fitted to graphs of 10 to 10,000 operations, where the tile took the time of
# 1.1 to 1.8 sets, and of up to 4 where half the operations are elementary functions. A tile of more than LARGE slots
# leaves every cache: SINGLES_LARGE sets.
DEAR, SPILL, FIXED = 10, 2, 60
SINGLES_LARGE, LARGE = 2, 1 << 19
CHUNK_OPERATIONS = 10_000_000  # at once: 2 to 20 ms, so that Ctrl-C and other threads get their turn
# Cheap operations that are worth waking a thread: some 0.8 ms. Two took 1.03 of the time of one for 3 to 4 million, 0.8
# for 6 to 8.
WORTH_SHARING = 6_000_000
PIECE_OPERATIONS = 1 << 17  # that a thread claims at a time: some 20 microseconds
PIECES_OF_SUM = 16  # a thread, at least, where there are as many blocks
SEGMENT = 256  # pieces whose sums are kept at a time: a power of two
BLOCK_OPERATIONS = 1 << 21, 1 << 17  # per block of a sum: at most; at least, so that threads share a small batch
MAX_OFFSET = (1 << 32) - 1  # of a slot in a tile's buffer
SEEDED = 2  # the kind of workspace for one set that takes cotangents
FEW_BYTES = 1 << 21  # of buffers for inputs and results of a few sets
PLANS = 16  # kinds of call whose plans are kept
IDLE_BYTES = 1 << 26  # of workspaces kept for the next call


class Sweeper:
    """Runs one program; callable from many threads at once, since a workspace belongs to one call.

    ``paired`` says to do pairs of operations as one where one set is swept without a gradient, too. ``along`` is what
    the program computes values and tangents of: another one, which of its leaves are moved, and how many directions.
    """

    def __init__(self, program, paired=False, along=None):
        self.program = program
        self._paired = paired
        self._along = along
        self.run = kernels.run
        self._weight = max(1, program.n_operations)
        self._too_large = program.n_slots * TILES[-1] > MAX_OFFSET
        self._takes_singles = program.dtype == np.float64
        self.idle_singles = ([], [], [])  # without gradient, with it, and with one that takes cotangents
        self._idle_few = {}  # by lanes and the bytes of what is wanted
        self._idle_ones = []
        self._singles_by_leaves = {}
        self._tilings = {}
        self._last_sum = None, None

    def single(self, kind):
        """A workspace for one set; give it back by appending it to ``idle_singles[kind]``.

        ``kind`` is whether there is a gradient, or ``SEEDED`` for one that takes cotangents.
        """
        try:
            return self.idle_singles[kind].pop()
        except IndexError:
            return Single(self.program if kind else self._forward, kind, kind == SEEDED)

    @cached_property
    def _forward(self):
        """What one set without a gradient sweeps."""
        return forward_of(self._valued) if self._paired else self._valued

    @cached_property
    def _valued(self):
        """What is swept without a gradient."""
        return without_partials(self.program)

    def few(self, n_sets, wanted=None, varying=None):
        """A workspace for a few sets and what to call when it is not needed any more; None if they are too many.

        ``wanted`` says of each leaf whether its gradient is wanted, ``varying`` whether it varies over sets: None for
        no gradient, and if all do.
        """
        with_gradient = wanted is not None
        lanes = self._lanes_of_few[with_gradient][n_sets] if n_sets <= Few.LANES[-1] else 0
        if not lanes:
            return None
        one_by_one = lanes <= self.singles[with_gradient]
        if varying is not None and one_by_one and n_sets > 1 and self.program.n_slots <= LARGE:
            one_by_one = n_sets <= self._singles_of(varying, wanted)
            lanes = lanes if one_by_one else Few.LANES[0]
        key = lanes, with_gradient and wanted.tobytes(), varying is not None and varying.tobytes()
        idle = self._idle_few.get(key)
        if idle is None:
            while len(self._idle_few) >= 4 * PLANS:
                self._idle_few.pop(next(iter(list(self._idle_few)), None), None)
            idle = self._idle_few.setdefault(key, [])
        try:
            return idle.pop(), idle.append
        except IndexError:
            if varying is None:
                varying = np.ones(self.program.n_leaves, np.bool_)
            if one_by_one:
                workspace = OneSet(self.program if with_gradient else self._forward)
            else:
                workspace = Tiles(self.tiling(lanes, varying, wanted, False))
            return Few(self.program, workspace, lanes, with_gradient, varying), idle.append

    @cached_property
    def singles(self):
        """So many sets are swept one by one in less time than a tile takes: without a gradient, and with it."""
        least = SINGLES_LARGE if self.program.n_slots > LARGE else 1
        return [max(least, _most_singles(one, tile)) for one, tile in self._costs]

    def _singles_of(self, varying, wanted):
        """As :attr:`singles`, where some leaves do not vary and so a tile may have less to do."""
        key = varying.tobytes(), wanted is not None and wanted.tobytes()
        found = self._singles_by_leaves.get(key)
        if found is None:
            plan = self.tiling(Few.LANES[0], varying, wanted, False).plan
            one, tile = self._costs[wanted is not None]
            if plan.head is not None:
                head_of_one, head_of_tile = _costs(plan.head.runs, False)
                tile += head_of_one - head_of_tile
            found = self._singles_by_leaves[key] = max(1, _most_singles(one, tile))
        return found

    @cached_property
    def _costs(self):
        """What one set and a tile cost, without a gradient and with it."""
        forward, reverse = (np.array(_costs(self.program.runs, partials)) for partials in (False, True))
        return [(FIXED + forward).tolist(), (FIXED + forward + reverse).tolist()]

    @cached_property
    def _work(self):
        """Cheap operations that a set in a tile is worth, with moving its numbers: without a gradient, and with it."""
        n, m = self.program.n_leaves, len(self.program.outputs)
        return [tile - FIXED + n + m + n * k for k, (_, tile) in enumerate(self._costs)]

    def _threads(self, n_sets, with_gradient, limit):
        """How many threads share so many sets."""
        worth = n_sets * self._work[with_gradient] >= WORTH_SHARING
        return (limit or pool.get_num_threads()) if worth else 1

    @cached_property
    def _lanes_of_few(self):
        """By with_gradient and number of sets, the lanes of their workspace, or 0: they are too many."""
        lanes = np.zeros((2, 1 + Few.LANES[-1]), np.int64)
        if self._takes_singles:
            for row, work, singles in zip(lanes, self._work, self.singles, strict=True):
                if Few.LANES[0] * work <= WORTH_SHARING:
                    numbers = 8 * (2 * self.program.n_leaves + len(self.program.outputs))
                    for n in reversed(Few.LANES):
                        row[1 : n + 1] = n if n * numbers <= FEW_BYTES or n == Few.LANES[0] else 0
                    row[WORTH_SHARING // work + 1 :] = 0
                row[1 : singles + 1] = singles
        return lanes.tolist()

    def one_by_one(self, n_sets, with_gradient):
        """Whether so many sets are swept one by one, for which inputs must be float64."""
        return self._takes_singles and (n_sets <= self.singles[with_gradient] or self._too_large)

    # -- results of every set -----------------------------------------------------------------------------
    def sweep(self, n_sets, leaves, outputs, gradient=None, threads=None, seeds=None, progress=None):
        """Sweep ``n_sets`` input sets from and to the addresses in the tables.

        ``gradient`` has address 0 for the leaves whose gradients are not wanted, ``seeds`` for cotangents of 1.
        """
        weight = self._weight * (3 if gradient is not None else 1)
        limit = None if threads is None else pool.check_threads(threads)
        threads = self._threads(n_sets, gradient is not None, limit)
        with reporter(progress, n_sets) as report:
            if n_sets == 0:
                return
            if self.one_by_one(n_sets, gradient is not None):
                self._give_one(self._take_one())  # compiled here, where Ctrl-C is answered, not by a helper
                lanes, take, give = 1, self._take_one, self._give_one
            else:
                wanted = None if gradient is None else gradient.addresses != 0
                tiling = self.tiling(-(-n_sets // threads), leaves.varying, wanted, False)
                lanes, take, give = tiling.lanes, lambda: _take(tiling), lambda workspace: _give(tiling, workspace)
            quota = max(lanes, CHUNK_OPERATIONS // weight)

            def begin():
                workspace = take()
                workspace.point(leaves, outputs, gradient, seeds)
                return workspace

            if threads == 1 and n_sets <= quota:
                workspace = begin()
                workspace.sweep(0, n_sets)
                give(workspace)
                return
            piece = max(lanes, PIECE_OPERATIONS // weight // lanes * lanes)
            share(Claims(0, n_sets, piece, quota), threads, begin, give, report)

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
        """Sums over the batch, as float64: of the outputs (m,), and of the gradients of the wanted leaves.

        The sums are added in the order of a fixed tree, which depends on the program and ``n_sets`` only: 8 running
        sums in each block of sets, added pairwise, then the blocks pairwise.
        """
        limit = None if threads is None else pool.check_threads(threads)
        if n_sets == 0:  # an epilogue would make 0 * inf of it, and empty arrays have no number to read
            with reporter(progress, 0):
                return np.zeros(len(self.program.outputs)), np.zeros(0 if wanted is None else np.count_nonzero(wanted))
        tiling, block, quota = self._plan_of_sum(n_sets, leaves.varying, wanted)
        n_blocks = -(-n_sets // block)
        threads = 1 if n_blocks == 1 else min(self._threads(n_sets, wanted is not None, limit), n_blocks)
        blocks = n_blocks if threads == 1 else n_blocks // (PIECES_OF_SUM * threads)
        piece = block * _power_of_two(min(max(1, quota // block), blocks))
        workspaces = []

        def begin():
            try:
                return workspaces.pop()
            except IndexError:
                workspace = _take(tiling)
                workspace.point_sums(leaves, seeds, block, piece // block)
                return workspace

        with reporter(progress, n_sets) as report:
            if piece >= n_sets:
                workspaces.append(begin())
                workspaces[0].sweep(0, n_sets)
            else:
                tree = Tree()
                for start in range(0, n_sets, SEGMENT * piece):
                    stop = min(start + SEGMENT * piece, n_sets)
                    totals = np.empty((-(-(stop - start) // piece), tiling.n_sums))
                    share(Claims(start, stop, piece, quota, totals), threads, begin, workspaces.append, report)
                    tree.add(added_pairwise(totals))
                workspaces[0].total[:] = tree.total()
        results = workspaces[0].finish()
        for workspace in reversed(workspaces):  # the thread that begins first next time finds its own, in its cache
            _give(tiling, workspace)
        return results

    def _plan_of_sum(self, n_sets, varying, wanted):
        """Tiling, sets in a block, and the quota of a thread; the last answer is kept, for the next call."""
        key = n_sets, varying.tobytes(), None if wanted is None else wanted.tobytes()
        last, found = self._last_sum
        if key != last:
            block = self._block(n_sets)
            tiling = self.tiling(min(n_sets, block), varying, wanted, True)
            found = tiling, block, max(block, CHUNK_OPERATIONS // (self._weight * (1 if wanted is None else 3)))
            self._last_sum = key, found
        return found

    def _block(self, n_sets):
        """Sets in a block of a sum: a power of two, so that it is a multiple of a tile or a part of one."""
        most, least = (max(32, 1 << (n // self._weight).bit_length()) for n in BLOCK_OPERATIONS)
        block = min(8192, most)
        while block > least and n_sets < 8 * block:
            block //= 2
        return block

    # -- plans --------------------------------------------------------------------------------------------
    def tiling(self, n_sets, varying, wanted, summed):
        """The plan of a call, as :func:`lower` makes it, for tiles that suit so many sets."""
        plan_key = (varying.tobytes(), None if wanted is None else wanted.tobytes(), summed)
        tilings = self._tilings.get(plan_key)
        if tilings is None:  # two threads at once do it twice; no lock, which a fork could leave locked for ever
            while len(self._tilings) >= PLANS:
                self._tilings.pop(next(iter(list(self._tilings)), None), None)
            tilings = self._tilings.setdefault(plan_key, {None: self._plan(varying, wanted, summed)})
        plan = tilings[None]
        slots = max(plan.n_values, plan.n_adjoints)
        if slots * TILES[-1] > MAX_OFFSET:
            raise ProgramError(
                f"a tile would need {slots} slots of {TILES[-1]} bytes, but at most {MAX_OFFSET // TILES[-1]} can be "
                "addressed: in float64, without reduce, such a program is swept set by set"
            )
        tile = _tile(n_sets * self.program.dtype.itemsize, plan)
        if tile not in tilings:
            tilings.setdefault(tile, Tiling(plan, self._swept(plan), tile))
        return tilings[tile]

    def _plan(self, varying, wanted, summed):
        if wanted is None and self._along is not None:
            program, moved, directions = self._along
            n = program.n_leaves
            tangents = np.zeros(n, np.bool_)
            tangents[moved] = varying[n:].reshape(directions, -1).any(0)
            if not (tangents & ~varying[:n]).any():
                return lower_along(program, varying[:n], moved, directions)
        return lower(self.program if wanted is not None else self._valued, varying, wanted, summed)

    def _swept(self, plan):
        """The program whose plan it is."""
        if plan.directions:
            return self._along[0]
        return self.program if plan.with_gradient else self._valued


def _tile(size, plan):
    """Bytes of a slot for ``size`` bytes a slot of the whole batch."""
    if size <= VECTOR:
        return VECTOR
    for tile, budgets in BUDGETS.items():
        if tile < 2 * size and (plan.n_values + plan.n_adjoints) * tile <= budgets[plan.with_gradient]:
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


def _costs(runs, partials):
    """What the operations of ``runs`` cost in one set and in a tile, forward or, for ``partials``, reverse."""
    counts = runs["count"].astype(np.int64)
    dear = np.array([_is_dear(code, partials) for code in runs["opcode"].tolist()], np.bool_)
    spill = SPILL * counts if partials else 0
    one = np.where(dear, DEAR * -(-counts // single.WIDTH) + spill, counts).sum()
    return int(one), int(np.where(dear, DEAR, 1) @ counts)


def _most_singles(one, tile):
    return min(Few.LANES[0] - 1, int(tile / one + 0.2))


@cache
def _is_dear(opcode, partials):
    return is_expensive(TABLE[opcode], partials)


def _power_of_two(n):
    """The largest that is at most ``n``; at least 1."""
    return 1 << max(n, 1).bit_length() - 1
