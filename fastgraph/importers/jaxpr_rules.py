"""JAX's primitives: what each records, one line each where it is an op, a reduction, or moves elements.

In: the walk, an equation, and its operands, expressions or numbers. Out: a value, or a list of them. What only moves
elements is done with the numbers of nodes, by NumPy, or by JAX itself where its primitive has many cases.
"""

import string

import numpy as np

from fastgraph import linear_algebra
from fastgraph.errors import FastgraphError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray
from fastgraph.extras import need
from fastgraph.functions import FUNCTIONS, joined
from fastgraph.numpy_ufuncs import accumulate
from fastgraph.ops import OPS

MAX_SCATTER = 10_000_000  # updates times elements: how large a table of who goes where may be
_F = FUNCTIONS
BEAR_MISSING = ("custom_linear_solve",)  # rules that can do without some of their operands


class Refusal(FastgraphError):
    """Why an equation cannot be recorded."""


def _number(value):
    """An operand of an op."""
    return value if isinstance(value, Expr | ExprArray) else np.asarray(value, np.float64)


def _elementwise(function):
    return lambda walk, equation, *values: function(*map(_number, values))


def kind_of(variable):
    """The kind of a variable's dtype, as NumPy's; "O" for keys of random numbers and other dtypes of JAX alone."""
    try:
        return np.dtype(variable.aval.dtype).kind
    except TypeError:
        return "O"


# -- elementwise --------------------------------------------------------------------------------------------------
def _div(walk, equation, x, y):
    x, y = _number(x), _number(y)
    if kind_of(equation.outvars[0]) in "iu":
        return (x - _F["fmod"](x, y)) / y  # of integers, towards 0; exact
    return _F["div"](x, y)


def _logical(name):
    def rule(walk, equation, *values):
        if any(kind_of(v) != "b" for v in equation.invars):
            raise Refusal("the bits of integers are not those of float64")
        return _F[name](*map(_number, values))

    return rule


def _convert(walk, equation, x):
    before, after = kind_of(equation.invars[0]), kind_of(equation.outvars[0])
    if after == "b" and before != "b":
        return _F["ne"](x, 0.0)
    return _F["trunc"](x) if after in "iu" and before not in "iub" else x


def _round(walk, equation, x):
    if int(equation.params["rounding_method"]) == 1:
        return _F["rint"](x)
    whole = _F["trunc"](x)
    return _F["where"](abs(x - whole) >= 0.5, whole + _F["copysign"](1.0, x), whole)


def _select_n(walk, equation, which, *cases):
    if not isinstance(which, Expr | ExprArray):
        nodes = np.broadcast_arrays(*map(walk.nodes, cases))
        return walk.of_nodes(np.choose(np.asarray(which, np.int64), nodes, mode="clip"))
    result = _number(cases[-1])
    for k in reversed(range(len(cases) - 1)):
        result = _F["where"](_F["le"](which, float(k)), _number(cases[k]), result)
    return result


def _polygamma(walk, equation, m, x):
    orders = set() if isinstance(m, Expr | ExprArray) else set(np.ravel(m).tolist())
    if len(orders) != 1 or not (order := orders.pop()) == int(order) or order < 0:
        raise Refusal("its order must be one constant integer")
    return _F["digamma"](x) if order == 0 else _F["polygamma"](x, int(order))


def _clamp(walk, equation, low, x, high):
    return _F["minimum"](_F["maximum"](_number(x), _number(low)), _number(high))


# -- what moves elements --------------------------------------------------------------------------------------------
def _moved(move):
    """A rule that moves the elements of its operand: ``move(array of nodes, parameters)``."""
    return lambda walk, equation, x: walk.of_nodes(move(walk.nodes(x), equation.params))


def _broadcast(nodes, params):
    shape, kept = params["shape"], params["broadcast_dimensions"]
    inner = [1] * len(shape)
    for axis, n in zip(kept, nodes.shape, strict=True):
        inner[axis] = n
    return np.broadcast_to(nodes.reshape(inner), shape)


def _reshape(nodes, params):
    order = params.get("dimensions")
    return (nodes if order is None else nodes.transpose(order)).reshape(params["new_sizes"])


def _slice(nodes, params):
    start, stop = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(start)
    return nodes[tuple(map(slice, start, stop, steps))]


def _concatenate(walk, equation, *parts):
    return walk.of_nodes(np.concatenate([walk.nodes(p) for p in parts], axis=equation.params["dimension"]))


def _stack(walk, equation, *parts):
    return walk.of_nodes(np.stack([walk.nodes(p) for p in parts], axis=equation.params["axis"]))


def _split(walk, equation, x):
    params = equation.params
    ends = np.cumsum(params["sizes"])[:-1]
    return [walk.of_nodes(part) for part in np.split(walk.nodes(x), ends, axis=params["axis"])]


def _unstack(walk, equation, x):
    return [walk.of_nodes(part) for part in np.moveaxis(walk.nodes(x), equation.params["axis"], 0)]


def _by_jax(n_moved, **changed):
    """A rule that gives JAX's primitive nodes for its first operands; the others say where they go: constants."""

    def rule(walk, equation, *values):
        places = values[n_moved:]
        if any(isinstance(v, Expr | ExprArray) for v in places):
            raise Refusal("where it reads or writes depends on values: places must be constant")
        nodes = [walk.nodes(v) for v in values[:n_moved]]
        found = np.asarray(equation.primitive.bind(*nodes, *places, **{**equation.params, **changed}))
        # What lies outside of the operand is filled: -1 stands for the filling, which is no node.
        fill = equation.params.get("fill_value")
        if found.size and found.min() < 0:
            found = np.where(found < 0, walk.constant(np.nan if fill is None else fill), found)
        return walk.of_nodes(found)

    return rule


def _scatter(op):
    """Write updates to places, or join them with what is there by a binary op."""

    def rule(walk, equation, x, places, updates):
        if isinstance(places, Expr | ExprArray):
            raise Refusal("where it writes depends on values: places must be constant")
        jax, params = walk.jax, equation.params
        options = {k: params[k] for k in ("indices_are_sorted", "unique_indices", "mode")}
        nodes, new = walk.nodes(x).copy(), walk.nodes(updates)
        if op is None:
            return walk.of_nodes(jax.lax.scatter(nodes, places, new, params["dimension_numbers"], **options))
        if new.size * nodes.size > MAX_SCATTER:
            raise Refusal(f"{new.size:,} updates of {nodes.size:,} elements are too many")

        def reached(update):
            return jax.lax.scatter_add(
                np.zeros(nodes.shape, np.int64), places, update, params["dimension_numbers"], **options
            )

        units = np.eye(new.size, dtype=np.int64).reshape(new.size, *new.shape)
        table = np.asarray(jax.vmap(reached)(units)).reshape(new.size, nodes.size)
        who, where = np.nonzero(table)
        flat, new = nodes.reshape(-1), new.reshape(-1)
        while len(who):  # the first update of each place, then the second, …
            at, first = np.unique(where, return_index=True)
            flat[at] = walk.graph.record_many(op.code, [flat[at], new[who[first]]])
            who, where = np.delete(who, first), np.delete(where, first)
        return walk.of_nodes(flat.reshape(nodes.shape))

    return rule


# -- reductions, products -------------------------------------------------------------------------------------------
def _reduction(name, empty=None):
    op = OPS[name]
    return lambda walk, equation, x: joined(op, x, tuple(equation.params["axes"]), False, empty)


def _running(name):
    op = OPS[name]

    def rule(walk, equation, x):
        axis, turn = equation.params["axis"], slice(None, None, -1 if equation.params["reverse"] else 1)
        nodes = np.moveaxis(walk.nodes(x), axis, 0)[turn]
        return walk.of_nodes(np.moveaxis(accumulate(op, walk.of_nodes(nodes)).nodes[turn], 0, axis))

    return rule


def _dot_general(walk, equation, x, y):
    (left, right), (left_batch, right_batch) = equation.params["dimension_numbers"]
    shapes = np.shape(walk.nodes(x)), np.shape(walk.nodes(y))
    letters = iter(string.ascii_letters)
    of_x, of_y = [next(letters) for _ in shapes[0]], [""] * len(shapes[1])
    for i, j in (*zip(left_batch, right_batch, strict=True), *zip(left, right, strict=True)):
        of_y[j] = of_x[i]
    of_y = [c or next(letters) for c in of_y]
    out = [of_x[i] for i in left_batch]
    out += [c for i, c in enumerate(of_x) if i not in (*left, *left_batch)]
    out += [c for j, c in enumerate(of_y) if j not in (*right, *right_batch)]
    return linear_algebra.einsum(f"{''.join(of_x)},{''.join(of_y)}->{''.join(out)}", _number(x), _number(y))


def _linear_solve(walk, equation, *values):
    """Solve by elimination; factors that JAX has computed for it are not asked for."""
    lengths, right = equation.params["const_lengths"], values[sum(equation.params["const_lengths"]) :]
    given = values[: lengths.matvec]
    for value in (*given, *right):
        if hasattr(value, "why"):
            raise Refusal(value.why)
    if len(right) != 1:
        raise Refusal("it has several unknowns")
    matrix = _matrix(walk, equation.params["jaxprs"].matvec, [walk.nodes(v) for v in given], np.shape(right[0]))
    b = walk.nodes(right[0])
    x, left = b.reshape(-1).copy(), b.reshape(-1)
    for blocks in _blocks(matrix).values():
        rows = np.array(blocks)  # (systems, unknowns), all of one matrix
        own = matrix[np.ix_(rows[0], rows[0])]
        a = walk.of_nodes(np.where(own < 0, walk.constant(0.0), own))
        x[rows] = walk.nodes(linear_algebra.solve(a, walk.of_nodes(left[rows.T]))).T
    return walk.of_nodes(x.reshape(b.shape))


def _matrix(walk, matvec, given, shape):
    """The nodes of the matrix that ``matvec`` multiplies by, -1 for zeros.

    Its elements are elements of what is given: which, is seen from what becomes of their numbers.
    """
    jax = walk.jax
    n, count = int(np.prod(shape)), sum(nodes.size for nodes in given)
    function = need("jax.extend.core", "fg.from_jaxpr").jaxpr_as_fun(matvec)
    units = np.eye(n).reshape(n, *shape)

    def columns(labels):
        parts = np.split(labels, np.cumsum([nodes.size for nodes in given])[:-1])
        given_labels = [part.reshape(nodes.shape) for part, nodes in zip(parts, given, strict=True)]
        return np.asarray(jax.vmap(lambda unit: function(*given_labels, unit)[0])(units)).reshape(n, n).T

    labels = np.arange(1.0, count + 1.0)
    found = columns(labels)
    at = found.astype(np.int64)
    is_pure = np.array_equal(at, found) and at.min() >= 0 and at.max() <= count
    if not is_pure or not np.array_equal(columns(labels**2), np.square(found)):
        raise Refusal("its matrix is not given as an array")
    return np.where(at > 0, np.concatenate([nodes.reshape(-1) for nodes in given])[at - 1], -1)


def _blocks(matrix):
    """Sets of unknowns that are tied to each other, by what their matrix is: {its elements: [unknowns, …]}."""
    tied, left, found = (matrix >= 0) | (matrix.T >= 0), set(range(len(matrix))), {}
    while left:
        block, waiting = set(), [min(left)]
        while waiting:
            i = waiting.pop()
            if i not in block:
                block.add(i)
                waiting += np.flatnonzero(tied[i]).tolist()
        left -= block
        members = sorted(block)
        found.setdefault(matrix[np.ix_(members, members)].tobytes(), []).append(members)
    return found


def _same(walk, equation, *values):
    return list(values)


_SAME_NAME = (
    "add", "sub", "mul", "neg", "abs", "sign", "sqrt", "cbrt", "square", "exp", "exp2", "expm1", "log", "log1p", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "atan2", "pow", "floor",
    "ceil", "erf", "erfc", "lgamma", "digamma", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip
RULES = {
    **{name: _elementwise(_F[name]) for name in _SAME_NAME},
    "add_any": _elementwise(_F["add"]),
    "max": _elementwise(_F["maximum"]),
    "min": _elementwise(_F["minimum"]),
    "rem": _elementwise(_F["fmod"]),
    "rsqrt": _elementwise(lambda x: 1.0 / _F["sqrt"](x)),
    "logistic": _elementwise(_F["sigmoid"]),
    "is_finite": _elementwise(_F["isfinite"]),
    "integer_pow": lambda walk, equation, x: _F["powi"](x, int(equation.params["y"])),
    "div": _div,
    "and": _logical("logical_and"),
    "or": _logical("logical_or"),
    "xor": _logical("logical_xor"),
    "not": _logical("logical_not"),
    "convert_element_type": _convert,
    "round": _round,
    "select_n": _select_n,
    "polygamma": _polygamma,
    "clamp": _clamp,
    # x with the slope -1 beside its own.
    "stop_gradient": lambda walk, equation, x: _F["with_partial"](x, x, -1.0),
    **dict.fromkeys(("copy", "device_put", "name", "optimization_barrier"), _same),
    # what moves elements
    "broadcast_in_dim": _moved(_broadcast),
    "reshape": _moved(_reshape),
    "slice": _moved(_slice),
    "squeeze": _moved(lambda nodes, params: nodes.squeeze(tuple(params["dimensions"]))),
    "transpose": _moved(lambda nodes, params: nodes.transpose(params["permutation"])),
    "tile": _moved(lambda nodes, params: np.tile(nodes, params["reps"])),
    "rev": _moved(lambda nodes, params: np.flip(nodes, tuple(params["dimensions"]))),
    "concatenate": _concatenate,
    "stack": _stack,
    "split": _split,
    "unstack": _unstack,
    "pad": _by_jax(2),
    "gather": _by_jax(1, fill_value=-1),
    "dynamic_slice": _by_jax(1),
    "dynamic_update_slice": _by_jax(2),
    "scatter": _scatter(None),
    "scatter-add": _scatter(OPS["add"]),
    "scatter-mul": _scatter(OPS["mul"]),
    "scatter-min": _scatter(OPS["minimum"]),
    "scatter-max": _scatter(OPS["maximum"]),
    # reductions, products
    "reduce_sum": _reduction("add", 0.0),
    "reduce_prod": _reduction("mul", 1.0),
    "reduce_max": _reduction("maximum"),
    "reduce_min": _reduction("minimum"),
    "reduce_and": _reduction("logical_and", 1.0),
    "reduce_xor": _reduction("logical_xor", 0.0),
    "reduce_or": _reduction("logical_or", 0.0),
    "cumsum": _running("add"),
    "cumprod": _running("mul"),
    "cummax": _running("maximum"),
    "cummin": _running("minimum"),
    "cumlogsumexp": _running("logaddexp"),
    "dot_general": _dot_general,
    "custom_linear_solve": _linear_solve,
}
