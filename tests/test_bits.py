"""Same bits everywhere: batch size, position, threads, memory layout and broadcasting change no bit of an input set."""

import math

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.program import DTYPES
from tests import engines
from tests.bits import assert_same_bits, same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, plain_program, record

BATCHES = (1, 2, 3, 7, 8, 9, 63, 64, 65, 1000)
N_INPUTS = 4
LONG = pytest.mark.long
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
SEEDS = [*range(60), *(pytest.param(seed, marks=LONG) for seed in range(60, 1000))]


def function_of(seed):
    """A random function of one output: every third graph long and cheap, the rest of all ops."""
    long = seed % 3 == 0
    options = {"n_ops": 300, "ops": ARITHMETIC, "constants": (0.5, -1.5)} if long else {"n_ops": 4 + seed % 40}
    return record(Seeded(seed), n_inputs=N_INPUTS, **options).compile()


def set_by_set(f, sets):
    """Values (N,) and gradients (N, n), each input set swept by itself, as Python numbers."""
    swept = [f.value_and_grad(*column) for column in sets.T.tolist()]
    return np.array([y for y, _ in swept]), np.array([list(g) for _, g in swept])


def c_rows(f, x, threads):
    return f.flat.value_and_grad(np.ascontiguousarray(x.T), threads=threads)


def fortran(f, x, threads):
    return f.flat.value_and_grad(np.asfortranarray(x.T), threads=threads)


def variables_first(f, x, threads):
    y, g = f.flat.value_and_grad(np.ascontiguousarray(x), axis=0, threads=threads)
    return y, g.T


def strided(f, x, threads):
    wide = np.full((3 * x.shape[1], 2 * len(x)), np.nan)
    wide[1::3, ::2] = x.T
    return f.flat.value_and_grad(wide[1::3, ::2], threads=threads)


def reversed_rows(f, x, threads):
    backwards = np.ascontiguousarray(x[::-1, ::-1].T)
    return f.flat.value_and_grad(backwards[::-1, ::-1], threads=threads)


def columns(f, x, threads):
    y, g = f.value_and_grad(*(column.copy() for column in x), threads=threads)
    return y, np.stack(g, axis=-1)


def table_columns(f, x, threads):
    table = np.ascontiguousarray(x.T)
    y, g = f.value_and_grad(*table.T, threads=threads)
    return y, np.stack(g, axis=-1)


def two_axes(f, x, threads):
    shape = next((k, x.shape[1] // k) for k in (8, 7, 5, 3, 2, 1) if x.shape[1] % k == 0)
    y, g = f.flat.value_and_grad(x.T.reshape(*shape, len(x)), threads=threads)
    return y.reshape(-1), g.reshape(-1, len(x))


def two_axes_transposed(f, x, threads):
    """Batch axes of no common stride."""
    shape = next((k, x.shape[1] // k) for k in (8, 7, 5, 3, 2, 1) if x.shape[1] % k == 0)
    first = np.ascontiguousarray(x.reshape(len(x), *shape).transpose(2, 1, 0))
    y, g = f.flat.value_and_grad(first.transpose(1, 0, 2), threads=threads)
    return y.reshape(-1), g.reshape(-1, len(x))


LAYOUTS = (
    c_rows,
    fortran,
    variables_first,
    strided,
    reversed_rows,
    columns,
    table_columns,
    two_axes,
    two_axes_transposed,
)


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_threads_and_layouts(seed):
    f = function_of(seed)
    sets = input_sets(seed, N_INPUTS, BATCHES[-1])
    values, gradients = set_by_set(f, sets)
    for k, count in enumerate(BATCHES):
        start = (seed * 7 + k) % (BATCHES[-1] - count + 1)
        part = sets[:, start : start + count]
        expected = values[start : start + count], gradients[start : start + count]
        threads = (1, 2)[(seed + k) % 2]
        for layout in LAYOUTS if count in (3, 65) else (c_rows, LAYOUTS[(seed + k) % len(LAYOUTS)]):
            y, g = layout(f, part, threads)
            label = f"seed {seed}, {count} sets, {layout.__name__}, {threads} threads"
            assert_same_bits(y, expected[0], label)
            assert_same_bits(g, expected[1], label)
        assert_same_bits(f(*part, threads=threads), expected[0], f"seed {seed}, {count} sets, values alone")


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_uniform_arguments(seed):
    """Arguments that do not vary over the batch give what the same arguments written out give."""
    f = function_of(seed)
    sets = input_sets(seed, N_INPUTS, 33)
    for varying in ((), (0,), (1, 3), (0, 1, 2)):
        args = [column if k in varying else float(column[0]) for k, column in enumerate(sets)]
        filled = np.stack(np.broadcast_arrays(*args))
        filled = filled.reshape(N_INPUTS, -1)
        expected = set_by_set(f, filled)
        y, g = f.value_and_grad(*args)
        assert_same_bits(np.reshape(y, -1), expected[0])
        assert_same_bits(np.stack([np.broadcast_to(v, np.shape(y)) for v in g], -1).reshape(-1, N_INPUTS), expected[1])
    table = [sets[0][:, None], sets[1][:5], sets[2][0], sets[3][:, None]]
    y, g = f.value_and_grad(*table)
    filled = np.stack(np.broadcast_arrays(*table)).reshape(N_INPUTS, -1)
    expected = set_by_set(f, filled)
    assert y.shape == (33, 5)
    assert_same_bits(y.reshape(-1), expected[0])
    assert_same_bits(np.stack(g, -1).reshape(-1, N_INPUTS), expected[1])


@pytest.mark.parametrize("seed", range(6))
def test_large_batches_are_cut_into_chunks(seed):
    """A batch that every thread gets several chunks of: the bits of any set are those of a batch of one."""
    f = record(Seeded(seed), n_ops=60, n_inputs=N_INPUTS, ops=ARITHMETIC).compile()
    count = 60_000 + seed
    sets = input_sets(seed, N_INPUTS, count)
    one, two = (f.flat.value_and_grad(sets.T, threads=threads) for threads in (1, 2))
    assert all(same_bits(a, b) for a, b in zip(one, two, strict=True))
    chosen = np.r_[0, 1, np.random.default_rng(seed).integers(count, size=300), count - 2, count - 1]
    expected = set_by_set(f, sets[:, chosen])
    assert_same_bits(one[0][chosen], expected[0])
    assert_same_bits(one[1][chosen], expected[1])


@pytest.mark.parametrize("n_ops", [3_000, 30_000])
def test_programs_larger_than_a_tile(n_ops):
    """Enough slots that tiles are small, and more than one block of the scheduler."""
    f = large_function(n_ops)
    assert f.program.n_operations > 0.5 * n_ops
    sets = input_sets(n_ops, N_INPUTS, 40, special=0.0)
    expected = set_by_set(f, sets)
    for layout in (c_rows, variables_first):
        y, g = layout(f, sets, 2)
        assert_same_bits(y, expected[0])
        assert_same_bits(g, expected[1])


def large_function(n_ops):
    """A function of about ``n_ops`` cheap operations in many levels, wide enough to group."""
    graph = fg.Graph()
    nodes = [graph.input(f"x{k}") for k in range(N_INPUTS)]
    rng = np.random.default_rng(n_ops)
    kinds = (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: 0.5 * a * b,
        fg.maximum,
        lambda a, b: a / (2.0 + b * b),
    )
    for _ in range(n_ops // 2):
        i, j = rng.integers(max(0, len(nodes) - 200), len(nodes), 2)
        nodes.append(kinds[rng.integers(len(kinds))](nodes[i], nodes[j]))
    graph.output(fg.mean(nodes[-200:]))
    return graph.compile()


# -- ways of one call ---------------------------------------------------------------------------------------


def one_by_one(f, sets):
    """Values and gradients by every argument, each set in a call of its own."""
    names = [a.name for a in f.arguments]
    swept = [f.value_and_grad(*column, wrt=names) for column in sets.T.tolist()]
    return np.array([y for y, _ in swept], f.dtype), np.array([list(g) for _, g in swept], f.dtype)


def any_function(seed, dtype, n_inputs=N_INPUTS):
    options = {"n_ops": 150, "ops": ARITHMETIC} if seed % 3 == 0 else {"n_ops": 4 + seed % 40}
    return record(Seeded(seed), n_inputs=n_inputs, dtype=dtype, **options).compile(dtype=dtype)


@EVERY_DTYPE
@pytest.mark.parametrize("seed", [*range(100, 112), *(pytest.param(s, marks=LONG) for s in range(112, 500))])
def test_dtype_threads_layouts_and_subsets(seed, dtype):
    """Bits of a set do not depend on who else is in the batch, how it lies in memory, or what else is wanted."""
    f = any_function(seed, dtype)
    names = [a.name for a in f.arguments]
    sets = input_sets(seed, N_INPUTS, 300)
    values, gradients = one_by_one(f, sets[:, :40])
    y, g = f.value_and_grad(*sets, wrt=names)
    g = np.stack(g, -1)
    assert_same_bits(y[:40], values, seed)
    assert_same_bits(g[:40], gradients, seed)
    rng = np.random.default_rng(seed)
    for layout in LAYOUTS:
        count = int(rng.integers(3, 300))
        start = int(rng.integers(300 - count))
        got = layout(f, sets[:, start : start + count], int(rng.integers(1, 5)))
        assert_same_bits(got[0], y[start : start + count], (seed, layout.__name__))
        assert_same_bits(got[1], g[start : start + count], (seed, layout.__name__))
    for wrt in (names[:1], names[::-1], [names[int(rng.integers(N_INPUTS))]], names[1:3]):
        _, some = f.value_and_grad(*sets, wrt=wrt)
        for name, part in zip(wrt, some, strict=True):
            assert_same_bits(part, g[:, names.index(name)], (seed, wrt))
        out = np.empty(300, dtype), tuple(np.empty((300, 2), dtype)[:, 1] for _ in wrt)
        f.value_and_grad(*sets, wrt=wrt, out=out)
        for name, part in zip(wrt, out[1], strict=True):
            assert_same_bits(part, g[:, names.index(name)], (seed, wrt, "out"))
        assert_same_bits(out[0], y)
    assert_same_bits(f(*sets), y)


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(200, 212))
def test_uniform_or_repeated_arguments(seed, dtype):
    """Every choice of arguments that do not vary over the batch, given as a number, spread out, or written out."""
    f = any_function(seed, dtype)
    names = [a.name for a in f.arguments]
    sets = input_sets(seed, N_INPUTS, 35)
    for chosen in range(2**N_INPUTS):
        uniform = [bool(chosen >> k & 1) for k in range(N_INPUTS)]
        written = [np.full(35, column[0]) if u else column for column, u in zip(sets, uniform, strict=True)]
        y, g = f.value_and_grad(*written, wrt=names)
        for spread in (lambda v: v, lambda v: np.broadcast_to(v, 35), lambda v: np.array([v])):
            args = [spread(column[0]) if u else column for column, u in zip(sets, uniform, strict=True)]
            z, h = f.value_and_grad(*args, wrt=names)
            for got, expected in zip((z, *h), (y, *g), strict=True):
                assert_same_bits(np.broadcast_to(got, 35), expected, (seed, uniform))
            z, some = f.value_and_grad(*args, wrt=names[seed % N_INPUTS])
            assert_same_bits(np.broadcast_to(some, 35), g[seed % N_INPUTS], (seed, uniform))
            # A call with `out` has no ready workspace for a few sets: uniform arguments are swept once.
            out = np.empty(np.shape(z), dtype), tuple(np.empty(np.shape(z), dtype) for _ in names)
            f.value_and_grad(*args, wrt=names, out=out)
            for got, expected in zip((out[0], *out[1]), (y, *g), strict=True):
                assert_same_bits(np.broadcast_to(got, 35), expected, (seed, uniform, "out"))


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(300, 312))
def test_numbers_are_their_values_whatever_their_type(seed, dtype):
    """float32 arrays, foreign byte order and integers give what the same numbers as float64 give."""
    f = any_function(seed, dtype)
    with np.errstate(over="ignore"):
        floats = input_sets(seed, N_INPUTS, 130).astype(np.float32)
    integers = np.random.default_rng(seed).integers(-128, 128, (N_INPUTS, 130))
    for numbers, kinds in ((floats, ("f4", ">f4", "f8", "g")), (integers, ("i1", "i8", ">i2", "f2", "f4"))):
        y, g = f.value_and_grad(*numbers.astype(np.float64))
        for kind in kinds:
            for part in (slice(0, 1), slice(0, 2), slice(5, 130)):
                z, h = f.value_and_grad(*numbers[:, part].astype(kind))
                for got, expected in zip((z, *h), (y, *g), strict=True):
                    assert_same_bits(got, expected[part], (seed, kind))
        mixed = [row.astype(kind) for row, kind in zip(numbers, ("f8", kinds[0], "f4", kinds[1]), strict=True)]
        assert_same_bits(f(*mixed), y, seed)


@EVERY_DTYPE
@pytest.mark.parametrize("seed", [3, 20, 41])
def test_every_small_batch(seed, dtype):
    """All batches of up to 130 sets: every width of every tile."""
    f = any_function(seed, dtype)
    sets = input_sets(seed, N_INPUTS, 130)
    y, g = one_by_one(f, sets)
    table = np.ascontiguousarray(sets.T)
    for count in range(1, 131):
        start = 130 - count if count % 2 else 0
        got = f.flat.value_and_grad(table[start : start + count])
        assert_same_bits(got[0], y[start : start + count], count)
        assert_same_bits(got[1], g[start : start + count], count)
        assert_same_bits(f.flat(table[start : start + count]), y[start : start + count], count)
        out = np.empty(count, dtype), np.empty((count, N_INPUTS), dtype)
        f.flat.value_and_grad(table[start : start + count], out=out)
        assert_same_bits(out[0], y[start : start + count], count)
        assert_same_bits(out[1], g[start : start + count], count)


@EVERY_DTYPE
@pytest.mark.parametrize("seed", [*range(400, 412), *(pytest.param(s, marks=LONG) for s in range(412, 600))])
def test_tiles_and_pairs(seed, dtype):
    """Random programs by every engine: the interpreter, one set, tiles of every size, with pairs or without."""
    cheap = [op for op in ARITHMETIC if op.name in ("add", "sub", "mul", "square")]
    options = {"ops": cheap, "n_ops": 60} if seed % 4 else {"n_ops": 20}
    graph = record(Seeded(seed), n_inputs=N_INPUTS, n_outputs=2, dtype=dtype, **options)
    leaves = input_sets(seed, N_INPUTS, 77)
    for program in (graph.compile(dtype=dtype).program, plain_program(graph, dtype)):
        expected = engines.reference(program, leaves)
        for name, engine in engines.of(dtype).items():
            if name != "reference":
                for got, right in zip(engine(program, leaves), expected, strict=True):
                    assert_same_bits(got, right, (seed, name))


def test_the_comparison_sees_one_bit():
    assert not same_bits(1.0, math.nextafter(1.0, 2.0))
    assert not same_bits([0.0], [-0.0])
    assert same_bits([np.nan], [-np.nan])
    assert not same_bits(np.zeros(2), np.zeros((2, 1)))
