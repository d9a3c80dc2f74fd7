"""Constrained: Hock and Schittkowski's problems 1 to 84 (LNEMS 187, 1981) that have a minimum known for certain.

In: nothing. Out: ``ROWS``. Left out: the minimum has no multipliers (13), the start no slope (25), every solver stops
at another local minimum (2, 20, 55), the objective loops on values (67), or data and minimum could not be confirmed (47
has been beaten; 54, 58, 59). The book has no 82.
"""

import numpy as np

from tests.problems import INF, Program

ROOT2, ROOT3, ROOT7 = np.sqrt([2.0, 3.0, 7.0])


def banana(x1, x2):
    return 100.0 * (x2 - x1**2) ** 2 + (1.0 - x1) ** 2


def rosen_suzuki(x1, x2, x3, x4):
    return [
        8.0 - x1**2 - x2**2 - x3**2 - x4**2 - x1 + x2 - x3 + x4,
        10.0 - x1**2 - 2.0 * x2**2 - x3**2 - 2.0 * x4**2 + x1 + x4,
        5.0 - 2.0 * x1**2 - x2**2 - x3**2 - 2.0 * x1 + x2 + x4,
    ]


# Hock and Schittkowski, problem 57: a decay fitted to 44 points (a, b).
A57 = np.repeat(np.arange(8.0, 43.0, 2.0), [2, 4, 4, 3, 3, 2, 3, 3, 3, 3, 2, 3, 2, 1, 2, 2, 1, 1])
B57 = np.array([
    0.49, 0.49, 0.48, 0.47, 0.48, 0.47, 0.46, 0.46, 0.45, 0.43, 0.45, 0.43, 0.43, 0.44, 0.43, 0.43, 0.46, 0.45, 0.42,
    0.42, 0.43, 0.41, 0.41, 0.40, 0.42, 0.40, 0.40, 0.41, 0.40, 0.41, 0.41, 0.40, 0.40, 0.40, 0.38, 0.41, 0.40, 0.40,
    0.41, 0.38, 0.40, 0.40, 0.39, 0.39,
])  # fmt: skip


def inspection(a, b, n):
    """Problems 68 and 69: the cost of a control chart; ndtr is the normal distribution function, an op as well."""

    def f(x1, x2, x3, x4):
        rise = np.exp(x1) - 1.0
        return (a * n - (b * rise - x3) * x4 / (rise + x4)) / x1

    def equal(x1, x2, x3, x4):
        from scipy.special import ndtr

        return [x3 - 2.0 * ndtr(-x2), x4 - ndtr(np.sqrt(n) - x2) - ndtr(-np.sqrt(n) - x2)]

    return {"f": f, "equal": equal, "start": (1, 1, 1, 1), "lower": (1e-4, 0, 0, 0), "upper": (100, 100, 2, 2)}


T70 = np.append(0.1, np.arange(1.0, 19.0)) / 7.658
Y70 = np.array([
    0.00189, 0.1038, 0.268, 0.506, 0.577, 0.604, 0.725, 0.898, 0.947, 0.845, 0.702, 0.528, 0.385, 0.257, 0.159, 0.0869,
    0.0453, 0.01509, 0.00189,
])  # fmt: skip


def cloud(x1, x2, x3, x4):
    """Problem 70: two gamma distributions, by Stirling's formula, fitted to 19 points; 2π as the book rounds it."""
    b = x3 + (1.0 - x3) * x4

    def gamma(p, rate):
        scale = np.sqrt(p / 6.2832) / (1.0 + 1.0 / (12.0 * p))
        return scale * rate**p * T70 ** (p - 1.0) * np.exp(p - rate * p * T70)

    return np.sum((x3 * gamma(x2, b) + (1.0 - x3) * gamma(x1, b / x4) - Y70) ** 2)


def power_flow(a):
    """Problems 74 and 75: two generators, angles within ±a."""

    def equal(x1, x2, x3, x4):
        return [
            1000.0 * np.sin(-x3 - 0.25) + 1000.0 * np.sin(-x4 - 0.25) + 894.8 - x1,
            1000.0 * np.sin(x3 - 0.25) + 1000.0 * np.sin(x3 - x4 - 0.25) + 894.8 - x2,
            1000.0 * np.sin(x4 - 0.25) + 1000.0 * np.sin(x4 - x3 - 0.25) + 1294.8,
        ]

    return {
        "f": lambda x1, x2, x3, x4: 3.0 * x1 + 1e-6 * x1**3 + 2.0 * x2 + 2e-6 / 3.0 * x2**3,
        "equal": equal, "inequal": lambda x1, x2, x3, x4: [x4 - x3], "low": -a, "high": a,
        "start": (0, 0, 0, 0), "begins": 0.0, "lower": (0, 0, -a, -a), "upper": (1200, 1200, a, a),
    }  # fmt: skip


def powell(x1, x2, x3, x4, x5):
    """Constraints of problems 78, 80 and 81."""
    return [x1**2 + x2**2 + x3**2 + x4**2 + x5**2 - 10.0, x2 * x3 - 5.0 * x4 * x5, x1**3 + x2**3 + 1.0]


BOX80 = {"start": (-2, 2, 2, -1, -1), "equal": powell, "lower": (-2.3, -2.3, -3.2, -3.2, -3.2),
         "upper": (2.3, 2.3, 3.2, 3.2, 3.2)}  # fmt: skip


def problem_83(x1, x2, x3, x4, x5):
    return [
        85.334407 + 0.0056858 * x2 * x5 + 0.0006262 * x1 * x4 - 0.0022053 * x3 * x5,
        80.51249 + 0.0071317 * x2 * x5 + 0.0029955 * x1 * x2 + 0.0021813 * x3**2 - 90.0,
        9.300961 + 0.0047026 * x3 * x5 + 0.0012547 * x1 * x3 + 0.0019085 * x3 * x4 - 20.0,
    ]


A84 = (-24345.0, -8720288.849, 150512.5253, -156.6950325, 476470.3222, 729482.8271)
B84 = (
    (-145421.402, 2931.1506, -40.427932, 5106.192, 15711.36),
    (-155011.1084, 4360.53352, 12.9492344, 10236.884, 13176.786),
    (-326669.5104, 7390.68412, -27.8986976, 16643.076, 30988.146),
)


def linear_84(a, x1, x2, x3, x4, x5):
    return x1 * (a[0] + a[1] * x2 + a[2] * x3 + a[3] * x4 + a[4] * x5)


ROWS = [
    Program(number=1, f=banana, start=(-2, 1), begins=909.0, lower=(-INF, -1.5), optimum=0.0, point=(1, 1)),
    Program(number=3, f=lambda x1, x2: x2 + 1e-5 * (x2 - x1) ** 2, start=(10, 1), begins=1.00081, lower=(-INF, 0),
            optimum=0.0),
    Program(number=4, f=lambda x1, x2: (x1 + 1.0) ** 3 / 3.0 + x2, start=(1.125, 0.125), begins="3.323568",
            lower=(1, 0), optimum=8 / 3, point=(1, 0)),
    Program(number=5, f=lambda x1, x2: np.sin(x1 + x2) + (x1 - x2) ** 2 - 1.5 * x1 + 2.5 * x2 + 1.0, start=(0, 0),
            begins=1.0, lower=(-1.5, -3), upper=(4, 3), optimum=-ROOT3 / 2 - np.pi / 3,
            point=(0.5 - np.pi / 3, -0.5 - np.pi / 3)),
    Program(number=6, f=lambda x1, x2: (1.0 - x1) ** 2, start=(-1.2, 1), begins=4.84,
            equal=lambda x1, x2: [10.0 * (x2 - x1**2)], optimum=0.0, point=(1, 1)),
    Program(number=7, f=lambda x1, x2: np.log(1.0 + x1**2) - x2, start=(2, 2), begins=np.log(5) - 2,
            equal=lambda x1, x2: [(1.0 + x1**2) ** 2 + x2**2 - 4.0], optimum=-ROOT3, point=(0, ROOT3)),
    Program(number=8, f=lambda x1, x2: -1.0, start=(2, 1), begins=-1.0,
            equal=lambda x1, x2: [x1**2 + x2**2 - 25.0, x1 * x2 - 9.0], optimum=-1.0),
    Program(number=9, f=lambda x1, x2: np.sin(np.pi * x1 / 12.0) * np.cos(np.pi * x2 / 16.0), start=(0, 0), begins=0.0,
            equal=lambda x1, x2: [4.0 * x1 - 3.0 * x2], optimum=-0.5),
    Program(number=10, f=lambda x1, x2: x1 - x2, start=(-10, 10), begins=-20.0,
            inequal=lambda x1, x2: [-3.0 * x1**2 + 2.0 * x1 * x2 - x2**2 + 1.0], optimum=-1.0, point=(0, 1)),
    Program(number=11, f=lambda x1, x2: (x1 - 5.0) ** 2 + x2**2 - 25.0, start=(4.9, 0.1), begins=-24.98,
            inequal=lambda x1, x2: [x2 - x1**2], optimum="-8.498464223", point=(1.23477, 1.52466)),
    Program(number=12, f=lambda x1, x2: 0.5 * x1**2 + x2**2 - x1 * x2 - 7.0 * x1 - 7.0 * x2, start=(0, 0), begins=0.0,
            inequal=lambda x1, x2: [25.0 - 4.0 * x1**2 - x2**2], optimum=-30.0, point=(2, 3)),
    Program(number=14, f=lambda x1, x2: (x1 - 2.0) ** 2 + (x2 - 1.0) ** 2, start=(2, 2), begins=1.0,
            equal=lambda x1, x2: [x1 - 2.0 * x2 + 1.0], inequal=lambda x1, x2: [1.0 - x1**2 / 4.0 - x2**2],
            optimum=9 - 23 * ROOT7 / 8, point=((ROOT7 - 1) / 2, (ROOT7 + 1) / 4)),
    Program(number=15, f=banana, start=(-2, 1), begins=909.0, upper=(0.5, INF),
            inequal=lambda x1, x2: [x1 * x2 - 1.0, x1 + x2**2], optimum=306.5, point=(0.5, 2)),
    Program(number=16, f=banana, start=(-2, 1), begins=909.0, lower=(-0.5, -INF), upper=(0.5, 1),
            inequal=lambda x1, x2: [x1 + x2**2, x1**2 + x2], optimum=0.25, point=(0.5, 0.25)),
    Program(number=17, f=banana, start=(-2, 1), begins=909.0, lower=(-0.5, -INF), upper=(0.5, 1),
            inequal=lambda x1, x2: [x2**2 - x1, x1**2 - x2], optimum=1.0, point=(0, 0)),
    Program(number=18, f=lambda x1, x2: 0.01 * x1**2 + x2**2, start=(2, 2), begins=4.04, lower=(2, 0), upper=50,
            inequal=lambda x1, x2: [x1 * x2 - 25.0, x1**2 + x2**2 - 25.0], optimum=5.0,
            point=(np.sqrt(250), np.sqrt(2.5))),
    Program(number=19, f=lambda x1, x2: (x1 - 10.0) ** 3 + (x2 - 20.0) ** 3, start=(20.1, 5.84), begins="-1808.858296",
            inequal=lambda x1, x2: [(x1 - 5.0) ** 2 + (x2 - 5.0) ** 2 - 100.0,
                                    82.81 - (x2 - 5.0) ** 2 - (x1 - 6.0) ** 2],
            lower=(13, 0), upper=100, optimum="-6961.81381", point=(14.095, 0.84296079)),
    Program(number=21, f=lambda x1, x2: 0.01 * x1**2 + x2**2 - 100.0, start=(-1, -1), begins=-98.99, lower=(2, -50),
            upper=50, inequal=lambda x1, x2: [10.0 * x1 - x2 - 10.0], optimum=-99.96, point=(2, 0)),
    Program(number=22, f=lambda x1, x2: (x1 - 2.0) ** 2 + (x2 - 1.0) ** 2, start=(2, 2), begins=1.0,
            inequal=lambda x1, x2: [2.0 - x1 - x2, x2 - x1**2], optimum=1.0, point=(1, 1)),
    Program(number=23, f=lambda x1, x2: x1**2 + x2**2, start=(3, 1), begins=10.0, lower=-50, upper=50,
            inequal=lambda x1, x2: [x1 + x2 - 1.0, x1**2 + x2**2 - 1.0, 9.0 * x1**2 + x2**2 - 9.0, x1**2 - x2,
                                    x2**2 - x1],
            optimum=2.0, point=(1, 1)),
    Program(number=24, f=lambda x1, x2: ((x1 - 3.0) ** 2 - 9.0) * x2**3 / (27.0 * ROOT3), start=(1, 0.5),
            begins="-0.01336459", lower=0,
            inequal=lambda x1, x2: [x1 / ROOT3 - x2, x1 + ROOT3 * x2, 6.0 - x1 - ROOT3 * x2], optimum=-1.0,
            point=(3, ROOT3)),
    Program(number=26, f=lambda x1, x2, x3: (x1 - x2) ** 2 + (x2 - x3) ** 4, start=(-2.6, 2, 2), begins=21.16,
            equal=lambda x1, x2, x3: [(1.0 + x2**2) * x1 + x3**4 - 3.0], optimum=0.0),
    Program(number=27, f=lambda x1, x2, x3: 0.01 * (x1 - 1.0) ** 2 + (x2 - x1**2) ** 2, start=(2, 2, 2), begins=4.01,
            equal=lambda x1, x2, x3: [x1 + x3**2 + 1.0], optimum=0.04, point=(-1, 1, 0)),
    Program(number=28, f=lambda x1, x2, x3: (x1 + x2) ** 2 + (x2 + x3) ** 2, start=(-4, 1, 1), begins=13.0,
            equal=lambda x1, x2, x3: [x1 + 2.0 * x2 + 3.0 * x3 - 1.0], optimum=0.0, point=(0.5, -0.5, 0.5)),
    Program(number=29, f=lambda x1, x2, x3: -x1 * x2 * x3, start=(1, 1, 1), begins=-1.0,
            inequal=lambda x1, x2, x3: [48.0 - x1**2 - 2.0 * x2**2 - 4.0 * x3**2], optimum=-16 * ROOT2),
    Program(number=30, f=lambda x1, x2, x3: x1**2 + x2**2 + x3**2, start=(1, 1, 1), begins=3.0, lower=(1, -10, -10),
            upper=10, inequal=lambda x1, x2, x3: [x1**2 + x2**2 - 1.0], optimum=1.0, point=(1, 0, 0)),
    Program(number=31, f=lambda x1, x2, x3: 9.0 * x1**2 + x2**2 + 9.0 * x3**2, start=(1, 1, 1), begins=19.0,
            lower=(-10, 1, -10), upper=(10, 10, 1), inequal=lambda x1, x2, x3: [x1 * x2 - 1.0], optimum=6.0,
            point=(1 / ROOT3, ROOT3, 0)),
    Program(number=32, f=lambda x1, x2, x3: (x1 + 3.0 * x2 + x3) ** 2 + 4.0 * (x1 - x2) ** 2, start=(0.1, 0.7, 0.2),
            begins=7.2, lower=0, equal=lambda x1, x2, x3: [1.0 - x1 - x2 - x3],
            inequal=lambda x1, x2, x3: [6.0 * x2 + 4.0 * x3 - x1**3 - 3.0], optimum=1.0, point=(0, 0, 1)),
    Program(number=33, f=lambda x1, x2, x3: (x1 - 1.0) * (x1 - 2.0) * (x1 - 3.0) + x3, start=(0, 0, 3), begins=-3.0,
            lower=0, upper=(INF, INF, 5),
            inequal=lambda x1, x2, x3: [x3**2 - x2**2 - x1**2, x1**2 + x2**2 + x3**2 - 4.0], optimum=ROOT2 - 6,
            point=(0, ROOT2, ROOT2)),
    Program(number=34, f=lambda x1, x2, x3: -x1, start=(0, 1.05, 2.9), begins=0.0, lower=0, upper=(100, 100, 10),
            inequal=lambda x1, x2, x3: [x2 - np.exp(x1), x3 - np.exp(x2)], optimum=-np.log(np.log(10)),
            point=(np.log(np.log(10)), np.log(10), 10)),
    Program(number=35, f=lambda x1, x2, x3: 9.0 - 8.0 * x1 - 6.0 * x2 - 4.0 * x3 + 2.0 * x1**2 + 2.0 * x2**2 + x3**2
            + 2.0 * x1 * x2 + 2.0 * x1 * x3, start=(0.5, 0.5, 0.5), begins=2.25, lower=0,
            inequal=lambda x1, x2, x3: [3.0 - x1 - x2 - 2.0 * x3], optimum=1 / 9, point=(4 / 3, 7 / 9, 4 / 9)),
    Program(number=36, f=lambda x1, x2, x3: -x1 * x2 * x3, start=(10, 10, 10), begins=-1000.0, lower=0,
            upper=(20, 11, 42), inequal=lambda x1, x2, x3: [72.0 - x1 - 2.0 * x2 - 2.0 * x3], optimum=-3300.0,
            point=(20, 11, 15)),
    Program(number=37, f=lambda x1, x2, x3: -x1 * x2 * x3, start=(10, 10, 10), begins=-1000.0, lower=0, upper=42,
            inequal=lambda x1, x2, x3: [x1 + 2.0 * x2 + 2.0 * x3], high=72.0, optimum=-3456.0, point=(24, 12, 12)),
    Program(number=38, f=lambda x1, x2, x3, x4: banana(x1, x2) + 90.0 * (x4 - x3**2) ** 2 + (1.0 - x3) ** 2
            + 10.1 * ((x2 - 1.0) ** 2 + (x4 - 1.0) ** 2) + 19.8 * (x2 - 1.0) * (x4 - 1.0), start=(-3, -1, -3, -1),
            begins=19192.0, lower=-10, upper=10, optimum=0.0, point=(1, 1, 1, 1)),
    Program(number=39, f=lambda x1, x2, x3, x4: -x1, start=(2, 2, 2, 2), begins=-2.0,
            equal=lambda x1, x2, x3, x4: [x2 - x1**3 - x3**2, x1**2 - x2 - x4**2], optimum=-1.0, point=(1, 1, 0, 0)),
    Program(number=40, f=lambda x1, x2, x3, x4: -x1 * x2 * x3 * x4, start=(0.8, 0.8, 0.8, 0.8), begins=-0.4096,
            equal=lambda x1, x2, x3, x4: [x1**3 + x2**2 - 1.0, x1**2 * x4 - x3, x4**2 - x2], optimum=-0.25,
            point=(2 ** (-1 / 3), 2 ** (-1 / 2), 2 ** (-11 / 12), 2 ** (-1 / 4))),
    Program(number=41, f=lambda x1, x2, x3, x4: 2.0 - x1 * x2 * x3, start=(2, 2, 2, 2), begins=-6.0, lower=0,
            upper=(1, 1, 1, 2), equal=lambda x1, x2, x3, x4: [x1 + 2.0 * x2 + 2.0 * x3 - x4], optimum=52 / 27,
            point=(2 / 3, 1 / 3, 1 / 3, 2)),
    Program(number=42, f=lambda x1, x2, x3, x4: (x1 - 1.0) ** 2 + (x2 - 2.0) ** 2 + (x3 - 3.0) ** 2 + (x4 - 4.0) ** 2,
            start=(1, 1, 1, 1), begins=14.0, equal=lambda x1, x2, x3, x4: [x1 - 2.0, x3**2 + x4**2 - 2.0],
            optimum=28 - 10 * ROOT2, point=(2, 2, 0.6 * ROOT2, 0.8 * ROOT2)),
    Program(number=43, f=lambda x1, x2, x3, x4: x1**2 + x2**2 + 2.0 * x3**2 + x4**2 - 5.0 * x1 - 5.0 * x2 - 21.0 * x3
            + 7.0 * x4, start=(0, 0, 0, 0), begins=0.0, inequal=rosen_suzuki, optimum=-44.0, point=(0, 1, 2, -1)),
    Program(number=44, f=lambda x1, x2, x3, x4: x1 - x2 - x3 - x1 * x3 + x1 * x4 + x2 * x3 - x2 * x4,
            start=(0, 0, 0, 0), begins=0.0, lower=0,
            inequal=lambda x1, x2, x3, x4: [8.0 - x1 - 2.0 * x2, 12.0 - 4.0 * x1 - x2, 12.0 - 3.0 * x1 - 4.0 * x2,
                                            8.0 - 2.0 * x3 - x4, 8.0 - x3 - 2.0 * x4, 5.0 - x3 - x4],
            optimum=-15.0, point=(0, 3, 0, 4)),
    Program(number=45, f=lambda x1, x2, x3, x4, x5: 2.0 - x1 * x2 * x3 * x4 * x5 / 120.0, start=(2, 2, 2, 2, 2),
            begins=26 / 15, lower=0, upper=(1, 2, 3, 4, 5), optimum=1.0, point=(1, 2, 3, 4, 5)),
    Program(number=46, f=lambda x1, x2, x3, x4, x5: (x1 - x2) ** 2 + (x3 - 1.0) ** 2 + (x4 - 1.0) ** 4
            + (x5 - 1.0) ** 6, start=(ROOT2 / 2, 1.75, 0.5, 2, 2), begins="3.337626",
            equal=lambda x1, x2, x3, x4, x5: [x1**2 * x4 + np.sin(x4 - x5) - 1.0, x2 + x3**4 * x4**2 - 2.0],
            optimum=0.0),
    Program(number=48, f=lambda x1, x2, x3, x4, x5: (x1 - 1.0) ** 2 + (x2 - x3) ** 2 + (x4 - x5) ** 2,
            start=(3, 5, -3, 2, -2), begins=84.0,
            equal=lambda x1, x2, x3, x4, x5: [x1 + x2 + x3 + x4 + x5 - 5.0, x3 - 2.0 * (x4 + x5) + 3.0], optimum=0.0,
            point=(1, 1, 1, 1, 1)),
    Program(number=49, f=lambda x1, x2, x3, x4, x5: (x1 - x2) ** 2 + (x3 - 1.0) ** 2 + (x4 - 1.0) ** 4
            + (x5 - 1.0) ** 6, start=(10, 7, 2, -3, 0.8), begins="266.000064",
            equal=lambda x1, x2, x3, x4, x5: [x1 + x2 + x3 + 4.0 * x4 - 7.0, x3 + 5.0 * x5 - 6.0], optimum=0.0),
    Program(number=50, f=lambda x1, x2, x3, x4, x5: (x1 - x2) ** 2 + (x2 - x3) ** 2 + (x3 - x4) ** 4 + (x4 - x5) ** 2,
            start=(35, -31, 11, 5, -5), begins=7516.0,
            equal=lambda x1, x2, x3, x4, x5: [x1 + 2.0 * x2 + 3.0 * x3 - 6.0, x2 + 2.0 * x3 + 3.0 * x4 - 6.0,
                                              x3 + 2.0 * x4 + 3.0 * x5 - 6.0],
            optimum=0.0, point=(1, 1, 1, 1, 1)),
    Program(number=51, f=lambda x1, x2, x3, x4, x5: (x1 - x2) ** 2 + (x2 + x3 - 2.0) ** 2 + (x4 - 1.0) ** 2
            + (x5 - 1.0) ** 2, start=(2.5, 0.5, 2, -1, 0.5), begins=8.5,
            equal=lambda x1, x2, x3, x4, x5: [x1 + 3.0 * x2 - 4.0, x3 + x4 - 2.0 * x5, x2 - x5], optimum=0.0,
            point=(1, 1, 1, 1, 1)),
    Program(number=52, f=lambda x1, x2, x3, x4, x5: (4.0 * x1 - x2) ** 2 + (x2 + x3 - 2.0) ** 2 + (x4 - 1.0) ** 2
            + (x5 - 1.0) ** 2, start=(2, 2, 2, 2, 2), begins=42.0,
            equal=lambda x1, x2, x3, x4, x5: [x1 + 3.0 * x2, x3 + x4 - 2.0 * x5, x2 - x5], optimum=1859 / 349,
            point=(-33 / 349, 11 / 349, 180 / 349, -158 / 349, 11 / 349)),
    Program(number=53, f=lambda x1, x2, x3, x4, x5: (x1 - x2) ** 2 + (x2 + x3 - 2.0) ** 2 + (x4 - 1.0) ** 2
            + (x5 - 1.0) ** 2, start=(2, 2, 2, 2, 2), begins=6.0, lower=-10, upper=10,
            equal=lambda x1, x2, x3, x4, x5: [x1 + 3.0 * x2, x3 + x4 - 2.0 * x5, x2 - x5], optimum=176 / 43,
            point=(-33 / 43, 11 / 43, 27 / 43, -5 / 43, 11 / 43)),
    Program(number=56, f=lambda x1, x2, x3, x4, x5, x6, x7: -x1 * x2 * x3,
            start=(1, 1, 1, *[np.arcsin(np.sqrt(1 / 4.2))] * 3, np.arcsin(np.sqrt(5 / 7.2))), begins=-1.0,
            equal=lambda x1, x2, x3, x4, x5, x6, x7: [
                x1 - 4.2 * np.sin(x4) ** 2, x2 - 4.2 * np.sin(x5) ** 2, x3 - 4.2 * np.sin(x6) ** 2,
                x1 + 2.0 * x2 + 2.0 * x3 - 7.2 * np.sin(x7) ** 2],
            optimum=-3.456),
    Program(number=57, f=lambda x1, x2: np.sum((B57 - x1 - (0.49 - x1) * np.exp(-x2 * (A57 - 8.0))) ** 2),
            start=(0.42, 5), begins="0.0307986041", lower=(0.4, -4),
            inequal=lambda x1, x2: [0.49 * x2 - x1 * x2 - 0.09],
            optimum="0.02845966972", point=(0.419952675, 1.284845629)),
    Program(number=60, f=lambda x1, x2, x3: (x1 - 1.0) ** 2 + (x1 - x2) ** 2 + (x2 - x3) ** 4, start=(2, 2, 2),
            begins=1.0, lower=-10, upper=10,
            equal=lambda x1, x2, x3: [x1 * (1.0 + x2**2) + x3**4 - 4.0 - 3.0 * ROOT2], optimum="0.03256820025",
            point=(1.104859024, 1.196674194, 1.535262257)),
    Program(number=61, f=lambda x1, x2, x3: 4.0 * x1**2 + 2.0 * x2**2 + 2.0 * x3**2 - 33.0 * x1 + 16.0 * x2 - 24.0 * x3,
            start=(0, 0, 0), begins=0.0,
            equal=lambda x1, x2, x3: [3.0 * x1 - 2.0 * x2**2 - 7.0, 4.0 * x1 - x3**2 - 11.0], optimum="-143.6461422",
            point=(5.326770157, -2.118998639, 3.210464239)),
    Program(number=62, f=lambda x1, x2, x3: -32.174 * (
            255.0 * np.log((x1 + x2 + x3 + 0.03) / (0.09 * x1 + x2 + x3 + 0.03))
            + 280.0 * np.log((x2 + x3 + 0.03) / (0.07 * x2 + x3 + 0.03))
            + 290.0 * np.log((x3 + 0.03) / (0.13 * x3 + 0.03))), start=(0.7, 0.2, 0.1), begins="-25698.3",
            lower=0, upper=1, equal=lambda x1, x2, x3: [x1 + x2 + x3 - 1.0], optimum="-26272.51448",
            point=(0.6178126908, 0.328202223, 0.05398508606)),
    Program(number=63, f=lambda x1, x2, x3: 1000.0 - x1**2 - 2.0 * x2**2 - x3**2 - x1 * x2 - x1 * x3, start=(2, 2, 2),
            begins=976.0, lower=0,
            equal=lambda x1, x2, x3: [8.0 * x1 + 14.0 * x2 + 7.0 * x3 - 56.0, x1**2 + x2**2 + x3**2 - 25.0],
            optimum="961.7151721", point=(3.512118414, 0.2169881741, 3.552174034)),
    Program(number=64, f=lambda x1, x2, x3: 5.0 * x1 + 5e4 / x1 + 20.0 * x2 + 7.2e4 / x2 + 10.0 * x3 + 1.44e5 / x3,
            start=(1, 1, 1), begins=266035.0, lower=1e-5,
            inequal=lambda x1, x2, x3: [1.0 - 4.0 / x1 - 32.0 / x2 - 120.0 / x3], optimum="6299.842428",
            point=(108.7347175, 85.12613942, 204.3247078)),
    Program(number=65, f=lambda x1, x2, x3: (x1 - x2) ** 2 + (x1 + x2 - 10.0) ** 2 / 9.0 + (x3 - 5.0) ** 2,
            start=(-5, 5, 0), begins=1225 / 9, lower=(-4.5, -4.5, -5), upper=(4.5, 4.5, 5),
            inequal=lambda x1, x2, x3: [48.0 - x1**2 - x2**2 - x3**2], optimum="0.9535288567",
            point=(3.650461821, 3.65046168, 4.6204170507)),
    Program(number=66, f=lambda x1, x2, x3: 0.2 * x3 - 0.8 * x1, start=(0, 1.05, 2.9), begins=0.58, lower=0,
            upper=(100, 100, 10), inequal=lambda x1, x2, x3: [x2 - np.exp(x1), x3 - np.exp(x2)],
            optimum="0.5181632741", point=(0.1841264879, 1.202167873, 3.327322322)),
    Program(number=68, **inspection(1e-4, 1.0, 24.0), optimum="-0.920425026",
            point=(0.06785874, 3.6461717, 0.00026617, 0.8948622)),
    Program(number=69, **inspection(0.1, 1000.0, 4.0), optimum="-956.71288",
            point=(0.029371417, 1.1902534, 0.23394676, 0.79166761)),
    Program(number=70, f=cloud, start=(2, 4, 0.04, 2), lower=1e-5, upper=(100, 100, 1, 100),
            inequal=lambda x1, x2, x3, x4: [x3 + (1.0 - x3) * x4], optimum="0.007498464",
            point=(12.27695, 4.631788, 0.3128625, 2.029290)),
    Program(number=71, f=lambda x1, x2, x3, x4: x1 * x4 * (x1 + x2 + x3) + x3, start=(1, 5, 5, 1), begins=16.0,
            lower=1, upper=5, equal=lambda x1, x2, x3, x4: [x1**2 + x2**2 + x3**2 + x4**2 - 40.0],
            inequal=lambda x1, x2, x3, x4: [x1 * x2 * x3 * x4 - 25.0], optimum="17.0140173",
            point=(1, 4.7429994, 3.8211503, 1.3794082)),
    Program(number=72, f=lambda x1, x2, x3, x4: 1.0 + x1 + x2 + x3 + x4, start=(1, 1, 1, 1), begins=5.0, lower=1e-3,
            upper=(4e5, 3e5, 2e5, 1e5),
            inequal=lambda x1, x2, x3, x4: [0.0401 - 4.0 / x1 - 2.25 / x2 - 1.0 / x3 - 0.25 / x4,
                                            0.010085 - 0.16 / x1 - 0.36 / x2 - 0.64 / x3 - 0.64 / x4],
            optimum="727.67937", point=(193.4071, 179.5475, 185.0186, 168.7062)),
    Program(number=73, f=lambda x1, x2, x3, x4: 24.55 * x1 + 26.75 * x2 + 39.0 * x3 + 40.50 * x4, start=(1, 1, 1, 1),
            begins=130.8, lower=0, equal=lambda x1, x2, x3, x4: [x1 + x2 + x3 + x4 - 1.0],
            inequal=lambda x1, x2, x3, x4: [
                2.3 * x1 + 5.6 * x2 + 11.1 * x3 + 1.3 * x4 - 5.0,
                12.0 * x1 + 11.9 * x2 + 41.8 * x3 + 52.1 * x4 - 21.0
                - 1.645 * np.sqrt(0.28 * x1**2 + 0.19 * x2**2 + 20.5 * x3**2 + 0.62 * x4**2)],
            optimum="29.894378", point=(0.6355216, 0, 0.3127019, 0.05177655)),
    Program(number=74, **power_flow(0.55), optimum="5126.4981", point=(679.9453, 1026.067, 0.1188764, -0.3962336)),
    Program(number=75, **power_flow(0.48), optimum="5174.4129", point=(776.1592, 925.1949, 0.05110879, -0.4288911)),
    Program(number=76, f=lambda x1, x2, x3, x4: x1**2 + 0.5 * x2**2 + x3**2 + 0.5 * x4**2 - x1 * x3 + x3 * x4 - x1
            - 3.0 * x2 + x3 - x4, start=(0.5,) * 4, begins=-1.25, lower=0,
            inequal=lambda x1, x2, x3, x4: [5.0 - x1 - 2.0 * x2 - x3 - x4, 4.0 - 3.0 * x1 - x2 - 2.0 * x3 + x4,
                                            x2 + 4.0 * x3 - 1.5],
            optimum="-4.681818181", point=(0.2727273, 2.090909, 0, 0.5454545)),
    Program(number=77, f=lambda x1, x2, x3, x4, x5: (x1 - 1.0) ** 2 + (x1 - x2) ** 2 + (x3 - 1.0) ** 2
            + (x4 - 1.0) ** 4 + (x5 - 1.0) ** 6, start=(2,) * 5, begins=4.0,
            equal=lambda x1, x2, x3, x4, x5: [x1**2 * x4 + np.sin(x4 - x5) - 2.0 * ROOT2,
                                              x2 + x3**4 * x4**2 - 8.0 - ROOT2],
            optimum="0.24150513", point=(1.166172, 1.182111, 1.380257, 1.506036, 0.6109203)),
    Program(number=78, f=lambda x1, x2, x3, x4, x5: x1 * x2 * x3 * x4 * x5, start=(-2, 1.5, 2, -1, -1), begins=-6.0,
            equal=powell, optimum="-2.91970041"),
    Program(number=79, f=lambda x1, x2, x3, x4, x5: (x1 - 1.0) ** 2 + (x1 - x2) ** 2 + (x2 - x3) ** 2
            + (x3 - x4) ** 4 + (x4 - x5) ** 4, start=(2,) * 5, begins=1.0,
            equal=lambda x1, x2, x3, x4, x5: [x1 + x2**2 + x3**3 - 2.0 - 3.0 * ROOT2,
                                              x2 - x3**2 + x4 + 2.0 - 2.0 * ROOT2, x1 * x5 - 2.0],
            optimum="0.0787768209", point=(1.191127, 1.362603, 1.472818, 1.635017, 1.679081)),
    Program(number=80, f=lambda x1, x2, x3, x4, x5: np.exp(x1 * x2 * x3 * x4 * x5), **BOX80, begins="0.0003354626",
            optimum="0.0539498478"),
    Program(number=81, f=lambda x1, x2, x3, x4, x5: np.exp(x1 * x2 * x3 * x4 * x5)
            - 0.5 * (x1**3 + x2**3 + 1.0) ** 2, **BOX80, begins="-0.4996645", optimum="0.0539498478"),
    Program(number=83, f=lambda x1, x2, x3, x4, x5: 5.3578547 * x3**2 + 0.8356891 * x1 * x5 + 37.293239 * x1
            - 40792.141, start=(78, 33, 27, 27, 27), lower=(78, 33, 27, 27, 27),
            upper=(102, 45, 45, 45, 45), inequal=problem_83, high=(92, 20, 5), optimum="-30665.53867",
            point=(78, 33, 29.99526, 45, 36.77581)),
    Program(number=84, f=lambda *x: -A84[0] - linear_84(A84[1:], *x), start=(2.52, 2, 37.5, 9.25, 6.8),
            begins="-2351243.5", lower=(0, 1.2, 20, 9, 6.5), upper=(1000, 2.4, 60, 9.3, 7),
            inequal=lambda *x: [linear_84(b, *x) for b in B84], high=(294000, 294000, 277200), optimum="-5280335.133",
            point=(4.53743097, 2.4, 60, 9.3, 7)),
]  # fmt: skip
