"""JAX's functions as Functions: values and derivatives beside JAX's in double precision, shapes, refusals."""

import random
import sys

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.importers import jaxpr_walk
from fastgraph.importers.jaxpr import x64
from fastgraph.importers.jaxpr_rules import RULES
from fastgraph.importers.jaxpr_walk import MAX_STEPS

jax = pytest.importorskip("jax")
jnp, lax = jax.numpy, jax.lax

V = np.array([0.3, -1.2, 0.7])
U = np.array([0.45, 0.15, 0.8])
AT = np.array([0, 0, 1])
M = np.array([[3.0, 0.2, -0.5], [0.1, 2.0, 0.7], [-0.3, 0.4, 2.5]])
S = np.linalg.inv(M @ M.T)


def scanned(x):
    last, ys = lax.scan(lambda c, y: (c * 0.5 + y, (jnp.sin(c) * y, c)), 0.0, x, reverse=True)
    return last + (ys[0] * jnp.arange(3)).sum() + ys[1][0]


def counted(x):
    return lax.scan(lambda c, k: (c * x + k, k * 2), x, jnp.arange(4))[0].sum()


def looped(x):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x))[1].sum()


def unstacked(x):
    a, b, c = jnp.unstack(x)
    return a * b + c


@jax.custom_vjp
def doubled(x):
    return x * 2.0


doubled.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g * 2.0,))


@jax.custom_jvp
def cubed(x):
    return x**3


cubed.defjvp(lambda p, t: (p[0] ** 3, 3.0 * p[0] ** 2 * t[0]))


def switched(x):
    branches = [lambda y: y.sum(), lambda y: y[0] ** 2, lambda y: y[1]]
    return lax.switch(jnp.int32(x[0] * 3), branches, x) + lax.switch(jnp.int32(x[2] * 30), branches, x)


def written(x):
    """All that writes into arrays and has a derivative in JAX."""
    y = x.at[0].set(2.0) + x.at[AT].add(x) + x.at[jnp.array([2, 5])].set(jnp.array([1.0, 7.0]))
    return (y + x.at[::2].add(1.0)).sum() + jnp.outer(x, x).at[:, 1].add(x)[2, 1]


def joined_in_place(x):
    y = x.at[AT].multiply(x + 1.0) + x.at[1].max(0.0) + x.at[AT].min(x)
    return y.sum()


def read(x):
    """All that reads from arrays by places, in and out of bounds."""
    y = x[jnp.array([0, 2, 2])] * jnp.outer(x, x)[jnp.array([1, 0]), jnp.array([2, 1])].sum()
    filled = x.at[jnp.array([0, 5])].get(mode="fill", fill_value=2.5).sum() + x.at[7].get(mode="clip")
    y = y + lax.dynamic_update_slice(x, x[:1], (2,))
    return y @ x + filled + lax.dynamic_slice(x, (1,), (2,)).sum() + jnp.take(x, 1)


def moved(x):
    """All that moves elements without places."""
    y = jnp.pad(x, (1, 2), constant_values=3.0) * jnp.arange(6) + lax.pad(x, 1.0, [(0, 1, 1)])
    z = jnp.stack([x, x * 2]).T.reshape(2, 3)[:, ::-1] + jnp.concatenate([x, x**2]).reshape(2, 3) + jnp.tile(x, (2, 1))
    w = jnp.squeeze(x[None]) + jnp.expand_dims(x, 0)[0] + jnp.roll(x, 1) * jnp.flip(x) + jnp.repeat(x, 2)[1:4]
    parts = jnp.split(x, 3)
    return (z * jnp.broadcast_to(x, (2, 3))).sum() + y.sum() + w @ x + parts[1][0] + jnp.triu(jnp.outer(x, x)).sum()


def identities(x):
    from jax.ad_checkpoint import checkpoint_name

    y = checkpoint_name(x, "x") + lax.optimization_barrier(x) * jnp.copy(x) + jax.device_put(x)
    return (y + jnp.logical_xor.reduce(x > 0)).sum()


def joined(x):
    y = jnp.cumsum(x) * jnp.cumprod(x) + lax.cummax(x, reverse=True) * lax.cumlogsumexp(x) + lax.cummin(x)
    return (
        y.sum() + jnp.prod(x) + jnp.min(x) * jnp.max(x) + jnp.std(x) + jnp.outer(x, x).max(axis=0).sum() + jnp.mean(x)
    )


def trigonometric(x):
    y = jnp.sin(x) + jnp.cos(x) * jnp.tan(x) + jnp.arcsin(x / 2) + jnp.arccos(x / 2) + jnp.arctan(x)
    return (y + jnp.arctan2(x, x[0]) + jnp.hypot(x, 1.0)).sum()


def hyperbolic(x):
    y = jnp.sinh(x) + jnp.cosh(x) * jnp.tanh(x) + jnp.arcsinh(x) + jnp.arccosh(x + 3) + jnp.arctanh(x / 2)
    return y.sum()


def exponential(x):
    y = jnp.exp(x) + jnp.exp2(x) + jnp.expm1(x) + jnp.log(x + 2) + jnp.log1p(x * x) + jnp.power(2.0, x)
    return (y + jnp.abs(x) ** 2.5 + jnp.sqrt(x + 2) + jnp.cbrt(x) + lax.rsqrt(x * x)).sum()


def solved_systems(a, b):
    return jax.vmap(jnp.linalg.solve)(jnp.stack([a, a.T]), jnp.stack([b, 2 * b])).sum()


def special(x):
    y = jax.nn.gelu(x) + jax.scipy.special.gammaln(x) + jax.scipy.stats.norm.logcdf(x) + jax.scipy.special.erfc(x)
    return (
        y
        + jnp.sinc(x)
        + jax.scipy.special.polygamma(2, x + 3)
        + jax.scipy.special.digamma(x)
        + jax.scipy.special.erf(x)
    ).sum()


def rounded(x):
    y = (
        jnp.floor(x)
        + jnp.ceil(x) * x
        + jnp.round(x)
        + lax.round(x)
        + jnp.sign(x)
        + x // 0.5
        + x % 2
        + jnp.fmod(x, 0.4)
        + jnp.trunc(x)
    )
    n = jnp.int32(x * 10)
    return (
        y * x + (n // 3 + n % 4 - lax.div(n, jnp.int32(4)) + lax.rem(n, jnp.int32(3))) * x + jnp.float64(n > 2) * x
    ).sum()


def chosen(x):
    inside = (x > 0) & ~(x > 0.5) | (x < -1) ^ (x >= 0.7)
    y = jnp.where(inside, jnp.abs(x) ** 2.5, jnp.exp(x)) + jnp.where(x > 0, jnp.sqrt(x), 0.0) + jnp.clip(x, -1.0, 0.5)
    y = y + jnp.where(jnp.isfinite(x) & (x != 0.25) & (x <= 3) & (x == x), lax.select(x < 0, x, -x), x)
    return (y + lax.select_n(jnp.array([0, 2, 1]), x, x * 2, x * 3)).sum() + jnp.any(x > 0) + jnp.all(x > 0) * x[0]


# Functions of one or more arrays, to a scalar, and the arrays.
FUNCTIONS = {
    "arithmetic": (lambda x: (x * 2 - 1 / x + x**3 + x**-2 + jnp.square(x) - (-x)).sum(), (V,)),
    "trigonometric": (trigonometric, (V,)),
    "hyperbolic": (hyperbolic, (V,)),
    "exponential": (exponential, (V,)),
    "special": (special, (U,)),
    "rounded": (rounded, (V,)),
    "chosen": (chosen, (V,)),
    "activations": (lambda x: (jax.nn.softplus(x) + jax.nn.sigmoid(x) + jax.nn.relu(x) + jax.nn.elu(x)).sum(), (V,)),
    "logsumexp": (lambda x: jax.scipy.special.logsumexp(x) + jnp.logaddexp(x[0], x[1]) + jax.nn.softmax(x)[0], (V,)),
    "moved": (moved, (V,)),
    "unstacked": (unstacked, (V,)),
    "read": (read, (V,)),
    "written": (written, (V,)),
    "joined": (joined, (V,)),
    "products": (lambda x, y: (jax.vmap(jnp.dot)(x, y).sum() + jnp.einsum("ij,kj->ik", x, y) @ x[0]).sum(), (M, S)),
    "contracted": (lambda x, y: jnp.tensordot(x, y) + jnp.einsum("bi,bij->b", x, y[None] + x[:, None]).sum(), (M, S)),
    "solved": (lambda a, b: jnp.linalg.solve(a, b) @ b, (M, V)),
    "solved for several": (lambda a, b: (jnp.linalg.solve(a, b) * b).sum(), (M, S[:, :2])),
    "solved with numbers": (lambda b: jnp.linalg.solve(M, b) @ b, (V,)),
    "inverted": (lambda a: (jnp.linalg.inv(a) * jnp.arange(9.0).reshape(3, 3)).sum(), (M,)),
    "solved systems": (solved_systems, (M, V)),
    "scan": (scanned, (V,)),
    "scan over numbers": (counted, (V,)),
    "fori": (lambda x: lax.fori_loop(0, 5, lambda i, c: c * x + i, x).sum(), (V,)),
    "while": (looped, (V,)),
    "cond": (lambda x: lax.cond(x[0] > 0, lambda y: (y * 2).sum(), lambda y: jnp.sqrt(y[0]), x), (V,)),
    "switch": (switched, (V,)),
    "jit": (jax.jit(lambda x: jax.jit(jnp.sin)(x).sum()), (V,)),
    "checkpoint": (jax.checkpoint(lambda x: (jnp.sin(x) * x).sum()), (V,)),
    "custom_vjp": (lambda x: doubled(x).sum(), (V,)),
    "custom_jvp": (lambda x: cubed(x).sum(), (V,)),
    "stop_gradient": (lambda x: (lax.stop_gradient(x) * x + lax.stop_gradient(jnp.exp(x))).sum(), (V,)),
    "gradient": (lambda x: jax.grad(lambda x: jnp.linalg.norm(x) * x[1])(x).sum(), (V,)),
    "hessian": (lambda x: jax.hessian(lambda x: jnp.sin(x[0] * x[1]) * jnp.exp(x[2]))(x).sum(), (V,)),
    "random": (lambda x: (x * jax.random.normal(jax.random.PRNGKey(0), (3,))).sum(), (V,)),
    "scalars": (lambda a, b: a * jnp.sin(b) + 3, (0.5, 1.5)),
}  # fmt: skip
REVERSE = ("custom_vjp",)


def of_jax(name):
    """Value and derivatives, by forward mode: loops have no other."""
    function, arrays = FUNCTIONS[name]
    with x64(jax):
        arrays = [jnp.asarray(a) for a in arrays]
        derivative = jax.grad if name in REVERSE else jax.jacfwd
        slopes = derivative(function, argnums=tuple(range(len(arrays))))(*arrays)
        return np.asarray(function(*arrays)), [np.asarray(s) for s in slopes]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    function, arrays = FUNCTIONS[name]
    f = fg.from_jaxpr(function, *arrays)
    value, slopes = of_jax(name)
    got, gradient = f.value_and_grad(*arrays)
    # Some tens of operations of 1 to 4 ulp; sums in another order.
    np.testing.assert_allclose(got, value, rtol=1e-13, atol=1e-14)
    for mine, other in zip(gradient if len(arrays) > 1 else [gradient], slopes, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)


def test_values_without_derivatives_in_every_version():
    f = fg.from_jaxpr(identities, V)
    assert f(V) == np.sum(V + V * V + V + ((V[0] > 0) ^ (V[1] > 0) ^ (V[2] > 0)))
    np.testing.assert_allclose(f.grad(V), 2.0 + 2.0 * V)


def test_writing_that_jax_does_not_differentiate():
    f = fg.from_jaxpr(joined_in_place, V)
    with x64(jax):
        np.testing.assert_allclose(f(V), joined_in_place(jnp.asarray(V)), rtol=1e-14)
    # The sum of x0 (x0 + 1) (x1 + 1) + x1 (x2 + 1) + x2, x0 + max(x1, 0) + x2, and min(x0, x1) + min(x1, x2) + x2.
    slopes = [(2.0 * V[0] + 1.0) * (V[1] + 1.0) + 1.0, V[0] * (V[0] + 1.0) + V[2] + 1.0 + 2.0, V[1] + 3.0]
    np.testing.assert_allclose(f.grad(V), slopes, rtol=1e-14)


def primitives(jaxpr):
    """Names of the primitives of a jaxpr, and of those in it."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from primitives(inner)


def test_every_rule_is_tested():
    tested = set()
    with x64(jax):
        for function, arrays in [*FUNCTIONS.values(), (joined_in_place, (V,)), (identities, (V,))]:
            tested |= set(primitives(jax.make_jaxpr(function)(*map(jnp.asarray, arrays)).jaxpr))
    # Versions differ in what they have a primitive for.
    assert RULES.keys() - tested <= {"square", "stack", "unstack", "tile", "split", "copy", "reduce_xor"}


# -- arguments and outputs ----------------------------------------------------------------------------------------
def of_trees(p, x, *, k=2.0):
    return {"loss": jnp.sum((p["w"] @ x["a"][0]) ** 2) * k, "parts": (p["w"], x["a"][1])}


def test_trees_of_arrays():
    p, x = {"w": np.ones((2, 3), np.float32)}, {"a": [np.array([1.0, 2.0, 3.0]), 4.0]}
    f = fg.from_jaxpr(of_trees, p, x, parameters=["x_a_0"])
    assert [(a.name, a.shape, a.differentiable) for a in f.arguments] == [
        ("p_w", (2, 3), True), ("x_a_0", (3,), False), ("x_a_1", (), True),
    ]  # fmt: skip
    assert [(o.name, o.shape) for o in f.outputs] == [("loss", ()), ("parts_0", (2, 3)), ("parts_1", ())]
    got = f(p["w"], x["a"][0], 4.0)
    assert got.loss == 144.0 and got.parts_1 == 4.0 and f.name == "of_trees"


def test_real_numbers_are_traced_in_double_precision():
    f = fg.from_jaxpr(lambda x: x * 0.1 + jnp.float32(0.5), np.float32(1.0))
    assert f(3.0) == 3.0 * 0.1 + 0.5
    assert fg.from_jaxpr(lambda x: x.astype(jnp.float32) / 3.0, 1.0)(1.0) == 1.0 / 3.0  # conversions change nothing
    assert not jax.config.jax_enable_x64  # and the setting stays what it was


def test_integers_are_parameters():
    f = fg.from_jaxpr(lambda n, x, b: jnp.where(b, x * n, n // 2), 3, 2.0, True)
    assert [(a.name, a.differentiable) for a in f.arguments] == [("n", False), ("x", True), ("b", False)]
    assert f(5, 2.5, True) == 12.5 and f(5, 2.5, False) == 2.0


def test_shapes_in_place_of_examples():
    f = fg.from_jaxpr(
        lambda *v: v[0] @ v[1], jax.ShapeDtypeStruct((2, 3), np.float32), jax.ShapeDtypeStruct((3,), np.float64)
    )
    assert repr(f) == "<Function '<lambda>': (v0[2, 3], v1[3]) -> (y0[2]), 10 operations>"


def test_a_closed_jaxpr():
    with x64(jax):
        closed = jax.make_jaxpr(lambda x, p: (jnp.dot(x, M[0]) * p["k"], x))(V, {"k": 2.0})
    f = fg.from_jaxpr(closed, parameters=["p_k"], name="given", dtype=np.float32)
    assert [a.name for a in f.arguments] == ["x", "p_k"] and f.name == "given" and f.dtype == np.float32
    assert len(f.outputs) == 2 and abs(f(V, p_k=2.0)[0] - 2.0 * V @ M[0]) < 1e-6


def test_outputs_that_depend_on_nothing():
    f = fg.from_jaxpr(lambda x: (jnp.arange(3), x, 2.5, x > 0), 1.0)
    assert [np.asarray(v).tolist() for v in f(-1.0)] == [[0.0, 1.0, 2.0], -1.0, 2.5, 0.0]


def test_what_is_constant_is_computed_by_jax():
    def f(x):
        return x * lax.fori_loop(0, 1_000_000, lambda i, c: c + 0.5, 0.0) + jnp.linalg.det(jnp.eye(5) * 2.0)

    assert fg.from_jaxpr(f, 1.0)(3.0) == 1_500_032.0


def test_into_a_graph_there_is():
    f = fg.from_jaxpr(lambda x: jnp.sin(x).sum(), V)
    graph = fg.Graph()
    v = graph.input("v", shape=(2, 3))
    graph.output(fg.sum(f(v)))
    np.testing.assert_allclose(graph.compile()([V, U]), np.sin([V, U]).sum(), rtol=1e-15)


def test_a_branch_not_taken_has_no_slope():
    f = fg.from_jaxpr(lambda x: lax.cond(x > 0, jnp.sqrt, lambda y: 0.0 * y, x), 1.0)
    assert f.grad([-1.0, 0.0, 4.0]).tolist() == [0.0, 0.0, 0.25]


def test_second_derivatives_of_what_is_stopped():
    f = fg.from_jaxpr(lambda x: lax.stop_gradient(x**3) * x**2, 2.0)
    assert f.grad(2.0) == 32.0 and f.hessian(2.0) == 16.0
    with x64(jax):
        assert jax.hessian(lambda x: lax.stop_gradient(x**3) * x**2)(2.0) == 16.0


def test_derivatives_are_those_of_what_is_computed():
    """Not those that a custom rule says, here a wrong one on purpose."""

    @jax.custom_vjp
    def ten_times_as_steep(x):
        return x**2

    ten_times_as_steep.defvjp(lambda x: (x**2, x), lambda x, g: (20.0 * x * g,))
    assert fg.from_jaxpr(ten_times_as_steep, 3.0).grad(3.0) == 6.0


def of_network(rng, sizes):
    """A network with random weights, and a penalty: what people bring."""
    weights = [rng.normal(size=(m, n)) / np.sqrt(m) for m, n in zip(sizes, sizes[1:], strict=False)]

    def call(x):
        for w in weights:
            x = jax.nn.softplus(x @ w) - jnp.log(2.0)
        return jnp.sum(x**2) / (1.0 + jnp.var(x))

    return call


def random_function(seed):
    """A random composition of what moves, joins and maps elements of a vector of six."""
    rng = random.Random(seed)
    steps = [
        jnp.sin, jnp.tanh, lambda x: x**2, lambda x: x[::-1], lambda x: jnp.roll(x, 2), jnp.cumsum,
        lambda x: x / (1 + x @ x), lambda x: x.reshape(2, 3).T.reshape(6), lambda x: x - x.mean(),
        lambda x: jnp.where(x > 0, x, jnp.exp(x) - 1),
        lambda x: jnp.concatenate([x[2:], x[:2] * x[-1]]), lambda x: jnp.outer(x[:2], x[:3]).ravel(), jax.nn.softmax,
        lambda x: jnp.maximum(x, x[0] / 2), lambda x: x.at[1].add(x[0]), lambda x: jnp.sort(jnp.arange(6.0)) * x,
        of_network(np.random.default_rng(seed), (6, 4, 6)),
    ]  # fmt: skip
    chosen = [rng.choice(steps[:-1]) for _ in range(8)]

    def call(x):
        for step in chosen:
            x = step(x)
        return jnp.sum(x * jnp.arange(6.0)) + steps[-1](x)

    return call


@pytest.mark.parametrize("seed", range(6))
def test_random_functions(seed):
    function, x = random_function(seed), np.random.default_rng(seed).normal(size=6)
    f = fg.from_jaxpr(function, x)
    with x64(jax):
        value, slope = jax.value_and_grad(function)(jnp.asarray(x))
    got, gradient = f.value_and_grad(x)
    np.testing.assert_allclose(got, value, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-11, atol=1e-12)


# -- refusals -----------------------------------------------------------------------------------------------------
def sorted_in_a_loop(x):
    return lax.scan(lambda c, _: (jnp.sort(c), None), x, None, length=3)[0]


def sorted_in_vain(x):
    jnp.sort(x)
    jax.debug.print("{}", x)
    return x[0]


@pytest.mark.parametrize(
    ("function", "example", "parts"),
    [
        (lambda x: jnp.sort(x)[0], V, ["sort cannot be recorded", "sort[", "jit sort", "test_from_jaxpr.py, line"]),
        (lambda x: jnp.argmax(x) + x[0], V, ["argmax cannot be recorded", "in <lambda>"]),
        (lambda x: jax.jit(lambda y: jnp.linalg.svd(y)[1])(x), M, ["svd", "jit svd", "jit <lambda>"]),
        (lambda x: jnp.linalg.det(x), np.eye(5), ["lu cannot be recorded"]),
        (lambda x: x[jnp.int32(x[0])], V, ["dynamic_slice", "places must be constant"]),
        (lambda x: x.at[jnp.int32(x[:2])].add(1.0), V, ["scatter-add", "places must be constant"]),
        (lambda x: jnp.ones(3)[jnp.int32(x)], V, ["gather", "places must be constant"]),
        (lambda x: lax.while_loop(lambda c: c < 10, lambda c: c * 2, x), 1.0, ["while", "depends on values"]),
        (lambda x: lax.fori_loop(0, MAX_STEPS + 1, lambda i, c: c * x, x), 1.0, ["loops are unrolled, 100,000 steps"]),
        (lambda x: (x + 1j).real, 1.0, ["convert_element_type", "not complex"]),
        (lambda n: n << 1, 3, ["shift_left"]),
        (lambda n: n & 6, 3, ["and cannot", "bits of integers"]),
        (lambda x: jax.scipy.special.i0(x), 1.0, ["bessel_i0e", "help(fg.from_jaxpr)"]),
        (lambda x: lax.reduce_precision(x, 5, 10), 1.0, ["reduce_precision"]),
        (sorted_in_a_loop, V, ["sort cannot be recorded", "jit sort", "in scan", "test_from_jaxpr.py, line"]),
        (lambda x: lax.cond(x[0] > 0, jnp.sort, lambda y: y, x), V, ["sort", "in branch 1 of cond"]),
        (lambda x: jax.scipy.special.polygamma(jnp.arange(3), x), V, ["polygamma", "one constant integer"]),
        (lambda x: lax.custom_linear_solve(lambda v: v * x + v[::-1], V, lambda _, b: b), V, ["not given as an array"]),
        (lambda x: jnp.linalg.solve(jnp.eye(40) * x, jnp.ones(40)), 1.0, ["custom_linear_solve", "at most 32"]),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_named_with_its_place(function, example, parts):
    with pytest.raises(fg.ExprError) as error:
        fg.from_jaxpr(function, example)
    assert all(part in str(error.value) for part in parts), str(error.value)
    assert len(str(error.value)) < 800


def test_a_loop_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(jaxpr_walk, "MAX_STEPS", 50)
    with pytest.raises(fg.ExprError, match="while cannot be recorded: loops are unrolled, 50 steps in all"):
        fg.from_jaxpr(lambda x: lax.while_loop(lambda c: c[0] >= 0, lambda c: (c[0], c[1] * x), (0, x))[1], 1.0)


def test_what_no_output_needs_may_be_anything():
    assert fg.from_jaxpr(sorted_in_vain, V)(V) == V[0]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: fg.from_jaxpr(3), fg.ArgumentError, "a function with examples of its arguments, or a ClosedJaxpr"),
        (lambda: fg.from_jaxpr(jnp.sin, 1.0, parameters=["q"]), fg.ArgumentError, "'q' is no argument; there are x"),
        (lambda: fg.from_jaxpr(jax.make_jaxpr(jnp.sin)(1.0), 1.0), fg.ArgumentError, "examples go with a function"),
        (lambda: fg.from_jaxpr(jnp.real, np.ones(3) * 1j), fg.ExprError, "real numbers, but .* is complex128"),
        (lambda: fg.from_jaxpr(jax.random.uniform, jax.random.key(0)), fg.ExprError, r"but key is key<fry>"),
        (lambda: fg.from_jaxpr(lambda x: jnp.zeros((0,)), 1.0), fg.GraphError, "empty"),
        (lambda: fg.from_jaxpr(lambda x: x, np.ones(0)), fg.GraphError, "positive integers"),
    ],
)
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_without_jax_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgraph\[jax\]'"):
        fg.from_jaxpr(None)
