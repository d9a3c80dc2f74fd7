"""Taylor: coefficients of a function along a curve, to any order.

In: a point, and the coefficients of a curve through it. Out: coefficients of the outputs. The recurrences are those of
the algebra ``ops.series``, recorded as a derived program.
"""

import operator

import numpy as np

from fastgraph.arguments import is_sum
from fastgraph.assembly import optimised
from fastgraph.derived import columns_of
from fastgraph.errors import ArgumentError
from fastgraph.expr import Expr, Symbols
from fastgraph.graph import CONSTANT, INPUT, Argument, Output, Recorder
from fastgraph.ops import TABLE
from fastgraph.ops.series import Series

MAX_ORDER = 1000


class Taylor:
    """Base of :class:`Function`."""

    def taylor(self, args, directions, order, /, *, wrt=None, threads=None, reduce=None, progress=None):
        """Evaluate the Taylor coefficients of the outputs along a curve.

        Parameters
        ----------
        args : tuple or mapping
            The point x₀: arguments, in order or by name; shapes as for a call.
        directions : sequence
            The curve x(t) = x₀ + x₁ t + x₂ t² + …: x₁, x₂, … one after the other, each in the form of the tangents of
            :meth:`jvp`. One is enough: a straight line.
        order : int
            The highest power of t.
        wrt : str or Expr, or sequence of them, optional
            The arguments that move; the default is every input and no parameter.
        threads, reduce, progress
            As for :meth:`value_and_grad`.

        Returns
        -------
        ndarray, or named tuple of them for several outputs
            Per output, of shape ``batch + output.shape + (order + 1,)``: number j is the coefficient of tʲ, that is the
            j-th derivative by t over j!.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also for an order that is no integer from 1 to 1000.

        Notes
        -----
        Griewank and Walther, "Evaluating Derivatives" (2008), chapter 13: the work grows with the square of the order.
        Every operation is expanded in Python at the first call for an order, some 10 microseconds a coefficient.

        Examples
        --------
        exp(2t) around 0:

        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x")
        >>> graph.output(fg.exp(x))
        >>> graph.compile().taylor((0.0,), [2.0], 4).round(6)
        array([1.      , 2.      , 2.      , 1.333333, 0.666667])
        """
        summed = is_sum(reduce, None, self.label)
        order = _checked_order(order, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind_packed(args)
        if not isinstance(directions, tuple | list) or not 1 <= len(directions) <= order:
            is_list = isinstance(directions, tuple | list)
            found = len(directions) if is_list else type(directions).__name__
            raise ArgumentError(
                f"{self.label}: directions must be a list of 1 to {order} directions, coefficients of t, t², …, not "
                f"{found}; for a straight line write [direction]"
            )
        moved = []
        for direction in directions:
            more, batch = self._bind_directions(direction, positions, kind, batch, "directions")
            moved += more
        key = "taylor", tuple(sorted(positions)), len(directions), order
        function = self._made(key, self._derive_taylor, positions, len(directions), order)
        return self._in_form(function._evaluate([*arrays, *moved], batch, None, threads, summed, progress))

    def _derive_taylor(self, positions, n_directions, order):
        """The Function of the program of all coefficients."""
        program = taylor_program(self.program, self._wanted(positions), n_directions, order)
        chosen = [self.arguments[k] for k in sorted(positions)]
        moved = [
            Argument(f"the coefficient {j} of {a.name}", a.shape, False)
            for j in range(1, n_directions + 1)
            for a in chosen
        ]
        outputs = [Output(o.name, (*o.shape, order + 1)) for o in self.outputs]
        return type(self)(program, [*self.arguments, *moved], outputs, self.name, paired=True)


def taylor_program(program, wanted, n_directions, order):
    """The coefficients 0 to ``order`` of every output, output by output.

    After the leaves come coefficients 1, 2, … of the ``wanted`` ones, all of the first, then all of the second.
    """
    columns, recorder = columns_of(program), Recorder()
    count, n = int(wanted.sum()), program.n_leaves
    leaves = [Expr(recorder, recorder.record(INPUT, k)) for k in range(n + count * n_directions)]
    number = np.cumsum(wanted) - 1
    series, jets = Series(Symbols(), order), []
    for code, *operands in columns.rows.tolist():
        if code == INPUT:
            leaf = operands[0]
            more = [leaves[n + d * count + number[leaf]] for d in range(n_directions)] if wanted[leaf] else []
            jets.append(series.variable([leaves[leaf], *more]))
        elif code == CONSTANT:
            jets.append(series.constant(recorder.constant(columns.constants[operands[0]])))
        else:
            op = TABLE[code]
            immediate = () if op.immediate is None else (int(np.uint32(operands[op.arity]).astype(np.int32)),)
            jets.append(getattr(series, op.name)(*(jets[x] for x in operands[: op.arity]), *immediate))
    found = [jets[node].coefficient(j) for node in columns.outputs.tolist() for j in range(order + 1)]
    nodes = [recorder.node_of(0.0 if coefficient is None else coefficient) for coefficient in found]
    rows, constants, _ = recorder.columns()
    return optimised(columns.change(rows, constants, np.array(nodes, np.int64)), len(leaves), program.dtype)


def _checked_order(given, label):
    try:
        order = 0 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        order = 0
    if not 1 <= order <= MAX_ORDER:
        raise ArgumentError(f"{label}: order must be an integer from 1 to {MAX_ORDER}, not {given!r}")
    return order
