"""Traced lines: every operation that is left after the passes names a line that computes its value, or none."""

import pickle
import sys
from array import array
from dataclasses import replace

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.assembly import evaluate_constants, simplified
from fastgraph.errors import GraphError, ProgramError
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.interpreter import forward
from fastgraph.lines import NOWHERE, Lines
from fastgraph.ops import TABLE
from fastgraph.passes import branch_masks, fold, narrow, prune, simplify
from fastgraph.program import RUN
from fastgraph.reference import NumPyMachine
from tests.random_graphs import Seeded, columns_of, input_sets, plain_program, record
from tests.sources import retraced, run

SEEDS = 30


def here():
    """The number of the line that calls this."""
    return sys._getframe(1).f_lineno


def lines_of(f):
    """By op, the numbers and sources of the lines that recorded it."""
    program, slot, found = f.program, f.program.first_operation, {}
    for opcode, _, _, count in program.runs.tolist():
        for _ in range(count):
            line = program.lines.at(slot)
            found.setdefault(TABLE[opcode].name, []).append(line and (line.line, line.part))
            slot += 1
    return found


# -- what is named ------------------------------------------------------------------------------------------
def test_operators_functions_and_arrays():
    graph = fg.Graph(trace_lines=True)
    x, v = graph.input("x"), graph.input("v", shape=3)
    a = fg.exp(x) * 2.0 - np.sin(x)
    first = here() - 1
    b = np.cos(v) @ v
    c = np.mean(
        v / x
    )  # fmt: skip
    graph.output(a + b + c)
    last = here() - 1
    found = lines_of(graph.compile())
    assert found["exp"] == [(first, "fg.exp(x)")]
    assert found["sin"] == [(first, "np.sin(x)")]
    assert found["sub"] == [(first, "fg.exp(x) * 2.0 - np.sin(x)")]
    assert found["cos"] == [(first + 2, "np.cos(v)")] * 3
    assert set(found["mul"]) >= {(first, "fg.exp(x) * 2.0"), (first + 2, "np.cos(v) @ v")}
    assert (first + 4, "v / x") in found["div"]
    assert (last, "a + b + c") in found["add"] and (last, "a + b") in found["add"]
    leaves = [graph.compile().program.lines.at(slot) for slot in range(4)]
    assert [line.part for line in leaves] == ['graph.input("x")'] + ['graph.input("v", shape=3)'] * 3
    assert {line.file for line in leaves} == {__file__} and leaves[0].function == here_function()


def here_function():
    return sys._getframe(1).f_code.co_name


def model(x):
    return np.sum(np.sqrt(x))


def test_traced_functions():
    for f in (fg.trace(model, 4, trace_lines=True), fg.function(model, trace_lines=True).traced(np.ones(4))):
        found = lines_of(f)
        line = f.program.lines.at(f.program.first_operation)
        assert (line.function, line.part) == ("model", "np.sqrt(x)")
        assert str(line) == f"{__file__}, line {line.line}, in model: `return np.sum(np.sqrt(x))`"
        assert {part for _, part in found["add"]} == {"np.sum(np.sqrt(x))"}
    assert fg.trace(model, 4).program.lines is None


def test_what_is_recorded_for_somebody_names_who_asked():
    """The lines of a function that is called with expressions, of a derivative or a table: those that called."""
    inner = fg.trace(model, 2)
    graph = fg.Graph(trace_lines=True)
    x = graph.input("x", shape=2)
    y = inner(x)
    z = graph.gradient(y, x)
    w = fg.interp(x[0], [0.0, 1.0], [2.0, 3.0])
    line = here() - 3
    graph.output(fg.sum(z) + w)
    found = lines_of(graph.compile())
    # Of the two square roots, needed by both, the first's.
    assert set(found["sqrt"]) == {(line, "inner(x)")}
    assert {number for number, _ in found["div"]} <= {line + 1, line + 2}
    assert {part for _, part in found["interval"]} == {"fg.interp(x[0], [0.0, 1.0], [2.0, 3.0])"}


def test_equal_operations_have_the_first_line():
    lines = ["x = graph.input('x')", "a = fg.sin(x)", "b = fg.sin(x)", "c = b * a", "d = a * b",
             "graph.output(c + d)"]  # fmt: skip
    graph = fg.Graph(trace_lines=True)
    run(lines, graph=graph)
    found = lines_of(graph.compile())
    assert found == {"sin": [(2, "fg.sin(x)")], "square": [(4, "b * a")], "add": [(6, "c + d")]}


def test_folded_constants_have_the_line_that_computed_them():
    graph = fg.Graph(trace_lines=True)
    x = graph.input("x")
    c = fg.log(graph.constant(0.0) - 1.0)
    graph.output(x * c)
    line, program = here() - 2, graph.compile().program
    found = program.lines.at(1)
    assert np.isnan(program.constants[0]) and (found.line, found.part) == (line, "fg.log(graph.constant(0.0) - 1.0)")


def test_an_expression_over_several_lines_is_not_cut():
    graph = fg.Graph(trace_lines=True)
    run(["x = graph.input('x')", "y = (fg.sin(x) *", "     x)", "graph.output(y)"], graph=graph)
    found = lines_of(graph.compile())
    assert found == {"sin": [(2, "fg.sin(x)")], "mul": [(2, "y = (fg.sin(x) *")]}


def test_columns_are_bytes_and_sources_may_be_gone():
    graph = fg.Graph(trace_lines=True)
    run(["größe = graph.input('x')", "graph.output('ä' and fg.sin(größe) * 2.0)"], "<umlauts>", graph=graph)
    assert lines_of(graph.compile())["sin"] == [(2, "fg.sin(größe)")]
    import linecache

    del linecache.cache["<umlauts>"]
    line = graph.compile().program.lines.at(1)
    assert (line.text, line.part, str(line)) == ("", "", "<umlauts>, line 2, in <module>")


# -- through the passes ---------------------------------------------------------------------------------------
def values_of(columns, leaves, dtype=np.float64):
    """The value of every node, in the order of rows, on the reference machine."""
    m, values = NumPyMachine(dtype), []
    with np.errstate(all="ignore"):
        for code, *xs in columns.rows.tolist():
            if code == INPUT:
                values.append(leaves[xs[0]].astype(dtype))
            elif code == CONSTANT:
                values.append(np.full(leaves.shape[1], columns.constants[xs[0]], dtype))
            else:
                op = TABLE[code]
                n = op.given(int(np.int32(np.uint32(xs[op.arity]))), columns, dtype) if op.immediate else ()
                r = op.apply(m, *(values[x] for x in xs[: op.arity]), *n)
                values.append(np.broadcast_to(m.floats(r), leaves.shape[1]))
    return values


def traced_columns(graph):
    return replace(columns_of(graph), lines=graph.lines)


def assert_lines_compute(lines, values, expected):
    """Every node with a line has the value of the node, by its number, that this line recorded."""
    for number, value in zip(lines.numbers.tolist(), values, strict=True):
        if number != NOWHERE:
            wanted = expected[lines.places[number].line - 1]
            assert np.array_equal(value.view(np.uint8), wanted.view(np.uint8)) or np.array_equal(value, wanted, True)


@pytest.mark.parametrize("n_graphs", [8, pytest.param(SEEDS, marks=pytest.mark.long)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_pass_on_random_graphs(dtype, n_graphs):
    for seed in range(n_graphs):
        graph = retraced(record(Seeded(seed), n_ops=40, dtype=dtype))
        leaves = input_sets(seed, 3, 5)
        recorded = narrow(traced_columns(graph), np.dtype(dtype))
        with np.errstate(all="ignore"):
            expected = values_of(recorded, leaves, dtype)
        assert [recorded.lines.at(k).line for k in range(len(recorded))] == list(range(1, len(recorded) + 1))
        pruned = prune(recorded)
        folded = fold(pruned, lambda constants: evaluate_constants(constants, np.dtype(dtype)))
        shared = simplify(folded, np.dtype(dtype))
        for columns in (pruned, folded, shared, branch_masks(prune(shared))):
            assert len(columns.lines.numbers) == len(columns)
            assert_lines_compute(columns.lines, values_of(columns, leaves, dtype), expected)
        program = graph.compile(dtype).program
        assert_lines_compute(program.lines, forward(program, leaves), expected)
        first = program.first_operation
        n_values = int(program.runs["count"][: program.n_value_runs].sum())
        assert (program.lines.numbers[first : first + n_values] != NOWHERE).all()
        # Of needed rows that were recorded twice, the second names nothing.
        rows = [tuple(row) for row in pruned.rows.tolist()]
        again = {pruned.lines.at(k).line for k, row in enumerate(rows) if row in rows[:k]}
        assert again.isdisjoint(program.lines.places[k].line for k in program.lines.numbers if k != NOWHERE)


def test_bound_arguments():
    for seed in range(20):
        graph = retraced(record(Seeded(seed), n_ops=40))
        leaves = input_sets(seed, 3, 4)
        leaves[1] = leaves[1, 0]
        bound = graph.compile().bind(x1=leaves[1, 0])
        values = forward(bound.program, leaves[[0, 2]])
        values = [np.broadcast_to(v, 4) for v in values]
        assert_lines_compute(bound.program.lines, values, values_of(columns_of(graph), leaves))
        assert (bound.program.lines.numbers[bound.program.first_operation :] != NOWHERE).any() or not len(
            bound.program.runs
        )


# -- off ------------------------------------------------------------------------------------------------------
def test_untraced_graphs_are_what_they_were():
    for seed in range(30):
        plain = record(Seeded(seed), n_ops=40)
        traced = retraced(plain)
        assert type(plain._rows) is array and plain.lines is None
        for a, b in zip(plain.columns(), traced.columns(), strict=True):
            assert a.tobytes() == b.tobytes()
        f, g = plain.compile(), traced.compile()
        assert f.program.lines is None and g.program.lines is not None
        assert f.to_bytes() == g.to_bytes()
        assert plain_program(plain).lines is None


def test_copies_of_arrays_of_rows_trace_nothing():
    graph = fg.Graph(trace_lines=True)
    graph.input("x")
    graph._rows = graph._rows[:]
    assert graph.lines is None


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_trace_lines_is_true_or_false(value):
    with pytest.raises(GraphError, match="trace_lines must be True or False"):
        fg.Graph("g", value)


# -- kept -----------------------------------------------------------------------------------------------------
def square(x):
    return x * x


def test_pickles_keep_lines_and_bytes_do_not():
    graph = fg.Graph(trace_lines=True)
    x = graph.input("x")
    graph.output(fg.sin(x))
    f = graph.compile()
    again = pickle.loads(pickle.dumps(f))
    assert lines_of(again) == lines_of(f) and again(0.5) == f(0.5)
    assert fg.Function.from_bytes(f.to_bytes()).program.lines is None
    assert __file__.encode() not in f.to_bytes()
    graph.output(fg.custom_op(square)(x), name="custom")
    f = graph.compile()
    assert lines_of(pickle.loads(pickle.dumps(f))) == lines_of(f)


def test_lines_that_do_not_fit_are_refused():
    program = fg.trace(model, 2, trace_lines=True).program
    pieces = {name: getattr(program, name) for name in ("n_leaves", "constants", "runs", "n_value_runs", "operands",
                                                        "outputs", "tables")}  # fmt: skip
    lines = program.lines
    assert program.runs.dtype == RUN and fg.Program(**pieces, lines=lines).lines is lines
    for numbers in (lines.numbers[1:], lines.numbers.astype(np.int64), lines.numbers.tolist()):
        with pytest.raises(ProgramError, match="int32 number for each of"):
            fg.Program(**pieces, lines=Lines(numbers, lines.places))
    for wrong in (-2, len(lines.places)):
        with pytest.raises(ProgramError, match="must be from -1 to"):
            fg.Program(**pieces, lines=Lines(np.full_like(lines.numbers, wrong), lines.places))


def test_derived_programs_have_no_lines():
    """Their rows are made, not recorded; a pass that does not say where nodes went loses their lines."""
    f = fg.trace(model, 2, trace_lines=True)
    f.hessian(np.ones(2))
    made = [g.program for g in f._derivatives.values() if hasattr(g, "program")]
    assert made and all(program.lines is None for program in made)
    assert simplified(columns_of_function(f)).lines is not None


def columns_of_function(f):
    from fastgraph.engine.streams import columns_of

    return columns_of(f.program)
