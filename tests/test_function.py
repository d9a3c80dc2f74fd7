"""Function: arguments are bound and broadcast, results shaped; whatever is wrong is said by a typed error."""

import math

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, FastgraphError, ShapeError
from tests.bits import assert_same_bits

# -- arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ((2.0, 3.0, 1.0), {}),
        ((2.0, 3.0), {"c": 1.0}),
        ((2.0,), {"c": 1.0, "b": 3.0}),
        ((), {"c": 1.0, "a": 2.0, "b": 3.0}),
    ],
)
def test_by_position_and_by_name(f, args, named):
    assert f(*args, **named) == 10.0
    y, gradient = f.value_and_grad(*args, **named)
    assert y == 10.0 and tuple(gradient) == (2.0, 7.0, -5.0) and gradient._fields == ("a", "b", "c")
    assert tuple(f.grad(*args, **named)) == (2.0, 7.0, -5.0)


@pytest.mark.parametrize(
    "number", [2, 2.0, True, np.float64(2), np.float32(2), np.int8(2), np.bool_(True), np.array(2.0), np.longdouble(2)]
)
def test_scalars_of_any_kind(f, number):
    y = f(number, 3.0, 1.0)
    assert type(y) is np.float64 and y == (float(number) + 3.0) * 2.0
    assert [type(g) for g in f.grad(number, 3, 1)] == [np.float64] * 3


@pytest.mark.parametrize(
    ("args", "named", "message"),
    [
        ((), {}, "misses a, b, c"),
        ((1.0, 2.0), {}, "misses c"),
        ((1.0, 2.0, 3.0, 4.0), {}, "takes 3 arguments .a, b, c., but 4"),
        ((1.0, 2.0, 3.0), {"a": 1.0}, "two values for 'a'"),
        ((1.0, 2.0, 3.0), {"d": 1.0}, "no argument 'd'; it has a, b, c"),
        ((1.0, 2.0), {"C": 1.0}, "no argument 'C'"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "grad", "value_and_grad"])
def test_wrong_arguments(f, method, args, named, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        getattr(f, method)(*args, **named)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, FastgraphError)
    assert "'f'" in str(caught.value)


NO_NUMBERS = [
    None,
    "1",
    b"1",
    1j,
    np.complex64(1),
    [None],
    ["a"],
    {},
    object(),
    np.array(["2020"], "M8[Y]"),
    np.array([1j]),
    lambda: 1,
    np.array([(1, 2)], "i4,f8"),
    {1.0},
    np.timedelta64(1, "s"),
]


@pytest.mark.parametrize(
    "bad", NO_NUMBERS, ids=lambda v: type(v).__name__ + (str(v.dtype) if isinstance(v, np.ndarray) else "")
)
def test_arguments_that_are_no_real_numbers(f, bad):
    for call in (f, f.grad):
        with pytest.raises(ArgumentError, match="got b"):
            call(1.0, bad, 2.0)


def test_integers_too_large_for_a_float(f):
    for big in (10**400, -(10**309), [10**400]):
        with pytest.raises(FastgraphError):
            f(1.0, big, 2.0)
    assert f(1.0, 10**20, 2.0) == (1.0 + 1e20) * (1e20 - 2.0)


def test_an_expression_is_an_argument_of_calls_only(f):
    """A call records; what computes has no use for it."""
    x = fg.Graph().input("x")
    assert type(f(1.0, x, 2.0)) is fg.Expr
    for use in (lambda: f.value_and_grad(1.0, x, 2.0), lambda: f.grad(1.0, x, 2.0), lambda: f.jvp((1.0, x, 2.0), x)):
        with pytest.raises(ArgumentError):
            use()


def test_masked_arrays(f):
    whole = np.ma.array([1.0, 2.0], mask=[False, False])
    assert f(whole, 1.0, 0.0).tolist() == [2.0, 3.0] and type(f(whole, 1.0, 0.0)) is np.ndarray
    with pytest.raises(ArgumentError, match="masked"):
        f(np.ma.array([1.0, 2.0], mask=[False, True]), 1.0, 0.0)


@pytest.mark.parametrize("ragged", [[[1.0, 2.0], [3.0]], [1.0, [2.0]]])
def test_ragged_lists(f, ragged):
    with pytest.raises(FastgraphError):
        f(ragged, 1.0, 2.0)


# -- dtypes and layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f8", "<f8", ">f4", "g", "i1", "u1", "i4", ">i4", "i8", "u8", "?"]
)
def test_dtypes(f, dtype):
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    y, gradient = f.value_and_grad(values, 2.0, 5.0)
    assert_same_bits(y, (values.astype(float) + 2.0) * -3.0)
    assert y.dtype == np.float64 and all(g.dtype == np.float64 and g.dtype.isnative for g in gradient)


def test_misaligned_and_subclasses_and_buffers(f):
    raw = bytearray(8 * 5 + 1)
    odd = np.frombuffer(raw, np.float64, 5, 1)
    odd[:] = range(5)
    assert not odd.flags.aligned
    expected = (np.arange(5.0) + 2.0) * 1.0

    class Mine(np.ndarray):
        pass

    class Array:
        def __array__(self, dtype=None, copy=None):
            return np.arange(5.0)

    readonly = np.arange(5.0)
    readonly.flags.writeable = False
    for values in (odd, np.arange(5.0).view(Mine), Array(), memoryview(np.arange(5.0)), list(range(5)), readonly):
        assert f(values, 2.0, 1.0).tolist() == expected.tolist()
        assert type(f(values, 2.0, 1.0)) is np.ndarray


def test_structured_fields_as_columns(f):
    table = np.zeros(4, np.dtype([("tag", "i1"), ("a", "f8"), ("b", "f8"), ("c", "f8")], align=True))
    table["a"], table["b"], table["c"] = np.arange(4.0), 2.0, np.arange(4.0) * 0.5
    assert f(table["a"], table["b"], table["c"]).tolist() == ((table["a"] + 2.0) * (2.0 - table["c"])).tolist()


def test_arguments_are_not_changed(f):
    x = np.arange(9.0)
    kept = x.copy()
    f.value_and_grad(x, x, x)
    assert (x == kept).all()


# -- broadcasting -------------------------------------------------------------------------------------------

SHAPES = [(), (1,), (3,), (4, 1), (4, 3), (2, 1, 3), (2, 4, 1), (1, 1, 1), (0,), (0, 3), (4, 0)]


@pytest.mark.parametrize("p", SHAPES)
@pytest.mark.parametrize("q", SHAPES)
def test_batches_broadcast_as_those_of_numpy(f, p, q):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=p), rng.normal(size=q)
    try:
        shape = np.broadcast(a, b).shape
    except ValueError:
        with pytest.raises(ShapeError, match="do not broadcast") as caught:
            f(a, b, 1.0)
        assert isinstance(caught.value, ValueError)
        return
    y, gradient = f.value_and_grad(a, b, 1.0)
    assert_same_bits(y, (a + b) * (b - 1.0))
    assert_same_bits(f(a, b, 1.0), y)
    assert [g.shape for g in gradient] == [shape] * 3
    assert_same_bits(gradient.c, np.broadcast_to(-(a + b), shape))


def test_declared_shapes(vector):
    x, t, k = np.arange(3.0), 2.0, np.array([[1.0, 2.0], [3.0, 4.0]])
    y = vector(x, t, k)
    assert (
        y._fields == ("u", "v")
        and y.u.tolist() == [2.0, 4.0, 6.0]
        and type(y.v) is np.float64
        and y.v == 5.0 - 3.0 + 2.0
    )
    batched = vector(np.stack([x] * 5), np.arange(4.0)[:, None], k)
    assert batched.u.shape == (4, 5, 3) and batched.v.shape == (4, 5)
    assert (batched.u[3, 2] == x * 3.0 + 2.0).all() and batched.v[1, 0] == 3.0


@pytest.mark.parametrize("shape", [(), (2,), (4,), (1,), (3, 1), (5, 2), (3, 4)])
def test_declared_shapes_are_not_broadcast(vector, shape):
    with pytest.raises(
        ShapeError, match=r"got x with shape .*: its last axis must be 3 \(x was declared with shape \(3,\)"
    ):
        vector(np.ones(shape), 1.0, np.ones((2, 2)))
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        vector(np.ones(3), 1.0, np.ones(shape))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_batches(weighted, shape):
    x = np.empty((*shape, 2))
    y, gradient = weighted.value_and_grad(x, 1.0, 2.0)
    assert y.shape == shape and gradient.x.shape == (*shape, 2) and gradient.t.shape == shape
    assert weighted(x, 1.0, 2.0).shape == shape
    assert weighted.flat(np.empty((*shape, 3)), k=1.0).shape == shape


def test_special_values_go_through(f):
    values = np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308])
    with np.errstate(all="ignore"):
        expected = (values + 1.0) * (1.0 - values)
    with np.errstate(all="raise"):
        assert_same_bits(f(values, 1.0, values), expected)
        assert_same_bits(np.array([f(v, 1.0, v) for v in values]), expected)


# -- gradients ----------------------------------------------------------------------------------------------


def test_default_wrt_leaves_parameters_out(weighted):
    y, gradient = weighted.value_and_grad([2.0, 3.0], 0.5, 4.0)
    assert y == 19.0 and gradient._fields == ("x", "t")
    assert gradient.x.tolist() == [1.5, 1.0] and gradient.t == 8.0


@pytest.mark.parametrize(
    ("wrt", "expected"),
    [
        ("t", 8.0),
        ("k", 6.0),
        (("t",), (8.0,)),
        (["k", "t"], (6.0, 8.0)),
        (("t", "k"), (8.0, 6.0)),
        (iter(["k"]), (6.0,)),
    ],
)
def test_wrt(weighted, wrt, expected):
    one = isinstance(wrt, str)
    gradient = weighted.grad([2.0, 3.0], 0.5, 4.0, wrt=wrt)
    assert (gradient if one else tuple(gradient)) == expected
    assert type(gradient) is np.float64 if one else hasattr(gradient, "_fields")


def test_wrt_of_a_batch_and_a_shape(weighted):
    gradient = weighted.grad(np.ones((5, 2)), np.arange(5.0), 1.0, wrt=("x", "k"))
    assert (
        gradient.x.shape == (5, 2)
        and (gradient.x == np.arange(5.0)[:, None]).all()
        and gradient.k.tolist() == [1.0] * 5
    )
    assert weighted.grad(np.ones((5, 2)), 2.0, 1.0, wrt="x").shape == (5, 2)


@pytest.mark.parametrize("wrt", ["q", ("x", "q"), ("x", "x"), (), [], 3, ("x", 3), b"x", (None,), [["x"]]])
def test_wrong_wrt(weighted, wrt):
    with pytest.raises(ArgumentError, match="wrt"):
        weighted.grad([1.0, 2.0], 1.0, 1.0, wrt=wrt)


def test_several_outputs_have_no_gradient(vector):
    for method in (vector.grad, vector.value_and_grad, vector.flat.grad, vector.flat.value_and_grad):
        with pytest.raises(ArgumentError, match="exactly one scalar output.*declare one output"):
            method(np.ones(3), 1.0, np.ones((2, 2))) if method in (vector.grad, vector.value_and_grad) else method(
                np.ones(4), k=np.ones((2, 2))
            )


def test_an_array_output_has_no_gradient():
    graph = fg.Graph()
    x = graph.input("x", shape=1)
    graph.output(x * 2.0)
    with pytest.raises(ArgumentError, match="exactly one scalar output"):
        graph.compile().grad([1.0])


def test_parameters_alone():
    graph = fg.Graph()
    k = graph.parameter("k")
    graph.output(k * k)
    g = graph.compile()
    with pytest.raises(ArgumentError, match="no inputs"):
        g.grad(2.0)
    assert g.grad(2.0, wrt="k") == 4.0
    with pytest.raises(ArgumentError):
        g.flat.grad(np.empty(0), k=2.0)
    assert g.flat(np.empty(0), k=2.0) == 4.0
