"""Fused pairs: two operations done as one where the first has a single use. One row a pair; rules come from the table.

In: the op table. Out: rows that only the forward sweep of a tile knows: numbered after the table's, never in a
``Program``. A pair rounds twice, as its two operations do, and has their bits; what it saves is a trip of the
result between them through a slot. In a prototype with slots in the L1 and L2 cache dot products took 0.63 of the time,
random graphs of additions, subtractions and products 0.80; with products into sums alone 0.66 and 0.96. What the
engine gained is in ``docs/design.md``.
"""

from dataclasses import dataclass

from fastgraph.ops import OPS, TABLE
from fastgraph.ops.row import Op


@dataclass(frozen=True)
class Pair:
    """``outer`` with operand ``side`` computed by ``inner``: takes inner's operands, then outer's other one."""

    inner: Op
    outer: Op
    side: int
    code: int

    immediate = None

    @property
    def name(self):
        return f"{self.outer.name}_{self.inner.name}_{self.side}"

    @property
    def arity(self):
        return self.inner.arity + self.outer.arity - 1

    def apply(self, m, *args):
        """The value in algebra ``m``."""
        within, (other,) = args[: self.inner.arity], args[self.inner.arity :]
        inner = self.inner.apply(m, *within)
        return self.outer.apply(m, *((inner, other) if self.side == 0 else (other, inner)))


# Operand 1 of a commutative op needs no row of its own: the sum or product is the same.
_PAIRS = [(inner, outer, 0) for outer in ("add", "sub", "mul") for inner in ("add", "sub", "mul")]
_PAIRS += [(inner, "sub", 1) for inner in ("add", "sub", "mul")]
FUSED = tuple(Pair(OPS[inner], OPS[outer], side, len(TABLE) + k) for k, (inner, outer, side) in enumerate(_PAIRS))
