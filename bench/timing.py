"""Timing: several callables in turn, round after round, so that a slow spell of a shared machine meets all of them."""

import gc
import math
import statistics
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds per call: the median of the rounds, and their quartiles."""

    median: float
    low: float
    high: float

    def __truediv__(self, divisor):
        return Times(self.median / divisor, self.low / divisor, self.high / divisor)

    def __str__(self):
        if self.low == self.high:
            return digits(self.median)
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"


def digits(x):
    """Three significant digits, without exponent."""
    if x == 0:
        return "0"
    return f"{x:,.{max(0, 2 - math.floor(math.log10(abs(x))))}f}"


def summary(samples):
    """The Times of some samples."""
    if len(samples) == 1:
        return Times(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Times(median, low, high)


def seconds(run, number):
    """Seconds per call of ``number`` calls."""
    start = time.perf_counter()
    for _ in range(number):
        run()
    return (time.perf_counter() - start) / number


def interleaved(runs, rounds=9, least=0.02):
    """Times of each callable in ``{name: callable}``; a round of one lasts ``least`` seconds or one call."""
    numbers = {}
    for name, run in runs.items():
        number, took = 1, seconds(run, 1)
        while took * number < least / 4:
            number *= 4
            took = seconds(run, number)
        numbers[name] = max(1, round(least / took))
    samples = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                samples[name].append(seconds(run, numbers[name]))
    finally:
        gc.enable()
    return {name: summary(s) for name, s in samples.items()}
