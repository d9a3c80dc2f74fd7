"""Sparse problems: Hessians and Jacobians of 10⁴ variables, as a solver asks for them, set after set.

In: the number of variables. Out: callables ``x -> values``, each past the gate: CasADi's values, as a matrix. Beside
the libraries' own ways there is CppAD's for fastgraph and JAX: Hessian-vector products along the colours of the same
star colouring, from which the entries are read.
"""

import sys

import numpy as np

TOLERANCE = 1e-12  # of the largest number in a result


class SparseProblem:
    """A problem. A subclass writes the objective and, if there are any, the constraints, for each kind of library.

    Attributes
    ----------
    name : str
    x : ndarray
        Where it is timed.
    weights : ndarray or None
        Of the objective and the constraints in the Lagrangian.
    """

    name: str
    x: np.ndarray
    weights = None

    def formulas(self, x, f):
        """The objective and the constraints, a list of arrays, of an array that has arithmetic and slices."""
        raise NotImplementedError

    # -- peers ----------------------------------------------------------------------------------------------
    def function(self, fg):
        """The Function of fastgraph: the objective, then the constraints."""
        graph = fg.Graph(self.name)
        objective, constraints = self.formulas(graph.input("x", len(self.x)), fg)
        graph.output(objective, name="objective")
        if constraints:
            graph.output(np.concatenate(constraints), name="constraints")
        return graph.compile()

    def constraints(self, fg):
        """The Function of the constraints alone, whose Jacobian a solver takes."""
        graph = fg.Graph(self.name)
        graph.output(np.concatenate(self.formulas(graph.input("x", len(self.x)), fg)[1]))
        return graph.compile()

    @property
    def _split_weights(self):
        return None if self.weights is None else (self.weights[0], self.weights[1:])

    def fastgraph_hessian(self, fg):
        f, weights = self.function(fg), self._split_weights
        pattern = f.hessian_sparsity()
        return (lambda x: f.sparse_hessian_values(x, weights=weights)), pattern

    def fastgraph_jacobian(self, fg):
        f = self.constraints(fg)
        return f.sparse_jacobian_values, f.jacobian_sparsity()

    def compressed_hessian(self, fg):
        """CppAD's method: Hessian-vector products along the colours."""
        f, weights = self.function(fg), self.weights
        pattern, directions, places = _coloured(f)
        return (lambda x: f.flat.hvp(x, directions, weights=weights).ravel()[places]), pattern

    def jax_hessian(self, jax):
        """As ``compressed_hessian``: JAX has no sparse Hessians of its own. The colours are fastgraph's."""
        import fastgraph

        pattern, directions, places = _coloured(self.function(fastgraph))
        directions, places, f = jax.numpy.asarray(directions), jax.numpy.asarray(places), jax.numpy
        weights = None if self.weights is None else jax.numpy.asarray(self.weights)

        def lagrangian(x):
            objective, constraints = self.formulas(x, f)
            return weights[0] * objective + weights[1:] @ f.concatenate(constraints) if constraints else objective

        @jax.jit
        def values(x):
            along = jax.vmap(lambda v: jax.jvp(jax.grad(lagrangian), (x,), (v,))[1])(directions)
            return along.ravel()[places]

        return (lambda x: jax.block_until_ready(values(x))), pattern

    def casadi_hessian(self, ca):
        x = ca.SX.sym("x", len(self.x))
        objective, constraints = self.formulas(x, _Casadi(ca))
        if not constraints:
            return _buffered(ca, [x], ca.hessian(objective, x)[0], [])
        weights = ca.SX.sym("weights", len(self.weights))
        total = weights[0] * objective + ca.dot(weights[1:], ca.vertcat(*constraints))
        return _buffered(ca, [x, weights], ca.hessian(total, x)[0], [self.weights])

    def casadi_jacobian(self, ca):
        x = ca.SX.sym("x", len(self.x))
        return _buffered(ca, [x], ca.jacobian(ca.vertcat(*self.formulas(x, _Casadi(ca))[1]), x), [])

    # -- gate -----------------------------------------------------------------------------------------------
    def make(self, peer, kind):
        """``x -> values`` and their pattern, or None."""
        method = getattr(self, f"{peer.name}_{kind}", None)
        return method and method(peer.lib)

    def expected(self, kind, ca):
        """The matrix at ``x``, as SciPy's, by CasADi."""
        values, pattern = getattr(self, f"casadi_{kind}")(ca)
        return _matrix(values(self.x), pattern)

    def check(self, values, pattern, wanted):
        """The gate: raise AssertionError unless the matrix is that expected, wherever either has an entry."""
        off = abs(_matrix(values, pattern) - wanted)
        error = off.max() / abs(wanted).max()
        assert error <= TOLERANCE, f"{self.name}: the values are off by {error:.1e}"

    def ready(self, made, kind, wanted):
        """Callables without arguments that passed the gate, of ``{name: (x -> values, pattern)}``."""
        runs = {}
        for name, (values, pattern) in made.items():
            self.check(np.array(values(self.x)), pattern, wanted)
            print(f"  {name} agrees on the {kind} of {self.name}", file=sys.stderr)
            runs[name] = lambda values=values: values(self.x)
        return runs

    def __repr__(self):
        return self.name


class Rosenbrock(SparseProblem):
    """The sum of 100 (x[i+1] - x[i]²)² + (1 - x[i])²: a Hessian of three diagonals."""

    def __init__(self, n=10_000):
        self.name = f"rosenbrock_{n}"
        self.x = np.linspace(0.5, 1.5, n) * (1.0 + 0.01 * np.sin(np.arange(n)))

    def formulas(self, x, f):
        here, there = x[:-1], x[1:]
        rise, left = there - here * here, 1.0 - here
        return f.sum(100.0 * (rise * rise) + left * left), []


class Control(SparseProblem):
    """A vehicle steered past a round obstacle: states (x, y, heading), controls (speed, turn), trapezoidal steps.

    Variables are those of each step in turn; the dynamics are the constraints.
    """

    def __init__(self, n=10_000):
        self.name, steps = f"control_{n}", n // 5
        random = np.random.default_rng(4)
        self.x = random.uniform(0.2, 1.0, 5 * steps)
        self.weights = np.concatenate([[1.0], random.normal(size=3 * (steps - 1))])
        self.step = 10.0 / steps

    def formulas(self, x, f):
        east, north, heading, speed, turn = (x[k::5] for k in range(5))
        rates = speed * f.cos(heading), speed * f.sin(heading), turn
        defects = [
            state[1:] - state[:-1] - 0.5 * self.step * (rate[1:] + rate[:-1])
            for state, rate in zip((east, north, heading), rates, strict=True)
        ]
        near = f.exp(-(east * east + 2.0 * north * north))
        cost = f.sum(self.step * (speed * speed + 0.5 * turn * turn) + 10.0 * near)
        return cost, defects


class _Casadi:
    """The functions of ``formulas`` over a column of CasADi."""

    def __init__(self, ca):
        self.sin, self.cos, self.exp, self.sum = ca.sin, ca.cos, ca.exp, ca.sum1


def _coloured(f):
    """Pattern of the Hessian, a direction for each colour, and where each entry stands in their products."""
    from fastgraph.sparsity import n_colors, recover_star, star_coloring

    pattern = f.hessian_sparsity()
    colors = star_coloring(pattern)
    directions = np.zeros((n_colors(colors), len(colors)))
    chosen = np.flatnonzero(colors >= 0)
    directions[colors[chosen], chosen] = 1.0
    rows, columns = recover_star(pattern, colors)
    return pattern, directions, columns * len(colors) + rows


def _buffered(ca, symbols, matrix, rest):
    """``x -> values`` through buffers, and the matrix's pattern, CasADi's, by columns."""
    function = ca.Function("f", symbols, [matrix])
    buffer, evaluate = function.buffer()
    x, values = np.empty(symbols[0].shape[0]), np.empty(matrix.nnz())
    for k, array in enumerate([x, *rest]):
        buffer.set_arg(k, memoryview(array))
    buffer.set_res(0, memoryview(values))

    def run(point):
        x[:] = point
        evaluate()
        return values

    run.keep = buffer, rest
    return run, matrix.sparsity()


def _matrix(values, pattern):
    """Values as SciPy's matrix by rows; the pattern is fastgraph's or, by columns, CasADi's."""
    from scipy.sparse import csc_array, csr_array

    if hasattr(pattern, "colind"):
        return csc_array((values, pattern.row(), pattern.colind()), shape=pattern.shape).tocsr()
    return csr_array((values, pattern.indices, pattern.indptr), shape=pattern.shape)
