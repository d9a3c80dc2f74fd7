"""The op table as arrays and numbers, for compiled code that must ask the table something. In: rows. Out: columns."""

import numpy as np

from fastgraph.ops import MAX_ARITY, TABLE

ARITY = np.array([op.arity for op in TABLE], dtype=np.int64)
IMMEDIATE = np.array([op.immediate is not None for op in TABLE], dtype=np.bool_)
COMMUTATIVE = np.array([op.commutative for op in TABLE], dtype=np.bool_)
IMMEDIATE_RANGE = np.array([op.immediate or (0, 0) for op in TABLE], dtype=np.int64)
# Whether anything flows back to operand k, and whether a zero adjoint could come out of the op as anything but zero.
FLOWS = np.array([op.flows + (False,) * (MAX_ARITY - op.arity) for op in TABLE], dtype=np.bool_)
SCALES = np.array([op.scales for op in TABLE], dtype=np.bool_)
