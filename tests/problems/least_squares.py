"""Least squares: the sums of squares of Moré, Garbow and Hillstrom (ACM TOMS 7, 1981), with its starts and minima.

In: nothing. Out: ``ROWS``. Functions are those of the paper's section 3 in NumPy, minima those it prints; a problem
of free size appears with a size whose minimum is printed.
"""

import numpy as np

from tests.problems import LeastSquares


def rosenbrock(x):
    return np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


def freudenstein_roth(x):
    return np.array([
        -13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1],
        -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1],
    ])  # fmt: skip


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1.0, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2.0])


def beale(x):
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1.0 - x[1] ** np.arange(1, 4))


def jennrich_sampson(x):
    i = np.arange(1.0, 11.0)
    return 2.0 + 2.0 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    angle = np.arctan(x[1] / x[0]) / (2.0 * np.pi)
    turn = np.where(x[0] > 0.0, angle, angle + 0.5)
    return np.array([10.0 * (x[2] - 10.0 * turn), 10.0 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1.0), x[2]])


BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


def bard(x):
    u = np.arange(1.0, 16.0)
    v = 16.0 - u
    return BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


GAUSSIAN = np.array([0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989])


def gaussian(x):
    t = (8.0 - np.arange(1.0, 16.0)) / 2.0
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2.0) - np.concatenate([GAUSSIAN, GAUSSIAN[-2::-1]])


MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)


def meyer(x):
    t = 45.0 + 5.0 * np.arange(1.0, 17.0)
    return x[0] * np.exp(x[1] / (t + x[2])) - MEYER


def gulf(x):
    """With |y - x2| as the paper means it (it prints y m i x2), and as the root of a square, which has no corner."""
    t = np.arange(1.0, 100.0) / 100.0
    y = 25.0 + (-50.0 * np.log(t)) ** (2.0 / 3.0)
    return np.exp(-(((y - x[1]) ** 2) ** (x[2] / 2.0)) / x[0]) - t


def box(x):
    t = np.arange(1.0, 11.0) / 10.0
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10.0 * t))


def powell_singular(x):
    return np.array([
        x[0] + 10.0 * x[1],
        np.sqrt(5.0) * (x[2] - x[3]),
        (x[1] - 2.0 * x[2]) ** 2,
        np.sqrt(10.0) * (x[0] - x[3]) ** 2,
    ])  # fmt: skip


def wood(x):
    return np.array([
        10.0 * (x[1] - x[0] ** 2),
        1.0 - x[0],
        np.sqrt(90.0) * (x[3] - x[2] ** 2),
        1.0 - x[2],
        np.sqrt(10.0) * (x[1] + x[3] - 2.0),
        (x[1] - x[3]) / np.sqrt(10.0),
    ])  # fmt: skip


KOWALIK = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])


def kowalik_osborne(x):
    u = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.1670, 0.1250, 0.1000, 0.0833, 0.0714, 0.0625])
    return KOWALIK - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x):
    t = np.arange(1.0, 21.0) / 5.0
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


OSBORNE_1 = np.array([
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
    0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411,
    0.406,
])  # fmt: skip


def osborne_1(x):
    t = 10.0 * np.arange(33.0)
    return OSBORNE_1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def biggs(x):
    t = np.arange(1.0, 14.0) / 10.0
    y = np.exp(-t) - 5.0 * np.exp(-10.0 * t) + 3.0 * np.exp(-4.0 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


OSBORNE_2 = np.array([
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
    0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423,
    0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
    0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
    0.054,
])  # fmt: skip


def osborne_2(x):
    t = np.arange(65.0)[:, None] / 10.0
    bumps = np.exp(-((t - x[8:]) ** 2) * x[5:8]) @ x[1:4]
    return OSBORNE_2 - (x[0] * np.exp(-t[:, 0] * x[4]) + bumps)


def watson(x):
    t = np.arange(1.0, 30.0)[:, None] / 29.0
    j = np.arange(len(x))
    slope = t ** np.maximum(j - 1, 0) * j
    return np.concatenate([slope @ x - (t**j @ x) ** 2 - 1.0, [x[0], x[1] - x[0] ** 2 - 1.0]])


def extended_rosenbrock(x):
    return np.concatenate([10.0 * (x[1::2] - x[::2] ** 2), 1.0 - x[::2]])


def extended_powell(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate([
        a + 10.0 * b, np.sqrt(5.0) * (c - d), (b - 2.0 * c) ** 2, np.sqrt(10.0) * (a - d) ** 2
    ])  # fmt: skip


def penalty_1(x):
    return np.append(np.sqrt(1e-5) * (x - 1.0), x @ x - 0.25)


def penalty_2(x):
    n, root = len(x), np.sqrt(1e-5)
    i = np.arange(2.0, n + 1.0)
    y = np.exp(i / 10.0) + np.exp((i - 1.0) / 10.0)
    return np.concatenate([
        [x[0] - 0.2],
        root * (np.exp(x[1:] / 10.0) + np.exp(x[:-1] / 10.0) - y),
        root * (np.exp(x[1:] / 10.0) - np.exp(-0.1)),
        [np.arange(n, 0.0, -1.0) @ x**2 - 1.0],
    ])  # fmt: skip


def variably_dimensioned(x):
    total = np.arange(1.0, len(x) + 1.0) @ (x - 1.0)
    return np.concatenate([x - 1.0, [total, total**2]])


def trigonometric(x):
    n = len(x)
    return n - np.sum(np.cos(x)) + np.arange(1.0, n + 1.0) * (1.0 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    n = len(x)
    return np.append(x[:-1] + np.sum(x) - (n + 1.0), np.prod(x) - 1.0)


def discrete_boundary_value(x):
    n = len(x)
    t = np.arange(1.0, n + 1.0) / (n + 1.0)
    wide = np.concatenate([[0.0], x, [0.0]])
    return 2.0 * x - wide[:-2] - wide[2:] + (x + t + 1.0) ** 3 / (2.0 * (n + 1.0) ** 2)


def discrete_integral_equation(x):
    n = len(x)
    t = np.arange(1.0, n + 1.0) / (n + 1.0)
    kernel = np.where(t[:, None] >= t, (1.0 - t[:, None]) * t, t[:, None] * (1.0 - t))
    return x + kernel @ (x + t + 1.0) ** 3 / (2.0 * (n + 1.0))


def start_of_discrete(n):
    t = np.arange(1.0, n + 1.0) / (n + 1.0)
    return tuple(t * (t - 1.0))


def broyden_tridiagonal(x):
    wide = np.concatenate([[0.0], x, [0.0]])
    return (3.0 - 2.0 * x) * x - wide[:-2] - 2.0 * wide[2:] + 1.0


def broyden_banded(x):
    i = np.arange(len(x))
    apart = i - i[:, None]
    band = (apart >= -5) & (apart <= 1) & (apart != 0)
    return x * (2.0 + 5.0 * x**2) + 1.0 - band.astype(float) @ (x * (1.0 + x))


def linear_full_rank(x, m=20):
    mean = 2.0 / m * np.sum(x)
    return np.concatenate([x - mean - 1.0, np.repeat(-mean - 1.0, m - len(x))])


def linear_rank_1(x, m=20):
    return np.arange(1.0, m + 1.0) * (np.arange(1.0, len(x) + 1.0) @ x) - 1.0


def linear_rank_1_zeros(x, m=20):
    middle = np.arange(2.0, len(x)) @ x[1:-1]
    return np.concatenate([[-1.0], np.arange(1.0, m - 1.0) * middle - 1.0, [-1.0]])


def chebyquad(x):
    """The mean of each Chebyshev polynomial over the points, shifted to [0, 1], less its integral."""
    residuals, before, now = [], 1.0, 2.0 * x - 1.0
    for i in range(1, len(x) + 1):
        integral = 0.0 if i % 2 else 1.0 / (1.0 - i**2)
        residuals.append(np.sum(now) / len(x) - integral)
        before, now = now, 2.0 * (2.0 * x - 1.0) * now - before
    return np.array(residuals)


def row(number, name, residuals, start, *minima, points=(None,), begins=None):
    return LeastSquares(
        number=number, name=name, residuals=residuals, start=start, minima=minima, points=points, begins=begins
    )


ROWS = [
    row(1, "Rosenbrock", rosenbrock, (-1.2, 1.0), 0.0, points=((1.0, 1.0),), begins="24.2"),
    row(2, "Freudenstein-Roth", freudenstein_roth, (0.5, -2.0), 0.0, "48.9842", points=((5.0, 4.0),)),
    row(3, "Powell badly scaled", powell_badly_scaled, (0.0, 1.0), 0.0, points=((1.098e-5, 9.106),)),
    row(4, "Brown badly scaled", brown_badly_scaled, (1.0, 1.0), 0.0, points=((1e6, 2e-6),)),
    row(5, "Beale", beale, (1.0, 1.0), 0.0, points=((3.0, 0.5),), begins="14.203125"),
    row(6, "Jennrich-Sampson", jennrich_sampson, (0.3, 0.4), "124.362", points=((0.2578, 0.2578),)),
    row(7, "Helical valley", helical_valley, (-1.0, 0.0, 0.0), 0.0, points=((1.0, 0.0, 0.0),), begins="2500"),
    row(8, "Bard", bard, (1.0, 1.0, 1.0), "8.21487e-3", "17.4286"),
    row(9, "Gaussian", gaussian, (0.4, 1.0, 0.0), "1.12793e-8"),
    row(10, "Meyer", meyer, (0.02, 4000.0, 250.0), "87.9458"),
    row(11, "Gulf", gulf, (5.0, 2.5, 0.15), 0.0, points=((50.0, 25.0, 1.5),)),
    row(12, "Box", box, (0.0, 10.0, 20.0), 0.0, begins="1031.15"),
    row(13, "Powell singular", powell_singular, (3.0, -1.0, 0.0, 1.0), 0.0, begins="215"),
    row(14, "Wood", wood, (-3.0, -1.0, -3.0, -1.0), 0.0, points=((1.0, 1.0, 1.0, 1.0),), begins="19192"),
    row(15, "Kowalik-Osborne", kowalik_osborne, (0.25, 0.39, 0.415, 0.39), "3.07505e-4", "1.02734e-3"),
    row(16, "Brown-Dennis", brown_dennis, (25.0, 5.0, -5.0, -1.0), "85822.2"),
    row(17, "Osborne 1", osborne_1, (0.5, 1.5, -1.0, 0.01, 0.02), "5.46489e-5"),
    # 0 is at (1, 10, 1, 5, 4, 3), from which y is made; the paper prints the other.
    row(18, "Biggs EXP6", biggs, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0), 0.0, "5.65565e-3"),
    row(19, "Osborne 2", osborne_2, (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5), "4.01377e-2"),
    row(20, "Watson 6", watson, (0.0,) * 6, "2.28767e-3", begins="30"),
    row(20, "Watson 9", watson, (0.0,) * 9, "1.39976e-6", begins="30"),
    row(20, "Watson 12", watson, (0.0,) * 12, "4.72238e-10", begins="30"),
    row(21, "Extended Rosenbrock", extended_rosenbrock, (-1.2, 1.0) * 5, 0.0, points=((1.0,) * 10,), begins="121"),
    row(22, "Extended Powell", extended_powell, (3.0, -1.0, 0.0, 1.0) * 3, 0.0, begins="645"),
    row(23, "Penalty I 4", penalty_1, tuple(range(1, 5)), "2.24997e-5"),
    row(23, "Penalty I 10", penalty_1, tuple(range(1, 11)), "7.08765e-5"),
    row(24, "Penalty II 4", penalty_2, (0.5,) * 4, "9.37629e-6"),
    row(24, "Penalty II 10", penalty_2, (0.5,) * 10, "2.93660e-4"),
    row(25, "Variably dimensioned", variably_dimensioned, tuple(1.0 - np.arange(1.0, 11.0) / 10.0), 0.0,
        points=((1.0,) * 10,)),
    # From the starts of other sizes, most solvers stop at minima that the paper does not print.
    row(26, "Trigonometric 5", trigonometric, (0.2,) * 5, 0.0),
    row(27, "Brown almost linear", brown_almost_linear, (0.5,) * 10, 0.0, 1.0),
    row(28, "Discrete boundary value", discrete_boundary_value, start_of_discrete(10), 0.0),
    row(29, "Discrete integral equation", discrete_integral_equation, start_of_discrete(10), 0.0),
    row(30, "Broyden tridiagonal", broyden_tridiagonal, (-1.0,) * 10, 0.0),
    row(31, "Broyden banded", broyden_banded, (-1.0,) * 10, 0.0),
    row(32, "Linear, full rank", linear_full_rank, (1.0,) * 10, 10.0, points=((-1.0,) * 10,)),
    row(33, "Linear, rank 1", linear_rank_1, (1.0,) * 10, 20 * 19 / (2 * 41)),
    row(34, "Linear, rank 1, zeros", linear_rank_1_zeros, (1.0,) * 10, (400 + 60 - 6) / (2 * 37)),
    row(35, "Chebyquad 7", chebyquad, tuple(np.arange(1.0, 8.0) / 8.0), 0.0),
    row(35, "Chebyquad 8", chebyquad, tuple(np.arange(1.0, 9.0) / 9.0), "3.51687e-3"),
    row(35, "Chebyquad 9", chebyquad, tuple(np.arange(1.0, 10.0) / 10.0), 0.0),
    row(35, "Chebyquad 10", chebyquad, tuple(np.arange(1.0, 11.0) / 11.0), "6.50395e-3"),
]  # fmt: skip
