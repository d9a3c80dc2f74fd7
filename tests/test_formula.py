"""Formulas: the meaning of Python's arithmetic, and nothing but that."""

import ast
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgraph as fg
from fastgraph.formula import MAX_CHARACTERS, Formula
from fastgraph.ops import OPS, TABLE

VALUES = {"a": 2.0, "b": 3.0, "c": 1.0}


def compute(text, **values):
    """The formula at ``values``, by default a=2, b=3, c=1, through a compiled function."""
    values = values or VALUES
    graph = fg.Graph()
    inputs = graph.input("x", shape=len(values))
    graph.output(Formula(text).record(graph, dict(zip(values, inputs, strict=True))))
    return float(graph.compile().flat(np.array(list(values.values()))))


def refusal(text):
    with pytest.raises(fg.FormulaError) as error:
        compute(text)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a + b) * (b - c)", 10.0),
        ("-a**2", -4.0),
        ("2**-a**2", 2.0**-4.0),
        ("a**-2", 0.25),
        ("2**3**2", 512.0),
        ("-7 % b", 2.0),
        ("b - a - c", 0.0),
        ("b / a / 2", 0.75),
        ("a < b", 1.0),
        ("(a < b) & ~(b < c) | (c == 2)", 1.0),
        ("a if a > 1 else b if b > 2 else c", 2.0),
        ("a if a > 2 else b if b > 3 else c", 1.0),
        ("a if (b if c > 1 else 0) else 7", 7.0),
        ("1 + a if c else b", 3.0),
        ("where(a > b, a, b) + maximum(a, b)", 6.0),
        ("clip(b, 0, 1) + relu(-a)", 1.0),
        ("fma(a, b, c)", 7.0),
        ("powi(a, -2) + pow(a, 3)", 8.25),
        ("1_000.5e-1 + .5 + 1.", 101.55),
        ("a\n\t+\r\nb", 5.0),
        ("2 + 2", 4.0),
        ("-(-3)", 3.0),
        ("+a", 2.0),
        ("9**9**9**9", math.inf),
        ("-inf", -math.inf),
        ("exp(log(e)) * (pi / pi)", math.e),
        ("((((((a))))))", 2.0),
    ],
)
def test_values(text, expected):
    assert compute(text) == expected


def test_a_variable_hides_a_constant():
    assert compute("e + pi", e=1.0, pi=2.0) == 3.0


def test_any_word_of_python_may_be_a_variable():
    assert compute("lambda * class + _x", **{"lambda": 2.0, "class": 3.0, "_x": 1.0}) == 7.0


def test_a_function_and_a_variable_may_share_a_name():
    assert compute("abs(abs)", abs=-2.0) == 2.0


def test_names_are_in_order_of_appearance():
    assert Formula("b * sin(a) + b ** pi").names == ("b", "a", "pi")


@pytest.mark.parametrize("text", ["x**3", "x**-3", "pow(x, 3.0)", "powi(x, -3)"])
def test_integral_powers_are_the_op_with_an_immediate(text):
    graph = fg.Graph()
    x = graph.input("x")
    expr = Formula(text).record(graph, {"x": x})
    assert graph.columns()[0][expr.node][0] == OPS["powi"].code


@pytest.mark.parametrize("op", [op for op in TABLE if not op.names], ids=lambda op: op.name)
def test_every_op_can_be_called(op):
    operands = ["a", "b", "c"][: op.arity] + ["2"] * (op.immediate is not None)
    graph = fg.Graph()
    variables = dict(zip("abc", graph.inputs("a", "b", "c"), strict=True))
    expr = Formula(f"{op.name}({', '.join(operands)})").record(graph, variables)
    rows, _, _ = graph.columns()
    assert rows[expr.node][0] == op.code
    wrong = refusal(f"{op.name}({', '.join(['a', *operands])})")
    assert f"write {op.name}(" in wrong and "line 1, column 1" in wrong


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("", "column 1", "empty"),
        (" \n ", "line 2, column 2", "empty"),
        ("a +", "column 4", "ends where a value is expected"),
        ("(a", "column 1", "never closed"),
        ("sin(a", "column 1", "never closed"),
        ("a)", "column 2", "closes nothing"),
        ("()", "column 2", "a value is expected"),
        ("sin()", "column 5", "a value is expected"),
        ("a b", "column 3", "an operator"),
        ("2a", "column 2", "an operator"),
        ("2(a)", "column 2", "an operator"),
        ("(a)(b)", "column 4", "an operator"),
        ("0x10", "column 2", "an operator"),
        ("1j", "column 2", "an operator"),
        ("a, b", "column 2", "separates the arguments"),
        ("1,5", "column 2", "decimal point"),
        ("a < b < c", "column 7", "fg.where"),
        ("a < b == c", "column 7", "comparisons do not chain"),
        ("a > 0 & b > 0", "column 11", "parentheses"),
        ("a and b", "column 3", "write &"),
        ("a or b", "column 3", "write |"),
        ("not a", "column 1", "write ~"),
        ("a && b", "column 3", "write &"),
        ("a ^ 2", "column 3", "write **"),
        ("a // b", "column 3", "floor(a / b)"),
        ("a = b", "column 3", "write =="),
        ("a ~ b", "column 3", "before one value"),
        ("a if b", "column 3", "without 'else'"),
        ("a else b", "column 3", "without 'if'"),
        ("a if b if c else a else b", "column 8", "parentheses"),
        ("a.real", "column 2", "attributes"),
        ("a[0]", "column 2", "subscripts"),
        ("[a]", "column 1", "subscripts"),
        ("'a'", "column 1", "strings"),
        ('"a"', "column 1", "strings"),
        ("lambda x: x", "column 8", "an operator"),
        ("a; b", "column 2", "no meaning"),
        ("a := b", "column 3", "':=' is not an operator"),
        ("{a}", "column 1", "no meaning"),
        ("sin(x=a)", "column 6", "arguments of a call have no names"),
        ("sin(*a)", "column 5", "a value is expected"),
        ("__import__('os')", "column 1", "unknown function"),
        ("ln(a)", "column 1", "write log"),
        ("gammaln(a)", "column 1", "write lgamma"),
        ("maxmum(a, b)", "column 1", "did you mean maximum"),
        ("sin", "column 1", "write sin(x)"),
        ("a +\n d", "line 2, column 2", "the names are a, b, c"),
        ("aa", "column 1", "did you mean a"),
        ("True", "column 1", "write 1"),
        ("1e400", "column 1", "write inf"),
        ("9" * 5000, "column 1", "does not fit a float64"),
        ("polygamma(a, b)", "column 1", "integer"),
        ("polygamma(a, 1.5)", "column 1", "integer"),
        ("polygamma(a, 1000)", "column 1", "from 1 to 127"),
        ("a\0", "column 2", "'\\x00'"),
        ("\N{CYRILLIC SMALL LETTER A} + b", "column 1", "U+0430 CYRILLIC SMALL LETTER A"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}", "column 1", "U+FF41"),
        ("a\N{SUPERSCRIPT TWO}", "column 1", "U+00B2 SUPERSCRIPT TWO"),
        ("\N{ARABIC-INDIC DIGIT TWO}", "column 1", "U+0662"),
        ("a \N{MINUS SIGN} b", "column 3", "write -"),
        ("a\N{NO-BREAK SPACE}+ b", "column 2", "U+00A0 NO-BREAK SPACE"),
        ("\ud800", "column 1", "U+D800"),
    ],
)
def test_refusals_say_where_and_what(text, place, remedy):
    message = refusal(text)
    assert place in message
    assert remedy in message


def test_the_place_is_shown():
    assert refusal("a +\nb ^ 2").splitlines()[1:] == ["    b ^ 2", "      ^"]


def test_only_text_is_a_formula():
    with pytest.raises(fg.FormulaError, match="string, not int"):
        Formula(3)


HOSTILE = {
    "parentheses": "(" * 100_000,
    "unbalanced": "(" * 100_000 + "a" + ")" * 99_999,
    "minuses": "-" * MAX_CHARACTERS,
    "name": "a" * MAX_CHARACTERS,
    "digits": "9" * MAX_CHARACTERS,
    "dots": "1." * (MAX_CHARACTERS // 2),
    "blanks": " " * MAX_CHARACTERS,
    "too long": "a" * (MAX_CHARACTERS + 1),
    "comparisons": "a<" * (MAX_CHARACTERS // 2),
    "choices": "a if b else " * 80_000,
    "arguments": "sin(" + "a," * 400_000 + "a)",
    "nulls": "\0" * MAX_CHARACTERS,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name):
    begun = time.process_time()
    message = refusal(HOSTILE[name])
    assert time.process_time() - begun < 20.0  # a tenth of that on an idle machine
    assert len(message) < 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(" * 100_000 + "a" + ")" * 100_000, 2.0),
        ("-" * 100_000 + "a", 2.0),
        ("+".join(["a"] * 30_000), 60_000.0),
        ("sin(" * 1_000 + "0" + ")" * 1_000, 0.0),
        ("**".join(["c"] * 30_000), 1.0),
        ("9**" * 30_000 + "9", math.inf),
    ],
)
def test_depth_is_no_limit(text, expected):
    assert compute(text) == expected


# -- the same meaning as Python's -----------------------------------------------------------------------------
LEAVES = st.sampled_from(["a", "b", "c", "2", "0.5", "1e1"])


def compounds(inner):
    binary = st.sampled_from(["+", "-", "*", "/", "%", "**", "<", "==", ">=", "&", "|"])
    return st.one_of(
        st.tuples(inner, binary, inner).map(" ".join),
        st.tuples(st.sampled_from("-+~"), inner).map("".join),
        inner.map("({})".format),
        st.tuples(inner, inner, inner).map(lambda t: "{} if {} else {}".format(*t)),
        st.tuples(inner, inner).map(lambda t: "hypot({}, {})".format(*t)),
    )


def python_tree(node):
    """Nested tuples of Python's own reading, or None if a formula may not say it."""
    match node:
        case ast.Expression():
            return python_tree(node.body)
        case ast.Name():
            return node.id
        case ast.Constant():
            return float(node.value)
        case ast.BinOp():
            parts = SYMBOLS[type(node.op)], python_tree(node.left), python_tree(node.right)
        case ast.UnaryOp():
            parts = SYMBOLS[type(node.op)], python_tree(node.operand)
        case ast.Compare() if len(node.ops) == 1:
            parts = SYMBOLS[type(node.ops[0])], python_tree(node.left), python_tree(node.comparators[0])
        case ast.Call():
            parts = (node.func.id, *map(python_tree, node.args))
        case ast.IfExp():
            parts = "else", python_tree(node.body), python_tree(node.test), python_tree(node.orelse)
        case _:
            return None
    return None if None in parts else parts


SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.Pow: "**", ast.BitAnd: "&",
    ast.BitOr: "|", ast.Lt: "<", ast.Eq: "==", ast.GtE: ">=", ast.USub: "-", ast.UAdd: "+", ast.Invert: "~",
}  # fmt: skip


def formula_tree(text):
    stack = []
    for step in Formula(text)._steps:
        operands = stack[len(stack) - step.arity :]
        del stack[len(stack) - step.arity :]
        stack.append((step.what, *operands) if step.arity else step.what)
    (tree,) = stack
    return tree


@settings(max_examples=400, deadline=None)
@given(st.recursive(LEAVES, compounds, max_leaves=12))
def test_structure_is_that_of_python(text):
    try:
        expected = python_tree(ast.parse(text, mode="eval"))
    except SyntaxError:
        expected = None
    if expected is None:
        with pytest.raises(fg.FormulaError):
            Formula(text)
    else:
        assert formula_tree(text) == expected


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="ab12.e+-*/%<=>&|~()^, if else\n", max_size=30) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        names = Formula(text).names
    except fg.FormulaError as error:
        assert "line" in str(error)
    else:
        assert all(name.isidentifier() for name in names)
