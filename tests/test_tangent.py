"""Tangent: its programs against duals over NumPy, to the bit; Python and machine code; long chains; choices."""

from functools import partial

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived
from fastgraph.assembly import optimised
from fastgraph.engine.sweeper import TILES
from fastgraph.engine.tiles import VECTOR
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops import OPS, TABLE
from fastgraph.passes import Columns, prune
from fastgraph.passes import tangent as tangent_module
from fastgraph.passes.tangent import NOTHING, UNIT, tangent
from fastgraph.program import DTYPES, assemble
from tests import engines
from tests.adaptive_passes import arrays_of, made_both_ways
from tests.bits import assert_same_bits, bits
from tests.mp_sweeps import RecordedRules
from tests.mp_sweeps import tangents as tangents_by
from tests.random_graphs import EVERY, Seeded, columns_of, input_sets, record
from tests.wrong_rules import WRONG, rule_of

# polygamma loops for seconds on the NumPy machine; the neighbours of an extreme exponent are no integer an op takes.
QUICK = tuple(op for op in EVERY if op.name != "polygamma")
EXTREME = (2**31 - 1, -(2**31), 2**24 - 1, -(2**24) + 1)
SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 400))]
tangents = partial(tangents_by, machine=RecordedRules)


def program_of(seed, n_ops=None, ops=QUICK, dtype=np.float64, n_outputs=2, **options):
    """A compiled random graph of three inputs whose powers have derivatives; another seed's where they have none."""
    for attempt in range(100):
        graph = record(Seeded([seed, attempt]), n_ops or 5 + seed % 40, 3, n_outputs, ops=ops, dtype=dtype, **options)
        program = graph.compile(dtype=dtype).program
        powers = program.runs["opcode"] == OPS["powi"].code
        if not np.isin(program.runs["immediate"][powers], EXTREME).any():
            return program
    raise AssertionError("no graph without extreme powers")


def sets_of(seed, count, dtype=np.float64):
    with np.errstate(over="ignore"):
        return input_sets(seed, 3, count, special=0.25).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_programs_have_the_bits_of_duals(seed, dtype):
    """Outputs and tangents at special values, too, of inputs and of directions, on every engine."""
    program = program_of(seed, dtype=dtype)
    leaves, direction = sets_of(seed, 24, dtype), sets_of(seed + 1000, 24, dtype)
    expected = np.concatenate(tangents(program, leaves, direction))
    made = derived.with_tangents(program, np.ones(3, np.bool_))
    inputs = np.concatenate([leaves, direction])
    assert_same_bits(engines.tile(made, inputs)[0], expected, f"seed {seed}")
    if dtype == np.float64:
        assert_same_bits(engines.one(made, inputs)[0], expected, f"seed {seed}, one by one")
    alone = derived.directional(program, np.ones(3, np.bool_))
    assert_same_bits(engines.tile(alone, inputs)[0], expected[2:], f"seed {seed}, tangents alone")
    more = [sets_of(seed + 2000 + d, 24, dtype) for d in range(seed % 3)]
    expected = np.concatenate([expected, *(tangents(program, leaves, direction)[1] for direction in more)])
    for size in (VECTOR, *TILES):
        got = engines.along(program, leaves, np.ones(3, np.bool_), [direction, *more], size)
        assert_same_bits(got, expected, f"seed {seed}, as one sweep of {size} bytes")


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_every_op_has_the_bits_of_duals_at_its_special_points(op):
    """Every op alone at the grid of its special points, each operand alone moved and all of them at once."""
    immediates = [n for n in op.domain.immediates if op.names or abs(n) < 1000]
    for n in immediates[: 2 if op.name == "polygamma" else 6] or [None]:
        graph = fg.Graph()
        inputs = graph.inputs(*"xyz"[: op.arity])
        graph.output(fg.expr.FUNCTIONS[op.name](*inputs, *([] if n is None else [n])))
        program = graph.compile().program
        specials = [points + (0.5, -2.5, 3.0) for points in op.domain.specials]
        grid = np.array(np.meshgrid(*specials, indexing="ij"), np.float64).reshape(op.arity, -1)
        grid = grid[:, :: -(-grid.shape[1] // (8 if op.name == "polygamma" else 300))]
        for wanted in range(1, 1 << op.arity):
            moves = np.array([bool(wanted >> k & 1) for k in range(op.arity)])
            direction = np.full(grid.shape, 1.5) * np.arange(1, op.arity + 1)[:, None]
            # What does not move has no tangent at all, which is not the same as a tangent of 0.
            given = [d if m else None for d, m in zip(direction, moves, strict=True)]
            expected = np.concatenate(tangents(program, grid, given))
            made = derived.with_tangents(program, moves)
            got = engines.tile(made, np.concatenate([grid, direction[moves]]))[0]
            assert_same_bits(got, expected, f"{op.name} {n} {moves}")
            twice = np.concatenate(
                [expected, tangents(program, grid, [d if d is None else -2.0 * d for d in given])[1]]
            )
            for size in (VECTOR, 256):
                got = engines.along(program, grid, moves, [direction[moves], -2.0 * direction[moves]], size)
                assert_same_bits(got, twice, f"{op.name} {n} {moves}, as one sweep")


@pytest.mark.parametrize("seed", range(12))
def test_directions_share_what_they_can_and_nothing_else(seed):
    """k directions in one program have the bits of k programs of one direction, and need fewer operations."""
    program = program_of(seed, n_ops=30)
    columns, leaves = derived.columns_of(program), sets_of(seed, 20)
    seeds = np.array([[3, UNIT, NOTHING, 5], [4, NOTHING, UNIT, NOTHING], [NOTHING, NOTHING, NOTHING, 4]])
    together = optimised(tangent(columns, seeds)[0], 6)
    inputs = np.concatenate([leaves, sets_of(seed + 50, 20)])
    got, m = engines.tile(together, inputs)[0], len(program.outputs)
    alone = 0
    for d in range(4):
        one = optimised(tangent(columns, seeds[:, d : d + 1])[0], 6)
        assert_same_bits(got[m * (1 + d) : m * (2 + d)], engines.tile(one, inputs)[0][m:], d)
        alone += one.n_operations
    assert together.n_operations < alone or not program.n_operations


def test_columns_keep_the_form():
    """Operands before results, one row for each node that was there, and no leaf that nobody seeded."""
    for seed in range(12):
        program = program_of(seed)
        columns = derived.columns_of(program)
        made, renamed = tangent(columns, np.array([[NOTHING, 7], [UNIT, NOTHING], [NOTHING, 3]]))
        operations = np.flatnonzero(made.rows[:, 0] < len(TABLE))
        for k in range(3):
            has = operations[np.array([TABLE[c].arity for c in made.rows[operations, 0]]) > k]
            assert (made.rows[has, 1 + k] < has).all()
        assert (made.rows[renamed, 0] == columns.rows[:, 0]).all() and len(set(renamed.tolist())) == len(renamed)
        leaves = made.rows[made.rows[:, 0] == INPUT, 1]
        assert sorted(leaves.tolist()) == [0, 1, 2, 3, 7]
        constants = made.rows[made.rows[:, 0] == CONSTANT, 1]
        assert sorted(constants.tolist()) == list(range(len(made.constants)))
        assemble(prune(made), 8)  # verifies


def test_what_does_not_move_costs_nothing():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output([fg.exp(fg.sin(y)) * x, fg.floor(x) + (x > y), fg.sqrt(y)])
    program = graph.compile().program
    columns = derived.columns_of(program)
    made, _ = tangent(columns, np.array([[UNIT], [NOTHING]]))
    assert len(made) == len(columns) + 2 + (len(made.constants) - 2 - len(columns.constants)) + 1
    assert_same_bits(engines.tile(optimised(made, 2), np.array([[0.5], [0.0]]))[0][3:].ravel(), [1.0, 0.0, 0.0])
    nothing, _ = tangent(columns, np.full((2, 1), NOTHING))
    assert_same_bits(engines.tile(optimised(nothing, 2), np.array([[-1.0], [-1.0]]))[0][3:].ravel(), np.zeros(3))


def test_a_limit_of_rows_is_told_before_they_are_made():
    columns = derived.columns_of(program_of(3))
    seeds = np.full((3, 3), NOTHING)
    seeds[range(3), range(3)] = UNIT
    made, _ = tangent(columns, seeds)
    assert tangent(columns, seeds, limit=len(made) - 1) == (None, None)
    assert len(tangent(columns, seeds, limit=len(made))[0]) == len(made)


@pytest.mark.parametrize("seed", range(12))
def test_python_and_machine_code_make_the_same_program(monkeypatch, seed):
    program = program_of(seed, n_ops=50)
    wanted = np.array([True, seed % 2 == 0, True])
    for make in (derived.with_tangents, derived.directional, derived.jacobian):
        first, second = made_both_ways(monkeypatch, lambda make=make: arrays_of(make(program, wanted)))
        assert first == second


def test_the_pass_runs_both_ways():
    assert sum(isinstance(value, adaptive) for value in vars(tangent_module).values()) == 2


@pytest.mark.parametrize("name", [name for name in WRONG if not OPS[name].chooses])  # a choice has its value's tangent
def test_a_wrong_rule_is_noticed(monkeypatch, name):
    """Tangents of a template whose rule is off do not have the bits of duals."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(WRONG[name][0](x, y))
    program, leaves = graph.compile().program, np.array([[0.5, 1.5], [0.25, 2.0]])
    direction = np.array([[1.0, 0.5], [-2.0, 3.0]])
    expected = tangents(program, leaves, direction)[1]
    inputs = np.concatenate([leaves, direction])
    assert_same_bits(engines.tile(derived.directional(program, np.ones(2, np.bool_)), inputs)[0], np.array(expected))
    with rule_of(monkeypatch, name, WRONG[name][1]):
        got = engines.tile(derived.directional(program, np.ones(2, np.bool_)), inputs)[0]
    assert (bits(got) != bits(np.array(expected))).any()


@pytest.mark.parametrize("n", [50_000, pytest.param(500_000, marks=pytest.mark.long)])
def test_a_long_chain(n):
    """Without recursion, in seconds: the tangent of x -> 0.5 x + y, over and over."""
    rows = np.zeros((2 * n + 3, 4), np.uint32)
    rows[:3, 0], rows[:3, 1] = (INPUT, INPUT, CONSTANT), (0, 1, 0)
    rows[3::2, 0], rows[4::2, 0] = OPS["mul"].code, OPS["add"].code
    rows[3::2, 1], rows[3::2, 2] = np.arange(2, 2 * n + 2, 2), 2
    rows[3, 1] = 0
    rows[4::2, 1], rows[4::2, 2] = np.arange(3, 2 * n + 3, 2), 1
    program = assemble(Columns(rows, np.array([0.5]), np.array([2 * n + 2])), 2)
    assert program.n_operations == 2 * n
    made = derived.with_tangents(program, np.ones(2, np.bool_))
    assert made.n_operations >= 4 * n - 10
    got = engines.tile(made, np.array([[7.0], [1.0], [1.0], [1.0]]))[0].ravel()
    assert_same_bits(got, [2.0, 2.0])


# -- choices ------------------------------------------------------------------------------------------------


def tangent_of(record_, *point):
    """Tangents at a point by each input alone, as those of a batch, too."""
    graph = fg.Graph()
    inputs = [graph.input() for _ in point]
    graph.output(record_(*inputs))
    program = graph.compile().program
    made = derived.jacobian(program, np.ones(len(point), np.bool_))
    leaves = np.repeat(np.array(point, np.float64)[:, None], 9, axis=1)
    got = engines.tile(made, leaves)[0]
    assert_same_bits(engines.one(made, leaves[:, :1])[0], got[:, :1])
    assert (bits(got) == bits(got[:, :1])).all()
    return got[:, 0]


BAD = {
    "inf slope": lambda x: fg.sqrt(x),
    "nan value": lambda x: fg.sqrt(x - 1.0),
    "inf value": lambda x: 1.0 / x,
    "nan slope": lambda x: x**0.5 * x**0.5,
    "nan in between": lambda x: fg.exp(fg.log(-fg.square(x)) * fg.sqrt(x)),
    "overflow": lambda x: fg.exp(1e5 / (x + 1.0)),
}


@pytest.mark.parametrize("bad", BAD)
def test_the_branch_not_taken_contributes_nothing(bad):
    """At x = 0, where the other branch's values and partials are inf or nan."""
    f = BAD[bad]
    for record_, expected in [
        (lambda x: fg.where(x > 0.0, f(x), 3.0 * x), [3.0]),
        (lambda x: fg.where(x <= 0.0, 3.0 * x, f(x)), [3.0]),
        (lambda x: fg.where(x > 0.0, f(x), 1.0), [0.0]),
        (lambda x: fg.where(x > 0.0, f(x), 3.0 * x) + fg.where(x < 0.0, f(x) * x, x), [4.0]),
        (lambda x: fg.where(x > 0.0, fg.where(x > 1.0, f(x), x), fg.where(x < 0.0, f(x), 7.0 * x)), [7.0]),
        (lambda x: fg.where(x > 0.0, fg.sin(f(x)) * 2.0, 3.0 * x), [3.0]),
    ]:
        assert_same_bits(tangent_of(record_, 0.0), expected, bad)
    assert not np.isfinite(tangent_of(lambda x: f(x) * 2.0, 0.0)).all()


def test_a_direction_of_nan_stays_where_it_is():
    """A tangent that is nan on the branch not taken, and one that enters by an operand through which nothing flows."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output([fg.where(x > 0.0, y, x), fg.floor(y) + x, fg.where(y > 0.0, x, 2.0 * x)])
    f = graph.compile()
    for n in (None, 5):
        point = (-1.0, 1.0) if n is None else (np.full(n, -1.0), np.ones(n))
        for bad in (np.nan, np.inf):
            _, tangent_ = f.jvp(point, (1.0, bad))
            assert_same_bits(tangent_, np.ones((*np.shape(point[0]), 3)))


def test_deep_recorded_columns_need_no_order_but_operands_first():
    """As recorded, unscheduled: the pass asks for nothing else."""
    graph = record(Seeded(4), 30, 3)
    columns = columns_of(graph)
    seeds = np.array([[UNIT], [NOTHING], [UNIT]])
    made = assemble(prune(tangent(columns, seeds)[0]), 3)
    leaves = sets_of(4, 30)
    program = assemble(columns, 3)
    # The scheduler may have moved operations; tangents of the two do not depend on that.
    expected = tangents(program, leaves, [np.ones(30), None, np.ones(30)])
    assert_same_bits(engines.tile(made, leaves)[0], np.concatenate(expected))
