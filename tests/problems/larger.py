"""Larger: Hock and Schittkowski's problems 86 to 119 (LNEMS 187, 1981) that have a minimum known for certain.

In: nothing. Out: ``ROWS``. Left out: loops on values and roots of equations (85, 88 to 92), corners (87), and what
could not be confirmed: data and minimum, as printed, disagree or have been beaten (105, 109, 112, 116). The book has no
94 and 115.
"""

from math import prod

import numpy as np

from tests.problems import INF, Program

# Colville's first problem, 86, whose dual is 117.
E86 = np.array([-15.0, -27.0, -36.0, -18.0, -12.0])
D86 = np.array([4.0, 8.0, 10.0, 6.0, 2.0])
C86 = np.array([
    [30.0, -20.0, -10.0, 32.0, -10.0], [-20.0, 39.0, -6.0, -31.0, 32.0], [-10.0, -6.0, 10.0, -6.0, -10.0],
    [32.0, -31.0, -6.0, 39.0, -20.0], [-10.0, 32.0, -10.0, -20.0, 30.0],
])  # fmt: skip
A86 = np.array([
    [-16.0, 2.0, 0.0, 1.0, 0.0], [0.0, -2.0, 0.0, 4.0, 2.0], [-3.5, 0.0, 2.0, 0.0, 0.0], [0.0, -2.0, 0.0, -4.0, -1.0],
    [0.0, -9.0, -2.0, 1.0, -2.8], [2.0, 0.0, -4.0, 0.0, 0.0], [-1.0, -1.0, -1.0, -1.0, -1.0],
    [-1.0, -2.0, -3.0, -2.0, -1.0], [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0],
])  # fmt: skip
B86 = np.array([-40.0, -2.0, -0.25, -4.0, -4.0, -1.0, -40.0, -60.0, 5.0, 1.0])


def colville(*x):
    x = np.array(x)
    return E86 @ x + x @ C86 @ x + D86 @ x**3


def colville_dual(*x):
    y, x = np.array(x[:10]), np.array(x[10:])
    return -B86 @ y + x @ C86 @ x + 2.0 * D86 @ x**3


def colville_dual_inequal(*x):
    y, x = np.array(x[:10]), np.array(x[10:])
    return 2.0 * C86 @ x + 3.0 * D86 * x**2 + E86 - A86.T @ y


def transformer(x1, x2, x3, x4, x5, x6):
    a, b = x1 * x4 * (x1 + x2 + x3), x2 * x3 * (x1 + 1.57 * x2 + x4)
    return 0.0204 * a + 0.0187 * b + 0.0607 * a * x5**2 + 0.0437 * b * x6**2


def transformer_inequal(x1, x2, x3, x4, x5, x6):
    a, b = x1 * x4 * (x1 + x2 + x3), x2 * x3 * (x1 + 1.57 * x2 + x4)
    return [0.001 * x1 * x2 * x3 * x4 * x5 * x6 - 2.07, 1.0 - 0.00062 * a * x5**2 - 0.00058 * b * x6**2]


def himmelblau(b):
    """Problems 95 to 98: the same but for the right sides b."""

    def inequal(x1, x2, x3, x4, x5, x6):
        return [
            17.1 * x1 + 38.2 * x2 + 204.2 * x3 + 212.3 * x4 + 623.4 * x5 + 1495.5 * x6 - 169.0 * x1 * x3
            - 3580.0 * x3 * x5 - 3810.0 * x4 * x5 - 18500.0 * x4 * x6 - 24300.0 * x5 * x6 - b[0],
            17.9 * x1 + 36.8 * x2 + 113.9 * x3 + 169.7 * x4 + 337.8 * x5 + 1385.2 * x6 - 139.0 * x1 * x3
            - 2450.0 * x4 * x5 - 16600.0 * x4 * x6 - 17200.0 * x5 * x6 - b[1],
            -273.0 * x2 - 70.0 * x4 - 819.0 * x5 + 26000.0 * x4 * x5 - b[2],
            159.9 * x1 - 311.0 * x2 + 587.0 * x4 + 391.0 * x5 + 2198.0 * x6 - 14000.0 * x1 * x6 - b[3],
        ]  # fmt: skip

    return {
        "f": lambda x1, x2, x3, x4, x5, x6: 4.3 * x1 + 31.8 * x2 + 63.3 * x3 + 15.8 * x4 + 68.5 * x5 + 4.7 * x6,
        "inequal": inequal, "start": (0,) * 6, "begins": 0.0, "lower": 0,
        "upper": (0.31, 0.046, 0.068, 0.042, 0.028, 0.0134),
    }  # fmt: skip


T99 = np.array([0.0, 25.0, 50.0, 100.0, 150.0, 200.0, 290.0, 380.0])
A99 = np.array([50.0, 50.0, 75.0, 75.0, 75.0, 100.0, 100.0])


def rocket(*x):
    return -(sum(a * dt * np.cos(angle) for a, dt, angle in zip(A99, np.diff(T99), x, strict=True)) ** 2)


def rocket_ends(*x):
    """Height and climb at the end of seven arcs, less what they are to be."""
    height = climb = 0.0
    for a, dt, angle in zip(A99, np.diff(T99), x, strict=True):
        push = a * np.sin(angle) - 32.0
        height, climb = height + dt * climb + 0.5 * dt**2 * push, climb + dt * push
    return [height - 1e5, climb - 1e3]


def problem_100(x1, x2, x3, x4, x5, x6, x7):
    return [
        127.0 - 2.0 * x1**2 - 3.0 * x2**4 - x3 - 4.0 * x4**2 - 5.0 * x5,
        282.0 - 7.0 * x1 - 3.0 * x2 - 10.0 * x3**2 - x4 + x5,
        196.0 - 23.0 * x1 - x2**2 - 6.0 * x6**2 + 8.0 * x7,
        -4.0 * x1**2 - x2**2 + 3.0 * x1 * x2 - 2.0 * x3**2 - 5.0 * x6 + 11.0 * x7,
    ]


def geometric(a):
    """Problems 101 to 103: a geometric program with the exponent a."""

    def f(x1, x2, x3, x4, x5, x6, x7):
        return (
            10.0 * x1 * x4**2 * x7**a / (x2 * x6**3) + 15.0 * x3 * x4 / (x1 * x2**2 * x5 * x7**0.5)
            + 20.0 * x2 * x6 / (x1**2 * x4 * x5**2) + 25.0 * x1**2 * x2**2 * x5**0.5 * x7 / (x3 * x6**2)
        )  # fmt: skip

    def inequal(x1, x2, x3, x4, x5, x6, x7):
        return [
            1.0 - 0.5 * x1**0.5 * x7 / (x3 * x6**2) - 0.7 * x1**3 * x2 * x6 * x7**0.5 / x3**2
            - 0.2 * x3 * x6 ** (2 / 3) * x7**0.25 / (x2 * x4**0.5),
            1.0 - 1.3 * x2 * x6 / (x1**0.5 * x3 * x5) - 0.8 * x3 * x6**2 / (x4 * x5)
            - 3.1 * x2**0.5 * x6 ** (1 / 3) / (x1 * x4**2 * x5),
            1.0 - 2.0 * x1 * x5 * x7 ** (1 / 3) / (x3**1.5 * x6) - 0.1 * x2 * x5 / (x3**0.5 * x6 * x7**0.5)
            - x2 * x3**0.5 * x5 / x1 - 0.65 * x3 * x5 * x7 / (x2**2 * x6),
            1.0 - 0.2 * x2 * x5**0.5 * x7 ** (1 / 3) / (x1**2 * x4)
            - 0.3 * x1**0.5 * x2**2 * x3 * x4 ** (1 / 3) * x7**0.25 / x5 ** (2 / 3)
            - 0.4 * x3 * x5 * x7**0.75 / (x1**3 * x2**2) - 0.5 * x4 * x7**0.5 / x3**2,
            f(x1, x2, x3, x4, x5, x6, x7),
        ]  # fmt: skip

    return {"f": f, "inequal": inequal, "low": (0, 0, 0, 0, 100), "high": (INF, INF, INF, INF, 3000), "start": (6,) * 7,
            "lower": (0.1,) * 6 + (0.01,), "upper": 10}  # fmt: skip


def reactor(x1, x2, x3, x4, x5, x6, x7, x8):
    return 0.4 * x1**0.67 * x7**-0.67 + 0.4 * x2**0.67 * x8**-0.67 + 10.0 - x1 - x2


def reactor_inequal(x1, x2, x3, x4, x5, x6, x7, x8):
    return [
        1.0 - 0.0588 * x5 * x7 - 0.1 * x1,
        1.0 - 0.0588 * x6 * x8 - 0.1 * x1 - 0.1 * x2,
        1.0 - 4.0 * x3 / x5 - 2.0 / (x3**0.71 * x5) - 0.0588 * x7 / x3**1.3,
        1.0 - 4.0 * x4 / x6 - 2.0 / (x4**0.71 * x6) - 0.0588 * x8 / x4**1.3,
        reactor(x1, x2, x3, x4, x5, x6, x7, x8),
    ]


def heat_exchanger(x1, x2, x3, x4, x5, x6, x7, x8):
    return [
        1.0 - 0.0025 * (x4 + x6),
        1.0 - 0.0025 * (x5 + x7 - x4),
        1.0 - 0.01 * (x8 - x5),
        x1 * x6 - 833.33252 * x4 - 100.0 * x1 + 83333.333,
        x2 * x7 - 1250.0 * x5 - x2 * x4 + 1250.0 * x4,
        x3 * x8 - 1.25e6 - x3 * x5 + 2500.0 * x5,
    ]


C107, D107 = 48.4 / 50.176 * np.sin(0.25), 48.4 / 50.176 * np.cos(0.25)


def voltages(x1, x2, x3, x4, x5, x6, x7, x8, x9):
    """Problem 107: active, then reactive power of three nodes with voltages x5 to x7 and angles 0, x8 and x9."""

    def flow(u, v, angle):
        sin, cos = np.sin(angle), np.cos(angle)
        return u * v * (D107 * sin + C107 * cos), u * v * (C107 * sin - D107 * cos)

    (p12, q12), (p13, q13), (p23, q23) = flow(x5, x6, x8), flow(x5, x7, x9), flow(x6, x7, x9 - x8)
    (p21, q21), (p31, q31), (p32, q32) = flow(x5, x6, -x8), flow(x5, x7, -x9), flow(x6, x7, x8 - x9)
    return [
        0.4 - x1 + 2.0 * C107 * x5**2 - p12 - p13,
        0.4 - x2 + 2.0 * C107 * x6**2 - p21 - p23,
        0.8 + 2.0 * C107 * x7**2 - p31 - p32,
        0.2 - x3 + 2.0 * D107 * x5**2 + q12 + q13,
        0.2 - x4 + 2.0 * D107 * x6**2 + q21 + q23,
        -0.337 + 2.0 * D107 * x7**2 + q31 + q32,
    ]


def hexagon(x1, x2, x3, x4, x5, x6, x7, x8, x9):
    """Problem 108: the area of the hexagon of diameter 1."""
    return -0.5 * (x1 * x4 - x2 * x3 + x3 * x9 - x5 * x9 + x5 * x8 - x6 * x7)


def hexagon_inequal(x1, x2, x3, x4, x5, x6, x7, x8, x9):
    return [
        1.0 - x3**2 - x4**2, 1.0 - x5**2 - x6**2, 1.0 - x9**2, 1.0 - x1**2 - (x2 - x9) ** 2,
        1.0 - (x1 - x5) ** 2 - (x2 - x6) ** 2, 1.0 - (x1 - x7) ** 2 - (x2 - x8) ** 2,
        1.0 - (x3 - x5) ** 2 - (x4 - x6) ** 2, 1.0 - (x3 - x7) ** 2 - (x4 - x8) ** 2, 1.0 - x7**2 - (x8 - x9) ** 2,
        x1 * x4 - x2 * x3, x3 * x9, -x5 * x9, x5 * x8 - x6 * x7,
    ]  # fmt: skip


C111 = (-6.089, -17.164, -34.054, -5.914, -24.721, -14.986, -24.100, -10.708, -26.662, -22.179)


def equilibrium(*x):
    """Problem 111: the free energy of ten gases, whose amounts are exp(x)."""
    amounts = [np.exp(v) for v in x]
    total = np.log(sum(amounts))
    return sum(amount * (c + v - total) for amount, c, v in zip(amounts, C111, x, strict=True))


def equilibrium_equal(*x):
    a, b, c, d, e, f, g, h, i, j = (np.exp(v) for v in x)
    return [a + 2 * b + 2 * c + f + j - 2.0, d + 2 * e + f + g - 1.0, c + g + h + 2 * i + j - 1.0]


def problem_113(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
    return (
        x1**2 + x2**2 + x1 * x2 - 14.0 * x1 - 16.0 * x2 + (x3 - 10.0) ** 2 + 4.0 * (x4 - 5.0) ** 2 + (x5 - 3.0) ** 2
        + 2.0 * (x6 - 1.0) ** 2 + 5.0 * x7**2 + 7.0 * (x8 - 11.0) ** 2 + 2.0 * (x9 - 10.0) ** 2 + (x10 - 7.0) ** 2
        + 45.0
    )  # fmt: skip


def problem_113_inequal(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
    return [
        105.0 - 4.0 * x1 - 5.0 * x2 + 3.0 * x7 - 9.0 * x8,
        -10.0 * x1 + 8.0 * x2 + 17.0 * x7 - 2.0 * x8,
        8.0 * x1 - 2.0 * x2 - 5.0 * x9 + 2.0 * x10 + 12.0,
        -3.0 * (x1 - 2.0) ** 2 - 4.0 * (x2 - 3.0) ** 2 - 2.0 * x3**2 + 7.0 * x4 + 120.0,
        -5.0 * x1**2 - 8.0 * x2 - (x3 - 6.0) ** 2 + 2.0 * x4 + 40.0,
        -0.5 * (x1 - 8.0) ** 2 - 2.0 * (x2 - 4.0) ** 2 - 3.0 * x5**2 + x6 + 30.0,
        -(x1**2) - 2.0 * (x2 - 2.0) ** 2 + 2.0 * x1 * x2 - 14.0 * x5 + 6.0 * x6,
        3.0 * x1 - 6.0 * x2 - 12.0 * (x9 - 8.0) ** 2 + 7.0 * x10,
    ]


def alkylation_equal(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
    return [1.22 * x4 - x1 - x5, 98000.0 * x3 / (x4 * x9 + 1000.0 * x3) - x6, (x2 + x5) / x1 - x8]


def alkylation_inequal(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10):
    a, b = 0.99, 0.9
    g1 = 35.82 - 0.222 * x10 - b * x9
    g2 = -133.0 + 3.0 * x7 - a * x10
    g5 = 1.12 * x1 + 0.13167 * x1 * x8 - 0.00667 * x1 * x8**2 - a * x4
    g6 = 57.425 + 1.098 * x8 - 0.038 * x8**2 + 0.325 * x6 - a * x7
    return [
        g1, g2, (1 / b - b) * x9 - g1, (1 / a - a) * x10 - g2, g5, g6, (1 / a - a) * x4 - g5, (1 / a - a) * x7 - g6
    ]  # fmt: skip


def production(*x):
    cost = np.array([2.3, 1.7, 2.2] * 5), np.array([1e-4, 1e-4, 1.5e-4] * 5)
    x = np.array(x)
    return cost[0] @ x + cost[1] @ x**2


def production_inequal(*x):
    """Changes from one quarter to the next, then totals of the quarters less the demand."""
    x = np.array(x).reshape(5, 3)
    change, total = x[1:] - x[:-1] + 7.0, np.sum(x, axis=1) - np.array([60.0, 50.0, 70.0, 85.0, 100.0])
    return np.concatenate([change.ravel(), total])


# Colville's seventh problem, 119: rows of pairs that are multiplied, and of equations.
PAIRS119 = ((1, 4, 7, 8, 16), (2, 3, 7, 10), (3, 7, 9, 10, 14), (4, 7, 11, 15), (5, 6, 10, 12, 16), (6, 8, 15),
            (7, 11, 13), (8, 10, 15), (9, 12, 16), (10, 14), (11, 13), (12, 14), (13, 14))  # fmt: skip
B119 = np.array([
    [0.22, 0.20, 0.19, 0.25, 0.15, 0.11, 0.12, 0.13, 1.00], [-1.46, 0.0, -1.30, 1.82, -1.15, 0.0, 0.80, 0.0, 0.0],
    [1.29, -0.89, 0.0, 0.0, -1.16, -0.96, 0.0, -0.49, 0.0], [-1.10, -1.06, 0.95, -0.54, 0.0, -1.78, -0.41, 0.0, 0.0],
    [0.0, 0.0, 0.0, -1.43, 1.51, 0.59, -0.33, -0.43, 0.0], [0.0, -1.72, -0.33, 0.0, 1.62, 1.24, 0.21, -0.26, 0.0],
    [1.12, 0.0, 0.0, 0.31, 0.0, 0.0, 1.12, 0.0, -0.36], [0.0, 0.45, 0.26, -1.10, 0.58, 0.0, -1.03, 0.10, 0.0],
])  # fmt: skip
C119 = np.array([2.5, 1.1, -3.1, -3.5, 1.3, 2.1, 2.3, -1.5])


def colville_7(*x):
    t = [v**2 + v + 1.0 for v in x]
    own = sum(v * v for v in t)
    return own + sum(t[row[0] - 1] * t[k - 1] for row in PAIRS119 for k in row[1:])


def colville_7_equal(*x):
    x = np.array(x)
    return B119 @ x[:9] + np.append([0.0], x[9:]) - C119


ROWS = [
    Program(number=86, f=colville, start=(0, 0, 0, 0, 1), begins=20.0, lower=0,
            inequal=lambda *x: A86 @ np.array(x) - B86, optimum="-32.34867897",
            point=(0.3, 0.33346761, 0.4, 0.42831010, 0.22396487)),
    Program(number=93, f=transformer, start=(5.54, 4.4, 12.02, 11.82, 0.702, 0.852), begins="137.066", lower=0,
            inequal=transformer_inequal, optimum="135.075961",
            point=(5.332666, 4.656744, 10.43299, 12.08230, 0.7526074, 0.87865084)),
    Program(number=95, **himmelblau((4.97, -1.88, -29.08, -78.02)), optimum="0.015619514",
            point=(0, 0, 0, 0, 0, 0.0033233033)),
    Program(number=96, **himmelblau((4.97, -1.88, -69.08, -118.02)), optimum="0.015619514",
            point=(0, 0, 0, 0, 0, 0.0033233033)),
    Program(number=97, **himmelblau((32.97, 25.12, -29.08, -78.02)), optimum="3.1358091",
            point=(0.2685649, 0, 0, 0, 0.028, 0.0134)),
    Program(number=98, **himmelblau((32.97, 25.12, -124.08, -173.02)), optimum="3.1358091",
            point=(0.2685649, 0, 0, 0, 0.028, 0.0134)),
    Program(number=99, f=rocket, equal=rocket_ends, start=(0.5,) * 7, begins="-7.763605759e8", lower=0, upper=1.58,
            optimum="-0.831079892e9",
            point=(0.5424603, 0.5290159, 0.5084506, 0.4802693, 0.4512352, 0.4091878, 0.3527847)),
    Program(number=100, f=lambda x1, x2, x3, x4, x5, x6, x7: (x1 - 10.0) ** 2 + 5.0 * (x2 - 12.0) ** 2 + x3**4
            + 3.0 * (x4 - 11.0) ** 2 + 10.0 * x5**6 + 7.0 * x6**2 + x7**4 - 4.0 * x6 * x7 - 10.0 * x6 - 8.0 * x7,
            start=(1, 2, 0, 4, 0, 1, 1), begins=714.0, inequal=problem_100, optimum="680.6300573",
            point=(2.330499, 1.951372, -0.4775414, 4.365726, -0.6244870, 1.038131, 1.594227)),
    Program(number=101, **geometric(-0.25), optimum="1809.76476"),
    Program(number=102, **geometric(0.125), optimum="911.880571"),
    Program(number=103, **geometric(0.5), optimum="543.667958"),
    Program(number=104, f=reactor, start=(6, 3, 0.4, 0.2, 6, 6, 1, 0.5), begins="3.65", lower=0.1, upper=10,
            inequal=reactor_inequal, low=(0, 0, 0, 0, 1), high=(INF, INF, INF, INF, 4.2), optimum="3.9511634396",
            point=(6.465114, 2.232709, 0.6673975, 0.5957564, 5.932676, 5.527235, 1.013322, 0.4006682)),
    # The book prints 7049.330923. This is problem g10 of Liang and others, Problem definitions for the CEC 2006 special
    # session on constrained real-parameter optimization, which is the same.
    Program(number=106, f=lambda *x: x[0] + x[1] + x[2], start=(5000, 5000, 5000, 200, 350, 150, 225, 425),
            begins=15000.0, lower=(100, 1000, 1000, 10, 10, 10, 10, 10), upper=(1e4,) * 3 + (1e3,) * 5,
            inequal=heat_exchanger, optimum="7049.24802",
            point=(579.3067, 1359.971, 5109.971, 182.0177, 295.6012, 217.9823, 286.4165, 395.6012)),
    Program(number=107, f=lambda *x: 3000.0 * x[0] + 1000.0 * x[0] ** 3 + 2000.0 * x[1] + 666.667 * x[1] ** 3,
            start=(0.8, 0.8, 0.2, 0.2, 1.0454, 1.0454, 0, 0, 0), equal=voltages, optimum="5055.011803",
            lower=(0, 0, -INF, -INF, 0.90909, 0.90909, 0.90909, -INF, -INF),
            upper=(INF, INF, INF, INF, 1.0909, 1.0909, 1.0909, INF, INF),
            point=(0.6670095, 1.022388, 0.2282879, 0.1848217, 1.090900, 1.090900, 1.069036, 0.1066126, -0.3387867)),
    Program(number=108, f=hexagon, start=(1,) * 9, begins=0.0, lower=(-INF,) * 8 + (0,), inequal=hexagon_inequal,
            optimum="-0.8660254038"),
    Program(number=110, f=lambda *x: sum(np.log(v - 2.0) ** 2 + np.log(10.0 - v) ** 2 for v in x) - prod(x) ** 0.2,
            start=(9,) * 10, begins="-43.134337", lower=2.001, upper=9.999, optimum="-45.77846971",
            point=(9.35025655,) * 10),
    Program(number=111, f=equilibrium, start=(-2.3,) * 10, begins="-21.015", lower=-100, upper=100,
            equal=equilibrium_equal, optimum="-47.76109026"),
    Program(number=113, f=problem_113, start=(2, 3, 5, 5, 1, 2, 7, 3, 6, 10), begins=753.0,
            inequal=problem_113_inequal, optimum="24.3062091",
            point=(2.171996, 2.363683, 8.773926, 5.095984, 0.9906548, 1.430574, 1.321644, 9.828726, 8.280092,
                   8.375927)),
    Program(number=114, f=lambda *x: 5.04 * x[0] + 0.035 * x[1] + 10.0 * x[2] + 3.36 * x[4] - 0.063 * x[3] * x[6],
            start=(1745, 12000, 110, 3048, 1974, 89.2, 92.8, 8, 3.6, 145), begins="-872.3871",
            lower=(1e-5,) * 5 + (85, 90, 3, 1.2, 145), upper=(2000, 16000, 120, 5000, 2000, 93, 95, 12, 4, 162),
            equal=alkylation_equal, inequal=alkylation_inequal, optimum="-1768.80696"),
    Program(number=117, f=colville_dual, start=(1e-3,) * 6 + (60,) + (1e-3,) * 8, begins="2400.1053", lower=0,
            inequal=colville_dual_inequal, optimum="32.348679"),
    Program(number=118, f=production, start=(20, 55, 15) + (20, 60, 20) * 4, begins="942.7162",
            lower=(8, 43, 3) + (0,) * 12, upper=(21, 57, 16) + (90, 120, 60) * 4, inequal=production_inequal,
            high=(13, 14, 13) * 4 + (INF,) * 5, optimum="664.8204500",
            point=(8, 49, 3, 1, 56, 0, 1, 63, 6, 3, 70, 12, 5, 77, 18)),
    Program(number=119, f=colville_7, start=(10,) * 16, lower=0, upper=5, equal=colville_7_equal,
            optimum="244.899698"),
]  # fmt: skip
