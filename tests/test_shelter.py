"""Shelter: what runs in it is not interrupted, who waits for it is."""

import signal
import threading
import traceback

import pytest

from fastgraph.shelter import sheltered
from tests.subprocesses import run

SOME_SIGNAL = getattr(signal, "SIGUSR1", None)
PATIENCE = 20


class Raised(BaseException):
    """What no code catches by accident, as KeyboardInterrupt is."""


def test_results_and_errors_come_through():
    assert sheltered(lambda: threading.current_thread() is threading.main_thread()) is False
    error = ValueError("mine")

    def fail():
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        sheltered(fail)
    assert caught.value is error
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][-2:] == ["sheltered", "fail"]


def test_other_threads_need_no_shelter():
    seen = []
    other = threading.Thread(target=lambda: sheltered(lambda: seen.append(threading.current_thread())))
    other.start()
    other.join()
    assert seen == [other]


def test_without_room_for_a_thread(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert sheltered(lambda: threading.current_thread()) is threading.main_thread()


@pytest.mark.skipif(SOME_SIGNAL is None, reason="no signals to single threads on this platform")
def test_who_waits_is_interrupted_and_the_function_goes_on():
    caller, answered, go_on, ended = threading.get_ident(), [], threading.Event(), threading.Event()

    def answer(number, frame):
        if not answered:
            answered.append(number)
            raise Raised

    def function():
        while not answered:  # a signal that comes just before the caller falls asleep does not wake it
            signal.pthread_kill(caller, SOME_SIGNAL)
            go_on.wait(0.05)
        go_on.wait(PATIENCE)
        ended.set()

    before = signal.signal(SOME_SIGNAL, answer)
    try:
        with pytest.raises(Raised):
            sheltered(function)
        assert not ended.is_set()
        go_on.set()
        assert ended.wait(PATIENCE)
    finally:
        signal.signal(SOME_SIGNAL, before)


def test_the_interpreter_waits_for_what_goes_on():
    out = run("""
        from fastgraph.shelter import sheltered
        def function():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            print("complete", flush=True)
        try:
            sheltered(function)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert out == ["interrupted", "complete"]
