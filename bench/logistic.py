"""Logistic: a regression with an L2 penalty on scikit-learn's breast cancer data, 569 rows of 30 columns.

Σ_rows softplus(-label · (coefficients · row + intercept)) + ½ |coefficients|², labels -1 and 1, columns standardised.
The objective with its gradient is a ``Sum``; ``fit`` minimises it by L-BFGS-B of SciPy, which scikit-learn uses, too.
"""

from functools import cached_property

import numpy as np

from bench import reference, workloads
from bench.sums import Sum, buffered, traced

N_COLUMNS = 30
STOP = 1e-6  # the largest entry of the gradient at which a fit ends
FAR = 1e-5  # how far a fit may be from the coefficients sought, in parts of the largest


class Logistic(Sum):
    """The problem: 30 coefficients, then the intercept."""

    name = "logistic"
    needs = "sklearn"

    @cached_property
    def rows(self):
        """The data: 30 standardised columns, then the label."""
        from sklearn.datasets import load_breast_cancer

        x, y = load_breast_cancer(return_X_y=True)
        return np.column_stack([(x - x.mean(0)) / x.std(0), 2.0 * y - 1.0])

    @property
    def n_rows(self):
        return len(self.rows)

    @cached_property
    def weights(self):
        return np.random.default_rng(5).normal(0.0, 0.3, N_COLUMNS + 1)

    @cached_property
    def _expected(self):
        def formula(*inputs):
            *weights, intercept = inputs[: N_COLUMNS + 1]
            *row, label = inputs[N_COLUMNS + 1 :]
            score = intercept
            for weight, x in zip(weights, row, strict=True):
                score = score + weight * x
            workloads.log(1.0 + workloads.exp(label * score * -1.0))

        work = workloads.written(self.name, (), np.ones(2 * N_COLUMNS + 2), 0.0, formula)
        return penalised(traced(work, self.weights, self.rows), self.weights)

    def expected(self):
        return self._expected

    def graph(self, fg):
        graph = fg.Graph("logistic")
        weights, intercept = graph.input("weights", N_COLUMNS), graph.input("intercept")
        x, label = graph.parameter("x", N_COLUMNS), graph.parameter("label")
        graph.output(fg.softplus(-label * (fg.dot(weights, x) + intercept)))
        return graph

    def fastgraph(self, fg):
        f = self.graph(fg).compile().flat
        x, label = np.ascontiguousarray(self.rows[:, :N_COLUMNS]), self.rows[:, N_COLUMNS].copy()
        return lambda weights: penalised(f.value_and_grad(weights, x=x, label=label, reduce="sum"), weights)

    def jax(self, jax):
        np_ = jax.numpy
        x, label = np_.asarray(self.rows[:, :N_COLUMNS]), np_.asarray(self.rows[:, N_COLUMNS])

        @jax.jit
        @jax.value_and_grad
        def objective(weights):
            score = x @ weights[:N_COLUMNS] + weights[N_COLUMNS]
            return np_.logaddexp(0.0, -label * score).sum() + 0.5 * (weights[:N_COLUMNS] ** 2).sum()

        return lambda weights: jax.block_until_ready(objective(weights))

    def numpy(self, np):
        x, label = np.ascontiguousarray(self.rows[:, :N_COLUMNS]), self.rows[:, N_COLUMNS].copy()

        def objective(weights):
            margin = label * (x @ weights[:N_COLUMNS] + weights[N_COLUMNS])
            slope = -label / (1.0 + np.exp(margin))
            result = np.logaddexp(0.0, -margin).sum(), np.append(slope @ x, slope.sum())
            return penalised(result, weights)

        return objective

    def casadi(self, ca):
        """Matrix expressions, on all rows at once."""
        weights = ca.MX.sym("weights", N_COLUMNS + 1)
        score = ca.DM(self.rows[:, :N_COLUMNS]) @ weights[:N_COLUMNS] + weights[N_COLUMNS]
        value = ca.sum1(ca.log1p(ca.exp(-self.rows[:, N_COLUMNS] * score))) + 0.5 * ca.sumsqr(weights[:N_COLUMNS])
        function = ca.Function("logistic", [weights], [value, ca.gradient(value, weights)])
        return buffered(function, N_COLUMNS + 1)

    # -- fits -------------------------------------------------------------------------------------------------
    @cached_property
    def sought(self):
        """The coefficients and the intercept, by another algorithm of scikit-learn than the one that is timed."""
        return self._estimated("newton-cholesky", 1e-12)

    def _estimated(self, solver, tolerance):
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1.0, solver=solver, tol=tolerance, max_iter=10_000)
        model.fit(self.rows[:, :N_COLUMNS], self.rows[:, N_COLUMNS])
        return np.append(model.coef_[0], model.intercept_)

    def fit(self, peer):
        """A callable that fits the model and passed the gate, or None: it returns all 31 weights."""
        if peer.name == "scikit-learn":  # its objective is the mean over the rows, and so is its gradient
            run = lambda: self._estimated("lbfgs", STOP / self.n_rows)
        else:
            objective = self.objective(peer)
            if objective is None:
                return None
            run = lambda: minimised(objective)
        self.check_fit(run())
        return run

    def check_fit(self, weights):
        """The gate of a fit."""
        error = reference.disagreement(weights, self.sought)
        assert error <= FAR, f"{self.name}: the fit is off by {error:.1e}"


def penalised(result, weights):
    """Value and gradient with the penalty, which knows no row."""
    value, gradient = result
    gradient = gradient.copy()
    gradient[:N_COLUMNS] += weights[:N_COLUMNS]
    return value + 0.5 * (weights[:N_COLUMNS] @ weights[:N_COLUMNS]), gradient


def minimised(objective):
    """The weights at which an objective is least, from zero."""
    from scipy.optimize import minimize

    def plain(weights):
        value, gradient = objective(weights)
        return float(value), np.array(gradient, dtype=np.float64)

    options = {"gtol": STOP, "ftol": 1e-15, "maxiter": 10_000, "maxcor": 10}
    return minimize(plain, np.zeros(N_COLUMNS + 1), jac=True, method="L-BFGS-B", options=options).x
