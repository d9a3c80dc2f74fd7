"""Interrupt: how long a batch goes on after Ctrl-C.

``python -m bench.interrupt`` prints milliseconds from the signal to the KeyboardInterrupt that leaves the call: median
and worst of many, by threads and size of the graph. The goal is a median under 100 ms.
"""

import os
import signal
import statistics
import threading
import time

import numpy as np

import fastgraph as fg

ROUNDS = 30
SETS = 300_000
GOAL = 100  # ms


def chain(n_ops):
    """A function of two inputs and about ``n_ops`` operations."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x
    for _ in range(n_ops // 2):
        z = z * 0.5 + y
    graph.output(z)
    return graph.compile()


def delay(f, t, threads, after):
    """Milliseconds from a signal, sent ``after`` seconds of sweeping, to its answer."""
    sent = []

    def send():
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        while True:
            f.value_and_grad(t, 1.0, threads=threads)
    except KeyboardInterrupt:
        answered = time.perf_counter()
    sender.join()
    return 1e3 * (answered - sent[0])


def main():
    rng = np.random.default_rng(1)
    medians = []
    for n_ops in (10, 200, 20_000):
        f = chain(n_ops)
        t = np.linspace(0.0, 1.0, min(SETS, 2_000_000_000 // (20 * n_ops)))
        for threads in (1, 2, 8):
            f.value_and_grad(t[:5000], 1.0, threads=threads)
            taken = [delay(f, t, threads, rng.uniform(0.02, 0.08)) for _ in range(ROUNDS)]
            medians.append(statistics.median(taken))
            print(f"{n_ops:6} operations, {threads} threads: {medians[-1]:5.1f} ms, worst {max(taken):5.1f} ms")
    print(f"worst median {max(medians):.1f} ms; goal {GOAL} ms {'met' if max(medians) < GOAL else 'MISSED'}")


if __name__ == "__main__":
    main()
