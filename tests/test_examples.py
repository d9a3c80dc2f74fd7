"""Every example runs, without a warning, and prints the numbers it should."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
EXPECTED = {
    "black_scholes.py": ["price 10.450584", "delta 0.636831, vega 37.524035, rho 53.232482, theta -6.414028"],
    "fit.py": ["fitted size 2.998, rate 0.701, floor 0.501"],
    "glide.py": ["in still air 26.73 m/s, glide ratio 40.06"],
    "implied_volatility.py": [
        "the textbook's to 1e-12: True",
        "are intrinsic values: vega is 0",
        "hold it to 1e-14, and it is found to 5e-13: True",
        "the others are found as far as an ulp of the quote moves them: True",
    ],
    "kepler.py": ["100,000 orbits, largest residual 8.9e-16"],
    "kinetics.py": [
        f"{name}: the concentrations at the end are the published ones to 1e-9: True"
        for name in ("Robertson", "high irradiance", "pollution")
    ],
    "logistic_regression.py": [
        "569 rows, 98.8% classified as they are",
        "scikit-learn's coefficients differ by less than 1e-5: True",
    ],
    "monte_carlo.py": [
        "the closed form is the published value: True",
        "geometric price 5.3410 ± 0.0124, closed form 5.3426, within 3 errors: True",
        "geometric delta 0.5413 ± 0.0008, closed form 0.5410, within 3 errors: True",
        "geometric vega 21.4919 ± 0.0620, closed form 21.5041, within 3 errors: True",
        "geometric rho 24.4325 ± 0.0375, closed form 24.4099, within 3 errors: True",
        "arithmetic price 5.5330 ± 0.0005, delta 0.5492, vega 23.281",
        "as without the closed form, within 3 errors: True",
    ],
    "ode.py": [
        "Arenstorf's orbit is done: True",
        "steps close it to 1e-7: True",
        "all done: True",
        "their orbits close to 1e-6: True; their energies stay to 1e-9: True",
        "by 2,000 steps of the classical method, to 1e-8: True",
    ],
    "pendulum.py": [
        "5 links: 131 operations from SymPy",
        "energy has changed by less than 1e-8 of itself: True",
        "Jacobian beside differences: True",
    ],
}
NEEDED = {  # beyond what fastgraph itself does
    "kinetics.py": ("scipy",),
    "logistic_regression.py": ("scipy", "sklearn"),
    "pendulum.py": ("sympy",),
}


def test_each_example_is_expected():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name):
    for module in NEEDED.get(name, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    root = str(EXAMPLES.parent)
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in EXPECTED[name]:
        assert line in done.stdout
