"""Saved functions: bytes are not trusted; what is damaged or lies is refused, what is accepted is sound and runs."""

import struct
import zlib

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ProgramError
from fastgraph.ops import TABLE
from tests.program_oracle import is_sound, pieces, run_unharmed, sample, small


def restored(data):
    """The Function of some bytes if they are accepted; else the typed error was raised."""
    try:
        f = fg.Function.from_bytes(data)
    except ProgramError:
        return None
    assert is_sound(*pieces(f.program))
    return f


def with_checksum(data):
    """The bytes with the length and the checksum of their body put right, so that deeper checks are reached."""
    magic = len(b"fastgraph\x00\x01")
    body = bytes(data[magic + 12 :])
    return bytes(data[:magic]) + struct.pack("<QI", len(body), zlib.crc32(body)) + body


def test_round_trip():
    f = sample()
    g = fg.Function.from_bytes(f.to_bytes())
    assert g.program.disassemble() == f.program.disassemble()
    assert (g.name, g.arguments, g.outputs) == (f.name, f.arguments, f.outputs)
    assert g.to_bytes() == f.to_bytes()
    for kind in (bytearray, memoryview):
        assert fg.Function.from_bytes(kind(f.to_bytes())).to_bytes() == f.to_bytes()


def single():
    graph = fg.Graph("single")
    x, y = graph.inputs("x", "y")
    graph.output(fg.where(x > 0.1, fg.exp(y) / 3.0, y**5))
    return graph.compile(np.float32)


def test_round_trip_in_float32():
    f = single()
    g = fg.Function.from_bytes(f.to_bytes())
    assert g.program.dtype == g.program.constants.dtype == np.float32
    assert g.program.disassemble() == f.program.disassemble()
    assert g.to_bytes() == f.to_bytes()


def test_bytes_that_name_no_dtype_are_of_float64():
    """Those of before there was a choice."""
    f = sample()
    g = fg.Function.from_bytes(edited(f.to_bytes(), b'"dtype": "float64", ', b""))
    assert g.program.dtype == np.float64 and g.to_bytes() == f.to_bytes()


@pytest.mark.parametrize("dtype", [b'"float16"', b'">f4"', b'"f4"', b"null", b"4", b'["float32"]', b'"float64"', b"{}"])
def test_another_dtype_is_refused(dtype):
    """Also the other one of the two: then the constants are not as long as they should be."""
    assert restored(edited(single().to_bytes(), b'"float32"', dtype)) is None


def test_every_truncation_is_refused():
    data = small().to_bytes()
    for length in range(len(data)):
        for shorter in (data[:length], with_checksum(data[:length])):
            if len(shorter) >= 23 or length < 23:
                assert restored(shorter) is None, length
    assert restored(data + b"\0") is None
    assert restored(with_checksum(data + b"\0")) is None
    assert restored(data[1:]) is None


def test_flipped_bytes():
    """2,000 flips are all found by the checksum; with the checksum put right, what is accepted is sound and runs."""
    data, rng = sample().to_bytes(), np.random.default_rng(5)
    accepted = 0
    for k in range(2000):
        changed = bytearray(data)
        for _ in range(1 + k % 3):
            changed[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        if bytes(changed) != data:
            assert restored(changed) is None
        f = restored(with_checksum(changed))
        if f is not None:
            accepted += 1
            if accepted % 10 == 0 and f.program.n_slots < 10_000:
                run_unharmed(f.program)
    assert accepted > 20  # flips in constants and names


@pytest.mark.parametrize("data", [b"", b"fastgraph", b"\0" * 100, "text", None, 3, [1, 2]])
def test_what_is_no_saved_function(data):
    with pytest.raises(ProgramError):
        fg.Function.from_bytes(data)


def edited(data, old, new):
    """Saved bytes with a part of the JSON header replaced, and lengths and checksum put right."""
    start = len(b"fastgraph\x00\x01") + 12
    (size,) = struct.unpack_from("<Q", data, start)
    text, rest = data[start + 8 : start + 8 + size], data[start + 8 + size :]
    assert old in text
    text = text.replace(old, new, 1)
    return with_checksum(data[:start] + struct.pack("<Q", len(text)) + text + rest)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'["x", []', b'["x", [0]'),
        (b'["x", []', b'["x", [2]'),
        (b'["x", []', b'["x", [-1]'),
        (b'["x", []', b'["x", [4294967296, 4294967296, 4294967296]'),
        (b'["x", []', b'["x", [1.0]'),
        (b'["x", []', b'["x", [true]'),
        (b'["x", []', b'["x", 3'),
        (b'["x", []', b'["y", []'),
        (b'["x", []', b'["no name", []'),
        (b'["x", []', b'[["x"], []'),
        (b'["x", []', b"[null, []"),
        (b'"arguments": [[', b'"arguments": {}, "other": [['),
        (b'"outputs": [[', b'"outputs": [], "other": [['),
        (b'"outputs": [["z"', b'"outputs": [["w"'),
        (b'"name": "sample"', b'"name": 5'),
        (b'"n_leaves": 3', b'"n_leaves": 4'),
        (b'"n_leaves": 3', b'"n_leaves": "3"'),
        (b'"n_leaves": 3', b'"n_leaves": -1'),
        (b'"n_leaves": 3', b'"n_leaves": 1e400'),
        (b'"n_leaves": 3', b'"n_leaves": NaN'),
        (b'"n_leaves": 3', b'"n_leaves": null'),
        (b'"constants": ', b'"constants": 9223372036854775807, "more": '),
        (b'"constants": ', b'"constants": -1, "more": '),
        (b'"constants": ', b'"constants": true, "more": '),
        (b'"ops": [', b'"ops": [], "other": ['),
        (b'"ops": [', b'"ops": 5, "other": ['),
        (b'"ops": [', b'"ops": [[], '),
        (b'"ops": ["add"', b'"ops": [["add"]'),
        (b'"ops": ["add"', b'"ops": [null'),
        (b'"lengths": {', b'"lengths": [], "other": {'),
        (b'{"name"', b'[{"name"'),
        (b'"dtype": "float64"', b'"dtype": "float32"'),
        (b'{"name"', b"[" * 50_000 + b'{"name"'),
    ],
)
def test_headers_that_lie(old, new):
    assert restored(edited(sample().to_bytes(), old, new)) is None


def test_opcodes_are_mapped_by_name():
    """A version with another order of ops, and ops this one does not have, reads to the same function."""
    f = sample()
    names = [op.name for op in TABLE]
    reordered = ["unheard_of", *names[::-1]]
    data = f.to_bytes()
    listing = ", ".join(f'"{name}"' for name in names).encode()
    other = edited(data, listing, ", ".join(f'"{name}"' for name in reordered).encode())
    at = other.index(f.program.runs.tobytes())
    runs = f.program.runs.copy()
    runs["opcode"] = [reordered.index(TABLE[code].name) for code in runs["opcode"]]
    other = with_checksum(other[:at] + runs.tobytes() + other[at + runs.nbytes :])
    g = fg.Function.from_bytes(other)
    assert g.program.disassemble() == f.program.disassemble()
    assert g.to_bytes() == data


def test_unknown_ops_are_refused_by_name_where_they_are_used():
    data = sample().to_bytes()
    with pytest.raises(ProgramError, match="'logarithm'"):
        fg.Function.from_bytes(edited(data, b'"log"', b'"logarithm"'))
    assert restored(edited(data, b'"cosh"', b'"no_such_op"')) is not None  # not used
