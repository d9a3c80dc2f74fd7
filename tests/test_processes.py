"""Function across processes and signals: after fork, on Ctrl-C, with other numbers of threads. In subprocesses."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRELUDE = """
    import os, signal, sys, threading, time
    import numpy as np
    import fastgraph as fg
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    z = x
    for k in range(200):
        z = z * 0.5 + y
    graph.output(z)
    f = graph.compile()
    def right(n=2000):
        t = np.arange(float(n))
        got, gradient = f.value_and_grad(t, 1.0)
        return bool((got == [f(v, 1.0) for v in t.tolist()]).all() and np.isfinite(gradient.y).all())
"""


def run(body, **environment):
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_after_fork():
    """The pool of threads has been used before the fork, as have the workspaces; both processes go on."""
    out = run("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: fork of a process with threads
        t = np.arange(300_000.0)
        expected = f(t, 1.0, threads=2)
        child = os.fork()
        if child == 0:
            ok = right() and (f(t, 1.0, threads=2) == expected).all()
            os._exit(0 if ok else 1)
        mine = right() and (f(t, 1.0, threads=2) == expected).all()
        _, status = os.waitpid(child, 0)
        print(bool(mine), os.waitstatus_to_exitcode(status))
    """)
    assert out == ["True", "0"]


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_a_long_batch(threads):
    """It interrupts within a second, many times sooner than the batch ends, and leaves the function usable."""
    out = run(f"""
        f(np.ones(300_000), 1.0, threads={threads})
        t = np.ones(20_000_000)
        started = time.perf_counter()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                f.value_and_grad(t, 1.0, threads={threads})
        except KeyboardInterrupt:
            print(time.perf_counter() - started < 1.5)
        print(right(), bool((f(t[:100_000], 1.0) == f(1.0, 1.0)).all()))
    """)
    assert out == ["True", "True", "True"]


@pytest.mark.parametrize("setting", ["1", "3"])
def test_number_of_threads_by_environment(setting):
    out = run(
        """
        from fastgraph.engine import pool
        print(pool.available_threads(), right())
        """,
        FASTGRAPH_NUM_THREADS=setting,
    )
    assert out == [setting, "True"]


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_by_environment(monkeypatch, setting):
    import fastgraph as fg
    from fastgraph.engine import pool

    monkeypatch.setenv("FASTGRAPH_NUM_THREADS", setting)
    with pytest.raises(fg.ArgumentError, match="FASTGRAPH_NUM_THREADS"):
        pool.available_threads()
