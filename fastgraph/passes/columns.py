"""Columns: what the passes hand to each other.

In: what a ``Recorder`` holds. Out: immutable-by-convention arrays; a pass returns new ones.
"""

from dataclasses import dataclass, field

import numpy as np

from fastgraph.lines import Lines

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
    tables : float64
    functions : tuple
        As of a ``Program``: passes hand them on as they are.
    lines : Lines or None
        The places in the user's source that nodes were recorded at, where the graph traced them.
    """

    rows: np.ndarray
    constants: np.ndarray
    outputs: np.ndarray
    masks: np.ndarray | None = None
    tables: np.ndarray = field(default_factory=lambda: np.empty(0))
    functions: tuple = ()
    lines: Lines | None = None

    def change(self, rows=None, constants=None, outputs=None, masks=None, renamed=None):
        """These columns with other rows, constants or outputs; without masks, unless they are given.

        ``renamed`` says what became of each node, -1 for nothing: lines follow it. With other rows and without it, a
        pass does not know, and there are none.
        """
        lines = self.lines
        if lines is not None and rows is not None:
            lines = None if renamed is None else lines.moved(renamed, len(rows))
        rows, constants, outputs = (
            old if new is None else new
            for old, new in ((self.rows, rows), (self.constants, constants), (self.outputs, outputs))
        )
        return Columns(rows, constants, outputs, masks, self.tables, self.functions, lines)

    def __len__(self):
        return len(self.rows)
