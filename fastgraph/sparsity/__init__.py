"""Sparsity: which derivatives of a program can be anything but 0, and which of them one sweep can tell apart.

In: a ``Program``. Out: ``Pattern`` of the Jacobian or the Hessian, colours of its columns or rows, and the place of
each entry in the matrix that the sweeps of all colours give.
"""

from fastgraph.sparsity.coloring import (
    distance2_coloring,
    fewest_colors,
    n_colors,
    recover_columns,
    recover_rows,
    recover_star,
    star_coloring,
)
from fastgraph.sparsity.hessian import hessian_pattern
from fastgraph.sparsity.jacobian import jacobian_pattern
from fastgraph.sparsity.pattern import Pattern

__all__ = [
    "Pattern",
    "distance2_coloring",
    "fewest_colors",
    "hessian_pattern",
    "jacobian_pattern",
    "n_colors",
    "recover_columns",
    "recover_rows",
    "recover_star",
    "star_coloring",
]
