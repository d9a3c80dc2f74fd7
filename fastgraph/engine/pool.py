"""Threads: our own small pool, because OpenMP dies after fork and ``prange`` aborts when two threads enter it.

In: a function that works until there is nothing left. Out: nothing; errors and Ctrl-C come through.
"""

import operator
import os
import threading

from fastgraph.engine.cpus import available_cpus
from fastgraph.errors import ArgumentError

VARIABLE = "FASTGRAPH_NUM_THREADS"
MAX_HELPERS = max(64, os.cpu_count() or 1)  # of the whole process, however many calls there are at once

_setting = None


def set_num_threads(threads):
    """Set how many threads a call uses that does not say ``threads=``.

    The setting belongs to the process; a forked child inherits it, a spawned one does not (the environment variable
    reaches both). It never changes a result, to the last bit.

    Parameters
    ----------
    threads : int or None
        At least 1. None goes back to the default: ``FASTGRAPH_NUM_THREADS``, or the CPUs this process may use.

    Raises
    ------
    ArgumentError
        If it is neither.

    Examples
    --------
    >>> import fastgraph as fg
    >>> fg.set_num_threads(2)
    >>> fg.get_num_threads()
    2
    >>> fg.set_num_threads(None)
    """
    global _setting
    _setting = None if threads is None else check_threads(threads)


def get_num_threads():
    """The upper limit of threads of a call that does not say ``threads=``.

    Returns
    -------
    int
        What :func:`set_num_threads` was given last; else the environment variable ``FASTGRAPH_NUM_THREADS``; else the
        number of CPUs that affinity and the quota of a container leave to this process.

    Raises
    ------
    ArgumentError
        If the environment variable is in force and is no positive integer.

    Examples
    --------
    >>> import fastgraph as fg
    >>> fg.get_num_threads() >= 1
    True
    """
    if _setting is not None:
        return _setting
    variable = os.environ.get(VARIABLE)
    if not variable:
        return available_cpus()
    try:
        return check_threads(int(variable))
    except (ValueError, ArgumentError):
        raise ArgumentError(
            f"{VARIABLE} must be a positive integer, not {variable!r}: correct it in the environment, or unset it"
        ) from None


def check_threads(threads):
    """``threads`` as an int, or an ArgumentError."""
    try:
        number = 0 if isinstance(threads, bool) else operator.index(threads)
    except TypeError:
        number = 0
    if number < 1:
        raise ArgumentError(
            f"threads must be a positive integer, not {threads!r}: pass None for the default of this process"
        )
    return number


class Stop:
    """Tells the threads of one call to end. An Event without its locks: it is looked at, never waited for."""

    __slots__ = ("raised",)

    def __init__(self):
        self.raised = False

    def is_set(self):
        return self.raised


def share(work, threads):
    """Run ``work(stop)`` in this thread and up to ``threads - 1`` others, until each has returned.

    ``stop`` is set when any of them raises, Ctrl-C included; ``work`` must look at it often and then return. When
    ``share`` returns or raises, no other thread is in ``work``. A helper that was not there by the time this thread
    was done is not waited for: nothing was left to do.

    Parameters
    ----------
    work : callable
    threads : int

    Raises
    ------
    BaseException
        What ``work`` raised in this thread, with what it raised in another as its context; else what it raised first
        in another.
    """
    stop = Stop()
    if threads == 1:
        work(stop)
        return
    crew = _Crew(work, stop)
    try:
        try:
            crew.call(threads - 1)
            work(stop)
        except BaseException:
            stop.raised = True
            raise
        finally:
            crew.dismiss()
    except BaseException as error:
        # Once more: another Ctrl-C may have come between the lines above.
        stop.raised = True
        crew.dismiss()
        other, crew.error = crew.error, None
        if error.__context__ is None and other is not error:
            error.__context__ = other
        raise
    error, crew.error = crew.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback will hold this frame


class _Crew:
    """The threads of one call of :func:`share`.

    The calling one may be interrupted at any line, by Ctrl-C or by a signal handler that calls ``share`` itself. So
    there are no locks but those a helper holds while it works, and whatever the caller does may be done again.

    A ThreadPoolExecutor refuses work at exit, and after a second Ctrl-C its helpers may still write. Two cores share
    200 us of work in 8 chunks in 120 to 150 us, by that executor in 165 to 170; calling a helper costs some 7 us in
    both (``python -m bench.share``, which a busy second core makes meaningless).
    """

    __slots__ = ("work", "stop", "open", "called", "present", "error")

    def __init__(self, work, stop):
        self.work = work
        self.stop = stop
        self.open = True
        self.called = []
        self.present = []  # one lock per helper that came, held until it has left
        self.error = None

    def call(self, count):
        """Wake ``count`` helpers, or as many as there are."""
        for _ in range(min(count, MAX_HELPERS)):
            try:
                helper = _idle.pop()
            except IndexError:
                break
            if not helper.is_hired and not helper.hire():
                helper.home.insert(0, helper)
                break
            self.called.append(helper)
            helper.crew = self
            helper.wake.release()

    def join(self, helper):
        """Work, in a helper's thread; it is idle again before anybody can know that it has left."""
        here = threading.Lock()
        with here:
            # The helper is present before it looks whether the crew is open, and ``dismiss`` closes the crew before it
            # looks who is present: one of the two sees the other.
            self.present.append(here)
            try:
                if self.open:
                    self.work(self.stop)
            except BaseException as error:
                if self.error is None:
                    self.error = error.with_traceback(error.__traceback__.tb_next)
                self.stop.raised = True
            helper.home.append(helper)

    def dismiss(self):
        """Return when no helper is in ``work`` and none will begin; an interruption makes them stop sooner."""
        interruption = None
        while True:
            try:
                self.open = False
                while self.called:
                    helper = self.called.pop()
                    if helper.crew is self and helper.wake.acquire(blocking=False):  # not awake yet: let it sleep on
                        helper.home.append(helper)
                for here in self.present:
                    with here:
                        pass
                break
            except BaseException as error:
                self.stop.raised = True
                interruption = error
        self.work = None
        if interruption is not None:
            raise interruption


class _Helper:
    """A thread that waits to be woken, joins a crew, and waits again. Hired, that is started, at its first call.

    Threads are daemons: at exit nobody waits for them, and one that is not in a crew has nothing to lose.
    """

    __slots__ = ("crew", "home", "is_hired", "wake")

    def __init__(self, home):
        self.crew = None
        self.home = home  # the list of those that are idle
        self.is_hired = False
        self.wake = threading.Lock()
        self.wake.acquire()

    def hire(self):
        """Start the thread; False where there can be no more, for want of memory or because the interpreter ends."""
        try:
            threading.Thread(target=self._serve, name="fastgraph", daemon=True).start()
        except (RuntimeError, MemoryError):
            return False
        self.is_hired = True
        return True

    def _serve(self):
        while True:
            self.wake.acquire()
            crew, self.crew = self.crew, None
            crew.join(self)
            del crew


def _start_over():
    """No helper is hired: so it is at first, and in a forked child, which has none of its parent's threads."""
    global _idle
    _idle = []
    _idle += [_Helper(_idle) for _ in range(MAX_HELPERS)]


_start_over()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
