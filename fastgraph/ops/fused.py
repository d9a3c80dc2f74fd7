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
    """``outer`` of what the ``inner`` rows compute, None for an operand that is there already.

    It takes the operands of the inner rows, then outer's other one, if there is one.
    """

    outer: Op
    inner: tuple  # of Op, Fused or None
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
        return self.compose(args, lambda op, operands: op.apply(m, *operands))

    def compose(self, args, value):
        """What ``value(op, operands)`` makes of the operations, the inner ones first."""
        found, args = [None, None], list(args)
        for side, row in enumerate(self.inner):
            if row:
                own, args = args[: row.arity], args[row.arity :]
                found[side] = row.compose(own, value) if isinstance(row, Fused) else value(row, own)
        return value(self.outer, [args.pop() if x is None else x for x in found])


_CHEAP = [OPS[name] for name in ("add", "sub", "mul")]
# Pairs. Operand 1 of a commutative op needs no row of its own: the sum or product is the same.
_KINDS = [(outer, (inner, None)) for outer in _CHEAP for inner in _CHEAP]
_KINDS += [(outer, (None, inner)) for outer in _CHEAP if not outer.commutative for inner in _CHEAP]
_N_PAIRS = len(_KINDS)
# Sums and differences of products, for which a Program's three operands are too few: the tangent of a product, and
# two terms of a sum of products.
_KINDS += [(OPS[outer], (OPS["mul"], OPS["mul"])) for outer in ("add", "sub")]
FUSED = [Fused(*kind, len(TABLE) + k) for k, kind in enumerate(_KINDS)]
PAIRS = tuple(FUSED[:_N_PAIRS])  # what columns and sweeps of one set know
# The tangents of products whose factor or result was a sum or difference; and the terms of a dot product's tangent.
_BY_NAME = {row.name: row for row in FUSED}
for _outer, _inner in (
    ("add", (_BY_NAME["mul_add_x"], OPS["mul"])),
    ("add", (_BY_NAME["mul_sub_x"], OPS["mul"])),
    ("add", (_BY_NAME["add_mul_mul"], None)),
    ("sub", (_BY_NAME["add_mul_mul"], None)),
    ("sub", (None, _BY_NAME["add_mul_mul"])),
):
    FUSED.append(Fused(OPS[_outer], _inner, len(TABLE) + len(FUSED)))
FUSED = tuple(FUSED)
