"""The pattern of a Hessian: which leaves interact nonlinearly. In: a ``Program``. Out: a symmetric ``Pattern``.

Which second partials of an op can be anything but 0 is read off its row (``SECOND``). Three ways lead on:

- Pairs of slots, pushed backwards: an operation replaces itself by its operands in the pairs it belongs to, and adds
  the pairs it is nonlinear in (the nonlinear edges of Gower and Mello, "A new framework for the computation of
  Hessians", Optimization Methods and Software 27, 2012). No set of leaves is ever formed, so that a sum of 10**5 terms
  costs no more than its terms.
- Cones, 64 leaves at a time: what they reach, up to the last nonlinear operation, then what its operands interact with
  is followed back to leaves, as in a product of the Hessian with a vector. Dense blocks cost no more than sparse ones.
- The same in sweeps through the whole program, which cost least where cones are nearly all of it.

Few leaves are swept. Else each way is tried and given up when pairs become many, or cones take as long as sweeps.
"""

import numpy as np

from fastgraph.jit import adaptive, adaptive_by_operands, helper
from fastgraph.ops.arrays import SECOND
from fastgraph.sparsity.flow import WORD, Flow, mark, note, spread, visit
from fastgraph.sparsity.pattern import Pattern, buckets, grown

FEW = 4  # words of leaves up to which there is nothing to gain by choosing
PUSHES = 4  # of pairs, per slot: bands take 1 to 2, dense blocks 30
VISIT = 6  # a visit takes as long as that many operations of a sweep, which reads its operands in order


def hessian_pattern(program, wanted=None):
    """Which second derivatives of a weighted sum of the outputs may differ from 0.

    Parameters
    ----------
    program : Program
    wanted : ndarray of bool (n_leaves,), optional
        The leaves whose rows and columns are looked at; the others stay empty.

    Returns
    -------
    Pattern
        Symmetric, a row and a column per leaf. An entry is there if the two leaves reach, along paths on which
        derivatives flow, two operands (or one) in which an operation is nonlinear, on whatever branch. That terms may
        cancel, as in ``x*y - y*x``, is not seen, nor is the value of a constant or an exponent.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x = graph.input("x", shape=3)
    >>> graph.output(x[0] * x[1] + abs(x[1]) + fg.sin(x[2]))
    >>> hessian_pattern(graph.compile().program).to_dense().astype(int)
    array([[0, 1, 0],
           [1, 0, 0],
           [0, 0, 1]])
    """
    flow = Flow.of(program, wanted)
    n_leaves = program.n_leaves
    done = False
    if flow.n_words > FEW:
        done, rows, columns = _by_pairs(
            flow.operands, flow.varies, n_leaves, flow.codes, SECOND, int(PUSHES * flow.n_slots), *flow.runs
        )
        if not done:
            visits = int(2 * flow.n_words * flow.n_slots / VISIT)
            done, rows, columns = _by_cones(*_nonlinear(flow), flow.wanted, n_leaves, visits)
    if not done:
        rows, columns = _by_words(flow.operands, flow.n_slots, flow.wanted, flow.codes, SECOND, *flow.runs)
    return Pattern.of_pairs(rows, columns, (n_leaves, n_leaves))


@adaptive_by_operands
def _by_words(operands, n_slots, wanted, codes, second, flags, counts, columns, first):
    """Rows and columns, by tangents of adjoints."""
    tangents, adjoints = np.empty(n_slots, np.uint64), np.empty(n_slots, np.uint64)
    rows, found = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = 0
    for block in range((len(wanted) + WORD - 1) // WORD):
        mark(tangents, wanted, block)
        spread(operands, tangents, flags, counts, columns, first)
        adjoints[:] = 0
        slot, at = n_slots, len(operands)
        for r in range(len(counts) - 1, -1, -1):
            count = counts[r]
            slot -= count
            at -= count * columns[r]
            for k in range(columns[r]):
                if flags[r] & (1 << k):
                    for i in range(count):
                        adjoints[operands[at + k * count + i]] |= adjoints[slot + i]
                    for j in range(columns[r]):
                        if flags[r] & (1 << j) and second[codes[r], j, k]:
                            for i in range(count):
                                adjoints[operands[at + k * count + i]] |= tangents[operands[at + j * count + i]]
        for row in wanted:
            word = adjoints[row]
            if word != 0:
                rows, found, n = note(word, row, wanted, WORD * block, rows, found, n)
    return rows[:n], found[:n]


def _nonlinear(flow):
    """Edges to operands; edges to users that lead to a nonlinear operation; and edges between what interacts there."""
    first, sources = flow.edges()
    here, there = _mates(flow.operands, flow.varies, flow.codes, SECOND, *flow.runs)
    first_mate, order = buckets(here, flow.n_slots)
    useful = _leads_to(first_mate, first, sources)
    targets = np.repeat(np.arange(flow.n_slots), np.diff(first))
    kept = useful[targets]
    first_user, by_source = buckets(sources[kept].astype(np.int64), flow.n_slots)
    return first, sources, first_user, targets[kept][by_source], first_mate, there[order]


@adaptive_by_operands
def _mates(operands, varies, codes, second, flags, counts, columns, first):
    """Operands j and k of the operations whose partial k has a derivative by operand j."""
    here, there = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = at = 0
    for r in range(len(counts)):
        count = counts[r]
        for j in range(columns[r]):
            for k in range(columns[r]):
                if not flags[r] & (1 << j) or not flags[r] & (1 << k) or not second[codes[r], j, k]:
                    continue
                for i in range(count):
                    u, v = operands[at + j * count + i], operands[at + k * count + i]
                    if varies[u] and varies[v]:
                        if n == len(here):
                            here, there = grown(here), grown(there)
                        here[n], there[n] = u, v
                        n += 1
        at += count * columns[r]
    return here[:n], there[:n]


@adaptive
def _leads_to(first_mate, first, sources):
    """Whether a slot has mates, or one of its users, or of theirs, has."""
    n_slots = len(first) - 1
    useful = np.zeros(n_slots, np.bool_)
    for slot in range(n_slots - 1, -1, -1):
        useful[slot] |= first_mate[slot] < first_mate[slot + 1]
        if useful[slot]:
            for edge in range(first[slot], first[slot + 1]):
                useful[sources[edge]] = True
    return useful


@adaptive
def _by_cones(first, sources, first_user, users, first_mate, mates, wanted, n_leaves, visits):
    """(whether it took no more than so many visits, rows, columns), by tangents of adjoints where there are any."""
    n_slots = len(first) - 1
    tangents, adjoints = np.zeros(n_slots, np.uint64), np.zeros(n_slots, np.uint64)
    rising, falling = np.full(n_slots, -1, np.int64), np.full(n_slots, -1, np.int64)
    above, below, stack = np.empty(n_slots, np.int64), np.empty(n_slots, np.int64), np.empty(n_slots, np.int64)
    rows, columns = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = 0
    for base in range(0, len(wanted), WORD):
        n_above = n_below = 0
        for bit in range(min(WORD, len(wanted) - base)):
            tangents[wanted[base + bit]] = np.uint64(1) << np.uint64(bit)
            n_above = visit(wanted[base + bit], first_user, users, rising, stack, above, n_above)
        for j in range(n_above - 1, -1, -1):
            slot = above[j]
            word = tangents[slot]
            tangents[slot], rising[slot] = 0, -1
            for edge in range(first_user[slot], first_user[slot + 1]):
                tangents[users[edge]] |= word
            for edge in range(first_mate[slot], first_mate[slot + 1]):
                adjoints[mates[edge]] |= word
                n_below = visit(mates[edge], first, sources, falling, stack, below, n_below)
        visits -= n_above + n_below
        if visits < 0:
            return False, rows[:0], columns[:0]
        for j in range(n_below - 1, -1, -1):
            slot = below[j]
            word = adjoints[slot]
            adjoints[slot], falling[slot] = 0, -1
            for edge in range(first[slot], first[slot + 1]):
                adjoints[sources[edge]] |= word
            if slot < n_leaves:
                rows, columns, n = note(word, slot, wanted, base, rows, columns, n)
    return True, rows[:n], columns[:n]


@adaptive_by_operands
def _by_pairs(operands, varies, n_leaves, codes, second, pushes, flags, counts, columns, first):
    """(whether it took no more than so many pushes, rows, columns), by pairs of slots.

    A pair waits in the list of its higher slot until that slot is reached: all its users are done by then, and the
    list is complete. A list may hold a pair several times; it is looked at once.
    """
    n_slots = len(varies)
    head = np.full(n_slots, -1, np.int64)
    partner, follow = np.empty(1024, np.uint32), np.empty(1024, np.int64)
    state = np.array([-1, 0, pushes])  # a list of free places, the number of places ever used, pushes left
    met = np.full(n_slots, -1, np.int64)
    near = np.empty(n_slots, np.int64)
    slot, at = n_slots, len(operands)
    for r in range(len(counts) - 1, -1, -1):
        count, code = counts[r], codes[r]
        at -= count * columns[r]
        for i in range(count - 1, -1, -1):
            slot -= 1
            if not varies[slot] or flags[r] == 0:
                continue
            n_near, curved = _take(slot, head, partner, follow, state, met, near)
            for k in range(columns[r]):
                u = np.int64(operands[at + k * count + i])
                if not flags[r] & (1 << k) or not varies[u]:
                    continue
                for j in range(n_near):
                    partner, follow = _add(u, near[j], head, partner, follow, state)
                for j in range(k + 1):
                    v = np.int64(operands[at + j * count + i])
                    if flags[r] & (1 << j) and varies[v] and (curved or second[code, j, k]):
                        partner, follow = _add(u, v, head, partner, follow, state)
            if state[2] < 0:
                return False, near[:0], near[:0]
    return _leaf_pairs(n_leaves, head, partner, follow, state, met, near)


@helper
def _leaf_pairs(n_leaves, head, partner, follow, state, met, near):
    """What is left at the end: both (i, j) and (j, i) of every pair."""
    rows, columns = np.empty(1024, np.int64), np.empty(1024, np.int64)
    n = 0
    for leaf in range(n_leaves):
        n_near, curved = _take(leaf, head, partner, follow, state, met, near)
        while n + 2 * n_near + 1 > len(rows):
            rows, columns = grown(rows), grown(columns)
        if curved:
            rows[n], columns[n] = leaf, leaf
            n += 1
        for j in range(n_near):
            rows[n], columns[n] = leaf, near[j]
            rows[n + 1], columns[n + 1] = near[j], leaf
            n += 2
    return True, rows[:n], columns[:n]


@helper
def _take(slot, head, partner, follow, state, met, near):
    """Empty a slot's list: the number of other slots in it, put in ``near``, and whether the slot itself is in it."""
    n_near, curved = 0, False
    place = head[slot]
    while place >= 0:
        other = np.int64(partner[place])
        if other == slot:
            curved = True
        elif met[other] != slot:
            met[other] = slot
            near[n_near] = other
            n_near += 1
        after = follow[place]
        follow[place] = state[0]
        state[0] = place
        place = after
    head[slot] = -1
    return n_near, curved


@helper
def _add(u, v, head, partner, follow, state):
    """Put a pair in the list of its higher slot."""
    state[2] -= 1
    place = state[0]
    if place >= 0:
        state[0] = follow[place]
    else:
        place = state[1]
        state[1] += 1
        if place == len(partner):
            partner, follow = grown(partner), grown(follow)
    high = max(u, v)
    partner[place] = min(u, v)
    follow[place] = head[high]
    head[high] = place
    return partner, follow
