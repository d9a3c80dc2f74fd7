"""Fixtures of the suites: a peer, skipped visibly where it is not installed, and what readies a timed callable."""

import pytest

from bench import peers

INSTALLED = peers.installed()


@pytest.fixture(params=list(peers.PEERS))
def peer(request):
    """Each peer in turn."""
    if request.param not in INSTALLED:
        pytest.skip(f"{request.param} is not installed")
    return INSTALLED[request.param]


@pytest.fixture
def ready():
    """``ready(peer, kind, work, gradient, sets=None)``: a callable that passed the gate, or a skip."""

    def make(peer, kind, work, gradient, sets=None):
        method = getattr(peer, kind)
        if method is None:
            pytest.skip(f"{peer.name} has no {kind}")
        if peer.too_large(work, gradient):
            pytest.skip(f"{peer.name} takes minutes to compile {work.n_ops} operations")
        run = method(work, gradient) if sets is None else method(work, sets, gradient)
        if run is None:
            pytest.skip(f"{peer.name} has no {kind} of {work.name}{' with gradient' if gradient else ''}")
        peers.check(work, run(), work.one_set if sets is None else sets, gradient)
        return run

    return make


def pytest_report_header(config):
    return f"bench: {peers.versions(INSTALLED)}"
