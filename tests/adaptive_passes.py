"""Adaptive passes run as plain Python and as machine code: what both make of the same input."""

import importlib

from fastgraph.jit import adaptive

MODULES = ("adjoint", "flow", "fold", "pair", "prune", "schedule", "simplify", "tangent")
ADAPTIVE = [
    value
    for module in MODULES
    for value in vars(importlib.import_module(f"fastgraph.passes.{module}")).values()
    if isinstance(value, adaptive)
]


def arrays_of(program):
    """All that a program is, as bytes."""
    return [getattr(program, name).tobytes() for name in ("constants", "runs", "operands", "outputs")]


def made_both_ways(monkeypatch, make):
    """``make()`` with every pass in Python, then with every pass compiled."""
    made = []
    for small in (1 << 60, -1):
        with monkeypatch.context() as patch:
            patch.setattr(adaptive, "SMALL", small)
            for function in ADAPTIVE if small > 0 else ():
                patch.setattr(function, "_machine", None)
                patch.setattr(function, "_is_used", False)
            made.append(make())
    return made
