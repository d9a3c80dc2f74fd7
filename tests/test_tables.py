"""Tables: any bytes are read or refused, and a file is replaced whole or not at all."""

import io
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgraph.errors import DataError
from fastgraph.tables import TableReader, TableWriter, replacing


def read(content, columns=None, size=3):
    reader = TableReader(io.BytesIO(content), "data")
    return reader.header, list(reader.chunks(reader.header if columns is None else columns, size))


CELLS = st.floats(allow_nan=False).map(repr) | st.sampled_from(["", " 1", "x", '"1"', "1_0", '"', "\u0661", "\0"])
TABLES = st.lists(st.lists(CELLS, max_size=3).map(",".join), max_size=8).map(
    lambda lines: "\n".join(["a,b", *lines]).encode()
)


@given(st.binary(max_size=60) | TABLES, st.integers(1, 4))
def test_any_bytes_are_read_or_refused(content, size):
    try:
        header, chunks = read(content, size=size)
    except DataError as error:
        assert str(error).startswith("data")
        return
    for rows, numbers in chunks:
        assert numbers.shape == (len(header), len(rows))
        assert {len(row) for row in rows} == {len(header)}


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=10))
def test_what_is_written_reads_back(pairs):
    stream = io.BytesIO()
    x = np.array(pairs, dtype=float).reshape(-1, 2).T
    TableWriter(stream, ["a", "b"]).rows([()] * len(pairs), list(x))
    _, chunks = read(stream.getvalue())
    again = np.concatenate([np.empty((2, 0)), *(numbers for _, numbers in chunks)], axis=1)
    np.testing.assert_array_equal(again, x)
    assert (np.signbit(again) == np.signbit(np.where(np.isnan(x), 1.0, x))).all()


@pytest.mark.parametrize("blank_lines", [0, 1, 2, 3, 4, 7])
def test_empty_lines_at_the_end_across_chunks(blank_lines):
    _, chunks = read(b"a\n1\n2\n" + b"\n" * blank_lines)
    assert [numbers.tolist() for _, numbers in chunks] == [[[1.0, 2.0]]]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_replacing_leaves_the_old_file_on_any_error(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as stream:
        stream.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_replacing_shows_nothing_before_the_end(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as stream:
        stream.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_an_error():
    with pytest.raises(OSError), replacing("/dev/full") as stream:
        stream.write(b"x")
