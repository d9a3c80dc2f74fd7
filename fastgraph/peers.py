"""Peers: other libraries that evaluate the same operations, each through a namespace of its own functions.

In: a function of scalars, and input sets. Out: callables without arguments, ready to be timed, that give the value and,
where the library has derivatives, the gradient. An op is a row of the table run on one more algebra, as it is on lanes
or expressions; a peer only names its functions.
"""

import importlib
import math
import operator
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from fastgraph.interpreter import operations
from fastgraph.ops import TABLE

CHUNK = 4096  # sets that NumPy does at a time, so that its temporary arrays stay in the cache
LONGEST = 100_000  # characters of a formula for numexpr
_ROOT = math.sqrt(2.0)


class Missing(Exception):
    """What a library does not have, or would take minutes for."""


class Namespace:
    """An algebra of the op table whose functions are those of a library.

    Parameters
    ----------
    peer : str
    modules : sequence
        Where functions are looked for by the names of ops, in this order.
    others : mapping
        Functions that the library calls otherwise, by the names of ops.
    """

    def __init__(self, peer, modules, others=None):
        self._peer = peer
        by_name = [op.name for op in TABLE if op.value is None] + ["where", "copysign"]
        self._functions = {
            name: getattr(module, name) for module in reversed(modules) for name in by_name if hasattr(module, name)
        } | dict(others or {})

    def __getattr__(self, name):
        return self._named(name)

    def _named(self, name):
        try:
            return self._functions[name]
        except KeyError:
            raise Missing(f"no {name}") from None

    def applied(self, op, n):
        """The op as a function of its operands; ``n`` is a tuple of its immediate, if it has one."""
        if op.names:
            raise Missing(f"no {op.name}")
        own = self._functions.get(op.name) or (self._named(op.name) if op.value is None else None)
        if own is None:
            return partial(op.value, self)
        return (lambda *xs: own(*xs, int(n[0]))) if n else own


def steps_of(program, namespace):
    """The operations of a program, each as a function and the slots of its operands."""
    return [
        (namespace.applied(op, n), operands)
        for op, _, operands, n, _, _, is_mask in operations(program)
        if not is_mask
    ]  # fmt: skip


def replay(program, steps, leaves):
    """The output for ``leaves``, by the operations of :func:`steps_of`."""
    values = [*leaves, *program.constants.tolist()]
    for function, operands in steps:
        values.append(function(*[values[x] for x in operands]))
    return values[program.outputs[0]]


class Peer:
    """One library. ``run`` gives a callable, for one set (n,) or a batch (n, N), or raises ``Missing``."""

    name: str
    limit: float = math.inf  # operations beyond which it compiles for minutes: for a value, and for a gradient
    gradient_limit: float = math.inf
    has_gradient = True

    def __init__(self):
        self.library = importlib.import_module(self.name)

    @property
    def version(self):
        try:
            return version(self.name)
        except PackageNotFoundError:
            return getattr(self.library, "__version__", "unknown")

    def run(self, function, x, gradient):
        """A callable that gives ``(value, gradient or None)``."""
        if gradient and not self.has_gradient:
            raise Missing("no derivatives")
        n = function.program.n_operations
        if n > (self.gradient_limit if gradient else self.limit):
            raise Missing(f"{n:,} operations would take it minutes to compile")
        return self._run(function, x, gradient)

    def _run(self, function, x, gradient):
        raise NotImplementedError


class Fastgraph(Peer):
    """This library, through ``f.flat``."""

    name = "fastgraph"

    @property
    def version(self):
        return self.library.__version__

    def _run(self, function, x, gradient):
        options = {} if x.ndim == 1 else {"axis": 0}
        flat = function.flat
        if gradient:
            return lambda: flat.value_and_grad(x, **options)
        return lambda: (flat(x, **options), None)


class Numpy(Peer):
    """One call of NumPy an operation, of SciPy for special functions."""

    name = "numpy"
    has_gradient = False

    def _run(self, function, x, gradient):
        try:
            special = [importlib.import_module("scipy.special")]
        except ImportError:
            special = []
        others = {"powi": operator.pow, "fma": lambda x, y, z: x * y + z, "softplus": partial(np.logaddexp, 0.0)}
        others |= _named_otherwise(special[0]) if special else {}
        program = function.program
        steps = steps_of(program, Namespace("numpy", [np, *special], others))

        def one():
            with np.errstate(all="ignore"):
                return replay(program, steps, numbers), None

        def batch():
            with np.errstate(all="ignore"):
                parts = [replay(program, steps, list(x[:, at : at + CHUNK])) for at in range(0, x.shape[1], CHUNK)]
            return np.concatenate(parts), None

        numbers = list(x)  # NumPy's own: of Python's 1.0 / 0.0 is an exception
        return one if x.ndim == 1 else batch


def _named_otherwise(special):
    """What ``scipy.special``, or JAX's, has under other names or with other arguments."""
    return {
        "lgamma": special.gammaln, "sigmoid": special.expit, "polygamma": lambda x, n: special.polygamma(n, x)
    }  # fmt: skip


class Text:
    """Text for numexpr, made by Python's operators."""

    def __init__(self, text, is_truth=False):
        if len(text) > LONGEST:
            raise Missing(f"a formula of more than {LONGEST:,} characters, without common parts")
        self.text, self.is_truth = text, is_truth

    def __neg__(self):
        return Text(f"(-{self.text})")


def _infix(sign):
    return lambda x, y: Text(f"({_text(x)} {sign} {_text(y)})", sign[0] in "<>=!&|^")


def _chosen(condition, x, y):
    """numexpr's where, which takes a truth value, not a number."""
    test = _text(condition) if condition.is_truth else f"({_text(condition)} != 0)"
    return Text(f"where({test}, {_text(x)}, {_text(y)})")


def _text(x):
    if isinstance(x, Text):
        return x.text
    if not math.isfinite(x):
        raise Missing(f"no constant {x!r}")
    return repr(float(x))


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("pow", "**"), ("lt", "<"),
                     ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!="), ("and", "&"), ("or", "|"),
                     ("xor", "^")):  # fmt: skip
    _method = _infix(_sign)
    setattr(Text, f"__{_name}__", _method)
    setattr(Text, f"__r{_name}__", lambda x, y, method=_method: method(y, x))


class Numexpr(Peer):
    """Formulas as text, compiled to a machine of its own; batches in blocks, by threads."""

    name = "numexpr"
    has_gradient = False
    functions = (
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log10", "log1p", "sqrt", "abs", "floor",
        "ceil", "fmod",
    )  # fmt: skip
    otherwise = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
                 "acosh": "arccosh", "atanh": "arctanh"}  # fmt: skip

    def _run(self, function, x, gradient):
        def call(name):
            return lambda *xs: Text(f"{name}({', '.join(map(_text, xs))})")

        names = {name: name for name in self.functions} | self.otherwise
        functions = {ours: call(theirs) for ours, theirs in names.items()}
        functions |= {"where": _chosen, "pow": operator.pow, "powi": lambda x, n: Text(f"({_text(x)} ** {n})")}
        steps = steps_of(function.program, Namespace("numexpr", [], functions))
        leaves = [f"x{k}" for k in range(len(x))]
        text = _text(replay(function.program, steps, map(Text, leaves)))
        columns = dict(zip(leaves, x, strict=True))
        return lambda: (self.library.evaluate(text, columns), None)


class Jax(Peer):
    """Compiled by XLA; from here on JAX computes in float64 in this process."""

    name = "jax"
    limit, gradient_limit = 2_000, 200

    def _run(self, function, x, gradient):
        jax, jnp = self.library, self.library.numpy
        jax.config.update("jax_enable_x64", True)
        special = importlib.import_module("jax.scipy.special")
        others = {"powi": operator.pow, "fma": lambda x, y, z: x * y + z, "softplus": jax.nn.softplus}
        others |= _named_otherwise(special)
        program = function.program
        steps = steps_of(program, Namespace("jax", [jnp, special], others))

        def value(x):
            return replay(program, steps, [x[k] for k in range(len(x))])

        f = jax.value_and_grad(value) if gradient else value
        if x.ndim == 2:
            f = jax.vmap(f, in_axes=1, out_axes=(0, 1) if gradient else 0)
        compiled, given = jax.jit(f), jnp.asarray(x)

        def run():
            result = jax.block_until_ready(compiled(given))
            return result if gradient else (result, None)

        return run


class Casadi(Peer):
    """Interpreted, with its buffers ready; batches one set after the other, as its packages are built."""

    name = "casadi"

    def _run(self, function, x, gradient):
        ca = self.library
        others = {
            "abs": ca.fabs, "where": ca.if_else, "maximum": ca.fmax, "minimum": ca.fmin, "powi": operator.pow,
            "ndtr": lambda x: 0.5 * (1.0 + ca.erf(x / _ROOT)),
        }  # fmt: skip
        symbols = [ca.SX.sym(f"x{k}") for k in range(len(x))]
        y = replay(function.program, steps_of(function.program, Namespace("casadi", [ca], others)), symbols)
        vector, n_sets = ca.vertcat(*symbols), 1 if x.ndim == 1 else x.shape[1]
        made = ca.Function("f", [vector], [y, ca.gradient(y, vector)] if gradient else [y])
        if x.ndim == 2:
            made = made.map(n_sets)
        buffer, evaluate = made.buffer()
        given = np.ascontiguousarray(x.T, np.float64)
        value, slopes = np.zeros(n_sets), np.zeros(given.shape)
        buffer.set_arg(0, memoryview(given))
        buffer.set_res(0, memoryview(value))
        if gradient:
            buffer.set_res(1, memoryview(slopes))

        def run(keep=(buffer, given)):
            evaluate()
            return value[0] if x.ndim == 1 else value, slopes.T if gradient else None

        return run


class Heyoka(Peer):
    """Compiled by LLVM."""

    name = "heyoka"
    limit = gradient_limit = 2_000

    def _run(self, function, x, gradient):
        hy = self.library
        others = {"ndtr": lambda x: 0.5 * hy.erfc(x / -_ROOT), "powi": lambda x, n: x ** float(n), "pow": operator.pow}
        others |= {"lt": hy.lt, "le": hy.lte, "gt": hy.gt, "ge": hy.gte, "eq": hy.eq, "ne": hy.neq, "where": hy.select}
        variables = hy.make_vars(*(f"x{k:05}" for k in range(len(x))))
        variables = variables if isinstance(variables, list) else [variables]
        y = replay(function.program, steps_of(function.program, Namespace("heyoka", [hy], others)), variables)
        slopes = hy.diff_tensors([y], diff_args=variables, diff_order=1).gradient if gradient else []
        compiled, given = hy.cfunc([y, *slopes], vars=variables), np.ascontiguousarray(x)
        out = np.zeros((1 + len(slopes), *x.shape[1:]))

        def run():
            compiled(given, outputs=out)
            return out[0], out[1:] if gradient else None

        return run


PEERS = {peer.name: peer for peer in (Fastgraph, Numpy, Numexpr, Jax, Casadi, Heyoka)}


def installed():
    """The peers that can be imported, by name, fastgraph first; and the names of the others."""
    found, others = {}, []
    for name, kind in PEERS.items():
        try:
            found[name] = kind()
        except ImportError:
            others.append(name)
    return found, others
