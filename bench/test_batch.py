"""Batches: many input sets at once, on as many cores as the library can use."""

import pytest

from bench import workloads

CASES = {
    "tiny": (workloads.tiny, 100_000),
    "black_scholes": (workloads.black_scholes, 100_000),
    "arithmetic_1500": (lambda: workloads.arithmetic(1_500), 5_000),
    "elementary_10000": (lambda: workloads.elementary(10_000), 500),
}


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("case", CASES)
def test_batch(benchmark, ready, peer, case, gradient):
    make, n = CASES[case]
    work = make()
    run = ready(peer, "batch", work, gradient, work.sets(n))
    benchmark.group = f"batch {'gradient' if gradient else 'value'}: {work.name} x {n}"
    benchmark(run)
