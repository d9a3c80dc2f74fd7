"""SciPy's integrators: rates of change in the forms that ``solve_ivp`` and ``solve_bvp`` take; part of ``scipy``.

In: a ``Function`` whose inputs are the states. Out: callables with their exact derivatives.
"""

from functools import cached_property

import numpy as np

from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.solvers import (
    Adapter,
    checked,
    choice,
    fixed_wholly,
    layout,
    places_of,
    shared,
    size_of,
    vector,
    with_inputs,
)


def ode(f, /, time=None, *, sparse=None, **parameters):
    """Make what ``solve_ivp`` takes of the rates of change of a system: its inputs are the states, in order.

    Parameters
    ----------
    f : Function
        With as many scalar outputs as states.
    time : str, optional
        The argument of ``f``, input or parameter, that is the time; None if the rates do not depend on it.
    sparse : bool, optional
        Whether Jacobians are sparse, in columns; None decides, see the module.
    **parameters : float or array_like
        A value for each other parameter of ``f``.

    Returns
    -------
    Ode
        ``s(t, y)``, also with ``vectorized=True``; ``s.jac`` for ``jac=`` of the methods BDF, Radau and LSODA.

    Raises
    ------
    ArgumentError
        As :func:`objective`; also if ``time`` is no scalar argument of ``f``.
    ShapeError
        If there are not as many outputs as states, or a parameter has another shape than declared.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.integrate import solve_ivp
    >>> import fastgraph as fg
    >>> f = fg.trace(lambda y, t, k: -k * (y - np.cos(t)), (1,), (), (), parameters=["t", "k"])
    >>> s = fg.scipy.ode(f, time="t", k=1000.0)
    >>> solution = solve_ivp(s, (0.0, 2.0), [1.0], jac=s.jac, method="BDF", rtol=1e-8, atol=1e-8)
    >>> float(solution.y[0, -1].round(5))
    -0.41524
    """
    what = "fg.scipy.ode"
    times = _times(checked(f, what), time, what)
    states = [a.name for a in f.arguments if a.differentiable and a.name not in times]
    hint = "" if times else "; or, if it is the time, its name: time={name!r}"
    function = fixed_wholly(with_inputs(f, [*states, *times]), parameters, what, hint)
    n = size_of(function, states)
    _need_outputs(function, n, what, f"as many as states, {', '.join(states)}")
    return Ode(function, time, choice(sparse, what))


def bvp(f, /, boundary, *, time=None, unknown=(), **parameters):
    """Make what ``solve_bvp`` takes of the rates of change of n states and of n + k boundary conditions.

    Parameters
    ----------
    f : Function
        Its inputs are the states, in order; its n scalar outputs their rates of change.
    boundary : Function
        Of arguments ``ya`` and ``yb``, the n states at both ends, and of any of the unknown; its n + k scalar outputs
        are 0 at the solution.
    time : str, optional
        The argument of ``f``, input or parameter, that is the independent variable, ``x`` of ``solve_bvp``; None if
        the rates do not depend on it.
    unknown : str or sequence of str
        The arguments of ``f`` that are to be found: k scalars, ``p`` of ``solve_bvp`` in this order.
    **parameters : float or array_like
        A value for each other parameter of ``f``, of ``boundary``, or of both.

    Returns
    -------
    Bvp
        For ``solve_bvp(b.fun, b.bc, x, y, p, fun_jac=b.fun_jac, bc_jac=b.bc_jac)``.

    Raises
    ------
    ArgumentError, ShapeError
        As :func:`ode`; also if the names or sizes of the arguments of ``boundary`` are others.

    Examples
    --------
    The wave number of a string that is held at both ends:

    >>> import numpy as np
    >>> from scipy.integrate import solve_bvp
    >>> import fastgraph as fg
    >>> f = fg.trace(lambda y, k: np.array([y[1], -k * k * y[0]]), (2,), (), parameters=["k"])
    >>> ends = fg.trace(lambda ya, yb, k: np.array([ya[0], yb[0], ya[1] - k]), (2,), (2,), ())
    >>> b = fg.scipy.bvp(f, ends, unknown="k")
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> y = np.array([[0.0, 1.0, 0.0, -1.0, 0.0], [0.0] * 5])
    >>> solve_bvp(b.fun, b.bc, x, y, [6.0], fun_jac=b.fun_jac, bc_jac=b.bc_jac, tol=1e-6).p.round(5)
    array([6.28319])
    """
    what = "fg.scipy.bvp"
    times = _times(checked(f, what), time, what)
    unknown = (unknown,) if isinstance(unknown, str) else tuple(unknown)
    _need_arguments(f, (*unknown, *times), what)
    states = [a.name for a in f.arguments if a.differentiable and a.name not in (*times, *unknown)]
    _need_arguments(checked(boundary, what), ("ya", "yb"), what)
    ends = ["ya", "yb", *(name for name in unknown if name in boundary.signature.positions)]
    moving = with_inputs(f, [*states, *unknown, *times]), with_inputs(boundary, ends)
    each = shared(parameters, moving, what)
    hint = ", or its name as time, or among the unknown"
    f = with_inputs(fixed_wholly(moving[0], each[0], what, hint), [*states, *unknown])
    boundary = fixed_wholly(moving[1], each[1], what, ", or its name among the unknown")
    n, k = size_of(f, states), size_of(f, unknown)
    _need_outputs(f, n, what, f"as many as states, {', '.join(states)}")
    _need_outputs(boundary, n + k, what, f"as many as states and unknown of {f.label}")
    for name, size in (("ya", n), ("yb", n), *((name, size_of(f, [name])) for name in ends[2:])):
        if size_of(boundary, [name]) != size:
            raise ShapeError(
                f"{what}: {name} of {boundary.label} holds {size_of(boundary, [name])} scalars, but {f.label} has {n} "
                f"states and {k} unknown: {name} must hold {size}"
            )
    return Bvp(f, boundary, states, time, unknown)


# -- what they return -----------------------------------------------------------------------------------------------
class Ode(Adapter):
    """Rates of change; made by :func:`ode`. Raises ArgumentError and ShapeError for what are no states.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> s = fg.scipy.ode(fg.trace(lambda y: np.array([y[1], -np.sin(y[0])]), (2,)))
    >>> s(0.0, np.array([0.0, 1.0]))
    array([ 1., -0.])
    >>> s.jac(0.0, np.array([0.0, 1.0]))
    array([[ 0.,  1.],
           [-1.,  0.]])
    """

    def __init__(self, function, time, sparse):
        super().__init__(function, time, sparse)
        self._time, self._sparse = time, sparse
        states = [a.name for a in function.arguments if a.differentiable and a.name != time]
        self._states = with_inputs(function, states)  # the time among the inputs is the short way of a call
        self._y = places_of(function, states)
        self._t = None if time is None else places_of(function, [time])
        self.n = self._states.flat.n

    def __call__(self, t, y):
        """The rates at states (n,), or (n, k), of the same shape."""
        y = x = self._vector(y, "y", self.n, *np.shape(y)[1:2])
        if self._time is not None:
            x = np.empty((self.n + 1, *y.shape[1:]))
            x[self._y], x[self._t] = y, t
        return self.function.flat(x, axis=0).reshape(y.shape)

    def jac(self, t, y):
        """The Jacobian by the states (n,), ndarray or csc_array (n, n)."""
        y, flat = self._vector(y, "y", self.n), self._states.flat
        at = {} if self._time is None else {self._time: t}
        if self._layout is None:
            return flat.jacobian(y, **at).reshape(self.n, self.n)
        return self._layout.matrix(flat.sparse_jacobian_values(y, **at))

    @cached_property
    def _layout(self):
        return layout(self._sparse, self._states.jacobian_sparsity, (self.n, self.n), by_columns=True)


class Bvp(Adapter):
    """Rates of change and boundary conditions; made by :func:`bvp`. Without unknown parameters there is no ``p``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> f = fg.trace(lambda y: np.array([y[1], -y[0]]), (2,))
    >>> ends = fg.trace(lambda ya, yb: np.array([ya[0], yb[0] - 1.0]), (2,), (2,))
    >>> b = fg.scipy.bvp(f, ends)
    >>> b.bc(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    array([0., 0.])
    >>> b.fun_jac(np.array([0.0]), np.array([[0.0], [1.0]]))[:, :, 0]
    array([[ 0.,  1.],
           [-1.,  0.]])
    """

    def __init__(self, function, boundary, states, time, unknown):
        super().__init__(function, boundary, states, time, unknown)
        self._boundary, self._time = boundary, time
        self._y, self._p = places_of(function, states), places_of(function, unknown)
        self.n, self.k = size_of(function, states), size_of(function, unknown)
        self._ya, self._yb = places_of(boundary, ["ya"]), places_of(boundary, ["yb"])
        # Which of the unknown the boundary has, and where.
        seen = [name for name in unknown if name in boundary.signature.positions]
        known = [a for name in unknown for a in function.arguments if a.name == name]
        self._seen = np.repeat([a.name in seen for a in known], [a.size for a in known]).astype(bool)
        self._pb = places_of(boundary, seen)

    def fun(self, x, y, p=()):
        """The rates at states (n, m) and x (m,), of shape (n, m)."""
        x, at = self._nodes(x, y, p)
        return self.function.flat(x, axis=0, **at).reshape(np.shape(y))

    def fun_jac(self, x, y, p=()):
        """The derivatives by states and, where there are unknown, by these: (n, n, m) and (n, k, m)."""
        nodes, at = self._nodes(x, y, p)
        table = self.function.flat.jacobian(nodes, axis=0, **at).reshape(self.n, self.n + self.k, -1)
        return (table[:, self._y], table[:, self._p]) if self.k else table[:, self._y]

    def bc(self, ya, yb, p=()):
        """What is 0 at the solution, (n + k,)."""
        return self._boundary.flat(self._ends(ya, yb, p)).reshape(self.n + self.k)

    def bc_jac(self, ya, yb, p=()):
        """The derivatives by ya, yb, (n + k, n) each, and, where there are unknown, by these, (n + k, k)."""
        table = self._boundary.flat.jacobian(self._ends(ya, yb, p)).reshape(self.n + self.k, -1)
        if not self.k:
            return table[:, self._ya], table[:, self._yb]
        by_unknown = np.zeros((self.n + self.k, self.k))
        by_unknown[:, self._seen] = table[:, self._pb]
        return table[:, self._ya], table[:, self._yb], by_unknown

    def _nodes(self, x, y, p):
        """Inputs at the nodes, variables first, and what x is by name."""
        m = np.size(x)
        nodes = np.empty((self.n + self.k, m))
        nodes[self._y] = self._vector(y, "y", self.n, m)
        nodes[self._p] = self._vector(p, "p", self.k)[:, None]
        return nodes, {} if self._time is None else {self._time: self._vector(x, "x", m)}

    def _ends(self, ya, yb, p):
        inputs, label = np.empty(self._boundary.flat.n), self._boundary.label
        inputs[self._ya], inputs[self._yb] = vector(ya, "ya", (self.n,), label), vector(yb, "yb", (self.n,), label)
        inputs[self._pb] = vector(p, "p", (self.k,), label)[self._seen]
        return inputs


# -- what fits ------------------------------------------------------------------------------------------------------
def _times(f, time, what):
    """The names of the argument that is the time: one, or none."""
    if time is None:
        return ()
    _need_arguments(f, (time,), what)
    if size_of(f, (time,)) != 1 or f.arguments[f.signature.positions[time]].shape:
        raise ArgumentError(
            f"{what}: {time!r} of {f.label} must be a number to be the time: declare it without a shape"
        )
    return (time,)


def _need_arguments(f, names, what):
    for name in names:
        if name not in f.signature.positions:
            raise ArgumentError(f"{what}: {f.label} has no argument {name!r}; it has {f.signature.names}")
    if len(set(names)) < len(names):
        raise ArgumentError(f"{what}: {', '.join(names)} must be different arguments")


def _need_outputs(f, n, what, meaning):
    if f.flat.m != n:
        raise ShapeError(f"{what}: {f.label} has {f.flat.m} scalar outputs, but must have {n}: {meaning}")
