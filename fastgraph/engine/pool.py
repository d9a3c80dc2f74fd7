"""Threads: our own small pool, because OpenMP dies after fork and ``prange`` aborts when two threads enter it.

In: a function that works until there is nothing left. Out: nothing; errors and Ctrl-C come through.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from fastgraph.errors import ArgumentError

_lock = threading.Lock()
_executor = None


def available_threads():
    """Number of CPUs this process may run on, or ``FASTGRAPH_NUM_THREADS`` if that is set."""
    setting = os.environ.get("FASTGRAPH_NUM_THREADS")
    if setting:
        try:
            return check_threads(int(setting))
        except (ValueError, ArgumentError):
            raise ArgumentError(f"FASTGRAPH_NUM_THREADS must be a positive integer, not {setting!r}") from None
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads):
    """``threads`` as an int, or an ArgumentError."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ArgumentError(f"threads must be a positive integer or None, not {threads!r}")
    return threads


def share(work, threads):
    """Run ``work(stop)`` in this thread and ``threads - 1`` others, until each has returned.

    ``work`` must return soon once the event ``stop`` is set, which happens when any of them raises: Ctrl-C, too.
    """
    stop = threading.Event()
    helpers = [_pool().submit(work, stop) for _ in range(threads - 1)]
    try:
        work(stop)
    except BaseException:
        stop.set()
        raise
    finally:
        # One that has not started is not needed: the work of this thread ended because nothing was left.
        for helper in helpers:
            helper.cancel()
        for helper in helpers:
            if not helper.cancelled():
                helper.result()


def _pool():
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(max_workers=max(64, os.cpu_count() or 1), thread_name_prefix="fastgraph")
        return _executor


def _forget_pool():
    """A forked child has none of its parent's threads: it starts a pool of its own."""
    global _executor, _lock
    _executor, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
