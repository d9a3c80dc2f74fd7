"""Lowering: what plans compute, executed on symbols; and that the symbols see what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import fastgraph as fg
from fastgraph.engine.lowering import lower, lower_along
from fastgraph.engine.sweeper import TILES
from fastgraph.engine.tiles import SETTLED, VECTOR
from fastgraph.engine.workspace import Tiling
from fastgraph.ops import OPS, TABLE
from tests import engines
from tests.bits import same_bits
from tests.plan_checker import check_along, check_plan, is_same, mutated
from tests.program_oracle import sample
from tests.random_graphs import ARITHMETIC, Seeded, an_immediate, graphs, input_sets, plain_program, record

RANDOM = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), print_blob=True)
SEEDS = [*range(36), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(36, 120))]
CHOOSY = (*ARITHMETIC, *(OPS[name] for name in ("where", "where", "gt", "sqrt", "fmax", "exp")))


def kinds(program, rng):
    """Keywords of ``lower``: with and without gradient, summed and not, for some choices of leaves."""
    n = program.n_leaves
    for _ in range(3):
        varying = rng.random(n) < rng.choice([0.0, 0.3, 0.7, 1.0])
        wanted = rng.random(n) < rng.choice([0.0, 0.3, 1.0])
        for fused in (True, False):
            for summed in (True, False):
                for chosen in (None, wanted):
                    yield {"varying": varying, "wanted": chosen, "summed": summed, "fused": fused}


def faults(program, **kind):
    plan = lower(program, **kind)
    del kind["fused"]
    return check_plan(program, plan, **kind)


def assert_plans_are_right(program, seed=0):
    rng = np.random.default_rng(seed)
    for kind in kinds(program, rng):
        assert faults(program, **kind) == [], kind
    for directions in (1, 2, 5):
        varying, moved = (rng.random(program.n_leaves) < rng.choice([0.0, 0.5, 1.0]) for _ in range(2))
        plan = lower_along(program, varying, moved, directions)
        assert check_along(program, plan, varying, moved) == [], (varying, moved, directions)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs(seed):
    options = {"ops": CHOOSY} if seed % 3 else {}
    graph = record(Seeded(seed), n_ops=10 + seed, n_inputs=2 + seed % 5, n_outputs=1 + seed % 3, **options)
    assert_plans_are_right(graph.compile().program, seed)
    assert_plans_are_right(plain_program(graph), seed)


@RANDOM
@given(graphs(max_ops=30, ops=CHOOSY, n_outputs=2), st.integers(0, 2**32 - 1))
def test_programs_that_shrink(graph, seed):
    program = graph.compile().program
    note(program.disassemble())
    assert_plans_are_right(program, seed)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_programs_larger_than_those_lowered_in_python(seed):
    """Compiled passes and Python ones are the same source; still, both."""
    graph = record(Seeded(seed), n_ops=900, n_inputs=8, ops=CHOOSY, n_outputs=2)
    assert_plans_are_right(graph.compile().program, seed)


def program_of(record_, *names):
    graph = fg.Graph()
    record_(graph, *graph.inputs(*names))
    return graph.compile().program


def mask_over_uniform(graph, x, y, c, d):
    """Operations of uniform operands, gated by a condition that varies; and by one under another."""
    root = fg.sqrt(y) * fg.exp(y)
    graph.output(fg.where(c > 0.0, root, y) * x)
    graph.output(fg.where(d > 0.0, fg.where(c > 0.0, fg.log(root + y), y * y), x) + root)


def leaves_and_constants(graph, x, y):
    graph.output(y)
    graph.output(2.5)
    graph.output(x * 0.0 + 1.0)
    graph.output(y)


def one_node_twice(graph, x, y):
    z = x * y + x
    graph.output(z)
    graph.output(z * z)
    graph.output(z)


def unused(graph, x, y, z):
    graph.output(fg.sin(y))


def squares(graph, x, y):
    """Both operands the same slot: two contributions of one operation to one adjoint."""
    z = x * x
    graph.output(z * z - (y + y))


@pytest.mark.parametrize(
    ("record_", "names"),
    [
        (mask_over_uniform, "xycd"),
        (leaves_and_constants, "xy"),
        (one_node_twice, "xy"),
        (unused, "xyz"),
        (squares, "xy"),
        (lambda graph, x: graph.output(x), "x"),
        (lambda graph, x: graph.output(7.0), "x"),
        (lambda graph, x: graph.output(fg.floor(fg.sqrt(x))), "x"),
    ],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_every_choice_of_leaves(record_, names):
    program = program_of(record_, *names)
    n = program.n_leaves
    for k in range(4**n):
        varying, wanted = ([bool(k >> (i + shift) & 1) for i in range(n)] for shift in (0, n))
        for summed in (True, False):
            for fused in (True, False):
                kind = {"varying": np.array(varying), "wanted": np.array(wanted), "summed": summed, "fused": fused}
                assert faults(program, **kind) == [], kind


def wide(seed):
    """A graph of 3,600 sums, differences and products in six levels: runs long enough to be parted."""
    rng, n = np.random.default_rng(seed), 400
    graph = fg.Graph()
    nodes = [*graph.input("x", n), *graph.parameter("k", n)]
    for _ in range(6):
        for operation in (np.add, np.subtract, np.multiply):
            chosen = rng.integers(max(0, len(nodes) - 3 * n), len(nodes), (2, n))
            nodes += list(operation(*([nodes[i] for i in side] for side in chosen)))
    graph.output(fg.sum(nodes[-n:]))
    return graph.compile().program


def test_parted_runs():
    """Of most kinds that there are arms for, in tiles of every size: the bits of one set, in the order of one set."""
    seen = set()
    for seed in range(3):
        program = wide(seed)
        inputs = np.arange(program.n_leaves) < 400
        leaves = np.random.default_rng(seed).uniform(-1.0, 1.0, (program.n_leaves, 20))
        expected = engines.one(program, leaves)
        for size in (VECTOR, *TILES):
            got = engines.tiles(program, leaves, size)
            assert same_bits(got[0], expected[0]) and same_bits(got[1][inputs], expected[1][inputs]), (seed, size)
        for wanted in (inputs, inputs & (np.arange(program.n_leaves) % 3 > 0)):
            for summed in (False, True):
                kind = {"varying": np.arange(program.n_leaves) % 5 > 0, "wanted": wanted, "summed": summed}
                plan = lower(program, **kind)
                assert check_plan(program, plan, **kind) == []
                settled = plan.reverse.runs[plan.reverse.runs["flags"] & SETTLED > 0]
                seen.update(zip(settled["opcode"].tolist(), settled["flags"].tolist(), strict=True))
    assert len(seen) >= 15 and {TABLE[code].name for code, _ in seen} == {"add", "sub", "mul"}


def test_the_sample_program():
    assert_plans_are_right(sample().program)


def test_what_is_uniform_is_done_once():
    """Sizes of the streams tell: what depends on uniform leaves only is in neither of those swept for every tile."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    heavy = k
    for _ in range(50):
        heavy = fg.sin(heavy) + 0.5
    graph.output(heavy * x)
    program = graph.compile().program
    varying, wanted = np.array([True, False]), np.array([True, True])
    plan = lower(program, varying, wanted, summed=True)
    # Of what is uniform, the sums have nothing to do in reverse.
    assert [s.n_operations for s in (plan.prologue, plan.body, plan.reverse, plan.epilogue)] == [100, 1, 1, 50]
    assert len(plan.totals) == 2  # of x, and of the product's other operand
    plan = lower(program, varying, wanted)
    assert [s.n_operations for s in (plan.prologue, plan.body, plan.reverse, plan.epilogue)] == [100, 1, 51, 0]
    plan = lower(program, varying, ~wanted)
    assert plan.reverse.n_operations == 0
    plan = lower(program, varying, np.array([True, False]), summed=True)
    assert [plan.reverse.n_operations, plan.epilogue.n_operations] == [1, 0]
    plan = lower(program, varying)
    assert (plan.n_adjoints, plan.with_gradient, plan.reverse.n_operations) == (2, False, 0)


def test_slots_are_used_again():
    """A chain needs the same few slots whatever its length, where nothing reads its values later."""
    sizes = set()
    for length in (50, 300):
        graph = fg.Graph()
        x, y = graph.inputs("x", "y")
        for _ in range(length):
            x = fg.sin(x) + y
        graph.output(x)
        program = graph.compile().program
        every = np.ones(2, np.bool_)
        sizes.add((lower(program, every).n_values, lower(program, every, every).n_adjoints))
    assert len(sizes) == 1 and max(sizes)[0] <= 4 and max(sizes)[1] <= 6


@pytest.mark.parametrize("tile", TILES)
def test_words_of_a_tile_are_offsets(tile):
    program = sample().program
    plan = lower(program, np.ones(3, np.bool_), np.ones(3, np.bool_))
    tiling = Tiling(plan, program, tile)
    for name, (runs, words) in tiling.streams.items():
        stream = getattr(plan, name)
        assert runs.tobytes() == stream.runs.tobytes() and words.dtype == np.uint32
        assert (words & 1 == stream.operands & 1).all()
        assert (words - (words & 1) == (stream.operands >> 1) * tile).all()


EVERY = np.ones(3, np.bool_)
MUTATED = {
    "values and gradient": (
        ("body", "reverse"), lambda p: lower(p, EVERY, EVERY), lambda p, plan: check_plan(p, plan, EVERY, EVERY)
    ),
    "values and tangents": (
        ("body",), lambda p: lower_along(p, EVERY, EVERY, 2), lambda p, plan: check_along(p, plan, EVERY, EVERY)
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MUTATED)
def test_a_broken_stream_is_caught(what):
    """Streams with a word changed: refused, or harmless, which the kernels confirm by the same bits."""
    names, make, check = MUTATED[what]
    refused = accepted = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        program = record(Seeded(seed), n_ops=12, n_inputs=3, ops=CHOOSY, n_outputs=2).compile().program
        plan = make(program)
        leaves = input_sets(seed, 3 * (1 + plan.directions), 40, special=0.0)
        right = engines.sweep_plan(plan, program, leaves, 128)
        for _ in range(12):
            name = names[rng.integers(len(names))]
            stream = getattr(plan, name)
            if not len(stream.runs):
                continue
            broken, change = mutated(
                stream, rng, min(plan.n_values, plan.n_adjoints) if plan.with_gradient else plan.n_values
            )
            if is_same(broken, stream):
                continue
            wrong = replace(plan, **{name: broken})
            if check(program, wrong):
                refused += 1
                continue
            accepted += 1
            got = engines.sweep_plan(wrong, program, leaves, 128)
            assert same_bits(got[0], right[0]), (seed, name, change)
            assert not plan.with_gradient or same_bits(got[1], right[1]), (seed, name, change)
    assert refused > 200 and refused > 2 * accepted, (refused, accepted)


@pytest.mark.parametrize(
    "field", ["outputs", "seeds", "gradient", "totals", "finished", "varying", "uniform", "constants"]
)
def test_a_broken_table_is_caught(field):
    graph = fg.Graph()
    x, y, k = graph.inputs("x", "y", "k")
    graph.output(fg.exp(k) * x + y * 2.0)
    graph.output(fg.sin(k) - x * y)
    program = graph.compile().program
    kind = {"varying": np.array([True, True, False]), "wanted": np.ones(3, np.bool_), "summed": True}
    plan = lower(program, **kind)
    assert check_plan(program, plan, **kind) == []
    table = getattr(plan, field)
    if field == "finished":
        table = ~table
    elif field in ("varying", "uniform", "constants"):
        table = np.stack([table[0], np.roll(table[1], 1)]) if table.shape[1] > 1 else table[:, :0]
    elif field == "totals":
        table = table[1:]
    else:
        table = table[::-1]
    assert check_plan(program, replace(plan, **{field: table}), **kind)


def test_every_op_has_plans():
    """Each row alone, on leaves, as a value that is read on and as one that is not."""
    for op in TABLE:
        graph = fg.Graph()
        operands = [graph.input() for _ in range(op.arity)]
        n = an_immediate(op)
        r = getattr(fg, op.name)(*operands, *n) if hasattr(fg, op.name) else None
        if r is not None:
            graph.output(r * r + operands[0])
            graph.output(r)
            assert_plans_are_right(graph.compile().program, op.code)
