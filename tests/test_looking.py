"""Looking: what graphs, expressions, programs and functions show of themselves, at any size; the command ``show``.

The texts themselves are in ``tests/golden``; ``python -m tests.golden_texts`` writes them anew.
"""

import difflib
import math
import pickle
import re
import shutil
import time
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import pictures
from fastgraph.cli import main
from fastgraph.errors import ArgumentError, FastgraphError, ShapeError
from fastgraph.formula import Formula
from fastgraph.infix import MAX_CHARACTERS
from fastgraph.show import FORMATS, shown
from fastgraph.targets import assignments
from tests.bits import assert_same_bits
from tests.golden_texts import FOLDER, POINTS, TEXTS, custom, example, layers, masks, path_of, rosenbrock, several
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
    for thing in (graph, f):
        assert len(thing.picture().to_dot()) < 10_000 and len(thing.picture().to_mermaid()) < 10_000
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
    assert summary.facts["operations"] == len(operations) == sum(summary.counts.values())
    assert summary.facts["depth"] == max(levels[node] for node in operations)
    widths = np.bincount([levels[node] for node in operations])
    assert summary.facts["width"] == widths.max()
    for name, count in summary.counts.items():
        assert count == sum(rows[node, 0] == fg.ops.OPS[name].code for node in operations)
    program = graph.compile().program
    facts, text = program.summary().facts, program.disassemble()
    assert (
        program.summary().counts
        == {name: len(re.findall(rf"^%\d+ = {name} ", text, re.M)) for name in program.summary().counts}
        or "(masks)" in text
    )
    assert facts["bytes"] == program.nbytes and facts["depth"] <= summary.facts["depth"]


def test_levels_of_programs_with_masks():
    """Masks are operands of runs that say nothing of values."""
    program = masks().compile().program
    summary = program.summary()
    assert sum(summary.counts.values()) == 11 and summary.facts["masks"].startswith("2 operations")
    assert summary.facts["depth"] == masks().summary().facts["depth"] == 6


def test_summaries_of_next_to_nothing():
    assert "none" in str(fg.Graph().summary())
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x)
    assert graph.compile().summary().facts["depth"] == 0 and graph.compile().summary().counts == {}
    assert x.summary().facts == {"depends on": "x", "operations": 0, "depth": 0, "width": 0}
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


# -- pictures -----------------------------------------------------------------------------------------------
def test_every_operation_and_operand_is_drawn():
    for seed in range(8):
        f = record(Seeded(seed), n_ops=25).compile()
        picture = f.picture(limit=None)
        names = [node.name for node in picture.nodes if node.kind in ("operation", "output")]
        n_masks = int(f.program.runs["count"][f.program.n_value_runs :].sum())
        assert len(names) == len(set(names)) == f.program.n_operations - n_masks
        drawn = {(picture.nodes[e.source].name, picture.nodes[e.target].name) for e in picture.edges}
        for node in picture.nodes:
            for word in re.findall(r"[a-z_]\w*", node.text):
                if word in {n.name for n in picture.nodes}:
                    assert (word, node.name) in drawn


def test_values_adjoints_and_products_are_drawn():
    picture = example().compile().picture((2, 3, 1))
    nodes = {node.name: node for node in picture.nodes}
    assert nodes["d"] == pictures.Node("operation", "d", " = a + b", ("= 5",), ("dY/dd = 2",))
    assert nodes["Y"].values == ("= 10",) and nodes["b"].adjoints == ("dY/db = 7",)
    lines = {(picture.nodes[e.source].name, picture.nodes[e.target].name): e.lines for e in picture.edges}
    assert lines == {
        ("a", "d"): ("dd/da = 1", "2 * 1 = 2"),
        ("b", "d"): ("dd/db = 1", "2 * 1 = 2"),
        ("b", "e"): ("de/db = 1", "5 * 1 = 5"),
        ("c", "e"): ("de/dc = -1", "5 * (-1) = -5"),
        ("d", "Y"): ("dY/dd = 2", "1 * 2 = 2"),
        ("e", "Y"): ("dY/de = 5", "1 * 5 = 5"),
    }


def test_an_operand_used_twice_has_two_arrows():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x + x, name="y")
    picture = graph.picture((1.0,))
    assert [edge.lines for edge in picture.edges] == [("dy/dx = 1", "1 * 1 = 1")] * 2
    assert picture.nodes[0].adjoints == ("dy/dx = 2",)


def test_several_outputs_without_cotangents_show_values_alone():
    f, (at, weights) = several().compile(), POINTS[several]
    assert not any(node.adjoints for node in f.picture(at).nodes)
    assert any(node.adjoints == ("w(t) = 11.5",) for node in f.picture(at, cotangents=weights).nodes)
    assert f.picture(dict(zip("xtk", at, strict=True))).to_dot() == f.picture(at).to_dot()


def test_a_summary_counts_every_operation_and_operand():
    for make in (rosenbrock, layers):
        program = make().compile().program
        picture = make().compile().picture()
        counted = 0
        for node in picture.nodes:
            if node.kind == "operation" and node.name != "depth":
                counted += int(node.name.replace(",", ""))
            for line in node.values:
                counted += int(line.split()[0].replace(",", ""))
        assert counted == sum(program.summary().counts.values())
        assert f"limit={program.n_operations + program.n_leaves} draws each of them" in picture.note
        assert picture.note in picture.to_dot() and picture.note in picture.to_mermaid()
    bands = [node.text for node in picture.nodes if node.name == "depth"]
    ends = [[int(n) for n in re.findall(r"\d+", text)] for text in bands]
    assert ends[0][0] == 1 and ends[-1][-1] == program.summary().facts["depth"]
    assert all(after[0] == before[-1] + 1 for before, after in pairwise(ends))


def test_limits_of_pictures():
    f = example().compile()
    assert f.picture(limit=5).note and not f.picture(limit=6).note
    with pytest.raises(ArgumentError, match="a picture with values shows: limit=6"):
        f.picture((1, 2, 3), limit=5)
    with pytest.raises(ArgumentError, match="limit must be"):
        f.picture(limit="all")
    with pytest.raises(ArgumentError, match="pass at="):
        f.picture(cotangents=1.0)
    with pytest.raises(ShapeError, match="one input set"):
        f.picture(([1, 2], 2, 3))
    with pytest.raises(ArgumentError, match="args must be a tuple"):
        f.picture(1.0)
    many = fg.trace(lambda *xs: sum(xs), *[()] * 3000)
    assert any(node.name == "3,000" and "arguments" in node.text for node in many.picture().nodes)


def test_graphs_are_drawn_as_recorded():
    graph = fg.Graph("recorded")
    x = graph.input("x")
    y = x * x + graph.constant(0.0) * 3.0
    drawn = [node.name + node.text for node in graph.picture().nodes]
    assert drawn == ["x", "y = x * x", "z = 0 * 3", "result = y + z"]
    graph.output(y, name="y")
    graph.output(fg.sin(x), name="z")
    fg.exp(x)  # no output needs it
    assert not any("exp" in node.text for node in graph.picture().nodes)
    assert any(node.values == ("= 9",) for node in graph.picture((3.0,)).nodes)
    with pytest.raises(ArgumentError, match="is empty"):
        fg.Graph().picture()
    several_results = fg.Graph()
    a = several_results.input("a")
    fg.sin(a), fg.cos(a)
    assert sum(node.kind == "output" for node in several_results.picture().nodes) == 2
    only_inputs = fg.Graph()
    only_inputs.inputs("a", "b")
    assert len(only_inputs.picture().nodes) == 4


needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@needs_dot
@pytest.mark.parametrize("make", [*POINTS, rosenbrock, layers], ids=lambda make: make.__name__)
def test_graphviz_draws_every_box(make):
    at, weights = POINTS.get(make, (None, None))
    picture = make().compile().picture(at, cotangents=weights)
    root = ET.fromstring(picture.to_svg())
    groups = [group.get("class") for group in root.iter("{http://www.w3.org/2000/svg}g")]
    assert groups.count("node") == len(picture.nodes) and groups.count("edge") == len(picture.edges)
    text = "".join(root.itertext())
    for node in picture.nodes:
        assert node.name in text


@needs_dot
def test_graphviz_takes_any_title_and_name():
    graph = fg.Graph('a "title" \\N <b>&amp; \n {x|y}')
    x = graph.input("\N{GREEK SMALL LETTER SIGMA}")
    graph.output(fg.custom_op(lambda x: x)(x) & (x < 1.0))
    svg = graph.compile().picture((2.0,), wrt=None).to_svg()
    text = "".join(ET.fromstring(svg).itertext())
    assert "\N{GREEK SMALL LETTER SIGMA}" in text and "<lambda>" in text and "< 1" in text


def test_without_graphviz_an_error_names_what_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    picture = example().picture()
    with pytest.raises(FileNotFoundError, match=r"apt install graphviz.*to_dot\(\)"):
        picture.to_svg()
    assert "image/svg+xml" not in picture._repr_mimebundle_()
    assert picture._repr_mimebundle_()["text/vnd.mermaid"].startswith("flowchart LR")
    assert main(["show", "a*b", "--format", "svg"]) == 2
    assert "apt install graphviz" in capsys.readouterr().err


def test_mermaid_is_well_formed():
    """Line by line by its grammar: no bare quote, no character that would end a label or begin a code."""
    label = r'"(?:[^"#&]|#\d+;)*"'
    node = rf"  n\d+(?:\(\[{label}\]\)|\[{label}\]):::[a-z]+"
    edge = rf"  n\d+ (?:-->|-\.->)(?:\|{label}\|)? n\d+"
    rest = r"|  linkStyle default color:#\w{6}|  classDef [a-z]+ fill:#\w{6},stroke:#\w{6},color:#\w{6}|  %% .*"
    line = re.compile(rf"{node}|{edge}{rest}|")
    for make in [*POINTS, rosenbrock, layers]:
        at, weights = POINTS.get(make, (None, None))
        first, *lines = make().compile().picture(at, cotangents=weights).to_mermaid().splitlines()
        assert first in ("flowchart LR", "flowchart TB")
        for text in lines:
            assert line.fullmatch(text), text
            for inside in re.findall(label, text):
                assert not re.search(r"<(?!/?(?:b|i|br/)>|br/>)", inside), inside


# -- the command --------------------------------------------------------------------------------------------
def show(capsysbinary, *arguments):
    status = main(["show", *map(str, arguments)])
    captured = capsysbinary.readouterr()
    return status, captured.out.decode(), captured.err.decode()


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "svg"])
def test_formats_of_a_formula(form, capsysbinary):
    status, out, err = show(capsysbinary, "(a+b)*(b-c)", "--format", form)
    assert (status, err) == (0, "") and out == shown("(a+b)*(b-c)", form) + "\n"
    f = fg.trace(lambda a, b, c: (a + b) * (b - c), (), (), ())
    expected = {"table": "Function '(a+b)*(b-c)'", "disassembly": f.program.disassemble()}.get(form, "d</b> = a + b")
    assert expected in out


@needs_dot
def test_svg_of_a_formula(capsysbinary):
    status, out, _ = show(capsysbinary, "(a+b)*(b-c)", "--at", "a=2,b=3,c=1", "--format", "svg")
    assert status == 0 and ET.fromstring(out).tag.endswith("svg")


def test_a_point(capsysbinary):
    status, out, _ = show(capsysbinary, "(a+b)*(b-c)", "--at", "a=2,b=3,c=1", "--digits", 3)
    assert status == 0 and out.endswith("  dy/da  = 2\n  dy/db  = 7\n  dy/dc  = -5\n")
    status, out, _ = show(capsysbinary, "a*e", "--at", "a=2")  # Euler's number
    assert status == 0 and "5.43656" in out
    status, out, _ = show(capsysbinary, "a*e", "--at", "a=2,e=3")
    assert status == 0 and "dy/de  = 2" in out
    status, out, _ = show(capsysbinary, "a/3", "--at", "a=1", "--digits", 3, "--format", "mermaid", "--limit", "all")
    assert status == 0 and "0.333<" in out


def test_saved_functions(tmp_path, capsysbinary):
    path = tmp_path / "several.fg"
    path.write_bytes(several().compile().to_bytes())
    assert show(capsysbinary, path)[1].startswith("Function 'several'\n  inputs      x[3], t\n")
    at = "x=[1,2,3], t=0.5, k=[[0, 10]]"
    status, out, err = show(
        capsysbinary, path, "--at", at, "--cotangents", "u=[1,0,.5],v=-2,same=1,three=1,t=1,again=2"
    )
    assert status == 2 and "u is '[1,0,.5]'" in err  # JSON has no .5
    weights = "u=[1,0,0.5],v=-2,same=1,three=1,t=1,again=2"
    status, out, err = show(capsysbinary, path, "--at", at, "--cotangents", weights)
    assert (status, err) == (0, "") and out == path_of("several.explain").read_text(encoding="utf-8")
    assert show(capsysbinary, path, "--format", "disassembly", "--limit", 2)[1].count("\n") == 3


def test_pickles_are_loaded_only_where_they_are_trusted(tmp_path, capsysbinary):
    path = tmp_path / "custom.pickle"
    path.write_bytes(pickle.dumps(custom().compile()))
    status, out, err = show(capsysbinary, path)
    assert (status, out) == (2, "") and "unpickling runs whatever code is in it: --unpickle" in err
    status, out, _ = show(capsysbinary, path, "--unpickle", "--at", "x=[0.5,0.25]")
    assert status == 0 and out == path_of("custom.explain").read_text(encoding="utf-8")
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self):
            return ran.write_text, ("",)

    path.write_bytes(pickle.dumps(Harmful()))
    assert show(capsysbinary, path)[0] == 2 and not ran.exists()
    status, _, err = show(capsysbinary, path, "--unpickle")
    assert status == 2 and "not of a Function" in err and ran.exists()
    path.write_bytes(b"\x80nonsense")
    status, _, err = show(capsysbinary, path, "--unpickle")
    assert status == 2 and "cannot be unpickled" in err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["(a+b"], "column 1: '(' is never closed"),
        (["model.fg"], "nor is there a file 'model.fg'"),
        (["a", "--at", "a=1,b=2"], "no name 'b'; it has a"),
        (["a+b", "--at", "a=1"], "unknown name 'b'"),
        (["a", "--at", "a"], "cannot read 'a'"),
        (["a", "--at", "a=1 2"], "a is '1 2', which is no number"),
        (["a", "--at", "a=1,a=2"], "two numbers for 'a'"),
        (["a", "--at", "a=[1,2]"], "batch shape"),
        (["a", "--at", "a=[1,"], "cannot read"),
        (["a", "--at", f"a={'[' * 100_000}{']' * 100_000}"], "no list of numbers"),
        (["a", "--cotangents", "y=1"], "give --at, too"),
        (["a", "--at", "a=1", "--cotangents", "z=1"], "unknown outputs"),
        (["a", "--at", "a=1", "--format", "disassembly"], "leave --at out"),
        (["a", "--unpickle"], "no file 'a'"),
        (["a*a*a", "--at", "a=1", "--limit", "1"], "limit=3"),
        (["a", "--at", "a=1", "--digits", "99"], "digits must be"),
        ([str(FOLDER / "reprs.txt")], "do not begin as a saved fastgraph Function"),
    ],
)
def test_what_is_refused(arguments, match, capsysbinary):
    status, out, err = show(capsysbinary, *arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and match in err, err


@pytest.mark.parametrize("arguments", [[], ["a", "--format", "png"], ["a", "--limit", "0"], ["a", "--digits", "x"]])
def test_bad_options_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["show", *arguments])
    assert exit_.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_file_goes_before_a_formula(tmp_path, monkeypatch, capsysbinary):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(example().compile().to_bytes())
    assert "Function 'example'" in show(capsysbinary, "a")[1]
    assert "Function '(a)'" in show(capsysbinary, "(a)")[1]


def test_assignments():
    found = assignments(" a = -1.5e3 ,b=inf, x=[[1, nan], [-inf, 2]],", "--at")
    assert list(found) == ["a", "b", "x"] and found["a"] == -1500.0 and found["b"] == math.inf
    assert found["x"][1] == [-math.inf, 2] and math.isnan(found["x"][0][1])
    assert assignments("", "--at") == {}
    with pytest.raises(FastgraphError):
        assignments("a==1", "--at")
