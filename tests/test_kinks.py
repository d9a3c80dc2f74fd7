"""check_kinks: what sits on its switch, and how near the rest is."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError
from fastgraph.expr import FUNCTIONS
from fastgraph.ops import OPS, TABLE
from tests.random_graphs import an_immediate
from tests.rough import Rough

SWITCHING = [op for op in TABLE if op.switch is not None]
# For each op that switches, operands on the switch, and operands away from it with the distance.
POINTS = {
    "abs": ((0.0,), (0.25,), 0.25),
    "sign": ((-0.0,), (-0.5,), 0.5),
    "copysign": ((2.0, 0.0), (2.0, -0.5), 0.5),
    "minimum": ((1.5, 1.5), (1.5, 2.0), 0.5),
    "maximum": ((np.inf, np.inf), (1.5, 1.0), 0.5),
    "fmin": ((0.0, -0.0), (1.5, 2.0), 0.5),
    "fmax": ((1.5, 1.5), (1.5, 1.0), 0.5),
    "floor": ((3.0,), (3.25,), 0.25),
    "ceil": ((-2.0,), (-2.25,), 0.25),
    "trunc": ((5.0,), (4.75,), 0.25),
    "rint": ((2.5,), (2.25,), 0.25),
    "interval": ((0.0,), (-0.75,), 0.25),
    "mod": ((6.0, 3.0), (6.5, 3.0), 0.5),
    "fmod": ((-6.0, 3.0), (-5.5, 3.0), 0.5),
    "where": ((0.0, 1.0, 2.0), (-0.5, 1.0, 2.0), 0.5),
    **{name: ((1.5, 1.5), (1.5, 2.0), 0.5) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
}


def single(op):
    graph = fg.Graph(op.name)
    graph.output(FUNCTIONS[op.name](*graph.inputs(*"xyz"[: op.arity]), *an_immediate(op)))
    return graph.compile()


def test_every_switch_has_points():
    assert {op.name for op in SWITCHING} == set(POINTS)


@pytest.mark.parametrize("op", SWITCHING, ids=lambda op: op.name)
def test_every_op_that_switches(op):
    f = single(op)
    on, off, distance = POINTS[op.name]
    (kink,) = f.check_kinks(on)
    assert (kink.op, kink.sets, kink.distances.tolist()) == (op.name, (), [0.0])
    assert f"%{kink.slot} = {op.name} " in f.program.disassemble()
    assert f.check_kinks(off) == []
    assert f.check_kinks(off, tolerance=0.9 * distance) == []
    (near,) = f.check_kinks(off, tolerance=distance)
    assert near.distances.tolist() == [distance]


@pytest.mark.parametrize("op", [op for op in TABLE if op.arity and any(op.flows)], ids=lambda op: op.name)
def test_first_derivatives_jump_only_at_switches(op):
    """Along a line of ordinary points a value or partial jumps only next to its op's switch, if it has one."""
    if op.immediate is not None:
        return
    m, rng = Rough(), np.random.default_rng(op.code)
    low, high = np.array(op.domain.intervals).T
    slow = "gamma" in op.name  # and full of poles at negative integers
    low, high = np.maximum(low, 0.5 if slow else -3.3), np.minimum(high, 3.3)
    a, b = rng.uniform(low, high), rng.uniform(low, high)
    s = np.linspace(0.0, 1.0, 2_001 if slow else 200_001)
    operands = [x + s * (y - x) for x, y in zip(a, b, strict=True)]
    with np.errstate(all="ignore"):
        r = op.apply(m, *operands)
        values = [r, *(p for p in op.partials(m, r, *operands) if isinstance(p, np.ndarray))]
        jumps = np.zeros(len(s) - 1, bool)
        for value in values:
            before, after = np.abs(value[:-1]), np.abs(value[1:])
            # Not at poles, where a step is a part of the value.
            jumps |= (np.abs(np.diff(value)) > 0.05 * (1.0 + before)) & (np.maximum(before, after) < 100.0)
        if op.switch is None:
            assert not jumps.any()
            return
        distance = np.abs(op.switch(m, r, *operands))
    # A step of the line moves a multiple of the operands' distance.
    assert np.all(distance[:-1][jumps] <= 100.0 * np.abs(b - a).sum() / len(s))


def test_a_batch_names_its_sets():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.where(x > y, x * x, fg.exp(y)) + abs(y))
    f = graph.compile()
    x = np.arange(12.0).reshape(3, 4)
    kinks = f.check_kinks((x, 5.0))
    assert [kink.op for kink in kinks] == ["gt"]
    assert [axis.tolist() for axis in kinks[0].sets] == [[1], [1]]
    assert str(kinks[0]).endswith("gt is 0 from its switch in 1 sets")
    near = f.check_kinks((x, 5.0), tolerance=1.0)
    assert [axis.tolist() for axis in near[0].sets] == [[1, 1, 1], [0, 1, 2]]
    assert near[0].distances.tolist() == [1.0, 0.0, 1.0]


def test_what_cannot_move_does_not_count():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(abs(graph.constant(0.0)) + x * x)
    f = graph.compile()
    assert f.check_kinks((0.0,)) == []
    assert f.check_kinks((np.zeros(3),), tolerance=1e9) == []


def test_choices_by_numbers_switch_and_by_comparisons_do_not_twice():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.where(x, x, 1.0) + fg.where(x < 1.0, x, 2.0) + fg.where((x < 1.0) & (x > -1.0), x, 3.0))
    assert sorted(kink.op for kink in graph.compile().check_kinks((0.0,), tolerance=0.5)) == ["where"]
    assert sorted(kink.op for kink in graph.compile().check_kinks((1.0,))) == ["lt"]


def test_nan_is_on_no_switch():
    assert single(OPS["maximum"]).check_kinks((np.nan, 1.0), tolerance=1.0) == []


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, "0", None, True])
def test_tolerances(tolerance):
    with pytest.raises(ArgumentError, match="tolerance must be a number that is not negative"):
        single(OPS["abs"]).check_kinks((0.0,), tolerance)
