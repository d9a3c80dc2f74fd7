"""fastgraph: record a numerical expression once, then evaluate and differentiate it at machine speed.

``Graph`` records, ``Program`` is the recording frozen into flat verified arrays, ``Function`` is what you call::

    graph = fastgraph.Graph("example")
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c), name="y")
    f = graph.compile()
    f(2.0, 3.0, 1.0)                  # 10.0
    f.value_and_grad(2.0, 3.0, 1.0)   # 10.0, Gradient(a=2.0, b=7.0, c=-5.0)

The pipeline, in import order: ``ops`` (one row an op) → ``expr``, ``expr_array``, ``graph`` → ``passes`` →
``program`` → ``sparsity`` → ``engine`` → ``assembly`` (columns to programs) → ``derived`` (programs of derivatives) →
``derivatives``, ``flat`` → ``function``; ``symbolic``, ``compiler`` and ``tracing`` join them, ``numpy_functions`` is
NumPy's way in, and ``interpolation`` and ``custom_op`` record what is given by numbers or by the user's own functions.
``parsing`` and ``importers`` read formulas and other packages' expressions; ``looking`` and ``asking`` show what was
recorded and how it runs. ``handle`` and ``embedding`` are the way into the user's compiled code,
``c_interface`` that into C; ``scipy``, ``ipopt`` (both by ``solvers``), ``jax`` and ``torch`` (both by
``sweeps``) are the ways into those packages, imported at their first use.
"""

from importlib import import_module as _import_module

from fastgraph import functions as _functions
from fastgraph import numpy_functions as _numpy_functions  # noqa: F401  (NumPy's protocol for expressions)
from fastgraph.compiler import Graph
from fastgraph.custom_op import custom_op
from fastgraph.engine.pool import get_num_threads, set_num_threads
from fastgraph.errors import (
    ArgumentError,
    DataError,
    ExprError,
    FastgraphError,
    FormulaError,
    GraphError,
    ProgramError,
    ShapeError,
)
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray
from fastgraph.function import Function
from fastgraph.functions import FUNCTIONS as _FUNCTIONS
from fastgraph.interpolation import cubic_spline, interp, piecewise_polynomial
from fastgraph.program import Program
from fastgraph.tracing import function, trace

__version__ = "0.1.0"

# One function per op of the table (fg.sin, fg.where, …) and the conveniences composed of them (fg.sum, fg.clip, …).
_NAMES = (*_FUNCTIONS, *_functions.CONVENIENCES)
globals().update({_name: getattr(_functions, _name) for _name in _NAMES})

__all__ = [
    "ArgumentError",
    "DataError",
    "Expr",
    "ExprArray",
    "ExprError",
    "FastgraphError",
    "FormulaError",
    "Function",
    "Graph",
    "GraphError",
    "Program",
    "ProgramError",
    "ShapeError",
    "cubic_spline",
    "custom_op",
    "from_casadi",
    "from_jaxpr",
    "from_sympy",
    "function",
    "get_num_threads",
    "interp",
    "parse",
    "piecewise_polynomial",
    "set_num_threads",
    "trace",
    *_NAMES,
]

# fg.scipy and the others: modules for packages that fastgraph does not need.
_INTEGRATIONS = ("ipopt", "jax", "scipy", "torch")
# Functions that few programs need, and where they are: imported at their first use.
_LATER = {
    "from_casadi": "importers.casadi",
    "from_jaxpr": "importers.jaxpr",
    "from_sympy": "importers.sympy",
    "parse": "parsing",
}


def __getattr__(name):
    if name in _INTEGRATIONS:
        return _import_module(f"fastgraph.{name}")
    if name in _LATER:
        return getattr(_import_module(f"fastgraph.{_LATER[name]}"), name)
    raise AttributeError(f"module 'fastgraph' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_INTEGRATIONS, *_LATER})
