"""hvp and jvp of f.flat for one plain set, through ready workspaces: the bits of the general way."""

import numpy as np
import pytest

import fastgraph as fg
from tests.bits import assert_same_bits


def _function(n_outputs):
    graph = fg.Graph()
    x = graph.input("x", shape=5)
    y = fg.sin(x) * x[::-1] + fg.exp(x) / (2.0 + x * x)
    graph.output(fg.sum(y) if n_outputs == 1 else y[:n_outputs] ** 2)
    return graph.compile()


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("k", [None, 1, 2, 4, 5, 40])
def test_jvp_has_the_same_bits(n_outputs, k):
    f, random = _function(n_outputs).flat, np.random.default_rng(1)
    x, v = random.normal(size=5), random.normal(size=(5,) if k is None else (k, 5))
    wanted = f.jvp(x, v, threads=1)  # with an option a call takes the general way
    for got, right in zip(f.jvp(x, v), wanted, strict=True):
        assert_same_bits(got, right)
        assert type(got) is type(right) and got.shape == right.shape and got.flags.c_contiguous


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_hvp_has_the_same_bits(n_outputs):
    f, random = _function(n_outputs).flat, np.random.default_rng(2)
    x, v = random.normal(size=(2, 5))
    weights = None if n_outputs == 1 else random.normal(size=3)
    got = f.hvp(x, v, weights=weights)
    assert_same_bits(got, f.hvp(x, v, weights=weights, threads=1))
    f.hvp(v, x, weights=weights)
    assert_same_bits(got, f.hvp(x, v, weights=weights))


def test_vjp_has_the_same_bits():
    f, random = _function(3).flat, np.random.default_rng(4)
    x, w = random.normal(size=5), random.normal(size=3)
    f.vjp(x, 2.0 * w)
    for got, right in zip(f.vjp(x, w), f.vjp(x, w, threads=1), strict=True):
        assert_same_bits(got, right)
        assert type(got) is type(right) and got.shape == right.shape
    for wrong in (np.ones(2), np.ones((2, 2)), np.ones(())):
        with pytest.raises(fg.errors.ShapeError):
            f.vjp(x, wrong)


@pytest.mark.parametrize("wrong", [np.ones(4), np.ones((3, 4)), np.ones((5, 3))])
def test_errors_are_those_of_the_general_way(wrong):
    f = _function(1).flat
    with pytest.raises(fg.errors.ShapeError, match="its last axis must be 5"):
        f.jvp(np.ones(5), wrong)
    with pytest.raises(fg.errors.ShapeError, match="its last axis must be 5"):
        f.hvp(np.ones(5), wrong)
    with pytest.raises(fg.errors.ArgumentError, match="weigh them"):
        _function(3).flat.hvp(np.ones(5), np.ones(5))


def test_arrays_of_one_set_have_the_bits_of_a_batch():
    """Calls and gradients of a function with array arguments, one set: outputs and every argument by itself."""
    graph = fg.Graph()
    x, k = graph.input("x", shape=(2, 2)), graph.parameter("k", shape=2)
    graph.output(fg.sum(fg.sin(x) @ k * k))
    f, random = graph.compile(), np.random.default_rng(3)
    x, k = random.normal(size=(50, 2, 2)), random.normal(size=(50, 2))
    for wrt in (None, "k", ("k", "x")):
        value, gradient = f.value_and_grad(x, k, wrt=wrt)
        one, slopes = f.value_and_grad(x[7], k[7], wrt=wrt)
        assert_same_bits(one, value[7])
        parts = (slopes, gradient) if wrt == ("k", "x") else ((slopes,), (gradient,))
        for a, b in zip(*parts, strict=True):
            assert_same_bits(a, b[7])


@pytest.mark.parametrize("w", [0.5, np.array(-2.0)])
def test_vjp_of_a_scalar_has_the_same_bits(w):
    f, x = _function(1).flat, np.random.default_rng(6).normal(size=5)
    for got, right in zip(f.vjp(x, w), f.vjp(x, w, threads=1), strict=True):
        assert_same_bits(got, right)
        assert type(got) is type(right) and np.shape(got) == np.shape(right)


def _with_parameters(n_outputs):
    """Parameters before, between and after the inputs."""
    graph = fg.Graph()
    a, x, k = graph.parameter("a"), graph.input("x", shape=2), graph.parameter("k", shape=(2, 2))
    t, b = graph.input("t"), graph.parameter("b")
    y = [fg.sin(a * x[0]) * x[1] + k[0, 1] * t, x[1] * fg.exp(b * t) - k[1, 0], x[0] / k[1, 1]]
    graph.output(y[0] if n_outputs == 1 else y)
    return graph.compile()


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_plain_parameters_have_the_same_bits(n_outputs):
    f, random = _with_parameters(n_outputs).flat, np.random.default_rng(5)
    for _ in range(3):
        x, k, a, b = random.normal(size=3), random.normal(size=(2, 2)), *random.normal(size=2)
        general = {"a": [a], "k": k[None], "b": b}  # what has a batch axis takes the general way
        for k_given in (k, np.asfortranarray(k), np.repeat(k, 2, axis=1)[:, ::2]):
            got = f(x, a=float(a), k=k_given, b=b)
            assert_same_bits(got, f(x, **general)[0])
            assert type(got) is (np.float64 if n_outputs == 1 else np.ndarray)
        if n_outputs == 1:
            for got, right in zip(f.value_and_grad(x, a=a, k=k, b=b), f.value_and_grad(x, **general), strict=True):
                assert_same_bits(got, right[0])
                assert np.shape(got) == np.shape(right[0])
        assert_same_bits(f.jacobian(x, a=a, k=k, b=b), f.jacobian(x, **general)[0])


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({}, fg.errors.ArgumentError, "misses the parameter 'a'"),
        ({"a": 1.0, "b": 1.0}, fg.errors.ArgumentError, "misses the parameter 'k'"),
        ({"a": 1.0, "b": 1.0, "k": np.ones((2, 2)), "c": 1.0}, fg.errors.ArgumentError, "no parameter 'c'"),
        ({"a": 1.0, "b": 1.0, "k": 1.0}, fg.errors.ShapeError, "k"),
        ({"a": 1.0, "b": 1.0, "k": np.ones(4)}, fg.errors.ShapeError, "k"),
        ({"a": "1", "b": 1.0, "k": np.ones((2, 2))}, fg.errors.ArgumentError, "a"),
        ({"a": 1j, "b": 1.0, "k": np.ones((2, 2))}, fg.errors.ArgumentError, "a"),
    ],
)
def test_other_parameters_are_looked_at(given, error, match):
    with pytest.raises(error, match=match):
        _with_parameters(1).flat(np.ones(3), **given)


def test_a_function_without_parameters_takes_none():
    with pytest.raises(fg.errors.ArgumentError, match="no parameter 'k'"):
        _function(1).flat(np.ones(5), k=1.0)
