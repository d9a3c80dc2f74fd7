"""Pool: how many threads there are, and what ``share`` promises of them, whatever is raised wherever."""

import contextlib
import gc
import itertools
import os
import random
import signal
import threading
import time
import traceback
import weakref

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.engine import cpus, pool
from fastgraph.engine.pool import share
from fastgraph.errors import ArgumentError

PATIENCE = 20  # seconds until a thread that does not come is an error
SOME_SIGNAL = getattr(signal, "SIGUSR1", None)
posix_signals = pytest.mark.skipif(SOME_SIGNAL is None, reason="no signals to single threads on this platform")


class Raised(BaseException):
    """What no code catches by accident, as KeyboardInterrupt is."""


@pytest.fixture
def fresh(monkeypatch):
    """No helper is hired yet, and nobody else's is used."""
    kept = pool._idle
    pool._start_over()
    yield pool._idle
    pool._idle = kept


@pytest.fixture
def default_threads(monkeypatch):
    """No setting and no environment variable."""
    monkeypatch.setattr(pool, "_setting", None)
    monkeypatch.delenv(pool.VARIABLE, raising=False)


def wait_for(condition):
    """Wait until another thread has made it true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "a thread did not come"
        time.sleep(1e-4)


# -- settings -----------------------------------------------------------------------------------------------


def test_the_default_is_what_the_process_may_use(default_threads):
    assert fg.get_num_threads() == cpus.available_cpus() >= 1


def test_the_environment_overrides_the_machine_and_the_setting_overrides_both(default_threads, monkeypatch):
    monkeypatch.setenv(pool.VARIABLE, "7")
    assert fg.get_num_threads() == 7
    fg.set_num_threads(3)
    assert fg.get_num_threads() == 3
    fg.set_num_threads(np.int64(5))
    assert fg.get_num_threads() == 5 and type(fg.get_num_threads()) is int
    fg.set_num_threads(None)
    assert fg.get_num_threads() == 7
    monkeypatch.setenv(pool.VARIABLE, "")
    assert fg.get_num_threads() == cpus.available_cpus()


@pytest.mark.parametrize("wrong", [0, -1, 1.0, 2.5, "2", True, False, [2], np.float64(2), np.array([2])])
def test_wrong_settings_are_refused_and_change_nothing(default_threads, wrong):
    fg.set_num_threads(4)
    with pytest.raises(ArgumentError, match="threads must be a positive integer.*pass None") as caught:
        fg.set_num_threads(wrong)
    assert isinstance(caught.value, TypeError) and fg.get_num_threads() == 4


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", "9" * 5000])
def test_a_wrong_environment_is_said(default_threads, monkeypatch, setting):
    monkeypatch.setenv(pool.VARIABLE, setting)
    with pytest.raises(ArgumentError, match="FASTGRAPH_NUM_THREADS must be a positive integer.*unset it"):
        fg.get_num_threads()
    fg.set_num_threads(2)  # a setting needs no environment
    assert fg.get_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this platform")
def test_affinity_is_followed(default_threads):
    whole = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(whole)})
        assert fg.get_num_threads() == 1
    finally:
        os.sched_setaffinity(0, whole)


V1 = "4:cpu,cpuacct:/pod/box\n3:memory:/pod/box\n0::/\n"
V2 = "0::/pod/box\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (None, {}, float("inf")),
        (V2, {}, float("inf")),
        (V2, {"pod/box/cpu.max": "max 100000"}, float("inf")),
        (V2, {"pod/box/cpu.max": "150000 100000"}, 2),
        (V2, {"pod/box/cpu.max": "20000 100000"}, 1),
        (V2, {"pod/box/cpu.max": "max 100000", "pod/cpu.max": "300000 100000"}, 3),
        (V2, {"pod/box/cpu.max": "800000 100000", "cpu.max": "400000 100000"}, 4),
        (V2, {"pod/box/cpu.max": "nonsense"}, float("inf")),
        (V2, {"pod/box/cpu.max": "100 0"}, float("inf")),
        (V2, {"cpu.max": "250000 100000"}, 3),  # the path is that of the host
        (V1, {"cpu/pod/box/cpu.cfs_quota_us": "-1", "cpu/pod/box/cpu.cfs_period_us": "100000"}, float("inf")),
        (V1, {"cpu/pod/box/cpu.cfs_quota_us": "200000", "cpu/pod/box/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "500000", "cpu/cpu.cfs_period_us": "100000"}, 5),
        ("nonsense\n", {}, float("inf")),
    ],
)
def test_the_quota_of_control_groups(tmp_path, groups, files, expected):
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert cpus.quota.__wrapped__(tmp_path) == expected


# -- share --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_as_many_threads_as_asked_for(fresh, threads):
    meeting = threading.Barrier(threads)
    seen = []

    def work(stop):
        meeting.wait(PATIENCE)
        seen.append(threading.get_ident())

    for _ in range(3):
        seen.clear()
        share(work, threads)
        assert len(set(seen)) == threads and threading.get_ident() in seen


def test_helpers_are_kept_for_the_next_call(fresh):
    meeting = threading.Barrier(3)
    for _ in range(50):
        share(lambda stop: meeting.wait(PATIENCE), 3)
    assert sum(helper.is_hired for helper in fresh) == 2 and len(fresh) == pool.MAX_HELPERS


def test_it_returns_when_each_has_returned(fresh):
    started, left = threading.Event(), []
    caller = threading.get_ident()

    def work(stop):
        if threading.get_ident() == caller:
            started.wait(PATIENCE)
        else:
            started.set()
            time.sleep(0.02)
            left.append(stop.is_set())

    share(work, 2)
    assert left == [False]


def test_a_helper_that_has_not_come_is_not_waited_for(fresh):
    """Not even one that never wakes up: it finds the crew closed, or is asleep still."""

    class Sleepy(pool._Helper):
        def hire(self):
            self.is_hired = True
            return True

    fresh[:] = [Sleepy(fresh)]
    calls = []
    for _ in range(3):
        share(calls.append, 2)
    assert len(calls) == 3 and len(fresh) == 1


def test_a_helper_that_comes_too_late_does_nothing(fresh):
    crew = pool._Crew(lambda stop: pytest.fail("late"), pool.Stop())
    crew.dismiss()
    crew.join(fresh.pop())
    assert crew.error is None and len(fresh) == pool.MAX_HELPERS


@pytest.mark.parametrize("refusal", [RuntimeError("can't start new thread"), MemoryError()])
def test_without_new_threads_the_caller_works_alone(fresh, monkeypatch, refusal):
    def refuse(self):
        raise refusal

    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls = []
    share(calls.append, 4)
    assert len(calls) == 1 and len(fresh) == pool.MAX_HELPERS and not any(helper.is_hired for helper in fresh)


def test_more_calls_than_helpers(fresh):
    """A hundred threads at once, each with a helper if it can have one: all come to an end."""
    del fresh[5:]
    done = []

    def call():
        todo = iter(range(20))
        for _ in range(10):
            share(lambda stop: [time.sleep(0) for _ in todo], 2)
        done.append(next(todo, "all"))

    callers = [threading.Thread(target=call) for _ in range(100)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
    assert done == ["all"] * 100
    wait_for(lambda: len(fresh) == 5)
    assert len(set(map(id, fresh))) == 5


def test_a_call_that_holds_every_helper_does_not_hold_up_others(fresh):
    del fresh[2:]
    all_here, end = threading.Barrier(4), threading.Event()

    def hold(stop):
        all_here.wait(PATIENCE)
        end.wait(PATIENCE)

    holder = threading.Thread(target=share, args=(hold, 3))
    holder.start()
    all_here.wait(PATIENCE)
    calls = []
    share(calls.append, 3)
    assert len(calls) == 1 and holder.is_alive()
    end.set()
    holder.join(PATIENCE)


def test_calls_inside_calls(fresh):
    counts = itertools.count()

    def outer(stop):
        share(lambda stop: next(counts), 3)

    for _ in range(20):
        share(outer, 3)
    assert next(counts) >= 20


# -- what is raised -----------------------------------------------------------------------------------------


def raising(in_caller=None, in_helper=None):
    """Work in which the caller and one helper are together before either raises."""
    caller, together = threading.get_ident(), threading.Barrier(2)

    def work(stop):
        together.wait(PATIENCE)
        error = in_caller if threading.get_ident() == caller else in_helper
        if error is not None:
            raise error
        wait_for(stop.is_set)

    return work


@pytest.mark.parametrize("error", [ValueError("mine"), MemoryError(), KeyboardInterrupt(), SystemExit(3), Raised()])
@pytest.mark.parametrize("where", ["in_caller", "in_helper"])
def test_what_one_raises_stops_the_others_and_comes_through(fresh, error, where):
    with pytest.raises(type(error)) as caught:
        share(raising(**{where: error}), 2)
    assert caught.value is error and error.__context__ is None
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["share", "work"]
    assert len(fresh) == pool.MAX_HELPERS


def test_if_both_raise_the_callers_comes_through_and_the_other_is_its_context(fresh):
    mine, other = KeyboardInterrupt(), ValueError("theirs")
    with pytest.raises(KeyboardInterrupt) as caught:
        share(raising(mine, other), 2)
    assert caught.value is mine and mine.__context__ is other


def test_if_both_raise_the_same_it_comes_through_once(fresh):
    error = ValueError("ours")
    with pytest.raises(ValueError, match="ours") as caught:
        share(raising(error, error), 2)
    assert caught.value is error and error.__context__ is None


@pytest.mark.parametrize("errors", [{}, {"in_caller": ValueError}, {"in_helper": ValueError}])
def test_nothing_is_kept_of_a_call(fresh, errors):
    """Arrays are freed at once, not when the cycle collector comes by."""

    class Array:
        pass

    array = Array()
    seen = weakref.ref(array)
    errors = {where: error("mine") for where, error in errors.items()}
    if errors:
        together = raising(**errors)
    else:
        meeting = threading.Barrier(2)

        def together(stop):
            meeting.wait(PATIENCE)

    def work(stop, array=array):
        together(stop)

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            share(work, 2)
        for error in errors.values():
            error.__traceback__ = None
        del array, work
        wait_for(lambda: seen() is None)
    finally:
        gc.enable()


# -- interruptions ------------------------------------------------------------------------------------------


@pytest.fixture
def interruptions():
    """Counts the signals that were answered, each by raising in the main thread."""
    answered = []

    def answer(number, frame):
        answered.append(number)
        raise Raised

    before = signal.signal(SOME_SIGNAL, answer)
    yield answered
    signal.signal(SOME_SIGNAL, before)


@posix_signals
@pytest.mark.parametrize("caller_ends_first", [True, False])
def test_interruptions_wherever_the_caller_is(fresh, interruptions, caller_ends_first):
    """However often it is interrupted, it raises only when no helper is at work any more."""
    caller = threading.get_ident()
    rng = random.Random(1)
    at_work = []

    def interrupt():
        """Send a signal; wait for the answer, but not for long: it is late if the caller was about to fall asleep."""
        answered = len(interruptions)
        signal.pthread_kill(caller, SOME_SIGNAL)
        end = time.monotonic() + 2e-3
        while len(interruptions) == answered and time.monotonic() < end:
            time.sleep(0)

    def work(stop):
        if threading.get_ident() == caller:
            wait_for(lambda: at_work)
            if caller_ends_first:
                return
            wait_for(lambda: False)
        else:
            at_work.append(True)
            for _ in range(3):
                for _ in range(rng.randrange(200)):
                    pass
                interrupt()
            at_work.clear()

    for _ in range(300):
        with pytest.raises(Raised):
            share(work, 2)
        assert not at_work
    assert len(interruptions) >= 300 and len(fresh) == pool.MAX_HELPERS


@posix_signals
def test_a_signal_handler_may_call_while_a_call_is_on(fresh):
    calls = itertools.count()
    before = signal.signal(SOME_SIGNAL, lambda number, frame: share(lambda stop: next(calls), 2))
    caller, end = threading.get_ident(), threading.Event()

    def pester():
        while not end.is_set():
            signal.pthread_kill(caller, SOME_SIGNAL)
            time.sleep(1e-4)

    pesterer = threading.Thread(target=pester)
    pesterer.start()
    try:
        for _ in range(500):
            share(lambda stop: None, 3)
    finally:
        end.set()
        pesterer.join()
        signal.signal(SOME_SIGNAL, before)
    assert next(calls) > 0
