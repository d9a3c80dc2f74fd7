"""The numerical contract at special points, to first and second order, through every method and every engine.

Items 4 and 5 of the contract: kinks, ties, the origin, powers at 0, flat functions; NaN; a zero direction times an
infinite partial, which is nan as any such product, where a structural zero contributes nothing.
"""

import math

import numpy as np
import pytest

import fastgraph as fg
from tests.bits import assert_same_bits, bits
from tests.test_adjoint import unsigned

INF, NAN = math.inf, math.nan
Z2 = [[0.0, 0.0], [0.0, 0.0]]

POINTS = [
    # abs and sign
    (fg.abs, (0.0,), [0.0], [[0.0]]),
    (fg.abs, (-0.0,), [0.0], [[0.0]]),
    (fg.abs, (-2.0,), [-1.0], [[0.0]]),
    (lambda x: x * abs(x), (0.0,), [0.0], [[0.0]]),
    (lambda x: x * abs(x), (-1.0,), [2.0], [[-2.0]]),
    (fg.sign, (0.0,), [0.0], [[0.0]]),
    (fg.copysign, (2.0, -1.0), [-1.0, 0.0], Z2),
    # ties
    (fg.maximum, (2.0, 2.0), [0.5, 0.5], Z2),
    (fg.minimum, (2.0, 2.0), [0.5, 0.5], Z2),
    (fg.fmax, (2.0, 2.0), [0.5, 0.5], Z2),
    (fg.fmin, (2.0, 2.0), [0.5, 0.5], Z2),
    (fg.fmax, (NAN, 2.0), [0.0, 1.0], Z2),
    (fg.fmin, (1.0, NAN), [1.0, 0.0], Z2),
    (lambda x, y: fg.maximum(x, y) ** 2, (2.0, 2.0), [2.0, 2.0], [[0.5, 0.5], [0.5, 0.5]]),
    (lambda x, y: fg.maximum(x, y) * x, (2.0, 2.0), [3.0, 1.0], [[1.0, 0.5], [0.5, 0.0]]),
    (lambda x, y: fg.maximum(x * x, y), (3.0, 2.0), [6.0, 0.0], [[2.0, 0.0], [0.0, 0.0]]),
    (fg.relu, (0.0,), [0.0], [[0.0]]),
    # roots
    (fg.sqrt, (0.0,), [INF], [[-INF]]),
    (fg.sqrt, (-1.0,), [NAN], [[NAN]]),
    (fg.sqrt, (4.0,), [0.25], [[-0.03125]]),
    # the origin
    (fg.hypot, (0.0, 0.0), [0.0, 0.0], Z2),
    (fg.hypot, (3.0, 0.0), [1.0, 0.0], [[0.0, 0.0], [0.0, 1.0 / 3.0]]),
    (fg.hypot, (0.0, 2.0), [0.0, 1.0], [[0.5, 0.0], [0.0, 0.0]]),
    (fg.atan2, (0.0, 0.0), [0.0, 0.0], Z2),
    (fg.atan2, (-0.0, 0.0), [0.0, 0.0], Z2),
    (fg.atan2, (0.0, 1.0), [1.0, 0.0], [[0.0, -1.0], [-1.0, 0.0]]),
    (fg.atan2, (1.0, 0.0), [0.0, -1.0], [[0.0, 1.0], [1.0, 0.0]]),
    (fg.atan2, (0.0, -1.0), [-1.0, 0.0], [[0.0, -1.0], [-1.0, 0.0]]),
    # powers
    (fg.pow, (0.0, 2.0), [0.0, 0.0], [[2.0, 0.0], [0.0, 0.0]]),
    (fg.pow, (0.0, 3.0), [0.0, 0.0], Z2),
    (fg.pow, (0.0, 2.5), [0.0, 0.0], Z2),
    (fg.pow, (2.0, 0.0), [0.0, math.log(2.0)], [[0.0, 0.5], [0.5, math.log(2.0) ** 2]]),
    (lambda x: x**0, (0.0,), [0.0], [[0.0]]),
    (lambda x: x**0, (NAN,), [0.0], [[0.0]]),
    (lambda x: x**1, (0.0,), [1.0], [[0.0]]),
    (lambda x: x**2, (0.0,), [0.0], [[2.0]]),
    (lambda x: x**3, (0.0,), [0.0], [[0.0]]),
    (lambda x: x**3, (-2.0,), [12.0], [[-12.0]]),
    (lambda x: x**4, (-2.0,), [-32.0], [[48.0]]),
    (lambda x: x**-1, (-2.0,), [-0.25], [[-0.25]]),
    (lambda x: x**-2, (-2.0,), [0.25], [[0.375]]),
    (lambda x: x**-1, (0.0,), [-INF], [[INF]]),
    (lambda x: x**0.5, (0.0,), [INF], [[-INF]]),
    (lambda x: x**1.5, (0.0,), [0.0], [[INF]]),
    # flat functions and remainders
    *((function, (2.0,), [0.0], [[0.0]]) for function in (fg.floor, fg.ceil, fg.trunc, fg.rint)),
    (lambda x: fg.floor(x) * x, (2.0,), [2.0], [[0.0]]),
    (lambda x: fg.floor(fg.sqrt(x)) + x * x, (0.0,), [0.0], [[2.0]]),
    *((relation, (1.0, 1.0), [0.0, 0.0], Z2) for relation in (fg.lt, fg.le, fg.eq, fg.ne)),
    (lambda x: x * x + (fg.log(x) < 3.0), (0.0,), [0.0], [[2.0]]),
    (lambda x, y: x % y, (7.0, 3.0), [1.0, -2.0], Z2),
    (lambda x, y: x % y, (-7.0, 3.0), [1.0, 3.0], Z2),
    (lambda x, y: x % y, (6.0, 3.0), [1.0, -2.0], Z2),
    (lambda x, y: (x % y) ** 2, (7.0, 3.0), [2.0, -4.0], [[2.0, -4.0], [-4.0, 8.0]]),
    # 0 * inf is nan, and stays
    (lambda x: x**0.5 * x**0.5, (0.0,), [NAN], [[NAN]]),
    (lambda x: 0.0 * fg.sqrt(x), (0.0,), [NAN], [[NAN]]),
    # an infinite partial beside a structural zero
    (lambda x, y: fg.sqrt(x) + y * y, (0.0, 3.0), [INF, 6.0], [[-INF, 0.0], [0.0, 2.0]]),
]


def compiled(record_, n):
    graph = fg.Graph()
    graph.output(record_(*[graph.input() for _ in range(n)]))
    return graph.compile()


def assert_near(got, expected, label):
    """Equal up to the sign of 0 and, where finite, half an ulp: 1/3 and logarithms are rounded."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    finite = np.isfinite(expected)
    assert_same_bits(np.where(finite, 0.0, got), np.where(finite, 0.0, expected), label)
    difference = np.abs(got[finite] - expected[finite])
    assert (difference <= np.spacing(np.abs(expected[finite])) * (expected[finite] != np.rint(expected[finite]))).all()


def stacked(result):
    """A gradient or Hessian of scalars as an array, the sets last."""
    if isinstance(result, tuple):
        return np.array([stacked(part) for part in result])
    return np.asarray(result)


@pytest.mark.parametrize(("record_", "point", "slope", "curvature"), POINTS)
def test_special_points(record_, point, slope, curvature):
    n = len(point)
    f = compiled(record_, n)
    slope, curvature = np.array(slope), np.array(curvature)
    for sets in (None, 1, 9):
        args = tuple(point) if sets is None else tuple(np.full(sets, x) for x in point)
        like = np.zeros(() if sets is None else sets)
        first = slope[(...,) + (None,) * like.ndim] + like
        second = curvature.reshape((n, n) if n > 1 else ())[(...,) + (None,) * like.ndim] + like
        first = first if n > 1 else first[0]
        for got in (f.grad(*args), f.jacobian(*args), f.vjp(args, 1.0)[1]):
            assert_near(stacked(got), first, "first")
        for got in (f.hessian(*args), f.hessian(*args, weights=1.0)):
            assert_near(stacked(got), second, "second")
            if n > 1:
                assert (bits(stacked(got)) == bits(np.swapaxes(stacked(got), 0, 1))).all()
        if n == 1:
            assert_near(f.jvp(args, 1.0)[1], first, "jvp")
            assert_near(f.hvp(args, 1.0), second, "hvp")
        elif np.isfinite(slope).all() and np.isfinite(curvature).all():
            for k, unit in enumerate(np.eye(n)):
                assert_near(f.jvp(args, tuple(unit))[1], first[k], "jvp")
                assert_near(stacked(f.hvp(args, tuple(unit))), second[k], "hvp")


@pytest.mark.parametrize("record_", [fg.maximum, fg.minimum])
def test_nan_goes_through_a_choice_of_the_larger(record_):
    f = compiled(record_, 2)
    for point in ((NAN, 2.0), (2.0, NAN), (NAN, NAN)):
        assert np.isnan(stacked(f.grad(*point))).all() and np.isnan(stacked(f.jacobian(*point))).all()
        assert np.isnan(f.jvp(point, (1.0, 1.0))[1]) and np.isnan(stacked(f.vjp(point, 1.0)[1])).all()


def test_a_zero_direction_is_a_number_like_any_other():
    """0 * inf is nan in a product; the Jacobian and the Hessian, of which it is no part, have a structural zero."""
    f = compiled(lambda x, y: fg.sqrt(x) + y * y, 2)
    assert np.isnan(f.jvp((0.0, 3.0), (0.0, 1.0))[1])
    assert stacked(f.jacobian(0.0, 3.0)).tolist() == [INF, 6.0]
    assert f.jvp((0.0, 3.0), 1.0, wrt="x1")[1] == 6.0  # what is not in wrt does not move
    assert np.isnan(f.hvp((0.0, 3.0), (0.0, 1.0)).x0) and f.hvp((0.0, 3.0), 1.0, wrt="x1") == 2.0
    assert np.isnan(f.hessian(0.0, 3.0, weights=0.0).x0.x0)


OUTSIDE = [(fg.log, -1.0), (fg.log2, -1.0), (fg.log10, -1.0), (fg.log1p, -3.0), (fg.atanh, 2.0), (fg.acosh, 0.5),
           (fg.sqrt, -1.0), (fg.asin, 2.0), (fg.acos, -2.0)]  # fmt: skip


@pytest.mark.parametrize(("function", "x"), OUTSIDE, ids=[f.__name__ for f, _ in OUTSIDE])
def test_nan_outside_of_the_domain_to_second_order(function, x):
    f = compiled(function, 1)
    assert all(map(np.isnan, (f(x), f.grad(x), f.jvp((x,), 1.0)[1], f.hessian(x), f.hvp((x,), 1.0))))


@pytest.mark.parametrize(
    ("function", "x", "curvature"), [(fg.acosh, 1.0, -INF), (fg.sqrt, 0.0, -INF), (fg.asin, 1.0, INF)]
)
def test_curvature_at_the_end_of_a_domain(function, x, curvature):
    """Forward over reverse and reverse over forward alike."""
    f = compiled(function, 1)
    assert f.hessian(x) == f.hvp((x,), 1.0) == curvature


# A branch not taken whose partials are inf or nan, inside functions of two variables.
CHOICES = [
    (lambda x, y: fg.where(x > 0.0, y / x, x * y), (0.0, 3.0), [3.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]),
    (lambda x, y: fg.where(x > 0.0, fg.log(x) * y, y * y), (0.0, 3.0), [0.0, 6.0], [[0.0, 0.0], [0.0, 2.0]]),
    (lambda x, y: fg.where(x != 0.0, fg.sin(x) / x, 1.0) * y, (0.0, 3.0), [0.0, 1.0], Z2),
    (lambda x, y: fg.where(y > 0.0, fg.where(x > 0.0, fg.sqrt(x), x * x), fg.log(y)), (0.0, 1.0), [0.0, 0.0],
     [[2.0, 0.0], [0.0, 0.0]]),
    (lambda x, y: fg.where((x > 0.0) & (y > 0.0), fg.log(x) * fg.log(y), x * y), (0.0, 0.0), [0.0, 0.0],
     [[0.0, 1.0], [1.0, 0.0]]),
    (lambda x, y: fg.square(fg.where(~(x > 0.0), x + y, fg.hypot(x, y) / x)), (0.0, 2.0), [4.0, 4.0],
     [[2.0, 2.0], [2.0, 2.0]]),
    (lambda x, y: fg.where(x == 0.0, y * y, y**x / x) + fg.where(y == 3.0, x, fg.log(x)), (0.0, 3.0), [1.0, 6.0],
     [[0.0, 0.0], [0.0, 2.0]]),
]  # fmt: skip


@pytest.mark.parametrize(("record_", "point", "slope", "curvature"), CHOICES)
def test_where_is_safe_to_second_order(record_, point, slope, curvature):
    """By products with vectors too, whose zeros meet no infinite partial; and by directions, as of large programs."""
    f = compiled(record_, 2)
    wide = tuple(np.full(11, x) for x in point)
    for args in (point, wide):
        for got in (f.grad(*args), f.jacobian(*args), f.vjp(args, 1.0)[1]):
            assert (stacked(got).reshape(2, -1) == np.array(slope)[:, None]).all()
        assert (stacked(f.hessian(*args)).reshape(4, -1) == np.ravel(curvature)[:, None]).all()
        for k, unit in enumerate(np.eye(2)):
            assert (f.jvp(args, tuple(unit))[1] == slope[k]).all()
            assert (stacked(f.hvp(args, tuple(unit))).reshape(2, -1) == np.array(curvature[k])[:, None]).all()
    f._derivatives["hessian", (0, 1)] = None
    assert_same_bits(unsigned(stacked(f.hessian(*point))), unsigned(np.array(curvature)))
