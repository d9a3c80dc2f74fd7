"""``reduce="sum"``: the bits of a fixed tree, close to the exact sum, in memory that does not grow with the batch."""

import math
import tracemalloc

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.engine import sweeper
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.program import DTYPES
from tests.bits import assert_same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record

EPS = 2.0**-53
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def tree_sum(terms, block):
    """The documented order, in plain NumPy: 8 running sums in each block, added pairwise, then the blocks pairwise."""
    parts = []
    with np.errstate(all="ignore"):
        for start in range(0, len(terms), block):
            part = np.asarray(terms[start : start + block], np.float64)
            rows = np.concatenate([part, np.zeros(-len(part) % 8)]).reshape(-1, 8)
            sums = np.zeros(8)
            for row in rows:
                sums = sums + row
            while len(sums) > 1:
                sums = sums[::2] + sums[1::2]
            parts.append(sums[0])
        while len(parts) > 1:
            paired = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = paired + parts[2 * len(paired) :]
    return parts[0]


def bound(terms, block):
    """The error of the tree: as many roundings as its deepest term goes through."""
    depth = -(-min(len(terms), block) // 8) + 3 + math.ceil(math.log2(-(-len(terms) // block) or 1))
    return depth * EPS / (1.0 - depth * EPS) * math.fsum(np.abs(terms))


def assert_sums(got, terms, block, label=""):
    """``got`` has the bits of the tree, and is as close to the exact sum as that allows."""
    terms = np.asarray(terms, np.float64)
    assert type(got) is np.float64
    assert_same_bits(got, tree_sum(terms, block), label)
    if np.isfinite(terms).all() and np.abs(terms).max() < 1e300:
        assert abs(got - math.fsum(terms)) <= bound(terms, block), label


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def f(request):
    graph = fg.Graph("f")
    x, y = graph.inputs("x", "y")
    graph.output(fg.sin(x) * y + x / (1.0 + y * y))
    return graph.compile(dtype=request.param)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(scale=3.0, size=(2, 300_000))


def sizes(block):
    return [1, 2, 3, 7, 8, 9, 33, block - 1, block, block + 1, 2 * block - 1, 2 * block + 5, 3 * block, 7 * block + 1]


@pytest.mark.parametrize("operations", [None, (1 << 10, 1 << 6)])
def test_bits_and_errors_around_blocks(f, rows, operations, monkeypatch):
    """A block's size depends on how many sets there are, and on the operations: sizes around one, for each it takes."""
    if operations:
        monkeypatch.setattr(sweeper, "BLOCK_OPERATIONS", operations)
    tried = set()
    for guess in (32, 256) if operations else (64, 8192):
        for n in sizes(guess):
            block = f.sweeper._block(n)
            tried.add(block)
            x = rows[:, :n].copy()
            y, g = f.value_and_grad(*x)
            total, gradient = f.value_and_grad(*x, reduce="sum", threads=1 + n % 2)
            for got, terms in zip((total, *gradient), (y, *g), strict=True):
                assert_sums(got, terms, block, n)
            assert_same_bits(f(*x, reduce="sum"), total)
            assert_same_bits(f.vjp(tuple(x), 1.0, reduce="sum")[0], total)
    assert tried >= ({32, 128} if operations else {8192})


@pytest.mark.parametrize("longest", [1, 3, 1 << 40], ids=["a block", "some blocks", "all blocks"])
def test_chunks_of_blocks_change_no_bit(f, rows, longest, monkeypatch):
    """The kernels add up the blocks of a chunk, Python the chunks: together the one tree, whatever a chunk's size."""
    monkeypatch.setattr(sweeper, "BLOCK_OPERATIONS", (1, 1))
    block = f.sweeper._block(1)
    monkeypatch.setattr(sweeper, "CHUNK_OPERATIONS", longest * block * f.program.n_operations * 3)
    for blocks in (*range(1, 20), 31, 32, 33, 64, 100):
        for n in (blocks * block, blocks * block - 7):
            x = rows[:, :n]
            y, g = f.value_and_grad(*x)
            for threads in (1, 2, 3):
                total, gradient = f.value_and_grad(*x, reduce="sum", threads=threads)
                for got, terms in zip((total, *gradient), (y, *g), strict=True):
                    assert_same_bits(got, tree_sum(terms.astype(np.float64), block), (blocks, n, threads))


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed):
    """Values, gradients, threads: special values included."""
    dtype = DTYPES[seed % 2]
    f = record(Seeded(seed), n_ops=4 + seed, n_inputs=3, dtype=dtype, **({"ops": ARITHMETIC} if seed % 3 else {}))
    f = f.compile(dtype=dtype)
    n = (5, 100, 3000)[seed % 3]
    x = input_sets(seed, 3, n, special=(0.0, 0.01)[seed % 2])
    y, g = f.value_and_grad(*x)
    block = f.sweeper._block(n)
    for threads in (1, 2, 3, 7):
        total, gradient = f.value_and_grad(*x, reduce="sum", threads=threads)
        for got, terms in zip((total, *gradient), (y, *g), strict=True):
            assert_same_bits(got, tree_sum(terms, block), (seed, threads))


@pytest.mark.parametrize("n", [40, 5_000, 300_000])
def test_threads_layouts_and_types_change_no_bit(f, rows, n):
    x = rows[:, :n].astype(np.float32).astype(np.float64)
    expected = f.flat.value_and_grad(np.ascontiguousarray(x.T), reduce="sum", threads=1)
    shape = (20, n // 20, 2)
    for threads in (1, 2, 3, 7):
        for given, axis in [
            (np.ascontiguousarray(x.T), -1),
            (np.asfortranarray(x.T), -1),
            (x, 0),
            (np.repeat(x, 2, axis=1)[:, ::2], 0),
            (x[::-1, ::-1].copy()[::-1, ::-1], 0),
            (x.T.astype(np.float32), -1),
            (x.T.astype(">f8"), -1),
            (x.T.reshape(shape), -1),
            (np.ascontiguousarray(x.reshape(2, *shape[:2]).transpose(0, 2, 1)).transpose(2, 1, 0), -1),
        ]:
            if given.ndim == 3 and given.shape != shape:
                given = given.transpose(1, 0, 2)
            total, gradient = f.flat.value_and_grad(given, axis=axis, reduce="sum", threads=threads)
            assert_same_bits(total, expected[0], threads)
            assert_same_bits(gradient, expected[1], threads)
            assert_same_bits(f.flat.vjp(given, 1.0, axis=axis, reduce="sum", threads=threads)[1], expected[1])
        total, gradient = f.value_and_grad(*x, reduce="sum", threads=threads)
        assert_same_bits(np.array([total, *gradient]), np.array([expected[0], *expected[1]]))


def test_integers_are_summed_as_the_numbers_they_are(f):
    x = np.random.default_rng(1).integers(-90, 90, size=(2, 999))
    expected = f.value_and_grad(*x.astype(np.float64), reduce="sum")
    for kind in ("i1", "i4", ">i2", "i8", "f2", "f4", "g"):
        got = f.value_and_grad(*x.astype(kind), reduce="sum")
        assert_same_bits(np.array([got[0], *got[1]]), np.array([expected[0], *expected[1]]), kind)


# -- shapes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def vector(request):
    """Inputs x (3,) and t, parameter k (2, 2); outputs u (3,) and v ()."""
    graph = fg.Graph("vector")
    x, t, k = graph.input("x", shape=3), graph.input("t"), graph.parameter("k", shape=(2, 2))
    graph.output(x * t + k[0, 1], name="u")
    graph.output(fg.dot(x, x) * fg.sqrt(k[1, 0]) + t, name="v")
    return graph.compile(dtype=request.param)


def test_several_outputs_and_shapes(vector):
    rng = np.random.default_rng(2)
    x, t, k = rng.normal(size=(5, 4, 3)), rng.normal(size=(4,)), rng.random((5, 1, 2, 2))
    block = vector.sweeper._block(20)
    each, total = vector(x, t, k), vector(x, t, k, reduce="sum")
    assert total._fields == ("u", "v") and total.u.shape == (3,) and total.u.dtype == np.float64
    for j in range(3):
        assert_sums(total.u[j], each.u[..., j].ravel(), block)
    assert_sums(total.v, each.v.ravel(), block)
    cotangents = {"u": rng.normal(size=(4, 3)), "v": rng.normal(size=(5, 1))}
    for wrt in (None, "k", ("k", "x")):
        (u, v), back = vector.vjp((x, t, k), cotangents, wrt=wrt)
        (us, vs), backs = vector.vjp((x, t, k), cotangents, wrt=wrt, reduce="sum")
        assert_same_bits(us, total.u)
        assert_same_bits(vs, total.v)
        pairs = [(backs, back)] if wrt == "k" else zip(backs, back, strict=True)
        for summed, terms in pairs:
            assert summed.shape == terms.shape[2:] and summed.dtype == np.float64
            flat, terms = np.reshape(summed, -1), terms.reshape(20, -1).astype(np.float64)
            for j in range(len(flat)):
                assert_sums(flat[j], terms[:, j], block, wrt)
    flat = np.concatenate([x, np.broadcast_to(t[..., None], (5, 4, 1))], -1)
    assert_same_bits(vector.flat(flat, k=k, reduce="sum"), [*total.u, total.v])
    u, v = np.broadcast_to(cotangents["u"], (5, 4, 3)), np.broadcast_to(cotangents["v"], (5, 4))
    both = np.concatenate([u, v[..., None]], -1)
    y, back = vector.flat.vjp(flat, both, k=k, reduce="sum")
    terms = vector.flat.vjp(flat, both, k=k)[1].reshape(20, 4)
    assert_same_bits(y, [*total.u, total.v])
    assert_same_bits(back, [tree_sum(column, block) for column in terms.T])


@pytest.mark.parametrize("batch", [(0,), (0, 3), (3, 0)])
def test_an_empty_batch_gives_zeros(vector, batch):
    """Also where a uniform argument makes partials infinite: nothing is summed, so nothing is NaN."""
    x, t, k = np.empty((*batch, 3)), 1.0, np.zeros((2, 2))
    total = vector(x, t, k, reduce="sum")
    assert_same_bits(total.u, np.zeros(3))
    assert_same_bits(total.v, 0.0)
    for wrt in (("x", "t", "k"), None, "k"):
        (u, v), back = vector.vjp((x, t, k), (np.ones(3), np.inf), wrt=wrt, reduce="sum")
        assert_same_bits(u, np.zeros(3))
        assert_same_bits(v, 0.0)
        shapes = {"x": (3,), "t": (), "k": (2, 2)}
        for name, part in {"k": back}.items() if wrt == "k" else back._asdict().items():
            assert_same_bits(part, np.zeros(shapes[name]))
    assert_same_bits(vector.flat(np.empty((*batch, 4)), k=k, reduce="sum"), np.zeros(4))
    y, back = vector.flat.vjp(np.empty((4, *batch)), np.empty((4, *batch)), axis=0, k=k, reduce="sum")
    assert_same_bits(y, np.zeros(4))
    assert_same_bits(back, np.zeros(4))


def test_one_set(f):
    y, g = f.value_and_grad(0.5, 2.0)
    for args in ((0.5, 2.0), ([0.5], 2.0), ([[0.5]], [2.0])):
        total, gradient = f.value_and_grad(*args, reduce="sum")
        assert [type(v) for v in (total, *gradient)] == [np.float64] * 3
        assert (total, *gradient) == (y, *g)


def test_functions_of_nothing_that_varies():
    graph = fg.Graph()
    graph.output(1.5, name="a")
    graph.output([0.5, 2.0], name="b")
    g = graph.compile()
    assert g(reduce="sum").a == 1.5 and g(reduce="sum").b.tolist() == [0.5, 2.0]
    assert g.flat(np.empty((10, 0)), reduce="sum").tolist() == [15.0, 5.0, 20.0]
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(y)
    h = graph.compile()
    total, gradient = h.value_and_grad(np.ones(10), 3.0, reduce="sum")
    assert (total, *gradient) == (30.0, 0.0, 10.0)


# -- uniform arguments --------------------------------------------------------------------------------------


def chain(dtype, length):
    """x times a chain of ``length`` operations of k, each with one path to the output."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    for _ in range(length):
        k = fg.sin(k)
    graph.output(x * k)
    return graph.compile(dtype=dtype)


@EVERY_DTYPE
@pytest.mark.parametrize("n", [1, 3, 40, 5000])
def test_uniform_or_repeated(dtype, n):
    """Values to the bit. The gradient by what is uniform is that of the sum: a rounding an operation away."""
    length, eps = 12, {8: EPS, 4: 2.0**-24}[dtype.itemsize]
    f = chain(dtype, length)
    x = np.random.default_rng(n).normal(size=n)
    y, g = f.value_and_grad(x, 0.75, reduce="sum")
    again, repeated = f.value_and_grad(x, np.full(n, 0.75), reduce="sum")
    assert_same_bits(y, again)
    assert_same_bits(g.x, repeated.x)
    terms = f.value_and_grad(x, 0.75)[1].k.astype(np.float64)
    block = f.sweeper._block(n)
    # Each term has been rounded `length` times, the sum of the others once more where it enters the chain.
    allowed = 2 * bound(terms, block) + (2 * length + 2) * eps * (1 + 50 * eps) * math.fsum(np.abs(terms))
    assert abs(g.k - math.fsum(terms)) <= allowed and abs(g.k - repeated.k) <= allowed
    spread = f.value_and_grad(np.broadcast_to(1.5, n), 0.75, reduce="sum")
    filled = f.value_and_grad(np.full(n, 1.5), 0.75, reduce="sum")
    assert_same_bits(spread[0], filled[0])


def test_masks_over_uniform_operations():
    """A condition that varies gates what a uniform operation hands on, set by set."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    graph.output(fg.where(x > 0.0, fg.sqrt(k), x) + k)
    f = graph.compile()
    x = np.array([1.0, -1.0, 2.0, -3.0, -0.0])
    assert f.grad(x, 4.0, reduce="sum") == (3.0, 2 * 0.25 + 5.0)
    assert f.grad(x[x <= 0.0], 0.0, reduce="sum") == (3.0, 3.0)  # the root's partial is inf, and never taken


# -- special values -----------------------------------------------------------------------------------------


def test_infinite_and_undefined_rows(f):
    inf, nan = math.inf, math.nan
    big = float(np.finfo(f.dtype).max)
    for rows in (
        [1.0, inf, 2.0],
        [inf, -inf],
        [1.0] * 40_000 + [-inf],
        [inf] * 20_000 + [-inf] * 20_000,
        [0.0] * 9000 + [-nan],
    ):
        at = np.zeros(len(rows)), rows
        total, gradient = f.value_and_grad(*at, reduce="sum", threads=2)
        y, terms = f.value_and_grad(*at)
        for got, numbers in zip((total, *gradient), (y, *terms), strict=True):
            assert_same_bits(got, tree_sum(numbers, f.sweeper._block(len(rows))))
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x)
    identity = graph.compile(dtype=f.dtype)
    ones = [1.0] * 40_000
    for rows, expected in [
        ([inf, -inf], nan),
        ([-0.0], 0.0),
        ([nan, inf], nan),
        ([*ones, -inf], -inf),
        ([*ones, inf, -inf], nan),
        ([-nan, *ones], nan),
    ]:
        assert_same_bits(identity(rows, reduce="sum"), expected)
    assert identity([big] * 2, reduce="sum") == (math.inf if f.dtype == np.float64 else 2.0 * big)


def test_float32_programs_add_in_float64():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x)
    f = graph.compile(dtype=np.float32)
    n = 2**24 + 5
    total, gradient = f.value_and_grad(np.broadcast_to(np.int8(1), n), reduce="sum")
    assert total == n and gradient == n  # float32 would stand still at 2**24
    x = np.full(10_000, 0.1, np.float32)
    assert abs(f(x, reduce="sum") - 10_000 * float(np.float32(0.1))) <= bound(x.astype(np.float64), 8192)


# -- memory -------------------------------------------------------------------------------------------------


def peak(call):
    """Most bytes that were traced while ``call`` ran a second time."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_batch(f):
    rng = np.random.default_rng(3)
    x, y, w = (rng.normal(size=1_000_000) for _ in range(3))
    table = np.stack([x, y], axis=-1)
    calls = {
        "value": lambda n: f(x[:n], y[:n], reduce="sum"),
        "gradient": lambda n: f.value_and_grad(x[:n], 2.0, reduce="sum", threads=2),
        "vjp": lambda n: f.vjp((x[:n], y[:n]), w[:n], reduce="sum"),
        "flat": lambda n: f.flat.value_and_grad(table[:n], reduce="sum"),
        "spread": lambda n: f(np.broadcast_to(1.0, 10 * n), 2.0, reduce="sum"),
    }
    for name, call in calls.items():
        small, large = (peak(lambda n=n, call=call: call(n)) for n in (100_000, 1_000_000))
        assert large < 1_000_000 and large < small + 200_000, name  # a column would be 8 MB


def test_memory_of_an_outer_batch(f):
    x, y = np.ones((1000, 1)), np.ones((1, 1000))
    assert peak(lambda: f(x, y, reduce="sum")) < 1_000_000


# -- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["mean", "", True, 0, b"sum", ["sum"], np.array("sum")])
def test_other_reductions(f, reduce):
    x = np.ones(3)
    for call in (
        lambda: f(x, 1.0, reduce=reduce),
        lambda: f.value_and_grad(x, 1.0, reduce=reduce),
        lambda: f.grad(1.0, 1.0, reduce=reduce),
        lambda: f.vjp((x, 1.0), 1.0, reduce=reduce),
        lambda: f.flat(np.ones(2), reduce=reduce),
        lambda: f.flat.vjp(np.ones(2), 1.0, reduce=reduce),
    ):
        with pytest.raises(ArgumentError, match='reduce must be None or "sum"'):
            call()


def test_out_and_reduce_exclude_each_other(f):
    out = np.full(3, 7.0, f.dtype)
    for call in (
        lambda: f(np.ones(3), 1.0, reduce="sum", out=out),
        lambda: f.value_and_grad(np.ones(3), 1.0, reduce="sum", out=(out, (out, out))),
        lambda: f.vjp((np.ones(3), 1.0), 1.0, reduce="sum", out=(out, (out, out))),
        lambda: f.flat(np.ones((3, 2)), reduce="sum", out=out),
        lambda: f.flat.value_and_grad(np.ones((3, 2)), reduce="sum", out=(out, out)),
    ):
        with pytest.raises(ArgumentError, match="out and reduce"):
            call()
    assert (out == 7.0).all()


def test_wrong_arguments_of_a_sum(f):
    with pytest.raises(ShapeError, match="do not broadcast"):
        f(np.ones(3), np.ones(4), reduce="sum")
    with pytest.raises(ArgumentError, match="threads"):
        f(np.ones(0), 1.0, reduce="sum", threads=0)
    with pytest.raises(ArgumentError, match="got y"):
        f.grad(np.ones(3), "1", reduce="sum")
