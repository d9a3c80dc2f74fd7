"""Share: what it costs to hand work to a second thread, by our pool and by concurrent.futures.

``python -m bench.share`` prints microseconds: median, first and third quartile. The threads take chunks in turn, as
those of a batch do; the kernel runs without the GIL.
"""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba

from fastgraph.engine.pool import Stop, share
from fastgraph.timing import digits

CHUNKS = 8
ROUNDS = 1000


@numba.njit(nogil=True)
def burn(n):
    x = 1.0
    for _ in range(n):
        x = x * 0.999999 + 1e-9
    return x


def by_executor(work, threads, executor=ThreadPoolExecutor(64)):  # noqa: B008 (one pool for all calls, as intended)
    stop = Stop()
    helpers = [executor.submit(work, stop) for _ in range(threads - 1)]
    work(stop)
    for helper in helpers:
        helper.cancel()
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def alone(work, threads):
    work(Stop())


def chunks_of(steps):
    """Work in ``CHUNKS`` chunks, or none where a chunk has no steps."""
    chunks = iter(range(CHUNKS if steps else 0))
    turn = threading.Lock()

    def work(stop):
        while not stop.is_set():
            with turn:
                if next(chunks, None) is None:
                    break
            burn(steps)

    return work


def main():
    burn(1)
    start = time.perf_counter()
    burn(10_000_000)
    second = 10_000_000 / (time.perf_counter() - start)
    ways = {"one thread": alone, "ours, two threads": share, "concurrent.futures, two threads": by_executor}
    for microseconds in (0, 25, 250):
        steps = int(second * microseconds * 1e-6)
        taken = {name: [] for name in ways}
        for _ in range(ROUNDS if microseconds < 250 else ROUNDS // 5):
            for name, way in ways.items():
                work = chunks_of(steps)
                start = time.perf_counter()
                way(work, 2)
                taken[name].append(1e6 * (time.perf_counter() - start))
        print(f"{CHUNKS} chunks of {microseconds} us")
        for name, samples in taken.items():
            low, median, high = statistics.quantiles(samples, n=4)
            print(f"  {name:32} {digits(median):>8} us ({digits(low)}–{digits(high)})")


if __name__ == "__main__":
    main()
