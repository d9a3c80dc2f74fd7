"""Graph: the recorder that can compile itself: runs the passes in order and hands the program to a Function.

In: what was recorded. Out: a ``Function``.
"""

import numpy as np

from fastgraph.engine.sweeper import Sweeper
from fastgraph.errors import ArgumentError, GraphError
from fastgraph.function import Function
from fastgraph.graph import Recorder
from fastgraph.interpreter import constant_outputs
from fastgraph.ops import TABLE
from fastgraph.ops.arrays import ARITY, IMMEDIATE
from fastgraph.passes import Columns, branch_masks, fold, narrow, prune, schedule, simplify
from fastgraph.program import DTYPES, RUN, Program, immediate_range


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

    def compile(self, dtype=np.float64):
        """Optimise, schedule and verify what was recorded.

        Parameters
        ----------
        dtype : float64 or float32
            What every value, derivative and constant is rounded to. In float32 a constant is rounded once, to nearest,
            before anything is computed from it, and an integer exponent lies between -2**24 and 2**24.

        Returns
        -------
        Function
            Immutable; what is recorded afterwards does not change it.

        Raises
        ------
        GraphError
            If no output was declared, or float32 cannot hold an integer exponent.
        ArgumentError
            If ``dtype`` is neither.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> graph.output(fg.square(x))
        >>> graph.compile().program
        <Program: 1 leaves, 0 constants, 1 operations in 1 runs, 1 outputs, 20 bytes>
        """
        dtype = _checked_dtype(dtype)
        if not self.outputs:
            raise GraphError(f"{self!r} has no outputs: declare one with graph.output(expr) before compile()")
        columns = prune(Columns(*self.columns()))
        _check_immediates(columns.rows, dtype)
        columns = fold(narrow(columns, dtype), lambda constants: _evaluate_constants(constants, dtype))
        columns = prune(simplify(columns, dtype))
        columns = prune(branch_masks(columns))
        program = _assemble(columns, sum(argument.size for argument in self.arguments), dtype)
        return Function(program, self.arguments, self.outputs, self.name)


def _checked_dtype(dtype):
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    for allowed in DTYPES:
        if dtype is not None and found is not None and found == allowed:  # NumPy takes None for float64
            return allowed
    raise ArgumentError(f"compile() got dtype {dtype!r}: it must be numpy.float64 or numpy.float32")


def _check_immediates(rows, dtype):
    """Refuse an immediate that lanes of ``dtype`` could not hold."""
    ranges = immediate_range(dtype)
    for code in np.flatnonzero(IMMEDIATE):
        immediates = rows[rows[:, 0] == code, 1 + ARITY[code]].astype(np.int32)
        low, high = ranges[code]
        wrong = immediates[(immediates < low) | (immediates > high)]
        if len(wrong):
            raise GraphError(
                f"{TABLE[code].name} takes an integer from {low} to {high} in {dtype}, not {wrong[0]}: "
                "compile in float64"
            )


def _assemble(columns, n_leaves, dtype=DTYPES[0]):
    plan = schedule(columns, n_leaves)
    runs = np.zeros(len(plan.counts), RUN)
    runs["opcode"], runs["flags"], runs["immediate"], runs["count"] = (
        plan.opcodes, plan.flags, plan.immediates, plan.counts,
    )  # fmt: skip
    return Program(
        n_leaves, columns.constants.astype(dtype), runs, plan.n_value_runs,
        plan.operands.astype(np.uint32), plan.outputs.astype(np.uint32), dtype,
    )  # fmt: skip


def _evaluate_constants(columns, dtype=DTYPES[0]):
    """The outputs of columns without leaves, with the bits of any other program's."""
    if dtype == np.float32:
        return constant_outputs(_assemble(columns, 0, dtype)).astype(np.float64)
    single = Sweeper(_assemble(columns, 0)).single(with_gradient=False)
    single.workspace.sweep(0, 1)
    return single.results[: len(columns.outputs)].copy()
