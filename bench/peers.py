"""Peers: one adapter a library, each recording the same workload with that library's own operators.

In: a ``Workload``. Out: callables without arguments, ready to be timed, that return ``(value, gradient or None)``:
``one_set`` (one input set, buffers ready where the library has them), ``call`` (Python floats in, as a person
calls it) and ``batch`` (many sets, both cores where the library can). Inputs and
gradients of a batch are (n_inputs, n); its precision is that of the inputs. None is what a library cannot do.
"""

import importlib
import math
from importlib.metadata import version

import numpy as np

from bench import reference
from bench.workloads import replay

SQRT2 = math.sqrt(2.0)
TOLERANCES = {np.float64: 1e-9, np.float32: 1e-4}  # of the largest number in a result


class Peer:
    """What adapters have in common; a method left at None is one that the library has no way to do."""

    name: str
    limit = gradient_limit = math.inf  # operations beyond which compiling one graph takes minutes
    module: str
    one_set = call = batch = record = None

    def __init__(self):
        self.lib = importlib.import_module(self.module)

    @classmethod
    def installed(cls):
        try:
            return cls()
        except ImportError:
            return None

    def too_large(self, work, gradient):
        """Whether this library takes minutes to compile the workload."""
        return work.n_ops > (self.gradient_limit if gradient else self.limit)

    @property
    def version(self):
        return version(self.name)


class Fastgraph(Peer):
    name = module = "fastgraph"

    @property
    def version(self):
        return self.lib.__version__

    def record(self, work):
        """The graph, recorded through Python operators, uncompiled."""
        fg = self.lib
        graph = fg.Graph(work.name)
        leaves = graph.inputs(*work.names) if work.names else graph.input("x", work.n_inputs)
        functions = {"exp": fg.exp, "log": fg.log, "sin": fg.sin, "tanh": fg.tanh, "sqrt": fg.sqrt, "ndtr": fg.ndtr}
        graph.output(replay(work, leaves, functions)[-1])
        return graph

    def one_set(self, work, gradient):
        flat, x = self.record(work).compile().flat, work.one_set
        return (lambda: flat.value_and_grad(x)) if gradient else (lambda: (flat(x), None))

    def call(self, work, gradient):
        function, x = self.record(work).compile(), work.one_set.tolist()
        return (lambda: function.value_and_grad(*x)) if gradient else (lambda: (function(*x), None))

    def batch(self, work, sets, gradient):
        from fastgraph.engine.workspace import Few

        flat = self.record(work).compile(dtype=sets.dtype.type).flat
        if sets.shape[1] <= Few.LANES[-1]:  # new arrays are quicker than ``out=``: they come from ready buffers
            return (lambda: flat.value_and_grad(sets, axis=0)) if gradient else (lambda: (flat(sets, axis=0), None))
        value, slopes = np.empty(sets.shape[1], sets.dtype), np.empty(sets.shape, sets.dtype)
        if gradient:
            return lambda: flat.value_and_grad(sets, axis=0, out=(value, slopes))
        return lambda: (flat(sets, axis=0, out=value), None)


class Casadi(Peer):
    name = module = "casadi"

    def record(self, work):
        """The inputs and the output, as SX expressions."""
        ca = self.lib
        leaves = [ca.SX.sym(f"x{k}") for k in range(work.n_inputs)]
        functions = {"exp": ca.exp, "log": ca.log, "sin": ca.sin, "tanh": ca.tanh, "sqrt": ca.sqrt}
        functions["ndtr"] = lambda x: 0.5 * (1.0 + ca.erf(x / SQRT2))
        return leaves, replay(work, leaves, functions)[-1]

    def function(self, work, gradient):
        """A casadi Function of one vector; its gradient by one reverse sweep over the expressions."""
        leaves, y = self.record(work)
        x = self.lib.vertcat(*leaves)
        return self.lib.Function("f", [x], [y, self.lib.gradient(y, x)] if gradient else [y])

    def _buffered(self, function, x, gradient, n):
        buffer, evaluate = function.buffer()
        value = np.zeros(n)
        slopes = np.zeros(x.shape)
        buffer.set_arg(0, memoryview(x))
        buffer.set_res(0, memoryview(value))
        if gradient:
            buffer.set_res(1, memoryview(slopes))

        def run():
            evaluate()
            return (value, slopes.T if gradient else None) if n > 1 else (value[0], slopes if gradient else None)

        run.keep = buffer, x
        return run

    def one_set(self, work, gradient):
        return self._buffered(self.function(work, gradient), work.one_set, gradient, 1)

    def call(self, work, gradient):
        leaves, y = self.record(work)
        outputs = [y, *(self.lib.gradient(y, leaf) for leaf in leaves)] if gradient else [y]
        f, x = self.lib.Function("f", leaves, outputs), work.one_set.tolist()

        def run():
            result = f(*x)
            return (result[0], result[1:]) if gradient else (result, None)

        return run

    def batch(self, work, sets, gradient):
        """One core: the wheels are built without OpenMP, and the thread map is slower than the serial one."""
        if sets.dtype != np.float64:
            return None
        mapped = self.function(work, gradient).map(sets.shape[1])
        return self._buffered(mapped, np.ascontiguousarray(sets.T), gradient, sets.shape[1])


class Heyoka(Peer):
    name = module = "heyoka"
    limit = gradient_limit = 2_000

    def record(self, work):
        """The inputs and the output, as expressions."""
        hy = self.lib
        leaves = hy.make_vars(*(f"x{k:04}" for k in range(work.n_inputs)))
        functions = {"exp": hy.exp, "log": hy.log, "sin": hy.sin, "tanh": hy.tanh, "sqrt": hy.sqrt}
        functions["ndtr"] = lambda x: 0.5 * hy.erfc(x / -SQRT2)
        return leaves, replay(work, leaves, functions)[-1]

    def function(self, work, gradient, dtype=np.float64):
        """A compiled function of one vector; the gradient through ``diff_tensors``."""
        leaves, y = self.record(work)
        slopes = self.lib.diff_tensors([y], diff_args=leaves, diff_order=1).gradient if gradient else []
        return self.lib.cfunc([y, *slopes], vars=leaves, fp_type=dtype)

    def one_set(self, work, gradient):
        f, x = self.function(work, gradient), work.one_set
        out = np.zeros(1 + work.n_inputs if gradient else 1)

        def run():
            f(x, outputs=out)
            return out[0], out[1:] if gradient else None

        return run

    def call(self, work, gradient):
        f, x = self.function(work, gradient), work.one_set.tolist()

        def run():
            result = f(x)
            return result[0], result[1:] if gradient else None

        return run

    def batch(self, work, sets, gradient):
        f = self.function(work, gradient, sets.dtype.type)
        out = np.zeros((1 + work.n_inputs if gradient else 1, sets.shape[1]), sets.dtype)

        def run():
            f(sets, outputs=out)
            return out[0], out[1:] if gradient else None

        return run


class Jax(Peer):
    name = module = "jax"
    limit, gradient_limit = 2_000, 100

    def __init__(self):
        super().__init__()
        self.lib.config.update("jax_enable_x64", True)

    def _function(self, work, gradient):
        jax, np_ = self.lib, self.lib.numpy
        functions = {name: getattr(np_, name) for name in ("exp", "log", "sin", "tanh", "sqrt")}
        functions["ndtr"] = jax.scipy.special.ndtr

        def function(x):
            return replay(work, [x[k] for k in range(work.n_inputs)], functions)[-1]

        return jax.value_and_grad(function) if gradient else function

    def _run(self, f, x, gradient):
        """XLA compiles at the first call; a result is there when it is ready."""

        def run():
            result = self.lib.block_until_ready(f(x))
            return result if gradient else (result, None)

        return run

    def one_set(self, work, gradient):
        return self._run(self.lib.jit(self._function(work, gradient)), self.lib.numpy.asarray(work.one_set), gradient)

    def call(self, work, gradient):
        return self._run(self.lib.jit(self._function(work, gradient)), work.one_set, gradient)

    def batch(self, work, sets, gradient):
        f = self.lib.vmap(self._function(work, gradient), in_axes=1, out_axes=(0, 1) if gradient else 0)
        return self._run(self.lib.jit(f), self.lib.numpy.asarray(sets), gradient)


class Autograd(Peer):
    name = module = "autograd"
    limit = gradient_limit = 2_000

    def call(self, work, gradient):
        np_ = importlib.import_module("autograd.numpy")
        functions = {name: getattr(np_, name) for name in ("exp", "log", "sin", "tanh", "sqrt")}
        functions["ndtr"] = importlib.import_module("autograd.scipy.stats").norm.cdf
        x = work.one_set

        def function(x):
            return replay(work, [x[k] for k in range(work.n_inputs)], functions)[-1]

        if gradient:
            return lambda: self.lib.value_and_grad(function)(x)
        return lambda: (function(x), None)

    one_set = call


class Numpy(Peer):
    """Plain NumPy, one temporary array an operation; batches are cut so that the temporaries stay in cache."""

    name = module = "numpy"

    def batch(self, work, sets, gradient):
        if gradient:
            return None  # NumPy has no derivatives
        chunk = 4096

        def run():
            parts = [reference.values(work, list(sets[:, i : i + chunk])) for i in range(0, sets.shape[1], chunk)]
            return np.concatenate(parts), None

        return run


class Numba(Peer):
    """Written by hand: Black-Scholes with the greeks in closed form, and arithmetic graphs as a loop over a list."""

    name = "numba"
    module = "bench.by_hand"

    def batch(self, work, sets, gradient):
        if sets.dtype != np.float64:
            return None
        if work.name == "black_scholes":
            return self.lib.options(sets, gradient)
        return self.lib.listed(work, sets, gradient) if max(work.codes) < self.lib.LISTED else None


class ScikitLearn(Peer):
    """Fits models of its own; ``bench.logistic`` holds the one it is timed on."""

    name = "scikit-learn"
    module = "sklearn"


PEERS = {cls.name: cls for cls in (Fastgraph, Heyoka, Casadi, Jax, Autograd, Numpy, Numba, ScikitLearn)}


def installed():
    """The peers that can be imported, by name, fastgraph first."""
    return {name: peer for name, cls in PEERS.items() if (peer := cls.installed()) is not None}


def versions(installed):
    """Names and versions, for a heading."""
    return ", ".join(f"{peer.name} {peer.version}" for peer in installed.values())


def check(work, result, inputs, gradient):
    """The gate: raise AssertionError unless value and gradient agree with the reference at ``inputs``.

    A batch must be in the precision of its inputs; the reference is in float64 always.
    """
    value, slopes = result
    tolerance = TOLERANCES[inputs.dtype.type]
    if inputs.ndim == 2:
        kinds = {np.asarray(part).dtype for part in ([value, slopes] if gradient else [value])}
        assert kinds == {inputs.dtype}, f"{work.name}: got {kinds}, not {inputs.dtype}"
    inputs = inputs.astype(np.float64)
    expected, expected_slopes = (
        reference.value_and_gradient(work, inputs) if gradient else (reference.values(work, inputs), None)
    )
    error = reference.disagreement(np.asarray(value, dtype=np.float64).reshape(inputs.shape[1:]), expected)
    assert error <= tolerance, f"{work.name}: the value is off by {error:.1e}"
    if gradient:
        slopes = np.array([np.asarray(s, dtype=np.float64).reshape(inputs.shape[1:]) for s in slopes])
        error = reference.disagreement(slopes, expected_slopes)
        assert error <= tolerance, f"{work.name}: the gradient is off by {error:.1e}"
