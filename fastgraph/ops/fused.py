"""Fused rows: an operation done as one with those that compute its operands. One row a kind; rules from the table.

In: the op table. Out: rows that only forward sweeps know: numbered after the table's, never in a ``Program``. A fused
row rounds as its operations do, and has their bits; what it saves is a trip of each inner result through a slot. In a
prototype with slots in the L1 and L2 cache dot products took 0.63 of the time, random graphs of additions, subtractions
and products 0.80; with products into sums alone 0.66 and 0.96. What the engine gained is in ``docs/design.md``.
"""

from dataclasses import dataclass

from fastgraph.ops import OPS, TABLE
from fastgraph.ops.row import Op


@dataclass(frozen=True)
class Fused:
    """``outer`` of what the ``inner`` ops compute, None for an operand that is there already.

    It takes the operands of the inner ops, then outer's other one, if there is one.
    """

    outer: Op
    inner: tuple[Op | None, Op | None]
    code: int

    immediate = None
    names = ""

    @property
    def name(self):
        return "_".join([self.outer.name, *(op.name if op else "x" for op in self.inner)])

    @property
    def arity(self):
        return sum(op.arity if op else 1 for op in self.inner)

    def apply(self, m, *args):
        """The value in algebra ``m``."""
        return self.outer.apply(m, *self.operands(args, lambda op, operands: op.apply(m, *operands)))

    def operands(self, args, value):
        """Those of ``outer``, with ``value(op, operands)`` for what an inner op computes."""
        found, args = [None, None], list(args)
        for side, op in enumerate(self.inner):
            if op:
                found[side] = value(op, [args.pop(0) for _ in range(op.arity)])
        return [args.pop() if x is None else x for x in found]


_CHEAP = [OPS[name] for name in ("add", "sub", "mul")]
# Pairs. Operand 1 of a commutative op needs no row of its own: the sum or product is the same.
_KINDS = [(outer, (inner, None)) for outer in _CHEAP for inner in _CHEAP]
_KINDS += [(outer, (None, inner)) for outer in _CHEAP if not outer.commutative for inner in _CHEAP]
_N_PAIRS = len(_KINDS)
# Sums and differences of products, for which a Program's three operands are too few: the tangent of a product, and
# two terms of a sum of products.
_KINDS += [(OPS[outer], (OPS["mul"], OPS["mul"])) for outer in ("add", "sub")]
FUSED = tuple(Fused(*kind, len(TABLE) + k) for k, kind in enumerate(_KINDS))
PAIRS = FUSED[:_N_PAIRS]  # what columns and sweeps of one set know
