"""Functions whose derivatives several test modules look at. In: nothing. Out: compiled functions and points."""

import numpy as np

import fastgraph as fg


def mixed(dtype=np.float64):
    """Inputs x (3,) and t (), parameter k between them; outputs u (2,) and v ()."""
    graph = fg.Graph("mixed")
    x, k, t = graph.input("x", shape=3), graph.parameter("k"), graph.input("t")
    graph.output([fg.sin(x[0] * t) * k, x[1] * x[2] / t], name="u")
    graph.output(fg.exp(x[0]) * fg.where(x[1] > 0.5, x[1] ** 2, t) * k, name="v")
    return graph.compile(dtype)


def control(n):
    """Optimal control: cost of inputs u and states x (n,), and n - 1 dynamics constraints between neighbours."""
    graph = fg.Graph("control")
    u, x = graph.input("u", shape=n), graph.input("x", shape=n)
    graph.output(fg.sum(0.1 * u**2 + x**2), name="cost")
    graph.output(x[1:] - x[:-1] - 0.1 * (np.sin(x[:-1]) + u[:-1] * x[:-1]), name="dynamics")
    return graph.compile()


def by_directions(function):
    """The function, with nothing small enough to have an output for every entry: it sweeps directions."""
    function._derivatives = Large(function)
    return function


class Large(dict):
    """The derived functions of a function that is taken to be too large for tables of entries."""

    def __init__(self, function):
        self.function = function

    def setdefault(self, key, value):
        if isinstance(key, tuple) and key[0] in (
            "jacobian",
            "hessian",
            "sparse jacobian",
            "sparse hessian",
            "gauss_newton",
        ):
            value = None
        elif key == ("weighted", ()):
            by_directions(value)
        return super().setdefault(key, value)
