"""Columns: what the passes hand to each other.

In: what a ``Recorder`` holds. Out: immutable-by-convention arrays; a pass returns new ones.
"""

from dataclasses import dataclass

import numpy as np

NO_MASK = -1


@dataclass(frozen=True)
class Columns:
    """Nodes in an order in which operands come first.

    Attributes
    ----------
    rows : uint32 (n, 4)
        Code, then operands (and the immediate). The x of an INPUT is its leaf, of a CONSTANT its index.
    constants : float64
        Of a float32 program only numbers that are float32's, so that equal ones meet; see :func:`narrow`.
    outputs : int64
        Nodes.
    masks : int64 (n,) or None
        Per node, the node whose truth gates what it contributes to adjoints, or ``NO_MASK``.
    """

    rows: np.ndarray
    constants: np.ndarray
    outputs: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self):
        return len(self.rows)
