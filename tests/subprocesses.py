"""Programs of tests that need a process of their own: because they fork, are interrupted, or run out of memory.

In: a body. Out: what it printed, by words. Before the body runs: a graph of 200 operations is compiled to ``f``, and
``right()`` says whether ``f`` still computes the same bits for a batch as for one set after the other.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRELUDE = """
    import os, signal, sys, threading, time
    import numpy as np
    import fastgraph as fg
    from tests.bits import same_bits
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x
    for k in range(200):
        z = z * 0.5 + y
    graph.output(z)
    f = graph.compile()
    def right(n=2000, threads=None):
        t = np.arange(float(n))
        got, gradient = f.value_and_grad(t, 1.0, threads=threads)
        return same_bits(got, np.array([f(v, 1.0) for v in t.tolist()])) and same_bits(gradient.x, np.full(n, 0.5**200))
"""


def run(body, timeout=120, **environment):
    """Run ``body`` in a new interpreter that ends well and says nothing on stderr; the words it printed."""
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert (done.returncode, done.stderr[-2000:]) == (0, "")
    return done.stdout.split()
