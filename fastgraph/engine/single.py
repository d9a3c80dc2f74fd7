"""One input set: the bodies of its sweeps, as one LLVM ``switch`` over opcodes with a loop per row in its arms.

In: the rows' rules. Out: two Numba intrinsics: a *run* of ``count`` operations of one opcode, forward or reverse.

Layout that every arm relies on (``program.verify`` proves it before anything runs):

- slots are doubles at ``values + slot``;
- a run's results are the consecutive slots ``first, first + 1, …``; its operands are ``arity`` columns of
  ``count`` 32-bit slots, one after the other, and a column of masks where the run has the flag ``MASKED``;
- the operations of a run do not depend on each other, and every operand is a slot below ``first``.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgraph.engine.emit import F64, I32, I64, POINTER, Arm, emit_switch, integer, is_expensive, pointers
from fastgraph.engine.lanes import Lanes
from fastgraph.engine.values import Floats
from fastgraph.ops import TABLE
from fastgraph.ops.fused import PAIRS
from fastgraph.ops.row import MAX_ARITY, active_flag

WIDTH = 8


# Cheap rules run one operation at a time: gathering operands into vectors costs more than their arithmetic.
# Rules with elementary functions, divisions or roots run WIDTH operations of the run at a time. The lanes past the
# end of a run compute on whatever slots the next columns name: buffers are padded for that, forward results land in
# slots that are not computed yet, and reverse shares of such lanes are not added.
def _forward_arm(arm):
    op = arm.op
    m = Lanes(arm.builder, WIDTH if is_expensive(op, partials=False) else 1)

    def body(i):
        xs = [_operand_lanes(arm, m, k, i) for k in range(op.arity)]
        arm.store(arm.value(m, xs), arm.at(arm.results, i))

    arm.ascend(arm.count, body, step=m.width)


def _reverse_arm(arm):
    b, op = arm.builder, arm.op
    m = Lanes(b, WIDTH if is_expensive(op, partials=True) else 1)
    one = Lanes(b, 1)

    def add(i, shares):
        for k, share in enumerate(shares):
            if share is not None:
                arm.when(arm.flag(active_flag(k)), lambda k=k, share=share: add_one(i, k, share()))

    def add_one(i, k, share):
        target = arm.at(arm.adjoints, arm.word(k, i))
        (share,) = arm.gate(one, [share], lambda: [arm.load(one, arm.at(arm.values, arm.word(op.arity, i)))])
        arm.store(arm.load(one, target) + share, target)

    def body(i):
        xs = [_operand_lanes(arm, m, k, i) for k in range(op.arity)]
        r, w = arm.load(m, arm.at(arm.results, i)), arm.load(m, arm.at(arm.weights, i))
        shares = arm.shares(m, w, r, xs)
        if m.width == 1:
            add(i, [None if share is None else lambda share=share: share for share in shares])
            return
        for k, share in enumerate(shares):
            if share is not None:
                arm.store(share, arm.at(arm.spill, integer(k * WIDTH)))
        left = b.sub(arm.count, i)
        lanes = b.select(b.icmp_signed("<", left, integer(WIDTH)), left, integer(WIDTH))

        def add_lane(lane):
            def spilled(k):
                return lambda: arm.load(one, arm.at(arm.spill, b.add(lane, integer(k * WIDTH))))

            add(b.add(i, lane), [None if share is None else spilled(k) for k, share in enumerate(shares)])

        arm.descend(lanes, add_lane)

    arm.descend(arm.count, body, step=m.width)


def _operand_lanes(arm, m, k, i):
    """Operand k of the ``m.width`` operations from i on."""
    b = arm.builder
    if m.width == 1:
        return arm.load(m, arm.at(arm.values, arm.word(k, i)))
    one = Lanes(b, 1)
    slots = b.load(arm.at(arm.column(k), i, I32), typ=ir.VectorType(I32, m.width), align=4)
    gathered = ir.Constant(m.type_of(Floats), ir.Undefined)
    for lane in range(m.width):
        at = ir.Constant(I32, lane)
        slot = b.zext(b.extract_element(slots, at), I64)
        gathered = b.insert_element(gathered, arm.load(one, arm.at(arm.values, slot)).v, at)
    return Floats(m, gathered)


def _codegen(emit_arm, rows=TABLE):
    """Code of a run: ``(opcode, flags, immediate, count, operands, first, values, context or adjoints)``."""

    def codegen(context, builder, signature, args):
        # Without it LLVM clones every loop for each combination of flags: twice the compile time, no gain in speed.
        builder.function.attributes.add("minsize")
        opcode, flags, immediate, count, operands, first, *buffers = args
        operands, *buffers = pointers(builder, operands, *buffers)
        here = [builder.gep(base, [first], inbounds=True, source_etype=F64) for base in buffers]
        run = {"flags": flags, "immediate": immediate, "count": count, "operands": operands}
        run |= {"values": buffers[0], "results": here[0]}
        if emit_arm is _forward_arm:
            run |= {"context": buffers[1]}
        else:
            run |= {"adjoints": buffers[1], "weights": here[1]}
            with builder.goto_entry_block():
                run["spill"] = builder.alloca(F64, MAX_ARITY * WIDTH)
                run["spill"].type = POINTER  # opaque, as every other pointer here

        emit_switch(builder, opcode, lambda op: emit_arm(Arm(builder, op, **run)), rows)
        return context.get_dummy_value()

    return codegen


@intrinsic
def forward_run(typingctx, opcode, flags, immediate, count, operands, first, values, context):
    """Compute the results of one run."""
    return types.void(*[types.intp] * 8), _codegen(_forward_arm, (*TABLE, *PAIRS))


@intrinsic
def reverse_run(typingctx, opcode, flags, immediate, count, operands, first, values, adjoints):
    """Add what the operations of one run, the last one first, hand to the adjoints of their operands."""
    return types.void(*[types.intp] * 8), _codegen(_reverse_arm)
