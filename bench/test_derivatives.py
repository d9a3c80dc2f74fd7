"""Derivatives: the gates hold for every peer and refuse what is wrong; every row's callables run."""

import numpy as np
import pytest

from bench import derivative_costs
from bench.bundle import CAMERA, ENTRIES, POINT, STEP, Bundle, residuals
from bench.peers import Fastgraph, installed
from bench.sparse_problems import Control, Rosenbrock

PROBLEMS = {problem.name: problem for problem in (Rosenbrock(100), Control(100))}


@pytest.fixture(scope="module")
def bundle():
    """The smaller of the two problems, skipped where its data are missing."""
    problem = Bundle()
    if problem.missing():
        pytest.skip(problem.missing())
    return problem


@pytest.fixture(params=list(PROBLEMS))
def problem(request):
    """Each sparse problem in turn, small."""
    pytest.importorskip("scipy")
    if "casadi" not in installed():
        pytest.skip("casadi, the gate, is not installed")
    return PROBLEMS[request.param]


@pytest.fixture(scope="module", params=list(derivative_costs.PROBLEMS))
def cost(request):
    """Each function whose derivatives are set against its value."""
    return derivative_costs.PROBLEMS[request.param](Fastgraph().lib)


@pytest.mark.parametrize("kind", ["value", "gradient", "hvp", "jvp"])
def test_cost(benchmark, cost, kind):
    benchmark.group = f"derivatives: {cost.name}"
    benchmark(cost.one_set()[kind])


@pytest.mark.parametrize("k", [1, 3, 8])
def test_directions(benchmark, k):
    cost = derivative_costs.hidden(Fastgraph().lib)
    run = cost.along([k])[k]
    of_batch, tangents = cost.batch_along([k])[k](), run()[1]
    assert tangents.shape == (k, 16) and of_batch[1].shape == (k, cost.few_sets, 16)
    benchmark.group = f"derivatives: {cost.name} along {k}"
    benchmark(run)


def test_cost_gate():
    cost = derivative_costs.hidden(Fastgraph().lib)
    with pytest.raises(AssertionError, match="hvp is off"):
        cost._agree("hvp", np.ones(3) + 2e-5, np.ones(3), derivative_costs.AGREEMENT)


def test_bundle(benchmark, bundle, peer):
    run = bundle.ready(peer)
    if run is None:
        pytest.skip(f"{peer.name} has no {bundle.name}")
    benchmark.group = f"derivatives: {bundle.name}"
    benchmark(run)


def test_bundle_gate(bundle):
    """One wrong entry in the twelfth digit of its column is refused; so are cameras in the wrong order."""
    parameters = bundle.scattered()
    values = bundle.expected(*parameters)
    bundle.check(values, parameters)
    block = values[: 2 * ENTRIES * bundle.sizes[2]].reshape(-1, ENTRIES)
    for at in (0, 7, len(values) // 3, len(values) - 1):
        wrong = values.copy()
        in_block = at < block.size
        wrong[at] += 3e-12 * np.abs(block[:, at % ENTRIES] if in_block else values[block.size :]).max()
        with pytest.raises(AssertionError, match="is off by"):
            bundle.check(wrong, parameters)
    with pytest.raises(AssertionError, match="is off by"):
        bundle.check(bundle.expected(parameters[0][::-1], *parameters[1:]), parameters)
    published = bundle.expected(*bundle.parameters)
    bundle.check_published(published)
    with pytest.raises(AssertionError, match="published"):
        bundle.check_published(published * (1.0 + 3e-12))


def test_bundle_matrix(bundle):
    """Rows and columns of the CSR matrix: its product with a direction is the change of all residuals along it."""
    pytest.importorskip("scipy")
    n, m, p = bundle.sizes
    parameters = bundle.scattered()
    matrix = bundle.csr(bundle.expected(*parameters))
    assert matrix.shape == (3 * p, CAMERA * n + POINT * m + p) and matrix.nnz == bundle.nnz
    random = np.random.default_rng(0)
    along = [random.normal(size=part.shape) for part in parameters]
    moved = [part + STEP * 1j * v for part, v in zip(parameters, along, strict=True)]
    change = np.array(residuals(*bundle.gathered(*moved[:2]), moved[2], bundle.feature, np)).imag.T / STEP
    change = np.concatenate([change.ravel(), -2.0 * parameters[2] * along[2]])
    product = matrix @ np.concatenate([v.ravel() for v in along])
    assert np.abs(product - change).max() <= 1e-12 * np.abs(change).max()


@pytest.mark.parametrize("kind", ["hessian", "jacobian", "compressed hessian"])
def test_sparse(benchmark, problem, peer, kind):
    way, _, kind = kind.rpartition(" ")
    if kind == "jacobian" and problem.weights is None:
        pytest.skip(f"{problem} has no constraints")
    if way and peer.name != "fastgraph":
        pytest.skip("fastgraph's own")
    made = problem.compressed_hessian(peer.lib) if way else problem.make(peer, kind)
    if made is None:
        pytest.skip(f"{peer.name} has no sparse {kind}")
    wanted = problem.expected(kind, installed()["casadi"].lib)
    run = problem.ready({peer.name: made}, kind, wanted)[peer.name]
    values = np.array(made[0](problem.x))
    for at in (0, len(values) // 2):
        wrong = values.copy()
        wrong[at] += 3e-12 * np.abs(values).max()
        with pytest.raises(AssertionError, match="values are off"):
            problem.check(wrong, made[1], wanted)
    benchmark.group = f"derivatives: {kind} of {problem}"
    benchmark(run)
