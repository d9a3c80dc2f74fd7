"""The Runge-Kutta methods of ``examples/ode.py``: their orders, errors and failures, alone, in batches, in threads."""

import math

import numpy as np
import pytest
from numba import njit

import fastgraph as fg
from examples import ode
from tests import subprocesses
from tests.bits import assert_same_bits

START = ode.ellipses(10)[3:4]  # of eccentricity 0.3


def handle(slopes, n):
    return fg.trace(slopes, n).numba


def lorenz(state):
    x, y, z = state
    return [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]


def forced(state):
    """A pendulum that is pushed: time is the last state."""
    angle, speed, t = state
    return [speed, -np.sin(angle) + 0.5 * np.cos(1.3 * t), 0.0 * t + 1.0]


def square(state):
    return [state[0] ** 2]


def walled(state):
    """No number beyond 1, and an eternal rise before."""
    return [1.0 + 0.0 * np.sqrt(1.0 - state[0])]


def van_der_pol(state):
    x, v = state
    return [v, 1e6 * (1.0 - x * x) * v - x]


@njit(cache=True)
def fixed(h, start, span, steps):
    """Steps of equal size of the method of order 5."""
    y, new, k = start.copy(), np.empty(len(start)), np.empty((7, len(start)))
    h.call(y, k[0])
    for _ in range(steps):
        ode.step(h, y, span / steps, k, new)
        y[:], k[0] = new, k[6]
    return y


@njit(cache=True)
def within(h, start, dt, part):
    """The interpolant at a part of one step."""
    new, out, k = np.empty(len(start)), np.empty(len(start)), np.empty((7, len(start)))
    h.call(start, k[0])
    ode.step(h, start, dt, k, new)
    ode.between(part, start, new, dt, k, out)
    return out, new


def on_ellipse(t, e=0.3):
    """Place and velocity by Kepler's equation."""
    anomaly = t
    for _ in range(50):
        anomaly -= (anomaly - e * math.sin(anomaly) - t) / (1.0 - e * math.cos(anomaly))
    b, speed = math.sqrt(1.0 - e * e), 1.0 / (1.0 - e * math.cos(anomaly))
    return np.array(
        [math.cos(anomaly) - e, b * math.sin(anomaly), -math.sin(anomaly) * speed, b * math.cos(anomaly) * speed]
    )


def order(errors):
    """The exponents that errors of half the step follow from one to the next."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_orders():
    h, span = handle(ode.planet, 4), 3.0
    exact = on_ellipse(span)
    for method, p in ((lambda n: ode.rk4(h, START, span, n)[0], 4), (lambda n: fixed(h, START[0], span, n), 5)):
        assert order([np.abs(method(n) - exact).max() for n in (80, 160, 320)]) == pytest.approx(p, abs=0.15)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_order_between(part):
    """The error of the interpolant in one step is of order 5, one more than its own."""
    h, sizes = handle(ode.planet, 4), (0.08, 0.04, 0.02)
    errors = [np.abs(within(h, START[0], dt, part)[0] - on_ellipse(part * dt)).max() for dt in sizes]
    assert (order(errors) > 4.8).all()
    for part in (0.0, 1.0):
        out, new = within(h, START[0], 0.1, part)
        assert out == pytest.approx([START[0], new][int(part)], rel=1e-15, abs=1e-16)


def test_a_step_is_scipys():
    """The stages, the next state and the estimate of the error, to rounding."""
    integrate = pytest.importorskip("scipy.integrate")
    pair, slopes = integrate.RK45, fg.trace(lorenz, 3)
    y, dt, new, k = np.array([1.0, 2.0, 20.0]), 0.01, np.empty(3), np.empty((7, 3))
    k[0] = slopes.flat(y)
    ode.step(slopes.numba, y, dt, k, new)
    expected = np.empty((7, 3))
    expected[0] = k[0]
    for i in range(1, 6):
        expected[i] = lorenz(y + dt * pair.A[i, :i] @ expected[:i])
    end = y + dt * pair.B @ expected[:6]
    expected[6] = lorenz(end)
    assert new == pytest.approx(end, rel=1e-15)
    assert k == pytest.approx(expected, rel=1e-13)
    # SciPy takes the order 5 from the order 4.
    assert ode.ERROR @ expected == pytest.approx(-(pair.E @ expected), rel=1e-9)


@pytest.mark.parametrize(
    ("slopes", "start", "end"),
    [(lorenz, [1.0, 2.0, 20.0], 2.0), (forced, [0.5, 0.0, 0.0], 20.0), (ode.spacecraft, ode.ARENSTORF, 6.0)],
)
def test_agrees_with_scipy(slopes, start, end):
    integrate = pytest.importorskip("scipy.integrate")
    start, times = np.array(start), np.linspace(0.0, end, 30)
    tight = {"rtol": 1e-13, "atol": 1e-14, "t_eval": times}
    exact = integrate.solve_ivp(lambda t, y: np.array(slopes(y)), (0.0, end), start, method="DOP853", **tight)
    states, statuses, _ = ode.solve(handle(slopes, len(start)), start[None], times, 1e-10, 1e-10)
    assert statuses[0] == ode.DONE
    theirs = integrate.solve_ivp(
        lambda t, y: np.array(slopes(y)), (0.0, end), start, method="RK45", rtol=1e-10, atol=1e-10, t_eval=times
    )
    # The same pair of formulas with another control of the step: errors of the same size.
    ours, others = (np.abs(y - exact.y).max() for y in (states[0].T, theirs.y))
    assert ours <= 3.0 * others
    assert ours < 1e-6


def test_errors_follow_the_tolerance():
    h, exact, gaps, counts = handle(ode.planet, 4), on_ellipse(6.0), [], []
    tolerances = 10.0 ** -np.arange(3, 12)
    for tolerance in tolerances:
        states, _, steps = ode.solve(h, START, np.array([0.0, 6.0]), tolerance, tolerance)
        gaps.append(np.abs(states[0, -1] - exact).max())
        counts.append(steps[0])
    assert np.all(np.array(gaps) < 100.0 * tolerances)
    assert np.polyfit(np.log10(tolerances), np.log10(gaps), 1)[0] == pytest.approx(1.0, abs=0.15)
    # The work of a method of order 5.
    assert np.polyfit(np.log10(tolerances[4:]), np.log10(counts[4:]), 1)[0] == pytest.approx(-0.2, abs=0.02)


def test_times_between_do_not_change_the_steps():
    h, times = handle(ode.planet, 4), np.linspace(0.0, 6.0, 301)
    dense, _, steps = ode.solve(h, START, times, 1e-9, 1e-9)
    sparse, _, again = ode.solve(h, START, times[[0, -1]], 1e-9, 1e-9)
    assert steps == again < len(times)
    assert_same_bits(dense[0, [0, -1]], sparse[0])
    assert np.abs(dense[0] - [on_ellipse(t) for t in times]).max() < 1e-7


def test_a_pole_is_reported():
    """y' = y² from 1 ends at 1: what comes before is right, what comes after is not there."""
    times = np.array([0.0, 0.5, 0.999, 1.5, 2.0])
    states, statuses, steps = ode.solve(handle(square, 1), np.ones((1, 1)), times, 1e-10, 1e-10)
    assert statuses[0] == ode.STEP_TOO_SMALL and steps[0] < 5000
    assert states[0, :3, 0] == pytest.approx(1.0 / (1.0 - times[:3]), rel=1e-7)
    assert np.isnan(states[0, 3:]).all()


@pytest.mark.parametrize(
    ("slopes", "start", "status"),
    [
        (walled, [0.0], ode.STEP_TOO_SMALL),
        (walled, [2.0], ode.NOT_FINITE),
        (walled, [np.inf], ode.NOT_FINITE),
        (square, [np.nan], ode.NOT_FINITE),
        (square, [1e200], ode.NOT_FINITE),
        (van_der_pol, [2.0, 0.0], ode.TOO_MANY_STEPS),
    ],
)
def test_what_cannot_be_done_ends(slopes, start, status):
    states, statuses, steps = ode.solve(
        handle(slopes, len(start)), np.array([start]), np.array([0.0, 0.5, 3.0]), 1e-8, 1e-8, 5000
    )
    assert statuses[0] == status and steps[0] <= 5000
    assert_same_bits(states[0, 0], np.array(start))
    assert np.isnan(states[0, -1]).all()
    if start == [0.0]:
        assert states[0, 1, 0] == pytest.approx(0.5, rel=1e-15)


def test_a_tolerance_of_nothing_ends():
    _, statuses, steps = ode.solve(handle(square, 1), np.zeros((1, 1)), np.array([0.0, 1.0]), 1e-8, 0.0)
    assert statuses[0] == ode.STEP_TOO_SMALL and steps[0] < 5000


@pytest.mark.parametrize("times", [[0.0, 1.0, 1.0], [1.0, 0.0], [0.0, np.nan]])
def test_times_that_do_not_increase_are_refused(times):
    with pytest.raises(ValueError, match="times must increase"):
        ode.solve(handle(square, 1), np.zeros((1, 1)), np.array(times), 1e-8, 1e-8)


def test_slopes_of_another_number_are_refused():
    with pytest.raises(ValueError, match="as many elements"):
        ode.rk4(handle(lorenz, 3), np.zeros((2, 4)), 1.0, 2)
    with pytest.raises(ValueError, match="as many elements"):
        ode.solve(handle(lorenz, 3), np.zeros((2, 4)), np.array([0.0, 1.0]), 1e-8, 1e-8)
    with pytest.raises(ValueError, match="must be as many as the function has outputs"):
        ode.solve(handle(lambda y: [y[0]], 2), np.zeros((1, 2)), np.array([0.0, 1.0]), 1e-8, 1e-8)


def mixed():
    """Poles early, late and never; and times."""
    return np.array([[1.0], [0.1], [-3.0], [np.nan], [0.5], [0.0], [-1e-3]]), np.array([0.0, 0.7, 1.9, 2.5])


def test_a_batch_is_its_rows():
    starts, times = mixed()
    h = handle(square, 1)
    batch = ode.solve(h, starts, times, 1e-9, 1e-9)
    assert batch[1].tolist() == [1, 0, 0, 3, 1, 0, 0]
    for i in range(len(starts)):
        for got, expected in zip(ode.solve(h, starts[i : i + 1], times, 1e-9, 1e-9), batch, strict=True):
            assert_same_bits(got[0], expected[i])
    starts = ode.ellipses(5)
    h = handle(ode.planet, 4)
    batch = ode.rk4(h, starts, 1.0, 50)
    for i in range(len(starts)):
        assert_same_bits(ode.rk4(h, starts[i : i + 1], 1.0, 50)[0], batch[i])
    assert_same_bits(starts, ode.ellipses(5))


def test_one_compilation_serves_all_systems():
    times = np.array([0.0, 0.1])
    ode.solve(handle(square, 1), np.ones((2, 1)), times, 1e-6, 1e-6)
    compiled = len(ode.solve.signatures)
    for slopes, n in ((lorenz, 3), (forced, 3), (ode.planet, 4)):
        ode.solve(handle(slopes, n), np.ones((2, n)), times, 1e-6, 1e-6)
    assert len(ode.solve.signatures) == compiled


PARALLEL = """
    import numba
    from examples import ode
    from tests.test_ode import handle, mixed, square
    planets = (handle(ode.planet, 4), ode.ellipses(101), np.linspace(0.0, 6.0, 7))
    for h, starts, times in (planets, (handle(square, 1), *mixed())):
        handles = tuple(h.clone() for _ in range(numba.get_num_threads()))
        serial = ode.solve(h, starts, times, 1e-9, 1e-9)
        for _ in range(3):
            parallel = ode.solve_in_parallel(handles, starts, times, 1e-9, 1e-9)
            print(same_bits(serial[0], parallel[0]) and all((a == b).all() for a, b in zip(serial[1:], parallel[1:])))
    try:
        ode.solve_in_parallel(handles, np.zeros((3, 2)), mixed()[1], 1e-9, 1e-9)
    except ValueError:
        print("refused")
    try:
        states, statuses, _ = ode.solve_in_parallel(handles[:1], *mixed(), 1e-9, 1e-9)
        lost = statuses == ode.LOST
        print(lost.any() and not lost.all() and np.isnan(states[lost]).all())
    except IndexError:  # of a Numba that tells
        print(True)
"""


def test_parallel_is_serial():
    """In a process of its own: Numba's threads do not bear a fork, as other tests make them."""
    assert subprocesses.run(PARALLEL, NUMBA_NUM_THREADS="2") == [*["True"] * 6, "refused", "True"]
