"""The README is run: its Python blocks in order, with every result they show, and its command for the example file."""

import ast
import io
import os
import re
import shlex
import subprocess
import sys
import tokenize
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import fastgraph as fg

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def statements(source):
    """(statement, what the comment at its end says or None) of a block."""
    comments = {
        token.end[0]: token.string.lstrip("# ").rstrip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return [(node, comments.get(node.end_lineno)) for node in ast.parse(source).body]


def run(source, namespace):
    """Run a block; return (source, shown, computed) of the expressions whose results it shows."""
    results = []
    for node, shown in statements(source):
        text = ast.unparse(node)
        if isinstance(node, ast.Expr) and shown is not None:
            results.append((text, shown, repr(eval(text, namespace))))
        else:
            with redirect_stdout(io.StringIO()):
                exec(text, namespace)
    return results


@pytest.fixture
def plain_scalars():
    """np.float64(10.0) is shown as 10.0."""
    before = np.get_printoptions()["legacy"]
    np.set_printoptions(legacy="1.25")
    yield
    np.set_printoptions(legacy=before)


def test_python_blocks_show_what_they_compute(plain_scalars):
    namespace, results = {}, []
    for block in blocks("python"):
        results += run(block, namespace)
    assert len(results) >= 10
    for source, shown, computed in results:
        assert computed == shown, source


def test_the_table_is_what_explain_prints():
    (shown,) = [block for block in blocks("text") if "forward pass" in block]
    graph = fg.Graph("example")
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c), name="y")
    assert str(graph.compile().explain(2.0, 3.0, 1.0)) == shown.rstrip("\n")


def test_a_wrong_result_is_noticed(plain_scalars):
    ((_, shown, computed),) = run("x = 2.0\nx * 3.0  # 7.0\n", {})
    assert (shown, computed) == ("7.0", "6.0")


def commands(*words):
    """The arguments of the README's ``python -m fastgraph`` commands that contain ``words``."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if all(word in line for word in words)]
    return [shlex.split(re.search(r"-m fastgraph (.*?)( && cat .*)?$", line)[1]) for line in lines]


def fastgraph(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fastgraph", *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"}, capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_first_command_writes_the_shown_file(tmp_path):
    ((*arguments, option, _),) = commands("pip install", "-m fastgraph")
    assert option == "--out"
    fastgraph(*arguments, "--out", str(tmp_path / "result.csv"))
    (shown,) = blocks("csv")
    assert (tmp_path / "result.csv").read_text() == shown


def test_options_command_gives_prices():
    (arguments,) = commands("options.csv")
    header, first, *_ = fastgraph(*arguments).stdout.splitlines()
    assert header == "price," + ",".join(f"dprice/d{n}" for n in ("spot", "strike", "rate", "vol", "years"))
    # Hull, Options, Futures, and Other Derivatives: the price and delta of this call are 10.4506 and 0.6368.
    assert [round(float(cell), 4) for cell in first.split(",")[:2]] == [10.4506, 0.6368]


def test_second_command_is_the_one_ci_runs():
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if "pytest" in line]
    assert README.index(command) == README.index(next(x for x in README.splitlines() if 'pip install ".[test]"' in x))
    assert "grep -m1 -F 'pip install \".[test]\"' README.md" in (ROOT / ".ci/run").read_text()


def test_files_that_the_readme_names_exist():
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:md|py|csv)|[\w-]+/)`", README))
    assert named
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing - {"result.csv"}
