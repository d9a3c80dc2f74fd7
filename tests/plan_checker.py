"""Plans executed on symbols: what a call's streams compute, slot by slot, against what the program says.

In: a program, a plan. Out: a list of faults, empty if the plan is right. Symbols are hash-consed terms, so a slot that
was overwritten, read too early, added to twice or in another order shows as another symbol. Two tiles are executed
with leaves of their own: what the first leaves behind may not be read by the second, and what is done once a call must
survive. Nothing here is shared with the lowering but the meaning of the streams' words.
"""

import numpy as np

from fastgraph.interpreter import operations
from fastgraph.ops import TABLE
from fastgraph.ops.fused import FUSED

ZERO_SLOT, TRASH_SLOT, MASKED, SETTLED, KEEPS = 0, 1, 8, 16, 5
SETTLES = {"add", "sub", "mul"}
ZERO = ("zero",)


class Fault(Exception):
    """A stream does what no stream may do."""


class Terms:
    """Numbers for terms: equal terms get equal numbers."""

    def __init__(self):
        self._numbers = {}

    def __call__(self, *term):
        return self._numbers.setdefault(term, len(self._numbers))

    def value(self, op, immediate, operands):
        """The result of an operation; of a commutative one, whichever way round."""
        return self("value", op.code, immediate, *(sorted(operands) if op.commutative else operands))

    def tangent(self, op, immediate, operands, result, tangents):
        """The tangent of a result, from those of the operands, None for what has none; as for :meth:`value`."""
        pairs = list(zip(operands, (-1 if t is None else t for t in tangents), strict=True))
        return self("tangent", op.code, immediate, result, *(sorted(pairs) if op.commutative else pairs))

    def added(self, before, op, immediate, k, operands, result, weight, mask):
        """An adjoint with one more contribution: of what the rule reads, and of nothing else.

        The first one, if it is the adjoint of the result as it is, leaves just that: 0 + w is w.
        """
        if before == self(*ZERO) and op.passes[k] and mask is None:
            return weight
        seen = [x if reads else None for x, reads in zip((*operands, result), op.reads, strict=True)]
        return self("added", before, self("share", op.code, immediate, k, tuple(seen), weight, mask))


def expected(program, terms, varying, wanted, summed, tile):
    """Symbols of the outputs, and of the gradient of every wanted leaf, by the program in the order of one set."""
    ops = []
    for op, slot, operands, n, mask, flags, _ in operations(program):
        n = 0 if not n else _key(op, n[0])
        ops.append((op, slot, operands, n, mask, flags))
    first = program.first_operation
    values = [terms("leaf", k, tile if varying[k] else 0) for k in range(program.n_leaves)]
    values += [terms("constant", k) for k in range(len(program.constants))]
    for op, _, operands, n, _, _ in ops:
        values.append(terms.value(op, n, [values[x] for x in operands]))
    outputs = [values[slot] for slot in program.outputs]
    if wanted is None:
        return outputs, None
    differs = [*map(bool, varying), *[False] * (program.n_slots - program.n_leaves)]
    before = None
    while before != differs:
        before = list(differs)
        for _, slot, operands, _, mask, _ in ops:
            differs[slot] |= any(differs[x] for x in (*operands, *([] if mask is None else [mask])))
    leads = [*map(bool, wanted), *[False] * (program.n_slots - program.n_leaves)]
    for _, slot, operands, _, _, flags in ops:
        leads[slot] = any(flags >> k & 1 and leads[x] for k, x in enumerate(operands))
    reached = set(program.outputs.tolist())
    adjoints = {}
    for j, slot in enumerate(program.outputs.tolist()):
        adjoints[slot] = terms("seeded", adjoints.get(slot, terms(*ZERO)), j, tile)
    for once in (False, True) if summed else (None,):
        if once:
            for slot in adjoints:
                if slot < first or not differs[slot]:
                    adjoints[slot] = terms("total", adjoints[slot])
        for op, slot, operands, n, mask, flags in reversed(ops):
            if once is not None and differs[slot] == once or slot not in reached or not leads[slot]:
                continue
            for k, x in enumerate(operands):
                if flags >> k & 1 and leads[x]:
                    reached.add(x)
                    inputs = [values[y] for y in operands]
                    gate = None if mask is None else values[mask]
                    there = adjoints.get(x, terms(*ZERO))
                    adjoints[x] = terms.added(there, op, n, k, inputs, values[slot], adjoints[slot], gate)
    zero = terms(*ZERO)
    return outputs, [adjoints.get(k, zero) if wanted[k] else None for k in range(program.n_leaves)]


class Machine:
    """The two buffers of a workspace, full of what nobody may read."""

    def __init__(self, plan, terms, owner):
        self.plan, self.terms, self.owner = plan, terms, owner
        self.values = [terms("garbage", k) for k in range(plan.n_values)]
        self.adjoints = [terms("garbage", -1 - k) for k in range(plan.n_adjoints)]
        self.adjoints[ZERO_SLOT] = terms(*ZERO)
        for k, slot in plan.constants.T:
            self.values[slot] = terms("constant", int(k))

    def load(self, moved, tile):
        for leaf, slot in moved.T:
            self.values[slot] = self.terms("leaf", int(leaf), tile)

    def forward(self, stream):
        for op, _, immediate, columns in _operations(stream, lambda op, flags: op.arity + 1):
            *operands, target = (_slot(word, self.values, 0) for word in columns)
            operands = [self.values[x] for x in operands]
            if op.code < len(TABLE):
                n = _key(op, *op.given(immediate, self.owner)) if op.names else immediate
                self.values[target] = self.terms.value(op, n, operands)
                continue
            self.values[target] = op.compose(operands, lambda row, xs: self.terms.value(row, 0, xs))

    def spread(self):
        """The prologue fills a piece of each slot; what is not spread is garbage elsewhere."""
        spread = set(self.plan.spread.tolist())
        for op, _, _, words in _operations(self.plan.prologue, lambda op, flags: op.arity + 1):
            slot = words[op.arity] >> 1
            if slot not in spread:
                self.values[slot] = self.terms("garbage", slot)

    def seed(self, tile):
        # As the kernel does it: every slot is set to 0, then the cotangents are added.
        for slot in self.plan.seeds:
            self.adjoints[slot] = self.terms(*ZERO)
        for j, slot in enumerate(self.plan.seeds):
            self.adjoints[slot] = self.terms("seeded", self.adjoints[slot], j, tile)
        self.adjoints[TRASH_SLOT] = self.terms("garbage", -2)

    def reverse(self, stream):
        for op, flags, immediate, words in _operations(
            stream, lambda op, flags: sum(op.reads) + 1 + op.arity + (flags & MASKED > 0)
        ):
            if flags & SETTLED and (op.name not in SETTLES or flags & MASKED or not flags & 3):
                raise Fault("a settled run for which there is no arm")
            n, words = op.arity, iter(words)
            *operands, result = (
                self.values[_slot(next(words), self.values, 0)] if reads else None for reads in op.reads
            )
            weight, targets = self._read(_slot(next(words), self.adjoints, 0)), [next(words) for _ in range(n)]
            mask = self.values[_slot(next(words), self.values, 0)] if flags & MASKED else None
            for k, word in enumerate(targets):
                if flags >> k & 1:
                    kept = word & 1
                    if flags & SETTLED:
                        if kept:
                            raise Fault("a word of a settled run with a bit")
                        kept = flags >> k + KEEPS & 1
                    target = _slot(word, self.adjoints, word & 1)
                    there = self._read(target) if kept else self.adjoints[ZERO_SLOT]
                    if target == ZERO_SLOT:
                        raise Fault("the slot of zeros is written")
                    share = there, op, immediate, k, operands, result, weight, mask
                    self.adjoints[target] = self.terms.added(*share)
            self.adjoints[TRASH_SLOT] = self.terms("garbage", -2)

    def _read(self, slot):
        if slot == TRASH_SLOT:
            raise Fault("trash is read")
        return self.adjoints[slot]


class Along(Machine):
    """The buffer of values and tangents."""

    def __init__(self, plan, terms, owner):
        super().__init__(plan, terms, owner)
        self.values[-1] = terms(*ZERO)

    def forward(self, stream):
        for op, flags, immediate, words in _operations(stream, lambda op, flags: op.arity + 1):
            *operands, target = (_slot(word, self.values[: -self.plan.directions], 0) for word in words)
            every = (1 << op.arity) - 1
            if op.code >= len(TABLE) and flags not in (0, every):
                raise Fault("a fused row with some tangents")
            if op.code < len(TABLE) and any(flags >> k & 1 > (k < op.arity and op.flows[k]) for k in range(8)):
                raise Fault("tangents of operands that hand on none")
            for d in range(self.plan.directions, -1, -1):  # tangents before the value: they look at the operands'
                pairs = [
                    (self.values[x], self.values[x + d] if d and flags >> k & 1 else None)
                    for k, x in enumerate(operands)
                ]
                if d and not flags:
                    continue
                if op.code < len(TABLE):
                    n = _key(op, *op.given(immediate, self.owner)) if op.names else immediate
                    value, tangent = self._moved(op, pairs, n)
                else:
                    value, tangent = op.compose(pairs, self._moved)
                self._set(target + d, tangent if d else value)

    def _moved(self, op, pairs, n=0):
        values, tangents = zip(*pairs, strict=True)
        value = self.terms.value(op, n, values)
        if tangents == (None,) * len(tangents):
            return value, None
        return value, self.terms.tangent(op, n, values, value, tangents)

    def _set(self, slot, term):
        if slot == len(self.values) - 1:
            raise Fault("the slot of zeros is written")
        self.values[slot] = term

    def spread(self):
        spread, width = set(self.plan.spread.tolist()), 1 + self.plan.directions
        for op, flags, _, words in _operations(self.plan.prologue, lambda op, flags: op.arity + 1):
            for slot in range(words[op.arity] >> 1, (words[op.arity] >> 1) + (width if flags else 1)):
                if slot not in spread:
                    self.values[slot] = self.terms("garbage", slot)


def check_along(program, plan, varying, moved):
    """What is wrong with a plan of values and tangents along ``plan.directions``; nothing, if it is right."""
    try:
        terms, faults = Terms(), []
        machine = Along(plan, terms, program)
        machine.load(plan.uniform, 0)
        machine.forward(plan.prologue)
        machine.spread()
        for tile in (1, 2):
            machine.load(plan.varying, tile)
            machine.forward(plan.body)
            wanted = _expected_along(program, terms, varying, moved, plan.directions, tile)
            got = [machine.values[slot] for slot in plan.outputs]
            if len(got) != len(wanted):
                raise Fault("not as many outputs")
            faults += [f"output {j} in tile {tile}" for j in range(len(got)) if got[j] != wanted[j]]
        return faults
    except Fault as fault:
        return [str(fault)]


def _expected_along(program, terms, varying, moved, directions, tile):
    """Symbols of the outputs, then of their tangents direction by direction, by the program in the order of one set."""
    n, count = program.n_leaves, sum(map(bool, moved))
    values = [terms("leaf", k, tile if varying[k] else 0) for k in range(n)]
    values += [terms("constant", k) for k in range(len(program.constants))]
    tangents = []
    for d in range(directions):
        numbers = iter(range(n + d * count, n + (d + 1) * count))
        tangents.append([terms("leaf", next(numbers), tile if v else 0) if m else None
                         for m, v in zip(moved, varying, strict=True)])  # fmt: skip
        tangents[-1] += [None] * len(program.constants)
    for op, _, operands, n, _, _, _ in operations(program):
        n, xs = 0 if not n else _key(op, n[0]), [values[x] for x in operands]
        values.append(terms.value(op, n, xs))
        for own in tangents:
            ts = [own[x] if flows else None for x, flows in zip(operands, op.flows, strict=True)]
            moves = any(t is not None for t in ts)
            own.append(terms.tangent(op, n, xs, values[-1], ts) if moves else None)
    zero, outputs = terms(*ZERO), program.outputs.tolist()
    found = [values[x] for x in outputs]
    return found + [zero if own[x] is None else own[x] for own in tangents for x in outputs]


def _key(op, n):
    """The immediate, as what it names where it names something."""
    return n.tobytes() if op.names == "table" else n if op.names else int(n)


def _slot(word, buffer, keep):
    if word & 1 != keep or not 0 <= word >> 1 < len(buffer):
        raise Fault(f"word {word} is no slot of {len(buffer)}")
    return int(word) >> 1


def _operations(stream, n_columns):
    """(op, flags, immediate, words) of the operations of a stream, in order."""
    rows, at = (*TABLE, *FUSED), 0
    for opcode, flags, immediate, count in stream.runs.tolist():
        op = rows[opcode]
        n = n_columns(op, flags)
        for words in stream.operands[at : at + n * count].reshape(count, n).tolist():
            yield op, flags, immediate, words
        at += n * count
    if at != len(stream.operands):
        raise Fault("operands are left over")


def check_plan(program, plan, varying, wanted=None, summed=False):
    """What is wrong with a plan; nothing, if it is right."""
    try:
        return _differences(program, plan, varying, wanted, summed)
    except Fault as fault:
        return [str(fault)]


def _differences(program, plan, varying, wanted, summed):
    terms, faults = Terms(), []
    machine = Machine(plan, terms, program)
    machine.load(plan.uniform, 0)
    machine.forward(plan.prologue)
    machine.spread()
    kept = None
    for tile in (1, 2):
        machine.load(plan.varying, tile)
        machine.forward(plan.body)
        outputs, gradient = expected(program, terms, varying, wanted, summed, tile)
        if wanted is not None:
            machine.seed(tile)
            machine.reverse(plan.reverse)
        # Values and adjoints are stored after both sweeps.
        got = [machine.values[slot] for slot in plan.outputs]
        faults += [f"output {j} in tile {tile}" for j in range(len(outputs)) if got[j] != outputs[j]]
        if wanted is not None and not summed:
            faults += _gradient_faults(machine.adjoints, plan, gradient, tile)
        kept = gradient
    if summed and wanted is not None:
        totals = {int(slot): terms("total", machine.adjoints[slot]) for slot in plan.totals}
        if len(totals) != len(plan.totals):
            faults.append("a total is summed twice")
        by_slot = [totals.get(slot, terms(*ZERO)) for slot in range(plan.n_adjoints)]
        # The epilogue comes after another call's prologue, in a workspace where any tile was swept before.
        machine.load(plan.uniform, 0)
        machine.forward(plan.prologue)
        for slot, total in totals.items():
            machine.adjoints[slot] = total
        machine.reverse(plan.epilogue)
        for leaf, slot in enumerate(plan.gradient):
            if plan.finished[leaf] and wanted[leaf]:
                by_slot[slot] = machine.adjoints[slot]
        faults += _gradient_faults(by_slot, plan, kept, "the sum")
    return faults


def _gradient_faults(adjoints, plan, gradient, where):
    got = [adjoints[slot] if wanted else None for slot, wanted in zip(plan.gradient, plan.wanted, strict=True)]
    return [f"gradient {k} in {where}" for k in range(len(gradient)) if got[k] != gradient[k]]


def mutated(stream, rng, n_slots):
    """A stream with one word or one run changed, and what was changed."""
    runs, operands = stream.runs.copy(), stream.operands.copy()
    kind = int(rng.integers(4))
    at = int(rng.integers(len(operands)))
    if kind == 0:
        operands[at] = 2 * rng.integers(n_slots) + (operands[at] & 1)
    elif kind == 1:
        operands[at] ^= 1
    elif kind == 2:
        other = int(rng.integers(len(operands)))
        operands[[at, other]] = operands[[other, at]]
    else:
        run = int(rng.integers(len(runs)))
        runs["flags"][run] ^= 1 << int(rng.integers(3))
    return type(stream)(runs, operands), (kind, at)


def is_same(a, b):
    """Whether two streams are equal."""
    return np.array_equal(a.runs, b.runs) and np.array_equal(a.operands, b.operands)
