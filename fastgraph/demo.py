"""The demo: the example of the README, from the recording to the chain rule and a batch, with every number shown.

In: a batch size. Out: text on stdout. Walks the program in Python, by the rules of the op table, as the kernels do in
machine code.
"""

from time import perf_counter

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.engine.pool import get_num_threads
from fastgraph.ops import TABLE, contribution

POINT = {"a": 2.0, "b": 3.0, "c": 1.0}


def show(sets):
    """Print the example step by step, then time a batch of ``sets`` input sets."""
    print('1. Record\n\n   graph = fg.Graph("example")\n   a, b, c = graph.inputs("a", "b", "c")')
    print('   graph.output((a + b) * (b - c), name="y")\n   f = graph.compile()\n')
    graph = Graph("example")
    a, b, c = graph.inputs(*POINT)
    graph.output((a + b) * (b - c), name="y")
    f = graph.compile()

    print("2. The program: flat arrays of operations and the slots they read\n")
    print(_indented(f.program.disassemble()))

    at = ", ".join(f"{name}={value:g}" for name, value in POINT.items())
    print(f"\n3. The forward sweep at {at}: one value a slot\n")
    values = dict(enumerate(POINT.values()))
    for slot, op, operands in _operations(f.program):
        values[slot] = op.apply(None, *[values[x] for x in operands])
        print(f"   %{slot} = {op.name}({', '.join(f'{values[x]:g}' for x in operands)}) = {values[slot]:g}")

    print("\n4. The reverse sweep: w = dy/d(slot), from the output back, by the chain rule\n")
    weights = dict.fromkeys(values, 0.0)
    weights[int(f.program.outputs[0])] = 1.0
    print(f"   w%{f.program.outputs[0]} = 1")
    for slot, op, operands in reversed(_operations(f.program)):
        partials = op.partials(None, values[slot], *[values[x] for x in operands])
        for x, partial in zip(operands, partials, strict=True):
            weights[x] += contribution(None, weights[slot], partial)
            print(f"   w%{x} += w%{slot} * d%{slot}/d%{x} = {weights[slot]:g} * {partial:g}, now {weights[x]:g}")

    y, gradient = f.value_and_grad(*POINT.values())
    print(f"\n5. The same by the kernels: f.value_and_grad({', '.join(map(str, POINT.values()))})\n")
    print(f"   y = {y:g}, " + ", ".join(f"dy/d{name} = {g:g}" for name, g in zip(POINT, gradient, strict=True)))
    if [y, *gradient] != [values[max(values)], *(weights[slot] for slot in range(len(POINT)))]:
        raise AssertionError("the kernels and the walk disagree")

    print(f"\n6. A batch of {sets:,} input sets, at most {get_num_threads()} threads, best of 5\n")
    columns = np.random.default_rng(0).random((len(POINT), sets))
    out = np.empty(sets)
    for what, call in (
        ("value", lambda: f(*columns, out=out)),
        ("value and gradient", lambda: f.value_and_grad(*columns)),
    ):
        seconds = min(_seconds(call) for _ in range(5))
        print(f"   {what + ':':<20} {seconds * 1e3:8.3f} ms, {seconds / sets * 1e9:7.2f} ns a set")


def _operations(program):
    """(slot, op, operand slots) of a program without masks, in order of execution."""
    operations, slot, at = [], program.first_operation, 0
    for run in program.runs:
        op, count = TABLE[run["opcode"]], int(run["count"])
        columns = program.operands[at : at + op.arity * count].reshape(op.arity, count)
        operations += [(slot + i, op, columns[:, i].tolist()) for i in range(count)]
        slot, at = slot + count, at + op.arity * count
    return operations


def _indented(text):
    return "\n".join("   " + line for line in text.splitlines())


def _seconds(call):
    begun = perf_counter()
    call()
    return perf_counter() - begun
