"""Bundle adjustment: the sparse Jacobian of the ADBench suite's problem (Šrajer, Kukelova, Fitzgibbon, 2018).

In: its data files ``baI_nN_mM_pP.txt``, in the folder of ``mixture``. An observation compares where a camera (rotation
as a Rodrigues vector, centre, focal length, principal point, two radial distortions) sees a point with a feature: two
residuals, times a weight w; and 1 - w². The file's one camera and one point are repeated: observation i has camera
i mod n and point i mod m. Out: callables ``(cameras, points, weights) -> values`` of the Jacobian in CSR order, each
past the gate. 2 p + p rows, 11 n + 3 m + p columns; 15 entries in a row of residuals, zeros included, 1 in one of
weights.
"""

import sys
from functools import cached_property

import numpy as np

from bench import reference
from bench.mixture import FOLDER

CAMERA, POINT, ENTRIES = 11, 3, 15
# Published: the residuals, the residual of the weight, and the block by (camera, point, weight) begins.
RESIDUALS, OF_WEIGHT = (0.10133583791448515, -0.068967765924481061), 0.82609265151599998
BEGINS = -461.44632100159936, 178.86792801444562
TOLERANCE = 1e-12  # of the largest number in a result
STEP = 1e-30  # of the complex step: its square is nothing beside 1


def residuals(camera, point, weight, feature, f):
    """Both residuals of an observation; ``f`` has sin, cos, sqrt."""
    rotation, centre, focal, principal, radial = (camera[a:b] for a, b in ((0, 3), (3, 6), (6, 7), (7, 9), (9, 11)))
    x, y = project(rotation, [point[k] - centre[k] for k in range(3)], f)
    square = x * x + y * y
    scale = focal[0] * (1.0 + square * (radial[0] + radial[1] * square))
    seen = x * scale + principal[0], y * scale + principal[1]
    return [weight * (seen[k] - feature[k]) for k in range(2)]


def project(r, x, f):
    """``x`` rotated about ``r`` by its length, by Rodrigues' formula, over its depth; ``r`` must not be 0."""
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2]
    angle = f.sqrt(square)
    cos, inverse = f.cos(angle), 1.0 / angle
    axis = [r[k] * inverse for k in range(3)]
    along = (axis[0] * x[0] + axis[1] * x[1] + axis[2] * x[2]) * (1.0 - cos)
    sin = f.sin(angle)
    turned = [x[k] * cos + (axis[k - 2] * x[k - 1] - axis[k - 1] * x[k - 2]) * sin + axis[k] * along for k in range(3)]
    depth = 1.0 / turned[2]
    return turned[0] * depth, turned[1] * depth


class Bundle:
    """One of the published problems. It has a method for each peer that can do it, named as the peer is.

    Such a method takes the peer's library and returns ``jacobian(cameras, points, weights) -> values``.
    """

    def __init__(self, name="ba1_n49_m7776_p31843"):
        self.name, self.path = name, FOLDER / f"{name}.txt"

    def missing(self):
        """Why this problem cannot be had here, or None."""
        return None if self.path.exists() else f"{self.path} is not there"

    @cached_property
    def _data(self):
        return [np.array(line.split(), dtype=np.float64) for line in self.path.read_text().splitlines()]

    @cached_property
    def sizes(self):
        """Numbers of cameras, points and observations."""
        return tuple(map(int, self._data[0]))

    @property
    def nnz(self):
        return (2 * ENTRIES + 1) * self.sizes[2]

    @cached_property
    def feature(self):
        """What every observation saw."""
        return self._data[4]

    @cached_property
    def parameters(self):
        """Cameras (n, 11), points (m, 3) and weights (p,), as published."""
        return tuple(np.tile(part, (size, 1)) for part, size in zip(self._data[1:3], self.sizes, strict=False)) + (
            np.full(self.sizes[2], self._data[3][0]),
        )

    def scattered(self):
        """As ``parameters``, every number off by up to a percent: no two cameras, points or weights are alike."""
        random = np.random.default_rng(3)
        return tuple(part * random.uniform(0.99, 1.01, part.shape) for part in self.parameters)

    @cached_property
    def seen_by(self):
        """The camera and the point of each observation."""
        n, m, p = self.sizes
        return np.arange(p) % n, np.arange(p) % m

    def gathered(self, cameras, points):
        """Cameras (11, p) and points (3, p) by observation."""
        camera, point = self.seen_by
        return np.take(cameras.T, camera, axis=1), np.take(points.T, point, axis=1)

    def csr(self, values):
        """The matrix, as SciPy's."""
        from scipy.sparse import csr_array

        n, m, p = self.sizes
        camera, point = self.seen_by
        starts = CAMERA * camera, CAMERA * n + POINT * point, CAMERA * n + POINT * m + np.arange(p)
        blocks = [s[:, None] + np.arange(k) for s, k in zip(starts, (CAMERA, POINT, 1), strict=True)]
        columns = np.concatenate([np.repeat(np.concatenate(blocks, axis=1), 2, axis=0).ravel(), starts[2]])
        lengths = np.concatenate([np.full(2 * p, ENTRIES), np.ones(p, np.int64)])
        return csr_array((values, columns, np.concatenate([[0], np.cumsum(lengths)])), shape=(3 * p, starts[2][-1] + 1))

    # -- gate -----------------------------------------------------------------------------------------------
    def expected(self, cameras, points, weights):
        """The values by a complex step (Squire and Trapp 1998) in NumPy: no rounding beyond that of the residuals."""
        camera, point = self.gathered(cameras, points)
        at = np.concatenate([camera, point, weights[None]]).astype(np.complex128)
        block = np.empty((self.sizes[2], 2, ENTRIES))
        for k in range(ENTRIES):
            at[k] += STEP * 1j
            moved = residuals(at[:CAMERA], at[CAMERA:-1], at[-1], self.feature, np)
            at[k] -= STEP * 1j
            block[:, :, k] = np.array(moved).imag.T / STEP
        return np.concatenate([block.ravel(), -2.0 * weights])

    def check(self, values, parameters):
        """The gate: raise AssertionError unless all values are those expected."""
        values = np.asarray(values)
        assert values.shape == (self.nnz,), f"{self.name}: the shape is wrong"
        p = self.sizes[2]
        wanted = self.expected(*parameters)
        for column in [*range(ENTRIES), "weights"]:  # columns differ by orders of magnitude
            got, right = (
                v[2 * ENTRIES * p :] if column == "weights" else v[: 2 * ENTRIES * p].reshape(-1, ENTRIES)[:, column]
                for v in (values, wanted)
            )
            error = reference.disagreement(got, right)
            assert error <= TOLERANCE, f"{self.name}: column {column} is off by {error:.1e}"

    def check_published(self, values):
        """The gate on what was published of the problem: the formula, and how the Jacobian begins."""
        camera, point, weight = (part[0] for part in self.parameters)
        got = [*residuals(camera, point, weight, self.feature, np), 1.0 - weight * weight, *values[:2]]
        for number, wanted in zip(got, (*RESIDUALS, OF_WEIGHT, *BEGINS), strict=True):
            assert abs(number - wanted) <= TOLERANCE * abs(wanted), f"{self.name}: {number!r}, published {wanted!r}"

    def ready(self, peer):
        """A callable without arguments that passed the gate, or None."""
        method = getattr(self, peer.name, None)
        if method is None:
            return None
        jacobian = method(peer.lib)
        parameters = self.scattered()
        self.check(jacobian(*parameters), parameters)
        parameters = self.parameters
        values = jacobian(*parameters)
        self.check(values, parameters)
        if self.name.startswith("ba1_"):
            self.check_published(values)
        print(f"  {peer.name} agrees on {self.name}", file=sys.stderr)
        return lambda: jacobian(*parameters)

    # -- peers ----------------------------------------------------------------------------------------------
    def fastgraph(self, fg):
        """The Jacobian recorded as a function of its own, which writes it where it belongs."""
        graph = fg.Graph("observation")
        names = graph.input("camera", CAMERA), graph.input("point", POINT), graph.input("weight")
        feature = graph.parameter("feature", 2)
        parts = graph.jacobian(residuals(*names, feature, fg), names)
        graph.output(np.concatenate([np.reshape(np.asarray(part, object), (2, -1)) for part in parts], axis=1))
        f, p = graph.compile(), self.sizes[2]
        values, x = np.empty(self.nnz), np.empty((ENTRIES, p))
        camera, point = self.seen_by
        block = values[: 2 * ENTRIES * p].reshape(p, 2 * ENTRIES)

        def jacobian(cameras, points, weights):
            # Indices are in range; "clip" writes to ``out`` without a buffer.
            np.take(cameras.T, camera, axis=1, out=x[:CAMERA], mode="clip")
            np.take(points.T, point, axis=1, out=x[CAMERA:-1], mode="clip")
            x[-1] = weights
            f.flat(x.T, feature=self.feature, out=block)
            np.multiply(weights, -2.0, out=values[2 * ENTRIES * p :])
            return values

        return jacobian

    def casadi(self, ca):
        """A mapped function through buffers, its dense blocks row by row."""
        names = {"camera": CAMERA, "point": POINT, "weight": 1}
        symbols = [ca.SX.sym(name, size) for name, size in names.items()]
        seen = residuals(*symbols[:2], symbols[2][0], self.feature.tolist(), ca)
        block = ca.densify(ca.jacobian(ca.vertcat(*seen), ca.vertcat(*symbols)).T)
        p = self.sizes[2]
        function = ca.Function("observation", symbols, [block]).map(p)
        buffer, evaluate = function.buffer()
        inputs = [np.empty((p, CAMERA)), np.empty((p, POINT)), np.empty(p)]
        values = np.empty(self.nnz)
        for k, array in enumerate(inputs):
            buffer.set_arg(k, memoryview(array))
        buffer.set_res(0, memoryview(values[: 2 * ENTRIES * p]))
        camera, point = self.seen_by

        def jacobian(cameras, points, weights):
            np.take(cameras, camera, axis=0, out=inputs[0])
            np.take(points, point, axis=0, out=inputs[1])
            inputs[2][:] = weights
            evaluate()
            np.multiply(weights, -2.0, out=values[2 * ENTRIES * p :])
            return values

        jacobian.keep = buffer
        return jacobian

    def jax(self, jax):
        """``vmap`` of ``jacrev``; the gathering is compiled with it."""
        jnp = jax.numpy
        feature, (camera, point) = jnp.asarray(self.feature), (jnp.asarray(part) for part in self.seen_by)

        def one(x):
            return jnp.stack(residuals(x[:CAMERA], x[CAMERA:-1], x[-1], feature, jnp))

        @jax.jit
        def values(cameras, points, weights):
            x = jnp.concatenate([cameras[camera], points[point], weights[:, None]], axis=1)
            return jnp.concatenate([jax.vmap(jax.jacrev(one))(x).ravel(), -2.0 * weights])

        return lambda *parameters: jax.block_until_ready(values(*parameters))
