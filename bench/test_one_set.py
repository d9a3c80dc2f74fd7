"""One input set: the value, and the value with its gradient, buffers ready where a library has them."""

import pytest

from bench.workloads import by_name


@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("work", by_name().values(), ids=str)
def test_one_set(benchmark, ready, peer, work, gradient):
    run = ready(peer, "one_set", work, gradient)
    benchmark.group = f"{'gradient' if gradient else 'one set'}: {work.name}"
    benchmark.extra_info["operations"] = work.n_ops
    benchmark(run)
