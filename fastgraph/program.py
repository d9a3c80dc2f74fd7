"""Program: the frozen, verified flat arrays that the kernels sweep.

In: arrays, from the passes or from a saved program. Out: the same numbers, proved safe to run, read-only.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from fastgraph.callee import Callee
from fastgraph.errors import ProgramError
from fastgraph.jit import adaptive_by_operands
from fastgraph.lines import Lines
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY, CALLS, FLOWS, HAS_TABLE, IMMEDIATE_RANGE
from fastgraph.ops.row import MASKED, table_at
from fastgraph.passes import schedule
from fastgraph.summary import Summary, of_program
from fastgraph.text import counted

DTYPES = (np.dtype(np.float64), np.dtype(np.float32))
RUN = np.dtype([("opcode", "u2"), ("flags", "u2"), ("immediate", "i4"), ("count", "u4")])
MAX_SLOTS = 2**32 - 1
PADDING = 16  # operands the kernels may read past the last one, as whole vectors

_FAULTS = {
    1: "opcode {value} is not in the op table",
    2: "count {value} is not between 1 and the number of operations left",
    3: "flags {value} are not those that follow from the operands",
    4: "immediate {value} is out of the op's range",
    5: "operand {value} is not an earlier slot",
    6: "mask {value} is not a slot",
    7: "the operands end before the run does",
    8: "operands are left over after the last run",
    9: "output slot {value} does not exist or holds a mask",
    10: "no table begins at {value}",
    11: "there is no function {value} of as many arguments",
}


@dataclass(frozen=True, eq=False)
class Program:
    """Flat arrays that compute outputs, and gradients, from leaves.

    Slots are numbered: leaves (scalars of inputs and parameters, in order of declaration), constants, then one per
    operation, in order of execution. A run is a number of consecutive, independent operations of one opcode.

    Attributes
    ----------
    n_leaves : int
    constants : dtype (c,)
    runs : structured (r,)
        ``opcode``, ``flags`` (which operands receive an adjoint; whether a column of masks follows), ``immediate``,
        ``count``.
    n_value_runs : int
        The runs after these compute masks, which only the reverse sweep reads.
    operands : uint32
        For each run, operand by operand, ``count`` slots; then the masks' slots if the run has any.
    outputs : uint32 (m,)
        Slots.
    tables : dtype (t,)
        Each is the number of its numbers, then these; an immediate says where one begins.
    functions : tuple of Callee
        Functions of the user, which immediates number.
    dtype : float64 or float32
        What a slot holds, and what every operation rounds to: values, adjoints and constants alike. A float32 program
        takes no immediate that is not, with its neighbours, a float32 number: -2**24 < n < 2**24.
    lines : Lines or None
        Per slot, the place in the user's source it was recorded at, where the graph traced them. No kernel reads it.

    All arrays are read-only copies, verified on construction, so that nothing unverified reaches a kernel.
    """

    n_leaves: int
    constants: np.ndarray
    runs: np.ndarray
    n_value_runs: int
    operands: np.ndarray
    outputs: np.ndarray
    tables: np.ndarray | None = None
    dtype: np.dtype = DTYPES[0]
    functions: tuple = ()
    lines: Lines | None = None

    def __post_init__(self):
        freeze = object.__setattr__
        if not isinstance(self.dtype, np.dtype) or self.dtype not in DTYPES:
            raise ProgramError(f"the dtype of a program is float64 or float32, as numpy.dtype, not {self.dtype!r}")
        freeze(self, "n_leaves", _count(self.n_leaves, "n_leaves"))
        freeze(self, "n_value_runs", _count(self.n_value_runs, "n_value_runs"))
        freeze(self, "constants", _frozen(self.constants, self.dtype, "constants"))
        freeze(self, "runs", _frozen(self.runs, RUN, "runs"))
        freeze(self, "operands", _frozen(self.operands, np.dtype(np.uint32), "operands", PADDING))
        freeze(self, "outputs", _frozen(self.outputs, np.dtype(np.uint32), "outputs"))
        tables = np.empty(0, self.dtype) if self.tables is None else self.tables
        freeze(self, "tables", _frozen(tables, self.dtype, "tables"))
        freeze(self, "functions", tuple(self.functions))
        if not all(isinstance(function, Callee) for function in self.functions):
            raise ProgramError(f"functions must be Callees, not {self.functions!r}")
        for function in self.functions:
            function.address(self.dtype)  # compiled now, where what is wrong with it can be said
        self.verify()
        if self.lines is not None:
            self.lines.check(self.n_slots)

    @property
    def first_operation(self):
        """Slot of the first operation."""
        return self.n_leaves + len(self.constants)

    @property
    def n_operations(self):
        """Number of operations, those that compute masks included."""
        return int(self.runs["count"].sum(dtype=np.int64))

    @property
    def n_slots(self):
        """Number of slots: leaves, constants and operations."""
        return self.first_operation + self.n_operations

    def lowest_adjoints(self):
        """Per value run, the lowest slot that the reverse sweep has added to when it is done with that run."""
        runs = self.runs[: self.n_value_runs]
        columns = ARITY[runs["opcode"]] + (runs["flags"] & MASKED != 0)
        starts = np.cumsum(columns * runs["count"]) - columns * runs["count"]
        if not len(runs):
            return np.empty(0, np.int64)
        lows = np.minimum.reduceat(self.operands, starts).astype(np.int64)
        lows[runs["flags"] == 0] = self.n_slots
        return np.minimum.accumulate(lows[::-1])[::-1].copy()

    @property
    def mask_operands(self):
        """Number of operands of the runs that compute masks, which come last."""
        return sum(TABLE[run["opcode"]].arity * int(run["count"]) for run in self.runs[self.n_value_runs :])

    @property
    def nbytes(self):
        """Bytes of all arrays."""
        arrays = self.constants, self.runs, self.operands, self.outputs, self.tables
        return sum(array.nbytes for array in arrays)

    def verify(self):
        """Prove, in linear time, that the kernels can sweep this program without leaving its buffers.

        Every opcode exists; every operand is a slot computed before its run; every count, immediate, mask and output
        is in range; operands and counts add up; flags are those that follow from the operands.

        Raises
        ------
        ProgramError
            Naming the run and the field.
        """
        if self.n_value_runs > len(self.runs):
            raise ProgramError(f"n_value_runs is {self.n_value_runs}, but the program has {len(self.runs)} runs")
        if self.n_slots > MAX_SLOTS:
            raise ProgramError(f"the program needs {self.n_slots} slots; at most {MAX_SLOTS} can be numbered")
        if self.n_operations > len(self.operands):
            raise ProgramError(f"{self.n_operations} operations need more than {len(self.operands)} operands")
        if not len(self.outputs):
            raise ProgramError("the program has no outputs")
        first, n_slots = self.first_operation, self.n_slots
        fault, run, value = _verify(
            self.operands, *(self.runs[field].astype(np.int64) for field in RUN.names), self.n_value_runs,
            self.n_leaves, first, n_slots, self.outputs, ARITY, FLOWS, immediate_range(self.dtype), HAS_TABLE,
            _starts(self.tables), CALLS, np.array([f.arity for f in self.functions], np.int64),
        )  # fmt: skip
        if fault:
            where = "" if run < 0 else f"run {run}: "
            raise ProgramError(f"this is not a valid program: {where}{_FAULTS[fault].format(value=value)}")

    def disassemble(self, limit=10_000):
        """The program as text: one line an operation, with its slot, op and operands.

        Parameters
        ----------
        limit : int or None
            Of lines; what is left out is counted in the last one. None gives all.

        Returns
        -------
        str

        Notes
        -----
        The format: a line with sizes; ``%slot = input k``, ``%slot = constant x``, ``function k: name``,
        ``table start: n numbers``; for each run a comment and ``%slot = op %x, ...``, with the immediate after the
        operands, and ``if %mask`` where contributions to adjoints are gated; ``output %slot``.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> graph.output(2.0 * x**3)
        >>> print(graph.compile().program.disassemble())
        ; 1 leaves, 1 constants, 2 operations, 2 runs, 48 bytes
        %0 = input 0
        %1 = constant 2.0
        ; run 0: 1 x powi
        %2 = powi %0, 3
        ; run 1: 1 x mul
        %3 = mul %2, %1
        output %3
        """
        if limit is None:
            return "\n".join(self._lines())
        lines = list(islice(self._lines(), limit))
        left = self._n_lines() - len(lines)
        return "\n".join(
            lines + ([f"; {counted(left, 'line')} more: disassemble(limit=None) gives all"] if left else [])
        )

    def _n_lines(self):
        """How many lines the disassembly has."""
        n_tables = int(np.count_nonzero(_starts(self.tables)))
        return 1 + self.n_slots + len(self.functions) + n_tables + len(self.runs) + len(self.outputs)

    def _lines(self):
        yield (
            f"; {self.n_leaves} leaves, {len(self.constants)} constants, {self.n_operations} operations, "
            f"{len(self.runs)} runs, {self.nbytes} bytes"
        )
        for slot in range(self.n_leaves):
            yield f"%{slot} = input {slot}"
        for k, value in enumerate(self.constants.tolist()):
            yield f"%{self.n_leaves + k} = constant {value!r}"
        for k, function in enumerate(self.functions):
            yield f"function {k}: {function.name}"
        for at in np.flatnonzero(_starts(self.tables)):
            yield f"table {at}: {len(table_at(self.tables, at))} numbers"
        slot, at = self.first_operation, 0
        for k in range(len(self.runs)):
            opcode, flags, immediate, count = self.runs[k].tolist()
            op = TABLE[opcode]
            columns = op.arity + bool(flags & MASKED)
            operands = self.operands[at : at + count * columns].reshape(columns, count)
            suffix = " (masks)" if k >= self.n_value_runs else ""
            yield f"; run {k}: {count} x {op.name}{suffix}"
            for i in range(count):
                args = [f"%{x}" for x in operands[: op.arity, i]]
                if op.immediate is not None:
                    args.append(f"{op.names} {immediate}".lstrip())
                mask = f" if %{operands[op.arity, i]}" if flags & MASKED else ""
                yield f"%{slot + i} = {op.name} {', '.join(args)}{mask}"
            slot += count
            at += count * columns
        for slot in self.outputs:
            yield f"output %{slot}"

    def summary(self):
        """What the program consists of, as :meth:`fastgraph.Function.summary`, without names."""
        facts, counts = of_program(self)
        return Summary("Program", {"leaves": self.n_leaves, "outputs": len(self.outputs)} | facts, counts)

    def _repr_html_(self):
        return self.summary()._repr_html_()

    def __repr__(self):
        kind = "" if self.dtype == np.float64 else f" of {self.dtype}"
        return (
            f"<Program{kind}: {self.n_leaves} leaves, {len(self.constants)} constants, {self.n_operations} operations "
            f"in {len(self.runs)} runs, {len(self.outputs)} outputs, {self.nbytes} bytes>"
        )


def assemble(columns, n_leaves, dtype=DTYPES[0]):
    """The program of ``columns`` as they are, scheduled and verified."""
    plan = schedule(columns, n_leaves)
    lines = None
    if columns.lines is not None:
        lines = columns.lines.moved(plan.slots, n_leaves + len(columns.constants) + int(plan.counts.sum()))
    return Program(
        n_leaves, columns.constants.astype(dtype), runs_of(plan), plan.n_value_runs,
        plan.operands.astype(np.uint32), plan.outputs.astype(np.uint32), columns.tables.astype(dtype), dtype,
        columns.functions, lines,
    )  # fmt: skip


def runs_of(plan):
    """The runs of a ``Schedule``."""
    runs = np.zeros(len(plan.counts), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = (
        plan.opcodes, plan.flags, plan.immediates, plan.counts,
    )  # fmt: skip
    return runs


def immediate_range(dtype):
    """Per opcode, the lowest and the highest immediate: those of the table, with neighbours, that ``dtype`` holds."""
    limit = 2 ** (np.finfo(dtype).nmant + 1) - 1
    return np.where((HAS_TABLE | CALLS)[:, None], IMMEDIATE_RANGE, np.clip(IMMEDIATE_RANGE, -limit, limit))


def _starts(tables):
    """Where tables begin, bool (len(tables) + 1,); a ProgramError unless each ends where the next one begins."""
    starts, at = np.zeros(len(tables) + 1, np.bool_), 0
    while at < len(tables):
        count = float(tables[at])
        if not (1.0 <= count < len(tables) - at and count.is_integer()):
            raise ProgramError(f"the table at {at} has {count} numbers, of {len(tables) - at - 1} that follow")
        starts[at] = True
        at += 1 + int(count)
    return starts


def _count(value, name):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= MAX_SLOTS:
        raise ProgramError(f"{name} must be an integer from 0 to {MAX_SLOTS}, not {value!r}")
    return int(value)


def _frozen(array, dtype, name, padding=0):
    """A read-only copy, over immutable bytes so that it stays read-only."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        what = f"{array.dtype} array of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ProgramError(f"{name} must be a one-dimensional array of {dtype}, not {what}")
    data = array.tobytes() + bytes(padding * dtype.itemsize)
    return np.frombuffer(data, dtype=dtype)[: len(array)]


@adaptive_by_operands
def _verify(
    operands, opcodes, run_flags, immediates, counts, n_value_runs, n_leaves, first, n_slots, outputs,
    arity, flows, immediate_range, has_table, starts, calls, arguments,
):  # fmt: skip
    """(fault, run, value): fault 0 if the program is sound."""
    varies = np.zeros(n_slots - first, np.bool_)
    slot, at = first, 0
    first_mask = n_slots
    for r in range(len(counts)):
        opcode, flags, count = opcodes[r], run_flags[r], counts[r]
        if r == n_value_runs:
            first_mask = slot
        if opcode >= len(arity):
            return 1, r, opcode
        if count < 1 or count > n_slots - slot:
            return 2, r, count
        if flags >= 2 * MASKED:
            return 3, r, flags
        if not immediate_range[opcode, 0] <= immediates[r] <= immediate_range[opcode, 1]:
            return 4, r, immediates[r]
        if has_table[opcode] and (immediates[r] >= len(starts) or not starts[immediates[r]]):
            return 10, r, immediates[r]
        if calls[opcode] and (immediates[r] >= len(arguments) or arguments[immediates[r]] != arity[opcode]):
            return 11, r, immediates[r]
        masked = (flags & MASKED) != 0
        if (arity[opcode] + masked) * count > len(operands) - at:
            return 7, r, 0
        for k in range(arity[opcode]):
            for i in range(count):
                operand = np.int64(operands[at])
                if operand >= slot:
                    return 5, r, operand
                if flows[opcode, k] and (operand < n_leaves or (operand >= first and varies[operand - first])):
                    varies[slot + i - first] = True
                at += 1
        if masked:
            for _ in range(count):
                if operands[at] >= n_slots:
                    return 6, r, np.int64(operands[at])
                at += 1
        slot += count
    if at != len(operands):
        return 8, -1, at
    reached = np.zeros(n_slots - first, np.bool_)
    for output in outputs:
        if output >= first_mask:
            return 9, -1, np.int64(output)
        if output >= first:
            reached[output - first] = True
    # Backwards: an adjoint flows to operand k where one reaches the operation and the operand depends on a leaf.
    for r in range(len(counts) - 1, -1, -1):
        opcode, flags, count = opcodes[r], run_flags[r], counts[r]
        slot -= count
        at -= count * (arity[opcode] + ((flags & MASKED) != 0))
        if r >= n_value_runs and flags:
            return 3, r, flags
        for i in range(count):
            expected = 0
            for k in range(arity[opcode]):
                operand = np.int64(operands[at + k * count + i])
                if r < n_value_runs and reached[slot + i - first] and flows[opcode, k]:
                    if operand < n_leaves:
                        expected |= 1 << k
                    elif operand >= first and varies[operand - first]:
                        expected |= 1 << k
                        reached[operand - first] = True
            if (flags & (MASKED - 1)) != expected or (flags & MASKED and not expected):
                return 3, r, flags
    return 0, -1, 0
