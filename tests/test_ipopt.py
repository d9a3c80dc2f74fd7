"""Ipopt: the callbacks have the bits of ``f.flat``, patterns are exact, and problems of known solution are solved."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, ShapeError
from tests.bits import assert_same_bits

QUIET = {"print_level": 0, "sb": "yes"}
BIG = 2000


@pytest.fixture
def cyipopt():
    return pytest.importorskip("cyipopt")


def hock_schittkowski():
    """Problem 71 of Hock and Schittkowski, Test Examples for Nonlinear Programming Codes (1981)."""
    objective = fg.trace(lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], (4,))
    return objective, fg.trace(lambda x: np.array([np.prod(x), x @ x]), (4,))


def arm():
    """A Lagrangian of u and two angles: several inputs, parameters of either function and of both, several outputs."""
    graph = fg.Graph("effort")
    weight, u, length = graph.parameter("weight"), graph.input("u", 2), graph.parameter("length")
    graph.output(weight * fg.dot(u, u) * length)
    effort = graph.compile()
    graph = fg.Graph("reach")
    angle, u = graph.input("angle", (2, 1)), graph.input("u", 2)
    length, offset = graph.parameter("length"), graph.parameter("offset", 2)
    graph.output(length * fg.sum(fg.cos(angle)) + offset[0], name="across")
    graph.output(fg.sin(angle[:, 0]) * u + offset, name="torques")
    return effort, graph.compile()


PARAMETERS = {"weight": 2.0, "length": 3.0, "offset": [0.5, -0.5]}
POINT = np.array([0.3, -0.4, 1.2, 0.7])  # u, then angle


def dense(structure, values, shape, is_symmetric=False):
    table = np.zeros(shape)
    table[structure] = values
    if is_symmetric:
        table = table + np.tril(table, -1).T
    return table


# -- callbacks ------------------------------------------------------------------------------------------------------
def test_callbacks_are_the_functions():
    effort, reach = arm()
    p = fg.ipopt.problem(effort, reach, **PARAMETERS)
    u, angle = POINT[:2], POINT[2:]
    swapped = np.append(angle, u)  # as reach declares them
    assert (p.n, p.m) == (4, 3)
    value, gradient = effort.flat.value_and_grad(u, weight=2.0, length=3.0)
    assert p.objective(POINT) == value == 6.0 * (u @ u)
    assert_same_bits(p.gradient(POINT), np.append(gradient, [0.0, 0.0]))
    assert_same_bits(p.constraints(POINT), reach.flat(swapped, length=3.0, offset=[0.5, -0.5]))
    jacobian = dense(p.jacobianstructure(), p.jacobian(POINT), (3, 4))
    expected = reach.flat.jacobian(swapped, length=3.0, offset=[0.5, -0.5])[:, [2, 3, 0, 1]]
    np.testing.assert_allclose(jacobian, expected, rtol=1e-15)
    # Nothing that is always 0 is in the pattern.
    assert list(zip(*map(np.ndarray.tolist, p.jacobianstructure()), strict=True)) == [
        (0, 2), (0, 3), (1, 0), (1, 2), (2, 1), (2, 3)
    ]  # fmt: skip
    assert list(zip(*map(np.ndarray.tolist, p.hessianstructure()), strict=True)) == [
        (0, 0), (1, 1), (2, 0), (2, 2), (3, 1), (3, 3)
    ]  # fmt: skip
    multipliers = np.array([2.0, -1.0, 0.5])
    hessian = dense(p.hessianstructure(), p.hessian(POINT, multipliers, 0.25), (4, 4), is_symmetric=True)
    exact = np.diag([3.0, 3.0, 0.0, 0.0])  # 0.25 times twice weight times length
    exact[[2, 3], [2, 3]] = -2.0 * 3.0 * np.cos(angle) - multipliers[1:] * np.sin(angle) * u
    exact[[2, 3], [0, 1]] = exact[[0, 1], [2, 3]] = multipliers[1:] * np.cos(angle)
    np.testing.assert_allclose(hessian, exact, rtol=4e-16)


def test_same_inputs_are_taken_as_they_are():
    objective, limits = hock_schittkowski()
    p, x = fg.ipopt.problem(objective, limits), np.array([1.0, 5.0, 4.0, 2.0])
    assert_same_bits(p.gradient(x), objective.flat.grad(x))
    assert_same_bits(p.constraints(x), limits.flat(x))
    assert_same_bits(p.jacobian(x), limits.flat.jacobian(x).ravel())
    values, v = p.hessian(x, np.array([2.0, 3.0]), 0.5), np.array([2.0, 3.0])
    expected = 0.5 * objective.flat.hessian(x) + limits.flat.hessian(x, weights=v)
    hessian = dense(p.hessianstructure(), values, (4, 4), is_symmetric=True)
    np.testing.assert_allclose(hessian, expected, rtol=1e-15, atol=1e-14)


def test_bounds_only():
    p = fg.ipopt.problem(fg.trace(lambda x: x[0] ** 2 * x[1], (2,)))
    x = np.array([2.0, 3.0])
    assert (p.m, p.constraints(x).shape, p.jacobian(x).shape, p.jacobianstructure()[0].shape) == (0, (0,), (0,), (0,))
    assert [part.tolist() for part in p.hessianstructure()] == [[0, 1], [0, 0]]
    assert p.hessian(x, np.empty(0), 0.5).tolist() == [3.0, 2.0]


def test_linear_functions():
    p = fg.ipopt.problem(fg.trace(lambda x: x[0] - x[1], (2,)), fg.trace(lambda x: x[1] * 2.0, (2,)))
    assert p.hessianstructure()[0].size == p.hessian(np.ones(2), np.ones(1), 1.0).size == 0


def test_results_are_fresh():
    """Ipopt's own vectors change under way, and so may what it was given."""
    objective, limits = hock_schittkowski()
    p, x = fg.ipopt.problem(objective, limits), np.array([1.0, 5.0, 4.0, 2.0])
    for call in (p.gradient, p.constraints, p.jacobian, lambda x: p.hessian(x, np.ones(2), 1.0)):
        first = call(x)
        kept = first.copy()
        second = call(x + 1.0)
        assert not np.shares_memory(first, second) and np.array_equal(first, kept) and first.flags.writeable
    assert p.jacobianstructure()[0].flags.writeable and p.hessianstructure()[1].flags.writeable


def test_pickles_and_threads():
    p = fg.ipopt.problem(*arm(), **PARAMETERS)

    def numbers(p):
        return np.concatenate(
            [[p.objective(POINT)], p.gradient(POINT), p.jacobian(POINT), p.hessian(POINT, np.arange(3.0), 1.0)]
        )

    expected = numbers(fg.ipopt.problem(*arm(), **PARAMETERS))
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(numbers, [p] * 100):
            assert_same_bits(result, expected)
    assert_same_bits(numbers(pickle.loads(pickle.dumps(p))), expected)
    assert repr(p) == "<Problem of 4 variables and 3 constraints: Function 'effort'>"


# -- solve ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("more", [{}, {"hessian_approximation": "limited-memory"}])
def test_hock_schittkowski(cyipopt, more):
    p = fg.ipopt.problem(*hock_schittkowski())
    exact = {"tol": 1e-10, "bound_relax_factor": 0}
    x, info = p.solve([1, 5, 5, 1], 1.0, 5.0, [25.0, 40.0], [np.inf, 40.0], **exact, **QUIET, **more)
    assert info["status"] == 0
    np.testing.assert_allclose(x, [1.0, 4.74299963, 3.82114998, 1.37940829], rtol=1e-8)  # as published
    np.testing.assert_allclose(info["obj_val"], 17.0140173, rtol=3e-9)
    np.testing.assert_allclose(info["g"], [25.0, 40.0], rtol=1e-8)


def test_limited_memory_does_not_look_at_the_hessian(cyipopt):
    p = fg.ipopt.problem(*hock_schittkowski())
    p.solve([1, 5, 5, 1], 1, 5, [25, 40], [np.inf, 40], hessian_approximation="limited-memory", **QUIET)
    assert "_lagrangian" not in vars(p)


def test_within_bounds(cyipopt):
    """Rosenbrock's function where x is at most ½: the minimum in y is x², and the one in x is at the bound."""
    p = fg.ipopt.problem(fg.trace(lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2, (2,)))
    for lower, upper in ((None, [0.5, np.inf]), ([-3.0, -np.inf], [0.5, 9.0])):
        x, info = p.solve([-1.2, 1.0], lower, upper, tol=1e-10, **QUIET)
        assert info["status"] == 0
        np.testing.assert_allclose(x, [0.5, 0.25], rtol=1e-6)
        np.testing.assert_allclose(info["mult_x_U"], [1.0, 0.0], atol=1e-6)  # minus the slope there, -2 (1 - ½)
    x, info = p.solve([-1.2, 1.0], tol=1e-10, **QUIET)
    np.testing.assert_allclose(x, 1.0, rtol=1e-9)


def test_one_sided_constraints(cyipopt):
    """The point of a circle that is lowest along x + y."""
    p = fg.ipopt.problem(fg.trace(lambda x: x[0] + x[1], (2,)), constraints=fg.trace(lambda x: x @ x, (2,)))
    x, info = p.solve([0.5, 0.0], constraint_upper=2.0, tol=1e-10, **QUIET)
    np.testing.assert_allclose(x, -1.0, rtol=1e-8)
    np.testing.assert_allclose(info["mult_g"], 0.5, rtol=1e-8)
    x, info = p.solve([-0.5, -0.7], -1.0, 0.0, constraint_lower=0.5, tol=1e-10, **QUIET)
    np.testing.assert_allclose(x, -1.0, atol=1e-8)


def test_a_large_problem(cyipopt):
    """½ |x - b|² subject to xᵢ² + xᵢ₊₁ = cᵢ, where b = x + Jᵀλ, so that x and multipliers λ are known.

    With |λ| < ½ the Lagrangian is convex.
    """
    rng = np.random.default_rng(4)
    x, multipliers = rng.uniform(0.5, 1.5, BIG), rng.uniform(-0.4, 0.4, BIG - 1)
    target = x + np.append(2.0 * x[:-1] * multipliers, 0.0) + np.append(0.0, multipliers)
    graph = fg.Graph("tracking")
    v, b = graph.input("x", shape=BIG), graph.parameter("b", shape=BIG)
    graph.output(0.5 * fg.sum((v - b) ** 2))
    p = fg.ipopt.problem(graph.compile(), fg.trace(lambda x: x[:-1] ** 2 + x[1:], (BIG,)), b=target)
    assert len(p.jacobianstructure()[0]) == 2 * (BIG - 1) and len(p.hessianstructure()[0]) == BIG
    bound = x[:-1] ** 2 + x[1:]
    found, info = p.solve(np.ones(BIG), None, None, bound, bound, tol=1e-12, **QUIET)
    assert info["status"] == 0
    np.testing.assert_allclose(found, x, rtol=1e-10)
    np.testing.assert_allclose(info["mult_g"], multipliers, atol=1e-10)


def test_ipopt_agrees_with_the_derivatives(cyipopt, capfd):
    """Its own derivative checker finds nothing, of first or second order, and not because it is not asked."""
    p = fg.ipopt.problem(*arm(), **PARAMETERS)
    options = {"derivative_test": "second-order", "max_iter": 1, "derivative_test_tol": 1e-5, "sb": True}
    p.solve(POINT, constraint_lower=0.0, **options)
    assert "No errors detected by derivative checker." in capfd.readouterr().out


def test_the_object_is_what_cyipopt_takes(cyipopt):
    objective, limits = hock_schittkowski()

    class Watched(fg.ipopt.Problem):
        """With a callback of its own."""

        def intermediate(self, *args):
            seen.append(args[1])
            return args[1] < 2

    seen = []
    p = Watched(objective, limits)
    program = cyipopt.Problem(p.n, p.m, p, np.ones(4), np.full(4, 5.0), [25.0, 40.0], [np.inf, 40.0])
    for name, value in QUIET.items():
        program.add_option(name, value)
    _, info = program.solve(np.array([1.0, 5.0, 5.0, 1.0]))
    assert seen == [0, 1, 2] and b"requested" in info["status_msg"]


# -- what is refused ------------------------------------------------------------------------------------------------
def single():
    graph = fg.Graph("single")
    graph.output(graph.input("x", 4) @ graph.argument("x"))
    return graph.compile(np.float32)


def other():
    return fg.trace(lambda x: x[0] * 2.0, (3,))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda f, g: fg.ipopt.problem(np.sin), "takes a Function, as graph.compile"),
        (lambda f, g: fg.ipopt.problem(f, np.sin), "takes a Function, as graph.compile"),
        (lambda f, g: fg.ipopt.problem(g), "fg.ipopt.problem needs exactly one scalar output"),
        (lambda f, g: fg.ipopt.problem(single()), "Function 'single' computes in float32"),
        (lambda f, g: fg.ipopt.problem(f, single()), "Function 'single' computes in float32"),
        (lambda f, g: fg.ipopt.problem(f, other()), r"x has the shape \(3,\) in .*, but \(4,\) in .*same by name"),
        (lambda f, g: fg.ipopt.problem(*arm(), weight=1.0, length=1.0), "'reach' misses the parameter 'offset'"),
        (lambda f, g: fg.ipopt.problem(*arm(), q=1.0, **PARAMETERS), "neither .*effort' nor .*reach' .*parameter 'q'"),
        (lambda f, g: fg.ipopt.problem(*arm(), **PARAMETERS | {"weight": [1.0, 2.0]}), "weight with shape .*, a batch"),
        (lambda f, g: fg.ipopt.problem(*arm(), **PARAMETERS | {"offset": 1.0}), "offset with shape"),
        (lambda f, g: fg.ipopt.problem(f, g).objective(np.ones(3)), r"x with shape \(3,\): it must be \(4,\)"),
        (lambda f, g: fg.ipopt.problem(f, g).jacobian(np.ones((2, 4))), r"x with shape \(2, 4\)"),
        (lambda f, g: fg.ipopt.problem(f, g).hessian(np.ones(4), np.ones(3), 1.0), r"lagrange with shape \(3,\)"),
        (lambda f, g: fg.ipopt.problem(f, g).solve(np.ones(4)), "give constraint_lower, constraint_upper or both"),
        (lambda f, g: fg.ipopt.problem(f).solve(np.ones(4), constraint_lower=0.0), "there are none to have bounds"),
        (lambda f, g: fg.ipopt.problem(f).solve(np.ones(5)), r"x0 with shape \(5,\): it must be \(4,\)"),
        (lambda f, g: fg.ipopt.problem(f).solve(np.ones(4), 2.0, 1.0), r"lower\[0\] = 2.0 must be at most upper\[0\]"),
        (lambda f, g: fg.ipopt.problem(f).solve(np.ones(4), [0.0] * 3), r"lower with shape \(3,\): .* \(4,\)"),
        (lambda f, g: fg.ipopt.problem(f, g).solve(np.ones(4), None, None, [1.0] * 4), r"constraint_lower .*\(2,\)"),
    ],
)  # fmt: skip
def test_what_is_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError), match=match):
        call(*hock_schittkowski())


@pytest.mark.parametrize("options", [{"nonsense": 1.0}, {"tol": "small"}, {"print_level": 0.5}, {"tol": None}])
def test_options_that_are_refused(cyipopt, options):
    (name, value) = options.popitem()
    p = fg.ipopt.problem(hock_schittkowski()[0])
    with pytest.raises(ArgumentError, match=f"Ipopt does not take the option {name}={value!r}"):
        p.solve(np.ones(4), **{name: value})


def test_without_cyipopt(monkeypatch):
    monkeypatch.setitem(sys.modules, "cyipopt", None)
    p = fg.ipopt.problem(*hock_schittkowski())
    assert p.objective(np.ones(4)) == 4.0 and p.hessian(np.ones(4), np.ones(2), 1.0).shape == (10,)
    with pytest.raises(ImportError, match=r"pip install 'fastgraph\[ipopt\]'"):
        p.solve(np.ones(4), constraint_lower=1.0)
