"""Graph: the recorder that can compile itself: runs the passes in order and hands the program to a Function.

In: what was recorded. Out: a ``Function``.
"""

import numpy as np

from fastgraph.engine.sweeper import Sweeper
from fastgraph.errors import GraphError
from fastgraph.function import Function
from fastgraph.graph import Recorder
from fastgraph.passes import Columns, branch_masks, fold, prune, schedule, simplify
from fastgraph.program import RUN, Program


class Graph(Recorder):
    """A builder: records expressions, then compiles them into a :class:`Function`.

    Parameters
    ----------
    name : str, optional
        Shown in errors and tables.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph("example")
    >>> a, b, c = graph.inputs("a", "b", "c")
    >>> graph.output((a + b) * (b - c), name="y")
    >>> f = graph.compile()
    >>> float(f(2.0, 3.0, 1.0))
    10.0

    Notes
    -----
    A graph only grows. Recording into one graph from several threads at once is not supported.
    """

    def compile(self):
        """Optimise, schedule and verify what was recorded.

        Returns
        -------
        Function
            Immutable; what is recorded afterwards does not change it.

        Raises
        ------
        GraphError
            If no output was declared.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> graph.output(fg.square(x))
        >>> graph.compile().program
        <Program: 1 leaves, 0 constants, 1 operations in 1 runs, 1 outputs, 20 bytes>
        """
        if not self.outputs:
            raise GraphError(f"{self!r} has no outputs: declare one with graph.output(expr) before compile()")
        columns = prune(Columns(*self.columns()))
        columns = prune(simplify(fold(columns, _evaluate_constants)))
        columns = prune(branch_masks(columns))
        program = _assemble(columns, sum(argument.size for argument in self.arguments))
        return Function(program, self.arguments, self.outputs, self.name)


def _assemble(columns, n_leaves):
    plan = schedule(columns, n_leaves)
    runs = np.zeros(len(plan.counts), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = (
        plan.opcodes, plan.flags, plan.immediates, plan.counts,
    )  # fmt: skip
    return Program(
        n_leaves, columns.constants, runs, plan.n_value_runs,
        plan.operands.astype(np.uint32), plan.outputs.astype(np.uint32),
    )  # fmt: skip


def _evaluate_constants(columns):
    """The outputs of columns without leaves, swept as any other program is."""
    single = Sweeper(_assemble(columns, 0)).single(with_gradient=False)
    single.workspace.sweep(0, 1)
    return single.results[: len(columns.outputs)].copy()
