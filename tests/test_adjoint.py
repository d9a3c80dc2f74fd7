"""Adjoint: its programs against the interpreter's reverse sweep and exact numbers; long chains; choices."""

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived, interpreter
from fastgraph.assembly import optimised
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.jit import adaptive
from fastgraph.ops import OPS, TABLE
from fastgraph.passes import Columns, prune
from fastgraph.passes import adjoint as adjoint_module
from fastgraph.passes.adjoint import adjoint
from fastgraph.program import DTYPES, assemble
from tests import engines
from tests.adaptive_passes import arrays_of, made_both_ways
from tests.bits import assert_same_bits, bits
from tests.mp_sweeps import OutOfRange, RecordedRules, conditioning, exact_sweep, exact_values
from tests.test_gradients import ordinary_function
from tests.test_tangent import QUICK, program_of, sets_of
from tests.wrong_rules import WRONG, rule_of

WHOLE = tuple(OPS[name] for name in (
    "add", "sub", "mul", "neg", "abs", "square", "fma", "maximum", "minimum", "fmax", "fmin", "where", "lt", "ge", "eq",
    "sign", "floor", "logical_and", "logical_not", "copysign",
))  # fmt: skip
TWO_FORMS = ("hypot", "atan2", "direction")  # which ask the algebra whether it is differentiated again
DYADIC = (0.5, 2.0, 3.0, -1.5, 7.0, 1.0, 0.0)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 400))]


def unsigned(array):
    """-0 as 0: the interpreter adds contributions to a 0, the passes to nothing."""
    return np.asarray(array) + np.asarray(array).dtype.type(0)


def reversed_by_interpreter(program, leaves, cotangents=None):
    values = interpreter.forward(program, leaves)
    weights = [1.0] * len(program.outputs) if cotangents is None else cotangents
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "NumPyMachine", RecordedRules)
        adjoints = interpreter.reverse(program, values, weights)[: program.n_leaves]
    return np.array([np.broadcast_to(a, leaves.shape[1:]) for a in adjoints])


@EVERY_DTYPE
@pytest.mark.parametrize("seed", SEEDS)
def test_programs_have_the_bits_of_the_reverse_sweep(seed, dtype):
    """Not an ulp apart, infinities and NaN included: contributions are the same and are added in the same order."""
    program = program_of(seed, dtype=dtype)
    leaves = sets_of(seed, 24, dtype)
    made = derived.gradient(program, np.ones(3, np.bool_))
    expected = unsigned(reversed_by_interpreter(program, leaves))
    assert_same_bits(unsigned(engines.tile(made, leaves)[0]), expected, f"seed {seed}")
    if dtype == np.float64:
        assert_same_bits(unsigned(engines.one(made, leaves)[0]), expected, f"seed {seed}, one by one")


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(8))
def test_programs_have_the_bits_of_the_kernels(seed, dtype):
    """Of ops whose rules have one form, recorded or not: the gradient of a call, and a program that is one."""
    ops = tuple(op for op in QUICK if op.name not in TWO_FORMS)
    program, leaves = program_of(seed, ops=ops, dtype=dtype), sets_of(seed, 24, dtype)
    made = derived.gradient(program, np.ones(3, np.bool_))
    assert_same_bits(unsigned(engines.tile(made, leaves)[0]), unsigned(engines.tile(program, leaves)[1]))


@pytest.mark.parametrize("seed", range(12))
def test_weights(seed):
    """Adjoints of the outputs that are leaves of their own, as cotangents of a vjp."""
    program = program_of(seed)
    leaves, weights = sets_of(seed, 20), sets_of(seed + 500, 20)[:2]
    columns = derived.columns_of(program)
    seeds = np.zeros((2, 4), np.uint32)
    seeds[:, 0], seeds[:, 1] = INPUT, (3, 4)
    # Operands must come first: the seeds stand in front, and everything moves by two.
    rows = np.concatenate([columns.rows[:3], seeds, columns.rows[3:]])
    derived.shift_operands(rows[5:], 3, 2, len(columns.constants), 0)
    moved = columns.change(rows, outputs=np.where(columns.outputs < 3, columns.outputs, columns.outputs + 2))
    made = optimised(adjoint(moved, np.arange(3), weights=np.array([3, 4])), 5)
    got = engines.tile(made, np.concatenate([leaves, weights]))[0]
    assert_same_bits(unsigned(got), unsigned(reversed_by_interpreter(program, leaves, list(weights))))


def is_exact(program, leaves):
    """The sets on which all values are multiples of 2**-10 below 2**26, of which no sum or product rounds."""
    values = np.array(interpreter.forward(program, leaves))[program.first_operation :]  # rules have a constant NaN
    with np.errstate(all="ignore"):
        return ((np.abs(values) < 2.0**26) & (values * 2.0**10 == np.rint(values * 2.0**10))).all(0)


@pytest.mark.parametrize("seed", range(30))
def test_exact_on_whole_numbers(seed):
    """Where every sum and product is exact the adjoints of the two sweeps are the same numbers, whatever the order."""
    program = program_of(seed, n_ops=12, ops=WHOLE, constants=DYADIC)
    leaves = np.random.default_rng(seed).integers(-3, 4, (3, 40)).astype(np.float64)
    columns = derived.columns_of(program)
    order = np.arange(3)[::-1]
    made = optimised(adjoint(columns, order), 3)
    exact = is_exact(program, leaves) & is_exact(made, leaves)
    expected = reversed_by_interpreter(program, leaves)[order]
    assert_same_bits(unsigned(engines.tile(made, leaves)[0])[:, exact], unsigned(expected)[:, exact])


def test_whole_numbers_were_checked():
    """A good share of the points of the test above are exact ones; squares of squares are not."""
    found = []
    for seed in range(30):
        program = program_of(seed, n_ops=12, ops=WHOLE, constants=DYADIC)
        leaves = np.random.default_rng(seed).integers(-3, 4, (3, 40)).astype(np.float64)
        found.append(is_exact(derived.gradient(program, np.ones(3, np.bool_)), leaves).mean())
    assert np.mean(found) > 0.3


def exactly_wrong(program, leaves, made):
    """Adjoints of ``made``, swept by mpmath, that are not those of the reverse sweep of mpmath."""
    outputs, gradient = exact_sweep(program, leaves)
    allowed = conditioning(program, leaves, outputs, gradient, size=1e-75)[1]  # 300 bits are 1e-90
    found = exact_values(made, leaves)
    return [
        (float(got), float(exact))
        for got, exact, moved in zip(found, gradient, allowed, strict=True)
        if not abs(got - exact) <= moved + abs(exact) * mpmath.mpf(10) ** -75
    ]


def test_equal_in_exact_arithmetic():
    """Over the whole table, at 300 bits; without folding, which rounds what it computes of constants."""
    wrong, checked = [], 0
    for seed in range(80):
        program = ordinary_function(seed).program
        leaves = np.random.default_rng(seed).normal(scale=1.5, size=3).tolist()
        try:
            made = assemble(prune(adjoint(derived.columns_of(program), np.arange(3))), 3)
            wrong += exactly_wrong(program, leaves, made)
        except OutOfRange:
            continue
        checked += 1
    assert wrong == []
    assert checked > 30


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_noticed(monkeypatch, name):
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(WRONG[name][0](x, y))
    program, leaves = graph.compile().program, np.array([[0.5, 1.5], [0.25, 2.0]])
    both = np.ones(2, np.bool_)
    expected = reversed_by_interpreter(program, leaves)
    assert_same_bits(engines.tile(derived.gradient(program, both), leaves)[0], expected)
    with rule_of(monkeypatch, name, WRONG[name][1]):
        made = derived.gradient(program, both)
    assert (bits(engines.tile(made, leaves)[0]) != bits(expected)).any()
    assert any(exactly_wrong(program, column.tolist(), made) for column in leaves.T)


def test_columns_keep_the_form():
    """The rows that were there come first and as they were; operands before results."""
    for seed in range(12):
        columns = derived.columns_of(program_of(seed))
        made = adjoint(columns, np.arange(3))
        assert np.array_equal(made.rows[: len(columns)], columns.rows)
        operations = np.flatnonzero(made.rows[:, 0] < len(TABLE))
        for k in range(3):
            has = operations[np.array([TABLE[c].arity for c in made.rows[operations, 0]]) > k]
            assert (made.rows[has, 1 + k] < has).all()
        constants = made.rows[made.rows[:, 0] == CONSTANT, 1]
        assert sorted(constants.tolist()) == list(range(len(made.constants)))
        assemble(made, 3)  # verifies


def test_adjoints_of_inner_nodes():
    """By the node of a product: what its users hand to it, and nothing through it."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    product = x * y
    graph.output(fg.sin(product) + 3.0 * product + y)
    columns = derived.columns_of(graph.compile().program)
    node = int(np.flatnonzero(columns.rows[:, 0] == OPS["mul"].code)[0])
    made = optimised(adjoint(columns, np.array([node])), 2)
    points = np.array([[0.5, 2.0], [0.25, -1.0]])
    got = engines.tile(made, points)[0]
    sine = np.array([graph.compile().grad(*point)[0] / point[1] for point in points.T])
    assert (np.abs(got[0] - sine) <= 4 * np.spacing(np.abs(sine))).all()


def test_zero_where_no_adjoint_arrives():
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    graph.output([fg.floor(fg.sqrt(y)) * x, fg.where(y > 0.0, 1.0, 2.0), graph.constant(3.0)])
    made = derived.gradient(graph.compile().program, np.ones(3, np.bool_))
    leaves = np.array([[2.0, 1.0], [5.0, -1.0], [np.inf, np.nan]])
    assert_same_bits(engines.tile(made, leaves)[0], [[2.0, np.nan], [0.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("seed", range(12))
def test_python_and_machine_code_make_the_same_program(monkeypatch, seed):
    program = program_of(seed, n_ops=40)
    wanted = np.array([True, seed % 2 == 0, True])

    def second_order():
        made = derived.hessian(program, wanted)
        return made if made is None else arrays_of(made)

    for make in (lambda: arrays_of(derived.gradient(program, wanted)), second_order):
        first, second = made_both_ways(monkeypatch, make)
        assert first is not None and first == second


def test_the_pass_runs_both_ways():
    assert sum(isinstance(value, adaptive) for value in vars(adjoint_module).values()) == 2


@pytest.mark.parametrize("n", [50_000, pytest.param(500_000, marks=pytest.mark.long)])
def test_a_long_chain(n):
    """Without recursion, in seconds."""
    rows = np.zeros((2 * n + 2, 4), np.uint32)
    rows[:2, 0], rows[:2, 1] = INPUT, (0, 1)
    rows[2::2, 0], rows[3::2, 0] = OPS["mul"].code, OPS["sin"].code
    rows[2::2, 1], rows[2::2, 2] = np.arange(1, 2 * n + 1, 2), 0
    rows[3::2, 1] = np.arange(2, 2 * n + 2, 2)
    program = assemble(Columns(rows, np.empty(0), np.array([2 * n + 1])), 2)
    made = derived.gradient(program, np.ones(2, np.bool_))
    leaves = np.array([[1.0, 0.5], [0.5, -0.25]])
    assert made.n_operations > 5.8 * n
    assert_same_bits(unsigned(engines.tile(made, leaves)[0]), unsigned(engines.tile(program, leaves)[1]))


# -- choices, first and second order ------------------------------------------------------------------------

BAD = {
    "inf slope": lambda x: fg.sqrt(x),
    "nan value": lambda x: fg.sqrt(x - 1.0),
    "inf value": lambda x: 1.0 / x,
    "nan slope": lambda x: x**0.5 * x**0.5,
    "nan in between": lambda x: fg.exp(fg.log(-fg.square(x)) * fg.sqrt(x)),
    "overflow": lambda x: fg.exp(1e5 / (x + 1.0)) * x,
}
CHOICES = [
    (lambda x, f: fg.where(x > 0.0, f(x), 3.0 * fg.square(x) + x), (1.0, 6.0)),
    (lambda x, f: fg.where(x <= 0.0, 3.0 * fg.square(x) + x, f(x)), (1.0, 6.0)),
    (lambda x, f: fg.where(x > 0.0, f(x), 1.0) + fg.square(x), (0.0, 2.0)),
    (lambda x, f: fg.where(x > 0.0, f(x) * f(x), fg.sin(x)), (1.0, 0.0)),
    (lambda x, f: fg.where(x > 0.0, fg.where(x > 1.0, f(x), x), fg.where(x < 0.0, f(x), fg.exp(x))), (1.0, 1.0)),
    (lambda x, f: fg.square(fg.where(x > 0.0, fg.sin(f(x)) * 2.0, 3.0 * x)), (0.0, 18.0)),
    (lambda x, f: fg.where(x > 0.0, f(x), x) * fg.where(x < 0.0, f(x), fg.cos(x)), (1.0, 0.0)),
    (lambda x, f: fg.where(f(x) > 7.0, x, x) + fg.square(x), (1.0, 2.0)),
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("case", range(len(CHOICES)))
def test_the_branch_not_taken_contributes_nothing(bad, case):
    """At x = 0, where the other branch is inf or nan, to first order and to second, by every method."""
    record_, (slope, curvature) = CHOICES[case]
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(record_(x, BAD[bad]))
    f = graph.compile()
    for n in (None, 1, 9):
        point, like = (0.0, np.float64(0.0)) if n is None else (np.zeros(n), np.zeros(n))
        for got in (
            f.grad(point), f.jacobian(point), f.vjp((point,), 1.0)[1], f.jvp((point,), 1.0)[1],
        ):  # fmt: skip
            assert_same_bits(unsigned(got), like + slope, bad)
        for got in (f.hessian(point), f.hvp((point,), 1.0), f.hessian(point, weights=1.0)):
            assert_same_bits(unsigned(got), like + curvature, bad)
        assert curvature == 0.0 or np.isnan(f.hvp((point,), np.nan)).all()


@pytest.mark.parametrize("bad", BAD)
def test_the_bad_branches_are_bad(bad):
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(BAD[bad](x))
    f = graph.compile()
    assert not np.isfinite(f.grad(0.0)) and not np.isfinite(f.hessian(0.0))


def test_lanes_take_different_branches():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.where(x > 0.0, fg.sqrt(x), fg.square(x)))
    f = graph.compile()
    points = np.array([0.0, 4.0, -0.0, -0.5, 16.0, 1.0, -3.0, 0.25, 0.0] * 9)
    second = f.hessian(points)
    assert_same_bits(second[points <= 0.0], np.full((points <= 0.0).sum(), 2.0))
    roots = points[points > 0.0]
    assert_same_bits(second[points > 0.0], -0.25 / (roots * np.sqrt(roots)))
    assert_same_bits(f.hvp((points,), 1.0), second)


assert set(WHOLE) <= set(QUICK)
