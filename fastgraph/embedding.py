"""Embedding: a Function inside the user's own compiled code, as a light handle that ``@njit`` functions take.

In: a Function. Out: a ``Handle``: a workspace, and an address that compiled code reads the rest from. A Function is
data to it, so another one needs no compilation, and code compiled with ``cache=True`` serves all in every process.
"""

import numpy as np
from numba import carray
from numba.core import cgutils, types
from numba.extending import (
    NativeValue,
    make_attribute_wrapper,
    models,
    overload_method,
    register_jitable,
    register_model,
    typeof_impl,
    unbox,
)

from fastgraph.engine.addresses import call_address, pointer, zero
from fastgraph.engine.kernels import CALL, one_nan
from fastgraph.engine.sweeper import SEEDED
from fastgraph.engine.workspace import address_of
from fastgraph.errors import ArgumentError
from fastgraph.jit import compiled, fingerprint

# What compiled code finds at a handle's address: numbers, then for each kind of sweep the address of its ``CALL``, 0
# where it is not prepared.
N, M, N_PARAMETERS, NNZ, IS_BOUND, LEAVES, PARAMETERS, VALUE, GRADIENT, JVP, VJP, HVP, JACOBIAN = range(13)
N_FIELDS = 1 + JACOBIAN
_KINDS = {"value": VALUE, "gradient": GRADIENT, "jvp": JVP, "vjp": VJP, "hvp": HVP, "jacobian_values": JACOBIAN}


class Handle:
    """A Function of flat float64 vectors for ``@njit`` code; a workspace of one thread at a time.

    Pass it to compiled code as an argument and keep it as long as that runs. ``x`` is all inputs concatenated, as for
    ``f.flat``; results are written to arrays of the caller, and no call allocates. These are methods in Python, too.

    ==============================  =========================================================================
    ``value(x)``                    the scalar output
    ``value_and_grad(x, g)``        the scalar output; its gradient in ``g`` (n,)
    ``call(x, y)``                  all outputs in ``y`` (m,)
    ``jvp(x, v, y, t)``             outputs in ``y``, their tangents along ``v`` (n,) in ``t`` (m,)
    ``vjp(x, w, y, g)``             outputs in ``y``; cotangents ``w`` (m,) times the Jacobian in ``g`` (n,)
    ``hvp(x, v, p)``                the product of the Hessian of the scalar output with ``v`` in ``p`` (n,)
    ``jacobian_values(x, values)``  the entries of ``f.jacobian_sparsity()`` in ``values`` (nnz,)
    ``set_parameters(p)``           fix the parameters, concatenated, for the calls that follow
    ==============================  =========================================================================

    Raises, in compiled code, ValueError for an array of another length, for parameters that are not bound, and for a
    method that is not prepared: all but the first three are, by name, with :meth:`prepare`.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> import fastgraph as fg
    >>> @njit
    ... def descend(h, x, steps):
    ...     g = np.empty_like(x)
    ...     for _ in range(steps):
    ...         h.value_and_grad(x, g)
    ...         x -= 0.1 * g
    ...     return h.value(x)
    >>> graph = fg.Graph()
    >>> x = graph.input("x", shape=2)
    >>> graph.output(fg.sum((x - 1.0) ** 2))
    >>> bool(descend(graph.compile().numba, np.zeros(2), 100) < 1e-15)
    True
    """

    def __init__(self, function, prepared=("value", "gradient"), parameters=None):
        if function.dtype != np.float64:
            raise ArgumentError(f"{function.label} computes in {function.dtype}: only a float64 function has a handle")
        self.function, flat = function, function.flat
        self._leaves = np.flatnonzero(flat.leaf_is_input)
        self._parameter_leaves = np.flatnonzero(~flat.leaf_is_input)
        self._singles = {}
        self.fields = np.zeros(N_FIELDS, np.int64)
        self.address = address_of(self.fields)
        self.fields[[N, M, N_PARAMETERS]] = flat.n, flat.m, len(self._parameter_leaves)
        self.fields[IS_BOUND] = not len(self._parameter_leaves)
        self.fields[LEAVES], self.fields[PARAMETERS] = map(address_of, (self._leaves, self._parameter_leaves))
        self.prepare(*prepared)
        if parameters is not None:
            self.set_parameters(parameters)

    def prepare(self, *methods):
        """Make what more methods need, by name: "jvp", "vjp", "hvp", "jacobian_values"; return the handle.

        Raises
        ------
        ArgumentError
            For another name, for several outputs where one is wanted, or if the derived program would be too large.
        """
        for name in methods:
            if name not in _KINDS:
                raise ArgumentError(f"prepare() takes names of methods, {', '.join(map(repr, _KINDS))}, not {name!r}")
            if name not in self._singles:
                self._singles[name] = self._single(name)
                self._point(name)
        return self

    def bind(self, **parameters):
        """A handle of its own with the parameters fixed to these values, each of its declared shape."""
        flat = self.function.flat
        arrays, batches = flat.bind_parameters(parameters)
        if any(batches):
            raise ArgumentError(f"{self.function.label}: a handle takes one value for each parameter, not a batch")
        values = np.concatenate([np.empty(0), *(np.ravel(array) for array in arrays)]).astype(np.float64)
        return Handle(self.function, tuple(self._singles), values)

    def clone(self):
        """A handle like this one, for another thread."""
        return Handle(self.function, tuple(self._singles), self._parameters)

    def _single(self, name):
        """The workspace of a method."""
        function, positions = self.function, self.function.signature.differentiable
        if name == "value":
            return function.sweeper.single(False)
        if name == "gradient":
            return function.sweeper.single(True) if function.is_scalar else None
        if name == "vjp":
            return function.sweeper.single(SEEDED)
        if name == "hvp":
            function.signature.need_scalar_output("hvp")
            return function._derived("directional", positions).sweeper.single(True)
        if name == "jvp":
            return function._derived("tangents", positions).sweeper.single(False)
        made = function._values_function("jacobian", positions)
        if made is None:
            raise ArgumentError(f"{function.label}: the entries of its Jacobian would be too large a program")
        self.fields[NNZ] = len(made.program.outputs)
        return made.sweeper.single(False)

    def _point(self, name):
        single = self._singles[name]
        if single is None:
            return
        workspace = single.workspace
        self.fields[_KINDS[name]] = workspace.address
        if self._parameters is not None:
            workspace.values[self._parameter_leaves] = self._parameters

    @property
    def _parameters(self):
        """Copies of what is bound, as ``set_parameters`` takes it; None where nothing is."""
        if not self.fields[IS_BOUND]:
            return None
        return self._singles["value"].workspace.values[self._parameter_leaves]

    def __reduce__(self):
        return Handle, (self.function, tuple(self._singles), self._parameters)

    def __repr__(self):
        return f"<handle of {self.function!r}: {', '.join(self._singles)}>"


# -- what compiled code sees ----------------------------------------------------------------------------------------
# The code below becomes part of the user's compiled functions, and lies in their caches: they must not outlive these
# sources, so the type has their hash in its name.
class HandleType(types.Type):
    """The Numba type of every handle."""

    def __init__(self):
        super().__init__(name=f"fastgraph.Handle({fingerprint()})")


_TYPE = HandleType()


@typeof_impl.register(Handle)
def _typeof(value, context):
    return _TYPE


@register_model(HandleType)
class _Model(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("address", types.intp)])


make_attribute_wrapper(HandleType, "address", "address")


@unbox(HandleType)
def _unbox(kind, value, c):
    address = c.pyapi.object_getattr_string(value, "address")
    handle = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    handle.address = c.pyapi.number_as_ssize_t(address)
    c.pyapi.decref(address)
    return NativeValue(handle._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@register_jitable
def _numbers(address, n):
    return carray(pointer(address), n, np.float64)


# Inputs go straight to where the sweep looks for leaves, and results come straight from the slots, not by the buffers
# of a ``Single``: a call of a function of ten inputs is 6 ns above the sweep of its workspace instead of 18.
@register_jitable
def _begin(h, kind, x):
    """Put the inputs in their slots; the handle's fields and the slots."""
    fields = carray(pointer(h.address), N_FIELDS, np.int64)
    n = fields[N]
    if fields[kind] == 0:
        raise ValueError("this method of the handle is not prepared, by prepare() in Python; or it needs one output")
    if fields[IS_BOUND] == 0:
        raise ValueError("the parameters of the handle are not bound: use its bind(), or set_parameters")
    if len(x) != n:
        raise ValueError("x must have as many elements as the function has inputs")
    call = carray(pointer(fields[kind]), 1, CALL)[0]
    values = _numbers(call.values, call.n_slots)
    leaves = carray(pointer(fields[LEAVES]), n, np.uint64)
    for i in range(n):
        values[leaves[i]] = x[i]
    return fields, values


@register_jitable
def _move(fields, values, v):
    """Put a direction behind the leaves."""
    n = fields[N]
    if len(v) != n:
        raise ValueError("a direction must have as many elements as the function has inputs")
    first = n + fields[N_PARAMETERS]
    for i in range(n):
        values[first + i] = v[i]


@register_jitable
def _get(call, values, start, out, n):
    """Outputs from the number ``start`` on."""
    if len(out) != n:
        raise ValueError("an array of results has another length: see the table of the handle's methods")
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    for j in range(n):
        out[j] = one_nan(values[outputs[start + j]])


@register_jitable
def _reverse(fields, kind, call, g):
    """From the adjoints of the outputs, which are there, the gradient by the inputs."""
    n = fields[N]
    if len(g) != n:
        raise ValueError("a gradient must have as many elements as the function has inputs")
    call_address(call.reverse, (fields[kind],))
    adjoints = _numbers(call.adjoints, call.n_slots)
    leaves = carray(pointer(fields[LEAVES]), n, np.uint64)
    for i in range(n):
        g[i] = one_nan(adjoints[leaves[i]])


@register_jitable
def _seeded(call, w):
    """The adjoints of the outputs: these, and 0 after the lowest."""
    zero(call.adjoints, call.lowest_output, call.n_slots)
    outputs = carray(pointer(call.outputs), call.n_outputs, np.uint32)
    adjoints = _numbers(call.adjoints, call.n_slots)
    for j in range(call.n_outputs):
        adjoints[outputs[j]] += w[j]


def _value(h, x):
    fields, values = _begin(h, VALUE, x)
    call = carray(pointer(fields[VALUE]), 1, CALL)[0]
    if fields[M] != 1:
        raise ValueError("value needs one scalar output: use call")
    call_address(call.forward, (fields[VALUE],))
    return one_nan(values[carray(pointer(call.outputs), 1, np.uint32)[0]])


def _value_and_grad(h, x, g):
    fields, values = _begin(h, GRADIENT, x)
    call = carray(pointer(fields[GRADIENT]), 1, CALL)[0]
    call_address(call.forward, (fields[GRADIENT],))
    output = carray(pointer(call.outputs), 1, np.uint32)[0]
    value = one_nan(values[output])
    zero(call.adjoints, call.lowest_output, call.n_slots)
    _numbers(call.adjoints, call.n_slots)[output] += 1.0
    _reverse(fields, GRADIENT, call, g)
    return value


def _call(h, x, y):
    fields, values = _begin(h, VALUE, x)
    call = carray(pointer(fields[VALUE]), 1, CALL)[0]
    call_address(call.forward, (fields[VALUE],))
    _get(call, values, 0, y, fields[M])


def _jvp(h, x, v, y, t):
    fields, values = _begin(h, JVP, x)
    call = carray(pointer(fields[JVP]), 1, CALL)[0]
    _move(fields, values, v)
    call_address(call.forward, (fields[JVP],))
    _get(call, values, 0, y, fields[M])
    _get(call, values, fields[M], t, fields[M])


def _vjp(h, x, w, y, g):
    fields, values = _begin(h, VJP, x)
    call = carray(pointer(fields[VJP]), 1, CALL)[0]
    if len(w) != fields[M]:
        raise ValueError("cotangents must be as many as the function has outputs")
    call_address(call.forward, (fields[VJP],))
    _get(call, values, 0, y, fields[M])
    _seeded(call, w)
    _reverse(fields, VJP, call, g)


def _hvp(h, x, v, p):
    fields, values = _begin(h, HVP, x)
    call = carray(pointer(fields[HVP]), 1, CALL)[0]
    _move(fields, values, v)
    call_address(call.forward, (fields[HVP],))
    zero(call.adjoints, call.lowest_output, call.n_slots)
    _numbers(call.adjoints, call.n_slots)[carray(pointer(call.outputs), 1, np.uint32)[0]] += 1.0
    _reverse(fields, HVP, call, p)


def _jacobian_values(h, x, values):
    fields, slots = _begin(h, JACOBIAN, x)
    call = carray(pointer(fields[JACOBIAN]), 1, CALL)[0]
    call_address(call.forward, (fields[JACOBIAN],))
    _get(call, slots, 0, values, fields[NNZ])


def _set_parameters(h, p):
    fields = carray(pointer(h.address), N_FIELDS, np.int64)
    n = fields[N_PARAMETERS]
    if len(p) != n:
        raise ValueError("set_parameters takes all parameters, concatenated")
    leaves = carray(pointer(fields[PARAMETERS]), n, np.uint64)
    for kind in range(VALUE, N_FIELDS):
        if fields[kind] != 0:
            call = carray(pointer(fields[kind]), 1, CALL)[0]
            values = _numbers(call.values, call.n_slots)
            for j in range(n):
                values[leaves[j]] = p[j]
    fields[IS_BOUND] = 1


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


def _in_python(implementation):
    """The method as Python calls it: the same code, compiled by itself."""
    made = compiled(implementation)

    def method(self, *arrays):
        return made(self, *arrays)

    method.__name__ = implementation.__name__[1:]
    return method


for _implementation in (_value, _value_and_grad, _call, _jvp, _vjp, _hvp, _jacobian_values, _set_parameters):
    _made = _in_python(_implementation)
    setattr(Handle, _made.__name__, _made)
