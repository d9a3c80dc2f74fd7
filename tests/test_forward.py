"""Forward sweeps with pairs: fewer operations, the same bits, and no gradient that could miss one."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.engine.forward import SMALL, forward_of
from fastgraph.engine.streams import columns_of
from fastgraph.engine.workspace import Single
from fastgraph.ops import TABLE
from fastgraph.ops.fused import FUSED, PAIRS
from fastgraph.passes import pair, schedule
from fastgraph.passes.pair import RAREST
from tests.adaptive_passes import made_both_ways
from tests.bits import assert_same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record


def swept(program, leaves):
    """Outputs of one set at a time."""
    single = Single(program, False)
    outputs = []
    for column in leaves.T:
        single.inputs[:] = column
        single.workspace.sweep(0, 1)
        outputs.append(single.results[: len(program.outputs)].copy())
    return np.array(outputs)


def function(seed, n_ops=3 * SMALL, **options):
    return record(Seeded(seed), n_inputs=4, n_ops=n_ops, **options).compile()


@pytest.mark.parametrize("seed", range(20))
def test_pairs_change_no_bit(seed):
    """All ops, or arithmetic, where most operations are in pairs; at special values, too."""
    program = function(seed, **({"ops": ARITHMETIC} if seed % 2 else {})).program
    leaves = input_sets(seed, program.n_leaves, 12)
    forward = forward_of(program)
    assert_same_bits(swept(forward, leaves), swept(program, leaves))
    if seed % 2:
        assert forward.n_slots < 0.95 * program.n_slots


def test_every_pair():
    """Each op inside each, on either side; what is used twice, or is an output, stays as it is."""
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    ops = [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b]
    terms = []
    for k in range(40):
        for inner in ops:
            for j, outer in enumerate(ops):  # no inner operation is shared
                terms += [
                    outer(inner(graph.constant(k + 0.1 * j), y), z),
                    outer(z, inner(graph.constant(k + 0.1 * j), x)),
                ]
    shared = (x + y) * z
    graph.output(terms, name="terms")
    graph.output(shared + shared * x, name="shared")
    program = graph.compile().program
    rows = pair(columns_of(program)).rows
    codes = set(rows[:, 0].tolist())
    assert {row.code for row in PAIRS} <= codes
    leaves = input_sets(1, 3, 9)
    assert_same_bits(swept(forward_of(program), leaves), swept(program, leaves))


def test_rare_kinds_are_left_alone():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    total = (x - 1.0) * y  # the one difference in a product
    for k in range(10 * RAREST):
        total = total + (x + float(k)) * y
    graph.output(total)
    columns = pair(columns_of(graph.compile().program))
    names = {(*TABLE, *FUSED)[code].name for code in columns.rows[:, 0] if code < len(TABLE) + len(FUSED)}
    assert "mul" in names and "mul_sub_x" not in names
    assert any(name in names for name in ("add_mul_x", "mul_add_x"))


@pytest.mark.parametrize("seed", range(6))
def test_python_and_machine_code_make_the_same(seed, monkeypatch):
    program = function(seed, ops=ARITHMETIC).program

    def make():
        plan = schedule(pair(columns_of(program)), program.n_leaves)
        return [plan.operands.tobytes(), plan.opcodes.tobytes(), plan.counts.tobytes(), plan.outputs.tobytes()]

    first, second = made_both_ways(monkeypatch, make)
    assert first == second


def test_where_it_is_used():
    """In the programs of tangents; those that are differentiated again, and small ones, have every operation."""
    f = function(1, ops=ARITHMETIC)
    x = np.random.default_rng(0).normal(size=(4,))
    f.flat.jvp(x, x)
    f.flat.hvp(x, x)
    tangents, directional = (f._derived(kind, f.signature.differentiable) for kind in ("tangents", "directional"))
    assert tangents.sweeper.single(False).workspace.program.n_slots < tangents.program.n_slots
    assert directional.sweeper.single(False).workspace.program is directional.program
    assert tangents.sweeper.single(True).workspace.program is tangents.program
    small = function(1, n_ops=20)
    assert forward_of(small.program) is small.program
