"""Derived programs: the derivative of a program is a program.

In: a verified ``Program``, and which leaves are differentiated by. Out: programs of tangents, Jacobians, Hessians, made
by the passes ``tangent`` and ``adjoint`` and optimised as any other. So every engine, batches, sums, threads and saved
bits serve derivatives as they serve values. One kernel knows of them, for speed: that of tangents of batches, which
sweeps the program that was differentiated (``engine.lowering.lower_along``).
"""

import numpy as np

from fastgraph.assembly import optimised, simplified
from fastgraph.engine.streams import columns_of
from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.ops import OPS
from fastgraph.ops.arrays import ARITY
from fastgraph.passes.adjoint import adjoint
from fastgraph.passes.switches import switches
from fastgraph.passes.tangent import NOTHING, UNIT, tangent

MAX_ROWS = 100_000  # of a program with an output for every entry of a Jacobian or Hessian; some 50 ms to make
# Rows of a program of the entries in a pattern for each row of what it differentiates. Sweeping along the colours costs
# 1 to 2 times that for each colour, so beyond this the colours are swept.
SPARSE_ROWS = 8


def with_tangents(program, wanted):
    """Outputs, then their tangents; after the leaves come the tangents of the ``wanted`` ones, bool (n_leaves,)."""
    columns, n_leaves = _along(program, wanted)
    return optimised(columns, n_leaves, program.dtype)


def along(program, wanted, k):
    """Outputs, then their tangents along k directions, one after the other; None if that takes too many rows.

    After the leaves come the tangents of the ``wanted`` ones in each direction.
    """
    n, count = program.n_leaves, int(wanted.sum())
    seeds = np.full((n, k), NOTHING, np.int64)
    seeds[wanted] = n + np.arange(k) * count + np.arange(count)[:, None]
    columns, _ = tangent(columns_of(program), seeds, MAX_ROWS)
    return None if columns is None else optimised(columns, n + k * count, program.dtype)


def directional(program, wanted):
    """As :func:`with_tangents`, but the tangents alone: the gradient of one is a Hessian-vector product."""
    columns, n_leaves = _along(program, wanted)
    columns = columns.change(outputs=columns.outputs[len(program.outputs) :])
    return optimised(columns, n_leaves, program.dtype)


def _along(program, wanted):
    n, count = program.n_leaves, int(wanted.sum())
    seeds = np.full((n, 1), NOTHING, np.int64)
    seeds[wanted, 0] = n + np.arange(count)
    return tangent(columns_of(program), seeds)[0], n + count


def jacobian(program, wanted, entries=None):
    """The Jacobian's entries by the ``wanted`` leaves, row by row, or some; None if that takes too many rows."""
    columns = _jacobian_columns(columns_of(program), wanted, MAX_ROWS)
    if columns is None:
        return None
    outputs = columns.outputs if entries is None else columns.outputs[entries]
    return optimised(columns.change(outputs=outputs), program.n_leaves, program.dtype)


def _jacobian_columns(columns, wanted, limit):
    """Whichever of the two modes takes fewer rows."""
    count, m = int(wanted.sum()), len(columns.outputs)
    forward = None
    if len(columns) * count <= 50 * limit:
        seeds = np.full((len(wanted), count), NOTHING, np.int64)
        seeds[wanted, np.arange(count)] = UNIT
        forward, _ = tangent(columns, seeds, limit)
    if m * len(columns) <= limit and (forward is None or m * 3 * len(columns) < len(forward)):
        reverse = _reverse_columns(columns, np.flatnonzero(wanted))
        if forward is None or len(reverse) < len(forward):
            return reverse
    if forward is None:
        return None
    entries = forward.outputs[m:].reshape(count, m).T.ravel()
    return forward.change(outputs=entries)


def _reverse_columns(columns, wrt):
    """The adjoints of nodes ``wrt``, output after output; their rows one after the other, behind those they share."""
    n, n_constants = len(columns), len(columns.constants)
    rows, constants, outputs = [columns.rows], [columns.constants], []
    moved = moved_constants = 0
    for output in columns.outputs:
        part = adjoint(columns.change(outputs=np.array([output])), wrt)
        added = part.rows[n:].copy()
        shift_operands(added, n, moved, n_constants, moved_constants)
        rows.append(added)
        constants.append(part.constants[n_constants:])
        outputs.append(np.where(part.outputs < n, part.outputs, part.outputs + moved))
        moved += len(added)
        moved_constants += len(part.constants) - n_constants
    return columns.change(np.concatenate(rows), np.concatenate(constants), np.concatenate(outputs))


def compressed_jacobian(program, seeds, recover):
    """The entries of the Jacobian at ``recover`` in its products with directions; None if that takes too many rows.

    ``seeds`` is int64 (n_leaves, k), UNIT where a leaf belongs to a direction, else NOTHING: what a direction does not
    reach costs nothing, and numbers that no entry needs are not computed.
    """
    columns = columns_of(program)
    return _compressed(columns, seeds, recover, program)


def compressed_hessian(program, wanted, seeds, recover):
    """As :func:`compressed_jacobian`, of the Hessian of the sum of the outputs by the ``wanted`` leaves.

    A product has an entry for each of these, also for those in no direction, whose rows are 0: ``recover`` counts them.
    """
    gradient = simplified(adjoint(columns_of(program), np.flatnonzero(wanted)), program.dtype)
    return _compressed(gradient, seeds, recover, program)


def _compressed(columns, seeds, recover, program):
    limit = max(MAX_ROWS, SPARSE_ROWS * len(columns))
    if seeds.size and len(columns) * seeds.shape[1] > 50 * limit:
        return None
    forward, _ = tangent(columns, seeds, limit)
    if forward is None:
        return None
    outputs = forward.outputs[len(columns.outputs) :][recover]
    return optimised(forward.change(outputs=outputs), program.n_leaves, program.dtype)


def gradient(program, wanted):
    """The gradient of the sum of the outputs by the ``wanted`` leaves."""
    columns = adjoint(columns_of(program), np.flatnonzero(wanted))
    return optimised(columns, program.n_leaves, program.dtype)


def hessian(program, wanted):
    """The entries of the Hessian of the sum of the outputs, row by row; symmetric. None as for a Jacobian."""
    if program.n_operations > MAX_ROWS:
        return None
    gradient = simplified(adjoint(columns_of(program), np.flatnonzero(wanted)), program.dtype)
    count = int(wanted.sum())
    if len(gradient) * count > 50 * MAX_ROWS:
        return None
    seeds = np.full((program.n_leaves, count), NOTHING, np.int64)
    seeds[wanted, np.arange(count)] = UNIT
    columns, _ = tangent(gradient, seeds, MAX_ROWS)
    if columns is None:
        return None
    found = columns.outputs[count:].reshape(count, count)
    below = np.tril(np.ones((count, count), np.bool_))
    columns = columns.change(outputs=np.where(below, found, found.T).ravel())
    return optimised(columns, program.n_leaves, program.dtype)


def gauss_newton_product(program, wanted):
    """JᵀJ v by the ``wanted`` leaves; after the leaves comes v. The tangents of the outputs are their adjoints."""
    m = len(program.outputs)
    columns, n_leaves = _along(program, wanted)
    values = columns.change(outputs=columns.outputs[:m])
    rows = values.rows
    leaves = np.flatnonzero(rows[:, 0] == INPUT)
    node_of = np.empty(n_leaves, np.int64)
    node_of[rows[leaves, 1]] = leaves
    columns = adjoint(values, node_of[np.flatnonzero(wanted)], columns.outputs[m:])
    return optimised(columns, n_leaves, program.dtype)


def gauss_newton(program, wanted):
    """The entries of JᵀJ, row by row, symmetric; None if that takes too many rows."""
    count, m = int(wanted.sum()), len(program.outputs)
    columns = _jacobian_columns(columns_of(program), wanted, MAX_ROWS)
    if columns is None or 2 * m * count * count > MAX_ROWS:
        return None
    entries = columns.outputs.reshape(m, count)
    is_zero = (columns.rows[:, 0] == CONSTANT) & (columns.constants[columns.rows[:, 1] % len(columns.constants)] == 0.0)
    add, mul, n = OPS["add"].code, OPS["mul"].code, len(columns)
    rows, products = [(CONSTANT, len(columns.constants), 0, 0)], np.full((count, count), n)
    for a in range(count):
        for b in range(a + 1):
            total = None
            for i in np.flatnonzero(~(is_zero[entries[:, a]] | is_zero[entries[:, b]])):
                rows.append((mul, entries[i, a], entries[i, b], 0))
                if total is not None:
                    rows.append((add, total, n + len(rows) - 1, 0))
                total = n + len(rows) - 1
            products[a, b] = products[b, a] = n if total is None else total
    rows = np.concatenate([columns.rows, np.array(rows, np.uint32)])
    columns = columns.change(rows, np.append(columns.constants, 0.0), products.ravel())
    return optimised(columns, program.n_leaves, program.dtype)


def weighted(program):
    """The sum of the outputs, each times a new leaf: the weights come after the leaves."""
    columns, m = columns_of(program), len(program.outputs)
    add, mul = OPS["add"].code, OPS["mul"].code
    n = len(columns)
    rows = np.zeros((3 * m - 1, N_COLUMNS), np.uint32)
    rows[:m, 0], rows[:m, 1] = INPUT, program.n_leaves + np.arange(m)
    rows[m : 2 * m, 0], rows[m : 2 * m, 1], rows[m : 2 * m, 2] = mul, n + np.arange(m), columns.outputs
    terms, at = list(range(n + m, n + 2 * m)), 2 * m
    while len(terms) > 1:  # a tree, as that of fg.sum
        pairs = [(a, b) for a, b in zip(terms[0::2], terms[1::2], strict=False)]
        rows[at : at + len(pairs), 0] = add
        rows[at : at + len(pairs), 1:3] = pairs
        terms = [*range(n + at, n + at + len(pairs)), *terms[2 * len(pairs) :]]
        at += len(pairs)
    columns = columns.change(np.concatenate([columns.rows, rows]), outputs=np.array(terms))
    return optimised(columns, program.n_leaves + m, program.dtype)


def switching(program):
    """A program of what decides at every corner or jump, or None without any; and the slots of those operations."""
    columns, slots = switches(columns_of(program))
    return optimised(columns, program.n_leaves, program.dtype) if len(slots) else None, slots


def shift_operands(rows, n, by, n_constants, constants_by):
    """Move, in place, what ``rows`` say of nodes from ``n`` on and of constants from ``n_constants`` on."""
    codes = rows[:, 0]
    operation = codes < len(ARITY)
    arity = np.zeros(len(rows), np.int64)
    arity[operation] = ARITY[codes[operation]]
    for k in range(1, N_COLUMNS):
        column = rows[:, k]
        column[(k <= arity) & (column >= n)] += np.uint32(by)
    column = rows[:, 1]
    column[(codes == CONSTANT) & (column >= n_constants)] += np.uint32(constants_by)
