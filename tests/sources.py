"""Graphs whose every row a line of its own records: a source is written, then run with traced lines.

In: a recorded graph, or lines of source. Out: a graph made with ``trace_lines=True``, whose node k line k + 1 recorded.
"""

import linecache

import numpy as np

import fastgraph as fg
from fastgraph.expr import FUNCTIONS
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.ops import TABLE
from fastgraph.ops.row import table_at


def run(lines, file="<source>", **names):
    """Run lines of source that belong to ``file``; what they made, by name."""
    text = "\n".join(lines) + "\n"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names |= {"fg": fg, "np": np, "FUNCTIONS": FUNCTIONS}
    exec(compile(text, file, "exec"), names)  # a test's own source
    return names


def retraced(graph, file="<rows>"):
    """The graph recorded anew, one row a line."""
    rows, constants, outputs = graph.columns()
    lines = []
    for code, *xs in rows.tolist():
        if code == INPUT:
            made = f"graph.input('x{xs[0]}')"
        elif code == CONSTANT:
            made = f"graph.constant(constants[{xs[0]}])"
        else:
            op = TABLE[code]
            operands = [f"n{x}" for x in xs[: op.arity]]
            if op.immediate is not None:
                n = int(np.int32(np.uint32(xs[op.arity])))
                operands.append(f"tables[{n}]" if op.names else repr(n))
            made = f"FUNCTIONS[{op.name!r}]({', '.join(operands)})"
        lines.append(f"n{len(lines)} = {made}")
    lines += [f"graph.output(n{node})" for node in outputs.tolist()]
    begins = np.unique(rows[[code < len(TABLE) and TABLE[code].names == "table" for code in rows[:, 0]], 2])
    tables = {int(at): table_at(graph.tables, at) for at in begins}
    traced = fg.Graph(graph.name, trace_lines=True)
    run(lines, file, graph=traced, constants=constants, tables=tables)
    assert np.array_equal(traced.columns()[0], rows)
    return traced
