"""Same bits everywhere: batch size, position, threads, memory layout and broadcasting change no bit of an input set."""

import math

import numpy as np
import pytest

import fastgraph as fg
from tests.bits import assert_same_bits, same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record

BATCHES = (1, 2, 3, 7, 8, 9, 63, 64, 65, 1000)
N_INPUTS = 4
SEEDS = [*range(60), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(60, 1000))]


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


def test_the_comparison_sees_one_bit():
    assert not same_bits(1.0, math.nextafter(1.0, 2.0))
    assert not same_bits([0.0], [-0.0])
    assert same_bits([np.nan], [-np.nan])
    assert not same_bits(np.zeros(2), np.zeros((2, 1)))
