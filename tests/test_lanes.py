"""Every row of the op table on lanes of binary32 has the bits of the NumPy machine: its value and its partials."""

import numpy as np
import pytest

from fastgraph.ops import MAX_ARITY, TABLE, contribution
from fastgraph.ops.accuracy import arguments, immediate_lanes
from fastgraph.reference import NumPyMachine
from tests.bits import assert_same_bits
from tests.lanes_harness import compile_rules, named

WIDTHS = (1, 16)


def value_and_shares(op):
    """The rule of a row as the sweeps run it: operands, immediate, adjoint -> value, then a share an operand."""

    def rule(m, *lanes):
        *operands, w = lanes
        if op.names:
            operands += [named(m, op)]
        r = m.floats(op.apply(m, *operands))
        shares = [contribution(m, w, partial) for partial in op.partials(m, r, *operands)]
        return [r] + [m.floats(0.0 if share is None else share) for share in shares]

    return rule, op.arity + (op.immediate is not None and not op.names) + 1


@pytest.fixture(scope="module")
def compiled():
    rules = {op.name: value_and_shares(op) for op in TABLE}
    return {width: compile_rules(rules, width, np.float32, results=1 + MAX_ARITY) for width in WIDTHS}


def lanes_of(op, count=150):
    """Operands and, if the op has one, its immediate, as float32 lanes: random ones, then the special points."""
    blocks = []
    for n, operands in arguments(op, count, dtype=np.float32):
        lanes = [] if op.names else immediate_lanes(op, n, operands.shape[1:], np.float32)
        blocks.append(np.array([*operands, *lanes]))
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_rows_on_lanes_of_binary32(op, compiled):
    lanes = lanes_of(op)
    weights = np.random.default_rng(op.code).normal(size=lanes.shape[1]).astype(np.float32)
    rule, _ = value_and_shares(op)
    with np.errstate(all="ignore"):
        expected = rule(NumPyMachine(np.float32), *lanes, weights)
    for width in WIDTHS:
        got = compiled[width][op.name](*lanes, weights)
        for k, array in enumerate(expected):
            assert_same_bits(got[k], np.broadcast_to(array, weights.shape), f"width {width}, result {k}")
