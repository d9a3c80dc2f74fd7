"""Assembly: from columns to a verified program, through the passes in order.

In: ``Columns``, recorded by a graph or derived from a program. Out: a ``Program``.
"""

import numpy as np

from fastgraph.engine.sweeper import Sweeper
from fastgraph.errors import GraphError
from fastgraph.interpreter import constant_outputs
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY, IMMEDIATE
from fastgraph.passes import branch_masks, fold, narrow, prune, simplify
from fastgraph.program import DTYPES, assemble, immediate_range


def optimised(columns, n_leaves, dtype=DTYPES[0]):
    """The program of ``columns`` after every pass: constants folded, equal nodes shared, branches masked, scheduled.

    Raises
    ------
    GraphError
        If ``dtype`` cannot hold an integer exponent.
    """
    return assemble(prune(branch_masks(simplified(columns, dtype))), n_leaves, dtype)


def simplified(columns, dtype=DTYPES[0]):
    """``columns`` with constants folded and equal nodes shared, and nothing that no output needs."""
    columns = prune(columns)
    _check_immediates(columns.rows, dtype)
    columns = fold(narrow(columns, dtype), lambda constants: evaluate_constants(constants, dtype))
    return prune(simplify(columns, dtype))


def _check_immediates(rows, dtype):
    """Refuse an immediate that lanes of ``dtype`` could not hold."""
    ranges = immediate_range(dtype)
    for code in np.flatnonzero(IMMEDIATE):
        immediates = rows[rows[:, 0] == code, 1 + ARITY[code]].astype(np.int32)
        low, high = ranges[code]
        wrong = immediates[(immediates < low) | (immediates > high)]
        if len(wrong):
            raise GraphError(
                f"{TABLE[code].name} takes an integer from {low} to {high} in {dtype}, not {wrong[0]}: "
                "compile in float64"
            )


def evaluate_constants(columns, dtype=DTYPES[0]):
    """The outputs of columns without leaves, with the bits of any other program's."""
    if dtype == np.float32:
        return constant_outputs(assemble(columns, 0, dtype)).astype(np.float64)
    single = Sweeper(assemble(columns, 0)).single(False)
    single.workspace.sweep(0, 1)
    return single.results[: len(columns.outputs)].copy()
