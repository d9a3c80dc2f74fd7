"""Batches: many input sets at once, on as many cores as the library can use."""

import numpy as np
import pytest

from bench import workloads
from bench.machine import L1, cores

CASES = {
    "tiny": (workloads.tiny, 100_000),
    "black_scholes": (workloads.black_scholes, 100_000),
    "arithmetic_1500": (lambda: workloads.arithmetic(1_500), 5_000),
    "elementary_10000": (lambda: workloads.elementary(10_000), 500),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("case", CASES)
def test_batch(benchmark, ready, peer, case, gradient, dtype):
    make, n = CASES[case]
    work = make()
    run = ready(peer, "batch", work, gradient, work.sets(n).astype(dtype))
    benchmark.group = f"batch {'gradient' if gradient else 'value'}: {work.name} x {n}, {np.dtype(dtype)}"
    benchmark(run)


def test_bound(benchmark):
    """The additions that rows of batches are set against do add."""
    bound = L1(cores())
    bound.run()
    for numbers in bound.results():
        assert set(numbers.tolist()) == {2.0}
    benchmark.group = "batch: additions in the L1 cache"
    benchmark(bound.run)
