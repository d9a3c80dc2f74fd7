"""How accurate each op is: its values on sampled arguments against mpmath, in units in the last place.

In: a row and a dtype. Out: :class:`Accuracy`, the largest error found and the bound that holds. ``python -m
fastgraph.ops`` prints one a row. The float side is the NumPy machine, which has the bits of the compiled kernels.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from fastgraph import vecmath
from fastgraph.ops.oracle import exact_value, spacing, ulps
from fastgraph.ops.real import mpmath
from fastgraph.ops.table import HUGE, SUBNORMAL, TINY
from fastgraph.reference import NumPyMachine

AWAY_FROM_ZEROS = "away from its zeros"


def bound(op, dtype=np.float64):
    """The bound of the error of ``op``, in ulps of ``dtype``.

    The row gives that of float64. In float32 a function of ``vecmath`` is within 1 ulp, and what is composed of other
    operations, each rounded to float32, loses as much in each of them as it does in float64.
    """
    function = vecmath.FUNCTIONS.get(op.name)
    composed = op.value is not None or function is None or function.inline
    return op.ulps if dtype == np.float64 or composed else min(op.ulps, 1)


@dataclass(frozen=True)
class Accuracy:
    """The largest error found of one op: ``worst`` ulps at ``args`` (and immediate ``n``), of ``points`` points."""

    op: object
    worst: float
    args: tuple[float, ...]
    n: int | None
    points: int
    dtype: np.dtype = np.dtype(np.float64)

    @property
    def bound(self):
        return bound(self.op, self.dtype)

    @property
    def within_bound(self):
        return self.worst <= self.bound

    @property
    def where(self):
        """The argument of the largest error, as one would write it; empty where there is none."""
        if not self.worst:
            return ""
        return ", ".join([str(self.dtype.type(arg)) for arg in self.args] + ([] if self.n is None else [f"n={self.n}"]))


def arguments(op, points, seed=0, dtype=np.float64):
    """Sample the arguments of ``op``.

    Of every operand two fifths are uniform in the interval of ``op.domain``, two fifths log-uniform, half of those over
    all exponents and half over those of the interval, and one fifth small multiples of a half. A tenth of the points of
    several operands have two of them close to each other, or the last close to the negated product of the others.
    All combinations of the special points, and their neighbours one by one, are appended. In float32 the
    intervals, the exponents, the immediates and the special points are its own.

    Parameters
    ----------
    op
        The row.
    points
        Number of random points, shared by the immediates.
    seed
        Of the generator; the same arguments come back for the same seed.
    dtype
        Of the operands.

    Returns
    -------
    list of (n, operands)
        An entry an immediate ``n`` (None for an op without), with ``operands`` of shape ``(arity, points)``.
    """
    dtype = np.dtype(dtype)
    rng = np.random.default_rng([seed, op.code])
    immediates = immediates_of(op, dtype) or (None,)
    share = -(-points // len(immediates))
    blocks = []
    for n in immediates:
        drawn = np.array([_draw(rng, low, high, share, dtype) for low, high in intervals_of(op, dtype)])
        _correlate(rng, drawn, float(np.finfo(dtype).eps))
        with np.errstate(over="ignore"):
            drawn = drawn.astype(dtype)
        blocks.append((n, np.concatenate([drawn, _neighbours(op, dtype)], axis=1)))
    return blocks


def immediates_of(op, dtype):
    """The immediates at which to test ``op``: those of its row that ``dtype`` holds, with their neighbours."""
    limit = 2 ** (np.finfo(dtype).nmant + 1)
    return tuple(n for n in op.domain.immediates if op.names or abs(n) < limit)


def immediate_lanes(op, n, shape, dtype=np.float64):
    """What the rules take for the immediate ``n``, or None, on arrays of ``shape``."""
    return () if n is None else (n,) if op.names else (np.full(shape, n, dtype),)


def intervals_of(op, dtype):
    """The intervals of ordinary operands of ``op``, cut to ``dtype``, and an only operand to where values are of it."""
    smallest, largest = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)

    def cut(end):
        if not end:
            return end
        end = math.copysign(min(max(abs(end), smallest), largest), end)
        if op.arity > 1 or op.immediate is not None:
            return end
        ends = end * 0.99 ** np.arange(500)
        with np.errstate(over="ignore"):
            sizes = np.abs(values(op, ends[np.newaxis]).astype(dtype))
        first = int(np.argmax((sizes != 0.0) & (sizes != np.inf)))
        return float(ends[first]) if first > 1 else end  # 1: a zero or a pole that the interval ends with

    return [(cut(low), cut(high)) for low, high in op.domain.intervals]


def specials_of(op, dtype):
    """Per operand of ``op``, its special points rounded to ``dtype``, whose own range has the edges."""
    kind = np.finfo(dtype)
    edges = {SUBNORMAL: kind.smallest_subnormal, TINY: kind.tiny, HUGE: kind.max}
    with np.errstate(over="ignore"):
        return [
            [dtype.type(math.copysign(edges.get(abs(v), abs(v)), v)) for v in specials]
            for specials in op.domain.specials
        ]


def _draw(rng, low, high, count, dtype):
    kind_of = np.finfo(dtype)
    top = math.log2(max(abs(low), abs(high)))
    kind = rng.integers(10, size=count)
    signs = rng.choice([-1.0, 1.0], size=count) if low < 0.0 else np.ones(count)
    nearby = rng.uniform(min(-40.0, top), top, count)
    exponents = np.where(kind < 6, nearby, rng.uniform(kind_of.minexp - kind_of.nmant, kind_of.maxexp, count))
    with np.errstate(over="ignore"):
        spread = signs * np.exp2(exponents)
    halves = rng.integers(-40 if low < 0.0 else 0, 40, size=count) / 2.0
    return np.where(kind < 4, rng.uniform(low, high, count), np.where(kind < 8, spread, halves))


def _correlate(rng, drawn, eps):
    arity, count = drawn.shape
    if arity == 1:
        return
    chosen = rng.random(count) < 0.1
    near = rng.choice([-1.0, 1.0], count) * (1.0 + rng.integers(-4, 5, count) * eps)
    with np.errstate(all="ignore"):
        other = drawn[0] if arity == 2 else drawn[0] * drawn[1]
        drawn[-1] = np.where(chosen, other * near, drawn[-1])


def _neighbours(op, dtype):
    """All combinations of special points; and for each the two numbers next to it, beside ordinary operands."""
    specials = specials_of(op, dtype)
    columns = list(itertools.product(*specials))
    others = [high for _, high in intervals_of(op, dtype)]
    for k, points in enumerate(specials):
        for special, towards in itertools.product(points, (-math.inf, math.inf)):
            with np.errstate(all="ignore"):
                columns.append((*others[:k], np.nextafter(special, dtype.type(towards)), *others[k + 1 :]))
    return np.array(columns, dtype).T


def values(op, operands, n=None, machine=None):
    """The value of ``op`` on arrays of operands, with the bits of the kernels; ``n`` becomes lanes, as it is there."""
    immediate = immediate_lanes(op, n, operands.shape[1:], operands.dtype)
    with np.errstate(all="ignore"):
        return np.asarray(op.apply(machine or NumPyMachine(operands.dtype), *operands, *immediate))


def error(op, args, n, got, exact, dtype=np.float64):
    """The error of a value of ``op`` in ulps, or in the larger unit of rows that hold away from their zeros.

    There the unit is what the true value moves by when every operand moves by a unit of its own (``eps`` of it), if
    that is more than an ulp of the value: near a zero it is, and no algorithm that rounds can be better.
    """
    found = ulps(got, exact, dtype=dtype)
    if found <= bound(op, dtype) or found == math.inf or AWAY_FROM_ZEROS not in op.doc:
        return found
    moved = 0
    with mpmath.workprec(200):
        for k, arg in enumerate(args):
            nearby = [*args[:k], mpmath.mpf(arg) * (1 + mpmath.mpf(float(np.finfo(dtype).eps))), *args[k + 1 :]]
            moved += abs(exact_value(op, nearby, n).value - exact.value)
        return found / max(1.0, float(moved / spacing(exact, dtype)))


def measure(op, points=2000, seed=0, dtype=np.float64):
    """Find the largest error of ``op`` on sampled arguments of ``dtype``, see :func:`arguments`."""
    worst, total = (0.0, (), None), 0
    for n, operands in arguments(op, points, seed, dtype):
        total += operands.shape[1]
        for got, args in zip(values(op, operands, n).tolist(), operands.T.tolist(), strict=True):
            found = error(op, args, n, got, exact_value(op, args, n), dtype)
            if found > worst[0]:
                worst = (found, tuple(args), n)
    return Accuracy(op, *worst, total, np.dtype(dtype))
