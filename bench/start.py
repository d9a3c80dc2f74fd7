"""Start: a whole process, from the command to the first gradient of the tiny graph.

Each peer has a program of a few lines, as a user would write it, run as
``python -c``. It prints the gradient, which is checked, and the seconds from its import on.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = {
    "fastgraph": """
import fastgraph as fg
graph = fg.Graph()
a, b, c = graph.inputs("a", "b", "c")
graph.output((a + b) * (b - c))
gradient = graph.compile().value_and_grad(2.0, 3.0, 1.0)[1]
""",
    "casadi": """
import casadi as ca
a, b, c = (ca.SX.sym(n) for n in "abc")
y = (a + b) * (b - c)
gradient = ca.Function("f", [a, b, c], [ca.gradient(y, x) for x in (a, b, c)])(2.0, 3.0, 1.0)
""",
    "heyoka": """
import heyoka as hy
a, b, c = hy.make_vars("a", "b", "c")
slopes = hy.diff_tensors([(a + b) * (b - c)], diff_args=[a, b, c], diff_order=1).gradient
gradient = hy.cfunc(slopes, vars=[a, b, c])([2.0, 3.0, 1.0])
""",
    "jax": """
import jax
gradient = jax.jit(jax.grad(lambda a, b, c: (a + b) * (b - c), (0, 1, 2)))(2.0, 3.0, 1.0)
""",
    "autograd": """
import autograd
gradient = [autograd.grad(lambda a, b, c: (a + b) * (b - c), k)(2.0, 3.0, 1.0) for k in range(3)]
""",
}
ROOT = Path(__file__).resolve().parents[1]


def run(name, cache):
    """Run a peer's program with Numba's cache in the directory ``cache``; seconds of (the command, its program)."""
    timed = f"import time\nstart = time.perf_counter()\n{PROGRAMS[name]}\nseconds = time.perf_counter() - start\n"
    code = timed + "print(*(float(g) for g in gradient), seconds)"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300
    )
    whole = time.perf_counter() - begin
    *gradient, seconds = map(float, done.stdout.split())
    assert gradient == [2.0, 7.0, -5.0], f"{name}: the gradient is {gradient}"
    return whole, seconds


def cold(name):
    """As :func:`run`, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        return run(name, cache)
