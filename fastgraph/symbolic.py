"""Symbolic derivatives: the adjoint of a graph is a graph.

In: a recorder, expressions of it, and what to differentiate them by. Out: expressions, recorded into the same graph, so
that derivatives of any order, or of a part, are expressions like any other.
"""

import numpy as np

from fastgraph.errors import GraphError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, nodes_of
from fastgraph.graph import CONSTANT, INPUT
from fastgraph.ops.arrays import ARITY
from fastgraph.passes import Columns
from fastgraph.passes.adjoint import adjoint
from fastgraph.passes.prune import needed_by
from fastgraph.passes.tangent import NOTHING, UNIT, tangent


def gradient(graph, output, wrt):
    """Expressions of the derivatives of ``output``; see :meth:`fastgraph.Graph.gradient`."""
    (node,) = _nodes(graph, output, "output", single=True)
    items, in_form = _targets(graph, wrt)
    wrt = np.concatenate([nodes for nodes, _ in items])
    rows, constants, _ = graph.columns()
    found = _record(graph, adjoint(Columns(rows, constants, np.array([node])), wrt), np.arange(len(rows)))
    return in_form(_shaped(graph, found, items, ()))


def jacobian(graph, outputs, wrt):
    """Expressions of all derivatives of ``outputs``; see :meth:`fastgraph.Graph.jacobian`."""
    nodes, shape = _nodes(graph, outputs, "outputs"), _shape(outputs)
    items, in_form = _targets(graph, wrt)
    wrt = np.concatenate([nodes for nodes, _ in items])
    rows, constants, _ = graph.columns()
    if len(wrt) < len(nodes) and np.all(rows[wrt, 0] == INPUT):
        found = _forward(graph, Columns(rows, constants, nodes), wrt)
    else:
        found = np.array([_record(graph, adjoint(Columns(*graph.columns()[:2], nodes[j : j + 1]), wrt), None)
                          for j in range(len(nodes))])  # fmt: skip
    return in_form(_shaped(graph, found, items, shape))


def _forward(graph, columns, wrt):
    """Nodes of the derivatives (m, k) of the outputs, from the tangents of k leaves."""
    n_leaves = sum(argument.size for argument in graph.arguments)
    seeds = np.full((n_leaves, len(wrt)), NOTHING, np.int64)
    seeds[columns.rows[wrt, 1], np.arange(len(wrt))] = UNIT
    m = len(columns.outputs)
    moved, renamed = tangent(columns, seeds)
    moved = moved.change(outputs=moved.outputs[m:])
    return _record(graph, moved, renamed).reshape(len(wrt), m).T


def _record(graph, columns, renamed):
    """Append to the graph what the outputs of ``columns`` need and it does not have; return their nodes.

    ``renamed`` says where the graph's nodes stand in ``columns``, None for at the beginning.
    """
    rows = columns.rows
    n = len(graph)
    there = np.full(len(rows), -1, np.int64)
    there[np.arange(n) if renamed is None else renamed] = np.arange(n)
    needed = needed_by(rows, columns.outputs, np.empty(0, np.int64), ARITY)
    added = np.flatnonzero(needed & (there < 0))
    there[added] = n + np.arange(len(added))
    new = rows[added].copy()
    codes = new[:, 0].astype(np.int64)
    arity = np.where(codes < len(ARITY), ARITY[np.minimum(codes, len(ARITY) - 1)], 0)
    for k in range(3):
        new[k < arity, 1 + k] = there[new[k < arity, 1 + k]]
    is_constant = codes == CONSTANT
    first = len(graph.columns()[1])
    numbers = columns.constants[new[is_constant, 1]]
    new[is_constant, 1] = first + np.arange(len(numbers))
    graph.append(new, numbers)
    return there[columns.outputs]


def _targets(graph, wrt):
    """``(nodes, shape)`` of each thing to differentiate by, and what puts one result each into the form of ``wrt``."""
    if wrt is None:
        names = [argument.name for argument in graph.arguments if argument.differentiable]
        if not names:
            raise GraphError(f"{graph!r} has no inputs to differentiate by: name parameters or expressions in wrt")
        wrt = names[0] if len(names) == 1 else tuple(names)
    several = isinstance(wrt, tuple | list)
    items = []
    for item in wrt if several else [wrt]:
        if isinstance(item, str):
            item = graph.argument(item)
        items.append((_nodes(graph, item, "wrt"), _shape(item)))
    return items, tuple if several else lambda results: results[0]


def _shape(exprs):
    return (
        ()
        if isinstance(exprs, Expr)
        else exprs.shape
        if isinstance(exprs, ExprArray)
        else np.shape(np.asarray(exprs, object))
    )


def _nodes(graph, exprs, what, single=False):
    """The nodes of an expression or array of expressions, int64 (k,)."""
    if not isinstance(exprs, ExprArray):
        for expr in np.asarray(exprs, object).ravel():
            if not isinstance(expr, Expr):
                raise GraphError(f"{what} must be expressions of {graph!r}, not {expr!r} of type {type(expr).__name__}")
    nodes = np.asarray(nodes_of(graph, exprs))
    if single and nodes.shape != () or not nodes.size:
        raise GraphError(f"{what} must be one expression, not an array of shape {nodes.shape}: use jacobian, or fg.sum")
    return nodes.ravel()


def _shaped(graph, nodes, items, shape):
    """One expression or array of shape ``shape + item.shape`` for each item, from nodes (…, k)."""
    nodes, start, results = nodes.reshape(-1, nodes.shape[-1]), 0, []
    for part, own in items:
        block = nodes[:, start : start + len(part)].reshape(-1)
        start += len(part)
        block = block.reshape(shape + own)
        results.append(ExprArray(graph, block) if block.ndim else Expr(graph, int(block)))
    return results
