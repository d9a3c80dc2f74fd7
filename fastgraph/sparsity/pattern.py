"""Pattern: where a sparse matrix has entries, as plain arrays in compressed rows. In: pairs of indices. Out: a Pattern.

SciPy's ``csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape)`` takes them as they are.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
