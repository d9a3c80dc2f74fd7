"""Derivatives: the methods of a Function that go beyond its gradient.

In: arguments as for a call, directions or weights. Out: arrays in the form of the function's inputs and outputs.
Each method evaluates a derived program (``derived``), made at its first use and kept, as a call evaluates the
function's own.
"""

import math

import numpy as np

from fastgraph import derived
from fastgraph.arguments import is_sum
from fastgraph.gauss_newton import GaussNewton
from fastgraph.graph import Argument, Output
from fastgraph.kinks import check_kinks
from fastgraph.layout import scalar
from fastgraph.products import Products
from fastgraph.progress import reporter
from fastgraph.sparse import SparseDerivatives
from fastgraph.taylor import Taylor


class Derivatives(Products, GaussNewton, SparseDerivatives, Taylor):
    """Base of :class:`Function`, which has the arguments, the outputs and the sweeps."""

    # -- matrices -----------------------------------------------------------------------------------------
    def jacobian(self, /, *args, wrt=None, threads=None, reduce=None, progress=None, **named):
        """Evaluate the Jacobian.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call.
        wrt : str or Expr, or sequence of them, optional
            The arguments to differentiate by; the default is every input and no parameter.
        threads, progress : optional
            As for a call.
        reduce : "sum", optional
            Give the sum over the batch.

        Returns
        -------
        ndarray, or named tuples of them
            Per output and argument, of shape ``batch + output.shape + argument.shape``: a bare array for one output
            and one argument; for several arguments a named tuple by argument, for several outputs one of these by
            output.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Notes
        -----
        A function of one scalar output has its gradient. Else, where it is small, all entries are the outputs of one
        derived program, in which directions share partials and zeros cost nothing; where it is large, columns (or
        rows, if they are fewer) that share no row (column) are added and swept together, as many at a time as a tile
        has lanes (Curtis, Powell and Reid, "On the estimation of sparse Jacobian matrices", 1974). In such a sweep an
        argument that does not move has the tangent 0, which makes nan of an infinite partial; a small function knows
        that nothing is there.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x, k = graph.input("x", shape=2), graph.parameter("k")
        >>> graph.output([k * x[0] * x[1], x[1] ** 2])
        >>> graph.compile().jacobian([2.0, 3.0], 10.0)
        array([[30., 20.],
               [ 0.,  6.]])
        """
        summed = is_sum(reduce, None, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        if self.is_scalar:
            return self._derive(arrays, batch, None, positions, kind, None, threads, summed, progress)[1]
        table = self._jacobian_table(arrays, batch, positions, threads, summed, progress)
        batch = () if summed else batch
        rows, start = [], 0
        for output in self.outputs:
            part = table[..., start : start + output.size, :]
            rows.append(self._blocks(part, batch + output.shape, positions, kind))
            start += output.size
        return self._in_form(rows)

    def hessian(self, /, *args, wrt=None, weights=None, threads=None, reduce=None, progress=None, **named):
        """Evaluate the Hessian of the scalar output.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call.
        wrt : str or Expr, or sequence of them, optional
            The arguments to differentiate by; the default is every input and no parameter.
        weights : optional
            As for :meth:`hvp`.
        threads, reduce, progress : optional
            As for :meth:`jacobian`.

        Returns
        -------
        ndarray, or named tuple of named tuples of them
            Per two arguments, of shape ``batch + first.shape + second.shape``; symmetric to the last bit.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also if there are several outputs and no ``weights``.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(x[0] ** 3 * x[1])
        >>> graph.compile().hessian([1.0, 2.0])
        array([[12.,  3.],
               [ 3.,  0.]])
        """
        summed = is_sum(reduce, None, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        arrays, batch, scalar_function = self._scalar_function(arrays, batch, weights, "hessian")
        table = scalar_function._hessian_table(arrays, batch, positions, threads, summed, progress)
        return self._square(table, () if summed else batch, positions, kind)

    def check_kinks(self, args, tolerance=0.0):
        """Say which choices sit on their switch, or near it: there derivatives are a convention, or meaningless.

        Parameters
        ----------
        args : tuple or mapping
            The arguments, in order or by name; shapes as for a call.
        tolerance : float
            How near counts, in units of what is compared; 0 for exactly on it.

        Returns
        -------
        list of Kink
            For ``abs``, ``maximum``, comparisons, ``where`` by a number, ``floor``, ``%`` and their like that depend
            on an argument, taken or not: the op, its slot in ``program.disassemble()``, which sets, how far away.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x, y = graph.inputs("x", "y")
        >>> graph.output(fg.maximum(x, y) + abs(x))
        >>> f = graph.compile()
        >>> [str(kink) for kink in f.check_kinks((1.0, 1.0))]
        ['%2 = maximum is 0 from its switch']
        >>> [kink.op for kink in f.check_kinks(([1.0, 0.01], 2.0), tolerance=0.1)]
        ['abs']
        """
        return check_kinks(self, args, tolerance)

    # -- tables: all outputs by all chosen inputs, in order of declaration --------------------------------------
    def _jacobian_table(self, arrays, batch, positions, threads, summed, progress):
        """The Jacobian, shape batch + (m, n), or (m, n) summed over the batch."""
        function = self._derived("jacobian", positions)
        if function is not None:
            return function._evaluate(arrays, batch, None, threads, summed, progress)[0]
        shape = len(self.program.outputs), int(self._wanted(positions).sum())
        return self._set_by_set(arrays, batch, self._jacobian_of_one, positions, threads, summed, progress, shape)

    def _hessian_table(self, arrays, batch, positions, threads, summed, progress):
        """The Hessian of the one output, shape batch + (n, n), or (n, n) summed over the batch."""
        function = self._derived("hessian", positions)
        if function is not None:
            return function._evaluate(arrays, batch, None, threads, summed, progress)[0]
        shape = 2 * (int(self._wanted(positions).sum()),)
        return self._set_by_set(arrays, batch, self._hessian_of_one, positions, threads, summed, progress, shape)

    def _set_by_set(self, arrays, batch, table_of, positions, threads, summed, progress, shape):
        """Tables of every set, of this shape, or their sum: for programs too large to have an output an entry."""
        whole = [np.broadcast_to(array, batch + a.shape) for array, a in zip(arrays, self.arguments, strict=True)]
        tables = np.zeros(shape) if summed else np.empty(batch + shape, self.dtype)
        with reporter(progress, math.prod(batch)) as report, np.errstate(all="ignore"):
            for done, index in enumerate(np.ndindex(batch), 1):
                table = table_of([np.asarray(array[index]) for array in whole], positions, threads)
                if summed:
                    tables += table
                else:
                    tables[index] = table
                report(done)
        return tables

    # -- sweeps over directions at one set: lanes carry directions, the values are computed once ------------------
    def _compressed_columns(self, arrays, positions, directions, threads):
        """``directions @ J.T``, shape (k, m), for directions (k, n)."""
        k, m = len(directions), len(self.program.outputs)
        function = self._derived("directional", positions)
        product = np.empty((k, m), self.dtype)
        moved = [*arrays, *self._parts(directions, [self.arguments[p] for p in sorted(positions)])]
        function._sweep(moved, (k,), self._parts(product, self.outputs), None, None, threads, None)
        return product

    def _compressed_rows(self, arrays, positions, cotangents, threads):
        """``cotangents @ J``, shape (k, n), for cotangents (k, m)."""
        k, chosen = len(cotangents), sorted(positions)
        product = np.empty((k, sum(self.arguments[p].size for p in chosen)), self.dtype)
        gradients = dict(zip(chosen, self._parts(product, [self.arguments[p] for p in chosen]), strict=True))
        outputs = [np.empty((k, *o.shape), self.dtype) for o in self.outputs]
        self._sweep(arrays, (k,), outputs, gradients, self._parts(cotangents, self.outputs), threads, None)
        return product

    def _compressed_hessian(self, arrays, positions, directions, threads):
        """``directions @ H``, shape (k, n), for directions (k, n); of a function of one output."""
        chosen = sorted(positions)
        function = self._derived("directional", positions)
        product = np.empty(directions.shape, self.dtype)
        items = [self.arguments[p] for p in chosen]
        gradients = dict(zip(chosen, self._parts(product, items), strict=True))
        outputs = [np.empty(len(directions), self.dtype)]
        function._sweep(
            [*arrays, *self._parts(directions, items)], (len(directions),), outputs, gradients, None, threads, None
        )
        return product

    # -- derived functions --------------------------------------------------------------------------------
    def _derived(self, kind, positions=()):
        """The Function of a derived program, or None where it would be too large; made once."""
        return self._made((kind, tuple(sorted(positions))), self._derive_function, kind, positions)

    def _made(self, key, make, *args):
        """What ``make`` gives, kept under ``key``: two threads at once do it twice, and agree."""
        if key not in self._derivatives:
            self._derivatives.setdefault(key, make(*args))
        return self._derivatives[key]

    def _wanted(self, positions):
        """Which leaves belong to the arguments at ``positions``, bool (n_leaves,)."""
        chosen = np.array([k in positions for k in range(len(self.arguments))], np.bool_)
        return np.repeat(chosen, [a.size for a in self.arguments])

    def _derive_function(self, kind, positions):
        arguments = [Argument(a.name, a.shape, k in positions) for k, a in enumerate(self.arguments)]
        wanted = self._wanted(positions)
        program = _PROGRAMS[kind](self.program, wanted)
        if program is None:
            return None
        n, m = int(wanted.sum()), len(self.program.outputs)
        inputs = [a for a in arguments if a.differentiable]
        moved = [Argument(f"the tangent of {a.name}", a.shape, False) for a in inputs]
        tangents = [Output(f"the tangent of {o.name}", o.shape) for o in self.outputs]
        weights = [Argument(f"the weight of {o.name}", o.shape, False) for o in self.outputs]
        more, outputs = {
            "tangents": (moved, [*self.outputs, *tangents]),
            "directional": (moved, tangents),
            "jacobian": ([], [Output("jacobian", (m, n))]),
            "hessian": ([], [Output("hessian", (n, n))]),
            "gauss_newton_product": (moved, [Output(a.name, a.shape) for a in inputs]),
            "gauss_newton": ([], [Output("gauss_newton", (n, n))]),
            "weighted": (weights, [Output("weighted", ())]),
        }[kind]
        arguments = [*(self.arguments if kind == "weighted" else arguments), *more]
        along = (self.program, wanted, 1) if kind == "tangents" else None
        paired = kind not in ("directional", "weighted")
        return type(self)(program, arguments, outputs, self.name, paired=paired, along=along)

    def _scalar_function(self, arrays, batch, weights, what):
        """Arguments, batch and function of one scalar output: this one, or the weighted sum of its outputs."""
        if weights is None:
            self.signature.need_scalar_output(what, "or weigh them: weights=")
            return arrays, batch, self
        weights, batch = self.signature.bind_weights(weights, batch)
        return [*arrays, *weights], batch, self._derived("weighted")

    # -- forms --------------------------------------------------------------------------------------------
    def _in_form(self, results):
        return results[0] if self._results is None else self._results._make(results)

    def _spans(self, positions):
        """Where the scalars of each argument of ``positions`` stand among them all, by position."""
        spans, start = {}, 0
        for k in sorted(positions):
            spans[k] = start, start + self.arguments[k].size
            start += self.arguments[k].size
        return spans

    def _square(self, table, batch, positions, kind):
        """A table of shape batch + (n, n) as an array for each two arguments, in form."""
        spans, rows = self._spans(positions), []
        for k in positions:
            rows.append(self._blocks(table[..., slice(*spans[k]), :], batch + self.arguments[k].shape, positions, kind))
        return rows[0] if kind is None else kind._make(rows)

    def _blocks(self, table, shape, positions, kind):
        """Columns of a table as an array for each argument, of shape ``shape + argument.shape``, in form."""
        spans = self._spans(positions)
        blocks = [scalar(table[..., slice(*spans[k])].reshape(shape + self.arguments[k].shape)) for k in positions]
        return blocks[0] if kind is None else kind._make(blocks)

    @staticmethod
    def _parts(table, items):
        """Columns of a table (k, n) as views of shape (k, *item.shape), one for each item."""
        parts, start = [], 0
        for item in items:
            parts.append(table[:, start : start + item.size].reshape(len(table), *item.shape))
            start += item.size
        return parts


_PROGRAMS = {
    "tangents": derived.with_tangents,
    "directional": derived.directional,
    "jacobian": derived.jacobian,
    "hessian": derived.hessian,
    "gauss_newton_product": derived.gauss_newton_product,
    "gauss_newton": derived.gauss_newton,
    "weighted": lambda program, wanted: derived.weighted(program),
}
