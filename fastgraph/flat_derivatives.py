"""Flat derivatives: the derivative methods of a function seen as Rⁿ → Rᵐ, in the form that solvers take.

In: one array of all inputs, and directions like it. Out: vectors and matrices. Sweeps are those of ``derivatives``.
"""

from functools import cached_property

import numpy as np

from fastgraph.arguments import is_sum
from fastgraph.layout import addresses_of
from fastgraph.products import TOGETHER


class FlatDerivatives:
    """Base of :class:`Flat`."""

    def jvp(self, x, tangents, /, *, axis=-1, out=None, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate all outputs and the product of the Jacobian by all inputs with tangents.

        Parameters
        ----------
        x, axis, out, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.
        tangents : array_like, shape (…, n), or (n, …) with ``axis=0``
            Broadcasts with the batch of ``x``: k directions at one point have shape ``(k, n)``, at N points
            ``(k, N, n)``, or ``(k, 1, n)`` for the same at all.

        Returns
        -------
        outputs, output_tangents : numpy.float64 or ndarray
            As of a call.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.
        """
        self._need_inputs()
        if out is reduce is progress is threads is None and self._is_single(x, axis, parameters):
            results = self._along(x, tangents, axis)
            if results is not None:
                return results
        if reduce is progress is threads is None and self._takes(x, axis, parameters):
            results = self._few_along(x, tangents, axis)
            if results is not None and (out is None or copied_into(out, results)):
                return results if out is None else tuple(out)
        function = self._tangents
        call = self._call(x, axis, parameters)
        own = call.batch
        call.bind(tangents, "tangents", self.n, "inputs")
        summed = is_sum(reduce, out, self.function.label)
        if summed:
            totals, _ = self._sum_derived(function, call, threads, progress)
            parts = np.split(totals, 2)
            return tuple(parts) if self._shape else (parts[0][0], parts[1][0])
        beside = self.function._is_beside(own, call.batch)
        place = call.place([("y", self._shape), ("the tangent of y", self._shape)], out)
        wanted = [(target, self._shape) for target in place.targets]
        if beside:
            call.sweep_beside(wanted, threads, progress)
        else:
            self._sweep_derived(function, call, wanted, None, threads, progress)
        results = place.finish()
        return tuple(results if out is None else out)

    def hvp(
        self, x, vector, /, *, axis=-1, weights=None, out=None, threads=None, reduce=None, progress=None, **parameters
    ):  # fmt: skip
        """Evaluate the product of the Hessian of the scalar output, by all inputs, with a vector.

        Parameters
        ----------
        x, axis, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.
        vector : array_like, shape (…, n), or (n, …) with ``axis=0``
            Broadcasts with the batch of ``x``.
        weights : array_like, shape (…, m), or (m, …) with ``axis=0``, optional
            Take the Hessian of the sum of the outputs times these, a Lagrangian.
        out : ndarray, optional
            The product to write to.

        Returns
        -------
        ndarray, shape (…, n), or (n, …) with ``axis=0``

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function; also if there are several outputs and no ``weights``.
        """
        self._need_inputs()
        summed = is_sum(reduce, out, self.function.label)
        if out is reduce is progress is threads is None and self._is_single(x, axis, parameters):
            results = self._product(x, vector, weights)
            if results is not None:
                return results
        call, scalar_function = self._scalar_call(x, axis, parameters, weights, "hvp")
        call.bind(vector, "vector", self.n, "inputs")
        function = scalar_function._derived("directional", self._positions)
        if summed:
            wanted = np.concatenate(
                [self.leaf_is_input, np.zeros(function.program.n_leaves - len(self.leaf_is_input), np.bool_)]
            )
            return self._sum_derived(function, call, threads, progress, wanted)[1]
        place = call.place([("the product", (self.n,))], None if out is None else [out])
        value = np.empty(call.batch, self.function.dtype)
        self._sweep_derived(function, call, [(value, ())], place.targets[0], threads, progress)
        (result,) = place.finish()
        return result if out is None else out

    def jacobian(self, x, /, *, axis=-1, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate the Jacobian by all inputs.

        Parameters
        ----------
        x, axis, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.

        Returns
        -------
        ndarray, shape (…, m, n), or (m, n, …) with ``axis=0``; without m for one scalar output

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.

        Notes
        -----
        As :meth:`Function.jacobian`.
        """
        self._need_inputs()
        options = {"axis": axis, "threads": threads, "reduce": reduce, "progress": progress}
        if not self._shape:
            return self.grad(x, **options, **parameters)
        return self._table("jacobian", self.function, x, (self.m, self.n), options, parameters)

    def hessian(self, x, /, *, axis=-1, weights=None, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate the Hessian of the scalar output by all inputs.

        Parameters
        ----------
        x, axis, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.
        weights : optional
            As for :meth:`hvp`.

        Returns
        -------
        ndarray, shape (…, n, n), or (n, n, …) with ``axis=0``

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function; also if there are several outputs and no ``weights``.
        """
        self._need_inputs()
        options = {"axis": axis, "threads": threads, "reduce": reduce, "progress": progress}
        if weights is None:
            self.function.signature.need_scalar_output("hessian", "or weigh them: weights=")
            return self._table("hessian", self.function, x, (self.n, self.n), options, parameters)
        call, function = self._scalar_call(x, axis, parameters, weights, "hessian")
        return self._general("hessian", function, call, options)

    def sparse_jacobian_values(
        self, x, /, *, axis=-1, out=None, threads=None, reduce=None, progress=None, **parameters
    ):  # fmt: skip
        """Evaluate the entries of the Jacobian by all inputs that are in its pattern, ``f.jacobian_sparsity()``.

        Parameters
        ----------
        x, axis, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.
        out : ndarray, optional
            To write to.

        Returns
        -------
        ndarray, shape (…, nnz), or (nnz, …) with ``axis=0``

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.
        """
        self._need_inputs()
        options = {"axis": axis, "out": out, "threads": threads, "reduce": reduce, "progress": progress}
        return self._entries("jacobian", self.function, x, options, parameters)

    def sparse_hessian_values(
        self, x, /, *, axis=-1, weights=None, out=None, threads=None, reduce=None, progress=None, **parameters
    ):  # fmt: skip
        """Evaluate the entries of the Hessian by all inputs that are in its pattern, ``f.hessian_sparsity()``.

        Parameters
        ----------
        x, axis, weights, threads, reduce, progress, **parameters
            As for :meth:`hessian`.
        out : ndarray, optional
            To write to.

        Returns
        -------
        ndarray, shape (…, nnz), or (nnz, …) with ``axis=0``

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function; also if there are several outputs and no ``weights``.
        """
        self._need_inputs()
        options = {"axis": axis, "out": out, "threads": threads, "reduce": reduce, "progress": progress}
        if weights is None:
            self.function.signature.need_scalar_output("sparse_hessian_values", "or weigh them: weights=")
            return self._entries("hessian", self.function, x, options, parameters)
        call, function = self._scalar_call(x, axis, parameters, weights, "sparse_hessian_values")
        return self._general_entries("hessian", function, call, options)

    def sparse_jacobian(self, x, /, *, threads=None, **parameters):
        """The Jacobian of one input set as a ``scipy.sparse.csr_array``; see :meth:`Function.sparse_jacobian`."""
        values = self.sparse_jacobian_values(x, threads=threads, **parameters)
        return self.function._csr(values, self.function.jacobian_sparsity(), "sparse_jacobian")

    def sparse_hessian(self, x, /, *, weights=None, threads=None, **parameters):
        """The Hessian of one input set as a ``scipy.sparse.csr_array``; see :meth:`Function.sparse_hessian`."""
        values = self.sparse_hessian_values(x, weights=weights, threads=threads, **parameters)
        return self.function._csr(values, self.function.hessian_sparsity(), "sparse_hessian")

    # -- sweeps of derived functions ------------------------------------------------------------------------
    @property
    def _positions(self):
        return self.function.signature.differentiable

    @cached_property
    def _tangents(self):
        """The function of outputs and tangents."""
        return self.function._derived("tangents", self._positions)

    @cached_property
    def _moving(self):
        """Of the inputs, then their tangents, which differ from one direction to the next."""
        return np.arange(2 * self.n) >= self.n

    def _scalar_call(self, x, axis, parameters, weights, what):
        """The call, with the weights after its arrays, and the function of one scalar output that it is about."""
        call = self._call(x, axis, parameters)
        if weights is None:
            self.function.signature.need_scalar_output(what, "or weigh them: weights=")
            return call, self.function
        call.bind(weights, "weights", self.m, "outputs", self._shape)
        return call, self.function._derived("weighted")

    def _table(self, kind, function, x, shape, options, parameters):
        """The entries that a derived function has as its outputs, or else set by set."""
        derived = function._derived(kind, self._positions)
        if derived is None:
            return self._general(kind, function, self._call(x, options["axis"], parameters), options)
        entries = derived.flat(x, **options, **parameters)
        if options["reduce"] is not None:
            return entries.reshape(shape)
        return (
            entries.reshape(*shape, *entries.shape[1:])
            if options["axis"] == 0
            else entries.reshape(*entries.shape[:-1], *shape)
        )

    def _entries(self, kind, function, x, options, parameters):
        """The values of a pattern: the outputs of a derived function, or else set by set."""
        derived = function._values_function(kind, self._positions)
        if derived is not None:
            return derived.flat(x, **options, **parameters)
        return self._general_entries(kind, function, self._call(x, options["axis"], parameters), options)

    def _general_entries(self, kind, function, call, options):
        out, first = options["out"], options["axis"] == 0
        summed = is_sum(options["reduce"], out, self.function.label)
        place = np.moveaxis(out, 0, -1) if first and isinstance(out, np.ndarray) and out.ndim else out
        values = function._sparse_values(
            kind, call.arguments_of(function), call.batch, self._positions, place, options["threads"], summed,
            options["progress"],
        )  # fmt: skip
        return out if out is not None else np.moveaxis(values, -1, 0) if first else values

    def _general(self, kind, function, call, options):
        """A table of each set, variables first if the call says so."""
        summed = is_sum(options["reduce"], None, self.function.label)
        table = getattr(function, f"_{kind}_table")(
            call.arguments_of(function), call.batch, self._positions, options["threads"], summed, options["progress"]
        )
        return np.moveaxis(table, (-2, -1), (0, 1)) if options["axis"] == 0 and not summed else table

    def _along(self, x, directions, axis):
        """Outputs and tangents at one point, along one direction or a few; None if anything is to be looked at."""
        if not is_plain(directions):
            return None
        shape, m = directions.shape, self.m
        if shape == self._inputs:
            results = _one(self._tangents.sweeper, x, directions, 2 * m)
            return (results[:m], results[m:]) if self._shape else (results[0], results[1])
        if len(shape) != 2 or shape[1] != self.n or axis == 0 or shape[0] == 0:
            return None
        k = shape[0]
        if k == 1:
            results = _one(self._tangents.sweeper, x, directions, 2 * m)
            return (results[None, :m], results[None, m:]) if self._shape else (results[:1], results[1:])
        values, tangents = np.empty((k, m)), np.empty((k, m))
        together = self.function._along(k, self._positions) if k in TOGETHER else None
        if together is not None:
            results = _one(together.sweeper, x, directions, m * (1 + k))
            values[:], tangents[:] = results[:m], results[m:].reshape(k, m)
        else:
            found = self._tangents.sweeper.few(k, None, self._moving)
            if found is None:
                return None
            few, give_back = found
            few.inputs[: self.n, 0], few.inputs[self.n :, :k] = x, directions.T
            few.sweep(0, k)
            values[:], tangents[:] = few.results[:m, :k].T, few.results[m : 2 * m, :k].T
            give_back(few)
        return (values, tangents) if self._shape else (values[:, 0], tangents[:, 0])

    def _few_along(self, x, directions, axis):
        """Outputs and tangents of a few sets, each along a direction or some; None if anything is to be looked at."""
        if not is_plain(directions) or x.ndim != 2 or x.shape[axis] != self.n or not 1 <= directions.ndim <= 3:
            return None
        points = x if axis == 0 else x.T
        moved = directions if axis == 0 else directions.transpose(directions.ndim - 1, *range(directions.ndim - 1))
        n_sets, own = points.shape[1], moved.shape[1:]
        if moved.shape[0] != self.n or own and own[-1] not in (1, n_sets):
            return None
        batch = (*own[:-1], n_sets)
        moved = moved.reshape(self.n, *(own[:-1] or (1,)), own[-1] if own else 1)
        beside = self.function._is_beside((n_sets,), batch)
        tables = (self._few_beside if beside else self._few_each)(points, moved)
        if tables is None:
            return None
        if not self._shape:
            return tuple([table.reshape(batch) for table in tables])
        tables = [table.reshape(self.m, *batch) for table in tables]
        return tuple(tables if axis == 0 else [np.ascontiguousarray(np.moveaxis(table, 0, -1)) for table in tables])

    def _few_each(self, points, moved):
        """Outputs and tangents (m, k, N) at points (n, N) along directions (n, k, N or 1), each a set of its own."""
        (n, k, _), n_sets, m = moved.shape, points.shape[1], self.m
        if k == 1:
            moved = moved[:, 0]
        else:
            points, moved = (np.broadcast_to(a, (n, k, n_sets)).reshape(n, -1) for a in (points[:, None], moved))
        results = _few(self._tangents.sweeper, points, moved, k * n_sets, 2 * m)
        return None if results is None else results.reshape(2, m, k, n_sets)

    def _few_beside(self, points, moved):
        """As :meth:`_few_each`, several directions of a point in one set."""
        (n, k, _), n_sets, m = moved.shape, points.shape[1], self.m
        values, tangents = np.empty((2, m, k, n_sets))
        for function, start, stop in self.function._side_by_side(k, self._positions):
            count = stop - start
            part = moved[:, start:stop].swapaxes(0, 1).reshape(count * n, -1)
            results = _few(function.sweeper, points, part, n_sets, m * (1 + count))
            if results is None:
                return None
            values[:, start:stop] = results[:m, None]
            tangents[:, start:stop] = results[m:].reshape(count, m, n_sets).swapaxes(0, 1)
        return values, tangents

    def _product(self, x, vector, weights):
        """A Hessian-vector product at one point through a ready workspace; None if anything is to be looked at."""
        function = self.function
        if weights is not None:
            if not self._shape or not is_plain(weights) or weights.shape != self._shape:
                return None
            function = function._derived("weighted")
        elif self._shape:
            return None
        if not is_plain(vector) or vector.shape != (self.n,):
            return None
        sweeper = function._derived("directional", self._positions).sweeper
        single = sweeper.single(True)
        single.inputs[: self.n], single.inputs[-self.n :] = x, vector
        if weights is not None:
            single.inputs[self.n : -self.n] = weights
        sweeper.run(single.address)
        product = single.results[1 : 1 + self.n].copy()
        sweeper.idle_singles[True].append(single)
        return product

    def _sweep_derived(self, function, call, outputs, gradient, threads, progress):
        """Sweep ``function``, whose leaves are those of the call and what it has bound besides, over every set."""
        sweeper = function.sweeper
        leaves = call.leaves(sweeper.one_by_one(call.sets, gradient is not None))
        wanted = None
        if gradient is not None:
            wanted = addresses_of(
                [*self.pairs(gradient, None), *((None, shape) for _, shape in call.bound)], call.batch
            )
        sweeper.sweep(call.sets, leaves, addresses_of(outputs, call.batch), wanted, threads, None, progress)

    def _sum_derived(self, function, call, threads, progress, wanted=None):
        return function.sweeper.sum(call.sets, call.leaves(False), wanted, threads, None, progress)


def is_plain(array):
    """Whether a ready workspace can take it as it is."""
    return type(array) is np.ndarray and array.dtype == np.float64


def copied_into(outs, results):
    """Whether results were copied to the arrays of ``out``: only if all are fit; the general way says what is wrong."""
    if not isinstance(outs, tuple | list) or len(outs) != len(results):
        return False
    for out, result in zip(outs, results, strict=True):
        if not is_plain(out) or out.shape != np.shape(result) or not out.flags.writeable or not out.flags.aligned:
            return False
    for out, result in zip(outs, results, strict=True):
        out[...] = result
    return True


def _few(sweeper, points, moved, n_sets, m):
    """The m outputs, (m, N), of a derived function at points (n, N) along directions; None if they are too many."""
    found = sweeper.few(n_sets)
    if found is None:
        return None
    few, give_back = found
    n = len(points)
    few.inputs[:n, :n_sets], few.inputs[n:, :n_sets] = points, moved
    few.sweep(0, n_sets)
    results = few.results[:m, :n_sets].copy()
    give_back(few)
    return results


def _one(sweeper, x, directions, m):
    """The m outputs of a derived function at one point along what it takes for directions."""
    single, n = sweeper.single(False), len(x)
    single.inputs[:n], single.inputs[n:] = x, directions.reshape(-1)
    sweeper.run(single.address)
    results = single.results[:m].copy()
    sweeper.idle_singles[False].append(single)
    return results
