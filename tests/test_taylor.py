"""f.taylor: coefficients along a curve, against mpmath at high precision and against the other derivatives."""

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits
from tests.derivative_cases import mixed

# name, recorded, exact, and a point from which (1, -0.5) is a direction inside the domain
FORMULAS = [
    ("rational", lambda x, y: (x + y) * (x - 2.0) / (1.0 + y * y), lambda x, y: (x + y) * (x - 2) / (1 + y * y)),
    ("exponential", lambda x, y: fg.exp(x * y) - fg.log(x) + fg.sqrt(x + y),
     lambda x, y: mpmath.exp(x * y) - mpmath.log(x) + mpmath.sqrt(x + y)),
    ("trigonometric", lambda x, y: fg.sin(x) * fg.cos(y) + fg.tan(x * y) + fg.atan2(y, x),
     lambda x, y: mpmath.sin(x) * mpmath.cos(y) + mpmath.tan(x * y) + mpmath.atan2(y, x)),
    ("powers", lambda x, y: x**5 + x**y + fg.cbrt(x), lambda x, y: x**5 + x**y + mpmath.cbrt(x)),
    ("hyperbolic", lambda x, y: fg.tanh(x) * fg.sinh(y) + fg.asinh(x),
     lambda x, y: mpmath.tanh(x) * mpmath.sinh(y) + mpmath.asinh(x)),
    ("special", lambda x, y: fg.erf(x) * fg.ndtr(y) + fg.lgamma(x + 1.0),
     lambda x, y: mpmath.erf(x) * mpmath.ncdf(y) + mpmath.loggamma(x + 1)),
    ("choice", lambda x, y: fg.where(x > y, fg.sin(x), fg.sqrt(-y)) + abs(x), lambda x, y: mpmath.sin(x) + x),
]  # fmt: skip
POINT, DIRECTION, ORDER = (0.875, 0.5), (1.0, -0.5), 8


def compiled(record, dtype=np.float64):
    graph = fg.Graph()
    graph.output(record(*graph.inputs("x", "y")))
    return graph.compile(dtype)


def exact(formula, point=POINT, *directions, order=ORDER):
    """Coefficients along the curve, and their sizes: those of a circle of radius 1/8 by Cauchy's bound."""

    def along(t):
        return formula(*(x + sum(d[k] * t ** (j + 1) for j, d in enumerate(directions)) for k, x in enumerate(point)))

    with mpmath.workdps(60):
        point = [mpmath.mpf(x) for x in point]
        return [float(c) for c in mpmath.taylor(along, 0, order)]


@pytest.mark.parametrize(("name", "record", "formula"), FORMULAS, ids=[name for name, *_ in FORMULAS])
def test_against_mpmath(name, record, formula):
    expected = np.array(exact(formula, POINT, DIRECTION))
    got = compiled(record).taylor(POINT, [DIRECTION], ORDER)
    assert got.shape == (ORDER + 1,)
    # Coefficients are sums of terms that may be as large as the largest before them times a ratio of their growth.
    size = np.maximum.accumulate(np.abs(expected))
    np.testing.assert_array_less(np.abs(got - expected), 1e-13 * (1.0 + size))


def test_curves_of_higher_order():
    record, formula = FORMULAS[1][1:]
    directions = [DIRECTION, (0.25, 2.0), (-1.0, 0.5)]
    expected = exact(formula, POINT, *directions)
    got = compiled(record).taylor(POINT, directions, ORDER)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def test_the_first_coefficients_are_the_value_and_the_tangent():
    f = mixed()
    args, vector = ([0.5, 0.75, 1.5], 2.0, 1.25), ([1.0, 0.5, -1.0], 0.5)
    y, slopes = f.jvp(args, vector)
    series = f.taylor(args, [vector], 2)
    assert series._fields == ("u", "v")
    assert_same_bits(series.u[..., 0], y.u)
    np.testing.assert_allclose(series.u[..., 1], slopes.u, rtol=4e-16)
    product = f.hvp(args, vector, weights=([1.0, 0.0], 0.0))
    second = np.dot(product.x, vector[0]) + product.t * vector[1]
    assert abs(2.0 * series.u[0, 2] - second) < 1e-14


def test_batches_wrt_and_sums():
    f = mixed()
    x, t = np.random.default_rng(0).uniform(0.6, 1.4, (2, 50, 3)), np.linspace(0.5, 1.5, 50)
    series = f.taylor((x[0], 2.0, t), [(x[1], 1.0)], 5)
    assert series.u.shape == (50, 2, 6) and series.v.shape == (50, 6)
    for k in (0, 17, 49):
        alone = f.taylor((x[0, k], 2.0, t[k]), [(x[1, k], 1.0)], 5)
        assert_same_bits(series.u[k], alone.u)
        assert_same_bits(series.v[k], alone.v)
    total = f.taylor((x[0], 2.0, t), [(x[1], 1.0)], 5, reduce="sum")
    np.testing.assert_allclose(total.u, series.u.sum(0), rtol=1e-12, atol=1e-12)
    by_k = f.taylor((x[0, 0], 2.0, 1.0), [1.0], 2, wrt="k")
    assert by_k.v.tolist() == [by_k.v[0], by_k.v[0] / 2.0, 0.0]
    many = f.taylor((x[0, 0], 2.0, 1.0), [(np.eye(3), 0.0)], 3)
    assert many.u.shape == (3, 2, 4)


def test_float32():
    record = FORMULAS[1][1]
    got = compiled(record, np.float32).taylor(POINT, [DIRECTION], 4)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, compiled(record).taylor(POINT, [DIRECTION], 4), rtol=1e-5)


def test_an_ode_by_its_series():
    """The pendulum: each coefficient of the state is the one before of its rate; a step is a polynomial."""
    graph = fg.Graph("pendulum")
    s = graph.input("s", shape=2)
    graph.output([s[1], -fg.sin(s[0])], name="rate")
    f = graph.compile()
    state, h, order = np.array([1.0, 0.0]), 0.1, 12

    def energy(s):
        return 0.5 * s[1] ** 2 - np.cos(s[0])

    start = energy(state)
    for _ in range(50):
        curve = [f(state)]
        for j in range(1, order):
            curve.append(f.taylor((state,), curve, max(j, 1))[..., j] / (j + 1))
        state = state + sum(c * h ** (j + 1) for j, c in enumerate(curve))
    assert abs(energy(state) - start) < 1e-13


@pytest.mark.parametrize("order", [0, -1, 1.5, "2", None, True, 1001])
def test_orders(order):
    with pytest.raises(ArgumentError, match="order must be an integer from 1 to 1000, not"):
        mixed().taylor(([1.0, 1.0, 1.0], 1.0, 1.0), [([1.0, 1.0, 1.0], 1.0)], order)


def test_directions_that_do_not_fit():
    f, args = mixed(), ([1.0, 1.0, 1.0], 1.0, 1.0)
    with pytest.raises(ArgumentError, match=r"directions must be a list of 1 to 2 directions.*\[direction\]"):
        f.taylor(args, np.ones(3), 2)
    with pytest.raises(ArgumentError, match="list of 1 to 1 directions"):
        f.taylor(args, [([1.0, 1.0, 1.0], 1.0)] * 2, 1)
    with pytest.raises(ShapeError, match="the direction of x"):
        f.taylor(args, [([1.0, 1.0], 1.0)], 2)
