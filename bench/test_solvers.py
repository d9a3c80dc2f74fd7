"""Solvers: the gates hold for every peer and refuse what is wrong; every callable solves a small problem."""

import numpy as np
import pytest

from bench import solver_rows
from bench.peers import Fastgraph, installed
from examples import ode

N = 20


@pytest.fixture
def fun(peer):
    """A peer's value and gradient of Rosenbrock's function."""
    pytest.importorskip("scipy")
    made = solver_rows.objectives({"fastgraph": Fastgraph(), peer.name: peer}, N)
    if peer.name not in made:
        pytest.skip(f"{peer.name} has no gradients for SciPy's solvers")
    return made[peer.name]


def test_minimising(benchmark, peer, fun):
    x, wrong = np.linspace(-1.5, 1.5, N), np.zeros(N)
    solver_rows.check_objective(peer.name, fun, x)
    wrong[3] = 1e-8
    with pytest.raises(AssertionError, match="the gradient is off"):
        solver_rows.check_objective(peer.name, lambda x: (fun(x)[0], fun(x)[1] + wrong), x)
    benchmark.group = "solvers: L-BFGS-B"
    solver_rows.check_minimum(peer.name, benchmark(solver_rows.minimisation(fun, True, np.full(N, 2.0))))


def test_minimum_gate():
    """From here the solver ends at the other minimum."""
    pytest.importorskip("scipy")
    start = np.ones(N)
    start[0] = -1.0
    fun = solver_rows.objectives({"fastgraph": Fastgraph()}, N)["fastgraph"]
    with pytest.raises(AssertionError, match="the minimum is off"):
        solver_rows.check_minimum("fastgraph", solver_rows.minimisation(fun, True, start)())


def test_orbits():
    """All rows, few orbits; a gap is refused."""
    pytest.importorskip("scipy")
    one, threads = solver_rows.orbits(installed(), 8, 4)
    assert {"fastgraph", "numba", "scipy"} <= set(one.results) and set(threads.results) == {"fastgraph"}
    starts = ode.ellipses(3)
    with pytest.raises(AssertionError, match="do not close"):
        solver_rows.check_orbits("scipy", starts + 2e-4, starts)
