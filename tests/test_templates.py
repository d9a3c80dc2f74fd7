"""Templates: each computes what its rule says, to the bit; keys, constants, places; a wrong rule is noticed."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.ops import OPS, TABLE, contribution
from fastgraph.ops.accuracy import immediate_lanes
from fastgraph.ops.arrays import ARITY, IMMEDIATE
from fastgraph.ops.dual import tangent_of
from fastgraph.passes import templates as module
from fastgraph.passes.templates import (
    ABOUT,
    CONSTANTS,
    MASK,
    N_PLACES,
    RESULT,
    WEIGHT,
    adjoint_rule,
    constant_rows,
    instantiate,
    node_at,
    tangent_rule,
    templates_of,
)
from fastgraph.reference import NumPyMachine
from tests.bits import assert_same_bits, same_bits
from tests.mp_sweeps import RecordedRules
from tests.wrong_rules import WRONG, rule_of

EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
SETS = 40


def immediates(op):
    """Those whose derivatives have an immediate that the op takes."""
    if op.names:
        return op.domain.immediates
    low, high = op.immediate or (0, 0)
    return [n for n in op.domain.immediates if low < n < high and abs(n) < 30][:5] or [0]


def row_of(op, n=0):
    """One operation on nodes 0, 1, 2."""
    row = np.zeros((1, N_COLUMNS), np.uint32)
    row[0, 0], row[0, 1 : 1 + op.arity] = op.code, range(op.arity)
    if op.immediate is not None:
        row[0, 1 + op.arity] = 0 if op.names else np.uint32(n & 0xFFFFFFFF)
    return row


def values_at_places(op, n, seed=0):
    """Arrays for every place of a template: ordinary and special operands, their result, tangents or an adjoint."""
    rng = np.random.default_rng([op.code, seed])
    values = rng.choice([-2.0, -1.0, 0.0, 1.0, 0.5, np.inf, np.nan], (N_PLACES, SETS)) + 0.0
    for k in range(op.arity):
        low, high = (max(op.domain.intervals[k][0], -3.0), min(op.domain.intervals[k][1], 3.0))
        ordinary = rng.uniform(low, high, SETS)
        values[k] = np.where(rng.random(SETS) < 0.6, ordinary, rng.choice(op.domain.specials[k], SETS))
    given = () if op.immediate is None else immediate_lanes(op, n, SETS)
    values[RESULT] = op.apply(NumPyMachine(), *values[: op.arity], *given)
    return values


def computed(templates, number, values):
    """What a template's rows compute from the values at places; None where it has no result."""
    m, values = NumPyMachine(), list(values)

    def at(place):
        return np.full(SETS, templates.constants[place - CONSTANTS]) if place >= CONSTANTS else values[place]

    start = templates.starts[number]
    for row in templates.rows[start : start + templates.counts[number]]:
        op = TABLE[row[0]]
        n = (np.full(SETS, float(np.uint32(row[1 + op.arity]).astype(np.int32))),) if op.immediate is not None else ()
        values.append(m.floats(op.apply(m, *(at(place) for place in row[1 : 1 + op.arity]), *n)))
    return [None if place == -1 else at(place) for place in templates.results[number]]


def expected_of(rule, op, pattern, masked, values, n):
    """The same rule on NumPy arrays."""
    m = RecordedRules()
    given = () if op.immediate is None else immediate_lanes(op, n, SETS)
    operands, result = list(values[: op.arity]), values[RESULT]
    if rule is tangent_rule:
        tangents = [values[ABOUT + k] if pattern >> k & 1 else None for k in range(op.arity)]
        return [tangent_of(m, op, result, [*operands, *given], tangents)]
    shares = []
    for k, partial in enumerate(op.partials(m, result, *operands, *given)):
        share = contribution(m, values[WEIGHT], partial) if pattern >> k & 1 else None
        shares.append(share if share is None or not masked else m.where(values[MASK] != 0.0, share, 0.0))
    return shares


def wrong_results(op, n, values):
    """(rule, pattern, masked, result) of the templates of ``op`` that do not compute what the rule gives."""
    wrong = []
    for rule in (tangent_rule, adjoint_rule):
        for pattern in range(1, 1 << op.arity):
            for masked in (False,) if rule is tangent_rule else (False, True):
                flags = np.array([masked])
                templates, numbers = templates_of(rule, row_of(op, n), np.array([pattern], np.uint8), flags)
                got = computed(templates, int(numbers[0]), values)
                expected = expected_of(rule, op, pattern, masked, values, n)
                for k, wanted in enumerate(expected + [None] * (len(got) - len(expected))):
                    right = (got[k] is None) == (wanted is None) and (
                        wanted is None or same_bits(got[k], np.broadcast_to(wanted, SETS))
                    )
                    if not right:
                        wrong.append((rule.__name__, pattern, masked, k))
    return wrong


@EVERY_OP
def test_templates_compute_what_rules_say(op):
    """Every pattern of operands, with a mask and without, at special values, too."""
    with np.errstate(all="ignore"):
        for n in immediates(op)[: 1 if op.name == "polygamma" else 5]:
            assert wrong_results(op, n, values_at_places(op, n)) == [], n


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_noticed(monkeypatch, name):
    op = OPS[name]
    with np.errstate(all="ignore"):
        values = values_at_places(op, 0)
        assert wrong_results(op, 0, values) == []
        with rule_of(monkeypatch, name, WRONG[name][1]):
            assert wrong_results(op, 0, values) != []
        assert wrong_results(op, 0, values) == []


@EVERY_OP
def test_rows_refer_to_what_is_there(op):
    """Places before the row's own, constants that exist, codes of the table, and zeros in columns without a use."""
    for rule in (tangent_rule, adjoint_rule):
        for pattern in range(1, 1 << op.arity):
            templates, numbers = templates_of(rule, row_of(op, immediates(op)[0]), np.array([pattern], np.uint8))
            assert numbers.tolist() == [0] and len(templates.rows) == templates.counts[0] == templates.longest
            for j, row in enumerate(templates.rows.tolist()):
                arity = ARITY[row[0]]
                for place in row[1 : 1 + arity]:
                    assert 0 <= place < N_PLACES + j or 0 <= place - CONSTANTS < len(templates.constants)
                assert not any(row[1 + arity + IMMEDIATE[row[0]] :])
            for k in range(op.arity if rule is adjoint_rule else 1):
                reached = pattern >> k & 1 if rule is adjoint_rule else True
                assert reached or templates.results[0, k] == -1


def rows_of(*operations):
    return np.concatenate([row_of(OPS[name], n) for name, n in operations])


def test_equal_keys_share_a_template():
    rows = rows_of(("sin", 0), ("mul", 0), ("sin", 0), ("powi", 3), ("powi", -3), ("powi", 3), ("mul", 0), ("mul", 0))
    patterns = np.array([1, 3, 1, 1, 1, 1, 3, 1], np.uint8)
    templates, numbers = templates_of(adjoint_rule, rows, patterns)
    first = [numbers.tolist().index(number) for number in numbers.tolist()]
    assert first == [0, 1, 0, 3, 4, 3, 1, 7]
    assert len(templates.counts) == len(templates.starts) == len(templates.results) == 5
    assert templates.starts.tolist() == [0, *np.cumsum(templates.counts)[:-1].tolist()]
    masked = np.array([False, True, True, False, False, True, False, False])
    _, numbers = templates_of(adjoint_rule, rows, patterns, masked)
    first = [numbers.tolist().index(number) for number in numbers.tolist()]
    assert first == [0, 1, 2, 3, 4, 5, 6, 7]


def test_patterns_of_several_directions():
    rows = rows_of(("mul", 0), ("exp", 0))
    patterns = np.array([[0, 1, 2, 3], [1, 0, 1, 0]], np.uint8)
    templates, numbers = templates_of(tangent_rule, rows, patterns)
    assert numbers.shape == patterns.shape and ((numbers == -1) == (patterns == 0)).all()
    assert len(set(numbers[0, 1:].tolist())) == 3 and numbers[1, 0] == numbers[1, 2]
    assert templates.counts[numbers[0, 3]] == 3 and templates.counts[numbers[1, 0]] == 1


def test_nothing_wanted_gives_no_templates():
    for rule in (tangent_rule, adjoint_rule):
        templates, numbers = templates_of(rule, rows_of(("sin", 0)), np.zeros(1, np.uint8))
        assert numbers.tolist() == [-1] and len(templates.counts) == 0 and templates.longest == 0
        assert templates.rows.shape == (0, N_COLUMNS) and templates.results.shape == (0, 3)
        assert len(templates.constants) == 0


def test_constants_of_several_templates_do_not_mix():
    """Each template reads its own, wherever it stands among the others."""
    names = ("erf", "exp2", "erfc", "ndtr", "log10", "square", "tan")
    patterns = np.ones(len(names), np.uint8)
    templates, numbers = templates_of(adjoint_rule, rows_of(*((name, 0) for name in names)), patterns)
    with np.errstate(all="ignore"):
        for name, number in zip(names, numbers.tolist(), strict=True):
            values = values_at_places(OPS[name], 0)
            (expected,) = expected_of(adjoint_rule, OPS[name], 1, False, values, 0)
            assert_same_bits(computed(templates, number, values)[0], expected, name)


def test_negative_immediates_are_kept():
    templates, numbers = templates_of(adjoint_rule, row_of(OPS["powi"], -7), np.array([1], np.uint8))
    (powi,) = templates.rows[templates.rows[:, 0] == OPS["powi"].code]
    assert np.uint32(powi[2]).astype(np.int32) == -8


def test_instantiate_writes_rows_and_places():
    """The rows of 1.0 / y and -r / y with numbers of nodes for places, from row 40 on."""
    op = OPS["div"]
    templates, _ = templates_of(adjoint_rule, row_of(op), np.array([3], np.uint8))
    places = np.zeros(N_PLACES + templates.longest, np.int64)
    places[0], places[1], places[RESULT], places[WEIGHT] = 10, 11, 12, 13
    out = np.full((60, N_COLUMNS), 99, np.uint32)
    arrays = templates.starts, templates.counts, templates.rows, ARITY, IMMEDIATE
    end = instantiate(0, places, 20, *arrays, out, 40)
    assert end == 40 + templates.counts[0] and (out[:40] == 99).all() and (out[end:] == 99).all()
    listed = [[TABLE[code].name, *operands[: TABLE[code].arity]] for code, *operands in out[40:end].tolist()]
    assert sorted(name for name, *_ in listed) == ["div", "div", "mul", "mul", "neg"]
    assert ["div", 20, 11] in listed and ["neg", 12] in listed
    assert ["div", 40 + listed.index(["neg", 12]), 11] in listed
    for k in (0, 1):
        node = node_at(templates.results[0, k], places, 20)
        name, weight, partial = listed[node - 40]
        assert (name, weight, listed[partial - 40][0]) == ("mul", 13, "div")


def test_constant_rows():
    rows = constant_rows(3, 2)
    assert rows.tolist() == [[CONSTANT, 3, 0, 0], [CONSTANT, 4, 0, 0]] and rows.dtype == np.uint32


def test_tracing_happens_once_a_key():
    """A graph of many operations of a few kinds traces a few rules."""
    module._traced.cache_clear()
    graph = fg.Graph()
    x = graph.input("x")
    y = x
    for _ in range(80):
        y = fg.sin(y) * x + y
    graph.output(y)
    f = graph.compile()
    f.jvp((0.5,), 1.0)
    assert module._traced.cache_info().misses <= 3 and module._traced.cache_info().currsize <= 3
    assert graph.columns()[0][0, 0] == INPUT
