"""Function across processes: forked, spawned, and while the interpreter ends. In subprocesses."""

import multiprocessing
import os

import pytest

from tests.subprocesses import run

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
# Python 3.12 on: fork of a process with threads
QUIET = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)"


@needs_fork
def test_after_fork():
    """Nothing has been used before the first fork, the pool and workspaces before the second; all processes go on."""
    out = run(f"""
        {QUIET}
        fg.set_num_threads(3)
        child = os.fork()
        if child == 0:
            os._exit(0 if right(threads=2) else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
        t = np.arange(300_000.0)
        expected = f(t, 1.0, threads=2)
        child = os.fork()
        if child == 0:
            ok = fg.get_num_threads() == 3 and right() and same_bits(f(t, 1.0, threads=2), expected)
            os._exit(0 if ok else 1)
        mine = right() and same_bits(f(t, 1.0, threads=2), expected)
        _, status = os.waitpid(child, 0)
        print(mine, os.waitstatus_to_exitcode(status))
    """)
    assert out == ["0", "True", "0"]


@needs_fork
def test_fork_while_other_threads_sweep():
    """A child has neither the threads nor the workspaces that were at work in its parent."""
    out = run(f"""
        {QUIET}
        t = np.arange(200_000.0)
        expected = f(t, 1.0)
        f(t[:50], 1.0)
        begun, end, results = threading.Semaphore(0), threading.Event(), []
        def sweep():
            while not end.is_set():
                begun.release()
                results.append(same_bits(f(t, 1.0, threads=2), expected))
        sweepers = [threading.Thread(target=sweep) for _ in range(2)]
        for sweeper in sweepers:
            sweeper.start()
        statuses = []
        for k in range(8):
            begun.acquire()
            child = os.fork()
            if child == 0:
                ok = right() and same_bits(f(t, 1.0, threads=2), expected)
                os._exit(0 if ok else 1)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        end.set()
        for sweeper in sweepers:
            sweeper.join()
        print(statuses == [0] * 8, len(results) >= 4 and all(results), right())
    """)
    assert out == ["True", "True", "True"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    """A Function that has been used goes to the processes of a pool, pickled; with fork, inherited as well."""
    out = run(f"""
        {QUIET}
        import multiprocessing
        context = multiprocessing.get_context({method!r})
        t = np.arange(100_000.0)
        expected, gradient = f.value_and_grad(t, 1.0, threads=2)
        with context.Pool(2) as processes:
            calls = [processes.apply_async(f, (t, 1.0), {{"threads": 2}}) for _ in range(3)]
            calls += [processes.apply_async(f.value_and_grad, (t, 1.0), {{"threads": 2}})]
            *values, (value, slopes) = [call.get(60) for call in calls]
        print(all(same_bits(v, expected) for v in [*values, value]), same_bits(slopes.y, gradient.y))
        print(type(slopes) is type(gradient), right(threads=2))
        if {method!r} == "fork":
            child = context.Process(target=lambda: sys.exit(0 if right(threads=2) else 1))
            child.start()
            child.join(60)
            print(child.exitcode)
    """)
    assert out == ["True", "True", "True", "True"] + ["0"] * (method == "fork")


# -- the end of the interpreter -----------------------------------------------------------------------------


@pytest.mark.parametrize("used_before", [True, False])
def test_calls_at_exit(used_before):
    """Callbacks of atexit may call, with helpers that are there or that cannot be started any more."""
    out = run(f"""
        import atexit
        t = np.arange(300_000.0)
        expected = f(t, 1.0, threads=1)
        begun = threading.Event()
        def call():
            begun.set()
            for _ in range(5):
                y = f(t, 1.0, threads=2)
            print(same_bits(y, expected))
        if {used_before}:  # it goes on when the main thread has come to its end
            threading.Thread(target=call).start()
            begun.wait()
        atexit.register(lambda: print(same_bits(f(t, 1.0, threads=2), expected)))
    """)
    assert out == ["True"] * (2 if used_before else 1)


def test_calls_of_daemon_threads_do_not_hold_up_the_end():
    """Nor those of a destructor that runs while modules are torn down."""
    out = run("""
        t = np.arange(3_000_000.0)
        expected = f(t[:300_000], 1.0, threads=1)
        begun = threading.Semaphore(0)
        def call():
            while True:
                begun.release()
                f(t, 1.0, threads=2)
        for _ in range(2):
            threading.Thread(target=call, daemon=True).start()
            begun.acquire()
        class Late:
            def __del__(self, f=f, t=t[:300_000], expected=expected, same=same_bits, write=os.write):
                write(1, b"late True" if same(f(t, 1.0, threads=2), expected) else b"late False")
        sys.late = Late()
    """)
    assert out in ([], ["late", "True"])
