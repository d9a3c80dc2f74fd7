"""The way into JAX: a wrapped Function has its bits, its twin's derivatives of any order, and one call a batch."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import jax as way
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.interpreter import operations
from fastgraph.ops import OPS
from tests import subprocesses
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, input_sets, record

jax = pytest.importorskip("jax")
jnp, minimize = jax.numpy, pytest.importorskip("jax.scipy.optimize").minimize

# Rows whose rules are JAX's functions, too, with its derivatives.
SHARED = tuple(OPS[name] for name in ("add", "sub", "mul", "div", "neg", "sin", "exp", "tanh", "maximum", "where"))
X, T, K = np.array([0.5, -1.25, 2.0]), 0.75, np.array([[0.25, -1.5], [2.0, 0.5]])


@pytest.fixture(autouse=True)
def double():
    """float64, for the test alone."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def calls(monkeypatch):
    """The callbacks that compiled code makes: the kind of sweep, and the shapes of its operands."""
    seen = []

    def counted(call, sweep, dtype, *arrays):
        seen.append((type(sweep).__name__, [array.shape for array in arrays]))
        return call(sweep, dtype, *arrays)

    for name in ("_of_vector", "_of_arrays"):
        monkeypatch.setattr(way, name, partial(counted, getattr(way, name)))
    return seen


@pytest.fixture(scope="module")
def several():
    """Two outputs of inputs x (3,) and t and a parameter k (2, 2), with derivatives of all orders."""
    graph = fg.Graph("several")
    x, t, k = graph.input("x", shape=3), graph.input("t"), graph.parameter("k", shape=(2, 2))
    graph.output(x * t * t + k[0, 1] * fg.sin(x), name="u")
    graph.output(fg.dot(x, x) * x[0] * k[1, 1] - k[1, 0] * k[0, 0] * fg.exp(t * x[1]), name="v")
    return graph.compile()


def twin(x, t, k):
    return x * t * t + k[0, 1] * jnp.sin(x), jnp.dot(x, x) * x[0] * k[1, 1] - k[1, 0] * k[0, 0] * jnp.exp(t * x[1])


def bowl(dtype=np.float64):
    """A scalar output of weights w (2,), which a batch of the data x and label shares."""
    graph = fg.Graph("bowl")
    w, x, label = graph.input("w", shape=2), graph.parameter("x"), graph.parameter("label")
    z = w[0] + w[1] * x
    graph.output(fg.softplus(z) - label * z, name="loss")
    return graph.compile(dtype)


def assert_close(got, expected, rtol=1e-13):
    """Both within the rounding of a few sums: of JAX's order, and of the program's."""
    got, expected = jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(expected)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-13)


# -- bits -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("transform", [lambda g: g, jax.jit], ids=["eager", "jit"])
def test_values_and_gradients_are_those_of_the_function(f, weighted, several, transform):
    for function, args in ((f, (2.0, 3.0, 1.5)), (weighted, (X[:2], 0.25, T))):
        g, every = fg.jax.wrap(function), tuple(range(len(function.arguments)))
        names = [a.name for a in function.arguments]
        value, gradient = transform(jax.value_and_grad(g, every))(*args)
        expected, by_all = function.value_and_grad(*args, wrt=names)
        assert_same_bits(value, expected)
        assert_same_bits(transform(g)(*args), expected)
        for got, wanted in zip(gradient, by_all, strict=True):
            assert_same_bits(got, wanted)
    weights = np.array([1.0, -2.0, 0.5]), 3.0
    values, pull = jax.vjp(transform(fg.jax.wrap(several)), X, T, K)
    expected, cotangents = several.vjp((X, T, K), weights, wrt=("x", "t", "k"))
    assert type(values) is type(expected)
    for got, wanted in zip((*values, *pull(type(values)(*weights))), (*expected, *cotangents), strict=True):
        assert_same_bits(got, wanted)


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed):
    """Values, gradients and Hessian-vector products of every op, mapped, at ordinary and special points."""
    f = record(Seeded(seed), n_ops=40).compile()
    leaves, moved = input_sets(seed, 3, 40), tuple(input_sets(seed + 100, 3, 40, special=0.0))
    g = fg.jax.wrap(f)
    gradient_of = jax.grad(g, (0, 1, 2))

    @jax.jit
    @jax.vmap
    def everything(x, v):
        return jax.value_and_grad(g, (0, 1, 2))(*x), jax.jvp(gradient_of, x, v)[1]

    (value, gradient), product = everything(tuple(leaves), moved)
    expected, by_all = f.value_and_grad(*leaves)
    assert_same_bits(value, expected)
    for got, wanted in zip((*gradient, *product), (*by_all, *f.hvp(tuple(leaves), moved)), strict=True):
        assert_same_bits(got, wanted)


def formula(program):
    """The program as JAX computes it."""

    def evaluate(*leaves):
        values = [*leaves, *map(jnp.float64, program.constants)]
        for op, _, operands, n, *_ in operations(program):
            values.append(op.apply(jnp, *(values[k] for k in operands), *n))
        return values[program.outputs[0]]

    return evaluate


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_as_jax_has_them(seed):
    f = record(Seeded(seed), n_ops=15, ops=SHARED, constants=(0.5, 2.0, -1.5)).compile()
    leaves = input_sets(seed, 3, 30, special=0.0)

    def everything(function):
        def at(x):
            scalar = lambda x: function(*x)
            return scalar(x), jax.grad(scalar)(x), jax.hessian(scalar)(x)

        return jax.jit(jax.vmap(at))(leaves.T)

    got, expected = everything(fg.jax.wrap(f)), everything(formula(f.program))
    # JAX has the branch of a where that is not taken multiplied by 0, and a NaN if it is infinite.
    ordinary = np.logical_and.reduce([np.isfinite(e).reshape(30, -1).all(1) for e in expected])
    assert ordinary.sum() > 10
    for a, b in zip(got, expected, strict=True):
        a, b = np.asarray(a)[ordinary], np.asarray(b)[ordinary]
        scale = np.abs(b).max(initial=1.0, axis=tuple(range(1, b.ndim)), keepdims=True)
        np.testing.assert_allclose(a / scale, b / scale, atol=1e-12)


# -- transforms -------------------------------------------------------------------------------------------------------
def of_rows(function):
    """A loss over rows that share t and k."""

    def loss(x, t, k):
        rows = jnp.stack([x, 2.0 * x, 3.0 - x])
        u, v = jax.vmap(function, (0, None, None))(rows, t, k)
        return jnp.sum(u**2) + jnp.sum(v * rows[:, 0])

    return loss


def in_two_batches(function):
    """A gradient of such losses, mapped over t and over k."""
    gradient = jax.grad(of_rows(function), (0, 1, 2))
    mapped = jax.vmap(jax.vmap(gradient, (None, 0, None)), (None, None, 0), out_axes=1)
    return lambda x, t, k: mapped(x, t * jnp.arange(4.0), jnp.stack([k, k + 1.0]))


def transposed(function, t):
    """Of the map of directions to tangents that forward mode is, the transposed one, at ones."""
    outputs, pull = jax.vjp(lambda direction: jax.jvp(function, (t,), (direction,))[1], t)
    return pull(jax.tree_util.tree_map(jnp.ones_like, outputs))


ALL = (0, 1, 2)
TRANSFORMS = {
    "jacrev": lambda g: jax.jacrev(g, ALL),
    "jacfwd": lambda g: jax.jacfwd(g, ALL),
    "reverse over reverse": lambda g: jax.jacrev(jax.jacrev(g, ALL), ALL),
    "forward over reverse": lambda g: jax.jacfwd(jax.jacrev(g, ALL), ALL),
    "reverse over forward": lambda g: jax.jacrev(jax.jacfwd(g, ALL), ALL),
    "forward over forward": lambda g: jax.jacfwd(jax.jacfwd(g, ALL), ALL),
    "third order": lambda g: jax.jacfwd(jax.jacrev(jax.jacrev(g, ALL), ALL), (0, 1)),
    "third order in reverse": lambda g: jax.jacrev(jax.jacrev(jax.jacrev(g, ALL), ALL), (0, 1)),
    "a loss over rows": lambda g: jax.value_and_grad(of_rows(g), ALL),
    "its Hessian": lambda g: jax.hessian(of_rows(g), ALL),
    "its Hessian in reverse": lambda g: jax.jacrev(jax.grad(of_rows(g), ALL), ALL),
    "two batches": in_two_batches,
    "rematerialised": lambda g: jax.grad(jax.checkpoint(of_rows(g)), ALL),
    "linearized": lambda g: lambda *args: jax.linearize(g, *args)[1](*args),
    "transposed": lambda g: lambda x, t, k: transposed(lambda s: g(x, s, k), t),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_derivatives_of_any_order(several, name):
    transform = TRANSFORMS[name]
    assert_close(jax.jit(transform(fg.jax.wrap(several)))(X, T, K), jax.jit(transform(twin))(X, T, K))


def test_scalar_functions_to_the_third_order(weighted):
    """By gradients that come with the values."""

    def everything(g):
        hessian = jax.hessian(lambda *args: jnp.exp(g(*args)), ALL)
        third = jax.jacrev(jax.hessian(g, (0, 1)), (0, 1))
        return jax.jit(lambda *args: (hessian(*args), third(*args), jax.jacfwd(g, ALL)(*args)))(X[:2], 2.0, T)

    assert_close(everything(fg.jax.wrap(weighted)), everything(lambda x, k, t: k * x[0] * x[1] + t * t))


def test_a_hessian_vector_product_has_the_bits_of_hvp(weighted):
    args, v = (X[:2], 0.25, T), (X[1:], 1.0, -0.5)
    got = jax.jit(lambda v: jax.jvp(jax.grad(fg.jax.wrap(weighted), ALL), args, v)[1])(v)
    for a, b in zip(got, weighted.hvp(args, v, wrt=("x", "k", "t")), strict=True):
        assert_same_bits(a, b)


def test_inside_control_flow(f):
    """Kepler-like steps in a scan, a loop and a branch, differentiated."""
    g = fg.jax.wrap(f)
    h = lambda a, b, c: (a + b) * (b - c)

    def run(step, a):
        def body(x, c):
            return jax.lax.cond(x > 0.0, lambda x: step(x, 0.1, c), lambda x: step(x, -0.2, c), x), step(x, c, 1.0)

        last, each = jax.lax.scan(body, a, jnp.linspace(0.1, 1.0, 5))
        return jax.lax.fori_loop(0, 3, lambda i, x: step(x, 0.5, 0.1 * i), last) + jnp.sum(each)

    for x in (0.3, -2.0):
        assert_close(jax.jit(jax.value_and_grad(lambda a: run(g, a)))(x), jax.value_and_grad(lambda a: run(h, a))(x))


# -- maps -------------------------------------------------------------------------------------------------------------
def test_a_map_is_one_call(calls):
    f, rng = bowl(), np.random.default_rng(0)
    g, w, x, label = fg.jax.wrap(f), rng.normal(size=2), rng.normal(size=50), rng.random(50) < 0.5
    rows = jax.jit(jax.vmap(g, (None, 0, 0)))
    assert_same_bits(rows(w, x, label), f(w, x, label))
    assert calls == [("Values", [(2,), (50,), (50,)])]
    calls.clear()
    # For each row its own gradient, by weights that are not repeated.
    gradients = jax.jit(jax.vmap(jax.grad(g), (None, 0, 0)))(w, x, label)
    assert_same_bits(gradients, f.grad(w, x, label))
    assert calls == [("Gradient", [(2,), (50,), (50,)])]
    calls.clear()
    # The gradient of the sum: in the sweep that adds up.
    total = jax.jit(jax.grad(lambda w: jax.vmap(g, (None, 0, 0))(w, x, label).sum()))(w)
    assert_same_bits(total, f.grad(w, x, label, reduce="sum"))
    assert calls == [("Pull", [(2,), (50,), (50,), (50,)])]
    calls.clear()
    jax.jit(jax.grad(g))(w, 0.5, 1.0).block_until_ready()
    assert calls == [("Gradient", [(4,)])]


def test_nested_maps(calls):
    f = bowl()
    rng = np.random.default_rng(1)
    w, x, label = rng.normal(size=(2, 7)), rng.normal(size=(5, 4)), rng.normal(size=4)
    g = fg.jax.wrap(f)
    inner = jax.vmap(g, (None, 0, None))
    got = jax.jit(jax.vmap(jax.vmap(inner, (None, 1, 0)), (1, None, None), out_axes=2))(w, x, label)
    assert_same_bits(got, f(w.T, x.T[..., None], label[:, None, None]))
    assert calls == [("Values", [(7, 1, 1, 2), (4, 5), (4, 1)])]


@pytest.mark.parametrize("n", [0, 1, 3, 200_000])
def test_batches_of_any_size(n):
    """None, one, few, and as many as threads share."""
    f, rng = bowl(), np.random.default_rng(2)
    w, x, label = rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=n)
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(fg.jax.wrap(f))))(w, x, label)
    expected = f.value_and_grad(w, x, label)
    assert_same_bits(value, expected[0])
    assert_same_bits(gradient, expected[1])


def test_a_batch_of_directions_alone(several):
    """Of one set, along many directions; then differentiated again by what has no batch."""
    g = fg.jax.wrap(several)
    directions = np.random.default_rng(3).normal(size=(4, 3))

    def along(function):
        def length(x):
            return jax.vmap(lambda v: jax.jvp(lambda x: function(x, T, K)[0], (x,), (v,))[1])(directions)

        return jax.jit(lambda x: (length(x), jax.jacrev(length)(x), jax.hessian(lambda x: length(x).sum())(x)))

    assert_close(along(g)(X), along(twin)(X))


def test_what_is_not_used_contributes_nothing():
    """Not even 0 times infinity: outputs without a cotangent, arguments without a tangent."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    graph.output(2.0 * x, name="plain")
    graph.output(fg.sqrt(x) * fg.sqrt(k), name="steep")
    g = fg.jax.wrap(graph.compile())
    for transform in (lambda h: h, jax.jit):
        assert transform(jax.grad(lambda x: g(x, 1.0).plain))(0.0) == 2.0
        assert transform(jax.grad(lambda x: g(x, 1.0).steep))(0.0) == np.inf
        assert transform(jax.jacfwd(lambda x: g(x, 0.0).steep))(1.0) == 0.0
        assert transform(jax.grad(jax.grad(lambda x: g(x, 0.0).plain ** 2)))(0.0) == 8.0


# -- types ------------------------------------------------------------------------------------------------------------
def test_single_precision_of_jax():
    """Without x64 JAX has float32: the function computes in float64, and is rounded once."""
    f = bowl()
    args = np.float32([0.1, 0.7]), np.float32(0.3), np.float32(1.0)
    jax.config.update("jax_enable_x64", False)
    g = fg.jax.wrap(f)
    for transform in (lambda h: h, jax.jit):
        value, gradient = transform(jax.value_and_grad(g))(*args)
        expected = f.value_and_grad(*args)
        assert_same_bits(value, np.float32(expected[0]))
        assert_same_bits(gradient, np.float32(expected[1]))
    assert_same_bits(
        jax.vmap(g, (0, None, None))(np.ones((3, 2)), *args[1:]), np.float32(f(np.ones((3, 2)), *args[1:]))
    )
    graph = fg.Graph()
    graph.output(fg.exp(graph.input("x")))
    assert jax.jit(fg.jax.wrap(graph.compile()))(200.0) == np.inf  # what float32 cannot hold


def test_single_precision_of_the_function():
    """float32 results even of float64 arguments, whose gradients are float64 by JAX's rules."""
    f, x = bowl(np.float32), np.arange(4.0, dtype=np.float32)
    args = np.float32([0.1, 0.7]), np.float32(0.3), np.float32(1.0)
    g = fg.jax.wrap(f)
    value, gradient = jax.jit(jax.value_and_grad(g, ALL))(*args)
    expected = f.value_and_grad(*args, wrt=("w", "x", "label"))
    for a, b in zip((value, *gradient), (expected[0], *expected[1]), strict=True):
        assert_same_bits(a, b)
    mapped = jax.vmap(g, (None, 0, None))
    assert_same_bits(jax.vmap(jax.grad(g), (None, 0, None))(args[0], x, 1.0), f.grad(args[0], x, 1.0))
    total = jax.grad(lambda w: mapped(w, x, 1.0).sum())(args[0])
    assert_same_bits(total, np.float32(f.grad(args[0], x, 1.0, reduce="sum")))
    wide = np.float64(args[0])
    assert_same_bits(mapped(wide, x, 1.0), f(wide, x, 1.0))
    assert_same_bits(jax.grad(g)(wide, 0.5, 1.0), np.float64(f.grad(wide, 0.5, 1.0)))


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((2.0, 3.0, 1.5), "float64"),
        ((2, True, np.int8(1)), "float64"),
        ((np.float32(2), 3, 1.5), "float32"),
        ((np.float32(2), np.float64(3.0), 1.5), "float64"),
        ((jnp.float16(2), 3.0, np.float32(1.5)), "float32"),
        ((jnp.bfloat16(2), 3.0, 1), "bfloat16"),
        ((jnp.float16(2), 3.0, 1.5), "float16"),
    ],
)
def test_types_of_results(f, args, expected):
    """As JAX has them for the formula itself; computed in float64 in between."""
    g = fg.jax.wrap(f)
    for transform in (lambda h: h, jax.jit):
        got = transform(g)(*args)
        assert got.dtype == expected == ((args[0] + args[1]) * (args[1] - jnp.asarray(args[2]) * 1.0)).dtype
        assert got == jnp.asarray(f(*map(float, args)), expected)
    floating = [k for k, a in enumerate(args) if jnp.issubdtype(jnp.result_type(a), jnp.floating)]
    if floating:
        gradient = jax.grad(g, floating[0])(*args)
        assert gradient.dtype == jnp.result_type(args[floating[0]])
        assert gradient == jnp.asarray(f.grad(*map(float, args))[floating[0]], gradient.dtype)


# -- in use -----------------------------------------------------------------------------------------------------------
def test_a_layer_inside_a_loss():
    """A damped oscillation by fastgraph, its rates by JAX: fitted by BFGS to the numbers that it was made with."""
    graph = fg.Graph("oscillation")
    rate, frequency, t = graph.input("rate"), graph.input("frequency"), graph.parameter("t")
    graph.output(fg.exp(-rate * t) * fg.cos(frequency * t))
    g = fg.jax.wrap(graph.compile())
    times = jnp.linspace(0.0, 4.0, 60)
    true = jnp.array([1.5, 0.3, 2.0])

    def predicted(theta):
        return theta[0] * jax.vmap(g, (None, None, 0))(jnp.exp(theta[1]), theta[2], times)

    observed = predicted(true)
    loss = jax.jit(lambda theta: jnp.mean((predicted(theta) - observed) ** 2))
    found = minimize(loss, jnp.array([1.0, 0.0, 1.8]), method="BFGS", options={"gtol": 1e-12})
    np.testing.assert_allclose(found.x, true, atol=1e-9)
    # Newton's method from nearby, by a Hessian through the layer.
    theta = true + 0.02
    step = jax.jit(lambda theta: theta - jnp.linalg.solve(jax.hessian(loss)(theta), jax.grad(loss)(theta)))
    for _ in range(6):
        theta = step(theta)
    np.testing.assert_allclose(theta, true, atol=1e-12)


def test_called_by_name_and_with_lists(several):
    g = fg.jax.wrap(several)
    expected = several(X, T, K)
    for got in (g(X, k=K, t=T), g(k=K.tolist(), x=list(map(jnp.float64, X)), t=T), jax.jit(g)(X, k=K, t=T)):
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)


def test_no_arguments():
    graph = fg.Graph()
    graph.output([1.0, 2.0])
    g = fg.jax.wrap(graph.compile())
    assert g().tolist() == jax.jit(g)().tolist() == [1.0, 2.0]


def test_threads(f):
    g = jax.jit(jax.vmap(jax.grad(fg.jax.wrap(f)), (0, None, None)))
    x = np.linspace(-1.0, 1.0, 5000)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda k: g(x, float(k), 1.0), range(40)))
    for k, result in enumerate(results):
        assert_same_bits(result, f.grad(x, float(k), 1.0, wrt="a"))


def test_a_wrapped_function_is_one_thing(f):
    """Wrapped again, or pickled as part of something larger, and still what JAX has compiled."""
    g = fg.jax.wrap(f)
    assert str(jax.make_jaxpr(g)(1.0, 2.0, 3.0)) == str(jax.make_jaxpr(fg.jax.wrap(f))(1.0, 2.0, 3.0))
    again = pickle.loads(pickle.dumps(g))
    assert again(2.0, 3.0, 1.0) == 10.0 and repr(again) == repr(g) and repr(f) in repr(g)


DEVICES = """
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    jax.config.update("jax_enable_x64", True)
    x = np.linspace(0.0, 1.0, 8)
    rows = jax.device_put(x, NamedSharding(Mesh(np.array(jax.devices()), ("d",)), PartitionSpec("d")))
    g = jax.vmap(jax.value_and_grad(fg.jax.wrap(f)), (0, None))
    expected = f.value_and_grad(x, 1.0)
    for got in (jax.jit(g)(rows, 1.0), g(rows, 1.0)):
        print(len(jax.devices()), same_bits(got[0], expected[0]) and same_bits(got[1], expected[1].x))
"""


def test_several_devices():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    assert subprocesses.run(DEVICES, **flags) == ["2", "True"] * 2


# -- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda g: g(X, T), ArgumentError, "misses k; it takes x, t, k"),
        (lambda g: g(X, T, K, 1.0), ArgumentError, "takes 3 arguments"),
        (lambda g: g(X, T, K, z=1.0), ArgumentError, "no argument 'z'"),
        (lambda g: g(X, T, K, x=X), ArgumentError, "two values for 'x'"),
        (lambda g: g(X[:2], T, K), ShapeError, r"got x with shape \(2,\): it was declared with shape \(3,\)"),
        (lambda g: g(np.ones((5, 3)), T, K), ShapeError, r"x with shape \(5, 3\).*jax.vmap"),
        (lambda g: jax.jit(g)(X, np.ones(4), K), ShapeError, r"t with shape \(4,\).*shape \(\)"),
        (lambda g: jax.vmap(g, (0, None, None))(X, T, K), ShapeError, r"x with shape \(\)"),
        (lambda g: g(X, T + 1j, K), ArgumentError, "t of type complex128: expected real"),
        (lambda g: g(X, "one", K), ArgumentError, "got str for t, which JAX makes no array of"),
        (lambda g: g([1.0, [2.0], 3.0], T, K), ArgumentError, "got list for x"),
        (lambda g: g(X, jax.random.key(0), K), ArgumentError, "t of type key"),
        (lambda g: fg.jax.wrap(lambda x: x), ArgumentError, r"graph.compile\(\), not function"),
        (lambda g: fg.jax.wrap(fg.Graph()), ArgumentError, "not Graph"),
    ],
)
def test_what_does_not_fit(several, call, error, match):
    with pytest.raises(error, match=match):
        call(fg.jax.wrap(several))


def test_without_jax(monkeypatch, f):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"fg.jax.wrap needs jax.*pip install 'fastgraph\[jax\]'"):
        fg.jax.wrap(f)
