"""ExprArray: many expressions of one graph as an integer array of nodes, recorded in bulk.

In: Python operators, NumPy ufuncs and functions, ``fg.sin(x)`` …, on arrays. Out: rows in the graph, a few NumPy calls
for an array operation, not for an element. What NumPy's functions mean for it is in ``numpy_functions``.
"""

import numpy as np

from fastgraph.errors import ExprError, GraphError, ShapeError
from fastgraph.expr import NUMBERS, Expr, Valueless, add_operators, has_no_value, is_operand
from fastgraph.ops import OPS

_POW, _POWI = OPS["pow"], OPS["powi"]
_LIMIT = 2**31  # of an integer exponent
_SHOWN = 6  # elements


class ExprArray(Valueless):
    """An array of expressions of one graph, with NumPy's semantics: broadcasting, indexing, shapes.

    Made by ``graph.input(name, shape)`` and by operations on such arrays. Elements, and results of shape ``()``, are
    :class:`Expr`. ``nodes`` are the numbers of the elements' nodes in the graph.

    Attributes
    ----------
    graph : Graph
    nodes : ndarray of int64

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> x = graph.input("x", shape=(2, 3))
    >>> y = np.exp(x) @ np.ones(3)
    >>> y.shape
    (2,)
    >>> graph.output(y.sum())
    >>> float(graph.compile()(np.zeros((2, 3))))
    6.0
    """

    __slots__ = ("graph", "nodes")
    __hash__ = None  # type: ignore[assignment]
    dtype = np.dtype(np.float64)  # of what an element stands for

    def __init__(self, graph, nodes):
        self.graph = graph
        self.nodes = nodes

    # -- shape --------------------------------------------------------------------------------------------
    @property
    def shape(self):
        return self.nodes.shape

    @property
    def ndim(self):
        return self.nodes.ndim

    @property
    def size(self):
        return self.nodes.size

    @property
    def T(self):  # noqa: N802  (NumPy's name)
        return ExprArray(self.graph, self.nodes.T)

    @property
    def flat(self):
        """The elements, one after the other."""
        return (Expr(self.graph, node) for node in self.nodes.ravel().tolist())

    def __len__(self):
        return len(self.nodes)

    def __iter__(self):
        return (_element(self.graph, part) for part in self.nodes)

    def __repr__(self):
        shown = [self.graph.top(node) for node in self.nodes.flat[:_SHOWN].tolist()]
        if self.size > _SHOWN:
            shown = [*shown[:-2], "...", self.graph.top(int(self.nodes.flat[-1]))]
        return f"<ExprArray of shape {self.shape}{': ' * bool(shown)}{', '.join(shown)}>"

    def summary(self):
        """What the elements depend on, as :meth:`Expr.summary`."""
        return self.graph.summary(self)

    def _repr_html_(self):
        return self.summary()._repr_html_()

    # -- elements -----------------------------------------------------------------------------------------
    def __getitem__(self, key):
        return _element(self.graph, self.nodes[_checked_key(key)])

    def __setitem__(self, key, value):
        if not self.nodes.flags.writeable:
            raise ExprError("this array is read-only, an input or a view of one: assign into x.copy()")
        self.nodes[_checked_key(key)] = nodes_of(self.graph, value)

    def copy(self):
        """The same expressions in an array of their own, into which others can be assigned."""
        return ExprArray(self.graph, self.nodes.copy())

    def item(self, *args):
        """One element, as ``numpy.ndarray.item``."""
        return Expr(self.graph, self.nodes.item(*args))

    def tolist(self):
        """Nested lists of Expr."""
        return [part.tolist() if isinstance(part, ExprArray) else part for part in self]

    def __array__(self, dtype=None, copy=None):
        """An object array of the elements, for functions that begin with ``np.asarray``."""
        if dtype is not None and np.dtype(dtype) != object:
            has_no_value(f"array of {np.dtype(dtype)}")
        return object_array(self)

    def astype(self, dtype, **options):
        """Itself for real types; expressions have no other."""
        if np.dtype(dtype) == object:
            return object_array(self)
        if np.dtype(dtype) != self.dtype:
            raise ExprError(
                f"expressions are real numbers of the program's precision: astype({np.dtype(dtype)}) is not"
            )
        return self.copy() if options.get("copy", True) else self

    # -- no values ----------------------------------------------------------------------------------------
    def __bool__(self):
        if self.size == 1:
            return bool(self.item())
        raise ExprError(
            "an array of expressions has no truth value while it is recorded: use fg.where(condition, x, y), and & | ~ "
            "between conditions"
        )

    # -- operators ----------------------------------------------------------------------------------------
    def __pow__(self, other):
        return power(self, other) if _is_operand(other) else NotImplemented

    def __rpow__(self, other):
        return elementwise(_POW, other, self) if _is_operand(other) else NotImplemented

    def __pos__(self):
        return self


def _element(graph, nodes):
    """What an index gives: an Expr for one node, else an array."""
    return ExprArray(graph, nodes) if isinstance(nodes, np.ndarray) and nodes.ndim else Expr(graph, int(nodes))


def _checked_key(key):
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, Expr | ExprArray):
            raise ExprError(
                "an expression is no index, it has no value while it is recorded: choose by fg.where, or look values "
                "up by np.interp with constant knots"
            )
    return key


def _is_operand(value):
    return isinstance(value, ExprArray | Expr | np.ndarray | list | tuple) or is_operand(value)


# -- between arrays, expressions and numbers ------------------------------------------------------------------
def graph_of(values):
    """The graph of the first expression among the values, arrays of objects included; None without any."""
    for value in values:
        if isinstance(value, Expr | ExprArray):
            return value.graph
        if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
            found = graph_of(value.ravel().tolist() if isinstance(value, np.ndarray) else value)
            if found is not None:
                return found
    return None


def nodes_of(graph, value):
    """The nodes of an operand in ``graph``: an array of expressions, numbers, or both; of int64."""
    if isinstance(value, ExprArray):
        if value.graph is not graph:
            graph.node_of(value.item(0) if value.size else Expr(value.graph, 0))  # raises
        return value.nodes
    if isinstance(value, Expr) or is_operand(value):
        return np.int64(graph.node_of(value))
    array = _as_array(value)
    if array.dtype == object:
        return np.array([graph.node_of(v) for v in array.ravel()], np.int64).reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise ExprError(f"an expression cannot hold an array of {array.dtype}: expected expressions or real numbers")
    return graph.constant_nodes(array)


def _as_array(value):
    """An array of a sequence that may hold expressions and arrays of them."""
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except ExprError:  # NumPy asked an expression for its value
        return np.asarray(value, object)
    except ValueError as error:
        raise ExprError(f"{type(value).__name__} is no array: {error}") from None


def object_array(array):
    """An ndarray of objects with the elements of an ExprArray."""
    found = np.empty(array.size, object)
    graph = array.graph
    found[:] = [Expr(graph, node) for node in array.nodes.ravel().tolist()]
    return found.reshape(array.shape)


def as_expressions(value, graph=None):
    """An ExprArray, or an Expr for shape ``()``, of what holds expressions, or numbers for a given graph."""
    if isinstance(value, Expr | ExprArray):
        return value
    graph = graph or graph_of([value])
    if graph is None:
        raise ExprError(f"there is no expression in {value!r}: for numbers use NumPy")
    return _element(graph, nodes_of(graph, value))


# -- recording in bulk ------------------------------------------------------------------------------------
def record(op, graph, operands, immediate=None):
    """``op`` on arrays of nodes, broadcast: an ExprArray, or an Expr for shape ``()``."""
    try:
        return _element(graph, graph.record_many(op.code, operands, immediate))
    except ValueError as error:
        if isinstance(error, GraphError):
            raise
        shapes = ", ".join(str(np.shape(x)) for x in operands)
        raise ShapeError(f"fg.{op.name}: shapes {shapes} do not broadcast together") from None


def elementwise(op, *operands):
    """Record ``op`` on operands of which one at least holds expressions."""
    graph = graph_of(operands)
    if graph is None:
        raise ExprError(f"fg.{op.name} records an operation on expressions; for numbers use NumPy or math")
    return record(op, graph, [np.asarray(nodes_of(graph, x)) for x in operands])


def with_immediate(op, xs, n):
    """Record an op with an integer immediate, which is in its range."""
    graph = graph_of(xs)
    return record(op, graph, [np.asarray(nodes_of(graph, x)) for x in xs], n & 0xFFFFFFFF)


def power(x, y):
    """``x ** y``; where y is a constant integer, the op with an immediate, which is exact at 0 and for any sign."""
    if isinstance(y, list | tuple) and graph_of([y]) is None:
        y = np.asarray(y)
    if isinstance(y, NUMBERS) or (isinstance(y, np.ndarray) and y.dtype.kind in "fiub"):
        exponents = np.asarray(y, np.float64)
        with np.errstate(invalid="ignore"):
            whole = (np.abs(exponents) < _LIMIT) & (exponents == np.floor(exponents))
        if whole.all():
            distinct = np.unique(exponents)
            if len(distinct) == 1 and np.broadcast_shapes(np.shape(x), exponents.shape) == np.shape(x):
                return with_immediate(_POWI, [x], int(distinct[0]))
        if whole.any():
            return _powers(x, exponents, whole)
    return elementwise(_POW, x, y)


def _powers(x, exponents, whole):
    """Powers by exponents of which some are integers."""
    graph = graph_of([x])
    base, exponents, whole = np.broadcast_arrays(nodes_of(graph, x), exponents, whole)
    nodes = np.empty(base.shape, np.int64)
    for n in np.unique(exponents[whole]):
        at = whole & (exponents == n)
        nodes[at] = graph.record_many(_POWI.code, [base[at]], int(n) & 0xFFFFFFFF)
    if not whole.all():
        nodes[~whole] = graph.record_many(_POW.code, [base[~whole], graph.constant_nodes(exponents[~whole])])
    return _element(graph, nodes)


def reduced(op, array, axis=None, keepdims=False):
    """The elements along axes joined by a binary op, as a balanced tree: its rounding error is O(log n).

    ``axis`` is normalised: a tuple. There is an element at least.
    """
    axes = tuple(range(array.ndim)) if axis is None else axis
    rest = [k for k in range(array.ndim) if k not in axes]
    nodes = np.transpose(array.nodes, [*rest, *axes]).reshape([array.shape[k] for k in rest] + [-1])
    graph = array.graph
    while nodes.shape[-1] > 1:
        n = nodes.shape[-1]
        left, right = nodes[..., 0 : n - 1 : 2], nodes[..., 1::2]
        joined = graph.record_many(op.code, [left, right])
        nodes = np.concatenate([joined, nodes[..., n - 1 :]], axis=-1) if n % 2 else joined
    shape = [1 if k in axes else n for k, n in enumerate(array.shape) if keepdims or k not in axes]
    return _element(graph, nodes.reshape(shape))


# -- made from the table --------------------------------------------------------------------------------------
def _binary_operator(op, swapped):
    def method(self, other):
        if not _is_operand(other):
            return NotImplemented
        return elementwise(op, other, self) if swapped else elementwise(op, self, other)

    return method


def _unary_operator(op):
    return lambda self: elementwise(op, self)


add_operators(ExprArray, _unary_operator, _binary_operator)
