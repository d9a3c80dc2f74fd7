"""Sparse values, from one derived program of all colours and from sweeps along them: those of products."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived
from fastgraph.errors import ShapeError


def _chain(n):
    graph = fg.Graph()
    x, k = graph.input("x", shape=n), graph.parameter("k")
    graph.output(fg.sum(fg.sin(x[:-1] * x[1:]) * k + x[1:] ** 3), name="cost")
    graph.output(fg.exp(x[:-1]) / (1.5 + x[1:]) + fg.where(fg.gt(x[1:], 1.0), x[:-1] * x[1:], x[1:]), name="defects")
    return graph.compile()


@pytest.mark.parametrize("n", [2, 7, 300])
@pytest.mark.parametrize("limit", ["program", "sweeps"])
def test_values_are_those_of_products(n, limit, monkeypatch):
    """Against products along the axes one by one: none shares a colour."""
    if limit == "sweeps":
        monkeypatch.setattr(derived, "MAX_ROWS", 1)
        monkeypatch.setattr(derived, "SPARSE_ROWS", 0)
    f, random = _chain(n), np.random.default_rng(n)
    x, weights = random.uniform(0.5, 1.5, n), (0.7, random.normal(size=n - 1))
    axes = np.eye(n)
    hessian = f.hvp((x, 2.0), axes, weights=weights)
    jacobian = np.concatenate([part.reshape(n, -1) for part in f.jvp((x, 2.0), axes)[1]], axis=1).T
    for kind, wanted, options in (("hessian", hessian, {"weights": weights}), ("jacobian", jacobian, {})):
        pattern = getattr(f, f"{kind}_sparsity")()
        values = getattr(f, f"sparse_{kind}_values")(x, 2.0, **options)
        outside = np.ones(pattern.shape, bool)
        outside[pattern.rows, pattern.indices] = False
        assert not wanted[outside].any()
        assert np.abs(values - wanted[pattern.rows, pattern.indices]).max() <= 1e-13 * np.abs(wanted).max()


def test_a_batch_is_its_sets():
    """A program of the entries serves batches and sums as any other; a set alone has the bits it has in a batch."""
    f, random = _chain(40), np.random.default_rng(0)
    x = random.uniform(0.5, 1.5, (20, 40))
    values = f.sparse_jacobian_values(x, 2.0)
    for row, set_ in zip(values, x, strict=True):
        assert np.array_equal(row, f.sparse_jacobian_values(set_, 2.0))


def test_no_more_rows_than_entries_need():
    """The tridiagonal Hessian of n variables is a program of some operations an entry, however many variables."""
    graph = fg.Graph()
    x = graph.input("x", shape=5_000)
    graph.output(fg.sum((x[1:] - x[:-1] * x[:-1]) ** 2))
    f = graph.compile()
    f.sparse_hessian_values(np.ones(5_000))
    (function,) = [made for key, made in f._derivatives.items() if key[0] == "hessian values"]
    assert function.program.n_operations <= 5 * f.hessian_sparsity().nnz


@pytest.mark.parametrize("limit", ["program", "sweeps"])
@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x[0] + x[1] ** 2 * x[2] + x[3],
        lambda x: x[0] + x[1] ** 2 + x[2] + x[3] ** 3 * x[1],
        lambda x: x[0] + x[1] + x[2] + np.exp(x[3]),
        lambda x: x[1] * x[2] * x[3],
        lambda x: x[0] + x[1] - x[2] + x[3],
    ],
)
def test_inputs_without_second_derivatives_come_anywhere(fn, limit, monkeypatch):
    """Such inputs have no colour, but the gradient has them, too: the places of the others count them."""
    if limit == "sweeps":
        monkeypatch.setattr(derived, "MAX_ROWS", 1)
        monkeypatch.setattr(derived, "SPARSE_ROWS", 0)
    x, f = np.array([0.5, 1.5, 2.5, -0.7]), fg.trace(fn, (4,))
    pattern, found = f.hessian_sparsity(), np.zeros((4, 4))
    found[pattern.rows, pattern.indices] = f.sparse_hessian_values(x)
    wanted = f.hvp((x,), np.eye(4))
    assert np.abs(found - wanted).max() <= 1e-13 * np.abs(wanted).max()


_STEPS = [
    lambda a, b: a * b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: fg.sin(a) * b,
    lambda a, b: a / (2.0 + b * b),
    lambda a, b: fg.where(a > b, a * a, b),
    lambda a, b: fg.maximum(a, b),
    lambda a, b: fg.floor(a) + b,
]


def _mixed(random):
    """A few operations on a few inputs, some of which lead nowhere, with a parameter between them; some outputs."""
    graph = fg.Graph()
    sizes = random.integers(1, 4, 2).tolist()
    x, k, y = graph.input("x", shape=sizes[0]), graph.parameter("k"), graph.input("y", shape=sizes[1])
    nodes = [*x, *y, k, graph.constant(1.5)]
    for _ in range(random.integers(1, 9)):
        a, b = random.integers(len(nodes), size=2)
        nodes.append(_STEPS[random.integers(len(_STEPS))](nodes[a], nodes[b]))
    outputs = [nodes[random.integers(len(nodes))] for _ in range(random.integers(1, 4))]
    graph.output(outputs if len(outputs) > 1 else outputs[0])
    return graph.compile()


@pytest.mark.parametrize("seed", range(25))
def test_entries_of_random_functions_are_those_of_the_tables(seed):
    """Of f.flat; patterns without an entry, inputs without a second derivative and constant outputs among them."""
    random = np.random.default_rng(seed)
    f = _mixed(random)
    flat = f.flat
    points, weights = random.normal(size=(3, flat.n)), random.normal(size=flat.m) if flat.m > 1 else random.normal()
    for x in (points[0], points):
        for pattern, values, table, m in (
            (f.jacobian_sparsity(), flat.sparse_jacobian_values(x, k=0.7), flat.jacobian(x, k=0.7), flat.m),
            (
                f.hessian_sparsity(),
                flat.sparse_hessian_values(x, weights=weights, k=0.7),
                flat.hessian(x, weights=weights, k=0.7),
                flat.n,
            ),
        ):
            assert values.shape == (*x.shape[:-1], pattern.nnz)
            found = np.zeros((*x.shape[:-1], m, flat.n))
            found[..., pattern.rows, pattern.indices] = values
            np.testing.assert_allclose(found, table.reshape(found.shape), rtol=1e-12, atol=1e-12)


def test_patterns_without_entries():
    linear, flat = fg.trace(lambda x: x[0] + x[1], (2,)), fg.trace(lambda x: np.floor(x[0]), (2,))
    x, several = np.ones(2), np.ones((3, 2))
    for values in (
        lambda x, **more: linear.flat.sparse_hessian_values(x, **more),
        lambda x, **more: linear.sparse_hessian_values(x, **more),
        lambda x, **more: flat.flat.sparse_jacobian_values(x, **more),
    ):
        assert values(x).shape == (0,) and values(several).shape == (3, 0)
        assert values(several, reduce="sum").shape == (0,)
        out = np.empty((3, 0))
        assert values(several, out=out) is out
        with pytest.raises(ShapeError, match="out for the values has shape"):
            values(several, out=np.empty(3))
    assert linear.flat.sparse_hessian(x).nnz == flat.flat.sparse_jacobian(x).nnz == 0
    assert flat.numba.prepare("jacobian_values").jacobian_values(x, np.empty(0)) is None
