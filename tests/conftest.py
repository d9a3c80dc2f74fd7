"""Functions that several test modules call. A module's own fixture of the same name goes before these."""

import signal

import pytest

import fastgraph as fg

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def f():
    """(a + b) * (b - c)."""
    graph = fg.Graph("f")
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c), name="y")
    return graph.compile()


@pytest.fixture(scope="session")
def vector():
    """Inputs x (3,) and t (), parameter k (2, 2); outputs u (3,) and v ()."""
    graph = fg.Graph("vector")
    x, t, k = graph.input("x", shape=3), graph.input("t"), graph.parameter("k", shape=(2, 2))
    graph.output(x * t + k[0, 1], name="u")
    graph.output(fg.dot(x, x) - k[1, 0] * k[0, 0] + t, name="v")
    return graph.compile()


@pytest.fixture(scope="session")
def weighted():
    """One scalar output of an input x (2,), a parameter k and an input t."""
    graph = fg.Graph("weighted")
    x, k, t = graph.input("x", shape=2), graph.parameter("k"), graph.input("t")
    graph.output(k * x[0] * x[1] + t * t)
    return graph.compile()
