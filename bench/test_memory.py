"""Memory: bytes of a compiled program, and what a process grows by. Sizes, not times, so nothing here is timed."""

import pytest

from bench.memory import available, growth
from bench.peers import Fastgraph
from bench.workloads import arithmetic, elementary


@pytest.mark.parametrize("work", [arithmetic(10_000), elementary(10_000), arithmetic(100_000)], ids=str)
def test_program(benchmark, work):
    benchmark.group = f"memory: program of {work.name}"
    program = benchmark.pedantic(Fastgraph().record(work).compile, rounds=1).program
    benchmark.extra_info["bytes an operation"] = program.nbytes / work.n_ops
    assert program.nbytes <= 24 * work.n_ops


def test_process(benchmark, peer):
    if peer.name not in ("fastgraph", "casadi"):
        pytest.skip(f"{peer.name} does not compile 50,000 operations")
    if not available():
        pytest.skip("this system has no /proc to read the peak from")
    benchmark.group = "memory: growth of a process, 50000 operations, first gradient"
    size = benchmark.pedantic(growth, (peer.name, 50_000), rounds=1)
    benchmark.extra_info["bytes an operation"] = size / 50_000
    assert size < 5_000 * 50_000
