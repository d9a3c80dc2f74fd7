"""Op by engine by precision: the interpreter, the kernels of one set, of tiles of any size and of a run give the same
bits, and true ones."""

from dataclasses import replace

import numpy as np
import pytest

from fastgraph import interpreter
from fastgraph.callee import callee_of
from fastgraph.engine.lowering import lower
from fastgraph.engine.sweeper import TILES
from fastgraph.engine.tile_kernels import PIECE
from fastgraph.engine.tiles import SIZES
from fastgraph.ops import OPS, TABLE
from fastgraph.ops.accuracy import arguments, error, immediates_of
from fastgraph.ops.fused import FUSED, Fused
from fastgraph.ops.oracle import exact_partials, exact_value, ulps
from fastgraph.program import DTYPES, RUN, Program
from tests import engines
from tests.bits import assert_same_bits, bits
from tests.random_graphs import EVERY
from tests.test_oracle import ALLOWANCE, allowance

EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# Whose partials are the derivatives of their values.
EVERY_TRUE_OP = pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
DOUBLE = DTYPES[0]
# For the test against mpmath: the other engines have the same bits.
KERNELS = [name for name in engines.ENGINES if name != "reference"]


def test_arms_leave_where_every_tile_ends():
    assert {*TILES, PIECE} <= set(SIZES)


def program_of(op, n=None, count=1, dtype=DOUBLE):
    """``count`` operations of one op, in one run, each on leaves of its own and each an output."""
    flags = sum(1 << k for k, flows in enumerate(op.flows) if flows)
    tables = np.array([len(n), *n], dtype) if op.names == "table" else None
    functions = (callee_of(n),) if op.names == "function" else ()
    runs = np.array([(op.code, flags, 0 if op.names else n or 0, count)], RUN)
    operands = np.arange(op.arity * count, dtype=np.uint32)
    outputs = np.arange(op.arity * count, (op.arity + 1) * count, dtype=np.uint32)
    return Program(op.arity * count, np.empty(0, dtype), runs, 1, operands, outputs, tables, dtype, functions)


def points_of(op, ordinary=60, special=400, dtype=DOUBLE):
    """(n, operands) blocks: ordinary arguments and special points with their neighbours, some of very many."""
    rng = np.random.default_rng(op.code)
    for n, operands in arguments(op, ordinary, seed=2, dtype=dtype):
        blocks = len(immediates_of(op, dtype) or (None,))
        split, kept = -(-ordinary // blocks), -(-special // blocks)
        edges = operands[:, split:]
        if edges.shape[1] > kept:
            edges = edges[:, rng.choice(edges.shape[1], kept, replace=False)]
        yield n, np.concatenate([operands[:, :split], edges], axis=1)


def swept(name, op, n, operands):
    """(values, partials) of shape (sets,) and (arity, sets) by an engine."""
    if name == "run":  # the sets side by side, as operations of one run
        outputs, gradient = engines.one(program_of(op, n, operands.shape[1]), operands.reshape(-1, 1))
        return outputs[:, 0], gradient.reshape(operands.shape)
    outputs, gradient = engines.of(operands.dtype)[name](program_of(op, n, dtype=operands.dtype), operands)
    return outputs[0], gradient


def disagreements(op, names, blocks):
    """The checker: where an engine's bits are not those of the interpreter, for values and for partials."""
    wrong = []
    for n, operands in blocks:
        expected = swept("reference", op, n, operands)
        for name in names:
            for kind, g, e in zip(("value", "partial"), swept(name, op, n, operands), expected, strict=True):
                for at in np.argwhere(bits(g) != bits(e)):
                    wrong.append((name, kind, n, operands[:, at[-1]].tolist(), g[tuple(at)], e[tuple(at)]))
    return wrong


def all_of(dtype):
    return [name for name in engines.of(dtype) if name != "reference"] + ["run"] * (dtype == DOUBLE)


@EVERY_DTYPE
@EVERY_OP
def test_every_engine_gives_the_bits_of_the_interpreter(op, dtype):
    blocks = list(points_of(op, dtype=dtype))
    if op.name == "polygamma":  # an odd order and an even one: the interpreter takes a second for each
        blocks = [blocks[0], blocks[-1]]
    assert disagreements(op, all_of(dtype), blocks) == []


@pytest.mark.long
@EVERY_DTYPE
def test_every_order_of_polygamma_has_the_bits_of_the_interpreter(dtype):
    op = OPS["polygamma"]
    assert disagreements(op, all_of(dtype), points_of(op, dtype=dtype)) == []


SPECIAL = (0.0, -0.0, 1.0, -1.5, 3.0, 1e-3, 1e30, -1e30, np.inf, -np.inf, np.nan)


@EVERY_DTYPE
@pytest.mark.parametrize("row", FUSED, ids=lambda row: row.name)
def test_a_fused_row_has_the_bits_of_its_operations(row, dtype):
    """Either order of a commutative one; at ordinary numbers, at special ones, and where a fused rounding shows."""
    n = row.arity
    edges = [*SPECIAL, float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)]
    edges = edges if n <= 3 else SPECIAL if n == 4 else (0.0, -0.0, 1.0, -1.5, np.inf, np.nan)
    grid = np.stack(np.meshgrid(*[edges] * n)).reshape(n, -1)
    leaves = np.concatenate([grid, np.random.default_rng(1).normal(size=(n, 999))], axis=1).astype(dtype)
    for kinds in {row.inner, row.inner[::-1]} if row.outer.commutative else {row.inner}:
        runs, operands = [], []

        def computed(op, xs, runs=runs, operands=operands):
            runs.append((op.code, 3, 0, 1))
            operands.extend(xs)
            return n + len(runs) - 1

        last = Fused(row.outer, kinds, 0).compose(range(n), computed)
        runs, outputs = np.array(runs, RUN), np.array([last], np.uint32)
        program = Program(n, np.empty(0, dtype), runs, len(runs), np.array(operands, np.uint32), outputs, dtype=dtype)
        expected, gradient = engines.reference(program, leaves)
        plan = lower(program, np.ones(n, np.bool_))
        assert plan.body.runs["opcode"].tolist() == [row.code] and plan.n_values <= n + 1
        for size in TILES:
            assert_same_bits(engines.sweep_plan(plan, program, leaves, size)[0], expected, size)
            for fused in (True, False):
                got = engines.tiles(program, leaves, size, fused)
                assert_same_bits(got[0], expected, (size, fused))
                assert_same_bits(got[1], gradient, (size, fused))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17])
@pytest.mark.parametrize("name", ["add", "exp", "div", "fma", "where", "atan2", "sqrt", "floor"])
def test_operations_at_the_end_of_a_run(name, count):
    """Runs that do not fill their last vector: the lanes past the end change nothing."""
    op = OPS[name]
    _, operands = arguments(op, count, seed=3)[0]
    for k in (0, 1):
        some = operands[:, k * count : (k + 1) * count]
        value, partials = swept("run", op, None, some)
        expected = swept("reference", op, None, some)
        assert_same_bits(value, expected[0])
        assert_same_bits(partials, expected[1])


@EVERY_TRUE_OP
def test_values_and_partials_of_each_engine_are_true(op):
    """Against mpmath: values within the row's bound, partials as far off as test_oracle allows a rule to be."""
    wrong, checked = [], 0
    for n, operands in points_of(op, ordinary=16, special=8):
        for name in (*KERNELS, "run"):
            values, partials = swept(name, op, n, operands)
            for args, value, by in zip(operands.T.tolist(), values.tolist(), partials.T.tolist(), strict=True):
                if not error(op, args, n, value, exact_value(op, args, n)) <= op.ulps:
                    wrong.append((name, args, n, value))
                if name != KERNELS[0]:
                    continue  # the bits are the same, says the first test, and true partials are slow
                for k, exact in enumerate(exact_partials(op, args, n)):
                    checked += exact is not None
                    off = 0.0 if exact is None else ulps(by[k], exact)
                    if off > ALLOWANCE and off > allowance(op, args, n, exact, k, np.float64):
                        wrong.append((name, args, n, k, by[k], float(exact)))
    assert wrong == []
    assert checked


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sin", {"partials": lambda m, r, x: (-m.cos(x),)}),
        ("mul", {"partials": lambda m, r, x, y: (x, y)}),
        ("tanh", {"partials": lambda m, r, x: (1.0 - r * r,)}),  # true, and not the same bits
        ("sqrt", {"partials": lambda m, r, x: (0.5 / r,)}),  # wrong at -0 alone
        ("div", {"value": lambda m, x, y: x * (1.0 / y)}),
        ("fma", {"value": lambda m, x, y, z: x * y + z}),
        ("maximum", {"value": lambda m, x, y: m.where(x >= y, x, y)}),  # wrong at NaN and at -0, 0
        ("where", {"partials": lambda m, r, c, x, y: (0, 1, 0)}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@EVERY_DTYPE
def test_a_wrong_rule_is_caught(monkeypatch, name, change, dtype):
    table = tuple(replace(op, **change) if op.name == name else op for op in TABLE)
    monkeypatch.setattr(interpreter, "TABLE", table)
    assert disagreements(OPS[name], ["tile"], points_of(OPS[name], dtype=dtype)) != []


def test_a_wrong_immediate_is_caught():
    _, operands = arguments(OPS["powi"], 20, seed=4)[0]
    expected, got = swept("reference", OPS["powi"], 5, operands), swept("tile", OPS["powi"], 7, operands)
    assert not np.array_equal(bits(got[0]), bits(expected[0]))
