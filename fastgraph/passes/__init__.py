"""The passes: pure steps from a graph's columns to the pieces of a program, as machine code over flat arrays.

In: ``Columns``. Out: smaller or annotated ``Columns``, and finally a ``Schedule``. No pass changes a value by a
bit, and none recurses. What passes know of ops they read from the arrays and numbers of ``tables``.
"""

from fastgraph.passes.columns import Columns
from fastgraph.passes.flow import active_operands, branch_masks
from fastgraph.passes.fold import fold
from fastgraph.passes.narrow import narrow
from fastgraph.passes.pair import pair
from fastgraph.passes.prune import prune
from fastgraph.passes.schedule import Schedule, schedule
from fastgraph.passes.simplify import simplify

__all__ = [
    "Columns", "Schedule", "active_operands", "branch_masks", "fold", "narrow", "pair", "prune", "schedule", "simplify",
]  # fmt: skip
