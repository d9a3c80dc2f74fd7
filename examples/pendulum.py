"""A chain of five pendulums: SymPy derives its equations of motion, and compiled code integrates them.

Kane's method gives a mass matrix M and a forcing f with M du/dt = f. Both are imported, the system is solved inside of
the graph, and a Runge-Kutta step written in plain Numba calls the result through its handle. Energy tells how well.
"""

import numpy as np
from numba import njit
from sympy import cos
from sympy.physics.mechanics import KanesMethod, Particle, Point, ReferenceFrame, dynamicsymbols

import fastgraph as fg

LINKS = 5


def equations(n):
    """Angles and rates of n unit masses on unit rods; mass matrix, forcing and energy."""
    q, u = dynamicsymbols(f"q:{n}"), dynamicsymbols(f"u:{n}")
    frame, point = ReferenceFrame("A"), Point("O")
    point.set_vel(frame, 0)
    particles, loads, energy = [], [], 0
    for k in range(n):
        rod = frame.orientnew(f"B{k}", "Axis", [q[k], frame.z])
        rod.set_ang_vel(frame, u[k] * frame.z)
        end = point.locatenew(f"P{k}", rod.x)  # the x axis points down
        end.v2pt_theory(point, frame, rod)
        particles.append(Particle(f"p{k}", end, 1))
        loads.append((end, frame.x))
        energy += particles[-1].kinetic_energy(frame) - sum(cos(angle) for angle in q[: k + 1])
        point = end
    method = KanesMethod(frame, q, u, kd_eqs=[rate - angle.diff() for angle, rate in zip(q, u, strict=True)])
    method.kanes_equations(particles, loads)
    return q, u, method.mass_matrix, method.forcing, energy


q, u, mass, forcing, energy = equations(LINKS)
terms = fg.from_sympy((mass, forcing), {"q": q, "u": u})
total = fg.from_sympy(energy, {"q": q, "u": u})

# A Function called with expressions becomes a part of their graph.
graph = fg.Graph("rates")
angles, rates = graph.input("q", shape=LINKS), graph.input("u", shape=LINKS)
m, f = terms(angles, rates)
graph.output(rates, name="dq")
graph.output(np.linalg.solve(m, f[:, 0]), name="du")
motion = graph.compile()
print(f"{LINKS} links: {terms.program.n_operations} operations from SymPy, {motion.program.n_operations} when solved")


@njit
def integrate(h, x, step, steps):
    """Runge and Kutta's method of order four."""
    k1, k2, k3, k4 = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for _ in range(steps):
        h.call(x, k1)
        h.call(x + 0.5 * step * k1, k2)
        h.call(x + 0.5 * step * k2, k3)
        h.call(x + step * k3, k4)
        x += step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


state = np.concatenate([np.linspace(1.0, 2.0, LINKS), np.zeros(LINKS)])
before = total.flat(state)
integrate(motion.numba, state, 1e-3, 10_000)
drift = abs(total.flat(state) - before) / abs(before)
print(f"after 10 s in 10,000 steps: energy has changed by less than 1e-8 of itself: {drift < 1e-8}")

# The same graph gives what an implicit integrator, or an estimator of states, asks for.
slopes = motion.flat.jacobian(state)
nudge = 1e-6 * np.eye(2 * LINKS)
differences = (motion.flat(state + nudge) - motion.flat(state - nudge)).T / 2e-6
print(f"Jacobian beside differences: {np.abs(slopes - differences).max() < 1e-6 * np.abs(slopes).max()}")
