"""Gradients: random graphs against the interpreter, mpmath and forward mode; the contract's special points; where."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import fastgraph as fg
from fastgraph import interpreter
from fastgraph.expr import FUNCTIONS
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.ops import TABLE
from tests import engines
from tests.bits import assert_same_bits, bits
from tests.mp_sweeps import OutOfRange, conditioning, exact_sweep, tangents
from tests.random_graphs import CONSTANTS, EVERY, ORDINARY, Seeded, graphs, plain_program, record
from tests.rough import Rough, rough_interpreter

INF, NAN = math.inf, math.nan
RANDOM = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), print_blob=True)
SPECIAL = st.one_of(st.sampled_from(ORDINARY), st.floats(width=64))
# For 300 bits of mpmath: what takes it seconds (huge powers, derivatives of high order) is in test_oracle.
QUICK = tuple(op for op in EVERY if op.name not in ("powi", "polygamma", "erfcx", "log_ndtr"))


def leaves_of(f, data, elements, count=1):
    sets = st.lists(elements, min_size=count, max_size=count)
    return np.array(data.draw(st.lists(sets, min_size=f.program.n_leaves, max_size=f.program.n_leaves)))


# -- against the interpreter --------------------------------------------------------------------------------


@RANDOM
@given(graphs(), st.data())
def test_kernels_have_the_bits_of_the_interpreter(graph, data):
    f = graph.compile()
    note(f.program.disassemble())
    leaves = leaves_of(f, data, SPECIAL, count=3)
    expected = engines.reference(f.program, leaves)
    for name in ("one", "tile"):
        got = engines.ENGINES[name](f.program, leaves)
        assert_same_bits(got[0], expected[0], name)
        assert_same_bits(got[1], expected[1], name)


@RANDOM
@given(graphs(), st.data())
def test_passes_change_no_value(graph, data):
    """The optimised program against the recorded one, both by the interpreter."""
    f, plain = graph.compile(), plain_program(graph)
    leaves = leaves_of(f, data, SPECIAL, count=3)
    (value,), (expected,) = f.program.outputs, plain.outputs
    assert_same_bits(interpreter.forward(f.program, leaves)[value], interpreter.forward(plain, leaves)[expected])


# -- against mpmath -----------------------------------------------------------------------------------------


def gradient_errors(program, leaves, got):
    """(what, got, exact, allowed) of outputs and gradient entries that are further off than their conditioning.

    Allowed is what 1e-13 relative error an operation does, which is 450 roundings, plus two roundings of the result.
    """
    outputs, gradient = exact_sweep(program, leaves)
    moved = conditioning(program, leaves, outputs, gradient)
    wrong = []
    for what, exact, far, numbers in zip(("value", "gradient"), (outputs, gradient), moved, got, strict=True):
        for e, d, number in zip(exact, far, numbers, strict=True):
            allowed = d + abs(e) * mpmath.ldexp(1, -51)
            if not abs(mpmath.mpf(number) - e) <= allowed:
                wrong.append((what, number, float(e), float(allowed)))
    return wrong


def ordinary_function(seed):
    graph = record(Seeded(seed), n_ops=4 + seed % 12, n_inputs=3, ops=QUICK, constants=CONSTANTS)
    return graph.compile()


def test_random_graphs_against_mpmath():
    wrong, checked = [], 0
    for seed in range(80):
        f = ordinary_function(seed)
        leaves = np.random.default_rng(seed).normal(scale=1.5, size=3).tolist()
        y, g = f.value_and_grad(*leaves)
        try:
            errors = gradient_errors(f.program, leaves, ([y], list(g)))
        except OutOfRange:
            continue
        checked += 1
        wrong += [(seed, *error) for error in errors]
    assert wrong == []
    assert checked > 40


def test_a_wrong_gradient_is_caught():
    """One gradient entry off by 1e-11 of itself, where the function is well conditioned."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.sin(x) * fg.exp(y) + x / y)
    f = graph.compile()
    value, g = f.value_and_grad(0.7, 1.3)
    assert gradient_errors(f.program, [0.7, 1.3], ([value], list(g))) == []
    assert gradient_errors(f.program, [0.7, 1.3], ([value], [g[0], g[1] * (1 + 1e-11)])) != []
    assert gradient_errors(f.program, [0.7, 1.3], ([value * (1 - 1e-11)], list(g))) != []


# -- against forward mode -----------------------------------------------------------------------------------


@RANDOM
@given(st.integers(0, 2**32 - 1))
def test_adjoint_identity(seed):
    """w . (J v) = (Jᵀ w) . v, with an error of some roundings of the terms' sizes, whatever numbers partials are."""
    graph = record(Seeded(seed), n_ops=5 + seed % 25, n_inputs=3, n_outputs=3)
    program = graph.compile().program
    rng = np.random.default_rng(seed)
    leaves, v, w = (rng.normal(size=n) for n in (program.n_leaves, program.n_leaves, len(program.outputs)))
    _, jv = tangents(program, leaves, v, machine=Rough)
    _, sizes = tangents(program, leaves, np.abs(v), absolute=True, machine=Rough)
    with rough_interpreter():
        values = interpreter.forward(program, leaves)
        adjoints = interpreter.reverse(program, values, list(w))
    scale = sum(abs(a) * s[0] for a, s in zip(w, sizes, strict=True))
    if not (np.isfinite(scale) and scale < 1e280):
        return  # infinite partials, whose order of multiplication matters
    forward = sum(a * t[0] for a, t in zip(w, jv, strict=True))
    reverse = sum(a[0] * t for a, t in zip(adjoints[: program.n_leaves], v, strict=True))
    roundings = 4 * program.n_operations + 8
    assert abs(forward - reverse) <= roundings * (2.0**-53 * scale + 5e-324)


# -- special points, item 4 of the numerical contract -------------------------------------------------------


def gradient_of(record_, *point):
    """The gradient at a point, by every engine: they must agree to the bit."""
    graph = fg.Graph()
    inputs = [graph.input() for _ in point]
    graph.output(record_(*inputs))
    f = graph.compile()
    leaves = np.repeat(np.array(point, np.float64)[:, None], 11, axis=1)
    found = [engine(f.program, leaves)[1] for engine in engines.ENGINES.values()]
    for other in found[1:]:
        assert_same_bits(other, found[0])
    assert (bits(found[0]) == bits(found[0][:, :1])).all()
    return found[0][:, 0].tolist()


SPECIAL_POINTS = [
    (fg.abs, (0.0,), [0.0]),
    (fg.abs, (-0.0,), [0.0]),
    (fg.maximum, (2.0, 2.0), [0.5, 0.5]),
    (fg.minimum, (2.0, 2.0), [0.5, 0.5]),
    (fg.maximum, (NAN, 2.0), [NAN, NAN]),
    (fg.minimum, (1.0, NAN), [NAN, NAN]),
    (fg.fmax, (NAN, 2.0), [0.0, 1.0]),
    (fg.fmin, (1.0, NAN), [1.0, 0.0]),
    (fg.fmax, (2.0, 2.0), [0.5, 0.5]),
    (fg.fmin, (2.0, 2.0), [0.5, 0.5]),
    (fg.sqrt, (0.0,), [INF]),
    (fg.sqrt, (-1.0,), [NAN]),
    (fg.hypot, (0.0, 0.0), [0.0, 0.0]),
    (fg.atan2, (0.0, 0.0), [0.0, 0.0]),
    (fg.atan2, (-0.0, 0.0), [0.0, 0.0]),
    (lambda x: x**3, (0.0,), [0.0]),
    (lambda x: x**3, (-2.0,), [12.0]),
    (lambda x: x**1, (0.0,), [1.0]),
    (lambda x: x**2, (0.0,), [0.0]),
    (lambda x: x**-2, (-2.0,), [0.25]),
    (lambda x: x**0, (0.0,), [0.0]),
    (lambda x: x**0, (NAN,), [0.0]),
    (fg.pow, (0.0, 0.0), [0.0, -INF]),
    (fg.pow, (-3.0, 0.0), [0.0, NAN]),
    (fg.pow, (0.0, 2.0), [0.0, 0.0]),
    (fg.pow, (0.0, 0.5), [INF, 0.0]),
    (fg.pow, (-2.0, 3.0), [12.0, NAN]),
    (fg.floor, (2.0,), [0.0]),
    (fg.ceil, (2.0,), [0.0]),
    (fg.sign, (0.0,), [0.0]),
    (fg.rint, (2.5,), [0.0]),
    (lambda x, y: x < y, (1.0, 1.0), [0.0, 0.0]),
    (lambda x, y: x == y, (1.0, 1.0), [0.0, 0.0]),
    (lambda x, y: x % y, (7.0, 3.0), [1.0, -2.0]),
    (lambda x, y: x % y, (-7.0, 3.0), [1.0, 3.0]),
    (fg.relu, (0.0,), [0.0]),
    # An ordinary 0 * inf stays nan: hiding it would give 0 here, where the derivative is 1.
    (lambda x: x**0.5 * x**0.5, (0.0,), [NAN]),
    (lambda x: fg.sqrt(x) * fg.sqrt(x + 0.0), (0.0,), [NAN]),
    (lambda x: 0.0 * fg.sqrt(x), (0.0,), [NAN]),
]


@pytest.mark.parametrize(("record_", "point", "expected"), SPECIAL_POINTS)
def test_special_points(record_, point, expected):
    assert_same_bits(gradient_of(record_, *point), expected)


def test_floor_of_a_sum_passes_nothing_on():
    """No adjoint reaches what only a flat op reads, even where its partial is inf: not 0 * inf."""
    assert_same_bits(gradient_of(lambda x: fg.floor(fg.sqrt(x)) + x, 0.0), [1.0])
    assert_same_bits(gradient_of(lambda x: x + (fg.log(x) < 3.0), 0.0), [1.0])


# -- where, item 5 ------------------------------------------------------------------------------------------


def shared_by_both(x):
    root = fg.sqrt(x)
    return fg.where(x > 1.0, 2.0 * root, 3.0 * root)


def shared_with_outside(x):
    root = fg.sqrt(x)
    return fg.where(x > 1.0, root, x) + root


def nested(x, y):
    inner = fg.where(y > 0.0, fg.log(y) * fg.sqrt(x), 5.0 * x)
    return fg.where(x > 0.0, inner, y)


def shared_inside_nested(x, y):
    root = fg.sqrt(x)
    return fg.where(y > 0.0, fg.where(x > 0.0, root, 2.0 * x), fg.where(x > 0.0, 3.0 * root, 4.0 * x))


def in_two_wheres(x, y):
    """The root matters where either condition holds."""
    root = fg.sqrt(x)
    return fg.where(x > 0.0, root, 1.0 * x) + fg.where(y > 0.0, 2.0 * x, root * (x > 0.0))


WHERE = [
    (lambda x: fg.where(x > 0.0, fg.sqrt(x), 0.0), (0.0,), [0.0]),
    (lambda x: fg.where(x > 0.0, fg.sqrt(x), 0.0), (4.0,), [0.25]),
    (lambda x: fg.where(x > 0.0, fg.log(x), x), (-1.0,), [1.0]),
    (lambda x: fg.where(x != 0.0, fg.sin(x) / x, 1.0), (0.0,), [0.0]),
    (lambda x: fg.where(x == 0.0, 1.0, fg.sin(x) / x), (0.0,), [0.0]),
    # Negated conditions, one and several times.
    (lambda x: fg.where(~(x > 0.0), 7.0 * x, fg.sqrt(x)), (0.0,), [7.0]),
    (lambda x: fg.where(~~(x > 0.0), fg.sqrt(x), 7.0 * x), (0.0,), [7.0]),
    (lambda x: fg.where(~(x == 0.0), 1.0 / x, 3.0 * x), (0.0,), [3.0]),
    # A node that both branches read, and one that is read outside too.
    (shared_by_both, (0.0,), [INF]),
    (shared_by_both, (4.0,), [0.5]),
    (shared_with_outside, (0.0,), [INF]),
    (shared_with_outside, (4.0,), [0.5]),
    (lambda x: fg.where(x > 1.0, fg.sqrt(x), 2.0 * x) + x, (0.0,), [3.0]),
    # Nested: the inner condition's branches are inf and nan, and so are the outer one's.
    (nested, (0.0, 0.0), [0.0, 1.0]),
    (nested, (0.0, 1.0), [0.0, 1.0]),
    (nested, (2.0, 0.0), [5.0, 0.0]),
    (shared_inside_nested, (0.0, 1.0), [2.0, 0.0]),
    (shared_inside_nested, (0.0, -1.0), [4.0, 0.0]),
    (shared_inside_nested, (4.0, 1.0), [0.25, 0.0]),
    (shared_inside_nested, (4.0, -1.0), [0.75, 0.0]),
    (in_two_wheres, (0.0, 1.0), [3.0, 0.0]),
    # Used in a condition alone: 1 / x there hands nothing back.
    (lambda x: fg.where(1.0 / x > 3.0, x, 2.0 * x), (0.0,), [1.0]),
    (lambda x: fg.where(fg.log(x) > 0.0, x, 2.0 * x), (-1.0,), [2.0]),
    # A NaN condition is not 0, so it takes the first branch.
    (lambda x, c: fg.where(c, 2.0 * x, fg.sqrt(x)), (0.0, NAN), [2.0, 0.0]),
    (lambda x, c: fg.where(c, fg.sqrt(x), 3.0 * x), (0.0, -0.0), [3.0, 0.0]),
    (lambda x, c: fg.where(c, 5.0 * x, fg.sqrt(x)), (0.0, -INF), [5.0, 0.0]),
    (lambda x: fg.where(fg.sqrt(x) > 1.0, fg.sqrt(x), 6.0 * x), (-1.0,), [6.0]),
    # Infinite values in the branch not taken.
    (lambda x: fg.where(x < 1.0, x, fg.exp(x * 1e6)), (0.5,), [1.0]),
    (lambda x: fg.where(x < 1.0, x, fg.exp(x * x * 1e9)), (0.75,), [1.0]),
    (lambda x, y: fg.where(x > 0.0, y / x, y), (0.0, 3.0), [0.0, 1.0]),
    (lambda x, y: fg.where((x > 0.0) & (y > 0.0), fg.log(x) * fg.log(y), x + y), (0.0, 0.0), [1.0, 1.0]),
    (lambda x, y: fg.where((x > 0.0) | (y > 0.0), x + y, fg.log(x) * fg.log(y)), (0.0, 1.0), [1.0, 1.0]),
    (lambda x, y: fg.where((x > 0.0) ^ (y > 0.0), x + y, fg.sqrt(x) * fg.log(y)), (0.0, 1.0), [1.0, 1.0]),
    # A chain under one side: everything on the way is gated, not the first op alone.
    (lambda x: fg.where(x > 0.0, fg.exp(fg.log(fg.sqrt(x) / x) * 3.0), 8.0 * x), (0.0,), [8.0]),
    (lambda x: fg.where(x > 0.0, fg.sqrt(fg.where(x > 1.0, x - 1.0, 0.0 * x)), 2.0 * x), (0.0,), [2.0]),
    # Both branches the same, or a constant condition.
    (lambda x: fg.where(1.0 + 0.0 * x, x, fg.sqrt(x)), (0.0,), [1.0]),
    (lambda x: fg.where(x.graph.constant(0.0), fg.sqrt(x), 4.0 * x), (0.0,), [4.0]),
]


@pytest.mark.parametrize(("record_", "point", "expected"), WHERE)
def test_where_is_safe(record_, point, expected):
    assert_same_bits(gradient_of(record_, *point), expected)


def test_lanes_of_a_tile_take_different_branches():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.where(x > 0.0, fg.sqrt(x), x / (x + 1.0)))
    points = np.array([0.0, 4.0, -0.0, -0.5, 16.0, 1.0, -3.0, NAN, INF, 0.25, 0.0])
    _, g = graph.compile().value_and_grad(points)
    with np.errstate(all="ignore"):
        q = 1.0 / (points + 1.0)
        assert_same_bits(g[[1, 4, 5, 9]], [0.25, 0.125, 0.5, 1.0])
        assert_same_bits(g[[0, 2, 10]], [1.0, 1.0, 1.0])
        assert abs(g[3] - q[3] ** 2) <= 2 * np.spacing(4.0)


@RANDOM
@given(graphs(max_ops=8), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_the_branch_not_taken_contributes_nothing(taken, seed, first, data):
    """where(c, f, g) has the gradient of f where c takes f, whatever g is: for random f and g of the same inputs."""
    f = taken.compile()
    graph, inputs = fg.Graph(), {f"x{k}": None for k in range(3)}
    for name in inputs:
        inputs[name] = graph.input(name)
    branches = [recorded_again(taken, graph, inputs), recorded_again(record(Seeded(seed), 10, 3), graph, inputs)]
    condition = graph.parameter("condition")
    graph.output(fg.where(condition, *(branches if first else branches[::-1])))
    chosen = graph.compile()
    note(chosen.program.disassemble())
    leaves = data.draw(st.lists(SPECIAL, min_size=3, max_size=3))
    y, g = chosen.value_and_grad(*leaves, float(first))
    names = [a.name for a in f.arguments]
    own = leaves[: len(names)]
    expected, gradient = f.value_and_grad(*own, wrt=names)
    assert_same_bits(y, expected)
    assert_same_bits(g[len(names) :], np.zeros(3 - len(names)))
    for k in range(len(names)):
        # The other branch may change the order in which f's contributions are added, and nothing else.
        unit = [float(i == k) for i in range(len(own))]
        _, (size,) = tangents(f.program, own, unit, absolute=True, machine=Rough)
        if size[0] < 1e280:
            roundings = 4 * f.program.n_operations + 8
            assert abs(g[k] - gradient[k]) <= roundings * (2.0**-53 * size[0] + 5e-324)


def recorded_again(graph, into, inputs):
    """Record the output of one graph into another, on that one's inputs of the same names; return its expression."""
    rows, constants, outputs = graph.columns()
    names = [a.name for a in graph.arguments]
    nodes = []
    for code, x, y, z in rows.tolist():
        if code == INPUT:
            nodes.append(inputs[names[x]])
        elif code == CONSTANT:
            nodes.append(into.constant(float(constants[x])))
        else:
            op, row = TABLE[code], (x, y, z)
            n = () if op.immediate is None else (int(np.uint32(row[op.arity]).astype(np.int32)),)
            n = op.given(*n, graph) if op.names else n
            nodes.append(FUNCTIONS[op.name](*(nodes[i] for i in row[: op.arity]), *n))
    return nodes[outputs[0]]
