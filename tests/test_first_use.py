"""First use: while Numba compiles the kernels, other threads fork, and the user presses Ctrl-C. With an empty cache."""

import os

import pytest

from tests.subprocesses import run

pytestmark = [
    pytest.mark.long,  # a cold compilation each
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and forks of POSIX"),
]


@pytest.mark.parametrize("after", [0.5, 2.0])
def test_fork_while_another_thread_compiles(tmp_path, after):
    """The child does not inherit a lock that nobody in it will release."""
    out = run(
        f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        t = np.arange(1000.0)
        other = threading.Thread(target=f.value_and_grad, args=(t, 1.0))
        other.start()
        time.sleep({after})
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if right() else 1)
        _, status = os.waitpid(child, 0)
        other.join()
        print(os.waitstatus_to_exitcode(status), right())
        """,
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert out == ["0", "True"]


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_during_compilation(tmp_path, threads):
    """It is answered soon, again and again; then every thread can call."""
    out = run(
        f"""
        t = np.arange(300_000.0)
        def call():
            while not right(threads={threads}):
                pass
        for _ in range(4):
            threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
            started = time.perf_counter()
            try:
                while True:
                    f.value_and_grad(t, 1.0, threads={threads})
            except KeyboardInterrupt:
                print(time.perf_counter() - started < 1.4)
        others = [threading.Thread(target=call, daemon=True) for _ in range(3)]
        for other in others:
            other.start()
        for other in others:
            other.join(60)
        print(not any(other.is_alive() for other in others), right())
        """,
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert out == ["True"] * 6
