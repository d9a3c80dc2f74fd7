"""Stiff chemical kinetics by SciPy's implicit solvers: reactions as text become a Function with its exact Jacobian.

Needs scipy. The problems and their solutions, to 16 digits, are published in Mazzia and Magherini, Test Set for IVP
Solvers (2008).
"""

import math
import re
from collections import Counter

import numpy as np
from scipy.integrate import solve_ivp

import fastgraph as fg

# In this order fast reactions cancel before the slow one is added: in another, rounding costs three digits at the end.
ROBERTSON = """
    A -> B          0.04
    B + C -> A + C  1e4
    B + B -> B + C  3e7
"""
# Responses of plants to high irradiance: Schäfer (1975); X and Y are two receptors, E an enzyme.
HIRES = """
    -> Pr              0.0007
    Pr -> Pfr          1.71
    Pfr -> Pr          0.43
    Pfr -> PfrX        8.32
    PrX -> Pr          8.32
    PrX -> PfrX        1.71
    PfrX -> PrX        0.43
    PfrX -> PfrY       0.69
    PrY -> PrX         0.035
    PrY -> PfrY        1.71
    PfrY -> PrY        0.43
    PfrY + E -> PfrYE  280
    PfrYE -> PrY + E   0.43
    PfrYE -> PfrY + E  0.69
    PfrYE -> E         0.69
"""
# Air pollution: Verwer, Gauss-Seidel iteration for stiff ODEs from chemical kinetics (1994).
POLLUTION = """
    NO2 -> NO + O3P                0.35
    NO + O3 -> NO2                 26.6
    HO2 + NO -> NO2 + OH           1.23e4
    HCHO -> HO2 + HO2 + CO         8.6e-4
    HCHO -> CO                     8.2e-4
    HCHO + OH -> HO2 + CO          1.5e4
    ALD -> MEO2 + HO2 + CO         1.3e-4
    ALD + OH -> C2O3               2.4e4
    C2O3 + NO -> NO2 + MEO2 + CO2  1.65e4
    C2O3 + NO2 -> PAN              9e3
    PAN -> C2O3 + NO2              0.022
    MEO2 + NO -> CH3O + NO2        1.2e4
    CH3O -> HCHO + HO2             1.88
    NO2 + OH -> HNO3               1.63e4
    O3P -> O3                      4.8e6
    O3 -> O1D                      3.5e-4
    O3 -> O3P                      0.0175
    O1D -> OH + OH                 1e8
    O1D -> O3P                     4.44e11
    SO2 + OH -> SO4 + HO2          1240
    NO3 -> NO                      2.1
    NO3 -> NO2 + O3P               5.78
    NO2 + O3 -> NO3                0.0474
    NO3 + NO2 -> N2O5              1780
    N2O5 -> NO3 + NO2              3.12
"""
# Of each: reactions, end, concentrations at the start, the published ones at the end.
PROBLEMS = {
    "Robertson": (
        ROBERTSON,
        1e11,
        {"A": 1.0},
        {"A": 0.2083340149701255e-7, "B": 0.8333360770334713e-13, "C": 0.9999999791665050},
    ),
    "high irradiance": (
        HIRES,
        321.8122,
        {"Pr": 1.0, "E": 0.0057},
        {
            "Pr": 0.7371312573325668e-3, "Pfr": 0.1442485726316185e-3, "PrX": 0.5888729740967575e-4,
            "PfrX": 0.1175651343283149e-2, "PrY": 0.2386356198831331e-2, "PfrY": 0.6238968252742796e-2,
            "PfrYE": 0.2849998395185769e-2, "E": 0.2850001604814231e-2,
        },
    ),
    "pollution": (
        POLLUTION,
        60.0,
        {"NO": 0.2, "O3": 0.04, "HCHO": 0.1, "CO": 0.3, "ALD": 0.01, "SO2": 0.007},
        {
            "NO2": 0.5646255480022769e-1, "NO": 0.1342484130422339, "O3P": 0.4139734331099427e-8,
            "O3": 0.5523140207484359e-2, "HO2": 0.2018977262302196e-6, "OH": 0.1464541863493966e-6,
            "HCHO": 0.7784249118997964e-1, "CO": 0.3245075353396018, "ALD": 0.7494013383880406e-2,
            "MEO2": 0.1622293157301561e-7, "C2O3": 0.1135863833257075e-7, "CO2": 0.2230505975721359e-2,
            "PAN": 0.2087162882798630e-3, "CH3O": 0.1396921016840158e-4, "HNO3": 0.8964884856898295e-2,
            "O1D": 0.4352846369330103e-17, "SO2": 0.6899219696263405e-2, "SO4": 0.1007803037365946e-3,
            "NO3": 0.1772146513969984e-5, "N2O5": 0.5682943292316392e-4,
        },
    ),
}  # fmt: skip


def slopes(reactions, names):
    """By the law of mass action: the slopes of the concentrations as a function of them, in the order of ``names``."""
    graph = fg.Graph("slopes")
    y = dict(zip(names, graph.input("y", shape=len(names)), strict=True))
    terms = {name: [] for name in names}
    for line in reactions.strip().splitlines():
        left, right, rate = re.fullmatch(r"(.*)->(.*) (\S+)", line.strip()).groups()
        used, made = (Counter(side.replace("+", " ").split()) for side in (left, right))
        speed = math.prod((y[name] for name in used.elements()), start=float(rate))
        for name in used | made:
            if made[name] != used[name]:
                terms[name].append((made[name] - used[name]) * speed)
    graph.output([fg.sum(terms[name]) for name in names])
    return graph.compile()


def main():
    """Solve all three and compare with the published concentrations, which span 17 orders of magnitude."""
    for what, (reactions, end, start, published) in PROBLEMS.items():
        names = list(published)
        s = fg.scipy.ode(slopes(reactions, names))
        begin = [start.get(name, 0.0) for name in names]
        solution = solve_ivp(s, (0.0, end), begin, jac=s.jac, method="Radau", rtol=1e-9, atol=1e-18)
        error = np.abs(solution.y[:, -1] / [*published.values()] - 1.0).max()
        print(f"{what}: {len(names)} species, {solution.t.size} steps, {solution.njev} Jacobians, error {error:.0e}")
        print(f"{what}: the concentrations at the end are the published ones to 1e-9: {error < 1e-9}")


if __name__ == "__main__":
    main()
