"""Progress: what reaches the user comes from the calling thread, grows, and ends with the total."""

import importlib.util
import sys
import threading

import pytest

from fastgraph.engine.pool import share
from fastgraph.errors import ArgumentError
from fastgraph.progress import reporter


def told(total, *reports):
    """What a callback is told of these reports."""
    calls = []
    with reporter(lambda done, total: calls.append((done, total)), total) as report:
        for done in reports:
            report(done)
    return calls


@pytest.mark.parametrize(
    ("total", "reports", "expected"),
    [
        (10, [], [10]),
        (10, [3, 7], [3, 7, 10]),
        (10, [3, 3, 2, 7, 5], [3, 7, 10]),
        (10, [4, 10], [4, 10]),
        (10, [10, 10], [10]),
        (10, [0, 12, 5], [5, 10]),
        (0, [], [0]),
        (0, [0], [0]),
    ],
)
def test_what_is_told_grows_and_ends_with_the_total(total, reports, expected):
    assert told(total, *reports) == [(done, total) for done in expected]


@pytest.mark.parametrize("silent", [None, False])
def test_silence_is_one_shared_object(silent):
    assert reporter(silent, 10) is reporter(None, 20)
    with reporter(silent, 10) as report:
        assert report(5) is None


@pytest.mark.parametrize("wrong", [1, 0, "bar", [], 2.5, object()])
def test_wrong_progress(wrong):
    with pytest.raises(ArgumentError, match=r"progress must be None, True or a callable progress\(done, total\)"):
        reporter(wrong, 10)


def test_only_the_calling_thread_is_heard():
    threads = []
    with reporter(lambda done, total: threads.append((done, threading.get_ident())), 100) as report:
        other = threading.Thread(target=report, args=(50,))
        other.start()
        other.join()
        report(20)
    assert threads == [(20, threading.get_ident()), (100, threading.get_ident())]


def test_every_thread_of_a_call_may_report():
    calls = []
    finished = iter(range(1, 41))
    turn = threading.Lock()
    with reporter(lambda done, total: calls.append((done, threading.get_ident())), 40) as report:

        def work(stop):
            while not stop.is_set():
                with turn:
                    done = next(finished, None)
                if done is None:
                    break
                report(done)

        share(work, 3)
    dones = [done for done, _ in calls]
    assert dones == sorted(set(dones)) and dones[-1] == 40
    assert {thread for _, thread in calls} == {threading.get_ident()}


def test_an_exception_of_the_callback_ends_the_call_and_nothing_more_is_told():
    calls = []

    def callback(done, total):
        calls.append(done)
        raise LookupError("enough")

    def work(stop):
        for done in range(10, 1_000_000, 10):
            if stop.is_set():
                break
            report(done)

    with pytest.raises(LookupError, match="enough"), reporter(callback, 1_000_000) as report:
        share(work, 2)
    assert calls == [10]


def test_an_exception_of_the_last_call_comes_through():
    def callback(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"), reporter(callback, 5):
        pass


def test_a_missing_tqdm_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ArgumentError, match="pip install tqdm"):
        reporter(True, 10)


@pytest.mark.skipif(importlib.util.find_spec("tqdm") is None, reason="tqdm is not installed")
@pytest.mark.parametrize("fails", [False, True])
def test_a_bar_of_tqdm(capsys, fails):
    try:
        with reporter(True, 200) as report:
            report(50)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    shown = capsys.readouterr().err
    assert ("200/200" in shown) is not fails and shown.endswith("\n")
