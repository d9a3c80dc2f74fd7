"""Rows of the report, batches apart: what the speed contract asks for, one function a group, generators of ``Row``.

In: the installed peers. Out: rows with a time, or a size, for each peer that can do it. Every callable has passed the
gate against ``bench.reference`` before it is timed.
"""

import gc
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

from bench import start, workloads
from bench.memory import available, growth
from bench.peers import check
from bench.timing import Times, interleaved, summary


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    results: dict  # of Times, in the unit, by peer
    goal: float | None = None  # for fastgraph, in the unit
    goal_text: str = ""
    extra: str = ""


def ready(peers, kind, work, gradient, sets=None):
    """The callables of all peers that can do it, each past the gate."""
    runs = {}
    for name, peer in peers.items():
        method = getattr(peer, kind)
        if method is None or peer.too_large(work, gradient):
            continue
        run = method(work, gradient) if sets is None else method(work, sets, gradient)
        if run is not None:
            check(work, run(), work.one_set if sets is None else sets, gradient)
            runs[name] = run
            print(f"  {name} agrees on {work}", file=sys.stderr)
    return runs


def scaled(times, factor):
    """Times in units of ``factor`` seconds, or the like."""
    return {name: t / factor for name, t in times.items()}


def kind_of(gradient):
    """What a row measures, in words."""
    return "value + gradient" if gradient else "value"


def one_set(peers):
    """One input set, nanoseconds an operation."""
    goals = {1_500: (None, None), 10_000: (1.3, 4.0), 100_000: (1.3, 4.0), 1_000_000: (2.0, 6.0)}
    cases = [(workloads.arithmetic(n), goals[n]) for n in goals]
    others = [workloads.with_divisions(10_000), workloads.elementary(10_000), workloads.rosenbrock()]
    others += [workloads.scattered(1_000_000), workloads.chain(10_000), workloads.chain()]
    for work, goal in cases + [(other, (None, None)) for other in others]:
        for gradient in (False, True):
            runs = ready(peers, "one_set", work, gradient)
            times = scaled(interleaved(runs), work.n_ops * 1e-9)
            yield Row(f"one set, {work}, {kind_of(gradient)}", "ns an op", times, goal[gradient])
            del runs
            gc.collect()


def call(peers):
    """Calls of the tiny graph, microseconds."""
    work = workloads.tiny()
    for kind, what in (("call", "numbers in, numbers out"), ("one_set", "buffers ready")):
        for gradient in (False, True):
            times = scaled(interleaved(ready(peers, kind, work, gradient), rounds=15), 1e-6)
            goal = 2.0 if gradient and kind == "call" else None
            yield Row(f"call of (a+b)*(b-c), {kind_of(gradient)}, {what}", "µs", times, goal)


def latency(peers):
    """From the first recorded operation to the first value and gradient, milliseconds, in a warm process."""
    for work, goal in ((workloads.arithmetic(1_500), None), (workloads.arithmetic(10_000), 50.0)):
        ready(peers, "one_set", work, True)
        able = {name: peer for name, peer in peers.items() if peer.one_set and not peer.too_large(work, True)}
        runs = {name: lambda peer=peer, work=work: peer.one_set(work, True)() for name, peer in able.items()}
        yield Row(f"new graph, {work}, to the first gradient", "ms", scaled(interleaved(runs, rounds=5), 1e-3), goal)


def recording(peers):
    """Recording, microseconds an operation."""
    work = workloads.arithmetic(10_000)
    graph = peers["fastgraph"].record(work)
    check(work, (graph.compile().flat(work.one_set), None), work.one_set, gradient=False)
    runs = {name: lambda peer=peer: peer.record(work) for name, peer in peers.items() if peer.record}
    runs["floats"] = lambda: workloads.replay(work, work.one_set.tolist(), {})
    times = scaled(interleaved(runs), work.n_ops * 1e-6)
    loop = times.pop("floats").median
    yield Row(
        f"recording through operators, {work}", "µs an op", times, 1.0,
        extra=f"of which {loop:.2f} the recording loop itself, timed on Python floats",
    )  # fmt: skip

    def arrays():
        import fastgraph as fg

        graph = fg.Graph()
        x, y = graph.input("x", 1000), graph.input("y", 1000)
        for _ in range(5):
            x = x * y + x
        graph.output(x)
        return graph

    x, y = np.linspace(0.5, 1.5, 1000), np.linspace(0.1, 0.2, 1000)
    assert np.allclose(arrays().compile()(x, y), x * (1.0 + y) ** 5, rtol=1e-12)
    yield Row(
        "recording through arrays of expressions", "ns an op", scaled(interleaved({"fastgraph": arrays}), 1e-5), 30
    )

    def many():
        import fastgraph as fg

        x = fg.Graph().input("x", 1_000_000)
        for _ in range(10):
            x = x * x
        return x.graph

    assert len(many()) == 11_000_000
    yield Row("recording 10⁷ operations through arrays", "s", interleaved({"fastgraph": many}, rounds=3), 1.0)


def compiling(peers):
    """fastgraph's passes, verification included, nanoseconds an operation."""
    for work in (workloads.arithmetic(10_000), workloads.arithmetic(1_000_000), workloads.scattered(1_000_000)):
        graph = peers["fastgraph"].record(work)
        check(work, graph.compile().flat.value_and_grad(work.one_set), work.one_set, gradient=True)
        times = scaled(interleaved({"fastgraph": graph.compile}, rounds=5), work.n_ops * 1e-9)
        yield Row(f"passes, {work}", "ns an op", times)


def memory(peers):
    """Bytes an operation."""
    for work in (workloads.arithmetic(10_000), workloads.arithmetic(1_000_000), workloads.chain()):
        program = peers["fastgraph"].record(work).compile().program
        size = Times(*[program.nbytes / work.n_ops] * 3)
        yield Row(f"compiled program, {work}", "bytes an op", {"fastgraph": size}, 24.0)
    if not available():
        return
    n = 50_000
    sizes = {name: Times(*[growth(name, n) / n] * 3) for name in ("fastgraph", "casadi") if name in peers}
    yield Row(f"growth of a process, arithmetic_{n}, to the first gradient, at the peak", "bytes an op", sizes)


def starting(peers, rounds=5):
    """New processes, seconds: the whole command."""
    names = [name for name in start.PROGRAMS if name in peers]
    with tempfile.TemporaryDirectory() as cache:
        for name in names:
            start.run(name, cache)
        samples = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                samples[name].append(start.run(name, cache))
    for at, what in ((1, "import to first gradient"), (0, "the whole command")):
        times = {name: summary([sample[at] for sample in s]) for name, s in samples.items()}
        yield Row(f"new process, warm cache, {what}", "s", times, 0.9 if at else None)
    cold = summary([start.cold("fastgraph")[1] for _ in range(3)])
    yield Row("new process, empty cache, import to first gradient", "s", {"fastgraph": cold}, 5.0)


GROUPS = {
    "one-set": one_set,
    "call": call,
    "new-graph": latency,
    "record": recording,
    "passes": compiling,
    "memory": memory,
    "start": starting,
}
