"""New processes: import to first gradient, with a warm cache of machine code and with an empty one."""

import pytest

from bench import start


def _program(peer):
    if peer.name not in start.PROGRAMS:
        pytest.skip(f"{peer.name} has no gradient of its own")
    return peer.name


def test_warm(benchmark, peer, tmp_path):
    name = _program(peer)
    start.run(name, tmp_path)
    benchmark.group = "cold: a new process, warm cache"
    benchmark.pedantic(start.run, (name, tmp_path), rounds=3)


def test_cold(benchmark, peer):
    if peer.name != "fastgraph":
        pytest.skip(f"{peer.name} keeps no compiled code on disk")
    benchmark.group = "cold: a new process, empty cache"
    benchmark.pedantic(start.cold, ("fastgraph",), rounds=1)
