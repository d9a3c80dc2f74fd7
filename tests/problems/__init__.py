"""Published optimisation problems, one row each: what the tests solve by every route into an optimiser.

In: nothing. Out: rows of NumPy functions with starts, bounds and published optima. ``least_squares`` holds Moré,
Garbow and Hillstrom's sums of squares, ``constrained`` and ``larger`` Hock and Schittkowski's nonlinear programs.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

INF = np.inf
MGH = "Moré, Garbow and Hillstrom, Testing unconstrained optimization software, ACM TOMS 7, 1981, problem"
HS = "Hock and Schittkowski, Test examples for nonlinear programming codes, LNEMS 187, 1981, problem"


@dataclass(frozen=True)
class Optimum:
    """A minimum: an exact number, or a string of its published digits, the last of which may be cut or rounded."""

    published: float | str

    @property
    def value(self):
        return float(self.published)

    @property
    def tolerance(self):
        """1e-8 of an exact number, 1e-11 if it is 0; 1e-6 of a published one, or more: a unit of its last digit."""
        if not isinstance(self.published, str):
            return 1e-8 * abs(self.value) if self.value else 1e-11
        return max(1e-6 * abs(self.value), float(Decimal((0, (1,), Decimal(self.published).as_tuple().exponent))))


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """Minimise the sum of squares of ``residuals(x)``.

    ``minima`` are the published ones, the least first; ``points`` where they are, None where that is not unique or not
    published. ``begins`` is the sum of squares at the start, where that is published or exact.
    """

    number: int
    name: str
    residuals: object
    start: tuple
    minima: tuple
    points: tuple = (None,)
    begins: str | None = None

    @property
    def source(self):
        return f"{MGH} {self.number}"

    @property
    def n(self):
        return len(self.start)

    def objective(self, x):
        return np.sum(self.residuals(x) ** 2)


def nothing(*x):
    return []


@dataclass(frozen=True, kw_only=True)
class Program:
    """Minimise ``f(x1, …, xn)`` where ``equal(…) = 0``, ``low ≤ inequal(…) ≤ high`` and ``lower ≤ x ≤ upper``.

    Functions take the components one by one, as the book writes them. ``begins`` is the published value at the start,
    ``optimum`` the least value, ``point`` where it is, None where that is not unique or the book prints it wrong.
    """

    number: int
    f: object
    start: tuple
    optimum: float | str
    begins: float | str | None = None
    equal: object = nothing
    inequal: object = nothing
    low: float | tuple = 0.0
    high: float | tuple = INF
    lower: float | tuple = -INF
    upper: float | tuple = INF
    point: tuple | None = None

    @property
    def source(self):
        return f"{HS} {self.number}"

    @property
    def name(self):
        return f"HS{self.number}"

    @property
    def n(self):
        return len(self.start)

    def objective(self, x):
        return self.f(*x)

    def constraints(self, x):
        """Equalities, then inequalities, as one array."""
        return np.array([*self.equal(*x), *self.inequal(*x)])
