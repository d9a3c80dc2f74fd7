"""Shares: how the threads of one call divide its sets, and how their sums are added up.

In: a workspace for each thread. Out: every set swept once, by whichever thread claimed it.

The claims are made in machine code, a piece of some ten microseconds at a time, and a thread returns to Python when
none are left. A thread that asked Python for each piece would wait for the interpreter's lock, and to be woken takes
longer than a piece: two threads were slower than one up to a millisecond of work.
"""

import threading

import numpy as np

from fastgraph.engine import pool, tile_kernels
from fastgraph.engine.workspace import address_of


class Claims:
    """The sets ``start`` to ``stop``, claimed by ``piece``; a thread returns after ``quota`` sets.

    ``totals``, (pieces, n), receives the sums of each piece of a sweep that sums.
    """

    def __init__(self, start, stop, piece, quota, totals=None):
        self.start, self.stop, self.piece, self.quota, self.totals = start, stop, piece, quota, totals
        self._next = np.array([start], np.int64)

    @property
    def are_left(self):
        """Whether there is anything to claim."""
        return self._next[0] < self.stop

    def tell(self, fields, first):
        """Write to a record whose fields from number ``first`` on are ``start``, ``stop``, and those of ``SHARED``."""
        told = self.start, self.stop, address_of(self._next), self.piece, self.quota
        for at, value in enumerate(told, first):
            fields[at] = value
        if self.totals is not None:
            fields[first + len(told) + 1] = address_of(self.totals)


def share(claims, threads, begin, end, report):
    """Sweep all that can be claimed, by ``begin()`` for a workspace and ``end(workspace)`` in each of the threads.

    ``report`` how many sets are done.
    """
    turn = threading.Lock()
    done = claims.start

    def work(stop):
        nonlocal done
        workspace = None
        while claims.are_left and not stop.is_set():
            if workspace is None:
                workspace = begin()
                workspace.join(claims)
            swept = workspace.sweep_claimed()
            with turn:
                done += swept
            report(done)
        if workspace is not None:
            end(workspace)

    pool.share(work, threads)


class Tree:
    """Adds rows of sums pairwise, in an order that depends on their numbers only: a binary counter's carries."""

    def __init__(self):
        self._waiting = []

    def add(self, sums):
        """Add the next row."""
        for level, other in enumerate(self._waiting):
            if other is None:
                self._waiting[level] = sums
                return
            with np.errstate(all="ignore"):
                sums = other + sums
            self._waiting[level] = None
        self._waiting.append(sums)

    def total(self):
        """The sum of all rows: what waits for a partner that never comes joins from the last, smallest part on."""
        total = None
        with np.errstate(all="ignore"):
            for sums in self._waiting:
                if sums is not None:
                    total = sums if total is None else sums + total
        return total


def added_pairwise(rows):
    """The sum of rows as a :class:`Tree` adds them; overwrites the rows."""
    tile_kernels.add_rows(address_of(rows), *rows.shape)
    return rows[0]
