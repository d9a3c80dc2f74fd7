"""The reference machine's fused multiply-add: rounded once, by rationals for a few numbers, by pairs for many."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from fastgraph.reference import FEW, exact_fma
from tests.bits import assert_same_bits

INF, NAN, HUGE, TINY = np.inf, np.nan, 1.7e308, 5e-324
EDGES = (0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, HUGE, -HUGE, TINY, 2.0**-1022, 0.1, 1e200, 1e-200)


@pytest.mark.parametrize("exponent", [0, 100, 150, -100, -154, -160])
def test_few_and_many_agree(exponent):
    """Where the proof holds, and where exact rationals must do."""
    rng = np.random.default_rng(5)
    x, y, z = rng.normal(size=(3, 500)) * 10.0 ** np.array([[exponent], [exponent], [2 * exponent]])
    z[::3] = -x[::3] * y[::3]  # what is left is the rounding of the product
    few = np.concatenate([exact_fma(*(v[k : k + 10] for v in (x, y, z))) for k in range(0, 500, 10)])
    assert_same_bits(exact_fma(x, y, z), few)


def test_edges():
    terms = np.array(list(itertools.product(EDGES, repeat=3))).T
    many = exact_fma(*terms)
    few = np.concatenate([exact_fma(*(v[k : k + FEW] for v in terms)) for k in range(0, terms.shape[1], FEW)])
    assert_same_bits(np.where(np.isnan(many), NAN, many), np.where(np.isnan(few), NAN, few))
    for x, y, z, got in zip(*terms, few, strict=True):
        if np.isfinite([x, y, z]).all():
            exact = Fraction(x) * Fraction(y) + Fraction(z)
            try:
                assert got == float(exact)
            except OverflowError:
                assert got == (INF if exact > 0 else -INF)
        elif np.isfinite([x, y]).all():  # also where the product overflows
            assert got == z or np.isnan([got, z]).all()
