"""``out=``: results land in the given arrays, whatever their layout, even where they overlap the arguments."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, FastgraphError, ShapeError
from tests.bits import assert_same_bits

X = np.random.default_rng(3).normal(size=(40, 3))


@pytest.fixture(scope="module")
def f():
    """(x (3,), t) -> one output (3,)."""
    graph = fg.Graph("f")
    x, t = graph.input("x", shape=3), graph.input("t")
    graph.output(fg.sin(x) * t + x[::-1])
    return graph.compile()


@pytest.fixture(scope="module")
def two():
    graph = fg.Graph("two")
    x, y = graph.inputs("x", "y")
    graph.output(x + y, name="sum")
    graph.output(x - y, name="difference")
    return graph.compile()


@pytest.fixture(scope="module")
def scalar():
    graph = fg.Graph("scalar")
    x, y = graph.inputs("x", "y")
    graph.output(x / (1.0 + y * y))
    return graph.compile()


LAYOUTS = {
    "C": lambda shape: np.full(shape, 7.0),
    "Fortran": lambda shape: np.full(shape, 7.0, order="F"),
    "strided": lambda shape: np.full((2 * shape[0], 3 * shape[1]), 7.0)[::2, ::3],
    "reversed": lambda shape: np.full(shape, 7.0)[::-1, ::-1],
    "transposed": lambda shape: np.full(shape[::-1], 7.0).T,
    "offset": lambda shape: np.full((shape[0] + 3, shape[1] + 1), 7.0)[3:, 1:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(f, layout):
    out = LAYOUTS[layout](X.shape)
    assert f(X, 2.0, out=out) is out
    assert_same_bits(out, f(X, 2.0))
    assert f.flat(np.c_[X, np.full(40, 2.0)], out=out) is out
    assert_same_bits(out, f(X, 2.0))


def test_nothing_beside_the_view_is_written(f):
    whole = np.full((83, 10), 7.0)
    f(X, 2.0, out=whole[1:81:2, 1:10:3])
    touched = np.zeros(whole.shape, bool)
    touched[1:81:2, 1:10:3] = True
    assert (whole[~touched] == 7.0).all() and (whole[touched] != 7.0).all()


def test_n_d_batches_without_a_common_stride(scalar):
    x = np.random.default_rng(1).normal(size=(5, 6, 7))
    for out in (
        np.empty((7, 6, 5)).transpose(2, 1, 0),
        np.empty((5, 6, 14))[:, :, ::2],
        np.empty((6, 5, 7)).transpose(1, 0, 2),
    ):
        assert scalar(x, 2.0, out=out) is out
        assert_same_bits(out, x / 5.0)


def test_zero_dimensional(scalar):
    out = np.empty(())
    assert scalar(3.0, 2.0, out=out) is not None
    assert out == 0.6
    assert scalar(np.array(3.0), 2.0, out=(out,)) is not None


def test_several_outputs(two):
    x, y = np.arange(5.0), np.ones(5)
    outs = np.empty(5), np.empty(5)
    result = two(x, y, out=outs)
    assert result.sum is outs[0] and result.difference is outs[1]
    assert outs[0].tolist() == (x + 1).tolist() and outs[1].tolist() == (x - 1).tolist()
    block = np.empty((5, 2))
    two(x, y, out=[block[:, 0], block[:, 1]])
    assert (block == np.c_[x + 1, x - 1]).all()


@pytest.mark.parametrize("shift", [0, 1, -1, 7])
def test_out_that_overlaps_an_argument(scalar, shift):
    """As if the arguments had been copied first."""
    for threads in (1, 2):
        buffer = np.random.default_rng(2).normal(size=5000)
        kept = buffer.copy()
        x, out = buffer[10:4010], buffer[10 + shift : 4010 + shift]
        expected = scalar(kept[10:4010], 0.5)
        scalar(x, 0.5, out=out, threads=threads)
        assert_same_bits(out, expected)
    backwards = np.random.default_rng(2).normal(size=100)
    expected = scalar(backwards, 0.5)
    scalar(backwards, 0.5, out=backwards[::-1])
    assert_same_bits(backwards[::-1], expected)


def test_out_that_overlaps_a_uniform_argument(scalar):
    buffer = np.arange(1.0, 101.0)
    expected = scalar(buffer, 1.0)
    scalar(buffer.copy(), buffer[:1], out=buffer)
    assert_same_bits(buffer, expected)


def test_outs_that_overlap_each_other(two):
    """The later one wins, as it does when results are assigned one after the other."""
    out = np.empty(6)
    two(np.arange(5.0), 1.0, out=(out[:5], out[1:]))
    assert out[1:].tolist() == (np.arange(5.0) - 1.0).tolist() and out[0] == 1.0


def test_out_of_flat_overlaps_its_argument(f):
    x = np.c_[X, np.full(40, 2.0)]
    expected = f.flat(x)
    f.flat(x, out=x[:, 1:])
    assert_same_bits(x[:, 1:], expected)


def test_out_of_flat_variables_first(f):
    x = np.ascontiguousarray(np.c_[X, np.full(40, 2.0)].T)
    for out in (np.empty((3, 40)), np.empty((40, 3)).T):
        assert f.flat(x, axis=0, out=out) is out
        assert_same_bits(out.T, f(X, 2.0))
    with pytest.raises(ShapeError):
        f.flat(x, axis=0, out=np.empty((40, 3)))


READONLY = np.empty((40, 3))
READONLY.flags.writeable = False
MISALIGNED = np.frombuffer(bytearray(8 * 120 + 1), np.float64, 120, 1).reshape(40, 3)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((40, 2)), ShapeError),
        (np.empty((3, 40)), ShapeError),
        (np.empty(40), ShapeError),
        (np.empty((1, 40, 3)), ShapeError),
        (np.empty((40, 3), np.float32), ArgumentError),
        (np.empty((40, 3), ">f8"), ArgumentError),
        (np.empty((40, 3), int), ArgumentError),
        (np.empty((40, 3), object), ArgumentError),
        (np.empty((40, 3), complex), ArgumentError),
        (READONLY, ArgumentError),
        (np.broadcast_to(np.empty(3), (40, 3)), ArgumentError),
        (MISALIGNED, ArgumentError),
        ((np.empty((40, 3)), np.empty((40, 3))), ArgumentError),
        ((), ArgumentError),
        (X.tolist(), ArgumentError),
        ("out", ArgumentError),
        (3.0, ArgumentError),
        ({"y": np.empty((40, 3))}, ArgumentError),
        (np.ma.array(np.empty((40, 3)), mask=True), ArgumentError),
    ],
    ids=lambda v: f"{type(v).__name__} {v.dtype} {v.shape}" if isinstance(v, np.ndarray) else type(v).__name__,
)
def test_outs_that_do_not_fit(f, out, error):
    for call in (lambda: f(X, 2.0, out=out), lambda: f.flat(np.c_[X, X[:, :1]], out=out)):
        with pytest.raises(FastgraphError) as caught:
            call()
        assert isinstance(caught.value, error)


def test_a_refused_call_writes_nothing(f):
    out = np.full((40, 3), 7.0)
    for args in ((X, "t"), (X[:, :2], 1.0), (X, np.ones(39))):
        with pytest.raises(FastgraphError):
            f(*args, out=out)
    assert (out == 7.0).all()


def test_empty_batch(f):
    out = np.empty((0, 3))
    assert f(np.empty((0, 3)), 1.0, out=out) is out
