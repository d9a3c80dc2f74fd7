"""Walk: a program swept at one point in plain Python, with a name for every slot and everything kept.

In: a program and one input set. Out: a :class:`Walk`: every value and every share of every adjoint, in the order and by
the rules of the sweeps, so that the gradient has the kernels' bits.
"""

import math
import string
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from fastgraph import infix
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.expr import Expr, Symbols
from fastgraph.graph import Recorder
from fastgraph.infix import Part
from fastgraph.interpreter import forward, operations
from fastgraph.ops import TABLE, Only, contribution
from fastgraph.reference import NumPyMachine
from fastgraph.text import element_names, number

_SHORT = 4  # operations of a partial that is worth showing as a formula


class Step(NamedTuple):
    """One operation of the forward pass.

    Attributes
    ----------
    name, formula, numbers : str
        ``d``, ``a + b`` and ``2 + 3``.
    value : float
    is_mask : bool
        Whether it only says which branches hand on derivatives.
    """

    name: str
    formula: str
    numbers: str
    value: float
    is_mask: bool


class Share(NamedTuple):
    """What one use of a value adds to its adjoint.

    Attributes
    ----------
    result, operand : str
        The operation and the operand, by name; where the pass begins, the output and the value that it is.
    formula : str
        Of the partial derivative, where it is short, else ``""``.
    partial, weight : float or None
        The partial derivative, and the adjoint of the result that it is multiplied by; None where the branch is not
        taken, and where the pass begins.
    added, total : float
        Their product, and the adjoint of the operand so far.
    why : str
        Why nothing is added, or ``""``.
    """

    result: str
    operand: str
    formula: str
    partial: float | None
    weight: float | None
    added: float
    total: float
    why: str = ""

    @property
    def is_seed(self):
        """Whether the pass begins here, with the weight of an output."""
        return self.partial is None and not self.why

    def product(self, digits):
        """``5 * (-1) = -5``."""
        partial, weight = (infix.constant(v, digits) for v in (self.partial, self.weight))
        return f"{weight.text} * {partial.at(infix.ATOM)} = {number(self.added, digits)}"


class Walk:
    """A program with names for its slots, swept at one point if there is one.

    Attributes
    ----------
    names : list of str
        By slot; of a constant ``""``.
    operations : list
        As :func:`fastgraph.interpreter.operations` yields them.
    outputs : list of (str, int)
        Names and slots of the outputs, scalar by scalar.
    steps, shares : list
        With a point: one for each operation, and in the order of the reverse pass with slots (result, operand).
    values, adjoints : list of ndarray of shape (1,)
        With a point: by slot.
    """

    def __init__(self, program, arguments, outputs):
        self.program = program
        self.operations = list(operations(program))
        leaves = [name for argument in arguments for name in element_names(argument)]
        outputs = _apart(outputs, {argument.name for argument in arguments})
        scalars = [name for output in outputs for name in element_names(output)]
        self.outputs = list(zip(scalars, program.outputs.tolist(), strict=True))
        self.names = leaves + [""] * (program.n_slots - len(leaves))
        for name, slot in reversed(self.outputs):
            if slot >= program.first_operation:
                self.names[slot] = name
        taken = {*leaves, *scalars, *(function.name for function in program.functions)}
        unnamed = [slot for slot in range(program.first_operation, program.n_slots) if not self.names[slot]]
        for slot, name in zip(unnamed, _names(len(unnamed), leaves, taken), strict=True):
            self.names[slot] = name
        self.values = self.adjoints = None
        self.steps, self.shares = [], []

    def part(self, slot, digits):
        """What a formula calls a slot: its name, or a constant's number."""
        if self.names[slot]:
            return Part(self.names[slot])
        return infix.constant(self.program.constants[slot - self.program.n_leaves], digits)

    def formula(self, operation, digits):
        """What an operation computes, by names."""
        op, _, operands, given, *_ = operation
        extra = infix.immediate(op, given[0]) if given else None
        return infix.spelled(op, [self.part(x, digits) for x in operands], extra).text

    def sweep(self, leaves, cotangents, wanted, digits):
        """Compute all values from ``leaves`` (n,), and the adjoints of what depends on the ``wanted`` ones, bool (n,).

        ``cotangents`` are one number for each scalar of the outputs; None leaves out the reverse pass.
        """
        self.values = forward(self.program, leaves)
        for operation in self.operations:
            op, slot, operands, given, _, _, is_mask = operation
            parts = [infix.constant(self.values[x][0], digits) for x in operands]
            extra = infix.immediate(op, given[0]) if given else None
            numbers = infix.spelled(op, parts, extra).text
            value = self.values[slot][0]
            self.steps.append(Step(self.names[slot], self.formula(operation, digits), numbers, value, is_mask))
        self.adjoints = [np.zeros(1, self.program.dtype) for _ in self.values]
        if cotangents is not None:
            with np.errstate(all="ignore"):
                self._reverse(cotangents, self._relevant(wanted), digits)

    def _relevant(self, wanted):
        """By slot, whether it leads to a wanted leaf."""
        relevant = [*map(bool, wanted)] + [False] * (self.program.n_slots - len(wanted))
        for _, slot, operands, _, _, flags, is_mask in self.operations:
            if not is_mask:
                relevant[slot] = any(flags >> k & 1 and relevant[x] for k, x in enumerate(operands))
        return relevant

    def _reverse(self, cotangents, relevant, digits):
        m, values, adjoints = NumPyMachine(self.program.dtype), self.values, self.adjoints
        for (name, slot), cotangent in zip(self.outputs, cotangents, strict=True):
            added = m.floats(cotangent)
            adjoints[slot] = adjoints[slot] + added
            if relevant[slot]:
                share = Share(name, self.names[slot], "", None, None, added[()], adjoints[slot][0])
                self.shares.append((None, slot, share))
        # The order of the kernels: last operation first, operand by operand, so that sums round as theirs do.
        for op, slot, operands, given, mask, flags, is_mask in reversed(self.operations):
            if is_mask or not relevant[slot]:
                continue
            partials = op.partials(m, values[slot], *(values[x] for x in operands), *given)
            texts = self._partial_texts(op, slot, operands, given, digits)
            for k, (x, partial) in enumerate(zip(operands, partials, strict=True)):
                if not (flags >> k & 1 and relevant[x]):
                    continue
                why = ""
                if isinstance(partial, Only) and not bool(np.all(partial.mask)):
                    why = "not taken"
                added = contribution(m, adjoints[slot], partial)
                if mask is not None and values[mask][0] == 0.0:
                    added, why = m.floats(0.0), f"{self.names[mask]} is 0"
                adjoints[x] = adjoints[x] + added
                local = partial.partial if isinstance(partial, Only) else partial
                # A rule may give a number, which the machine takes for one of its dtype.
                numbers = (None, None) if why else (m.floats(local).ravel()[0], adjoints[slot][0])
                share = (self.names[slot], self.names[x], "" if why else texts[k], *numbers)
                self.shares.append((slot, x, Share(*share, np.ravel(added)[0], adjoints[x][0], why)))

    def _partial_texts(self, op, slot, operands, given, digits):
        """The partials of an operation as short formulas, by names; "" where they are long, or just a number."""
        n = int(given[0]) if given and not op.names else 0
        recorder, places, partials = _recorded_partials(op.code, n)
        parts = [self.part(x, digits) for x in (slot, *operands)]
        known = dict(zip(places, parts, strict=True))

        def look(node):
            return known[node] if node in known else recorder.look(node)

        return [
            (infix.whole(look, partial.node, _SHORT) or "") if isinstance(partial, Expr) else "" for partial in partials
        ]


def _apart(outputs, arguments):
    """The outputs, under other names where arguments have theirs."""
    taken, renamed = arguments | {output.name for output in outputs}, []
    for output in outputs:
        name = output.name
        if name in arguments:
            while name in taken:
                name += "_"
            taken.add(name)
        renamed.append(replace(output, name=name))
    return renamed


@cache
def _recorded_partials(code, n):
    """The partials of an op, recorded: a recorder, the nodes of result and operands in it, and the partials."""
    op, recorder = TABLE[code], Recorder()
    places = recorder.inputs(*[f"place{k}" for k in range(1 + op.arity)])
    partials = op.partials(Symbols(), *places, *(() if op.immediate is None else (n,)))
    return recorder, [place.node for place in places], [_chosen(recorder, partial) for partial in partials]


def _chosen(recorder, partial):
    """What a rule chooses by the immediate, where its partial is a choice by a constant."""
    found = recorder.look(partial.node) if isinstance(partial, Expr) else None
    if not isinstance(found, infix.Operation) or found.op.name != "where":
        return partial
    condition, *choices = found.operands
    number = recorder.look(condition)
    if number not in (Part("0"), Part("1")):
        return partial
    return _chosen(recorder, Expr(recorder, choices[number == Part("0")]))


def _names(n, leaves, taken):
    """Names for what has none: the letters after those of the arguments, if there are enough, else t1, t2, …"""
    letters = string.ascii_lowercase
    if leaves and all(len(name) == 1 and name in letters for name in leaves):
        following = [letter for letter in letters[letters.index(max(leaves)) + 1 :] if letter not in taken]
        if len(following) >= n:
            return following[:n]
    return infix.fresh_names(n, taken)


def size_of(program):
    """What limits are about: operations and scalar arguments."""
    return program.n_operations + program.n_leaves


def check_size(label, program, limit, what):
    """Raise an ArgumentError if a program is larger than ``limit``."""
    if size_of(program) > limit:
        raise ArgumentError(
            f"{label} has {program.n_operations:,} operations and {program.n_leaves:,} scalar arguments, together more "
            f"than the {limit:,} that {what}: limit={size_of(program)} does so anyway, and summary() counts them"
        )


def checked_limit(label, limit):
    """A number, infinity for None."""
    if limit is None:
        return math.inf
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 0:
        raise ArgumentError(f"{label}: limit must be a number of operations, or None for no limit, not {limit!r}")
    return int(limit)


def checked_digits(label, digits):
    if isinstance(digits, bool) or not isinstance(digits, int | np.integer) or not 1 <= digits <= 17:
        raise ArgumentError(f"{label}: digits must be a number from 1 to 17, not {digits!r}")
    return int(digits)


def swept(program, signature, args, cotangents, wrt, digits):
    """A walk at a point: (walk, wrt's positions, the type of the gradient)."""
    label = signature.label
    arrays, batch = signature.bind_packed(args)
    _check_one(label, batch, "the arguments")
    seeds = None
    if cotangents is not None:
        bound, batch = signature.bind_cotangents(cotangents, ())
        _check_one(label, batch, "cotangents")
        seeds = np.concatenate([np.ravel(array) for array in bound])
    elif len(program.outputs) == 1:
        seeds = np.ones(1)
    positions, kind = (), None
    if wrt is not None or signature.differentiable:
        positions, kind = signature.wrt(wrt)
    wanted = np.repeat([k in positions for k in range(len(arrays))], [a.size for a in signature.arguments])
    walk = Walk(program, signature.arguments, signature.outputs)
    leaves = np.concatenate([np.empty(0, program.dtype), *map(np.ravel, arrays)])
    walk.sweep(leaves, seeds if positions else None, wanted, checked_digits(label, digits))
    return walk, positions, kind


def _check_one(label, batch, what):
    if batch:
        raise ShapeError(f"{label}: {what} have the batch shape {batch}, but one input set is followed: pass one")
