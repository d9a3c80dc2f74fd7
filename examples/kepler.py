"""Kepler's equation E - e sin E = M for 100,000 orbits at once, by Newton's method on a compiled residual."""

import numpy as np

import fastgraph as fg


def residual():
    """E - e sin E - M as a function of E; e and M are parameters, so the derivative is by E alone."""
    graph = fg.Graph("kepler")
    anomaly = graph.input("E")
    eccentricity, mean = graph.parameter("e"), graph.parameter("M")
    graph.output(anomaly - eccentricity * fg.sin(anomaly) - mean)
    return graph.compile()


def solve(eccentricity, mean, steps=10):
    """The eccentric anomaly E of each orbit."""
    f = residual()
    anomaly = np.where(eccentricity > 0.8, np.pi, mean)
    for _ in range(steps):
        value, slope = f.value_and_grad(anomaly, eccentricity, mean)
        anomaly = anomaly - value / slope
    return anomaly


def main():
    """Solve random orbits and print the largest residual."""
    rng = np.random.default_rng(0)
    eccentricity, mean = rng.uniform(0.0, 0.95, 100_000), rng.uniform(0.0, 2.0 * np.pi, 100_000)
    anomaly = solve(eccentricity, mean)
    error = np.abs(anomaly - eccentricity * np.sin(anomaly) - mean).max()
    print(f"{len(anomaly):,} orbits, largest residual {error:.1e}")


if __name__ == "__main__":
    main()
