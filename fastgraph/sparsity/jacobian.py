"""The pattern of a Jacobian: which leaves each output depends on. In: a ``Program``. Out: a ``Pattern``.

Sets are words of 64 bits, one per slot. Backwards, 64 outputs at a time, only the operations they depend on are
visited: time is linear where outputs are local, as in collocation, or few. Where the outputs share long histories and
the leaves are fewer, 64 leaves at a time are swept forward through the whole program. The first way is tried and given
up when it has taken as long as the second would.
"""

import numpy as np

from fastgraph.jit import adaptive, adaptive_by_operands
from fastgraph.sparsity.flow import WORD, Flow, mark, spread
from fastgraph.sparsity.pattern import Pattern, grown

# A visit takes as long as that many operations of a sweep, which reads its operands in order.
VISIT = 6


def jacobian_pattern(program, wanted=None):
    """Which derivatives of outputs by leaves may differ from 0.

    Parameters
    ----------
    program : Program
    wanted : ndarray of bool (n_leaves,), optional
        The leaves whose columns are looked at; the others stay empty.

    Returns
    -------
    Pattern
        A row per output, a column per leaf. An entry is there if a derivative flows from the output to the leaf along
        some path of operations, on whatever branch; that the contributions of several paths may cancel is not seen.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x = graph.input("x", shape=3)
    >>> graph.output(x[0] * x[1] + fg.floor(x[2]))
    >>> graph.output(fg.where(x[0] > 0.0, x[1], x[2]))
    >>> jacobian_pattern(graph.compile().program).to_dense().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    flow = Flow.of(program, wanted)
    n_leaves, n_outputs = program.n_leaves, len(flow.outputs)
    visits = flow.n_words * (flow.n_slots // VISIT + 1)
    first, sources = _edges(flow.operands, flow.varies, *flow.runs)
    done, rows, columns = _by_outputs(first, sources, flow.outputs, flow.varies, n_leaves, visits)
    if not done:
        rows, columns = _by_leaves(flow.operands, flow.n_slots, flow.outputs, flow.wanted, *flow.runs)
    return Pattern.of_pairs(rows, columns, (n_outputs, n_leaves))


@adaptive_by_operands
def _edges(operands, varies, flags, counts, columns, first):
    """Where each slot's edges begin, and the operands they lead to."""
    begin = np.zeros(len(varies) + 1, np.int64)
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


@adaptive
def _by_outputs(first, sources, outputs, varies, n_leaves, visits):
    """(whether it took no more than so many visits, rows, columns)."""
    n_slots = len(varies)
    words = np.zeros(n_slots, np.uint64)
    seen = np.zeros(n_slots, np.bool_)
    cursor = np.empty(n_slots, np.int64)  # the next edge of a slot that is on the stack
    stack = np.empty(n_slots, np.int64)
    order = np.empty(n_slots, np.int64)  # the slots visited, operands before users
    rows, columns = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = 0
    for low in range(0, len(outputs), WORD):
        n_order = 0
        for bit in range(min(WORD, len(outputs) - low)):
            output = outputs[low + bit]
            if not varies[output]:
                continue
            words[output] |= np.uint64(1) << np.uint64(bit)
            if seen[output]:
                continue
            seen[output] = True
            stack[0], cursor[output] = output, first[output]
            top = 0
            while top >= 0:
                slot = stack[top]
                edge = cursor[slot]
                if edge == first[slot + 1]:
                    order[n_order] = slot
                    n_order += 1
                    top -= 1
                    continue
                cursor[slot] = edge + 1
                source = np.int64(sources[edge])
                if not seen[source]:
                    seen[source] = True
                    top += 1
                    stack[top], cursor[source] = source, first[source]
        visits -= n_order
        if visits < 0:
            return False, rows[:0], columns[:0]
        for j in range(n_order - 1, -1, -1):
            slot = order[j]
            word = words[slot]
            words[slot] = 0
            seen[slot] = False
            for edge in range(first[slot], first[slot + 1]):
                words[sources[edge]] |= word
            if slot >= n_leaves:
                continue
            for bit in range(WORD):
                if word >> np.uint64(bit) & np.uint64(1):
                    if n == len(rows):
                        rows, columns = grown(rows), grown(columns)
                    rows[n], columns[n] = low + bit, slot
                    n += 1
    return True, rows[:n], columns[:n]


@adaptive_by_operands
def _by_leaves(operands, n_slots, outputs, wanted, flags, counts, columns, first):
    """Rows and columns."""
    words = np.empty(n_slots, np.uint64)
    rows, found = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = 0
    for block in range((len(wanted) + WORD - 1) // WORD):
        mark(words, wanted, block)
        spread(operands, words, flags, counts, columns, first)
        for row in range(len(outputs)):
            word = words[outputs[row]]
            if word == 0:
                continue
            for bit in range(WORD):
                if word >> np.uint64(bit) & np.uint64(1):
                    if n == len(rows):
                        rows, found = grown(rows), grown(found)
                    rows[n], found[n] = row, wanted[WORD * block + bit]
                    n += 1
    return rows[:n], found[:n]
