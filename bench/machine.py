"""Machine: what timings ran on, equal shares for hand-written code, and how fast a core can work from its L1 cache.

In: nothing. Out: the processor, its cores, and :class:`L1`, the bound that rows of batches are set against.
"""

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

BUFFER = 4096  # bytes of each of the three buffers: they fit any L1 cache
LINE = 64


def cpu():
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def cores():
    """Number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def shared(work, n, threads):
    """A callable that runs ``work(part)`` on ``threads`` equal slices of n things, a thread each; results in order."""
    cuts = [n * k // threads for k in range(threads + 1)]
    parts = [slice(low, high) for low, high in zip(cuts, cuts[1:], strict=False)]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(work, parts))


@intrinsic
def _add_vector(typingctx, r, x, y):
    """Add the 512 bits of doubles at the addresses ``x`` and ``y`` into ``r``: two loads and a store."""

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(ir.DoubleType(), LINE // 8)
        r, x, y = (builder.inttoptr(address, ir.PointerType()) for address in args)
        total = builder.fadd(builder.load(x, align=LINE, typ=kind), builder.load(y, align=LINE, typ=kind))
        builder.store(total, r, align=LINE)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@njit("void(intp, intp, intp, intp)", nogil=True, cache=True)
def _add_buffers(r, x, y, repeats):
    for _ in range(repeats):
        for at in range(0, BUFFER, 4 * LINE):
            for line in (0, LINE, 2 * LINE, 3 * LINE):
                _add_vector(r + at + line, x + at + line, y + at + line)


def _aligned(size):
    """Ones, ``size`` bytes of them, from the beginning of a cache line on."""
    ones = np.ones((size + LINE) // 8)
    first = -ones.ctypes.data % LINE // 8
    return ones[first : first + size // 8]


class L1:
    """Additions ``r[i] = x[i] + y[i]`` of 512-bit vectors in the L1 caches of ``threads`` cores at once.

    An interpreter that holds every intermediate result in a slot loads two operands and stores one result an
    operation; it cannot be faster than this. Compiled code that keeps results in registers can.
    """

    REPEATS = 50_000

    def __init__(self, threads):
        self._buffers = [_aligned(3 * BUFFER) for _ in range(threads)]
        self.run = shared(self._work, threads, threads)

    def _work(self, part):
        r = self._buffers[part.start].ctypes.data
        _add_buffers(r, r + BUFFER, r + 2 * BUFFER, self.REPEATS)

    def results(self):
        """What each thread has computed: ones added to ones."""
        return [buffer[: BUFFER // 8] for buffer in self._buffers]

    @classmethod
    def core_ns(cls, seconds, dtype=np.float64):
        """Core-nanoseconds a number, from the seconds that ``run`` took."""
        return seconds * 1e9 / (cls.REPEATS * BUFFER // np.dtype(dtype).itemsize)
