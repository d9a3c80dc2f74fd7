"""Sums over data rows, and a fit: the gates hold for every peer, and they refuse what is wrong."""

import numpy as np
import pytest

from bench.logistic import Logistic
from bench.mixture import PUBLISHED, Mixture
from bench.network import Network

PROBLEMS = {problem.name: problem for problem in (Network(2_000), *map(Mixture, PUBLISHED), Logistic())}


@pytest.fixture(params=list(PROBLEMS))
def problem(request):
    """Each problem in turn, skipped where its data are missing."""
    return _there(PROBLEMS[request.param])


def _there(problem):
    if problem.missing():
        pytest.skip(problem.missing())
    return problem


def test_sum(benchmark, problem, peer):
    run = problem.ready(peer)
    if run is None:
        pytest.skip(f"{peer.name} has no {problem}")
    benchmark.group = f"sum: {problem}, {problem.n_rows} rows"
    benchmark(run)


def test_fit(benchmark, peer):
    problem = _there(PROBLEMS["logistic"])
    run = problem.fit(peer)
    if run is None:
        pytest.skip(f"{peer.name} has no {problem}")
    benchmark.group = f"fit: {problem}"
    benchmark(run)


def test_gate(problem):
    """One wrong entry in the twelfth digit is refused, wherever it is."""
    value, gradient = problem.numpy(np)(problem.weights)
    problem.check((value, gradient))
    with pytest.raises(AssertionError, match="value is off"):
        problem.check((value * (1.0 + 3e-12), gradient))
    for at in (0, len(gradient) // 2, -1):
        wrong = gradient.copy()
        wrong[at] += 3e-12 * np.max(np.abs(gradient))
        with pytest.raises(AssertionError, match="gradient is off"):
            problem.check((value, wrong))
    with pytest.raises(AssertionError, match="shapes"):
        problem.check((value, gradient[:-1]))
