"""The engines that run a program, behind one signature: ``engine(program, leaves) -> (outputs, gradient)``.

``leaves`` has shape (n_leaves, sets); outputs (m, sets) and the gradient of their sum, (n_leaves, sets).
"""

import numpy as np

from fastgraph import interpreter
from fastgraph.engine.sweeper import Sweeper
from fastgraph.engine.workspace import Table, address_of


def reference(program, leaves):
    """The interpreter in Python."""
    outputs, gradient = interpreter.value_and_gradient(program, leaves)
    sets = leaves.shape[1]
    gradient = np.array([np.broadcast_to(g, sets) for g in gradient]).reshape(len(leaves), sets)
    return np.array([np.broadcast_to(y, sets) for y in outputs]), gradient


def tile(program, leaves, threads=1):
    """The kernels, all sets in one batch."""
    leaves = np.ascontiguousarray(leaves)
    outputs, gradient = np.empty((len(program.outputs), leaves.shape[1])), np.empty(leaves.shape)
    Sweeper(program).sweep(leaves.shape[1], _rows(leaves), _rows(outputs), _rows(gradient), threads)
    return outputs, gradient


def one(program, leaves):
    """The kernels, set by set."""
    sweeper = Sweeper(program)
    columns = []
    single = sweeper.single(with_gradient=True)
    for column in leaves.T:
        single.inputs[:] = column
        sweeper.run(single.address)
        columns.append(single.results.copy())
    results = np.array(columns).reshape(leaves.shape[1], -1).T
    return results[: len(program.outputs)], results[len(program.outputs) :]


def _rows(array):
    """The table of an array whose rows are scalars over the batch."""
    n, sets = array.shape
    return Table.of(address_of(array) + 8 * sets * np.arange(n), 8, array)


ENGINES = {"reference": reference, "one": one, "tile": tile}
