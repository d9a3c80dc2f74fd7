"""Gauss–Newton: products with JᵀJ and the matrix are those of the Jacobian, over batches and summed over rows."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits
from tests.derivative_cases import by_directions, mixed


def case(batch):
    rng = np.random.default_rng(3)
    x, t = rng.uniform(0.3, 1.3, (*batch, 3)), rng.uniform(0.5, 1.5, batch)
    return (x, 2.0, t), (rng.normal(size=(*batch, 3)), rng.normal(size=batch))


def square(f, args):
    jacobian = f.flat.jacobian(np.concatenate([args[0], np.asarray(args[2])[..., None]], -1), k=args[1])
    return np.einsum("...ij,...ik->...jk", jacobian, jacobian)


@pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 3), (200,)], ids=str)
@pytest.mark.parametrize("large", [False, True])
def test_against_the_jacobian(batch, large):
    f = by_directions(mixed()) if large else mixed()
    args, vector = case(batch)
    expected = square(mixed(), args)
    got = f.gauss_newton(*args)
    np.testing.assert_allclose(got.x.x, expected[..., :3, :3], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(got.t.x, expected[..., 3, :3], rtol=1e-14, atol=1e-14)
    assert_same_bits(got.x.t, got.t.x)
    assert_same_bits(got.x.x, np.swapaxes(got.x.x, -1, -2))
    product = f.gauss_newton_product(args, vector)
    whole = np.einsum("...ij,...j->...i", expected, np.concatenate([vector[0], np.asarray(vector[1])[..., None]], -1))
    np.testing.assert_allclose(product.x, whole[..., :3], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(product.t, whole[..., 3], rtol=1e-13, atol=1e-13)


def test_sums_over_rows():
    f, large = mixed(), by_directions(mixed())
    args, vector = case((40,))
    each = f.gauss_newton(*args).x.x
    for g in (f, large):
        np.testing.assert_allclose(g.gauss_newton(*args, reduce="sum").x.x, each.sum(0), rtol=1e-13)
    product = f.gauss_newton_product(args, vector, reduce="sum")
    np.testing.assert_allclose(product.x, f.gauss_newton_product(args, vector).x.sum(0), rtol=1e-12, atol=1e-12)
    bits = [f.gauss_newton(*args, reduce="sum", threads=threads).x.x for threads in (1, 2)]
    assert_same_bits(*bits)


def test_wrt_in_any_order_and_out():
    f = mixed()
    args, (v, s) = case((5,))
    product = f.gauss_newton_product(args, (s, v), wrt=("t", "x"))
    assert product._fields == ("t", "x")
    assert_same_bits(product.x, f.gauss_newton_product(args, (v, s)).x)
    out = np.empty((5,)), np.empty((5, 3))
    f.gauss_newton_product(args, {"x": v, "t": s}, wrt=("t", "x"), out=out)
    assert_same_bits(out[1], product.x)
    assert_same_bits(out[0], product.t)
    assert f.gauss_newton(*args, wrt="k").shape == (5,)


def test_least_squares_of_a_line():
    graph = fg.Graph("line")
    w, t, y = graph.input("w", shape=2), graph.parameter("t"), graph.parameter("y")
    graph.output(w[0] + w[1] * t - y, name="residual")
    f = graph.compile()
    times = np.linspace(0.0, 1.0, 1000)
    values = 3.0 - 2.0 * times
    start = np.zeros(2)
    residual, slopes = f.vjp((start, times, values), f(start, times, values), reduce="sum")
    solution = start - np.linalg.solve(f.gauss_newton(start, times, values, reduce="sum"), slopes)
    np.testing.assert_allclose(solution, [3.0, -2.0], rtol=1e-12)


def test_what_does_not_fit_is_said():
    f = mixed()
    args, vector = case(())
    with pytest.raises(ArgumentError, match=r"vector must be a tuple of one array per argument \(x \(3,\), t \(\)\)"):
        f.gauss_newton_product(args, vector[0])
    with pytest.raises(ShapeError, match="the direction of x"):
        f.gauss_newton_product(args, (np.ones(2), 1.0))
    with pytest.raises(ArgumentError, match="reduce must be"):
        f.gauss_newton(*args, reduce="mean")
