"""How accurate each op is: its values on sampled arguments against mpmath, in units in the last place.

In: a row. Out: :class:`Accuracy`, the largest error found and the bound the row claims. ``python -m fastgraph.ops``
prints one a row. The float side is the NumPy machine, which has the bits of the compiled kernels.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from fastgraph.ops.oracle import exact_value, spacing, ulps
from fastgraph.ops.real import mpmath
from fastgraph.reference import NumPyMachine

AWAY_FROM_ZEROS = "away from its zeros"


@dataclass(frozen=True)
class Accuracy:
    """The largest error found of one op: ``worst`` ulps at ``args`` (and immediate ``n``), of ``points`` points."""

    op: object
    worst: float
    args: tuple[float, ...]
    n: int | None
    points: int

    @property
    def within_bound(self):
        return self.worst <= self.op.ulps

    @property
    def where(self):
        """The argument of the largest error, as one would write it; empty where there is none."""
        if not self.worst:
            return ""
        return ", ".join([repr(arg) for arg in self.args] + ([] if self.n is None else [f"n={self.n}"]))


def arguments(op, points, seed=0):
    """Sample the arguments of ``op``.

    Of every operand two fifths are uniform in the interval of ``op.domain``, two fifths log-uniform, half of those over
    all exponents and half over those of the interval, and one fifth small multiples of a half. A tenth of the points of
    several operands have two of them close to each other, or the last close to the negated product of the others.
    All combinations of the special points, and their neighbours one by one, are appended.

    Parameters
    ----------
    op
        The row.
    points
        Number of random points, shared by the immediates.
    seed
        Of the generator; the same arguments come back for the same seed.

    Returns
    -------
    list of (n, operands)
        An entry an immediate ``n`` (None for an op without), with ``operands`` of shape ``(arity, points)``.
    """
    rng = np.random.default_rng([seed, op.code])
    immediates = op.domain.immediates or (None,)
    share = -(-points // len(immediates))
    blocks = []
    for n in immediates:
        drawn = np.array([_draw(rng, low, high, share) for low, high in op.domain.intervals])
        _correlate(rng, drawn)
        blocks.append((n, np.concatenate([drawn, _special_points(op)], axis=1)))
    return blocks


def _draw(rng, low, high, count):
    top = math.log2(max(abs(low), abs(high)))
    kind = rng.integers(10, size=count)
    signs = rng.choice([-1.0, 1.0], size=count) if low < 0.0 else np.ones(count)
    exponents = np.where(kind < 6, rng.uniform(min(-40.0, top), top, count), rng.uniform(-1074.0, 1024.0, count))
    with np.errstate(over="ignore"):
        spread = signs * np.exp2(exponents)
    halves = rng.integers(-40 if low < 0.0 else 0, 40, size=count) / 2.0
    return np.where(kind < 4, rng.uniform(low, high, count), np.where(kind < 8, spread, halves))


def _correlate(rng, drawn):
    arity, count = drawn.shape
    if arity == 1:
        return
    chosen = rng.random(count) < 0.1
    near = rng.choice([-1.0, 1.0], count) * (1.0 + rng.integers(-4, 5, count) * 2.0**-52)
    with np.errstate(all="ignore"):
        other = drawn[0] if arity == 2 else drawn[0] * drawn[1]
        drawn[-1] = np.where(chosen, other * near, drawn[-1])


def _special_points(op):
    columns = list(itertools.product(*op.domain.specials))
    for k, specials in enumerate(op.domain.specials):
        others = [interval[1] for interval in op.domain.intervals]
        for special, towards in itertools.product(specials, (-math.inf, math.inf)):
            columns.append((*others[:k], math.nextafter(special, towards), *others[k + 1 :]))
    return np.array(columns).T


def values(op, operands, n=None, machine=None):
    """The value of ``op`` on arrays of operands, with the bits of the kernels; ``n`` becomes lanes, as it is there."""
    immediate = () if n is None else (np.full(operands.shape[1:], float(n)),)
    with np.errstate(all="ignore"):
        return np.asarray(op.apply(machine or NumPyMachine(), *operands, *immediate))


def error(op, args, n, got, exact):
    """The error of a value of ``op`` in ulps, or in the larger unit of rows that hold away from their zeros.

    There the unit is what the true value moves by when every operand moves by a unit of its own (relative 2**-52), if
    that is more than an ulp of the value: near a zero it is, and no algorithm that rounds can be better.
    """
    found = ulps(got, exact)
    if found <= op.ulps or found == math.inf or AWAY_FROM_ZEROS not in op.doc:
        return found
    moved = 0
    with mpmath.workprec(200):
        for k, arg in enumerate(args):
            nearby = [*args[:k], mpmath.mpf(arg) * (1 + mpmath.ldexp(1, -52)), *args[k + 1 :]]
            moved += abs(exact_value(op, nearby, n).value - exact.value)
        return found / max(1.0, float(moved / spacing(exact)))


def measure(op, points=2000, seed=0):
    """Find the largest error of ``op`` on sampled arguments, see :func:`arguments`."""
    worst, total = (0.0, (), None), 0
    for n, operands in arguments(op, points, seed):
        total += operands.shape[1]
        for got, args in zip(values(op, operands, n).tolist(), operands.T.tolist(), strict=True):
            found = error(op, args, n, got, exact_value(op, args, n))
            if found > worst[0]:
                worst = (found, tuple(args), n)
    return Accuracy(op, *worst, total)
