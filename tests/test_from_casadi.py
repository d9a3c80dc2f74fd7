"""CasADi's Functions as Functions: values beside CasADi's, bit by bit where arithmetic is all there is; derivatives."""

import math
import random
import sys

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.importers.casadi import RULES
from tests.bits import assert_same_bits

ca = pytest.importorskip("casadi")

SPECIALS = np.array([
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.7, -3.7, 2.5, 1.5, 7.0, 1e300, -1e300, 1.7e308, math.inf, -math.inf,
    math.nan, 5e-324,
])  # fmt: skip
UNARY = {
    "EXP": ca.exp, "LOG": ca.log, "SQRT": ca.sqrt, "SIN": ca.sin, "COS": ca.cos, "TAN": ca.tan,
    "ASIN": ca.asin, "ACOS": ca.acos, "ATAN": ca.atan, "SINH": ca.sinh, "COSH": ca.cosh, "TANH": ca.tanh,
    "ASINH": ca.asinh, "ACOSH": ca.acosh, "ATANH": ca.atanh, "FLOOR": ca.floor, "CEIL": ca.ceil, "SIGN": ca.sign,
    "ERF": ca.erf, "FABS": ca.fabs, "NOT": ca.logic_not, "LOG1P": ca.log1p, "EXPM1": ca.expm1, "SQ": lambda x: x * x,
    "TWICE": lambda x: x + x, "INV": lambda x: 1 / x, "NEG": lambda x: -x, "CONSTPOW": lambda x: x**3 + x**-2 + x**2.5,
}  # fmt: skip
BINARY = {
    "ADD": lambda x, y: x + y, "SUB": lambda x, y: x - y, "MUL": lambda x, y: x * y, "DIV": lambda x, y: x / y,
    "POW": lambda x, y: x**y, "FMOD": ca.fmod, "REMAINDER": ca.remainder, "ATAN2": ca.atan2, "COPYSIGN": ca.copysign,
    "FMIN": ca.fmin, "FMAX": ca.fmax, "HYPOT": ca.hypot, "AND": ca.logic_and, "OR": ca.logic_or,
    "LT": lambda x, y: x < y, "LE": lambda x, y: x <= y, "EQ": lambda x, y: x == y, "NE": lambda x, y: x != y,
    "IF_ELSE_ZERO": lambda x, y: ca.if_else(x, y, 0),
}  # fmt: skip


def function_of(build, arity):
    symbols = [ca.SX.sym(name) for name in "xy"[:arity]]
    return ca.Function("f", symbols, [build(*symbols)], [s.name() for s in symbols], ["result"])


def codes_of(function):
    return {function.instruction_id(k) for k in range(function.n_instructions())}


def test_every_rule_is_tested():
    tested = set().union(*(codes_of(function_of(b, 1)) for b in UNARY.values()))
    tested |= set().union(*(codes_of(function_of(b, 2)) for b in BINARY.values()))
    assert {name for name in RULES if getattr(ca, f"OP_{name}") not in tested} <= {"TWICE"}  # not in every version
    assert UNARY.keys() | BINARY.keys() == RULES.keys()


@pytest.mark.parametrize(("name", "build"), [*UNARY.items(), *BINARY.items()])
def test_instructions(name, build):
    """At special values and pairs of them, within what CasADi's C library and fastgraph's functions err by."""
    arity = 1 if name in UNARY else 2
    theirs = function_of(build, arity)
    ours = fg.from_casadi(theirs)
    points = [SPECIALS] if arity == 1 else [axis.ravel() for axis in np.meshgrid(SPECIALS, SPECIALS)]
    got, expected = ours(*points), np.array([float(theirs(*point)) for point in zip(*points, strict=True)])
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        near = np.abs(got - expected) <= 2.0 * np.spacing(np.abs(expected))
    assert (same | near).all(), [p[~(same | near)][:3] for p in points]
    if arity == 2 and name not in ("POW", "ATAN2", "HYPOT"):
        assert same.all()


# -- random graphs ------------------------------------------------------------------------------------------------
def random_function(seed, exact, n_ops=60):
    """A Function of a vector and a scalar; with ``exact``, of operations that every machine rounds alike."""
    rng = random.Random(seed)
    vector, scalar = ca.SX.sym("v", 3), ca.SX.sym("s")
    nodes = [vector[0], vector[1], vector[2], scalar, ca.SX(0.5), ca.SX(-3.0)]
    unary = [ca.fabs, ca.sqrt, ca.floor, lambda x: x * x, lambda x: -x, lambda x: 1 / x]
    binary = [lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / (2 + y * y),
              ca.fmin, ca.fmax, lambda x, y: ca.if_else(x > y, x, y * 2), ca.fmod]  # fmt: skip
    if not exact:
        unary = [ca.sin, ca.tanh, ca.atan, lambda x: ca.exp(-x * x), lambda x: ca.log(2 + ca.cos(x))]
        binary = binary[:4]
    for _ in range(n_ops):
        if rng.random() < 0.4:
            nodes.append(rng.choice(unary)(rng.choice(nodes[-12:])))
        else:
            nodes.append(rng.choice(binary)(rng.choice(nodes[-12:]), rng.choice(nodes)))
    outputs = [ca.vertcat(*nodes[-4:]), nodes[-5] * scalar]
    return ca.Function("random", [vector, scalar], outputs, ["v", "s"], ["a", "b"])


def points(seed, n=25):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=2.0, size=(n, 3)), rng.normal(size=n)


@pytest.mark.parametrize("seed", range(20))
def test_arithmetic_has_the_same_bits(seed):
    theirs, (v, s) = random_function(seed, exact=True), points(seed)
    got = fg.from_casadi(theirs)(v, s)
    expected = [theirs(*point) for point in zip(v, s, strict=True)]
    assert_same_bits(got.a, np.array([np.array(e[0]).ravel() for e in expected]))
    assert_same_bits(got.b, np.array([float(e[1]) for e in expected]))


@pytest.mark.parametrize("seed", range(20))
def test_values_and_jacobians(seed):
    theirs, (v, s) = random_function(seed, exact=False), points(seed)
    ours = fg.from_casadi(theirs)
    symbols = [ca.SX.sym("v", 3), ca.SX.sym("s")]
    outputs = theirs(*symbols)
    derivative = ca.Function("d", symbols, [ca.jacobian(y, x) for y in outputs for x in symbols])
    got, slopes = ours(v, s), ours.jacobian(v, s)
    for k, point in enumerate(zip(v, s, strict=True)):
        expected = [np.array(part) for part in (*theirs(*point), *derivative(*point))]
        found = [got.a[k], got.b[k], slopes.a.v[k], slopes.a.s[k], slopes.b.v[k], slopes.b.s[k]]
        for mine, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.ravel(mine), other.ravel(), rtol=1e-11, atol=1e-11)


# -- shapes, names ------------------------------------------------------------------------------------------------
def test_shapes_and_structural_zeros():
    lower, column, empty = ca.SX.sym("L", ca.Sparsity.lower(3)), ca.SX.sym("c", 3), ca.SX.sym("e", 0, 3)
    row, scalar = ca.SX.sym("r", 1, 2), ca.SX.sym("s")
    outputs = [ca.mtimes(lower, column), ca.diag(column), row * scalar, scalar, ca.SX(2, 3), ca.SX(0, 1), lower.T]
    theirs = ca.Function(
        "shapes", [lower, column, empty, row, scalar], outputs, ["L", "c", "e", "r", "lambda"],
        ["product", "diagonal", "row", "scalar", "zeros", "nothing", "upper"],
    )  # fmt: skip
    f = fg.from_casadi(theirs, parameters=["r", "lambda"])
    assert [(a.name, a.shape, a.differentiable) for a in f.arguments] == [
        ("L", (3, 3), True), ("c", (3,), True), ("r", (1, 2), False), ("lambda_", (), False),
    ]  # fmt: skip
    assert [(o.name, o.shape) for o in f.outputs] == [
        ("product", (3,)), ("diagonal", (3, 3)), ("row", (1, 2)), ("scalar", ()), ("zeros", (2, 3)), ("upper", (3, 3)),
    ]  # fmt: skip
    full, vector = np.arange(1.0, 10.0).reshape(3, 3), np.array([1.0, 2.0, 3.0])
    got = f(full, vector, [[4.0, 5.0]], 2.0)
    assert got.product.tolist() == (np.tril(full) @ vector).tolist()
    assert got.diagonal.tolist() == np.diag(vector).tolist() and got.row.tolist() == [[8.0, 10.0]]
    assert not got.zeros.any() and got.upper.tolist() == np.tril(full).T.tolist() and got.scalar == 2.0
    assert f.jacobian(full, vector, [[4.0, 5.0]], 2.0).product.L[..., 0, 1].tolist() == [0.0, 0.0, 0.0]


def test_names_and_options():
    x = ca.SX.sym("x")
    theirs = ca.Function("theirs", [x], [x * x])
    assert repr(fg.from_casadi(theirs)) == "<Function 'theirs': (i0) -> (o0), 1 operations>"
    f = fg.from_casadi(theirs, name="ours", dtype=np.float32)
    assert f.name == "ours" and f.dtype == np.float32


def test_an_mx_function_goes_after_expand():
    x = ca.MX.sym("x", 3)
    theirs = ca.Function("mx", [x], [ca.sumsqr(ca.sin(x))], ["x"], ["y"])
    with pytest.raises(fg.ArgumentError, match=r"not the MXFunction 'mx': pass function.expand\(\)"):
        fg.from_casadi(theirs)
    at = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(fg.from_casadi(theirs.expand())(at), float(theirs(at)), rtol=1e-15)


def test_into_a_graph_there_is():
    f = fg.from_casadi(random_function(1, exact=False))
    graph = fg.Graph()
    v = graph.input("v", shape=(2, 3))
    graph.output(fg.sum(f(v, 0.5)[1]))
    assert graph.compile()([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]) == f([0.1, 0.2, 0.3], 0.5).b + f([0.3, 0.2, 0.1], 0.5).b


def test_a_long_chain():
    x = y = ca.SX.sym("x")
    for _ in range(20_000):
        y = ca.sin(y) + 1
    assert fg.from_casadi(ca.Function("chain", [x], [y])).program.n_operations == 40_000


# -- refusals -----------------------------------------------------------------------------------------------------
X, Y = ca.SX.sym("x"), ca.SX.sym("y")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: fg.from_casadi(ca.Function("h", [X], [1 + ca.erfinv(X)])), fg.ExprError,
         r"erfinv has no op: instruction 2 of SXFunction 'h', @1 = erfinv\(@1\)"),
        (lambda: fg.from_casadi(ca.Function("h", [X], [ca.SX.binary(ca.OP_PRINTME, X, X)])), fg.ExprError,
         "printme has no op"),
        (lambda: fg.from_casadi(ca.Function("h", [X], [X + Y], {"allow_free": True})), fg.ArgumentError,
         "free variables y: make them inputs"),
        (lambda: fg.from_casadi(X + Y), fg.ArgumentError, r"a casadi.Function, not SX: casadi.Function\("),
        (lambda: fg.from_casadi(ca.Function("h", [X], [X], ["x"], ["y"]), ["z"]), fg.ArgumentError,
         "SXFunction 'h' has no input 'z'; it has x"),
        (lambda: fg.from_casadi(ca.Function("h", [X], [ca.SX(0, 1)])), fg.GraphError, "no outputs"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_without_casadi_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "casadi", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgraph\[casadi\]'"):
        fg.from_casadi(None)
