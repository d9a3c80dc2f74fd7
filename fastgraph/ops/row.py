"""What a row of the op table is: an op's name, its rules over an algebra, and what tests and docs need to know."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

MAX_ARITY = 3

# What immediates may name, in the order in which kernels find the program's.
NAMED = "table", "function"

# Flags of a run in a program: bits 0 to 2 say which operands an adjoint flows to.
MASKED = 8  # the run has one more column of operands: the masks that gate its contributions


def active_flag(k):
    """The flag that says operand ``k`` of a run receives an adjoint."""
    return 1 << k


@dataclass(frozen=True)
class Only:
    """A partial that exists on one side of a condition: where ``mask`` is false the op contributes nothing.

    Not even 0 * inf: the contribution is selected, not multiplied.
    """

    mask: object
    partial: object


@dataclass(frozen=True)
class Domain:
    """Where an op is tested: per operand, an interval of ordinary arguments, and its special points."""

    intervals: tuple[tuple[float, float], ...]
    specials: tuple[tuple[float, ...], ...] = ()
    immediates: tuple = ()  # integers, tables of numbers, or functions


@dataclass(frozen=True)
class Op:
    """One row.

    Parameters
    ----------
    name
        The op's name, as in NumPy 2.
    arity
        Number of operands.
    partials
        ``(m, r, *operands[, n]) -> tuple``: the local derivatives, which may use the result ``r``. A Python
        number 0 says that nothing flows to that operand, 1 and -1 that no multiplication is needed, and
        :class:`Only` that nothing flows where its mask is false.
    value
        ``(m, *operands[, n]) -> r``; the default is the algebra's own function of the op's name.
    doc
        One line.
    immediate
        ``(lowest, highest)`` of the integer immediate ``n``, or None.
    names
        ``"table"`` or ``"function"`` where the immediate says which of the program's is meant: the place where a table
        begins, the number of a function. The rules get that table or function for ``n``.
    increasing
        Whether the numbers of the table must increase.
    is_declared
        Whether the partials are what somebody says they are, and not the derivatives of the value.
    domain
        Where to test, see :class:`Domain`.
    ulps
        Bound of the error of the value in units in the last place, over the whole domain, away from zeros for
        the functions that say so in ``doc``. 0 means exact, 0.5 correctly rounded.
    commutative
        Whether the two operands may be swapped without changing a bit.
    ufunc
        Name of the NumPy ufunc that records this op, where it is not ``name``.
    operator
        Stem of the Python operator method that records this op: ``"add"`` for ``__add__`` and ``__radd__``.
    switch
        ``(m, r, *operands) -> number``: zero where the op or its derivative jumps, else how far that is away; None for
        an op that is smooth wherever it is finite.
    """

    name: str
    arity: int
    partials: Callable
    value: Callable | None = None
    doc: str = ""
    immediate: tuple[int, int] | None = None
    domain: Domain | None = None
    ulps: float = 0.5
    commutative: bool = False
    ufunc: str = ""
    operator: str = ""
    switch: Callable | None = None
    names: str = ""
    increasing: bool = False
    is_declared: bool = False
    code: int = field(default=-1, compare=False)

    @cached_property
    def _partial_kinds(self):
        anything = Anything()
        immediate = () if self.immediate is None else (anything,)
        return self.partials(anything, anything, *[anything] * self.arity, *immediate)

    @property
    def flows(self):
        """Per operand, whether anything flows back to it at all."""
        return tuple(contribution(Anything(), Anything(), p) is not None for p in self._partial_kinds)

    @property
    def passes(self):
        """Per operand, whether what flows back to it is the adjoint of the result itself."""
        return tuple(type(p) in (int, float) and p == 1 for p in self._partial_kinds)

    @property
    def scales(self):
        """Whether some partial is a number to multiply by, so that even a zero adjoint may come out as 0 * inf."""
        return any(not isinstance(p.partial if isinstance(p, Only) else p, int | float) for p in self._partial_kinds)

    @property
    def chooses(self):
        """Whether the result is one of the operands, by a condition."""
        return any(isinstance(p, Only) for p in self._partial_kinds)

    @property
    def reads(self):
        """What the partials read: per operand, then for the result, whether its value is looked at."""
        names = [*range(self.arity), "r"]
        traces = {name: Trace({name}) for name in names}
        immediate = () if self.immediate is None else (Trace(),)
        partials = self.partials(Trace(), traces["r"], *(traces[k] for k in range(self.arity)), *immediate)
        read = set()
        for partial in partials:
            parts = (partial.mask, partial.partial) if isinstance(partial, Only) else (partial,)
            read.update(*(part.names for part in parts if isinstance(part, Trace)))
        return tuple(name in read for name in names)

    def given(self, n, owner, dtype=np.float64):
        """What the rules take for the immediate ``n`` on NumPy's arrays: nothing, a number, or what ``owner`` has."""
        if self.immediate is None:
            return ()
        if self.names == "table":
            return (table_at(owner.tables, n),)
        return (owner.functions[n] if self.names == "function" else np.dtype(dtype).type(n),)

    def apply(self, m, *args):
        """The op's value in algebra ``m``: ``args`` are the operands, then the immediate if the op has one."""
        if self.value is None:
            return getattr(m, self.name)(*args)
        return self.value(m, *args)


class Anything:
    """The algebra that knows nothing: every operation and function gives itself. Shows the structure of a rule."""

    differentiable = False

    def _same(self, *args):
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __and__ = __or__ = __xor__ = _same
    __hash__ = None

    def __getattr__(self, name):
        return self._same


class Trace(Anything):
    """As :class:`Anything`, but remembers the names of what a result was made from."""

    def __init__(self, names=()):
        self.names = frozenset(names)

    def _same(self, *args):
        return Trace(self.names.union(*(arg.names for arg in args if isinstance(arg, Trace))))

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __and__ = __or__ = __xor__ = _same

    def rare(self, mask, slow, fast):
        """The slow path is a function, in whose closure operands hide."""
        return self._same(mask, slow(), fast)


def contribution(m, weight, partial):
    """``weight * partial`` as the sweeps define it, or None where nothing flows.

    The one place that gives the special partials 0, 1, -1 and :class:`Only` their meaning.
    """
    if isinstance(partial, Only):
        inner = contribution(m, weight, partial.partial)
        return None if inner is None else m.where(partial.mask, inner, 0.0)
    if type(partial) in (int, float):  # a literal of the rule; a NumPy scalar is data
        if partial == 0:
            return None
        if partial == 1:
            return weight
        if partial == -1:
            return -weight
    return weight * partial


def table_at(tables, start):
    """The numbers of the table that begins at ``start``, with how many there are, of 1-d ``tables``."""
    return tables[start + 1 : start + 1 + int(tables[start])]
