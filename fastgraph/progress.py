"""Progress: what a long call says of itself between chunks.

In: the user's ``progress`` argument and a number of input sets. Out: a context manager that gives the sweeper a
function to report to.
"""

import threading

from fastgraph.errors import ArgumentError


def reporter(progress, total):
    """Return a context manager whose value is ``report(done)``.

    Every thread of the call may report as often as it likes, with the number of input sets that are finished as far as
    it knows. What reaches the user comes from the calling thread only, grows, and ends with ``done == total`` unless
    the call raises. An exception of the user's callback goes through ``report``, so it ends the call as any other.

    Parameters
    ----------
    progress : None, bool or callable
        None or False: silence. True: a bar drawn by tqdm. Else ``progress(done, total)``.
    total : int
        Number of input sets.

    Raises
    ------
    ArgumentError
        If ``progress`` is none of these, or tqdm is not installed.

    Examples
    --------
    >>> from fastgraph.progress import reporter
    >>> with reporter(lambda done, total: print(f"{done} of {total}"), 100) as report:
    ...     report(40)
    ...     report(40)
    ...     report(90)
    40 of 100
    90 of 100
    100 of 100
    """
    if progress is None or progress is False:
        return _SILENCE
    if progress is True:
        bar = _Bar(total)
        return _Reporter(bar, total, bar.close)
    if callable(progress):
        return _Reporter(progress, total)
    raise ArgumentError(
        f"progress must be None, True or a callable progress(done, total), not {progress!r}: "
        "True draws a bar, a callable is told the number of input sets that are done"
    )


class _Silence:
    """Reports nothing, at the price of an empty call."""

    def __enter__(self):
        return _say_nothing

    def __exit__(self, kind, error, traceback):
        pass


def _say_nothing(done):
    pass


_SILENCE = _Silence()


class _Reporter:
    """Passes on what the calling thread reports, where it is news."""

    def __init__(self, callback, total, close=None):
        self._callback = callback
        self._total = total
        self._close = close
        self._caller = threading.get_ident()
        self._last = 0

    def __enter__(self):
        return self.report

    def report(self, done):
        """Tell the user that ``done`` input sets are finished; the last one is told by the end of the call."""
        if threading.get_ident() == self._caller and self._last < done < self._total:
            self._last = done
            self._callback(done, self._total)

    def __exit__(self, kind, error, traceback):
        try:
            if kind is None:
                self._callback(self._total, self._total)
        finally:
            if self._close is not None:
                self._close()


class _Bar:
    """A callback that draws a bar of tqdm."""

    def __init__(self, total):
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ArgumentError(
                "progress=True draws its bar with tqdm, which is not installed: "
                "pip install tqdm, or pass a callable progress(done, total)"
            ) from None
        self._bar = tqdm(total=total, unit=" sets", unit_scale=True)

    def __call__(self, done, total):
        self._bar.update(done - self._bar.n)

    def close(self):
        """Leave the bar as it is."""
        self._bar.close()
