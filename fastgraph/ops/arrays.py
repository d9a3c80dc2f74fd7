"""The op table as arrays and numbers, for compiled code that must ask the table something. In: rows. Out: columns."""

import numpy as np

from fastgraph.ops import MAX_ARITY, TABLE
from fastgraph.ops.dual import curvature
from fastgraph.ops.fused import FUSED

ARITY = np.array([op.arity for op in TABLE], dtype=np.int64)
IMMEDIATE = np.array([op.immediate is not None for op in TABLE], dtype=np.bool_)
COMMUTATIVE = np.array([op.commutative for op in TABLE], dtype=np.bool_)
IMMEDIATE_RANGE = np.array([op.immediate or (0, 0) for op in TABLE], dtype=np.int64)
# Whether anything flows back to operand k, and whether a zero adjoint could come out of the op as anything but zero.
FLOWS = np.array([op.flows + (False,) * (MAX_ARITY - op.arity) for op in TABLE], dtype=np.bool_)
SCALES = np.array([op.scales for op in TABLE], dtype=np.bool_)
# Whether the partials read the value of operand k, or, last, of the result.
READS = np.array([(*op.reads[:-1], *[False] * (MAX_ARITY - op.arity), op.reads[-1]) for op in TABLE], dtype=np.bool_)
# Whether partial k has a derivative by operand j that is not structurally 0.
SECOND = np.zeros((len(TABLE), MAX_ARITY, MAX_ARITY), dtype=np.bool_)
for _op in TABLE:
    SECOND[_op.code, : _op.arity, : _op.arity] = curvature(_op)
# Arity and immediate by opcode with the fused pairs, and their opcodes by inner op, outer op and operand.
FORWARD_ARITY = np.array([op.arity for op in (*TABLE, *FUSED)], dtype=np.int64)
FORWARD_IMMEDIATE = np.concatenate([IMMEDIATE, np.zeros(len(FUSED), dtype=np.bool_)])
PAIRS = np.full((len(TABLE), len(TABLE), 2), -1, dtype=np.int64)
for _pair in FUSED:
    PAIRS[_pair.inner.code, _pair.outer.code, _pair.side] = _pair.code
    if _pair.outer.commutative:
        PAIRS[_pair.inner.code, _pair.outer.code, 1] = _pair.code
