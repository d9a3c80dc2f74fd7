"""Counting: what a function is made of. In: a function. Out: ``Statistics``, a small record with a text."""

from dataclasses import dataclass

import numpy as np

from fastgraph.engine.streams import columns_of
from fastgraph.jit import adaptive
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY


@dataclass(frozen=True)
class Statistics:
    """What a function is made of.

    Attributes
    ----------
    label : str
    inputs, parameters, constants, outputs : int
        Numbers of scalars.
    operations : int
        That compute values.
    masks : int
        Operations besides that compute, for gradients only, which branch of a ``where`` was taken.
    ops : dict of str to int
        How many of each op there are, the commonest first, masks included.
    depth : int
        Operations on the longest way from a leaf to a result: what cannot be done side by side.
    width : int
        Operations, at most, of which the longest way from a leaf is the same.
    runs : int
        Consecutive operations of one opcode that a sweep does in one loop.
    program_bytes, workspace_bytes : int
        Of the program, and of the values and adjoints of one input set beside it.
    """

    label: str
    inputs: int
    parameters: int
    constants: int
    outputs: int
    operations: int
    masks: int
    ops: dict
    depth: int
    width: int
    runs: int
    program_bytes: int
    workspace_bytes: int

    def __str__(self):
        n = self.operations + self.masks
        counts = self.inputs, self.parameters, self.constants, self.outputs
        named = zip(counts, ("input", "parameter", "constant", "output"), strict=True)
        numbers = (f"{count:,} {what}{'s' * (count != 1)}" for count, what in named)
        lines = [
            f"{self.label}: {', '.join(numbers)}",
            f"operations {n:>12,}" + (f"  of which {self.masks:,} compute masks of branches" if self.masks else ""),
            f"runs       {self.runs:>12,}  of {n / max(self.runs, 1):.3g} operations on average",
            f"depth      {self.depth:>12,}",
            f"width      {self.width:>12,}  at most, {self.operations / max(self.depth, 1):.3g} on average",
            f"bytes      {self.program_bytes:>12,}  of the program, {self.workspace_bytes:,} of values and adjoints",
        ]
        width = max(map(len, self.ops), default=0)
        lines += [
            f"  {name:<{width}} {count:>{max(1, 20 - width)},}  {count / n:6.1%}" for name, count in self.ops.items()
        ]
        return "\n".join(lines)


def statistics(function):
    """See :meth:`fastgraph.Function.statistics`."""
    program = function.program
    counts = np.bincount(program.runs["opcode"], program.runs["count"], len(TABLE)).astype(int).tolist()
    found = sorted((-count, TABLE[code].name) for code, count in enumerate(counts) if count)
    levels = _levels(columns_of(program).rows, ARITY)
    widths = np.bincount(levels)[1:]
    sizes = [sum(a.size for a in function.arguments if a.differentiable is kind) for kind in (True, False)]
    masks = int(program.runs["count"][program.n_value_runs :].sum(dtype=np.int64))
    return Statistics(
        function.label, *sizes, len(program.constants), len(program.outputs), program.n_operations - masks, masks,
        {name: -count for count, name in found}, len(widths), int(widths.max(initial=0)), len(program.runs),
        program.nbytes, 2 * program.dtype.itemsize * program.n_slots,
    )  # fmt: skip


@adaptive
def _levels(rows, arity):
    """Operations on the longest way to each node, itself included: 0 for leaves and constants."""
    levels = np.zeros(len(rows), np.int64)
    for node in range(len(rows)):
        code = rows[node, 0]
        if code < len(arity):
            for k in range(arity[code]):
                levels[node] = max(levels[node], levels[rows[node, 1 + k]] + 1)
    return levels
