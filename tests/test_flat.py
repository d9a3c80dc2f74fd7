"""flat: a function as Rⁿ → Rᵐ: either axis for the variables, parameters by keyword, the bits of the function."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits


@pytest.fixture(scope="module")
def scalar():
    graph = fg.Graph("scalar")
    x, k, t, w = graph.input("x", shape=(2, 2)), graph.parameter("k"), graph.input("t"), graph.parameter("w", shape=2)
    graph.output(k * fg.sin(x[0, 1]) * x[1, 0] + fg.exp(t) * w[0] - x[1, 1] * w[1])
    return graph.compile()


@pytest.fixture(scope="module")
def several():
    graph = fg.Graph("several")
    x, t = graph.input("x", shape=3), graph.input("t")
    graph.output(fg.dot(x, x) + t, name="a")
    graph.output(np.outer(x[:2], x[1:]) * t, name="b")
    return graph.compile()


@pytest.fixture(scope="module")
def plain():
    """Without parameters: the fast way for one set."""
    graph = fg.Graph("plain")
    x = graph.input("x", shape=3)
    graph.output(x[0] * fg.sin(x[1]) + x[2])
    return graph.compile()


def test_sizes(scalar, several):
    assert (scalar.flat.n, scalar.flat.m, several.flat.n, several.flat.m) == (5, 1, 4, 5)


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_flat_is_the_function(scalar, batch, axis):
    rng = np.random.default_rng(1)
    x, t, k, w = rng.normal(size=(*batch, 2, 2)), rng.normal(size=batch), rng.normal(size=batch), rng.normal(size=2)
    expected = scalar.value_and_grad(x, k, t, w)
    flat = np.concatenate([x.reshape(*batch, 4), np.asarray(t)[..., None]], -1)
    given = np.moveaxis(flat, -1, 0) if axis == 0 else flat
    for source in (given, np.ascontiguousarray(given)):
        y, g = scalar.flat.value_and_grad(source, axis=axis, k=k, w=w)
        assert_same_bits(scalar.flat(source, axis=axis, k=k, w=w), expected[0])
        assert_same_bits(y, expected[0])
        assert g.shape == ((5, *batch) if axis == 0 else (*batch, 5))
        assert_same_bits(scalar.flat.grad(source, axis=axis, k=k, w=w), g)
        g = np.moveaxis(g, 0, -1) if axis == 0 else g
        assert_same_bits(g[..., :4].reshape(*batch, 2, 2), expected[1].x)
        assert_same_bits(g[..., 4], np.asarray(expected[1].t))


@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
@pytest.mark.parametrize("axis", [-1, 0])
def test_several_outputs_are_concatenated(several, batch, axis):
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(*batch, 3)), rng.normal(size=batch)
    y = several(x, t)
    flat = np.concatenate([x, np.asarray(t)[..., None]], -1)
    got = several.flat(np.moveaxis(flat, -1, 0) if axis == 0 else flat, axis=axis)
    assert got.shape == ((5, *batch) if axis == 0 else (*batch, 5))
    got = np.moveaxis(got, 0, -1) if axis == 0 else got
    assert_same_bits(got[..., 0], np.asarray(y.a))
    assert_same_bits(got[..., 1:].reshape(*batch, 2, 2), y.b)


def test_one_set_the_fast_way(plain):
    x = np.array([2.0, 0.5, 1.0])
    expected = 2.0 * np.sin(0.5) + 1.0
    for given in (x, x.tolist(), x.astype(np.float32), x[::-1].copy()[::-1], np.asfortranarray(x)):
        y, g = plain.flat.value_and_grad(given)
        assert type(y) is np.float64 and abs(y - expected) < 1e-15 and g.shape == (3,)
        assert plain.flat(given) == y and type(plain.flat(given)) is np.float64
    first = plain.flat.grad(x)
    kept = first.copy()
    plain.flat.grad(x + 1.0)
    assert_same_bits(first, kept)  # results are the caller's own


def test_parameters_broadcast_with_the_batch(scalar):
    x = np.random.default_rng(0).normal(size=(4, 5))
    y = scalar.flat(x, k=np.arange(3.0)[:, None], w=np.ones((4, 2)))
    assert y.shape == (3, 4)
    assert y[2, 1] == scalar.flat(x[1], k=2.0, w=[1.0, 1.0])
    y, g = scalar.flat.value_and_grad(x.T, axis=0, k=np.arange(3.0)[:, None], w=[1.0, 2.0])
    assert y.shape == (3, 4) and g.shape == (5, 3, 4)


@pytest.mark.parametrize("shape", [(), (4,), (6,), (5, 4), (2, 5, 6), (5, 1, 0)])
def test_shapes_that_do_not_fit(scalar, shape):
    with pytest.raises(ShapeError, match="last axis must be 5"):
        scalar.flat(np.ones(shape), k=1.0, w=np.ones(2))
    with pytest.raises(ShapeError, match="first axis must be 5"):
        scalar.flat.grad(np.ones(shape[::-1]), axis=0, k=1.0, w=np.ones(2))


@pytest.mark.parametrize("axis", [1, -2, None, "0", 2])
def test_other_axes(scalar, axis):
    with pytest.raises(ArgumentError, match="axis must be -1 or 0"):
        scalar.flat(np.ones(5), axis=axis, k=1.0, w=np.ones(2))


@pytest.mark.parametrize("axis", [1, None, "0"])
def test_other_axes_the_fast_way(plain, axis):
    for call in (plain.flat, plain.flat.value_and_grad, plain.flat.grad):
        with pytest.raises(ArgumentError, match="axis must be -1 or 0"):
            call(np.ones(3), axis=axis)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "misses the parameter 'k'"),
        ({"k": 1.0}, "misses the parameter 'w'"),
        ({"k": 1.0, "w": [1.0, 1.0], "t": 1.0}, "no parameter 't'"),
        ({"k": 1.0, "w": [1.0, 1.0], "q": 1.0}, "no parameter 'q'"),
    ],
)
def test_wrong_parameters(scalar, parameters, message):
    with pytest.raises(ArgumentError, match=message):
        scalar.flat(np.ones(5), **parameters)


def test_unknown_parameters_the_fast_way(plain):
    for call in (plain.flat, plain.flat.value_and_grad, plain.flat.grad):
        with pytest.raises(ArgumentError, match="no parameter 'q'"):
            call(np.ones(3), q=1.0)


def test_parameters_of_a_wrong_shape(scalar):
    with pytest.raises(ShapeError, match="w with shape"):
        scalar.flat(np.ones(5), k=1.0, w=np.ones(3))
    with pytest.raises(ShapeError, match="broadcast"):
        scalar.flat(np.ones((4, 5)), k=np.ones(3), w=np.ones(2))


@pytest.mark.parametrize("bad", ["text", None, 1j, [["a"] * 3], np.array([1j] * 3), np.array([None] * 3), {}])
def test_x_that_is_no_real_array(plain, bad):
    with pytest.raises(ArgumentError):
        plain.flat(bad)
