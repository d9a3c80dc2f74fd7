"""The op table as arrays and numbers, for compiled code that must ask the table something. In: rows. Out: columns."""

import numpy as np

from fastgraph.ops import MAX_ARITY, TABLE
from fastgraph.ops.dual import curvature
from fastgraph.ops.fused import FUSED

ARITY = np.array([op.arity for op in TABLE], dtype=np.int64)
IMMEDIATE = np.array([op.immediate is not None for op in TABLE], dtype=np.bool_)
HAS_TABLE = np.array([op.names == "table" for op in TABLE], dtype=np.bool_)
CALLS = np.array([op.names == "function" for op in TABLE], dtype=np.bool_)
COMMUTATIVE = np.array([op.commutative for op in TABLE], dtype=np.bool_)
IMMEDIATE_RANGE = np.array([op.immediate or (0, 0) for op in TABLE], dtype=np.int64)
# Whether anything flows back to operand k; whether that is the adjoint itself; whether a zero adjoint could come out of
# the op as anything but zero.
FLOWS = np.array([op.flows + (False,) * (MAX_ARITY - op.arity) for op in TABLE], dtype=np.bool_)
PASSES = np.array([op.passes + (False,) * (MAX_ARITY - op.arity) for op in TABLE], dtype=np.bool_)
SCALES = np.array([op.scales for op in TABLE], dtype=np.bool_)
# Whether the partials read the value of operand k, or, last, of the result.
READS = np.array([(*op.reads[:-1], *[False] * (MAX_ARITY - op.arity), op.reads[-1]) for op in TABLE], dtype=np.bool_)
# Whether partial k has a derivative by operand j that is not structurally 0.
SECOND = np.zeros((len(TABLE), MAX_ARITY, MAX_ARITY), dtype=np.bool_)
for _op in TABLE:
    SECOND[_op.code, : _op.arity, : _op.arity] = curvature(_op)
# Arity and immediate by opcode with the fused rows; and their opcodes by outer op and, for each of its operands, 0 or
# 1 + the opcode of what computes it, with whether its operands come second side first.
FORWARD_ARITY = np.array([op.arity for op in (*TABLE, *FUSED)], dtype=np.int64)
FORWARD_IMMEDIATE = np.concatenate([IMMEDIATE, np.zeros(len(FUSED), dtype=np.bool_)])
_N_FUSED, _N_ROWS = 1 + max(op.outer.code for op in FUSED), 1 + len(FORWARD_ARITY)
FUSES = np.full((_N_FUSED, _N_ROWS, _N_ROWS), -1, dtype=np.int64)
FLIPS = np.zeros(FUSES.shape, dtype=np.bool_)
for _row in FUSED:
    _left, _right = (0 if op is None else 1 + op.code for op in _row.inner)
    if _row.outer.commutative:
        FUSES[_row.outer.code, _right, _left], FLIPS[_row.outer.code, _right, _left] = _row.code, True
    FUSES[_row.outer.code, _left, _right], FLIPS[_row.outer.code, _left, _right] = _row.code, False
