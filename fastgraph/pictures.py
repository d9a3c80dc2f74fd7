"""Pictures: a program as a drawing in DOT, Mermaid and, through Graphviz, SVG.

In: a program with the names of its arguments and outputs, and a point if there is one. Out: a :class:`Picture`: every
operation of a small program, a summary by depth of a large one.
"""

import re
import shutil
import subprocess
from html import escape
from typing import NamedTuple

import numpy as np

from fastgraph.engine.streams import columns_of
from fastgraph.errors import ArgumentError
from fastgraph.graph import Output
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY
from fastgraph.summary import levels_of_program
from fastgraph.text import counted, number, shaped
from fastgraph.walk import Walk, check_size, checked_digits, checked_limit, size_of, swept

BANDS = 16  # boxes of the operations of a summary, where one for each op of each level are too many
MOST_BOXES, MOST_ARGUMENTS = 100, 20  # boxes of operations, and of arguments or outputs, of a summary
ADJOINT = "#b3261e"  # the colour of everything about derivatives, readable on white and on black

# By kind: fill, line, and corners.
_KINDS = {
    "input": ("#e8f1fb", "#4a7ab0", "rounded"),
    "parameter": ("#eeeeee", "#777777", "rounded"),
    "operation": ("#ffffff", "#555555", "plain"),
    "mask": ("#f4eefb", "#8a6bb0", "plain"),
    "output": ("#fdf0d9", "#b07a2a", "plain"),
}
_TEXT = "#1b1b1b"
_EDGE_STYLES = {"operand": [], "idle": ["style=dashed"], "mask": ["style=dotted", "constraint=false"], "count": []}


class Node(NamedTuple):
    """A box: its kind, its name in bold, the rest of its first line, and lines about values and about derivatives."""

    kind: str
    name: str
    text: str = ""
    values: tuple = ()
    adjoints: tuple = ()


class Edge(NamedTuple):
    """An arrow between two boxes, by number, with lines about derivatives.

    ``kind`` is ``"operand"``; ``"idle"`` for an operand to which nothing flows back; ``"mask"`` from what says whether
    an operation hands anything on; ``"count"`` with the number of operands that it stands for.
    """

    source: int
    target: int
    lines: tuple = ()
    kind: str = "operand"


class Picture:
    """A drawing; show it in a notebook, or take its text.

    Attributes
    ----------
    title : str
    nodes : list of Node
    edges : list of Edge
    note : str
        What is not drawn, and how it would be; ``""`` where all is.
    """

    def __init__(self, title, nodes, edges, note=""):
        self.title, self.nodes, self.edges, self.note = title, nodes, edges, note
        self._direction = "TB" if note else "LR"  # a summary is long

    def to_dot(self):
        """The picture in DOT, the language of Graphviz; ASCII but for the names."""
        caption = " ".join(filter(None, [self.title, self.note and f"({self.note})"]))
        lines = [
            f"digraph {_quoted(self.title or 'graph')} {{",
            f"  rankdir={self._direction}",
            f'  graph [fontname="Helvetica", fontsize=11, label={_quoted(caption)}, labelloc=b, labeljust=l]',
            f'  node [fontname="Helvetica", fontsize=12, shape=box, fontcolor="{_TEXT}"]',
            '  edge [fontname="Helvetica", fontsize=10, color="#777777", arrowsize=0.7]',
        ]
        for kind, (fill, line, corners) in _KINDS.items():
            members = [f"n{k}" for k, node in enumerate(self.nodes) if node.kind == kind]
            if members:
                style = "filled,rounded" if corners == "rounded" else "filled"
                lines.append(f'  node [style="{style}", fillcolor="{fill}", color="{line}"]')
                lines += [f"  {n} [label=<{_dot_label(self.nodes[int(n[1:])])}>]" for n in members]
        for edge in self.edges:
            options = [f"label=<{_dot_edge_label(edge)}>"] if edge.lines else []
            options += _EDGE_STYLES[edge.kind]
            lines.append(f"  n{edge.source} -> n{edge.target}" + (f" [{', '.join(options)}]" if options else ""))
        return "\n".join([*lines, "}"])

    def to_mermaid(self):
        """The picture in Mermaid, which GitHub, GitLab and notebooks draw; by default not with over 500 edges."""
        lines = [f"flowchart {self._direction}"]
        for k, node in enumerate(self.nodes):
            first = f"<b>{_mermaid(node.name)}</b>{_mermaid(node.text)}"
            adjoints = [f"<i>{_mermaid(_marked(line))}</i>" for line in node.adjoints]
            label = "<br/>".join([first, *map(_mermaid, node.values), *adjoints])
            left, right = ("([", "])") if _KINDS[node.kind][2] == "rounded" else ("[", "]")
            lines.append(f'  n{k}{left}"{label}"{right}:::{node.kind}')
        for edge in self.edges:
            arrow = "-->" if edge.kind in ("operand", "count") else "-.->"
            label = "<br/>".join(_mermaid(_marked(line)) for line in edge.lines)
            label = f'|"{label}"|' if label else ""
            lines.append(f"  n{edge.source} {arrow}{label} n{edge.target}")
        has_adjoints = any(edge.lines and edge.kind == "operand" for edge in self.edges)
        lines += ["", *([f"  linkStyle default color:{ADJOINT}"] if has_adjoints else [])]
        for kind, (fill, line, _) in _KINDS.items():
            if any(node.kind == kind for node in self.nodes):
                lines.append(f"  classDef {kind} fill:{fill},stroke:{line},color:{_TEXT}")
        return "\n".join([*lines, *([f"  %% {self.note}"] if self.note else [])])

    def to_svg(self):
        """The picture as SVG text, drawn by Graphviz.

        Raises
        ------
        FileNotFoundError
            Where Graphviz's program ``dot`` is not installed, with what installs it.
        """
        program = shutil.which("dot")
        if program is None:
            raise FileNotFoundError(
                "SVG is drawn by the program dot of Graphviz, which is not on the PATH: install it (apt install "
                "graphviz, brew install graphviz, conda install graphviz, winget install graphviz), or take the text "
                "of to_dot() or to_mermaid() to what draws it elsewhere"
            )
        done = subprocess.run([program, "-Tsvg"], input=self.to_dot().encode(), capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"Graphviz could not draw the picture: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def _repr_mimebundle_(self, include=None, exclude=None):
        drawn = {"image/svg+xml": self.to_svg()} if shutil.which("dot") else {}
        return {"text/plain": repr(self), "text/vnd.mermaid": self.to_mermaid(), **drawn}

    def __repr__(self):
        title = f" of {self.title}" if self.title else ""
        note = f"; {self.note}" if self.note else ""
        return f"<Picture{title}: {counted(len(self.nodes), 'node')}, {counted(len(self.edges), 'edge')}{note}>"


def picture(program, signature, at, cotangents, wrt, limit, digits):
    """See :meth:`fastgraph.Function.picture`."""
    limit, digits = checked_limit(signature.label, limit), checked_digits(signature.label, digits)
    if at is None:
        if cotangents is not None or wrt is not None:
            raise ArgumentError(f"{signature.label}: cotangents and wrt are about derivatives at a point: pass at=")
        if size_of(program) > limit:
            return _summary(program, signature, limit)
        return _detailed(Walk(program, signature.arguments, signature.outputs), signature, digits)
    check_size(signature.label, program, limit, "a picture with values shows")
    walk, _, _ = swept(program, signature, at, cotangents, wrt, digits)
    is_plain = cotangents is None and len(program.outputs) == 1
    return _detailed(walk, signature, digits, walk.outputs[0][0] if is_plain else None)


# -- every operation ----------------------------------------------------------------------------------------
def _detailed(walk, signature, digits, of=None):
    """One box for each operation; ``of`` is the name of the output that is differentiated, None for weighted ones."""
    has_values = walk.values is not None
    kinds = [_kind_of(argument) for argument in signature.arguments for _ in range(argument.size)]
    drawn, nodes = {}, []
    used = {x for _, _, operands, *_ in walk.operations for x in operands} | {slot for _, slot in walk.outputs}
    reached = {operand for _, operand, share in walk.shares if not share.why}
    named = {walk.names[slot] for _, slot in walk.outputs}

    def box(slot, kind, text=""):
        values = (f"= {number(walk.values[slot][0], digits)}",) if has_values else ()
        adjoints = ()
        if slot in reached:
            what = f"d{of}/d{walk.names[slot]}" if of else f"w({walk.names[slot]})"
            adjoints = (f"{what} = {number(walk.adjoints[slot][0], digits)}",)
        drawn[slot] = len(nodes)
        nodes.append(Node(kind, walk.names[slot], text, values, adjoints))

    for slot, kind in enumerate(kinds):
        if slot in used or len(kinds) <= MOST_ARGUMENTS:
            box(slot, kind)
    for operation in walk.operations:
        _, slot, _, _, _, _, is_mask = operation
        if is_mask and not has_values:
            continue  # values do not depend on them
        kind = "mask" if is_mask else "output" if walk.names[slot] in named else "operation"
        box(slot, kind, f" = {walk.formula(operation, digits)}")
    edges = _edges(walk, drawn, digits)
    for name, slot in walk.outputs:
        if walk.names[slot] == name:
            continue
        values = (f"= {number(walk.values[slot][0], digits)}",) if has_values and walk.names[slot] else ()
        nodes.append(Node("output", name, f" = {walk.part(slot, digits).text}", values))
        if slot in drawn:
            edges.append(Edge(drawn[slot], len(nodes) - 1))
    title = signature.label if signature.label not in ("Function", "Graph") else ""
    return Picture(title, nodes, edges)


def _edges(walk, drawn, digits):
    """An arrow for each operand that is no constant, with what comes back along it."""
    shares = {}
    for result, operand, share in walk.shares:
        shares.setdefault((result, operand), []).append(share)
    edges = []
    for _, slot, operands, _, mask, _, _ in walk.operations:
        for x in operands:
            if x not in drawn or slot not in drawn:
                continue
            found = shares.get((slot, x))
            share = found.pop(0) if found else None
            lines = ()
            if share is not None and share.why:
                lines = (f"nothing: {share.why}",)
            elif share is not None:
                lines = (f"d{share.result}/d{share.operand} = {number(share.partial, digits)}", share.product(digits))
            kind = "idle" if share is not None and share.why else "operand"
            edges.append(Edge(drawn[x], drawn[slot], lines, kind))
        if mask in drawn and walk.values is not None:
            edges.append(Edge(drawn[mask], drawn[slot], ("mask",), "mask"))
    return edges


# -- a summary ----------------------------------------------------------------------------------------------
def _summary(program, signature, limit):
    """Boxes of operations of one depth and op, or of a band of depths, with the number of operands between them."""
    rows = columns_of(program).rows
    operations = rows[program.first_operation :]
    levels = levels_of_program(program)[program.first_operation : len(rows)]
    nodes = _group_boxes(signature.arguments, "argument")
    group = np.full(len(rows), -1, np.int64)
    group[: program.n_leaves] = _groups_of(signature.arguments, len(nodes))
    boxes, groups = _operation_boxes(operations[:, 0].astype(np.int64), levels, min(limit, MOST_BOXES))
    group[program.first_operation :] = len(nodes) + groups
    nodes += boxes
    edges = _counted_edges(operations, group, program.first_operation)
    outputs = _group_boxes(signature.outputs, "output")
    edges += _between(group[program.outputs], len(nodes) + _groups_of(signature.outputs, len(outputs)))
    note = f"a summary by depth of {program.n_operations:,} operations; limit={size_of(program)} draws each of them"
    return Picture(signature.label, nodes + outputs, edges, note)


def _operation_boxes(codes, levels, most):
    """Boxes of operations by depth and op, or by bands of depth if these are more than ``most``; which each is in."""
    kinds, inverse, counts = np.unique(levels * len(TABLE) + codes, return_inverse=True, return_counts=True)
    if len(kinds) <= most:
        names = [TABLE[kind % len(TABLE)].name for kind in kinds.tolist()]
        boxes = [Node("operation", f"{n:,}", f" {name}") for n, name in zip(counts.tolist(), names, strict=True)]
        return boxes, inverse
    depth = int(levels.max())
    bands = min(BANDS, depth)
    band = (levels - 1) * bands // depth
    firsts = [-(-k * depth // bands) + 1 for k in range(bands + 1)]
    return [_band_box(codes[band == k], firsts[k], firsts[k + 1] - 1) for k in range(bands)], band


def _groups_of(items, n_boxes):
    """By scalar of arguments or outputs, the number of its box."""
    sizes = [item.size for item in items]
    return np.repeat(np.arange(len(sizes)) if n_boxes > 1 else np.zeros(len(sizes), np.int64), sizes)


def _kind_of(item):
    if isinstance(item, Output):
        return "output"
    return "input" if item.differentiable else "parameter"


def _group_boxes(items, what):
    if len(items) > MOST_ARGUMENTS:
        size = sum(item.size for item in items)
        return [Node(_kind_of(items[0]), f"{len(items):,}", f" {what}s, {counted(size, 'scalar')}")]
    return [Node(_kind_of(item), shaped(item)) for item in items]


def _band_box(codes, first, last):
    counts = np.bincount(codes, minlength=len(TABLE))
    order = [c for c in np.argsort(-counts, kind="stable").tolist() if counts[c]]
    lines = [f"{counts[c]:,} {TABLE[c].name}" for c in order[:4]]
    rest = sum(int(counts[c]) for c in order[4:])
    text = f" {first:,} to {last:,}" if last > first else f" {first:,}"
    return Node("operation", "depth", text, (*lines, *([f"{rest:,} others"] if rest else [])))


def _counted_edges(operations, group, first):
    sources, targets = [], []
    for k in range(operations.shape[1] - 1):
        used = np.flatnonzero(ARITY[operations[:, 0]] > k)
        sources.append(group[operations[used, 1 + k]])
        targets.append(group[first + used])
    return _between(np.concatenate(sources), np.concatenate(targets))


def _between(sources, targets):
    """Arrows between different groups, with the number of operands they stand for."""
    kept = (sources != targets) & (sources >= 0)
    n = int(targets.max(initial=0)) + 1
    counts = np.bincount(sources[kept] * n + targets[kept])
    return [
        Edge(key // n, key % n, (f"{counts[key]:,}",) if counts[key] > 1 else (), "count")
        for key in np.flatnonzero(counts).tolist()
    ]


# -- text of the two languages ------------------------------------------------------------------------------
def _quoted(text):
    """A string of DOT; its backslashes stand for themselves."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _marked(text):
    """A line about derivatives with signs that no name has: 0 for a partial d, 1 for a product."""
    return re.sub(r"\bd(\S+)/d(?=\S)", "\0\\1/\0", text).replace(" * ", " \1 ")


def _dot(text):
    """Text in an HTML label of DOT."""
    return escape(text, quote=False).replace("\0", "&#8706;").replace("\1", "&#183;")


def _dot_label(node):
    lines = [f"<b>{_dot(node.name)}</b>{_dot(node.text)}", *map(_dot, node.values)]
    return "<br/>".join([*lines, *([_dot_adjoints(node.adjoints)] if node.adjoints else [])])


def _dot_edge_label(edge):
    if edge.kind in ("count", "mask"):
        return "<br/>".join(map(_dot, edge.lines))
    return _dot_adjoints(edge.lines)


def _dot_adjoints(lines):
    return f'<font color="{ADJOINT}">{"<br/>".join(_dot(_marked(line)) for line in lines)}</font>'


def _mermaid(text):
    """Text in a quoted label of Mermaid, where # begins the code of a character."""
    text = "".join(f"#{ord(c)};" if c in '#&<>"`\\' else c for c in text)
    return text.replace("\0", "#8706;").replace("\1", "#183;")
