"""Custom ops: the user's compiled functions as operations, with his derivatives, in every mode of every engine."""

import math
import pickle
import threading

import numpy as np
import pytest
from numba import njit

import fastgraph as fg
from fastgraph import derived
from fastgraph.callee import Callee, callee_of
from fastgraph.errors import ArgumentError, ExprError, ProgramError
from fastgraph.program import Program
from tests import engines
from tests.bits import assert_same_bits


def wave(x):
    return math.sin(3.0 * x) * x


@njit
def slope_of_wave(x):
    return 3.0 * math.cos(3.0 * x) * x + math.sin(3.0 * x)


def product(x, y):
    return x * y * y


def anomaly(m, e):
    x = m
    for _ in range(30):
        x -= (x - e * math.sin(x) - m) / (1.0 - e * math.cos(x))
    return x


def slopes_of_anomaly(x, m, e):
    return 1.0 / (1.0 - e * fg.cos(x)), fg.sin(x) / (1.0 - e * fg.cos(x))


by_expressions = fg.custom_op(wave, lambda r, x: 3.0 * fg.cos(3.0 * x) * x + fg.sin(3.0 * x))
by_functions = fg.custom_op(wave, (slope_of_wave,))
kepler = fg.custom_op(anomaly, slopes_of_anomaly)


def recorded(record, *names, dtype=np.float64):
    graph = fg.Graph()
    graph.output(record(*graph.inputs(*names)))
    return graph.compile(dtype)


def plain(x):
    return fg.sin(3.0 * x) * x


POINTS = np.linspace(-2.0, 2.0, 301)


@pytest.mark.parametrize("op", [by_expressions, by_functions], ids=["expressions", "functions"])
def test_values_and_first_derivatives(op):
    """One set, few, many, by threads; beside what the same operations give."""
    f, g = recorded(lambda x: fg.exp(op(x)), "x"), recorded(lambda x: fg.exp(plain(x)), "x")
    for x in (0.7, POINTS[:5], POINTS, np.tile(POINTS, 400)):
        np.testing.assert_allclose(f(x), g(x), rtol=1e-14)
        y, slope = f.value_and_grad(x, threads=2)
        assert_same_bits(y, f(x))
        np.testing.assert_allclose(slope, g.grad(x), rtol=1e-12, atol=1e-13)
    assert_same_bits(np.array([f(x) for x in POINTS]), f(POINTS))
    assert_same_bits(np.array([f.grad(x) for x in POINTS]), f.grad(POINTS))
    np.testing.assert_allclose(f.jvp((POINTS,), 2.0)[1], 2.0 * g.grad(POINTS), rtol=1e-12, atol=1e-13)


def test_higher_derivatives_by_expressions():
    f, g = recorded(lambda x: by_expressions(x) ** 2, "x"), recorded(lambda x: plain(x) ** 2, "x")
    np.testing.assert_allclose(f.hessian(POINTS), g.hessian(POINTS), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f.hvp((POINTS,), 1.5), g.hvp((POINTS,), 1.5), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f.taylor((POINTS,), [1.0], 5), g.taylor((POINTS,), [1.0], 5), rtol=1e-9, atol=1e-9)
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(graph.gradient(graph.gradient(graph.gradient(by_expressions(x), x), x), x))
    third = recorded(plain, "x")
    np.testing.assert_allclose(
        graph.compile()(POINTS), 6.0 * third.taylor((POINTS,), [1.0], 3)[..., 3], rtol=1e-10, atol=1e-9
    )


def test_kepler():
    """The derivatives of an equation's solution, against differences of the solution."""
    f = recorded(lambda m, e: kepler(m, e) * 1.0, "m", "e")
    m, e = np.random.default_rng(1).uniform(0.0, 3.0, 200), np.random.default_rng(2).uniform(0.0, 0.8, 200)
    y, slope = f.value_and_grad(m, e)
    np.testing.assert_allclose(y - e * np.sin(y), m, rtol=1e-13)
    h = 1e-6
    np.testing.assert_allclose(slope.m, (f(m + h, e) - f(m - h, e)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(slope.e, (f(m, e + h) - f(m, e - h)) / (2 * h), rtol=1e-5, atol=1e-8)
    hessian = f.hessian(m, e)
    np.testing.assert_allclose(hessian.m.e, hessian.e.m, rtol=1e-13)
    np.testing.assert_allclose(hessian.m.e, (f.grad(m, e + h).m - f.grad(m, e - h).m) / (2 * h), rtol=1e-4, atol=1e-6)


def test_results_in_partials_have_derivatives():
    """Up to the third order; then NaN."""
    exp = fg.custom_op(math.exp, lambda r, x: r)
    f = recorded(lambda x: exp(2.0 * x), "x")
    coefficients = f.taylor((0.5,), [1.0], 5)
    np.testing.assert_allclose(coefficients[:4], math.e * 2.0 ** np.arange(4) / [1.0, 1.0, 2.0, 6.0], rtol=1e-14)
    assert np.isnan(coefficients[4:]).all()
    np.testing.assert_allclose([f.grad(0.5), f.hessian(0.5)], [2.0 * math.e, 4.0 * math.e], rtol=1e-15)
    graph = fg.Graph()
    x = graph.input("x", shape=(2, 2))
    graph.output(fg.sum(exp(x)))
    np.testing.assert_allclose(
        np.diag(graph.compile().hessian(np.eye(2)).reshape(4, 4)), np.exp([1, 0, 0, 1]), rtol=1e-15
    )


def test_what_nobody_gave_is_nan():
    f = recorded(lambda x, y: fg.custom_op(product)(x, y) + y, "x", "y")
    assert f(2.0, 3.0) == 21.0 and all(np.isnan(f.grad(2.0, 3.0))) and np.isnan(f.hessian(2.0, 3.0)).all()
    assert np.isnan(f.taylor((2.0, 3.0), [(1.0, 0.5)], 4)[1:]).all()
    g = recorded(lambda x: by_functions(x) + x**2, "x")
    assert np.isfinite(g.grad(0.5)) and np.isnan(g.hessian(0.5))
    # A derivative of 0 is not recorded, and a constant argument needs none.
    h = recorded(lambda x, y: fg.custom_op(product, (lambda x, y: y * y, 0))(x, y), "x", "y")
    assert tuple(h.grad(2.0, 3.0)) == (9.0, 0.0)
    k = recorded(lambda x: fg.custom_op(product, (lambda x, y: y * y, None))(x, 3.0), "x")
    assert k.grad(2.0) == 9.0
    # The branch not taken contributes nothing.
    safe = recorded(lambda x: fg.where(x > 0.0, x * x, fg.custom_op(wave)(x)), "x")
    assert safe.grad(2.0) == 4.0 and np.isnan(safe.grad(-2.0))


@njit
def picky(x):
    if x < 0.0:
        raise ValueError("negative")
    return 1.0 / x  # raises where x is 0, as Numba's default is


def test_where_it_raises_the_value_is_nan(capfd):
    f = recorded(lambda x: fg.custom_op(picky, (lambda x: -1.0 / (x * x),))(x), "x")
    x = np.array([2.0, 0.0, -1.0, 4.0])
    assert_same_bits(f(x), np.array([0.5, np.nan, np.nan, 0.25]))
    assert_same_bits(np.array([f(v) for v in x]), f(x))
    assert_same_bits(fg.custom_op(picky)(x), f(x))
    assert_same_bits(engines.reference(f.program, x[None])[0][0], f(x))
    assert capfd.readouterr() == ("", "")


def test_partials_are_custom_ops_and_functions():
    slope = fg.custom_op(slope_of_wave, lambda r, x: 6.0 * fg.cos(3.0 * x) - 9.0 * x * fg.sin(3.0 * x))
    f, g = recorded(fg.custom_op(wave, [slope]), "x"), recorded(plain, "x")
    np.testing.assert_allclose(f.hessian(POINTS), g.hessian(POINTS), rtol=1e-12, atol=1e-12)
    derivative = recorded(lambda x: fg.sin(3.0 * x) + 3.0 * x * fg.cos(3.0 * x), "x")
    f = recorded(fg.custom_op(wave, [derivative]), "x")
    np.testing.assert_allclose(f.hessian(POINTS), g.hessian(POINTS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_engine_calls_it(dtype):
    def record(x, y):
        return by_functions(x * y) * fg.custom_op(product, lambda r, x, y: (y * y, 2.0 * x * y))(y, by_expressions(x))

    program = recorded(record, "x", "y", dtype=dtype).program
    leaves = np.random.default_rng(1).normal(size=(2, 77)).astype(dtype)
    expected = engines.reference(program, leaves)
    for name, engine in engines.of(program.dtype).items():
        got = engine(program, leaves)
        assert_same_bits(got[0], expected[0], name)
        assert_same_bits(got[1], expected[1], name)


def test_values_do_not_compute_partials():
    f = recorded(lambda x: by_expressions(x) + 1.0, "x")
    made = f.sweeper._valued
    assert f.program.n_operations > made.n_operations == 2 and recorded(plain, "x").sweeper._valued is not None
    x = POINTS[:20]
    assert_same_bits(f(x), f.value_and_grad(x)[0])
    assert_same_bits(f(x, reduce="sum"), f.value_and_grad(x, reduce="sum")[0])
    assert_same_bits(f.flat(x[:, None]), f(x))


def test_arrays_numbers_and_repetition():
    graph = fg.Graph()
    x, y = graph.input("x", shape=(2, 3)), graph.input("y", shape=3)
    graph.output(kepler(x, y))
    f = graph.compile()
    m, e = np.random.default_rng(3).uniform(0.0, 1.0, (2, 3)), np.array([0.1, 0.2, 0.3])
    assert_same_bits(f(m, e), kepler(m, e))
    assert kepler(0.5, 0.25) == anomaly(0.5, 0.25) and isinstance(kepler(0.5, 0.25), float)
    graph = fg.Graph()
    a = graph.input("a", shape=(4, 2, 3))
    graph.output(fg.sum(f(a, [0.1, 0.2, 0.3]) ** 2))
    g = graph.compile()
    assert len(g.program.functions) == 1
    np.testing.assert_allclose(g(np.stack([m] * 4)), 4.0 * (kepler(m, e) ** 2).sum(), rtol=1e-13)
    traced = fg.trace(lambda x: kepler(x, 0.5) * 2.0, ())
    assert traced(1.0) == 2.0 * anomaly(1.0, 0.5)
    assert f.bind(y=e)(m).tolist() == f(m, e).tolist()


def test_patterns_know_of_it():
    graph = fg.Graph()
    x = graph.input("x", shape=4)
    graph.output(
        [
            kepler(x[0], x[1] * 0.1),
            by_expressions(x[2]),
            fg.custom_op(product, (lambda x, y: y * y, lambda x, y: 2.0 * x * y))(x[3], x[2]),
        ]
    )
    f = graph.compile()
    pattern = np.zeros((3, 4), int)
    found = f.jacobian_sparsity()
    pattern[np.repeat(np.arange(3), np.diff(found.indptr)), found.indices] = 1
    assert pattern.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    point = np.array([0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(f.sparse_jacobian(point).toarray(), f.jacobian(point), rtol=1e-14)
    hessian = f.hessian(point, weights=[1.0, 1.0, 1.0])
    np.testing.assert_allclose(f.sparse_hessian(point, weights=[1.0, 1.0, 1.0]).toarray(), hessian, rtol=1e-13)


def test_pickles_and_bytes():
    f = recorded(by_functions, "x")
    again = pickle.loads(pickle.dumps(f))
    assert_same_bits(again(POINTS), f(POINTS))
    assert_same_bits(again.grad(POINTS), f.grad(POINTS))
    with pytest.raises(ProgramError, match=r"custom ops \(wave, slope_of_wave\).*pickle"):
        f.to_bytes()
    assert "function 0: wave" in f.program.disassemble() and "call %0, function 0" in f.program.disassemble()


def test_programs_without_the_function_are_refused():
    p = recorded(fg.custom_op(wave), "x").program
    parts = p.n_leaves, p.constants, p.runs, p.n_value_runs, p.operands, p.outputs, p.tables, p.dtype
    for functions in ((), (callee_of(product),)):
        with pytest.raises(ProgramError, match="no function 0 of as many arguments"):
            Program(*parts, functions)
    with pytest.raises(ProgramError, match="Callee"):
        Program(*parts, (wave,))
    assert Program(*parts, p.functions).n_operations == p.n_operations


def test_derived_programs_keep_functions():
    program = recorded(by_functions, "x").program
    for derive in (derived.with_tangents, derived.gradient, derived.hessian):
        assert derive(program, np.ones(1, np.bool_)).functions == program.functions


def test_threads_and_first_calls():
    """Compiled and called from several threads at once."""
    f, found = recorded(lambda x: fg.custom_op(lambda x: x + 0.5, (1,))(x), "x"), []
    threads = [threading.Thread(target=lambda: found.append(f(np.tile(POINTS, 500)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((y == np.tile(POINTS, 500) + 0.5).all() for y in found)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda x: fg.custom_op(lambda: 1.0), ArgumentError, "takes 0 arguments"),
        (lambda x: fg.custom_op(lambda a, b, c: a), ArgumentError, "takes 3 arguments"),
        (lambda x: fg.custom_op(lambda *a: a), ArgumentError, "by position"),
        (lambda x: fg.custom_op(lambda a: "".join(a)), ArgumentError, "cannot be compiled"),
        (lambda x: fg.custom_op(lambda a: "text"), ArgumentError, "cannot be compiled"),
        (lambda x: fg.custom_op(lambda a: (a, a)), ArgumentError, "cannot be compiled"),
        (lambda x: fg.custom_op(3.0), ArgumentError, "no function"),
        (lambda x: fg.custom_op(wave, (1, 2)), ArgumentError, "1 arguments, but 2 partials"),
        (lambda x: fg.custom_op(wave, slope_of_wave), ArgumentError, r"write \(wave_slope,\)"),
        (lambda x: fg.custom_op(product, lambda r, x, y: (x,))(x, x), ArgumentError, "gave 1 derivatives"),
        (lambda x: kepler(x), ArgumentError, "takes 2 arguments, not 1"),
        (lambda x: fg.call(x, 0), ExprError, "takes a function"),
        (lambda x: fg.call(2.0, wave), ExprError, "expression"),
    ],
)  # fmt: skip
def test_what_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make(fg.Graph().input("x"))


def test_a_function_compiled_for_float64_serves_float32():
    @njit("float64(float64)")
    def only_double(x):
        return x + 0.1

    graph = fg.Graph()
    graph.output(fg.custom_op(only_double)(graph.input("x")))
    assert graph.compile(np.float32)(np.float32(1.5)) == np.float32(1.6)  # converted, then rounded


def test_callees_are_shared_by_function():
    assert callee_of(wave) is callee_of(wave) and isinstance(callee_of(wave), Callee)
    f = recorded(lambda x: by_functions(x) + by_functions(x * 2.0) + by_expressions(x), "x")
    assert [function.name for function in f.program.functions] == ["wave", "slope_of_wave"]
