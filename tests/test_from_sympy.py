"""SymPy's expressions as Functions: values and derivatives beside SymPy's, shapes, refusals, equations of motion."""

import math
import random
import sys
from fractions import Fraction

import numpy as np
import pytest
from numba import njit

import fastgraph as fg
from bench.pendulum_rows import Pendulum
from fastgraph.importers.sharing import WIDEST, share
from fastgraph.importers.sympy_heads import HEADS

sp = pytest.importorskip("sympy")
cfunctions = pytest.importorskip("sympy.codegen.cfunctions")
numpy_nodes = pytest.importorskip("sympy.codegen.numpy_nodes")

x, y, z = X = sp.symbols("x y z", real=True)
c = sp.Symbol("c")
i, j = sp.symbols("i j", integer=True)
POINT = {x: 0.7, y: 1.3, z: -2.1, c: 0.25}
WRITTEN = {"neg", "div", "reciprocal", "sqrt", "powi", "pow", "digamma"}  # of HEADS, what other heads are written in
# SymPy's functions for code, and arguments; versions before 1.13 have fewer.
CODEGEN = {
    **dict.fromkeys(("expm1", "log1p", "exp2", "log2", "log10", "Sqrt", "Cbrt", "isnan"), (y,)), "isinf": (c,),
    "fma": X, "hypot": (x, z), "logaddexp": (x, y), "logaddexp2": (x, z), "maximum": X, "minimum": X,
}  # fmt: skip

# Smooth at the point, so that sympy.diff has the derivative.
SMOOTH = [
    sp.sin(x) * sp.cos(y) + sp.tan(z), sp.asin(x) + sp.acos(x / 2) * sp.atan(z), sp.atan2(x, y) * sp.atan2(z, x),
    sp.sinh(x) + sp.cosh(y) * sp.tanh(z), sp.asinh(z) + sp.acosh(y) * sp.atanh(x), sp.sec(x) * sp.csc(y) + sp.cot(z),
    sp.acot(x) + sp.asec(y) * sp.acsc(y), sp.sech(x) + sp.csch(y) * sp.coth(z), sp.acoth(y) + sp.asech(x) * sp.acsch(z),
    sp.exp(x * z) + sp.log(x + y), 2**y + 2 ** (-x) + y**x + sp.Rational(3, 7) ** x, sp.sinc(z) + sp.sinc(x * y),
    x**-2 + 1 / x + y ** sp.Rational(-1, 2) * x + x ** sp.Rational(3, 2) + x ** sp.Rational(1, 3) + z**7,
    (x - y) / (y - x + z) + (x - y) ** 2 - 1 / (x - y), x / 3 - y * z / 7 + sp.Rational(2, 3) * x * y, -x - y, -(x * y),
    x / y / z / (x + y), x * y / (3 * z**2 * sp.sqrt(x)), sp.sqrt(2) * x - sp.pi * y + sp.E * z, sp.Abs(z) * y,
    sp.erf(x) - sp.erfc(z), sp.erf2(x, y) * z, sp.loggamma(x) * sp.loggamma(y), sp.factorial(x + 1) * y,
    sp.digamma(x) * sp.polygamma(2, y) + sp.polygamma(1, z), sp.gamma(y) + sp.gamma(z) - sp.gamma(x - 4),
    sp.Max(x, y, z, 1) - sp.Min(x, 2, z) * x, sp.Piecewise((x * y, y > 0)),
    sp.Piecewise((x**2, x < 0), (sp.sqrt(x) * y, (x >= 0) & (x < 2)), (y, True)),
    sp.Sum(x**i / sp.factorial(i), (i, 0, 10)), sp.Product(x + i * y, (i, 1, 4)),
    sp.Sum(i * j * x, (i, 0, j), (j, 1, 3)), sp.Sum(x * i, (i, 5, 2)), sp.Product(x + i, (i, 4, 1)),
    sp.Sum(x**i, (i, 2, 1)), sp.Sum(sp.Sum(x * i, (i, 1, 3)) + y * i, (i, 1, 2)), sp.UnevaluatedExpr(x + y) * 2,
    sp.zeta(3) * x + sp.besselj(0, 2), sp.EulerGamma * x + sp.GoldenRatio * y,
    x * y * z + x * y - y * z, sp.Integer(10) ** 30 * x / sp.Integer(3) ** 70,
]  # fmt: skip
OTHERS = [
    sp.floor(z) + sp.ceiling(y) * sp.floor(-x), sp.Heaviside(x) + sp.Heaviside(z, 1), sp.Heaviside(y - 1.3, 0.25),
    sp.And(x > 0, y >= 1, z < 0), sp.Or(x > 1, sp.Not(y <= 1)), sp.Xor(x > 0, y > 0), sp.Implies(x > 0, z > 0),
    sp.Equivalent(x > 0, y > 0, z < 0), sp.Eq(x, y), sp.Ne(x, y), sp.ITE(x > y, x > 1, y > 1), sp.true, sp.false,
    sp.Nand(x > 0, z > 0, evaluate=False), sp.Nor(x > 1, z > 0, evaluate=False), sp.re(c) + sp.conjugate(c) ** 2,
    sp.sign(z) * sp.sign(y), sp.Le(z, y), sp.Not(x > y, evaluate=False), sp.S(3), sp.Rational(-1, 3), -sp.oo,
    sp.Mod(z, y) * x + sp.frac(y) * x, sp.KroneckerDelta(c, 2), sp.Eq(x, x, evaluate=False),
    *(getattr(module, name)(*arguments) for name, arguments in CODEGEN.items()
      for module in (cfunctions, numpy_nodes) if hasattr(module, name)),
]  # fmt: skip
BY_NUMPY = {
    "isnan": lambda x: 0.0, "isinf": lambda x: 0.0, "fma": lambda x, y, z: x * y + z, "Cbrt": np.cbrt, "Sqrt": np.sqrt,
    "maximum": lambda *v: max(v), "minimum": lambda *v: min(v),
}  # fmt: skip


def exact(expression):
    """The value at the point, by SymPy with 30 digits."""
    head = type(expression).__name__
    if head in CODEGEN:
        values = [POINT[symbol] for symbol in expression.args]
        return float(BY_NUMPY.get(head, getattr(np, head, None))(*values))
    point = {symbol: sp.Rational(value) for symbol, value in POINT.items()}
    value = sp.sympify(expression).doit().subs(point)
    value = value.rewrite(sp.erf) if value.has(sp.erf2) else value
    return float(bool(value)) if value in (sp.true, sp.false) else float(sp.N(value, 30))


@pytest.mark.parametrize("expression", SMOOTH + OTHERS, ids=lambda e: str(e)[:40])
def test_value(expression):
    f = fg.from_sympy(expression, [*X, c])
    # Some tens of operations, each within 1 to 4 ulp; gamma by lgamma.
    np.testing.assert_allclose(
        f(*POINT.values()), exact(expression), rtol=1e-13 if "gamma" in str(expression) else 1e-14
    )


@pytest.mark.parametrize("expression", SMOOTH, ids=lambda e: str(e)[:40])
def test_derivative_is_sympys(expression):
    f = fg.from_sympy(expression, X, [c])
    gradient = f.grad(*POINT.values(), wrt=["x", "y", "z"])
    expected = [exact(sp.diff(sp.sympify(expression).doit(), symbol)) for symbol in X]
    np.testing.assert_allclose(np.array(gradient), expected, rtol=2e-13, atol=1e-14)


def test_every_head_is_tested():
    tested = {type(part).__name__ for e in SMOOTH + OTHERS for part in sp.preorder_traversal(e)}
    newer = {name for name in CODEGEN if not hasattr(cfunctions, name) and not hasattr(numpy_nodes, name)}
    assert not HEADS.keys() - WRITTEN - tested - newer


# -- numbers ---------------------------------------------------------------------------------------------------------
def constant(expression):
    return float(fg.from_sympy(expression, [x])(0.0))


@pytest.mark.parametrize(
    "number",
    [Fraction(1, 3), Fraction(-22, 7), Fraction(10**40 + 1, 10**40), Fraction(2**53 + 1), Fraction(1, 10**310),
     Fraction(10**400, 3 * 10**399)],
)  # fmt: skip
def test_rational_numbers_are_rounded_once(number):
    assert constant(sp.Rational(number.numerator, number.denominator)) == float(number)


def test_numbers():
    assert constant(sp.pi) == math.pi and constant(sp.E) == math.e
    assert constant(sp.EulerGamma) == 0.5772156649015329 and constant(sp.Catalan) == 0.915965594177219
    assert constant(sp.oo) == math.inf and constant(-sp.oo) == -math.inf and math.isnan(constant(sp.nan))
    assert constant(sp.Integer(10) ** 400) == math.inf and constant(-(sp.Integer(10) ** 400)) == -math.inf
    assert constant(sp.Float("0.1", 60)) == 0.1 and constant(sp.CRootOf(sp.Symbol("r") ** 5 - 2, 0)) == 2.0**0.2
    assert constant(2.5) == 2.5 and constant(np.float32(0.5)) == 0.5
    assert fg.from_sympy(x / 3, [x])(1.0) == 1.0 / 3.0 and fg.from_sympy(-x / 49, [x])(1.0) == -1.0 / 49.0


def test_integral_powers_are_the_op_with_an_immediate():
    f = fg.from_sympy(x**5.0 + y**-3, [x, y])
    assert f.program.disassemble().count("= powi") == 2 and f(-2.0, -1.0) == -33.0


def test_a_branch_not_taken_has_no_slope():
    f = fg.from_sympy(sp.Piecewise((sp.sqrt(x), x > 0), (0, True)), [x])
    assert f.grad([-1.0, 0.0, 4.0]).tolist() == [0.0, 0.0, 0.25]


def test_gamma_has_its_poles_and_signs():
    f = fg.from_sympy(sp.gamma(x), [x])
    at = np.array([5.0, 0.5, -0.5, -1.5, 0.0, math.inf, 171.0])
    expected = [24.0, math.sqrt(math.pi), -2.0 * math.sqrt(math.pi), 4.0 / 3.0 * math.sqrt(math.pi), math.inf, math.inf]
    np.testing.assert_allclose(f(at), [*expected, math.gamma(171.0)], rtol=2e-13)
    assert np.isnan(f([-1.0, -2.0, math.nan])).all()


# -- arguments and outputs -------------------------------------------------------------------------------------------
def test_shapes_of_outputs():
    matrix = sp.Matrix([[x, y, 1], [0, x * y, z]])
    outputs = (
        x,
        [x, y],
        [[x, 1.5], [y, z]],
        matrix,
        sp.SparseMatrix(matrix),
        sp.Matrix(X),
        sp.Array([[[x, y]]]),
        x > y,
    )
    f = fg.from_sympy(outputs, X)
    got = f(2.0, 3.0, 4.0)
    assert [np.shape(v) for v in got] == [(), (2,), (2, 2), (2, 3), (2, 3), (3, 1), (1, 1, 2), ()]
    assert got[3].tolist() == got[4].tolist() == [[2.0, 3.0, 1.0], [0.0, 6.0, 4.0]]
    assert got[2].tolist() == [[2.0, 1.5], [3.0, 4.0]] and got[7] == 0.0
    assert fg.from_sympy({"a": x, "b": matrix}, X)(2.0, 3.0, 4.0)._fields == ("a", "b")
    assert fg.from_sympy(np.array([x, y]), X)(2.0, 3.0, 4.0).tolist() == [2.0, 3.0]
    assert fg.from_sympy(sp.ImmutableMatrix([x]), x)(2.0).tolist() == [[2.0]]


def test_arrays_as_arguments():
    A, b = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("b", 2, 1)
    f = fg.from_sympy((A * b + b, A[0, 1] * x, (b.T * b).as_explicit()), [A, b, [x, y], sp.Matrix([[z]])])
    assert repr(f) == "<Function: (A[2, 2], b[2, 1], x2[2], x3[1, 1]) -> (y0[2, 1], y1, y2[1, 1]), 12 operations>"
    got = f([[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]], [7.0, 0.0], [[0.0]])
    assert got.y0.tolist() == [[22.0], [45.0]] and got.y1 == 14.0 and got.y2 == 61.0


def test_names_of_arguments():
    t = sp.Symbol("t")
    q = sp.Function("q")(t)
    own = [sp.Symbol(name) for name in ("lambda", r"\phi", "axis", "_a")]
    symbols = [q, q.diff(t), q.diff(t, 2), *own, sp.Indexed("u", 0), sp.Dummy("d"), sp.Dummy("d")]
    f = fg.from_sympy(sum(k * s for k, s in enumerate(symbols)), symbols)
    names = ["q", "dq_dt", "d2q_dt2", "lambda_", "x4", "axis_", "x6", "u_0", "d", "x9"]
    assert [a.name for a in f.arguments] == names
    assert f(*(10.0**k for k in range(10))) == sum(k * 10.0**k for k in range(10))
    g = fg.from_sympy(x * y, {"a": x}, {"b": y})
    assert [(a.name, a.differentiable) for a in g.arguments] == [("a", True), ("b", False)]
    assert [a.name for a in fg.from_sympy(x, x, parameters=y).arguments] == ["x", "y"]


def test_into_a_graph_there_is():
    f = fg.from_sympy(sp.sin(x) * y, X[:2])
    graph = fg.Graph()
    v = graph.input("v", shape=3)
    graph.output(fg.sum(f(v, 2.0)))
    np.testing.assert_allclose(graph.compile()([0.1, 0.2, 0.3]), 2.0 * np.sin([0.1, 0.2, 0.3]).sum(), rtol=1e-15)


def test_options():
    f = fg.from_sympy(x, x, name="identity", dtype=np.float32)
    assert f.name == "identity" and f.dtype == np.float32


# -- refusals --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expression", "what", "where"),
    [
        (sp.sin(y) + 2 * sp.besselj(0, x), "besselj", "2*besselj(0, x)\n    in sin(y) + 2*besselj(0, x)"),
        (sp.exp(sp.LambertW(x)), "LambertW", "in exp(LambertW(x))"),
        (sp.Integral(sp.sin(x) / x, (x, 0, y)), "Integral.*doit", "Integral(sin(x)/x, (x, 0, y))"),
        (1 + sp.I * x, "ImaginaryUnit.*real", "in I*x"),
        (sp.im(c), "im cannot.*real", "im(c)"),
        (sp.zoo + x, "ComplexInfinity.*divided by 0", "zoo"),
        (sp.Function("h")(x) * 2, "h(x) is not among variables", "in 2*h(x)"),
        (sp.Derivative(sp.Function("h")(x), x), "Derivative is not among.*doit", "Derivative(h(x), x)"),
        (sp.diff(sp.Abs(c), c), "Derivative.*real symbols", "Derivative(re(c), c)"),
        (sp.Symbol("x") + 1, "not the x among.*assumed", "in x + 1"),
        (sp.Symbol("w") * x, "w is not among variables and parameters: they are x, y, z", "in w*x"),
        (sp.Sum(x**i, (i, 0, sp.oo)), "Sum must have integer limits", "Sum(x**i, (i, 0, oo))"),
        (sp.Product(x**i, (i, 0, y)), "Product must have integer limits.*not 0 and y", "(i, 0, y)"),
        (sp.Sum(x**i, (i, 1, 10**7)), "10,000,000 terms", "Sum"),
        (sp.polygamma(200, x), "orders from 0 to 127, not for 200", "polygamma(200, x)"),
        (sp.polygamma(y, x), "integer orders", "polygamma(y, x)"),
        (sp.DiracDelta(x), "DiracDelta", "DiracDelta(x)"),
        (sp.Order(x), "removeO", "O(x)"),
        (sp.Contains(x, sp.Interval(0, 1)), "as_relational", "Contains"),
        (sp.beta(x, y), "rewrite(gamma)", "beta(x, y)"),
        (sp.Indexed("u", 0), "u[0] is not among", "u[0]"),
    ],
    ids=lambda v: str(v)[:30],
)  # fmt: skip
def test_what_has_no_op_is_named_with_its_place(expression, what, where):
    with pytest.raises(fg.ExprError) as error:
        fg.from_sympy(expression, X)
    assert all(part in str(error.value) for part in [*what.split(".*"), where])


def test_places_of_long_expressions_are_short():
    long = sp.Add(*(sp.sin(x + k) for k in range(1000)), sp.besselj(0, x))
    with pytest.raises(fg.ExprError) as error:
        fg.from_sympy(sp.cos(long), X)
    assert len(str(error.value)) < 300 and "in Add of 1001 operands" in str(error.value)


class Mine(sp.Function):
    """A function that is nobody's but ours."""


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (("x + 1", X), fg.ExprError, "fg.parse reads text"),
        ((1j, X), fg.ExprError, "complex"),
        ((Mine(x), X), fg.ExprError, "Mine is not SymPy's own"),
        (([], X), fg.GraphError, "empty"),
        (([x, [y]], X), fg.ShapeError, r"shapes \(\), \(1,\) is no array: give a tuple"),
        ((sp.MatrixSymbol("A", y, 2), X), fg.ShapeError, "no numbers"),
        ((x, [x, x]), fg.ArgumentError, "x is given twice"),
        ((x, [x], [x]), fg.ArgumentError, "x is given twice"),
        ((x, [x + 1]), fg.ArgumentError, r"not x \+ 1 of type Add"),
        ((x, [[x, "y"]]), fg.ArgumentError, "of type str"),
        ((x, sp.Matrix([x])), fg.ArgumentError, r"write list\(matrix\)"),
        ((x, {x}), fg.ArgumentError, r"a list of symbols, or a mapping of names to them, not \{x\} of type set"),
        ((x, "x"), fg.ArgumentError, "a list of symbols"),
        ((x, [x], "y"), fg.ArgumentError, "parameters is a list of symbols"),
        ((x, {"1a": x}), fg.GraphError, "identifier"),
        ((x, {"a": x, "b": x}), fg.ArgumentError, "x is given twice"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        fg.from_sympy(*arguments)


def test_without_sympy_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgraph\[sympy\]'"):
        fg.from_sympy(1.0, [])


# -- size ------------------------------------------------------------------------------------------------------------
def nested(depth):
    e = x
    for k in range(depth):
        e = sp.sin(e, evaluate=False) if k % 2 else sp.Add(e, y, evaluate=False)
    return e


def check_depth(depth):
    f = fg.from_sympy(nested(depth), [x, y])
    value = 0.1
    for k in range(depth):
        value = np.sin(value) if k % 2 else value + 0.2
    assert f.program.n_operations == depth
    np.testing.assert_allclose(f(0.1, 0.2), value, rtol=1e-14)  # each step forgets nearly all errors before


def test_depth_is_no_limit():
    check_depth(10_000)


@pytest.mark.long
def test_greater_depth_is_no_limit():
    check_depth(100_000)


def test_what_is_used_twice_is_recorded_once():
    e = x
    for _ in range(200):  # written out, it would have 2**200 terms
        e = sp.Mul(sp.sin(e, evaluate=False), sp.atan(e, evaluate=False), evaluate=False)
    assert fg.from_sympy(e, [x]).program.n_operations == 600


# -- sharing ---------------------------------------------------------------------------------------------------------
def random_groups(seed, is_sum):
    rng = random.Random(seed)
    return {
        100 + g: [(i, is_sum and rng.random() < 0.5) for i in rng.sample(range(12), rng.randint(2, 7))]
        for g in range(30)
    }


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("is_sum", [True, False])
def test_shared_pairs_make_the_same_sums(seed, is_sum):
    """Integers stand for operands, so sums and products are exact."""
    groups = random_groups(seed, is_sum)
    left, pairs = share(groups, 1000)
    values = {i: 2 * i + 3 for i in range(12)}

    def joined(group):
        if is_sum:
            return sum(-values[i] if sign else values[i] for i, sign in group)
        return math.prod(values[i] for i, _ in group)

    for number, pair in pairs.items():
        assert all(i in values for i, _ in pair)
        values[number] = joined(pair)
    for g, group in groups.items():
        assert joined(left[g]) == joined(group)
    operations = len(pairs) + sum(len(group) - 1 for group in left.values())
    assert operations < 0.8 * sum(len(group) - 1 for group in groups.values())


def test_no_pair_of_two_sums_is_left():
    left, _ = share(random_groups(3, True), 1000)
    seen = {}
    for g, group in left.items():
        for a, (i, s) in enumerate(group):
            for k, t in group[a + 1 :]:
                key = (min(i, k), max(i, k), s != t)
                assert seen.setdefault(key, g) == g
    wide = {100: [(i, False) for i in range(WIDEST + 1)], 101: [(i, False) for i in range(WIDEST + 1)]}
    assert share(wide, 1000) == (wide, {})
    twice = {100: [(0, False), (0, False), (1, False)], 101: [(0, False), (1, False)]}
    assert share(twice, 1000)[0] == twice


def test_opposites_are_shared():
    assert (
        fg.from_sympy(sp.exp(x - y) + sp.exp(y - x) * sp.sin(-x - y) * sp.cos(x + y + z), X).program.n_operations <= 11
    )


# -- random expressions ----------------------------------------------------------------------------------------------
def random_expression(rng, depth):
    if depth == 0 or rng.random() < 0.1:
        return rng.choice([x, y, z, sp.Integer(rng.randint(-3, 3)), sp.Rational(rng.randint(1, 9), rng.randint(2, 9))])
    a, b = (random_expression(rng, depth - 1) for _ in range(2))
    return rng.choice([
        lambda: a + b, lambda: a - b, lambda: a * b, lambda: a / (2 + b**2), lambda: sp.sin(a), lambda: sp.tanh(a) * b,
        lambda: sp.exp(-(a**2)), lambda: sp.sqrt(1 + a**2), lambda: sp.atan(a) ** 3, lambda: a + b + x * a,
        lambda: sp.Piecewise((a, x > y), (b, True)), lambda: sp.log(2 + sp.cos(a)),
    ])()  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_random_expressions_beside_lambdify(seed):
    rng = random.Random(seed)
    expressions = [random_expression(rng, 5) for _ in range(4)]
    f = fg.from_sympy(expressions, X)
    points = np.random.default_rng(seed).normal(size=(3, 50))
    by_numpy = sp.lambdify(X, expressions, "numpy")
    expected = np.array([np.broadcast_to(v, 50) for v in by_numpy(*points)]).T
    # Other orders of sums: where terms cancel, errors are those of the terms, which stay below 1e3.
    np.testing.assert_allclose(f(*points), expected, rtol=1e-11, atol=1e-11)
    slopes = np.stack(f.jacobian(*points), axis=-1)
    jacobian = sp.Matrix(expressions).jacobian(X)
    wanted = np.array([np.broadcast_to(v, 50) for v in sp.lambdify(X, list(jacobian), "numpy")(*points)])
    np.testing.assert_allclose(slopes, wanted.reshape(4, 3, 50).transpose(2, 0, 1), rtol=1e-9, atol=1e-9)


def test_the_same_program_every_time():
    expressions = [random_expression(random.Random(7), 6) for _ in range(3)]
    one, two = (fg.from_sympy(expressions, X).to_bytes() for _ in range(2))
    assert one == two


# -- equations of motion ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=[3, *(pytest.param(n, marks=pytest.mark.long) for n in (5, 8))])
def pendulum(request):
    return Pendulum(request.param)


def motion_of(equations):
    """The rates of the state (q, u), the system of equations solved inside of the graph."""
    graph, n = fg.Graph("motion"), len(equations.q)
    q, u = graph.input("q", shape=n), graph.input("u", shape=n)
    mass, forcing = equations.imported(fg)(q, u)
    graph.output(u)
    graph.output(np.linalg.solve(mass, forcing[:, 0]))
    return graph.compile()


def test_equations_of_motion_beside_lambdify(pendulum):
    f, states = pendulum.imported(fg), np.random.default_rng(1).normal(size=(20, 2 * len(pendulum.q)))
    by_math = sp.lambdify([pendulum.symbols], pendulum.entries, modules="math", cse=True)
    expected = np.array([by_math(state) for state in states])
    np.testing.assert_allclose(f.flat(states), expected, rtol=1e-12, atol=1e-12)
    jacobian = sp.Matrix(pendulum.entries).jacobian(pendulum.symbols)
    slopes = sp.lambdify([pendulum.symbols], list(jacobian), modules="math", cse=True)
    wanted = np.array([slopes(state) for state in states])
    np.testing.assert_allclose(f.flat.jacobian(states).reshape(20, -1), wanted, rtol=1e-11, atol=1e-11)


def test_fewer_operations_than_by_sympys_cse(pendulum):
    steps, results = sp.cse(pendulum.entries, order="none")
    by_sympy = sum(sp.count_ops(e) for _, e in steps) + sum(sp.count_ops(e) for e in results)
    assert pendulum.imported(fg).program.n_operations < by_sympy


def test_energy_is_conserved(pendulum):
    integrate = pytest.importorskip("scipy.integrate")
    f, n = motion_of(pendulum).flat, len(pendulum.q)
    energy = fg.from_sympy(pendulum.energy, {"q": pendulum.q, "u": pendulum.u}).flat
    start = np.concatenate([np.linspace(1.0, 1.5, n), np.zeros(n)])
    solution = integrate.solve_ivp(
        lambda t, state: f(state), (0.0, 3.0), start, method="DOP853", rtol=1e-11, atol=1e-11
    )
    energies = energy(solution.y, axis=0)
    assert solution.success and np.abs(solution.y[:n, -1] - start[:n]).max() > 0.1  # it has moved
    # Each of some hundred steps errs by up to 1e-11 of the state.
    np.testing.assert_allclose(energies, energies[0], rtol=1e-8)
    # Rates of energy vanish: what SymPy's equations and energy have in common, without an integrator.
    np.testing.assert_allclose(np.einsum("kn,kn->k", energy.grad(solution.y.T), f(solution.y.T)), 0.0, atol=1e-12)


@njit
def runge_kutta(h, x, step, steps):
    k1, k2, k3, k4 = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for _ in range(steps):
        h.call(x, k1)
        h.call(x + 0.5 * step * k1, k2)
        h.call(x + 0.5 * step * k2, k3)
        h.call(x + step * k3, k4)
        x += step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def test_embedded_steps_converge_with_their_order(pendulum):
    """Halving the steps of a method of order four leaves a sixteenth of its error; energy stays."""
    handle, n = motion_of(pendulum).numba, len(pendulum.q)
    energy = fg.from_sympy(pendulum.energy, {"q": pendulum.q, "u": pendulum.u}).flat
    start = np.concatenate([np.linspace(1.0, 1.5, n), np.zeros(n)])
    states = {}
    for steps in (50, 100, 1600):
        states[steps] = start.copy()
        runge_kutta(handle, states[steps], 1.0 / steps, steps)
    coarse, fine = (np.abs(states[steps] - states[1600]).max() for steps in (50, 100))
    assert 12.0 < coarse / fine < 20.0
    np.testing.assert_allclose(energy(states[1600]), energy(start), rtol=1e-12)
