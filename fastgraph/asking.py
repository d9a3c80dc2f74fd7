"""Asking: where the time of a Function goes, and what made its results not finite.

In: a Function, and arguments as for a call. Out: records that print. What answers is imported when it is asked.
"""


class Asking:
    """Base of :class:`Function`."""

    def profile(self, /, *args, gradient=False, seconds=1.0, **named):
        """Measure where the time of a call goes, by op.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call. A batch is swept by one thread.
        gradient : bool
            Whether the call is one of :meth:`value_and_grad`.
        seconds : float
            How long to measure, about; a long call is made three times at least.

        Returns
        -------
        Profile
            Nanoseconds a set: a row for each op, forward and reverse, one for moving numbers in and out of the sweeps,
            for what is done once a call, and for Python. They add up to the time of the call itself, which is
            measured, too. Prints as a table; ``plot()`` draws it.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also for several outputs with ``gradient``, an empty batch, or ``seconds`` that are not
            positive.

        Notes
        -----
        Four times are measured in turn, and the medians of all rounds are taken: of the real call; of the same sweeps
        called from machine code; of the forward and of the reverse sweep in these, by a clock read before and after;
        and of every run of operations of one op, where the sweep is stopped between runs to read the clock, in its
        order and with its numbers. From the last the time of reading the clock is taken, which is measured the same
        way on runs of no operations. What is left is scaled so that its sum is the sweep's.

        So sums are right to the noise of the machine, ``spread`` of the result, and how they are shared among ops to
        what stopping changes: a processor overlaps the end of a run with the beginning of the next one, and does not
        where the clock is read. ``closure`` says how much the runs took apart, as a multiple of the sweep they make up:
        near 1, shares are as good as the sums; for runs of a few operations, of a nanosecond each, it is far from it,
        and the shares are those of operations one by one.

        Of a large batch the sweeps are taken apart over its first sets, as many as take 2 ms. An operation that is done
        as one with those that compute its operands is named after them: ``add_mul_x`` is ``x * y + z``.

        Examples
        --------
        >>> import numpy as np
        >>> import fastgraph as fg
        >>> graph = fg.Graph("wave")
        >>> x = graph.input("x")
        >>> graph.output(fg.exp(-x) * fg.sin(x))
        >>> profile = graph.compile().profile(np.linspace(0.0, 1.0, 10_000), gradient=True, seconds=0.02)
        >>> sorted(row.name for row in profile.rows)
        ['Python', 'exp', 'load and store', 'mul', 'neg', 'once a call', 'sin']
        >>> bool(abs(sum(row.total for row in profile.rows) - profile.total) < 1e-6)
        True
        """
        from fastgraph.profiling import profile

        return profile(self, args, named, gradient, seconds)

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

        The sets are found by the kernels, as fast as a call. Those that are looked at are swept once more, one by one,
        and their operations walked from the results to the cause: some microseconds an operation for all of them
        together, and some hundred for those whose derivatives have to be looked at.

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
