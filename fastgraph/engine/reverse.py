"""Reverse: the steps of lowering that make the streams of a reverse sweep.

In: the rows of ``streams``, and which of them are swept. Out: an order, adjoint slots, and the words of the streams
that the kernels read. ``lowering`` joins them.
"""

import numpy as np

from fastgraph.engine.streams import CODE, FLAGS, MASK, RUN, same
from fastgraph.engine.tiles import KEEP, KEEPS, SETTLED
from fastgraph.jit import adaptive, helper
from fastgraph.ops.row import MASKED

ZERO, TRASH = 0, 1  # adjoint slots: of zeros, never written; of what nobody reads
SETTLED_OPERATIONS = 16  # of a settled run, on average: dispatch costs as much as a few operations gain
KINDS = 32  # of operations of a run: which of three operands inherits, or none, and which have received something


@adaptive
def reverse_order(rows, first, chosen, relevant, has, passes, settles):
    """The chosen operations in the order of the reverse sweep; and by operation: the operand that inherits its adjoint;
    which operands have received something before, bit by bit; and whether it is in a run that says so of all.

    Where an operation hands its adjoint on unchanged, as a sum does, to an operand that has received nothing yet, as
    ``has`` tells of each slot, there is nothing to compute: the adjoint's slot becomes the operand's. (0 + w has the
    bits of w: no adjoint is -0, because each began as 0 + something.) Those of a run that are alike in this, and in
    which operands have received something, come together: as runs of their own if the opcode ``settles`` and they are
    many, as the arms of the commonest rows want it. No adjoint sees its terms in another order: operations that share
    an operand stay in theirs.
    """
    n = len(rows)
    order, done, stop = np.empty(n, np.int64), 0, n
    heirs, keeps, settled = np.full(n, -1, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    latest = np.full(first + n, -1, np.int64)  # the operation of the run, of those so far, that hands on to a slot
    waits = np.zeros(n, np.int64)  # for so many operations of its run
    followers = np.full((n, 3), -1, np.int64)
    head, tail, ready = np.zeros(KINDS, np.int64), np.zeros(KINDS, np.int64), np.zeros(KINDS, np.int64)
    behind = np.full(n, -1, np.int64)  # the next one in a queue
    while stop > 0:
        start = stop - 1
        while start > 0 and rows[start - 1, RUN] == rows[start, RUN]:
            start -= 1
        for i in range(stop - 1, start - 1, -1):
            for k in range(3):
                if chosen[first + i] and _receives(rows, i, k, relevant) and latest[rows[i, k]] != i:
                    before = latest[rows[i, k]]
                    if before >= 0:
                        waits[i] += 1
                        for j in range(3):
                            if rows[before, j] == rows[i, k] and followers[before, j] < 0:
                                followers[before, j] = i
                                break
                    latest[rows[i, k]] = i
        for i in range(start, stop):
            for k in range(3):
                if rows[i, k] >= 0:
                    latest[rows[i, k]] = -1
        for i in range(stop - 1, start - 1, -1):
            if chosen[first + i] and waits[i] == 0:
                _enqueue(i, rows, relevant, has, passes, heirs, keeps, head, tail, ready, behind)
        kind, parts, begin = 0, 0, done
        while True:
            if not ready[kind]:
                inheriting = kind - kind % 8
                kind = inheriting + np.argmax(ready[inheriting : inheriting + 8])
                if not ready[kind]:
                    kind = np.argmax(ready)
                if not ready[kind]:
                    break
                parts += 1
            i = head[kind]
            head[kind] = behind[i]
            ready[kind] -= 1
            order[done] = i
            done += 1
            for k in range(3):
                if _receives(rows, i, k, relevant):
                    has[rows[i, k]] = True
            for k in range(3):
                j = followers[i, k]
                if j >= 0:
                    waits[j] -= 1
                    if waits[j] == 0:
                        _enqueue(j, rows, relevant, has, passes, heirs, keeps, head, tail, ready, behind)
        if settles[rows[start, CODE]] and rows[start, MASK] < 0 and done - begin >= SETTLED_OPERATIONS * parts:
            settled[order[begin:done]] = True
        stop = start
    return order[:done], heirs, keeps, settled


@helper
def _receives(rows, i, k, relevant):
    """Whether operand k of an operation is there, and receives what anybody wants."""
    return rows[i, k] >= 0 and rows[i, FLAGS] & (1 << k) != 0 and relevant[rows[i, k]]


@helper
def _enqueue(i, rows, relevant, has, passes, heirs, keeps, head, tail, ready, behind):
    """Find out what an operation inherits and keeps, and put it behind those of its kind."""
    inherits = rows[i, MASK] < 0 and rows[i, 0] != rows[i, 1]
    for k in range(3):
        if _receives(rows, i, k, relevant):
            has_some = has[rows[i, k]]
            for j in range(k):
                if rows[i, j] == rows[i, k] and _receives(rows, i, j, relevant):
                    has_some = True
            if has_some:
                keeps[i] |= 1 << k
            elif inherits and heirs[i] < 0 and passes[rows[i, CODE], k]:
                heirs[i] = k
    kind = 8 * (1 + heirs[i]) + keeps[i]
    if ready[kind]:
        behind[tail[kind]] = i
    else:
        head[kind] = i
    tail[kind] = i
    ready[kind] += 1


@adaptive
def reverse_words(
    rows, first, outputs, order, heirs, keeps, settled, relevant, values, adjoints, handed, n_adjoints, immediates,
    arity, reads,
):  # fmt: skip
    """Fields of runs, and operands, of the operations of :func:`reverse_order`; gives out slots of ``adjoints``.

    ``reads`` says of each opcode which operands, and, last, whether the result, its partials look at: others need no
    word.

    An operand that is active in the run but leads to no wanted leaf is handed to ``TRASH``: it would cost more to
    part the run. Outputs get their slots before anything else, unless they have them.
    """
    n = len(rows)
    group = np.full(n, -1, np.int64)
    sizes = np.zeros(n, np.int64)
    n_groups = total = 0
    previous = -1
    for i in order:
        is_swept = heirs[i] < 0
        for k in range(arity[rows[i, CODE]]):
            if k != heirs[i] and rows[i, FLAGS] & (1 << k) and relevant[rows[i, k]]:
                is_swept = True
        if is_swept:
            alike = previous >= 0 and heirs[i] == heirs[previous] and settled[i] == settled[previous]
            if alike and settled[i]:
                alike = keeps[i] == keeps[previous]
            if not alike or not same(rows, i, previous, immediates):
                n_groups += 1
            group[i] = n_groups - 1
            sizes[n_groups - 1] += 1
            code = rows[i, CODE]
            total += np.sum(reads[code]) + 1 + arity[code] + (1 if rows[i, MASK] >= 0 else 0)
            previous = i
    codes, numbers = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)
    flags = np.zeros(n_groups, np.int64)
    words = np.empty(total, np.int64)
    free = np.empty(n + 1, np.int64)
    n_free = at = 0
    for output in outputs:
        if relevant[output] and adjoints[output] == ZERO:
            adjoints[output] = n_adjoints
            n_adjoints += 1
    for i in order:
        if heirs[i] >= 0:
            operand = rows[i, heirs[i]]
            adjoints[operand] = adjoints[first + i]
            handed[operand] = True
        g = group[i]
        if g < 0:
            continue
        m = arity[rows[i, CODE]]
        codes[g], numbers[g] = rows[i, CODE], immediates[rows[i, RUN]]
        for k in range(m + 1):
            operand = rows[i, k] if k < m else first + i
            if reads[rows[i, CODE], k if k < m else len(reads[0]) - 1]:
                words[at] = 2 * values[operand]
                at += 1
        words[at] = 2 * adjoints[first + i]
        if settled[i]:
            flags[g] |= SETTLED
        at += 1
        for k in range(m):
            operand = rows[i, k]
            word = 2 * TRASH
            if k != heirs[i] and rows[i, FLAGS] & (1 << k) and relevant[operand]:
                flags[g] |= 1 << k
                handed[operand] = True
                kept = keeps[i] >> k & 1
                if not kept and n_free:
                    n_free -= 1
                    adjoints[operand] = free[n_free]
                elif not kept:
                    adjoints[operand] = n_adjoints
                    n_adjoints += 1
                word = 2 * adjoints[operand]
                if settled[i]:
                    flags[g] |= kept << k + KEEPS
                else:
                    word += kept * KEEP
            words[at] = word
            at += 1
        if heirs[i] < 0:
            free[n_free] = adjoints[first + i]
            n_free += 1
        if rows[i, MASK] >= 0:
            words[at] = 2 * values[rows[i, MASK]]
            flags[g] |= MASKED
            at += 1
    return codes, flags, numbers, sizes[:n_groups], words, n_adjoints
