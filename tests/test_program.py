"""Program: every corruption is refused or is another sound program, arrays are frozen, saved bytes are not trusted."""

import os
import subprocess
import sys
import textwrap
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ProgramError
from fastgraph.ops import TABLE
from fastgraph.program import MAX_SLOTS, RUN, Program
from tests.program_oracle import is_sound, mutate, pieces, run_unharmed, sample, small
from tests.random_graphs import EVERY, Seeded, record

ROOT = Path(__file__).resolve().parents[1]


def accepted(parts):
    """The program, if it is accepted; whether it is agrees with the second opinion."""
    try:
        program = Program(*parts)
    except ProgramError:
        assert not is_sound(*parts), f"a sound program was refused: {parts}"
        return None
    assert is_sound(*parts), f"an unsound program was accepted: {parts}"
    return program


# -- verification -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sample, small])
def test_a_sound_program_is_accepted(make):
    program = make().program
    again = accepted(pieces(program))
    assert again is not None and again.disassemble() == program.disassemble()
    run_unharmed(again)


WILD = (-1, -2, 0, 1, 2, 3, 7, 8, 15, 16, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, -(2**31))


def wild_values(dtype, *local):
    """Every wild value as the dtype holds it: -1 in an unsigned field is its largest number."""
    info = np.iinfo(dtype)
    values = {v % (info.max + 1) if info.min == 0 else v for v in (*WILD, *local, info.max, info.min)}
    return sorted(v for v in values if info.min <= v <= info.max)


def single_corruptions(parts, n_slots):
    n_leaves, constants, runs, n_value_runs, operands, outputs, tables = parts
    for k, field in product(range(len(runs)), RUN.names):
        for value in wild_values(RUN[field], int(runs[field][k]) + 1, int(runs[field][k]) - 1, len(TABLE), n_slots):
            changed = runs.copy()
            changed[field][k] = value
            yield n_leaves, constants, changed, n_value_runs, operands, outputs, tables
    for which in (4, 5):
        for k in range(len(parts[which])):
            for value in wild_values(np.uint32, int(parts[which][k]) + 1, *range(n_slots - 8, n_slots + 2)):
                changed = parts[which].copy()
                changed[k] = value
                yield *parts[:which], changed, *parts[which + 1 :]
    for value in (*WILD, 2**63 - 1, 2**63, 2**64, n_leaves + 1, n_leaves - 1):
        if 0 <= value <= MAX_SLOTS:
            yield value, constants, runs, n_value_runs, operands, outputs, tables
            yield n_leaves, constants, runs, value, operands, outputs, tables
    for k in range(len(tables)):
        for value in (0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -1.0, 1e300, np.inf, np.nan, len(tables) - k):
            changed = tables.copy()
            changed[k] = value
            yield n_leaves, constants, runs, n_value_runs, operands, outputs, changed


@pytest.mark.parametrize("make", [sample, small])
def test_every_corruption_of_a_single_field(make):
    program = make().program
    kept = 0
    tried = 0
    for parts in single_corruptions(pieces(program), program.n_slots):
        tried += 1
        changed = accepted(list(parts))
        if changed is not None:
            kept += 1
            if kept % 5 == 0 and changed.n_slots < 10_000:
                run_unharmed(changed)
    assert tried > 400 and 0 < kept < tried / 2


@pytest.mark.parametrize("seed", range(20))
def test_random_mutations(seed):
    """500 a seed, half of them of programs that were mutated before: 10,000 in all."""
    rng = np.random.default_rng(seed)
    quick = [op for op in EVERY if op.name not in ("digamma", "polygamma")]  # the interpreter's loops take a while
    graph = record(Seeded(seed), n_ops=12, n_inputs=2, n_outputs=2, ops=quick)
    parts = base = pieces(graph.compile().program if seed else small().program)
    for k in range(500):
        changed = mutate(parts if k % 2 else base, rng)
        if not (0 <= changed[0] <= MAX_SLOTS and changed[3] >= 0):
            with pytest.raises(ProgramError):
                Program(*changed)
            continue
        program = accepted(changed)
        if program is not None and program.n_slots < 10_000:
            parts = changed
            if k % 10 == 0:
                run_unharmed(program)


@pytest.mark.parametrize("name", ["n_leaves", "n_value_runs"])
@pytest.mark.parametrize("value", [-1, 2**32, 2**63 - 1, 2**63, 2**64, 10**30, 1.0, "1", None, True, np.float64(1)])
def test_counts_out_of_range_or_of_another_type(name, value):
    program = small().program
    fields = {"n_leaves": program.n_leaves, "n_value_runs": program.n_value_runs, name: value}
    with pytest.raises(ProgramError, match=name):
        Program(
            fields["n_leaves"],
            program.constants,
            program.runs,
            fields["n_value_runs"],
            program.operands,
            program.outputs,
        )


@pytest.mark.parametrize("which", [1, 2, 4, 5, 6])
def test_arrays_of_another_dtype_or_shape(which):
    parts = pieces(small().program)
    array = parts[which]
    other = {1: np.float32, 2: None, 4: np.uint64, 5: np.int32, 6: np.float32}[which]
    wrong = [array.reshape(1, -1), array.tolist(), array.tobytes(), array[:0].reshape(0, 0)]
    wrong += [None] if which != 6 else []  # tables there may be none
    wrong.append(array.astype([("opcode", "u4"), *RUN.descr[1:]]) if which == 2 else array.astype(other))
    wrong.append(array.astype(array.dtype.newbyteorder(">")))
    for value in wrong:
        with pytest.raises(ProgramError, match="one-dimensional"):
            Program(*parts[:which], value, *parts[which + 1 :])


@pytest.mark.parametrize("dtype", [np.float32, "float32", np.dtype(np.float16), np.dtype(">f4"), None, np.dtype("i8")])
def test_a_dtype_that_is_none_of_the_two(dtype):
    with pytest.raises(ProgramError, match="dtype"):
        Program(*pieces(small().program), dtype)


def test_constants_have_the_dtype_of_the_program():
    parts = pieces(small().program)
    with pytest.raises(ProgramError, match="constants must be a one-dimensional array of float32"):
        Program(*parts, np.dtype(np.float32))
    parts[1] = parts[1].astype(np.float32)
    with pytest.raises(ProgramError, match="tables must be a one-dimensional array of float32"):
        Program(*parts, np.dtype(np.float32))
    parts[6] = parts[6].astype(np.float32)
    assert Program(*parts, np.dtype(np.float32)).dtype == np.float32
    with pytest.raises(ProgramError, match="constants must be a one-dimensional array of float64"):
        Program(*parts)


@pytest.mark.parametrize("n", [2**24, -(2**24), 2**31 - 1, -(2**31)])
def test_immediates_that_float32_cannot_hold(n):
    graph = fg.Graph()
    graph.output(graph.input("x") ** 5)
    parts = pieces(graph.compile().program)
    parts[1] = parts[1].astype(np.float32)
    parts[2]["immediate"] = n
    assert Program(parts[0], np.empty(0), *parts[2:]).dtype == np.float64
    parts[6] = parts[6].astype(np.float32)
    with pytest.raises(ProgramError, match=f"immediate {n} is out of the op's range"):
        Program(*parts, np.dtype(np.float32))


def test_counts_that_overflow_when_added():
    """Two counts of 2**32 - 1, and runs whose operands would be 2**64 bytes: sums are not taken modulo anything."""
    parts = pieces(small().program)
    for counts in ((2**32 - 1,) * len(parts[2]), (2**31,) * len(parts[2]), (2**32 - 1, 1, 1, 1, 1)[: len(parts[2])]):
        runs = parts[2].copy()
        runs["count"][: len(counts)] = counts
        with pytest.raises(ProgramError):
            Program(parts[0], parts[1], runs, *parts[3:])
    with pytest.raises(ProgramError):
        Program(MAX_SLOTS, *parts[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opcode": len(TABLE)}, f"run 0: opcode {len(TABLE)} is not in the op table"),
        ({"count": 0}, "run 0: count 0"),
        ({"flags": 64}, "run 0: flags 64"),
        ({"immediate": 5}, "run 0: immediate 5 is out of the op's range"),
    ],
)
def test_errors_name_the_run_and_the_field(change, message):
    parts = pieces(small().program)
    for name, value in change.items():
        parts[2][name][0] = value
    with pytest.raises(ProgramError) as caught:
        Program(*parts)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, fg.FastgraphError)


# -- arrays are owned and read-only -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["constants", "runs", "operands", "outputs"])
def test_arrays_cannot_be_made_writeable(name):
    program = sample().program
    array = getattr(program, name)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = array[0]
    base = array
    while isinstance(base, np.ndarray):
        with pytest.raises(ValueError, match="WRITEABLE"):
            base.flags.writeable = True
        base = base.base
    with pytest.raises(AttributeError):
        setattr(program, name, array)


def test_arrays_are_copies():
    parts = pieces(small().program)
    program = Program(*parts)
    before = program.disassemble()
    for part in parts:
        if isinstance(part, np.ndarray):
            part[...] = 0
    assert program.disassemble() == before


# -- text ---------------------------------------------------------------------------------------------------

GOLDEN = """\
; 2 leaves, 1 constants, 6 operations, 6 runs, 136 bytes
%0 = input 0
%1 = input 1
%2 = constant 0.5
; run 0: 1 x gt
%3 = gt %0, %2
; run 1: 1 x powi
%4 = powi %1, -3 if %8
; run 2: 1 x sqrt
%5 = sqrt %0 if %3
; run 3: 1 x where
%6 = where %3, %5, %4
; run 4: 1 x sub
%7 = sub %6, %0
; run 5: 1 x logical_not (masks)
%8 = logical_not %3
output %7
output %3"""


def test_disassembly():
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    condition = x > 0.5
    graph.output(fg.where(condition, fg.sqrt(x), y**-3) - x)
    graph.output(condition)
    assert graph.compile().program.disassemble() == GOLDEN


def test_repr():
    graph = fg.Graph()
    graph.output(fg.sin(graph.input("x")) + 2.0)
    assert repr(graph.compile().program) == (
        "<Program: 1 leaves, 1 constants, 2 operations in 2 runs, 1 outputs, 48 bytes>"
    )
    assert repr(graph.compile(np.float32).program) == (
        "<Program of float32: 1 leaves, 1 constants, 2 operations in 2 runs, 1 outputs, 44 bytes>"
    )


# -- without trust in pointers ------------------------------------------------------------------------------

BOUNDSCHECKED = """
    import sys
    import numpy as np
    import fastgraph as fg
    from fastgraph import program
    from fastgraph.errors import ProgramError
    from tests import engines
    from tests.program_oracle import mutate, pieces
    program._verify.machine  # and so it verifies small programs, too
    rng, kept = np.random.default_rng(1), 0
    base = pieces(fg.Function.from_bytes(open(sys.argv[1], "rb").read()).program)
    for _ in range(3000):
        try:
            mutant = program.Program(*mutate(base, rng))
        except ProgramError:
            continue
        if mutant.n_slots < 10_000:
            kept += 1
            engines.tile(mutant, np.ones((mutant.n_leaves, 9)))
    print(kept)
"""


def test_accepted_programs_run_with_bounds_checks(tmp_path):
    """Numba's own checks of every index in verification and in the kernels' Numba part."""
    environment = dict(os.environ, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    saved = tmp_path / "sample.fastgraph"
    saved.write_bytes(sample().to_bytes())
    command = [sys.executable, "-c", textwrap.dedent(BOUNDSCHECKED), str(saved)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 50
