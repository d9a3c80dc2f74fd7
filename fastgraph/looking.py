"""Looking: what Functions and Graphs show of themselves.

In: a program or a graph. Out: a ``Summary``.
"""

import numpy as np

from fastgraph.expr_array import ExprArray
from fastgraph.graph import INPUT
from fastgraph.summary import Summary, of_program, of_rows
from fastgraph.text import listing


class Looking:
    """Base of :class:`Function`."""

    def summary(self):
        """What the function consists of: arguments, outputs, operations by op, depth, runs, bytes.

        Returns
        -------
        fastgraph.summary.Summary
            ``print`` it, or show it in a notebook, as the function itself.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph("example")
        >>> a, b, c = graph.inputs("a", "b", "c")
        >>> graph.output((a + b) * (b - c), name="y")
        >>> print(graph.compile().summary())
        Function 'example'
          inputs      a, b, c
          outputs     y
          precision   float64
          operations  3 in 3 runs
          depth       2
          width       2
          constants   0
          slots       6
          bytes       64
        <BLANKLINE>
          op   count  share
          add      1   33 %
          mul      1   33 %
          sub      1   33 %
        """
        facts, counts = of_program(self.program)
        return Summary(self.label, _declared(self.arguments, self.outputs) | facts, counts)

    def _repr_html_(self):
        return self.summary()._repr_html_()

    def __repr__(self):
        signature = f"({listing(self.arguments)}) -> ({listing(self.outputs)})"
        return f"<{self.label}: {signature}, {self.program.n_operations} operations>"


class LookingGraph:
    """Base of :class:`Graph`."""

    def summary(self, expr=None):
        """What was recorded, or what an expression or array of them depends on.

        Parameters
        ----------
        expr : Expr or ExprArray, optional

        Returns
        -------
        fastgraph.summary.Summary
            ``print`` it, or show it in a notebook, as the graph itself.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=3)
        >>> graph.output(fg.sum(x * x))
        >>> graph.summary()
        Graph
          inputs      x[3]
          outputs     y0
          nodes       8
          operations  5
          depth       3
          width       3
          constants   0
          bytes       128
        <BLANKLINE>
          op   count  share
          mul      3   60 %
          add      2   40 %
        """
        rows, constants, outputs = self.columns()
        if expr is None:
            return self._summary(rows, constants, outputs)
        facts, counts, needed = of_rows(rows, expr.nodes if isinstance(expr, ExprArray) else expr.node)
        used, start = [], 0
        leaves = np.zeros(sum(a.size for a in self.arguments), np.bool_)
        leaves[rows[needed & (rows[:, 0] == INPUT), 1]] = True
        for argument in self.arguments:
            used += [argument] if leaves[start : start + argument.size].any() else []
            start += argument.size
        return Summary(repr(expr)[1:-1], {"depends on": listing(used) or "constants"} | facts, counts)

    def _summary(self, rows, constants, outputs):
        everything, counts, _ = of_rows(rows, np.arange(len(rows)))
        facts = {"nodes": f"{len(rows):,}", **everything}
        if len(outputs):
            needed, _, _ = of_rows(rows, outputs)
            if needed["operations"] != everything["operations"]:
                facts["operations"] += f", of which the outputs need {needed['operations']}"
        facts |= {"constants": f"{len(constants):,}"}
        facts["bytes"] = f"{rows.nbytes + constants.nbytes + self.tables.nbytes:,}"
        title = "Graph" if self.name is None else f"Graph {self.name!r}"
        return Summary(title, _declared(self.arguments, self.outputs) | facts, counts)

    def _repr_html_(self):
        return self.summary()._repr_html_()


def _declared(arguments, outputs):
    """What was declared, as facts of a summary."""
    inputs, parameters = ([a for a in arguments if a.differentiable is kind] for kind in (True, False))
    facts = {"inputs": listing(inputs)} if inputs or not parameters else {}
    if parameters:
        facts["parameters"] = listing(parameters)
    return {name: fact or "none" for name, fact in (facts | {"outputs": listing(outputs)}).items()}
