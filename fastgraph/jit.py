"""Compilation through Numba, once a machine: what every compiled function of fastgraph is decorated with.

In: Python functions over numbers and arrays. Out: machine code, cached on disk where a directory can be written.
"""

import hashlib
import os
import threading
from functools import cache
from pathlib import Path

import numpy as np
from numba import cfunc, njit
from numba.extending import intrinsic, overload, register_jitable

from fastgraph.shelter import sheltered

_PACKAGE = Path(__file__).resolve().parent

# Held while Numba compiles or loads for us. A fork waits for it: the child would inherit Numba's own locks as they are,
# with no thread in it to release them.
compiling = threading.RLock()
_made: dict[tuple, tuple] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=compiling.acquire, after_in_parent=compiling.release, after_in_child=compiling.release)


def once(build, *args):
    """``build(*args)``, made at its first use by one thread and where Ctrl-C does not reach, and kept."""
    made = _made.get((build, args))
    return sheltered(lambda: _make(build, args)) if made is None else made


def _make(build, args):
    with compiling:
        if (build, args) not in _made:
            _made[build, args] = build(*args)
        return _made[build, args]


@cache
def fingerprint():
    """Hash of the sources that compiled code depends on.

    Numba's disk cache sees only the file of the function it compiles, so an edited op row or elementary function
    would be served stale code: a wrong answer, silently. It names its files after the function's qualified name,
    and with this hash in that name an edited tree finds nothing of an older one.
    """
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(_PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compiled(function):
    """``@njit`` as fastgraph uses it: without the GIL, IEEE division, cached on disk where that is possible."""
    _name_by_sources(function)
    return _cached(lambda caching: njit(function, nogil=True, error_model="numpy", cache=caching))


def native(signature):
    """Compile to a C function of ``signature``; its ``address`` can be called from other compiled code."""

    def decorate(function):
        _name_by_sources(function)
        return _cached(lambda caching: cfunc(signature, nopython=True, error_model="numpy", cache=caching)(function))

    return decorate


def _name_by_sources(function):
    if fingerprint() not in function.__qualname__:
        function.__qualname__ += f"_{fingerprint()}"


class adaptive:  # noqa: N801  (a decorator)
    """Decorate a pass: plain Python while its input is small and the machine code is not loaded, else compiled.

    The same source runs both ways. Compiling the passes takes seconds on a machine that never ran them, and loading
    them from disk 0.3 s; sweeping a graph of a few hundred nodes in Python takes a few milliseconds. The length of
    the first argument decides. What an adaptive function calls is a :func:`helper`.
    """

    SMALL = 400  # nodes; about 90 microseconds a node in Python, all passes together

    def __init__(self, function, per_node=1):
        self.python = function
        self.per_node = per_node  # how much of the first argument there is to a node
        self._machine = None
        self._is_used = False
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @property
    def machine(self):
        """The compiled function."""
        if self._machine is None:
            self._machine = compiled(self.python)
        return self._machine

    def __call__(self, *args):
        if self._machine is None and len(args[0]) <= self.per_node * self.SMALL:
            with np.errstate(over="ignore"):  # hashes wrap
                return self.python(*args)
        if self._is_used:
            return self.machine(*args)
        return sheltered(lambda: self._first_call(args))

    def _first_call(self, args):
        with compiling:
            result = self.machine(*args)
            self._is_used = True
            return result


def adaptive_by_operands(function):
    """As ``adaptive``, where the first argument is operands: two of them count as a node."""
    return adaptive(function, per_node=2)


helper = register_jitable  # callable from Python and from compiled code


def _cached(build):
    try:
        return build(True)
    except RuntimeError as error:  # Numba's "cannot cache function …: no locator available"
        if "cannot cache" not in str(error):
            raise
        return build(False)


def bits_of(value):
    """The bits of a float64 as a uint64."""
    return np.float64(value).view(np.uint64)


def from_bits(bits):
    """The float64 that has these bits."""
    return np.uint64(bits).view(np.float64)


@intrinsic
def _cast_bits(typingctx, value, kind):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return kind.dtype(value, kind), codegen


@overload(bits_of)
def _bits_of(value):
    return lambda value: _cast_bits(np.float64(value), np.uint64)


@overload(from_bits)
def _from_bits(bits):
    return lambda bits: _cast_bits(np.uint64(bits), np.float64)
