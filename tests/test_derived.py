"""Derived programs: both modes of a Jacobian, the choice of one, and what is too large for an output an entry."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import derived
from fastgraph.assembly import optimised
from fastgraph.passes.tangent import NOTHING, UNIT, tangent
from tests import engines
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, columns_of, record
from tests.test_adjoint import DYADIC, WHOLE, is_exact, unsigned
from tests.test_derivatives import EVERY_DTYPE, choices_of, chosen, function_of, whole
from tests.test_tangent import program_of, sets_of

# -- modes and sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_both_modes_give_the_jacobian(seed):
    """Columns of forward sweeps and rows of reverse sweeps: equal where nothing rounds."""
    program = program_of(seed, n_ops=15, ops=WHOLE, constants=DYADIC)
    columns, everything = derived.columns_of(program), np.ones(3, np.bool_)
    seeds = np.full((3, 3), NOTHING)
    seeds[range(3), range(3)] = UNIT
    forward, _ = tangent(columns, seeds)
    forward.outputs[:] = np.concatenate([forward.outputs[:2], forward.outputs[2:].reshape(3, 2).T.ravel()])
    made = [optimised(forward, 3), optimised(derived._reverse_columns(columns, np.arange(3)), 3)]
    leaves = np.random.default_rng(seed).integers(-3, 4, (3, 60)).astype(np.float64)
    exact = is_exact(made[0], leaves) & is_exact(made[1], leaves)
    tables = [unsigned(engines.tile(program, leaves)[0])[:, exact] for program in made]
    assert_same_bits(tables[0][2:], tables[1])
    got = engines.tile(derived.jacobian(program, everything), leaves)[0]
    assert_same_bits(unsigned(got)[:, exact], tables[1])


def test_the_cheaper_mode_is_chosen():
    """Many inputs and one output in reverse, many outputs and one input forward: both linear in their number."""
    sizes = {}
    for n in (20, 40):
        for n_inputs, n_outputs in ((n, 2), (2, n)):
            graph = fg.Graph()
            x = graph.input("x", shape=n_inputs)
            mixed_ = fg.sin(fg.sum(np.array([fg.sin(x[i] * x[0]) for i in range(n_inputs)])))
            graph.output([fg.sin(mixed_ * float(k + 2)) for k in range(n_outputs)])
            made = derived.jacobian(graph.compile().program, np.ones(n_inputs, np.bool_))
            sizes[n, n_inputs < n_outputs] = made.n_operations
    assert sizes[40, False] < 2.2 * sizes[20, False] and sizes[40, True] < 2.2 * sizes[20, True]


@EVERY_DTYPE
@pytest.mark.parametrize("form", ["one_array", "mixed", "several_outputs", "one_output_array", "trivial"])
def test_large_programs_go_by_directions(form, dtype):
    """As if there were too many rows for a program of all entries; exactly what small ones give."""
    f, rng = function_of(form, dtype), np.random.default_rng(6)
    fresh = type(f)(f.program, f.arguments, f.outputs, f.name)
    for wrt in choices_of(f):
        key = tuple(sorted(f.arguments.index(a) for a in chosen(f, wrt)[0]))
        weighted = fresh._derived("weighted")
        for holder in (fresh, weighted):
            holder._derivatives["jacobian", key] = holder._derivatives["hessian", key] = None
        for batch in ((), (3,), (2, 1), (0,)):
            args, weights = whole(rng, [batch, ()], f.arguments), whole(rng, [batch], f.outputs)
            weights = weights[0] if len(weights) == 1 else tuple(weights)
            for reduce in (None, "sum"):
                small, large = (h.jacobian(*args, wrt=wrt, reduce=reduce) for h in (f, fresh))
                assert_equal_trees(small, large)
                small, large = (h.hessian(*args, wrt=wrt, weights=weights, reduce=reduce) for h in (f, fresh))
                assert_equal_trees(small, large)


def assert_equal_trees(a, b):
    if isinstance(a, tuple):
        assert type(a) is type(b)
        for x, y in zip(a, b, strict=True):
            assert_equal_trees(x, y)
    else:
        assert a.dtype == b.dtype
        assert_same_bits(unsigned(a), unsigned(b))


def test_what_is_too_large_is_found_out(monkeypatch):
    graph = fg.Graph()
    x = graph.input("x", shape=12)
    graph.output([fg.sin(x[k] * x[k - 1]) * fg.sum(x) for k in range(12)])
    program, everything = graph.compile().program, np.ones(12, np.bool_)
    assert derived.jacobian(program, everything) is not None and derived.hessian(program, everything) is not None
    monkeypatch.setattr(derived, "MAX_ROWS", program.n_operations)
    assert derived.jacobian(program, everything) is None and derived.hessian(program, everything) is None
    f = graph.compile()
    point = np.random.default_rng(0).normal(size=(2, 12))
    large = f.jacobian(point), f.hessian(point, weights=np.ones(12))
    assert f._derivatives["jacobian", (0,)] is f._derived("weighted")._derivatives["hessian", (0,)] is None
    monkeypatch.undo()
    again = graph.compile()
    for a, b in zip(large, (again.jacobian(point), again.hessian(point, weights=np.ones(12))), strict=True):
        assert np.abs(a - b).max() <= 1e-13 * np.abs(b).max()
    assert again._derivatives["jacobian", (0,)] is not None


def test_directions_cannot_tell_a_zero_from_nothing():
    """What the notes of ``jacobian`` say: in a sweep by directions a zero meets an infinite partial, 0 * inf is nan."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output([fg.sqrt(x) + y, y * y])
    small, large = graph.compile(), graph.compile()
    large._derivatives["jacobian", (0, 1)] = None
    assert np.stack(small.jacobian(0.0, 2.0)).tolist() == [[np.inf, 0.0], [1.0, 4.0]]
    found = np.stack(large.jacobian(0.0, 2.0))
    assert np.isnan(found[1, 0]) and found[:, 1].tolist() == [0.0, 4.0] and found[0, 0] == np.inf
    assert_equal_trees(small.jacobian(0.25, 2.0), large.jacobian(0.25, 2.0))


# -- columns of programs ------------------------------------------------------------------------------------


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(10))
def test_columns_of_a_program_are_the_program(seed, dtype):
    """Masks aside, which are made again: the same values to the bit, and as many operations at most."""
    program, leaves = program_of(seed, dtype=dtype), sets_of(seed, 20, dtype)
    again = optimised(derived.columns_of(program), program.n_leaves, dtype)
    assert again.n_operations <= program.n_operations
    assert_same_bits(engines.tile(again, leaves)[0], engines.tile(program, leaves)[0])


@pytest.mark.parametrize("seed", range(10))
def test_weighted(seed):
    """A sum of products in the order of a tree, of any number of outputs."""
    n = 1 + seed % 6
    graph = record(Seeded(seed), 12, 3, n_outputs=n, ops=WHOLE, constants=DYADIC)
    program = graph.compile().program
    rng = np.random.default_rng(seed)
    leaves, weights = rng.integers(-3, 4, (3, 30)).astype(float), rng.integers(-3, 4, (n, 30)).astype(float)
    made = derived.weighted(program)
    inputs = np.concatenate([leaves, weights])
    exact = is_exact(made, inputs)
    expected = (engines.tile(program, leaves)[0] * weights).sum(0)
    assert_same_bits(unsigned(engines.tile(made, inputs)[0][0])[exact], unsigned(expected)[exact])
    assert made.n_leaves == 3 + n and len(columns_of(graph).outputs) == n
