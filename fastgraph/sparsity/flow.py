"""Flow: the operands along which derivatives flow, laid out for compiled sweeps. In: a ``Program``. Out: a ``Flow``.

An operation hands a derivative to the operands in its run's flags: something flows to them (a comparison or ``floor``
lets nothing through), they depend on a leaf, and an output depends on the operation. Both branches of a ``where`` are
there; masks and the runs that compute them are not differentiated.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph.errors import ArgumentError
from fastgraph.jit import adaptive_by_operands, helper
from fastgraph.ops.arrays import ARITY
from fastgraph.ops.row import MASKED
from fastgraph.sparsity.pattern import grown

WORD = 64  # leaves or outputs in one sweep: bits of the word that each slot has


@dataclass(frozen=True)
class Flow:
    """The runs of a program that compute values.

    Attributes
    ----------
    operands : uint32
    runs : tuple of int64 arrays, and int
        Per run: flags, number of operations, columns of operands (masks included). Then the first operation's slot.
    codes : int64
        Opcode of each run.
    outputs : int64
        Slots.
    wanted : int64
        The leaves that matter, ascending.
    varies : bool (n_slots,)
        Whether the slot depends on one of them. Slots of masks are left out.
    """

    operands: np.ndarray
    runs: tuple
    codes: np.ndarray
    outputs: np.ndarray
    wanted: np.ndarray
    varies: np.ndarray

    @classmethod
    def of(cls, program, wanted=None):
        """The flow of a program; ``wanted`` says which leaves matter, by default all."""
        value_runs = program.runs[: program.n_value_runs]
        codes, flags, counts = (value_runs[name].astype(np.int64) for name in ("opcode", "flags", "count"))
        columns = ARITY[codes] + (flags & MASKED != 0)
        runs = flags & (MASKED - 1), counts, columns, program.first_operation
        varies = np.zeros(program.first_operation + int(counts.sum()), np.bool_)
        varies[: program.n_leaves] = _checked(wanted, program.n_leaves)
        operands = program.operands[: int((columns * counts).sum())]
        _spread_truth(operands, varies, *runs)
        leaves = np.flatnonzero(varies[: program.n_leaves])
        return cls(operands, runs, codes, program.outputs.astype(np.int64), leaves, varies)

    def edges(self):
        """Where each slot's edges begin, and the operands that vary to which they lead."""
        return _edges(self.operands, self.varies, *self.runs)

    @property
    def n_slots(self):
        return len(self.varies)

    @property
    def n_words(self):
        """Words that the wanted leaves fill: sweeps that it takes to follow each of them."""
        return -(-len(self.wanted) // WORD)


def _checked(wanted, n_leaves):
    if wanted is None:
        return True
    if not isinstance(wanted, np.ndarray) or wanted.dtype != np.bool_ or wanted.shape != (n_leaves,):
        what = f"{wanted.dtype} of shape {wanted.shape}" if isinstance(wanted, np.ndarray) else type(wanted).__name__
        raise ArgumentError(f"wanted must be an array of bool of shape ({n_leaves},), one per leaf, not {what}")
    return wanted


@adaptive_by_operands
def _spread_truth(operands, sets, flags, counts, columns, first):
    spread(operands, sets, flags, counts, columns, first)


@helper
def spread(operands, sets, flags, counts, columns, first):
    """Forward: add to the set of each operation, empty before, those of the operands that flow to it."""
    slot, at = first, 0
    for r in range(len(counts)):
        for k in range(columns[r]):
            if flags[r] & (1 << k):
                for i in range(counts[r]):
                    sets[slot + i] |= sets[operands[at + i]]
            at += counts[r]
        slot += counts[r]


@helper
def mark(words, leaves, block):
    """Empty all words, then give each leaf of a block of ``leaves`` its bit."""
    words[:] = 0
    for bit in range(min(WORD, len(leaves) - WORD * block)):
        words[leaves[WORD * block + bit]] = np.uint64(1) << np.uint64(bit)


@adaptive_by_operands
def _edges(operands, varies, flags, counts, columns, first):
    begin = np.zeros(len(varies) + 1, np.int64)
    place = begin
    sources = np.empty(0, np.uint32)
    for fill in (False, True):
        if fill:
            for slot in range(len(varies)):
                begin[slot + 1] += begin[slot]
            sources = np.empty(begin[len(varies)], np.uint32)
            place = begin.copy()
        slot, at = first, 0
        for r in range(len(counts)):
            for k in range(columns[r]):
                if flags[r] & (1 << k):
                    for i in range(counts[r]):
                        if varies[operands[at + i]]:
                            if fill:
                                sources[place[slot + i]] = operands[at + i]
                                place[slot + i] += 1
                            else:
                                begin[slot + i + 1] += 1
                at += counts[r]
            slot += counts[r]
    return begin, sources


@helper
def visit(root, begin, targets, cursor, stack, order, n_order):
    """Depth first: append to ``order`` what can be reached from ``root`` and was not seen, targets before it.

    The cursor of a slot is its next edge, or -1 as long as the slot was not seen.
    """
    if cursor[root] >= 0:
        return n_order
    stack[0], cursor[root] = root, begin[root]
    top = 0
    while top >= 0:
        slot = stack[top]
        edge = cursor[slot]
        if edge == begin[slot + 1]:
            order[n_order] = slot
            n_order += 1
            top -= 1
            continue
        cursor[slot] = edge + 1
        target = np.int64(targets[edge])
        if cursor[target] < 0:
            top += 1
            stack[top], cursor[target] = target, begin[target]
    return n_order


@helper
def note(word, row, leaves, base, rows, columns, n):
    """Append an entry for each bit of a word: its row, and of ``leaves`` the one that the bit stands for."""
    for bit in range(WORD):
        if word >> np.uint64(bit) & np.uint64(1):
            if n == len(rows):
                rows, columns = grown(rows), grown(columns)
            rows[n], columns[n] = row, leaves[base + bit]
            n += 1
    return rows, columns, n
