"""Nonfinite: which operation made a NaN or an infinity, of which numbers, and which line recorded it.

In: a function and arguments. Out: a ``Nonfinite``: which sets of the batch are concerned, and for the first of them the
operation to blame. Kernels find the sets, and every value and adjoint of those looked at; the reference machine gives
what partial derivatives matter on the way from a result to the cause.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastgraph.engine.workspace import OneSet, Table
from fastgraph.errors import ArgumentError
from fastgraph.interpreter import contributions, forward, operations, reverse
from fastgraph.lines import Line
from fastgraph.ops import contribution
from fastgraph.ops.row import Only, Trace, active_flag
from fastgraph.reference import NumPyMachine
from fastgraph.text import element_names

NUMBERS = 1 << 22  # values held at a time, at most, unless one set has more
SHOWN = 5  # sets and operations that a text names


@dataclass(frozen=True)
class Given:
    """A number that was not finite from the start.

    Attributes
    ----------
    name : str
        Of an argument's element, such as ``"x[2]"``; of a constant, its slot, such as ``"%4"``.
    value : float
    line : Line or None
        Where it was declared; of a constant, where it was recorded, or computed from other constants.
    """

    name: str
    value: float
    line: Line | None

    def __str__(self):
        kind = "the constant " if self.name.startswith("%") else ""
        return f"{kind}{self.name} is {self.value:g} itself" + _at(self.line)


@dataclass(frozen=True)
class Fault:
    """What made the results of one set not finite.

    Attributes
    ----------
    index : tuple of int
        The set's place in the batch; ``()`` without a batch.
    op : str or None
        The first operation, in the order of the program, that made what is not finite of what is, and on which a
        result that is not finite depends. None if there is none: what is given is to blame.
    slot : int or None
        Of its result, as ``f.program.disassemble()`` numbers them.
    names : tuple of str
        Its operands: elements of arguments, ``%`` and a slot, or constants.
    operands : tuple of float
    result : float
    line : Line or None
        Which line recorded it, if the graph was made with ``trace_lines=True``.
    given : tuple of Given
        Arguments and constants that are not finite themselves, and on which such a result depends.
    by : int or None
        Of a gradient's fault, the operand whose adjoint it is that the operation adds to; else None.
    adjoint : float or None
        The operation's own adjoint, which is finite.
    share : float or None
        What it adds. It may be finite where the sum is not.
    """

    index: tuple[int, ...]
    op: str | None
    slot: int | None
    names: tuple[str, ...]
    operands: tuple[float, ...]
    result: float
    line: Line | None
    given: tuple[Given, ...]
    by: int | None = None
    adjoint: float | None = None
    share: float | None = None

    def __str__(self):
        told = [*([self._told] if self.op else []), *map(str, self.given)]
        return "\n".join(told) or "all is finite when it is computed again: does a custom op depend on anything else?"

    @property
    def _told(self):
        operands = (f"{n} = {x!r}" if n != repr(x) else n for n, x in zip(self.names, self.operands, strict=True))
        text = f"%{self.slot} = {self.op}({', '.join(operands)}) is {self.result!r}"
        if self.by is not None and self.share is not None:
            text += f": with its adjoint {self.adjoint!r} it adds {self.share!r} to that of {self.names[self.by]}"
            if math.isfinite(self.share):
                text += ", which overflows"
        return text + _at(self.line)


@dataclass(frozen=True, eq=False)
class Nonfinite:
    """What :meth:`Function.find_nonfinite` found; true if there is anything.

    Attributes
    ----------
    label : str
    what : str
        ``"value"`` or ``"gradient"``.
    n_sets : int
        Of the batch.
    sets : tuple of ndarray
        Which of them are concerned: an index, one array an axis of the batch; ``()`` without a batch.
    count : int
        How many these are.
    faults : tuple of Fault
        Of the first of them, in order.
    """

    label: str
    what: str
    n_sets: int
    sets: tuple
    count: int
    faults: tuple[Fault, ...]

    def __bool__(self):
        return self.count > 0

    def __str__(self):
        if not self.count:
            return f"{self.label}: no {self.what} of {_sets(self.n_sets)} is nan or inf"
        lines = [f"{self.label}: a {self.what} is nan or inf"]
        if self.sets:
            lines[0] = f"{self.label}: a {self.what} of {self.count:,} of {_sets(self.n_sets)} is nan or inf"
            if len(self.faults) < self.count:
                lines[0] += f"; looked at were the first {len(self.faults):,}"
        groups = {}
        for fault in self.faults:
            # What one line recorded, an operation for each element of an array, say, is one cause.
            place = fault.slot if fault.line is None else (fault.op, fault.line)
            groups.setdefault((place, fault.by, tuple(g.name for g in fault.given)), []).append(fault)
        for faults in list(groups.values())[:SHOWN]:
            lines += [_listed(faults)] if self.sets else []
            lines.append(str(faults[0]))
        if len(groups) > SHOWN:
            lines.append(f"and {len(groups) - SHOWN:,} more causes: see .faults")
        if any(fault.op and fault.line is None for fault in self.faults):
            lines.append("(a graph made with trace_lines=True names the line)")
        return "\n".join(lines)


def _sets(n):
    return f"{n:,} set{'s' * (n != 1)}"


def _listed(faults):
    """Which sets have these faults."""
    named = ", ".join(", ".join(map(str, f.index)) if len(f.index) == 1 else str(f.index) for f in faults[:SHOWN])
    more = f" and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return f"in set {named}:" if len(faults) == 1 else f"in sets {named}{more}, the first:"


def _at(line):
    """The place, indented, with the expression marked if it is a part of its line."""
    if line is None:
        return ""
    text = f"\n    {line.file}, line {line.line}, in {line.function}"
    if not line.text:
        return text
    text += f"\n        {line.text}"
    at = line.text.find(line.part)
    return text + f"\n        {' ' * at}{'^' * len(line.part)}" if at >= 0 and line.part != line.text else text


def find_nonfinite(function, args, named, gradient, wrt, threads, limit):
    """See :meth:`fastgraph.Function.find_nonfinite`."""
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
        raise ArgumentError(f"{function.label}: limit must be a positive integer, not {limit!r}")
    if not isinstance(gradient, bool | np.bool_):
        raise ArgumentError(f"{function.label}: gradient must be True or False, not {gradient!r}")
    arrays, batch = function.signature.bind(args, named)
    positions = ()
    if gradient:
        positions, kind = function.signature.wrt(wrt)
        results, slopes = function._derive(arrays, batch, None, positions, kind, None, threads, False, None)
        results = [*results, *([slopes] if kind is None else slopes)]
    elif wrt is not None:
        raise ArgumentError(f"{function.label}: wrt chooses what gradient=True looks at")
    else:
        results = function._evaluate(arrays, batch, None, threads, False, None)
    bad = np.zeros(batch, np.bool_)
    for result in results:
        bad |= ~np.isfinite(result).all(axis=tuple(range(len(batch), np.ndim(result))))
    sets = np.nonzero(bad) if batch else ()
    count = int(np.count_nonzero(bad))
    size = min(int(limit), max(1, NUMBERS // function.program.n_slots))
    chosen = [at[: min(limit, count)] for at in sets]
    faults = []
    for start in range(0, min(limit, count), size):
        faults += _faults(function, arrays, batch, tuple(at[start : start + size] for at in chosen), positions)
    return Nonfinite(function.label, "gradient" if gradient else "value", math.prod(batch), sets, count, tuple(faults))


def _faults(function, arrays, batch, index, positions):
    """The fault of each of the sets at ``index``."""
    program = function.program
    n_sets = len(index[0]) if index else 1
    leaves = [
        np.broadcast_to(array, batch + argument.shape)[index].reshape(n_sets, -1).T
        for array, argument in zip(arrays, function.arguments, strict=True)
    ]
    rows = np.concatenate([np.empty((0, n_sets)), *leaves])
    walk = _Walk(function, *_swept(program, rows, bool(positions)))
    found = walk.of_values()
    if positions:
        wanted = np.repeat([k in positions for k in range(len(arrays))], [a.size for a in function.arguments])
        found |= walk.of_gradient(np.flatnonzero(wanted), list(found))
    places = list(zip(*(at.tolist() for at in index), strict=True)) if index else [()]
    return [walk.fault(places[j], j, *found.get(j, (None, [], None))) for j in range(n_sets)]


def _swept(program, rows, gradient):
    """Values of every slot, and its adjoints or None, float64 (n_slots, k), for leaves (n_leaves, k)."""
    n, k = program.n_slots, rows.shape[1]
    if program.dtype != np.float64:  # which tiles alone sweep, and they use slots again
        values = [np.broadcast_to(v, k) for v in forward(program, rows)]
        adjoints = reverse(program, values, [1.0] * len(program.outputs)) if gradient else None
        return [None if a is None else np.array(a, np.float64).reshape(n, k) for a in (values, adjoints)]
    workspace = OneSet(program)
    outputs, slopes = np.empty((len(program.outputs), k)), np.empty((program.n_leaves, k))
    workspace.point(*map(Table.of_rows, (np.ascontiguousarray(rows), outputs, *[slopes] * gradient)))
    values, adjoints = np.empty((n, k)), np.empty((n, k)) if gradient else None
    for j in range(k):
        workspace.sweep(j, j + 1)
        values[:, j] = workspace.values[:n]
        if adjoints is not None:
            adjoints[:, j] = workspace.adjoints[:n]
    return values, adjoints


class _Walk:
    """What a program computes for some sets, and who is to blame for what of it.

    The sweep of one set leaves every value and adjoint where it is. So few operations are looked at on the reference
    machine: those whose partial derivatives matter.
    """

    def __init__(self, function, values, adjoints):
        self.function, self.program, self.values, self.adjoints = function, function.program, values, adjoints
        self.machine = NumPyMachine(self.program.dtype)
        self.operations = {
            slot: (op, operands, n, mask, flags)
            for op, slot, operands, n, mask, flags, is_mask in operations(self.program)
            if not is_mask
        }
        leaves = [name for argument in function.arguments for name in element_names(argument)]
        self.names = [*leaves, *map(repr, function.program.constants.tolist())]

    def _operands(self, operands):
        """Their values, as the rules take them."""
        return [self.values[x].astype(self.program.dtype, copy=False) for x in operands]

    def _partials(self, op, slot, operands, n):
        with np.errstate(all="ignore"):
            return op.partials(self.machine, *self._operands([slot, *operands]), *n)

    def of_values(self):
        """By set with an output that is not finite: the slot to blame or None, the leaves and constants, and None."""
        values, first = self.values, self.program.first_operation
        wrong = ~np.isfinite(values)
        to_blame = np.zeros_like(wrong)  # an output that is not finite depends on it
        roots = np.zeros_like(wrong)
        outputs = np.unique(self.program.outputs)
        to_blame[outputs] = wrong[outputs]
        for slot, (op, operands, n, _, _) in reversed(self.operations.items()):
            if not to_blame[slot].any():
                continue
            # An infinity did not come of a NaN.
            counts = [to_blame[slot] & wrong[x] & ~(np.isnan(values[x]) & np.isinf(values[slot])) for x in operands]
            if op.chooses:  # what is not taken is not to blame
                partials = self._partials(op, slot, operands, n)
                taken = [p.mask if isinstance(p, Only) else False for p in partials]
                counts = [c & t for c, t in zip(counts, taken, strict=True)]
            roots[slot] = to_blame[slot]
            for k in _read_by(op):
                to_blame[operands[k]] |= counts[k]
                roots[slot] &= ~counts[k]
        found = {}
        for j in np.flatnonzero(to_blame[outputs].any(0)).tolist():
            made = np.flatnonzero(roots[:, j])
            found[j] = (int(made[0]) if len(made) else None, np.flatnonzero(to_blame[:first, j]).tolist(), None)
        return found

    def of_gradient(self, leaves, known):
        """As :meth:`of_values`, where the gradient by ``leaves`` is not finite; the last is ``(k, adjoint, share)``.

        Without the sets ``known``.
        """
        finite = np.isfinite(self.adjoints)
        to_blame = np.zeros_like(finite)
        to_blame[leaves] = ~finite[leaves]
        to_blame[:, known] = False
        explained = np.zeros_like(finite)
        found = {}
        # From the leaves on: what came into an adjoint that is to blame, and is not finite, is to blame. The last that
        # is found of a set is the first in the order of the reverse sweep.
        for slot, (op, operands, n, mask, flags) in self.operations.items():
            asked = [k for k, x in enumerate(operands) if flags & active_flag(k) and to_blame[x].any()]
            if not asked:
                continue
            adjoint, shares = self.adjoints[slot], [None] * len(operands)
            # An adjoint that is not finite makes shares that are not, whatever it is multiplied by.
            if op.chooses or any((to_blame[operands[k]] & finite[slot]).any() for k in asked):
                shares = self._shares(op, slot, operands, n)
            for k in asked:
                into = to_blame[operands[k]] & (True if shares[k] is None else ~np.isfinite(shares[k]))
                if mask is not None:
                    into &= self.values[mask] != 0.0
                explained[operands[k]] |= into
                to_blame[slot] |= into & ~finite[slot]
                for j in np.flatnonzero(into & finite[slot]).tolist():
                    if j not in found or found[j][0] != slot:
                        found[j] = (slot, [], (k, float(adjoint[j]), float(shares[k][j])))
        for j in np.flatnonzero((to_blame & ~explained).any(0)).tolist():
            found |= self.interpreted(leaves, j)
        return found

    def _shares(self, op, slot, operands, n):
        """What an operation would add to the adjoint of each operand, without a mask."""
        adjoint = self.adjoints[slot].astype(self.program.dtype, copy=False)
        with np.errstate(all="ignore"):
            return [contribution(self.machine, adjoint, p) for p in self._partials(op, slot, operands, n)]

    def interpreted(self, leaves, j):
        """As :meth:`of_gradient`, of set j, by the whole reverse sweep of the interpreter: also where sums overflow."""
        values = self._operands(range(self.program.n_slots))
        values = [v[j : j + 1] for v in values]
        adjoints = [np.zeros_like(v) for v in values]
        events = []
        for slot, k, x, share in contributions(self.program, values, [1.0] * len(self.program.outputs), adjoints):
            with np.errstate(all="ignore"):
                wrong = not np.isfinite(share) or (np.isfinite(adjoints[x]) and not np.isfinite(adjoints[x] + share))
            if wrong:
                events.append((slot, k, x, float(share[0]), float(adjoints[slot][0])))
        to_blame = {leaf for leaf in leaves.tolist() if not np.isfinite(adjoints[leaf])}
        found = {}
        for slot, k, x, share, adjoint in reversed(events):
            if x in to_blame and math.isfinite(adjoint):
                found[j] = (slot, [], (k, adjoint, share))
            elif x in to_blame:
                to_blame.add(slot)
        return found

    def fault(self, index, j, slot, given, reverse):
        """The Fault of set j."""
        lines = self.program.lines
        line_at = (lambda slot: None) if lines is None else lines.at
        n_leaves = self.program.n_leaves
        told = tuple(
            Given(self.names[s] if s < n_leaves else f"%{s}", float(self.values[s, j]), line_at(s)) for s in given
        )
        if slot is None:
            return Fault(index, None, None, (), (), math.nan, None, told)
        op, operands, n, _, _ = self.operations[slot]
        xs, names = [float(v) for v in self.values[operands, j]], [self._name(x) for x in operands]
        if op.immediate is not None and not op.names:
            xs, names = [*xs, int(n[0])], [*names, repr(int(n[0]))]
        name = n[0].name if op.names == "function" else op.name
        by, adjoint, share = reverse or (None, None, None)
        result = float(self.values[slot, j])
        return Fault(index, name, slot, tuple(names), tuple(xs), result, line_at(slot), told, by, adjoint, share)

    def _name(self, slot):
        return self.names[slot] if slot < len(self.names) else f"%{slot}"


@cache
def _read_by(op):
    """Which operands the value of an op depends on."""
    immediate = () if op.immediate is None else (Trace(),)
    found = op.apply(Trace(), *(Trace({k}) for k in range(op.arity)), *immediate)
    return tuple(sorted(found.names))
