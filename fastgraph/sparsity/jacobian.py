"""The pattern of a Jacobian: which leaves each output depends on. In: a ``Program``. Out: a ``Pattern``.

Sets are words of 64 bits, one per slot. Backwards, 64 outputs at a time, only the operations they depend on are
visited: time is linear where outputs are local, as in collocation, or few. Where the outputs share long histories and
the leaves are fewer, 64 leaves at a time are swept forward through the whole program. The first way is tried and given
up when it has taken as long as the second would.
"""

import numpy as np

from fastgraph.jit import adaptive, adaptive_by_operands
from fastgraph.sparsity.flow import WORD, Flow, mark, note, spread, visit
from fastgraph.sparsity.pattern import Pattern

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
    visits = int(flow.n_words * flow.n_slots / VISIT)
    first, sources = flow.edges()
    done, rows, columns = _by_outputs(first, sources, flow.outputs, flow.varies, n_leaves, visits)
    if not done:
        rows, columns = _by_leaves(flow.operands, flow.n_slots, flow.outputs, flow.wanted, *flow.runs)
    return Pattern.of_pairs(rows, columns, (n_outputs, n_leaves))


@adaptive
def _by_outputs(first, sources, outputs, varies, n_leaves, visits):
    """(whether it took no more than so many visits, rows, columns)."""
    n_slots = len(varies)
    numbers = np.arange(len(outputs))
    words = np.zeros(n_slots, np.uint64)
    cursor = np.full(n_slots, -1, np.int64)
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
            n_order = visit(output, first, sources, cursor, stack, order, n_order)
        visits -= n_order
        if visits < 0:
            return False, rows[:0], columns[:0]
        for j in range(n_order - 1, -1, -1):
            slot = order[j]
            word = words[slot]
            words[slot], cursor[slot] = 0, -1
            for edge in range(first[slot], first[slot + 1]):
                words[sources[edge]] |= word
            if slot < n_leaves:
                columns, rows, n = note(word, slot, numbers, low, columns, rows, n)
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
            if word != 0:
                rows, found, n = note(word, row, wanted, WORD * block, rows, found, n)
    return rows[:n], found[:n]
