"""Recording: Python operators on expressions, and on arrays of expressions."""

import numpy as np
import pytest

import fastgraph as fg
from bench.peers import check
from bench.workloads import arithmetic, elementary


@pytest.mark.parametrize("work", [arithmetic(10_000), elementary(10_000)], ids=str)
def test_record(benchmark, peer, work):
    if peer.record is None:
        pytest.skip(f"{peer.name} has no recording apart from running")
    if peer.name == "fastgraph":
        check(work, (peer.record(work).compile().flat(work.one_set), None), work.one_set, gradient=False)
    benchmark.group = f"record: {work.name}"
    benchmark(peer.record, work)


def test_record_arrays(benchmark):
    """Ten operations on arrays of 1000 expressions."""

    def record():
        graph = fg.Graph()
        x, y = graph.input("x", 1000), graph.input("y", 1000)
        for _ in range(5):
            x = x * y + x
        graph.output(x)
        return graph

    x, y = np.linspace(0.5, 1.5, 1000), np.linspace(0.1, 0.2, 1000)
    assert np.allclose(record().compile()(x, y), x * (1.0 + y) ** 5, rtol=1e-12)
    benchmark.group = "record: arrays of expressions, 10000 operations"
    benchmark(record)
