"""Moves: numbers of every type and layout come in as NumPy's ``astype`` has them, and nothing else is touched."""

import sys
from textwrap import dedent

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.engine.lowering import lower
from fastgraph.engine.moves import KIND
from fastgraph.engine.sweeper import TILES
from fastgraph.engine.workspace import Table, Tiles, Tiling
from fastgraph.program import DTYPES
from tests import subprocesses
from tests.bits import assert_same_bits, same_bits

NATIVE = [dtype.name for dtype in KIND]
FOREIGN = ["f2", "g", ">f8", ">f4", ">f2", ">i2", ">u4", ">i8", ">u8", "q", "Q", "l", "?"]
TO = pytest.mark.parametrize("to", DTYPES, ids=str)


def numbers(dtype, count, seed=0):
    """Numbers of a type: its extremes, what rounds once only if it is rounded once, and any."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.random(count) < 0.5
    if dtype.kind in "iu":
        edge = np.iinfo(dtype)
        special = [0, 1, edge.max, edge.min, edge.max - 1, 2**24 + 1, 2**53 + 1, 2**54 + 2**30 + 1, 2**60 + 2**36 + 1]
        special += [-v for v in special if edge.min < 0]
        special += [2**63 + 2**39 + 1, 2**63 + 2**10 + 1, 2**63 + 2**11]
        special = np.array([v for v in special if edge.min <= v <= edge.max], dtype)
        drawn = rng.integers(edge.min, edge.max, 2 * count, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)
    else:
        special = [
            0.0,
            -0.0,
            np.nan,
            -np.nan,
            np.inf,
            -np.inf,
            1.0 + 2.0**-24,
            1.0 + 2.0**-24 + 2.0**-40,
            1e-310,
            1e300,
        ]
        with np.errstate(all="ignore"):
            special = np.array(special).astype(dtype)
            drawn = (rng.normal(size=2 * count) * np.exp2(rng.integers(-30, 30, 2 * count))).astype(dtype)
    return rng.permuted(np.concatenate([special, drawn]))[:count]


def as_numpy_does(values, to):
    """What NumPy's ``astype`` gives, without its warnings."""
    with np.errstate(all="ignore"):
        return values.astype(to)


STEPS = {"contiguous": 1, "strided": 3, "negative": -1, "strided backwards": -2}


def placed(values, step):
    """The same numbers ``step`` apart, between others of their type."""
    n = len(values)
    whole = numbers(values.dtype, 3 * abs(step) * (n + 1), seed=9)
    whole = np.concatenate([whole, np.zeros(3 * abs(step) * (n + 1), values.dtype)])
    view = whole[abs(step) :: abs(step)][:n][:: 1 if step > 0 else -1]
    view[:] = values
    return view


def swept_through(program, plan, source, size, step):
    """The column ``source`` through a tile of ``size`` bytes into an array ``step`` apart, and what surrounds that."""
    n = len(source)
    whole = np.full(n * abs(step) + 40, 7e7, program.dtype)
    target = whole[20 : 20 + n * abs(step)][:: abs(step)][:: 1 if step > 0 else -1]
    workspace = Tiles(Tiling(plan, program, size))
    workspace.point(Table.of_rows(source[None]), Table.of_rows(target[None]))
    workspace.sweep(0, n)
    got = target.copy()
    target[:] = 7e7
    return got, bool((whole == 7e7).all())


def identity(dtype):
    graph = fg.Graph()
    graph.output(graph.input("x"))
    program = graph.compile(dtype=dtype).program
    return program, lower(program, np.ones(1, np.bool_))


@TO
@pytest.mark.parametrize("kind", NATIVE)
def test_every_type_stride_and_width(kind, to):
    """All widths up to two tiles and one more, of the smallest tile; of larger ones, those around its ends."""
    program, plan = identity(to)
    for size in TILES:
        lanes = size // to.itemsize
        widths = range(1, 2 * lanes + 2) if size == min(TILES) else (1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1)
        for width in widths:
            values = numbers(kind, width, seed=width)
            expected = as_numpy_does(values, to)
            for name, step in STEPS.items():
                got, kept = swept_through(program, plan, placed(values, step), size, (step, 1)[width % 2])
                assert same_bits(got, expected) and kept, (size, width, name, values, got)


@TO
@pytest.mark.parametrize("kind", NATIVE + FOREIGN)
def test_every_type_in_a_call(kind, to):
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(x + y * 0.0)
    graph.output(x)
    f = graph.compile(dtype=to)
    for count in (1, 2, 3, 33, 300):
        values = numbers(kind, count, seed=count)
        expected = as_numpy_does(values, to)
        if np.dtype(kind) == np.longdouble:
            expected = as_numpy_does(as_numpy_does(values, np.float64), to)
        for given in (values, placed(values, 2), placed(values, -1)):
            assert_same_bits(f(given, 0.0).y1, expected, (kind, count))
        assert_same_bits(f(0.0 * np.ones(count), values[0]).y1, np.zeros(count, to))


@TO
def test_layouts_of_a_call(to):
    """Arrays of any layout give what a fresh copy of them gives: of arguments with axes of their own, too."""
    graph = fg.Graph()
    x, t = graph.input("x", shape=(2, 3)), graph.input("t")
    graph.output(fg.sum(x * np.arange(6.0).reshape(2, 3) * t))
    f = graph.compile(dtype=to)
    rng = np.random.default_rng(0)
    for kind in ("f8", "f4", "i8", "i4", "u1", "?"):
        base = rng.integers(0, 100, size=(70, 2, 3)).astype(kind)
        raw = bytearray(base.nbytes + 1)
        odd = np.frombuffer(raw, base.dtype, base.size, 1).reshape(base.shape)
        odd[:] = base
        table = np.zeros(70, np.dtype([("tag", "i1"), ("x", kind, (2, 3)), ("t", kind)]))
        table["x"], table["t"] = base, base[:, 0, 0]
        locked = base.copy()
        locked.flags.writeable = False
        layouts = {
            "Fortran": np.asfortranarray(base),
            "reversed": base[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
            "middle axis first": np.ascontiguousarray(base.transpose(1, 0, 2)).transpose(1, 0, 2),
            "strided": np.repeat(np.repeat(base, 2, 0), 3, 2)[::2, :, ::3],
            "unaligned": odd,
            "field": table["x"],
            "read-only": locked,
        }
        assert not (odd.flags.aligned or table["x"].flags.aligned) or base.itemsize == 1
        for t in (table["t"], 3, base[:, 1, 1][::-1]):
            y, g = f.value_and_grad(base.astype(to), np.asarray(t).astype(to))
            for name, given in layouts.items():
                y1, g1 = f.value_and_grad(given, t)
                for got, expected in zip((y1, *g1, f(given, t)), (y, *g, y), strict=True):
                    assert_same_bits(got, expected, (kind, name))
        spread = np.broadcast_to(base[0], base.shape)
        assert_same_bits(f(spread, 3), f(spread.astype(to), 3), kind)


def test_nothing_around_the_results_is_written():
    for to in DTYPES:
        graph = fg.Graph()
        x, y = graph.inputs("x", "y")
        graph.output(x * y)
        f = graph.compile(dtype=to)
        for count in (1, 2, 3, 15, 16, 17, 31, 33, 127, 129, 300):
            buffers = [np.full((count + 8, 5), 7e7, to) for _ in range(3)]
            value, *gradient = (buffer[4:-4, 2] for buffer in buffers)
            f.value_and_grad(np.arange(count), 3.0, out=(value, tuple(gradient)))
            for buffer in buffers:
                assert (buffer[4:-4, 2] != 7e7).all()
                buffer[4:-4, 2] = 7e7
                assert (buffer == 7e7).all()


POSIX = pytest.mark.skipif(sys.platform != "linux", reason="flags of mmap as Linux has them")
GUARDED = """
    import ctypes, mmap
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page, pages = mmap.PAGESIZE, 6

    class Guarded:
        \"\"\"Memory between two pages that nobody may touch.\"\"\"
        def __init__(self):
            self.base = libc.mmap(None, (pages + 2) * page, 3, 0x22, -1, 0)
            assert self.base not in (None, ctypes.c_void_p(-1).value)
            for at in (0, pages + 1):
                assert libc.mprotect(self.base + at * page, page, 0) == 0
            self.bytes = np.ctypeslib.as_array((ctypes.c_ubyte * (pages * page)).from_address(self.base + page))

        def at_end(self, shape, dtype):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            first = self.base + (pages + 1) * page - size  # a slice of no length would begin elsewhere
            return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(first)).view(dtype).reshape(shape)

        def at_start(self, shape, dtype):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            return self.bytes[:size].view(dtype).reshape(shape)
"""


@POSIX
def test_a_guard_page_is_fatal():
    """The test of the next test: a read one past the end ends the process."""
    out = subprocesses.run(dedent(GUARDED) + dedent("""
        whole = Guarded().at_end(8, "f8")
        for beyond in (0, 1):
            child = os.fork()
            if not child:
                ctypes.c_double.from_address(whole.ctypes.data + 56 + 8 * beyond).value
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0)
    """))  # fmt: skip
    assert out == ["False", "True"]


@POSIX
def test_nothing_beyond_the_arrays_is_read_or_written():
    """Arguments, cotangents and results end, or begin, where a page does that kills whoever touches it."""
    out = subprocesses.run(dedent(GUARDED) + dedent("""
        a, b, c, o, p, q = (Guarded() for _ in range(6))
        for dtype in (np.float64, np.float32):
            graph = fg.Graph()
            u, v = graph.inputs("u", "v")
            graph.output(u * v + fg.sin(v))
            h = graph.compile(dtype=dtype)
            lanes = 128 // np.dtype(dtype).itemsize
            for kind in "f8 f4 i8 u8 i4 u4 i2 u2 i1 u1 ? f2 >f8".split():
                for n in [*range(2 * lanes + 2), 4 * lanes - 1, 8 * lanes + 3]:
                    for end in (True, False):
                        take = (lambda g, shape, d: (g.at_end if end else g.at_start)(shape, d))
                        x, y, w = take(a, n, kind), take(b, (n, 2), kind), take(c, n, dtype)
                        x[...], y[...], w[...] = 1, 1, 1
                        column = y[:, 1] if end else y[::-1, 0]
                        value, g1, g2 = take(o, n, dtype), take(p, n, dtype), take(q, (n, 3), dtype)[:, 2 * end]
                        h(x, column, out=value)
                        h.value_and_grad(x[::-1], column, out=(value, (g1, g2)))
                        h.vjp((x, column), w, out=(value, (g1, g2)))
                        h.vjp((column, 1.0), w)
                        if n and n % 7 == 0:
                            h(x[:, None], column[-3:], out=np.empty((n, len(column[-3:])), dtype))
                            h.value_and_grad(x[:, None], y[None, :, 1], reduce="sum")
                        if n % 5 == 0:
                            h.value_and_grad(x, column, reduce="sum")
                            h.vjp((x, column), w, reduce="sum")
                            h.flat.value_and_grad(y, reduce="sum")
                            h(1.0, take(a, (), kind), reduce="sum")
        print("done")
    """))  # fmt: skip
    assert out == ["done"]
