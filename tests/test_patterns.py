"""Patterns: equal to a model in plain Python, and to the tangents that duals have; nothing outside them moves."""

import mpmath
import numpy as np
import pytest

import fastgraph as fg
from fastgraph import interpreter
from fastgraph.errors import ArgumentError
from fastgraph.expr import FUNCTIONS
from fastgraph.jit import adaptive
from fastgraph.ops import TABLE, contribution
from fastgraph.ops.arrays import FLOWS, SECOND
from fastgraph.ops.dual import Dual
from fastgraph.ops.row import Anything
from fastgraph.sparsity import Pattern, flow, hessian, hessian_pattern, jacobian, jacobian_pattern
from tests.random_graphs import ARITHMETIC, EVERY, Seeded, an_immediate, plain_program, record
from tests.rough import rough_interpreter
from tests.test_dual import near_one as points
from tests.test_dual import second_derivative

EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# Whose partials are the derivatives of their values.
EVERY_TRUE_OP = pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
SEEDS = range(30)
# Constants that make a pattern be computed in each of the ways there are.
WAYS = {
    "as chosen": {},
    "by leaves, by pairs": {(jacobian, "VISIT"): 10**9, (hessian, "FEW"): 0, (hessian, "PUSHES"): 10**4},
    "by outputs, by cones": {
        (jacobian, "VISIT"): 1e-3,
        (hessian, "FEW"): 0,
        (hessian, "PUSHES"): -1,
        (hessian, "VISIT"): 1e-3,
    },
    "all given up": {(hessian, "FEW"): 0, (hessian, "PUSHES"): -1, (hessian, "VISIT"): 10**9},
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for (module, name), value in WAYS[request.param].items():
        monkeypatch.setattr(module, name, value)
    return request.param


@pytest.fixture(params=["python", "machine"])
def compiled(request, monkeypatch):
    """Run the steps as plain Python, or as machine code although the program is small."""
    for module in (jacobian, hessian, flow):
        for name, step in list(vars(module).items()):
            if isinstance(step, adaptive):
                monkeypatch.setattr(module, name, getattr(step, request.param))


def programs(seed):
    """A random program as it is compiled, and as it was recorded."""
    options = {"ops": ARITHMETIC} if seed % 3 == 0 else {}
    graph = record(Seeded(seed), n_ops=3 + 3 * seed, n_inputs=2 + seed % 7, n_outputs=1 + seed % 4, **options)
    return graph.compile().program, plain_program(graph)


def steps_of(program):
    return [(op, slot, xs) for op, slot, xs, _, _, _, is_mask in interpreter.operations(program) if not is_mask]


def leaves_below(program, wanted):
    """Per slot, the set of wanted leaves on which it depends through operands that flow."""
    sets = [{leaf} if wanted[leaf] else set() for leaf in range(program.n_leaves)]
    sets += [set() for _ in range(program.n_slots - program.n_leaves)]
    for op, slot, xs in steps_of(program):
        sets[slot] = set().union(*(sets[x] for k, x in enumerate(xs) if op.flows[k]))
    return sets


def jacobian_model(program, wanted):
    sets = leaves_below(program, wanted)
    return {(i, leaf) for i, slot in enumerate(program.outputs.tolist()) for leaf in sets[slot]}


def hessian_model(program, wanted):
    """Pairs of leaves below two operands in which an operation that an output depends on is nonlinear."""
    sets = leaves_below(program, wanted)
    reached, pairs = set(program.outputs.tolist()), set()
    for op, slot, xs in reversed(steps_of(program)):
        if slot in reached:
            reached.update(x for k, x in enumerate(xs) if op.flows[k])
            for j, x in enumerate(xs):
                for k, y in enumerate(xs):
                    if SECOND[op.code, j, k]:
                        pairs.update((a, b) for a in sets[x] for b in sets[y])
    return pairs


def entries(pattern):
    """The entries as a set; the arrays are checked on the way."""
    rows, columns = pattern.rows.tolist(), pattern.indices.tolist()
    assert pattern.indptr.dtype == pattern.indices.dtype == np.int64
    assert pattern.indptr[0] == 0 and pattern.indptr[-1] == len(columns) and len(pattern.indptr) == pattern.shape[0] + 1
    found = list(zip(rows, columns, strict=True))
    assert sorted(set(found)) == found, "rows ascend, and columns in them"
    return set(found)


def some_leaves(seed, n):
    return np.random.default_rng([seed, 5]).random(n) < (2.0 if seed % 2 else 0.6)


@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_are_those_of_the_model(seed, way):
    for program in programs(seed):
        wanted = some_leaves(seed, program.n_leaves)
        given = None if wanted.all() else wanted
        assert entries(jacobian_pattern(program, given)) == jacobian_model(program, wanted)
        assert entries(hessian_pattern(program, given)) == hessian_model(program, wanted)


@pytest.mark.parametrize("seed", range(8, 12))
def test_python_and_machine_code_agree(seed, way, compiled):
    for program in programs(seed):
        everything = np.ones(program.n_leaves, bool)
        assert entries(jacobian_pattern(program)) == jacobian_model(program, everything)
        assert entries(hessian_pattern(program)) == hessian_model(program, everything)


@pytest.mark.parametrize("n", [63, 64, 65, 130, 300])
def test_words_end_anywhere(n, way):
    """Numbers of leaves and outputs around those that fill a word."""
    rng = np.random.default_rng(n)
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    near, far = rng.permutation(n), rng.integers(n, size=n)
    graph.output(fg.sin(x) * x[near] - fg.square(x[far]) + x[0])
    graph.output(fg.sum(x[: n // 2] * x[n - n // 2 :]) * x[n - 1])
    program = graph.compile().program
    everything = np.ones(n, bool)
    assert entries(jacobian_pattern(program)) == jacobian_model(program, everything)
    assert entries(hessian_pattern(program)) == hessian_model(program, everything)


# -- numbers ------------------------------------------------------------------------------------------------


def forward_over_reverse(program, leaf):
    """Which adjoints of leaves have a tangent, structurally, where only ``leaf`` has one: a row of the Hessian."""
    anything = Anything()
    dual = Dual(anything)
    values = [dual.pair(anything, anything if i == leaf else None) for i in range(program.n_leaves)]
    values += [dual.pair(anything) for _ in program.constants]
    steps = steps_of(program)
    immediates = [[dual.pair(anything)] * (op.immediate is not None) for op, _, _ in steps]
    for (op, _, xs), n in zip(steps, immediates, strict=True):
        values.append(getattr(dual, op.name)(*(values[x] for x in xs), *n))
    adjoints = [None] * program.n_slots
    for slot in program.outputs.tolist():
        adjoints[slot] = dual.pair(anything)
    for (op, slot, xs), n in reversed(list(zip(steps, immediates, strict=True))):
        if adjoints[slot] is None:
            continue
        partials = op.partials(dual, values[slot], *(values[x] for x in xs), *n)
        for x, partial in zip(xs, partials, strict=True):
            share = contribution(dual, adjoints[slot], partial)
            if share is not None:
                adjoints[x] = share if adjoints[x] is None else adjoints[x] + share
    return [a is not None and a.tangent is not None for a in adjoints[: program.n_leaves]]


@pytest.mark.parametrize("seed", SEEDS)
def test_hessian_has_the_tangents_of_adjoints(seed):
    """What the rows give when run on duals, forward and reverse, is there; nothing else is."""
    for program in programs(seed):
        tangents = [forward_over_reverse(program, leaf) for leaf in range(program.n_leaves)]
        assert hessian_pattern(program).to_dense().tolist() == tangents


def unexpected(program, pattern_of, leaves):
    """Entries outside the pattern of the Jacobian whose derivative, by the interpreter, is not exactly 0."""
    pattern = pattern_of(program).to_dense()
    values = interpreter.forward(program, leaves)
    wrong = []
    for i in range(len(program.outputs)):
        cotangents = [float(j == i) for j in range(len(program.outputs))]
        one_output = interpreter.reverse(program, values, cotangents)[: program.n_leaves]
        # An operation that no adjoint reaches is swept, too, with the adjoint 0 that may become NaN: another output's.
        wrong += [(i, j) for j, d in enumerate(one_output) if not pattern[i, j] and np.any((d != 0.0) & ~np.isnan(d))]
    return wrong


def unexpected_second(program, pattern, leaves, step=1e-13):
    """Pairs outside the pattern of the Hessian where moving one leaf by a hair changes a bit of the other's slope."""
    _, before = interpreter.value_and_gradient(program, leaves)
    wrong = []
    for leaf in range(program.n_leaves):
        moved = [x * (1.0 + step) if i == leaf else x for i, x in enumerate(leaves)]
        _, after = interpreter.value_and_gradient(program, moved)
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            if not pattern[leaf, i] and not np.array_equal(a, b, equal_nan=True):
                wrong.append((leaf, i))
    return wrong


@pytest.mark.parametrize("seed", range(10))
def test_derivatives_outside_the_patterns_are_zero(seed):
    leaves = list(np.random.default_rng([seed, 2]).normal(scale=2.0, size=(5, 4)))
    graph = record(Seeded(seed), n_ops=25, n_inputs=5, n_outputs=3)
    with rough_interpreter():
        for program in (graph.compile().program, plain_program(graph)):
            assert unexpected(program, jacobian_pattern, leaves) == []
            assert unexpected_second(program, hessian_pattern(program).to_dense(), leaves) == []


# -- what the table says --------------------------------------------------------------------------------------


@EVERY_TRUE_OP
def test_second_partials_are_there_where_they_are_not_zero(op):
    """Against exact second derivatives: nothing is missing, and what is claimed is different from 0 somewhere."""
    second = SECOND[op.code]
    assert np.array_equal(second, second.T)
    assert not np.any(second & ~(FLOWS[op.code][:, None] & FLOWS[op.code])), "only of operands to which anything flows"
    assert not second[op.arity :].any()
    with mpmath.workprec(900):
        for j in range(op.arity):
            for k in range(op.arity):
                sizes = [abs(second_derivative(op, args, j, k, n) or 0) for args, n in points(op)]
                assert (max(sizes) > mpmath.mpf(10) ** -40) == second[j, k], (j, k)


def one_op(op):
    graph = fg.Graph()
    xs = graph.inputs(*"xyz"[: op.arity])
    xs = xs if isinstance(xs, tuple | list) else [xs]
    graph.output(FUNCTIONS[op.name](*xs, *an_immediate(op)))
    return plain_program(graph)


@pytest.mark.parametrize("op", [op for op in EVERY if SECOND[op.code].any()], ids=lambda op: op.name)
def test_forgetting_that_an_op_is_nonlinear_is_caught(op, monkeypatch):
    leaves = [np.array([x]) for x in next(iter(points(op)))[0]]
    program = one_op(op)
    assert unexpected_second(program, hessian_pattern(program).to_dense(), leaves, 1e-6) == []
    forgetful = SECOND.copy()
    forgetful[op.code] = False
    monkeypatch.setattr(hessian, "SECOND", forgetful)
    assert unexpected_second(program, hessian_pattern(program).to_dense(), leaves, 1e-6) != []


@pytest.mark.parametrize("op", [op for op in TABLE if any(op.flows)], ids=lambda op: op.name)
def test_forgetting_an_entry_is_caught(op):
    leaves = [np.array([x, 1.1 * x, 0.7 * x]) for x in next(iter(points(op)))[0]]
    program = one_op(op)
    assert unexpected(program, jacobian_pattern, leaves) == []
    empty = Pattern.of_dense(np.zeros((1, op.arity)))
    flowing = {(0, k) for k in range(op.arity) if op.flows[k]}
    found = unexpected(program, lambda program: empty, leaves)
    assert found and flowing.issuperset(found)


# -- by hand ----------------------------------------------------------------------------------------------


def of(record_, n, pattern_of=hessian_pattern, **options):
    graph = fg.Graph()
    graph.output(record_(graph.input("x", shape=n)))
    return pattern_of(graph.compile().program, **options).to_dense().astype(int).tolist()


def test_both_branches_are_covered():
    choice = lambda x: fg.where(x[2] > 0.0, x[0] * x[1], fg.log(x[3]))
    assert of(choice, 4, jacobian_pattern) == [[1, 1, 0, 1]]
    assert of(choice, 4) == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_what_never_flows_has_no_entry():
    flat = lambda x: fg.floor(x[0]) + fg.sign(x[1]) + (x[2] > 0.0) * x[3]
    assert of(flat, 4, jacobian_pattern) == [[0, 0, 0, 1]]
    assert not np.any(of(flat, 4))


def test_piecewise_linear_has_no_hessian():
    assert not np.any(of(lambda x: abs(x[0]) + fg.maximum(x[1], x[2] % x[0]), 3))


def test_linear_functions_of_nonlinear_ones_do_not_mix_them():
    assert of(lambda x: fg.sum(fg.exp(x)), 3) == np.eye(3).tolist()
    assert of(lambda x: fg.exp(fg.sum(x)), 3) == np.ones((3, 3)).tolist()


def test_sum_of_all_outputs():
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(x[0] * x[1])
    graph.output(fg.sin(x[2]))
    assert hessian_pattern(graph.compile().program).to_dense().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_an_output_that_is_a_leaf_or_a_constant():
    graph = fg.Graph()
    x = graph.input("x", shape=2)
    graph.output(x[1])
    graph.output(graph.constant(3.0))
    program = graph.compile().program
    assert jacobian_pattern(program).to_dense().tolist() == [[False, True], [False, False]]
    assert hessian_pattern(program).nnz == 0


def test_wanted_restricts_columns():
    product = lambda x: x[0] * x[1] * x[2]
    wanted = np.array([True, False, True])
    assert of(product, 3, jacobian_pattern, wanted=wanted) == [[1, 0, 1]]
    assert of(product, 3, wanted=wanted) == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert not np.any(of(product, 3, wanted=np.zeros(3, bool)))


@pytest.mark.parametrize("wanted", [np.ones(2, bool), np.ones(3), [True] * 3])
def test_wanted_is_checked(wanted, f):
    for pattern_of in (jacobian_pattern, hessian_pattern):
        with pytest.raises(ArgumentError, match=r"wanted must be an array of bool of shape \(3,\)"):
            pattern_of(f.program, wanted)


@pytest.fixture(scope="module")
def chain():
    graph = fg.Graph()
    x = graph.input("x", shape=2)
    y = x[0]
    for _ in range(500_000):
        y = fg.sin(y) + x[1]
    graph.output(y)
    return graph.compile().program


def test_chain_of_a_million_operations(chain, way):
    assert chain.n_operations == 1_000_000
    assert jacobian_pattern(chain).to_dense().all()
    assert hessian_pattern(chain).to_dense().all()


def test_a_long_sum_is_linear_work(monkeypatch):
    """No set of leaves is copied from term to term: some pushes a term suffice, or another way would be tried."""
    monkeypatch.setattr(hessian, "_by_cones", None)
    monkeypatch.setattr(hessian, "_by_words", None)
    n = 20_000
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    total = None
    for term in fg.square(x[1:] - fg.square(x[:-1])):
        total = term if total is None else total + term
    graph.output(total * x[0])
    program = graph.compile().program
    pattern = hessian_pattern(program)
    i = np.arange(n)
    band = {(a, b) for a in i.tolist() for b in (a - 1, a, a + 1) if 0 <= b < n}
    assert entries(pattern) == band | {(0, b) for b in i.tolist()} | {(a, 0) for a in i.tolist()}
    assert jacobian_pattern(program).indices.tolist() == i.tolist()
