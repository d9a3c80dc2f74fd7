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
    "kepler.py": ["100,000 orbits, largest residual 8.9e-16"],
    "logistic_regression.py": [
        "569 rows, 98.8% classified as they are",
        "scikit-learn's coefficients differ by less than 1e-5: True",
    ],
}
NEEDED = {"logistic_regression.py": ("scipy", "sklearn")}  # beyond what the extra `test` installs


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
