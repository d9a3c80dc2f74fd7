"""Soak: many threads, many functions, every layout at once, for minutes; not one bit may differ.

Threads compile the same graphs, then, round after round, call Functions that nobody has called before, all
at once. What they must get was computed beforehand by one thread, one input set at a time. ``make soak`` runs it for
``FASTGRAPH_SOAK_SECONDS``, 120 by default; every run of the tests does so for a second, in a fresh process.
"""

import os
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

import fastgraph as fg
from tests.bits import same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record
from tests.subprocesses import run
from tests.test_bits import LAYOUTS, N_INPUTS, set_by_set

N_THREADS = 8
SUMS = (1, 7, 640, 5000)  # sizes of the batches that are summed, as far as there are so many sets
# Two of all ops; one that takes few tiles at a time; one large enough that compiled passes see it; two of float32.
GRAPHS = (
    (1, np.float64, {"n_ops": 30}),
    (2, np.float64, {"n_ops": 80}),
    (3, np.float64, {"n_ops": 300, "ops": ARITHMETIC, "constants": (0.5, -1.5)}),
    (4, np.float64, {"n_ops": 900, "ops": ARITHMETIC, "constants": (0.5, -1.5)}),
    (5, np.float32, {"n_ops": 30}),
    (6, np.float32, {"n_ops": 100, "ops": ARITHMETIC, "constants": (0.5, -1.5)}),
)


@dataclass
class Known:
    """A saved function, and what it must give."""

    data: bytes
    sets: np.ndarray
    values: np.ndarray
    gradients: np.ndarray
    sums: dict

    @classmethod
    def of(cls, data, seed, largest):
        """Computed by this thread."""
        f = fg.Function.from_bytes(data)
        sets = input_sets(seed, N_INPUTS, largest)
        sums = {n: f.value_and_grad(*sets[:, :n], reduce="sum", threads=1) for n in SUMS if n <= largest}
        return cls(data, sets, *set_by_set(f, sets), sums)


class Soak:
    """What the threads share: the functions of the round, the end, and what went wrong."""

    def __init__(self, seconds, largest):
        self.largest = largest  # batch
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.start = threading.Barrier(N_THREADS, action=self.next_round)
        self.graphs = [record(Seeded(seed), n_inputs=N_INPUTS, **options) for seed, _, options in GRAPHS]
        self.compiled = [[] for _ in GRAPHS]
        self.known = None
        self.functions = None
        self.over = False
        self.calls = self.rounds = 0
        self.wrong = []

    def next_round(self):
        """Fresh functions, by whichever thread comes last."""
        if self.known is None:
            if any(len(set(data)) != 1 for data in self.compiled):
                self.wrong.append("threads that compiled one graph at once got different programs")
            self.known = [
                Known.of(data[0], seed, self.largest) for data, (seed, _, _) in zip(self.compiled, GRAPHS, strict=True)
            ]
            self.end = time.monotonic() + self.seconds
        self.functions = [fg.Function.from_bytes(known.data) for known in self.known]
        self.over = bool(self.wrong) or time.monotonic() > self.end
        self.rounds += 1

    def run(self):
        """All threads, to the end; the number of calls."""
        threads = [threading.Thread(target=self.work, args=(k,)) for k in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]
        return self.calls

    def work(self, number):
        try:
            self.compile(number)
            rng = np.random.default_rng([number, 20])
            self.start.wait()
            while not self.over:
                # Every other round all threads meet at the same functions, one after the other.
                order = range(len(GRAPHS)) if self.rounds % 2 else rng.permutation(len(GRAPHS))
                for k in order:
                    fault = self.call(rng, self.functions[k], self.known[k])
                    self.calls += 1
                    if fault:
                        self.wrong.append(f"graph {GRAPHS[k]}, thread {number}, round {self.rounds}: {fault}")
                self.start.wait()
        except BaseException as error:  # told by ``run``
            self.wrong.append(repr(error))
            self.start.abort()

    def compile(self, number):
        for turn in range(len(GRAPHS)):
            k = (turn + number) % len(GRAPHS)
            self.compiled[k].append(self.graphs[k].compile(dtype=GRAPHS[k][1]).to_bytes())

    def call(self, rng, f, known):
        """One call of a random kind; what is wrong with its result, or None."""
        count = int(rng.choice([rng.integers(1, 10), rng.integers(1, 300), rng.integers(1, self.largest + 1)]))
        first = int(rng.integers(self.largest - count + 1))
        sets, threads = known.sets[:, first : first + count], int(rng.integers(1, 4))
        values, gradients = known.values[first : first + count], known.gradients[first : first + count]
        kind = rng.integers(6)
        if kind == 0:
            what, got, expected = "value", [f(*sets, threads=threads)], [values]
        elif kind == 1:
            y, g = f.value_and_grad(*sets[:, 0].tolist())
            what, got, expected = "one set", [y, np.array(g)], [values[0], gradients[0]]
        elif kind == 2:
            count = int(rng.choice(list(known.sums)))
            y, g = f.value_and_grad(*known.sets[:, :count], reduce="sum", threads=threads)
            what, got, expected = "sum", [y, *g], [known.sums[count][0], *known.sums[count][1]]
        else:
            layout = LAYOUTS[rng.integers(len(LAYOUTS))]
            what, got, expected = layout.__name__, layout(f, sets, threads), [values, gradients]
        if all(same_bits(a, b) for a, b in zip(got, expected, strict=True)):
            return None
        return f"{what} of {count} sets from {first} with {threads} threads differs"


@pytest.mark.soak
def test_soak():
    soak = Soak(float(os.environ.get("FASTGRAPH_SOAK_SECONDS", "120")), 5000)
    print(f"\n{soak.run()} calls in {soak.rounds} rounds of {N_THREADS} threads: not one bit differs")


def test_a_second_of_it_in_a_fresh_process():
    """The kernels, the passes and everything else are used first by all threads at once."""
    calls = run("""
        from tests.test_soak import Soak
        print(Soak(1.0, 700).run())
    """)
    assert int(calls[0]) >= N_THREADS * len(GRAPHS)
