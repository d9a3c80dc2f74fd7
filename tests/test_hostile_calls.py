"""Calls that nobody should make and some that people do: the right answer, or an error that says what to change."""

import gc
import weakref

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.program import DTYPES
from tests.bits import assert_same_bits

EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def product(request):
    graph = fg.Graph("product")
    x, y = graph.inputs("x", "y")
    graph.output(x * y)
    return graph.compile(dtype=request.param)


# -- sizes --------------------------------------------------------------------------------------------------


def calls(f, x, **options):
    """Every way to sweep ``f`` over x."""
    yield lambda: f(x, 2.0, **options)
    yield lambda: f.value_and_grad(x, 2.0, **options)
    yield lambda: f.vjp((x, 2.0), 1.0, **options)
    yield lambda: f.flat(np.broadcast_to(x[..., None], (*x.shape, 2)), **options)


def test_more_sets_than_fit_in_memory(product):
    out = np.full(3, 7.0, product.dtype)
    for kind in ("f8", "i1", "f2"):
        x = np.broadcast_to(np.ones((), kind), 10**12)
        for call in calls(product, x):
            with pytest.raises(MemoryError):
                call()
        with pytest.raises(ShapeError, match=r"out for y0 has shape \(3,\)|Unable to allocate"):
            product(np.broadcast_to(1.0, 10**12), 2.0, out=out)
    assert (out == 7.0).all()


@pytest.mark.parametrize("shapes", [((2**60,), ()), ((2**40, 1), (1, 2**40)), ((2**31, 1), (2**31,))])
def test_more_sets_than_can_be(product, shapes):
    """Told apart from shapes that do not fit; also where nothing as large as the batch would be made."""
    x, y = (np.broadcast_to(np.int8(1), shape) for shape in shapes)
    for options in ({}, {"reduce": "sum"}):
        for call in (
            lambda options=options: product(x, y, **options),
            lambda options=options: product.value_and_grad(x, y, **options),
            lambda options=options: product.vjp((x, y), 1.0, **options),
        ):
            with pytest.raises(
                ShapeError, match=r"'product': the batch shapes x \(.*\) broadcast to more than \d+ sets"
            ):
                call()


def test_too_many_axes(product):
    for call in calls(product, np.ones((1,) * 40)):
        with pytest.raises(ShapeError, match="too many axes"):
            call()
    assert product(np.ones((1,) * 20), np.ones((1,) * 30)).shape == (1,) * 30


@EVERY_DTYPE
def test_a_hundred_thousand_leaves(dtype):
    graph = fg.Graph()
    x, t = graph.input("x", shape=100_000), graph.parameter("t")
    graph.output(fg.sum(x * t))
    f = graph.compile(dtype=dtype)
    for batch in ((), (1,), (3,), (40,), (2, 3), (0,)):
        # Sums of so few so small integers are exact, in float32 too.
        values = np.random.default_rng(0).integers(-9, 9, (*batch, 100_000)).astype(np.float64)
        y, g = f.value_and_grad(values, 2.0)
        assert_same_bits(y, (2.0 * values.sum(-1)).astype(dtype))
        assert_same_bits(g, np.full(values.shape, 2.0, dtype))
        total, summed = f.value_and_grad(values, 2.0, reduce="sum")
        assert total == 2.0 * values.sum() and (summed == 2.0 * np.prod(batch, dtype=int)).all()
        assert_same_bits(f.flat.grad(np.moveaxis(values, -1, 0), axis=0, t=2.0), np.moveaxis(g, -1, 0))


@EVERY_DTYPE
def test_a_chain(dtype):
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x
    for _ in range(30_000):
        z = z * 0.5 + y
    graph.output(z)
    f = graph.compile(dtype=dtype)
    points = np.linspace(-1.0, 1.0, 40)
    one, g = f.value_and_grad(points, 1.0)
    assert (one == 2.0).all() and (g.x == 0.0).all() and (g.y == 2.0).all()
    assert f.grad(points, 1.0, reduce="sum") == (0.0, 80.0)


@EVERY_DTYPE
def test_only_parameters(dtype):
    graph = fg.Graph()
    a, b = graph.parameter("a"), graph.parameter("b", shape=2)
    graph.output(a * b[1])
    f = graph.compile(dtype=dtype)
    for call in (f.grad, f.value_and_grad, lambda *args: f.vjp(args, 1.0)):
        with pytest.raises(ArgumentError, match="no inputs: name the parameters"):
            call(1.0, [1.0, 2.0])
    a = np.arange(9.0)
    y, g = f.value_and_grad(a, [1.0, 2.0], wrt=("b", "a"))
    assert_same_bits(y, (2.0 * a).astype(dtype))
    assert_same_bits(g.b, np.stack([0.0 * a, a], -1).astype(dtype))
    assert f.grad(a, [1.0, 2.0], wrt="b", reduce="sum").tolist() == [0.0, 36.0]
    assert_same_bits(f.flat(np.empty((9, 0)), a=a, b=[1.0, 2.0]), y)


# -- what is given ------------------------------------------------------------------------------------------


def test_sequences(product):
    assert product([1, 2.5, True], (1, 2, 3)).tolist() == [1.0, 5.0, 3.0]
    assert product(range(3), [[1], [2]]).tolist() == [[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]]
    assert product([], 2.0).shape == (0,) and product([[], []], 2.0).shape == (2, 0)
    assert [g.tolist() for g in product.grad([1, 2], 3)] == [[3.0, 3.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.array([1.0, 2.0], object), "object array of float"),
        (np.array([None, 2.0]), "object array of NoneType"),
        (np.array([1, 2, None]), "object array of NoneType"),
        (np.array([1, 2], object), "object array of int"),
        ([1, 2**70], "int, too large for a float64"),
        ((v for v in (1.0,)), "generator"),
        (np.array([1j]), "complex128"),
        (np.array(["1"]), "U1"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked array for x: fill or drop"),
        (np.array(["2020"], "M8[D]"), "datetime64"),
        (np.zeros(2, "f8,i4"), r"got x of type"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_no_number(product, bad, said):
    for call in (
        lambda: product(bad, 1.0),
        lambda: product.grad(bad, 1.0, reduce="sum"),
        lambda: product.vjp((bad, 1.0), 1.0),
    ):
        with pytest.raises(ArgumentError, match=said) as caught:
            call()
        assert "'product'" in str(caught.value) and "x" in str(caught.value)


def test_bools_of_any_byte_are_0_or_1(product):
    """An image of 0 and 255 viewed as bool: what NumPy takes for true is 1 in every batch."""
    mask = np.array([0, 255, 1, 2] * 30, np.uint8).view(np.bool_)
    for n in (1, 2, 3, 17, 120):
        assert_same_bits(product(mask[:n], 1.0), mask[:n].astype(product.dtype))
        assert product(mask[:n], 1.0, reduce="sum") == np.count_nonzero(mask[:n])


def test_signalling_nans_say_nothing(product):
    for n in (1, 2, 3, 40):
        for bits, kind in ((0x7F800001, np.float32), (0x7FF0000000000001, np.float64), (0x7C01, np.float16)):
            x = np.full(n, bits, {2: np.uint16, 4: np.uint32, 8: np.uint64}[np.dtype(kind).itemsize]).view(kind)
            assert np.isnan(product(x, 1.0)).all() and np.isnan(product(x, 1.0, reduce="sum"))


# -- out ----------------------------------------------------------------------------------------------------


def test_out_of_another_precision(product):
    wrong = {8: np.float32, 4: np.float64}[product.dtype.itemsize]
    x = np.ones(3)
    for call in (
        lambda out: product(x, 1.0, out=out),
        lambda out: product.flat(np.ones((3, 2)), out=out),
        lambda out: product.value_and_grad(x, 1.0, out=(out, (out, out))),
        lambda out: product.vjp((x, 1.0), 1.0, out=(out, (out, out))),
    ):
        with pytest.raises(
            ArgumentError, match=rf"out for .* must be a {product.dtype} array, not ndarray of {np.dtype(wrong)}"
        ):
            call(np.full(3, 7.0, wrong))


@pytest.mark.parametrize("form", ["array", "dict", "none", "short", "scalar"])
def test_out_of_another_form(product, form):
    a = np.full(3, 7.0, product.dtype)
    out = {
        "array": a,
        "dict": (a, {"x": a, "y": a}),
        "none": (None, None),
        "short": (a, (a,)),
        "scalar": (1.0, (2.0, 3.0)),
    }[form]
    for call in (product.value_and_grad, lambda x, y, out: product.vjp((x, y), 1.0, out=out)):
        with pytest.raises(ArgumentError, match="out"):
            call(np.ones(3), 1.0, out=out)
    assert (a == 7.0).all()


@pytest.mark.parametrize("n", [1, 2, 3, 50, 3000])
def test_overlap_of_out_and_arguments_of_other_types(product, n):
    """As if the arguments had been copied first: shifted, reversed, and where the bytes are those of integers."""
    wide = np.arange(1.0, 2 * n + 1).astype(product.dtype)
    for source, target in [
        (slice(0, n), slice(1, n + 1)),
        (slice(1, n + 1), slice(0, n)),
        (slice(0, n), slice(n - 1, None, -1)),
        (slice(0, 2 * n, 2), slice(0, n)),
    ]:
        buffer = wide.copy()
        expected = wide[source][:n] * 3
        product(buffer[source][:n], 3.0, out=buffer[target][:n])
        assert_same_bits(buffer[target][:n], expected, (source, target))
        buffer = wide.copy()
        one = np.empty_like(expected)
        product.value_and_grad(buffer[source][:n], 3.0, out=(buffer[target][:n], (one, buffer[n:].copy()[:n])))
        assert_same_bits(buffer[target][:n], expected)
        assert (one == 3.0).all()
    integers = np.arange(n, dtype=f"i{product.dtype.itemsize}")
    expected = (integers * 2.0).astype(product.dtype)
    product(integers, 2.0, out=integers.view(product.dtype))
    assert_same_bits(integers.view(product.dtype), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 40, 5000])
def test_nothing_is_kept_of_a_call(product, n):
    """What was given, and what it is a view of, can be freed as soon as the call is over."""

    class Array(np.ndarray):
        pass

    def kept(call):
        big = np.ones(20_000, product.dtype).view(Array)
        there = weakref.ref(big)
        call(big)
        del big
        if there() is not None:  # in a cycle, perhaps; to collect takes a while after many tests
            gc.collect()
        return there() is not None

    other = np.ones(n)
    for name, call in {
        "argument": lambda big: product(big[:n], 1.0),
        "gradient": lambda big: product.value_and_grad(other, big[:n]),
        "cotangent": lambda big: product.vjp((other, 1.0), big[:n]),
        "sum": lambda big: product.grad(big[:n], 1.0, reduce="sum"),
        "out": lambda big: product(other, 1.0, out=big[:n]),
        "flat": lambda big: product.flat.value_and_grad(big[: 2 * n].reshape(n, 2)),
    }.items():
        assert not kept(call), name


# -- batches of several axes --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3), (3, 33), (40, 7), (5, 1, 9), (4, 6, 130), (2, 3, 4, 5)])
def test_arguments_that_broadcast_over_different_axes(product, shape):
    """Every choice of axes each argument has, in C order, Fortran order and backwards; summed, too."""
    rng = np.random.default_rng(len(shape))
    for given in range(4 ** len(shape)):
        sizes = [tuple(n if given >> (2 * k + j) & 1 else 1 for k, n in enumerate(shape)) for j in (0, 1)]
        x, y = (rng.normal(size=size).astype(product.dtype) for size in sizes)
        x, y = ((x, y), (np.asfortranarray(x), y[..., ::-1]), (x[::-1], np.asfortranarray(y)))[given % 3]
        batch = np.broadcast_shapes(*sizes)
        value, gradient = product.value_and_grad(x, y)
        assert_same_bits(value, x * y)
        assert_same_bits(gradient.x, np.broadcast_to(y, batch))
        assert_same_bits(gradient.y, np.broadcast_to(x, batch))
        out = np.empty(batch, product.dtype)
        assert_same_bits(product(x, y, out=out), value)
        whole = [np.ascontiguousarray(np.broadcast_to(v, batch)) for v in (x, y)]
        _, back = product.vjp((x, y), y)
        assert_same_bits(back.x, whole[1] * whole[1])
        assert_same_bits(product(x, y, reduce="sum"), product(*whole, reduce="sum"))
