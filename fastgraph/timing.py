"""Timing: callables in turn, round after round, so that a slow spell of the machine meets all of them.

In: callables. Out: seconds, as medians and quartiles of the rounds.
"""

import gc
import math
import statistics
import time
from contextlib import contextmanager
from typing import NamedTuple

# Seconds of a sample, if a call is not longer. Shorter than what a scheduler gives a process at a time: where others
# want the same core, most samples are whole, and the median is one of these.
SAMPLE = 5e-4
LEAST = 3  # rounds


class Times(NamedTuple):
    """Seconds of a call: the median of the rounds, and their quartiles."""

    median: float
    low: float
    high: float


def summary(samples):
    """The Times of one sample a round."""
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return Times(median, low, high)


def seconds_of(call, number):
    """Seconds a call of ``number`` calls."""
    begun = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - begun) / number


def number_for(measure):
    """How many calls make a sample; ``measure(number)`` gives the seconds of one of so many."""
    number, took = 1, measure(1)
    while took * number < SAMPLE / 4 and number < 1 << 30:
        number *= 4
        took = measure(number)
    return max(1, round(SAMPLE / max(took, 1e-12)))


def sampler(measure, seconds=None):
    """What takes a sample of ``measure(number)``, whose seconds, or ``seconds(number)``, are those of one of so many.

    One more comes first, uncounted: what was timed before it has filled the caches with other things.
    """
    number = number_for(seconds or measure)

    def sample():
        measure(1)
        return measure(number)

    return sample


@contextmanager
def _undisturbed():
    """No collection of garbage while something is timed."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def in_rounds(measures, seconds):
    """Samples of each of ``{name: measure}``, one a round, for about so many seconds; ``measure()`` takes a sample."""
    samples = {name: [] for name in measures}
    with _undisturbed():
        begun, done = time.perf_counter(), 0
        while done < LEAST or (time.perf_counter() - begun) * (done + 1) / done < seconds:
            for name, measure in measures.items():
                samples[name].append(measure())
            done += 1
    return samples


def interleaved(calls, seconds):
    """Times of each of ``{name: call}``, about so many seconds for all together."""
    measures = {name: sampler(lambda n, call=call: seconds_of(call, n)) for name, call in calls.items()}
    return {name: summary(samples) for name, samples in in_rounds(measures, seconds).items()}


def digits(x):
    """Three significant digits, without exponent."""
    if not x or not math.isfinite(x):
        return f"{x:g}"
    return f"{x:,.{max(0, 2 - math.floor(math.log10(abs(x))))}f}"
