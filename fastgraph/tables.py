"""Tables: CSV files read as numbers and written whole or not at all.

In: the bytes of a file, line by line. Out: chunks of float64 columns, so that a file may be larger than memory; and a
file that takes its name only when it is complete and on disk.
"""

import codecs
import csv
import io
import os
import re
import secrets
import stat
import sys
from contextlib import contextmanager, suppress
from itertools import islice

import numpy as np

from fastgraph.errors import DataError, FormulaError

CHUNK = 65536  # rows read, computed and written at a time

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TableReader:
    """A CSV file with a header row, as chunks of rows.

    UTF-8, with or without a byte order mark; comma-separated; quoted cells; LF or CRLF. Blanks around names and numbers
    do not count, nor do empty lines at the end.

    Parameters
    ----------
    stream : binary file
    name : str
        What errors call it.

    Attributes
    ----------
    header : list of str
        The names of the columns.

    Raises
    ------
    DataError
        If there is no header, or a name is missing or stands twice.
    """

    def __init__(self, stream, name):
        self.name = name
        self._reader = csv.reader(self._lines(stream), strict=True, skipinitialspace=True)
        self._rows = self._checked_rows()
        first = next(self._rows, [])
        if not "".join(first).strip():
            raise DataError(f"{name} is empty: its first line must hold the names of the columns")
        self.header = [cell.strip() for cell in first]
        for k, column in enumerate(self.header):
            if not column:
                raise DataError(f"{name}, line 1, column {k + 1}: the column has no name")
            if column in self.header[:k]:
                earlier = self.header.index(column) + 1
                raise DataError(f"{name}, line 1, column {k + 1}: the name {column!r} is that of column {earlier}, too")

    def chunks(self, columns, size=CHUNK):
        """Yield ``(rows, numbers)``: lists of cells, and the named columns as a float64 array (columns, rows).

        Raises
        ------
        DataError
            At a row that has more or fewer cells than the header, or a cell of ``columns`` that is no number; it names
            line and column.
        """
        positions = [self.header.index(column) for column in columns]
        width = {len(self.header)}
        while True:
            start = self._reader.line_num
            rows = list(islice(self._rows, size))
            if not rows:
                return
            if set(map(len, rows)) != width:
                rows = self._without_empty_end(rows, start)
                if not rows:
                    return
            numbers = np.empty((len(positions), len(rows)))
            for k, position in enumerate(positions):
                cells = [row[position] for row in rows]
                try:
                    numbers[k] = np.fromiter(map(float, cells), np.float64, len(cells))
                    plain = "_" not in "".join(cells)  # float() reads 2024_01 as 202401
                except ValueError:
                    plain = False
                if not plain:
                    self._raise_at_cell(rows, position, start)
            yield rows, numbers

    def _lines(self, stream):
        for number, line in enumerate(stream, 1):
            if number == 1 and line.startswith(_UTF_16):
                raise DataError(f"{self.name} is UTF-16: save it as UTF-8")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                cell = line[: error.start].count(b",") + 1
                raise DataError(
                    f"{self.name}, line {number}, column {cell}: byte 0x{line[error.start]:02x} is not UTF-8: save the "
                    "file as UTF-8"
                ) from None

    def _checked_rows(self):
        try:
            yield from self._reader
        except csv.Error as error:
            what = "a carriage return without a line feed" if "new-line" in str(error) else str(error)
            raise DataError(f"{self.name}, line {self._reader.line_num}: not a row of a CSV file: {what}") from None

    def _without_empty_end(self, rows, start):
        """``rows`` up to the empty lines that end the file, or a DataError at the first row of another length."""
        bad = next(k for k, row in enumerate(rows) if len(row) != len(self.header))
        if not any(map(_is_filled, rows[bad:])) and not any(map(_is_filled, self._rows)):
            return rows[:bad]
        found = len(rows[bad])
        what = f"{found} cell{'s' * (found != 1)}" if _is_filled(rows[bad]) else "the line is empty"
        raise DataError(
            f"{self.name}, line {self._line(rows, bad, start)}, column {min(found, len(self.header)) + 1}: {what}, but "
            f"the header has {len(self.header)} ({', '.join(map(repr, self.header[:20]))})"
        )

    def _raise_at_cell(self, rows, position, start):
        for k, row in enumerate(rows):
            cell = row[position]
            if not _is_number(cell):
                what = (
                    f"{cell[:40]!r} is not a number" if cell.strip() else "the cell is empty: write nan for no number"
                )
                raise DataError(
                    f"{self.name}, line {self._line(rows, k, start)}, column {position + 1} "
                    f"({self.header[position]!r}): {what}"
                )

    def _line(self, rows, index, start):
        """Line on which row ``index`` of a chunk begins; a quoted cell may span several."""
        breaks = sum(len(re.findall("\r\n|\r|\n", cell)) for row in rows[:index] for cell in row)
        return start + index + 1 + breaks


def _is_filled(row):
    return len(row) > 1 or bool("".join(row).strip())


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


class TableWriter:
    """Writes rows of cells and arrays of numbers to a binary stream as CSV; floats as ``repr`` gives them."""

    def __init__(self, stream, header):
        self._stream = stream
        self._write([header])

    def rows(self, rows, columns):
        """Write each of ``rows`` with its element of every array of ``columns`` appended."""
        numbers = zip(*[column.tolist() for column in columns], strict=True)
        self._write([*row, *extra] for row, extra in zip(rows, numbers, strict=True))

    def _write(self, rows):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._stream.write(text.getvalue().encode())


@contextmanager
def replacing(path):
    """A binary stream that becomes the file ``path`` if the block ends well, and leaves no trace if it does not.

    Written beside ``path``, synced, then renamed over it, so that ``path`` is at every moment the old file or the new
    one. What is not a regular file (a pipe, ``/dev/null``) is written to directly.
    """
    path = os.path.realpath(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as stream:
            yield stream
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    _sync_folder(folder)


def _sync_folder(folder):
    with suppress(OSError):  # not everywhere can a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_columns(formula, header, source):
    """Raise a FormulaError, that names the columns of a file, unless it has all that a formula uses."""
    try:
        formula.check(header)
    except FormulaError as error:
        raise FormulaError(f"{error}\nthe columns of {source} are {', '.join(map(repr, header[:50]))}") from None


@contextmanager
def source(path):
    """A stream of a file's bytes and its name; ``-`` is standard input."""
    if path == "-":
        yield sys.stdin.buffer, "standard input"
        return
    with open(path, "rb") as stream:
        yield stream, path
