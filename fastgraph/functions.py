"""Functions on expressions: one per op of the table, and the conveniences composed of them."""

import numpy as np

from fastgraph.errors import ShapeError
from fastgraph.expr import FUNCTIONS

globals().update(FUNCTIONS)


def clip(x, low, high):
    """``minimum(maximum(x, low), high)``, as ``np.clip``."""
    return FUNCTIONS["minimum"](FUNCTIONS["maximum"](x, low), high)


def relu(x):
    """x where it is positive, else 0; derivative 0 at 0."""
    return FUNCTIONS["where"](FUNCTIONS["gt"](x, 0.0), x, 0.0)


def sum(x):  # noqa: A001  (NumPy's name)
    """Sum of the expressions in an array or sequence, added as a balanced tree.

    The tree keeps the rounding error at O(log n) and its levels free of dependencies.
    """
    return _tree(list(np.asarray(x, dtype=object).ravel()), lambda a, b: a + b, 0.0)


def prod(x):
    """Product of the expressions in an array or sequence, multiplied as a balanced tree."""
    return _tree(list(np.asarray(x, dtype=object).ravel()), lambda a, b: a * b, 1.0)


def mean(x):
    """Arithmetic mean of the expressions in an array or sequence."""
    count = np.asarray(x, dtype=object).size
    if count == 0:
        raise ShapeError("fg.mean of an empty array: it needs at least one element")
    return sum(x) / count


def dot(x, y):
    """Inner product of two arrays or sequences of one length; the products are added as a balanced tree."""
    x, y = (np.asarray(v, dtype=object) for v in (x, y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"fg.dot takes two vectors of one length, not shapes {x.shape} and {y.shape}")
    return sum(x * y)


def _tree(terms, combine, empty):
    while len(terms) > 1:
        paired = [combine(a, b) for a, b in zip(terms[0::2], terms[1::2], strict=False)]
        terms = paired + terms[len(terms) - len(terms) % 2 :]
    return terms[0] if terms else empty


CONVENIENCES = ("clip", "dot", "mean", "prod", "relu", "sum")
