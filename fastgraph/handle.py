"""Handles as compiled code sees them: a block of integers at one address, and what is done with it.

In: the address of a block, flat vectors. Out: numbers in arrays of the caller. ``embedding`` makes the blocks; the
user's ``@njit`` functions and the C functions of ``c_interface`` contain this code.
"""

import numpy as np
from llvmlite import ir
from numba import carray
from numba.core import types
from numba.extending import (
    intrinsic,
    make_attribute_wrapper,
    models,
    overload_attribute,
    overload_method,
    register_jitable,
    register_model,
)

from fastgraph.engine.addresses import call_address, pointer, zero
from fastgraph.engine.kernels import CALL, one_nan
from fastgraph.jit import fingerprint

# The block. First what C programs may read (``c_interface`` writes their header): the version of this layout, the
# status of the last call that failed, sizes, and the C functions. Then, for each kind of sweep, the address of its
# ``CALL``, 0 where it is not prepared.
METHODS = "value", "value_and_grad", "call", "jvp", "vjp", "hvp", "jacobian_values", "set_parameters"
PUBLIC = "abi", "status", "n", "m", "n_parameters", "nnz", *METHODS
ABI, STATUS, N, M, N_PARAMETERS, NNZ = range(6)
FUNCTIONS = slice(6, len(PUBLIC))
IS_BOUND, IS_USED, LEAVES, PARAMETERS, VALUE, GRADIENT, JVP, VJP, HVP, JACOBIAN = range(len(PUBLIC), len(PUBLIC) + 10)
N_FIELDS = 1 + JACOBIAN

# Why a call does nothing: the statuses of C functions, by number, and the texts of ValueErrors in ``@njit`` code.
OK, NOT_PREPARED, NOT_BOUND, NOT_SCALAR, IN_USE, WRONG_LENGTH = range(6)
_NOT_PREPARED = "this method is not prepared, by the handle's prepare() in Python; or it needs one scalar output"
_NOT_BOUND = "the parameters of the handle are not bound: use its bind(), or set_parameters"
_NOT_SCALAR = "value needs one scalar output: use call"
_IN_USE = "the handle is in use by another thread: give each thread its own clone()"
STATUSES = {
    "OK": "done",
    "NOT_PREPARED": _NOT_PREPARED,
    "NOT_BOUND": _NOT_BOUND,
    "NOT_SCALAR": _NOT_SCALAR,
    "IN_USE": _IN_USE,
    "WRONG_LENGTH": "the caller's numbers are not as many as the function's inputs, or outputs",
}


# The code below becomes part of the user's compiled functions, and lies in their caches: they must not outlive these
# sources, so the type has their hash in its name.
class HandleType(types.Type):
    """The Numba type of every handle."""

    def __init__(self):
        super().__init__(name=f"fastgraph.Handle({fingerprint()})")


HANDLE = HandleType()


@register_model(HandleType)
class _Model(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("address", types.intp)])


make_attribute_wrapper(HandleType, "address", "address")


@intrinsic
def _take(typingctx, address):
    """Set the integer at an address that threads share to 1; what it was before."""

    def codegen(context, builder, signature, args):
        target = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("xchg", target, ir.Constant(ir.IntType(64), 1), "acquire")

    return types.intp(types.intp), codegen


@intrinsic
def _release(typingctx, address):
    """Set it to 0, after all that was written before."""

    def codegen(context, builder, signature, args):
        target = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store_atomic(ir.Constant(ir.IntType(64), 0), target, "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp), codegen


# -- a call of a block ---------------------------------------------------------------------------------------------
@register_jitable
def fields_at(address):
    """The block at an address."""
    return carray(pointer(address), N_FIELDS, np.int64)


@register_jitable
def enter(address, kind):
    """Take the block for a sweep of one kind: OK, or why not. What is taken must be left.

    Of two threads with one handle, the second would write into the first one's slots: wrong numbers, silently. An
    atomic exchange tells, for 3 to 8 ns.
    """
    fields = fields_at(address)
    if fields[kind] == 0:
        return NOT_PREPARED
    if fields[IS_BOUND] == 0:
        return NOT_BOUND
    if _take(address + 8 * IS_USED) != 0:
        return IN_USE
    return OK


@register_jitable
def leave(address):
    """Give the block back."""
    _release(address + 8 * IS_USED)


@register_jitable
def _numbers(address, n):
    return carray(pointer(address), n, np.float64)


# Inputs go straight to where the sweep looks for leaves, and results come straight from the slots, not by the buffers
# of a ``Single``: before ``enter`` took the block, a call of a function of ten inputs was 6 ns above the sweep of its
# workspace instead of 18.
@register_jitable
def _begin(fields, call, x):
    """Put the inputs in their slots; the slots."""
    n = fields[N]
    values = _numbers(call.values, call.n_slots)
    leaves = carray(pointer(fields[LEAVES]), n, np.uint64)
    for i in range(n):
        values[leaves[i]] = x[i]
    return values


@register_jitable
def _move(fields, values, v):
    """Put a direction behind the leaves."""
    n = fields[N]
    first = n + fields[N_PARAMETERS]
    for i in range(n):
        values[first + i] = v[i]


@register_jitable
def _get(call, values, start, out, n):
    """Outputs from the number ``start`` on."""
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    for j in range(n):
        out[j] = one_nan(values[outputs[start + j]])


@register_jitable
def _reverse(fields, kind, call, g):
    """From the adjoints of the outputs, which are there, the gradient by the inputs."""
    call_address(call.reverse, (fields[kind],))
    adjoints, n = _numbers(call.adjoints, call.n_slots), fields[N]
    leaves = carray(pointer(fields[LEAVES]), n, np.uint64)
    for i in range(n):
        g[i] = one_nan(adjoints[leaves[i]])


@register_jitable
def _seed_one(call):
    """The adjoints of the outputs: 1 for the only one, and 0 after the lowest."""
    zero(call.adjoints, call.lowest_output, call.n_slots)
    _numbers(call.adjoints, call.n_slots)[carray(pointer(call.outputs), 1, np.uint32)[0]] += 1.0


@register_jitable
def _seed(call, w):
    """The adjoints of the outputs: these, and 0 after the lowest."""
    zero(call.adjoints, call.lowest_output, call.n_slots)
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    adjoints = _numbers(call.adjoints, call.n_slots)
    for j in range(call.n_outputs):
        adjoints[outputs[j]] += w[j]


@register_jitable
def sweep_value(fields, x):
    """The scalar output. This and those below: the block is taken, lengths are right."""
    call = carray(pointer(fields[VALUE]), 1, CALL)[0]
    values = _begin(fields, call, x)
    call_address(call.forward, (fields[VALUE],))
    return one_nan(values[carray(pointer(call.outputs), 1, np.uint32)[0]])


@register_jitable
def sweep_gradient(fields, x, g):
    """The scalar output, and its gradient in ``g``."""
    call = carray(pointer(fields[GRADIENT]), 1, CALL)[0]
    values = _begin(fields, call, x)
    call_address(call.forward, (fields[GRADIENT],))
    value = one_nan(values[carray(pointer(call.outputs), 1, np.uint32)[0]])
    _seed_one(call)
    _reverse(fields, GRADIENT, call, g)
    return value


@register_jitable
def sweep_call(fields, x, y):
    """All outputs in ``y``."""
    call = carray(pointer(fields[VALUE]), 1, CALL)[0]
    values = _begin(fields, call, x)
    call_address(call.forward, (fields[VALUE],))
    _get(call, values, 0, y, fields[M])


@register_jitable
def sweep_jvp(fields, x, v, y, t):
    """Outputs in ``y``, their tangents in ``t``."""
    call = carray(pointer(fields[JVP]), 1, CALL)[0]
    values = _begin(fields, call, x)
    _move(fields, values, v)
    call_address(call.forward, (fields[JVP],))
    _get(call, values, 0, y, fields[M])
    _get(call, values, fields[M], t, fields[M])


@register_jitable
def sweep_vjp(fields, x, w, y, g):
    """Outputs in ``y``, cotangents times the Jacobian in ``g``."""
    call = carray(pointer(fields[VJP]), 1, CALL)[0]
    values = _begin(fields, call, x)
    call_address(call.forward, (fields[VJP],))
    _get(call, values, 0, y, fields[M])
    _seed(call, w)
    _reverse(fields, VJP, call, g)


@register_jitable
def sweep_hvp(fields, x, v, p):
    """The product of the Hessian with ``v`` in ``p``."""
    call = carray(pointer(fields[HVP]), 1, CALL)[0]
    values = _begin(fields, call, x)
    _move(fields, values, v)
    call_address(call.forward, (fields[HVP],))
    _seed_one(call)
    _reverse(fields, HVP, call, p)


@register_jitable
def sweep_jacobian(fields, x, out):
    """The entries of the Jacobian's pattern in ``out``."""
    call = carray(pointer(fields[JACOBIAN]), 1, CALL)[0]
    values = _begin(fields, call, x)
    call_address(call.forward, (fields[JACOBIAN],))
    _get(call, values, 0, out, fields[NNZ])


@register_jitable
def put_parameters(address, p):
    """Fix the parameters of every kind of sweep; False if the block is in use."""
    if _take(address + 8 * IS_USED) != 0:
        return False
    fields = fields_at(address)
    n = fields[N_PARAMETERS]
    leaves = carray(pointer(fields[PARAMETERS]), n, np.uint64)
    for kind in range(VALUE, N_FIELDS):
        if fields[kind] != 0:
            call = carray(pointer(fields[kind]), 1, CALL)[0]
            values = _numbers(call.values, call.n_slots)
            for j in range(n):
                values[leaves[j]] = p[j]
    fields[IS_BOUND] = 1
    leave(address)
    return True


# -- methods in ``@njit`` code --------------------------------------------------------------------------------------
# Lengths are looked at before the block is taken: an error leaves it as it is.
@register_jitable
def _enter(h, kind):
    status = enter(h.address, kind)
    if status == NOT_PREPARED:
        raise ValueError(_NOT_PREPARED)
    if status == NOT_BOUND:
        raise ValueError(_NOT_BOUND)
    if status == IN_USE:
        raise ValueError(_IN_USE)


@register_jitable
def _fields(h, x):
    fields = fields_at(h.address)
    if len(x) != fields[N]:
        raise ValueError("x must have as many elements as the function has inputs")
    return fields


@register_jitable
def _need_n(fields, v):
    if len(v) != fields[N]:
        raise ValueError("a gradient, direction or product must have as many elements as the function has inputs")


@register_jitable
def _need_m(fields, y):
    if len(y) != fields[M]:
        raise ValueError("outputs, tangents and cotangents must be as many as the function has outputs")


def _value(h, x):
    fields = _fields(h, x)
    if fields[M] != 1:
        raise ValueError(_NOT_SCALAR)
    _enter(h, VALUE)
    value = sweep_value(fields, x)
    leave(h.address)
    return value


def _value_and_grad(h, x, g):
    fields = _fields(h, x)
    _need_n(fields, g)
    _enter(h, GRADIENT)
    value = sweep_gradient(fields, x, g)
    leave(h.address)
    return value


def _call(h, x, y):
    fields = _fields(h, x)
    _need_m(fields, y)
    _enter(h, VALUE)
    sweep_call(fields, x, y)
    leave(h.address)


def _jvp(h, x, v, y, t):
    fields = _fields(h, x)
    _need_n(fields, v)
    _need_m(fields, y)
    _need_m(fields, t)
    _enter(h, JVP)
    sweep_jvp(fields, x, v, y, t)
    leave(h.address)


def _vjp(h, x, w, y, g):
    fields = _fields(h, x)
    _need_m(fields, w)
    _need_m(fields, y)
    _need_n(fields, g)
    _enter(h, VJP)
    sweep_vjp(fields, x, w, y, g)
    leave(h.address)


def _hvp(h, x, v, p):
    fields = _fields(h, x)
    _need_n(fields, v)
    _need_n(fields, p)
    _enter(h, HVP)
    sweep_hvp(fields, x, v, p)
    leave(h.address)


def _jacobian_values(h, x, values):
    fields = _fields(h, x)
    if fields[JACOBIAN] != 0 and len(values) != fields[NNZ]:
        raise ValueError("values must be as many as the pattern of the Jacobian has entries")
    _enter(h, JACOBIAN)
    sweep_jacobian(fields, x, values)
    leave(h.address)


def _set_parameters(h, p):
    if len(p) != fields_at(h.address)[N_PARAMETERS]:
        raise ValueError("set_parameters takes all parameters, concatenated")
    if not put_parameters(h.address, p):
        raise ValueError(_IN_USE)


IMPLEMENTATIONS = (_value, _value_and_grad, _call, _jvp, _vjp, _hvp, _jacobian_values, _set_parameters)


@overload_attribute(HandleType, "n")
def _type_n(h):
    return lambda h: fields_at(h.address)[N]


@overload_attribute(HandleType, "m")
def _type_m(h):
    return lambda h: fields_at(h.address)[M]


# Numba wants each with the names of its arguments.
@overload_method(HandleType, "value")
def _type_value(h, x):
    return _value


@overload_method(HandleType, "value_and_grad")
def _type_value_and_grad(h, x, g):
    return _value_and_grad


@overload_method(HandleType, "call")
def _type_call(h, x, y):
    return _call


@overload_method(HandleType, "jvp")
def _type_jvp(h, x, v, y, t):
    return _jvp


@overload_method(HandleType, "vjp")
def _type_vjp(h, x, w, y, g):
    return _vjp


@overload_method(HandleType, "hvp")
def _type_hvp(h, x, v, p):
    return _hvp


@overload_method(HandleType, "jacobian_values")
def _type_jacobian_values(h, x, values):
    return _jacobian_values


@overload_method(HandleType, "set_parameters")
def _type_set_parameters(h, p):
    return _set_parameters
