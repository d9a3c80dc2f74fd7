"""Emit: what the arms of every kernel are made of: loops, loads, stores, and the rules of the op table run on lanes.

Stands between ``lanes`` and the intrinsics of ``single`` and ``tiles``. In: a row and a place to emit code. Out: IR.
"""

from llvmlite import ir

from fastgraph import vecmath
from fastgraph.engine.values import Floats
from fastgraph.ops import TABLE, Op, contribution
from fastgraph.ops.dual import Dual, along, tangent_of
from fastgraph.ops.row import MASKED, NAMED, Anything

F64 = ir.DoubleType()
I64 = ir.IntType(64)
I32 = ir.IntType(32)
POINTER = ir.PointerType()


class Arm:
    """One arm while it is emitted: the run's pointers and numbers, with the loops and accesses its code is made of."""

    align = 8
    context = None  # in forward sweeps, where the addresses of the program's tables and functions are

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
        i = b.phi(I64)
        i.add_incoming(integer(0), before)
        b.cbranch(b.icmp_signed("<", i, count), inside, after)
        b.position_at_end(inside)
        body(i)
        i.add_incoming(b.add(i, integer(step)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def descend(self, count, body, step=1):
        """Run ``body(i)`` for the i of :meth:`ascend`, last one first."""
        b = self.builder
        last = count if step == 1 else b.and_(b.add(count, integer(step - 1)), integer(-step))
        before, (head, inside, after) = b.block, (b.append_basic_block(n) for n in ("head", "inside", "after"))
        b.branch(head)
        b.position_at_end(head)
        above = b.phi(I64)
        above.add_incoming(last, before)
        b.cbranch(b.icmp_signed(">", above, integer(0)), inside, after)
        b.position_at_end(inside)
        i = b.sub(above, integer(step))
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
        return b.icmp_unsigned("!=", b.and_(self.flags, integer(bit)), integer(0))

    # -- memory -------------------------------------------------------------------------------------------
    def at(self, base, index, element=F64):
        return self.builder.gep(base, [index], inbounds=True, source_etype=element)

    def load(self, m, pointer):
        return Floats(m, self.builder.load(pointer, typ=m.type_of(Floats), align=self.align))

    def store(self, value, pointer):
        self.builder.store(value.v, pointer, align=self.align)

    def column(self, k):
        """Where column k of this run's operands begins."""
        return self.at(self.operands, self.builder.mul(self.count, integer(k)), I32) if k else self.operands

    def word(self, k, i):
        """Number i of column k."""
        word = self.builder.load(self.at(self.column(k), i, I32), typ=I32, align=4)
        return self.builder.zext(word, I64)

    # -- rules --------------------------------------------------------------------------------------------
    def _immediate(self, m):
        if self.op.immediate is None:
            return ()
        if self.op.names:
            return (self._named(m),)
        return (m.broadcast(self.builder.sitofp(self.immediate, m.element)),)

    def _named(self, m):
        """Where the table begins, or the address of the function, that the immediate names; partials read none."""
        if self.context is None:
            return None
        b, which = self.builder, NAMED.index(self.op.names)
        base = b.inttoptr(b.load(self.at(self.context, integer(which), I64), typ=I64, align=8), POINTER)
        if self.op.names == "table":
            return self.at(base, self.immediate, m.element)
        return b.load(self.at(base, self.immediate, I64), typ=I64, align=8)

    def value(self, m, xs):
        return m.floats(self.op.apply(m, *xs, *self._immediate(m)))

    def partials(self, m, r, xs):
        return self.op.partials(m, r, *xs, *self._immediate(m))

    def shares(self, m, w, r, xs):
        """What the op adds to each operand's adjoint: lanes, or None where nothing flows."""
        return [contribution(m, w, partial) for partial in self.partials(m, r, xs)]

    def tangent(self, m, r, xs, tangents, partials=None):
        """The tangent of the result, from those of the operands, None for what has none, and the partials if known."""
        if partials is not None:
            return along(m, partials, tangents)
        if isinstance(self.op, Op):
            return tangent_of(m, self.op, r, [*xs, *self._immediate(m)], tangents)
        dual = Dual(m)
        return self.op.compose(map(dual.pair, xs, tangents), lambda op, pairs: getattr(dual, op.name)(*pairs)).tangent

    def gate(self, m, shares, masks):
        """``shares``, but nothing, not 0 * partial, in lanes whose mask is 0, if the run has masks.

        ``masks()`` gives the lanes of masks, one for each of the shares.
        """
        b = self.builder
        before, (gated, merge) = b.block, (b.append_basic_block(n) for n in ("gated", "merge"))
        b.cbranch(self.flag(MASKED), gated, merge)
        b.position_at_end(gated)
        chosen = [m.where(mask != 0.0, share, 0.0) for mask, share in zip(masks(), shares, strict=True)]
        leaving = b.block
        b.branch(merge)
        b.position_at_end(merge)
        results = []
        for share, choice in zip(shares, chosen, strict=True):
            phi = b.phi(share.v.type)
            phi.add_incoming(share.v, before)
            phi.add_incoming(choice.v, leaving)
            results.append(Floats(m, phi))
        return results


def integer(value):
    """An IR constant of 64 bits."""
    return ir.Constant(I64, value)


def pointers(builder, *addresses):
    """Integer addresses as pointers."""
    return [builder.inttoptr(address, POINTER) for address in addresses]


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


def is_expensive(op, partials):
    if op.names:  # a function is called for one number after the other: never for what is in no slot
        return op.names == "table" and not partials
    probe = _Probe()
    operands = [probe] * (op.arity + (op.immediate is not None))
    if partials:
        op.partials(probe, probe, *operands)
    else:
        op.apply(probe, *operands)
    return probe.expensive


def emit_switch(builder, opcode, emit, rows=TABLE):
    """A switch over ``rows``, arm by arm; ``emit(op)`` leaves its code at the builder's position."""
    after = builder.append_basic_block("swept")
    missing = builder.append_basic_block("missing")
    switch = builder.switch(opcode, missing)
    builder.position_at_end(missing)
    builder.unreachable()  # Program.verify has refused every opcode that is not in the table
    for op in rows:
        block = builder.append_basic_block(op.name)
        switch.add_case(integer(op.code), block)
        builder.position_at_end(block)
        emit(op)
        builder.branch(after)
    builder.position_at_end(after)
