"""Derivatives in the form that solvers take: the same numbers as the methods of the function, as vectors and tables."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import products
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits
from tests.derivative_cases import by_directions, mixed

BATCHES = [(), (1,), (4,), (0,), (3, 5), (300,)]
K = 2.0


def case(batch, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 1.3, (*batch, 4)), rng.normal(size=(*batch, 4)), rng.normal(size=(*batch, 3))


def parts(table):
    """A vector of inputs as the arguments x and t."""
    return table[..., :3], table[..., 3]


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_the_same_numbers_as_by_name(batch):
    f = mixed()
    x, v, w = case(batch)
    args = (parts(x)[0], K, parts(x)[1])
    weights = w[..., :2], w[..., 2]
    y, slopes = f.flat.jvp(x, v, k=K)
    outputs, tangents = f.jvp(args, parts(v))
    assert_same_bits(y, np.concatenate([outputs.u, np.asarray(outputs.v)[..., None]], -1))
    assert_same_bits(slopes, np.concatenate([tangents.u, np.asarray(tangents.v)[..., None]], -1))
    jacobian = f.jacobian(*args)
    assert_same_bits(f.flat.jacobian(x, k=K)[..., :2, :3], jacobian.u.x)
    assert_same_bits(f.flat.jacobian(x, k=K)[..., 2, 3], np.asarray(jacobian.v.t))
    hessian = f.hessian(*args, weights=weights)
    table = f.flat.hessian(x, weights=w, k=K)
    assert_same_bits(table[..., :3, :3], hessian.x.x)
    assert_same_bits(table[..., 3, :3], hessian.t.x)
    product = f.hvp(args, parts(v), weights=weights)
    assert_same_bits(f.flat.hvp(x, v, weights=w, k=K)[..., :3], product.x)


@pytest.mark.parametrize("batch", [(), (7,), (2, 3)], ids=str)
def test_variables_first(batch):
    f = mixed()
    x, v, w = case(batch)
    first = lambda array, n=1: np.moveaxis(array, range(-n, 0), range(n))
    last = lambda array, n=1: np.moveaxis(array, range(n), range(-n, 0))
    options = {"axis": 0, "k": K}
    assert_same_bits(last(f.flat.jvp(first(x), first(v), **options)[1]), f.flat.jvp(x, v, k=K)[1])
    assert_same_bits(last(f.flat.jacobian(first(x), **options), 2), f.flat.jacobian(x, k=K))
    for name in ("hvp", "hessian", "sparse_hessian_values"):
        direction, d_first = ((v,), (first(v),)) if name == "hvp" else ((), ())
        expected = getattr(f.flat, name)(x, *direction, weights=w, k=K)
        got = getattr(f.flat, name)(first(x), *d_first, weights=first(w), **options)
        assert_same_bits(last(got, 2 if name == "hessian" else 1), expected)
    got = f.flat.sparse_jacobian_values(first(x), **options)
    assert_same_bits(last(got), f.flat.sparse_jacobian_values(x, k=K))


def test_sums():
    f = mixed()
    x, v, w = case((50,))
    for got, each in [
        (f.flat.jvp(x, v, k=K, reduce="sum")[1], f.flat.jvp(x, v, k=K)[1]),
        (f.flat.hvp(x, v, weights=w, k=K, reduce="sum"), f.flat.hvp(x, v, weights=w, k=K)),
        (f.flat.jacobian(x, k=K, reduce="sum"), f.flat.jacobian(x, k=K)),
        (f.flat.hessian(x, weights=w, k=K, reduce="sum"), f.flat.hessian(x, weights=w, k=K)),
    ]:
        assert got.shape == each.shape[1:] and got.dtype == np.float64
        np.testing.assert_allclose(got, each.sum(0), rtol=1e-13, atol=1e-13 * np.abs(each).sum(0).max())


def test_out():
    f = mixed()
    x, v, w = case((20,))
    y, slopes, product = np.empty((20, 3)), np.empty((20, 3)), np.empty((20, 4))
    got = f.flat.jvp(x, v, k=K, out=(y, slopes))
    assert got[0] is y and got[1] is slopes
    assert_same_bits(slopes, f.flat.jvp(x, v, k=K)[1])
    assert f.flat.hvp(x, v, weights=w, k=K, out=product) is product
    assert_same_bits(product, f.flat.hvp(x, v, weights=w, k=K))
    overlapping = v.copy()
    f.flat.hvp(x, overlapping, weights=w, k=K, out=overlapping)
    assert_same_bits(overlapping, product)
    values = np.empty((20, f.jacobian_sparsity().nnz))
    assert f.flat.sparse_jacobian_values(x, k=K, out=values) is values
    assert_same_bits(values, f.flat.sparse_jacobian_values(x, k=K))


def test_directions_at_one_point_are_one_call():
    f = mixed()
    x, _, _ = case(())
    _, columns = f.flat.jvp(x, np.eye(4), k=K)
    assert_same_bits(columns.T, f.flat.jacobian(x, k=K))


@pytest.mark.parametrize("axis", [-1, 0])
def test_directions_at_every_point(axis, monkeypatch):
    """Swept together they have the bits that each has by itself, variables first or last, with ``out`` or without."""
    monkeypatch.setattr(products, "WORTH_MAKING", 0)
    f, rng = mixed(), np.random.default_rng(2)
    x, _, _ = case((6,))
    for k, shape in ((3, (3, 6, 4)), (9, (9, 1, 4))):
        directions = rng.normal(size=shape)
        first, along = (np.moveaxis(a, -1, 0) if axis == 0 else a for a in (x, directions))
        y, tangents = f.flat.jvp(first, along, axis=axis, k=K)
        out = np.empty_like(y), np.empty_like(tangents)
        f.flat.jvp(first, along, axis=axis, k=K, out=out, threads=2)
        assert_same_bits(out[0], y)
        assert_same_bits(out[1], tangents)
        if axis == 0:
            y, tangents = (np.moveaxis(a, 0, -1) for a in (y, tangents))
        assert y.shape == tangents.shape == (k, 6, 3)
        for j in range(k):
            alone = f.flat.jvp(x, directions[j], k=K)
            assert_same_bits(alone[0], y[j])
            assert_same_bits(alone[1], tangents[j])


def test_a_scalar_function():
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(x[0] * x[1] * x[2])
    f = graph.compile()
    point = np.array([1.0, 2.0, 3.0])
    assert f.flat.jacobian(point).tolist() == [6.0, 3.0, 2.0]
    assert f.flat.hessian(point).tolist() == [[0.0, 3.0, 2.0], [3.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    assert f.flat.hvp(point, np.array([1.0, 0.0, 0.0])).tolist() == [0.0, 3.0, 2.0]
    y, slope = f.flat.jvp(point, np.ones(3))
    assert (float(y), float(slope)) == (6.0, 11.0)
    assert f.flat.hessian(np.ones((2, 3)), reduce="sum")[0, 1] == 2.0


def test_large_functions_sweep_directions():
    f, large = mixed(), by_directions(mixed())
    x, _, w = case((3,))
    np.testing.assert_allclose(large.flat.jacobian(x, k=K), f.flat.jacobian(x, k=K), rtol=1e-15)
    np.testing.assert_allclose(large.flat.hessian(x, weights=w, k=K), f.flat.hessian(x, weights=w, k=K), rtol=1e-14)
    got = large.flat.sparse_hessian_values(x.T, axis=0, weights=w.T, k=K)
    np.testing.assert_allclose(got.T, f.flat.sparse_hessian_values(x, weights=w, k=K), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda f, x: f.hvp(x, x, k=K), ArgumentError, "hvp needs exactly one scalar output.*weights="),
        (lambda f, x: f.hessian(x, k=K), ArgumentError, "hessian needs exactly one scalar output.*weights="),
        (lambda f, x: f.jvp(x, x[:3], k=K), ShapeError, "tangents with shape .3,.: its last axis must be 4"),
        (lambda f, x: f.hvp(x, x, weights=x, k=K), ShapeError, "weights with shape .4,.: its last axis must be 3"),
        (lambda f, x: f.jvp(x, x), ArgumentError, "misses the parameter 'k'"),
        (lambda f, x: f.jacobian(x, axis=1, k=K), ArgumentError, "axis must be -1 or 0"),
        (lambda f, x: f.jvp(np.ones((2, 4)), np.ones((3, 4)), k=K), ShapeError, "do not broadcast"),
        (lambda f, x: f.jvp(x, x, k=K, reduce="mean"), ArgumentError, "reduce must be"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(call, error, match):
    with pytest.raises(error, match=match):
        call(mixed().flat, np.ones(4))


def test_no_inputs():
    graph = fg.Graph()
    graph.output(graph.parameter("k") * 2.0)
    with pytest.raises(ArgumentError, match="nothing to differentiate by"):
        graph.compile().flat.jvp(np.empty(0), np.empty(0), k=1.0)
