"""Asking: what made the results of a Function not finite.

In: a Function, and arguments as for a call. Out: a record that prints. What answers is imported when it is asked.
"""


class Asking:
    """Base of :class:`Function`."""

    def find_nonfinite(self, /, *args, gradient=False, wrt=None, threads=None, limit=100, **named):
        """Find the operation that made a NaN or an infinity of finite numbers.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call.
        gradient : bool
            Look at the gradient of the output, or of the sum of the outputs, too.
        wrt : optional
            As for :meth:`value_and_grad`: what the gradient is taken by.
        threads : int, optional
            As for a call.
        limit : int
            How many of the sets that are not finite are looked at one by one.

        Returns
        -------
        Nonfinite
            True if a result is NaN or infinite. It has the indices of such sets, and a :class:`Fault` for each of the
            first: the operation, its operands' values, and the line that recorded it if the graph was made with
            ``trace_lines=True``. Prints as a summary.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also if ``limit`` is not a positive integer.

        Notes
        -----
        The operation is the first in the order of the program that a result depends on: one whose own result is not
        finite, whose operands are, and from which NaN or infinity comes through to an output. What a ``where`` did not
        take is not to blame. Arguments and constants that are not finite themselves are named beside it.

        Of a gradient it is the first operation in the order of the reverse sweep whose own adjoint is finite, and that
        adds to the adjoint of an operand what is not; a set whose outputs are not finite already is explained by its
        values. What an operation would add on a branch that was not taken does not count.

        The sets are found by the kernels, as fast as a call; those that are looked at are swept by the reference
        interpreter, some microseconds an operation for all of them together.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph("model")
        >>> x = graph.input("x")
        >>> graph.output(fg.where(x > 4.0, 1.0, fg.sqrt(x - 1.0)))
        >>> f = graph.compile()
        >>> print(f.find_nonfinite([0.5, 1.0, 2.0, 0.0, 5.0]))
        Function 'model': a value of 2 of 5 sets is nan or inf
        in sets 0, 3, the first:
        %5 = sqrt(%4 = -0.5) is nan
        (a graph made with trace_lines=True names the line)
        >>> print(f.find_nonfinite(1.0, gradient=True).faults[0])
        %5 = sqrt(%4 = 0.0) is 0.0: with its adjoint 1.0 it adds inf to that of %4
        """
        from fastgraph.nonfinite import find_nonfinite

        return find_nonfinite(self, args, named, gradient, wrt, threads, limit)
