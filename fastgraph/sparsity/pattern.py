"""Pattern: where a sparse matrix has entries, as plain arrays in compressed rows. In: pairs of indices. Out: a Pattern.

SciPy's ``csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape)`` takes them as they are.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastgraph.errors import ArgumentError
from fastgraph.jit import adaptive, helper


@dataclass(frozen=True, eq=False)
class Pattern:
    """The entries of a matrix that may differ from 0, row by row.

    Attributes
    ----------
    shape : (int, int)
    indptr : int64 (rows + 1,)
        Row i has the entries from ``indptr[i]`` to ``indptr[i + 1]``.
    indices : int64 (nnz,)
        Columns of the entries, ascending and distinct in each row.

    Both arrays are checked, and read-only from then on, so that compiled code may rely on them.

    Raises
    ------
    ArgumentError
        If they do not describe a matrix of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> pattern = Pattern.of_dense(np.array([[1, 0, 1], [0, 1, 0]]))
    >>> pattern
    <Pattern: 2 x 3, 3 entries>
    >>> pattern.rows, pattern.indices
    (array([0, 0, 1]), array([0, 2, 1]))
    >>> pattern.transposed().indices
    array([0, 1, 0])
    """

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray

    def __post_init__(self):
        (m, n), indptr, indices = self.shape, self.indptr, self.indices
        for name, array in (("indptr", indptr), ("indices", indices)):
            if not isinstance(array, np.ndarray) or array.dtype != np.int64 or array.ndim != 1:
                raise ArgumentError(f"{name} of a pattern must be a one-dimensional array of int64, not {array!r}")
        if len(indptr) != m + 1 or indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
            raise ArgumentError(f"indptr of a pattern must ascend from 0 to {len(indices)} in {m + 1} steps")
        if len(indices) and not 0 <= indices.min() <= indices.max() < n:
            raise ArgumentError(f"indices of a pattern must be from 0 to {n - 1}")
        rising = np.diff(indices, prepend=-1) > 0
        rising[indptr[:-1][indptr[:-1] < len(indices)]] = True
        if not rising.all():
            raise ArgumentError("indices of a pattern must ascend in each row, without repetition")
        indptr.flags.writeable = indices.flags.writeable = False

    @classmethod
    def of_dense(cls, matrix):
        """The pattern of what is not 0 in a matrix."""
        matrix = np.asarray(matrix)
        rows, columns = np.nonzero(matrix)
        return cls.of_pairs(rows, columns, matrix.shape)

    @classmethod
    def of_pairs(cls, rows, columns, shape):
        """The pattern of pairs ``(rows[k], columns[k])``, all different, in any order. Linear time."""
        rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
        for keys, n in ((rows, shape[0]), (columns, shape[1])):
            if keys.shape != rows.shape or (keys.size and not 0 <= keys.min() <= keys.max() < n):
                raise ArgumentError(f"pairs of a pattern must be within its shape {shape}")
        _, order = buckets(columns, shape[1])
        indptr, inner = buckets(rows[order], shape[0])
        return cls(shape, indptr, columns[order][inner])

    @property
    def nnz(self):
        """Number of entries."""
        return len(self.indices)

    @cached_property
    def rows(self):
        """Row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int64), np.diff(self.indptr))

    def transposed(self):
        """The pattern of the transposed matrix."""
        indptr, order = buckets(self.indices, self.shape[1])
        return Pattern(self.shape[::-1], indptr, self.rows[order])

    def to_dense(self):
        """The pattern as a matrix of booleans."""
        dense = np.zeros(self.shape, np.bool_)
        dense[self.rows, self.indices] = True
        return dense

    def __repr__(self):
        return f"<Pattern: {self.shape[0]} x {self.shape[1]}, {self.nnz} entries>"


@adaptive
def buckets(keys, n):
    """Where each key's places begin, and the places ordered by key; those of one key keep their order."""
    first = np.zeros(n + 1, np.int64)
    for key in keys:
        first[key + 1] += 1
    for key in range(n):
        first[key + 1] += first[key]
    fill = first.copy()
    order = np.empty(len(keys), np.int64)
    for place in range(len(keys)):
        order[fill[keys[place]]] = place
        fill[keys[place]] += 1
    return first, order


@helper
def grown(array):
    """A copy with twice the room."""
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger
