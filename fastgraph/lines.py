"""Lines: which place in the user's source recorded each row of a graph that was asked to trace them.

In: rows, as they are recorded. Out: ``Lines``, a number for each node, which the passes carry beside the rows.
"""

import linecache
import os
import sys
from array import array
from dataclasses import dataclass

import numpy as np

from fastgraph.errors import ProgramError

NOWHERE = -1  # the number of what no line of the user recorded
ROW = 4  # numbers of a row of a graph

_HOMES = tuple(os.path.dirname(os.path.abspath(path)) + os.sep for path in (__file__, np.__file__))
_is_library: dict[str, bool] = {}  # whether a source file is one of fastgraph or NumPy, as far as known
_frame, _extend = sys._getframe, array.extend


def _outside(frame):
    """The first frame from this one on that is neither fastgraph's nor NumPy's; None if all are."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _is_library:
            _is_library[file] = file.startswith(_HOMES)
        if not _is_library[file]:
            return frame
        frame = frame.f_back
    return None


@dataclass(frozen=True)
class Line:
    """A place in source code.

    Attributes
    ----------
    file : str
    line : int
        Its number, 0 if it is not known.
    function : str
        What it is in, ``"<module>"`` for none.
    columns : tuple of int, or None
        The first byte of the expression in the line, and the first behind it; None where Python does not know.
    """

    file: str
    line: int
    function: str
    columns: tuple[int, int] | None = None

    @property
    def text(self):
        """The source of the line; an empty string where the file cannot be read any more."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def part(self):
        """The source of the expression; of the whole line where its columns are not known."""
        if self.columns is None:
            return self.text
        source = linecache.getline(self.file, self.line).encode()
        return source[slice(*self.columns)].decode(errors="replace").strip()

    def __str__(self):
        where = f"{self.file}, line {self.line}, in {self.function}"
        return f"{where}: `{self.text}`" if self.text else where


@dataclass(frozen=True, eq=False)
class Lines:
    """The places that nodes were recorded at.

    Attributes
    ----------
    numbers : int32 (n,)
        Per node, the index of its place, or ``NOWHERE``.
    places : tuple of Line
    """

    numbers: np.ndarray
    places: tuple

    def moved(self, renamed, n):
        """Those of n nodes, of which ``renamed[i]`` is what node i became, or -1.

        Where several became one, it has the place of the first that has any.
        """
        known = np.flatnonzero((self.numbers >= 0) & (renamed >= 0))
        first = np.full(n, len(self.numbers))
        np.minimum.at(first, renamed[known], known)
        return Lines(np.append(self.numbers, np.int32(NOWHERE))[first], self.places)

    def beginning(self, n):
        """Those of the first n nodes."""
        return Lines(self.numbers[:n], self.places)

    def check(self, n):
        """Raise a ProgramError unless there is a number for each of n nodes, and a place for each number."""
        numbers = self.numbers
        if not isinstance(numbers, np.ndarray) or numbers.shape != (n,) or numbers.dtype != np.int32:
            raise ProgramError(f"lines must have an int32 number for each of {n} slots, not {numbers!r}")
        if numbers.min(initial=NOWHERE) < NOWHERE or numbers.max(initial=NOWHERE) >= len(self.places):
            raise ProgramError(f"the numbers of lines must be from {NOWHERE} to {len(self.places) - 1}")

    def at(self, node):
        """The Line of a node, or None."""
        number = self.numbers[node]
        return None if number == NOWHERE else self.places[number]


class TracedRows(array):
    """The rows of a graph, as an array of numbers that notes who makes it grow.

    A graph that traces no lines has a plain array in its place and pays nothing. What is noted is the instruction, a
    number that Python has at hand: counting the lines up to it takes longer the more code comes before it.
    """

    __slots__ = ("_codes", "_find", "_keys", "_note", "_noted")

    def __new__(cls):
        return array.__new__(cls, "I")

    def __init__(self):
        self._keys = {}  # (identity of a code object, instruction) -> number
        self._codes = []  # per number the code object, kept so that its identity stays its own; None for no place
        self._noted = array("I")  # per row, a number
        self._find, self._note = self._keys.get, self._noted.append

    def extend(self, row):
        """Append the numbers of a row."""
        frame = _frame(3)  # behind the recorder's method and the operator or function that called it
        number = self._find((id(frame.f_code), frame.f_lasti))
        self._note(self._number(frame) if number is None else number)
        _extend(self, row)

    def frombytes(self, data):
        """Append the numbers of rows, four each."""
        number = np.uint32(self._number(_frame(2)))
        before = len(self)
        array.frombytes(self, data)
        self._noted.frombytes(np.full((len(self) - before) // ROW, number).tobytes())

    def _number(self, frame):
        """The number of the place where the user's code stands, seen from a frame."""
        frame = _outside(frame)
        key = None if frame is None else (id(frame.f_code), frame.f_lasti)
        number = self._keys.get(key)
        if number is None:
            number = self._keys[key] = len(self._codes)
            self._codes.append(None if frame is None else frame.f_code)
        return number

    @property
    def lines(self):
        """The Lines of the rows."""
        positions, places = {}, []
        numbers = np.full(len(self._codes), NOWHERE, np.int32)
        for (key, number), code in zip(self._keys.items(), self._codes, strict=True):
            if code is None:
                continue
            if key[0] not in positions:
                positions[key[0]] = list(code.co_positions())
            first, last, start, stop = positions[key[0]][key[1] // 2]
            if first != last:  # the expression goes on in other lines
                stop = None
            columns = None if start is None or stop is None else (start, stop)
            numbers[number] = len(places)
            places.append(Line(code.co_filename, first or 0, code.co_name, columns))
        return Lines(numbers[np.array(self._noted, np.int64)], tuple(places))
