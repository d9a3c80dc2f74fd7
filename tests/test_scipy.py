"""SciPy's optimisers, run for real on problems of known solution; what they are handed has the bits of ``f.flat``."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits

linalg = pytest.importorskip("scipy.sparse.linalg")
optimize = pytest.importorskip("scipy.optimize")
sparse = pytest.importorskip("scipy.sparse")

BIG = 2000


def scaled_rosen(n, name="rosen"):
    """Rosenbrock's function, k being 100; 0 at ones."""
    graph = fg.Graph(name)
    k, x = graph.parameter("k"), graph.input("x", shape=n)
    graph.output(fg.sum(k * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))
    return graph.compile()


def rosen(n, **options):
    return fg.scipy.objective(scaled_rosen(n), k=100.0, **options)


def counted(method):
    """A callable that counts, and the kinds of what it gave."""
    kinds = []

    def call(*args):
        result = method(*args)
        kinds.append(type(result))
        return result

    return call, kinds


# -- minimize -------------------------------------------------------------------------------------------------------
START = np.array([1.2, 1.0, 0.8, 1.1])
METHODS = {
    "L-BFGS-B": {"options": {"ftol": 1e-16, "gtol": 1e-9}},
    "BFGS": {"tol": 1e-9},
    "CG": {"tol": 1e-9},
    "TNC": {"options": {"ftol": 1e-16, "gtol": 1e-9, "maxfun": 1000}},
    "SLSQP": {"tol": 1e-16},
    "Newton-CG": {"hess": "hess", "tol": 1e-9},
    "Newton-CG, products": {"hessp": "hessp", "tol": 1e-9},
    "trust-exact": {"hess": "hess", "tol": 1e-9},
    "trust-ncg": {"hessp": "hessp", "tol": 1e-9},
    "trust-krylov": {"hessp": "hessp", "tol": 1e-9},
    "trust-constr": {"hess": "hess", "tol": 1e-9},
    "trust-constr, products": {"hessp": "hessp", "tol": 1e-9},
}


@pytest.mark.parametrize("name", METHODS)
def test_minimize(name):
    o = rosen(4)
    options = {key: getattr(o, value) if key.startswith("hess") else value for key, value in METHODS[name].items()}
    found = optimize.minimize(o, START, jac=True, method=name.partition(",")[0], **options)
    assert found.success
    np.testing.assert_allclose(found.x, np.ones(4), atol=1e-6)


def test_dogleg():
    """It wants positive definite Hessians."""
    bowl = fg.trace(lambda x, k: fg.sum((x - k) ** 2 + (x - k) ** 4), (2,), (2,), parameters=["k"])
    o = fg.scipy.objective(bowl, k=[1.0, 2.0])
    found = optimize.minimize(o, [4.0, -3.0], jac=True, hess=o.hess, method="dogleg", tol=1e-9)
    assert found.success
    np.testing.assert_allclose(found.x, [1.0, 2.0], rtol=1e-9)


def test_an_objective_is_the_function():
    f, o = scaled_rosen(4), rosen(4)
    bound, v = f.bind(k=100.0).flat, np.array([1.0, -2.0, 0.5, 3.0])
    value, gradient = o(START)
    assert type(value) is np.float64
    assert_same_bits(np.append(gradient, value), np.append(bound.value_and_grad(START)[1], f.flat(START, k=100.0)))
    assert_same_bits(o.value(START), f.flat(START, k=100.0))
    assert_same_bits(o.grad(START), gradient)
    assert_same_bits(o.hess(START), bound.hessian(START))
    assert_same_bits(o.hessp(START, v), bound.hvp(START, v))
    # Sums of three terms of up to 1500 each.
    np.testing.assert_allclose(gradient, optimize.rosen_der(START), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(o.hess(START), optimize.rosen_hess(START), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(o.hessp(START, v), optimize.rosen_hess_prod(START, v), rtol=1e-14, atol=1e-12)
    for x in (START.tolist(), START.astype(np.float32), np.repeat(START, 2)[::2]):
        assert_same_bits(o.grad(x), bound.grad(np.asarray(x, np.float64)))


def test_results_are_fresh():
    """Solvers keep and overwrite them."""
    o, r = rosen(4, sparse=True), fg.scipy.residuals(fg.trace(lambda x: x**2, (3,)))
    for method, x in ((o.grad, START), (o.hess, START), (r, START[:3]), (r.jac, START[:3])):
        first, again = method(x), method(x)
        data = (first, again) if isinstance(first, np.ndarray) else (first.data, again.data)
        assert not np.shares_memory(*data) and data[0].flags.writeable
    matrix = o.hess(np.array([0.0, 0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="read-only"):
        matrix.eliminate_zeros()  # would move the entries of every other result


def logistic():
    graph = fg.Graph("logistic")
    w = graph.input("w", shape=3)
    x, label, weight = graph.parameter("x", shape=3), graph.parameter("label"), graph.parameter("weight")
    z = fg.dot(w, x)
    graph.output(weight * (fg.softplus(z) - label * z) + 0.01 * fg.dot(w, w))
    return graph.compile()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_sum_over_data_rows(is_sparse):
    rng = np.random.default_rng(1)
    f, rows = logistic(), {"x": rng.normal(size=(500, 3)), "label": rng.random(500) > 0.4}
    o = fg.scipy.objective(f, reduce="sum", weight=0.5, sparse=is_sparse, **rows)
    w, v, bound = np.array([0.3, -0.2, 0.1]), np.array([1.0, 2.0, -1.0]), f.bind(weight=0.5)
    assert_same_bits(o(w)[1], bound.flat.value_and_grad(w, reduce="sum", **rows)[1])
    assert o(w)[0] == o.value(w) == bound.flat(w, reduce="sum", **rows)
    hessian = o.hess(w).toarray() if is_sparse else o.hess(w)
    np.testing.assert_allclose(hessian, bound.flat.hessian(w, **rows).sum(0), rtol=1e-13)
    np.testing.assert_allclose(o.hessp(w, v), hessian @ v, rtol=1e-13)
    found = optimize.minimize(o, np.zeros(3), jac=True, hessp=o.hessp, method="trust-krylov", options={"gtol": 1e-9})
    # The stationarity of the sum, in plain NumPy.
    error = 0.5 * (1.0 / (1.0 + np.exp(-rows["x"] @ found.x)) - rows["label"])
    np.testing.assert_allclose(error @ rows["x"] + 500 * 0.02 * found.x, 0.0, atol=1e-8)


def test_differential_evolution():
    """Whole populations at once, or one by one through pickles and threads."""
    o = fg.scipy.objective(fg.trace(lambda x: fg.sum(x * x - 3.0 * np.cos(6.0 * x)), (2,)))
    points = np.random.default_rng(2).normal(size=(2, 50))
    assert_same_bits(o.value(points), np.array([o.value(x) for x in points.T.copy()]))
    options = {"seed": 1, "tol": 1e-10, "updating": "deferred", "polish": False, "maxiter": 300}
    found = optimize.differential_evolution(o.value, [(-3.0, 3.0)] * 2, vectorized=True, **options)
    np.testing.assert_allclose(found.x, 0.0, atol=1e-6)

    def by_pickle(function, points):
        return [pickle.loads(pickle.dumps(function))(x) for x in points]

    with ThreadPoolExecutor(4) as pool:
        for workers in (pool.map, by_pickle):
            options["maxiter"] = 5 if workers is by_pickle else 300
            again = optimize.differential_evolution(o.value, [(-3.0, 3.0)] * 2, workers=workers, **options)
            assert workers is by_pickle or np.array_equal(found.x, again.x)


# -- dense and sparse -----------------------------------------------------------------------------------------------
def test_what_is_sparse():
    def is_sparse(n, **options):
        return sparse.issparse(rosen(n, **options).hess(np.ones(n)))

    assert (is_sparse(199), is_sparse(200)) == (False, True)
    assert (is_sparse(4, sparse=True), is_sparse(200, sparse=False)) == (True, False)
    for entries, expected in ((6, True), (7, False)):  # of 200 in a row
        f = fg.trace(lambda x, k=entries: sum(np.roll(x, j) ** 2 for j in range(k)), (200,))
        assert sparse.issparse(fg.scipy.residuals(f).jac(np.ones(200))) == expected
        assert sparse.issparse(fg.scipy.ode(f).jac(0.0, np.ones(200))) == expected


@pytest.mark.parametrize("method", ["Newton-CG", "trust-constr"])
def test_a_sparse_hessian_in_minimize(method):
    o = rosen(BIG)
    hess, kinds = counted(o.hess)
    x0 = 1.0 + 0.1 * np.sin(np.arange(BIG))
    found = optimize.minimize(o, x0, jac=True, hess=hess, method=method, tol=1e-10)
    assert found.success and set(kinds) == {sparse.csr_array}
    np.testing.assert_allclose(found.x, 1.0, atol=1e-6)
    x = np.cos(np.arange(BIG))
    assert_same_bits(o.hess(x).toarray(), scaled_rosen(BIG).bind(k=100.0).flat.sparse_hessian(x).toarray())
    np.testing.assert_allclose(o.hess(x).toarray(), optimize.rosen_hess(x), rtol=1e-13, atol=1e-12)


# -- least_squares and root -----------------------------------------------------------------------------------------
# Misra1a of NIST's Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd/nls/data/misra1a.shtml
VOLUME = [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78]
PRESSURE = [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0]
CERTIFIED, CERTIFIED_SUM = [2.3894212918e02, 5.5015643181e-04], 1.2455138894e-01


def misra():
    graph = fg.Graph("misra")
    b, x, y = graph.input("b", shape=2), graph.parameter("x"), graph.parameter("y")
    graph.output(y - b[0] * (1.0 - fg.exp(-b[1] * x)))
    return graph.compile()


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_a_fit_to_data_rows(method):
    r = fg.scipy.residuals(misra(), x=PRESSURE, y=VOLUME)
    options = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "x_scale": [100.0, 1e-4]}
    found = optimize.least_squares(r, [250.0, 5e-4], jac=r.jac, method=method, **options)
    np.testing.assert_allclose(found.x, CERTIFIED, rtol=1e-9)
    np.testing.assert_allclose(2.0 * found.cost, CERTIFIED_SUM, rtol=1e-9)


def several():
    """An input between parameters, several outputs."""
    graph = fg.Graph("several")
    k, x, t = graph.parameter("k"), graph.input("x", shape=3), graph.parameter("t", shape=2)
    graph.output(k * x[0] * t, name="u")
    graph.output(fg.exp(x[1] * t[0]) - x[2] * x[0], name="v")
    return graph.compile()


X, T = np.array([0.5, -0.25, 2.0]), np.arange(10.0).reshape(5, 2)


def test_residuals_are_the_function():
    f = several()
    one, rows = fg.scipy.residuals(f, k=3.0, t=T[1]), fg.scipy.residuals(f, k=3.0, t=T)
    assert (one.n, one.m, rows.m) == (3, 3, 15)
    assert_same_bits(one(X), f.flat(X, k=3.0, t=T[1]))
    assert_same_bits(rows(X), f.flat(X, k=3.0, t=T).ravel())
    assert_same_bits(one.jac(X), f.bind(k=3.0, t=T[1]).flat.jacobian(X))
    assert_same_bits(rows.jac(X), f.bind(k=3.0).flat.jacobian(X, t=T).reshape(15, 3))
    exact = np.array(
        [row for a, b in T for row in ([3.0 * a, 0.0, 0.0], [3.0 * b, 0.0, 0.0], [-X[2], a * np.exp(X[1] * a), -X[0]])]
    )
    np.testing.assert_allclose(rows.jac(X), exact, rtol=4e-16)
    # Row after row in the order of a batch of any axes; one row; a sparse Jacobian.
    assert_same_bits(fg.scipy.residuals(f, k=np.full((1, 5), 3.0), t=T).jac(X), rows.jac(X))
    assert_same_bits(fg.scipy.residuals(f, k=3.0, t=T[:1]).jac(X), rows.jac(X)[:3])
    matrix = fg.scipy.residuals(f, k=3.0, t=T, sparse=True).jac(X)
    assert matrix.has_canonical_format and matrix.nnz == 5 * f.jacobian_sparsity().nnz
    assert_same_bits(matrix.toarray(), rows.jac(X))


def test_one_output():
    f = fg.trace(lambda x: x[0] * x[1], (2,))
    r = fg.scipy.residuals(f)
    x = np.array([2.0, 3.0])
    assert r(x).tolist() == [6.0] and r.jac(x).tolist() == [[3.0, 2.0]]
    assert r.operator(x).matvec([1.0, 1.0]).tolist() == [5.0]
    assert r.operator(x).rmatvec([2.0]).tolist() == [6.0, 4.0]
    c = fg.scipy.constraint(f, 0.0, 1.0)
    assert c.fun(x).tolist() == [6.0] and c.hess(x, [2.0]).tolist() == [[0.0, 2.0], [2.0, 0.0]]


@pytest.mark.parametrize("rows", [{"t": T[1]}, {"t": T}, {"t": T[:, None]}])
def test_products_with_the_jacobian(rows):
    r = fg.scipy.residuals(several(), k=3.0, **rows)
    x = X.copy()
    operator, dense = r.operator(x), r.jac(x)
    x[:] = np.nan  # a solver's own vector, which goes on to other points
    rng = np.random.default_rng(3)
    v, w, many = rng.normal(size=3), rng.normal(size=r.m), rng.normal(size=(3, 4))
    close = {"rtol": 1e-14, "atol": 1e-13}
    np.testing.assert_allclose(operator @ v, dense @ v, **close)
    np.testing.assert_allclose(operator @ v[:, None], dense @ v[:, None], **close)
    np.testing.assert_allclose(operator @ many, dense @ many, **close)
    np.testing.assert_allclose(operator.T @ w, dense.T @ w, **close)
    np.testing.assert_allclose(operator.T @ np.stack([w, -w], 1), dense.T @ np.stack([w, -w], 1), **close)


def crossing():
    """x² + y² = 4 and x y = 1, which cross where (x ± y)² = 4 ± 2."""
    return fg.scipy.residuals(fg.trace(lambda x: np.array([x @ x - 4.0, x[0] * x[1] - 1.0]), (2,)))


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov"])
def test_root(method):
    r = crossing()
    jac = {} if method == "krylov" else {"jac": r.jac}
    found = optimize.root(r, [2.0, 0.3], method=method, tol=1e-12, **jac)
    x, y = (np.sqrt(6.0) + np.sqrt(2.0)) / 2.0, (np.sqrt(6.0) - np.sqrt(2.0)) / 2.0
    assert found.success
    np.testing.assert_allclose(found.x, [x, y], rtol=1e-9)


def broyden(n):
    """The tridiagonal function of Broyden, problem 30 of Moré, Garbow and Hillstrom (ACM TOMS 7, 1981); 0 at a root."""

    def values(x):
        zero = np.zeros(1)
        return (3.0 - 2.0 * x) * x - np.concatenate([zero, x[:-1]]) - 2.0 * np.concatenate([x[1:], zero]) + 1.0

    return fg.trace(values, (n,))


@pytest.mark.parametrize(("method", "how"), [("trf", "jac"), ("dogbox", "jac"), ("trf", "operator")])
def test_a_large_system(method, how):
    r = fg.scipy.residuals(broyden(BIG))
    jac, kinds = counted(getattr(r, how))
    found = optimize.least_squares(r, -np.ones(BIG), jac=jac, method=method, ftol=None, xtol=1e-12, gtol=1e-10)
    assert found.success
    np.testing.assert_allclose(r(found.x), 0.0, atol=1e-9)
    if how == "jac":
        assert set(kinds) == {sparse.csr_array}
        x = np.arange(4.0)
        dense = np.diag(3.0 - 4.0 * x) - np.eye(4, k=-1) - 2.0 * np.eye(4, k=1)
        assert fg.scipy.residuals(broyden(4), sparse=True).jac(x).toarray().tolist() == dense.tolist()


# -- constraints ----------------------------------------------------------------------------------------------------
# Problem 71 of Hock and Schittkowski, Test Examples for Nonlinear Programming Codes (1981), with its optimum.
HS71, HS71_VALUE = [1.0, 4.74299963, 3.82114998, 1.37940829], 17.0140173


def hock_schittkowski():
    objective = fg.trace(lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], (4,))
    return objective, fg.trace(lambda x: np.prod(x), (4,)), fg.trace(lambda x: x @ x, (4,))


@pytest.mark.parametrize("method", ["trust-constr", "SLSQP"])
@pytest.mark.parametrize("is_sparse", [None, True])
def test_constraints(method, is_sparse):
    objective, product, squares = hock_schittkowski()
    o, second = fg.scipy.objective(objective), method == "trust-constr"
    options = {"sparse": is_sparse, "hessian": second}
    limits = [
        fg.scipy.constraint(product, 25.0, np.inf, **options),
        fg.scipy.constraint(squares, 40.0, 40.0, **options),
    ]
    found = optimize.minimize(
        o, [1.0, 5.0, 5.0, 1.0], jac=True, method=method, bounds=[(1.0, 5.0)] * 4, constraints=limits,
        **({"hess": o.hess, "options": {"gtol": 1e-16, "xtol": 1e-12}} if second else {"tol": 1e-10}),
    )  # fmt: skip
    np.testing.assert_allclose(found.x, HS71, rtol=1e-8)  # as many digits as are published
    np.testing.assert_allclose(found.fun, HS71_VALUE, rtol=3e-9)


def tracking(n):
    """Functions of which x and multipliers of a constrained minimum are known: the target is made from them.

    ½ |x - b|² subject to xᵢ² + xᵢ₊₁ = cᵢ. With b = x + Jᵀλ the Lagrangian is stationary at x, and with |λ| < ½ it is
    convex.
    """
    rng = np.random.default_rng(4)
    x, multipliers = rng.uniform(0.5, 1.5, n), rng.uniform(-0.4, 0.4, n - 1)
    target = x + np.append(2.0 * x[:-1] * multipliers, 0.0) + np.append(0.0, multipliers)
    graph = fg.Graph("tracking")
    v, b = graph.input("x", shape=n), graph.parameter("b", shape=n)
    graph.output(0.5 * fg.sum((v - b) ** 2))
    limits = fg.trace(lambda x: x[:-1] ** 2 + x[1:], (n,))
    return graph.compile(), limits, x, multipliers, target


def test_a_large_constraint():
    f, limits, x, multipliers, target = tracking(BIG)
    o, bound = fg.scipy.objective(f, b=target), x[:-1] ** 2 + x[1:]
    c = fg.scipy.constraint(limits, bound, bound)
    c.jac, jacobians = counted(c.jac)
    c.hess, hessians = counted(c.hess)
    options = {"gtol": 1e-9, "xtol": 1e-12}
    found = optimize.minimize(
        o, np.ones(BIG), jac=True, hess=o.hess, method="trust-constr", constraints=c, options=options
    )
    assert found.success and {*jacobians, *hessians} == {sparse.csr_array}
    np.testing.assert_allclose(found.x, x, atol=1e-8)
    np.testing.assert_allclose(found.v[0], multipliers, atol=1e-7)


def test_a_constraint_is_the_function():
    f, v = several(), np.array([1.0, -2.0, 0.5])
    c = fg.scipy.constraint(f, -1.0, [1.0, 2.0, 3.0], k=3.0, t=T[1], keep_feasible=True)
    flat = f.bind(k=3.0, t=T[1]).flat
    assert (c.lb.tolist(), c.ub.tolist(), c.keep_feasible) == ([-1.0] * 3, [1.0, 2.0, 3.0], True)
    assert_same_bits(c.fun(X), flat(X))
    assert_same_bits(c.jac(X), flat.jacobian(X))
    assert_same_bits(c.hess(X, v), flat.hessian(X, weights=v))
    assert type(fg.scipy.constraint(f, 0.0, 1.0, hessian=False, k=3.0, t=T[1]).hess) is optimize.BFGS
    rows = fg.scipy.constraint(f, 0.0, 1.0, k=3.0, t=T)
    weights = np.random.default_rng(5).normal(size=15)
    expected = sum(f.flat.hessian(X, weights=w, k=3.0, t=t) for w, t in zip(weights.reshape(5, 3), T, strict=True))
    np.testing.assert_allclose(rows.hess(X, weights), expected, rtol=1e-13)
    matrix = fg.scipy.constraint(f, 0.0, 1.0, k=3.0, t=T, sparse=True).hess(X, weights)
    np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-13, atol=1e-15)


def test_a_large_hessian_that_is_not_sparse():
    """Jacobians are of one kind for all constraints of a problem; the Hessian is products."""
    n = 200
    f, x, p = fg.trace(lambda x: np.sum(x) ** 2, (n,)), np.linspace(0.0, 1.0, n), np.cos(np.arange(n))
    c, v = fg.scipy.constraint(f, 0.0, 1.0), np.array([3.0])
    assert sparse.issparse(c.jac(x)) and isinstance(c.hess(x, v), linalg.LinearOperator)
    assert not sparse.issparse(fg.scipy.residuals(f).jac(x))
    np.testing.assert_allclose(c.hess(x, v) @ p, np.full(n, 6.0 * p.sum()), rtol=1e-12)
    operator = c.hess(x, v)
    np.testing.assert_allclose(operator.T @ p[:, None], operator @ p[:, None], rtol=0, atol=0)
    for kind, choice in ((np.ndarray, False), (sparse.csr_array, True)):
        hessian = fg.scipy.constraint(f, 0.0, 1.0, sparse=choice).hess(x, v)
        assert type(hessian) is kind
        np.testing.assert_allclose(hessian @ p, np.full(n, 6.0 * p.sum()), rtol=1e-12)
    o = fg.scipy.objective(fg.trace(lambda x: x @ x, (n,)))
    options = {"jac": True, "hess": o.hess, "method": "trust-constr", "options": {"gtol": 1e-10}}
    limits = fg.scipy.constraint(f, 1.0, 1.0)
    found = optimize.minimize(o, np.full(n, 0.1), constraints=limits, **options)
    np.testing.assert_allclose(found.x, 1.0 / n, rtol=1e-7)


# -- processes and threads ------------------------------------------------------------------------------------------
def adapters():
    """Bound methods, and what they are called with."""
    o, r = rosen(4, sparse=True), fg.scipy.residuals(several(), k=3.0, t=T, sparse=True)
    c = fg.scipy.constraint(several(), 0.0, 1.0, k=3.0, t=T)
    for call in (o, o.value, o.hess):
        yield call, (START,)
    yield o.hessp, (START, START)
    for call in (r, r.jac, c.fun, c.jac):
        yield call, (X,)
    yield c.hess, (X, np.ones(15))


def test_pickles_and_threads():
    def numbers(result):
        parts = result if isinstance(result, tuple) else (result,)
        return np.concatenate([np.ravel(part.toarray() if sparse.issparse(part) else part) for part in parts])

    with ThreadPoolExecutor(8) as pool:
        for call, args in adapters():
            expected = numbers(call(*args))
            assert_same_bits(numbers(pickle.loads(pickle.dumps(call))(*args)), expected)
            for result in pool.map(lambda _, call=call, args=args: numbers(call(*args)), range(40)):
                assert_same_bits(result, expected)
    again = pickle.loads(pickle.dumps(fg.scipy.constraint(several(), 0.0, 1.0, k=3.0, t=T)))
    assert again.jac(X).shape == (15, 3)
    assert repr(rosen(4)).startswith("<Objective of <Function 'rosen': (x[4]) -> (y0), ")


# -- what is refused ------------------------------------------------------------------------------------------------
def single():
    graph = fg.Graph("single")
    graph.output(graph.input("x") ** 2)
    return graph.compile(np.float32)


def no_inputs():
    graph = fg.Graph("given")
    graph.output(graph.parameter("k") * 2.0)
    return graph.compile()


PAIR = fg.trace(lambda ya, yb: np.array([ya[0], yb[0]]), (2,), (2,))
MAKERS = {
    "objective": fg.scipy.objective,
    "residuals": fg.scipy.residuals,
    "constraint": lambda f, **options: fg.scipy.constraint(f, 0.0, 1.0, **options),
    "ode": fg.scipy.ode,
    "bvp": lambda f, **options: fg.scipy.bvp(f, PAIR, **options),
}


@pytest.mark.parametrize("make", MAKERS)
def test_functions_that_are_refused(make):
    call = MAKERS[make]
    with pytest.raises(ArgumentError, match=rf"fg.scipy.{make} takes a Function, as graph.compile\(\) and fg.trace"):
        call(np.sin)
    with pytest.raises(ArgumentError, match=rf"fg.scipy.{make}: Function 'single' computes in float32.*tolerances"):
        call(single())
    with pytest.raises(ArgumentError, match="Function 'given' has no inputs, only parameters"):
        call(no_inputs(), k=1.0)
    f = scaled_rosen(1, "one")
    with pytest.raises(
        ArgumentError, match=rf"fg.scipy.{make}: Function 'one' misses the parameter 'k': give its valu"
    ):
        call(f)
    unknown = rf"fg.scipy.{make}: .*Function 'one'.* has (no|a) parameter 'q'; (its|their) parameters: k"
    with pytest.raises(ArgumentError, match=unknown):
        call(f, k=1.0, q=2.0)
    with pytest.raises(ArgumentError, match="k of type <U1: expected real numbers"):
        call(f, k="1")
    graph = fg.Graph("weighted")
    x, k = graph.input("x", 2), graph.parameter("k", 2)
    graph.output(fg.sum(x * k) if make == "objective" else x * k)
    f = graph.compile()
    with pytest.raises(ShapeError, match=r"Function 'weighted' got k with shape \(3,\): its last axis must be 2"):
        call(f, k=np.ones(3))
    if make not in ("residuals", "constraint"):
        with pytest.raises(ShapeError, match=r"k with shape \(5, 2\), a batch: give one value, of shape \(2,\)"):
            call(f, k=np.ones((5, 2)))
    if make != "bvp":
        with pytest.raises(ArgumentError, match=f"fg.scipy.{make}: sparse must be None, True or False, not 'csr'"):
            call(f, k=np.ones(2), sparse="csr")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fg.scipy.objective(several(), k=1.0, t=T[0]), r"exactly one scalar output.*u \(2,\), v \(\)"),
        (lambda: fg.scipy.objective(misra(), x=1.0, y=2.0, reduce="mean"), 'reduce must be None or "sum"'),
        (lambda: fg.scipy.objective(misra(), x=PRESSURE, y=2.0), r'x with shape \(14,\), a batch.*\(\); or reduce="su'),
        (lambda: fg.scipy.objective(misra(), x=PRESSURE, y=VOLUME[1:], reduce="sum"), "do not broadcast"),
        (lambda: fg.scipy.residuals(misra(), x=PRESSURE, y=VOLUME, b=[1.0, 2.0]), r"an input: fix it first, by f.bind"),
        (lambda: fg.scipy.constraint(misra(), 0.0, [1.0, 2.0], x=1.0, y=1.0), r"got upper with shape \(2,\).*\(1,\)"),
        (lambda: fg.scipy.constraint(misra(), 2.0, 1.0, x=1.0, y=1.0), r"lower\[0\] = 2.0 must be at most upper"),
        (lambda: fg.scipy.constraint(misra(), np.nan, 1.0, x=1.0, y=1.0), r"lower\[0\] = nan must be at most"),
        (lambda: fg.scipy.constraint(misra(), "0", 1.0, x=1.0, y=1.0), "lower of type <U1"),
    ],
)  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError), match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: rosen(4)(np.ones(3)), r"Function 'rosen' got x with shape \(3,\): it must be \(4,\)"),
        (lambda: rosen(4)(np.ones((2, 4))), r"x with shape \(2, 4\).*point by point"),
        (lambda: rosen(4)(np.ones(4) + 1j), "x of type complex128: expected real numbers"),
        (lambda: rosen(4).value(np.ones((3, 4))), r"x with shape \(3, 4\): it must be \(4, 4\)"),
        (lambda: rosen(4).hess(np.ones((4, 1))), r"x with shape \(4, 1\)"),
        (lambda: rosen(4).hessp(START, np.ones((4, 4))), r"p with shape \(4, 4\)"),
        (lambda: crossing()([1.0, None]), "x of type"),
        (lambda: crossing().jac(np.ones((5, 2))), r"x with shape \(5, 2\)"),
        (lambda: crossing().operator(1.0), r"x with shape \(\)"),
        (lambda: fg.scipy.constraint(several(), 0.0, 1.0, k=1.0, t=T).hess(X, np.ones(3)), r"v with shape \(3,\)"),
    ],
)  # fmt: skip
def test_points_that_are_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError), match=match):
        call()


def test_without_scipy(monkeypatch):
    """What gives plain arrays works; what needs SciPy says how to install it."""
    for name in ("scipy", "scipy.sparse", "scipy.sparse.linalg", "scipy.optimize"):
        monkeypatch.setitem(sys.modules, name, None)
    o, r = rosen(4), crossing()
    assert o(np.ones(4))[0] == 0.0 and o.hess(np.ones(4)).shape == (4, 4) and r.jac(np.ones(2)).shape == (2, 2)
    for call in (
        lambda: rosen(4, sparse=True).hess(np.ones(4)),
        lambda: r.operator(np.ones(2)),
        lambda: fg.scipy.constraint(broyden(2), 0.0, 1.0),
    ):
        with pytest.raises(ImportError, match=r"pip install 'fastgraph\[scipy\]'"):
            call()
