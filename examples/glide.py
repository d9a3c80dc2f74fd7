"""The best speed of a glider: a measured polar as a cubic spline, and the optimum by Newton's method on it.

The sink rate was measured at eight speeds. Between them it is a spline, an operation like any other: so how far the
glider comes per metre of height has exact derivatives by the speed, and by head wind and rising air.
"""

import numpy as np

import fastgraph as fg

SPEED = np.array([18.0, 20.0, 22.5, 25.0, 30.0, 35.0, 40.0, 50.0])  # m/s
SINK = np.array([0.71, 0.62, 0.60, 0.63, 0.77, 1.01, 1.36, 2.45])  # m/s

graph = fg.Graph("glide")
speed, wind, lift = graph.input("speed"), graph.parameter("wind"), graph.parameter("lift")
sink = fg.cubic_spline(speed, SPEED, SINK)
graph.output((speed - wind) / (sink - lift), name="glide_ratio")
glide = graph.compile()

# Every combination of wind and lift has its own optimum: Newton's steps for all of them at once.
winds, lifts = np.meshgrid(np.linspace(-10.0, 10.0, 5), np.linspace(-1.0, 0.0, 3))
best = np.full(winds.shape, 30.0)
for _ in range(20):
    slope = glide.grad(best, winds, lifts)
    curvature = glide.hessian(best, winds, lifts)
    best = np.clip(best - slope / np.where(curvature < 0.0, curvature, -np.abs(slope)), 19.0, 48.0)
print("best speeds in m/s, by head wind (across) and sinking air (down):")
print(np.array2string(best, precision=2))
still = best[2, 2]
print(f"in still air {still:.2f} m/s, glide ratio {glide(still, 0.0, 0.0):.2f}")
assert np.abs(glide.grad(best, winds, lifts)).max() < 1e-9
