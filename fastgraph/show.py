"""Show: what ``python -m fastgraph show`` prints of a formula, or of a Function in a file.

In: a formula or a path, and numbers as text. Out: text.
"""

from fastgraph import targets
from fastgraph.errors import ArgumentError

FORMATS = ("table", "disassembly", "dot", "mermaid", "svg")


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
    function, point = targets.target(target, at, unpickle=unpickle)
    weights = None if cotangents is None else targets.assignments(cotangents, "--cotangents")
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
