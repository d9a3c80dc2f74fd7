"""Graph: the recorder that can compile itself: runs the passes in order and hands the program to a Function.

In: what was recorded. Out: a ``Function``.
"""

import numpy as np

from fastgraph import symbolic
from fastgraph.assembly import optimised
from fastgraph.errors import ArgumentError, GraphError
from fastgraph.function import Function
from fastgraph.graph import Recorder, is_name
from fastgraph.looking import LookingGraph
from fastgraph.passes import Columns
from fastgraph.program import DTYPES


class Graph(LookingGraph, Recorder):
    """A builder: records expressions, then compiles them into a :class:`Function`.

    Parameters
    ----------
    name : str, optional
        Shown in errors and tables.
    trace_lines : bool
        Note which line of your source records each operation, so that :meth:`Function.find_nonfinite` can name it; see
        there. A graph that does not costs nothing more.

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

    def gradient(self, output, wrt=None):
        """Record the derivatives of an expression, as expressions.

        Parameters
        ----------
        output : Expr
        wrt : Expr, array of Expr, name of an argument, or sequence of these, optional
            What to differentiate by; the default is every input. An expression that is no argument is taken as a
            variable of its own: what hangs on it, hangs on it alone.

        Returns
        -------
        Expr, array of Expr of the shape of ``wrt``, or tuple of these for a sequence

        Raises
        ------
        GraphError
            If an expression belongs to another graph, or there is nothing to differentiate by.

        Notes
        -----
        Recorded is what the reverse sweep computes, with the same rules at special points and in branches, but added up
        in another order: values agree within the rounding of sums, some units in the last place where nothing cancels.

        Examples
        --------
        The third derivative of x⁴ at 2:

        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> y = x**4
        >>> for _ in range(3):
        ...     y = graph.gradient(y, x)
        >>> graph.output(y)
        >>> float(graph.compile()(2.0))
        48.0
        """
        return symbolic.gradient(self, output, wrt)

    def jacobian(self, outputs, wrt=None):
        """Record the derivatives of several expressions.

        Parameters
        ----------
        outputs : array of Expr
        wrt : optional
            As for :meth:`gradient`.

        Returns
        -------
        array of Expr of shape ``outputs.shape + wrt.shape``, or tuple of these for a sequence

        Raises
        ------
        GraphError
            As for :meth:`gradient`.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(graph.jacobian([x[0] * x[1], x[1] ** 2], x))
        >>> graph.compile()([2.0, 3.0])
        array([[3., 2.],
               [0., 6.]])
        """
        return symbolic.jacobian(self, outputs, wrt)

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
        n_leaves = sum(argument.size for argument in self.arguments)
        columns = Columns(*self.columns(), None, self.tables, self.functions, self.lines)
        program = optimised(columns, n_leaves, dtype)
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


SHORT = 60  # characters of a formula that is its Function's name, too


def function_of(formula, names, apart=False):
    """A ``Formula`` as a Function of one vector ``x``, whose elements have these names: a column may have any name.

    With ``apart`` each name is an argument, if it can be one.
    """
    graph = Graph(formula.text if len(formula.text) <= SHORT else "formula")
    apart = apart and all(map(is_name, names))
    inputs = graph.inputs(*names) if apart else graph.input("x", shape=len(names)) if names else ()
    output = "y"
    while output in names:
        output += "_"
    graph.output(formula.record(graph, dict(zip(names, inputs, strict=True))), name=output)
    return graph.compile()
