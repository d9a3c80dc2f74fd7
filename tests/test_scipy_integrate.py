"""SciPy's integrators, run for real on problems of known solution; the rates have the bits of ``f.flat``."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits

integrate = pytest.importorskip("scipy.integrate")
optimize = pytest.importorskip("scipy.optimize")
sparse = pytest.importorskip("scipy.sparse")

BIG = 2000


def counted(method):
    """A callable, and the kinds of what it gave."""
    kinds = []

    def call(*args):
        result = method(*args)
        kinds.append(type(result))
        return result

    return call, kinds


# -- solve_ivp ------------------------------------------------------------------------------------------------------
def prothero(declare, name="prothero"):
    """Two of y' = -k (y - cos t) - sin t (Prothero and Robinson 1974), which cos t solves; the time between others."""
    graph = fg.Graph(name)
    u, k = graph.input("u"), graph.parameter("k")
    t = getattr(graph, declare)("t")
    v = graph.input("v", shape=1)
    graph.output(-k * (u - fg.cos(t)) - fg.sin(t), name="du")
    graph.output(-2.0 * k * (v - fg.cos(t)) - fg.sin(t), name="dv")
    return graph.compile()


@pytest.mark.parametrize("declare", ["parameter", "input"])
@pytest.mark.parametrize(
    ("method", "vectorized", "k"),
    [("RK45", False, 1.0), ("DOP853", True, 1.0), ("LSODA", False, 1e4), ("BDF", False, 1e4), ("Radau", True, 1e4)],
)
def test_solve_ivp(declare, method, vectorized, k):
    s = fg.scipy.ode(prothero(declare), time="t", k=k)
    jac = {"jac": s.jac} if k > 1.0 else {}
    options = {"method": method, "vectorized": vectorized, "rtol": 1e-8, "atol": 1e-9, **jac}
    found = integrate.solve_ivp(s, (0.0, 3.0), [1.0, 1.0], **options)
    assert found.success and (found.njev > 0) == bool(jac)
    np.testing.assert_allclose(found.y, np.cos(found.t) * np.ones((2, 1)), atol=1e-6)


def test_an_ode_is_the_function():
    y, t = np.array([0.3, -0.7]), 0.9
    f = prothero("parameter")
    for declare in ("parameter", "input"):
        s = fg.scipy.ode(prothero(declare), "t", k=7.0)
        assert s.n == 2
        assert_same_bits(s(t, y), f.flat(y, k=7.0, t=t))
        assert s.jac(t, y).tolist() == [[-7.0, 0.0], [0.0, -14.0]]
        assert_same_bits(s.jac(t, y), f.bind(k=7.0).flat.jacobian(y, t=t))
        matrix = fg.scipy.ode(prothero(declare), "t", k=7.0, sparse=True).jac(t, y)
        assert type(matrix) is sparse.csc_array and matrix.toarray().tolist() == s.jac(t, y).tolist()
        for k in (1, 3, 40):
            many = np.random.default_rng(6).normal(size=(2, k))
            assert_same_bits(s(t, many), np.stack([s(t, column) for column in many.T.copy()], 1))
        one = fg.scipy.ode(fg.trace(lambda y: -y, ()))
        assert one(0.0, [3.0]).tolist() == [-3.0] and one.jac(0.0, [3.0]).tolist() == [[-1.0]]
        assert one(0.0, [[3.0, 4.0]]).tolist() == [[-3.0, -4.0]]


def test_columns_of_a_sparse_jacobian():
    f = fg.trace(lambda y: np.array([y[0] * y[2], y[0] + y[1] ** 2, y[1]]), (3,))
    y = np.array([2.0, 3.0, 5.0])
    matrix = fg.scipy.ode(f, sparse=True).jac(0.0, y)
    assert matrix.has_canonical_format and matrix.nnz == 5
    assert matrix.toarray().tolist() == [[5.0, 0.0, 2.0], [1.0, 6.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("method", ["BDF", "Radau"])
def test_a_large_stiff_system(method):
    """Heat in a rod of which the ends are at 0, by central differences: a sine only decays."""
    graph = fg.Graph("rod")
    u, kappa = graph.input("u", shape=BIG), graph.parameter("kappa")
    zero = np.zeros(1)
    inner = np.concatenate([u[1:], zero]) - 2.0 * u + np.concatenate([zero, u[:-1]])
    graph.output(kappa * (BIG + 1.0) ** 2 * inner)
    s = fg.scipy.ode(graph.compile(), kappa=0.1)
    jac, kinds = counted(s.jac)
    mode = np.sin(np.pi * np.arange(1, BIG + 1) / (BIG + 1))
    found = integrate.solve_ivp(s, (0.0, 1.0), mode, jac=jac, method=method, rtol=1e-7, atol=1e-9)
    rate = 0.1 * (2.0 * (BIG + 1) * np.sin(np.pi / (2.0 * (BIG + 1)))) ** 2
    assert found.success and set(kinds) == {sparse.csc_array}
    np.testing.assert_allclose(found.y[:, -1], np.exp(-rate) * mode, atol=1e-5)


# -- solve_bvp ------------------------------------------------------------------------------------------------------
def bratu():
    """y'' + k exp y = 0; its boundary conditions are y = 0 at 0 and 1."""
    f = fg.trace(lambda y, k: np.array([y[1], -k * np.exp(y[0])]), (2,), (), parameters=["k"])
    return f, fg.trace(lambda ya, yb: np.array([ya[0], yb[0]]), (2,), (2,))


def solved(b, x, y, p=None, with_jacobians=True, **options):
    jacobians = {"fun_jac": b.fun_jac, "bc_jac": b.bc_jac} if with_jacobians else {}
    found = integrate.solve_bvp(b.fun, b.bc, x, y, p, **jacobians, **options)
    assert found.success
    return found


@pytest.mark.parametrize("with_jacobians", [True, False])
def test_solve_bvp(with_jacobians):
    """Both solutions, y = -2 ln(cosh((x - ½) θ / 2) / cosh(θ / 4)) with θ = √(2 k) cosh(θ / 4)."""
    b, x = fg.scipy.bvp(*bratu(), k=1.0), np.linspace(0.0, 1.0, 11)
    for guess, bracket in ((0.0, (0.0, 3.0)), (3.0, (5.0, 20.0))):
        theta = optimize.brentq(lambda v: v - np.sqrt(2.0) * np.cosh(v / 4.0), *bracket, xtol=1e-14)
        y = np.stack([np.full(11, guess), np.zeros(11)])
        found = solved(b, x, y, None, with_jacobians, tol=1e-8, max_nodes=10_000)
        expected = -2.0 * np.log(np.cosh((found.x - 0.5) * theta / 2.0) / np.cosh(theta / 4.0))
        np.testing.assert_allclose(found.y[0], expected, atol=1e-6)


def string(order):
    """y'' = -k² y + s (x - x), as an equation of states u, v, parameters around them, and k among the unknown."""
    graph = fg.Graph("string")
    s, k, u, x, v = (
        getattr(graph, "input" if name in order else "parameter")(name) for name in ("s", "k", "u", "x", "v")
    )
    graph.output(v, name="du")
    graph.output(-(k**2) * u + s * (x - 0.5), name="dv")
    return graph.compile()


@pytest.mark.parametrize("inputs", ["uv", "uvk", "uvkx"])
def test_unknown_parameters(inputs):
    """The slope at 0 is k, so that the amplitude of a wave without load is 1; the load s is a parameter of both."""
    graph = fg.Graph("ends")
    k, yb, s, ya = graph.input("k"), graph.input("yb", 2), graph.parameter("s"), graph.input("ya", 2)
    graph.output([ya[0] + s, yb[0] - s, ya[1] - k])
    b = fg.scipy.bvp(string(inputs), graph.compile(), time="x", unknown=["k"], s=0.0)
    x = np.linspace(0.0, 1.0, 9)
    found = solved(b, x, np.stack([np.sin(6.0 * x), 6.0 * np.cos(6.0 * x)]), [6.0], tol=1e-8, max_nodes=10_000)
    np.testing.assert_allclose(found.p, [2.0 * np.pi], rtol=1e-8)
    np.testing.assert_allclose(found.y[0], np.sin(2.0 * np.pi * found.x), atol=1e-7)


def test_a_boundary_problem_is_the_functions():
    f = string("uv")
    graph = fg.Graph("ends")
    yb, w, ya, s = (graph.parameter(name, shape) for name, shape in (("yb", 2), ("w", ()), ("ya", 2), ("s", ())))
    graph.output(ya[0] * yb[1] + w, name="a")
    graph.output([ya[1] * s, yb[0] ** 2, w * ya[0]], name="b")
    ends = graph.compile()
    b = fg.scipy.bvp(f, ends, time="x", unknown=("s", "k"), w=0.5)
    rng = np.random.default_rng(7)
    x, y, p = np.linspace(0.0, 1.0, 6), rng.normal(size=(2, 6)), np.array([2.0, 3.0])
    assert (b.n, b.k) == (2, 2)
    assert_same_bits(b.fun(x, y, p), f.flat(y, axis=0, x=x, s=2.0, k=3.0))
    by_states, by_unknown = b.fun_jac(x, y, p)
    assert_same_bits(by_states, f.flat.jacobian(y, axis=0, x=x, s=2.0, k=3.0))
    exact = np.stack([np.zeros((2, 6)), np.stack([x - 0.5, -2.0 * 3.0 * y[0]])])
    np.testing.assert_allclose(by_unknown, exact, rtol=4e-16)
    ya, yb = y[:, 0].copy(), y[:, -1].copy()
    assert_same_bits(b.bc(ya, yb, p), np.append(ya[0] * yb[1] + 0.5, [ya[1] * 2.0, yb[0] ** 2, 0.5 * ya[0]]))
    by_ya, by_yb, by_p = b.bc_jac(ya, yb, p)
    assert by_ya.tolist() == [[yb[1], 0.0], [0.0, 2.0], [0.0, 0.0], [0.5, 0.0]]
    assert by_yb.tolist() == [[0.0, ya[0]], [0.0, 0.0], [2.0 * yb[0], 0.0], [0.0, 0.0]]
    assert by_p.tolist() == [[0.0, 0.0], [ya[1], 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_singular_term():
    """Emden's y'' + 2 y' / x + y⁵ = 0, y(1) = √¾, which (1 + x² / 3)^-½ solves; SciPy adds to the Jacobian in place."""
    f = fg.trace(lambda y: np.array([y[1], -(y[0] ** 5)]), (2,))
    b = fg.scipy.bvp(f, fg.trace(lambda ya, yb: np.array([ya[1], yb[0] - np.sqrt(0.75)]), (2,), (2,)))
    x = np.linspace(0.0, 1.0, 5)
    found = solved(b, x, np.stack([np.ones(5), np.zeros(5)]), S=np.diag([0.0, -2.0]), tol=1e-8)
    np.testing.assert_allclose(found.y[0], (1.0 + found.x**2 / 3.0) ** -0.5, atol=1e-7)


# -- processes and threads ------------------------------------------------------------------------------------------
def test_pickles_and_threads():
    s, b = fg.scipy.ode(prothero("input"), "t", k=7.0, sparse=True), fg.scipy.bvp(*bratu(), k=1.0)
    y, x = np.array([0.3, -0.7]), np.zeros(1)
    calls = [(s, (0.5, y)), (s.jac, (0.5, y)), (b.fun, (x, y[:, None])), (b.fun_jac, (x, y[:, None])), (b.bc, (y, y))]

    def numbers(result):
        return result.toarray() if sparse.issparse(result) else result

    with ThreadPoolExecutor(8) as pool:
        for call, args in calls:
            expected = numbers(call(*args))
            assert_same_bits(numbers(pickle.loads(pickle.dumps(call))(*args)), expected)
            for result in pool.map(lambda _, call=call, args=args: numbers(call(*args)), range(40)):
                assert_same_bits(result, expected)


# -- what is refused ------------------------------------------------------------------------------------------------
MOVED = fg.trace(lambda y, t: np.array([y[0] * t, y[1]]), (2,), (), parameters=["t"])
RATES = fg.trace(lambda y, k: np.array([y[1], -k * y[0]]), (2,), (), parameters=["k"])
PAIR = fg.trace(lambda ya, yb: np.array([ya[0], yb[0]]), (2,), (2,))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fg.scipy.ode(prothero("parameter"), k=1.0), "misses .* 't'.*if it is the time.*: time='t'"),
        (lambda: fg.scipy.ode(MOVED, "s"), "has no argument 's'; it has y, t"),
        (lambda: fg.scipy.ode(MOVED, "y"), "'y' of .* must be a number to be the time"),
        (lambda: fg.scipy.ode(MOVED, "t", t=1.0), "has no parameter 't'"),
        (lambda: fg.scipy.ode(MOVED, t=[1.0, 2.0]), r"t with shape \(2,\), a batch: give one value"),
        (lambda: fg.scipy.ode(prothero("input"), k=1.0), "has 2 scalar outputs, but must have 3: as many as st"),
        (lambda: fg.scipy.bvp(RATES, PAIR), "misses the parameter 'k'.*among the unknown"),
        (lambda: fg.scipy.bvp(RATES, PAIR, unknown="k"), "has 2 scalar outputs, but must have 3.*states and unknown"),
        (lambda: fg.scipy.bvp(RATES, PAIR, unknown=("k", "k")), "k, k must be different arguments"),
        (lambda: fg.scipy.bvp(RATES, PAIR, unknown="k", time="k"), "k, k must be different arguments"),
        (lambda: fg.scipy.bvp(RATES, PAIR, unknown="q"), "has no argument 'q'"),
        (lambda: fg.scipy.bvp(RATES, RATES, k=1.0), "has no argument 'ya'; it has y, k"),
        (lambda: fg.scipy.bvp(RATES, PAIR, k=1.0, time="y"), "'y' of .* must be a number"),
        (lambda: fg.scipy.bvp(RATES, fg.trace(lambda ya, yb: ya[:2] + yb, (3,), (1,)), k=1.0), "ya of .* holds 3 sc"),
    ],
)  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError), match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fg.scipy.ode(MOVED, "t")(0.0, np.ones(3)), r"y with shape \(3,\): it must be \(2,\)"),
        (lambda: fg.scipy.ode(MOVED, "t")(0.0, np.ones((3, 2))), r"y with shape \(3, 2\): it must be \(2, 2\)"),
        (lambda: fg.scipy.ode(MOVED, "t")(0.0, np.ones(2) + 1j), "y of type complex128"),
        (lambda: fg.scipy.ode(MOVED, "t").jac(0.0, np.ones((2, 1))), r"y with shape \(2, 1\)"),
        (lambda: fg.scipy.bvp(RATES, PAIR, k=1.0).fun(np.ones(3), np.ones((2, 4))), r"y with shape \(2, 4\).*\(2, 3\)"),
        (lambda: fg.scipy.bvp(RATES, PAIR, k=1.0).bc(np.ones(2), np.ones(3)), r"yb with shape \(3,\)"),
        (lambda: fg.scipy.bvp(RATES, PAIR, k=1.0).fun(np.ones(1), np.ones((2, 1)), [1.0]), r"p with shape \(1,\)"),
    ],
)  # fmt: skip
def test_points_that_are_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError), match=match):
        call()


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    assert fg.scipy.ode(RATES, k=1.0).jac(0.0, np.ones(2)).shape == (2, 2)
    with pytest.raises(ImportError, match=r"pip install 'fastgraph\[scipy\]', or ask for dense ones, sparse=False"):
        fg.scipy.ode(RATES, sparse=True, k=1.0).jac(0.0, np.ones(2))
