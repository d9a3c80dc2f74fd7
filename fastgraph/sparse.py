"""Sparse derivatives: Jacobians and Hessians of which only the entries that can differ from 0 are computed.

In: arguments as for a call. Out: a pattern, fixed for a function; the values of its entries; SciPy's sparse arrays.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph import derived
from fastgraph.arguments import is_sum
from fastgraph.errors import ShapeError
from fastgraph.extras import need
from fastgraph.graph import Argument, Output
from fastgraph.layout import Results
from fastgraph.ops import OPS
from fastgraph.sparsity import (
    Pattern,
    distance2_coloring,
    hessian_pattern,
    jacobian_pattern,
    n_colors,
    recover_columns,
    recover_rows,
    recover_star,
    star_coloring,
)

ROW_COST = 2  # sweeps along columns that a sweep along rows costs


@dataclass(frozen=True)
class Compressed:
    """How entries of a matrix are had from few sweeps.

    Attributes
    ----------
    entries : slice, or int64 (k,)
        Which of the pattern's entries.
    by_rows : bool
        Whether directions are cotangents.
    directions : ndarray (k, n), or (k, m) by rows
    recover : int64
        Where each of them stands in the product of the directions with the matrix, raveled.
    """

    entries: slice | np.ndarray
    by_rows: bool
    directions: np.ndarray
    recover: np.ndarray

    @classmethod
    def of(cls, pattern, colors, recovered, dtype, by_rows=False, entries=slice(None)):
        """From colours and the place (direction, column) of each entry of ``pattern``."""
        k = n_colors(colors)
        directions = np.zeros((k, len(colors)), dtype)
        chosen = np.flatnonzero(colors >= 0)
        directions[colors[chosen], chosen] = 1.0
        width = pattern.shape[1] if by_rows else pattern.shape[0]
        return cls(entries, by_rows, directions, recovered[0] * width + recovered[1])


def jacobian_ways(pattern, dtype):
    """The fewest sweeps found that give every entry of a Jacobian, as Compressed parts.

    Along columns, along rows, or, where a few rows are so long that they alone need many colours, along these rows and
    the columns of the rest.
    """
    lengths = np.diff(pattern.indptr)
    order = np.argsort(-lengths, kind="stable")
    # With the k longest rows apart, columns need at least as many colours as the longest of the rest.
    cost = ROW_COST * np.arange(len(order) + 1) + np.append(lengths[order], 0)
    k = int(np.argmin(cost))
    apart = np.zeros(len(order), np.bool_)
    apart[order[:k]] = True
    choices = [[(apart, True), (~apart, False)]] if 0 < k < len(order) else []
    choices += [[(np.ones_like(apart), by_rows)] for by_rows in (False, True)]
    ways = [[_way(pattern, rows, by_rows, dtype) for rows, by_rows in choice] for choice in choices]
    return min(reversed(ways), key=lambda parts: sum(len(p.directions) * (ROW_COST if p.by_rows else 1) for p in parts))


def _way(pattern, rows, by_rows, dtype):
    """The entries in some rows of a pattern, by directions along rows or columns."""
    entries = np.flatnonzero(rows[pattern.rows])
    part = Pattern.of_pairs(pattern.rows[entries], pattern.indices[entries], pattern.shape)
    colors = distance2_coloring(part.transposed() if by_rows else part)
    if by_rows:
        return Compressed.of(part, colors, recover_rows(part, colors), dtype, True, entries)
    at_row, at_color = recover_columns(part, colors)
    return Compressed.of(part, colors, (at_color, at_row), dtype, False, entries)


class SparseDerivatives:
    """Base of :class:`Function`."""

    def jacobian_sparsity(self, wrt=None):
        """Where the Jacobian may differ from 0.

        Parameters
        ----------
        wrt : str or Expr, or sequence of them, optional
            The arguments to differentiate by; the default is every input and no parameter.

        Returns
        -------
        Pattern
            A row for each scalar of the outputs, a column for each of the chosen arguments, in order of declaration.
            Fixed for the function, whatever the arguments are: both sides of every ``where`` count.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=3)
        >>> graph.output(x[:-1] * x[1:])
        >>> graph.compile().jacobian_sparsity().to_dense().astype(int)
        array([[1, 1, 0],
               [0, 1, 1]])
        """
        return self._sparsity("jacobian", self.signature.wrt(wrt)[0])

    def hessian_sparsity(self, wrt=None):
        """Where the Hessian of the output, or of any weighted sum of the outputs, may differ from 0.

        Parameters
        ----------
        wrt : optional
            As for :meth:`jacobian_sparsity`.

        Returns
        -------
        Pattern
            Symmetric; a row and a column for each scalar of the chosen arguments, in order of declaration.
        """
        return self._sparsity("hessian", self.signature.wrt(wrt)[0])

    def sparse_jacobian(self, /, *args, wrt=None, threads=None, **named):
        """Evaluate the Jacobian of one input set as a sparse matrix.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call, without batch axes.
        wrt, threads : optional
            As for :meth:`jacobian`.

        Returns
        -------
        scipy.sparse.csr_array
            Of the pattern of :meth:`jacobian_sparsity`, entries that happen to be 0 included.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also if there is a batch: :meth:`sparse_jacobian_values` takes one.
        ImportError
            If SciPy is not installed.
        """
        values = self.sparse_jacobian_values(*args, wrt=wrt, threads=threads, **named)
        return self._csr(values, self.jacobian_sparsity(wrt), "sparse_jacobian")

    def sparse_jacobian_values(
        self, /, *args, wrt=None, out=None, threads=None, reduce=None, progress=None, **named
    ):  # fmt: skip
        """Evaluate the entries of the Jacobian that are in its pattern.

        Parameters
        ----------
        *args, **named, wrt, threads, reduce, progress
            As for :meth:`jacobian`.
        out : ndarray, optional
            Of the function's dtype and the result's shape.

        Returns
        -------
        ndarray, shape batch + (nnz,)
            In the order of :meth:`jacobian_sparsity`.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Notes
        -----
        Columns that share no row are swept as one direction, or rows that share no column, or both where a few rows are
        long: a distance-2 colouring (Curtis, Powell and Reid 1974; Gebremedhin, Manne and Pothen, "What color is your
        Jacobian?", SIAM Review 47, 2005). Of a small function the entries are the outputs of one derived program.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=3)
        >>> graph.output(x[:-1] * x[1:])
        >>> graph.compile().sparse_jacobian_values([1.0, 2.0, 3.0])
        array([2., 1., 3., 2.])
        """
        summed = is_sum(reduce, out, self.label)
        positions, _ = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        return self._sparse_values("jacobian", arrays, batch, positions, out, threads, summed, progress)

    def sparse_hessian(self, /, *args, wrt=None, weights=None, threads=None, **named):
        """Evaluate the Hessian of one input set as a sparse matrix.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call, without batch axes.
        wrt, weights, threads : optional
            As for :meth:`hessian`.

        Returns
        -------
        scipy.sparse.csr_array
            Of the pattern of :meth:`hessian_sparsity`; symmetric to the last bit.

        Raises
        ------
        ArgumentError, ShapeError, ImportError
            As for :meth:`sparse_jacobian`; also if there are several outputs and no ``weights``.
        """
        values = self.sparse_hessian_values(*args, wrt=wrt, weights=weights, threads=threads, **named)
        return self._csr(values, self.hessian_sparsity(wrt), "sparse_hessian")

    def sparse_hessian_values(
        self, /, *args, wrt=None, weights=None, out=None, threads=None, reduce=None, progress=None, **named
    ):  # fmt: skip
        """Evaluate the entries of the Hessian that are in its pattern.

        Parameters
        ----------
        *args, **named, wrt, weights, threads, reduce, progress
            As for :meth:`hessian`; with ``weights`` a Lagrangian, σ · objective + λᵀ · constraints.
        out : ndarray, optional
            Of the function's dtype and the result's shape.

        Returns
        -------
        ndarray, shape batch + (nnz,)
            In the order of :meth:`hessian_sparsity`.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call; also if there are several outputs and no ``weights``.

        Notes
        -----
        Each entry is read off one Hessian-vector product: a star colouring (Gebremedhin, Tarafdar, Manne and Pothen,
        "New acyclic and star coloring algorithms with application to computing Hessians", SIAM J. Sci. Comput. 29,
        2007). Of a small function the entries are the outputs of one derived program.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=3)
        >>> graph.output(x[0] * x[1], name="objective")
        >>> graph.output(x[2] ** 2, name="constraint")
        >>> graph.compile().sparse_hessian_values([1.0, 2.0, 3.0], weights=(1.0, 10.0))
        array([ 1.,  1., 20.])
        """
        summed = is_sum(reduce, out, self.label)
        positions, _ = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        arrays, batch, function = self._scalar_function(arrays, batch, weights, "sparse_hessian")
        return function._sparse_values("hessian", arrays, batch, positions, out, threads, summed, progress)

    # -- sweeps ---------------------------------------------------------------------------------------------
    def _sparse_values(self, kind, arrays, batch, positions, out, threads, summed, progress):
        """The entries of a pattern, shape batch + (nnz,)."""
        pattern = self._sparsity(kind, positions)
        shape = (() if summed else batch) + (pattern.nnz,)
        function = self._values_function(kind, positions)
        if function is not None:
            return function._evaluate(arrays, batch, out, threads, summed, progress, ["the values"])[0]
        one = self._sparse_jacobian_of_one if kind == "jacobian" else self._sparse_hessian_of_one
        values = (
            self._set_by_set(arrays, batch, one, positions, threads, summed, progress, (pattern.nnz,))
            if pattern.nnz
            else np.empty(shape, self.dtype)
        )
        if out is None:
            return values
        place = Results([shape], self.dtype, len(batch), out, ["the values"], self.label)
        place.targets[0][...] = values
        place.finish()
        return out

    def _values_function(self, kind, positions):
        """The Function of the entries of a pattern, or None where it would be too large or has none; made once."""
        return self._made((f"{kind} values", tuple(sorted(positions))), self._derive_values, kind, positions)

    def _derive_values(self, kind, positions):
        """The Function of the entries of a pattern."""
        pattern, ways, wanted = (
            self._sparsity(kind, positions),
            self._compressed(kind, positions),
            self._wanted(positions),
        )
        if not pattern.nnz:
            return None
        if ways[0].by_rows or len(ways) > 1:
            program = derived.jacobian(self.program, wanted, pattern.rows * pattern.shape[1] + pattern.indices)
        else:
            (way,) = ways
            seeds = np.full((len(wanted), len(way.directions)), derived.NOTHING, np.int64)
            seeds[wanted] = np.where(way.directions.T, derived.UNIT, derived.NOTHING)
            if kind == "jacobian":
                program = derived.compressed_jacobian(self.program, seeds, way.recover)
            else:
                program = derived.compressed_hessian(self.program, wanted, seeds, way.recover)
        if program is None:
            return None
        arguments = [Argument(a.name, a.shape, k in positions) for k, a in enumerate(self.arguments)]
        return type(self)(program, arguments, [Output("values", (pattern.nnz,))], self.name, paired=True)

    def _sparse_jacobian_of_one(self, arrays, positions, threads):
        """Entries of the Jacobian of one set."""
        values = np.empty(self._sparsity("jacobian", positions).nnz, self.dtype)
        for way in self._compressed("jacobian", positions):
            sweep = self._compressed_rows if way.by_rows else self._compressed_columns
            values[way.entries] = sweep(arrays, positions, way.directions, threads).ravel()[way.recover]
        return values

    def _sparse_hessian_of_one(self, arrays, positions, threads):
        """Entries of the Hessian of one set."""
        (way,) = self._compressed("hessian", positions)
        return self._compressed_hessian(arrays, positions, way.directions, threads).ravel()[way.recover]

    def _jacobian_of_one(self, arrays, positions, threads):
        """The Jacobian (m, n) of one set."""
        return self._dense(self._sparse_jacobian_of_one(arrays, positions, threads), "jacobian", positions)

    def _hessian_of_one(self, arrays, positions, threads):
        """The Hessian (n, n) of one set."""
        return self._dense(self._sparse_hessian_of_one(arrays, positions, threads), "hessian", positions)

    def _dense(self, values, kind, positions):
        pattern = self._sparsity(kind, positions)
        table = np.zeros(pattern.shape, self.dtype)
        table[pattern.rows, pattern.indices] = values
        return table

    # -- what is made once ------------------------------------------------------------------------------------
    def _sparsity(self, kind, positions):
        return self._made((f"{kind} pattern", tuple(sorted(positions))), self._find_pattern, kind, positions)

    def _find_pattern(self, kind, positions):
        wanted = self._wanted(positions)
        number = np.cumsum(wanted) - 1
        n = int(wanted.sum())
        if kind == "hessian" and OPS["with_partial"].code in self.program.runs["opcode"]:
            # What partials that somebody declared depend on is seen where they are operands: in the gradient.
            found = jacobian_pattern(derived.gradient(self.program, wanted), wanted)
            keys = found.rows * n + number[found.indices]
            keys = np.union1d(keys, keys % n * n + keys // n)
            return Pattern.of_pairs(keys // n, keys % n, (n, n))
        find = jacobian_pattern if kind == "jacobian" else hessian_pattern
        pattern = find(self.program, wanted)
        if kind == "jacobian":
            return Pattern((pattern.shape[0], n), pattern.indptr, number[pattern.indices])
        indptr = np.concatenate([[0], np.cumsum(np.diff(pattern.indptr)[wanted])])
        return Pattern((n, n), indptr, number[pattern.indices])

    def _compressed(self, kind, positions):
        return self._made((f"{kind} colours", tuple(sorted(positions))), self._compress, kind, positions)

    def _compress(self, kind, positions):
        pattern = self._sparsity(kind, positions)
        if kind == "hessian":
            colors = star_coloring(pattern)
            rows, columns = recover_star(pattern, colors)
            return [Compressed.of(pattern, colors, (columns, rows), self.dtype)]
        return jacobian_ways(pattern, self.dtype)

    def _csr(self, values, pattern, what):
        if values.ndim > 1:
            raise ShapeError(
                f"{what} of {self.label} takes one input set, but the arguments have the batch shape "
                f"{values.shape[:-1]}: use {what}_values, or call it set by set"
            )
        sparse = need("scipy.sparse", what, or_else=f", or use {what}_values")
        return sparse.csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape)
