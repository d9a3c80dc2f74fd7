"""Calls from Python, numbers in and numbers out: what a call costs beside its arithmetic."""

import pytest

from bench.workloads import black_scholes, tiny


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("work", [tiny(), black_scholes()], ids=str)
def test_call(benchmark, ready, peer, work, gradient):
    run = ready(peer, "call", work, gradient)
    benchmark.group = f"call {'gradient' if gradient else 'value'}: {work.name}"
    benchmark(run)
