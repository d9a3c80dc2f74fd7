"""Forward: a program as one set sweeps it where nobody asks for a gradient, with pairs of operations done as one.

In: a verified ``Program``. Out: arrays of the same layout. From tangents of arithmetic a third of the operations
vanish, from those of elementary functions a fifth, and a sweep takes 0.8 of the time. Values by themselves gain less,
from nothing to 0.8 of the time, and would pay with a second copy of the program: this is for derived programs.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph.engine.streams import columns_of
from fastgraph.ops import OPS
from fastgraph.ops.arrays import ARITY
from fastgraph.ops.row import MAX_ARITY
from fastgraph.passes import pair, prune, schedule
from fastgraph.program import PADDING, assemble, runs_of

SMALL = 256  # operations: below, nothing is gained


@dataclass(frozen=True, eq=False)
class Forward:
    """What :class:`OneSet` reads of a ``Program``, which is named as there; the opcodes are those of rows and pairs."""

    n_leaves: int
    constants: np.ndarray
    tables: np.ndarray
    functions: tuple
    runs: np.ndarray
    operands: np.ndarray
    outputs: np.ndarray
    mask_operands = 0
    dtype = np.dtype(np.float64)

    @property
    def n_value_runs(self):
        return len(self.runs)

    @property
    def first_operation(self):
        return self.n_leaves + len(self.constants)

    @property
    def n_slots(self):
        return self.first_operation + int(self.runs["count"].sum(dtype=np.int64))


def without_partials(program):
    """The program without the partial derivatives that it computes of custom ops: for sweeps without a gradient."""
    code = OPS["with_partial"].code
    if not (program.runs["opcode"] == code).any():
        return program
    columns = columns_of(program)
    stands_for = np.arange(len(columns))
    for node in np.flatnonzero(columns.rows[:, 0] == code).tolist():
        stands_for[node] = stands_for[columns.rows[node, 1]]
    rows = columns.rows.copy()
    arity = np.append(ARITY, 0)[np.minimum(rows[:, 0], len(ARITY))]
    for k in range(MAX_ARITY):
        used = k < arity
        rows[used, 1 + k] = stands_for[rows[used, 1 + k]]
    columns = prune(columns.change(rows, outputs=stands_for[columns.outputs]))
    return assemble(columns, program.n_leaves, program.dtype)


def forward_of(program):
    """What one set without a gradient sweeps: a ``Forward``, or the program itself."""
    if program.n_operations < SMALL:
        return program
    columns = pair(columns_of(program))
    plan = schedule(columns, program.n_leaves)
    operands, outputs = plan.operands.astype(np.uint32), plan.outputs.astype(np.uint32)
    padded = np.concatenate([operands, np.zeros(PADDING, np.uint32)])
    runs, named = runs_of(plan), (program.tables, program.functions)
    return Forward(program.n_leaves, columns.constants, *named, runs, padded[: len(operands)], outputs)
