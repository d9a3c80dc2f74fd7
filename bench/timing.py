"""Timing: several callables in turn, round after round, so that a slow spell of a shared machine meets all of them."""

import gc
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from fastgraph.timing import digits

STAT = Path("/proc/stat")
QUIET, PATIENCE = 0.1, 6
LONGEST = 10.0  # seconds of rounds after which none is repeated
disturbance = []  # cores that others used, round by round


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


class Bystanders:
    """How much of a core others use: other processes, and the hypervisor's other guests."""

    def __init__(self):
        self.before = self._read()

    @staticmethod
    def _read():
        own = os.times()
        try:
            user, nice, system, _, _, irq, soft, steal = map(int, STAT.read_text().split(maxsplit=9)[1:9])
        except OSError:  # not Linux: nobody is seen
            return 0.0, own.elapsed
        total = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        return total - own.user - own.system, own.elapsed

    def cores(self):
        """Cores in use by others since this object was made."""
        (others, now), (others_before, before) = self._read(), self.before
        return (others - others_before) / max(now - before, 1e-3)


def ratio(over, under):
    """Times whose numbers are how often the samples of ``under`` go into those of ``over``, round by round.

    Where a machine changes its speed between rounds, the ratio of two medians may be one of different speeds.
    """
    return summary([a / b for a, b in zip(over, under, strict=True)])


def interleaved(runs, rounds=9, least=0.02, longest=LONGEST):
    """As :func:`sampled`, the Times of each."""
    return {name: summary(samples) for name, samples in sampled(runs, rounds, least, longest).items()}


def sampled(runs, rounds=9, least=0.02, longest=LONGEST):
    """Samples, one a round, of each callable in ``{name: callable}``; a round lasts ``least`` seconds or one call.

    Rounds in which others used more than ``QUIET`` of a core are repeated, up to ``PATIENCE`` times as many in all, for
    ``longest`` seconds at most; the quietest are kept.
    """
    numbers = {}
    for name, run in runs.items():
        run()  # the first call compiles and makes what later ones find: nothing a round should be sized by
        number, took = 1, seconds(run, 1)
        while took * number < least / 4:
            number *= 4
            took = seconds(run, number)
        numbers[name] = max(1, round(least / took))
    taken = []
    gc.collect()
    gc.disable()
    begin = time.perf_counter()
    try:
        while sum(others <= QUIET for others, _ in taken) < rounds and len(taken) < PATIENCE * rounds:
            if len(taken) >= rounds and time.perf_counter() - begin > longest:
                break
            bystanders = Bystanders()
            samples = {name: seconds(run, numbers[name]) for name, run in runs.items()}
            taken.append((bystanders.cores(), samples))
            if taken[-1][0] > QUIET:
                time.sleep(0.3)
    finally:
        gc.enable()
    kept = sorted(taken, key=lambda round_: round_[0])[:rounds]
    disturbance.extend(others for others, _ in kept)
    return {name: [samples[name] for _, samples in kept] for name in runs}
