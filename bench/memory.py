"""Memory: what a process grows by when it records, compiles and differentiates one graph.

``python -m bench.memory PEER OPERATIONS`` prints bytes of growth at its peak; the peak of a process that did nothing
else is the only honest one, so the suites and the report run it as a command.
"""

import resource
import subprocess
import sys

from bench.peers import PEERS, check
from bench.workloads import arithmetic


def peak():
    """The process's largest resident size so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
    before = peak()
    run = peer.one_set(work, True)
    run()
    print(peak() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
