"""Compiling: from a recorded graph to a function, and from the first operation to the first gradient."""

import pytest

from bench.peers import check
from bench.workloads import arithmetic, elementary


@pytest.mark.parametrize("work", [arithmetic(1_500), arithmetic(10_000), elementary(10_000)], ids=str)
def test_first_gradient(benchmark, ready, peer, work):
    """A new graph in a warm process: record, compile, differentiate."""
    ready(peer, "one_set", work, True)
    benchmark.group = f"compile: first gradient of {work.name}"
    benchmark.pedantic(lambda: peer.one_set(work, True)(), rounds=3)


@pytest.mark.parametrize("n_ops", [10_000, 100_000, 1_000_000])
def test_passes(benchmark, n_ops):
    """fastgraph's passes, verification included."""
    from bench.peers import Fastgraph

    work = arithmetic(n_ops)
    graph = Fastgraph().record(work)
    check(work, graph.compile().flat.value_and_grad(work.one_set), work.one_set, gradient=True)
    benchmark.group = f"compile: passes, {n_ops} operations"
    benchmark.pedantic(graph.compile, rounds=3)
