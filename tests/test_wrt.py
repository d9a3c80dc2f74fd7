"""wrt: by names, by the expressions that were declared, in any order, parameters included, in every method."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError
from tests.bits import assert_same_bits


def recorded():
    graph = fg.Graph("g")
    x, k, t = graph.input("x", shape=3), graph.parameter("k"), graph.input("t")
    graph.output(fg.exp(k * x[0]) * t + x[1] * x[2])
    return graph.compile(), x, k, t


ARGS = ([0.5, 1.0, 2.0], 0.25, 3.0)
METHODS = {
    "grad": lambda f, wrt: f.grad(*ARGS, wrt=wrt),
    "value_and_grad": lambda f, wrt: f.value_and_grad(*ARGS, wrt=wrt)[1],
    "vjp": lambda f, wrt: f.vjp(ARGS, 2.0, wrt=wrt)[1],
    "jacobian": lambda f, wrt: f.jacobian(*ARGS, wrt=wrt),
    "hessian": lambda f, wrt: f.hessian(*ARGS, wrt=wrt),
    "gauss_newton": lambda f, wrt: f.gauss_newton(*ARGS, wrt=wrt),
    "sparse_jacobian_values": lambda f, wrt: f.sparse_jacobian_values(*ARGS, wrt=wrt),
    "sparse_hessian_values": lambda f, wrt: f.sparse_hessian_values(*ARGS, wrt=wrt),
}


def same(a, b):
    if isinstance(a, tuple):
        assert a._fields == b._fields
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert_same_bits(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_expressions_are_names(method):
    f, x, k, t = recorded()
    for by_expr, by_name in (((t, x), ("t", "x")), (k, "k"), (x, "x"), ([k, "x"], ["k", "x"]), ([x], ["x"])):
        same(METHODS[method](f, by_expr), METHODS[method](f, by_name))


def test_order_and_form_follow_wrt():
    f, x, k, t = recorded()
    assert f.grad(*ARGS, wrt=(t, k))._fields == ("t", "k")
    assert f.grad(*ARGS, wrt=x).shape == (3,)
    tangents = f.jvp(ARGS, {"k": 1.0, "t": 0.5}, wrt=(t, k))[1]
    assert_same_bits(tangents, f.jvp(ARGS, (0.5, 1.0), wrt=("t", "k"))[1])
    product = f.hvp(ARGS, (0.5, np.ones(3)), wrt=(t, x))
    assert product._fields == ("t", "x")
    assert_same_bits(product.x, f.hvp(ARGS, (np.ones(3), 0.5), wrt=("x", "t")).x)


def test_what_was_not_declared_is_said():
    f, x, _, t = recorded()
    for wrt in (x[0], t * 2.0, [x, x[1]], x[:2], object(), 3, np.ones(3), "y", [], ["t", t]):
        with pytest.raises(ArgumentError, match="wrt"):
            f.grad(*ARGS, wrt=wrt)
