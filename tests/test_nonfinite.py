"""find_nonfinite: the operation that made a NaN or an infinity, its operands, its line; and nobody else."""

import math

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import nonfinite
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.interpreter import operations
from fastgraph.ops import OPS
from fastgraph.reference import NumPyMachine
from tests.random_graphs import Seeded, input_sets, pick, record
from tests.sources import run

TAME = ("{} + {}", "{} - {}", "fg.sin({})", "fg.cos({})", "fg.tanh({}) * {}", "fg.atan({})", "fg.maximum({}, {})",
        "fg.where({} > {}, {}, {})", "fg.sqrt(1.0 + fg.square(fg.sin({})))")  # fmt: skip
# Of the trigger t: what is not finite for t = -1 and is for t = 1; the op that makes it so.
FAULTS = {
    "log": "fg.log(t)", "sqrt": "fg.sqrt(t)", "acos": "fg.acos(2.0 - t)", "div": "{} / (t + 1.0)",
    "reciprocal": "1.0 / (t + 1.0)", "exp": "fg.exp(-800.0 * t)", "pow": "t ** 0.5", "atanh": "fg.atanh(t * 0.5 - 0.5)",
    "lgamma": "fg.lgamma(t)", "acosh": "fg.acosh(t)", "powi": "(t + 1.0) ** -3", "log_ndtr": "fg.log(t) * {}",
}  # fmt: skip
MADE_BY = {"log_ndtr": "log"}  # the product only hands it on
# Whose value is finite, and whose derivative is not, where t is 0.
SLOPES = {
    "sqrt": "fg.sqrt(t)", "cbrt": "fg.cbrt(t)", "asin": "fg.asin(1.0 - t)", "acos": "fg.acos(t - 1.0)",
    "acosh": "fg.acosh(t + 1.0)", "pow": "t ** 0.5",
}  # fmt: skip
# What is not finite and does no harm: on a branch that is not taken, as a NaN that fmin ignores, in a comparison.
DECOYS = ("fg.where(t > 5.0, fg.log(-3.0 - fg.square({})), 0.5)", "fg.fmin(fg.log(-2.0 - fg.square({})), 0.25)",
          "1.0 * (1.0 / (0.0 * fg.square({})) > 7.0)", "1.0 / (1.0 + fg.exp(900.0 + fg.square({})))")  # fmt: skip
# Whose derivative is, and does none: masked, or handed to a branch that was not taken.
SLOPE_DECOYS = ("fg.where(t > 5.0, fg.sqrt(t * 2.0), 0.5)", "fg.where(t < 5.0, 0.5, fg.cbrt(t * 3.0))",
                "fg.where(t > 5.0, fg.log(t), t)", "fg.sqrt(fg.where(t > 5.0, t * 5.0, 0.0))")  # fmt: skip


def planted(seed, faults, decoys):
    """A traced random graph of tame operations with one fault among them: its op, its line, and the graph."""
    choices = Seeded(seed)
    lines = ["a, b, t = graph.inputs('a', 'b', 't')"]
    names = ["a", "b"]
    name = pick(choices, sorted(faults))
    at = {choices.below(16): faults[name]}
    for _ in range(2):
        at.setdefault(choices.below(16), pick(choices, decoys))
    tame = ["a", "b"]
    for k in range(16):
        text = at.get(k) or pick(choices, TAME)
        while "{}" in text:
            # The fault is made of what is finite; afterwards anything may be made of it.
            text = text.replace("{}", pick(choices, tame if k in at else names), 1)
        lines.append(f"n{k} = {text}")
        if at.get(k) == faults[name]:
            line = len(lines)
        elif not any(f"n{x}" not in tame and x < k and f"n{x}" in text for x in range(k)):
            tame.append(f"n{k}")
        names.append(f"n{k}")
    lines.append("graph.output(" + " + ".join(names) + ")")
    graph = fg.Graph("planted", trace_lines=True)
    run(lines, f"<planted {seed}>", graph=graph)
    return MADE_BY.get(name, name), line, graph


def assert_names(fault, name, line, seed):
    assert (fault.op, fault.line.file, fault.line.line) == (name, f"<planted {seed}>", line), str(fault)


def test_planted_faults():
    """On 1,000 random graphs the planted operation and its line, and no decoy."""
    for seed in range(1000):
        name, line, graph = planted(seed, FAULTS, DECOYS)
        f = graph.compile()
        a, b = np.random.default_rng(seed).normal(size=2).tolist()
        assert not f.find_nonfinite(a, b, 1.0), seed
        found = f.find_nonfinite(a, b, -1.0)
        (fault,) = found.faults
        assert found and found.count == 1 and fault.index == ()
        assert_names(fault, name, line, seed)
        assert all(map(math.isfinite, fault.operands)) and not math.isfinite(fault.result)
        assert fault.given == () and fault.by is fault.share is None


def test_planted_slopes():
    for seed in range(300):
        name, line, graph = planted(seed, SLOPES, SLOPE_DECOYS)
        f = graph.compile()
        a, b = np.random.default_rng(seed).normal(size=2).tolist()
        assert not f.find_nonfinite(a, b, 0.25, gradient=True), seed
        assert not f.find_nonfinite(a, b, 0.0), seed
        assert not f.find_nonfinite(a, b, 0.0, gradient=True, wrt=["a"]), seed
        found = f.find_nonfinite(a, b, 0.0, gradient=True)
        (fault,) = found.faults
        assert_names(fault, name, line, seed)
        assert math.isfinite(fault.adjoint) and not math.isfinite(fault.share)
        assert fault.by == 0 and all(map(math.isfinite, fault.operands))


def test_batches_of_planted_faults():
    for seed in range(100):
        name, line, graph = planted(seed, FAULTS, DECOYS)
        rng = np.random.default_rng(seed)
        t = rng.choice([1.0, -1.0], (3, 50), p=[0.9, 0.1])
        found = graph.compile().find_nonfinite(rng.normal(size=50), rng.normal(size=(3, 1)), t, limit=7)
        wanted = np.argwhere(t < 0.0)
        assert (found.n_sets, found.count) == (150, len(wanted))
        assert np.array_equal(np.transpose(found.sets), wanted)
        assert [fault.index for fault in found.faults] == [tuple(at) for at in wanted[:7].tolist()]
        for fault in found.faults:
            assert_names(fault, name, line, seed)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_whatever_is_not_finite_is_explained(dtype):
    """On random graphs over the table with special values: sets are those of a call, and faults are what they say."""
    m = NumPyMachine(dtype)
    for seed in range(60):
        f = record(Seeded(seed), n_ops=30, n_outputs=2, dtype=dtype).compile(dtype)
        leaves = input_sets(seed, 3, 24, special=0.15)
        with np.errstate(all="ignore"):
            results = np.array(f(*leaves))
        found = f.find_nonfinite(*leaves)
        assert np.array_equal(found.sets[0], np.flatnonzero(~np.isfinite(results).all(0)))
        assert len(found.faults) == found.count
        ops = {slot: (op, n) for op, slot, _, n, *_ in operations(f.program)}
        for fault in found.faults:
            assert fault.op or fault.given
            assert all(not math.isfinite(given.value) for given in fault.given)
            if fault.op is None:
                continue
            op, n = ops[fault.slot]
            operands = [m.floats([x]) for x in fault.operands[: op.arity]]
            with np.errstate(all="ignore"):
                assert np.array_equal(m.floats(op.apply(m, *operands, *n)), m.floats([fault.result]), equal_nan=True)
            assert not math.isfinite(fault.result)
            counted = [x for x in fault.operands if not (math.isnan(x) and math.isinf(fault.result))]
            assert op.chooses or all(map(math.isfinite, counted)), (seed, fault)


def test_gradients_on_random_graphs():
    for seed in range(60):
        f = record(Seeded(seed), n_ops=30).compile()
        leaves = input_sets(seed, 3, 24, special=0.15)
        y, slopes = f.value_and_grad(*leaves)
        found = f.find_nonfinite(*leaves, gradient=True)
        finite = np.isfinite(y) & np.isfinite(np.array(slopes)).all(0)
        assert np.array_equal(found.sets[0], np.flatnonzero(~finite))
        for fault in found.faults:
            (j,) = fault.index
            if not np.isfinite(y[j]):
                assert fault.share is None and (fault.op or fault.given)
                continue
            assert math.isfinite(fault.adjoint) and fault.op
            partials = OPS[fault.op].flows if fault.op in OPS else (True,)
            assert partials[fault.by]


@pytest.mark.parametrize("n_graphs", [6, pytest.param(25, marks=pytest.mark.long)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_walk_agrees_with_the_interpreter(dtype, n_graphs):
    """Where few operations are looked at, the same is found as in the interpreter's whole sweep."""
    count = 0
    for seed in range(n_graphs):
        f = record(Seeded(seed), n_ops=40, dtype=dtype).compile(dtype)
        rows = input_sets(seed, 3, 6, special=0.2)
        walk = nonfinite._Walk(f, *nonfinite._swept(f.program, rows, True))
        for leaves in (np.arange(3), np.array([1])):
            found = walk.of_gradient(leaves, [])
            wanted = {}
            for j in range(6):
                wanted |= walk.interpreted(leaves, j)
            assert repr(sorted(found.items())) == repr(sorted(wanted.items()))
            count += len(wanted)
    assert count > 2 * n_graphs


# -- one by one -----------------------------------------------------------------------------------------------
def test_the_first_that_an_output_depends_on():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.log(x), name="u")
    graph.output(fg.sqrt(y), name="v")
    f = graph.compile()
    assert f.find_nonfinite(1.0, -1.0).faults[0].op == "sqrt"
    assert f.find_nonfinite(-1.0, 1.0).faults[0].op == "log"
    both = f.find_nonfinite(-1.0, -1.0).faults[0]
    assert both.slot == min(f.find_nonfinite(*p).faults[0].slot for p in ((1.0, -1.0), (-1.0, 1.0)))


def test_what_is_given_is_said():
    graph = fg.Graph("given", trace_lines=True)
    x, k = graph.input("x", shape=2), graph.parameter("k", shape=(1, 2))
    graph.output(fg.sum(x * k) + fg.log(x[0]) + fg.log(graph.constant(-1.0)))
    f = graph.compile()
    (fault,) = f.find_nonfinite([1.0, np.inf], [[1.0, 2.0]]).faults
    assert fault.op is None and [given.name for given in fault.given] == ["x[1]", "%4"]
    assert [given.line.part for given in fault.given] == [
        'graph.input("x", shape=2)', "fg.log(graph.constant(-1.0))",
    ]  # fmt: skip
    (fault,) = f.find_nonfinite([-1.0, 1.0], [[1.0, np.nan]]).faults
    assert fault.op == "log" and fault.operands == (-1.0,)
    assert [given.name for given in fault.given] == ["k[0, 1]", "%4"]


def test_a_nan_that_did_no_harm_is_not_to_blame():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.fmax(fg.log(x), fg.exp(y)))
    f = graph.compile()
    assert not f.find_nonfinite(-1.0, 1.0)
    assert f.find_nonfinite(-1.0, 1000.0).faults[0].op == "exp"


def test_a_branch_that_was_not_taken_is_not_to_blame():
    """Even beside one that was, and is not finite either."""
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    graph.output(fg.where(x > 0.0, fg.sqrt(y), fg.log(z)))
    f = graph.compile()
    assert f.find_nonfinite(1.0, -1.0, -1.0).faults[0].op == "sqrt"
    assert f.find_nonfinite(-1.0, -1.0, -1.0).faults[0].op == "log"
    assert [given.name for given in f.find_nonfinite(1.0, np.nan, np.nan).faults[0].given] == ["y"]
    assert not f.find_nonfinite(1.0, 4.0, -1.0) and not f.find_nonfinite(1.0, 4.0, -1.0, gradient=True)


def test_sums_of_adjoints_that_overflow():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.sin(x * 1e308) + fg.sin(x * 1.2e308))
    f = graph.compile()
    (fault,) = f.find_nonfinite(0.0, gradient=True).faults
    assert fault.op == "mul" and math.isfinite(fault.share) and abs(fault.share) >= 1e308
    assert "which overflows" in str(fault) and not f.find_nonfinite(0.0)


def test_a_value_of_infinity_on_the_way_breaks_a_gradient():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(1.0 / (1.0 + fg.exp(x)))
    (fault,) = graph.compile().find_nonfinite(1000.0, gradient=True).faults
    assert (fault.op, fault.result, fault.adjoint) == ("exp", math.inf, 0.0) and math.isnan(fault.share)


def test_custom_ops_and_immediates_by_name():
    def barrier(x):
        return math.log(x)

    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.custom_op(barrier)(x) + y**-3)
    f = graph.compile()
    assert str(f.find_nonfinite(-1.0, 1.0).faults[0]).endswith("= barrier(x = -1.0) is nan")
    assert str(f.find_nonfinite(1.0, 0.0).faults[0]).endswith("= powi(y = 0.0, -3) is inf")


def test_what_is_finite_when_it_is_computed_again(monkeypatch):
    """A custom op that is no function of its arguments: there is nothing to name, and no crash."""
    monkeypatch.setattr(nonfinite, "_swept", lambda program, rows, gradient: (np.ones((program.n_slots, 1)), None))
    graph = fg.Graph()
    graph.output(fg.log(graph.input("x")))
    (fault,) = graph.compile().find_nonfinite(-1.0).faults
    assert (fault.op, fault.given) == (None, ())
    assert str(fault) == "all is finite when it is computed again: does a custom op depend on anything else?"


def test_shapes_of_batches():
    graph = fg.Graph()
    x, k = graph.input("x", shape=2), graph.parameter("k")
    graph.output(fg.log(x) * k)
    f = graph.compile()
    x = np.ones((4, 1, 2))
    x[2, 0, 1] = -1.0
    found = f.find_nonfinite(x, np.ones(3), threads=1)
    assert [fault.index for fault in found.faults] == [(2, 0), (2, 1), (2, 2)]
    assert all(fault.names == ("x[1]",) for fault in found.faults)
    assert not f.find_nonfinite(np.ones((0, 2)), 1.0) and f.find_nonfinite(np.ones((0, 2)), 1.0).n_sets == 0
    assert f.find_nonfinite({"x": 1}["x"] * np.ones(2), k=np.nan).faults[0].given[0].name == "k"
    assert f.find_nonfinite(x, 1.0, gradient=True, wrt="k").count == 1


def test_constant_functions():
    graph = fg.Graph()
    graph.input("x")
    graph.output(fg.log(graph.constant(-1.0)))
    found = graph.compile().find_nonfinite(np.zeros(4))
    assert found.count == 4 and [given.name for given in found.faults[3].given] == ["%1"]
    empty = fg.Graph()
    empty.output(math.inf)
    assert str(empty.compile().find_nonfinite()).endswith("the constant %0 is inf itself")


def test_many_sets_are_walked_in_parts(monkeypatch):
    monkeypatch.setattr(nonfinite, "NUMBERS", 10)
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.log(x))
    found = graph.compile().find_nonfinite(-np.arange(1.0, 31.0), limit=25)
    assert [fault.operands for fault in found.faults] == [(-float(k),) for k in range(1, 26)]


# -- texts ----------------------------------------------------------------------------------------------------
SOURCE = """\
def price(spot, strike):
    gain = fg.log(spot - strike) * 2.0
    return fg.where(gain < 1.0, gain, fg.sqrt(gain - 1.0) / strike)

def both(x):
    return np.sum(np.log(x) + 1.0 / (x - 3.0))
""".splitlines()


def test_texts():
    f = fg.trace(run(SOURCE, "model.py")["price"], (), (), trace_lines=True)
    spot = np.linspace(2.0, 6.0, 9)
    strike = np.where(np.arange(9) % 3 == 0, 7.0, 1.0)
    strike[4] = 0.0
    assert str(f.find_nonfinite(spot, 1.0)) == "Function 'price': no value of 9 sets is nan or inf"
    found = f.find_nonfinite(spot, strike)
    assert (
        str(found)
        == """\
Function 'price': a value of 4 of 9 sets is nan or inf
in sets 0, 3, 6, the first:
%5 = log(%4 = -5.0) is nan
    model.py, line 2, in price
        gain = fg.log(spot - strike) * 2.0
               ^^^^^^^^^^^^^^^^^^^^^
in set 4:
%10 = div(%9 = 1.3313860154890396, strike = 0.0) is inf
    model.py, line 3, in price
        return fg.where(gain < 1.0, gain, fg.sqrt(gain - 1.0) / strike)
                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"""
    )
    assert str(f.find_nonfinite(spot, strike, limit=1)).splitlines()[:2] == [
        "Function 'price': a value of 4 of 9 sets is nan or inf; looked at were the first 1",
        "in set 0:",
    ]
    spread = str(f.find_nonfinite(spot.reshape(3, 3), strike.reshape(3, 3)))
    assert "in sets (0, 0), (1, 0), (2, 0), the first:" in spread and "in set (1, 1):" in spread


def test_texts_of_gradients():
    lines = ["x = graph.input('x')", "y = fg.sqrt(x) + x", "graph.output(y * 2.0)"]
    graph = fg.Graph("slope", trace_lines=True)
    run(lines, "slope.py", graph=graph)
    f = graph.compile()
    assert (
        str(f.find_nonfinite(0.0, gradient=True))
        == """\
Function 'slope': a gradient is nan or inf
%2 = sqrt(x = 0.0) is 0.0: with its adjoint 2.0 it adds inf to that of x
    slope.py, line 2, in <module>
        y = fg.sqrt(x) + x
            ^^^^^^^^^^"""
    )
    assert (
        str(f.find_nonfinite(np.nan))
        == """\
Function 'slope': a value is nan or inf
x is nan itself
    slope.py, line 1, in <module>
        x = graph.input('x')
            ^^^^^^^^^^^^^^^^"""
    )
    assert str(f.find_nonfinite([0.25, 1.0], gradient=True)) == "Function 'slope': no gradient of 2 sets is nan or inf"


def test_texts_of_many_causes():
    """The elements of an array have one line; without lines, each its own text, of which some are shown."""
    x = np.ones((20, 20)) - 2.0 * np.eye(20)
    both = run(SOURCE, "model.py")["both"]
    traced = str(fg.trace(both, 20, trace_lines=True).find_nonfinite(x)).splitlines()
    assert traced[1] == "in sets 0, 1, 2, 3, 4 and 15 more, the first:" and len(traced) == 6
    plain = str(fg.trace(both, 20).find_nonfinite(x)).splitlines()
    assert plain[-2:] == ["and 15 more causes: see .faults", "(a graph made with trace_lines=True names the line)"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"limit": 0}, ArgumentError, "limit must be a positive integer, not 0"),
        ({"limit": True}, ArgumentError, "limit must be a positive integer"),
        ({"limit": 2.0}, ArgumentError, "limit must be a positive integer"),
        ({"gradient": "yes"}, ArgumentError, "gradient must be True or False"),
        ({"wrt": "a"}, ArgumentError, "wrt chooses what gradient=True looks at"),
        ({"gradient": True, "wrt": "q"}, ArgumentError, "no argument 'q'"),
        ({"threads": 0}, ArgumentError, "threads must be a positive integer"),
        ({"d": 1.0}, ArgumentError, "no argument 'd'"),
    ],
)
def test_what_is_refused(f, options, error, match):
    with pytest.raises(error, match=match):
        f.find_nonfinite(np.ones(3), 2.0, c=3.0, **options)


def test_shapes_that_do_not_fit(f):
    with pytest.raises(ShapeError, match="do not broadcast"):
        f.find_nonfinite(np.ones(3), np.ones(4), 1.0)
