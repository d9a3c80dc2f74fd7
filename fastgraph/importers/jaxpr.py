"""JAX: functions of scalars and small arrays as Functions, by their jaxprs.

In: a function and examples of its arguments, or a ``ClosedJaxpr``. Out: a ``Function``. What depends on no argument is
computed by JAX meanwhile; ``jaxpr_walk`` records the rest, by the primitives of ``jaxpr_rules``.
"""

import inspect
import re

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, ExprError
from fastgraph.extras import need
from fastgraph.graph import is_name
from fastgraph.importers.jaxpr_rules import kind_of
from fastgraph.importers.jaxpr_walk import Missing, Walk
from fastgraph.importers.naming import fit_names


def from_jaxpr(source, *examples, parameters=(), name=None, dtype=np.float64):
    """Record a JAX function, and compile it.

    Parameters
    ----------
    source : callable or jax.extend.core.ClosedJaxpr
        A function of arrays and pytrees of them, jitted or not; or what ``jax.make_jaxpr`` gives.
    *examples : array_like or pytree
        For a function: what it is called with, or ``jax.ShapeDtypeStruct`` in place of arrays. Only shapes count, and
        whether numbers are real; those are traced as float64.
    parameters : sequence of str, optional
        Names of arguments that derivatives leave out. Integers and booleans always are.
    name : str, optional
        As of :class:`Graph`; the default is that of the function.
    dtype : float64 or float32
        As of :meth:`Graph.compile`.

    Returns
    -------
    Function
        One argument for each array, in JAX's order, named as the function names it: ``x``, and ``p_w`` for
        ``p["w"]``. An array that the function returns is an output, one in a mapping has its name. Called with
        expressions it is recorded into their graph.

    Raises
    ------
    ExprError
        For a primitive that is not supported, an index or a loop that depends on values, complex numbers: named, with
        the equation, the function and the line. What the outputs do not need may be anything.
    ArgumentError
        For what is neither, or a parameter that is no argument.
    ImportError
        If JAX is not installed.

    Notes
    -----
    **Primitives.** Elementwise: arithmetic, ``integer_pow``, ``pow``, exponentials and logarithms, trigonometric and
    hyperbolic functions and their inverses, ``sqrt``, ``rsqrt``, ``cbrt``, ``square``, ``logistic``, ``erf``, ``erfc``,
    ``lgamma``, ``digamma``, ``polygamma``, ``abs``, ``sign``, ``floor``, ``ceil``, ``round``, ``rem``, ``max``,
    ``min``, ``clamp``, comparisons, ``and``, ``or``, ``xor``, ``not`` of conditions, ``is_finite``, ``select_n``,
    ``convert_element_type``, ``stop_gradient``. What moves elements: ``broadcast_in_dim``, ``reshape``, ``squeeze``,
    ``transpose``, ``slice``, ``rev``, ``concatenate``, ``stack``, ``unstack``, ``split``, ``tile``,
    ``pad``, ``iota``; by constant places ``gather``, ``dynamic_slice``, ``dynamic_update_slice``, ``scatter``,
    ``scatter-add``, ``-mul``, ``-min``, ``-max``. Joined: ``reduce_sum``, ``_prod``, ``_max``, ``_min``, ``_and``,
    ``_or``, ``_xor``, ``cumsum``, ``cumprod``, ``cummax``, ``cummin``, ``cumlogsumexp``, ``dot_general``,
    ``custom_linear_solve`` (``jnp.linalg.solve`` and ``inv``, up to 32 unknowns, by elimination). Inlined: ``jit``,
    ``remat``, ``custom_jvp_call``, ``custom_vjp_call``; ``cond``, as a choice among the values of its branches with the
    derivatives of the one that is taken; ``scan``, and ``while`` if its condition is known while recording, unrolled.
    Debug prints are left out.

    **Numbers.** All are float64: conversions to other real types change nothing, and integers are exact below 2**53,
    where JAX's wrap around. Sums are balanced trees.

    **Derivatives** are those of the operations: of ``custom_jvp`` and ``custom_vjp`` functions, what they compute is
    differentiated, not their rules asked. At ties of ``max`` and ``clamp`` the slope is split in halves.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> def loss(p, x):
    ...     return jnp.sum(jnp.tanh(p["w"] @ x + p["b"]) ** 2)
    >>> f = fg.from_jaxpr(loss, {"w": np.ones((2, 3)), "b": np.ones(2)}, np.ones(3), parameters=["x"])
    >>> f
    <Function 'loss': (p_b[2], p_w[2, 3], x[3]) -> (y0), 17 operations>
    >>> round(float(f(np.zeros(2), np.ones((2, 3)), x=[0.5, 0.0, 0.0])), 6)
    0.427105
    """
    jax = need("jax", "fg.from_jaxpr")
    with x64(jax):
        closed, wanted, labels = _traced(jax, source, examples)
        names = fit_names(wanted)
        unknown = [word for word in parameters if word not in names]
        if unknown:
            raise ArgumentError(f"from_jaxpr: {unknown[0]!r} is no argument; there are {', '.join(names) or 'none'}")
        graph = Graph(getattr(source, "__name__", None) if name is None else name)
        arguments = []
        for word, variable in zip(names, closed.jaxpr.invars, strict=True):
            kind = kind_of(variable)
            is_input = kind not in "iub" and word not in parameters
            if kind in "cO":
                raise ExprError(f"from_jaxpr: expressions are real numbers, but {word} is {variable.aval.dtype}")
            arguments.append((graph.input if is_input else graph.parameter)(word, tuple(variable.aval.shape)))
        walk = Walk(jax, graph)
        for label, value in zip(labels, walk.run(closed.jaxpr, closed.consts, arguments), strict=True):
            if isinstance(value, Missing):
                raise ExprError(f"from_jaxpr: {value.why}")
            graph.output(walk.output(value), label)
    return graph.compile(dtype)


def x64(jax):
    """A context in which JAX has double precision."""
    home = jax if hasattr(jax, "enable_x64") else need("jax.experimental", "fg.from_jaxpr")
    return home.enable_x64(True)


def _traced(jax, source, examples):
    """A closed jaxpr, the names of its arguments, and the labels of its outputs."""
    if hasattr(source, "jaxpr") and hasattr(source, "consts"):
        if examples:
            raise ArgumentError("from_jaxpr: a jaxpr has its shapes: examples go with a function")
        info = getattr(source.jaxpr, "debug_info", None)
        given = getattr(info, "arg_names", None) or [None] * len(source.jaxpr.invars)
        return source, [_label(text) for text in given], [None] * len(source.jaxpr.outvars)
    if not callable(source):
        raise ArgumentError(
            "from_jaxpr takes a function with examples of its arguments, or a ClosedJaxpr, as jax.make_jaxpr gives it, "
            f"not {type(source).__name__}"
        )
    tree = jax.tree_util
    shapes = tree.tree_map(lambda example: _abstract(jax, example), examples)
    closed, shape = jax.make_jaxpr(source, return_shape=True)(*shapes)
    first = _argument_names(source, len(examples))
    paths = [path for path, _ in tree.tree_flatten_with_path(examples)[0]]
    names = [_label(first[path[0].idx] + tree.keystr(path[1:])) for path in paths]
    labels = [_label(tree.keystr(path)) for path, _ in tree.tree_flatten_with_path(shape)[0]]
    return closed, names, [label if is_name(label) and labels.count(label) == 1 else None for label in labels]


def _abstract(jax, example):
    """The shape of an example, and its dtype: float64 for real numbers."""
    found = example if hasattr(example, "dtype") else np.asarray(example)
    is_real = jax.numpy.issubdtype(found.dtype, jax.numpy.floating)
    return jax.ShapeDtypeStruct(found.shape, np.float64 if is_real else found.dtype)


def _argument_names(source, count):
    """Names of the positional arguments of a function."""
    try:
        declared = list(inspect.signature(source).parameters.values())
    except (TypeError, ValueError):
        declared = []
    positional = [p.name for p in declared if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in declared if p.kind is p.VAR_POSITIONAL), "x")
    return [*positional[:count], *(f"{rest}{k}" for k in range(len(positional), count))]


def _label(text):
    """A name out of a path such as ``p['w'][0]``; None if there is none."""
    return re.sub(r"\W+", "_", text or "").strip("_") or None
