"""Looking: what graphs, expressions, programs and functions show of themselves, at any size.

The texts themselves are in ``tests/golden``; ``python -m tests.golden_texts`` writes them anew.
"""

import difflib
import re
import time

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError
from fastgraph.formula import Formula
from fastgraph.infix import MAX_CHARACTERS
from tests.bits import assert_same_bits
from tests.golden_texts import FOLDER, POINTS, TEXTS, masks, path_of
from tests.random_graphs import EVERY, Seeded, input_sets, record


# -- golden texts -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_those_of_the_files(name):
    kept = path_of(name).read_text(encoding="utf-8") if path_of(name).exists() else ""
    made = TEXTS[name]() + "\n"
    if made != kept:
        difference = "".join(difflib.unified_diff(kept.splitlines(True), made.splitlines(True), "kept", "made", n=1))
        pytest.fail(f"if this change is meant, run python -m tests.golden_texts and commit the files:\n{difference}")


def test_no_file_is_left_over():
    assert {path.name for path in FOLDER.iterdir()} == {path_of(name).name for name in TEXTS}


def test_texts_are_ascii_but_for_names():
    assert all(path.read_text(encoding="utf-8").isascii() for path in FOLDER.iterdir())


# -- formulas -----------------------------------------------------------------------------------------------
def read_back(text, graph, names):
    """Record what an Expr's repr says, in another graph."""
    first, *meanings = re.split(r" with |, (?=t\d+ = )", text)
    known = {name: graph.argument(name) for name in names}
    for meaning in meanings:
        name, formula = meaning.split(" = ", 1)
        known[name] = Formula(formula).record(graph, known)
    return Formula(first).record(graph, known)


# Functions by which formulas and Python record something else than they say: a power by a whole number is powi.
READ_BACK = [op for op in EVERY if op.name != "pow" and not op.names]


def test_the_formula_of_an_expression_is_that_expression():
    """The formulas of random expressions, recorded again, give the same bits."""
    read = 0
    for seed in range(60):
        graph = record(Seeded(seed), n_ops=12, ops=READ_BACK)
        text = repr(fg.Expr(graph, int(graph.columns()[2][0])))
        if "the end of a long formula" in text or str(-(2**31)) in text:
            continue  # or with an exponent that Python's ** does not take for a whole number
        again = fg.Graph()
        names = [argument.name for argument in graph.arguments]
        again.inputs(*names)
        again.output(read_back(text[len("<Expr ") : -1], again, names))
        f, g = graph.compile(), again.compile()
        for x in input_sets(seed, 3, 5).T:
            assert_same_bits(g(*x), f(*x), text)
        read += 1
    assert read > 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("a/(b*c)", "a / (b * c)"),
        ("(a**b)**c", "(a ** b) ** c"),
        ("a**b**c", "a ** b ** c"),
        ("-a**2", "-a ** 2"),
        ("(-a)**2", "(-a) ** 2"),
        ("-(-a)", "-(-a)"),
        ("a*-b", "a * -b"),
        ("a**-b", "a ** -b"),
        ("a - -1", "a - -1"),
        ("(a<b)&(b<c)", "(a < b) & (b < c)"),
        ("~(a==b)|(a!=c)", "~(a == b) | (a != c)"),
        ("(a<b)<c", "(a < b) < c"),
        ("sin(a)%2", "sin(a) % 2"),
        ("a if b>0 else c", "where(b > 0, a, c)"),
        ("a**0.5", "a ** 0.5"),
        ("(a+1)**3", "(a + 1) ** 3"),
        ("1e-7*a", "1e-07 * a"),
    ],
)
def test_parentheses_are_where_they_must_be(text, expected):
    graph = fg.Graph()
    names = graph.inputs("a", "b", "c")
    expr = Formula(text).record(graph, dict(zip("abc", names, strict=True)))
    assert repr(expr) == f"<Expr {expected}>"
    again = Formula(expected).record(graph, dict(zip("abc", names, strict=True)))
    assert repr(again) == repr(expr)


def test_names_of_leaves_between_arguments_of_many_shapes():
    graph = fg.Graph()
    arrays = [graph.input(f"x{k}", shape=shape) for k, shape in enumerate([(), (2,), (1, 3), (), (2, 2, 2)])]
    for name, array in zip(graph.arguments, arrays, strict=True):
        for index in np.ndindex(name.shape):
            expected = name.name + (str(list(index)) if index else "")
            assert repr(array[index] if index else array) == f"<Expr {expected}>"


def test_expressions_of_recorders_without_arguments_show_something():
    from fastgraph.graph import INPUT, Recorder

    recorder = Recorder()
    assert repr(fg.Expr(recorder, recorder.record(INPUT, 7))) == "<Expr input7>"
    assert repr(fg.Expr(recorder, 10)) == "<Expr node 10>"


# -- large ones ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def chain():
    """(graph, last expression, function) of a chain of 10**6 operations that each use the one before twice."""
    graph = fg.Graph("chain")
    x = graph.input("x", shape=2)
    y = x[0]
    for _ in range(250_000):
        y = fg.sin(y) * y
        y = y - x[1] * y
    graph.output(y)
    return graph, y, graph.compile()


def seconds(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def test_what_is_large_is_shown_short_and_soon(chain):
    graph, y, f = chain
    array = y + graph.input("z", shape=(300, 300))
    for thing in (graph, y, f, f.program, array, array.T):
        assert len(repr(thing)) < MAX_CHARACTERS + 100
        assert min(seconds(lambda thing=thing: repr(thing)) for _ in range(3)) < 0.01
    for thing in (graph, y, f, f.program, array):
        assert str(thing.summary()).count("\n") < 30
        assert len(thing._repr_html_()) < 10_000
    assert f.program.disassemble().count("\n") == 10_000
    with pytest.raises(ArgumentError, match="limit=1000002"):
        f.explain([1.0, 2.0])


def test_disassembly_says_how_much_it_leaves_out(chain):
    program = chain[2].program
    for limit in (0, 1, 7):
        *lines, last = program.disassemble(limit).splitlines()
        left = int(re.match(r"; ([\d,]+) lines more: disassemble\(limit=None\) gives all", last)[1].replace(",", ""))
        assert len(lines) == limit and left + limit == 1 + program.n_slots + len(program.runs) + 1
    for make in POINTS:
        program = make().compile().program
        assert program.disassemble(limit=len(program.disassemble().splitlines())) == program.disassemble(None)


# -- summaries ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(5))
def test_depth_width_and_counts(seed):
    """Counted another way: level by level, in Python."""
    graph = record(Seeded(seed), n_ops=60)
    rows, _, outputs = graph.columns()
    arity = [op.arity for op in fg.ops.TABLE]
    levels, reached = {}, set(outputs.tolist())
    for node, (code, *operands) in enumerate(rows.tolist()):
        levels[node] = 1 + max(levels[x] for x in operands[: arity[code]]) if code < len(arity) else 0
    for node in range(len(rows) - 1, -1, -1):
        code, *operands = rows[node].tolist()
        if node in reached and code < len(arity):
            reached |= set(operands[: arity[code]])
    operations = [node for node in reached if levels[node]]
    summary = fg.Expr(graph, int(outputs[0])).summary()
    assert summary.facts["operations"] == str(len(operations)) and sum(summary.counts.values()) == len(operations)
    assert summary.facts["depth"] == str(max(levels[node] for node in operations))
    widths = np.bincount([levels[node] for node in operations])
    assert summary.facts["width"] == str(widths.max())
    for name, count in summary.counts.items():
        assert count == sum(rows[node, 0] == fg.ops.OPS[name].code for node in operations)
    program = graph.compile().program
    facts, text = program.summary().facts, program.disassemble()
    assert (
        program.summary().counts
        == {name: len(re.findall(rf"^%\d+ = {name} ", text, re.M)) for name in program.summary().counts}
        or "(masks)" in text
    )
    assert facts["bytes"] == f"{program.nbytes:,}" and int(facts["depth"]) <= int(summary.facts["depth"])


def test_levels_of_programs_with_masks():
    """Masks are operands of runs that say nothing of values."""
    program = masks().compile().program
    summary = program.summary()
    assert sum(summary.counts.values()) == 11 and summary.facts["masks"].startswith("2 operations")
    assert summary.facts["depth"] == masks().summary().facts["depth"] == "6"


def test_summaries_of_next_to_nothing():
    assert "none" in str(fg.Graph().summary())
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x)
    assert graph.compile().summary().facts["depth"] == "0" and graph.compile().summary().counts == {}
    assert x.summary().facts == {"depends on": "x", "operations": "0", "depth": "0", "width": "0"}
    assert graph.constant(2.0).summary().facts["depends on"] == "constants"
    many = fg.trace(lambda *xs: sum(xs), *[()] * 3000)
    assert len(repr(many)) < 120 and "x2999) ->" in repr(many) and "2,993 more" in repr(many)


def test_html_is_escaped():
    graph = fg.Graph("<b>&")
    x = graph.input("x")
    graph.output(fg.custom_op(lambda x: x)(x) < 1.0)
    html = graph.compile()._repr_html_()
    assert "&lt;b&gt;&amp;" in html and "<b>" not in html and "&lt;lambda&gt;" in html
    assert "&lt; 1" in (x < 1.0)._repr_html_()
