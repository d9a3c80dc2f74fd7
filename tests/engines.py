"""The engines that run a program, behind one signature: ``engine(program, leaves) -> (outputs, gradient)``.

``leaves`` has shape (n_leaves, sets) and any dtype that kernels read; outputs (m, sets) and the gradient of their sum,
(n_leaves, sets), have the program's.
"""

from functools import partial

import numpy as np

from fastgraph import interpreter
from fastgraph.engine.lowering import lower, lower_along
from fastgraph.engine.sweeper import TILES, Sweeper
from fastgraph.engine.tiles import VECTOR
from fastgraph.engine.workspace import Table, Tiles, Tiling


def reference(program, leaves):
    """The interpreter in Python."""
    outputs, gradient = interpreter.value_and_gradient(program, leaves)
    sets = leaves.shape[1]
    gradient = [np.broadcast_to(g, sets) for g in gradient]
    gradient = np.array(gradient, program.dtype).reshape(len(leaves), sets)
    return np.array([np.broadcast_to(y, sets) for y in outputs]), gradient


def tile(program, leaves, threads=1):
    """The kernels, all sets in one batch, in whatever way a call takes."""
    leaves, outputs, gradient = _buffers(program, leaves)
    Sweeper(program).sweep(leaves.shape[1], *map(Table.of_rows, (leaves, outputs, gradient)), threads)
    return outputs, gradient


def tiles(program, leaves, size=512, fused=True, threads=None):
    """The kernels of tiles of ``size`` bytes a slot, with pairs of operations done as one or not."""
    varying, wanted = np.ones((2, program.n_leaves), np.bool_)
    return sweep_plan(lower(program, varying, wanted, fused=fused), program, leaves, size)


def along(program, leaves, moved, directions, size=128):
    """Outputs, then their tangents along each of the directions (rows for the ``moved`` leaves), as one sweep."""
    varying = np.ones(program.n_leaves, np.bool_)
    plan = lower_along(program, varying, moved, len(directions))
    return sweep_plan(plan, program, np.concatenate([leaves, *directions]), size)[0]


def sweep_plan(plan, program, leaves, size):
    """Outputs, with their tangents if the plan has some, and gradient, of a call in which nothing is summed."""
    leaves, _, gradient = _buffers(program, leaves)
    outputs = np.full((len(plan.outputs), leaves.shape[1]), 7e7, program.dtype)
    workspace = Tiles(Tiling(plan, program, size))
    workspace.point(*map(Table.of_rows, (leaves, outputs, gradient)))
    workspace.sweep(0, leaves.shape[1])
    return outputs, gradient


def one(program, leaves):
    """The kernels, set by set; of float64 programs."""
    sweeper = Sweeper(program)
    columns = []
    single = sweeper.single(True)
    for column in leaves.T:
        single.inputs[:] = column
        sweeper.run(single.address)
        columns.append(single.results.copy())
    results = np.array(columns).reshape(leaves.shape[1], -1).T
    return results[: len(program.outputs)], results[len(program.outputs) :]


def _buffers(program, leaves):
    """Leaves by rows, and arrays for outputs and gradient, full of what no kernel leaves there."""
    leaves = np.ascontiguousarray(leaves)
    n_leaves, sets = leaves.shape
    return leaves, *(np.full((n, sets), 7e7, program.dtype) for n in (len(program.outputs), n_leaves))


ENGINES = {"reference": reference, "one": one, "tile": tile}
OF_TILES = {
    f"{size} bytes{'' if fused else ', no pairs'}": partial(tiles, size=size, fused=fused)
    for size in (VECTOR, *TILES)
    for fused in (True, False)
}


def of(dtype):
    """Every engine that runs programs of ``dtype``, by name."""
    chosen = ENGINES if dtype == np.float64 else {name: ENGINES[name] for name in ("reference", "tile")}
    return chosen | OF_TILES
