"""Orbits by Runge-Kutta methods of the user's own: a batch of initial states, integrated whole in machine code.

The methods take a handle of the right-hand side, a function of n numbers with n outputs; time, where a slope depends on
it, is one more state whose slope is 1. Compiled once, they serve every system in every process.
"""

import math
import time

import numba
import numpy as np
from numba import njit, prange

import fastgraph as fg

# Dormand and Prince, A family of embedded Runge-Kutta formulae, J. Comp. Appl. Math. 6 (1980): the coefficients of the
# stages, the last of which is the solution of order 5, and how its weights differ from those of order 4.
STAGES = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
)
ERROR = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
# The interpolant of order 4 in DOPRI5: Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, II.6.
BEND = np.array(
    [
        -12715105075 / 11282082432, 0, 87487479700 / 32700410799, -10690763975 / 1880347072,
        701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423,
    ]
)  # fmt: skip
# Statuses. Not finite is a state, or its slope, at the start; what a thread lost, an error ended in a parallel loop.
DONE, STEP_TOO_SMALL, TOO_MANY_STEPS, NOT_FINITE, LOST = range(5)

compiled = njit(cache=True, error_model="numpy")  # a division by zero gives inf, and a step that is refused


@compiled
def rk4(h, starts, span, steps):
    """Advance copies of the states (N, n) by the classical method of order 4, in ``steps`` equal steps."""
    states, dt = starts.copy(), span / steps
    k, x = np.empty((4, states.shape[1])), np.empty(states.shape[1])
    for y in states:
        for _ in range(steps):
            h.call(y, k[0])
            for i in range(1, 4):
                part = dt if i == 3 else 0.5 * dt
                for j in range(len(y)):
                    x[j] = y[j] + part * k[i - 1, j]
                h.call(x, k[i])
            for j in range(len(y)):
                y[j] += dt / 6.0 * (k[0, j] + 2.0 * (k[1, j] + k[2, j]) + k[3, j])
    return states


@compiled
def step(h, y, dt, k, new):
    """One step of order 5 from ``y``, whose slope is k[0], to ``new``, whose slope will be k[6]."""
    for i in range(1, 7):
        for j in range(len(y)):
            slope = 0.0
            for s in range(i):
                slope += STAGES[i, s] * k[s, j]
            new[j] = y[j] + dt * slope
        h.call(new, k[i])


@compiled
def norm(v, y, new, rtol, atol):
    """The root of the mean square of ``v`` in units of what is tolerated; inf where ``new`` is not finite."""
    total = 0.0
    for j in range(len(v)):
        total += (v[j] / (atol + rtol * max(abs(y[j]), abs(new[j])))) ** 2
        if not math.isfinite(new[j]):
            return math.inf
    return math.sqrt(total / len(v))


@compiled
def first_step(h, y, k, x, v, rtol, atol):
    """A first step for order 5, from the slope k[0]; Hairer, Nørsett and Wanner, II.4."""
    size, speed = norm(y, y, y, rtol, atol), norm(k[0], y, y, rtol, atol)
    dt = 1e-6 if size < 1e-5 or speed < 1e-5 else 0.01 * size / speed
    x[:] = y + dt * k[0]
    h.call(x, k[1])
    v[:] = (k[1] - k[0]) / dt
    bend = max(speed, norm(v, y, x, rtol, atol))
    if not math.isfinite(bend):
        return 1e-3 * dt
    return min(100.0 * dt, (0.01 / bend) ** 0.2 if bend > 1e-15 else max(1e-6, 1e-3 * dt))


@compiled
def between(part, y, new, dt, k, out):
    """The state after a part of a step, to order 4."""
    for j in range(len(y)):
        rise, bend = new[j] - y[j], 0.0
        first = dt * k[0, j] - rise
        for s in range(7):
            bend += BEND[s] * k[s, j]
        last = rise - dt * k[6, j] - first + (1.0 - part) * dt * bend
        out[j] = y[j] + part * (rise + (1.0 - part) * (first + part * last))


@compiled
def integrate(h, start, times, rtol, atol, most, out):
    """Integrate one state from times[0] on, its values at all times in ``out``; the status and the number of steps.

    What the status leaves undone is NaN. The size of the steps is that of DOPRI5: errors of this and the last step.
    """
    n, at, steps, last_error, refused = len(start), 1, 0, 1e-4, False
    y, new, v, k = start.copy(), np.empty(n), np.empty(n), np.empty((7, n))
    out[0], out[1:] = y, np.nan
    t, end = times[0], times[-1]
    h.call(y, k[0])
    if not (np.isfinite(y).all() and np.isfinite(k[0]).all()):
        return NOT_FINITE, 0
    dt = first_step(h, y, k, new, v, rtol, atol)
    while at < len(times):
        if not t + 0.1 * dt > t:  # at a pole, or where there are no numbers beyond
            return STEP_TOO_SMALL, steps
        if steps == most:
            return TOO_MANY_STEPS, steps
        steps += 1
        is_last = t + 1.01 * dt >= end
        if is_last:
            dt = end - t
        step(h, y, dt, k, new)
        for j in range(n):
            v[j] = 0.0
            for s in range(7):
                v[j] += dt * ERROR[s] * k[s, j]
        error = norm(v, y, new, rtol, atol)
        if error <= 1.0:
            after = end if is_last else t + dt
            while at < len(times) and times[at] <= after:
                between((times[at] - t) / dt, y, new, dt, k, out[at])
                at += 1
            t = after
            y[:], k[0] = new, k[6]
            factor = 0.9 * max(error, 1e-10) ** -0.17 * last_error**0.04
            dt *= min(max(factor, 0.2), 1.0 if refused else 10.0)
            last_error, refused = max(error, 1e-4), False
        else:
            dt *= max(0.2, 0.9 * error**-0.17) if math.isfinite(error) else 0.2
            refused = True
    return DONE, steps


@compiled
def room(h, starts, times):
    """States, statuses and steps of a batch, to be filled, after a look at what is given.

    An error in a parallel loop goes unheard, so what there is to be wrong must be found before.
    """
    n_sets, n = starts.shape
    for y in starts[:1]:
        h.call(y, np.empty(n))
    for at in range(1, len(times)):
        if not times[at] > times[at - 1]:
            raise ValueError("times must increase")
    return np.full((n_sets, len(times), n), np.nan), np.full(n_sets, LOST), np.zeros(n_sets, np.int64)


@compiled
def solve(h, starts, times, rtol, atol, most=100_000):
    """Integrate every row of ``starts`` (N, n): states (N, len(times), n), statuses and numbers of steps (N,).

    A step is accepted where the error of the states is at most ``atol + rtol * |state|`` in the mean; ``most`` steps
    are tried for a row.
    """
    states, statuses, steps = room(h, starts, times)
    for i in range(len(starts)):
        statuses[i], steps[i] = integrate(h, starts[i], times, rtol, atol, most, states[i])
    return states, statuses, steps


@njit(cache=True, parallel=True)
def solve_in_parallel(handles, starts, times, rtol, atol, most=100_000):
    """:func:`solve` on all threads, each with a handle of its own: as many as ``numba.get_num_threads()``."""
    states, statuses, steps = room(handles[0], starts, times)
    for i in prange(len(starts)):
        h = handles[numba.get_thread_id()]
        statuses[i], steps[i] = integrate(h, starts[i], times, rtol, atol, most, states[i])
    return states, statuses, steps


MOON = 0.012277471  # of the mass of earth and moon
ARENSTORF = np.array([0.994, 0.0, 0.0, -2.00158510637908252240537862224])  # of period 17.06…: Hairer et al., II.0
PERIOD = 17.0652165601579625588917206249


def spacecraft(state):
    """Slopes of place and velocity near earth and moon, which rest: the restricted problem of three bodies."""
    x, y, u, v = state
    to_earth = np.sqrt((x + MOON) ** 2 + y * y) ** 3 / (1.0 - MOON)
    to_moon = np.sqrt((x + MOON - 1.0) ** 2 + y * y) ** 3 / MOON
    return [
        u,
        v,
        x + 2.0 * v - (x + MOON) / to_earth - (x + MOON - 1.0) / to_moon,
        y - 2.0 * u - y / to_earth - y / to_moon,
    ]


def planet(state):
    """Slopes of place and velocity around a sun in the origin."""
    x, y, u, v = state
    cubed = np.sqrt(x * x + y * y) ** 3
    return [u, v, -x / cubed, -y / cubed]


def ellipses(n):
    """States nearest to the sun, of orbits with period 2 pi and eccentricities up to 0.9."""
    e = np.linspace(0.0, 0.9, n)
    return np.column_stack([1.0 - e, 0.0 * e, 0.0 * e, np.sqrt((1.0 + e) / (1.0 - e))])


def main():
    """Orbits must close after their period, and planets keep their energy."""
    craft = fg.trace(spacecraft, 4).numba
    states, statuses, steps = solve(craft, ARENSTORF[None], np.array([0.0, PERIOD]), 1e-12, 1e-12)
    gap = np.abs(states[0, -1] - ARENSTORF).max()
    print(f"Arenstorf's orbit is done: {statuses[0] == DONE}; {steps[0]:,} steps close it to 1e-7: {gap < 1e-7}")

    starts, times = ellipses(2000), np.linspace(0.0, 2.0 * np.pi, 9)
    handle = fg.trace(planet, 4).numba
    handles = tuple(handle.clone() for _ in range(numba.get_num_threads()))
    solve_in_parallel(handles, starts[:2], times, 1e-11, 1e-11)  # loads the compiled code
    begin = time.perf_counter()
    states, statuses, steps = solve_in_parallel(handles, starts, times, 1e-11, 1e-11)
    took = time.perf_counter() - begin
    x, y, u, v = np.moveaxis(states, -1, 0)
    gap = np.abs(states[:, -1] - starts).max()
    drift = np.abs(0.5 * (u * u + v * v) - 1.0 / np.hypot(x, y) + 0.5).max()
    print(f"{len(starts):,} planets, {steps.sum():,} steps, {took:.2f} s, all done: {not statuses.any()}")
    print(f"their orbits close to 1e-6: {gap < 1e-6}; their energies stay to 1e-9: {drift < 1e-9}")
    gap = np.abs(rk4(handle, starts[:1000], 2.0 * np.pi, 2000) - starts[:1000]).max()
    print(f"half of them, by 2,000 steps of the classical method, to 1e-8: {gap < 1e-8}")


if __name__ == "__main__":
    main()
