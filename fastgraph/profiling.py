"""Profiling: where the time of a call goes, measured op by op.

In: a function and arguments. Out: a ``Profile``, a table that adds up to the time of the call, and a plot of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastgraph.engine.clocked import Clocked
from fastgraph.engine.workspace import OneSet, Tiles
from fastgraph.errors import ArgumentError
from fastgraph.extras import need
from fastgraph.layout import addresses_of
from fastgraph.ops import TABLE
from fastgraph.ops.fused import FUSED
from fastgraph.timing import digits, in_rounds, sampler, seconds_of

LONGEST = 0.002  # seconds of sweeps that are looked at
# Seconds for which a sweep of one set, and its spans one after the other, are repeated between readings of the clock.
# Sweeps are what they are when repeated; a span is not quite, since its numbers are in the nearest cache then.
IN_PLACE, SPANS_IN_PLACE = 20e-6, 4e-6
MOVING, ONCE, PYTHON = "load and store", "once a call", "Python"
BARS = 16  # of a plot
COLOURS = {"forward": "#0b6e99", "reverse": "#c8501e", "besides": "#9aa0a6"}


@dataclass(frozen=True)
class ProfileRow:
    """One line: nanoseconds a set.

    Attributes
    ----------
    name : str
        An op; ``"load and store"``, what moves numbers in and out of the sweeps; ``"once a call"``, what depends on
        arguments without a batch only; ``"Python"``, the rest of the call.
    count : int or None
        Operations of a set; None for what is no op.
    forward, reverse : float
        0 for what is no op.
    total : float
        Their sum, or the time of what is no op.
    """

    name: str
    count: int | None
    forward: float
    reverse: float
    total: float


@dataclass(frozen=True)
class Profile:
    """Where the time of a call goes; see :meth:`Function.profile`.

    Attributes
    ----------
    label : str
    n_sets : int
    gradient : bool
    rows : tuple of ProfileRow
        Ops, the dearest first; then what is no op.
    total : float
        Nanoseconds a set of the call itself, in one thread: the median of the rounds.
    spread : float
        The middle half of the rounds lies within so much of the total, as a part of it.
    closure : tuple of float
        What the runs of the forward and of the reverse sweep took apart, as a multiple of the sweep; 0 without one.
    """

    label: str
    n_sets: int
    gradient: bool
    rows: tuple[ProfileRow, ...]
    total: float
    spread: float
    closure: tuple[float, float]

    def __str__(self):
        return "\n".join([self._title, *_table(self), *self._notes])

    @property
    def _title(self):
        what = "value and gradient" if self.gradient else "value"
        return f"{self.label}: {what} of {self.n_sets:,} set{'s' * (self.n_sets != 1)}, one thread; nanoseconds a set"

    @property
    def _notes(self):
        apart = " and ".join(f"{ratio:.2f}" for ratio in self.closure if ratio)
        took = f"; runs apart took {apart} of the sweeps they make up" if apart else ""
        return [f"half of the rounds within {self.spread:.1%}{took}"]

    def plot(self, axes=None):
        """Draw the rows as bars.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to draw; the default is those of a new figure.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed, which the extra ``plot`` does.
        """
        figure_module = need("matplotlib.figure", "plot() of a profile", "plot")
        rows = _shortened(self.rows)
        if axes is None:
            figure = figure_module.Figure(figsize=(7.0, 1.3 + 0.27 * len(rows)), layout="constrained")
            axes = figure.subplots()
        n_ops = sum(row.count is not None for row in rows)
        places = [k + (0.5 if k >= n_ops else 0.0) for k in range(len(rows))]
        left = np.zeros(len(rows))
        besides = [row.total if row.count is None else 0.0 for row in rows]
        parts = {"forward": [row.forward for row in rows], "reverse": [row.reverse for row in rows], "besides": besides}
        for name, widths in parts.items():
            if any(widths):
                axes.barh(places, widths, 0.72, left=left, color=COLOURS[name], label=name)
            left += widths
        for place, row in zip(places, rows, strict=True):
            text = f"{digits(row.total)} ns, {row.total / self.total:.1%}" if self.total else ""
            axes.annotate(text, (row.total, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        counts = [row.name if row.count is None else f"{row.name} × {row.count:,}" for row in rows]
        axes.set_yticks(places, counts)
        axes.invert_yaxis()
        axes.set_xlim(0.0, 1.25 * max([row.total for row in rows], default=1.0) or 1.0)
        axes.set_xlabel("nanoseconds a set")
        what, _, _ = self._title.removeprefix(f"{self.label}: ").partition(";")
        axes.set_title(f"{self.label}\n{what}: {digits(self.total)} ns a set", fontsize=10, loc="left")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        return axes.figure


def _table(profile):
    """The lines of the table."""
    heads = ["op", "count", "forward", "reverse", "ns", "share", "ns an op"]
    cells = [heads]
    for row in profile.rows:
        is_op = row.count is not None
        cells.append([
            row.name,
            f"{row.count:,}" if is_op else "",
            digits(row.forward) if is_op else "",
            digits(row.reverse) if is_op else "",
            digits(row.total),
            f"{row.total / profile.total:.1%}" if profile.total else "",
            digits(row.total / row.count) if row.count else "",
        ])  # fmt: skip
    sums = [digits(sum(getattr(row, name) for row in profile.rows)) for name in ("forward", "reverse", "total")]
    cells.append(["total", "", *sums, "100.0%", ""])
    if not profile.gradient:
        cells = [[*line[:2], *line[4:]] for line in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        .rstrip() for line in cells
    ]  # fmt: skip


def _shortened(rows):
    """The rows of a plot: of many ops the cheapest together."""
    ops = [row for row in rows if row.count is not None]
    others = [row for row in rows if row.count is None]
    if len(ops) <= BARS:
        return [*ops, *others]
    rest = ops[BARS - 1 :]
    sums = (sum(getattr(row, name) for row in rest) for name in ("count", "forward", "reverse", "total"))
    return [*ops[: BARS - 1], ProfileRow(f"{len(rest)} more", *sums), *others]


def profile(function, args, named, gradient, seconds):
    """See :meth:`fastgraph.Function.profile`."""
    if not isinstance(gradient, bool | np.bool_):
        raise ArgumentError(f"{function.label}: gradient must be True or False, not {gradient!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | np.number) or not 0 < seconds < math.inf:
        raise ArgumentError(f"{function.label}: seconds must be a positive number, not {seconds!r}")
    positions = None
    if gradient:
        function.signature.need_scalar_output("profile", "or profile its values, with gradient=False")
        positions, _ = function.signature.wrt(None)
    arrays, batch = function.signature.bind(args, named)
    if not math.prod(batch):
        raise ArgumentError(f"{function.label}: there is nothing to profile in an empty batch")
    options = {"threads": 1} if batch else {}
    call = function.value_and_grad if gradient else function
    call(*args, **named, **options)  # whatever is made at the first call is made
    clocked, _results = _clocked(function, arrays, batch, positions)
    return _profile(function, call, args, named | options, clocked, math.prod(batch), bool(gradient), seconds)


def _profile(function, call, args, named, clocked, n_sets, gradient, seconds):
    clocked.begin(LONGEST)
    one = clocked.sweeps(10) / clocked.n_sets

    def real():
        return call(*args, **named)

    def in_parts(measure, in_place):
        repeat = max(1, round(in_place / max(one, 1e-9))) if clocked.is_one else 1
        return sampler(lambda n: measure(n, repeat), lambda n: seconds_of(lambda: measure(n, repeat), 1) / n)

    samples = in_rounds(
        {
            "call": sampler(lambda n: seconds_of(real, n)),
            "sweeps": sampler(clocked.sweeps),
            "once": sampler(clocked.preparations) if not clocked.is_one else lambda: 0.0,
            "wholes": in_parts(clocked.wholes, IN_PLACE),
            "parts": in_parts(clocked.parts, SPANS_IN_PLACE),
        },
        seconds,
    )
    calls = np.array(samples["call"]) * (1e9 / n_sets)
    low, total, high = np.quantile(calls, [0.25, 0.5, 0.75])
    swept, once = (np.array(samples[name]) * 1e9 for name in ("sweeps", "once"))
    swept, once = swept / clocked.n_sets / calls, once / n_sets / calls
    wholes = np.array(samples["wholes"]) / (np.array(samples["sweeps"])[:, None] * 1e9)
    parts = np.array(samples["parts"])
    closure = _ratio(parts.sum(2), np.array(samples["wholes"]))
    rows = _rows(clocked, float(total), *map(np.median, (swept, once)), *(
        np.median(part, axis=0) for part in (wholes, _ratio(parts, parts.sum(2, keepdims=True)))
    ))  # fmt: skip
    spread = float(max(high - total, total - low) / total)
    closure = tuple(np.median(closure, axis=0).tolist())
    return Profile(function.label, n_sets, gradient, rows, float(total), spread, closure)


def _ratio(a, b):
    """a / b, 0 where b is."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b > 0)


def _rows(clocked, total, swept, once, wholes, shares):
    """Rows that add up to the total.

    What is measured in one round belongs together, so that a slow spell of the machine cancels: ``swept`` and ``once``
    are parts of the call, ``wholes`` of the sweeps, ``shares`` of either of these. No part is more than the whole.
    """
    swept = min(swept, 1.0) * total
    once = min(once * total, total - swept)
    wholes = np.where(shares.sum(1) > 0, wholes, 0.0)
    wholes *= swept / max(1.0, wholes.sum())
    times = _ratio(shares, shares.sum(1, keepdims=True)) * wholes[:, None]
    names = [(*TABLE, *FUSED)[code].name for code in clocked.codes]
    rows = [
        ProfileRow(name, count, float(forward), float(reverse), float(forward + reverse))
        for name, count, forward, reverse in zip(names, clocked.counts, *times, strict=True)
    ]
    rows.sort(key=lambda row: (-row.total, row.name))
    besides = {MOVING: swept - wholes.sum(), ONCE: once, PYTHON: total - swept - once}
    rows += [ProfileRow(name, None, 0.0, 0.0, max(0.0, float(time))) for name, time in besides.items()]
    return tuple(rows)


def _clocked(function, arrays, batch, positions):
    """What a call of one thread sweeps, pointed at its arguments; and what receives the results."""
    sweeper, n_sets, with_gradient = function.sweeper, math.prod(batch), positions is not None
    if batch == () and function.dtype == np.float64:
        single = sweeper.single(with_gradient)
        single.inputs[:] = np.concatenate([np.empty(0), *(array.ravel() for array in arrays)])
        return Clocked(single.workspace, 1), single
    if function.dtype == np.float64 and all(array.dtype == np.float64 for array in arrays):
        wanted = function.flat.leaf_is_input if with_gradient else None
        found = sweeper.few(n_sets, wanted, function._varying_leaves(arrays))
        if found is not None:
            few, _ = found
            for array, argument, rows in zip(arrays, function.arguments, _rows_of(function.arguments), strict=True):
                few.inputs[rows, :n_sets] = np.broadcast_to(array, batch + argument.shape).reshape(n_sets, -1).T
            few.sweep(0, n_sets)
            return Clocked(few.workspace, n_sets), few
    one_by_one = sweeper.one_by_one(n_sets, with_gradient)
    leaves, _ = function._tables(arrays, batch, None, one_by_one)
    pairs = [(np.empty(batch + o.shape, function.dtype), o.shape) for o in function.outputs]
    outputs, gradient = addresses_of(pairs, batch), None
    if with_gradient:
        pairs = [
            (np.empty(batch + a.shape, function.dtype) if k in positions else None, a.shape)
            for k, a in enumerate(function.arguments)
        ]
        gradient = addresses_of(pairs, batch)
    if one_by_one:
        workspace = OneSet(function.program)
    else:
        wanted = None if gradient is None else gradient.addresses != 0
        workspace = Tiles(sweeper.tiling(n_sets, leaves.varying, wanted, False))
    workspace.point(leaves, outputs, gradient)
    return Clocked(workspace, n_sets), (outputs, gradient)


def _rows_of(arguments):
    """Which rows of a buffer hold the scalars of each argument."""
    ends = np.cumsum([0, *(argument.size for argument in arguments)]).tolist()
    return [slice(start, stop) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
