"""Saving: a function as bytes, and back through verification.

In: a program with its signature, or untrusted bytes. Out: bytes, or pieces that ``Program`` then verifies. The
format: a magic word, the length and CRC of the rest, a JSON header, the arrays one after the other.
"""

import json
import struct
import zlib
from dataclasses import fields, replace

import numpy as np

from fastgraph.errors import ProgramError
from fastgraph.graph import Argument, Output, is_name
from fastgraph.ops import OPS, TABLE
from fastgraph.program import DTYPES, RUN, Program

_MAGIC = b"fastgraph\x00\x01"
_PREFIX = struct.Struct("<QI")


def _kinds(dtype):
    """The arrays of a program of ``dtype``, in order, and how they are written."""
    return {
        "constants": dtype.newbyteorder("<"),
        "runs": RUN.newbyteorder("<"),
        "operands": np.dtype("<u4"),
        "outputs": np.dtype("<u4"),
        "tables": dtype.newbyteorder("<"),
    }


def to_bytes(program, arguments, outputs, name):
    """Bytes from which :func:`from_bytes` rebuilds the pieces of a Function."""
    if program.functions:
        names = ", ".join(function.name for function in program.functions)
        raise ProgramError(
            f"a Function with custom ops ({names}) cannot be written as bytes that are loaded without trust: pickle it"
        )
    kinds = _kinds(program.dtype)
    arrays = {key: np.ascontiguousarray(getattr(program, key), dtype=kind) for key, kind in kinds.items()}
    header = {
        "name": name,
        "dtype": program.dtype.name,
        "ops": [op.name for op in TABLE],
        "arguments": [[a.name, a.shape, a.differentiable] for a in arguments],
        "outputs": [[o.name, o.shape] for o in outputs],
        "n_leaves": program.n_leaves,
        "n_value_runs": program.n_value_runs,
        "lengths": {key: len(array) for key, array in arrays.items()},
    }
    text = json.dumps(header).encode()
    body = struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values())
    return _MAGIC + _PREFIX.pack(len(body), zlib.crc32(body)) + body


def reduced(function):
    """What pickle keeps of a Function: bytes; or its pieces, with code of the user, trusted as all that is pickled.

    Beside the bytes, traced lines: worker processes name them, too. The bytes themselves have none, since they go to
    people to whom the folders of this machine say nothing.
    """
    program = function.program
    if not program.functions and program.lines is not None:
        return _with_lines, (type(function), function.to_bytes(), program.lines)
    if not program.functions:
        return type(function).from_bytes, (function.to_bytes(),)
    pieces = {field.name: getattr(program, field.name) for field in fields(program)}
    return _rebuilt, (type(function), pieces, function.arguments, function.outputs, function.name)


def _with_lines(kind, data, lines):
    program, *signature = from_bytes(data)
    return kind(replace(program, lines=lines), *signature)


def _rebuilt(kind, pieces, *signature):
    return kind(Program(**pieces), *signature)


def from_bytes(data):
    """(program, arguments, outputs, name) from bytes of :func:`to_bytes`, verified.

    Raises
    ------
    ProgramError
        If the bytes are damaged, were written by an incompatible version, or describe no valid program.
    """
    body = _checked_body(data)
    try:
        (size,) = struct.unpack_from("<Q", body)
        header = json.loads(body[8 : 8 + size])
        if not isinstance(header, dict):
            raise ValueError("the header is not an object")
        arrays, at = {}, 8 + size
        dtype = _dtype(header.get("dtype", "float64"))  # once there was no choice
        for key, kind in _kinds(dtype).items():
            length = (
                header["lengths"].get(key, 0) if key == "tables" else header["lengths"][key]
            )  # once there were none
            if not isinstance(length, int) or not 0 <= length <= (len(body) - at) // kind.itemsize:
                raise ValueError(f"array {key} does not fit")
            arrays[key] = np.frombuffer(body, kind, length, at).astype(kind.newbyteorder("="))
            at += length * kind.itemsize
        if at != len(body):
            raise ValueError(f"{len(body) - at} bytes are left over")
        arguments = tuple(Argument(_name(n), _shape(s), _flag(d)) for n, s, d in header["arguments"])
        outputs = tuple(Output(_name(n), _shape(s)) for n, s in header["outputs"])
        ops, counts, name = header["ops"], (header["n_leaves"], header["n_value_runs"]), header["name"]
        if name is not None and not isinstance(name, str):
            raise ValueError("name is not a string")
        names = [a.name for a in arguments], [o.name for o in outputs]
        if any(len(set(n)) != len(n) for n in names):
            raise ValueError("names are not unique")
        arrays["runs"]["opcode"] = _current_opcodes(arrays["runs"]["opcode"], ops)
    except (ValueError, KeyError, TypeError, IndexError, struct.error, RecursionError) as error:
        if isinstance(error, ProgramError):
            raise
        raise ProgramError(f"these bytes are not a saved fastgraph Function: {error}") from None
    program = Program(counts[0], runs=arrays.pop("runs"), n_value_runs=counts[1], dtype=dtype, **arrays)
    return program, arguments, outputs, name


def _checked_body(data):
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ProgramError(f"a saved Function is bytes, not {type(data).__name__}")
    data = bytes(data)
    start = len(_MAGIC) + _PREFIX.size
    if len(data) < start or not data.startswith(_MAGIC):
        raise ProgramError("these bytes do not begin as a saved fastgraph Function of this format does")
    length, checksum = _PREFIX.unpack_from(data, len(_MAGIC))
    body = data[start:]
    if len(body) != length or zlib.crc32(body) != checksum:
        raise ProgramError(f"a saved Function is damaged: {len(body)} bytes of {length}, or a wrong checksum")
    return body


def _current_opcodes(opcodes, ops):
    """Opcodes by this version's numbering: a saved program names its ops, since numbers change with the table."""
    if ops == [op.name for op in TABLE]:
        return opcodes
    if len(opcodes) and opcodes.max() >= len(ops):
        raise ProgramError(f"opcode {opcodes.max()} is not in the saved op table")
    current = np.zeros(len(ops), np.uint16)
    for old in np.unique(opcodes):
        if ops[old] not in OPS:
            raise ProgramError(f"the saved Function uses the op {ops[old]!r}, which this version does not have")
        current[old] = OPS[ops[old]].code
    return current[opcodes]


def _name(value):
    if not is_name(value):
        raise ValueError(f"{value!r} is not a name")
    return value


def _dtype(value):
    for dtype in DTYPES:
        if value == dtype.name:
            return dtype
    raise ValueError(f"dtype {value!r} is not float64 or float32")


def _shape(value):
    if not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in value):
        raise ValueError(f"{value!r} is not a shape")
    return tuple(value)


def _flag(value):
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    return value
