"""Summaries: what a graph, a program or an expression consists of, as a table that fits a screen whatever its size.

In: columns of a graph, or the runs of a program. Out: a :class:`Summary`.
"""

import numpy as np

from fastgraph.jit import adaptive_by_operands
from fastgraph.ops import MAX_ARITY, TABLE
from fastgraph.ops.arrays import ARITY
from fastgraph.ops.row import MASKED
from fastgraph.passes.prune import needed_by
from fastgraph.text import aligned, counted, html_table, html_title

MOST_OPS = 12  # of the histogram; the others are one line
MOST_FUNCTIONS = 8


class Summary:
    """A titled table of facts, and how often each op occurs. ``print`` it, or show it in a notebook.

    Attributes
    ----------
    title : str
    facts : dict of str to int or str
    counts : dict of str to int
        Operations by op, the most frequent first.
    """

    def __init__(self, title, facts, counts):
        self.title, self.facts, self.counts = title, facts, counts

    def __str__(self):
        lines = [self.title, *aligned(self._facts())]
        if self.counts:
            lines += ["", *aligned([["op", "count", "share"], *self._histogram()], right=(1, 2))]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        tables = [html_table(self._facts())]
        if self.counts:
            tables.append(html_table(self._histogram(), ("op", "count", "share"), right=(1, 2)))
        side = "display: flex; gap: 2em; align-items: flex-start; flex-wrap: wrap"
        return f'{html_title(self.title)}\n<div style="{side}">\n' + "\n".join([*tables, "</div>"])

    def _facts(self):
        return [[name, fact if isinstance(fact, str) else f"{fact:,}"] for name, fact in self.facts.items()]

    def _histogram(self):
        total, rows = sum(self.counts.values()), list(self.counts.items())
        if len(rows) > MOST_OPS:
            others = rows[MOST_OPS - 1 :]
            rows = [*rows[: MOST_OPS - 1], (f"{len(others)} others", sum(count for _, count in others))]
        return [[name, f"{count:,}", f"{100 * count / total:.0f} %"] for name, count in rows]


def of_program(program):
    """What a program consists of: (facts, counts)."""
    runs = program.runs[: program.n_value_runs]
    count = runs["count"].astype(np.int64)
    levels = levels_of_program(program)[program.first_operation :]
    n_masks = program.n_operations - int(count.sum())
    facts = {
        "precision": str(program.dtype),
        "operations": int(count.sum()),
        "runs": len(runs),
        **({"masks": f"{counted(n_masks, 'operation')} more, for the reverse sweep alone"} if n_masks else {}),
        **_shape(levels),
        "constants": len(program.constants),
        **_named(program.tables, program.functions),
        "slots": program.n_slots,
        "bytes": program.nbytes,
    }
    return facts, _counts(np.repeat(runs["opcode"], count))


def of_rows(rows, nodes):
    """What the ``nodes`` of a graph depend on: (facts, counts, which rows these are)."""
    needed = needed_by(rows, np.asarray(nodes, np.int64).ravel(), np.empty(0, np.int64), ARITY)
    at = np.flatnonzero(needed & (rows[:, 0] < len(ARITY)))
    codes = rows[at, 0]
    used = np.arange(MAX_ARITY) < ARITY[codes][:, None]
    operands = rows[at, 1:][used]
    levels = _levels(operands, codes.astype(np.int64), np.ones(len(at), np.int64), at, len(rows), ARITY)
    return {"operations": len(at), **_shape(levels[at])}, _counts(codes), needed


def levels_of_program(program):
    """Per slot, how many operations it is at the end of, one after the other; 0 of what masks alone need."""
    runs = program.runs[: program.n_value_runs]
    codes, counts = runs["opcode"].astype(np.int64), runs["count"].astype(np.int64)
    # With a column of masks a run has one operand more; they say nothing of values.
    masked = runs["flags"] & MASKED != 0
    ends = np.cumsum((ARITY[codes] + masked) * counts)
    keep = np.ones(int(ends[-1]) if len(ends) else 0, np.bool_)
    for end, count in zip(ends[masked].tolist(), counts[masked].tolist(), strict=True):
        keep[end - count : end] = False
    operands = program.operands[: len(keep)][keep]
    starts = program.first_operation + np.cumsum(counts) - counts
    return _levels(operands, codes, counts, starts, program.n_slots, ARITY)


@adaptive_by_operands
def _levels(operands, codes, counts, starts, n_slots, arity):
    """Per slot, the longest path to it in operations. Runs: ``counts`` operations each, results from ``starts`` on."""
    levels = np.zeros(n_slots, np.int64)
    at = 0
    for r in range(len(codes)):
        n = counts[r]
        for i in range(n):
            deepest = 0
            for k in range(arity[codes[r]]):
                deepest = max(deepest, levels[operands[at + k * n + i]])
            levels[starts[r] + i] = deepest + 1
        at += n * arity[codes[r]]
    return levels


def _shape(levels):
    levels = levels[levels > 0]
    if not len(levels):
        return {"depth": 0, "width": 0}
    return {"depth": int(levels.max()), "width": int(np.bincount(levels).max())}


def _counts(codes):
    """Operations by op, the most frequent first, then by name."""
    found = np.bincount(codes, minlength=len(TABLE)).tolist()
    named = [(op.name, found[op.code]) for op in TABLE if found[op.code]]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


def _named(tables, functions):
    facts, at, sizes = {}, 0, []
    while at < len(tables):
        sizes.append(int(tables[at]))
        at += 1 + sizes[-1]
    if sizes:
        facts["tables"] = f"{len(sizes):,} of {counted(sum(sizes), 'number')}"
    if functions:
        names = [function.name for function in functions]
        more = f", {len(names) - MOST_FUNCTIONS:,} more" if len(names) > MOST_FUNCTIONS else ""
        facts["functions"] = ", ".join(names[:MOST_FUNCTIONS]) + more
    return facts
