"""The op table. In: the rows of ``table.py``. Out: ``TABLE`` (by opcode) and ``OPS`` (by name)."""

from dataclasses import replace

from fastgraph.ops.row import MAX_ARITY, Domain, Only, Op, contribution
from fastgraph.ops.table import ROWS

TABLE = tuple(replace(row, code=code) for code, row in enumerate(ROWS))
OPS = {op.name: op for op in TABLE}

__all__ = ["MAX_ARITY", "OPS", "TABLE", "Domain", "Only", "Op", "contribution"]
