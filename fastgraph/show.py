"""Show: what ``python -m fastgraph show`` prints of a formula, or of a Function in a file.

In: a formula or a path, and numbers as text. Out: text.
"""

import json
import os
import pickle
import re

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, FormulaError, ProgramError
from fastgraph.formula import CONSTANTS, Formula
from fastgraph.function import Function

FORMATS = ("table", "disassembly", "dot", "mermaid", "svg")

_ASSIGNMENT = re.compile(r"\s*([^\W\d]\w*)\s*=\s*(\[[^=]*\]|[^,=\[\]]+?)\s*(,|$)")
_PATH = re.compile(r"[\w.\\/:-]*[./\\][\w.\\/:-]*")


def shown(target, form="table", at=None, cotangents=None, *, unpickle=False, **options):
    """The text that ``show`` prints.

    Parameters
    ----------
    target : str
        The path of a file that holds a Function, or a formula.
    form : str
        One of ``FORMATS``.
    at, cotangents : str, optional
        Such as ``a=2,b=3`` and ``x=[1,2,3]``.
    unpickle : bool
        Whether the file is a pickle, and trusted.
    **options
        ``limit`` and ``digits``, of what makes the text.

    Raises
    ------
    FormulaError, ProgramError, ArgumentError, ShapeError, OSError
        For what cannot be read or shown.

    Examples
    --------
    >>> print(shown("a * b", "mermaid").splitlines()[3])
      n2["<b>y</b> = a * b"]:::output
    """
    point = None if at is None else assignments(at, "--at")
    weights = None if cotangents is None else assignments(cotangents, "--cotangents")
    is_file = os.path.isfile(target)
    if unpickle and not is_file:
        raise ArgumentError(f"--unpickle: there is no file {target!r}")
    function = loaded(target, unpickle) if is_file else compiled(target, point or {})
    if point is None and weights is not None:
        raise ArgumentError("--cotangents are about derivatives at a point: give --at, too")
    if form == "disassembly":
        if point is not None:
            raise ArgumentError("a disassembly has no values: leave --at out, or choose another --format")
        options.pop("digits", None)
        return function.program.disassemble(**options)
    if form == "table" and point is None:
        return str(function.summary())
    if form == "table":
        values = function.signature.in_order((), point)
        return str(function.explain(*values, cotangents=weights, **options))
    picture = function.picture(point, cotangents=weights, **options)
    return {"dot": picture.to_dot, "mermaid": picture.to_mermaid, "svg": picture.to_svg}[form]()


def compiled(text, point):
    """The Function of a formula: its names are inputs, except those of constants that ``point`` does not give."""
    try:
        formula = Formula(text)
    except FormulaError as error:
        neither = f"\n(nor is there a file {text!r})" if _PATH.fullmatch(text) else ""
        raise FormulaError(f"{error}{neither}") from None
    names = [name for name in formula.names if name in point or name not in CONSTANTS]
    unknown = [name for name in point if name not in names]
    if unknown:
        raise ArgumentError(f"--at: the formula has no name {unknown[0]!r}; it has {', '.join(names) or 'none'}")
    graph = Graph(text if len(text) <= 60 else "formula")
    inputs = graph.inputs(*names)
    name = "y"
    while name in names:
        name += "_"
    graph.output(formula.record(graph, dict(zip(names, inputs, strict=True))), name=name)
    return graph.compile()


def loaded(path, unpickle):
    """The Function in a file that :meth:`Function.to_bytes` wrote, or in a pickle that is trusted."""
    with open(path, "rb") as stream:
        data = stream.read()
    if unpickle:
        try:
            found = pickle.loads(data)
        except Exception as error:  # whatever the code in it raises
            raise ProgramError(f"{path} cannot be unpickled: {type(error).__name__}: {error}") from error
        if not isinstance(found, Function):
            raise ProgramError(f"{path} is the pickle of a {type(found).__name__}, not of a Function")
        return found
    if data.startswith(b"\x80"):
        raise ProgramError(
            f"{path} looks like a pickle, and unpickling runs whatever code is in it: --unpickle does so, if you trust "
            "where it comes from. What Function.to_bytes() gives is read without trust"
        )
    try:
        return Function.from_bytes(data)
    except ProgramError as error:
        raise ProgramError(
            f"{path}: {error} (what is the name of a file is no formula: write ({path}) for that)"
        ) from None


def assignments(text, option):
    """Numbers, and nested lists of them, by name.

    Examples
    --------
    >>> assignments("a=2, x=[[1, 2], [3, inf]]", "--at")
    {'a': 2.0, 'x': [[1, 2], [3, inf]]}
    """
    found, at = {}, 0
    while at < len(text):
        match = _ASSIGNMENT.match(text, at)
        if match is None:
            raise ArgumentError(
                f"{option}: cannot read {text[at:][:40]!r}: write a=2,b=-1.5 and, for an array, x=[1,2,3]"
            )
        name, value, _ = match.groups()
        if name in found:
            raise ArgumentError(f"{option}: there are two numbers for {name!r}")
        try:
            found[name] = _list(value) if value.startswith("[") else float(value)
        except (ValueError, RecursionError):
            raise ArgumentError(
                f"{option}: {name} is {value[:40]!r}, which is no number and no list of numbers"
            ) from None
        at = match.end()
    return found


def _list(text):
    return json.loads(re.sub(r"\binf\b", "Infinity", re.sub(r"\bnan\b", "NaN", text)))
