"""The dual algebra: rules run on pairs of a primal and its tangent, over any other algebra.

In: an algebra and pairs of its values. Out: pairs, whose tangents come from the rows' own partials, so that a second
derivative needs no second table: the partials of a row, run on this algebra, carry the tangents of a gradient.
"""

from fastgraph.ops import OPS, contribution
from fastgraph.ops.row import Anything


class Operators:
    """Arithmetic operators of values that belong to an algebra ``m``: they are its ops."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy arrays leave `array * value` to the value

    def __neg__(self):
        return self.m.neg(self)

    def __add__(self, other):
        return self.m.add(self, other)

    def __radd__(self, other):
        return self.m.add(other, self)

    def __sub__(self, other):
        return self.m.sub(self, other)

    def __rsub__(self, other):
        return self.m.sub(other, self)

    def __mul__(self, other):
        return self.m.mul(self, other)

    def __rmul__(self, other):
        return self.m.mul(other, self)

    def __truediv__(self, other):
        return self.m.div(self, other)

    def __rtruediv__(self, other):
        return self.m.div(other, self)


class Pair(Operators):
    """A primal and its tangent, values of an inner algebra; the tangent None is structurally zero.

    Comparisons compare primals and give masks of the inner algebra.
    """

    __slots__ = ("m", "primal", "tangent")
    __hash__ = None

    def __init__(self, m, primal, tangent=None):
        self.m = m
        self.primal = primal
        self.tangent = tangent

    def __repr__(self):
        return f"Pair({self.primal!r}, {self.tangent!r})"

    def __lt__(self, other):
        return self.primal < _primal(other)

    def __le__(self, other):
        return self.primal <= _primal(other)

    def __gt__(self, other):
        return self.primal > _primal(other)

    def __ge__(self, other):
        return self.primal >= _primal(other)

    def __eq__(self, other):
        return self.primal == _primal(other)

    def __ne__(self, other):
        return self.primal != _primal(other)


class Dual:
    """Pairs over the algebra ``m``; every op of the table is an attribute.

    Parameters
    ----------
    m
        The inner algebra. Python numbers and values of ``m`` mix with pairs as constants, except as the left operand
        of an inner value that does not know pairs (lanes do not): make those pairs with :meth:`pair`.

    Examples
    --------
    The derivative of x sin(x) at 0:

    >>> from fastgraph.ops.oracle import Oracle, Real
    >>> dual = Dual(Oracle())
    >>> x = dual.pair(Real(0.0), Real(1.0))
    >>> float((x * dual.sin(x)).tangent)
    0.0
    """

    differentiable = True

    def __init__(self, m):
        self.inner = m

    def pair(self, primal, tangent=None):
        """A pair of this algebra."""
        return Pair(self, primal, tangent)

    def where(self, mask, x, y):
        """Select by a mask of the inner algebra; the branch not taken contributes nothing to the tangent."""
        primal = self.inner.where(mask, _primal(x), _primal(y))
        a, b = _tangent(x), _tangent(y)
        if a is None and b is None:
            return self.pair(primal)
        return self.pair(primal, self.inner.where(mask, 0.0 if a is None else a, 0.0 if b is None else b))

    def __getattr__(self, name):
        try:
            op = OPS[name]
        except KeyError:
            raise AttributeError(f"the op table has no {name!r}") from None
        return lambda *args: self._apply(op, args)

    def _apply(self, op, args):
        """One op on pairs: its value on the primals, and the sum of its partials' contributions to the tangent."""
        primals = [_primal(arg) for arg in args]
        result = op.apply(self.inner, *primals)
        return self.pair(result, tangent_of(self.inner, op, result, primals, [_tangent(arg) for arg in args]))


def tangent_of(m, op, result, primals, tangents):
    """The tangent of ``result`` in algebra ``m``, from those of the operands; None where it is structurally zero.

    A choice takes the tangent of its branch; of every other op it is the sum of the partials' contributions, in the
    order of operands.

    Parameters
    ----------
    m : algebra
    op : Op
    result, primals
        The value, and what the op was applied to: operands, then the immediate if there is one.
    tangents : sequence
        Of the operands; None for structurally zero.
    """
    tangents = tangents[: op.arity]
    if all(tangent is None for tangent in tangents):
        return None
    if op.chooses:
        dual = Dual(m)
        return op.apply(dual, *map(dual.pair, primals, tangents)).tangent
    return along(m, op.partials(m, result, *primals), tangents)


def along(m, partials, tangents):
    """The sum of the partials' contributions to a tangent, from those of the operands; None for structurally zero."""
    total = None
    for tangent, partial in zip(tangents, partials, strict=True):
        share = None if tangent is None else contribution(m, tangent, partial)
        if share is not None:
            total = share if total is None else total + share
    return total


def curvature(op):
    """Per operands j and k, whether partial k can change with operand j at all: whether it has a tangent.

    Read off the row: ``abs`` has none, since its partial is a sign, whose partial in turn is 0.

    Examples
    --------
    >>> curvature(OPS["mul"])
    [[False, True], [True, False]]
    """
    dual = Dual(Anything())
    return [[_has_tangent(dual, op, j, k) for k in range(op.arity)] for j in range(op.arity)]


def _has_tangent(dual, op, j, k):
    anything = dual.inner
    operands = [dual.pair(anything, anything if i == j else None) for i in range(op.arity)]
    result = dual.pair(anything, anything if op.flows[j] else None)
    # The immediate is a pair, too: as a left operand, Anything would swallow the tangent.
    immediate = () if op.immediate is None else (dual.pair(anything),)
    share = contribution(dual, dual.pair(anything), op.partials(dual, result, *operands, *immediate)[k])
    return _tangent(share) is not None


def _primal(value):
    return value.primal if isinstance(value, Pair) else value


def _tangent(value):
    return value.tangent if isinstance(value, Pair) else None
