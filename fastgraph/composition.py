"""Composition: a Function called with expressions, and a Function some of whose arguments are fixed.

In: a Function, and expressions or numbers for its arguments. Out: expressions recorded in their graph; a new Function.
"""

import numpy as np

from fastgraph.assembly import optimised
from fastgraph.engine.streams import columns_of
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, graph_of, nodes_of
from fastgraph.graph import CONSTANT, INPUT, N_COLUMNS
from fastgraph.layout import common_batch
from fastgraph.ops.arrays import ARITY, CALLS, HAS_TABLE

SEARCHED = 100  # elements of a list: a call with a long one should not take twice as long
_EXPRESSIONS, _SEQUENCES = {Expr, ExprArray}, {list, tuple, np.ndarray}


class Composition:
    """Base of :class:`Function`."""

    def bind(self, /, **values):
        """Fix arguments to numbers: a Function of the others, optimised anew.

        What depends on fixed arguments only is computed now, once.

        Parameters
        ----------
        **values : float or array_like
            By argument name, each of its declared shape.

        Returns
        -------
        Function

        Raises
        ------
        ArgumentError
            For a name that is no argument, or what is no number.
        ShapeError
            For another shape than the declared one.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x, k = graph.input("x"), graph.parameter("k")
        >>> graph.output(x * fg.exp(k * k))
        >>> f = graph.compile()
        >>> g = f.bind(k=0.0)
        >>> g
        <Function: (x) -> (y0), 0 operations>
        >>> float(g(3.0))
        3.0
        """
        columns, arguments = _bound(self, values)
        program = optimised(columns, sum(a.size for a in arguments), self.dtype)
        return type(self)(program, arguments, self.outputs, self.name)

    def _recorded(self, args, named):
        """The outputs as expressions of the arguments, which are expressions or numbers of one graph.

        Arguments broadcast over a batch as numbers do: an array of expressions of shape ``batch + declared shape``
        repeats the function for each of its sets.
        """
        values = self.signature.in_order(args, named)
        graph = graph_of(values)
        if self.dtype != np.float64:
            raise ArgumentError(f"{self.label} computes in {self.dtype}: only a float64 function can be recorded")
        nodes, batches = [], []
        for value, argument in zip(values, self.arguments, strict=True):
            own = np.asarray(nodes_of(graph, value))
            n = own.ndim - len(argument.shape)
            if n < 0 or own.shape[n:] != argument.shape:
                raise ShapeError(
                    f"{self.label} got {argument.name} with shape {own.shape}: its last axes must be {argument.shape} "
                    f"({argument.name} was declared with shape {argument.shape})"
                )
            nodes.append(own)
            batches.append(own.shape[:n])
        batch = common_batch(self.signature.positions, batches, self.label)
        leaves = [
            np.broadcast_to(own, batch + argument.shape).reshape(-1, argument.size)
            for own, argument in zip(nodes, self.arguments, strict=True)
        ]
        found = _repeated(graph, columns_of(self.program), np.concatenate(leaves, axis=1))
        results, start = [], 0
        for output in self.outputs:
            part = found[:, start : start + output.size].reshape(batch + output.shape)
            results.append(ExprArray(graph, part) if part.ndim else Expr(graph, int(part)))
            start += output.size
        return results


def hold_expressions(values):
    """Whether there is an expression among arguments, or among the first elements of lists."""
    kinds = set(map(type, values))
    if kinds & _EXPRESSIONS:
        return True
    if not kinds & _SEQUENCES:
        return False
    for value in values:
        if isinstance(value, list | tuple) and hold_expressions(value[:SEARCHED]):
            return True
        if (
            isinstance(value, np.ndarray)
            and value.dtype == object
            and hold_expressions(value.ravel()[:SEARCHED].tolist())
        ):
            return True
    return False


def _repeated(graph, columns, leaves):
    """Record ``columns`` once for each row of ``leaves``, nodes (sets, n_leaves); the nodes of their outputs."""
    rows, n_sets = columns.rows, len(leaves)
    codes = rows[:, 0].astype(np.int64)
    at = np.flatnonzero(codes < len(ARITY))
    constants = np.flatnonzero(codes == CONSTANT)
    inputs = np.flatnonzero(codes == INPUT)
    there = np.empty((n_sets, len(rows)), np.int64)
    there[:, inputs] = leaves[:, rows[inputs, 1]]
    there[:, constants] = graph.constant_nodes(columns.constants[rows[constants, 1]])
    first = len(graph)
    graph.need_room(n_sets * len(at))
    starts, numbers = graph.add_tables(columns.tables), [graph.function_number(f) for f in columns.functions]
    there[:, at] = first + np.arange(n_sets)[:, None] * len(at) + np.arange(len(at))
    made = np.empty((n_sets, len(at), N_COLUMNS), np.uint32)
    made[:] = rows[at]
    for k in range(N_COLUMNS - 1):
        used = np.flatnonzero(k < ARITY[codes[at]])
        made[:, used, 1 + k] = there[:, rows[at[used], 1 + k]]
    for named, here in ((HAS_TABLE, starts), (CALLS, np.array(numbers, np.int64))):
        which = np.flatnonzero(named[codes[at]])
        column = 1 + ARITY[codes[at[which]]]
        made[:, which, column] = here[rows[at[which], column]]
    graph.append(made.reshape(-1, N_COLUMNS), ())
    return there[:, columns.outputs]


def _bound(function, values):
    """Columns in which the leaves of fixed arguments are constants, and the arguments that are left."""
    program, fixed = columns_of(function.program), {}
    for name, value in values.items():
        k = function.signature.positions.get(name)
        if k is None:
            raise ArgumentError(f"{function.label} has no argument {name!r} to bind; it has {function.signature.names}")
        fixed[k] = _numbers(value, function.arguments[k], function.label)
    left = [a for k, a in enumerate(function.arguments) if k not in fixed]
    is_left = np.array([k not in fixed for k in range(len(function.arguments))], np.bool_)
    kept = np.repeat(is_left, [a.size for a in function.arguments])
    numbers = np.zeros(len(kept))
    numbers[~kept] = [number for k in sorted(fixed) for number in fixed[k].tolist()]
    rows, n_constants = program.rows.copy(), len(program.constants)
    leaves = np.flatnonzero(rows[:, 0] == INPUT)
    number_of = rows[leaves, 1].astype(np.int64)
    stays = kept[number_of]
    rows[leaves[stays], 1] = (np.cumsum(kept) - 1)[number_of[stays]]
    rows[leaves[~stays], 0] = CONSTANT
    rows[leaves[~stays], 1] = n_constants + np.arange(np.count_nonzero(~stays))
    constants = np.concatenate([program.constants, numbers[number_of[~stays]]])
    return program.change(rows, constants, renamed=np.arange(len(rows))), left


def _numbers(value, argument, label):
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{label}: {argument.name} is bound to numbers, not to {value!r}: {error}") from None
    if array.shape != argument.shape:
        raise ShapeError(
            f"{label}: {argument.name} was declared with shape {argument.shape}, but is bound to shape {array.shape}"
        )
    return array.ravel()
