"""The demo: the example of the README, from the recording to the chain rule and a batch, with every number shown.

In: a batch size. Out: text on stdout.
"""

from time import perf_counter

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.engine.pool import get_num_threads

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

    arguments = ", ".join(f"{value:g}" for value in POINT.values())
    print(f"\n3. The chain rule by hand: f.explain({arguments})\n")
    explanation = f.explain(*POINT.values())
    print(_indented(str(explanation)))

    y, gradient = f.value_and_grad(*POINT.values())
    print(f"\n4. The same by the kernels: f.value_and_grad({arguments})\n")
    print(f"   y = {y:g}, " + ", ".join(f"dy/d{name} = {g:g}" for name, g in zip(POINT, gradient, strict=True)))
    if (y, gradient) != (explanation.outputs, explanation.gradient):
        raise AssertionError("the kernels and the explanation disagree")

    print(f"\n5. A batch of {sets:,} input sets, at most {get_num_threads()} threads, best of 5\n")
    columns = np.random.default_rng(0).random((len(POINT), sets))
    out = np.empty(sets)
    for what, call in (
        ("value", lambda: f(*columns, out=out)),
        ("value and gradient", lambda: f.value_and_grad(*columns)),
    ):
        seconds = min(_seconds(call) for _ in range(5))
        print(f"   {what + ':':<20} {seconds * 1e3:8.3f} ms, {seconds / sets * 1e9:7.2f} ns a set")


def _indented(text):
    return "\n".join("   " + line if line else "" for line in text.splitlines())


def _seconds(call):
    begun = perf_counter()
    call()
    return perf_counter() - begun
