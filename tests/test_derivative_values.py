"""Derivatives against numbers from elsewhere: mpmath, complex steps, SymPy, JAX; symmetry and products of Hessians."""

import cmath
import math

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived
from fastgraph.ops import OPS
from tests import engines
from tests.bits import assert_same_bits, bits
from tests.mp_sweeps import OutOfRange, conditioning, exact_sweep, exact_values, value_conditioning
from tests.random_graphs import CONSTANTS, EVERY, Seeded, record
from tests.test_gradients import QUICK
from tests.test_tangent import EXTREME, sets_of

NOISE = mpmath.ldexp(1, -590)
ULPS = mpmath.ldexp(1, -51)  # two roundings of the result, beside what conditioning allows
# Ops whose second derivatives mpmath gets in no time: values of the others take it seconds at 600 bits.
SMOOTH = tuple(op for op in QUICK if op.name not in ("lgamma", "digamma", "erfc", "ndtr", "erf"))
SEEDS = [*range(24), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(24, 400))]


def wrong_entries(program, leaves, got, exact):
    """(got, exact, allowed) of outputs of ``program`` further off than 1e-13 an operation accounts for."""
    moved = value_conditioning(program, leaves, exact_values(program, leaves, check=False))
    return [
        (float(number), float(e), float(d + abs(e) * ULPS))
        for number, e, d in zip(np.ravel(got).tolist(), exact, moved, strict=True)
        if not abs(mpmath.mpf(number) - e) <= d + abs(e) * ULPS + NOISE
    ]


def exact_hessian(program, leaves, bits_of_step=100, precision=1200):
    """Row by row, by four values at a tiny step at high precision: from values alone, no rule for a derivative.

    Intermediate results are below 2**400, so that rounding moves an entry by 2**-600 at most.
    """
    n = len(leaves)
    with mpmath.workprec(precision):
        h = mpmath.ldexp(1, -bits_of_step)

        def value(*steps):
            point = [mpmath.mpf(leaf) for leaf in leaves]
            for k, by in steps:
                point[k] += by
            return exact_values(program, point, precision)[0]

        table = [[mpmath.mpf(0)] * n for _ in range(n)]
        for j in range(n):
            for k in range(j + 1):
                at = [value((j, a), (k, b)) * (1 if a == b else -1) for a in (h, -h) for b in (h, -h)]
                table[j][k] = table[k][j] = mpmath.fsum(at) / (4 * h * h)
    return [entry for row in table for entry in row]


def ordinary(seed, ops=SMOOTH, n_ops=None):
    """A function of three inputs without extreme powers, and leaves."""
    for attempt in range(100):
        choices = Seeded([seed, attempt])
        f = record(choices, n_ops or 4 + seed % 9, 3, ops=ops, constants=CONSTANTS).compile()
        powers = f.program.runs["opcode"] == OPS["powi"].code
        if not np.isin(f.program.runs["immediate"][powers], EXTREME).any():
            return f, np.random.default_rng(seed).normal(scale=1.5, size=3).tolist()
    raise AssertionError("no graph without extreme powers")


# -- mpmath -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(4))
def test_first_order_against_mpmath(part):
    """jvp, vjp and jacobian of random graphs, errors scaled by conditioning; the exact gradient is swept in reverse."""
    wrong, checked = [], 0
    for seed in range(100 + part, 160, 4):
        f, leaves = ordinary(seed, ops=QUICK)
        try:
            outputs, gradient = exact_sweep(f.program, leaves)
            far = conditioning(f.program, leaves, outputs, gradient)[1]
        except OutOfRange:
            continue
        checked += 1
        allowed = [d + abs(e) * ULPS for d, e in zip(far, gradient, strict=True)]
        columns = [f.jvp(tuple(leaves), tuple(row))[1] for row in np.eye(3)]
        # A direction of 0 times an infinite partial would be nan, but no partial here is infinite.
        for what, found in {"jvp": columns, "jacobian": f.jacobian(*leaves), "vjp": f.vjp(leaves, 1.0)[1]}.items():
            for number, e, a in zip(found, gradient, allowed, strict=True):
                if not abs(mpmath.mpf(float(number)) - e) <= a:
                    wrong.append((seed, what, float(number), float(e), float(a)))
    assert wrong == []
    assert checked > 4


@pytest.mark.parametrize("seed", SEEDS)
def test_second_order_against_mpmath(seed):
    """Hessians of random graphs; products with vectors are those of the Hessian; symmetric to the last bit."""
    f, leaves = ordinary(seed)
    program = derived.hessian(f.program, np.ones(3, np.bool_))
    got = np.array([[*row] for row in f.hessian(*leaves)])
    assert_same_bits(got, got.T)
    try:
        exact = exact_hessian(f.program, leaves)
    except OutOfRange:
        exact = None
    if exact is None or max(map(abs, exact)) > 1e100 or not np.isfinite(got).all():
        # Nothing finite to compare with; the two ways must still agree on where.
        assert_same_bits(np.ravel(engines.tile(program, np.array([leaves]).T)[0]), got.ravel())
        return
    assert wrong_entries(program, leaves, got, exact) == []
    vector = [0.75, -1.25, 2.0]
    product = f.hvp(tuple(leaves), tuple(vector))
    allowed = value_conditioning(program, leaves, exact_values(program, leaves, check=False))
    for k in range(3):
        row, far = exact[3 * k : 3 * k + 3], allowed[3 * k : 3 * k + 3]
        size = sum(abs(e * v) for e, v in zip(row, vector, strict=True))
        slack = sum(d * abs(v) for d, v in zip(far, vector, strict=True)) + size * mpmath.ldexp(1, -50)
        slack += _of_product(f, leaves, vector)[k] + NOISE
        wanted = sum(e * v for e, v in zip(row, vector, strict=True))
        assert abs(mpmath.mpf(float(product[k])) - wanted) <= slack, (seed, k, float(product[k]), float(wanted))


def _of_product(f, leaves, vector):
    """How far the product moves by 1e-13 an operation, in the reverse sweep over the directional derivative."""
    program = derived.directional(f.program, np.ones(3, np.bool_))
    made = derived.gradient(program, np.array([True] * 3 + [False] * 3))
    inputs = [*leaves, *vector]
    return value_conditioning(made, inputs, exact_values(made, inputs, check=False))


def test_enough_random_graphs_have_finite_hessians():
    found = 0
    for seed in range(40):
        f, leaves = ordinary(seed)
        got = np.array([[*row] for row in f.hessian(*leaves)])
        found += bool(np.isfinite(got).all() and (got != 0.0).any())
    assert found > 15


def test_a_wrong_hessian_is_noticed():
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    graph.output(fg.sin(x) * fg.exp(y) + x / z)
    f, leaves = graph.compile(), [0.7, 1.3, -2.0]
    program = derived.hessian(f.program, np.ones(3, np.bool_))
    exact = exact_hessian(f.program, leaves)
    got = np.array([[*row] for row in f.hessian(*leaves)])
    assert wrong_entries(program, leaves, got, exact) == []
    for at in ((0, 0), (0, 1), (2, 2)):
        wrong = got.copy()
        wrong[at] *= 1 + 1e-11
        assert len(wrong_entries(program, leaves, wrong, exact)) == 1


@pytest.mark.parametrize("op", [op for op in EVERY if any(op.flows)], ids=lambda op: op.name)
def test_hessian_of_every_op(op):
    """Every op alone inside a smooth function, so that its first and second partials meet; against mpmath."""
    rng = np.random.default_rng(op.code)
    for n in [n for n in op.domain.immediates if abs(n) < 50][:3] or [None]:
        for _ in range(2):
            point = [float(rng.uniform(max(low, -3.0), min(high, 3.0))) for low, high in op.domain.intervals]
            graph = fg.Graph()
            inputs = [graph.input() for _ in point]
            value = fg.expr.FUNCTIONS[op.name](*inputs, *([] if n is None else [n]))
            graph.output(value * inputs[0] + fg.square(inputs[-1]))
            f = graph.compile()
            made = derived.hessian(f.program, np.ones(len(point), np.bool_))
            got = engines.one(made, np.array([point]).T)[0].ravel()
            try:
                exact = exact_hessian(f.program, point)
            except OutOfRange:
                continue
            assert wrong_entries(made, point, got, exact) == [], (op.name, n, point)


@pytest.mark.parametrize("seed", range(25))
def test_symmetric_to_the_last_bit(seed):
    """At special values, too; by every engine, and by directions."""
    f, _ = ordinary(seed, ops=QUICK, n_ops=12)
    leaves = sets_of(seed, 40)
    table = np.array([[*row] for row in f.hessian(*leaves)])
    assert (bits(table) == bits(table.transpose(1, 0, 2))).all()
    f._derivatives["hessian", (0, 1, 2)] = None
    by_directions = np.array([[*row] for row in f.hessian(*leaves[:, :5])])
    assert (bits(by_directions) == bits(by_directions.transpose(1, 0, 2))).all()


def test_complex_steps():
    """First derivatives by one value at an imaginary step, which subtracts nothing: 4 ulps."""
    formulas = {
        "tan(x * y) - x**3 / y": lambda m, x, y: m.tan(x * y) - x * x * x / y,
        "exp(-x * x) * cosh(y) + log(x + 4)": lambda m, x, y: m.exp(-x * x) * m.cosh(y) + m.log(x + 4.0),
        "sqrt(x * x + y) * sinh(x)": lambda m, x, y: m.sqrt(x * x + y) * m.sinh(x),
    }
    for name, formula in formulas.items():
        graph = fg.Graph()
        x, y = graph.inputs("x", "y")
        graph.output(formula(fg, x, y), name="value")
        f = graph.compile()
        for point in ((0.5, 1.25), (-0.75, 2.0), (1.5, 0.25)):
            steps = np.eye(2) * 1e-200j
            exact = [formula(cmath, *(p + s for p, s in zip(point, step, strict=True))).imag * 1e200 for step in steps]
            scale = max(map(abs, exact))
            for got in (f.jacobian(*point), f.grad(*point), [f.jvp(point, tuple(e))[1] for e in np.eye(2)]):
                assert np.abs(np.array(got) - exact).max() <= 16 * math.ulp(scale), name


# -- SymPy --------------------------------------------------------------------------------------------------

FORMULAS = [
    lambda m, x, y, z: m.sin(x * y) * m.exp(-z) + x**3 * y,
    lambda m, x, y, z: m.log(x * x + y * y + 1) / (1 + m.exp(z)),
    lambda m, x, y, z: m.sqrt(1 + x * x) * m.atan(y) - m.cos(z) ** 2,
    lambda m, x, y, z: (x * x + 1) ** (y / 2) * m.tanh(z),
    lambda m, x, y, z: m.sinh(x) * m.cosh(y) / (2 + m.tan(z / 3)),
    lambda m, x, y, z: m.asin(x / 4) + m.acos(y / 4) * m.asinh(z) + m.atanh(x * y / 20),
    lambda m, x, y, z: m.erf(x) * m.exp(y * z) - x / (y * y + 2),
    lambda m, x, y, z: x**5 - 4 * x**2 * y**3 * z + z**-3,
]
POINTS = np.random.default_rng(7).uniform(0.3, 1.4, (3, 6)) * np.array([[1.0, -1.0, 1.0, -1.0, 1.0, 1.0]])


def compiled_formula(formula, dtype=np.float64):
    graph = fg.Graph()
    graph.output(formula(fg, *graph.inputs("x", "y", "z")), name="value")
    return graph.compile(dtype=dtype)


def all_derivatives(f, points):
    """Gradient (3, sets) and Hessian (3, 3, sets), and those by products."""
    gradient = np.array([*f.jacobian(*points)])
    hessian = np.array([[*row] for row in f.hessian(*points)])
    columns = np.array([f.jvp(tuple(points), tuple(e))[1] for e in np.eye(3)])
    rows = np.array([[*f.hvp(tuple(points), tuple(e))] for e in np.eye(3)])
    return (gradient, columns), (hessian, rows)


@pytest.mark.parametrize("case", range(len(FORMULAS)))
def test_against_sympy(case):
    """To second order, with errors in units of the largest entry."""
    sympy = pytest.importorskip("sympy")
    symbols = sympy.symbols("x y z", real=True)
    expression = FORMULAS[case](sympy, *symbols)
    gradient = [sympy.diff(expression, s) for s in symbols]
    hessian = sympy.hessian(expression, symbols)
    firsts, seconds = all_derivatives(compiled_formula(FORMULAS[case]), POINTS)
    for j, point in enumerate(POINTS.T):
        values = {s: sympy.Float(float(p), 40) for s, p in zip(symbols, point, strict=True)}
        exact = np.array([float(entry.evalf(30, subs=values)) for entry in gradient])
        for got in firsts:
            assert np.abs(got[:, j] - exact).max() <= 1e-14 * (1 + np.abs(exact).max())
        exact = np.array([[float(sympy.sympify(e).evalf(30, subs=values)) for e in row] for row in hessian.tolist()])
        for got in seconds:
            assert np.abs(got[..., j] - exact).max() <= 1e-14 * (1 + np.abs(exact).max())


# -- JAX ----------------------------------------------------------------------------------------------------


@pytest.mark.long  # XLA compiles for ten seconds
def test_against_jax():
    """In float64, over the formulas and with vmap over the sets."""
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    names = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "atanh": "arctanh"}

    class OfJax:
        erf = staticmethod(jax.scipy.special.erf)

        def __getattr__(self, name):
            return getattr(jnp, names.get(name, name))

    enabled = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:

        def flat(p):
            return jnp.stack([formula(OfJax(), p[0], p[1], p[2]) for formula in FORMULAS])

        both = jax.jit(jax.vmap(lambda p: (jax.jacrev(flat)(p), jax.hessian(flat)(p))))  # compiled once for all
        gradients, hessians = map(np.array, both(jnp.array(POINTS.T)))
    finally:
        jax.config.update("jax_enable_x64", enabled)
    assert gradients.dtype == hessians.dtype == np.float64
    for case, formula in enumerate(FORMULAS):
        firsts, seconds = all_derivatives(compiled_formula(formula), POINTS)
        for exact, found in ((gradients[:, case].T, firsts), (hessians[:, case].transpose(1, 2, 0), seconds)):
            for got in found:
                assert np.abs(got - exact).max() <= 2e-14 * (1 + np.abs(exact).max()), case


def test_float32_is_float64_rounded():
    """Derivatives in float32 are those in float64 up to some of its roundings, on well conditioned formulas."""
    points = POINTS.astype(np.float32).astype(np.float64)
    for formula in FORMULAS:
        wide, single = (all_derivatives(compiled_formula(formula, dtype), points) for dtype in (np.float64, np.float32))
        for exact, got in zip((*wide[0], *wide[1]), (*single[0], *single[1]), strict=True):
            assert got.dtype == np.float32
            assert np.abs(got - exact).max() <= 40 * 2.0**-24 * (1 + np.abs(exact).max())
