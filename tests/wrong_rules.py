"""Rules of the op table made wrong on purpose, for tests of tests: each by name, with an expression that uses it."""

from contextlib import contextmanager
from dataclasses import replace

import fastgraph as fg
from fastgraph.ops import OPS
from fastgraph.ops.row import Only
from fastgraph.passes import templates

WRONG = {
    "sin": (lambda x, y: fg.sin(x) * y, lambda m, r, x: (-m.cos(x),)),
    "exp": (lambda x, y: fg.exp(x * y), lambda m, r, x: (r * (1.0 + 2.0**-50),)),
    "mul": (lambda x, y: x * fg.exp(y), lambda m, r, x, y: (x, y)),
    "div": (lambda x, y: x / y, lambda m, r, x, y: (1.0 / y, r / y)),
    "where": (
        lambda x, y: fg.where(x > 1.0, x * y, y),
        lambda m, r, c, x, y: (0, Only(c == 0.0, 1), Only(c != 0.0, 1)),
    ),
    "maximum": (lambda x, y: fg.maximum(x, y) * y, lambda m, r, x, y: (1.0, 0)),
}


@contextmanager
def rule_of(monkeypatch, name, partials):
    """While this lasts, the passes that differentiate read other partials for an op than the table's."""
    wrong = list(templates.TABLE)
    wrong[OPS[name].code] = replace(OPS[name], partials=partials)
    templates._traced.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(templates, "TABLE", tuple(wrong))
        yield
    templates._traced.cache_clear()
