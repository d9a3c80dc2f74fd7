"""Scaling: time a set against the size of the batch, the size of the graph and the number of threads.

``python -m bench.scaling`` measures, draws docs/scaling_*.svg and rewrites the tables of docs/benchmarks.md that belong
to them; ``--only batch`` measures and prints that study and writes nothing. Every result is checked before it is timed.
"""

import argparse
import gc
import sys
import threading
from dataclasses import dataclass, field

import numpy as np

from bench import document, one_by_one, plots, workloads
from bench.machine import L1, cores
from bench.mixture import Mixture
from bench.network import Network
from bench.peers import Fastgraph, check
from bench.rows import kind_of
from bench.timing import interleaved
from fastgraph.timing import digits

SWEPT, LOOP, CALLS = "batch, machine code", "one by one, compiled loop", "one by one, Python calls"
LANE_OPS = 20_000_000  # sets times operations where the size of the graph varies
APART = "apart"
SAMPLE = 3  # sets of a batch that are held against the reference


@dataclass
class Panel:
    """One set of axes: lines of points, each a dictionary from x to seconds a unit."""

    title: str
    lines: dict = field(default_factory=dict)

    def add(self, line, x, seconds):
        self.lines.setdefault(line, {})[x] = seconds


def decades(first, last, steps=(1, 3)):
    """1, 3, 10, 30, … times ``first``, up to ``last``."""
    values, power = [], first
    while power <= last:
        values += [power * step for step in steps if power * step <= last]
        power *= 10
    return values


def checked(work, run, sets, gradient):
    """``run``, after the gate at some of the sets, the last among them."""
    value, slopes = run()
    at = np.unique(np.linspace(0, sets.shape[1] - 1, SAMPLE).astype(int))
    check(work, (value[at], slopes[:, at] if gradient else None), np.ascontiguousarray(sets[:, at]), gradient)
    return run


def timed(runs, divisor, quick):
    """Median seconds of callables that take turns, over ``divisor`` and the passes that a call makes."""
    gc.collect()
    times = interleaved(runs, rounds=1 if quick else 5, least=0.01, longest=0.0 if quick else 3.0)
    return {name: t.median / divisor / getattr(runs[name], "passes", 1) for name, t in times.items()}


# -- against the size of the batch ----------------------------------------------------------------------------
def over_batches(work, largest, by_loop, by_calls, quick):
    """Seconds a set; one by one up to the given sizes."""
    panel, every = Panel(f"{work}, {work.n_ops:,} operations"), work.sets(largest)
    for n in decades(1, largest):
        sets = np.ascontiguousarray(every[:, :n])
        kinds = {"batch": Fastgraph().batch}
        kinds |= {SWEPT: one_by_one.swept, LOOP: one_by_one.compiled} if n <= by_loop else {}
        kinds |= {CALLS: one_by_one.called} if n <= by_calls else {}
        runs = {
            (kind_of(gradient), kind): checked(work, make(work, sets, gradient), sets, gradient)
            for gradient in (False, True)
            for kind, make in kinds.items()
        }
        for line, seconds in timed(runs, n, quick).items():
            panel.add(line, n, seconds)
    return panel


def batches(quick):
    """The panels of the first plot."""
    yield over_batches(workloads.black_scholes(), 1_000 if quick else 10_000_000, 100_000, 1_000, quick)
    yield over_batches(workloads.arithmetic(1_500), 100 if quick else 1_000_000, 1_000, 100, quick)


# -- against the size of the graph ----------------------------------------------------------------------------
def graphs(quick):
    """Seconds a set and operation: batches of ``LANE_OPS``, and one set. The bound is that of ``bench.machine.L1``."""
    panel = Panel("random graphs of additions, subtractions and products")
    for n_ops in decades(10, 1_000 if quick else 1_000_000):
        work = workloads.arithmetic(n_ops)
        n = max(1, LANE_OPS // n_ops // (1_000 if quick else 1))
        sets = work.sets(n)
        batch, single = {}, {}
        for gradient in (False, True):
            kind = kind_of(gradient)
            batch[kind, "batch"] = checked(work, Fastgraph().batch(work, sets, gradient), sets, gradient)
            single[kind, "one set"] = run = Fastgraph().one_set(work, gradient)
            check(work, run(), work.one_set, gradient)
        times = timed(batch | {"L1": L1(cores()).run}, 1.0, quick)
        bound = L1.core_ns(times.pop("L1")) * 1e-9 / cores()
        for line, seconds in times.items():
            panel.add(line, n_ops, seconds / (n * n_ops))
            panel.add((line[0], "L1 bound"), n_ops, bound * (1 if line[0] == kind_of(False) else 3))
        for line, seconds in timed(single, n_ops, quick).items():
            panel.add(line, n_ops, seconds)
    yield panel


# -- against the number of threads ----------------------------------------------------------------------------
def thread_counts():
    """1, 2, 4, … and as many as there are cores."""
    return sorted({cores(), *(2**k for k in range(cores().bit_length()) if 2**k <= cores())})


def threads(quick):
    """Speed-up over one thread, per workload, of the whole call; and of as many calls of one thread at once."""
    import fastgraph as fg

    together, apart, default = Panel("the whole call"), Panel("calls apart"), fg.get_num_threads()
    try:
        for name, make in _threaded(quick):
            ready = [make() for _ in range(cores())]
            runs = {
                count: lambda count=count, run=ready[0]: (fg.set_num_threads(count), run()) for count in thread_counts()
            }
            with Apart(ready) as apart_runs:
                runs[APART] = lambda run=apart_runs: (fg.set_num_threads(1), run())
                seconds = timed(runs, 1.0, quick)
            apart.add(name, cores(), seconds.pop(APART) / cores())
            for count, s in seconds.items():
                together.add(name, count, s)
    finally:
        fg.set_num_threads(default)
    yield together
    yield apart


class Apart:
    """Calls ``runs`` all at once, each in a thread of its own: what the cores can do, and no call has to be shared."""

    def __init__(self, runs):
        self._runs, self._start, self._end = runs, threading.Barrier(len(runs)), threading.Barrier(len(runs))
        self._threads = [threading.Thread(target=self._serve, args=(run,)) for run in runs[1:]]
        self._is_over = False

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self._call

    def __exit__(self, *error):
        self._is_over = True
        self._start.wait()
        for thread in self._threads:
            thread.join()

    def _call(self):
        self._start.wait()
        self._runs[0]()
        self._end.wait()

    def _serve(self, run):
        while True:
            self._start.wait()
            if self._is_over:
                return
            run()
            self._end.wait()


def _threaded(quick):
    """Names, and functions that give a callable with results of its own."""
    cases = (workloads.black_scholes(), 1_000_000), (workloads.arithmetic(1_500), 20_000)
    for work, n in cases:
        sets = work.sets(n // (100 if quick else 1))
        for gradient in (False, True):

            def make(work=work, sets=sets, gradient=gradient):
                return checked(work, Fastgraph().batch(work, sets, gradient), sets, gradient)

            yield f"{work}, {kind_of(gradient)}", make
    for problem in (Network(1_000 if quick else 100_000), Mixture()):
        if problem.missing():
            print(f"{problem} left out: {problem.missing()}", file=sys.stderr)
        else:
            yield f"sum over {problem}, value + gradient", lambda problem=problem: problem.ready(Fastgraph())


# -- tables ---------------------------------------------------------------------------------------------------
def table(heading, panel, unit, scale, every=10):
    """Lines of Markdown: a row an x, a column a line; only powers of ten where there are many."""
    xs = sorted({x for points in panel.lines.values() for x in points})
    if every:
        xs = [x for x in xs if set(str(x)[1:]) <= {"0"} and str(x)[0] == "1"]
    names = [", ".join(line) if isinstance(line, tuple) else line for line in panel.lines]
    yield f"{panel.title}, {unit}:"
    yield ""
    yield f"| {heading} | {' | '.join(names)} |"
    yield "|--:" * (1 + len(names)) + "|"
    for x in xs:
        cells = (digits(points[x] * scale) if x in points else "" for points in panel.lines.values())
        yield f"| {x:,} | {' | '.join(cells)} |"
    yield ""


def thread_table(together, apart):
    """Lines of Markdown: a row a workload, its milliseconds and speed-up by number of threads, and of calls apart."""
    counts = sorted({x for points in together.lines.values() for x in points})
    heads = [f"{count} threads" if count > 1 else "1 thread" for count in counts]
    yield f"{together.title}, milliseconds (times faster than one thread):"
    yield ""
    yield f"| workload | {' | '.join(heads)} | {cores()} calls of 1 thread at once, each |"
    yield "|---|" + "--:|" * (1 + len(counts))
    for name, points in together.lines.items():
        times = [*(points[c] for c in counts), apart.lines[name][cores()]]
        cells = (f"{digits(t * 1e3)} ({digits(points[1] / t)}×)" for t in times)
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def _batch_lines(panels):
    return [text for panel in panels for text in table("sets", panel, "nanoseconds a set", 1e9)]


def _graph_lines(panels):
    return [text for panel in panels for text in table("operations", panel, "nanoseconds a set and operation", 1e9)]


def _thread_lines(panels):
    return list(thread_table(*panels))


STUDIES = {
    "batch": (batches, plots.batches, _batch_lines),
    "graph": (graphs, plots.graphs, _graph_lines),
    "threads": (threads, plots.threads, _thread_lines),
}


def study(name, folder=None, quick=False):
    """Measure, draw into ``folder``, if there is one, and return the lines of the tables."""
    measure, draw, describe = STUDIES[name]
    panels = list(measure(quick))
    if folder is not None:
        draw(panels, folder / f"scaling_{name}.svg")
    return describe(panels)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=STUDIES, metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    options = parser.parse_args(arguments)
    lines = []
    for name in options.only or STUDIES:
        print(f"{name} …", file=sys.stderr)
        found = study(name, document.DOCS if options.only is None else None)
        print("\n".join(found), flush=True)
        lines += found
    if options.only is None:
        peers = {"fastgraph": Fastgraph()}
        document.write("bench.scaling", document.heading("bench.scaling", peers) + lines)


if __name__ == "__main__":
    main()
