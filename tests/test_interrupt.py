"""Ctrl-C during a long batch: it comes through soon, nobody writes any more, and the function is as good as before.

``python -m bench.interrupt`` measures how soon; what is asserted here holds on the busiest machine.
"""

import os
import signal

import pytest

from tests.subprocesses import run

pytestmark = pytest.mark.skipif(os.name != "posix" or not hasattr(signal, "SIGINT"), reason="signals of POSIX")

# A batch that takes minutes. Rows are views of one number, so that the memory is that of the results.
LONG = """
    results = np.full(3_000_000, np.nan)
    f.value_and_grad(results, 1.0)  # the kernels are loaded: Ctrl-C while Numba does that may leave its locks taken
    t = np.broadcast_to(0.5, results.shape)
    def interrupt_after(seconds):
        def send():
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=send, daemon=True).start()
    def for_ever(threads):
        while True:
            results.fill(np.nan)
            f(t, 1.0, out=results, threads=threads)
"""


def test_it_comes_through_and_leaves_everything_usable():
    """Within two seconds; and a result that was being written is written no further."""
    out = run(
        LONG
        + """
    for threads in (1, 2, 5) * 2:
        started = time.perf_counter()
        try:
            interrupt_after(0.1)
            for_ever(threads)
        except KeyboardInterrupt:
            took = time.perf_counter() - started
        kept = results.copy()
        time.sleep(0.05)
        print(took < 2.1 and same_bits(results, kept) and right(threads=threads))
    """
    )
    assert out == ["True"] * 6


def test_an_impatient_user():
    """Ctrl-C again and again while the first is being answered, but not once the call has raised."""
    out = run(
        LONG
        + """
    from fastgraph.engine.pool import share
    answered = 0
    def answer(number, frame):
        global answered
        while frame is not None:
            if frame.f_code is share.__code__:
                answered += 1
                raise KeyboardInterrupt
            frame = frame.f_back
    signal.signal(signal.SIGINT, answer)
    end = threading.Event()
    def send():
        while not end.is_set():
            time.sleep(0.002)
            os.kill(os.getpid(), signal.SIGINT)
    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(15):
        try:
            for_ever(3)
        except KeyboardInterrupt:
            kept = results.copy()
        time.sleep(0.02)
        print(same_bits(results, kept))
    end.set()
    sender.join()
    print(answered >= 15, right(threads=2))
    """
    )
    assert out == ["True"] * 17


def test_other_threads_go_on():
    """The main thread is interrupted; a batch that another thread asked for ends as if nothing had happened."""
    out = run(
        LONG
        + """
    begun, others = threading.Event(), []
    def call():
        begun.set()
        others.append(f(t, 1.0, threads=2))
    other = threading.Thread(target=call)
    other.start()
    begun.wait()
    try:
        interrupt_after(0.05)
        for_ever(2)
    except KeyboardInterrupt:
        print(True)
    other.join()
    print(same_bits(others[0], np.full(t.shape, f(0.5, 1.0))))
    """
    )
    assert out == ["True", "True"]


def test_an_exception_of_a_signal_handler_comes_through():
    """A time limit set by the user, say."""
    out = run(
        LONG
        + """
    def late(number, frame):
        raise TimeoutError("late")
    signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        for_ever(2)
    except TimeoutError as error:
        print(error, right())
    """
    )
    assert out == ["late", "True"]
