"""What a row says its partials do not read may hold anything: the sweeps put other numbers there."""

from dataclasses import replace

import numpy as np
import pytest

from fastgraph.ops import MAX_ARITY, OPS, TABLE, contribution
from fastgraph.ops.accuracy import arguments, immediate_lanes
from fastgraph.ops.arrays import READS
from fastgraph.program import DTYPES
from tests.bits import bits
from tests.rough import Rough

POISONS = (np.nan, np.inf, -0.0, 1e-30, -1e30)


def shares(op, m, weight, r, operands, n):
    """What the op hands to each operand, as arrays of one shape; None where nothing flows."""
    immediate = immediate_lanes(op, n, weight.shape, m.dtype)
    with np.errstate(all="ignore"):
        partials = op.partials(m, r, *operands, *immediate)
        given = [contribution(m, weight, partial) for partial in partials]
    return [None if share is None else np.broadcast_to(m.floats(share), weight.shape) for share in given]


def wrongly_unread(op, dtype):
    """(slot, poison, operand) of contributions that a number which is not read changes."""
    m, wrong = Rough(dtype), []
    slow = op.name in ("polygamma", "digamma")
    for n, operands in arguments(op, 40, seed=5, dtype=dtype)[:3]:
        operands = operands[:, : 30 if slow else 400]
        weight = np.random.default_rng(op.code).normal(size=operands.shape[1]).astype(dtype)
        immediate = immediate_lanes(op, n, weight.shape, dtype)
        with np.errstate(all="ignore"):
            r = np.broadcast_to(m.floats(op.apply(m, *operands, *immediate)), weight.shape)
        right = shares(op, m, weight, r, operands, n)
        for slot, read in enumerate(op.reads):
            for poison in () if read else POISONS[:1] if slow else POISONS:
                poisoned = [*operands, r]
                poisoned[slot] = np.full(weight.shape, poison, dtype)
                got = shares(op, m, weight, poisoned[-1], poisoned[:-1], n)
                for k, (share, expected) in enumerate(zip(got, right, strict=True)):
                    if expected is not None and (bits(share) != bits(expected)).any():
                        wrong.append((slot, poison, k))
    return wrong


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_what_is_not_read_changes_nothing(op, dtype):
    assert len(op.reads) == op.arity + 1
    assert wrongly_unread(op, dtype) == []


SEEN = [("mul", 0), ("sin", 0), ("exp", 1), ("div", 1), ("where", 0), ("hypot", 2), ("atan2", 1), ("fma", 1)]


@pytest.mark.parametrize(("name", "slot"), SEEN)
def test_a_read_that_is_not_noticed_is_caught(name, slot, monkeypatch):
    op = OPS[name]
    reads = tuple(read and k != slot for k, read in enumerate(op.reads))
    assert reads != op.reads
    monkeypatch.setattr(type(op), "reads", property(lambda self: reads))
    assert wrongly_unread(op, DTYPES[0]) != []


def test_a_slow_path_is_looked_into():
    op = replace(OPS["sin"], partials=lambda m, r, x: (m.rare(r > 1.0, lambda: x * 2.0, r),))
    assert op.reads == (True, True)


@pytest.mark.parametrize(
    "partials",
    [
        lambda m, r, x: (m.where(r > 1.0, (x, r), (r, r))[0],),
        lambda m, r, x: (m.loop((r, x), lambda a, b: a < 1.0, lambda a, b: (a + b, b))[0],),
    ],
    ids=["a tuple", "a loop's state"],
)
def test_what_cannot_be_looked_into_is_refused(partials):
    with pytest.raises(TypeError):
        assert replace(OPS["sin"], partials=partials).reads


def test_the_table_as_an_array():
    assert READS.shape == (len(TABLE), MAX_ARITY + 1)
    for op in TABLE:
        assert READS[op.code, : op.arity].tolist() == list(op.reads[:-1])
        assert READS[op.code, op.arity : MAX_ARITY].tolist() == [False] * (MAX_ARITY - op.arity)
        assert READS[op.code, MAX_ARITY] == op.reads[-1]
