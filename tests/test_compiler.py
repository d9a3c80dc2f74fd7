"""compile(): its arguments are checked before any work is done."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import assembly
from fastgraph.errors import ArgumentError, GraphError


def recorded():
    graph = fg.Graph("g")
    x = graph.input("x")
    graph.output(x * 0.1 + 1.0)
    return graph


@pytest.mark.parametrize("dtype", [np.float32, np.dtype(np.float32), "float32", "f4", "=f4"])
def test_float32_by_any_name(dtype):
    program = recorded().compile(dtype).program
    assert program.dtype == program.constants.dtype == np.float32
    assert program.constants.tolist() == [np.float32(0.1), 1.0]


@pytest.mark.parametrize("dtype", [np.float64, float, "float64", np.dtype(np.float64)])
def test_float64_by_any_name(dtype):
    assert recorded().compile(dtype).to_bytes() == recorded().compile().to_bytes()


@pytest.mark.parametrize(
    "dtype", [None, int, bool, complex, np.float16, np.longdouble, ">f4", "nope", 4, object(), [("a", "f4")], "f4,f8"]
)
def test_another_dtype_is_refused_before_work_is_done(dtype, monkeypatch):
    monkeypatch.setattr(assembly, "prune", None)
    with pytest.raises(ArgumentError, match="must be numpy.float64 or numpy.float32"):
        recorded().compile(dtype)


@pytest.mark.parametrize("n", [2**24, -(2**24), 2**31 - 1, -(2**31)])
def test_an_exponent_that_float32_cannot_hold(n):
    graph = recorded()
    x = graph.input("z")
    graph.output(fg.powi(x, n))
    assert graph.compile().program.dtype == np.float64
    with pytest.raises(GraphError, match=f"powi takes an integer from -16777215 to 16777215 in float32, not {n}"):
        graph.compile(np.float32)


@pytest.mark.parametrize("n", [2**24 - 1, 1 - 2**24])
def test_an_exponent_that_float32_just_holds(n):
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.powi(x, n))
    x ** -(2**31)  # that no output needs
    assert graph.compile(np.float32).program.runs["immediate"].tolist() == [n]
