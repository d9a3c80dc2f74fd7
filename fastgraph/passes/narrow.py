"""Narrow: round the constants of a program to its dtype, before anything is computed from them.

In: ``Columns``. Out: ``Columns``, with the numbers that the program's slots will hold.
"""

import numpy as np


def narrow(columns, dtype):
    """Round every constant to ``dtype``: once, to nearest, to infinity where it is too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = columns.constants.astype(dtype).astype(np.float64)
    return columns.change(constants=rounded, masks=columns.masks)
