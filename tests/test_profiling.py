"""Profiles add up, name what is swept, and time sweeps that compute what calls do."""

import io
import pickle
import sys
from collections import Counter

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import profiling, timing
from fastgraph.cli import main
from fastgraph.engine.workspace import OneSet, Tiles
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.ops import OPS, TABLE
from fastgraph.profiling import MOVING, ONCE, PYTHON, Profile, ProfileRow
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, input_sets, record

SECONDS = 0.01  # of a measurement: nothing here depends on how long things take


def model(dtype=np.float64):
    """Elementary functions, a branch, a parameter."""
    graph = fg.Graph("model")
    x, k = graph.input("x", shape=3), graph.parameter("k")
    graph.output(fg.sum(fg.where(x > k, fg.exp(x) * x, fg.sin(x) / (1.0 + k * k))))
    return graph.compile(dtype)


X = np.random.default_rng(0).normal(size=(5000, 3))
CALLS = {
    "one set": (X[0], 0.25),
    "a few sets": (X[:7], 0.25),
    "a thousand": (X[:1000], np.linspace(0.0, 1.0, 1000)),
    "two axes": (X[:600].reshape(20, 30, 3), np.ones(30)),
    "many sets": (X, 0.25),
    "rows apart": (X.T.copy().T, 0.25),
    "float32": (X.astype(np.float32), 0.25),
}


def check(profile, f, gradient):
    assert profile.total > 0.0 and profile.gradient is gradient
    assert sum(row.total for row in profile.rows) == pytest.approx(profile.total, rel=1e-9)
    assert all(min(row.forward, row.reverse, row.total) >= 0.0 for row in profile.rows)
    *ops, moving, once, python = profile.rows
    assert [row.name for row in (moving, once, python)] == [MOVING, ONCE, PYTHON]
    assert all(row.count is None and row.forward == row.reverse == 0.0 for row in (moving, once, python))
    assert all(row.count > 0 and row.total == row.forward + row.reverse for row in ops)
    assert ops == sorted(ops, key=lambda row: (-row.total, row.name))
    assert gradient or all(row.reverse == 0.0 for row in ops)
    # A pair or more that is done as one has the names of all of them, joined.
    names = {part for row in ops for part in (row.name.split("_") if row.name not in OPS else [row.name])} - {"x"}
    assert names <= {TABLE[code].name for code in f.program.runs["opcode"].tolist()}
    assert len(profile.closure) == 2 and (gradient or profile.closure[1] == 0.0) and profile.spread >= 0.0


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_rows_add_up(call, gradient):
    f = model()
    check(f.profile(*CALLS[call], gradient=gradient, seconds=SECONDS), f, gradient)


def test_single_precision_and_names():
    f = model(np.float32)
    check(f.profile(X.astype(np.float32), k=0.5, gradient=True, seconds=SECONDS), f, True)
    check(f.profile(X[0], k=0.5, seconds=SECONDS), f, False)


def test_one_set_counts_every_operation():
    for seed in range(5):
        f = record(Seeded(seed), n_ops=40).compile()
        profile = f.profile(*input_sets(seed, 3, 1)[:, 0].tolist(), gradient=True, seconds=SECONDS)
        check(profile, f, True)
        codes = np.repeat(f.program.runs["opcode"], f.program.runs["count"])  # masks included
        assert {row.name: row.count for row in profile.rows[:-3]} == Counter(TABLE[code].name for code in codes)


def test_what_has_no_operations():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x)
    f = graph.compile()
    for args in ((2.0,), (np.ones(5000),)):
        profile = f.profile(*args, seconds=SECONDS)
        assert [row.name for row in profile.rows] == [MOVING, ONCE, PYTHON] and profile.closure == (0.0, 0.0)
        assert sum(row.total for row in profile.rows) == pytest.approx(profile.total)
        assert "runs apart" not in str(profile)
    graph = fg.Graph()
    graph.output(2.0)
    assert graph.compile().profile(seconds=SECONDS).n_sets == 1


@pytest.mark.parametrize("gradient", [False, True])
def test_the_timed_sweeps_compute_what_calls_do(gradient):
    """Run by run, of one set, of a few, of many one by one and in tiles: the same bits, and again afterwards."""
    for seed in range(6):
        f = record(Seeded(seed), n_ops=60).compile()
        positions = f.signature.differentiable if gradient else None
        for n, kind in ((1, OneSet), (3, None), (200, Tiles), (3000, Tiles)):
            leaves = list(input_sets(seed, 3, n)) if n > 1 else input_sets(seed, 3, 1)[:, 0].tolist()
            arrays, batch = f.signature.bind(leaves, {})
            clocked, holder = profiling._clocked(f, arrays, batch, positions)
            assert kind is None or isinstance(clocked.workspace, kind)
            y, slopes = f.value_and_grad(*leaves)
            expected = np.array([y, *slopes] if gradient else [y]).reshape(-1, n)
            for sweep in (clocked.parts, clocked.wholes, clocked.sweeps):
                results_of(holder, n, gradient)[...] = 0.0
                sweep(2)
                assert_same_bits(results_of(holder, n, gradient), expected)


class Stack:
    """Arrays as one that can be assigned."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __setitem__(self, key, value):
        for array in self.arrays:
            array[...] = value

    def __array__(self, dtype=None, copy=None):
        return np.array(self.arrays)


def results_of(holder, n, gradient):
    """Outputs, then the gradient, where the sweep leaves them."""
    if isinstance(holder, tuple):
        tables = [table for table in holder if table is not None]
        return Stack([array for table in tables for array in table.keep])
    found = holder.results.reshape(len(holder.results), -1)
    return found[: 4 if gradient else 1, :n]


@pytest.mark.parametrize("n", [1, 2, 3, 20, 1200, 20_000])
def test_a_part_of_a_large_batch_is_looked_at(n, monkeypatch):
    monkeypatch.setattr(profiling, "LONGEST", 1e-9)
    f = model()
    profile = f.profile(np.resize(X, (n, 3)), 0.25, gradient=True, seconds=SECONDS)
    check(profile, f, True)
    assert profile.n_sets == n
    clocked, holder = profiling._clocked(f, *f.signature.bind((np.resize(X, (n, 3)), 0.25), {}), (0,))
    clocked.begin(1e-9)
    assert 1 <= clocked.n_sets <= n and (n < 20_000 or clocked.n_sets < 100)


@pytest.mark.parametrize(
    ("args", "options", "error", "match"),
    [
        ((X[0], 1.0), {"gradient": 1}, ArgumentError, "gradient must be True or False, not 1"),
        ((X[0], 1.0), {"seconds": 0.0}, ArgumentError, "seconds must be a positive number"),
        ((X[0], 1.0), {"seconds": np.nan}, ArgumentError, "seconds must be a positive number"),
        ((X[0], 1.0), {"seconds": "1"}, ArgumentError, "seconds must be a positive number"),
        ((X[:0], 1.0), {}, ArgumentError, "nothing to profile in an empty batch"),
        ((X[0],), {}, ArgumentError, "misses k"),
        ((X[0, :2], 1.0), {}, ShapeError, "its last axis must be 3"),
    ],
)
def test_what_is_refused(args, options, error, match):
    with pytest.raises(error, match=match):
        model().profile(*args, **options)


def test_several_outputs_have_no_gradient(vector):
    with pytest.raises(ArgumentError, match="profile needs exactly one scalar output.*gradient=False"):
        vector.profile(np.ones(3), 1.0, np.ones((2, 2)), gradient=True)
    assert vector.profile(np.ones(3), 1.0, np.ones((2, 2)), seconds=SECONDS).total > 0.0


# -- texts ----------------------------------------------------------------------------------------------------
ROWS = (
    ProfileRow("exp", 2, 6.25, 1.75, 8.0),
    ProfileRow("add_mul_x", 1500, 3.0, 0.0, 3.0),
    ProfileRow(MOVING, None, 0.0, 0.0, 0.5),
    ProfileRow(ONCE, None, 0.0, 0.0, 0.0),
    ProfileRow(PYTHON, None, 0.0, 0.0, 1000.5),
)
PROFILE = Profile("Function 'f'", 1000, True, ROWS, 1012.0, 0.0125, (1.25, 0.96))


def test_tables():
    assert (
        str(PROFILE)
        == """\
Function 'f': value and gradient of 1,000 sets, one thread; nanoseconds a set
op              count  forward  reverse     ns   share  ns an op
exp                 2     6.25     1.75   8.00    0.8%      4.00
add_mul_x       1,500     3.00        0   3.00    0.3%   0.00200
load and store                           0.500    0.0%
once a call                                  0    0.0%
Python                                   1,000   98.9%
total                     9.25     1.75  1,012  100.0%
half of the rounds within 1.2%; runs apart took 1.25 and 0.96 of the sweeps they make up"""
    )
    rows = (ProfileRow("sin", 1, 1.0, 0.0, 1.0), *ROWS[2:])
    assert (
        str(Profile("Function", 1, False, rows, 1002.0, 0.0, (1.0, 0.0)))
        == """\
Function: value of 1 set, one thread; nanoseconds a set
op              count     ns   share  ns an op
sin                 1   1.00    0.1%      1.00
load and store         0.500    0.0%
once a call                0    0.0%
Python                 1,000   99.9%
total                  1,002  100.0%
half of the rounds within 0.0%; runs apart took 1.00 of the sweeps they make up"""
    )


def test_plots():
    pytest.importorskip("matplotlib")
    figure = PROFILE.plot()
    (axes,) = figure.axes
    assert axes.get_title(loc="left").splitlines()[0] == "Function 'f'"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["exp × 2", "add_mul_x × 1,500", MOVING, ONCE, PYTHON]
    widths = {c.get_label(): [patch.get_width() for patch in c] for c in axes.containers}
    assert widths == {
        "forward": [6.25, 3.0, 0.0, 0.0, 0.0],
        "reverse": [1.75, 0.0, 0.0, 0.0, 0.0],
        "besides": [0.0, 0.0, 0.5, 0.0, 1000.5],
    }
    assert PROFILE.plot(axes) is figure
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    assert stream.getvalue().startswith(b"\x89PNG")
    many = tuple(ProfileRow(f"op{k}", 1, 1.0, 1.0, 2.0) for k in range(40)) + ROWS[2:]
    (axes,) = Profile("Function", 1, True, many, 1081.0, 0.0, (1.0, 1.0)).plot().axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) == profiling.BARS + 3 and labels[profiling.BARS - 1] == "25 more × 25"


def test_plots_need_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"plot\(\) of a profile needs matplotlib.*pip install 'fastgraph\[plot\]'"):
        PROFILE.plot()


# -- the clockwork --------------------------------------------------------------------------------------------
def test_rounds():
    calls = []
    samples = timing.in_rounds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0.0)
    assert calls == ["a", "b"] * timing.LEAST and samples == {"a": [None] * 3, "b": [None] * 3}
    assert timing.number_for(lambda n: timing.SAMPLE / 10.0) == 10
    asked = []
    sample = timing.sampler(lambda n: asked.append(n) or timing.SAMPLE / 3.0)
    asked.clear()
    assert sample() == timing.SAMPLE / 3.0 and asked == [1, 3]
    assert timing.number_for(lambda n: 2.0) == 1
    assert timing.summary([3.0]) == (3.0, 3.0, 3.0) and timing.summary([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)
    assert [timing.digits(x) for x in (0.0, 1.0, 12.345, 1234.5, 0.001234, np.inf)] == [
        "0", "1.00", "12.3", "1,234", "0.00123", "inf",
    ]  # fmt: skip
    times = timing.interleaved({"quick": lambda: None, "slow": lambda: sum(range(1000))}, 0.02)
    assert set(times) == {"quick", "slow"} and all(0.0 <= t.low <= t.median <= t.high for t in times.values())


def test_parts_of_a_total():
    """No part is more than the whole it belongs to, whatever is measured."""
    rng = np.random.default_rng(0)

    class Swept:
        codes, counts = [OPS["add"].code, OPS["exp"].code], [3, 1]

    for _ in range(200):
        total, swept, once = rng.exponential(size=3)
        wholes, shares = rng.exponential(size=2), rng.exponential(size=(2, 2)) * (rng.random((2, 1)) < 0.7)
        rows = profiling._rows(Swept, total, swept, once, wholes, shares)
        assert sum(row.total for row in rows) == pytest.approx(total, rel=1e-12)
        assert all(row.total >= 0.0 for row in rows)


# -- the command ----------------------------------------------------------------------------------------------
def test_the_command(tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text("a,b,c,lambda\n1,2,3,4\n5,6,7,8\n")
    for arguments, words in (
        (["(a+b)*(b-c)", "--data", str(data), "--grad"], "value and gradient of 2 sets"),
        (["(a+b)*(b-c)", "--at", "a=1, b = 2.5,c=-3"], "value of 1 set"),
        (["lambda * a", "--data", str(data)], "value of 2 sets"),
        (["a * pi", "--at", "a=1,pi=2"], "value of 1 set"),
        (["1 + 2"], "value of 1 set"),
    ):
        assert main(["profile", *arguments, "--seconds", "0.01"]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"Function '{arguments[0]}': {words}, one thread") and "\ntotal " in out


def test_the_command_on_a_saved_function(tmp_path, capsys):
    saved, data = tmp_path / "f.bin", tmp_path / "data.csv"
    saved.write_bytes(model().to_bytes())
    data.write_text('k,"x[0]",x[1],x[2]\n1,2,3,4\n5,6,7,8\n9,10,11,12\n')
    for inputs in (["--data", str(data)], ["--at", "x=[1,2,3],k=4"]):
        assert main(["profile", str(saved), *inputs, "--grad", "--seconds", "0.01"]) == 0
        assert "Function 'model'" in capsys.readouterr().out
    assert main(["profile", str(saved), "--at", "x=[1,2,3]"]) == 2
    assert "misses k; it takes x, k" in capsys.readouterr().err
    data.write_text("k,x[0],x[2]\n1,2,3\n")
    assert main(["profile", str(saved), "--data", str(data)]) == 2
    assert f"{data} has no column x[1]: the function takes x[0], x[1], x[2], k" in capsys.readouterr().err
    pickled = tmp_path / "f.pickle"
    pickled.write_bytes(pickle.dumps(model()))
    arguments = [str(pickled), "--at", "x=[1,2,3],k=4", "--seconds", "0.01"]
    assert main(["profile", *arguments, "--unpickle"]) == 0 and "Function 'model'" in capsys.readouterr().out
    assert main(["profile", *arguments]) == 2 and "looks like a pickle" in capsys.readouterr().err
    saved.write_bytes(saved.read_bytes()[:-1])
    assert main(["profile", str(saved), "--at", "k=1"]) == 2
    assert "damaged" in capsys.readouterr().err


def test_the_command_draws(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "profile.png"
    assert main(["profile", "a*a", "--at", "a=1", "--seconds", "0.01", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG") and list(tmp_path.iterdir()) == [path]
    assert main(["profile", "a*a", "--at", "a=1", "--plot", str(tmp_path / "profile.numbers")]) == 2
    assert "the name must end in one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a + b"], "give numbers for a, b: --at a=1,... or --data FILE"),
        (["a + b", "--at", "a=1"], "unknown name 'b'"),
        (["a", "--at", "a=1,k=2"], "--at: the formula has no name 'k'; it has a"),
        (["a", "--at", "a=1,a=2"], "there are two numbers for 'a'"),
        (["a", "--at", "a=one"], "a is 'one', which is no number"),
        (["a", "--at", "a=1,b"], "cannot read 'b': write a=2,b=-1.5"),
        (["a", "--at", ""], "misses a; it takes a"),
        (["a +", "--at", "a=1"], "formula, line 1"),
        (["a", "--data", "/nowhere/data.csv"], "/nowhere/data.csv: No such file"),
        (["nowhere/f.bin", "--at", "a=1"], "nor is there a file 'nowhere/f.bin'"),
    ],
)
def test_the_command_refuses(arguments, words, capsys):
    assert main(["profile", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_command_refuses_data_without_rows(tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text("a,b\n")
    assert main(["profile", "a", "--data", str(data)]) == 2
    assert f"{data} has no rows" in capsys.readouterr().err
    data.write_text("a,b\n1,2\n")
    assert main(["profile", "a + c", "--data", str(data)]) == 2
    assert "unknown name 'c'" in capsys.readouterr().err


def test_plots_of_the_command_need_matplotlib(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["profile", "a", "--at", "a=1", "--plot", "p.png"]) == 2
    assert "fastgraph[plot]" in capsys.readouterr().err
