"""Shelter: a place for what Ctrl-C must not interrupt half-way. In: a function. Out: what it returns.

Python raises KeyboardInterrupt in the main thread, between any two instructions. Numba and llvmlite guard themselves
by locks that they take in Python code; an exception between taking such a lock and the ``with`` it belongs to leaves it
locked, and every other thread that compiles then hangs for ever (1 of 600 interruptions of a first call did).
"""

import threading


def sheltered(function):
    """Run ``function()`` in a thread that no signal interrupts, and wait for it.

    An exception that a signal handler raises meanwhile, as Ctrl-C does, comes through at once; the function goes on in
    the background, and the interpreter does not end before it has. So it must be one whose completion does no harm.

    Parameters
    ----------
    function : callable

    Returns
    -------
    object
        What it returned.

    Raises
    ------
    BaseException
        What it raised.

    Examples
    --------
    >>> from fastgraph.shelter import sheltered
    >>> sheltered(lambda: 6 * 7)
    42
    """
    if threading.current_thread() is not threading.main_thread():
        return function()  # signals are answered by the main thread only
    running, outcome = threading.Lock(), []

    def run():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error.with_traceback(error.__traceback__.tb_next)))
        finally:
            running.release()

    running.acquire()
    try:
        threading.Thread(target=run, name="fastgraph-shelter", daemon=False).start()
    except (RuntimeError, MemoryError):  # no room for a thread, or the interpreter ends
        return function()
    with running:  # not Thread.join, which when interrupted takes the thread for ended (CPython issue 90882)
        pass
    result, error = outcome.pop()
    if error is not None:
        try:
            raise error
        finally:
            del error  # its traceback will hold this frame
    return result
