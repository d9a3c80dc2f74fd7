"""The reference interpreter: a program swept with NumPy, one operation after the other, in plain Python.

In: a ``Program`` and leaves. Out: what the kernels give, to the bit, slowly: the rules are the same rows of the op
table, run on ``NumPyMachine``, so a sweep can be stepped through in a debugger.
"""

import numpy as np

from fastgraph.ops import TABLE, contribution
from fastgraph.ops.row import MASKED
from fastgraph.reference import NumPyMachine


def operations(program):
    """Yield ``(op, slot, operands, immediate, mask, flags, is_mask)`` of every operation, in order of execution."""
    slot, at = program.first_operation, 0
    for k, (opcode, flags, immediate, count) in enumerate(program.runs.tolist()):
        op = TABLE[opcode]
        columns = op.arity + bool(flags & MASKED)
        operands = program.operands[at : at + columns * count].reshape(columns, count).T.tolist()
        for i, row in enumerate(operands):
            n = op.given(immediate, program, program.dtype)
            mask = row[op.arity] if flags & MASKED else None
            yield op, slot + i, row[: op.arity], n, mask, flags, k >= program.n_value_runs
        slot += count
        at += columns * count


def forward(program, leaves):
    """Values of every slot.

    Parameters
    ----------
    program : Program
    leaves : array_like, shape (n_leaves, ...)
        Rounded to the program's dtype.

    Returns
    -------
    list of ndarray
    """
    m = NumPyMachine(program.dtype)
    with np.errstate(over="ignore"):
        leaves = [np.atleast_1d(np.asarray(leaf, program.dtype)) for leaf in leaves]
    batch = np.broadcast_shapes((1,), *(leaf.shape for leaf in leaves))
    values = [np.broadcast_to(leaf, batch) for leaf in leaves]
    values += [np.full(batch, constant) for constant in program.constants]
    with np.errstate(all="ignore"):
        for op, _, operands, n, _, _, _ in operations(program):
            r = op.apply(m, *(values[x] for x in operands), *n)
            values.append(np.broadcast_to(m.floats(r), batch))
    return values


def constant_outputs(program):
    """Outputs of a program without leaves: run by run instead of one operation after the other, which is faster."""
    m = NumPyMachine(program.dtype)
    values = np.empty(program.n_slots, program.dtype)
    slot, at = program.first_operation, 0
    values[:slot] = program.constants
    with np.errstate(all="ignore"):
        for opcode, _, immediate, count in program.runs.tolist():
            op = TABLE[opcode]
            operands = program.operands[at : at + op.arity * count].reshape(op.arity, count)
            n = op.given(immediate, program, program.dtype)
            n = n if op.names else [np.full(count, number) for number in n]
            values[slot : slot + count] = op.apply(m, *values[operands], *n)
            slot += count
            at += op.arity * count
    return values[program.outputs]


def reverse(program, values, cotangents):
    """Adjoints of every slot, for the cotangents of the outputs, in the order in which the kernels add them up."""
    adjoints = [np.zeros(values[0].shape if values else (1,), program.dtype) for _ in values]
    for _ in contributions(program, values, cotangents, adjoints):
        pass
    return adjoints


def contributions(program, values, cotangents, adjoints):
    """Yield ``(slot, k, operand, share)`` for what each operation is about to add to the adjoint of its operand k.

    Adds it to ``adjoints``, a list of arrays of zeros, when the next one is asked for.
    """
    m = NumPyMachine(program.dtype)
    for slot, cotangent in zip(program.outputs.tolist(), cotangents, strict=True):
        adjoints[slot] = adjoints[slot] + m.floats(cotangent)
    for run in reversed(_runs(program)):
        for op, slot, operands, n, mask, flags, is_mask in reversed(run):
            if is_mask or not flags:
                continue
            with np.errstate(all="ignore"):
                partials = op.partials(m, values[slot], *(values[x] for x in operands), *n)
                shares = [contribution(m, adjoints[slot], partial) for partial in partials]
                if mask is not None:
                    shares = [None if s is None else m.where(values[mask] != 0.0, s, 0.0) for s in shares]
            for k, (x, share) in enumerate(zip(operands, shares, strict=True)):
                if share is not None and flags & (1 << k):
                    yield slot, k, x, share
                    with np.errstate(all="ignore"):
                        adjoints[x] = adjoints[x] + share


def _runs(program):
    """The operations grouped by run."""
    every = list(operations(program))
    ends = np.cumsum(program.runs["count"], dtype=np.int64).tolist()
    return [every[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def value_and_gradient(program, leaves):
    """(outputs, gradient of their sum by each leaf), as lists of arrays."""
    values = forward(program, leaves)
    outputs = [values[slot] for slot in program.outputs.tolist()]
    adjoints = reverse(program, values, [1.0] * len(outputs))
    return outputs, adjoints[: program.n_leaves]
