"""Programs swept in other algebras than the kernels': mpmath forward and reverse, and duals over NumPy forward.

The mpmath sweep may be perturbed: every inexact result and partial is moved by a random share of ``size``. How far
outputs and gradients move says how far rounding errors of the same relative size may move them: their conditioning.
"""

import random

import mpmath
import numpy as np

from fastgraph import interpreter
from fastgraph.ops import OPS, contribution
from fastgraph.ops.accuracy import AWAY_FROM_ZEROS
from fastgraph.ops.dual import Dual
from fastgraph.ops.oracle import Oracle, Real
from fastgraph.reference import NumPyMachine


class OutOfRange(Exception):
    """An intermediate result is not finite, or so large or small that binary64 would overflow or underflow."""


def exact_sweep(program, leaves, precision=300):
    """(outputs, gradient of their sum) as lists of mpf, at ``precision`` bits."""
    with mpmath.workprec(precision):
        return _sweep(program, leaves, lambda op, value: value, lambda value: value)


def conditioning(program, leaves, outputs, gradient, size=1e-13, draws=4, precision=300):
    """How far each output and gradient entry moves when every inexact operation is off by ``size``, relatively."""
    moved = [mpmath.mpf(0)] * len(outputs), [mpmath.mpf(0)] * len(gradient)
    for seed in range(draws):
        sign = random.Random(seed)

        def move(value, unit=None, sign=sign):
            shift = sign.choice((-1, 1)) * size * (abs(value.value) if unit is None else max(abs(value.value), unit))
            return Real(value.value + shift, value._minus_zero) if value.value != 0 or unit else value

        def result(op, value, move=move):
            if op.ulps == 0:
                return value
            return move(value, 1 if AWAY_FROM_ZEROS in op.doc else None)

        with mpmath.workprec(precision):
            found = _sweep(program, leaves, result, move)
            for far, new, old in zip(moved, found, (outputs, gradient), strict=True):
                far[:] = [max(m, abs(a - b)) for m, a, b in zip(far, new, old, strict=True)]
    return moved


def exact_values(program, leaves, precision=300, check=True):
    """Outputs as mpf by a forward sweep at ``precision`` bits; without ``check`` of any size."""
    with mpmath.workprec(precision):
        values = _forward(program, leaves, lambda op, value: value, _check if check else lambda value: None)
        return [values[slot].value for slot in program.outputs.tolist()]


def value_conditioning(program, leaves, outputs, size=1e-13, draws=4, precision=300):
    """How far each output moves when every inexact operation of a forward sweep is off by ``size``, relatively."""
    moved = [mpmath.mpf(0)] * len(outputs)
    for seed in range(draws):
        sign = random.Random(seed)

        def result(op, value, sign=sign):
            if op.ulps == 0:
                return value
            unit = 1 if AWAY_FROM_ZEROS in op.doc else 0
            shift = sign.choice((-1, 1)) * size * max(abs(value.value), unit)
            return Real(value.value + shift, value._minus_zero) if value.value != 0 or unit else value

        with mpmath.workprec(precision):
            values = _forward(program, leaves, result, lambda value: None)
            found = [values[slot].value for slot in program.outputs.tolist()]
            moved = [max(m, abs(a - b)) for m, a, b in zip(moved, found, outputs, strict=True)]
    return moved


def integers(n):
    """The immediate as the oracle takes it; a table or function as it is."""
    return [int(v) if np.isscalar(v) else v for v in n]


def _forward(program, leaves, result, check):
    m = Oracle()
    values = [Real(leaf) for leaf in leaves] + [Real(c) for c in program.constants.tolist()]
    for op, _, operands, n, _, _, _ in interpreter.operations(program):
        values.append(result(op, op.apply(m, *(values[x] for x in operands), *integers(n))))
        check(values[-1])
    return values


def _sweep(program, leaves, result, partial_):
    m = Oracle()
    values = _forward(program, leaves, result, _check)
    steps = list(interpreter.operations(program))
    adjoints = [Real(0)] * len(values)
    for slot in program.outputs.tolist():
        adjoints[slot] = adjoints[slot] + 1
    for op, slot, operands, n, mask, flags, is_mask in reversed(steps):
        if is_mask or not flags or (mask is not None and values[mask].value == 0):
            continue
        partials = op.partials(m, values[slot], *(values[x] for x in operands), *integers(n))
        for k, (x, p) in enumerate(zip(operands, partials, strict=True)):
            if isinstance(p, Real):
                _check(p)
                p = partial_(p)
            share = contribution(m, adjoints[slot], p)
            if share is not None and flags & (1 << k):
                adjoints[x] = adjoints[x] + share
                _check(adjoints[x])
    return [values[slot].value for slot in program.outputs.tolist()], [a.value for a in adjoints[: program.n_leaves]]


def _check(value):
    size = abs(value.value)
    if not (size == 0 or 1e-120 < size < 1e120):
        raise OutOfRange


class RecordedRules(NumPyMachine):
    """Rules run as they are recorded, for values that may be differentiated again: some have another form then."""

    differentiable = True

    def direction(self, x, y):
        return OPS["direction"].apply(NumPyMachine(self.dtype), x, y)


def tangents(program, leaves, direction, absolute=False, machine=NumPyMachine):
    """(outputs, J v) by duals over NumPy; with ``absolute`` the tangents add up sizes: |partial| times tangent.

    Leaves and directions are numbers or arrays of one shape; a direction may be None: such a leaf has no tangent.
    """
    m = machine(program.dtype)
    dual = Dual(m)
    values = [
        dual.pair(np.atleast_1d(x), None if v is None else np.atleast_1d(v))
        for x, v in zip(leaves, direction, strict=True)
    ]
    shape = np.broadcast_shapes((1,), *(pair.primal.shape for pair in values))
    values += [dual.pair(np.full(shape, c, program.dtype)) for c in program.constants]
    with np.errstate(all="ignore"):
        for op, _, operands, n, _, _, _ in interpreter.operations(program):
            pairs = [values[x] for x in operands]
            # ``where`` selects, by its own value rule; every other op goes through the partials of its row.
            pair = op.apply(dual, *pairs, *n) if op.name == "where" else getattr(dual, op.name)(*pairs, *n)
            if absolute and op.name != "where":
                pair.tangent = _absolute_tangent(m, op, pairs, n, pair.primal)
            values.append(pair)
    outputs = [values[slot] for slot in program.outputs.tolist()]
    primals, moved = ([y.primal for y in outputs], [0.0 if y.tangent is None else y.tangent for y in outputs])
    return tuple([np.broadcast_to(m.floats(x), shape) for x in part] for part in (primals, moved))


def _absolute_tangent(m, op, pairs, n, result):
    total = None
    partials = op.partials(m, result, *(p.primal for p in pairs), *n)
    for pair, partial in zip(pairs, partials, strict=True):
        share = None if pair.tangent is None else contribution(m, pair.tangent, partial)
        if share is not None:
            total = np.abs(share) if total is None else total + np.abs(share)
    return total
