"""Solvers: what the ways into solvers share.

In: a Function and what a user gives with it. Out: the Function with its parameters fixed; vectors that have been
checked; sparse matrices of SciPy.
"""

import math

import numpy as np

from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.extras import need
from fastgraph.function import Function
from fastgraph.graph import Argument
from fastgraph.layout import batch_array, common_batch

# A Newton step with a banded matrix by SuperLU, against LAPACK: as fast at 100 columns; at 200 twice as fast with 7
# entries a row and half as fast with 40. Entries at random fill in: then LAPACK is as fast with 2 % of them.
SPARSE_COLUMNS, SPARSE_SHARE = 200, 0.03


# -- functions ------------------------------------------------------------------------------------------------------
def checked(f, what):
    """``f``, if it is a Function in float64."""
    if not isinstance(f, Function):
        raise ArgumentError(f"{what} takes a Function, as graph.compile() and fg.trace make it, not {f!r}")
    if f.dtype != np.float64:
        raise ArgumentError(
            f"{what}: {f.label} computes in {f.dtype}, but the tolerances of solvers are those of float64: compile it "
            "without dtype="
        )
    return f


def fixed(f, parameters, what, hint=""):
    """``f`` with its parameters fixed; those that have batch axes, by name, which are not; and their common batch."""
    if not checked(f, what).flat.n:
        raise ArgumentError(f"{what}: {f.label} has no inputs, only parameters: nothing to solve for")
    declared = {a.name: a for a in f.arguments if not a.differentiable}
    for name in parameters:
        if name not in declared:
            remedy = f"; it is an input: fix it first, by f.bind({name}=...)" if name in f.signature.positions else ""
            listing = ", ".join(declared) or "none"
            raise ArgumentError(f"{what}: {f.label} has no parameter {name!r}{remedy}; its parameters: {listing}")
    for name in declared:
        if name not in parameters:
            remedy = f"give its value, {name}=..." + hint.format(name=name)
            raise ArgumentError(f"{what}: {f.label} misses the parameter {name!r}: {remedy}")
    found = {name: batch_array(value, name, declared[name].shape, f.label) for name, value in parameters.items()}
    rows = {name: array for name, (array, batch) in found.items() if batch}
    values = {name: array for name, (array, batch) in found.items() if not batch}
    batch = common_batch(rows, [found[name][1] for name in rows], f.label)
    return (f.bind(**values) if values else f), rows, batch


def fixed_wholly(f, parameters, what, hint=""):
    """``f`` with its parameters fixed, none of them with batch axes."""
    function, rows, _ = fixed(f, parameters, what, hint)
    refuse_rows(f, rows, what)
    return function


def refuse_rows(f, rows, what, remedy=""):
    """Raise a ShapeError if parameters have batch axes."""
    for name, array in rows.items():
        (shape,) = [a.shape for a in f.arguments if a.name == name]
        raise ShapeError(
            f"{what}: {f.label} got {name} with shape {array.shape}, a batch: give one value, of shape {shape}{remedy}"
        )


def shared(parameters, functions, what):
    """For each function, those of ``parameters`` that it has; each must belong to one at least."""
    names = [{a.name for a in f.arguments if not a.differentiable} for f in functions]
    for name in parameters:
        if not any(name in own for own in names):
            labels = " nor ".join(f.label for f in functions)
            listing = ", ".join(sorted(set().union(*names))) or "none"
            raise ArgumentError(f"{what}: neither {labels} has a parameter {name!r}; their parameters: {listing}")
    return [{name: value for name, value in parameters.items() if name in own} for own in names]


def with_inputs(f, names):
    """``f`` with these arguments for inputs, the others for parameters."""
    arguments = tuple(Argument(a.name, a.shape, a.name in names) for a in f.arguments)
    return f if arguments == f.arguments else Function(f.program, arguments, f.outputs, f.name)


def size_of(f, names):
    """How many scalars these arguments hold."""
    return sum(a.size for a in f.arguments if a.name in names)


def places_of(f, names):
    """Where the scalars of these inputs, in this order, stand among those of all: a slice if they are neighbours."""
    at, start = {}, 0
    for argument in f.arguments:
        if argument.differentiable:
            at[argument.name] = range(start, start + argument.size)
            start += argument.size
    places = [place for name in names for place in at[name]]
    first = places[0] if places else 0
    neighbours = places == list(range(first, first + len(places)))
    return slice(first, first + len(places)) if neighbours else np.array(places)


# -- vectors --------------------------------------------------------------------------------------------------------
def vector(x, name, shape, label):
    """``x`` as a float64 array of this shape, without a copy where it is one."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.shape == shape:
        return x
    array, _ = batch_array(x, name, (), label)
    if array.shape != shape:
        raise ShapeError(f"{label} got {name} with shape {array.shape}: it must be {shape}; solvers go point by point")
    return array.astype(np.float64)


def bounds(lower, upper, n, what, names):
    """Lower and upper bounds, each (n,)."""
    found = []
    for value, name in zip((lower, upper), names, strict=True):
        array, _ = batch_array(value, name, (), what)
        if array.shape not in ((), (n,)):
            raise ShapeError(f"{what} got {name} with shape {array.shape}: it must be a number or of shape ({n},)")
        found.append(np.broadcast_to(array, (n,)).astype(np.float64))
    wrong = np.flatnonzero(~(found[0] <= found[1]))
    if len(wrong):
        k = wrong[0]
        raise ArgumentError(f"{what}: {names[0]}[{k}] = {found[0][k]} must be at most {names[1]}[{k}] = {found[1][k]}")
    return found


# -- matrices -------------------------------------------------------------------------------------------------------
def choice(sparse, what):
    """``sparse``, if it is None, True or False."""
    if sparse is not None and not isinstance(sparse, bool):
        raise ArgumentError(f"{what}: sparse must be None, True or False, not {sparse!r}")
    return sparse


def layout(sparse, pattern, shape, repeats=1, by_columns=False):
    """The layout of a derivative of this shape, or None if it is to be dense.

    ``pattern()`` is asked only if need be: that of a large dense Hessian would be larger than all the rest.
    """
    if sparse is False or (sparse is None and shape[1] < SPARSE_COLUMNS):
        return None
    found = pattern()
    if sparse is None and found.nnz > SPARSE_SHARE * math.prod(shape):
        return None
    return Layout(found, repeats, by_columns)


class Layout:
    """Where SciPy finds the values of a derivative: rows after rows, of all data rows, or columns after columns."""

    def __init__(self, pattern, repeats, by_columns):
        (m, n), nnz = pattern.shape, pattern.nnz
        self.shape, self.order = (m * repeats, n), None
        if by_columns:
            self.order = np.argsort(pattern.indices, kind="stable")
            pattern = pattern.transposed()
        indptr = np.append((pattern.indptr[:-1] + nnz * np.arange(repeats)[:, None]).ravel(), nnz * repeats)
        # SuperLU takes indices of 32 bits. All results share these arrays, so nobody may write to them.
        kind = np.int32 if max(nnz * repeats, m * repeats, n) < 2**31 else np.int64
        self.indptr, self.indices = indptr.astype(kind), np.tile(pattern.indices, repeats).astype(kind)
        self.indptr.flags.writeable = self.indices.flags.writeable = False

    def matrix(self, values):
        """A csr_array, or a csc_array by columns, of values in the order of the pattern."""
        sparse = need("scipy.sparse", "a sparse derivative", or_else=", or ask for dense ones, sparse=False")
        if self.order is None:
            return sparse.csr_array((values, self.indices, self.indptr), shape=self.shape)
        return sparse.csc_array((values[self.order], self.indices, self.indptr), shape=self.shape)


def linear_operator(shape, **products):
    """SciPy's LinearOperator of real numbers."""
    linalg = need("scipy.sparse.linalg", "a LinearOperator", or_else=", or ask for dense matrices, sparse=False")
    return linalg.LinearOperator(shape, dtype=np.float64, **products)


class Adapter:
    """Base: what a solver calls; pickled by the parts that it was made of, the first of them a function."""

    def __init__(self, *parts):
        self._parts, self.function = parts, parts[0]
        self.n = self.function.flat.n
        self._inputs = (self.n,)

    def __reduce__(self):
        return type(self), self._parts

    def __repr__(self):
        return f"<{type(self).__name__} of {self.function!r}>"

    def _point(self, x):
        """One vector of all inputs; of what numbers, the function asks."""
        return x if type(x) is np.ndarray and x.shape == self._inputs else self._vector(x, "x", self.n)

    def _vector(self, x, name, *shape):
        return vector(x, name, shape, self.function.label)
