"""Explain: the forward and the reverse pass at one point as a table, to be followed by hand.

In: a Function and one input set. Out: an :class:`Explanation`.
"""

from html import escape

import numpy as np

from fastgraph import infix
from fastgraph.errors import ArgumentError
from fastgraph.layout import scalar
from fastgraph.text import aligned, element_names, html_table, html_title, number
from fastgraph.walk import check_size, checked_limit, swept


def explain(function, args, cotangents, wrt, limit, digits):
    """See :meth:`fastgraph.Function.explain`."""
    check_size(function.label, function.program, checked_limit(function.label, limit), "explain shows")
    signature = function.signature
    if cotangents is None and len(function.program.outputs) != 1:
        listing = ", ".join(f"{o.name} {o.shape}" for o in function.outputs)
        raise ArgumentError(
            f"{function.label} has several outputs ({listing}): the reverse pass begins with their weights, one for "
            "each scalar; pass cotangents= as to vjp"
        )
    walk, positions, kind = swept(function.program, signature, args, cotangents, wrt, digits)
    gradient, ends = None, np.cumsum([a.size for a in signature.arguments]).tolist()
    if positions:
        numbers = np.array([adjoint[0] for adjoint in walk.adjoints[: function.program.n_leaves]], function.dtype)
        items = [(signature.arguments[k], ends[k]) for k in positions]
        gradients = [scalar(numbers[end - a.size : end].reshape(a.shape).copy()) for a, end in items]
        gradient = gradients[0] if kind is None else kind._make(gradients)
    values, outputs, at = np.array([walk.values[slot][0] for slot in function.program.outputs]), [], 0
    for output in function.outputs:
        outputs.append(scalar(values[at : at + output.size].reshape(output.shape)))
        at += output.size
    arguments = [signature.arguments[k] for k in positions]
    return Explanation(function, walk, function._in_form(outputs), gradient, arguments, cotangents is None, digits)


class Explanation:
    """A forward and a reverse pass as a table. ``print`` it, or show it in a notebook.

    Attributes
    ----------
    outputs : as of a call
    gradient : as of :meth:`fastgraph.Function.grad`, or None without inputs
        With cotangents, as the input cotangents of :meth:`fastgraph.Function.vjp`. Equal to these in every bit.
    arguments : list of (str, float)
        The scalars of the arguments.
    forward : list of Step
    reverse : list of Share
    """

    def __init__(self, function, walk, outputs, gradient, wanted, is_plain, digits):
        self.outputs, self.gradient = outputs, gradient
        n = function.program.n_leaves
        self.arguments = [(name, walk.values[slot][0]) for slot, name in enumerate(walk.names[:n])]
        self.forward, self.reverse = walk.steps, [share for _, _, share in walk.shares]
        self._label, self._digits = function.label, digits
        self._copies = [
            (name, walk.part(slot, digits).text, walk.values[slot][0])
            for name, slot in walk.outputs
            if walk.names[slot] != name
        ]
        self._of = walk.outputs[0][0] if is_plain and gradient is not None else None
        names = {name for argument in wanted for name in element_names(argument)}
        self._gradient = [(name, walk.adjoints[k][0]) for k, name in enumerate(walk.names[:n]) if name in names]

    def _number(self, value):
        return number(value, self._digits)

    def _forward_rows(self, masks):
        rows = [] if masks else [[name, "", "", f"= {self._number(value)}"] for name, value in self.arguments]
        rows += [
            [s.name, f"= {s.formula}", f"= {s.numbers}", f"= {self._number(s.value)}"]
            for s in self.forward
            if s.is_mask == masks
        ]
        copies = [] if masks else self._copies
        return rows + [[name, f"= {text}", "", f"= {self._number(value)}"] for name, text, value in copies]

    def _reverse_rows(self):
        formulas = {step.name: step.formula for step in self.forward}
        rows, last, so_far = [], None, {}
        for share in self.reverse:
            name, adjoint = share.operand, ""
            if share.is_seed:
                head = name if share.result == name else f"{share.result} = {name}"
            else:
                head = f"{share.result} = {formulas[share.result]}"
            if not share.why:
                total, added = self._number(share.total), infix.constant(share.added, self._digits)
                before = f"{so_far[name]} + {added.at(infix.ATOM)} = " if name in so_far else ""
                adjoint, so_far[name] = f"w({name}) = {before}{total}", total
            rows.append(["" if head == last else head, *self._products(share), adjoint])
            last = head
        return rows

    def _products(self, share):
        """The cells of the partial derivative, and of its product with the adjoint of the result."""
        partial = f"d{share.result}/d{share.operand}"
        if share.is_seed:
            return "", ""
        if share.why:
            return f"{partial}: {share.why}", "nothing"
        value = self._number(share.partial)
        formula = "" if share.formula in ("", value) else f" = {share.formula}"
        return f"{partial}{formula} = {value}", share.product(self._digits)

    def _gradient_rows(self):
        return [
            [f"d{self._of}/d{name}" if self._of else f"w({name})", f"= {self._number(value)}"]
            for name, value in self._gradient
        ]

    def _sections(self):
        """Title, explanation, heads and rows of each table."""
        yield f"{self._label}: forward pass", "", (), self._forward_rows(False)
        if self.gradient is None:
            return
        masks = self._forward_rows(True)
        if masks:
            text = (
                "Operations on a side of a where that is not taken add nothing. Their conditions, 1 where it is taken:"
            )
            yield "Conditions", text, (), masks
        what = f"d{self._of}/dv" if self._of else "the derivative by v of the sum of the outputs, each times its weight"
        text = f"w(v) is {what}. Each operation r adds w(r) * dr/dv to w(v), for its operands v."
        heads = "operation r", "partial derivative", "w(r) * dr/dv", "adjoint so far"
        yield "Reverse pass", text, heads, self._reverse_rows()
        yield "Gradient", "", (), self._gradient_rows()

    def __str__(self):
        lines = []
        for title, text, heads, rows in self._sections():
            lines += ["", title] + ([text] if text else [])
            if rows and heads:
                dashes = ["-" * max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
                rows = [list(heads), dashes, *rows]
            lines += aligned(rows) if rows else ["  nothing"]
        return "\n".join(lines[1:])

    __repr__ = __str__

    def _repr_html_(self):
        parts = []
        for title, text, heads, rows in self._sections():
            parts.append(html_title(title))
            parts += [f"<div>{escape(text)}</div>"] if text else []
            parts.append(html_table(rows, heads, font="monospace") if rows else "<div>nothing</div>")
        return "\n".join(parts)
