"""Reverse: the steps of lowering that make the streams of a reverse sweep.

In: the rows of ``streams``, and which of them are swept. Out: an order, adjoint slots, and the words of the streams
that the kernels read. ``lowering`` joins them.
"""

import numpy as np

from fastgraph.engine.streams import CODE, FLAGS, MASK, RUN, same
from fastgraph.engine.tiles import KEEP
from fastgraph.jit import adaptive
from fastgraph.ops.row import MASKED

ZERO, TRASH = 0, 1  # adjoint slots: of zeros, never written; of what nobody reads


@adaptive
def reverse_order(rows, first, chosen, relevant, has, passes):
    """The chosen operations in the order of the reverse sweep, and by operation the operand that inherits its adjoint.

    Where an operation hands its adjoint on unchanged, as a sum does, to an operand that has received nothing yet, as
    ``has`` tells of each slot, there is nothing to compute: the adjoint's slot becomes the operand's. (0 + w has the
    bits of w: no adjoint is -0, because each began as 0 + something.) Those of a run that do so for the same operand
    come together, so that their run has one flag less. No adjoint sees its terms in another order: an operation that
    shares an operand with another one of its run stays where it is among these.
    """
    n = len(rows)
    order = np.empty(n, np.int64)
    heirs = np.full(n, -1, np.int64)
    uses = np.zeros(first + n, np.int64)
    done, stop = 0, n
    while stop > 0:
        start = stop - 1
        while start > 0 and rows[start - 1, RUN] == rows[start, RUN]:
            start -= 1
        code, kinds = rows[start, CODE], 1
        if rows[start, MASK] < 0 and (passes[code, 0] or passes[code, 1]):
            kinds = 3
            for i in range(start, stop):
                for k in range(3):
                    if chosen[first + i] and rows[i, k] >= 0:
                        uses[rows[i, k]] += 1
            for i in range(start, stop):
                alone = True
                for k in range(3):
                    if rows[i, k] >= 0 and uses[rows[i, k]] > 1:
                        alone = False
                for k in range(2):
                    operand, can = rows[i, k], alone and heirs[i] < 0 and passes[code, k]
                    if can and rows[i, FLAGS] & (1 << k) and relevant[operand] and not has[operand]:
                        heirs[i] = k
            for i in range(start, stop):
                for k in range(3):
                    if rows[i, k] >= 0:
                        uses[rows[i, k]] = 0
        for kind in range(kinds):
            for i in range(stop - 1, start - 1, -1):
                if chosen[first + i] and heirs[i] == kind - 1:
                    order[done] = i
                    done += 1
        for i in range(start, stop):
            for k in range(3):
                if chosen[first + i] and rows[i, k] >= 0 and rows[i, FLAGS] & (1 << k):
                    has[rows[i, k]] = True
        stop = start
    return order[:done], heirs


@adaptive
def reverse_words(
    rows, first, outputs, order, heirs, relevant, values, adjoints, handed, n_adjoints, immediates, arity, reads
):
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
            if previous < 0 or heirs[i] != heirs[previous] or not same(rows, i, previous, immediates):
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
        at += 1
        for k in range(m):
            operand = rows[i, k]
            word = 2 * TRASH
            if k != heirs[i] and rows[i, FLAGS] & (1 << k) and relevant[operand]:
                flags[g] |= 1 << k
                handed[operand] = True
                if adjoints[operand] != ZERO:
                    word = 2 * adjoints[operand] + KEEP
                else:
                    if n_free:
                        n_free -= 1
                        adjoints[operand] = free[n_free]
                    else:
                        adjoints[operand] = n_adjoints
                        n_adjoints += 1
                    word = 2 * adjoints[operand]
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
