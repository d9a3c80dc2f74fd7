"""SciPy: a Function in the forms that SciPy's solvers take, with exact derivatives, dense or sparse.

In: a ``Function``, and its parameters by keyword. Out: callables for ``minimize``, ``least_squares``, ``root``,
``solve_ivp`` and ``solve_bvp``, and a ``NonlinearConstraint``. They take vectors, as ``Function.flat`` does; they are
immutable, picklable, and callable from many threads; results are fresh arrays, but for the index arrays of sparse
ones, which are shared and read-only.

Parameters are fixed when an adapter is made, by ``Function.bind``; one that has the name of an option is bound before:
``f.bind(sparse=1.0)``. A float32 function is refused: solvers tell by differences of values that float32 cannot
resolve when to stop.

A derivative is sparse with ``sparse=True``, dense with ``sparse=False``; left to itself it is sparse if it has 200
columns or more, and entries in at most 3 % of its places. Methods differ in what they take:

=================  ==============================  ===========================================================
solver             takes sparse, too               takes dense only
=================  ==============================  ===========================================================
``minimize``       ``hess`` of Newton-CG and       ``hess`` of trust-exact, dogleg, trust-ncg and trust-krylov
                   trust-constr                    (the last two take ``hessp``)
``least_squares``  ``jac`` of trf and dogbox       ``jac`` of lm
``root``                                           ``jac`` of hybr and lm; the other methods use none
``solve_ivp``      ``jac`` of BDF and Radau        ``jac`` of LSODA
=================  ==============================  ===========================================================
"""

import math
from functools import cached_property

import numpy as np

from fastgraph.arguments import is_sum
from fastgraph.extras import need
from fastgraph.scipy_integrate import Bvp, Ode, bvp, ode
from fastgraph.solvers import (
    SPARSE_COLUMNS,
    Adapter,
    bounds,
    checked,
    choice,
    fixed,
    layout,
    linear_operator,
    refuse_rows,
)

__all__ = ["Bvp", "Constraint", "Objective", "Ode", "Residuals", "bvp", "constraint", "objective", "ode", "residuals"]


def objective(f, /, *, sparse=None, reduce=None, **parameters):
    """Make what ``minimize`` takes of a function of one scalar output.

    Parameters
    ----------
    f : Function
    sparse : bool, optional
        Whether Hessians are sparse; None decides, see the module.
    reduce : "sum", optional
        Minimise the sum over data rows: parameters may have batch axes, which are read where they lie at each call.
    **parameters : float or array_like
        A value for each parameter of ``f``.

    Returns
    -------
    Objective
        ``o(x)`` gives value and gradient, for ``jac=True``; ``o.hess`` and ``o.hessp`` go by their names.

    Raises
    ------
    ArgumentError
        If ``f`` has not exactly one scalar output or computes in float32, or parameters are missing or unknown.
    ShapeError
        If a parameter has another shape than declared, or a batch without ``reduce="sum"``.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> import fastgraph as fg
    >>> f = fg.trace(lambda x, k: k * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2, (2,), (), parameters=["k"])
    >>> o = fg.scipy.objective(f, k=100.0)
    >>> minimize(o, [-1.2, 1.0], jac=True, method="L-BFGS-B").x.round(4)
    array([1., 1.])
    >>> minimize(o, [-1.2, 1.0], jac=True, hess=o.hess, method="trust-exact").x.round(8)
    array([1., 1.])
    """
    what = "fg.scipy.objective"
    checked(f, what).signature.need_scalar_output(what)
    summed = is_sum(reduce, None, what)
    function, rows, _ = fixed(f, parameters, what)
    if not summed:
        refuse_rows(f, rows, what, '; or reduce="sum" for the sum over data rows')
    return Objective(function, rows, choice(sparse, what), summed)


def residuals(f, /, *, sparse=None, **parameters):
    """Make what ``least_squares`` and ``root`` take of a function, all outputs as one vector.

    Parameters
    ----------
    f : Function
    sparse : bool, optional
        Whether Jacobians are sparse; None decides, see the module. ``root`` and the method lm want False.
    **parameters : float or array_like
        A value for each parameter of ``f``. Values with batch axes are data rows: residuals of all rows follow each
        other in one vector. Rows are read where they lie at each call.

    Returns
    -------
    Residuals
        ``r(x)``; ``r.jac`` and ``r.operator``, either for ``jac=``.

    Raises
    ------
    ArgumentError, ShapeError
        As :func:`objective`, but for any outputs.

    Examples
    --------
    A fit to data rows, and a system of equations:

    >>> import numpy as np
    >>> from scipy.optimize import least_squares, root
    >>> import fastgraph as fg
    >>> decay = fg.trace(lambda c, t, y: c[0] * np.exp(-c[1] * t) - y, (2,), (), (), parameters=["t", "y"])
    >>> t = np.linspace(0.0, 3.0, 20)
    >>> r = fg.scipy.residuals(decay, t=t, y=2.0 * np.exp(-0.5 * t))
    >>> least_squares(r, [1.0, 1.0], jac=r.jac, method="lm").x.round(10)
    array([2. , 0.5])
    >>> r = fg.scipy.residuals(fg.trace(lambda x: x**2 - np.array([4.0, 9.0]), (2,)))
    >>> root(r, [1.0, 1.0], jac=r.jac).x.round(10)
    array([2., 3.])
    """
    return Residuals(*fixed(f, parameters, "fg.scipy.residuals"), choice(sparse, "fg.scipy.residuals"))


def constraint(g, /, lower, upper, *, sparse=None, hessian=True, keep_feasible=False, **parameters):
    """Make a ``scipy.optimize.NonlinearConstraint`` of a function, with its Jacobian and the Hessian of v · g.

    Parameters
    ----------
    g : Function
        Of the same inputs as the objective.
    lower, upper : float or array_like (m,)
        Bounds of the outputs; equal ones make an equation, infinite ones are none.
    sparse : bool, optional
        Whether Jacobians and Hessians are sparse. None: Jacobians are from 200 inputs on, whatever the pattern, because
        trust-constr wants the same of all constraints of a problem. Hessians are by the rule of the module, but from
        200 inputs on, a LinearOperator of products where they would be dense.
    hessian : bool
        False leaves the Hessian to SciPy's BFGS: for SLSQP, which warns of one that it does not use.
    keep_feasible : bool or array_like (m,)
        As of NonlinearConstraint.
    **parameters : float or array_like
        As :func:`residuals`.

    Returns
    -------
    scipy.optimize.NonlinearConstraint

    Raises
    ------
    ArgumentError, ShapeError
        As :func:`residuals`; also if bounds are not numbers, do not fit the outputs, or cross.
    ImportError
        If SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> import fastgraph as fg
    >>> o = fg.scipy.objective(fg.trace(lambda x: x[0] + x[1], (2,)))
    >>> circle = fg.trace(lambda x: x @ x, (2,))
    >>> options = {"jac": True, "constraints": fg.scipy.constraint(circle, 0.0, 2.0)}
    >>> minimize(o, [0.5, 0.0], hess=o.hess, method="trust-constr", **options).x.round(3)
    array([-1., -1.])
    """
    what = "fg.scipy.constraint"
    made = Constraint(*fixed(g, parameters, what), choice(sparse, what))
    lower, upper = bounds(lower, upper, made.m, what, ("lower", "upper"))
    optimize = need("scipy.optimize", what)
    more = {"hess": made.hess} if hessian else {}
    return optimize.NonlinearConstraint(made, lower, upper, jac=made.jac, keep_feasible=keep_feasible, **more)


# -- what they return -----------------------------------------------------------------------------------------------
class Objective(Adapter):
    """A function to minimise; made by :func:`objective`. Raises ArgumentError and ShapeError for what is no vector.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> o = fg.scipy.objective(fg.trace(lambda x: x[0] ** 2 * x[1], (2,)))
    >>> x = np.array([1.0, 3.0])
    >>> o(x)
    (np.float64(3.0), array([6., 1.]))
    >>> o.hess(x)
    array([[6., 2.],
           [2., 0.]])
    >>> o.hessp(x, np.array([1.0, 0.0]))
    array([6., 2.])
    """

    def __init__(self, function, rows, sparse, summed):
        super().__init__(function, rows, sparse, summed)
        self._rows = {"reduce": "sum", **rows} if summed else {}
        self._sparse = sparse

    def __call__(self, x):
        """The value and the gradient (n,)."""
        return self.function.flat.value_and_grad(self._point(x), **self._rows)

    def value(self, x):
        """The value alone; of points (n, k), for ``differential_evolution(…, vectorized=True)``, k values."""
        if np.ndim(x) == 2 and not self._rows:
            return self.function.flat(self._vector(x, "x", self.n, np.shape(x)[1]), axis=0)
        return self.function.flat(self._point(x), **self._rows)

    def grad(self, x):
        """The gradient alone, (n,)."""
        return self(x)[1]

    def hess(self, x):
        """The Hessian, ndarray or csr_array (n, n)."""
        x, flat = self._point(x), self.function.flat
        if self._layout is None:
            return flat.hessian(x, **self._rows)
        return self._layout.matrix(flat.sparse_hessian_values(x, **self._rows))

    def hessp(self, x, p):
        """The product of the Hessian with a vector, (n,)."""
        return self.function.flat.hvp(self._point(x), self._vector(p, "p", self.n), **self._rows)

    @cached_property
    def _layout(self):
        return layout(self._sparse, self.function.hessian_sparsity, (self.n, self.n))


class Residuals(Adapter):
    """A vector function; made by :func:`residuals`. Raises ArgumentError and ShapeError for what is no vector.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> r = fg.scipy.residuals(fg.trace(lambda x, t: x[0] * t - x[1], (2,), (), parameters=["t"]), t=[1.0, 2.0])
    >>> x = np.array([3.0, 1.0])
    >>> r(x)
    array([2., 5.])
    >>> r.jac(x)
    array([[ 1., -1.],
           [ 2., -1.]])
    >>> r.operator(x).rmatvec(np.array([1.0, 1.0]))
    array([ 3., -2.])
    """

    def __init__(self, function, rows, batch, sparse):
        super().__init__(function, rows, batch, sparse)
        self._batch, self._shape = batch, batch + (() if function.is_scalar else (function.flat.m,))
        self.m = math.prod(batch) * function.flat.m
        self._rows, self._sparse = rows, sparse
        self._summed = {"reduce": "sum", **rows} if rows else {}

    def __call__(self, x):
        """All outputs, of one data row after the other, (m,)."""
        return self.function.flat(self._point(x), **self._rows).reshape(self.m)

    def jac(self, x):
        """The Jacobian, ndarray or csr_array (m, n)."""
        x, flat = self._point(x), self.function.flat
        if self._layout is None:
            return flat.jacobian(x, **self._rows).reshape(self.m, self.n)
        return self._layout.matrix(flat.sparse_jacobian_values(x, **self._rows).ravel())

    def operator(self, x):
        """The Jacobian as a LinearOperator (m, n) that sweeps for each product: where it is large, but not sparse."""
        x, flat = self._point(x).copy(), self.function.flat

        def along(directions):
            k = directions.shape[1]
            tangents = directions.T.reshape(k, *(1,) * len(self._batch), self.n)
            return flat.jvp(x, tangents, **self._rows)[1].reshape(k, self.m).T

        return linear_operator(
            (self.m, self.n),
            matvec=lambda v: flat.jvp(x, v.reshape(self.n), **self._rows)[1].reshape(self.m),
            matmat=along,
            rmatvec=lambda w: flat.vjp(x, w.reshape(self._shape), **self._summed)[1],
        )

    @cached_property
    def _layout(self):
        repeats = math.prod(self._batch)
        return layout(self._sparse, self.function.jacobian_sparsity, (self.function.flat.m, self.n), repeats)


class Constraint(Residuals):
    """A vector function with the Hessian of v · g; what :func:`constraint` puts into a NonlinearConstraint.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgraph as fg
    >>> c = fg.scipy.constraint(fg.trace(lambda x: x**2, (2,)), 0.0, 1.0).fun
    >>> c.hess(np.array([1.0, 2.0]), np.array([0.5, 3.0]))
    array([[1., 0.],
           [0., 6.]])
    """

    def hess(self, x, v):
        """The Hessian of v · g for v (m,), as ndarray, csr_array or LinearOperator (n, n)."""
        x, flat = self._point(x), self.function.flat
        v = self._vector(v, "v", self.m).reshape(self._shape)
        if self._hessian_layout is not None:
            return self._hessian_layout.matrix(flat.sparse_hessian_values(x, weights=v, **self._summed))
        if self._sparse is False or self.n < SPARSE_COLUMNS:
            return flat.hessian(x, weights=v, **self._summed)
        x, v = x.copy(), v.copy()
        product = lambda p: flat.hvp(x, p.reshape(self.n), weights=v, **self._summed)
        return linear_operator((self.n, self.n), matvec=product, rmatvec=product)

    @cached_property
    def _layout(self):
        sparse = self.n >= SPARSE_COLUMNS if self._sparse is None else self._sparse
        repeats = math.prod(self._batch)
        return layout(sparse, self.function.jacobian_sparsity, (self.function.flat.m, self.n), repeats)

    @cached_property
    def _hessian_layout(self):
        return layout(self._sparse, self.function.hessian_sparsity, (self.n, self.n))
