"""Parsing: formulas and assignments as text become a Function, and none of the text runs as Python.

In: untrusted text such as ``d = a + b; d * sin(d)``. Out: a ``Function``. ``formula`` reads and records each statement.
"""

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, FormulaError
from fastgraph.formula import (
    CONSTANTS,
    MAX_CHARACTERS,
    TOKEN,
    Parser,
    as_expr,
    error_at,
    is_function,
    is_variable,
    recorded,
    unknown,
)
from fastgraph.graph import is_name


def parse(text, inputs=None, parameters=(), *, name=None, dtype=np.float64):
    """Compile formulas that are given as text.

    Statements end with ``;`` or, where nothing is open and a formula could end, with their line. Each is an assignment,
    ``name = formula``; the last may be what is computed, one formula or several with commas between. If it is an
    assignment, too, what is computed are all the names that no other statement uses, in order. Outputs that are names
    are named so.

    Parameters
    ----------
    text : str
        At most a million characters, nested as deeply as they allow. Formulas are those of ``python -m fastgraph
        eval``: numbers, names, ``+ - * / % **``, one comparison at a time, ``& | ~``, ``x if condition else y``,
        parentheses, and fastgraph's functions by their names or NumPy's, which are numexpr's: ``where``, ``arctan2``,
        ``expm1`` and so on.
    inputs : sequence of str, optional
        Names in the order of arguments; there may be some that the text does not use. The default are all names of the
        text but those of ``parameters`` and of the constants ``pi``, ``e``, ``inf``, ``nan``, in order of first
        appearance.
    parameters : sequence of str, optional
        Names of arguments, after the inputs, that derivatives leave out.
    name : str, optional
        As of :class:`Graph`.
    dtype : float64 or float32
        As of :meth:`Graph.compile`.

    Returns
    -------
    Function
        Its arguments are scalars, so a call broadcasts as NumPy's operators do. Called with expressions it is recorded
        into their graph.

    Raises
    ------
    FormulaError
        For what is no formula, with line and column and what to write instead: syntax, unknown names and functions, a
        name that is assigned after it was used, a formula that nothing uses. Takes time linear in the text.
    ArgumentError
        If ``inputs`` or ``parameters`` is no sequence of names.
    GraphError
        If a name among them cannot be one of an argument, or is there twice.

    Examples
    --------
    >>> import fastgraph as fg
    >>> f = fg.parse("d = a + b; e = b - c; d * e")
    >>> f
    <Function: (a, b, c) -> (y0), 3 operations>
    >>> float(f(2.0, 3.0, 1.0))
    10.0
    >>> f.grad(2.0, 3.0, 1.0)
    Gradient(a=np.float64(2.0), b=np.float64(7.0), c=np.float64(-5.0))
    >>> pendulum = fg.parse('''
    ...     dphi = omega
    ...     domega = -g / length * sin(phi)
    ... ''', inputs=["phi", "omega"], parameters=["g", "length"])
    >>> pendulum
    <Function: (phi, omega, g, length) -> (dphi, domega), 4 operations>
    """
    statements = _statements(text)
    given, parameters = _names(inputs, "inputs"), _names(parameters, "parameters")
    found, used = _resolved(text, statements, given + parameters, inputs is None)
    graph = Graph(name)
    values = {argument: graph.input(argument) for argument in found + given}
    values |= {argument: graph.parameter(argument) for argument in parameters}
    outputs = []
    for target, _, steps in statements:
        value = recorded(text, steps, graph, values)
        if target is not None:
            values[target] = value
        else:
            outputs.append((steps[0].what if len(steps) == 1 and steps[0].what in used else None, value))
    if not outputs:
        outputs = [(target, values[target]) for target, is_used in used.items() if not is_used]
    taken = set()
    for label, value in outputs:
        graph.output(as_expr(graph, value), label if is_name(label) and label not in taken else None)
        taken.add(label)
    return graph.compile(dtype)


def _names(given, what):
    if given is None:
        return []
    if isinstance(given, str) or not all(isinstance(word, str) for word in given):
        raise ArgumentError(f"parse: {what} is a sequence of names, such as ['a', 'b'], not {given!r}")
    return list(given)


def _statements(text):
    """Statements in order: (the name that is assigned or None, where it begins, the steps of its formula).

    The last may have no name, and be several.
    """
    if not isinstance(text, str):
        raise FormulaError(f"formulas are a string, not {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"the formulas have {len(text):,} characters, more than {MAX_CHARACTERS:,}: split them up")
    found = []
    parser, begun, target, word = Parser(text), None, None, None
    for at, kind, token in _tokens(text):
        if kind == "space" and not ("\n" in token and parser.may_end):
            continue
        if kind == "space" or token in ("", ";"):
            if begun is not None:
                found.append((target, begun, parser.finish(at)))
                parser, begun, target, word = Parser(text), None, None, None
            continue
        if begun is None:
            if found and found[-1][0] is None:
                raise error_at(text, found[-1][1], "nothing uses what this computes: assign it, name = …")
            begun = at
            word = token if kind == "name" else None
        elif token == "=" and word is not None:
            parser, target, word = Parser(text), word, None
            continue
        elif token == "," and target is None and parser.may_end:
            found.append((None, begun, parser.finish(at)))
            parser, word = Parser(text), None
            continue
        else:
            word = None
        parser.feed(at, kind, token)
    if not found:
        raise error_at(text, len(text), "there is no formula")
    return found


def _tokens(text):
    """Tokens with their places and kinds; at the end an empty one."""
    for match in TOKEN.finditer(text):
        yield match.start(), match.lastgroup, match.group()
    yield len(text), "end", ""


def _resolved(text, statements, declared, is_open):
    """Names of inputs that were not declared, if there may be some, and whether a statement uses what is assigned."""
    arguments, assigned, constants, found = set(declared), {}, set(), []
    for target, begun, steps in statements:
        for step in steps:
            word = step.what
            if not is_variable(step) or word in arguments:
                continue
            if word in assigned:
                assigned[word] = True
            elif word in CONSTANTS:
                constants.add(word)
            elif is_open and is_name(word) and not is_function(word):
                arguments.add(word)
                found.append(word)
            elif is_open and not is_function(word):
                raise error_at(text, step.at, f"{word!r} cannot name an argument: it is a keyword, begins with an "
                               "underscore, or is a keyword of calls")  # fmt: skip
            else:
                raise error_at(text, step.at, unknown(word, "name", [*declared, *assigned, *CONSTANTS]))
        if target is not None:
            if target in arguments or target in constants:
                raise error_at(text, begun, f"{target!r} is an argument or a constant, which formulas may have used by "
                               "now: assign to another name, or before its first use")  # fmt: skip
            assigned.pop(target, None)
            assigned[target] = False
    return found, assigned
