"""Formulas and assignments as text: what they mean beside NumPy and numexpr, and that nothing else is let in."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgraph as fg
from fastgraph.errors import ArgumentError, FormulaError, GraphError
from fastgraph.formula import MAX_CHARACTERS


def signature(f):
    """Arguments in order, parameters in brackets, and outputs."""
    arguments = [a.name if a.differentiable else f"[{a.name}]" for a in f.arguments]
    return f"{' '.join(arguments)} -> {' '.join(o.name for o in f.outputs)}"


def refusal(text, **options):
    with pytest.raises(FormulaError) as error:
        fg.parse(text, **options)
    return str(error.value)


# -- statements ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected", "arguments", "values"),
    [
        ("(a + b) * (b - c)", "a b c -> y0", (2.0, 3.0, 1.0), [10.0]),
        ("d = a + b; e = b - c; d * e", "a b c -> y0", (2.0, 3.0, 1.0), [10.0]),
        ("d = a + b\ne = b - c\nd * e\n", "a b c -> y0", (2.0, 3.0, 1.0), [10.0]),
        ("\n\n d = a ;;\r\n e = d * 2 ; \n; e + d\n;\n", "a -> y0", (2.0,), [6.0]),
        ("a, a * b", "a b -> y0 y1", (2.0, 3.0), [2.0, 6.0]),
        ("d = a; d, d * 2, d", "a -> d y1 y2", (2.0,), [2.0, 4.0, 2.0]),
        ("u = a + 1; v = a - 1", "a -> u v", (2.0,), [3.0, 1.0]),
        ("u = a + 1; v = u * 2", "a -> v", (2.0,), [6.0]),
        ("u = a; u = u * 2; u = u * 2", "a -> u", (2.0,), [8.0]),
        ("u = a; v = 1; u = 2 * v", "a -> u", (2.0,), [2.0]),
        ("d = a +\n b", "a b -> d", (2.0, 3.0), [5.0]),
        ("d =\n\n a", "a -> d", (2.0,), [2.0]),
        ("max2 = maximum(a,\n b\n)\n-max2", "a b -> y0", (2.0, 3.0), [-3.0]),
        ("(a\n+ b)", "a b -> y0", (2.0, 3.0), [5.0]),
        ("a if b > 2\n else 7", "a b -> y0", (2.0, 3.0), [2.0]),
        ("a,\n b", "a b -> y0 y1", (2.0, 3.0), [2.0, 3.0]),
        ("t = a > b; where(t, a, b) == b", "a b -> y0", (2.0, 3.0), [1.0]),
        ("n = 3; x**n + powi(x, n)", "x -> y0", (-2.0,), [-16.0]),
        ("e = 2; e**x", "x -> y0", (3.0,), [8.0]),
        ("e**x + pi", "x -> y0", (0.0,), [1.0 + math.pi]),
        ("sin = a; sin(sin)", "a -> y0", (0.5,), [math.sin(0.5)]),
        ("_t = a * 2; _t", "a -> y0", (2.0,), [4.0]),
        ("u = 2; v = u + 1", " -> v", (), [3.0]),
    ],
)
def test_statements(text, expected, arguments, values):
    f = fg.parse(text)
    assert signature(f) == expected
    found = f(*arguments)
    assert [float(v) for v in (found if len(values) > 1 else [found])] == values


def test_arguments():
    assert signature(fg.parse("b * a + c")) == "b a c -> y0"
    assert signature(fg.parse("b * a + c", parameters=["a"])) == "b c [a] -> y0"
    assert signature(fg.parse("b * a + c", ["a", "z", "c"], ("b",))) == "a z c [b] -> y0"
    assert signature(fg.parse("e * pi", inputs=["e"], parameters=["pi"])) == "e [pi] -> y0"
    assert signature(fg.parse("sin * 2", inputs=["sin"])) == "sin -> y0"
    f = fg.parse("x * k", parameters=["k"], name="line", dtype=np.float32)
    assert f.name == "line" and f.dtype == np.float32 and f.grad(2.0, k=3.0) == 3.0


def test_into_a_graph_there_is():
    f = fg.parse("u = a * b; u + sin(u)")
    graph = fg.Graph()
    v = graph.input("v", shape=3)
    graph.output(f(v, v[::-1]))
    got, v = graph.compile()([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(got, v * v[::-1] + np.sin(v * v[::-1]), rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("", "line 1, column 1", "there is no formula"),
        (" ;\n; ", "line 2, column 3", "there is no formula"),
        ("a; b", "line 1, column 1", "nothing uses what this computes: assign it"),
        ("u = 1\n a + b\nu", "line 2, column 2", "nothing uses"),
        ("a\n+ b", "line 1, column 1", "nothing uses"),
        ("a, b; c", "line 1, column 1", "nothing uses"),
        ("u =", "column 4", "ends where a value is expected"),
        ("u = ; v", "column 5", "ends where a value is expected"),
        ("a,", "column 3", "ends where a value is expected"),
        ("a + ; b", "column 5", "ends where a value is expected"),
        ("(a; b)", "column 1", "never closed"),
        ("sin(a; b)", "column 1", "never closed"),
        ("u = a, b", "column 6", "separates the arguments"),
        ("a, b = c", "column 6", "write =="),
        ("a = b = c", "column 7", "write =="),
        ("2 = a", "column 3", "write =="),
        ("(a = b)", "column 4", "write =="),
        ("f(a) = b", "column 1", "unknown function"),
        ("a == b = c", "column 8", "write =="),
        ("a := b", "column 3", "not an operator"),
        ("if = 2", "column 1", "a value is expected"),
        ("u = 1; u = a.b", "column 13", "no attributes"),
        ("u = a[0]", "column 6", "no subscripts"),
        ("u = a\nu.real", "line 2, column 2", "no attributes"),
        ("u = v; v = 2; u * v", "column 8", "'v' is an argument or a constant"),
        ("u = e; e = 2; u * e", "column 8", "'e' is an argument or a constant"),
        ("lambda * 2", "column 1", "'lambda' cannot name an argument"),
        ("_x + 1", "column 1", "'_x' cannot name an argument"),
        ("u = 2; axis * u", "column 8", "'axis' cannot name an argument"),
        ("sin + 1", "column 1", "write sin(x)"),
        ("contains(a, b)", "column 1", "unknown function"),
        ("u = a; __import__('os')", "column 8", "unknown function '__import__'"),
        ("eval(a)", "column 1", "unknown function 'eval'"),
        ("open = 1; open(a)", "column 11", "unknown function 'open'"),
        ("polygamma(a, n)", "column 1", "integer"),
        ("import os", "column 8", "an operator"),
        ("a\N{NO-BREAK SPACE}= 2", "column 2", "U+00A0"),
        ("u = 1\x00; u", "column 6", "'\\x00'"),
    ],
)
def test_refusals_say_where_and_what(text, place, remedy):
    message = refusal(text)
    assert place in message and remedy in message


def test_declared_names_are_all_there_are():
    message = refusal("u = a + 1\nu * bb", inputs=["a", "b"])
    assert "line 2, column 5" in message and "did you mean b" in message
    assert "'a' is an argument" in refusal("a = 2; a", inputs=["a"])
    assert "unknown name 'a'" in refusal("a", inputs=[])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: fg.parse("a", inputs="a"), ArgumentError, r"inputs is a sequence of names, such as \['a', 'b'\]"),
        (lambda: fg.parse("a", parameters=[1]), ArgumentError, "parameters is a sequence of names"),
        (lambda: fg.parse("a", ["a"], ["a"]), GraphError, "already taken"),
        (lambda: fg.parse("a", ["a", "1b"]), GraphError, "identifier"),
        (lambda: fg.parse(b"a"), FormulaError, "a string, not bytes"),
        (lambda: fg.parse(3), FormulaError, "a string, not int"),
    ],
)
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# -- hostile text -------------------------------------------------------------------------------------------------
HOSTILE = {
    "too long": "a" * (MAX_CHARACTERS + 1),
    "semicolons": ";" * MAX_CHARACTERS,
    "line breaks": "\n" * MAX_CHARACTERS,
    "equals": "=" * MAX_CHARACTERS,
    "assignments to assignments": "a=" * (MAX_CHARACTERS // 2),
    "commas": "," * MAX_CHARACTERS,
    "values that nothing uses": "a\n" * (MAX_CHARACTERS // 2),
    "parentheses": "(" * MAX_CHARACTERS,
    "statements in parentheses": "(a;" * (MAX_CHARACTERS // 3),
    "calls of calls": "sin(" * (MAX_CHARACTERS // 4),
    "attributes": "a" + ".a" * (MAX_CHARACTERS // 2 - 1),
    "an unknown name at the end": "u=1;" * (MAX_CHARACTERS // 4 - 1) + "f()",
    "used before": "u=v;" * (MAX_CHARACTERS // 4 - 2) + "v=1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name):
    begun = time.process_time()
    message = refusal(HOSTILE[name])
    assert time.process_time() - begun < 20.0  # a tenth of that on an idle machine
    assert len(message) < 500 and ("line" in message or name == "too long")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u=a;" + "u=u+a;" * 30_000, 30_001.0),
        ("u=a\n" * 50_000 + "u", 1.0),
        ("u0=a;" + "".join(f"u{k}=u{k - 1}*1;" for k in range(1, 10_000)) + "u9999", 1.0),
        ("9**9**9**9**a", math.inf),
        ("a**99999999999999999999", 1.0),
        ("(" * 100_000 + "a" + ")" * 100_000, 1.0),
        ("a+" * 30_000 + "a", 30_001.0),
    ],
    ids=lambda v: str(v)[:16],
)
def test_size_is_no_limit(text, expected):
    assert fg.parse(text)(1.0) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab12.e+-*/%<=>&|~()^, if else\n;", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        f = fg.parse(text)
    except FormulaError as error:
        assert "line" in str(error)
    else:
        assert f.outputs


# -- beside NumPy's evaluation ------------------------------------------------------------------------------------
UNARY = {
    "sin": np.sin, "cos": np.cos, "arctan": np.arctan, "atan": np.arctan, "tanh": np.tanh, "arcsinh": np.arcsinh,
    "expm1": np.expm1, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "round": np.rint,
    "sign": np.sign, "abs": np.abs, "absolute": np.abs, "square": np.square, "cbrt": np.cbrt, "negative": np.negative,
    "isnan": np.isnan, "isfinite": np.isfinite, "-": np.negative, "+": np.positive,
}  # fmt: skip
BINARY = {
    "arctan2": np.arctan2, "hypot": np.hypot, "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax,
    "copysign": np.copysign, "fmod": np.fmod, "logaddexp": np.logaddexp, "less": np.less, "subtract": np.subtract,
}  # fmt: skip
OPERATORS = {
    "+": (5, np.add), "-": (5, np.subtract), "*": (6, np.multiply), "/": (6, np.divide), "%": (6, np.remainder),
    "<": (2, np.less), ">=": (2, np.greater_equal), "==": (2, np.equal),
    "&": (4, np.logical_and), "|": (3, np.logical_or),
}  # fmt: skip


class Written:
    """A formula as text, its precedence, and what NumPy computes of it."""

    def __init__(self, text, precedence, value):
        self.text, self.precedence, self.value = text, precedence, np.asarray(value, np.float64)

    def within(self, precedence):
        """The text as an operand, in parentheses only where they are needed."""
        return self.text if self.precedence >= precedence else f"({self.text})"


def written(rng, depth, names):
    """A random formula over the names, whose values NumPy computes on the way."""
    kind = rng.integers(7) if depth else 6
    if kind == 6:
        if rng.random() < 0.3:
            text = ["2", "0.5", "1e1", ".25", "3.", "1_0"][rng.integers(6)]
            return Written(text, 9, float(text))
        name = list(names)[rng.integers(len(names))]
        return Written(name, 9, names[name])
    a, b = written(rng, depth - 1, names), written(rng, depth - 1, names)
    if kind == 0:
        name = list(UNARY)[rng.integers(len(UNARY))]
        if name in "+-":
            return Written(f"{name}{a.within(7)}", 7, UNARY[name](a.value))
        return Written(f"{name}({a.text})", 9, UNARY[name](a.value))
    if kind == 1:
        name = list(BINARY)[rng.integers(len(BINARY))]
        return Written(f"{name}({a.text}, {b.text})", 9, BINARY[name](a.value, b.value))
    if kind == 2:
        condition = written(rng, depth - 1, names)
        if rng.random() < 0.5:
            text = f"where({condition.text}, {a.text}, {b.text})"
            return Written(text, 9, np.where(condition.value != 0.0, a.value, b.value))
        text = f"{a.within(2)} if {condition.within(2)} else {b.within(1)}"
        return Written(text, 1, np.where(condition.value != 0.0, a.value, b.value))
    if kind == 3:
        n = int(rng.integers(-2, 4))
        return Written(f"{a.within(9)}**{n}", 8, a.value ** float(n))
    symbol = list(OPERATORS)[rng.integers(len(OPERATORS))]
    precedence, function = OPERATORS[symbol]
    left = a.within(precedence + (precedence == 2))
    space = " " * int(rng.integers(2))
    return Written(f"{left}{space}{symbol}{space}{b.within(precedence + 1)}", precedence, function(a.value, b.value))


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas_are_numpys(seed):
    """A formula, and one through assignments, at points and beside them: where it jumps nothing is compared."""
    rng = np.random.default_rng(seed)
    beside = 1.0 + 1e-12 * np.arange(-2.0, 3.0)[:, None]
    names = {name: rng.normal(scale=2.0, size=40).round(3) * beside for name in ("a", "b", "xyz")}
    with np.errstate(all="ignore"):
        first, second = written(rng, 4, names), written(rng, 3, names)
        last = written(rng, 3, {**names, "first": first.value, "second_1": second.value})
    text = f"first = {first.text};second_1 ={second.text}\n{last.text}, first"
    f = fg.parse(text, inputs=list(names))
    for got, formula in zip(f(*names.values()), (last, first), strict=True):
        expected = np.broadcast_to(formula.value, (5, 40))
        is_smooth = np.isclose(expected, expected[2], rtol=1e-6, atol=1e-9, equal_nan=True).all(axis=0)
        assert is_smooth.mean() > 0.5
        # Functions differ by some ulp, which differences of nearly equal numbers make larger.
        np.testing.assert_allclose(
            np.broadcast_to(got, (5, 40))[2, is_smooth], expected[2, is_smooth], rtol=1e-9, atol=1e-12, err_msg=text
        )


def test_numexpr_agrees():
    numexpr = pytest.importorskip("numexpr")
    rng = np.random.default_rng(5)
    values = {"a": rng.normal(size=100), "b": rng.uniform(0.1, 2.0, 100)}
    for text in (
        "where(a > 0, arctan2(a, b), expm1(a) * log1p(b))", "arcsinh(a) + arctan(b)**2 - sqrt(b) / (1 + exp(-a))",
        "(a < b) & ~(a < 0) | (b > 1)", "maximum(a, b) - minimum(a, 0.5) + abs(a) % b", "round(a * 10) + ceil(a)",
        "log10(b) + log2(b) + cosh(a) - sinh(a) * tanh(b) + arctanh(a / 100)", "trunc(b) + arccosh(b + 1)",
        "arcsin(b / 3) + arccos(b / 4)", "hypot(a, b) + copysign(a, -b) + fmod(a, b) + sign(a)",
    ):  # fmt: skip
        expected = numexpr.evaluate(text, values)
        np.testing.assert_allclose(
            fg.parse(text, list(values))(**values), expected, rtol=1e-13, atol=1e-15, err_msg=text
        )


def test_derivatives_are_sympys():
    sympy = pytest.importorskip("sympy")
    text = "u = a * sin(b) + exp(-a**2); v = sqrt(1 + u**2) / b; log(v) * atan2(u, v) - tanh(a) ** 3"
    f = fg.parse(text)
    a, b = sympy.symbols("a b", real=True)
    u = a * sympy.sin(b) + sympy.exp(-(a**2))
    v = sympy.sqrt(1 + u**2) / b
    y = sympy.log(v) * sympy.atan2(u, v) - sympy.tanh(a) ** 3
    point = {a: sympy.Rational(0.7), b: sympy.Rational(1.3)}
    assert math.isclose(f(0.7, 1.3), float(y.evalf(30, subs=point)), rel_tol=1e-14)
    expected = [float(sympy.diff(y, s).evalf(30, subs=point)) for s in (a, b)]
    np.testing.assert_allclose(f.grad(0.7, 1.3), expected, rtol=1e-13)
