"""Looking: what Functions and Graphs show of themselves: a summary, a picture, and every number of an evaluation.

In: a program or a graph. Out: text and pictures, made by ``summary``, ``explain`` and ``pictures`` when asked for.
"""

import numpy as np

from fastgraph.arguments import Signature
from fastgraph.errors import ArgumentError
from fastgraph.expr_array import ExprArray
from fastgraph.graph import INPUT, Output
from fastgraph.ops.arrays import ARITY
from fastgraph.passes import Columns, branch_masks, prune
from fastgraph.program import assemble
from fastgraph.summary import Summary, of_program, of_rows
from fastgraph.text import listing

LIMIT, DIGITS = 100, 6  # of operations and scalar arguments together; of what numbers show


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
          operations  3
          runs        3
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

    def explain(self, /, *args, cotangents=None, wrt=None, limit=LIMIT, digits=DIGITS, **named):
        """The forward and the reverse pass at one point, number by number, as a table that ends with the gradient.

        Parameters
        ----------
        *args, **named : float or array_like
            One input set, as for a call. An argument that is called as one of the options here goes by position.
        cotangents : float or array_like, or tuple or mapping of them for several outputs
            The weight of each output, as for :meth:`vjp`; needed unless there is one scalar output.
        wrt : str or Expr, or sequence of them, optional
            As for :meth:`grad`.
        limit : int or None
            Of the number of operations and scalar arguments together; None for none.
        digits : int
            How many significant digits the table shows, up to 17; what is computed is not rounded.

        Returns
        -------
        fastgraph.explain.Explanation
            ``print`` it, or show it in a notebook. Inputs and outputs have their names, what lies between has the
            letters after those of the inputs, or ``t1``, ``t2``, …; ``w(v)`` is the adjoint of v.

        Raises
        ------
        ArgumentError, ShapeError
            As for :meth:`vjp`; for a batch; beyond ``limit``.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph("example")
        >>> a, b, c = graph.inputs("a", "b", "c")
        >>> graph.output((a + b) * (b - c), name="y")
        >>> f = graph.compile()
        >>> print(f.explain(2, 3, 1))
        Function 'example': forward pass
          a                    = 2
          b                    = 3
          c                    = 1
          d  = a + b  = 2 + 3  = 5
          e  = b - c  = 3 - 1  = 2
          y  = d * e  = 5 * 2  = 10
        <BLANKLINE>
        Reverse pass
        w(v) is dy/dv. Each operation r adds w(r) * dr/dv to w(v), for its operands v.
          operation r  partial derivative  w(r) * dr/dv   adjoint so far
          -----------  ------------------  -------------  ----------------
          y                                               w(y) = 1
          y = d * e    dy/dd = e = 2       1 * 2 = 2      w(d) = 2
                       dy/de = d = 5       1 * 5 = 5      w(e) = 5
          e = b - c    de/db = 1           5 * 1 = 5      w(b) = 5
                       de/dc = -1          5 * (-1) = -5  w(c) = -5
          d = a + b    dd/da = 1           2 * 1 = 2      w(a) = 2
                       dd/db = 1           2 * 1 = 2      w(b) = 5 + 2 = 7
        <BLANKLINE>
        Gradient
          dy/da  = 2
          dy/db  = 7
          dy/dc  = -5
        >>> f.explain(2, 3, 1).gradient == f.grad(2, 3, 1)
        True
        """
        from fastgraph.explain import explain

        for name in ("cotangents", "limit", "digits"):
            if self.signature.positions.get(name, -1) >= len(args):
                raise ArgumentError(
                    f"{self.label} has an argument {name!r}, which is an option of explain, too: pass it by position"
                )
        values = dict(zip(self.signature.positions, self.signature.in_order(args, named), strict=True))
        return explain(self, values, cotangents, wrt, limit, digits)

    def picture(self, at=None, *, cotangents=None, wrt=None, limit=LIMIT, digits=DIGITS):
        """The function as a picture of its operations, with all numbers of a forward and reverse pass if wanted.

        Parameters
        ----------
        at : tuple or mapping, optional
            One input set, in order or by name: values are drawn on operations, and on the edges the partial
            derivatives and what each contributes to an adjoint.
        cotangents, wrt, digits : optional
            As for :meth:`explain`; of several outputs without cotangents only values are drawn.
        limit : int or None
            Beyond as many operations and scalar arguments together the picture is a summary by depth; None for no
            limit.

        Returns
        -------
        fastgraph.pictures.Picture
            With ``to_dot()``, ``to_mermaid()`` and, where Graphviz is installed, ``to_svg()``; shown in notebooks.

        Raises
        ------
        ArgumentError, ShapeError
            As for :meth:`explain`.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph("product")
        >>> a, b = graph.inputs("a", "b")
        >>> graph.output(a * b, name="y")
        >>> print(graph.compile().picture().to_mermaid())
        flowchart LR
          n0(["<b>a</b>"]):::input
          n1(["<b>b</b>"]):::input
          n2["<b>y</b> = a * b"]:::output
          n0 --> n2
          n1 --> n2
        <BLANKLINE>
          classDef input fill:#e8f1fb,stroke:#4a7ab0,color:#1b1b1b
          classDef output fill:#fdf0d9,stroke:#b07a2a,color:#1b1b1b
        """
        from fastgraph.pictures import picture

        return picture(self.program, self.signature, at, cotangents, wrt, limit, digits)

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
        facts = {"nodes": len(rows), "operations": everything["operations"]}
        if len(outputs):
            needed, _, _ = of_rows(rows, outputs)
            if needed["operations"] != everything["operations"]:
                facts["needed by outputs"] = needed["operations"]
        facts |= everything
        facts |= {"constants": len(constants), "bytes": rows.nbytes + constants.nbytes + self.tables.nbytes}
        title = "Graph" if self.name is None else f"Graph {self.name!r}"
        return Summary(title, _declared(self.arguments, self.outputs) | facts, counts)

    def picture(self, at=None, *, cotangents=None, wrt=None, limit=LIMIT, digits=DIGITS):
        """What was recorded as a picture, as :meth:`fastgraph.Function.picture`, before anything is optimised.

        Drawn is what the outputs need; of a graph without outputs, everything.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> y = fg.sin(x * x)
        >>> graph.picture()
        <Picture: 3 nodes, 3 edges>
        """
        from fastgraph.pictures import picture

        rows, constants, nodes = self.columns()
        outputs = self.outputs
        label = "Graph" if self.name is None else f"Graph {self.name!r}"
        if not len(rows):
            raise ArgumentError(f"{label} is empty: record something, then draw it")
        if not outputs:
            nodes = _unused(rows)
            outputs = [Output("results", (len(nodes),)) if len(nodes) > 1 else Output("result", ())]
        columns = prune(Columns(rows, constants, nodes, None, self.tables, self.functions))
        program = assemble(prune(branch_masks(columns)), sum(a.size for a in self.arguments))
        return picture(program, Signature(self.arguments, outputs, label), at, cotangents, wrt, limit, digits)

    def _repr_html_(self):
        return self.summary()._repr_html_()


def _unused(rows):
    """The nodes that no operation reads; leaves only where there is nothing else."""
    codes = rows[:, 0]
    is_operation = codes < len(ARITY)
    used = np.zeros(len(rows), np.bool_)
    for k in range(rows.shape[1] - 1):
        reading = is_operation & (ARITY[np.minimum(codes, len(ARITY) - 1)] > k)
        used[rows[reading, 1 + k]] = True
    found = np.flatnonzero(~used & is_operation)
    return found if len(found) else np.flatnonzero(~used)


def _declared(arguments, outputs):
    """What was declared, as facts of a summary."""
    inputs, parameters = ([a for a in arguments if a.differentiable is kind] for kind in (True, False))
    facts = {"inputs": listing(inputs)} if inputs or not parameters else {}
    if parameters:
        facts["parameters"] = listing(parameters)
    return {name: fact or "none" for name, fact in (facts | {"outputs": listing(outputs)}).items()}
