"""Few sets: the way through ready buffers gives the bits and shapes of the way through the caller's arrays."""

import threading

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.engine.workspace import Few, OneSet
from tests.bits import assert_same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 256, 257, 1024, 1025)


def quietly(done, total):
    """A progress callback: a call that has one takes the general way."""


@pytest.fixture(scope="module")
def shaped():
    """(x (2,), k parameter, t) -> y (2,), z."""
    graph = fg.Graph()
    x, k, t = graph.input("x", shape=2), graph.parameter("k"), graph.input("t")
    graph.output(fg.exp(x) * k + t, name="y")
    graph.output(x[0] * t, name="z")
    return graph.compile()


@pytest.fixture(scope="module")
def scalar():
    graph = fg.Graph()
    x, k = graph.input("x", shape=2), graph.parameter("k")
    graph.output(fg.tanh(x[0]) * k + x[1] / k)
    return graph.compile()


@pytest.mark.parametrize("seed", range(12))
def test_flat(seed):
    options = {"n_ops": 200, "ops": ARITHMETIC} if seed % 2 else {"n_ops": 20}
    f = record(Seeded(seed), n_inputs=3, **options).compile()
    x = input_sets(seed, 3, SIZES[-1])
    for n in SIZES:
        rows = np.ascontiguousarray(x[:, :n].T)
        expected = f.flat.value_and_grad(rows, progress=quietly)
        assert_same_bits(f.flat(rows), expected[0])
        for axis, given in ((-1, rows), (0, np.ascontiguousarray(rows.T)), (-1, rows[::-1][::-1]), (0, rows.T)):
            y, g = f.flat.value_and_grad(given, axis=axis)
            assert_same_bits(y, expected[0])
            assert_same_bits(g if axis else g.T, expected[1])
            assert g.flags.c_contiguous and g.flags.writeable
        given = rows.copy()
        out = np.empty(n), given  # over the arguments themselves
        y, g = f.flat.value_and_grad(given, out=out)
        assert y is out[0] and g is given
        assert_same_bits(y, expected[0])
        assert_same_bits(g, expected[1])
        assert_same_bits(f.flat(rows, out=out[0][::-1]), expected[0])
        columns = f.value_and_grad(*x[:, :n])
        assert_same_bits(columns[0], expected[0])
        assert_same_bits(np.stack(columns[1], -1), expected[1])


@pytest.mark.parametrize("seed", range(4))
def test_one_by_one_or_tiles(seed):
    """How many sets are swept one by one changes no bit."""
    f = record(Seeded(seed), n_inputs=3, n_ops=40).compile()
    x = input_sets(seed, 3, 16)
    expected = f.flat.value_and_grad(x, axis=0, progress=quietly)
    for singles in (1, 3, 7):
        f.sweeper.__dict__.update(singles=[singles, singles])
        f.sweeper.__dict__.pop("_lanes_of_few", None)
        for n in (2, 3, 4, 7, 8):
            is_one = isinstance(f.sweeper.few(n)[0].workspace, OneSet)
            assert is_one == (n <= singles)
            y, g = f.flat.value_and_grad(x[:, :n], axis=0)
            assert_same_bits(y, expected[0][:n])
            assert_same_bits(g, expected[1][:, :n])
            assert_same_bits(f.flat(x[:, :n], axis=0), expected[0][:n])


def test_a_tile_is_worth_more_sets_the_more_there_is_to_do():
    def singles(n_ops, function):
        graph = fg.Graph()
        x, y = graph.inputs("x", "y")
        terms = [function(x + float(k)) + y for k in range(n_ops)]
        graph.output(fg.sum(terms))
        return graph.compile().sweeper.singles

    assert singles(3, fg.square) == [1, 1]
    assert singles(1000, fg.square) == [1, 1]
    assert 2 <= min(singles(1000, fg.exp)) <= max(singles(1000, fg.exp)) < Few.LANES[0]  # eight of a run at once


@pytest.mark.parametrize("function", [fg.square, fg.exp])
def test_what_does_not_vary_is_done_once(function):
    """Directions at one point: as one call for each, bit by bit, though the point's numbers come from a head."""
    graph = fg.Graph()
    x, k = graph.input("x", shape=60), graph.input("k")
    terms = [function(x[i % 60] - x[(i + 7) % 60] * 0.01 * i) for i in range(400)]
    graph.output(k * fg.sum(terms[:300]) / fg.sum(terms))
    f = graph.compile()
    x, k = np.random.default_rng(1).normal(size=60), np.random.default_rng(2).normal(size=20)
    varying = np.arange(61) == 60
    for n in (2, 3, 8, 9, 20):
        for point in (x, 2.0 * x):  # the buffers are used again
            expected = [f.value_and_grad(point, one) for one in k[:n]]
            y, (by_x, by_k) = f.value_and_grad(point, k[:n])
            assert_same_bits(y, [one[0] for one in expected])
            assert_same_bits(by_x, [one[1].x for one in expected])
            assert_same_bits(by_k, [one[1].k for one in expected])
            assert_same_bits(f(point, k[:n]), y)
        few, give_back = f.sweeper.few(n, None, varying)
        assert few.workspace.tiling.plan.head.n_operations > 400
        give_back(few)


def test_a_batch_of_one():
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(x * fg.exp(x[0]))
    vector = graph.compile().flat
    x = np.array([0.5, -1.0, 2.0])
    y = vector(x)
    assert vector(x[None]).shape == (1, 3) and vector(x[:, None], axis=0).shape == (3, 1)
    assert_same_bits(vector(x[None])[0], y)
    assert_same_bits(vector(np.repeat(x, 2)[::2, None], axis=0)[:, 0], y)
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(fg.sum(x * fg.exp(x)))
    f = graph.compile().flat
    x = np.array([0.5, -1.0, 2.0])
    y, g = f.value_and_grad(x)
    for axis, given in ((-1, x[None]), (0, x[:, None])):
        value, gradient = f.value_and_grad(given, axis=axis)
        assert value.shape == (1,) and gradient.shape == given.shape
        assert value[0] == y and np.array_equal(gradient.ravel(), g)
        assert f(given, axis=axis).shape == (1,)


def test_shapes_broadcast(shaped, scalar):
    rng = np.random.default_rng(0)
    for batch in ((), (1,), (5,), (4, 3), (1, 1), (2, 1, 3)):
        x, t = rng.normal(size=(*batch, 2)), rng.normal(size=batch[-1:])
        few, general = shaped(x, 2.0, t), shaped(x, 2.0, t, progress=quietly)
        assert few.y.shape == (*batch, 2) and np.shape(few.z) == batch
        for a, b in zip(few, general, strict=True):
            assert_same_bits(a, b)
            assert type(a) is type(b)
        for k in (0.5, rng.uniform(1.0, 2.0, batch)):
            few, general = scalar.value_and_grad(x, k), scalar.value_and_grad(x, k, progress=quietly)
            assert_same_bits(few[0], general[0])
            assert_same_bits(few[1], general[1])
            assert_same_bits(scalar.grad(x, k, wrt="k"), scalar.grad(x, k, wrt="k", progress=quietly))


def test_results_are_the_callers(scalar):
    """Nothing that was returned changes in a later call, and writing to it changes no later result."""
    x = np.random.default_rng(1).normal(size=(6, 2))
    y, g = scalar.value_and_grad(x, 2.0)
    kept = y.copy(), g.copy()
    scalar.value_and_grad(x + 1.0, 3.0)
    assert_same_bits(y, kept[0])
    assert_same_bits(g, kept[1])
    y[:], g[:] = 7.0, 7.0
    assert_same_bits(scalar.value_and_grad(x, 2.0)[1], kept[1])
    for n in (1, 6):
        first = scalar(x[:n], 2.0)
        first[:] = np.nan
        assert np.isfinite(scalar(x[:n], 2.0)).all()


def test_other_types_take_the_general_way(scalar):
    x = np.random.default_rng(2).integers(-3, 4, size=(9, 2))
    expected = scalar.value_and_grad(x.astype(np.float64), 2.0)
    for dtype in (np.int64, np.float32, np.int8):
        y, g = scalar.value_and_grad(x.astype(dtype), 2)
        assert_same_bits(y, expected[0])
        assert_same_bits(g, expected[1])


def test_errors_are_those_of_any_call(scalar):
    for bad in (np.zeros((3, 3)), np.zeros(3)):
        with pytest.raises(fg.ShapeError):
            scalar.flat(bad, k=1.0)
        with pytest.raises(fg.ShapeError):
            scalar(bad, 1.0)
    with pytest.raises(fg.ArgumentError):
        scalar(np.zeros((3, 2)), 1.0, threads=0)
    with pytest.raises(fg.ShapeError):
        scalar(np.zeros((3, 2)), np.zeros(4))
    assert scalar(np.zeros((0, 2)), 1.0).shape == (0,)


def test_large_programs_and_batches_do_not_take_it():
    graph = fg.Graph()
    x = graph.input("x")
    y = x
    for _ in range(10_000):
        y = y * 1.0001 + x
    graph.output(y)
    sweeper = graph.compile().sweeper
    assert sweeper.few(8) is not None and sweeper.few(16) is not None
    assert sweeper.few(Few.LANES[-1]) is None  # worth more than one thread
    assert sweeper.few(16, np.ones(1, bool)) is not None


def test_threads_do_not_share_buffers(scalar):
    x = np.random.default_rng(3).normal(size=(8, 20, 2))
    expected = [scalar.value_and_grad(part, 1.5, progress=quietly) for part in x]
    wrong = []

    def work(k):
        for _ in range(300):
            y, g = scalar.value_and_grad(x[k], 1.5)
            if not (np.array_equal(y, expected[k][0]) and np.array_equal(g, expected[k][1])):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
