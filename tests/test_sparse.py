"""Sparse Jacobians and Hessians: the entries of the dense ones, nothing outside the pattern, in every way."""

import sys

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits
from tests.derivative_cases import by_directions, control, mixed

N = 12


def point(n=N, batch=()):
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, *batch, n)), rng.normal(size=(*batch, n - 1))


def arrow(n):
    """n - 1 outputs that share the last input, and one that takes all: a forward colouring needs n colours."""
    graph = fg.Graph("arrow")
    x = graph.input("x", shape=n)
    graph.output(x[:-1] * x[-1], name="spokes")
    graph.output(fg.sum(np.sin(x)), name="hub")
    return graph.compile()


@pytest.mark.parametrize("way", ["entries", "directions"])
def test_entries_of_the_dense_matrices(way):
    f = control(N)
    (u, x), multipliers = point()
    dense_jacobian = f.flat.jacobian(np.concatenate([u, x]))
    dense_hessian = f.flat.hessian(np.concatenate([u, x]), weights=np.concatenate([[1.5], multipliers]))
    sparse = f if way == "entries" else by_directions(control(N))
    np.testing.assert_allclose(sparse.sparse_jacobian(u, x).toarray(), dense_jacobian, rtol=1e-15, atol=0)
    hessian = sparse.sparse_hessian(u, x, weights=(1.5, multipliers))
    np.testing.assert_allclose(hessian.toarray(), dense_hessian, rtol=1e-14, atol=1e-16)
    assert (hessian != hessian.T).nnz == 0
    if way == "directions":
        assert sparse._compressed("jacobian", (0, 1)).directions.shape[0] < N


def test_rows_where_they_need_fewer_sweeps():
    graph = fg.Graph()
    x = graph.input("x", shape=40)
    graph.output([fg.sum(np.exp(x)), fg.dot(x, x)])
    f = by_directions(graph.compile())
    values = np.linspace(-1.0, 1.0, 40)
    assert f._compressed("jacobian", (0,)).by_rows
    expected = np.array([np.exp(values), 2.0 * values])
    np.testing.assert_allclose(f.sparse_jacobian(values).toarray(), expected, rtol=4e-16)


def test_an_arrow_in_both_ways():
    f, large = arrow(9), by_directions(arrow(9))
    x = np.linspace(0.5, 2.5, 9)
    expected = np.zeros((9, 9))
    expected[np.arange(8), np.arange(8)], expected[:8, 8], expected[8] = x[8], x[:8], np.cos(x)
    for g in (f, large):
        np.testing.assert_allclose(g.sparse_jacobian(x).toarray(), expected, rtol=4e-16)


def test_batches_sums_and_out():
    f, large = control(N), by_directions(control(N))
    (u, x), multipliers = point(batch=(5,))
    weights = (np.ones(5), multipliers)
    for method, options in (("sparse_jacobian_values", {}), ("sparse_hessian_values", {"weights": weights})):
        values = getattr(f, method)(u, x, **options)
        for k in range(5):
            own = {name: tuple(part[k] for part in given) for name, given in options.items()}
            assert_same_bits(values[k], getattr(f, method)(u[k], x[k], **own))
        np.testing.assert_allclose(getattr(large, method)(u, x, **options), values, rtol=1e-14, atol=1e-15)
        out = np.empty_like(values)
        for g in (f, large):
            assert getattr(g, method)(u, x, out=out, **options) is out
            np.testing.assert_allclose(out, values, rtol=1e-14, atol=1e-15)
            total = getattr(g, method)(u, x, reduce="sum", **options)
            np.testing.assert_allclose(total, values.sum(0), rtol=1e-13, atol=1e-14)


def test_patterns_follow_wrt():
    f = mixed()
    assert f.jacobian_sparsity().to_dense().astype(int).tolist() == [[1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 0, 1]]
    assert f.jacobian_sparsity("k").to_dense().tolist() == [[True], [False], [True]]
    assert f.jacobian_sparsity(("t", "x")).to_dense().tolist() == f.jacobian_sparsity().to_dense().tolist()
    assert f.hessian_sparsity("k").nnz == 0
    assert f.hessian_sparsity(("x", "k")).shape == (4, 4)
    assert f.sparse_hessian(np.ones(3), 1.0, 1.0, wrt="k", weights=([1.0, 1.0], 1.0)).nnz == 0


def test_the_pattern_of_values_is_that_of_zeros_too():
    f = mixed()
    matrix = f.sparse_jacobian([0.1, 0.2, 0.0], 2.0, 1.0)
    assert matrix.nnz == f.jacobian_sparsity().nnz


def test_linear_functions_have_no_hessian():
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(fg.sum(x))
    f = graph.compile()
    assert f.hessian_sparsity().nnz == 0
    assert f.sparse_hessian_values(np.ones((4, 3))).shape == (4, 0)
    assert f.hessian(np.ones(3)).tolist() == np.zeros((3, 3)).tolist()


def test_float32():
    f = mixed(np.float32)
    values = f.sparse_jacobian_values(np.ones((6, 3), np.float32), 2.0, 1.0)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, mixed().sparse_jacobian_values(np.ones((6, 3)), 2.0, 1.0), rtol=1e-6)


def test_a_batch_has_no_one_matrix():
    with pytest.raises(ShapeError, match="sparse_jacobian of Function 'mixed' takes one input set.*_values"):
        mixed().sparse_jacobian(np.ones((2, 3)), 2.0, 1.0)


def test_several_outputs_need_weights():
    with pytest.raises(ArgumentError, match="exactly one scalar output.*weights="):
        mixed().sparse_hessian(np.ones(3), 2.0, 1.0)


def test_an_unfit_out():
    f = mixed()
    with pytest.raises(ShapeError, match="out for the values has shape"):
        f.sparse_jacobian_values(np.ones(3), 2.0, 1.0, out=np.empty(3))
    with pytest.raises(ShapeError, match="out for the values has shape"):
        by_directions(mixed()).sparse_jacobian_values(np.ones(3), 2.0, 1.0, out=np.empty(3))


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    f = mixed()
    assert len(f.sparse_jacobian_values(np.ones(3), 2.0, 1.0)) == f.jacobian_sparsity().nnz == 8
    with pytest.raises(ImportError, match=r"fastgraph\[scipy\]"):
        f.sparse_jacobian(np.ones(3), 2.0, 1.0)
