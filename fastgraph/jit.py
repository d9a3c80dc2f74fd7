"""Compilation through Numba, once a machine: what every compiled function of fastgraph is decorated with.

In: Python functions over numbers and arrays. Out: machine code, cached on disk where a directory can be written.
"""

import hashlib
from functools import cache
from pathlib import Path

from numba import cfunc, njit, types
from numba.extending import intrinsic

_PACKAGE = Path(__file__).resolve().parent


@cache
def fingerprint():
    """Hash of the sources that machine code is emitted from.

    Numba's cache sees only the file of the function it compiles. The kernels hold this string in their closure,
    which is part of the cache's key, so that an edited op row or elementary function is never served stale code.
    """
    digest = hashlib.sha256()
    paths = [_PACKAGE / "program.py", *(p for folder in ("ops", "vecmath", "engine") for p in (_PACKAGE / folder).glob("*.py"))]
    for path in sorted(paths):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function):
    """``@njit`` as fastgraph uses it: without the GIL, IEEE division, cached on disk where that is possible."""
    return _cached(lambda caching: njit(function, nogil=True, error_model="numpy", cache=caching))


def native(signature):
    """Compile to a C function of ``signature``; its ``address`` can be called from other compiled code."""

    def decorate(function):
        return _cached(lambda caching: cfunc(signature, nopython=True, error_model="numpy", cache=caching)(function))

    return decorate


def _cached(build):
    try:
        return build(True)
    except RuntimeError as error:  # Numba's "cannot cache function …: no locator available"
        if "cannot cache" not in str(error):
            raise
        return build(False)


@intrinsic
def bits_of(typingctx, value):
    """The bits of a float64 as a uint64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.uint64))

    return types.uint64(types.float64), codegen


@intrinsic
def from_bits(typingctx, bits):
    """The float64 that has these bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.uint64), codegen
