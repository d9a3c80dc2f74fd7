"""Ipopt: functions as a nonlinear program in the form that cyipopt takes, with exact sparse derivatives.

In: an objective and constraints, Functions of inputs of the same names. Out: a ``Problem``, which is all callbacks of
``cyipopt.Problem`` and, where cyipopt is installed, solves itself.
"""

from functools import cached_property
from types import SimpleNamespace

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.extras import need
from fastgraph.solvers import Adapter, bounds, checked, fixed_wholly, shared

__all__ = ["Problem", "problem"]


def problem(objective, /, constraints=None, **parameters):
    """Make a nonlinear program: minimise a function of x, while others and x itself stay within bounds.

    Parameters
    ----------
    objective : Function
        With one scalar output.
    constraints : Function, optional
        With any outputs, m scalars in all. Inputs are the same by name: x is those of ``objective`` in order of
        declaration, then those that only ``constraints`` has.
    **parameters : float or array_like
        A value for each parameter of ``objective``, of ``constraints``, or of both.

    Returns
    -------
    Problem

    Raises
    ------
    ArgumentError
        If ``objective`` has not exactly one scalar output, a function computes in float32, or parameters are missing or
        unknown.
    ShapeError
        If an input has two shapes, or a parameter another than the declared one.

    Examples
    --------
    Problem 71 of Hock and Schittkowski (Test Examples for Nonlinear Programming Codes, 1981):

    >>> import numpy as np
    >>> import fastgraph as fg
    >>> cost = fg.trace(lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], (4,))
    >>> limits = fg.trace(lambda x: np.array([np.prod(x), x @ x]), (4,))
    >>> p = fg.ipopt.problem(cost, limits)
    >>> p
    <Problem of 4 variables and 2 constraints: Function '<lambda>'>
    >>> quiet = {"print_level": 0, "sb": "yes"}
    >>> x, info = p.solve([1.0, 5.0, 5.0, 1.0], 1.0, 5.0, [25.0, 40.0], [np.inf, 40.0], **quiet)
    >>> x.round(4), round(info["obj_val"], 4)
    (array([1.    , 4.743 , 3.8211, 1.3794]), 17.014)
    """
    what = "fg.ipopt.problem"
    checked(objective, what).signature.need_scalar_output(what)
    given = [objective] if constraints is None else [objective, checked(constraints, what)]
    each = shared(parameters, given, what)
    functions = [fixed_wholly(f, own, what) for f, own in zip(given, each, strict=True)]
    inputs = {}
    for f in functions:
        for argument in f.arguments:
            if inputs.setdefault(argument.name, argument).shape != argument.shape:
                raise ShapeError(
                    f"{what}: {argument.name} has the shape {argument.shape} in {f.label}, but "
                    f"{inputs[argument.name].shape} in {objective.label}: inputs are the same by name"
                )
    inputs = list(inputs.values())
    return Problem(*(f if list(f.arguments) == inputs else _recorded([f], inputs) for f in functions))


class Problem(Adapter):
    """A nonlinear program; made by :func:`problem`. Its methods are what ``cyipopt.Problem`` takes as ``problem_obj``.

    Picklable, and callable from many threads. It needs cyipopt only to :meth:`solve`.

    Attributes
    ----------
    n, m : int
        Number of variables and of constraints.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> p = fg.ipopt.problem(fg.trace(lambda x: x[0] * x[1], (2,)), fg.trace(lambda x: x[1] ** 2, (2,)))
    >>> x = np.array([3.0, 2.0])
    >>> p.objective(x), p.gradient(x), p.constraints(x)
    (np.float64(6.0), array([2., 3.]), array([4.]))
    >>> p.jacobianstructure(), p.jacobian(x)
    ((array([0]), array([1])), array([4.]))
    >>> p.hessianstructure(), p.hessian(x, np.array([10.0]), 1.0)
    ((array([1, 1]), array([0, 1])), array([ 1., 20.]))
    """

    def __init__(self, function, limits=None):
        super().__init__(function, limits)
        self._limits, self.m = limits, 0 if limits is None else limits.flat.m

    def objective(self, x):
        """The value to be made small."""
        return self.function.flat(self._point(x))

    def gradient(self, x):
        """Its gradient (n,)."""
        return self.function.flat.grad(self._point(x))

    def constraints(self, x):
        """The constraints (m,)."""
        x = self._point(x)
        return self._limits.flat(x).reshape(self.m) if self.m else np.empty(0)

    def jacobian(self, x):
        """The entries of the Jacobian of the constraints."""
        x = self._point(x)
        return self._limits.flat.sparse_jacobian_values(x) if self.m else np.empty(0)

    def jacobianstructure(self):
        """Rows and columns of the entries of the Jacobian."""
        if not self.m:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pattern = self._limits.jacobian_sparsity()
        return pattern.rows.copy(), pattern.indices.copy()

    def hessian(self, x, lagrange, obj_factor):
        """The entries of the lower triangle of the Hessian of obj_factor · objective + lagrange · constraints."""
        weights = np.append(obj_factor, self._vector(lagrange, "lagrange", self.m))
        weights = weights if self.m else weights[0]
        values = self._lagrangian.flat.sparse_hessian_values(self._point(x), weights=weights)
        return values[self._lower]

    def hessianstructure(self):
        """Rows and columns of the entries of the Hessian."""
        pattern = self._lagrangian.hessian_sparsity()
        return pattern.rows[self._lower], pattern.indices[self._lower]

    def solve(self, x0, lower=None, upper=None, constraint_lower=None, constraint_upper=None, **options):
        """Solve the problem by Ipopt.

        Parameters
        ----------
        x0 : array_like (n,)
            Where to start.
        lower, upper : float or array_like (n,), optional
            Bounds of x; None for none.
        constraint_lower, constraint_upper : float or array_like (m,), optional
            Bounds of the constraints; equal ones make an equation. One of the two may be None.
        **options
            Of Ipopt: strings and numbers, such as ``tol=1e-10``, ``print_level=0``. With
            ``hessian_approximation="limited-memory"`` the Hessian is not even looked at.

        Returns
        -------
        x : ndarray (n,)
        info : dict
            As of ``cyipopt.Problem.solve``: "status", "status_msg", "obj_val", "g", "mult_g" and others.

        Raises
        ------
        ArgumentError
            If bounds cross, there are constraints but no bounds of them, or Ipopt does not know an option.
        ShapeError
            If ``x0`` or bounds have another shape.
        ImportError
            If cyipopt is not installed.
        """
        what = "fg.ipopt: solve()"
        if (constraint_lower is constraint_upper is None) == bool(self.m):
            say = "give constraint_lower, constraint_upper or both" if self.m else "there are none to have bounds"
            raise ArgumentError(f"{what}: {self!r}: {say}")
        x0 = self._vector(x0, "x0", self.n)
        each = [
            bounds(-np.inf if low is None else low, np.inf if high is None else high, n, what, names)
            for low, high, n, names in (
                (lower, upper, self.n, ("lower", "upper")),
                (constraint_lower, constraint_upper, self.m, ("constraint_lower", "constraint_upper")),
            )
        ]
        cyipopt = need("cyipopt", what, extra="ipopt")
        names = ["objective", "gradient", "constraints", "jacobian", "jacobianstructure"]
        if options.get("hessian_approximation") != "limited-memory":
            names += ["hessian", "hessianstructure"]
        callbacks = SimpleNamespace(**{name: getattr(self, name) for name in names})
        (low, high), (limits_low, limits_high) = each
        program = cyipopt.Problem(self.n, self.m, callbacks, low, high, limits_low, limits_high)
        for name, value in options.items():
            _set(program, name, value)
        return program.solve(x0)

    @cached_property
    def _lagrangian(self):
        """The objective and the constraints as one function: one program of second derivatives serves all weights."""
        if not self.m:
            return self.function
        return _recorded([self.function, self._limits], self.function.arguments)

    @cached_property
    def _lower(self):
        """Which entries of the Hessian's pattern are in the lower triangle."""
        pattern = self._lagrangian.hessian_sparsity()
        return np.flatnonzero(pattern.rows >= pattern.indices)

    def __repr__(self):
        return f"<{type(self).__name__} of {self.n} variables and {self.m} constraints: {self.function.label}>"


def _recorded(functions, inputs):
    """All outputs of functions, as one Function of these inputs."""
    graph = Graph(functions[0].name)
    declared = {a.name: graph.input(a.name, a.shape) for a in inputs}
    for f in functions:
        results = f(**{a.name: declared[a.name] for a in f.arguments})
        for result in results if len(f.outputs) > 1 else (results,):
            graph.output(result)
    return graph.compile()


def _set(program, name, value):
    """Set an option: True and False are yes and no, and a whole number may stand for one that need not be whole."""
    values = ["yes" if value else "no"] if isinstance(value, bool) else [value]
    values += [float(value)] if type(value) is int else []
    for last, given in enumerate(values, 1):
        try:
            return program.add_option(name, given)
        except TypeError as error:
            if last == len(values):
                raise ArgumentError(f"fg.ipopt: Ipopt does not take the option {name}={value!r}: {error}") from None
