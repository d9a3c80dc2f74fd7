"""The series algebra: rules run on truncated power series in one variable t, over any other algebra.

In: an algebra and series of its values. Out: series, whose Taylor coefficients come from the rows' own partials. A
result r(t) of operands x_k(t) obeys r' = sum of partial_k x_k', so that its coefficient j follows from the coefficients
of partials up to j - 1; and a partial is a series itself, made by running the row's rule on this algebra. Coefficients
are computed when they are asked for, as in McIlroy, "Squinting at power series" (Software: Practice and Experience 20,
1990; J. Functional Programming 9, 1999); the recurrences that come of it are those of Griewank and Walther, "Evaluating
Derivatives" (2008), chapter 13.

One op on the same operands is one series. So exp, whose partial is itself, and sin with cos close into systems of a few
series, and their coefficients up to j cost O(j**2). A partial that always leads on (lgamma to digamma to polygamma,
x**y to x**(y - 1), which is right at 0 too, unlike y x**y / x) makes one more series an order, O(j**3). Operations that
all coefficients up to 8, 16 and 32 record, of one op on operands with all their coefficients:

====================  ====  =====  =====    ====================  ====  =====  =====
op                       8     16     32    op                       8     16     32
====================  ====  =====  =====    ====================  ====  =====  =====
mul, div                81    289   1089    tanh, asin, sigmoid    337   1313   5185
exp                     86    302   1118    hypot, logaddexp       746   3034  12218
sin, tan, sqrt         153    561   2145    pow (constant y)       403   2083  13379
log                    163    579   2179    lgamma                 255   1663  12031
erf, ndtr              248    880   3296    erfcx, log_ndtr       1819   7067  28468
====================  ====  =====  =====    ====================  ====  =====  =====

The order of sums is fixed, see ``_Share`` and :func:`convolution`; coefficient 1 has the bits of ``Dual``'s
tangent, but for divisions.
"""

from fastgraph.ops import OPS, contribution
from fastgraph.ops.dual import Operators
from fastgraph.ops.row import Only


class Mask:
    """The mask of a comparison of coefficients 0."""

    __slots__ = ("m", "value")

    def __init__(self, m, value):
        self.m = m
        self.value = value

    def __and__(self, other):
        return self.m.joined("and", self, other, lambda a, b: a & b)

    def __or__(self, other):
        return self.m.joined("or", self, other, lambda a, b: a | b)

    def __xor__(self, other):
        return self.m.joined("xor", self, other, lambda a, b: a ^ b)


class Jet(Operators):
    """A truncated power series; its operators are the ops of its algebra.

    Comparisons compare coefficients 0 and give masks.
    """

    __slots__ = ("_slopes", "m", "number", "recurrence", "values")
    __hash__ = object.__hash__  # by identity; == compares coefficients 0

    def __init__(self, m, number, recurrence, values=()):
        self.m = m
        self.number = number  # order of creation
        self.recurrence = recurrence
        self.values = list(values)  # coefficients known so far
        self._slopes = []

    def coefficient(self, j):
        """Coefficient ``j``, a value of the inner algebra, or None where it is structurally zero."""
        if not 0 <= j <= self.m.order:
            raise IndexError(f"coefficient {j} of a series of order {self.m.order}")
        self.m.compute(self, j)
        return self.values[j]

    def slope(self, i):
        """``i`` times coefficient ``i``, which is known: a coefficient of the derivative."""
        slopes = self._slopes
        while len(slopes) <= i:
            k, value = len(slopes), self.values[len(slopes)]
            slopes.append(None if k == 0 or value is None else value if k == 1 else float(k) * value)
        return slopes[i]

    def __repr__(self):
        return f"Jet({', '.join(map(repr, self.values))}{', …' if len(self.values) <= self.m.order else ''})"

    def __lt__(self, other):
        return self.m.compared("lt", self, other, lambda a, b: a < b)

    def __le__(self, other):
        return self.m.compared("le", self, other, lambda a, b: a <= b)

    def __gt__(self, other):
        return self.m.compared("gt", self, other, lambda a, b: a > b)

    def __ge__(self, other):
        return self.m.compared("ge", self, other, lambda a, b: a >= b)

    def __eq__(self, other):
        return self.m.compared("eq", self, other, lambda a, b: a == b)

    def __ne__(self, other):
        return self.m.compared("ne", self, other, lambda a, b: a != b)


class Series:
    """Truncated power series over the algebra ``m``; every op of the table is an attribute.

    Parameters
    ----------
    m
        The inner algebra. Python numbers and values of ``m`` mix with series as constants, except as the left operand
        of an inner value that does not know series (lanes and expressions do not): make those with :meth:`constant`.
        An op whose operands are all Python numbers is computed by ``m``, which must know how.
    order
        The highest power of t that is kept.

    Examples
    --------
    exp(t) sin(t) around 0:

    >>> from fastgraph.ops.oracle import Oracle, Real
    >>> series = Series(Oracle(), 3)
    >>> t = series.variable([Real(0.0), Real(1.0)])
    >>> product = series.exp(t) * series.sin(t)
    >>> [round(float(product.coefficient(j)), 3) for j in range(4)]
    [0.0, 1.0, 1.0, 0.333]
    """

    differentiable = True

    def __init__(self, m, order):
        self.inner = m
        self.order = order
        self._known = {}  # by what they are made of: series and masks
        self._kept = {}  # what keys name by id
        self._count = 0

    def constant(self, value):
        """The series of a constant: all other coefficients are structurally zero."""
        return self.variable([value])

    def variable(self, coefficients):
        """The series with the given coefficients from 0 on, at least one; None and those left out are structural zeros.

        Those beyond the order of the algebra are left out too.
        """
        values = [*coefficients][: self.order + 1]
        if not values or values[0] is None:
            raise ValueError("a series needs a coefficient 0")
        return self._new(None, values + [None] * (self.order + 1 - len(values)))

    def where(self, mask, x, y):
        """Select by a mask, or where coefficient 0 of a series is not 0; what is not selected contributes nothing."""
        if type(mask) is bool:
            return x if mask else y
        if isinstance(mask, Jet):
            mask = mask != 0.0
        if not isinstance(mask, Mask):
            mask = self._mask(mask)
        x, y = self._jet(x), self._jet(y)
        return self._shared(("where", mask, x, y), lambda: self._new(_Where(self.inner, mask.value, x, y)))

    def __getattr__(self, name):
        try:
            op = OPS[name]
        except KeyError:
            raise AttributeError(f"the op table has no {name!r}") from None
        return lambda *args: self.apply(op, *args)

    def apply(self, op, *args):
        """The op of a row on series and constants; ``args`` are the operands, then the immediate if the op has one."""
        operands = [self._jet(arg) for arg in args[: op.arity]]
        immediate = args[op.arity :]
        if op.commutative:
            operands.sort(key=lambda jet: jet.number)
        key = (op.name, *operands, *map(self._identity, immediate))
        recurrence = _Quotient if op.name == "div" else _Flow
        return self._shared(key, lambda: self._new(recurrence(op, operands, immediate)))

    # -- sharing ------------------------------------------------------------------------------------------
    def _new(self, recurrence, values=()):
        self._count += 1
        return Jet(self, self._count, recurrence, values)

    def _shared(self, key, make):
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _identity(self, value):
        """A key for a number, where 0.0 and -0.0 differ, or for a value of the inner algebra, by identity."""
        if type(value) in (int, float):
            return (type(value), repr(value))
        if id(value) not in self._kept:
            self._kept[id(value)] = value  # ids stay unique while what they name lives
        return id(value)

    def _jet(self, value):
        if isinstance(value, Jet):
            return value
        return self._shared(("constant", self._identity(value)), lambda: self.constant(value))

    def _mask(self, value):
        return self._shared(("mask", self._identity(value)), lambda: Mask(self, value))

    def compared(self, name, x, y, relation):
        """The mask of a comparison of coefficients 0."""
        x, y = self._jet(x), self._jet(y)
        return self._shared(("compared", name, x, y), lambda: Mask(self, relation(x.coefficient(0), y.coefficient(0))))

    def joined(self, name, a, b, connect):
        """The mask that connects two."""
        b = b if isinstance(b, Mask) else self._mask(b)
        return self._shared(("joined", name, a, b), lambda: Mask(self, connect(a.value, b.value)))

    # -- computing ----------------------------------------------------------------------------------------
    def compute(self, jet, j):
        """Make the coefficients of ``jet`` known up to ``j``, and of others what they need, without recursion.

        A coefficient waits for coefficients of the same order of series made before, and for lower ones of others: no
        cycle. Coefficients 0 need no partials, so a rule that compares them while it is run nests no deeper.
        """
        waiting = [(jet, j)]
        while waiting:
            jet, j = waiting[-1]
            k = len(jet.values)
            if k > j:
                waiting.pop()
                continue
            needed = jet.recurrence.missing(jet, k)
            if needed:
                waiting.extend(needed)
            else:
                jet.values.append(jet.recurrence.coefficient(jet, k))


# -- recurrences --------------------------------------------------------------------------------------------
def _unknown(pairs):
    return [(jet, j) for jet, j in pairs if len(jet.values) <= j]


def _total(terms):
    """The sum of what is not structurally zero, from left to right; None if nothing is left."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _times(a, b):
    return None if a is None or b is None else a * b


def convolution(x, y, j):
    """Coefficient ``j`` of the product of two series: x[j] y[0] + x[j-1] y[1] + … + x[0] y[j] in this order."""
    return _total(_times(x.values[j - i], y.values[i]) for i in range(j + 1))


class _Where:
    """Coefficients chosen by a mask of the inner algebra."""

    def __init__(self, m, mask, x, y):
        self.m = m
        self.mask = mask
        self.operands = [x, y]

    def missing(self, jet, j):
        return _unknown((operand, j) for operand in self.operands)

    def coefficient(self, jet, j):
        x, y = (operand.values[j] for operand in self.operands)
        if x is None and y is None:
            return None
        return self.m.where(self.mask, 0.0 if x is None else x, 0.0 if y is None else y)


class _Recurrence:
    """An op on series: coefficient 0 is its value there."""

    def __init__(self, op, operands, immediate):
        self.op = op
        self.operands = operands
        self.immediate = immediate

    def value(self, m):
        args = [operand.values[0] for operand in self.operands]
        # Expressions and their like have every op; other algebras have what rules are made of.
        if getattr(m, "differentiable", False):
            return getattr(m, self.op.name)(*args, *self.immediate)
        return self.op.apply(m, *args, *self.immediate)

    def missing(self, jet, j):
        return _unknown((operand, j) for operand in self.operands)

    def constant(self, j):
        """Whether coefficients 1 to ``j`` of all operands are structurally zero."""
        return all(operand.values[i] is None for operand in self.operands for i in range(1, j + 1))


class _Quotient(_Recurrence):
    """r = x / y from x = r y, which closes; the partial -r / y would lead to -(-r / y) / y and so on."""

    def coefficient(self, jet, j):
        if j == 0:
            return self.value(jet.m.inner)
        if self.constant(j):
            return None
        x, y = self.operands
        rest = _total(_times(jet.values[j - i], y.values[i]) for i in range(1, j + 1))
        top = x.values[j]
        if top is None and rest is None:
            return None
        return (-rest if top is None else top if rest is None else top - rest) / y.values[0]


class _Flow(_Recurrence):
    """The differential equation r' = sum of partial_k x_k' that the partials of the row give."""

    def __init__(self, op, operands, immediate):
        super().__init__(op, operands, immediate)
        self._shares = None

    def _expand(self, jet):
        """Run the row's rule; returns what flows from each operand, and products of two operands only once."""
        m, operands = jet.m, self.operands
        flows = []
        for x, partial in zip(operands, self.op.partials(m, jet, *operands, *self.immediate), strict=True):
            masks = []
            while isinstance(partial, Only):
                masks.append(partial.mask)
                partial = partial.partial
            masks = [mask.value if isinstance(mask, Mask) else mask for mask in masks]
            flows.append((masks, x, partial))
        shares = []
        while flows:
            masks, x, partial = flows.pop(0)
            mirrored = [flow for flow in flows if flow[1] is partial and flow[2] is x and not (flow[0] or masks)]
            if mirrored:
                flows.remove(mirrored[0])
                shares.append(_Share(masks, x, partial, product=True))
            else:
                shares.append(_Share(masks, x, partial))
        return shares

    def missing(self, jet, j):
        needed = super().missing(jet, j)
        if needed or j == 0 or self.constant(j):
            return needed
        if self._shares is None:
            self._shares = self._expand(jet)
        return _unknown(need for share in self._shares for need in share.needs(j))

    def coefficient(self, jet, j):
        m = jet.m.inner
        if j == 0:
            return self.value(m)
        if self.constant(j):
            return None
        return _total(share.coefficient(m, j) for share in self._shares)


class _Share:
    """What one operand x with its partial p gives to the coefficients of a result."""

    def __init__(self, masks, x, partial, product=False):
        self.masks = masks
        self.x = x
        self.partial = partial
        self.product = product  # x * p: the other operand's partial is x

    def needs(self, j):
        """The partial's highest coefficient that coefficient ``j`` is made of."""
        if not isinstance(self.partial, Jet):
            return
        lowest = next((i for i in range(0 if self.product else 1, j + 1) if self.x.values[i] is not None), None)
        if lowest is not None:
            yield self.partial, j - lowest

    def coefficient(self, m, j):
        """1 / j times the sum over i = 1, 2, … of i x[i] p[j - i]; of a literal, what ``contribution`` makes of it."""
        x, partial = self.x, self.partial
        if not isinstance(partial, Jet):
            share = None if x.values[j] is None else contribution(m, x.values[j], partial)
        elif self.product:
            share = convolution(x, partial, j)
        else:
            share = _total(_times(x.slope(i), _at(partial, j - i)) for i in range(1, j + 1))
            share = share if share is None or j == 1 else share / float(j)
        for mask in self.masks:
            share = None if share is None else m.where(mask, share, 0.0)
        return share


def _at(jet, j):
    """A coefficient, or None where nothing asked for it, since what it is multiplied by is zero."""
    return jet.values[j] if j < len(jet.values) else None
