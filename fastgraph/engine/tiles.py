"""Tiles: the sweeps over many input sets, with a loop per row over the operations of a run.

In: the rows' rules. Out: three Numba intrinsics: all runs of a stream, forward, forward with tangents, or reverse, for
a tile of input sets. Each comes in two kinds: for tiles of any size, and narrow, for tiles of one vector, without any
loop over vectors.

Layout that every arm relies on (``lowering`` makes it from a verified program):

- a slot is ``tile`` bytes, one of ``SIZES`` or, in the narrow sweeps, one vector, at a byte offset that is a multiple
  of it; buffers begin at a multiple of 64 bytes; a run has an operation at least;
- an operation's operands are 32-bit words, one operation after the other. Forward: the offsets of the operands, then
  of the result. Reverse, in the order in which the operations are swept: the offsets of the operands' values, of the
  result's value, of the result's adjoint, then of the operands' adjoints, and of the mask's value where the run has
  the flag ``MASKED``;
- with tangents, a slot is followed by those of its tangents, direction by direction, and the flags of a run say which
  operands have some: of a fused row all, or, with flags of 0, none;
- the word of an operand's adjoint has its lowest bit set if something has been added to it already: else the sweep
  writes there without reading, so that no adjoint has to be zeroed. In a run with the flag ``SETTLED``, for whose row
  there is such an arm, flags say so for the whole run.
"""

import sys
from functools import reduce

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastgraph.engine.emit import I32, I64, POINTER, Arm, integer, is_expensive, pointers
from fastgraph.engine.lanes import F32, F64, Lanes, Recorded
from fastgraph.engine.values import Floats
from fastgraph.ops import TABLE
from fastgraph.ops.fused import FUSED
from fastgraph.ops.row import MASKED, active_flag
from fastgraph.program import RUN

VECTOR = 64  # bytes
GROUP = 2  # vectors a cheap rule handles at a time in reverse: half the loop's overhead
SIZES = (128, 256, 512)  # bytes of a slot, each a multiple of a group
KEEP = 1  # bit of an adjoint's word: add to what is there
SETTLED, KEEPS = 16, 5  # a run's flag: so many bits above the flag of an operand is that which says so for all words
# Rows whose forward arms are in the sweep's loop, the commonest: no call for each run, and no constant among them that
# would be set up for all.
_COMMON = tuple({row.outer.code: row.outer for row in FUSED}.values())
_INLINED = (*_COMMON, *FUSED)
SETTLES = np.array([op in _COMMON for op in TABLE])

_I8 = ir.IntType(8)


class _TileArm(Arm):
    """An arm over tiles: words are byte offsets."""

    align = VECTOR

    def place(self, base, offset):
        return self.at(base, offset, _I8)

    def repeat(self, first, step, body, stop):
        """Run ``body(i)`` for i = first, first + step, … until ``stop``, at least once; return what ended it."""
        b = self.builder
        before, inside, after = b.block, b.append_basic_block("inside"), b.append_basic_block("after")
        b.branch(inside)
        b.position_at_end(inside)
        i = b.phi(I64)
        i.add_incoming(first, before)
        body(i)
        following = b.add(i, step)
        i.add_incoming(following, b.block)
        b.cbranch(b.icmp_unsigned("!=", following, stop), inside, after)
        b.position_at_end(after)
        return following

    def operations(self, size, body):
        """Run ``body()`` for each operation of the run; its words, ``size`` bytes of them, are at ``row``.

        One address for all words, not one for each of up to nine columns: those do not fit the registers.
        Return where the words of the next run begin.
        """
        b = self.builder

        def operation(row):
            self.row = b.inttoptr(row, POINTER)
            body()

        stop = b.add(self.operands, b.mul(self.count, size))
        return self.repeat(self.operands, size, operation, stop)

    def words(self, first, stop):
        """Words of the operation, two with each load: loads are what a tile's sweep has most of.

        Against a load for each, tangents of 10,000 sums, differences and products take 0.93 of the time.
        """
        b, words = self.builder, []
        for k in range(first, stop - 1, 2):
            both = b.load(self.place(self.row, integer(4 * k)), typ=I64, align=4)
            halves = b.and_(both, integer(0xFFFFFFFF)), b.lshr(both, integer(32))
            words += halves if sys.byteorder == "little" else reversed(halves)
        if (stop - first) % 2:
            words.append(b.zext(b.load(self.place(self.row, integer(4 * (stop - 1))), typ=I32, align=4), I64))
        return words

    def groups(self, m, expensive, body):
        """Run ``body(offsets)`` for groups of vectors until the tile is done."""
        if self.narrow:
            body([integer(0)])
            return
        if isinstance(self.tile, ir.Constant):
            body([integer(at) for at in range(0, self.tile.constant, VECTOR)])
            return
        size = 1 if expensive else GROUP

        def group(at):
            body([self.builder.add(at, integer(VECTOR * v)) if v else at for v in range(size)])

        self.repeat(integer(0), integer(VECTOR * size), group, self.tile)

    def vectors(self, expensive, body):
        """Run ``body(offset)`` for the vectors of the tile, one after the other.

        If it is cheap, without a loop: its overhead, and a branch that ends after as many rounds as a tile has groups
        and so clouds the history by which runs' opcodes are predicted.
        """
        b = self.builder
        if self.narrow:
            body(integer(0))
            return
        if expensive:
            self.repeat(integer(0), integer(VECTOR), body, self.tile)
            return
        after = b.append_basic_block("done")
        for at in range(0, SIZES[-1], VECTOR):
            if at in SIZES:
                more = b.append_basic_block("more")
                b.cbranch(b.icmp_signed("==", self.tile, integer(at)), after, more)
                b.position_at_end(more)
            body(integer(at))
        b.branch(after)
        b.position_at_end(after)


def _forward_arm(arm):
    op = arm.op
    m = Lanes(arm.builder, arm.width, arm.element)

    def operation():
        *sources, target = [arm.place(arm.values, word) for word in arm.words(0, op.arity + 1)]

        def vector(at):
            xs = [arm.load(m, arm.place(source, at)) for source in sources]
            arm.store(arm.value(m, xs), arm.place(target, at))

        arm.vectors(is_expensive(op, partials=False), vector)

    return arm.operations(integer(4 * (op.arity + 1)), operation)


def _by_case(arm, cases, emit):
    """``emit(arm, case)`` for each of the cases: some of what the arm takes, as numbers by name; then for {}."""
    b, taken, leaving = arm.builder, dict(arm.__dict__), []
    after = b.append_basic_block("after")
    for case in cases:
        known, other = b.append_basic_block("known"), b.append_basic_block("other")
        holds = [b.icmp_unsigned("==", taken[name], integer(number)) for name, number in case.items()]
        b.cbranch(reduce(b.and_, holds), known, other)
        b.position_at_end(known)
        arm.__dict__.update({name: integer(number) for name, number in case.items()})
        leaving.append((emit(arm, case), b.block))
        b.branch(after)
        b.position_at_end(other)
        arm.__dict__.update(taken)
    leaving.append((emit(arm, {}), b.block))
    b.branch(after)
    b.position_at_end(after)
    end = b.phi(I64)
    for value, block in leaving:
        end.add_incoming(value, block)
    return end


def _every(op):
    """The flags that name all operands."""
    return sum(active_flag(k) for k in range(op.arity))


def _along_arm(arm):
    """Values and tangents: of the commonest rows, loops of their own where all operands have tangents.

    In that for the smallest tiles the places of the first direction's are known, too.
    """
    op, every = arm.op, _every(arm.op)
    flowing = sum(active_flag(k) for k in range(op.arity) if op in FUSED or op.flows[k])
    patterns = [flags for flags in range(flowing, 0, -1) if flags & flowing == flags]
    if op not in _INLINED:
        return _move(arm, patterns)
    rest = [] if op in FUSED else patterns[1:]
    cases = [{"flags": every}]
    if not arm.narrow:
        cases.insert(0, {"flags": every, "tile": SIZES[0], "step": SIZES[0]})
    return _by_case(arm, cases, lambda arm, case: _move(arm, rest, case.get("flags")))


def _move(arm, patterns, known=None):
    """``known`` says which operands have tangents, or else the run's flags do: one of the ``patterns``, or 0."""
    b, op = arm.builder, arm.op
    m, recorded = (kind(b, arm.width, arm.element) for kind in (Lanes, Recorded))
    is_fused = op in FUSED

    def operation():
        *sources, target = [arm.place(arm.values, word) for word in arm.words(0, op.arity + 1)]

        def group(offsets):
            vectors = []
            for at in offsets:
                xs = [arm.load(m, arm.place(source, at)) for source in sources]
                vectors.append((at, xs, arm.value(m, xs)))
                arm.store(vectors[-1][-1], arm.place(target, at))
            if known is not None:
                tangents(known, vectors)
            for flags in patterns:
                is_asked = b.icmp_unsigned("==", arm.flags, integer(flags))
                arm.when(is_asked, lambda flags=flags: tangents(flags, vectors))

        def tangents(flags, vectors):
            # Once for all directions; of what is fused they are cheap enough for LLVM to see that it need not repeat.
            partials = [None if is_fused or op.chooses else arm.partials(recorded, r, xs) for _, xs, r in vectors]

            def direction(d):
                for (at, xs, r), ps in zip(vectors, partials, strict=True):
                    there = b.add(at, d)
                    ts = [
                        arm.load(m, arm.place(source, there)) if flags & active_flag(k) else None
                        for k, source in enumerate(sources)
                    ]
                    arm.store(arm.tangent(recorded, r, xs, ts, ps), arm.place(target, there))

            step = integer(VECTOR) if arm.narrow else arm.step
            direction(step)
            second = b.add(step, step)
            more = b.icmp_unsigned("!=", second, arm.span)
            arm.when(more, lambda: arm.repeat(second, step, direction, arm.span))

        arm.groups(m, is_expensive(op, partials=False) or not is_fused and is_expensive(op, partials=True), group)

    return arm.operations(integer(4 * (op.arity + 1)), operation)


def _reverse_arm(arm):
    """Of the commonest rows, a loop for each set of operands that a run hands on to, and that have something before.

    Those have no branch, and read nothing that counts as 0: against loops that ask for each operand of each operation,
    the reverse sweep of 10,000 sums, differences and products takes 0.8 of the time.
    """
    op, every = arm.op, _every(arm.op)
    if op not in _COMMON:
        return _hand_on(arm)
    handed = every, *(every - active_flag(k) for k in range(op.arity) if op.passes[k])
    some, kept = range(every, 0, -1), range(every, -1, -1)
    expected = [flags | keep << KEEPS | SETTLED for flags in some for keep in kept if keep & flags == keep]
    cases = [{"flags": flags} for flags in (*expected, *handed)]
    return _by_case(arm, cases, lambda arm, case: _hand_on(arm, case.get("flags", 0)))


def _hand_on(arm, known=0):
    """``known`` are the run's flags, if they are."""
    b, op, n = arm.builder, arm.op, arm.op.arity
    m = Lanes(b, arm.width, arm.element)
    n_read = sum(op.reads)
    before_mask = n_read + 1 + n  # words
    unread = Floats(m, ir.Constant(m.type_of(Floats), ir.Undefined))

    def operation():
        words = arm.words(0, before_mask)
        read = iter([arm.place(arm.values, word) for word in words[:n_read]])
        *xs, r = [next(read) if reads else None for reads in op.reads]
        w, words = arm.place(arm.adjoints, words[n_read]), words[n_read + 1 :]
        if known & SETTLED:
            targets = [arm.place(arm.adjoints, word) for word in words]
            sources = [target if known >> k + KEEPS & 1 else None for k, target in enumerate(targets)]
        else:
            targets = [arm.place(arm.adjoints, b.and_(word, integer(~KEEP))) for word in words]
            kept = [b.icmp_unsigned("!=", b.and_(word, integer(KEEP)), integer(0)) for word in words]
            # What is not there yet is read from the slot of zeros at the beginning.
            sources = [b.select(keep, target, arm.adjoints) for keep, target in zip(kept, targets, strict=True)]

        def group(offsets):
            shares = []
            for at in offsets:
                weight = arm.load(m, arm.place(w, at))
                *operands, result = [unread if x is None else arm.load(m, arm.place(x, at)) for x in (*xs, r)]
                shares.append(arm.shares(m, weight, result, operands))
            for k in range(n):
                if shares[0][k] is not None:
                    arm.when(arm.flag(active_flag(k)), lambda k=k: add(k, [s[k] for s in shares], offsets))

        def add(k, shares, offsets):
            for share, at in zip(arm.gate(m, shares, lambda: masks(offsets)), offsets, strict=True):
                before = m.floats(0.0) if sources[k] is None else arm.load(m, arm.place(sources[k], at))
                arm.store(before + share, arm.place(targets[k], at))

        def masks(offsets):
            (word,) = arm.words(before_mask, before_mask + 1)
            mask = arm.place(arm.values, word)
            return [arm.load(m, arm.place(mask, at)) for at in offsets]

        arm.groups(m, is_expensive(op, partials=True), group)

    masked = b.select(arm.flag(MASKED), integer(4), integer(0))
    return arm.operations(b.add(integer(4 * before_mask), masked), operation)


# What an arm takes besides the fields of the run, where its words are, and the bytes of a slot that it is to do: two
# addresses, and numbers.
_TAKES = {
    _forward_arm: ("values", "context"),
    _along_arm: ("values", "context", "step", "span"),
    _reverse_arm: ("values", "adjoints"),
}


def _codegen(emit_arm, kind, rows, inlined=()):
    """Code of a sweep: ``(single, narrow, runs, n_runs, operands, tile, *_TAKES[emit_arm])``."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("minsize")  # as in ``single``
        _, _, runs, n_runs, operands, *buffers = args
        before = builder.block
        head, swept, missing, done = (builder.append_basic_block(n) for n in ("run", "swept", "missing", "done"))
        end = builder.add(runs, builder.mul(n_runs, integer(RUN.itemsize)))
        builder.cbranch(builder.icmp_unsigned("!=", runs, end), head, done)
        builder.position_at_end(head)
        run, at = builder.phi(I64), builder.phi(I64)
        opcode, *fields = (_field(builder, run, name) for name in RUN.names)
        switch = builder.switch(opcode, missing)
        leaving = []
        for op in rows:
            block = builder.append_basic_block(op.name)
            switch.add_case(integer(op.code), block)
            builder.position_at_end(block)
            arguments = [*fields, at, *buffers]
            emit = _emit_arm if op in inlined else _call_arm
            leaving.append((emit(builder, emit_arm, op, kind, arguments), builder.block))
            builder.branch(swept)
        builder.position_at_end(missing)
        builder.unreachable()  # as in ``emit_switch``
        builder.position_at_end(swept)
        following, next_run = builder.phi(I64), builder.add(run, integer(RUN.itemsize))
        for value, block in leaving:
            following.add_incoming(value, block)
        for phi, first, later in ((run, runs, next_run), (at, operands, following)):
            phi.add_incoming(first, before)
            phi.add_incoming(later, swept)
        builder.cbranch(builder.icmp_unsigned("!=", next_run, end), head, done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return codegen


def _field(builder, run, name):
    """A field of the run at the address ``run``, in 64 bits."""
    kind, offset = RUN.fields[name]
    pointer = builder.inttoptr(builder.add(run, integer(offset)), POINTER)
    value = builder.load(pointer, typ=ir.IntType(8 * kind.itemsize), align=kind.alignment)
    return builder.sext(value, I64) if kind.kind == "i" else builder.zext(value, I64)


def _emit_arm(builder, emit_arm, op, kind, arguments):
    """A run of ``op``; returns where the words of the next one begin."""
    element, narrow = kind
    flags, immediate, count, operands, tile, *taken = arguments
    taken[:2] = pointers(builder, *taken[:2])
    run = {"flags": flags, "immediate": immediate, "count": count, "operands": operands, "tile": tile}
    run |= {"element": element, "narrow": narrow} | dict(zip(_TAKES[emit_arm], taken, strict=True))
    return emit_arm(_TileArm(builder, op, **run, width=VECTOR // (8 if element is F64 else 4)))


def _call_arm(builder, emit_arm, op, kind, arguments):
    """As :func:`_emit_arm`, in a function of the row's own.

    In one for all, the constants of every arm would be set up, and registers spilled, for every run of any.
    """
    element, narrow = kind
    name = f"fastgraph.{emit_arm.__name__}.{element}{'.narrow' * narrow}.{op.name}"
    function = ir.Function(builder.module, ir.FunctionType(I64, [I64] * len(arguments)), name)
    function.linkage = "internal"
    for attribute in ("noinline", "nounwind", "minsize"):
        function.attributes.add(attribute)
    inside = ir.IRBuilder(function.append_basic_block("entry"))
    inside.ret(_emit_arm(inside, emit_arm, op, kind, function.args))
    return builder.call(function, arguments)


# ``single`` and ``narrow`` are literals, so that one kernel's source serves all, and its closure holds nothing but
# constants: Numba's disk cache would not recognise an intrinsic in a closure from one process to the next.
@intrinsic(prefer_literal=True)
def forward_sweep(typingctx, single, narrow, runs, n_runs, operands, tile, values, context):
    """Compute the results of ``n_runs`` runs."""
    signature = types.void(single, narrow, *[types.intp] * 6)
    return signature, _codegen(_forward_arm, _kind(single, narrow), (*TABLE, *FUSED), _INLINED)


@intrinsic(prefer_literal=True)
def along_sweep(typingctx, single, narrow, runs, n_runs, operands, tile, values, context, step, span):
    """Compute the results of ``n_runs`` runs, and their tangents: ``step`` bytes lie between two slots, as a direction
    follows the other, and ``span`` bytes are a value's with all its tangents."""
    signature = types.void(single, narrow, *[types.intp] * 8)
    return signature, _codegen(_along_arm, _kind(single, narrow), (*TABLE, *FUSED), _INLINED)


@intrinsic(prefer_literal=True)
def reverse_sweep(typingctx, single, narrow, runs, n_runs, operands, tile, values, adjoints):
    """Hand what the operations of ``n_runs`` runs, in order, add to the adjoints of their operands."""
    signature = types.void(single, narrow, *[types.intp] * 6)
    return signature, _codegen(_reverse_arm, _kind(single, narrow), TABLE)


def _kind(single, narrow):
    return F32 if single.literal_value else F64, bool(narrow.literal_value)
