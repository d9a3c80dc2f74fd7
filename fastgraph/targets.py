"""Targets: what a command of the command line is about: a formula or a saved Function, and numbers for it.

In: text, and the paths of files. Out: a Function, and the values of its arguments by name.
"""

import json
import os
import pickle
import re

import numpy as np

from fastgraph.compiler import function_of
from fastgraph.errors import ArgumentError, DataError, FormulaError, ProgramError
from fastgraph.formula import CONSTANTS, Formula
from fastgraph.function import Function
from fastgraph.tables import TableReader, check_columns, source
from fastgraph.text import element_names

_ASSIGNMENT = re.compile(r"\s*([^\W\d]\w*)\s*=\s*(\[[^=]*\]|[^,=\[\]]+?)\s*(,|$)")
_PATH = re.compile(r"[\w.\\/:-]*[./\\][\w.\\/:-]*")


def target(text, at=None, data=None, unpickle=False):
    """The Function that a formula is, or that a file holds, and values of its arguments by name, if any are given.

    Parameters
    ----------
    text : str
        The path of a file, or a formula.
    at : str, optional
        Such as ``a=2,b=3`` and ``x=[1,2,3]``.
    data : str, optional
        The path of a CSV file with a column for each scalar, ``x[0]`` for those of arrays; ``-`` is standard input.
    unpickle : bool
        Whether the file is a pickle, and trusted.

    Returns
    -------
    Function
    dict or None

    Raises
    ------
    FormulaError, ProgramError, ArgumentError, DataError, OSError
        For what cannot be read, or does not fit.
    """
    is_file = os.path.isfile(text)
    if unpickle and not is_file:
        raise ArgumentError(f"--unpickle: there is no file {text!r}")
    function = loaded(text, unpickle) if is_file else None
    if data is not None:
        return _with_columns(function, text, data)
    point = None if at is None else assignments(at, "--at")
    if function is None:
        names, function = compiled(text, point or {})
        if point is not None and [a.name for a in function.arguments] != names:  # some cannot name an argument
            point = {"x": [point[name] for name in names]}
    return function, point


def values_of(function, point):
    """The values of all arguments in order.

    Raises
    ------
    ArgumentError
        If there are none, or some are missing.
    """
    if point is None:
        if not function.arguments:
            return []
        names = [a.name for a in function.arguments]
        raise ArgumentError(f"give numbers for {', '.join(names)}: --at {names[0]}=1,... or --data FILE")
    return function.signature.in_order((), point)


def compiled(text, given):
    """The names in a formula, and its Function: those of constants are inputs only if they are ``given``."""
    formula = _formula(text)
    names = [name for name in formula.names if name in given or name not in CONSTANTS]
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ArgumentError(f"--at: the formula has no name {unknown[0]!r}; it has {', '.join(names) or 'none'}")
    missing = [name for name in names if name not in given]
    if given and missing:
        formula.check(list(given))
    return names, function_of(formula, names, apart=True)


def _formula(text):
    try:
        return Formula(text)
    except FormulaError as error:
        neither = f"\n(nor is there a file {text!r})" if _PATH.fullmatch(text) else ""
        raise FormulaError(f"{error}{neither}") from None


def _with_columns(function, text, data):
    """The Function, that of the formula if there is none, and its arguments from the columns of a CSV file."""
    with source(data) as (stream, name):
        reader = TableReader(stream, name)
        header = {column.replace(" ", ""): column for column in reader.header}
        if function is None:
            formula = _formula(text)
            check_columns(formula, reader.header, name)
            wanted = [column for column in formula.names if column in reader.header]
            function = function_of(formula, wanted, apart=True)
        else:
            elements = [element for argument in function.arguments for element in element_names(argument)]
            wanted = [element.replace(" ", "") for element in elements]
            missing = [element for element in wanted if element not in header]
            if missing:
                raise DataError(f"{name} has no column {missing[0]}: the function takes {', '.join(wanted)}")
        columns, found = _read(reader, [header[column] for column in wanted], name), {}
    for argument in function.arguments:
        own, columns = columns[: argument.size], columns[argument.size :]
        found[argument.name] = own.T.reshape(own.shape[1:] + argument.shape)
    return function, found


def columns_of(text, data):
    """The columns of a CSV file that a formula uses, by name."""
    with source(data) as (stream, name):
        reader, formula = TableReader(stream, name), _formula(text)
        check_columns(formula, reader.header, name)
        wanted = [column for column in formula.names if column in reader.header]
        return dict(zip(wanted, _read(reader, wanted, name), strict=True))


def _read(reader, wanted, name):
    """All rows of these columns, variables first."""
    parts = [x for _, x in reader.chunks(wanted)]
    if not parts:
        raise DataError(f"{name} has no rows")
    return np.concatenate(parts, axis=1)


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
