"""Memory: what a process grows by when it records, compiles and differentiates one graph.

``python -m bench.memory PEER OPERATIONS`` prints bytes of growth at the peak. Each measurement is a process of its own:
libraries and kernels are loaded first, freed memory is handed back, and the peak is reset. Linux only.
"""

import ctypes
import gc
import re
import subprocess
import sys
from pathlib import Path

from bench.peers import PEERS, check
from bench.workloads import arithmetic


def available():
    """Whether this system can reset and read a process's peak."""
    return Path("/proc/self/clear_refs").exists()


def peak():
    """The process's largest resident size since :func:`reset`, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def reset():
    """Hand freed memory back, then take the present size as the peak."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def growth(peer, n_ops):
    """Bytes that ``peer`` needs at its peak for ``n_ops`` operations, measured in a process of its own."""
    command = [sys.executable, "-m", "bench.memory", peer, str(n_ops)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)


def main(name, n_ops):
    peer = PEERS[name]()
    small = arithmetic(1_500)
    check(small, peer.one_set(small, True)(), small.one_set, gradient=True)  # libraries and kernels are loaded
    work = arithmetic(n_ops)
    _ = work.steps, work.one_set
    reset()
    before = peak()
    run = peer.one_set(work, True)
    run()
    print(peak() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
