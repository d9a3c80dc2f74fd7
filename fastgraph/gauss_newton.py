"""Gauss–Newton: products with JᵀJ, and the matrix, for least squares over data rows.

In: arguments as for a call. Out: arrays in the form of the function's inputs. Derived programs, as in ``derivatives``.
"""

import numpy as np

from fastgraph.arguments import is_sum


class GaussNewton:
    """Base of :class:`Function`."""

    def gauss_newton_product(
        self, args, vector, /, *, wrt=None, out=None, threads=None, reduce=None, progress=None
    ):  # fmt: skip
        """Evaluate JᵀJ v, J being the Jacobian of all outputs.

        Parameters
        ----------
        args, vector, wrt, out, threads, progress
            As for :meth:`hvp`.
        reduce : "sum", optional
            Give the sum over the batch: Σ JᵀJ v over data rows.

        Returns
        -------
        numpy.float64, ndarray, or named tuple of them for several arguments
            Per argument, of shape ``batch + argument.shape``.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output([x[0] * x[1], x[1]], name="residuals")
        >>> graph.compile().gauss_newton_product(([2.0, 3.0],), [1.0, 0.0])
        array([9., 6.])
        """
        summed = is_sum(reduce, out, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind_packed(args)
        directions, batch = self._bind_directions(vector, positions, kind, batch, "vector")
        chosen = sorted(positions)
        place = out
        if out is not None and kind is not None and isinstance(out, tuple | list) and len(out) == len(positions):
            place = [out[positions.index(k)] for k in chosen]
        found = self._derived("gauss_newton_product", positions)._evaluate(
            [*arrays, *directions], batch, place, threads, summed, progress
        )
        return found[0] if kind is None else kind._make(found[chosen.index(k)] for k in positions)

    def gauss_newton(self, /, *args, wrt=None, threads=None, reduce=None, progress=None, **named):
        """Evaluate JᵀJ, J being the Jacobian of all outputs: the Gauss–Newton approximation of a Hessian.

        Parameters
        ----------
        *args, **named, wrt, threads, progress
            As for :meth:`hessian`.
        reduce : "sum", optional
            Give the sum over the batch, of data rows for instance, in memory that does not grow with it.

        Returns
        -------
        ndarray, or named tuple of named tuples of them
            Per two arguments, of shape ``batch + first.shape + second.shape``; symmetric to the last bit.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Examples
        --------
        A straight line through three points:

        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> w, t = graph.input("w", shape=2), graph.parameter("t")
        >>> graph.output(w[0] + w[1] * t, name="residual")
        >>> graph.compile().gauss_newton([0.0, 0.0], [1.0, 2.0, 3.0], reduce="sum")
        array([[ 3.,  6.],
               [ 6., 14.]])
        """
        summed = is_sum(reduce, None, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        function = self._derived("gauss_newton", positions)
        if function is not None:
            table = function._evaluate(arrays, batch, None, threads, summed, progress)[0]
        else:
            n = int(self._wanted(positions).sum())
            table = self._set_by_set(
                arrays, batch, self._gauss_newton_of_one, positions, threads, summed, progress, (n, n)
            )
        return self._square(table, () if summed else batch, positions, kind)

    def _gauss_newton_of_one(self, arrays, positions, threads):
        """JᵀJ (n, n) of one set, by n products that are swept together."""
        items = [self.arguments[k] for k in sorted(positions)]
        n = sum(item.size for item in items)
        function = self._derived("gauss_newton_product", positions)
        product, directions = np.empty((n, n), self.dtype), np.eye(n, dtype=self.dtype)
        moved = [*arrays, *self._parts(directions, items)]
        function._sweep(moved, (n,), self._parts(product, items), None, None, threads, None)
        below = np.tril(product)
        return below + np.tril(product, -1).T
