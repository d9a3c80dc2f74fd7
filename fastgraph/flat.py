"""Flat: a Function seen as Rⁿ → Rᵐ, all inputs concatenated. What solvers are handed.

In: one array of all inputs. Out: one array of all outputs, or a value and one gradient.
"""

import math
from functools import cached_property

import numpy as np

from fastgraph.engine.pool import check_threads
from fastgraph.engine.sweeper import Table
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.layout import addresses_of, batch_array, results_like


class Flat:
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
        self.n = sum(a.size for a in function.arguments if a.differentiable)
        self.m = sum(output.size for output in function.outputs)
        self._shape = () if function.is_scalar else (self.m,)

    @cached_property
    def _leaf_is_input(self):
        sizes = [a.size for a in self._function.arguments]
        return np.repeat([a.differentiable for a in self._function.arguments], sizes)

    def __call__(self, x, /, *, axis=-1, out=None, threads=None, **parameters):
        """Evaluate all outputs.

        Parameters
        ----------
        x : array_like, shape (…, n), or (n, …) with ``axis=0``
        axis : {-1, 0}
        out : ndarray, optional
            float64, of the result's shape.
        threads, **parameters
            As for a call of the function.

        Returns
        -------
        numpy.float64 or ndarray, shape (…, m), or (m, …) with ``axis=0``; (…) for one scalar output

        Raises
        ------
        ArgumentError, ShapeError
            As for a call of the function.
        """
        function = self._function
        if out is None and self._is_single(x, axis, parameters):
            y = self._single(x, False, threads)
            return y[: self.m] if self._shape else y[0]
        x, batch, leaves, arrays = self._bind(x, axis, parameters)
        first = axis == 0 and self._shape != ()
        if out is None:
            result = np.empty(self._shape + batch if first else batch + self._shape)
            target, finish = np.moveaxis(result, 0, -1) if first else result, None
        else:
            given = np.moveaxis(out, 0, -1) if first and isinstance(out, np.ndarray) and out.ndim else out
            shapes = [batch + self._shape]
            (target,), finish, _ = results_like(shapes, len(batch), given, ["y"], function.label, arrays)
            result = out
        outputs = addresses_of([(target, self._shape)], batch)
        function.sweeper.sweep(math.prod(batch), leaves, outputs, None, threads)
        if finish is not None:
            finish()
        return result[()] if result.shape == () else result

    def value_and_grad(self, x, /, *, axis=-1, threads=None, **parameters):
        """Evaluate the scalar output and its gradient by all inputs.

        Parameters
        ----------
        x, axis, threads, **parameters
            As for a call.

        Returns
        -------
        value : numpy.float64 or ndarray, shape (…)
        gradient : ndarray, shape (…, n), or (n, …) with ``axis=0``

        Raises
        ------
        ArgumentError
            If the function has not exactly one scalar output, or as for a call.
        ShapeError
            As for a call.
        """
        function = self._function
        function.need_scalar_output("value_and_grad")
        if not self.n:
            raise ArgumentError(f"{function.label} has no inputs, only parameters: nothing to differentiate by")
        if self._is_single(x, axis, parameters):
            y = self._single(x, True, threads)
            return y[0], y[1:]
        x, batch, leaves, _ = self._bind(x, axis, parameters)
        value = np.empty(batch)
        gradient = np.empty((self.n, *batch) if axis == 0 else (*batch, self.n))
        moved = np.moveaxis(gradient, 0, -1) if axis == 0 else gradient
        wanted = self._scatter(addresses_of([(moved, (self.n,))], batch), None)
        outputs = addresses_of([(value, ())], batch)
        function.sweeper.sweep(math.prod(batch), leaves, outputs, wanted, threads)
        return (value[()] if batch == () else value), gradient

    def grad(self, x, /, *, axis=-1, threads=None, **parameters):
        """The gradient alone; see :meth:`value_and_grad`."""
        return self.value_and_grad(x, axis=axis, threads=threads, **parameters)[1]

    def _is_single(self, x, axis, parameters):
        """Whether x is one set that a ready workspace can take as it is, and nothing else is to be checked."""
        plain = type(x) is np.ndarray and x.shape == (self.n,) and x.dtype == np.float64
        return plain and axis in (-1, 0) and not self._parameters and not parameters

    def _single(self, x, with_gradient, threads):
        """Outputs, then the gradient, of one set."""
        if threads is not None:
            check_threads(threads)
        sweeper = self._function.sweeper
        single = sweeper.single(with_gradient)
        single.inputs[:] = x
        sweeper.run(single.address)
        results = single.results.copy()
        sweeper.idle_singles[with_gradient].append(single)
        return results

    def _scatter(self, inputs, parameters):
        """One table for all leaves, from that of the inputs and that of the parameters (None: not wanted)."""
        if not self._parameters:
            return inputs
        n = len(self._leaf_is_input)
        keep = inputs.keep + (parameters.keep if parameters else [])
        table = Table(np.zeros(n, np.int64), np.zeros(n, np.int64), keep)
        for leaves, part in ((self._leaf_is_input, inputs), (~self._leaf_is_input, parameters)):
            if part is not None:
                table.addresses[leaves], table.strides[leaves] = part.addresses, part.strides
        return table

    def _bind(self, x, axis, parameters):
        """x as (…, n), the batch shape, the table of all leaves, and the arrays it points into."""
        function = self._function
        if axis not in (-1, 0):
            raise ArgumentError(f"{function.label}.flat: axis must be -1 or 0, not {axis!r}")
        names = [a.name for a in self._parameters]
        unknown = [name for name in parameters if name not in names]
        missing = [name for name in names if name not in parameters]
        if unknown or missing:
            what = f"has no parameter {unknown[0]!r}" if unknown else f"misses the parameter {missing[0]!r}"
            listing = ", ".join(names) or "it has none"
            raise ArgumentError(f"{function.label}.flat {what}; parameters go by keyword: {listing}")
        x, _ = batch_array(x, "x", (), function.label)
        if x.ndim == 0 or x.shape[axis] != self.n:
            where = "first" if axis == 0 else "last"
            raise ShapeError(
                f"{function.label}.flat got x with shape {x.shape}: its {where} axis must be {self.n}, the number of "
                "scalars in the inputs"
            )
        x = np.moveaxis(x, 0, -1) if axis == 0 else x
        pairs, batches = [], [x.shape[:-1]]
        for argument in self._parameters:
            array, batch = batch_array(parameters[argument.name], argument.name, argument.shape, function.label)
            pairs.append((array, argument.shape))
            batches.append(batch)
        try:
            batch = np.broadcast_shapes(*batches)
        except ValueError:
            raise ShapeError(f"{function.label}.flat: the batch shapes {batches} do not broadcast together") from None
        leaves = self._scatter(addresses_of([(x, (self.n,))], batch), addresses_of(pairs, batch))
        return x, batch, leaves, [x, *(array for array, _ in pairs)]
