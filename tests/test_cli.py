"""The command line, run as a person would: in processes of its own where that matters, else by ``main``."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import tables
from fastgraph.cli import main

ROOT = Path(__file__).parent.parent
FORMULA = "(a+b)*(b-c)"


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "fastgraph", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        **options,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """Writes bytes or text to the data file, in a folder where nothing else is."""
    (tmp_path / "in").mkdir()

    def write(content):
        path = tmp_path / "in" / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "result.csv"


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def refusal(capsys, out, *arguments):
    """The message of a run that fails with status 2 and leaves nothing behind."""
    assert main([*map(str, arguments), "--out", str(out)]) == 2
    assert os.listdir(out.parent) == []
    message = capsys.readouterr().err
    assert message.startswith("error: ") and "Traceback" not in message
    return message


# -- results ------------------------------------------------------------------------------------------------
def test_value_and_gradient_columns(data, out):
    assert main(["eval", FORMULA, "--data", str(data("a,b,c\n2,3,1\n")), "--grad", "--out", str(out)]) == 0
    assert out.read_bytes() == b"a,b,c,y,dy/da,dy/db,dy/dc\n2,3,1,10.0,2.0,7.0,-5.0\n"


def test_columns_are_kept_as_they_are_and_matched_by_name(data, out):
    path = data('id,c,note,b,a\n007,1,"x, ""y""",3,2\n')
    assert main(["eval", FORMULA, "--data", str(path), "--grad", "--out", str(out)]) == 0
    header, row = rows_of(out)
    assert header == ["id", "c", "note", "b", "a", "y", "dy/dc", "dy/db", "dy/da"]
    assert row == ["007", "1", 'x, "y"', "3", "2", "10.0", "-5.0", "7.0", "2.0"]


def test_results_only_and_name(data, out):
    path = data("a,b,c,y\n2,3,1,0\n")
    arguments = ["eval", FORMULA, "--data", str(path), "--grad", "--out", str(out)]
    assert main([*arguments, "--results-only", "--name", "z"]) == 0
    assert out.read_text() == "z,dz/da,dz/db,dz/dc\n10.0,2.0,7.0,-5.0\n"


def test_a_result_column_that_is_there_already_is_refused(data, out, capsys):
    message = refusal(capsys, out, "eval", FORMULA, "--data", data("a,b,c,y\n2,3,1,0\n"))
    assert "column 'y' already" in message and "--name" in message


def test_stdout_is_the_default(data, capfdbinary):
    assert main(["eval", FORMULA, "--data", str(data("a,b,c\n2,3,1\n"))]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == b"a,b,c,y\n2,3,1,10.0\n"
    assert captured.err.startswith(b"stdout: 1 rows of y\nsweep ")
    assert b"sets/s" in captured.err


def test_numbers_read_back_to_the_same_bits(data, out):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**63, 500).view(np.float64)
    x = np.concatenate([x[np.isfinite(x)], [0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf]])
    path = data("x\n" + "\n".join(map(repr, x.tolist())))
    assert main(["eval", "x * 1.1", "--data", str(path), "--grad", "--out", str(out)]) == 0
    with np.errstate(over="ignore"):
        expected = x * 1.1
    computed = np.array([float(row[1]) for row in rows_of(out)[1:]])
    assert (computed.view(np.int64) == expected.view(np.int64)).all()


@pytest.mark.parametrize("threads", [[], ["--threads", "1"], ["--threads", "2"]])
def test_many_chunks_are_one_table(data, out, monkeypatch, threads):
    monkeypatch.setattr(tables.TableReader.chunks, "__defaults__", (7,))
    x = np.random.default_rng(1).normal(size=(100, 3))
    path = data("a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in x.tolist()) + "\n\n\n")
    assert main(["eval", FORMULA, "--data", str(path), "--grad", "--out", str(out), *threads]) == 0
    computed = np.array(rows_of(out)[1:], dtype=float)
    graph = fg.Graph()
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c))
    value, gradient = graph.compile().value_and_grad(*x.T)
    np.testing.assert_array_equal(computed[:, 3:], np.column_stack([value, *gradient]))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b,c\n2,3,1\n",
        b"a,b,c\r\n2,3,1\r\n\r\n",
        b"a,b,c\n2,3,1",
        b"a,b,c\n2,3,1\n\n  \n\n",
        b'"a","b","c"\n"2","3","1"\n',
        b"a, b , c\n 2, 3 ,1\n",
        b'a, "b", c\n2, "3", 1\n',
    ],
)
def test_ways_to_write_the_same_table(data, out, content):
    arguments = ["eval", FORMULA, "--data", str(data(content)), "--out", str(out), "--results-only"]
    assert main(arguments) == 0
    assert out.read_text() == "y\n10.0\n"


def test_inf_and_nan_cells(data, out):
    assert main(["eval", "a + 1", "--data", str(data("a\ninf\n-Infinity\nnan\n")), "--out", str(out)]) == 0
    assert [row[1] for row in rows_of(out)] == ["y", "inf", "-inf", "nan"]


def test_header_alone(data, out):
    assert main(["eval", FORMULA, "--data", str(data("a,b,c\n")), "--out", str(out), "--grad"]) == 0
    assert out.read_text() == "a,b,c,y,dy/da,dy/db,dy/dc\n"


def test_formula_without_columns(data, out):
    assert main(["eval", "2 ** 10", "--data", str(data("a\n1\n2\n")), "--out", str(out), "--grad"]) == 0
    assert out.read_text() == "a,y\n1,1024.0\n2,1024.0\n"


def test_columns_that_no_argument_could_be_called(data, out):
    path = data("lambda,_x,\N{GREEK SMALL LETTER SIGMA},e\n2,3,4,5\n")
    text = "lambda * _x + \N{GREEK SMALL LETTER SIGMA} + e"
    assert main(["eval", text, "--data", str(path), "--out", str(out), "--results-only", "--grad"]) == 0
    assert rows_of(out)[1] == ["15.0", "3.0", "2.0", "1.0", "1.0"]


def test_cells_of_unused_columns_need_not_be_numbers(data, out):
    assert main(["eval", "a", "--data", str(data("a,b\n1,x\n2,\n")), "--out", str(out)]) == 0
    assert out.read_text() == "a,b,y\n1,x,1.0\n2,,2.0\n"


def test_standard_input():
    process = start("eval", FORMULA, "--data", "-", stdin=subprocess.PIPE)
    stdout, stderr = process.communicate(b"a,b,c\n2,3,1\n", timeout=120)
    assert (process.returncode, stdout) == (0, b"a,b,c,y\n2,3,1,10.0\n"), stderr


# -- what is refused ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("", "data.csv", "empty"),
        ("\n1,2,3\n", "data.csv", "empty"),
        ("a,b,a\n", "line 1, column 3", "that of column 1"),
        ("a,b,\n1,2,3\n", "line 1, column 3", "no name"),
        ("a,b,c\n1,2,3\n1,2\n", "line 3, column 3", "2 cells, but the header has 3"),
        ("a,b,c\n1,2,3,4\n", "line 2, column 4", "4 cells"),
        ("a,b,c\n1,2,3\n\n1,2,3\n", "line 3", "the line is empty"),
        ("a,b,c\n1,2,3\n1,x,3\n", "line 3, column 2 ('b')", "'x' is not a number"),
        ("a,b,c\n1,,3\n", "line 2, column 2 ('b')", "the cell is empty"),
        ("a,b,c\n1,2024_01,3\n", "line 2, column 2 ('b')", "'2024_01' is not a number"),
        ('a,b,c,d\n1,2,3,"x\ny"\n1,?,3,4\n', "line 4, column 2 ('b')", "'?' is not a number"),
        (b"a,b,c\n1,2,3\n1,2\xff,3\n", "line 3, column 2", "byte 0xff is not UTF-8"),
        ("a,b,c\n1,2,3\n".encode("utf-16"), "data.csv", "UTF-16"),
        ('a,b,c\n1,"2"3,4\n', "line 2", "not a row of a CSV file"),
        ('a,b,c\n1,"2,3\n4,5,6\n', "line 3", "not a row of a CSV file"),
        ("a,b,c\r1,2,3\r", "line 1", "carriage return"),
        ("a;b;c\n1;2;3\n", "line 1, column 2", "'a;b;c'"),
        ("a,b\n1,2\n", "line 1, column 10", "unknown name 'c'"),
    ],
)
def test_bad_data_is_refused_with_its_place(data, out, capsys, content, where, what):
    message = refusal(capsys, out, "eval", FORMULA, "--data", data(content))
    assert where in message and what in message
    assert "data.csv" in message


def test_a_bad_row_far_down_leaves_nothing(data, out, capsys, monkeypatch):
    monkeypatch.setattr(tables.TableReader.chunks, "__defaults__", (7,))
    message = refusal(capsys, out, "eval", "a", "--data", data("a\n" + "1\n" * 50 + "?\n" + "1\n" * 50))
    assert "line 52, column 1 ('a')" in message


def test_a_bad_formula_is_refused(data, out, capsys):
    message = refusal(capsys, out, "eval", "(a+b)*(b-c", "--data", data("a,b,c\n"))
    assert "formula, line 1, column 7" in message


def test_unknown_column_names_those_that_exist(data, out, capsys):
    message = refusal(capsys, out, "eval", "a + rate2", "--data", data("a,rate\n1,2\n"))
    assert "line 1, column 5" in message and "did you mean rate" in message
    assert "the columns of" in message and "'a', 'rate'" in message


def test_missing_files(tmp_path, data, out, capsys):
    assert "nowhere.csv: No such file" in refusal(capsys, out, "eval", "a", "--data", tmp_path / "nowhere.csv")
    assert "Is a directory" in refusal(capsys, out, "eval", "a", "--data", tmp_path)
    assert main(["eval", "a", "--data", str(data("a\n1\n")), "--out", str(tmp_path / "no" / "where.csv")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_the_data_file_is_never_the_output(data, capsys):
    path = data("a\n1\n")
    assert main(["eval", "a", "--data", str(path), "--out", str(path)]) == 2
    assert "the data file itself" in capsys.readouterr().err
    assert path.read_text() == "a\n1\n"


@pytest.mark.parametrize("arguments", [[], ["eval"], ["eval", "a"], ["eval", "a", "--data", "x", "--threads", "0"]])
def test_bad_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage" in capsys.readouterr().err


# -- writing ------------------------------------------------------------------------------------------------
def test_an_old_result_survives_a_failure(data, out, capsys):
    out.write_text("old")
    assert main(["eval", "a", "--data", str(data("a\n1\nx\n")), "--out", str(out)]) == 2
    assert out.read_text() == "old"
    assert os.listdir(out.parent) == ["result.csv"]


def test_a_result_replaces_and_keeps_the_mode(data, out):
    out.write_text("old")
    out.chmod(0o640)
    assert main(["eval", "a", "--data", str(data("a\n1\n")), "--out", str(out)]) == 0
    assert out.read_text() == "a,y\n1,1.0\n"
    assert out.stat().st_mode & 0o777 == 0o640
    assert os.listdir(out.parent) == ["result.csv"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and devices of POSIX")
def test_links_are_followed_and_devices_written_to(data, out, tmp_path):
    target = tmp_path / "target.csv"
    out.symlink_to(target)
    path = str(data("a\n1\n"))
    assert main(["eval", "a", "--data", path, "--out", str(out)]) == 0
    assert out.is_symlink() and target.read_text() == "a,y\n1,1.0\n"
    assert main(["eval", "a", "--data", path, "--out", os.devnull]) == 0
    assert not os.path.isfile(os.devnull)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing(out):
    process = start("eval", "a", "--data", "-", "--out", out, stdin=subprocess.PIPE)
    process.stdin.write(b"a\n" + b"1\n" * (2 * tables.CHUNK))
    process.stdin.flush()  # and now it waits for more, with a first chunk written
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in out.parent.iterdir()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, b"interrupted\n")
    assert os.listdir(out.parent) == []


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_error(data):
    process = start("eval", "a", "--data", data("a\n" + "1\n" * 200_000))
    assert process.stdout.readline() == b"a,y\n"
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert stderr == b""


# -- the rest -----------------------------------------------------------------------------------------------
def test_demo_shows_the_readme_example(capsys):
    assert main(["demo", "--sets", "1000"]) == 0
    shown = capsys.readouterr().out
    lines = (
        "%5 = mul %3, %4",
        "y  = d * e  = 5 * 2  = 10",
        "w(b) = 5 + 2 = 7",
        "y = 10, dy/da = 2, dy/db = 7, dy/dc = -5",
    )
    for line in lines:
        assert line in shown
    assert "ns a set" in shown


def test_version_and_help():
    for arguments, expected in (
        (["--version"], f"fastgraph {fg.__version__}"),
        (["--help"], "usage: python -m fastgraph"),
    ):
        stdout, stderr = start(*arguments).communicate(timeout=60)
        assert stdout.decode().startswith(expected), stderr
