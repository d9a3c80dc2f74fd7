"""Tiles: the bodies of the sweeps over many input sets, as one LLVM ``switch`` with a loop per row in its arms.

In: the rows' rules. Out: two Numba intrinsics: a run of ``count`` operations of one opcode, forward or reverse,
for a tile of input sets.

Layout that every arm relies on (``lowering`` makes it from a verified program):

- a slot is ``tile`` bytes, a multiple of ``GROUP`` vectors, at a byte offset that is a multiple of it; buffers begin
  at a multiple of 64 bytes;
- an operation's operands are 32-bit words, one operation after the other. Forward: the offsets of the operands, then
  of the result. Reverse, in the order in which the operations are swept: the offsets of the operands' values, of the
  result's value, of the result's adjoint, then of the operands' adjoints, and of the mask's value where the run has
  the flag ``MASKED``;
- the word of an operand's adjoint has its lowest bit set if something has been added to it already: else the sweep
  writes there without reading, so that no adjoint has to be zeroed.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgraph.engine.emit import I32, I64, Arm, emit_switch, integer, is_expensive, pointers
from fastgraph.engine.lanes import F32, F64, Lanes
from fastgraph.ops import TABLE
from fastgraph.ops.fused import FUSED
from fastgraph.ops.row import MASKED, active_flag

VECTOR = 64  # bytes
GROUP = 2  # vectors a cheap rule handles at a time: half the loop's overhead, and every tile is a multiple of it
KEEP = 1  # bit of an adjoint's word: add to what is there

_I8 = ir.IntType(8)


class _TileArm(Arm):
    """An arm over tiles: words are byte offsets."""

    align = VECTOR

    def place(self, base, offset):
        return self.at(base, offset, _I8)

    def operations(self, size, body):
        """Run ``body()`` for each operation of the run; its words, ``size`` bytes of them, are at ``row``.

        One address for all words, not one for each of up to nine columns: those do not fit the registers.
        """

        def operation(i):
            self.row = self.place(self.operands, self.builder.mul(i, size))
            body()

        self.ascend(self.count, operation)

    def word(self, k):
        """Word k of the operation."""
        b = self.builder
        return b.zext(b.load(self.place(self.row, integer(4 * k)), typ=I32, align=4), I64)

    def groups(self, m, expensive, body):
        """Run ``body(offsets)`` for groups of vectors until the tile is done."""
        size = 1 if expensive else GROUP

        def group(at):
            body([self.builder.add(at, integer(VECTOR * v)) if v else at for v in range(size)])

        self.ascend(self.tile, group, step=VECTOR * size)


def _forward_arm(arm):
    op = arm.op
    m = Lanes(arm.builder, arm.width, arm.element)

    def operation():
        sources = [arm.place(arm.values, arm.word(k)) for k in range(op.arity)]
        target = arm.place(arm.values, arm.word(op.arity))

        def group(offsets):
            for at in offsets:
                xs = [arm.load(m, arm.place(source, at)) for source in sources]
                arm.store(arm.value(m, xs), arm.place(target, at))

        arm.groups(m, is_expensive(op, partials=False), group)

    arm.operations(integer(4 * (op.arity + 1)), operation)


def _reverse_arm(arm):
    b, op, n = arm.builder, arm.op, arm.op.arity
    m = Lanes(b, arm.width, arm.element)

    def operation():
        xs, r = [arm.place(arm.values, arm.word(k)) for k in range(n)], arm.place(arm.values, arm.word(n))
        w = arm.place(arm.adjoints, arm.word(n + 1))
        words = [arm.word(n + 2 + k) for k in range(n)]
        targets = [arm.place(arm.adjoints, b.and_(word, integer(~KEEP))) for word in words]
        kept = [b.icmp_unsigned("!=", b.and_(word, integer(KEEP)), integer(0)) for word in words]
        # What is not there yet is read from the slot of zeros at the beginning.
        sources = [b.select(keep, target, arm.adjoints) for keep, target in zip(kept, targets, strict=True)]

        def group(offsets):
            shares = []
            for at in offsets:
                operands = [arm.load(m, arm.place(x, at)) for x in xs]
                shares.append(arm.shares(m, arm.load(m, arm.place(w, at)), arm.load(m, arm.place(r, at)), operands))
            for k in range(n):
                if shares[0][k] is not None:
                    arm.when(arm.flag(active_flag(k)), lambda k=k: add(k, [s[k] for s in shares], offsets))

        def add(k, shares, offsets):
            for share, at in zip(arm.gate(m, shares, lambda: masks(offsets)), offsets, strict=True):
                total = arm.load(m, arm.place(sources[k], at)) + share
                arm.store(total, arm.place(targets[k], at))

        def masks(offsets):
            mask = arm.place(arm.values, arm.word(2 * n + 2))
            return [arm.load(m, arm.place(mask, at)) for at in offsets]

        arm.groups(m, is_expensive(op, partials=True), group)

    masked = b.select(arm.flag(MASKED), integer(4), integer(0))
    arm.operations(b.add(integer(4 * (2 * n + 2)), masked), operation)


def _codegen(emit_arm, element, rows):
    """Code of a run: ``(single, opcode, flags, immediate, count, operands, tile, values[, adjoints])``."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("minsize")  # as in ``single``
        _, opcode, flags, immediate, count, operands, tile, *buffers = args
        operands, *buffers = pointers(builder, operands, *buffers)
        run = {"flags": flags, "immediate": immediate, "count": count, "operands": operands, "tile": tile}
        run |= {"values": buffers[0], "adjoints": buffers[-1], "element": element}
        run["width"] = VECTOR // (8 if element is F64 else 4)
        emit_switch(builder, opcode, lambda op: emit_arm(_TileArm(builder, op, **run)), rows)
        return context.get_dummy_value()

    return codegen


# ``single`` is a literal, so that one kernel's source serves both precisions, and its closure holds nothing but
# constants: Numba's disk cache would not recognise an intrinsic in a closure from one process to the next.
@intrinsic(prefer_literal=True)
def forward_run(typingctx, single, opcode, flags, immediate, count, operands, tile, values):
    """Compute the results of one run."""
    signature = types.void(single, *[types.intp] * 7)
    return signature, _codegen(_forward_arm, F32 if single.literal_value else F64, (*TABLE, *FUSED))


@intrinsic(prefer_literal=True)
def reverse_run(typingctx, single, opcode, flags, immediate, count, operands, tile, values, adjoints):
    """Hand what the operations of one run, in order, add to the adjoints of their operands."""
    signature = types.void(single, *[types.intp] * 8)
    return signature, _codegen(_reverse_arm, F32 if single.literal_value else F64, TABLE)
