"""Rows of the report about derivatives: what they cost beside a value, and sparse matrices beside the peers.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import gc

import numpy as np

from bench import derivative_costs as costs
from bench.bundle import Bundle
from bench.rows import Row, scaled
from bench.sparse_problems import Control, Rosenbrock
from bench.timing import interleaved, ratio, sampled, summary
from fastgraph.timing import digits

DIRECTIONS = (1, 2, 4, 8, 16, 64)
SLOPE = 1.5  # of the goal: k directions cost no more than 1 + 1.5 k values
BUNDLES = "ba1_n49_m7776_p31843", "ba5_n257_m65132_p225911"
AHEAD = 5.0  # times that sparse Jacobians of bundle adjustment are to be ahead of every peer


def _ratio(over, under):
    """How much one takes of the time of the other, as a result."""
    return {"fastgraph": ratio(over, under)}


def ratios(peers):
    """Gradient, Hessian-vector product and product of the Jacobian with a tangent, over value or gradient."""
    fg = peers["fastgraph"].lib
    for make in costs.PROBLEMS.values():
        problem = make(fg)
        for where, runs in (("one set", problem.one_set()), (f"batch of {problem.n_sets:,}", problem.batch())):
            times = sampled(runs)
            note = ", ".join(f"{name} {digits(summary(samples).median * 1e6)} µs" for name, samples in times.items())
            if where == "one set" and problem.f.program.n_operations < costs.SMALL:
                note += "; mostly the call in Python"
            value, gradient = times["value"], times["gradient"]
            what = f"{where}, {problem.name}"
            yield Row(f"{what}: {problem.gradient} over value (theory: 4 to 5)", "times", _ratio(gradient, value),
                      3.5, extra=note)  # fmt: skip
            yield Row(f"{what}: hvp over {problem.gradient}", "times", _ratio(times["hvp"], gradient), 3.0)
            yield Row(f"{what}: jvp over value", "times", _ratio(times["jvp"], value), 1.0 + SLOPE)
        gc.collect()


def directions(peers):
    """Products of the Jacobian with k tangents at once, over the value."""
    fg = peers["fastgraph"].lib
    for make in costs.PROBLEMS.values():
        problem = make(fg)
        for where, runs in (
            ("one set", problem.along(DIRECTIONS)),
            (f"batch of {problem.few_sets:,}", problem.batch_along(DIRECTIONS)),
        ):
            times = sampled(runs, rounds=7)
            value = times.pop("value")
            for k in DIRECTIONS:
                what = f"{where}, {problem.name}: jvp along {k} over value"
                yield Row(what, "times", _ratio(times[k], value), 1.0 + SLOPE * k)
        gc.collect()


def bundles(peers):
    """Sparse Jacobians of bundle adjustment, nanoseconds a non-zero."""
    for name in BUNDLES:
        problem = Bundle(name)
        what = f"sparse Jacobian of bundle adjustment, {name}"
        if problem.missing():
            yield Row(what, "ns a non-zero", {}, extra=f"left out: {problem.missing()}")
            continue
        runs = {name: run for name, peer in peers.items() if (run := problem.ready(peer)) is not None}
        times = scaled(interleaved(runs, rounds=7), problem.nnz * 1e-9)
        others = [t.median for peer, t in times.items() if peer != "fastgraph"]
        goal = min(others) / AHEAD if others else None
        what = f"{what}: {problem.nnz:,} non-zeros"
        yield Row(what, "ns a non-zero", times, goal, "≤ ⅕ of every peer" if goal else "")
        del runs
        gc.collect()


def sparse(peers):
    """Sparse Hessians and Jacobians of 10⁴ variables: again and again, and from the formula to the first values."""
    if "casadi" not in peers:
        yield Row("sparse Hessians and Jacobians", "µs", {}, extra="left out: casadi, the gate, is not installed")
        return
    able = [peers[name] for name in ("fastgraph", "casadi", "jax") if name in peers]
    for problem, kinds in ((Rosenbrock(), ("hessian",)), (Control(), ("hessian", "jacobian"))):
        for kind in kinds:
            wanted = problem.expected(kind, peers["casadi"].lib)
            made = {peer.name: made for peer in able if (made := problem.make(peer, kind)) is not None}
            if kind == "hessian":
                made["compressed"] = problem.compressed_hessian(peers["fastgraph"].lib)
            times = interleaved(problem.ready(made, kind, wanted), rounds=9)
            what = f"sparse {'Hessian' if kind == 'hessian' else 'Jacobian'}, {problem}"
            value = f"{digits(times['fastgraph'].median / wanted.nnz * 1e9)} ns a non-zero"
            yield Row(f"{what}: {wanted.nnz:,} non-zeros, values of one set", "µs", scaled(times, 1e-6), extra=value)
            yield _first(problem, kind, [peer for peer in able if peer.name in made], what)
            gc.collect()


def _first(problem, kind, able, what):
    """From the formula to the first values, with patterns, colours and whatever else is made once."""
    runs = {peer.name: lambda peer=peer: problem.make(peer, kind)[0](problem.x) for peer in able}
    return Row(f"{what}: from the formula to the first values", "ms", scaled(interleaved(runs, rounds=3), 1e-3))


def patterns(peers):
    """Patterns and colours of 10⁵ variables, seconds, kernels compiled."""
    from fastgraph.sparsity import distance2_coloring as columns
    from fastgraph.sparsity import hessian_pattern, jacobian_pattern, n_colors, star_coloring

    fg = peers["fastgraph"].lib
    rosenbrock, control = Rosenbrock(100_000), Control(100_000)
    cases = [
        ("Hessian", rosenbrock, rosenbrock.function(fg).program, hessian_pattern, star_coloring),
        ("Hessian", control, control.function(fg).program, hessian_pattern, star_coloring),
        ("Jacobian", control, control.constraints(fg).program, jacobian_pattern, columns),
    ]
    for what, problem, program, find, color in cases:
        wanted = np.ones(program.n_leaves, np.bool_)
        found = find(program, wanted)
        assert found.nnz > len(problem.x), "every variable has an entry, and neighbours are coupled"
        note = f"{found.nnz:,} entries, {n_colors(color(found))} colours"
        times = interleaved({"fastgraph": lambda f=find, c=color, p=program, w=wanted: c(f(p, w))}, rounds=5)
        yield Row(f"pattern and colours of the {what}, {problem}", "s", times, 2.0, extra=note)


def derivatives(peers):
    """All of them."""
    for group in (ratios, directions, bundles, sparse, patterns):
        yield from group(peers)


GROUPS = {"derivatives": derivatives}
