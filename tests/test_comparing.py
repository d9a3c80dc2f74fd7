"""Comparisons: every library evaluates the same operations, is checked before it is timed, and skipped visibly."""

import json
import sys

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import comparing, peers
from fastgraph.cli import main
from fastgraph.comparing import WORKLOADS, Comparison, ComparisonRow, Workload, compare
from fastgraph.compiler import function_of
from fastgraph.errors import ArgumentError, FormulaError
from fastgraph.expr import FUNCTIONS
from fastgraph.formula import Formula
from fastgraph.ops import TABLE
from fastgraph.ops.accuracy import immediates_of
from fastgraph.peers import PEERS, Missing, Namespace, Numpy, Peer
from fastgraph.timing import Times

SECONDS = 0.01
SMALL = Workload("small", "where(x > y, exp(-x), sqrt(y)) / (1 + x*y)", {"x": 1.0, "y": 1.2}, 0.5)
OTHERS = [name for name in PEERS if name != "fastgraph"]


def checked(peer, work, n, gradient):
    """One library, held against the reference: the callable, or why there is none."""
    function = function_of(Formula(work.formula), list(work.centre))
    x = work.sets(n)
    return comparing._checked({peer.name: peer}, function, x[:, 0].copy() if n == 1 else x, gradient)


@pytest.mark.parametrize("work", WORKLOADS.values(), ids=WORKLOADS)
def test_workloads(work):
    """What they compute is finite where it is timed, and each is read as a formula of its names."""
    assert WORKLOADS[work.name] is work
    assert Formula(work.formula).names and set(Formula(work.formula).names) == set(work.centre)
    function = function_of(Formula(work.formula), list(work.centre))
    y, slopes = function.flat.value_and_grad(work.sets(500), axis=0)
    assert np.isfinite(y).all() and np.isfinite(slopes).all() and np.ptp(y) > 0.0
    assert work.sets(3).shape == (len(work.centre), 3) and np.array_equal(work.sets(3), work.sets(3))


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("work", ["tiny", "elementary", "horner-32"])
def test_every_library_gives_what_the_reference_gives(name, work):
    pytest.importorskip(name)
    peer = PEERS[name]()
    assert peer.version
    for n in (1, 700):
        for gradient in (False, True)[: 1 + peer.has_gradient]:
            runs, skipped = checked(peer, WORKLOADS[work], n, gradient)
            assert list(runs) == [name], skipped


@pytest.mark.parametrize("name", ["numpy", "numexpr", "jax", "casadi", "heyoka"])
def test_choices(name):
    pytest.importorskip(name)
    for n in (1, 700):
        runs, skipped = checked(PEERS[name](), SMALL, n, gradient=False)
        assert list(runs) == [name], skipped


def test_every_op_that_numpy_has():
    """One operation at a time, at ordinary points: NumPy's and SciPy's functions mean what the table's do."""
    pytest.importorskip("scipy")
    rng, missing = np.random.default_rng(0), []
    for op in TABLE:
        if op.is_declared or op.names:
            continue
        graph = fg.Graph()
        x = graph.input("x", shape=op.arity)
        immediates = [immediates_of(op, np.float64)[2]] if op.immediate else []
        graph.output(FUNCTIONS[op.name](*x, *immediates))
        low, high = np.array(op.domain.intervals).T
        points = rng.uniform(np.maximum(low, -3.0), np.minimum(high, 3.0), (40, op.arity)).T
        try:
            run = Numpy().run(graph.compile(), points, False)
        except Missing as reason:
            missing.append(str(reason))
            continue
        comparing._check(run(), comparing._reference(graph.compile().program, points, False), exact=False)
    assert missing == ["no direction", "no nonnegative", "no sech"]


def test_special_values_agree():
    for work in (Workload("w", "log(x) + 1/y - sqrt(x)*y", {"x": 1.0, "y": 1.0}),):
        data = np.array([[1.0, 0.0, -1.0, np.inf, np.nan, 4.0], [1.0, 1.0, 0.0, 0.0, 1.0, np.inf]])
        for n in (1, 6):
            runs, skipped = checked(Numpy(), Workload(work.name, work.formula, work.centre, data=data), n, False)
            assert list(runs) == ["numpy"], skipped


class Liar(Peer):
    """A library that is wrong in the ninth digit, and right elsewhere."""

    name = "numpy"

    def _run(self, function, x, gradient):
        y, slopes = function.flat.value_and_grad(x, axis=0) if x.ndim == 2 else function.flat.value_and_grad(x)
        return lambda: (y, slopes * (1.0 + 2e-9) if gradient else None)


def test_a_wrong_library_is_not_timed():
    runs, skipped = checked(Liar(), SMALL, 50, False)
    assert list(runs) == ["numpy"]
    runs, skipped = checked(Liar(), SMALL, 50, True)
    assert not runs and skipped["numpy"].startswith("differs from the reference by 2.0e-09")
    wanted = np.array([1.0, np.inf, np.nan])
    for got in ([1.0, -np.inf, np.nan], [1.0, np.inf, 0.0], [np.nan, np.inf, np.nan], [1.0, 1.0, np.nan]):
        assert comparing._disagreement(np.array(got), wanted) == np.inf
    assert comparing._disagreement(wanted, wanted) == 0.0


def test_fastgraph_is_right_to_the_bit():
    expected = np.array([0.0, 1.0, np.nan]), None
    comparing._check((np.array([0.0, 1.0, -np.nan]), None), expected, exact=True)
    for wrong in ([-0.0, 1.0, np.nan], [0.0, 1.0 + 2.0**-52, np.nan], [0.0, 1.0, 1.0]):
        with pytest.raises(AssertionError, match="disagree"):
            comparing._check((np.array(wrong), None), expected, exact=True)


def test_a_library_that_fails_is_skipped_with_its_words():
    class Broken(Numpy):
        def _run(self, function, x, gradient):
            raise RuntimeError("no such luck\nand more")

    class Slow(Numpy):
        limit = 3

    assert checked(Broken(), SMALL, 5, False)[1] == {"numpy": "RuntimeError: no such luck"}
    assert checked(Slow(), SMALL, 5, False)[1] == {"numpy": "9 operations would take it minutes to compile"}
    assert checked(Numpy(), SMALL, 5, True)[1] == {"numpy": "no derivatives"}
    with pytest.raises(Missing, match="no sech"):
        Namespace("numpy", [np]).sech(1.0)


def test_formulas_for_numexpr_have_an_end():
    """Text has no common parts: squaring again and again doubles it."""
    pytest.importorskip("numexpr")
    graph = fg.Graph()
    x = graph.input("x", shape=1)
    y = x[0]
    for _ in range(40):
        y = y * y + 1.0
    graph.output(y)
    with pytest.raises(Missing, match="more than 100,000 characters"):
        PEERS["numexpr"]().run(graph.compile(), np.ones((1, 4)), False)


# -- results --------------------------------------------------------------------------------------------------
def test_comparisons(monkeypatch):
    monkeypatch.setattr(peers, "PEERS", {name: PEERS[name] for name in ("fastgraph", "numpy")})
    told = []
    found = compare([WORKLOADS["tiny"], SMALL], n_sets=100, seconds=SECONDS, report=told.append)
    assert [(row.workload, row.what, row.n_sets) for row in found.rows] == [
        (name, what, n) for name in ("tiny", "small") for n in (1, 100) for what in ("value", "value and gradient")
    ]
    assert told[0] == "tiny, value, 1 set ..." and told[-1] == "small, value and gradient, 100 sets ..."
    for row in found.rows:
        assert row.operations == (3 if row.workload == "tiny" else 9)
        assert set(row.times) == {"fastgraph", "numpy"} - set(row.skipped)
        assert row.skipped == ({} if row.what == "value" else {"numpy": "no derivatives"})
        assert all(0.0 < t.low <= t.median <= t.high for t in row.times.values())
    assert found.versions == {"fastgraph": fg.__version__, "numpy": np.__version__} and found.missing == ()
    again = json.loads(json.dumps(found.as_dict()))
    assert again["rows"][0]["times"]["numpy"].keys() == {"median", "low", "high"}
    assert again["machine"]["threads"] == fg.get_num_threads()


def test_libraries_that_are_not_there(monkeypatch):
    class Absent(Peer):
        name = "surely_not_installed"

    monkeypatch.setattr(peers, "PEERS", {"fastgraph": PEERS["fastgraph"], Absent.name: Absent})
    found = compare([SMALL], n_sets=10, seconds=SECONDS)
    assert found.missing == ("surely_not_installed",) and set(found.rows[0].times) == {"fastgraph"}
    assert str(found).endswith("\n  not installed: surely_not_installed")


@pytest.mark.parametrize(
    ("work", "options", "error", "match"),
    [
        (Workload("w", "1 + 2", {}), {}, ArgumentError, "has no names"),
        (Workload("w", "x +", {"x": 1.0}), {}, FormulaError, "line 1"),
        (SMALL, {"n_sets": 0}, ArgumentError, "must be positive"),
        (SMALL, {"seconds": 0.0}, ArgumentError, "must be positive"),
    ],
)
def test_what_is_refused(work, options, error, match):
    with pytest.raises(error, match=match):
        compare([work], **options)


def times(median):
    return Times(median, 0.9 * median, 1.1 * median)


ROWS = (
    ComparisonRow("tiny", 3, "value", 1, {"fastgraph": times(6e-7), "numpy": times(9e-7), "jax": times(6e-6)}, {}),
    ComparisonRow("tiny", 3, "value and gradient", 1, {"fastgraph": times(9e-7)},
                  {"numpy": "no derivatives", "jax": "no luck"}),
    ComparisonRow("tiny", 3, "value", 1000, {"fastgraph": times(3e-6), "numpy": times(6e-7)}, {"jax": "no luck"}),
    ComparisonRow("tiny", 3, "value and gradient", 1000, {"fastgraph": times(9e-6)}, {"numpy": "no derivatives"}),
)  # fmt: skip
COMPARISON = Comparison(ROWS, {"fastgraph": "1", "numpy": "2", "jax": "3"}, ("heyoka",), {"threads": 2})


def test_tables():
    assert (
        str(COMPARISON)
        == """\
fastgraph 1, numpy 2, jax 3; 2 threads

workload  ops  what                 sets  ns a set  ns an op   numpy    jax
tiny        3  value                   1       600       200   1.50x  10.0x
tiny        3  value and gradient      1       900       300       -      -
tiny        3  value               1,000      3.00      1.00  0.200x      -
tiny        3  value and gradient  1,000      9.00      3.00       -      -

ns of fastgraph, the median; of the others how many times as long a call takes; - is what was not timed:
  numpy: no derivatives (every gradient)
  jax: no luck (tiny, value and gradient; tiny, value)
  not installed: heyoka"""
    )


def test_plots():
    pytest.importorskip("matplotlib")
    left, right = COMPARISON.plot().axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["1 set in a call", "1,000 sets in a call"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["tiny, value", "tiny, value and gradient"]
    marks = {c.get_label(): np.array(c.get_offsets()).round(6).tolist() for c in left.collections}
    assert marks == {"fastgraph": [[600.0, 0.0], [900.0, 1.0]], "numpy": [[900.0, 0.0]], "jax": [[6000.0, 0.0]]}
    assert left.get_xscale() == right.get_xscale() == "log"
    assert len(Comparison(ROWS[:2], {"fastgraph": "1"}, (), {"threads": 1}).plot().axes) == 1


def test_plots_need_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"fastgraph\[plot\]"):
        COMPARISON.plot()


# -- the command ----------------------------------------------------------------------------------------------
@pytest.fixture
def alone(monkeypatch):
    """Without other libraries than NumPy: they take their time to compile."""
    monkeypatch.setattr(peers, "PEERS", {name: PEERS[name] for name in ("fastgraph", "numpy")})


def test_the_command(alone, tmp_path, capsys):
    path = tmp_path / "result.json"
    common = ["--sets", "50", "--seconds", "0.01", "--json", str(path)]
    data = tmp_path / "data.csv"
    data.write_text("b,a\n1,2\n3,4\n5,6\n")
    for arguments, lines in (
        (["tiny", "branches"], [("tiny", 1), ("tiny", 50), ("branches", 1), ("branches", 50)]),
        (["tiny", "--formula", "a * sin(e * b)"], [("tiny", 1), ("tiny", 50), ("formula", 1), ("formula", 50)]),
        (["--formula", "a / b", "--at", "a=3,b=0.5"], [("formula", 1), ("formula", 50)]),
        (["--formula", "a / b", "--data", str(data)], [("formula", 1), ("formula", 3)]),
    ):
        assert main(["bench", *arguments, *common]) == 0
        out, err = capsys.readouterr()
        written = json.loads(path.read_text())
        assert [(row["workload"], row["n_sets"]) for row in written["rows"][::2]] == lines
        assert out.startswith("fastgraph ") and f"{lines[0][0]}, value, 1 set ..." in err


def test_the_command_lists(capsys):
    assert main(["bench", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}\n    {work.formula}\n" in out for name, work in WORKLOADS.items())


def test_the_command_draws(alone, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.svg"
    assert main(["bench", "tiny", "--sets", "10", "--seconds", "0.01", "--plot", str(path)]) == 0
    assert b"<svg" in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["giant"], "there is no workload 'giant'; there are tiny, black-scholes"),
        (["tiny", "--at", "a=1"], "--at and --data are inputs of --formula"),
        (["--formula", "a +"], "formula, line 1"),
        (["--formula", "1 + 2"], "has no names"),
        (["--formula", "a + b", "--at", "a=1"], "unknown name 'b'"),
        (["--formula", "a", "--data", "/nowhere/data.csv"], "No such file"),
        (["--formula", "a", "--plot", "result.numbers"], "the name must end in one of"),
    ],
)
def test_the_command_refuses(arguments, words, capsys):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    assert main(["bench", *arguments, "--seconds", "0.01"]) == 2
    assert words in capsys.readouterr().err
