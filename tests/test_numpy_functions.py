"""NumPy's functions of expressions: each of the table against NumPy itself, in shape and value; the rest is refused.

A case is a function of arrays, called once with expressions and once with numbers.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastgraph as fg
from fastgraph import numpy_functions, numpy_ufuncs
from fastgraph.errors import ExprError
from fastgraph.expr_array import ExprArray

RNG = np.random.default_rng(1)
X, Y, V, W = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=5), RNG.normal(size=5)
Q, S = RNG.normal(size=(3, 3)), RNG.normal(size=(2, 4, 4))
P = Q @ Q.T + np.eye(3)
XP, FP = np.array([-1.5, -0.2, 0.1, 0.9]), np.array([2.0, -1.0, 0.5, 3.0])
K = np.arange(12.0).reshape(3, 4) + 1.0  # constants that mix in
TOLERANCE = 2e-14  # of sums of a dozen terms in another order


def both(function, *arrays):
    """What ``function`` gives of expressions, evaluated, and what it gives of numbers."""
    graph = fg.Graph()
    inputs = [graph.input(shape=np.shape(a)) for a in arrays]
    found = function(*inputs)
    several = isinstance(found, list | tuple)
    for part in found if several else [found]:
        graph.output(part)
    results = graph.compile()(*arrays)
    with np.errstate(all="ignore"):
        expected = function(*arrays)
    return (list(results) if several else [results]), (list(expected) if several else [expected])


def assert_as_numpy(function, *arrays):
    for got, wanted in zip(*both(function, *arrays), strict=True):
        assert np.shape(got) == np.shape(wanted)
        np.testing.assert_allclose(got, np.asarray(wanted, float), rtol=TOLERANCE, atol=TOLERANCE)


CASES = {
    np.sum: [
        (lambda x: np.sum(x), X),
        (lambda x: np.sum(x, axis=1), X),
        (lambda x: np.sum(x, axis=(0, -1), keepdims=True), S),
        (lambda x: np.sum(x, 0, initial=2.0), X),
        (lambda x: np.sum(x, where=K > 3.0), X),
        (lambda x: x.sum(-1), X),
        (lambda x: np.sum(x[:, :0], axis=1), X),
    ],
    np.prod: [(lambda x: np.prod(x), V), (lambda x: np.prod(x, axis=0), X), (lambda x: x.prod(1, keepdims=True), X)],
    np.max: [
        (lambda x: np.max(x), X),
        (lambda x: np.max(x, axis=1), X),
        (lambda x: x.max(0), X),
        (lambda x: np.max(x, initial=0.3), X),
    ],
    np.min: [(lambda x: np.min(x), X), (lambda x: np.min(x, axis=-1, keepdims=True), X), (lambda x: x.min(0), X)],
    np.mean: [(lambda x: np.mean(x), X), (lambda x: np.mean(x, axis=1), X), (lambda x: x.mean(0, keepdims=True), X)],
    np.var: [
        (lambda x: np.var(x), X),
        (lambda x: np.var(x, axis=1, ddof=1), X),
        (lambda x: x.var(0, keepdims=True), X),
    ],
    np.std: [(lambda x: np.std(x), X), (lambda x: x.std(axis=1, ddof=1), X)],
    np.average: [
        (lambda x: np.average(x, axis=1), X),
        (lambda x, w: np.average(x, weights=w), V, W),
        (lambda x: np.average(x, axis=0, weights=[1.0, 2.0, 3.0]), X),
        (lambda x, w: np.average(x, weights=w, returned=True), V, W),
    ],
    np.ptp: [(lambda x: np.ptp(x), X), (lambda x: np.ptp(x, axis=1), X)],
    np.any: [(lambda x: np.any(x > 1.0), X), (lambda x: np.any(x > 0.5, axis=1), X)],
    np.all: [(lambda x: np.all(x > -9.0), X), (lambda x: np.all(x > -0.5, axis=0), X)],
    np.count_nonzero: [(lambda x: np.count_nonzero(x > 0.0), X), (lambda x: np.count_nonzero(x > 0.0, axis=1), X)],
    np.cumsum: [(lambda x: np.cumsum(x), X), (lambda x: np.cumsum(x, axis=1), X), (lambda x: x.cumsum(0), X)],
    np.cumprod: [(lambda x: np.cumprod(x), V), (lambda x: np.cumprod(x, axis=1), X)],
    np.trace: [
        (lambda x: np.trace(x), X),
        (lambda x: np.trace(x, offset=1), X),
        (lambda x: np.trace(x, axis1=1, axis2=2), S),
    ],
    np.where: [
        (lambda x: np.where(x > 0.0, x, -1.0), X),
        (lambda x: np.where(K > 5.0, x, K), X),
        (lambda x, v: np.where(x > 0.0, x, v[:4]), X, V),
    ],
    np.select: [
        (lambda x: np.select([x > 1.0, x > 0.0], [x, 2.0 * x], -1.0), X),
        (lambda x: np.select([K > 6.0, K > 3.0], [x, K]), X),
    ],
    np.clip: [
        (lambda x: np.clip(x, -0.5, 0.5), X),
        (lambda x: x.clip(min=0.0), X),
        (lambda x: np.clip(x, None, K - 5.0), X),
    ],
    np.nan_to_num: [(lambda x: np.nan_to_num(np.log(x)), X), (lambda x: np.nan_to_num(1.0 / (x * 0.0), posinf=3.0), V)],
    np.diff: [
        (lambda x: np.diff(x), V),
        (lambda x: np.diff(x, axis=0), X),
        (lambda x: np.diff(x, n=2), X),
        (lambda x: np.diff(x, prepend=0.0, append=[1.0, 2.0]), V),
    ],
    np.trapezoid: [
        (lambda x: np.trapezoid(x), V),
        (lambda x: np.trapezoid(x, dx=0.5, axis=0), X),
        (lambda x, t: np.trapezoid(x, t), V, W),
        (lambda x: np.trapezoid(x, [0.0, 1.0, 3.0, 4.0]), X),
    ],
    np.polyval: [
        (lambda x: np.polyval([1.0, -2.0, 3.0], x), X),
        (lambda p, x: np.polyval(p, x), V, X),
        (lambda p: np.polyval(p, 0.5), V),
    ],
    np.interp: [
        (lambda x: np.interp(x, XP, FP), X),
        (lambda x: np.interp(x, XP, FP, left=7.0, right=-7.0), 3.0 * X),
        (lambda x, f: np.interp(x, XP, f[:4]), V, W),
        (lambda x: np.interp(x, [0.5], [2.0]), V),
    ],
    np.linspace: [
        (lambda a: np.linspace(a, 2.0, 5), 0.3),
        (lambda a, b: np.linspace(a, b, 4, endpoint=False), V, W),
        (lambda a, b: np.linspace(a, b, 3, axis=-1), V, W),
    ],
    np.convolve: [
        (lambda x: np.convolve(x, [1.0, 2.0]), V),
        (lambda x, y: np.convolve(x, y[:2], "same"), V, W),
        (lambda x, y: np.convolve(x[:3], y, "valid"), V, W),
    ],
    np.dot: [
        (np.dot, V, W),
        (np.dot, X, Y),
        (lambda x: np.dot(x, 2.0), X),
        (lambda x: x.dot(Y), X),
        (np.dot, X, S[:, :, 0].T),
        (lambda s: np.dot(s, s), S),
        (lambda s: np.dot(s, X[0]), S),
    ],
    np.vdot: [(np.vdot, X, K)],
    np.inner: [(np.inner, V, W), (np.inner, X, K), (lambda s: np.inner(s, X[0]), S), (lambda x: np.inner(x, 2.0), V)],
    np.outer: [(np.outer, V, W), (lambda x: np.outer(x, [1.0, 2.0]), X)],
    np.tensordot: [
        (lambda x, y: np.tensordot(x, y, 1), X, Y),
        (lambda x: np.tensordot(x, K, 2), X),
        (lambda s, y: np.tensordot(s, y, ([1], [0])), S, Y),
        (lambda s: np.tensordot(s, s, ((0, 2), (0, 1))), S),
        (lambda x, y: np.tensordot(x, y, 0), V, W),
    ],
    np.einsum: [
        (lambda x, y: np.einsum("ij,jk->ik", x, y), X, Y),
        (lambda x: np.einsum("ii", x), Q),
        (lambda x: np.einsum("ii->i", x), Q),
        (lambda x, y: np.einsum("ij,jk", x, y), X, Y),
        (lambda s, v: np.einsum("...ij,j->...i", s, v[:4]), S, V),
        (lambda x, v: np.einsum("ij,j,j->i", x, v[:4], v[:4]), X, V),
        (lambda v, w: np.einsum("i,j->ji", v, w), V, W),
        (lambda x: np.einsum("ij->", x), X),
        (lambda s: np.einsum("bij,bjk->bk", s, s, optimize=True), S),
    ],
    np.kron: [(np.kron, V, W), (np.kron, Q, X), (lambda x: np.kron(x, [1.0, 2.0]), X)],
    np.cross: [(lambda x: np.cross(x, [1.0, 2.0, 3.0]), Q), (lambda x, y: np.cross(x, y, axis=0), Q, P)],
    np.linalg.norm: [
        (lambda x: np.linalg.norm(x), X),
        (lambda v: np.linalg.norm(v, 1), V),
        (lambda v: np.linalg.norm(v, np.inf), V),
        (lambda x: np.linalg.norm(x, axis=1), X),
        (lambda x: np.linalg.norm(x, 3, axis=0, keepdims=True), X),
        (lambda v: np.linalg.norm(v, 0), V),
        (lambda v: np.linalg.norm(v, -np.inf), V),
    ],
    np.linalg.solve: [
        (lambda a: np.linalg.solve(a, K[:, 0]), Q),
        (lambda a, b: np.linalg.solve(a, b), Q, X),
        (lambda a: np.linalg.solve(a, np.ones((2, 4, 1))), S),
    ],
    np.linalg.det: [(np.linalg.det, Q), (np.linalg.det, S), (lambda a: np.linalg.det(a[:1, :1]), Q)],
    np.linalg.inv: [(np.linalg.inv, Q), (np.linalg.inv, S)],
    np.linalg.cholesky: [(np.linalg.cholesky, P), (lambda s: np.linalg.cholesky(s @ np.swapaxes(s, -1, -2)), S)],
    np.linalg.matrix_power: [
        (lambda a: np.linalg.matrix_power(a, 5), Q),
        (lambda a: np.linalg.matrix_power(a, -2), Q),
        (lambda a: np.linalg.matrix_power(a, 0), Q),
    ],
    np.linalg.multi_dot: [(lambda x, y: np.linalg.multi_dot([x, y, x]), X, Y)],
    np.shape: [(lambda x: np.array(np.shape(x)) + 0.0 * x[0, :2], X)],
    np.ndim: [(lambda x: np.ndim(x) + 0.0 * x[0, :2], X)],
    np.size: [(lambda x: np.size(x) + np.size(x, 1) + 0.0 * x[0, :2], X)],
    np.iscomplexobj: [(lambda x: np.iscomplexobj(x) + 0.0 * x, V)],
    np.isrealobj: [(lambda x: np.isrealobj(x) + 0.0 * x, V)],
    np.real: [(np.real, X)],
    np.copy: [(np.copy, X), (lambda x: x.copy(), X)],
    np.zeros_like: [(lambda x: np.zeros_like(x) + x, X)],
    np.ones_like: [(lambda x: np.ones_like(x) * x, X)],
    np.full_like: [(lambda x: np.full_like(x, 3.0) * x, X), (lambda x: np.full_like(x, x[0, 0]), X)],
    np.empty_like: [(lambda x: np.empty_like(x) * 0.0 + x, X)],
    np.tril: [(np.tril, X), (lambda s: np.tril(s, -1), S)],
    np.triu: [(np.triu, X), (lambda x: np.triu(x, 1), X)],
    np.diag: [(np.diag, V), (np.diag, X), (lambda v: np.diag(v, 2), V)],
    np.diagflat: [(np.diagflat, X)],
    np.reshape: [
        (lambda x: np.reshape(x, (2, 6)), X),
        (lambda x: x.reshape(6, -1), X),
        (lambda x: x.reshape((-1,), order="F"), X),
    ],
    np.ravel: [(np.ravel, X), (lambda x: x.ravel(), X), (lambda x: x.flatten(), X)],
    np.transpose: [
        (np.transpose, X),
        (lambda s: np.transpose(s, (2, 0, 1)), S),
        (lambda x: x.T, X),
        (lambda s: s.transpose(1, 0, 2), S),
    ],
    np.swapaxes: [(lambda s: np.swapaxes(s, 0, 2), S)],
    np.moveaxis: [(lambda s: np.moveaxis(s, 0, -1), S)],
    np.rollaxis: [(lambda s: np.rollaxis(s, 2), S)],
    np.squeeze: [(lambda x: np.squeeze(x[:1]), X), (lambda x: np.squeeze(x[:1, :1]), X)],
    np.expand_dims: [(lambda x: np.expand_dims(x, 1), X), (lambda x: x[:, None, :], X)],
    np.concatenate: [
        (lambda x, q: np.concatenate([x, q], axis=1), X, Q),
        (lambda x: np.concatenate([x, K]), X),
        (lambda v: np.concatenate([v, np.zeros(2), [1.0]]), V),
        (lambda x: np.concatenate([x, x], axis=None), X),
    ],
    np.stack: [(lambda v, w: np.stack([v, w], axis=1), V, W), (lambda v: np.stack([v[0], v[1], 2.0]), V)],
    np.hstack: [(lambda v, w: np.hstack([v, w]), V, W)],
    np.vstack: [(lambda v, w: np.vstack([v, w]), V, W)],
    np.dstack: [(lambda v, w: np.dstack([v, w]), V, W)],
    np.column_stack: [(lambda v, w: np.column_stack([v, w]), V, W)],
    np.block: [(lambda q, p: np.block([[q, p], [p, np.eye(3)]]), Q, P)],
    np.split: [(lambda x: np.split(x, 2, axis=1), X), (lambda v: np.split(v, [1, 3]), V)],
    np.array_split: [(lambda v: np.array_split(v, 2), V)],
    np.hsplit: [(lambda x: np.hsplit(x, 2), X)],
    np.vsplit: [(lambda x: np.vsplit(x, 3), X)],
    np.dsplit: [(lambda s: np.dsplit(s, 2), S)],
    np.roll: [(lambda v: np.roll(v, 2), V), (lambda x: np.roll(x, (1, -1), axis=(0, 1)), X)],
    np.flip: [(np.flip, X), (lambda x: np.flip(x, 1), X), (lambda x: x[::-1], X)],
    np.fliplr: [(np.fliplr, X)],
    np.flipud: [(np.flipud, X)],
    np.rot90: [(np.rot90, X)],
    np.tile: [(lambda v: np.tile(v, (2, 2)), V)],
    np.repeat: [(lambda v: np.repeat(v, 2), V), (lambda x: np.repeat(x, [1, 2, 0], axis=0), X)],
    np.take: [(lambda x: np.take(x, [0, 2], axis=1), X), (lambda v: v.take([1, 1]), V)],
    np.take_along_axis: [(lambda x: np.take_along_axis(x, np.array([[0], [1], [3]]), axis=1), X)],
    np.delete: [(lambda v: np.delete(v, 1), V)],
    np.append: [(lambda v: np.append(v, [1.0, 2.0]), V), (lambda v, w: np.append(v, w), V, W)],
    np.broadcast_to: [(lambda v: np.broadcast_to(v, (2, 5)), V)],
    np.broadcast_arrays: [(lambda v, x: np.broadcast_arrays(v[:4], x), V, X)],
    np.meshgrid: [(lambda v, w: np.meshgrid(v, w), V, W), (lambda v: np.meshgrid(v, [1.0, 2.0], indexing="ij"), V)],
    np.atleast_1d: [(lambda v: np.atleast_1d(v), V), (lambda v: np.atleast_1d(v[0]), V)],
    np.atleast_2d: [(np.atleast_2d, V)],
    np.atleast_3d: [(np.atleast_3d, X)],
    np.diagonal: [(np.diagonal, X), (lambda s: s.diagonal(axis1=1, axis2=2), S)],
    np.resize: [(lambda v: np.resize(v, (3, 3)), V)],
    np.compress: [(lambda v: np.compress([True, False, True], v), V)],
}
CASES |= {
    np.round: [(lambda x: np.round(x), X), (lambda x: np.round(x, 2), X), (lambda x: np.round(100.0 * x, -1), X)],
    np.around: [(lambda x: np.around(x, 1), X)],
    np.fix: [(np.fix, 3.0 * X)],
    np.sinc: [(np.sinc, X), (lambda v: np.sinc(0.0 * v), V)],
    np.nansum: [(lambda x: np.nansum(np.log(x), axis=1), X)],
}
CASES |= {np.amax: [(lambda x: np.amax(x, axis=1), X)], np.amin: [(lambda x: np.amin(x), X)]}
if hasattr(np, "unstack"):
    CASES[np.unstack] = [(lambda x: np.unstack(x, axis=1), X)]
EVERY_CASE = [
    pytest.param(function, arrays, id=f"{key.__name__}-{k}")
    for key, cases in CASES.items()
    for k, (function, *arrays) in enumerate(cases)
]


def test_every_function_has_cases_and_is_documented():
    assert set(numpy_functions.FUNCTIONS) == set(CASES)
    text = (Path(__file__).parents[1] / "docs" / "numpy.md").read_text(encoding="utf-8")
    for name in (*numpy_ufuncs.COMPOSED, *numpy_ufuncs.reducible()):
        assert f"`{name}`" in text, name
    for function in numpy_functions.FUNCTIONS:
        assert f"`{function.__name__}`" in text or f"`linalg.{function.__name__}`" in text, function.__name__


@pytest.mark.parametrize(("function", "arrays"), EVERY_CASE)
def test_as_numpy(function, arrays):
    assert_as_numpy(function, *arrays)


REFUSED = [
    lambda x: np.searchsorted(x[0], 1.0),
    lambda x: np.argmax(x),
    lambda x: np.sort(x),
    lambda x: np.argsort(x),
    lambda x: np.median(x),
    lambda x: np.unique(x),
    lambda x: np.nonzero(x),
    lambda x: np.where(x > 0.0),
    lambda x: np.allclose(x, x),
    lambda x: np.array_equal(x, x),
    lambda x: np.linalg.svd(x),
    lambda x: np.linalg.eig(x[:3, :3]),
    lambda x: np.fft.fft(x),
    lambda x: np.interp(0.5, x[0], XP),
    lambda x: np.sum(x, out=np.empty(())),
    lambda x: np.sum(x, dtype=np.float32),
    lambda x: np.percentile(x, 50),
    lambda x: np.histogram(x),
]


@pytest.mark.parametrize("use", REFUSED)
def test_what_is_refused_names_a_remedy(use):
    graph = fg.Graph()
    x = graph.input("x", shape=(3, 4))
    with pytest.raises(TypeError, match=r"np\.|fg\.") as caught:
        use(x)
    assert isinstance(caught.value, ExprError) and len(str(caught.value)) > 40


# -- ufuncs -----------------------------------------------------------------------------------------------------
UNARY = ["sin", "exp", "positive", "negative", "fabs", "conjugate", "deg2rad", "degrees", "radians", "rad2deg", "sign"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "fmin", "hypot", "arctan2", "power", "float_power",
          "floor_divide", "remainder", "greater", "logaddexp", "logaddexp2", "heaviside", "copysign"]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs(name):
    assert_as_numpy(getattr(np, name), X)


@pytest.mark.parametrize("name", BINARY)
def test_binary_ufuncs(name):
    ufunc = getattr(np, name)
    x, v = abs(X) + 0.1, abs(V[:4]) + 0.1
    assert_as_numpy(ufunc, x, v)
    assert_as_numpy(lambda x: ufunc(x, 0.5), x)
    assert_as_numpy(lambda x: ufunc(K, x), x)
    assert_as_numpy(lambda x, v: ufunc.outer(x, v), x, v)


@pytest.mark.parametrize(
    "name", ["add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "fmax", "hypot"]
)
def test_reductions_and_accumulations(name):
    ufunc = getattr(np, name)
    for axis in (0, 1, -1):
        assert_as_numpy(lambda x, axis=axis: ufunc.reduce(x, axis=axis), X)
        assert_as_numpy(lambda x, axis=axis: ufunc.accumulate(x, axis=axis), X)
    assert_as_numpy(lambda x: ufunc.reduce(x, axis=None, keepdims=True), X)


def test_empty_reductions():
    x = fg.Graph().input("x", shape=(2, 3))[:, :0]
    x.graph.output(np.sum(x, axis=1))
    x.graph.output(np.prod(x, axis=1, initial=3.0))
    sums, products = x.graph.compile()(np.ones((2, 3)))
    assert sums.tolist() == [0.0, 0.0] and products.tolist() == [3.0, 3.0]
    with pytest.raises(ValueError, match="no identity"):
        np.max(x, axis=1)


def test_matmul_of_every_kind():
    for a, b in itertools.product((V[:4], X, S), (V[:4], Y, S)):
        assert_as_numpy(np.matmul, a, b)
        assert_as_numpy(lambda a, b=b: a @ b, a)
    assert_as_numpy(lambda b: X @ b, Y)
    if hasattr(np, "vecdot"):
        assert_as_numpy(np.vecdot, X, K)


def test_out_and_where():
    graph = fg.Graph()
    x = graph.input("x", shape=4)
    out = x.copy()
    assert np.exp(x, out=out) is out
    np.sin(x, out=out, where=np.array([True, False, False, True]))
    graph.output(out)
    at = np.arange(4.0)
    expected = np.exp(at)
    expected[[0, 3]] = np.sin(at[[0, 3]])
    np.testing.assert_allclose(graph.compile()(at), expected, rtol=1e-15)
    for bad, error in (
        (lambda: np.exp(x, where=x > 0.0), ExprError),
        (lambda: np.exp(x, out=np.empty(4)), ExprError),
        (lambda: np.exp(x, out=x), ExprError),
        (lambda: np.exp(x, out=x[:2].copy()), fg.ShapeError),
        (lambda: np.add.at(x, [0], 1.0), ExprError),
        (lambda: np.subtract.reduce(x), ExprError),
        (lambda: np.modf(x), ExprError),
        (lambda: np.exp(x, dtype=np.float32), ExprError),
    ):
        with pytest.raises(error):
            bad()


def test_what_is_composed_of_ops_is_no_op():
    assert not set(numpy_ufuncs.COMPOSED) & set(numpy_ufuncs.OPS_OF_UFUNCS)


def test_one_expression_is_as_an_array_of_one():
    graph = fg.Graph()
    x = graph.input("x")
    assert np.shape(x) == () and type(np.sum(x)) is fg.Expr
    assert isinstance(np.stack([x, x]), ExprArray | np.ndarray) and np.where(x > 0.0, x, 1.0).graph is graph


# -- any shape ----------------------------------------------------------------------------------------------------
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
ALONG = [
    np.sum,
    np.max,
    np.mean,
    np.var,
    np.cumsum,
    np.cumprod,
    np.flip,
    np.diff,
    np.any,
    np.linalg.norm,
    np.std,
    np.ptp,
]
QUICKLY = settings(max_examples=40, deadline=None)


def shape_and_value(function, shape):
    """What a function gives of expressions of this shape, and of numbers: the same shape, and the same values."""
    x = np.random.default_rng(4).normal(size=shape)
    if function(x).size:
        assert_as_numpy(function, x)
    else:
        assert np.shape(function(fg.Graph().input(shape=shape))) == function(x).shape


@QUICKLY
@given(SHAPES, st.sampled_from(ALONG), st.data())
def test_functions_along_any_axis(shape, function, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    shape_and_value(lambda x: function(x, axis=axis) * 1.0, shape)


@QUICKLY
@given(SHAPES, st.data())
def test_reductions_over_any_axes(shape, data):
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(tuple))
    keepdims = data.draw(st.booleans())
    for function in (np.sum, np.prod, np.min, np.mean, np.all):
        shape_and_value(lambda x, f=function: f(x, axis=axes, keepdims=keepdims) * 1.0, shape)


@QUICKLY
@given(SHAPES, st.data())
def test_any_index(shape, data):
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    x = np.random.default_rng(4).normal(size=shape)
    if x[key].size:
        shape_and_value(lambda x: x[key] + 0.0, shape)


@QUICKLY
@given(SHAPES, st.data())
def test_any_shape_and_order(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    n = int(np.prod(shape))
    new = data.draw(st.sampled_from([(n,), (1, n), (n, 1), tuple(reversed(shape))]))
    shape_and_value(lambda x: np.transpose(x, order).reshape(new) * 2.0, shape)
    shape_and_value(lambda x: np.concatenate([x, 2.0 * x], axis=order[0]), shape)
    shape_and_value(lambda x: np.stack([x, x + 1.0], axis=-1), shape)


@QUICKLY
@given(hnp.mutually_broadcastable_shapes(signature="(m,n),(n,p)->(m,p)", max_dims=2, max_side=3))
def test_any_product_of_matrices(shapes):
    x, y = (np.random.default_rng(k).normal(size=s) for k, s in enumerate(shapes.input_shapes))
    if x.size and y.size:
        assert_as_numpy(np.matmul, x, y)
        assert_as_numpy(lambda x, y: np.einsum("...mn,...np->...mp", x, y), x, y)


# -- small systems ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_systems_that_need_pivots(n):
    """A zero, and a small number, where elimination without a choice of rows would begin."""
    rng = np.random.default_rng(n)
    for first in (0.0, 1e-17, 1.0):
        a = rng.normal(size=(n, n)) + np.eye(n)
        a[0, 0] = first if n > 1 else 2.0
        b = rng.normal(size=n)
        graph = fg.Graph()
        x, y = graph.input("a", (n, n)), graph.input("b", n)
        graph.output(np.linalg.solve(x, y))
        graph.output(np.linalg.det(x))
        solution, determinant = graph.compile()(a, b)
        np.testing.assert_allclose(a @ solution, b, atol=1e-11 * np.abs(solution).max())
        np.testing.assert_allclose(determinant, np.linalg.det(a), rtol=1e-11)


def test_gradient_of_a_determinant_is_its_adjugate():
    graph = fg.Graph()
    graph.output(np.log(np.abs(np.linalg.det(graph.input("a", (4, 4))))))
    np.testing.assert_allclose(graph.compile().grad(S[0]), np.linalg.inv(S[0]).T, rtol=1e-11)


def test_large_systems_are_refused():
    x = fg.Graph().input("x", (40, 40))
    for use in (np.linalg.inv, np.linalg.det, np.linalg.cholesky, lambda x: np.linalg.solve(x, np.ones(40))):
        with pytest.raises(ExprError, match="at most 32"):
            use(x)


@pytest.mark.long
def test_products_of_large_matrices():
    graph = fg.Graph()
    graph.output(graph.input("a", (256, 256)) @ graph.input("b", (256, 256)))
    f = graph.compile()
    a, b = np.random.default_rng(0).normal(size=(2, 256, 256))
    assert f.program.n_operations == 256 * 256 * 511
    np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-11, atol=1e-12)
