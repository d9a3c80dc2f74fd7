"""Callees: scalar functions of the user that programs call, compiled to C functions.

In: a Python function of numbers, or one that Numba has compiled. Out: a ``Callee``, with an address for each dtype.
"""

import inspect
from functools import lru_cache
from types import FunctionType

import numpy as np
from numba import cfunc, njit, types
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from fastgraph.errors import ArgumentError
from fastgraph.jit import compiling

MAX_ARGUMENTS = 2  # a row of a graph has room for so many operands and the number of the function
_TYPES = {np.dtype(np.float64): types.float64, np.dtype(np.float32): types.float32}


class Callee:
    """A scalar function of one or two numbers, called from kernels without the interpreter.

    Parameters
    ----------
    function : callable
        What ``numba.njit`` compiles or has compiled, of float64 arguments (float32 in programs of that dtype). Where it
        raises an exception the value is NaN.

    Raises
    ------
    ArgumentError
        If it takes another number of arguments, or Numba cannot compile it to a function that returns a number.
    """

    def __init__(self, function):
        self.python = function.py_func if is_jitted(function) else function
        self.name = getattr(self.python, "__name__", repr(self.python))
        self.arity = _arity(self.python, self.name)
        self.function = njit(function, error_model="numpy") if isinstance(function, FunctionType) else function
        self._made = {}
        self.address(np.dtype(np.float64))

    def address(self, dtype):
        """Address of the C function of numbers of ``dtype``."""
        made = self._made.get(dtype)
        if made is None:
            number = _TYPES[dtype]
            try:
                with compiling:
                    made = self._made[dtype] = cfunc(number(*[number] * self.arity))(_caller(self.function, self.arity))
            except NumbaError as error:
                raise ArgumentError(
                    f"{self.name} cannot be compiled as a function of {self.arity} {dtype} that returns one: {error}"
                ) from None
        return made.address

    def __call__(self, *xs):
        """The values for arrays of numbers, one after the other."""
        xs = np.broadcast_arrays(*xs)
        values = [self._value(numbers) for numbers in zip(*(x.ravel() for x in xs), strict=True)]
        return np.array(values, xs[0].dtype).reshape(xs[0].shape)

    def _value(self, numbers):
        try:
            return self.function(*numbers)
        except Exception:  # as in ``_caller``
            return np.nan

    def __reduce__(self):
        return callee_of, (self.function,)

    def __repr__(self):
        return f"<Callee {self.name}: {self.arity} arguments>"


def _caller(function, arity):
    """A function for ``cfunc``, from which an exception could go nowhere: it becomes NaN."""

    def one(x):
        try:
            return function(x)
        except Exception:
            return np.nan

    def two(x, y):
        try:
            return function(x, y)
        except Exception:
            return np.nan

    return one if arity == 1 else two


def _arity(function, name):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} is no function whose arguments can be counted: {error}") from None
    kinds = {p.kind for p in parameters}
    if not kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
        raise ArgumentError(f"{name} must take its arguments by position, a fixed number of them")
    if not 1 <= len(parameters) <= MAX_ARGUMENTS:
        raise ArgumentError(
            f"{name} takes {len(parameters)} arguments, but a custom op takes from 1 to {MAX_ARGUMENTS}: fix some of "
            "them, or record parts of it as expressions"
        )
    return len(parameters)


@lru_cache(maxsize=4096)
def callee_of(function):
    """The ``Callee`` of a function, the same one whenever it is asked for."""
    return Callee(function)
