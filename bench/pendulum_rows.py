"""Rows of the report about imported expressions: equations of motion from SymPy, beside ``lambdify`` and SymEngine.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import sys
import time

import numpy as np
from numba import njit

from bench.rows import Row, scaled
from bench.timing import interleaved, summary

LINKS = (3, 5, 8)
STATES = 10_000


class Pendulum:
    """A chain of ``n`` point masses on rods that swings in a plane, by Kane's method.

    Attributes
    ----------
    q, u : list of sympy.Symbol
        Angles from the vertical, and their rates.
    mass : sympy.Matrix, shape (n, n)
    forcing : sympy.Matrix, shape (n, 1)
        ``mass @ du/dt = forcing``, masses and rods being 1, and so is gravity.
    energy : sympy expression
    """

    def __init__(self, n):
        import sympy
        from sympy.physics import mechanics

        q, u = mechanics.dynamicsymbols(f"q:{n}"), mechanics.dynamicsymbols(f"u:{n}")
        frame, point = mechanics.ReferenceFrame("A"), mechanics.Point("O")
        point.set_vel(frame, 0)
        particles, loads, energy = [], [], 0
        for k in range(n):
            turned = frame.orientnew(f"A{k}", "Axis", [q[k], frame.z])
            turned.set_ang_vel(frame, u[k] * frame.z)
            end = point.locatenew(f"P{k}", turned.x)  # x points down
            end.v2pt_theory(point, frame, turned)
            particles.append(mechanics.Particle(f"p{k}", end, 1))
            loads.append((end, frame.x))
            heights = sum(sympy.cos(q[j]) for j in range(k + 1))
            energy += particles[-1].kinetic_energy(frame) - heights
            point = end
        rates = [rate - angle.diff() for angle, rate in zip(q, u, strict=True)]
        method = mechanics.KanesMethod(frame, q_ind=q, u_ind=u, kd_eqs=rates)
        method.kanes_equations(particles, loads)
        # Plain symbols: SymEngine knows no others.
        self.q, self.u = sympy.symbols(f"q:{n}"), sympy.symbols(f"u:{n}")
        plain = dict(zip([*q, *u], [*self.q, *self.u], strict=True))
        self.mass, self.forcing = method.mass_matrix.xreplace(plain), method.forcing.xreplace(plain)
        self.energy = sympy.sympify(energy).xreplace(plain)

    @property
    def symbols(self):
        return [*self.q, *self.u]

    @property
    def entries(self):
        """The elements of ``mass``, then those of ``forcing``."""
        return [*self.mass, *self.forcing]

    def imported(self, fg):
        """Mass matrix and forcing as one Function of q and u."""
        return fg.from_sympy((self.mass, self.forcing), {"q": self.q, "u": self.u})


@njit
def _calls(h, x, y, n):
    for _ in range(n):
        h.call(x, y)


def _makers(equations, fg):
    """What makes a callable of the state, from SymPy's expressions, by name."""
    import sympy

    makers = {
        "fastgraph": lambda: equations.imported(fg),
        "lambdify": lambda: sympy.lambdify([equations.symbols], equations.entries, modules="math", cse=True),
    }
    try:
        import symengine
    except ImportError:
        print("pendulum: SymEngine is not installed", file=sys.stderr)
        return makers

    def by_symengine(backend):
        inputs, outputs = map(symengine.sympify, (equations.symbols, equations.entries))
        return symengine.Lambdify(inputs, outputs, cse=True, backend=backend)

    makers["symengine"] = lambda: by_symengine("lambda")
    if symengine.have_llvm:
        makers["symengine llvm"] = lambda: by_symengine("llvm")
    return makers


def pendulum(peers):
    """Import, calls with one state, and batches of states, of chains of pendulums."""
    fg = peers["fastgraph"].lib
    try:
        import sympy
    except ImportError:
        print("pendulum: SymPy is not installed", file=sys.stderr)
        return
    for n in LINKS:
        equations = Pendulum(n)
        x = np.random.default_rng(n).normal(size=2 * n)
        made, times = {}, {}
        for name, make in _makers(equations, fg).items():
            samples = []
            for _ in range(4):
                begun = time.perf_counter()
                made[name] = make()
                samples.append(time.perf_counter() - begun)
            times[name] = summary(samples[1:])  # the first loads modules, and compiles
        f = made.pop("fastgraph")
        h, y, wanted = f.numba, np.empty(n * n + n), f.flat(x)
        what = f"{n}-link pendulum, mass matrix and forcing, {f.program.n_operations:,} operations"
        yield Row(f"{what}: from SymPy's expressions", "ms", scaled(times, 1e-3))
        for name, call in made.items():
            assert np.allclose(call(x), wanted, rtol=1e-9, atol=1e-9), name
        _calls(h, x, y, 1)
        assert np.array_equal(y, wanted)
        runs = {"fastgraph": lambda f=f, x=x: f.flat(x), **{k: lambda c=c, x=x: c(x) for k, c in made.items()}}
        yield Row(f"{what}: a call from Python", "µs", scaled(interleaved(runs), 1e-6))
        taken = interleaved({"fastgraph": lambda h=h, x=x, y=y: _calls(h, x, y, 1_000)})
        yield Row(f"{what}: a call in an @njit loop", "µs", scaled(taken, 1e-3))
        states = np.random.default_rng(n).normal(size=(2 * n, STATES))
        by_numpy = sympy.lambdify([equations.symbols], equations.entries, modules="numpy", cse=True)
        assert np.allclose(by_numpy(states)[-1], f.flat(states, axis=0)[-1])
        out = np.empty((n * n + n, STATES))
        runs = {
            "fastgraph": lambda f=f, states=states, out=out: f.flat(states, axis=0, out=out),
            "lambdify": lambda by_numpy=by_numpy, states=states: by_numpy(states),
        }
        yield Row(f"{what}: {STATES:,} states", "ns a state", scaled(interleaved(runs), STATES * 1e-9))


GROUPS = {"pendulum": pendulum}
