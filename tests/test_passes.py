"""The passes: no value changes by a bit, what is exact is reduced and shared, what is not stays, orders are valid."""

import itertools
import math

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import assembly, interpreter
from fastgraph.expr import FUNCTIONS
from fastgraph.ops import OPS, TABLE
from fastgraph.ops.accuracy import arguments
from fastgraph.ops.table import EDGES
from fastgraph.passes import branch_masks, fold, narrow, prune, simplify
from fastgraph.program import DTYPES, assemble
from tests import engines
from tests.adaptive_passes import ADAPTIVE, made_both_ways
from tests.bits import assert_same_bits, bits
from tests.random_graphs import EVERY, Seeded, columns_of, input_sets, plain_program, record

INF, NAN = math.inf, math.nan
SINGLE = np.dtype(np.float32)
QUICK = [op for op in EVERY if op.name != "polygamma"]  # whose loops take seconds on the NumPy machine
SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(40, 1000))]
# One pass, as it is used: the columns before, and those after it.
PASSES = {
    "prune": prune,
    "fold": lambda columns: prune(fold(columns, assembly.evaluate_constants)),  # prune renumbers the constants
    "simplify": simplify,
    "branch_masks": branch_masks,
    "all": lambda columns: branch_masks(prune(simplify(fold(prune(columns), assembly.evaluate_constants)))),
}


def values_of(columns, leaves):
    return engines.tile(assemble(columns, len(leaves)), leaves)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_pass_changes_a_value(seed):
    """On random graphs, and on special values: each pass, on what was recorded, keeps every output's bits."""
    graph = record(Seeded(seed), n_ops=5 + seed % 50, n_inputs=3, n_outputs=2)
    leaves = input_sets(seed, 3, 200, special=0.3)
    columns = columns_of(graph)
    expected = values_of(columns, leaves)
    for name, run in PASSES.items():
        assert_same_bits(values_of(run(columns), leaves), expected, f"seed {seed}, {name}")
    assert_same_bits(engines.tile(graph.compile().program, leaves)[0], expected, f"seed {seed}, compile")


def in_float32(program, leaves):
    """Outputs of a float32 program, by the interpreter."""
    assert program.dtype == np.float32
    values = interpreter.forward(program, leaves)
    return np.array([np.broadcast_to(values[slot], leaves.shape[1:]) for slot in program.outputs])


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_no_pass_changes_a_value_in_float32(seed):
    """The same in float32, where fewer numbers are normal and sums of constants round elsewhere."""
    graph = record(Seeded(seed), n_ops=5 + seed % 50, n_inputs=3, n_outputs=2, ops=QUICK, dtype=np.float32)
    with np.errstate(over="ignore"):
        leaves = input_sets(seed, 3, 16, special=0.3).astype(np.float32)
    expected = in_float32(plain_program(graph, SINGLE), leaves)
    columns = narrow(columns_of(graph), SINGLE)
    folded = prune(fold(columns, lambda constants: assembly.evaluate_constants(constants, SINGLE)))
    for name, after in {"fold": folded, "simplify": simplify(columns, SINGLE)}.items():
        assert_same_bits(in_float32(assemble(after, 3, SINGLE), leaves), expected, f"seed {seed}, {name}")
    assert_same_bits(in_float32(graph.compile(SINGLE).program, leaves), expected, f"seed {seed}, compile")


@pytest.mark.parametrize("seed", range(40))
def test_passes_on_columns_do_not_change_their_input(seed):
    columns = columns_of(record(Seeded(seed), 20, 3))
    before = [np.array(a) for a in (columns.rows, columns.constants, columns.outputs)]
    for run in PASSES.values():
        run(columns)
    for array, copy in zip((columns.rows, columns.constants, columns.outputs), before, strict=True):
        assert np.array_equal(array, copy, equal_nan=array.dtype.kind == "f")


# -- simplify -----------------------------------------------------------------------------------------------


def compiled(record_, n=2):
    graph = fg.Graph()
    graph.output(record_(*graph.inputs(*"xyzw"[:n])))
    return graph.compile().program


def listing(record_, n=2):
    """The operations of a compiled expression, without slots' numbers: ``sub x y; neg ·``."""
    program = compiled(record_, n)
    names = [*"xyzw"[: program.n_leaves], *map(str, program.constants.tolist())]
    steps = []
    for op, _, operands, immediate, *_ in interpreter.operations(program):
        args = [names[x] if x < program.first_operation else "·" for x in operands]
        steps.append(" ".join([op.name, *args, *(str(int(i)) for i in immediate)]))
    return "; ".join(steps) or names[program.outputs[0]]


REDUCED = [
    (lambda x, y: fg.neg(-x), "x"),
    (lambda x, y: abs(abs(x)), "abs x"),
    (lambda x, y: abs(-x), "abs x"),
    (lambda x, y: fg.square(-x), "square x"),
    (lambda x, y: fg.square(abs(x)), "square x"),
    (lambda x, y: x * x, "square x"),
    (lambda x, y: x * 1.0, "x"),
    (lambda x, y: 1 * x, "x"),
    (lambda x, y: x * -1.0, "neg x"),
    (lambda x, y: -1 * x, "neg x"),
    (lambda x, y: x / 1.0, "x"),
    (lambda x, y: x / -1.0, "neg x"),
    (lambda x, y: 1.0 / x, "reciprocal x"),
    (lambda x, y: x / 8.0, "mul x 0.125"),
    (lambda x, y: x / -0.25, "mul x -4.0"),
    (lambda x, y: x + -0.0, "x"),
    (lambda x, y: -0.0 + x, "x"),
    (lambda x, y: x - 0.0, "x"),
    (lambda x, y: -0.0 - x, "neg x"),
    (lambda x, y: x + -y, "sub x y"),
    (lambda x, y: -x + y, "sub y x"),
    (lambda x, y: x - -y, "add x y"),
    (lambda x, y: -x * -y, "mul x y"),
    (lambda x, y: -x / -y, "div x y"),
    (lambda x, y: x**0, "1.0"),
    (lambda x, y: x**1, "x"),
    (lambda x, y: x**2, "square x"),
    (lambda x, y: x**-1, "reciprocal x"),
    (lambda x, y: ~(x == y), "ne x y"),
    (lambda x, y: ~(x != y), "eq x y"),
    (lambda x, y: fg.where(x, y, y), "y"),
    (lambda x, y: fg.where(~x, x, y), "where x y x"),
    (lambda x, y: fg.where(x.graph.constant(2.0), x, y), "x"),
    (lambda x, y: fg.where(x.graph.constant(0.0), x, y), "y"),
    (lambda x, y: fg.where(x.graph.constant(-0.0), x, y), "y"),
    (lambda x, y: fg.where(x.graph.constant(NAN), x, y), "x"),
    # Sharing: the operands of commutative ops in either order, and what two reductions make equal.
    (lambda x, y: (x + y) * (y + x), "add x y; square ·"),
    (lambda x, y: x * y - y * x, "mul x y; sub · ·"),
    (lambda x, y: fg.hypot(x, y) / fg.hypot(y, x), "hypot x y; div · ·"),
    (lambda x, y: fg.maximum(x, y) - fg.maximum(y, x), "maximum x y; sub · ·"),
    (lambda x, y: (x - y) - (x + -y), "sub x y; sub · ·"),
    (lambda x, y: fg.sin(x) + fg.sin(fg.neg(-x)), "sin x; add · ·"),
    (lambda x, y: x**3 - x**3, "powi x 3; sub · ·"),
    # Constants alone.
    (lambda x, y: x * (x.graph.constant(2.0) * 3.0), "mul x 6.0"),
    (lambda x, y: fg.exp(x.graph.constant(0.0)) * x, "x"),
    (lambda x, y: x.graph.constant(3.0) - 1.0, "2.0"),
]


@pytest.mark.parametrize(("record_", "expected"), REDUCED)
def test_exact_reductions(record_, expected):
    got = listing(record_)
    mirrored = expected.split("; ")[0].split()
    if len(mirrored) == 3 and mirrored[0] in OPS and OPS[mirrored[0]].commutative:
        mirrored = " ".join([mirrored[0], mirrored[2], mirrored[1]])
        assert got in (expected, "; ".join([mirrored, *expected.split("; ")[1:]]))
    else:
        assert got == expected


KEPT = [
    (lambda x, y: x - x, "sub x x"),
    (lambda x, y: 0.0 * x, "mul"),
    (lambda x, y: x / x, "div x x"),
    (lambda x, y: x + 0.0, "add"),
    (lambda x, y: 0.0 + x, "add"),
    (lambda x, y: 0.0 - x, "sub"),
    (lambda x, y: x - -0.0, "sub"),
    (lambda x, y: x / 3.0, "div"),
    (lambda x, y: x / 0.0, "div"),
    (lambda x, y: x / 5e-324, "div"),
    (lambda x, y: x / INF, "div"),
    (lambda x, y: x**3, "powi x 3"),
    (lambda x, y: x - y + y, "sub x y; add"),
    (lambda x, y: (x + y) - x, "; sub"),
    (lambda x, y: fg.sqrt(x * x), "square x; sqrt ·"),
    (lambda x, y: fg.exp(fg.log(x)), "log x; exp ·"),
    (lambda x, y: fg.minimum(x, x), "minimum x x"),
    (lambda x, y: x == x, "eq x x"),
    (lambda x, y: x <= x, "le x x"),
    (lambda x, y: ~(x < y), "lt x y; logical_not ·"),
    (lambda x, y: ~~x, "logical_not x; logical_not ·"),
    (lambda x, y: x - y == y - x, "sub"),
    (lambda x, y: x * y + x, "mul"),
]


@pytest.mark.parametrize(("record_", "expected"), KEPT)
def test_what_is_not_exact_stays(record_, expected):
    got = listing(record_)
    assert got.startswith(expected) or expected in got
    assert "fma" not in got
    graph = fg.Graph()
    graph.output(record_(*graph.inputs("x", "y")))
    assert compiled(record_).n_operations == sum(row[0] < len(TABLE) for row in graph.columns()[0])


@pytest.mark.parametrize(("record_", "expected"), REDUCED + KEPT)
def test_reductions_are_exact_on_all_special_values(record_, expected):
    graph = fg.Graph()
    graph.output(record_(*graph.inputs("x", "y")))
    points = (*EDGES, 2.0, -3.5, 1e-310, 1e308, 3.0)
    leaves = np.array(list(itertools.product(points, points))).T
    got = engines.tile(graph.compile().program, leaves)[0]
    assert_same_bits(got, engines.reference(plain_program(graph), leaves)[0], expected)


@pytest.mark.parametrize(("record_", "expected"), REDUCED + KEPT)
def test_reductions_are_exact_on_all_special_values_of_float32(record_, expected):
    graph = fg.Graph()
    graph.output(record_(*graph.inputs("x", "y")))
    kind = np.finfo(SINGLE)
    edges = (kind.tiny, kind.max, kind.smallest_subnormal, -kind.smallest_subnormal, 5e-40)
    points = np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 2.0, -3.5, 3.0, *edges], SINGLE)
    leaves = np.array(list(itertools.product(points, points))).T
    got = in_float32(graph.compile(SINGLE).program, leaves)
    assert_same_bits(got, in_float32(plain_program(graph, SINGLE), leaves), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_division_by_a_power_of_two_multiplies_where_that_is_exact(dtype):
    """Where the power and its reciprocal are normal; beside every such quotient, none of another bit."""
    kind = np.finfo(dtype)
    for exponent in (
        kind.minexp - 1,
        kind.minexp,
        kind.minexp + 1,
        -1,
        1,
        125,
        126,
        127,
        -kind.minexp,
        1 - kind.minexp,
    ):
        for sign in (1.0, -1.0):
            graph = fg.Graph()
            graph.output(graph.input("x") / math.ldexp(sign, exponent))
            program = graph.compile(dtype).program
            assert ("mul" in program.disassemble()) == (abs(exponent) <= -kind.minexp), exponent
            drawn = np.random.default_rng(exponent % 99).integers(0, 1 << (8 * dtype.itemsize - 1), 500)
            x = drawn.astype(f"i{dtype.itemsize}").view(dtype)
            with np.errstate(all="ignore"):
                expected = x / dtype.type(math.ldexp(sign, exponent))
            assert_same_bits(interpreter.forward(program, [x])[program.outputs[0]], expected, str(exponent))


@pytest.mark.parametrize("op", [op for op in TABLE if op.commutative], ids=lambda op: op.name)
def test_commutative_ops_are(op):
    """What the deduplication relies on: the values of swapped operands have the same bits, gradients swap."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    for pair in ((x, y), (y, x)):
        graph.output(FUNCTIONS[op.name](*pair))
    leaves = np.array(list(itertools.product(*op.domain.specials))).T
    first, second = engines.tile(plain_program(graph), leaves)[0]
    assert_same_bits(first, second)


# -- fold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in TABLE if op.immediate is None], ids=lambda op: op.name)
def test_folded_constants_have_the_bits_of_the_sweep(op):
    points = list(itertools.product(*op.domain.specials))
    points = points[:: -(-len(points) // 60)] + [tuple(0.3 * high + 0.7 * low for low, high in op.domain.intervals)]
    graph, other = fg.Graph(), fg.Graph()
    inputs = other.inputs(*"xyz"[: op.arity])
    other.output(FUNCTIONS[op.name](*inputs))
    for args in points:
        graph.output(FUNCTIONS[op.name](*map(graph.constant, args)))
    f = graph.compile()
    assert f.program.n_operations == 0
    assert_same_bits(np.array(list(f())), other.compile()(*np.array(points).T))


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_folded_constants_have_the_bits_of_the_sweep_in_float32(op):
    for n, operands in arguments(op, 8, dtype=SINGLE):
        operands, n = operands[:, :: 1 + operands.shape[1] // 12], () if n is None else (n,)
        graph, other = fg.Graph(), fg.Graph()
        other.output(FUNCTIONS[op.name](*other.inputs(*"xyz"[: op.arity]), *n))
        for args in operands.T:
            graph.output(FUNCTIONS[op.name](*map(graph.constant, args), *n))
        program = graph.compile(SINGLE).program
        assert program.n_operations == 0
        folded = program.constants[program.outputs.astype(np.int64) - program.n_leaves]
        assert_same_bits(folded, in_float32(other.compile(SINGLE).program, operands)[0])


def test_fold_keeps_what_varies():
    graph = fg.Graph()
    x = graph.input("x")
    two = graph.constant(2.0)
    graph.output((two * 3.0 + 1.0) * x + two / 0.0)
    assert graph.compile().program.disassemble().count(" = constant") == 2
    assert graph.compile()(1.0) == INF


def test_constants_are_shared_by_their_bits():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.hypot(x, 0.0) + fg.copysign(x, -0.0) + fg.copysign(x, 0.0) + fg.fmax(x, NAN) + fg.fmin(x, NAN))
    constants = compiled_constants(graph)
    assert sorted(bits(constants).tolist()) == sorted(bits([0.0, -0.0, NAN]).tolist())


def test_constants_are_rounded_before_anything_is_computed_from_them():
    """0.1 and float32(0.1) are one constant, and what is folded of them is folded in float32."""
    graph = fg.Graph()
    x = graph.input("x")
    graph.output([x + 0.1, x * float(np.float32(0.1)), x + 1e300, x + fg.exp(x.graph.constant(0.1)) / 3.0])
    program = graph.compile(SINGLE).program
    tenth = np.float32(0.1)
    folded = np.float32(np.exp(np.float64(tenth))) / np.float32(3.0)
    assert program.constants.dtype == np.float32
    assert program.constants.tolist() == [tenth, INF, folded]


def compiled_constants(graph):
    return graph.compile().program.constants


# -- prune --------------------------------------------------------------------------------------------------


def test_prune_drops_what_no_output_needs():
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    fg.exp(x) * 7.0
    graph.output(fg.sin(y) + 3.0)
    columns = prune(columns_of(graph))
    assert [row[0] for row in columns.rows.tolist()].count(OPS["exp"].code) == 0
    assert columns.constants.tolist() == [3.0]
    program = graph.compile().program
    assert (program.n_leaves, program.n_operations) == (3, 2)


def test_prune_keeps_masks_and_what_they_need():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.where((x > 0.0) & (y > 0.0), fg.log(x * y), x))
    columns = branch_masks(prune(simplify(columns_of(graph))))
    kept = prune(columns)
    assert sorted(m for m in kept.masks.tolist() if m >= 0)
    assert_same_bits(values_of(kept, np.ones((2, 9))), values_of(columns, np.ones((2, 9))))


# -- in Python and compiled ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_small_graphs_in_python_give_the_programs_of_compiled_passes(monkeypatch, seed):
    """The same source runs both ways, so where integers wrap or divide it must not matter which one runs."""
    graph = record(Seeded(seed), n_ops=60, n_inputs=3, n_outputs=2)
    first, second = made_both_ways(monkeypatch, lambda: graph.compile().to_bytes())
    assert first == second


def test_there_are_adaptive_passes():
    assert len(ADAPTIVE) > 5
