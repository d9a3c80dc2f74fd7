"""Reference: value and gradient of a workload in plain Python, one operation after the other.

What every peer must agree with before it is timed. In: a workload and one input set, or arrays of many. Out: its
value and gradient. Knows nothing of any library under test.
"""

import math

import numpy as np
from scipy import special

from bench.workloads import BINARY, OPS, replay

ROOT = 1.0 / math.sqrt(2.0 * math.pi)
FUNCTIONS = {"exp": np.exp, "log": np.log, "sin": np.sin, "tanh": np.tanh, "sqrt": np.sqrt, "ndtr": special.ndtr}
PARTIALS = {
    "add": lambda r, x, y: (1.0, 1.0),
    "sub": lambda r, x, y: (1.0, -1.0),
    "mul": lambda r, x, y: (y, x),
    "div": lambda r, x, y: (1.0 / y, -r / y),
    "neg": lambda r, x, y: (-1.0,),
    "exp": lambda r, x, y: (r,),
    "log": lambda r, x, y: (1.0 / x,),
    "sin": lambda r, x, y: (np.cos(x),),
    "tanh": lambda r, x, y: (1.0 - r * r,),
    "sqrt": lambda r, x, y: (0.5 / r,),
    "ndtr": lambda r, x, y: (ROOT * np.exp(-0.5 * x * x),),
}


def values(work, inputs):
    """The value at ``inputs``, (n_inputs,) or (n_inputs, n)."""
    return replay(work, inputs, FUNCTIONS)[-1]


def value_and_gradient(work, inputs):
    """The value, and the gradient in the shape of ``inputs``."""
    leaves = inputs.tolist() if inputs.ndim == 1 else list(inputs)
    nodes = replay(work, leaves, FUNCTIONS)
    adjoints = [0.0] * len(nodes)
    adjoints[-1] = 1.0
    partials = [PARTIALS[name] for name in OPS]
    first = len(nodes) - work.n_ops
    codes, xs, ys = work.steps
    for i in range(work.n_ops - 1, -1, -1):
        code, x, y, weight = codes[i], xs[i], ys[i], adjoints[first + i]
        shares = partials[code](nodes[first + i], nodes[x], nodes[y])
        adjoints[x] = adjoints[x] + weight * shares[0]
        if code < BINARY:
            adjoints[y] = adjoints[y] + weight * shares[1]
    ones = np.ones(inputs.shape[1:])
    return nodes[-1], np.array([adjoint * ones for adjoint in adjoints[: work.n_inputs]])


def disagreement(got, expected):
    """The largest error relative to the largest expected number: of a value, or of a whole gradient."""
    expected = np.asarray(expected, dtype=np.float64)
    error = np.max(np.abs(np.asarray(got, dtype=np.float64) - expected))
    return float(error / np.max(np.abs(expected)))
