"""The schedule: valid orders, long runs; and flow: which operands receive adjoints, and which runs pay for masks."""

import itertools
from functools import cache, partial

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import interpreter
from fastgraph import program as program_module
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.ops import TABLE
from fastgraph.ops.row import MASKED
from fastgraph.passes import Columns, active_operands, branch_masks, prune, schedule, simplify
from fastgraph.program import assemble
from tests import engines
from tests.bits import assert_same_bits
from tests.random_graphs import ARITHMETIC, Seeded, columns_of, input_sets, record


def compiled(record_, n=2):
    graph = fg.Graph()
    graph.output(record_(*graph.inputs(*"xyzw"[:n])))
    return graph.compile().program


def scheduled_runs(columns, n_leaves, block):
    """Per run, (opcode, [(result slot, operands, mask)]) as the schedule lays them out."""
    plan = schedule(columns, n_leaves, block)
    slot, at = n_leaves + int((columns.rows[:, 0] == CONSTANT).sum()), 0
    runs = []
    for opcode, flags, count in zip(plan.opcodes, plan.flags, plan.counts, strict=True):
        n_columns = TABLE[opcode].arity + bool(flags & MASKED)
        table = plan.operands[at : at + n_columns * count].reshape(n_columns, count).T.tolist()
        runs.append((TABLE[opcode], slot, [row[: TABLE[opcode].arity] for row in table]))
        slot += count
        at += n_columns * count
    assert at == len(plan.operands)
    return plan, runs


@cache
def scheduled_next(seed):
    """Columns as the schedule gets them, leaves for them, and their outputs by the order of recording."""
    graph = record(Seeded(seed), n_ops=150, n_inputs=4, n_outputs=3, ops=TABLE if seed < 4 else ARITHMETIC)
    columns, leaves = branch_masks(prune(simplify(columns_of(graph)))), input_sets(seed, 4, 20)
    program = assembled(columns, block=1)
    assert len(program.runs) == program.n_operations
    values = interpreter.forward(program, leaves)
    return columns, leaves, [values[slot] for slot in program.outputs]


def assembled(columns, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_module, "schedule", partial(schedule, block=block))
        return assemble(columns, 4)


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 15])
@pytest.mark.parametrize("seed", range(12))
def test_schedule_invariants(seed, block):
    columns, leaves, expected = scheduled_next(seed)
    plan, runs = scheduled_runs(columns, 4, block)
    operations = columns.rows[:, 0] < len(TABLE)
    # Every op exactly once, with its multiplicity.
    codes = sorted(itertools.chain.from_iterable([op.code] * len(rows) for op, _, rows in runs))
    assert codes == sorted(columns.rows[operations, 0].tolist())
    for op, first, rows in runs:
        for row in rows:
            assert all(x < first for x in row), (op.name, first, row)  # earlier, and so the run's are independent
    flags = active_operands(columns)
    assert len(plan.counts) <= operations.sum()
    assert set((plan.flags & (MASKED - 1)).tolist()) <= set(flags.tolist())
    # The order changes no bit.
    assert_same_bits(engines.tile(assembled(columns, block), leaves)[0], expected)


def test_operations_that_are_ready_together_make_one_run():
    graph = fg.Graph()
    x = graph.input("x", shape=50)
    graph.output(fg.sum(fg.exp(x) * fg.sin(x)))
    names = [TABLE[run["opcode"]].name for run in graph.compile().program.runs]
    assert names.count("exp") == names.count("sin") == names.count("mul") == 1
    assert names.count("add") == 6


def test_runs_are_cut_where_the_immediate_changes():
    graph = fg.Graph()
    x = graph.input("x", shape=6)
    graph.output(fg.sum([x[0] ** 3, x[1] ** 5, x[2] ** 3, x[3] ** -7, x[4] ** 5, x[5] ** 3]))
    f = graph.compile()
    runs = [run for run in f.program.runs.tolist() if TABLE[run[0]].name == "powi"]
    assert sorted((n, count) for _, _, n, count in runs) == [(-7, 1), (3, 3), (5, 2)]
    assert f([1.0, 2.0, 3.0, 1.0, 1.0, 2.0]) == 1 + 32 + 27 + 1 + 1 + 8


def test_chain_of_a_million_operations():
    graph = fg.Graph()
    x = graph.input("x")
    y = x
    for _ in range(500_000):
        y = y * 0.5 + 1.0
    graph.output(y)
    f = graph.compile()
    assert f.program.n_operations == 1_000_000
    value, slope = f.value_and_grad(2.0)
    assert (value, slope) == (2.0, 0.0)
    assert_same_bits(f(np.array([2.0, 8.0, -1.0])), [2.0, 2.0, 2.0])


# -- flow ---------------------------------------------------------------------------------------------------


def test_only_operands_that_depend_on_inputs_receive_adjoints():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.floor(x) * y + fg.exp(fg.rint(x)))
    columns = columns_of(graph)
    flags = {
        TABLE[row[0]].name: int(f)
        for row, f in zip(columns.rows.tolist(), active_operands(columns), strict=True)
        if row[0] < INPUT
    }
    assert flags == {"floor": 0, "mul": 2, "rint": 0, "exp": 0, "add": 1}


@pytest.mark.parametrize(
    "record_", [lambda x, y: x + y, lambda x, y: fg.where(x > y, x, y), lambda x, y: fg.where(x, -x, x + y)]
)
def test_no_masks_where_nothing_could_go_wrong(record_):
    """Without partials to multiply by, a zero adjoint stays zero: no run pays for a mask."""
    assert not (compiled(record_).runs["flags"] & MASKED).any()


def test_masks_only_inside_branches():
    program = compiled(lambda x, y: fg.exp(fg.where(x > 0.0, fg.log(x), y)) * fg.sin(y))
    masked = {TABLE[run["opcode"]].name for run in program.runs if run["flags"] & MASKED}
    assert masked == {"log"}


def test_columns_have_a_length():
    graph = fg.Graph()
    graph.output(graph.input("x") + 1.0)
    assert len(Columns(*graph.columns())) == len(graph) == 3
