"""Products: of the Jacobian, and of the Hessian, with directions.

In: arguments as for a call, and directions like them. Out: arrays in the form of the function's outputs and inputs.
Each method evaluates a derived program (``derived``), as a call evaluates the function's own; values and tangents of a
batch are swept by the function's (``lower_along``), to the same bits.
"""

import math

import numpy as np

from fastgraph import derived
from fastgraph.arguments import is_sum
from fastgraph.graph import Argument, Output
from fastgraph.layout import Results, addresses_of, as_doubles
from fastgraph.progress import reporter

# So many directions at one point are swept as one set, by a program of their own: for functions of 1,000 operations
# that takes half the time of a tile; for 10,000 operations 0.75 of it for two directions, as long for four.
TOGETHER = (2, 3, 4)
# So many directions at every point of a batch are swept beside each other, the most first, with values and partials
# computed once for all of them. Worth making functions that say so from so many operations, sets and directions
# multiplied on.
BESIDE, WORTH_MAKING = (8, 4, 3, 2), 1 << 17


class Products:
    """Base of :class:`Derivatives`."""

    def jvp(self, args, tangents, /, *, wrt=None, out=None, threads=None, reduce=None, progress=None):
        """Evaluate the outputs and the product of the Jacobian with tangents, in one forward sweep.

        Parameters
        ----------
        args : tuple or mapping
            The arguments, in order or by name; shapes as for a call.
        tangents : array_like for one argument, else tuple or mapping
            The direction, of shape ``batch + argument.shape`` for each argument of ``wrt``; broadcasts with the
            arguments, so that k directions at one point are an array of shape ``(k, *argument.shape)``, and at N points
            one of shape ``(k, N, *argument.shape)``, or ``(k, 1, *argument.shape)`` for the same at all.
        wrt : str or Expr, or sequence of them, optional
            The arguments that move; the default is every input and no parameter.
        out : tuple, optional
            ``(outputs, output_tangents)``: arrays to write to, in the form in which they are returned.
        threads, reduce, progress
            As for :meth:`value_and_grad`.

        Returns
        -------
        outputs, output_tangents : numpy.float64, ndarray, or named tuple of them for several outputs
            Per output, of shape ``batch + output.shape``.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Notes
        -----
        The product is a program of its own: every operation is followed by the sum of its partials' contributions, in
        the order of operands.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(x * x, name="squares")
        >>> f = graph.compile()
        >>> f.jvp(([1.0, 3.0],), [1.0, 10.0])
        (array([1., 9.]), array([ 2., 60.]))
        """
        summed = is_sum(reduce, out, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, own = self.signature.bind_packed(args)
        directions, batch = self._bind_directions(tangents, positions, kind, own, "tangents")
        if own == () and out is progress is None and not summed:
            found = self._together(arrays, directions, batch, positions, threads)
            if found is not None:
                return found
        names = [*(o.name for o in self.outputs), *(f"the tangent of {o.name}" for o in self.outputs)]
        function, m = self._derived("tangents", positions), len(self.outputs)
        if self._is_beside(own, batch) and not summed:
            place = function._place(batch, self._paired(out), names, [*arrays, *directions])
            given = [(array, argument.shape) for array, argument in zip(arrays, self.arguments, strict=True)]
            wanted = [(array, output.shape) for array, output in zip(place.targets, function.outputs, strict=True)]
            moved = [(array, self.arguments[k].shape) for k, array in zip(sorted(positions), directions, strict=True)]
            self._sweep_beside(given, moved, batch, positions, wanted[:m], wanted[m:], threads, progress)
            found = place.finish()
        else:
            given = [*arrays, *directions]
            found = function._evaluate(given, batch, self._paired(out), threads, summed, progress, names)
        return self._in_form(found[:m]), self._in_form(found[m:])

    def hvp(
        self, args, vector, /, *, wrt=None, weights=None, out=None, threads=None, reduce=None, progress=None
    ):  # fmt: skip
        """Evaluate the product of the Hessian of the scalar output with a vector.

        Parameters
        ----------
        args : tuple or mapping
            The arguments, in order or by name; shapes as for a call.
        vector : array_like for one argument, else tuple or mapping
            Of shape ``batch + argument.shape`` for each argument of ``wrt``; broadcasts with the arguments.
        wrt : str or Expr, or sequence of them, optional
            The arguments to differentiate by; the default is every input and no parameter.
        weights : optional
            Take the Hessian of the sum of the outputs times these, a Lagrangian: in the form of the cotangents of
            :meth:`vjp`. Without it there must be one scalar output.
        out : ndarray or tuple of ndarray, optional
            To write to, in the form in which the product is returned.
        threads, reduce, progress
            As for :meth:`value_and_grad`.

        Returns
        -------
        numpy.float64, ndarray, or named tuple of them for several arguments
            Per argument, of shape ``batch + argument.shape``.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also if there are several outputs and no ``weights``.

        Notes
        -----
        A reverse sweep over the program of the directional derivative (Pearlmutter, "Fast exact multiplication by the
        Hessian", Neural Computation 6, 1994; the order of the two differentiations is the other one): no more than
        three times the work of a gradient, whatever the number of inputs.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(x[0] ** 3 * x[1])
        >>> f = graph.compile()
        >>> f.hvp(([1.0, 2.0],), [1.0, 0.0])
        array([12.,  3.])
        """
        summed = is_sum(reduce, out, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind_packed(args)
        arrays, batch, scalar_function = self._scalar_function(arrays, batch, weights, "hvp")
        directions, batch = self._bind_directions(vector, positions, kind, batch, "vector")
        function = scalar_function._derived("directional", positions)
        arrays = [*arrays, *directions]
        if out is not None:
            return self._product_into(out, function, arrays, batch, positions, kind, threads, progress)
        return function._derive(arrays, batch, None, positions, kind, None, threads, summed, progress)[1]

    def _product_into(self, out, function, arrays, batch, positions, kind, threads, progress):
        """The gradient of ``function``, a directional derivative, in the arrays of ``out``."""
        names = [f"the product by {self.arguments[k].name}" for k in positions]
        shapes = [batch + self.arguments[k].shape for k in positions]
        place = Results(shapes, self.dtype, len(batch), [out] if kind is None else out, names, self.label, arrays)
        gradients = dict(zip(positions, place.targets, strict=True))
        function._sweep(arrays, batch, [np.empty(batch, self.dtype)], gradients, None, threads, progress)
        results = place.finish()
        return results[0] if kind is None else kind._make(results)

    # -- what they share --------------------------------------------------------------------------------
    def _together(self, arrays, directions, batch, positions, threads):
        """Outputs and tangents along a few directions at one point; None if they are too many, or the program large."""
        if len(batch) != 1 or batch[0] not in TOGETHER or self.dtype != np.float64:
            return None
        function = self._along(batch[0], positions)
        if function is None:
            return None
        items = [self.arguments[k] for k in sorted(positions)]
        whole = [np.broadcast_to(d, batch + item.shape) for d, item in zip(directions, items, strict=True)]
        table = np.concatenate([part.reshape(*batch, -1) for part in whole], axis=1)
        *outputs, tangents = function._evaluate([*arrays, table], (), None, threads, False, None)
        outputs = [np.repeat(np.asarray(output)[None], len(table), axis=0) for output in outputs]
        return self._in_form(outputs), self._in_form(self._parts(tangents, self.outputs))

    def _is_beside(self, own, batch):
        """Whether directions are the first axis of a batch whose others are those of the points, ``own``."""
        if not own or batch[1:] != own or batch[0] < BESIDE[-1]:
            return False
        return math.prod(batch) * self.program.n_operations >= WORTH_MAKING

    def _sweep_beside(self, given, directions, batch, positions, outputs, tangents, threads, progress):
        """Sweep outputs and tangents at a batch of points, along several directions at a time.

        Parameters
        ----------
        given, directions, outputs, tangents : list of (ndarray, shape)
            Arrays and what is declared of their shapes, which the batch precedes: ``batch[1:]`` of the arguments, what
            broadcasts to ``batch`` of the directions, all of it of what is written.
        """
        k, own = batch[0], batch[1:]
        sets = math.prod(own)
        directions = [(_with_axis(array, shape, len(batch), k), shape) for array, shape in directions]
        with reporter(progress, math.prod(batch)) as report:
            for function, start, stop in self._side_by_side(k, positions):
                pairs = [*given, *((array[d], shape) for d in range(start, stop) for array, shape in directions)]
                swept = [(array[start], shape) for array, shape in outputs]
                swept += [(array[d], shape) for d in range(start, stop) for array, shape in tangents]
                sweeper = function.sweeper
                one_by_one = sweeper.one_by_one(sets, False)
                if one_by_one:
                    pairs = [(as_doubles(array), shape) for array, shape in pairs]
                leaves = addresses_of(pairs, own, any_axes=not one_by_one)
                at, count = start * sets, stop - start
                done = None if progress is None else lambda n, _, at=at, count=count: report(at + n * count)
                sweeper.sweep(sets, leaves, addresses_of(swept, own), None, threads, None, done)
                for array, _ in outputs:
                    array[start + 1 : stop] = array[start]

    def _side_by_side(self, k, positions):
        """Functions that take k directions between them, each with those from ``start`` to ``stop`` in one set."""
        start = 0
        while start < k:
            function, count = self._widest(k - start, positions)
            yield function, start, start + count
            start += count

    def _widest(self, k, positions):
        """The function of the most directions, of ``k`` at most, and their number."""
        for count in BESIDE:
            function = self._along(count, positions) if count <= k else None
            if function is not None:
                return function, count
        return self._derived("tangents", positions), 1

    def _along(self, k, positions):
        """The Function of the outputs, then their tangents (k, m), whose last argument is k directions (k, n).

        None where the program would be too large.
        """
        chosen = tuple(sorted(positions))
        return self._made(("along", k, chosen), self._make_along, k, chosen)

    def _make_along(self, k, positions):
        wanted = self._wanted(positions)
        program = derived.along(self.program, wanted, k)
        if program is None:
            return None
        moved = Argument("the directions", (k, int(wanted.sum())), False)
        tangents = Output("the tangents", (k, len(self.program.outputs)))
        along = self.program, wanted, k
        return type(self)(
            program, [*self.arguments, moved], [*self.outputs, tangents], self.name, paired=True, along=along
        )

    def _bind_directions(self, given, positions, kind, batch, what):
        """Arrays of the directions in order of declaration, and the batch with theirs."""
        arrays, batch = self.signature.bind_directions(given, positions, kind is None, batch, what)
        return [array for _, array in sorted(zip(positions, arrays, strict=True), key=lambda pair: pair[0])], batch

    def _paired(self, out):
        """``(outputs, output_tangents)`` as one list of arrays; what does not fit is left for ``Results`` to refuse."""
        if not isinstance(out, tuple | list) or len(out) != 2 or self._results is None:
            return out
        return [array for part in out for array in (part if isinstance(part, tuple | list) else [part])]


def _with_axis(array, shape, n_axes, k):
    """``array``, of shape ``batch + shape``, with all ``n_axes`` of the batch, the first of which has k elements."""
    full = (1,) * (n_axes + len(shape) - array.ndim) + array.shape
    return np.broadcast_to(array.reshape(full), (k, *full[1:]))
