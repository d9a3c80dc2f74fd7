"""Rows of the report about solvers: what exact, quick derivatives and slopes in machine code save a whole solution.

In: the installed peers. Out: ``Row``s, as in ``bench.rows``; every callable has passed a gate before it is timed.
"""

import importlib
import importlib.util
from contextlib import nullcontext
from functools import partial

import numba
import numpy as np
from numba.experimental import jitclass

from bench.rows import Row, scaled
from bench.timing import interleaved
from examples import ode
from fastgraph.timing import digits

VARIABLES, GRADIENT_NORM = 1000, 1e-5  # the norm: the largest entry, where L-BFGS-B ends
STARTS = {
    "2": np.full(VARIABLES, 2.0),
    "the usual start": np.where(np.arange(VARIABLES) % 2, 1.0, -1.2),
}
ORBITS, TOLERANCE, PERIOD = 2000, 1e-9, 2.0 * np.pi
FEW = 40  # orbits that are enough to time SciPy's


def rosenbrock(x):
    """Rosenbrock's function, of NumPy's arrays and of those that behave like them."""
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


# -- minimising -----------------------------------------------------------------------------------------------
def objectives(peers, n):
    """For each peer what gives value and gradient of Rosenbrock's function of ``n`` variables to SciPy's solvers."""
    fg = peers["fastgraph"].lib
    makers = {"jax": _of_jax, "casadi": _of_casadi, "autograd": _of_autograd, "numpy": _of_numpy}
    made = {"fastgraph": fg.scipy.objective(fg.trace(rosenbrock, n))}
    return made | {name: make(peers[name], n) for name, make in makers.items() if name in peers}


def _of_jax(peer, n):
    compiled = peer.lib.jit(peer.lib.value_and_grad(rosenbrock))

    def objective(x):
        value, gradient = compiled(x)
        return float(value), np.asarray(gradient)

    return objective


def _of_casadi(peer, n):
    ca, x = peer.lib, peer.lib.SX.sym("x", n)
    y = ca.sumsqr(10.0 * (x[1:] - x[:-1] ** 2)) + ca.sumsqr(1.0 - x[:-1])
    buffer, evaluate = ca.Function("f", [x], [y, ca.gradient(y, x)]).buffer()
    point, value, gradient = np.empty(n), np.empty(1), np.empty(n)
    buffer.set_arg(0, memoryview(point))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def objective(x):
        point[:] = x
        evaluate()
        return value[0], gradient.copy()

    objective.keep = buffer
    return objective


def _of_autograd(peer, n):
    return peer.lib.value_and_grad(rosenbrock)


def _of_numpy(peer, n):
    """The gradient by hand, as SciPy has it."""
    optimize = importlib.import_module("scipy.optimize")
    return lambda x: (optimize.rosen(x), optimize.rosen_der(x))


def minimisation(fun, jac, start):
    """A callable that minimises by L-BFGS-B."""
    minimize = importlib.import_module("scipy.optimize").minimize
    options = {"gtol": GRADIENT_NORM, "ftol": 0.0, "maxiter": 100_000, "maxfun": 10_000_000}
    return lambda: minimize(fun, start, jac=jac, method="L-BFGS-B", options=options)


def check_objective(name, fun, x):
    """The gate: raise AssertionError unless value and gradient are what SciPy's formulas give."""
    expected = _of_numpy(None, len(x))(x)
    for what, got, wanted in zip(("value", "gradient"), fun(x), expected, strict=True):
        error = np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max()
        assert error <= 1e-12, f"{name}: the {what} is off by {error:.1e}"


def check_minimum(name, result):
    """The gate: raise AssertionError unless the solver ended at the minimum, which is 0 at ones."""
    assert result.success, f"{name}: {result.message}"
    error = np.abs(result.x - 1.0).max()
    assert error <= 1e-4, f"{name}: the minimum is off by {error:.1e}"


def one_thread():
    """BLAS on one thread: OpenBLAS shares vectors of 1,000 numbers, and the threads wait for each other.

    A solution from the usual start takes 0.5 s on one thread, 0.7 on two, and 12 if others use the cores.
    """
    try:
        return importlib.import_module("threadpoolctl").threadpool_limits(1, "blas")
    except ImportError:
        return nullcontext()


def minimising(peers):
    """Rosenbrock's function by SciPy's L-BFGS-B, with the derivatives of every peer; milliseconds a solution."""
    if not _scipy():
        yield Row("minimising by L-BFGS-B", "ms", {}, extra="left out: SciPy is not installed")
        return
    made = objectives(peers, VARIABLES)
    for peer, fun in made.items():
        check_objective(peer, fun, np.linspace(-1.5, 1.5, VARIABLES))
    for name, start in STARTS.items():
        runs, notes = {peer: minimisation(fun, True, start) for peer, fun in made.items()}, []
        if name == "2":
            runs["finite differences"] = minimisation(rosenbrock, "2-point", start)
        else:
            notes.append("finite differences are left out, which take minutes")
        with one_thread():
            results = {peer: run() for peer, run in runs.items()}
            for peer, result in results.items():
                check_minimum(peer, result)
            times = scaled(interleaved(runs, rounds=5, least=0.0), 1e-3)
        once = interleaved({peer: partial(fun, start) for peer, fun in made.items()}, rounds=5)
        notes.append("calls: " + ", ".join(f"{peer} {result.nfev:,}" for peer, result in results.items()))
        notes.append("µs a call: " + ", ".join(f"{peer} {digits(t.median * 1e6)}" for peer, t in once.items()))
        what = f"Rosenbrock's function of {VARIABLES:,} variables minimised by L-BFGS-B from {name}"
        yield Row(what, "ms", times, extra="; ".join(notes))


# -- orbits ---------------------------------------------------------------------------------------------------
def by_hand():
    """A handle's method written by hand: the slopes of a planet, for the integrators of ``examples/ode.py``."""

    @jitclass([])
    class Planet:
        def __init__(self):
            pass

        def call(self, s, slopes):
            cubed = np.sqrt(s[0] * s[0] + s[1] * s[1]) ** 3
            slopes[0], slopes[1] = s[2], s[3]
            slopes[2], slopes[3] = -s[0] / cubed, -s[1] / cubed

    return Planet()


def _of_scipy(starts, tolerance):
    solve_ivp = importlib.import_module("scipy.integrate").solve_ivp

    def planet(t, s):
        x, y, u, v = s
        cubed = (x * x + y * y) ** 1.5
        return [u, v, -x / cubed, -y / cubed]

    def run():
        options = {"method": "RK45", "rtol": tolerance, "atol": tolerance}
        return np.array([solve_ivp(planet, (0.0, PERIOD), s, **options).y[:, -1] for s in starts])

    return run


def _of_heyoka(peer, starts, tolerance):
    """Taylor's method, as many orbits at once as a vector holds."""
    hy = peer.lib
    x, y, u, v = hy.make_vars("x", "y", "u", "v")
    cubed = (x * x + y * y) ** 1.5
    system = [(x, u), (y, v), (u, -x / cubed), (v, -y / cubed)]
    lanes = hy.recommended_simd_size()
    n = len(starts)
    padded = np.resize(starts, (-(-n // lanes) * lanes, 4))
    solver = hy.taylor_adaptive_batch(system, np.ascontiguousarray(padded[:lanes].T), tol=tolerance)
    ends, to = np.empty(padded.shape), [PERIOD] * lanes

    def run():
        for at in range(0, len(padded), lanes):
            solver.set_time(0.0)
            solver.state[:] = padded[at : at + lanes].T
            solver.propagate_until(to)
            ends[at : at + lanes] = solver.state.T
        return ends[:n]

    return run


def check_orbits(name, ends, starts):
    """The gate: raise AssertionError unless all orbits close; the largest gap."""
    gap = np.abs(ends - starts).max()
    assert gap <= 1e-4, f"{name}: orbits do not close, by {gap:.1e}"
    return gap


def orbits(peers, n=ORBITS, n_few=FEW):
    """One period of planets, each integrated by itself to one tolerance; microseconds an orbit."""
    starts, times = ode.ellipses(n), np.array([0.0, PERIOD])
    few = starts[:: n // n_few]
    handle = peers["fastgraph"].lib.trace(ode.planet, 4).numba
    handles = tuple(handle.clone() for _ in range(numba.get_num_threads()))
    written = by_hand()
    runs = {
        "fastgraph": (starts, lambda: ode.solve(handle, starts, times, TOLERANCE, TOLERANCE)[0][:, -1]),
        "numba": (starts, lambda: ode.solve(written, starts, times, TOLERANCE, TOLERANCE)[0][:, -1]),
    }
    if _scipy():
        runs["scipy"] = few, _of_scipy(few, TOLERANCE)
    if "heyoka" in peers:
        runs["heyoka"] = starts, _of_heyoka(peers["heyoka"], starts, TOLERANCE)
    gaps = {name: check_orbits(name, run(), given) for name, (given, run) in runs.items()}
    times_taken = interleaved({name: run for name, (_, run) in runs.items()}, rounds=5)
    results = {name: t / (len(runs[name][0]) * 1e-6) for name, t in times_taken.items()}
    note = "gaps at the end: " + ", ".join(f"{name} {gap:.0e}" for name, gap in gaps.items())
    what = f"one period of {n:,} planets by Dormand and Prince's method to {TOLERANCE:g}"
    yield Row(f"{what}, one thread", "µs an orbit", results, extra=f"{note}; heyoka's method is Taylor's")

    def parallel():
        return ode.solve_in_parallel(handles, starts, times, TOLERANCE, TOLERANCE)[0][:, -1]

    assert np.array_equal(parallel(), runs["fastgraph"][1]())
    yield Row(f"{what}, {len(handles)} threads", "µs an orbit",
              scaled(interleaved({"fastgraph": parallel}, rounds=5), n * 1e-6))  # fmt: skip


def _scipy():
    """Whether SciPy is installed."""
    return importlib.util.find_spec("scipy") is not None


def solvers(peers):
    """All of them."""
    for group in (minimising, orbits):
        yield from group(peers)


GROUPS = {"solvers": solvers}
