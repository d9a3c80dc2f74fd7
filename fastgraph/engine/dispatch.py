"""From the op table to machine code: one LLVM ``switch`` over opcodes, with a loop per row in its arms.

Stands between ``lanes`` and ``kernels``. In: the rows' rules. Out: two Numba intrinsics, which are the bodies of
the sweeps: a *run* of ``count`` operations of one opcode, forward or reverse, for one input set or for a tile.

Layout that every arm relies on (``program.verify`` proves it before anything runs):

- slots are doubles at ``values + slot``, or tiles of ``tile`` doubles at ``values + slot * tile``;
- a run's results are the consecutive slots ``first, first + 1, …``; its operands are ``arity`` columns of
  ``count`` 32-bit slots, one after the other, and a column of masks where the run has the flag ``MASKED``;
- the operations of a run do not depend on each other, and every operand is a slot below ``first``.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgraph import vecmath
from fastgraph.engine.lanes import Floats, Lanes
from fastgraph.ops import TABLE, contribution
from fastgraph.ops.row import MASKED, MAX_ARITY, Anything, active_flag

WIDTH = 8

_F64 = ir.DoubleType()
_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_POINTER = ir.PointerType()


class _Arm:
    """One arm while it is emitted: the run's pointers and numbers, with the loops and accesses its code is made of."""

    def __init__(self, builder, op, **run):
        self.builder = builder
        self.op = op
        self.__dict__.update(run)

    # -- control ------------------------------------------------------------------------------------------
    def ascend(self, count, body, step=1):
        """Run ``body(i)`` for i = 0, step, 2 step, … below ``count``."""
        b = self.builder
        before, (head, inside, after) = b.block, (b.append_basic_block(n) for n in ("head", "inside", "after"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(_I64)
        i.add_incoming(_int(0), before)
        b.cbranch(b.icmp_signed("<", i, count), inside, after)
        b.position_at_end(inside)
        body(i)
        i.add_incoming(b.add(i, _int(step)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def descend(self, count, body, step=1):
        """Run ``body(i)`` for the i of :meth:`ascend`, last one first."""
        b = self.builder
        last = count if step == 1 else b.and_(b.add(count, _int(step - 1)), _int(-step))
        before, (head, inside, after) = b.block, (b.append_basic_block(n) for n in ("head", "inside", "after"))
        b.branch(head)
        b.position_at_end(head)
        above = b.phi(_I64)
        above.add_incoming(last, before)
        b.cbranch(b.icmp_signed(">", above, _int(0)), inside, after)
        b.position_at_end(inside)
        i = b.sub(above, _int(step))
        body(i)
        above.add_incoming(i, b.block)
        b.branch(head)
        b.position_at_end(after)

    def when(self, condition, body):
        """Run ``body()`` if the scalar IR bool holds."""
        b = self.builder
        taken, after = b.append_basic_block("taken"), b.append_basic_block("after")
        b.cbranch(condition, taken, after)
        b.position_at_end(taken)
        body()
        b.branch(after)
        b.position_at_end(after)

    def flag(self, bit):
        b = self.builder
        return b.icmp_unsigned("!=", b.and_(self.flags, _int(bit)), _int(0))

    # -- memory -------------------------------------------------------------------------------------------
    def at(self, base, index, element=_F64):
        return self.builder.gep(base, [index], inbounds=True, source_etype=element)

    def load(self, m, pointer):
        return Floats(m, self.builder.load(pointer, typ=m.type_of(Floats), align=8))

    def store(self, value, pointer):
        self.builder.store(value.v, pointer, align=8)

    def column(self, k):
        """Where the slots of operand k of this run begin; column ``arity`` holds the masks."""
        return self.at(self.operands, self.builder.mul(self.count, _int(k)), _I32) if k else self.operands

    def slot(self, k, i):
        slot = self.builder.load(self.at(self.column(k), i, _I32), typ=_I32, align=4)
        return self.builder.zext(slot, _I64)

    # -- rules --------------------------------------------------------------------------------------------
    def _immediate(self, m):
        return () if self.op.immediate is None else (m.broadcast(self.builder.sitofp(self.immediate, _F64)),)

    def value(self, m, xs):
        return m.floats(self.op.apply(m, *xs, *self._immediate(m)))

    def shares(self, m, w, r, xs):
        """What the op adds to each operand's adjoint: lanes, or None where nothing flows."""
        partials = self.op.partials(m, r, *xs, *self._immediate(m))
        return [contribution(m, w, partial) for partial in partials]

    def add_share(self, m, k, share, target, mask):
        """``*target += share`` if operand k is active; nothing, not 0 * partial, in lanes whose mask is 0."""
        b = self.builder

        def add():
            before, (gate, merge) = b.block, (b.append_basic_block(n) for n in ("gate", "merge"))
            b.cbranch(self.flag(MASKED), gate, merge)
            b.position_at_end(gate)
            gated = m.where(self.load(m, mask()) != 0.0, share, 0.0)
            b.branch(merge)
            b.position_at_end(merge)
            total = b.phi(share.v.type)
            total.add_incoming(share.v, before)
            total.add_incoming(gated.v, gate)
            self.store(self.load(m, target) + Floats(m, total), target)

        self.when(self.flag(active_flag(k)), add)


def _int(value):
    return ir.Constant(_I64, value)


# -- one input set ------------------------------------------------------------------------------------------
# Cheap rules run one operation at a time: gathering operands into vectors costs more than their arithmetic.
# Rules with elementary functions, divisions or roots run WIDTH operations of the run at a time. The lanes past the
# end of a run compute on whatever slots the next columns name: buffers are padded for that, forward results land in
# slots that are not computed yet, and reverse shares of such lanes are not added.
def _forward_one(arm):
    op = arm.op
    m = Lanes(arm.builder, WIDTH if _is_expensive(op, partials=False) else 1)

    def body(i):
        xs = [_operand_lanes(arm, m, k, i) for k in range(op.arity)]
        arm.store(arm.value(m, xs), arm.at(arm.results, i))

    arm.ascend(arm.count, body, step=m.width)


def _reverse_one(arm):
    b, op = arm.builder, arm.op
    m = Lanes(b, WIDTH if _is_expensive(op, partials=True) else 1)
    one = Lanes(b, 1)

    def add(i, shares):
        for k, share in enumerate(shares):
            if share is not None:
                target = arm.at(arm.adjoints, arm.slot(k, i))
                arm.add_share(one, k, share(), target, lambda: arm.at(arm.values, arm.slot(op.arity, i)))

    def body(i):
        xs = [_operand_lanes(arm, m, k, i) for k in range(op.arity)]
        r, w = arm.load(m, arm.at(arm.results, i)), arm.load(m, arm.at(arm.weights, i))
        shares = arm.shares(m, w, r, xs)
        if m.width == 1:
            add(i, [None if share is None else lambda share=share: share for share in shares])
            return
        for k, share in enumerate(shares):
            if share is not None:
                arm.store(share, arm.at(arm.spill, _int(k * WIDTH)))
        left = b.sub(arm.count, i)
        lanes = b.select(b.icmp_signed("<", left, _int(WIDTH)), left, _int(WIDTH))

        def add_lane(lane):
            def spilled(k):
                return lambda: arm.load(one, arm.at(arm.spill, b.add(lane, _int(k * WIDTH))))

            add(b.add(i, lane), [None if share is None else spilled(k) for k, share in enumerate(shares)])

        arm.descend(lanes, add_lane)

    arm.descend(arm.count, body, step=m.width)


def _operand_lanes(arm, m, k, i):
    """Operand k of the ``m.width`` operations from i on."""
    b = arm.builder
    if m.width == 1:
        return arm.load(m, arm.at(arm.values, arm.slot(k, i)))
    one = Lanes(b, 1)
    slots = b.load(arm.at(arm.column(k), i, _I32), typ=ir.VectorType(_I32, m.width), align=4)
    gathered = ir.Constant(m.type_of(Floats), ir.Undefined)
    for lane in range(m.width):
        at = ir.Constant(_I32, lane)
        slot = b.zext(b.extract_element(slots, at), _I64)
        gathered = b.insert_element(gathered, arm.load(one, arm.at(arm.values, slot)).v, at)
    return Floats(m, gathered)


class _Probe(Anything):
    """Runs a rule to see whether it divides, takes roots or calls elementary functions."""

    def __init__(self):
        self.expensive = False

    def _note(self, *args):
        self.expensive = True
        return self

    __truediv__ = __rtruediv__ = sqrt = _note

    def __getattr__(self, name):
        function = vecmath.FUNCTIONS.get(name)
        if function is None:
            return self._same
        return (lambda *args: function(self, *args)) if function.inline else self._note


def _is_expensive(op, partials):
    probe = _Probe()
    operands = [probe] * (op.arity + (op.immediate is not None))
    if partials:
        op.partials(probe, probe, *operands)
    else:
        op.apply(probe, *operands)
    return probe.expensive


# -- a tile -------------------------------------------------------------------------------------------------
def _forward_tile(arm):
    b, op = arm.builder, arm.op
    m = Lanes(b, WIDTH)

    def operation(i):
        sources = [arm.at(arm.values, b.mul(arm.slot(k, i), arm.tile)) for k in range(op.arity)]
        target = arm.at(arm.results, b.mul(i, arm.tile))

        def lanes(lane):
            xs = [arm.load(m, arm.at(source, lane)) for source in sources]
            arm.store(arm.value(m, xs), arm.at(target, lane))

        arm.ascend(arm.tile, lanes, step=WIDTH)

    arm.ascend(arm.count, operation)


def _reverse_tile(arm):
    b, op = arm.builder, arm.op
    m = Lanes(b, WIDTH)

    def operation(i):
        at = [b.mul(arm.slot(k, i), arm.tile) for k in range(op.arity)]
        here = b.mul(i, arm.tile)

        def lanes(lane):
            xs = [arm.load(m, arm.at(arm.values, b.add(offset, lane))) for offset in at]
            r, w = (arm.load(m, arm.at(base, b.add(here, lane))) for base in (arm.results, arm.weights))
            for k, share in enumerate(arm.shares(m, w, r, xs)):
                if share is not None:
                    arm.add_share(m, k, share, arm.at(arm.adjoints, b.add(at[k], lane)), lambda: mask(lane))

        def mask(lane):
            return arm.at(arm.values, b.add(b.mul(arm.slot(op.arity, i), arm.tile), lane))

        arm.ascend(arm.tile, lanes, step=WIDTH)

    arm.descend(arm.count, operation)


# -- the intrinsics -----------------------------------------------------------------------------------------
def _emit_switch(builder, opcode, emit):
    """A switch over the table, arm by arm; ``emit(op)`` leaves its code at the builder's position."""
    after = builder.append_basic_block("swept")
    missing = builder.append_basic_block("missing")
    switch = builder.switch(opcode, missing)
    builder.position_at_end(missing)
    builder.unreachable()  # Program.verify has refused every opcode that is not in the table
    for op in TABLE:
        block = builder.append_basic_block(op.name)
        switch.add_case(_int(op.code), block)
        builder.position_at_end(block)
        emit(op)
        builder.branch(after)
    builder.position_at_end(after)


def _pointers(builder, *addresses):
    return [builder.inttoptr(address, _POINTER) for address in addresses]


def _codegen(emit_arm):
    """Code of a run: ``(tiled, opcode, flags, immediate, count, operands, first, tile, values[, adjoints])``."""

    def codegen(context, builder, signature, args):
        # Without it LLVM clones every loop for each combination of flags: twice the compile time, no gain in speed.
        builder.function.attributes.add("minsize")
        _, opcode, flags, immediate, count, operands, first, tile, *buffers = args
        buffers = _pointers(builder, *buffers)
        (operands,) = _pointers(builder, operands)
        offset = builder.mul(first, tile)
        here = [builder.gep(base, [offset], inbounds=True, source_etype=_F64) for base in buffers]
        run = {"flags": flags, "immediate": immediate, "count": count, "operands": operands, "tile": tile}
        run |= {"values": buffers[0], "results": here[0]}
        if len(buffers) > 1:
            run |= {"adjoints": buffers[1], "weights": here[1]}
            with builder.goto_entry_block():
                run["spill"] = builder.alloca(_F64, MAX_ARITY * WIDTH)
                run["spill"].type = _POINTER  # opaque, as every other pointer here

        _emit_switch(builder, opcode, lambda op: emit_arm(_Arm(builder, op, **run)))
        return context.get_dummy_value()

    return codegen


# ``tiled`` is a literal, so that one kernel's source serves both engines, and its closure holds nothing but constants:
# Numba's disk cache would not recognise an intrinsic in a closure from one process to the next.
@intrinsic(prefer_literal=True)
def forward_run(typingctx, tiled, opcode, flags, immediate, count, operands, first, tile, values):
    """Compute the results of one run."""
    signature = types.void(tiled, *[types.intp] * 8)
    return signature, _codegen(_forward_tile if tiled.literal_value else _forward_one)


@intrinsic(prefer_literal=True)
def reverse_run(typingctx, tiled, opcode, flags, immediate, count, operands, first, tile, values, adjoints):
    """Add what the operations of one run, the last one first, hand to the adjoints of their operands."""
    signature = types.void(tiled, *[types.intp] * 9)
    return signature, _codegen(_reverse_tile if tiled.literal_value else _reverse_one)
