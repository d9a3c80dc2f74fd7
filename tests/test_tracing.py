"""Tracing: functions written for NumPy become Functions; a branch on a value names its line."""

import math

import numpy as np
import pytest
from scipy import optimize

import fastgraph as fg
from fastgraph.errors import ArgumentError, ExprError


def rosen(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_scipys_rosenbrock_runs_unchanged(n):
    """And its derivatives, which SciPy has by hand, agree with those of the trace."""
    x = np.random.default_rng(n).normal(size=n)
    f = fg.trace(optimize.rosen, (n,))
    np.testing.assert_allclose(f(x), optimize.rosen(x), rtol=1e-14)
    np.testing.assert_allclose(f.grad(x), optimize.rosen_der(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f.hessian(x), optimize.rosen_hess(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f.hvp((x,), x), optimize.rosen_hess_prod(x, x), rtol=1e-11, atol=1e-11)


def test_names_and_outputs():
    f = fg.trace(lambda a, b: (a + b, np.sin(b)), (), 3)
    assert [a.name for a in f.arguments] == ["a", "b"] and [o.shape for o in f.outputs] == [(3,), (3,)]
    g = fg.trace(lambda x: {"double": 2.0 * x, "one": 1.0}, ())
    assert g(3.0) == (6.0, 1.0) and g(3.0)._fields == ("double", "one")
    h = fg.trace(lambda *xs: sum(xs), 1.0, np.ones(2), ())
    assert [(a.name, a.shape) for a in h.arguments] == [("x0", ()), ("x1", (2,)), ("x2", ())]
    k = fg.trace(lambda out, x=2.0: out * x, ())  # ``out`` is taken by calls
    assert [a.name for a in k.arguments] == ["x0"]
    assert fg.trace(rosen, (3,)).name == "rosen"
    p = fg.trace(lambda x, k: k * x * x, (), (), parameters=["k"])
    assert p.value_and_grad(3.0, 2.0) == (18.0, 12.0)
    single = fg.trace(rosen, 3, dtype=np.float32)
    assert single.dtype == np.float32


def branches(x):
    total = 0.0
    for k in range(3):
        total = total + x * k
    if total > 1.0:
        return total
    return -total


def uses_math(x):
    return math.sin(x)


def chained(x):
    return 0.0 < x < 1.0


@pytest.mark.parametrize(
    ("fn", "line", "remedy"),
    [
        (branches, "if total > 1.0:", "fg.where"),
        (uses_math, "return math.sin(x)", "fg.sin"),
        (chained, "return 0.0 < x < 1.0", "fg.where"),
        (lambda x: float(x), "lambda x: float(x)", "compile"),
        (lambda x: np.argmax(x + np.zeros(2)), "np.argmax", "np.max"),
    ],
)
def test_errors_name_the_line(fn, line, remedy):
    with pytest.raises(ExprError) as caught:
        fg.trace(fn, ())
    message = str(caught.value)
    assert message.startswith(__file__) and line in message and remedy.lower() in message.lower()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fg.trace(rosen), "takes x, but 0 shapes"),
        (lambda: fg.trace(rosen, (3,), (3,)), "takes x, but 2 shapes"),
        (lambda: fg.trace(rosen, "abc"), "give a shape"),
        (lambda: fg.trace(rosen, (3,), parameters=["k"]), "has x"),
        (lambda: fg.trace(lambda x: None, ()), "returned None"),
        (lambda: fg.trace(lambda x: "text", ()), "no output"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


# -- the decorator --------------------------------------------------------------------------------------------
def test_a_decorated_function_is_traced_once_for_each_shape():
    count = 0

    @fg.function
    def norm(x, scale=2.0):
        """The length."""
        nonlocal count
        count += 1
        return scale * np.sqrt(np.sum(x * x))

    assert norm([3.0, 4.0]) == 10.0 and norm(np.array([6.0, 8.0]), scale=1.0) == 10.0 and count == 1
    assert norm([1.0, 2.0, 2.0]) == 6.0 and count == 2
    assert norm.__name__ == "norm" and norm.__doc__ == "The length."
    value, (by_x, by_scale) = norm.value_and_grad([3.0, 4.0], 1.0)
    assert value == 5.0 and by_scale == 5.0
    np.testing.assert_allclose(by_x, [0.6, 0.8], rtol=1e-15)
    assert norm.grad([3.0, 4.0], 1.0, wrt="scale") == 5.0
    assert isinstance(norm.traced([3.0, 4.0]), fg.Function) and count == 2
    assert "2 tuples of shapes" in repr(norm)
    with pytest.raises(ArgumentError, match="missing a required argument"):
        norm()


def test_options_of_the_decorator():
    @fg.function(dtype=np.float32, parameters=["k"])
    def scaled(x, k):
        return k * x

    assert scaled(0.1, 1.0).dtype == np.float32
    assert scaled.grad(0.1, 3.0) == np.float32(3.0)
