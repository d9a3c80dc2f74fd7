"""Embedding: a Function inside the user's own compiled code, as a light handle that ``@njit`` functions take.

In: a Function. Out: a ``Handle``: a workspace, and an address that compiled code reads the rest from. A Function is
data to it, so another one needs no compilation, and code compiled with ``cache=True`` serves all in every process.
"""

import numpy as np
from numba.core import cgutils
from numba.extending import NativeValue, typeof_impl, unbox

from fastgraph import c_interface
from fastgraph.engine.sweeper import SEEDED
from fastgraph.engine.workspace import address_of
from fastgraph.errors import ArgumentError
from fastgraph.handle import (
    GRADIENT,
    HANDLE,
    HVP,
    IMPLEMENTATIONS,
    IS_BOUND,
    JACOBIAN,
    JVP,
    LEAVES,
    N_FIELDS,
    N_PARAMETERS,
    NNZ,
    PARAMETERS,
    STATUS,
    STATUSES,
    VALUE,
    VJP,
    HandleType,
    M,
    N,
)
from fastgraph.jit import compiled

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
    ``n``, ``m``                    how many inputs and outputs there are
    ==============================  =========================================================================

    Raises, in compiled code, ValueError for an array of another length, for parameters that are not bound, if another
    thread is in a call of this handle, and for a method that is not prepared: all but the first three are, by name,
    with :meth:`prepare`. Numba loses errors in the body of a ``prange``: call the method once before the loop, or fill
    results with NaN.

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
        self.block = address_of(self.fields)
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

    @property
    def n(self):
        """How many inputs there are, concatenated."""
        return int(self.fields[N])

    @property
    def m(self):
        """How many outputs there are, concatenated."""
        return int(self.fields[M])

    @property
    def ctypes(self):
        """A ctypes pointer to the block that C code takes; it keeps the handle. See :attr:`Function.ctypes`."""
        return c_interface.pointer_to(self, self.fields)

    @property
    def address(self):
        """The address of that block, an int; valid as long as the handle is."""
        c_interface.complete(self.fields)
        return self.block

    @property
    def status(self):
        """Why the last call from C that computed nothing did so, "OK" if there was none."""
        return tuple(STATUSES)[self.fields[STATUS]]

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
        if not function.jacobian_sparsity().nnz:
            return function.sweeper.single(False)
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


@typeof_impl.register(Handle)
def _typeof(value, context):
    return HANDLE


@unbox(HandleType)
def _unbox(kind, value, c):
    block = c.pyapi.object_getattr_string(value, "block")
    handle = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    handle.address = c.pyapi.number_as_ssize_t(block)
    c.pyapi.decref(block)
    return NativeValue(handle._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


def _in_python(implementation):
    """The method as Python calls it: the same code, compiled by itself."""
    made = compiled(implementation)

    def method(self, *arrays):
        return made(self, *arrays)

    method.__name__ = implementation.__name__[1:]
    return method


for _implementation in IMPLEMENTATIONS:
    _made = _in_python(_implementation)
    setattr(Handle, _made.__name__, _made)
