"""Functions nobody here wrote: those of opytimark, a package of NumPy test functions for optimisation, run unchanged.

Each is traced and held to its own values, bit by bit or within a few ulp of the terms it adds, and its gradient to
differences and, where that is installed, to those of JAX; or it is refused, for the reason beside its name.
"""

import inspect

import numpy as np
import pytest

import fastgraph as fg

pytest.importorskip("opytimark", reason="pip install opytimark")
from opytimark.core import Benchmark  # noqa: E402
from opytimark.markers import many_dimensional, n_dimensional, one_dimensional, two_dimensional  # noqa: E402
from opytimark.utils import decorator  # noqa: E402

MODULES = (one_dimensional, two_dimensional, many_dimensional, n_dimensional)
EVERY = {
    name: made
    for module in MODULES
    for name, made in inspect.getmembers(module, inspect.isclass)
    if issubclass(made, Benchmark) and made is not Benchmark
}
FREE = 4  # length of the argument of functions of any length
# What its error says. The package begins with np.asarray, so that functions of arrays see arrays of objects.
REFUSED = {
    "Schwefel26": r"max\(np.fabs",  # Python's max asks for a truth value
    "HelicalValley": r"`if x\[0\] >= 0:`",
    "NonContinuousExpandedScafferF6": r"np.fabs\(x\) < 0.5",  # NumPy compares objects by their truth
    "NonContinuousRastrigin": r"np.fabs\(x\) < 0.5",
    "Schwefel221": r"np.amax\(f\)",
}
RANGES = {"Paviani": (2.5, 9.0)}  # where its logarithms are
BY_COMPLEX_STEP = {"Weierstrass"}  # bends within 1e-10, which no difference resolves


def seeded(benchmark, x):
    """Some add noise: it is that of the trace for ever, so values are compared with the same."""
    np.random.seed(7)
    return benchmark(x)


def slopes(benchmark, name, x):
    if name in BY_COMPLEX_STEP:
        h = 1e-30
        return np.array([benchmark(row).imag for row in x + 1j * h * np.eye(len(x))]) / h
    h = 1e-5
    moved = x + h * np.concatenate([np.eye(len(x)), -np.eye(len(x))])
    up, down = np.array([float(seeded(benchmark, row)) for row in moved]).reshape(2, len(x))
    return (up - down) / (2.0 * h)


def case(name):
    benchmark = EVERY[name]()
    n = FREE if benchmark.dims == -1 else benchmark.dims
    points = np.random.default_rng(len(name)).uniform(*RANGES.get(name, (0.2, 1.4)), size=(3, n))
    return benchmark, n, points


@pytest.mark.parametrize("name", [name for name in EVERY if name not in REFUSED])
def test_values_and_gradients(name):
    benchmark, n, points = case(name)
    f = fg.trace(lambda x: seeded(benchmark, x), (n,))
    for x in points:
        value, gradient = f.value_and_grad(x)
        expected = seeded(benchmark, x)
        np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)
        scale = 1.0 + np.abs(gradient).max() + np.abs(value)
        np.testing.assert_allclose(gradient, slopes(benchmark, name, x), atol=1e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    benchmark, n, _ = case(name)
    with pytest.raises(TypeError, match=REFUSED[name]):
        fg.trace(lambda x: benchmark(x), (n,))


def test_most_are_accepted():
    assert len(EVERY) > 150 and set(REFUSED) < set(EVERY)


@pytest.fixture
def with_jax(monkeypatch):
    """A way to run a function of the package on arrays of JAX, in float64."""
    jax = pytest.importorskip("jax")
    enabled = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)

    def gradient(benchmark, x):
        with monkeypatch.context() as patched:
            for module in (inspect.getmodule(type(benchmark)), decorator):
                patched.setattr(module, "np", jax.numpy)
            return np.asarray(jax.grad(lambda x: seeded(benchmark, x))(jax.numpy.asarray(x)))

    yield gradient
    jax.config.update("jax_enable_x64", enabled)


DRAWING = {"Quartic", "SphereWithNoise", "XinSheYang"}  # numbers by np.random, which JAX has not


@pytest.mark.parametrize("name", [name for name in EVERY if name not in {*REFUSED, *DRAWING}])
def test_gradients_are_those_of_jax(name, with_jax):
    benchmark, n, points = case(name)
    f = fg.trace(lambda x: seeded(benchmark, x), (n,))
    for x in points[:1]:
        gradient = f.grad(x)
        np.testing.assert_allclose(gradient, with_jax(benchmark, x), atol=1e-13 * np.abs(gradient).max(), rtol=1e-12)
