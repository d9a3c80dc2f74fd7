"""Flat: a Function seen as Rⁿ → Rᵐ, all inputs concatenated. What solvers are handed.

In: one array of all inputs. Out: one array of all outputs, or a value and one gradient.
"""

import math

import numpy as np

from fastgraph.arguments import is_sum
from fastgraph.engine.pool import check_threads
from fastgraph.engine.sweeper import SEEDED
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.flat_derivatives import FlatDerivatives, copied_into, is_plain
from fastgraph.layout import Results, addresses_of, as_doubles, batch_array, common_batch


class Flat(FlatDerivatives):
    """The inputs of a function as one vector of n numbers, its outputs as one of m; parameters go by keyword.

    With ``axis=-1`` arrays have shape ``(…, n)`` and ``(…, m)``; with ``axis=0``, variables first, ``(n, …)`` and
    ``(m, …)``. Inputs and outputs are concatenated in order of declaration, each in C order. A function of one
    scalar output gives the batch alone, without an axis of length 1.

    Attributes
    ----------
    n, m : int
        Number of scalars in the inputs and in the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x, y = graph.inputs("x", "y")
    >>> graph.output(x * fg.square(y))
    >>> f = graph.compile()
    >>> value, gradient = f.flat.value_and_grad(np.array([3.0, 2.0]))
    >>> float(value), gradient
    (12.0, array([ 4., 12.]))
    """

    def __init__(self, function):
        self._function = function
        self._parameters = [a for a in function.arguments if not a.differentiable]
        self._names = {a.name for a in self._parameters}
        self.n = sum(a.size for a in function.arguments if a.differentiable)
        self.m = sum(output.size for output in function.outputs)
        self._shape = () if function.is_scalar else (self.m,)
        self._inputs, self._is_plain = (self.n,), function.dtype == np.float64
        sizes = np.array([a.size for a in function.arguments], np.int64)
        self.leaf_is_input = np.repeat(np.array([a.differentiable for a in function.arguments], np.bool_), sizes)
        self._parts = _parts(function.arguments)
        self._gradient_at = self.m + np.flatnonzero(self.leaf_is_input)  # among the results of a ``Single``

    def __call__(self, x, /, *, axis=-1, out=None, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate all outputs.

        Parameters
        ----------
        x : array_like, shape (…, n), or (n, …) with ``axis=0``
        axis : {-1, 0}
        out : ndarray, optional
            Of the function's dtype and the result's shape.
        threads, reduce, progress, **parameters
            As for a call of the function.

        Returns
        -------
        numpy.float64 or ndarray, shape (…, m), or (m, …) with ``axis=0``; (…) for one scalar output; with
        ``reduce="sum"``, (m,) or a scalar

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.
        """
        if reduce is progress is None:
            found = self._ready(x, axis, parameters, False, threads)
            if found is not None and out is None:
                return found[0]
            if found is not None and copied_into([out], found[:1]):
                return out
        call = self._call(x, axis, parameters)
        if is_sum(reduce, out, self._function.label):
            totals, _ = call.sum(False, threads, progress)
            return totals if self._shape else totals[0]
        place = call.place([("y", self._shape)], None if out is None else [out])
        call.sweep(place, False, threads, progress)
        (result,) = place.finish()
        return result if out is None else out

    def value_and_grad(self, x, /, *, axis=-1, out=None, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate the scalar output and its gradient by all inputs.

        Parameters
        ----------
        x, axis, threads, reduce, progress, **parameters
            As for a call.
        out : tuple of two ndarray, optional
            The value and the gradient to write to.

        Returns
        -------
        value : numpy.float64 or ndarray, shape (…)
        gradient : ndarray, shape (…, n), or (n, …) with ``axis=0``; with ``reduce="sum"``, (n,)

        Raises
        ------
        ArgumentError
            If the function has not exactly one scalar output, or as for a call.
        ShapeError
            As for a call.
        """
        self._function.signature.need_scalar_output("value_and_grad")
        self._need_inputs()
        if reduce is progress is None:
            found = self._ready(x, axis, parameters, True, threads)
            if found is not None and (out is None or copied_into(out, found)):
                return found if out is None else tuple(out)
        return self._derive(x, axis, parameters, None, out, threads, reduce, progress)

    def grad(self, x, /, *, axis=-1, threads=None, reduce=None, progress=None, **parameters):
        """The gradient alone; see :meth:`value_and_grad`."""
        options = {"axis": axis, "threads": threads, "reduce": reduce, "progress": progress}
        return self.value_and_grad(x, **options, **parameters)[1]

    def vjp(self, x, cotangents, /, *, axis=-1, out=None, threads=None, reduce=None, progress=None, **parameters):
        """Evaluate all outputs and the product of cotangents with the Jacobian by all inputs.

        Parameters
        ----------
        x, axis, out, threads, reduce, progress, **parameters
            As for :meth:`value_and_grad`.
        cotangents : array_like, shape (…, m), or (m, …) with ``axis=0``; (…) for one scalar output
            Broadcasts with the batch of ``x``.

        Returns
        -------
        outputs : numpy.float64 or ndarray
            As of a call.
        input_cotangents : ndarray, shape (…, n), or (n, …) with ``axis=0``; with ``reduce="sum"``, (n,)

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.
        """
        self._need_inputs()
        plain = out is reduce is progress is threads is None and self._is_single(x, axis, parameters)
        if plain and (is_plain(cotangents) or type(cotangents) is float) and np.shape(cotangents) == self._shape:
            y, gradient = self._single_seeded(x, cotangents)
            return (y if self._shape else y[0]), gradient
        return self._derive(x, axis, parameters, cotangents, out, threads, reduce, progress)

    def _derive(self, x, axis, parameters, cotangents, out, threads, reduce, progress):
        call = self._call(x, axis, parameters, cotangents)
        if is_sum(reduce, out, self._function.label):
            totals, gradient = call.sum(True, threads, progress)
            return totals if self._shape else totals[0], gradient
        place = call.place([("y", self._shape), ("the gradient", (self.n,))], out)
        call.sweep(place, True, threads, progress)
        results = place.finish()
        return tuple(results if out is None else out)

    def _need_inputs(self):
        if not self.n:
            raise ArgumentError(f"{self._function.label} has no inputs, only parameters: nothing to differentiate by")

    def _ready(self, x, axis, parameters, with_gradient, threads):
        """Outputs and gradient of a few sets by a ready workspace; None if anything must be looked at closer."""
        if not (is_plain(x) and self._is_plain and axis in (-1, 0) and parameters.keys() == self._names):
            return None
        if threads is not None:
            check_threads(threads)
        shape = x.shape
        if shape == self._inputs:
            results = (
                self._single(x, with_gradient) if not self._names else self._single_of(x, parameters, with_gradient)
            )
            if results is None:
                return None
            y = results[: self.m] if self._shape else results[0]
            return y, results[self.m :] if with_gradient else None
        if self._names:
            return None
        if len(shape) != 2 or shape[axis] != self.n:
            return None
        n_sets = shape[-1 - axis]
        if n_sets == 1:
            results = self._single(x.reshape(-1), with_gradient)
            y = results[: self.m]
            y = y.reshape((-1, 1) if axis == 0 else (1, -1)) if self._shape else y
            return y, results[self.m :].reshape(shape) if with_gradient else None
        found = self._function.sweeper.few(n_sets, self.leaf_is_input if with_gradient else None)
        return None if found is None else self._few(*found, x, axis, with_gradient, n_sets)

    def _takes(self, x, axis, parameters):
        """Whether ready workspaces take ``x`` as it is, if its shape fits."""
        return is_plain(x) and self._is_plain and not self._names and not parameters and axis in (-1, 0)

    def _is_single(self, x, axis, parameters):
        """Whether ``x`` is one set that a ready workspace takes as it is."""
        return self._takes(x, axis, parameters) and x.shape == self._inputs

    def _single(self, x, with_gradient):
        """Outputs, then the gradient, of one set."""
        sweeper = self._function.sweeper
        single = sweeper.single(with_gradient)
        single.inputs[:] = x
        sweeper.run(single.address)
        results = single.results.copy()
        sweeper.idle_singles[with_gradient].append(single)
        return results

    def _single_of(self, x, parameters, with_gradient):
        """As :meth:`_single`, with a plain value for each parameter; None if one is anything else."""
        sweeper = self._function.sweeper
        single, at = sweeper.single(with_gradient), 0
        idle = sweeper.idle_singles[with_gradient]
        for argument, span in self._parts:
            if argument is None:
                value, size = x[slice(*span)], span[1] - span[0]
            else:
                value, size = parameters[argument.name], argument.size
                is_number = type(value) is float or type(value) is np.float64
                if not (argument.shape == () if is_number else is_plain(value) and value.shape == argument.shape):
                    idle.append(single)
                    return None
            single.inputs[at : at + size] = value if argument is None or not argument.shape else value.reshape(-1)
            at += size
        sweeper.run(single.address)
        results = single.results
        results = np.concatenate([results[: self.m], results[self._gradient_at]]) if with_gradient else results.copy()
        idle.append(single)
        return results

    def _single_seeded(self, x, cotangents):
        """Outputs, and the gradient of their sum weighted by the cotangents, of one set."""
        sweeper = self._function.sweeper
        single = sweeper.single(SEEDED)
        single.inputs[:], single.seeds[:] = x, cotangents
        sweeper.run(single.address)
        results = single.results.copy()
        sweeper.idle_singles[SEEDED].append(single)
        return results[: self.m], results[self.m :]

    def _few(self, few, give_back, x, axis, with_gradient, n_sets):
        """Outputs and gradient of a few sets."""
        few.inputs[:, :n_sets] = x if axis == 0 else x.T
        few.sweep(0, n_sets)
        m, results = self.m, few.results
        y = results[:m, :n_sets] if self._shape else results[0, :n_sets]
        y, gradient = (y if axis == 0 else y.T).copy(), None
        if with_gradient:
            gradient = results[m:, :n_sets]
            gradient = (gradient if axis == 0 else gradient.T).copy()
        give_back(few)
        return y, gradient

    def pairs(self, x, parameters):
        """Arrays and shapes of all leaves in order: parts of ``x``, and the parameters (None: not wanted)."""
        parts, parameters = [], iter([None] * len(self._parameters) if parameters is None else parameters)
        for argument, span in self._parts:
            if argument is None:
                parts.append((x if span == (0, self.n) else x[..., slice(*span)], (span[1] - span[0],)))
            else:
                parts.append((next(parameters), argument.shape))
        return parts

    def bind_parameters(self, parameters):
        """Arrays of the parameters in order of declaration, and their batch shapes."""
        label = self._function.label
        if parameters.keys() != self._names:
            unknown = [name for name in parameters if name not in self._names]
            missing = [a.name for a in self._parameters if a.name not in parameters]
            what = f"has no parameter {unknown[0]!r}" if unknown else f"misses the parameter {missing[0]!r}"
            listing = ", ".join(a.name for a in self._parameters) or "it has none"
            raise ArgumentError(f"{label}.flat {what}; parameters go by keyword: {listing}")
        bound = [batch_array(parameters[a.name], a.name, a.shape, label) for a in self._parameters]
        return [array for array, _ in bound], [batch for _, batch in bound]

    def _call(self, x, axis, parameters, cotangents=None):
        return _Call(self, x, axis, parameters, cotangents)

    @property
    def function(self):
        """The function this is a view of."""
        return self._function

    @property
    def parameters(self):
        """The declared parameters."""
        return self._parameters


def _parts(arguments):
    """The arguments in order: spans of the vector of inputs, neighbours joined, and parameters."""
    parts, at = [], 0
    for argument in arguments:
        if not argument.differentiable:
            parts.append((argument, None))
            continue
        start = parts.pop()[1][0] if parts and parts[-1][0] is None else at
        at += argument.size
        parts.append((None, (start, at)))
    return parts


class _Call:
    """One call's arrays: what ``Flat`` binds, places results for, and sweeps."""

    def __init__(self, flat, x, axis, parameters, cotangents=None):
        self.flat, self.function, self.axis = flat, flat.function, axis
        label = self.function.label
        if axis not in (-1, 0):
            raise ArgumentError(f"{label}.flat: axis must be -1 or 0, not {axis!r}")
        given, batches = flat.bind_parameters(parameters)
        x, own = self._moved(x, "x", flat.n, "inputs")
        arrays = [x, *given]
        names = ["x", *(a.name for a in flat.parameters)]
        batches = [own, *batches]
        if cotangents is not None and not self.function.is_scalar:
            cotangents, own = self._moved(cotangents, "cotangents", flat.m, "outputs")
            batches.append(own)
        elif cotangents is not None:
            cotangents, own = batch_array(cotangents, "cotangents", (), label)
            batches.append(own)
        self.batch = common_batch([*names, "cotangents"][: len(batches)], batches, f"{label}.flat")
        self.arrays, self.cotangents = arrays, cotangents
        self.bound = []  # arrays, and their shapes, that follow the arguments as leaves of a derived function

    @property
    def sets(self):
        return math.prod(self.batch)

    def bind(self, given, name, n, what, shape=None):
        """Bind one more array like x, of ``n`` scalars."""
        if shape == ():
            given, own = batch_array(given, name, (), self.function.label)
        else:
            given, own = self._moved(given, name, n, what)
        self.batch = common_batch(["x", name], [self.batch, own], f"{self.function.label}.flat")
        self.bound.append((given, (n,) if shape is None else shape))

    def arguments_of(self, function):
        """An array for each argument of ``function``: those of this call, then what is bound besides."""
        x, *given = self.arrays
        declared = self.function.arguments
        inputs = iter(_split(x, [a for a in declared if a.differentiable]))
        given = iter(given)
        arrays = [next(inputs if argument.differentiable else given) for argument in declared]
        more = function.arguments[len(declared) :]
        for array, shape in self.bound:
            arrays += [array] if shape == () else _split(array, more)
        return arrays

    def leaves(self, one_by_one):
        """The table of the leaves."""
        x, *given = self.arrays
        pairs = [*self.flat.pairs(x, given), *self.bound]
        if one_by_one:
            pairs = [(as_doubles(array), shape) for array, shape in pairs]
        return addresses_of(pairs, self.batch, any_axes=not one_by_one)

    def _tables(self, one_by_one):
        """Tables of the leaves and of the cotangents."""
        cotangents = self.cotangents
        if cotangents is not None:
            cotangents = as_doubles(cotangents) if one_by_one else cotangents
            cotangents = addresses_of([(cotangents, self._output_shape)], self.batch)
        return self.leaves(one_by_one), cotangents

    @property
    def _output_shape(self):
        return () if self.function.is_scalar else (self.flat.m,)

    def _moved(self, x, name, n, what):
        """An array with its variables last, and its batch shape."""
        label = self.function.label
        x, _ = batch_array(x, name, (), label)
        if x.ndim == 0 or x.shape[self.axis] != n:
            where = "first" if self.axis == 0 else "last"
            raise ShapeError(
                f"{label}.flat got {name} with shape {x.shape}: its {where} axis must be {n}, the number of scalars in "
                f"the {what}"
            )
        x = _variables_last(x) if self.axis == 0 else x
        return x, x.shape[:-1]

    def place(self, wanted, out):
        """Where the results of these names and shapes go; variables first if the call says so."""
        first = [self.axis == 0 and shape != () for _, shape in wanted]
        names, shapes = [name for name, _ in wanted], [self.batch + shape for _, shape in wanted]
        dtype, n_axes = self.function.dtype, len(self.batch)
        if out is not None:
            if isinstance(out, tuple | list) and len(out) == len(wanted):
                out = [_variables_last(array) if f else array for array, f in zip(out, first, strict=True)]
            inputs = [
                *self.arrays,
                *(a for a, _ in self.bound),
                *(() if self.cotangents is None else (self.cotangents,)),
            ]
            return Results(shapes, dtype, n_axes, out, names, self.function.label, inputs)
        made = [shape + self.batch if f else self.batch + shape for (_, shape), f in zip(wanted, first, strict=True)]
        place = Results(made, dtype, n_axes)
        place.targets = [_variables_last(array) if f else array for array, f in zip(place.given, first, strict=True)]
        return place

    def sweep(self, place, with_gradient, threads, progress):
        """Sweep every set into the results' places."""
        flat, sweeper = self.flat, self.function.sweeper
        leaves, seeds = self._tables(sweeper.one_by_one(self.sets, with_gradient))
        outputs = addresses_of([(place.targets[0], self._output_shape)], self.batch)
        gradient = None
        if with_gradient:
            gradient = addresses_of(flat.pairs(place.targets[1], None), self.batch)
        sweeper.sweep(self.sets, leaves, outputs, gradient, threads, seeds, progress)

    def sweep_beside(self, wanted, threads, progress):
        """Sweep outputs and tangents along what is bound, as ``Products`` does it."""
        x, *given = self.arrays
        self.function._sweep_beside(
            self.flat.pairs(x, given), self.bound, self.batch, self.flat._positions, wanted[:1], wanted[1:], threads,
            progress,
        )  # fmt: skip

    def sum(self, with_gradient, threads, progress):
        """Sums over the batch, of the outputs and of the gradient by all inputs."""
        leaves, seeds = self._tables(False)
        wanted = self.flat.leaf_is_input if with_gradient else None
        return self.function.sweeper.sum(self.sets, leaves, wanted, threads, seeds, progress)


def _variables_last(array):
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        return array
    return array.T if array.ndim <= 2 else np.moveaxis(array, 0, -1)  # the same, in a hundredth of the time


def _split(array, items):
    """The last axis of an array as views of shape ``batch + item.shape``, one for each item."""
    parts, start = [], 0
    for item in items:
        part = array[..., start : start + item.size]
        parts.append(part.reshape(part.shape[:-1] + item.shape))
        start += item.size
    return parts
