"""What the tests of programs share: samples, mutations, and a second opinion on ``Program.verify``.

The second opinion checks the documented rules of a program one by one, in plain Python.
"""

import numpy as np

import fastgraph as fg
from fastgraph.ops import TABLE
from tests import engines
from tests.bits import assert_same_bits

MASKED, MAX_SLOTS = 8, 2**32 - 1
EDGES = (0, 1, 2, 7, 8, 9, 15, 16, 63, 64, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def sample():
    """A program with everything in it: constants, immediates, several outputs, masks and mask runs."""
    graph = fg.Graph("sample")
    x, y, k = graph.input("x"), graph.input("y"), graph.parameter("k")
    z = fg.where((x > 0.0) & ~(y < k), fg.log(x) * fg.sqrt(y), x**3 - y / 3.0)
    graph.output(z + fg.where(x > 0.0, fg.log(x), x) + fg.fma(x, y, 2.5), name="z")
    graph.output(k**-5 * fg.floor(x) + fg.sin(y), name="w")
    graph.output(fg.interp(y, [-1.0, 0.25, 2.0], [1.0, 3.0, -2.0]), name="v")
    return graph.compile()


def small():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.where(x > 0.5, fg.sqrt(x), y) * x)
    return graph.compile()


def run_unharmed(program):
    """Sweep a program that was accepted: the kernels give what the interpreter gives, which checks every index."""
    assert program.n_slots < 10_000
    leaves = np.random.default_rng(0).normal(size=(program.n_leaves, 9))
    expected = engines.reference(program, leaves) if program.n_leaves else None
    for name in ("one", "tile"):
        got = engines.ENGINES[name](program, leaves)
        if expected is not None:
            assert_same_bits(got[0], expected[0], name)
            assert_same_bits(got[1], expected[1], name)


def is_sound(n_leaves, constants, runs, n_value_runs, operands, outputs, tables):
    """Whether the pieces are those of a program, by the documentation of ``Program`` and of the kernels' layout."""
    runs = [tuple(map(int, run)) for run in runs.tolist()]
    operands, outputs = operands.tolist(), outputs.tolist()
    n_operations = sum(count for *_, count in runs)
    first = n_leaves + len(constants)
    n_slots = first + n_operations
    if not (0 <= n_value_runs <= len(runs) and n_leaves >= 0 and n_slots <= MAX_SLOTS and outputs):
        return False
    if n_operations > len(operands):
        return False
    places, place = [], 0
    while place < len(tables):
        if tables[place] not in range(1, len(tables) - place):
            return False
        places.append(place)
        place += 1 + int(tables[place])
    steps, slot, at, n_values = [], first, 0, first
    for k, (opcode, flags, immediate, count) in enumerate(runs):
        if opcode >= len(TABLE) or count < 1 or flags >= 2 * MASKED:
            return False
        op = TABLE[opcode]
        low, high = op.immediate or (0, 0)
        columns = op.arity + (1 if flags & MASKED else 0)
        if op.names == "function" or op.names == "table" and immediate not in places:
            return False
        if not low <= immediate <= high or at + columns * count > len(operands):
            return False
        for i in range(count):
            row = [operands[at + c * count + i] for c in range(columns)]
            # Operands come before the run, not only before the operation: a run's operations are independent.
            if any(x >= slot for x in row[: op.arity]) or any(x >= n_slots for x in row[op.arity :]):
                return False
            steps.append((op, slot + i, row[: op.arity], flags, k >= n_value_runs))
        slot += count
        at += columns * count
        if k < n_value_runs:
            n_values = slot
    if at != len(operands) or any(y >= n_values for y in outputs):
        return False
    return _flags_follow(steps, n_leaves, outputs)


def _flags_follow(steps, n_leaves, outputs):
    """Whether an adjoint is handed to just those operands that depend on a leaf, by operations an adjoint reaches."""
    varying = set()
    for op, slot, row, _, _ in steps:
        if any(op.flows[k] and (x < n_leaves or x in varying) for k, x in enumerate(row)):
            varying.add(slot)
    reached = set(outputs)
    for op, slot, row, flags, is_mask in reversed(steps):
        expected = 0
        if not is_mask and slot in reached:
            for k, x in enumerate(row):
                if op.flows[k] and (x < n_leaves or x in varying):
                    expected |= 1 << k
                    reached.add(x)
        if flags & 7 != expected or (flags & MASKED and not expected):
            return False
    return True


def pieces(program):
    """The arguments that make an equal program, as writeable copies."""
    return [
        program.n_leaves,
        program.constants.copy(),
        program.runs.copy(),
        program.n_value_runs,
        program.operands.copy(),
        program.outputs.copy(),
        program.tables.copy(),
    ]


def mutate(parts, rng):
    """Change one field of a program's pieces, in place of a copy; return the pieces and what was changed."""
    parts = [part.copy() if isinstance(part, np.ndarray) else part for part in parts]
    n_leaves, constants, runs, n_value_runs, operands, outputs, tables = parts
    n_slots = n_leaves + len(constants) + int(runs["count"].sum())
    kind = int(rng.integers(13))
    value = int(
        (*EDGES, n_slots - 1, n_slots, n_slots + 1)[rng.integers(len(EDGES) + 3)]
        if rng.random() < 0.5
        else rng.integers(n_slots + 2)
    )
    if kind < 4 and len(operands):
        operands[rng.integers(len(operands))] = value
        if kind == 0:
            operands[rng.integers(len(operands))] = int(rng.integers(n_slots))
    elif kind < 8 and len(runs):
        name = ("opcode", "flags", "immediate", "count")[kind - 4]
        at = rng.integers(len(runs))
        step = int(rng.choice([-2, -1, 1, 2])) if rng.random() < 0.5 else 0
        size = {"opcode": 2**16, "flags": 2**16, "immediate": 2**31, "count": 2**32}[name]
        runs[name][at] = (int(runs[name][at]) + step) % size if step else value % size
        if name == "opcode" and rng.random() < 0.5:
            runs["opcode"][at] = rng.integers(len(TABLE))
    elif kind == 8:
        outputs[rng.integers(len(outputs))] = value
    elif kind == 9:
        parts[0] = value if rng.random() < 0.5 else n_leaves + int(rng.integers(-1, 2))
    elif kind == 10:
        parts[3] = int(rng.integers(-1, len(runs) + 2))
    elif kind == 11 and len(tables):
        tables[rng.integers(len(tables))] = rng.choice([0.0, 0.5, 2.0, len(tables) - 1.0, np.nan, -1.0, 1e30])
    else:
        which = (1, 2, 4, 5, 6)[rng.integers(5)]
        array = parts[which]
        cut = int(rng.integers(len(array) + 1))
        parts[which] = array[:cut] if rng.random() < 0.5 else np.concatenate([array, array[cut : cut + 1]])
    return parts
