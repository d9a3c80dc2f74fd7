"""The texts that fastgraph shows, as files in ``tests/golden``.

``python -m tests.golden_texts`` writes them anew: do so after a change that is meant, and read the difference.
"""

import math
from pathlib import Path

import numpy as np

import fastgraph as fg
from fastgraph.show import shown

FOLDER = Path(__file__).parent / "golden"


# -- graphs -------------------------------------------------------------------------------------------------
def example():
    graph = fg.Graph("example")
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c), name="Y")
    return graph


def masks():
    """Branches that are gated: by a condition of the graph, by its negation, and by both of two."""
    graph = fg.Graph("masks")
    x, y = graph.inputs("x", "y")
    inner = fg.where(y > 1.0, fg.log(x) / y, 2.0)
    graph.output(fg.where(x > 0.5, fg.sqrt(x) * inner, y**-3) - 2.5 * x, name="z")
    return graph


def immediates():
    graph = fg.Graph("immediates")
    x = graph.input("x")
    graph.output(x**5 + (1.0 / x**-2) * fg.polygamma(x, 3) - fg.square(x) % 3.0, name="y")
    return graph


def tables():
    graph = fg.Graph("tables")
    x, k = graph.input("x"), graph.parameter("k")
    graph.output(k * fg.interp(x, [0.0, 1.0, 2.0, 4.0, 8.0], [0.0, 1.0, 4.0, 16.0, 64.0]), name="price")
    graph.output(fg.lookup(x, [5.0, 7.0]), name="step")
    return graph


def wave(x):
    return math.sin(3.0 * x)


def beat(x, y):
    return math.sin(x) * math.sin(y)


def custom():
    one = fg.custom_op(wave, lambda r, x: 3.0 * fg.cos(3.0 * x))
    two = fg.custom_op(lambda x, y: x * y, (lambda x, y: y, lambda x, y: x))
    graph = fg.Graph("custom")
    x = graph.input("x", shape=2)
    graph.output(fg.sum(one(x)) + two(x[0], x[1]), name="s")
    return graph


def several():
    """Several outputs, one of them an argument, one a number, one named as an argument, two the same."""
    graph = fg.Graph("several")
    x, t, k = graph.input("x", shape=3), graph.input("t"), graph.parameter("k", shape=(1, 2))
    product = x * t
    graph.output(product + k[0, 1], name="u")
    graph.output(fg.dot(x, x), name="v")
    graph.output(x[0], name="same")
    graph.output(3.0, name="three")
    graph.output(product[2], name="t")
    graph.output(product[2], name="again")
    return graph


def nonfinite():
    graph = fg.Graph("nonfinite")
    x, y = graph.inputs("x", "y")
    graph.output(x / y + fg.log(x) * 0.0 - 1e300 * 1e10, name="q")
    return graph


def rosenbrock():
    graph = fg.Graph("rosenbrock")
    x = graph.input("x", shape=1000)
    graph.output(fg.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2), name="y")
    return graph


def layers():
    """More kinds of operations at more depths than a summary has boxes for."""
    graph = fg.Graph("layers")
    x, weights = graph.input("x", shape=4), graph.parameter("W", shape=(4, 4))
    for _ in range(12):
        z = weights @ x
        x = fg.where(z > 0.0, fg.tanh(z), fg.exp(x) - fg.softplus(x))
    graph.output(x, name="y")
    return graph


POINTS = {
    example: ((2.0, 3.0, 1.0), None),
    masks: ((0.25, 2.0), None),
    immediates: ((2.0,), None),
    tables: ((2.5, 2.0), (1.0, 0.0)),
    custom: (([0.5, 0.25],), None),
    several: (
        ([1.0, 2.0, 3.0], 0.5, [[0.0, 10.0]]),
        {"u": [1.0, 0.0, 0.5], "v": -2.0, "same": 1.0, "three": 1.0, "t": 1.0, "again": 2.0},
    ),
    nonfinite: ((0.0, 0.0), None),
}


# -- texts --------------------------------------------------------------------------------------------------
def reprs():
    """One line for each thing that has a repr."""
    graph = fg.Graph("reprs")
    a, b = graph.inputs("a", "b")
    t1, x = graph.input("t1"), graph.input("x", shape=(3, 4))
    shared = fg.sin(a + b)
    chain = a
    for _ in range(1000):
        chain = fg.exp(chain) * b - chain
    wide = fg.trace(lambda v: v @ v, (10_000,))
    things = [
        a, x[1, 2], graph.constant(0.1), a * 2.0 - -b, -(a**2) ** -3, (a - b) - (t1 - a) / 3.0, 2.0**a ** -b,
        fg.where(~(a < b) & (b == 1.0) | (t1 >= 0.0), fg.hypot(a, b), abs(a) % 2.0), 1.0 / a, fg.reciprocal(a) * np.inf,
        fg.polygamma(a, 2), fg.lookup(a, [1.0, 2.0]), fg.interval(a, np.arange(9.0)),
        fg.custom_op(wave)(a), fg.custom_op(beat)(a, b), shared * shared + 1.0, (shared * shared) * (a + b),
        chain, fg.sum(x), x, x[:2, 0], x[0] * t1, x[:0], graph,
        fg.trace(lambda a, b: a * b, (), 2), wide, wide.program, example().compile(np.float32).program,
        example().picture(), rosenbrock().picture(),
    ]  # fmt: skip
    return "\n".join(map(repr, things))


def summaries():
    graph = masks()
    unused = fg.exp(graph.input("w", shape=(2, 2))) + 1.0
    expr = fg.sin(unused[0, 0] * graph.argument("x")) ** 2
    mixed = tables()
    fg.custom_op(wave)(mixed.argument("x"))
    things = [example(), example().compile(), example().compile(np.float32).program, graph, unused, expr,
              masks().compile(), tables().compile(), custom().compile(), several().compile(),
              rosenbrock().compile(), fg.trace(lambda *xs: sum(xs), *[()] * 40)]  # fmt: skip
    return "\n\n".join(str(thing.summary()) for thing in things)


def _texts():
    texts = {"reprs": reprs, "summaries": summaries}
    for make, (at, weights) in POINTS.items():
        name = make.__name__
        texts[f"{name}.disassembly"] = lambda make=make: make().compile().program.disassemble()
        texts[f"{name}.explain"] = lambda make=make, at=at, w=weights: str(make().compile().explain(*at, cotangents=w))
        for form in ("dot", "mermaid"):
            texts[f"{name}.{form}"] = lambda make=make, at=at, w=weights, form=form: getattr(
                make().compile().picture(at, cotangents=w), f"to_{form}"
            )()
    for make in (rosenbrock, layers):
        for form in ("dot", "mermaid"):
            texts[f"{make.__name__}.{form}"] = lambda make=make, form=form: getattr(
                make().compile().picture(), f"to_{form}"
            )()
    texts["recorded.dot"] = lambda: immediates().picture().to_dot()
    texts["float32.disassembly"] = lambda: masks().compile(np.float32).program.disassemble()
    texts["cut.disassembly"] = lambda: rosenbrock().compile().program.disassemble(limit=20)
    texts["explain.html"] = lambda: masks().compile().explain(0.25, 2.0)._repr_html_()
    texts["summary.html"] = lambda: masks().compile()._repr_html_()
    texts["show.table"] = lambda: shown("sqrt(x**2 + y**2) if x > 0 else y", at="x=3,y=4")
    return texts


TEXTS = _texts()


def path_of(name):
    return FOLDER / f"{name}.txt"


def write():
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name, text in TEXTS.items():
        path_of(name).write_text(text() + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
