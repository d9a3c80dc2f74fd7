"""The way into PyTorch: a wrapped Function has its bits, its twin's derivatives of any order, and one call a batch."""

import pickle
import sys

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import sweeps
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.interpreter import operations
from fastgraph.ops import OPS
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, input_sets, record

torch = pytest.importorskip("torch")
# PyTorch's own, at the first use of forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
func, forward_ad = torch.func, torch.autograd.forward_ad

# Rows whose rules are PyTorch's functions, too, with its derivatives.
SHARED = tuple(OPS[name] for name in ("add", "sub", "mul", "div", "neg", "sin", "exp", "tanh", "maximum", "where"))
X, T, K = np.array([0.5, -1.25, 2.0]), 0.75, np.array([[0.25, -1.5], [2.0, 0.5]])
ALL = (0, 1, 2)


def tensor(value, **options):
    return torch.tensor(value, dtype=torch.float64, **options)


def variables(*values):
    return [tensor(value, requires_grad=True) for value in values]


@pytest.fixture
def calls(monkeypatch):
    """The sweeps that are called, with the shapes of their operands."""
    seen, call = [], sweeps.Sweep.__call__

    def counted(sweep, arrays, dtype):
        seen.append((type(sweep).__name__, [array.shape for array in arrays]))
        return call(sweep, arrays, dtype)

    monkeypatch.setattr(sweeps.Sweep, "__call__", counted)
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
    """The same for one set."""
    v = torch.dot(x, x) * x[0] * k[1, 1] - k[1, 0] * k[0, 0] * torch.exp(t * x[1])
    return x * t * t + k[0, 1] * torch.sin(x), v


def bowl(dtype=np.float64):
    """A scalar output of weights w (2,), which a batch of the data x and label shares."""
    graph = fg.Graph("bowl")
    w, x, label = graph.input("w", shape=2), graph.parameter("x"), graph.parameter("label")
    z = w[0] + w[1] * x
    graph.output(fg.softplus(z) - label * z, name="loss")
    return graph.compile(dtype)


def assert_close(got, expected, rtol=1e-13):
    """Both within the rounding of a few sums: of PyTorch's order, and of the program's."""
    got, expected = torch.utils._pytree.tree_leaves(got), torch.utils._pytree.tree_leaves(expected)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=rtol, atol=1e-13)


def assert_all_same_bits(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a.detach().numpy(), b)


# -- bits -------------------------------------------------------------------------------------------------------------
def test_values_and_gradients_are_those_of_the_function(f, weighted, several):
    for function, args in ((f, (2.0, 3.0, 1.5)), (weighted, (X[:2], 0.25, T))):
        given = variables(*args)
        value = fg.torch.wrap(function)(*given)
        expected, by_all = function.value_and_grad(*args, wrt=[a.name for a in function.arguments])
        assert_all_same_bits([value, *torch.autograd.grad(value, given)], [expected, *by_all])
    weights, given = (np.array([1.0, -2.0, 0.5]), 3.0), variables(X, T, K)
    values = fg.torch.wrap(several)(*given)
    expected, cotangents = several.vjp((X, T, K), weights, wrt=("x", "t", "k"))
    assert type(values) is type(expected)
    assert_all_same_bits(values, expected)
    assert_all_same_bits(torch.autograd.grad(values, given, list(map(tensor, weights))), cotangents)


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed):
    """Values, gradients and Hessian-vector products of every op, in a batch, at ordinary and special points."""
    f = record(Seeded(seed), n_ops=40).compile()
    leaves, moved = tuple(input_sets(seed, 3, 40)), tuple(input_sets(seed + 100, 3, 40, special=0.0))
    given = variables(*leaves)
    value = fg.torch.wrap(f)(*given)
    gradient = torch.autograd.grad(value, given, torch.ones_like(value), create_graph=True)
    expected, by_all = f.value_and_grad(*leaves)
    assert_all_same_bits([value, *gradient], [expected, *by_all])
    product = func.jvp(
        func.vmap(func.grad(fg.torch.wrap(f), ALL)), tuple(map(tensor, leaves)), tuple(map(tensor, moved))
    )
    assert_all_same_bits(product[1], f.hvp(leaves, moved))


def formula(program):
    """The program as PyTorch computes it."""

    def evaluate(*leaves):
        values = [*leaves, *map(tensor, program.constants.tolist())]
        for op, _, operands, n, *_ in operations(program):
            values.append(op.apply(torch, *(values[k] for k in operands), *n))
        return values[program.outputs[0]]

    return evaluate


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_as_pytorch_has_them(seed):
    f = record(Seeded(seed), n_ops=15, ops=SHARED, constants=(0.5, 2.0, -1.5)).compile()
    leaves = tensor(input_sets(seed, 3, 30, special=0.0).T)

    def everything(function):
        scalar = lambda x: function(*x)
        return [func.vmap(transform(scalar))(leaves).numpy() for transform in (lambda g: g, func.grad, func.hessian)]

    got, expected = everything(fg.torch.wrap(f)), everything(formula(f.program))
    # PyTorch has the branch of a where that is not taken multiplied by 0, and a NaN if it is infinite.
    ordinary = np.logical_and.reduce([np.isfinite(e).reshape(30, -1).all(1) for e in expected])
    assert ordinary.sum() > 10
    for a, b in zip(got, expected, strict=True):
        a, b = a[ordinary], b[ordinary]
        scale = np.abs(b).max(initial=1.0, axis=tuple(range(1, b.ndim)), keepdims=True)
        np.testing.assert_allclose(a / scale, b / scale, atol=1e-12)


# -- autograd ---------------------------------------------------------------------------------------------------------
BATCHES = {
    "one set": ((), (), ()),
    "rows": ((4,), (4,), ()),
    "grid": ((4, 1), (3,), (1, 1)),
}


@pytest.mark.parametrize("name", BATCHES)
def test_gradcheck(several, name):
    """Both modes, twice, of batches that broadcast: what is shared gets the sum."""
    rng = np.random.default_rng(0)
    shapes = [batch + declared for batch, declared in zip(BATCHES[name], ((3,), (), (2, 2)), strict=True)]
    given, g = variables(*(rng.normal(size=shape) for shape in shapes)), fg.torch.wrap(several)
    assert torch.autograd.gradcheck(g, given, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(g, given, check_fwd_over_rev=True, check_rev_over_rev=True)


def test_third_order(weighted):
    """Each gradient differentiated again by autograd."""
    x, k, t = variables(X[:2], 2.0, T)

    def third(function):
        y = torch.exp(function(x, k, t))
        for _ in range(3):
            (gradient,) = torch.autograd.grad(y, x, create_graph=True)
            y = (gradient**2).sum()
        return torch.autograd.grad(y, (x, k, t))

    assert_close(third(fg.torch.wrap(weighted)), third(lambda x, k, t: k * x[0] * x[1] + t * t))


def test_a_shared_gradient_is_summed_in_the_sweep(calls):
    f, rng = bowl(), np.random.default_rng(0)
    w, x, label = rng.normal(size=2), rng.normal(size=50), rng.random(50) < 0.5
    (given,) = variables(w)
    loss = fg.torch.wrap(f)(given, torch.from_numpy(x), torch.from_numpy(label))
    loss.sum().backward()
    assert_all_same_bits([loss, given.grad], [f(w, x, label), f.grad(w, x, label, reduce="sum")])
    assert calls == [("Values", [(2,), (50,), (50,)]), ("Pull", [(2,), (50,), (50,), (50,)])]


def test_what_is_not_used_contributes_nothing():
    """Not even 0 times infinity: outputs without a cotangent, arguments without a tangent."""
    graph = fg.Graph()
    x, k = graph.inputs("x", "k")
    graph.output(2.0 * x, name="plain")
    graph.output(fg.sqrt(x) * fg.sqrt(k), name="steep")
    g = fg.torch.wrap(graph.compile())
    zero, one = tensor(0.0), tensor(1.0)
    assert func.grad(lambda x: g(x, one).plain)(zero) == 2.0
    assert func.grad(lambda x: g(x, one).steep)(zero) == np.inf
    assert func.jacfwd(lambda x: g(x, zero).steep)(one) == 0.0
    assert func.grad(func.grad(lambda x: g(x, zero).plain ** 2))(zero) == 8.0
    (x,) = variables(0.0)
    g(x, one).plain.backward()
    assert x.grad == 2.0
    with forward_ad.dual_level():
        assert forward_ad.unpack_dual(g(forward_ad.make_dual(one, one), zero).steep).tangent == 0.0


def test_what_needs_no_gradient(several):
    g, (x,) = fg.torch.wrap(several), variables(X)
    with torch.no_grad():
        assert not g(x, T, K).v.requires_grad
    with torch.inference_mode():
        assert g(tensor(X), T, K).v == several(X, T, K).v
    assert not g(tensor(X), T, K).v.requires_grad
    values = g(x, tensor(T), K)
    assert values.u.requires_grad
    values.v.backward()
    assert_same_bits(x.grad.numpy(), several.vjp((X, T, K), (np.zeros(3), 1.0))[1].x)


# -- transforms -------------------------------------------------------------------------------------------------------
def of_rows(function):
    """A loss over rows that share t and k."""

    def loss(x, t, k):
        rows = torch.stack([x, 2.0 * x, 3.0 - x])
        u, v = func.vmap(function, (0, None, None))(rows, t, k)
        return torch.sum(u**2) + torch.sum(v * rows[:, 0])

    return loss


def in_two_batches(function):
    """A gradient of such losses, mapped over t and over k."""
    gradient = func.grad(of_rows(function), ALL)
    mapped = func.vmap(func.vmap(gradient, (None, 0, None)), (None, None, 0), out_dims=1)
    return lambda x, t, k: mapped(x, t * torch.arange(4.0, dtype=torch.float64), torch.stack([k, k + 1.0]))


TRANSFORMS = {
    "jacrev": lambda g: func.jacrev(g, ALL),
    "jacfwd": lambda g: func.jacfwd(g, ALL),
    "reverse over reverse": lambda g: func.jacrev(func.jacrev(g, ALL), ALL),
    "forward over reverse": lambda g: func.jacfwd(func.jacrev(g, ALL), ALL),
    "reverse over forward": lambda g: func.jacrev(func.jacfwd(g, ALL), ALL),
    "forward over forward": lambda g: func.jacfwd(func.jacfwd(g, ALL), ALL),
    "third order": lambda g: func.jacfwd(func.jacrev(func.jacrev(g, ALL), ALL), (0, 1)),
    "third order in reverse": lambda g: func.jacrev(func.jacrev(func.jacrev(g, ALL), ALL), (0, 1)),
    "a loss over rows": lambda g: func.grad_and_value(of_rows(g), ALL),
    "its Hessian": lambda g: func.hessian(of_rows(g), ALL),
    "its Hessian in reverse": lambda g: func.jacrev(func.grad(of_rows(g), ALL), ALL),
    "two batches": in_two_batches,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_derivatives_of_any_order(several, name):
    transform, args = TRANSFORMS[name], tuple(map(tensor, (X, T, K)))
    assert_close(transform(fg.torch.wrap(several))(*args), transform(twin)(*args))


# -- maps -------------------------------------------------------------------------------------------------------------
def test_a_map_is_one_call(calls):
    f, rng = bowl(), np.random.default_rng(0)
    w, x, label = rng.normal(size=2), rng.normal(size=50), rng.random(50)
    g, given = fg.torch.wrap(f), tuple(map(tensor, (w, x, label)))
    assert_all_same_bits([func.vmap(g, (None, 0, 0))(*given)], [f(w, x, label)])
    assert calls == [("Values", [(2,), (50,), (50,)])]
    calls.clear()
    # For each row its own gradient, by weights that are not repeated.
    assert_all_same_bits([func.vmap(func.grad(g), (None, 0, 0))(*given)], [f.grad(w, x, label)])
    assert [name for name, _ in calls] == ["Values", "Pull"] and calls[1][1][:3] == [(2,), (50,), (50,)]
    calls.clear()
    # The gradient of the sum: in the sweep that adds up.
    total = func.grad(lambda w: func.vmap(g, (None, 0, 0))(w, *given[1:]).sum())(given[0])
    assert_all_same_bits([total], [f.grad(w, x, label, reduce="sum")])
    assert [name for name, _ in calls] == ["Values", "Pull"]


def test_nested_maps(calls):
    f, rng = bowl(), np.random.default_rng(1)
    w, x, label = rng.normal(size=(2, 7)), rng.normal(size=(5, 4)), rng.normal(size=4)
    inner = func.vmap(fg.torch.wrap(f), (None, 0, None))
    mapped = func.vmap(func.vmap(inner, (None, 1, 0)), (1, None, None), out_dims=2)
    assert_all_same_bits([mapped(*map(tensor, (w, x, label)))], [f(w.T, x.T[..., None], label[:, None, None])])
    assert calls == [("Values", [(7, 1, 1, 2), (4, 5), (4, 1)])]


@pytest.mark.parametrize("n", [0, 1, 3, 200_000])
def test_batches_of_any_size(n):
    f, rng = bowl(), np.random.default_rng(2)
    given = variables(rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=n))
    value = fg.torch.wrap(f)(*given)
    value.sum().backward()
    expected = f.value_and_grad(*(x.detach().numpy() for x in given))
    assert_all_same_bits([value, given[0].grad], expected)


# -- types and layouts ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((tensor(2.0), 3.0, 1.5), torch.float64),
        ((torch.tensor(2.0), 3.0, np.float64(1.5)), torch.float32),
        ((torch.tensor(2.0), tensor(3.0), 1), torch.float64),
        ((2, 3.0, torch.tensor(1)), torch.float32),
        ((torch.tensor(2, dtype=torch.int8), torch.tensor(True), tensor(1.5)), torch.float64),
        ((torch.tensor(2.0, dtype=torch.float16), 3.0, 1.5), torch.float16),
        ((torch.tensor(2.0, dtype=torch.bfloat16), 3.0, torch.tensor(1.5, dtype=torch.float16)), torch.float32),
    ],
)
def test_types_of_results(f, args, expected):
    """The widest of the tensors, or PyTorch's own; computed in float64 in between."""
    numbers, given = list(map(float, args)), list(args)
    for k, a in enumerate(args):
        if isinstance(a, torch.Tensor) and a.is_floating_point():
            given[k] = a.clone().requires_grad_()
    value = fg.torch.wrap(f)(*given)
    assert value.dtype == expected and value == torch.tensor(f(*numbers), dtype=expected)
    moved = [k for k, a in enumerate(given) if isinstance(a, torch.Tensor) and a.requires_grad]
    if moved:
        value.backward()
    for k in moved:
        assert given[k].grad.dtype == given[k].dtype
        assert given[k].grad == torch.tensor(f.grad(*numbers)[k], dtype=given[k].dtype)


def test_single_precision():
    """Of the tensors, in which the results are rounded once; of the function, which is all that a result can have."""
    w, x = np.float32([0.1, 0.7]), np.arange(4.0, dtype=np.float32)
    for f in (bowl(), bowl(np.float32)):
        given = torch.tensor(w, requires_grad=True)
        value = fg.torch.wrap(f)(given, torch.tensor(x), 1.0)
        value.sum().backward()
        expected = f(w, x, 1.0), f.grad(w, x, 1.0, reduce="sum")
        assert_all_same_bits([value, given.grad], map(np.float32, expected))
        one = func.grad_and_value(fg.torch.wrap(f), ALL)(torch.tensor(w), *map(torch.tensor, (0.5, 1.0)))
        assert_all_same_bits([one[1], one[0][0]], map(np.float32, f.value_and_grad(w, 0.5, 1.0)))
        assert func.hessian(fg.torch.wrap(f))(torch.tensor(w), 0.5, 1.0).dtype == torch.float32
    assert fg.torch.wrap(f)(tensor(w), x, 1.0).dtype == torch.float32
    graph = fg.Graph()
    graph.output(fg.exp(graph.input("x")))
    assert fg.torch.wrap(graph.compile())(torch.tensor(200.0)) == np.inf  # what float32 cannot hold


def test_layouts(several):
    """Strides of any kind are read in place: transposed, every second, repeated, negated lazily."""
    g, rng = fg.torch.wrap(several), np.random.default_rng(3)
    rows = tensor(rng.normal(size=(3, 10)))
    views = [rows.T[::2], tensor(rng.normal(size=5)), tensor(K).expand(5, 2, 2).mT]
    expected = several(*(view.numpy() for view in views))
    assert_all_same_bits(g(*views), expected)
    assert_all_same_bits(g(rows.T[::2], views[1], np.broadcast_to(K.T, (5, 2, 2))), expected)  # read-only, too
    lazily = torch.complex(rows, -rows).conj().imag
    assert lazily.is_neg()
    assert_all_same_bits(g(lazily.T[::2], *views[1:]), expected)


# -- in use -----------------------------------------------------------------------------------------------------------
def test_a_layer_inside_a_loss():
    """A damped oscillation by fastgraph, its rates by PyTorch: LBFGS finds the numbers that it was made with."""
    graph = fg.Graph("oscillation")
    rate, frequency, t = graph.input("rate"), graph.input("frequency"), graph.parameter("t")
    graph.output(fg.exp(-rate * t) * fg.cos(frequency * t))
    oscillation = fg.torch.wrap(graph.compile())

    class Model(torch.nn.Module):
        def __init__(self, theta):
            super().__init__()
            self.theta = torch.nn.Parameter(tensor(theta))

        def forward(self, times):
            return self.theta[0] * oscillation(torch.exp(self.theta[1]), self.theta[2], times)

    times, true = torch.linspace(0.0, 4.0, 60, dtype=torch.float64), [1.5, 0.3, 2.0]
    observed, model = Model(true)(times).detach(), Model([1.0, 0.0, 1.8])
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, tolerance_grad=1e-13, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = torch.mean((model(times) - observed) ** 2)
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(model.theta.detach(), true, atol=1e-9)


def test_called_by_name_and_with_lists(several):
    g, expected = fg.torch.wrap(several), several(X, T, K)
    for got in (g(tensor(X), k=K, t=T), g(k=K.tolist(), x=X.tolist(), t=tensor(T)), g(tensor(X), t=tensor(T), k=K)):
        assert_all_same_bits(got, expected)


def test_no_arguments():
    graph = fg.Graph()
    graph.output([1.0, 2.0])
    assert fg.torch.wrap(graph.compile())().tolist() == [1.0, 2.0]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # PyTorch's own
def test_inside_compiled_code(several):
    """torch.compile leaves the call to Python, and compiles what is around it."""
    g = fg.torch.wrap(several)
    loss = lambda x: torch.sin(g(x, T, K).v * 2.0)
    (x,) = variables(X)
    expected = torch.autograd.grad(loss(x), x)
    assert_close(torch.autograd.grad(torch.compile(loss, backend="eager")(x), x), expected)


def test_pickles(f):
    g = fg.torch.wrap(f)
    again = pickle.loads(pickle.dumps(g))
    assert again(*map(tensor, (2.0, 3.0, 1.0))) == 10.0 and repr(again) == repr(g) and repr(f) in repr(g)


# -- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda g: g(X, T), ArgumentError, "misses k; it takes x, t, k"),
        (lambda g: g(X, T, K, 1.0), ArgumentError, "takes 3 arguments"),
        (lambda g: g(X, T, K, z=1.0), ArgumentError, "no argument 'z'"),
        (lambda g: g(X, T, K, x=X), ArgumentError, "two values for 'x'"),
        (lambda g: g(tensor(X[:2]), T, K), ShapeError, r"got x with shape \(2,\): its last axes must be \(3,\)"),
        (lambda g: g(tensor(X), T, tensor(T)), ShapeError, r"k with shape \(\): its last axes must be \(2, 2\)"),
        (lambda g: g(X[:2], T, K), ShapeError, r"got x with shape \(2,\)"),
        (lambda g: g(torch.ones(4, 3), torch.ones(5), K), ShapeError, r"x \(4,\), t \(5,\) do not broadcast"),
        (lambda g: func.vmap(g, (0, None, None))(tensor(X), T, K), ShapeError, r"x with shape \(\)"),
        (lambda g: g(X, tensor(T) + 1j, K), ArgumentError, "t of type torch.complex128.*real numbers"),
        (lambda g: g(X, 1j, K), ArgumentError, "t of type complex128: expected real numbers"),
        (lambda g: g(tensor(X).to_sparse(), T, K), ArgumentError, "x of type torch.float64, torch.sparse_coo"),
        (lambda g: g(tensor(X).to("meta"), T, K), ArgumentError, r"x on the device meta.*x\.cpu\(\)"),
        (lambda g: g(list(tensor(X)), T, K), ArgumentError, "a list of tensors for x: make one by torch.stack"),
        (lambda g: g(X, "one", K), ArgumentError, "got t of type"),
        (lambda g: fg.torch.wrap(lambda x: x), ArgumentError, r"graph.compile\(\), not function"),
    ],
)
def test_what_does_not_fit(several, call, error, match):
    with pytest.raises(error, match=match):
        call(fg.torch.wrap(several))


def test_batches_of_gradients_go_by_torch_func(several):
    """The older mapping inside autograd passes tensors without numbers, and no rule for them."""
    (x,) = variables(X)
    u = fg.torch.wrap(several)(x, T, K).u
    with pytest.raises(ArgumentError, match="torch.vmap and torch.func, not is_grads_batched"):
        torch.autograd.grad(u, x, torch.eye(3, dtype=torch.float64), is_grads_batched=True)


def test_without_pytorch(monkeypatch, f):
    from fastgraph import torch as way

    way._torch.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"fg.torch.wrap needs torch.*pip install 'fastgraph\[torch\]'"):
        fg.torch.wrap(f)
