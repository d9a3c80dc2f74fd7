"""The C interface: functions of the C ABI that serve every Function, each by the address of its handle's block.

In: blocks that ``embedding`` makes. Out: the same blocks with C functions in them, a header for C programs, and
callables for SciPy. A C function never raises: it returns a status, and results are NaN where that is not 0.
"""

import ctypes

import numpy as np
from numba import carray
from numba.extending import register_jitable

from fastgraph import handle
from fastgraph.errors import ArgumentError
from fastgraph.extras import need
from fastgraph.handle import (
    GRADIENT,
    HVP,
    JACOBIAN,
    JVP,
    NNZ,
    NOT_SCALAR,
    OK,
    STATUS,
    STATUSES,
    VALUE,
    VJP,
    WRONG_LENGTH,
    M,
    N,
    enter,
    fields_at,
    leave,
)
from fastgraph.jit import native, once

ABI = 1  # of the block; another number is another layout of what the header shows

# The C functions: the arrays each takes after the block, "out" ones with a name in capitals, and what it computes.
ROWS = {
    "value": ("x Y", "the scalar output in y (1)"),
    "value_and_grad": ("x Y G", "the scalar output in y (1), its gradient in g (n)"),
    "call": ("x Y", "all outputs in y (m)"),
    "jvp": ("x v Y T", "all outputs in y (m), their tangents along v (n) in t (m)"),
    "vjp": ("x w Y G", "all outputs in y (m), w (m) times the Jacobian in g (n)"),
    "hvp": ("x v P", "the Hessian of the scalar output times v (n) in p (n)"),
    "jacobian_values": ("x VALUES", "the entries of the Jacobian's pattern, row by row, in values (nnz)"),
    "set_parameters": ("p", "fix the parameters (n_parameters) for the calls that follow"),
}


@register_jitable
def _filled(fields, status, *outs):
    """Say why nothing was computed."""
    for out in outs:
        out[:] = np.nan
    fields[STATUS] = status
    return status


def functions():
    """The C functions of a block, compiled or loaded, by name."""

    @native("int32(intp, CPointer(f8), CPointer(f8))")
    def value(address, x, y):
        fields, ys = fields_at(address), carray(y, 1)
        status = enter(address, VALUE) if fields[M] == 1 else NOT_SCALAR
        if status != OK:
            return _filled(fields, status, ys)
        ys[0] = handle.sweep_value(fields, carray(x, fields[N]))
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8), CPointer(f8))")
    def value_and_grad(address, x, y, g):
        fields, ys = fields_at(address), carray(y, 1)
        gs, status = carray(g, fields[N]), enter(address, GRADIENT)
        if status != OK:
            return _filled(fields, status, ys, gs)
        ys[0] = handle.sweep_gradient(fields, carray(x, fields[N]), gs)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8))")
    def call(address, x, y):
        fields = fields_at(address)
        ys, status = carray(y, fields[M]), enter(address, VALUE)
        if status != OK:
            return _filled(fields, status, ys)
        handle.sweep_call(fields, carray(x, fields[N]), ys)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8), CPointer(f8), CPointer(f8))")
    def jvp(address, x, v, y, t):
        fields = fields_at(address)
        n, ys, ts, status = fields[N], carray(y, fields[M]), carray(t, fields[M]), enter(address, JVP)
        if status != OK:
            return _filled(fields, status, ys, ts)
        handle.sweep_jvp(fields, carray(x, n), carray(v, n), ys, ts)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8), CPointer(f8), CPointer(f8))")
    def vjp(address, x, w, y, g):
        fields = fields_at(address)
        n, m, status = fields[N], fields[M], enter(address, VJP)
        ys, gs = carray(y, m), carray(g, n)
        if status != OK:
            return _filled(fields, status, ys, gs)
        handle.sweep_vjp(fields, carray(x, n), carray(w, m), ys, gs)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8), CPointer(f8))")
    def hvp(address, x, v, p):
        fields = fields_at(address)
        n, ps, status = fields[N], carray(p, fields[N]), enter(address, HVP)
        if status != OK:
            return _filled(fields, status, ps)
        handle.sweep_hvp(fields, carray(x, n), carray(v, n), ps)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8), CPointer(f8))")
    def jacobian_values(address, x, values):
        fields = fields_at(address)
        out, status = carray(values, fields[NNZ]), enter(address, JACOBIAN)
        if status != OK:
            return _filled(fields, status, out)
        handle.sweep_jacobian(fields, carray(x, fields[N]), out)
        leave(address)
        return OK

    @native("int32(intp, CPointer(f8))")
    def set_parameters(address, p):
        fields = fields_at(address)
        if handle.put_parameters(address, carray(p, fields[handle.N_PARAMETERS])):
            return OK
        fields[STATUS] = handle.IN_USE
        return handle.IN_USE

    made = (value, value_and_grad, call, jvp, vjp, hvp, jacobian_values, set_parameters)
    return dict(zip(handle.METHODS, made, strict=True))


# -- ctypes ---------------------------------------------------------------------------------------------------------
_NUMBERS = ctypes.POINTER(ctypes.c_double)


def _prototype(name):
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, *[_NUMBERS] * len(ROWS[name][0].split()))


class Block(ctypes.Structure):
    """What the header calls ``fastgraph_function``: sizes, and C functions that take its address first."""

    _fields_ = [(name, _prototype(name) if name in ROWS else ctypes.c_int64) for name in handle.PUBLIC]


def complete(fields):
    """Put the C functions into a block."""
    if fields[handle.ABI] != ABI:
        made = once(functions)
        fields[handle.FUNCTIONS] = [made[name].address for name in handle.METHODS]
        fields[handle.ABI] = ABI


def pointer_to(owner, fields):
    """A ctypes pointer to a block that keeps its owner alive."""
    complete(fields)
    block = Block.from_buffer(fields)
    block.owner = owner
    return ctypes.pointer(block)


# -- SciPy's low-level callables ------------------------------------------------------------------------------------
@register_jitable
def _scalar(fields, address, x, n):
    """The scalar output for n inputs."""
    status = WRONG_LENGTH if n != fields[N] else enter(address, VALUE)
    if status != OK:
        fields[STATUS] = status
        return np.nan
    value = handle.sweep_value(fields, x)
    leave(address)
    return value


def _quad():
    @native("f8(f8, intp)")
    def quad(x, address):
        return _scalar(fields_at(address), address, (x,), 1)

    return quad


def _nquad():
    @native("f8(int32, CPointer(f8), intp)")
    def nquad(n, x, address):
        return _scalar(fields_at(address), address, carray(x, n), n)

    return nquad


# ndimage's functions return 1, or 0 for an error, which becomes a RuntimeError there.
def _generic_filter():
    @native("int32(CPointer(f8), intp, CPointer(f8), intp)")
    def generic_filter(window, n, result, address):
        fields = fields_at(address)
        carray(result, 1)[0] = _scalar(fields, address, carray(window, n), n)
        return 1 if n == fields[N] else 0

    return generic_filter


def _generic_filter1d():
    @native("int32(CPointer(f8), intp, CPointer(f8), intp, intp)")
    def generic_filter1d(line, n_line, result, n_result, address):
        fields, results = fields_at(address), carray(result, n_result)
        numbers, n = carray(line, n_line), n_line - n_result + 1
        for i in range(n_result):
            results[i] = _scalar(fields, address, numbers[i : i + n], n)
        return 1 if n == fields[N] else 0

    return generic_filter1d


def _geometric_transform():
    @native("int32(CPointer(intp), CPointer(f8), int32, int32, intp)")
    def geometric_transform(place, result, n, m, address):
        fields, results = fields_at(address), carray(result, m)
        status = enter(address, VALUE) if n == fields[N] and m == fields[M] else WRONG_LENGTH
        if status != OK:
            _filled(fields, status, results)
            return 0
        handle.sweep_call(fields, carray(place, n), results)
        leave(address)
        return 1

    return geometric_transform


# By the name of SciPy's function: how to make the C function, its signature as SciPy wants it, and whether it wants
# one scalar output.
_KINDS = {
    "quad": (_quad, "double (double, void *)", True),
    "nquad": (_nquad, "double (int, double *, void *)", True),
    "generic_filter": (_generic_filter, "int (double *, intptr_t, double *, void *)", True),
    "generic_filter1d": (_generic_filter1d, "int (double *, intptr_t, double *, intptr_t, void *)", True),
    "geometric_transform": (_geometric_transform, "int (intptr_t *, double *, int, int, void *)", False),
}
KINDS = tuple(_KINDS)


class _Address(ctypes.c_void_p):
    """A void pointer that keeps what it points to."""


def check_kind(function, kind):
    """Refuse what SciPy's function could not call.

    Raises
    ------
    ArgumentError
    """
    if kind not in _KINDS:
        raise ArgumentError(f"lowlevel() takes {', '.join(map(repr, KINDS))}, not {kind!r}")
    if _KINDS[kind][2]:
        function.signature.need_scalar_output(f"lowlevel({kind!r})")


def low_level(owner, kind):
    """The ``scipy.LowLevelCallable`` of a handle."""
    scipy = need("scipy", "lowlevel")
    if kind == "quad" and owner.function.flat.n != 1:
        kind = "nquad"  # the rest are quad's args=(…)
    make, signature, _ = _KINDS[kind]
    # Any type of function does: SciPy takes the address, and the signature from us.
    function = ctypes.CFUNCTYPE(None)(once(make).address)
    data = _Address(owner.block)
    data.handle = owner
    return scipy.LowLevelCallable(function, data, signature)


# -- the header -----------------------------------------------------------------------------------------------------
_HEADER = """\
/* fastgraph: functions by the C ABI. Generated by `python -m fastgraph header`; do not edit.
 *
 * In Python, f.ctypes is a pointer to such a block and f.address its address; handles, by f.numba, have the same, with
 * parameters bound and clones for threads. A block belongs to its Python object: keep that as long as you call.
 *
 * Every function takes the block first and returns FASTGRAPH_OK, or why it computed nothing: then results are NaN, and
 * `status` holds the number until you change it. Arrays are of doubles and yours; a call allocates nothing, takes no
 * lock and may run without Python's. A block serves one thread at a time: the second is told FASTGRAPH_IN_USE.
 */
#ifndef FASTGRAPH_H
#define FASTGRAPH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define FASTGRAPH_ABI {abi} /* equal to `abi`, or this header is of another version */

enum {{
{statuses}
}};

typedef struct fastgraph_function fastgraph_function;

struct fastgraph_function {{
{fields}
    /* what follows is private */
}};

#ifdef __cplusplus
}}
#endif

#endif
"""
_SIZES = {
    "abi": "FASTGRAPH_ABI",
    "status": "of the last call that computed nothing",
    "n": "inputs, concatenated in order of declaration",
    "m": "outputs, concatenated",
    "n_parameters": "parameters, concatenated",
    "nnz": "entries of the Jacobian's pattern, once jacobian_values is prepared",
}


def header():
    """The text of ``fastgraph.h``."""
    statuses = [f"    /* {text} */\n    FASTGRAPH_{name} = {k}," for k, (name, text) in enumerate(STATUSES.items())]
    fields = [
        f"    /* {ROWS[name][1]} */\n    int (*{name})({_c_arguments(name)});"
        if name in ROWS
        else f"    int64_t {name}; /* {_SIZES[name]} */"
        for name in handle.PUBLIC
    ]
    return _HEADER.format(abi=ABI, statuses="\n".join(statuses), fields="\n".join(fields))


def _c_arguments(name):
    arrays = [f"double *{a.lower()}" if a.isupper() else f"const double *{a}" for a in ROWS[name][0].split()]
    return ", ".join(["fastgraph_function *f", *arrays])
