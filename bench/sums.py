"""Sums: objectives that add up a term for every data row, differentiated by weights that all rows share.

In: the problems of ``network``, ``mixture`` and ``logistic``. Out: callables, each past the gate, ready to be timed. A
problem is written once for each library, as its users would, because what is compared is the way to write it, too.
"""

import importlib
import sys

import numpy as np

from bench import reference


class Sum:
    """A problem. A subclass has a method for each peer that can do it, named as the peer is.

    Such a method takes the peer's library and returns ``objective(weights) -> (value, gradient)``, both of them sums
    over all rows; ``weights`` and ``gradient`` are vectors.

    Attributes
    ----------
    name : str
    needs : str
        The module without which there is no data.
    weights : ndarray
        Where it is timed.
    n_rows : int
    """

    name: str
    needs = "numpy"
    tolerance = 1e-12  # of the largest number in a result
    weights: np.ndarray
    n_rows: int

    def missing(self):
        """Why this problem cannot be had here, or None."""
        try:
            importlib.import_module(self.needs)
        except ImportError:
            return f"{self.needs} is not installed"
        return None

    def expected(self):
        """Value and gradient at ``weights``."""
        raise NotImplementedError

    def graph(self, fg):
        """The term of one row, as a graph of fastgraph."""
        raise NotImplementedError

    def n_ops(self, fg):
        """Number of operations that are recorded for a row."""
        graph = self.graph(fg)
        rows, constants, _ = graph.columns()
        return len(rows) - len(constants) - sum(argument.size for argument in graph.arguments)

    def objective(self, peer):
        """The peer's objective, or None."""
        method = getattr(self, peer.name.replace("-", "_"), None)
        return method and method(peer.lib)

    def check(self, result):
        """The gate: raise AssertionError unless value and gradient are those expected."""
        value, gradient = (np.asarray(part, dtype=np.float64) for part in result)
        assert value.shape == () and gradient.shape == self.weights.shape, f"{self.name}: shapes are wrong"
        for what, got, wanted in zip(("value", "gradient"), (value, gradient), self.expected(), strict=True):
            error = reference.disagreement(got, wanted)
            assert error <= self.tolerance, f"{self.name}: the {what} is off by {error:.1e}"

    def ready(self, peer):
        """A callable without arguments that passed the gate, or None."""
        objective = self.objective(peer)
        if objective is None:
            return None
        weights = self.weights
        self.check(objective(weights.copy()))
        print(f"  {peer.name} agrees on {self.name}", file=sys.stderr)
        return lambda: objective(weights)

    def __repr__(self):
        return self.name


def traced(work, weights, rows, chunk=4096):
    """Value and gradient by the first inputs of a workload, the weights, summed over ``rows`` (n, its other inputs)."""
    value, gradient = 0.0, np.zeros(len(weights))
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk].T
        inputs = np.concatenate([np.repeat(weights[:, None], part.shape[1], axis=1), part])
        values, slopes = reference.value_and_gradient(work, inputs)
        value += np.sum(values)
        gradient += np.sum(slopes[: len(weights)], axis=1)
    return value, gradient


def buffered(function, n):
    """An objective from a casadi Function ``weights -> (value, gradient)`` of ``n`` weights, through buffers."""
    buffer, evaluate = function.buffer()
    weights, value, gradient = np.zeros(n), np.zeros(1), np.zeros(n)
    buffer.set_arg(0, memoryview(weights))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def objective(point):
        weights[:] = point
        evaluate()
        return value[0], gradient

    objective.keep = buffer
    return objective
