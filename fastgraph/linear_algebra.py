"""Linear algebra of arrays of expressions: products, contractions, and small systems by elimination.

In: arrays of expressions, mixed with arrays of numbers. Out: arrays of expressions. Sums are balanced trees.
"""

import numpy as np

from fastgraph import functions as fg
from fastgraph.errors import ExprError, ShapeError
from fastgraph.expr_array import ExprArray, as_expressions, graph_of, reduced
from fastgraph.ops import OPS

MAX_SYSTEM = 32  # rows of a system: elimination with pivots chosen at run time records 2 n³ operations


def both(x, y):
    """Two operands as arrays of expressions of one graph."""
    graph = graph_of([x, y])
    return [fg.array_of(as_expressions(v, graph)) for v in (x, y)]


def _summed(array, axis=-1):
    if array.shape[axis] == 0:
        return fg.sum(array, axis)
    return reduced(OPS["add"], array, (axis % array.ndim,))


def matmul(x, y):
    """As ``np.matmul``."""
    x, y = both(x, y)
    if not x.ndim or not y.ndim:
        raise ShapeError("matmul: an operand is a scalar; use *")
    left, right = (x[None, :] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit: {left.shape[-1]} is not {right.shape[-2]}"
        )
    columns = ExprArray(right.graph, np.swapaxes(right.nodes, -1, -2))
    product = _summed(left[..., :, None, :] * columns[..., None, :, :])
    if x.ndim == 1:
        product = product[..., 0, :]
    return product[..., 0] if y.ndim == 1 else product


def vecdot(x, y, axis=-1):
    """As ``np.vecdot``."""
    x, y = both(x, y)
    x, y = (ExprArray(v.graph, np.moveaxis(v.nodes, axis, -1)) for v in (x, y))
    if x.shape[-1:] != y.shape[-1:]:
        raise ShapeError(f"vecdot: shapes {x.shape} and {y.shape} do not fit along the axis")
    return _summed(x * y)


def dot(x, y):
    """As ``np.dot``."""
    x, y = both(x, y)
    if not x.ndim or not y.ndim:
        return x * y
    if x.ndim == 1 or y.ndim <= 1:
        return matmul(x, y) if y.ndim <= 2 else tensordot(x, y, (-1, -2))
    return tensordot(x, y, ([-1], [-2]))


def inner(x, y):
    """As ``np.inner``."""
    x, y = both(x, y)
    return tensordot(x, y, ([-1], [-1])) if x.ndim and y.ndim else x * y


def outer(x, y):
    """As ``np.outer``."""
    x, y = both(x, y)
    return ExprArray(x.graph, x.nodes.ravel()[:, None]) * ExprArray(y.graph, y.nodes.ravel())


def vdot(x, y):
    """As ``np.vdot``."""
    x, y = both(x, y)
    return fg.dot(ExprArray(x.graph, x.nodes.ravel()), ExprArray(y.graph, y.nodes.ravel()))


def tensordot(x, y, axes=2):
    """As ``np.tensordot``."""
    x, y = both(x, y)
    if isinstance(axes, int | np.integer):
        axes = list(range(x.ndim - axes, x.ndim)), list(range(axes))
    of_x, of_y = ([int(k) % v.ndim for k in np.atleast_1d(a)] for a, v in zip(axes, (x, y), strict=True))
    if [x.shape[k] for k in of_x] != [y.shape[k] for k in of_y]:
        raise ShapeError(f"tensordot: shapes {x.shape} and {y.shape} do not fit along axes {of_x} and {of_y}")
    left, right = ([k for k in range(v.ndim) if k not in a] for v, a in ((x, of_x), (y, of_y)))
    n = int(np.prod([x.shape[k] for k in of_x]))
    a = ExprArray(x.graph, x.nodes.transpose(left + of_x).reshape(-1, n))
    b = ExprArray(y.graph, y.nodes.transpose(of_y + right).reshape(n, -1))
    product = fg.array_of(matmul(a, b))
    return fg.shaped(product, [*(x.shape[k] for k in left), *(y.shape[k] for k in right)])


def einsum(subscripts, *operands):
    """As ``np.einsum`` with a string: the operands' products over all indices, summed over those not in the result."""
    if not isinstance(subscripts, str):
        raise ExprError("np.einsum of expressions takes its subscripts as a string, such as 'ij,jk->ik'")
    graph = graph_of(operands)
    arrays = [fg.array_of(as_expressions(v, graph)) for v in operands]
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"einsum: {subscripts!r} is about {len(terms)} operands, but {len(arrays)} were given")
    batch = max(
        (a.ndim - len(t.replace("...", "")) for a, t in zip(arrays, terms, strict=True) if "..." in t), default=0
    )
    dots = [chr(0x100 + k) for k in range(batch)]  # names for the axes that an ellipsis stands for
    for k, (array, term) in enumerate(zip(arrays, terms, strict=True)):
        own = array.ndim - len(term.replace("...", ""))
        terms[k] = term.replace("...", "".join(dots[batch - own :])) if "..." in term else term
        if len(terms[k]) != array.ndim:
            raise ShapeError(f"einsum: operand {k} has shape {array.shape}, but its subscripts are {term!r}")
    output = output.replace("...", "".join(dots))
    if not arrow:
        joined = "".join(terms)
        output = "".join(dots) + "".join(sorted(c for c in set(joined) - set(dots) if joined.count(c) == 1))
    return _contracted(arrays, terms, output)


def _contracted(arrays, terms, output):
    result = None
    for k, (array, term) in enumerate(zip(arrays, terms, strict=True)):
        later = set("".join(terms[k + 1 :])) | set(output)
        array, term = _diagonal(array, term)
        if result is None:
            result, names = array, term
        else:
            every = names + "".join(c for c in term if c not in names)
            result = fg.array_of(_lined_up(result, names, every) * _lined_up(array, term, every))
            names = every
        gone = [i for i, c in enumerate(names) if c not in later]
        if gone:
            result, names = fg.array_of(fg.sum(result, tuple(gone))), "".join(c for c in names if c in later)
    missing = set(output) - set(names)
    if missing:
        raise ShapeError(f"einsum: the result has {sorted(missing)}, which no operand has")
    nodes = result.nodes.transpose([names.index(c) for c in output])
    return fg.shaped(ExprArray(result.graph, nodes), nodes.shape)


def _diagonal(array, term):
    """An operand without repeated subscripts."""
    nodes = array.nodes
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i, j = term.index(c), term.rindex(c)
            nodes = np.diagonal(nodes, axis1=i, axis2=j)
            term = "".join(d for k, d in enumerate(term) if k not in (i, j)) + c
    return ExprArray(array.graph, nodes), term


def _lined_up(array, names, every):
    """The axes of an array in the order of ``every``, of length 1 where it has none."""
    nodes = array.nodes.transpose([names.index(c) for c in every if c in names])
    at = iter(nodes.shape)
    return ExprArray(array.graph, nodes.reshape([next(at) if c in names else 1 for c in every]))


# -- systems --------------------------------------------------------------------------------------------------
def _square(a, what):
    array = fg.array_of(a)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ShapeError(f"{what}: the last two axes of a matrix must be of one length, not {array.shape}")
    if array.shape[-1] > MAX_SYSTEM:
        raise ExprError(
            f"{what} of {array.shape[-1]} rows: elimination would record every operation, which is meant for at most "
            f"{MAX_SYSTEM}; for larger systems compute the matrix by a Function, and solve it by NumPy or SciPy"
        )
    return array


def _eliminated(rows, n):
    """``rows`` (…, n, n + k) brought to upper triangular form with the largest pivots, and the sign of the swaps."""
    where, rows = fg.FUNCTIONS["where"], rows.copy()
    sign = 1.0
    for k in range(n):
        for i in range(k + 1, n):  # the largest element of the column comes up, whichever it is at run time
            larger = abs(rows[..., i, k]) > abs(rows[..., k, k])
            upper, lower = rows[..., k, k:], rows[..., i, k:]
            chosen = larger[..., None] if isinstance(larger, ExprArray) else larger
            rows[..., k, k:], rows[..., i, k:] = where(chosen, lower, upper), where(chosen, upper, lower)
            sign = where(larger, -sign, sign)
        for i in range(k + 1, n):
            factor = rows[..., i, k] / rows[..., k, k]
            factor = factor[..., None] if isinstance(factor, ExprArray) else factor
            rows[..., i, k + 1 :] = rows[..., i, k + 1 :] - factor * rows[..., k, k + 1 :]
    return rows, sign


def solve(a, b):
    """As ``np.linalg.solve``, by elimination with pivots chosen at run time; a singular matrix gives inf or nan."""
    a, b = both(a, b)
    a, n = _square(a, "solve"), a.shape[-1]
    vector = b.ndim == 1
    right = b[:, None] if vector else b
    if right.shape[-2] != n:
        raise ShapeError(f"solve: the matrix has {n} rows, but the right-hand side has shape {b.shape}")
    batch = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
    parts = [np.broadcast_to(v.nodes, batch + v.shape[-2:]) for v in (a, right)]
    rows, _ = _eliminated(ExprArray(a.graph, np.concatenate(parts, axis=-1)), n)
    x = rows[..., n:].copy()
    for k in reversed(range(n)):
        row = x[..., k, :]
        if k + 1 < n:
            row = row - fg.sum(rows[..., k, k + 1 : n, None] * x[..., k + 1 :, :], -2)
        pivot = rows[..., k, k]
        x[..., k, :] = row / (pivot[..., None] if isinstance(pivot, ExprArray) else pivot)
    return x[..., 0] if vector else x


def det(a):
    """As ``np.linalg.det``, by elimination with pivots chosen at run time."""
    a = _square(a, "det")
    n = a.shape[-1]
    if n == 0:
        return as_expressions(np.ones(a.shape[:-2]), a.graph)
    rows, sign = _eliminated(a, n)
    return sign * fg.prod(ExprArray(a.graph, np.diagonal(rows.nodes, axis1=-2, axis2=-1)), -1)


def inv(a):
    """As ``np.linalg.inv``."""
    a = _square(a, "inv")
    return solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


def cholesky(a):
    """As ``np.linalg.cholesky``: lower triangular; nan where the matrix is not positive definite."""
    a = _square(a, "cholesky")
    n, sqrt = a.shape[-1], fg.FUNCTIONS["sqrt"]
    lower = as_expressions(np.zeros(a.shape), a.graph).copy()
    for j in range(n):
        rest = a[..., j:, j]
        if j:
            rest = rest - fg.sum(lower[..., j:, :j] * lower[..., j, None, :j], -1)
        pivot = sqrt(rest[..., 0])
        lower[..., j, j] = pivot
        if j + 1 < n:
            lower[..., j + 1 :, j] = rest[..., 1:] / (pivot[..., None] if isinstance(pivot, ExprArray) else pivot)
    return lower


def norm(x, ord=None, axis=None, keepdims=False):  # noqa: A002  (NumPy's name)
    """As ``np.linalg.norm``, of vectors and, by Frobenius, of matrices."""
    array = fg.array_of(x)
    whole = axis is None and array.ndim != 1 or isinstance(axis, tuple) and len(axis) > 1
    if whole and ord not in (None, "fro"):
        raise ExprError(f"np.linalg.norm of a matrix with ord={ord!r} is not supported: only the Frobenius norm is")
    size, maximum, minimum = abs(array), OPS["maximum"], OPS["minimum"]
    if whole or ord in (None, 2):
        return fg.FUNCTIONS["sqrt"](fg.sum(array * array, axis, keepdims))
    axes = fg.axes_of(array, axis)
    if ord in (np.inf, -np.inf):
        return reduced(maximum if ord > 0 else minimum, size, axes, keepdims)
    if ord == 0:
        return fg.sum(array != 0.0, axis, keepdims)
    if ord == 1:
        return fg.sum(size, axis, keepdims)
    return fg.sum(size**ord, axis, keepdims) ** (1.0 / ord)
