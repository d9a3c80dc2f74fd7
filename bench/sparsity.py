"""Time of patterns and colourings of large problems: ``python -m bench.sparsity``.

In: nothing. Out: a line a problem: seconds of each step (the second time, machine code loaded), entries and colours.
"""

import time

import numpy as np

import fastgraph as fg
from fastgraph.sparsity import (
    distance2_coloring,
    hessian_pattern,
    jacobian_pattern,
    n_colors,
    recover_columns,
    recover_star,
    star_coloring,
)


def rosenbrock(n):
    """One sum, added one term after the other."""
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    total = None
    for term in 100.0 * fg.square(x[1:] - fg.square(x[:-1])) + fg.square(1.0 - x[:-1]):
        total = term if total is None else total + term
    graph.output(total)
    return graph


def control(n, states=6, controls=2):
    """Collocation by the trapezoid rule: defects of ``n / 8`` intervals, and an objective that is a sum over all."""
    rng = np.random.default_rng(0)
    graph = fg.Graph()
    points = n // (states + controls)
    x, u = graph.input("x", shape=(points, states)), graph.input("u", shape=(points, controls))
    coupling = rng.uniform(-1.0, 1.0, (states, 3))
    rates = []
    for j in range(states):
        near = [(j + k) % states for k in range(3)]
        inner = sum(c * x[:, i] for c, i in zip(coupling[j], near, strict=True))
        rates.append(fg.sin(inner) + x[:, near[1]] * u[:, j % controls])
    graph.output(sum(fg.sum(fg.square(part)) for part in (x, u)))
    for j, rate in enumerate(rates):
        graph.output(x[1:, j] - x[:-1, j] - 0.005 * (rate[1:] + rate[:-1]))
    return graph


def arrow(n):
    """Every variable meets the first one and its neighbour."""
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    graph.output(fg.exp(x[0]) * fg.sum(x[1:]) + fg.sum(fg.sin(x[1:]) * x[:-1]))
    return graph


def network(n, width=50):
    """A dense layer for every 50 variables, of which each output sees one: blocks."""
    graph = fg.Graph()
    x = graph.input("x", shape=(n // width, width))
    weights = np.random.default_rng(0).normal(size=(width, 4))
    graph.output(fg.tanh(sum(x[:, i, None] * weights[i] for i in range(width))))
    return graph


def trajectory(n, steps=3000):
    """Explicit Euler steps of ``n`` states from their start: every state of every step depends on many of them."""
    graph = fg.Graph()
    x = graph.input("x", shape=n)
    state = x
    for _ in range(steps // n * 4):
        state = state + 0.01 * fg.sin(np.roll(state, 1)) * state
        graph.output(state)
    return graph


def timed(run, *args):
    run(*args)
    start = time.perf_counter()
    result = run(*args)
    return result, time.perf_counter() - start


def report(name, graph):
    program = graph.compile().program
    print(f"{name}: {program.n_leaves} variables, {len(program.outputs)} outputs, {program.n_operations} operations")
    for kind, pattern_of, color, recover in (
        ("Jacobian", jacobian_pattern, distance2_coloring, recover_columns),
        ("Hessian", hessian_pattern, star_coloring, recover_star),
    ):
        pattern, first = timed(pattern_of, program)
        colors, second = timed(color, pattern)
        _, third = timed(recover, pattern, colors)
        print(
            f"  {kind:8}  pattern {first:6.3f} s  colours {second:6.3f} s  recovery {third:6.3f} s   "
            f"{pattern.nnz} entries, {n_colors(colors)} colours"
        )
        if kind == "Jacobian":
            rows, seconds = timed(color, pattern.transposed())
            print(f"  {'':8}  of rows: colours {seconds:6.3f} s   {n_colors(rows)} colours")


if __name__ == "__main__":
    report("Rosenbrock", rosenbrock(100_000))
    report("control", control(100_000))
    report("arrow", arrow(100_000))
    report("blocks", network(100_000))
    report("trajectory", trajectory(300))
