"""Mixture: the log-likelihood of a Gaussian mixture, of the ADBench suite (Šrajer, Kukelova, Fitzgibbon, 2018).

In: its data files ``gmm_dD_KK.txt``, 1000 points each, in the folder that the environment variable FASTGRAPH_ADBENCH
names (default: ``../shared/data/adbench`` beside the repository). The weights are alpha (K), means (K, d) and icf
(K, d + d(d-1)/2): log-diagonals q, then the strict lower triangle, column by column. With Q = exp(q)::

    Σ_points logsumexp_k(alpha_k + Σ q_k - ½ |Q_k (x - mean_k) + L_k (x - mean_k)|²)
    - n (½ d log 2π + logsumexp(alpha))
    + Σ_k (½ γ² (|Q_k|² + |L_k|²) - m Σ q_k) - K (n' d log(γ/√2) - log Γ_d(n'/2)),  n' = d + m + 1

All but the first line knows no point: a function of its own, called once.
"""

import itertools
import math
import os
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import multigammaln

from bench.sums import Sum, buffered

FOLDER = Path(os.environ.get("FASTGRAPH_ADBENCH", Path(__file__).resolve().parents[2] / "shared" / "data" / "adbench"))
# Published: the value, the norm of the gradient, its first and its last entry.
PUBLISHED = {
    "gmm_d2_K5": (-5240.590562549577, 1277.1888646794293, 167.21527511000079, 4.1699407394196015),
    "gmm_d10_K5": (-31302.540910910437, 5668.0879401683833, 38.545980108168081, 74.381828898227624),
    "gmm_d10_K25": (-25649.6526211973, 2662.3986013124218, 48.346683416110558, -6.0264741211275172),
}


def point_term(alpha, means, icf, x, f):
    """A point's logsumexp, recorded operation by operation; ``f`` has exp, log, sum and maximum for the elements."""
    terms = []
    for weight, mean, q, lower in zip(alpha, means, *_split(icf, len(x)), strict=True):
        centred = x - mean
        z = f.exp(q) * centred
        for (j, i), factor in zip(itertools.combinations(range(len(x)), 2), lower, strict=True):
            z[i] = z[i] + factor * centred[j]  # the strict lower triangle, column by column
        terms.append(weight + f.sum(q) - 0.5 * f.sum(z * z))
    return _log_sum_exp(terms, f)


def rest_of(alpha, icf, d, n, gamma, m, f):
    """The terms that know no point."""
    prior = [
        0.5 * gamma * gamma * (f.sum(f.exp(2.0 * q)) + f.sum(lower * lower)) - float(m) * f.sum(q)
        for q, lower in zip(*_split(icf, d), strict=True)
    ]
    return f.sum(prior) - float(n) * _log_sum_exp(list(alpha), f) + _constant(len(alpha), d, n, gamma, m)


def _constant(k, d, n, gamma, m):
    """What depends on no weight."""
    degrees = d + m + 1
    wishart = degrees * d * math.log(gamma / math.sqrt(2.0)) - float(multigammaln(degrees / 2, d))
    return -0.5 * d * n * math.log(2.0 * math.pi) - k * wishart


def _log_sum_exp(terms, f):
    largest = terms[0]
    for term in terms[1:]:
        largest = f.maximum(largest, term)
    return largest + f.log(f.sum([f.exp(term - largest) for term in terms]))


def _split(icf, d):
    return icf[:, :d], icf[:, d:]


class Mixture(Sum):
    """One of the published problems."""

    def __init__(self, name="gmm_d10_K25"):
        self.name, self.path = name, FOLDER / f"{name}.txt"

    def missing(self):
        return None if self.path.exists() else f"{self.path} is not there"

    @cached_property
    def _data(self):
        lines = [np.array(line.split(), dtype=np.float64) for line in self.path.read_text().splitlines()]
        d, k, n = map(int, lines[0])
        ends = np.cumsum([1, k, k, k, n])
        alpha, means, icf, points = (np.array(lines[a:b]) for a, b in zip(ends, ends[1:], strict=False))
        gamma, m = lines[ends[-1]]
        return alpha[:, 0], means, icf, points, gamma, int(m)

    @cached_property
    def weights(self):
        return np.concatenate([part.ravel() for part in self._data[:3]])

    @cached_property
    def points(self):
        return self._data[3]

    @property
    def n_rows(self):
        return len(self.points)

    @property
    def _rest(self):
        """What ``rest_of`` takes beside alpha and icf."""
        return self.points.shape[1], self.n_rows, *self._data[4:]

    def parts(self, weights):
        """alpha, means and icf of a vector of weights."""
        shapes = [part.shape for part in self._data[:3]]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        pieces = (weights[end - math.prod(shape) : end] for end, shape in zip(ends, shapes, strict=True))
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    @cached_property
    def _by_hand(self):
        return self.numpy(np)(self.weights)

    def expected(self):
        """The value as published; the gradient as written by hand, :meth:`check` holds it to what is published."""
        return PUBLISHED[self.name][0], self._by_hand[1]

    def check(self, result):
        super().check(result)
        value, gradient = result
        gradient = np.asarray(gradient)
        got = float(value), np.linalg.norm(gradient), gradient[0], gradient[-1]
        for number, wanted in zip(got, PUBLISHED[self.name], strict=True):
            assert abs(number - wanted) <= 1e-12 * abs(wanted), f"{self.name}: {number!r}, published {wanted!r}"

    def graph(self, fg):
        graph = fg.Graph(self.name)
        weights = [
            graph.input(name, part.shape) for name, part in zip(("alpha", "means", "icf"), self._data, strict=False)
        ]
        graph.output(point_term(*weights, graph.parameter("x", self.points.shape[1]), fg))
        return graph

    def fastgraph(self, fg):
        points = self.graph(fg).compile().flat
        graph = fg.Graph("rest")
        alpha, _, icf = (
            graph.input(name, part.shape) for name, part in zip(("alpha", "means", "icf"), self._data, strict=False)
        )
        graph.output(rest_of(alpha, icf, *self._rest, fg))
        rest = graph.compile().flat

        def objective(weights):
            value, gradient = points.value_and_grad(weights, x=self.points, reduce="sum")
            more, slopes = rest.value_and_grad(weights)
            return value + more, gradient + slopes

        return objective

    def jax(self, jax):
        jnp, logsumexp = jax.numpy, jax.scipy.special.logsumexp
        x, d = jnp.asarray(self.points), self.points.shape[1]
        n, gamma, m = self._rest[1:]
        columns, rows = np.triu_indices(d, 1)
        diagonal = np.arange(d)

        @jax.jit
        @jax.value_and_grad
        def objective(weights):
            alpha, means, icf = self.parts(weights)
            q, lower = _split(icf, d)
            factor = jnp.zeros((len(q), d, d)).at[:, rows, columns].set(lower)
            factor = factor.at[:, diagonal, diagonal].set(jnp.exp(q))
            z = (x - means[:, None]) @ factor.transpose(0, 2, 1)
            terms = alpha + q.sum(1) - 0.5 * (z * z).sum(2).T
            prior = 0.5 * gamma**2 * (jnp.exp(2.0 * q).sum() + (lower * lower).sum()) - m * q.sum()
            return logsumexp(terms, axis=1).sum() - n * logsumexp(alpha) + prior + _constant(len(q), *self._rest)

        return lambda weights: jax.block_until_ready(objective(weights))

    def numpy(self, np):
        x, d = self.points, self.points.shape[1]
        n, gamma, m = self._rest[1:]
        columns, rows = np.triu_indices(d, 1)
        diagonal = np.arange(d)

        def objective(weights):
            alpha, means, icf = self.parts(weights)
            q, lower = _split(icf, d)
            scale = np.exp(q)
            factor = np.zeros((len(q), d, d))
            factor[:, rows, columns] = lower
            factor[:, diagonal, diagonal] = scale
            centred = x - means[:, None]
            z = centred @ factor.transpose(0, 2, 1)
            terms = (alpha + q.sum(1))[:, None] - 0.5 * (z * z).sum(2)
            largest = terms.max(0)
            share = np.exp(terms - largest)
            total = share.sum(0)
            share /= total
            part = np.exp(alpha - alpha.max())
            prior = 0.5 * gamma**2 * ((scale * scale).sum() + (lower * lower).sum()) - m * q.sum()
            value = (largest + np.log(total)).sum() - n * (alpha.max() + np.log(part.sum())) + prior
            value += _constant(len(q), *self._rest)
            counts = share.sum(1)
            slope = -share[:, :, None] * z
            of_factor = slope.transpose(0, 2, 1) @ centred
            of_q = counts[:, None] + of_factor[:, diagonal, diagonal] * scale + gamma**2 * scale * scale - m
            of_lower = of_factor[:, rows, columns] + gamma**2 * lower
            of_means = -(slope.sum(1)[:, None] @ factor)[:, 0]
            of_icf = np.concatenate([of_q, of_lower], axis=1)
            of_alpha = counts - n * part / part.sum()
            return value, np.concatenate([of_alpha, of_means.ravel(), of_icf.ravel()])

        return objective

    def casadi(self, ca):
        class Functions:
            log, maximum = ca.log, ca.fmax
            exp = staticmethod(lambda x: np.frompyfunc(ca.exp, 1, 1)(x) if isinstance(x, np.ndarray) else ca.exp(x))
            sum = staticmethod(lambda terms: sum(terms[1:], start=terms[0]))

        weights, x = ca.SX.sym("weights", len(self.weights)), ca.SX.sym("x", self.points.shape[1])
        alpha, means, icf = self.parts(_elements(weights))
        term = point_term(alpha, means, icf, _elements(x), Functions)
        rest = rest_of(alpha, icf, *self._rest, Functions)
        one = ca.Function("one", [weights, x], [term, ca.gradient(term, weights)])
        more = ca.Function("more", [weights], [rest, ca.gradient(rest, weights)])
        every = one.map("every", "serial", self.n_rows, [0], [0, 1])
        point = ca.MX.sym("point", len(self.weights))
        parts = zip(every(point, ca.DM(self.points.T)), more(point), strict=True)
        function = ca.Function("mixture", [point], [total + addition for total, addition in parts])
        return buffered(function, len(self.weights))


def _elements(vector):
    """A casadi vector as an array of its elements."""
    elements = np.empty(vector.shape[0], dtype=object)
    elements[:] = [vector[k] for k in range(len(elements))]
    return elements
