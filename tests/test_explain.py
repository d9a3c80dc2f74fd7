"""Explain: the passes shown are those of the kernels, to the bit, and every line can be computed by hand."""

import re

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.formula import Formula
from tests import golden_texts
from tests.bits import assert_same_bits
from tests.golden_texts import POINTS, custom, example, masks, several
from tests.random_graphs import Seeded, input_sets, record


def flat(gradient):
    parts = gradient if isinstance(gradient, tuple) else (gradient,)
    return np.concatenate([np.ravel(part) for part in parts])


# -- the numbers --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(12))
def test_values_and_gradients_are_the_kernels(seed, dtype):
    f = record(Seeded(seed), n_inputs=3, n_ops=40, dtype=dtype).compile(dtype)
    for x in input_sets(seed, 3, 4).T:
        explanation = f.explain(*x, limit=None)
        value, gradient = f.value_and_grad(*x)
        assert_same_bits(explanation.outputs, value)
        assert_same_bits(flat(explanation.gradient), flat(gradient))
        assert type(explanation.gradient) is type(gradient)


@pytest.mark.parametrize("make", POINTS, ids=lambda make: make.__name__)
def test_cases_with_branches_tables_functions_and_several_outputs(make):
    f, (at, weights) = make().compile(), POINTS[make]
    explanation = f.explain(*at, cotangents=weights)
    expected = f.value_and_grad(*at) if weights is None else f.vjp(at, weights)
    assert_same_bits(flat(explanation.outputs), flat(expected[0]))
    assert_same_bits(flat(explanation.gradient), flat(expected[1]))


@pytest.mark.parametrize("seed", range(6))
def test_cotangents_and_wrt(seed):
    graph = record(Seeded(seed), n_inputs=2, n_ops=25, n_outputs=3)
    f = graph.compile()
    for x in input_sets(seed, 2, 3).T:
        weights = np.random.default_rng(seed).normal(size=3)
        explanation = f.explain(*x, cotangents=tuple(weights), wrt="x1", limit=None)
        outputs, expected = f.vjp(tuple(x), tuple(weights), wrt="x1")
        assert_same_bits(flat(explanation.outputs), flat(outputs))
        assert_same_bits(explanation.gradient, expected)


def test_gradient_has_the_form_of_grad():
    f = several().compile()
    at, weights = POINTS[several]
    assert f.explain(*at, cotangents=weights).gradient._fields == ("x", "t")
    assert f.explain(*at, cotangents=weights, wrt="k").gradient.shape == (1, 2)
    assert f.explain(*at, cotangents=weights, wrt=["k", "t"]).gradient._fields == ("k", "t")
    assert f.explain(x=at[0], t=at[1], k=at[2], cotangents=weights).outputs._fields == f(*at)._fields


# -- by hand ------------------------------------------------------------------------------------------------
def by_hand(text):
    """The value of a formula of numbers, read by the parser of formulas."""
    graph = fg.Graph()
    graph.output(Formula(text).record(graph, {}))
    return graph.compile()()


@pytest.mark.parametrize("make", [example, masks, golden_texts.immediates, golden_texts.nonfinite])
def test_every_line_can_be_computed_by_hand(make):
    """With all digits, what stands right of each = is what stands left of it, and sums run on."""
    f, (at, weights) = make().compile(), POINTS[make]
    explanation = f.explain(*at, cotangents=weights, digits=17)
    for step in explanation.forward:
        assert_same_bits(by_hand(step.numbers), step.value, step)
    known = dict(explanation.arguments) | {step.name: step.value for step in explanation.forward}
    totals = {}
    for share in explanation.reverse:
        if share.is_seed:
            assert share.result == share.operand and share.added == 1.0
        elif share.why:
            assert share.partial is None and share.added == 0.0
        else:
            assert_same_bits(share.weight, totals[share.result])
            with np.errstate(all="ignore"):
                assert_same_bits(share.added, share.weight * share.partial, share)
            assert by_hand_product(share) == f"{share.product(17)}"
            if share.formula:
                assert_same_bits(local(share.formula, known), share.partial, share)
        with np.errstate(all="ignore"):
            totals[share.operand] = totals.get(share.operand, 0.0) + share.added
        assert_same_bits(share.total, totals[share.operand])
    gradient = [totals.get(name, 0.0) for name, _ in explanation.arguments]
    assert_same_bits(np.array(gradient), flat(explanation.gradient))


def by_hand_product(share):
    weight, partial, added = (f"{v:.17g}" for v in (share.weight, share.partial, share.added))
    return f"{weight} * {f'({partial})' if partial.startswith('-') else partial} = {added}"


def local(text, known):
    """The value of the formula of a partial, where names stand for values."""
    formula, graph = Formula(text), fg.Graph()
    inputs = graph.inputs(*formula.names)
    graph.output(formula.record(graph, dict(zip(formula.names, inputs, strict=True))))
    return graph.compile()(*[known[name] for name in formula.names])


def test_order_is_that_of_the_sweep():
    explanation = example().compile().explain(2, 3, 1)
    assert [(s.result, s.operand) for s in explanation.reverse] == [
        ("Y", "Y"), ("Y", "d"), ("Y", "e"), ("e", "b"), ("e", "c"), ("d", "a"), ("d", "b"),
    ]  # fmt: skip
    assert [(s.name, s.formula, s.numbers, s.value) for s in explanation.forward] == [
        ("d", "a + b", "2 + 3", 5.0), ("e", "b - c", "3 - 1", 2.0), ("Y", "d * e", "5 * 2", 10.0),
    ]  # fmt: skip
    assert explanation.reverse[-1].total == 7.0 and str(explanation).count("w(b) = 5 + 2 = 7") == 1


def test_a_branch_that_is_not_taken_adds_nothing_where_its_partial_is_infinite():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.where(x > 0.0, fg.sqrt(x), 0.0), name="y")
    explanation = graph.compile().explain(0.0)
    assert explanation.gradient == 0.0
    assert [share.why for share in explanation.reverse] == ["", "not taken", "t1 is 0"]
    assert "inf" not in str(explanation)


# -- names --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "output", "expected"),
    [
        (("a", "b", "c"), "y", ["d", "e", "y"]),
        (("a", "b", "c"), "e", ["d", "f", "e"]),
        (("x", "y", "z"), "w", ["t1", "t2", "w"]),  # no letters are left
        (("x", "w", "v"), "u", ["y", "z", "u"]),
        (("t1", "b", "c"), "y", ["t_1", "t_2", "y"]),
        (("a", "b", "c"), "a", ["d", "e", "a_"]),
        (("y", "y_", "c"), "y", ["t1", "t2", "y__"]),
        (("first", "b", "c"), "y", ["t1", "t2", "y"]),
        (("\N{GREEK SMALL LETTER ALPHA}", "b", "c"), "y", ["t1", "t2", "y"]),
    ],
)
def test_names(arguments, output, expected):
    graph = fg.Graph()
    a, b, c = graph.inputs(*arguments)
    graph.output((a + b) * (b - c), name=output)
    explanation = graph.compile().explain(2.0, 3.0, 1.0)
    assert [step.name for step in explanation.forward] == expected
    assert [name for name, _ in explanation.arguments] == list(arguments)


def test_an_output_that_is_an_argument_or_a_number():
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(x, name="y")
    explanation = graph.compile().explain(4.0)
    assert explanation.gradient == 1.0 and "y = x" in str(explanation)
    graph = fg.Graph()
    graph.input("x")
    graph.output(2.5)
    explanation = graph.compile().explain(4.0)
    assert explanation.gradient == 0.0 and "y0  = 2.5" in str(explanation) and "nothing" in str(explanation)


def test_without_inputs_there_is_no_reverse_pass():
    graph = fg.Graph()
    k = graph.parameter("k")
    graph.output(k * k)
    f = graph.compile()
    explanation = f.explain(3.0)
    assert explanation.gradient is None and explanation.outputs == 9.0 and "Reverse" not in str(explanation)
    assert f.explain(3.0, wrt="k").gradient == 6.0
    graph = fg.Graph()
    graph.output(graph.constant(2.0) + 1.0)
    assert graph.compile().explain().outputs == 3.0


def test_digits():
    f = fg.trace(lambda x: x / 3.0, ())
    assert "= 0.33333\n" in str(f.explain(1.0, digits=5)) and "0.33333333333333331" in str(f.explain(1.0, digits=17))
    for digits in (0, 18, 2.0, True, None):
        with pytest.raises(ArgumentError, match="digits must be a number from 1 to 17"):
            f.explain(1.0, digits=digits)


# -- what is refused ----------------------------------------------------------------------------------------
def test_large_functions_are_refused_with_what_shows_them():
    graph = fg.Graph("large")
    x = graph.input("x", shape=60)
    graph.output(fg.sum(x * x))
    f = graph.compile()
    with pytest.raises(ArgumentError, match=r"119 operations and 60 scalar arguments.*limit=179") as error:
        f.explain(np.ones(60))
    assert "summary()" in str(error.value)
    assert f.explain(np.ones(60), limit=179).outputs == f.explain(np.ones(60), limit=None).outputs == 60.0
    with pytest.raises(ArgumentError, match="limit=179"):
        f.explain(np.ones(60), limit=178)
    for limit in (-1, 1.5, True, "all"):
        with pytest.raises(ArgumentError, match="limit must be a number"):
            f.explain(np.ones(60), limit=limit)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda f: f.explain([1.0, 2.0], 3.0, 1.0), ShapeError, r"batch shape \(2,\), but one input set"),
        (lambda f: f.explain(1.0, 2.0), ArgumentError, "misses c"),
        (lambda f: f.explain(1.0, 2.0, 3.0, d=1.0), ArgumentError, "no argument 'd'"),
        (lambda f: f.explain(1.0, 2.0, "x"), ArgumentError, "expected real numbers"),
        (lambda f: f.explain(1.0, 2.0, 3.0, wrt="d"), ArgumentError, "no argument 'd'"),
        (lambda f: f.explain(1.0, 2.0, 3.0, cotangents=[1.0, 2.0]), ShapeError, "cotangents have the batch shape"),
        (
            lambda f: several().compile().explain([1, 2, 3], 1.0, [[0, 1]]),
            ArgumentError,
            "several outputs.*cotangents=",
        ),
    ],
)
def test_what_is_refused(f, call, error, match):
    with pytest.raises(error, match=match):
        call(f)


def test_arguments_called_as_options_go_by_position():
    graph = fg.Graph()
    x, limit = graph.inputs("x", "limit")
    graph.output(x * limit)
    f = graph.compile()
    assert f.explain(2.0, 3.0).outputs == f.explain(2.0, 3.0, limit=None).outputs == 6.0
    with pytest.raises(ArgumentError, match="argument 'limit'.*pass it by position"):
        f.explain(2.0, limit=3.0)


# -- HTML ---------------------------------------------------------------------------------------------------
def test_html_has_every_cell_escaped():
    explanation = custom().compile().explain(*POINTS[custom][0])
    html = explanation._repr_html_()
    assert "&lt;lambda&gt;(x[0], x[1])" in html and "<lambda>" not in html
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html)
    assert any("w(s) = 1" in cell for cell in cells)
    assert html.count("<tr>") == html.count("</tr>") and html.count("<table") == html.count("</table>")
