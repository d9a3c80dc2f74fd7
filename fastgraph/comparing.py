"""Comparing: the time of formulas beside that of other libraries that are installed, each checked before it is timed.

In: named workloads, or a formula of the user. Out: a ``Comparison``: a table, a plot, and numbers for JSON.
"""

import platform
from dataclasses import asdict, dataclass

import numpy as np

from fastgraph.compiler import function_of
from fastgraph.engine.cpus import available_cpus
from fastgraph.engine.pool import get_num_threads
from fastgraph.errors import ArgumentError
from fastgraph.extras import need
from fastgraph.formula import Formula
from fastgraph.interpreter import forward, reverse
from fastgraph.peers import Missing, installed
from fastgraph.timing import Times, digits, interleaved

OURS = "fastgraph"
CHECKED = 256  # sets of a batch that are held against the reference
TOLERANCE = 1e-9  # of the largest number: other libraries add up in other orders
KINDS = {False: "value", True: "value and gradient"}
COLOURS = {
    "fastgraph": "#0b6e99", "numpy": "#8c8c8c", "numexpr": "#7b4fa3", "jax": "#2e8b57", "casadi": "#c8501e",
    "heyoka": "#d4a017",
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """A formula, and input sets ``centre * (1 + spread * u)`` with u between -1 and 1.

    Attributes
    ----------
    name, formula : str
    centre : dict of str to float
        By the formula's names, in the order of arguments.
    spread : float
    data : ndarray (names, n), or None
        Input sets to take instead.
    """

    name: str
    formula: str
    centre: dict
    spread: float = 0.1
    data: np.ndarray | None = None

    def sets(self, n):
        """``n`` input sets, (names, n); those of the data, however many, if there are any."""
        if self.data is not None:
            return self.data
        u = np.random.default_rng(1).uniform(-1.0, 1.0, (len(self.centre), n))
        return np.array(list(self.centre.values()), np.float64).reshape(-1, 1) * (1.0 + self.spread * u)


def _rosenbrock(n):
    """The sum of 100 (x[i+1] - x[i]**2)**2 + (1 - x[i])**2."""
    terms = (f"100*(x{k + 1} - x{k}**2)**2 + (1 - x{k})**2" for k in range(n - 1))
    return Workload(f"rosenbrock-{n}", " + ".join(terms), {f"x{k}": 0.5 + k / n for k in range(n)})


_D1 = "(log(spot/strike) + (rate + vol**2/2)*years) / (vol*sqrt(years))"
_WORKLOADS = [
    Workload("tiny", "(a + b) * (b - c)", {"a": 2.0, "b": 3.0, "c": 1.0}),
    Workload(
        "black-scholes", f"spot * ndtr({_D1}) - strike * exp(-rate*years) * ndtr({_D1} - vol*sqrt(years))",
        {"spot": 100.0, "strike": 105.0, "years": 1.0, "rate": 0.03, "vol": 0.25}, 0.3,
    ),
    Workload("elementary", "sin(x) * exp(-y) + log(1 + x*x) * tanh(y) + sqrt(x*x + y*y)", {"x": 1.2, "y": 0.7}),
    Workload("branches", "where(x > y, exp(y - x), sqrt(y)) + maximum(x, 1 - y)", {"x": 1.0, "y": 1.0}, 0.5),
    Workload("horner-32", "(" * 32 + "x" + "*x + y)" * 32, {"x": 0.9, "y": 0.3}),
    _rosenbrock(100),
]  # fmt: skip
WORKLOADS = {work.name: work for work in _WORKLOADS}


@dataclass(frozen=True)
class ComparisonRow:
    """One line: seconds of a call, by library.

    Attributes
    ----------
    workload, what : str
        ``what`` is ``"value"`` or ``"value and gradient"``.
    operations, n_sets : int
    times : dict of str to Times
    skipped : dict of str to str
        Why a library that is installed was not timed.
    """

    workload: str
    operations: int
    what: str
    n_sets: int
    times: dict[str, Times]
    skipped: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` measured.

    Attributes
    ----------
    rows : tuple of ComparisonRow
    versions : dict of str to str
        By library, those that were there.
    missing : tuple of str
        Libraries that are not installed.
    machine : dict
    """

    rows: tuple[ComparisonRow, ...]
    versions: dict[str, str]
    missing: tuple[str, ...]
    machine: dict

    def __str__(self):
        peers = [name for name in self.versions if name != OURS]
        cells = [["workload", "ops", "what", "sets", "ns a set", "ns an op", *peers]]
        for row in self.rows:
            ours = row.times[OURS].median * 1e9 / row.n_sets
            ratios = [
                f"{digits(row.times[name].median / row.times[OURS].median)}x" if name in row.times else "-"
                for name in peers
            ]
            an_op = digits(ours / row.operations) if row.operations else ""
            numbers = f"{row.operations:,}", row.what, f"{row.n_sets:,}", digits(ours), an_op
            cells.append([row.workload, *numbers, *ratios])
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        pads = [str.ljust if k in (0, 2) else str.rjust for k in range(len(widths))]
        lines = ["  ".join(pad(c, w) for pad, c, w in zip(pads, line, widths, strict=True)) for line in cells]
        return "\n".join([self._heading, "", *(line.rstrip() for line in lines), "", *self._notes])

    @property
    def _heading(self):
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{versions}; {self.machine['threads']} threads"

    @property
    def _notes(self):
        yield "ns of fastgraph, the median; of the others how many times as long a call takes; - is what was not timed:"
        reasons = {}
        for row in self.rows:
            for name, reason in row.skipped.items():
                reasons.setdefault((name, reason), {})[f"{row.workload}, {row.what}"] = None
        for (name, reason), which in reasons.items():
            total = {f"{row.workload}, {row.what}" for row in self.rows if row.what == "value and gradient"}
            told = "every gradient" if set(which) == total else "; ".join(which)
            yield f"  {name}: {reason} ({told})"
        if self.missing:
            yield f"  not installed: {', '.join(self.missing)}"

    def as_dict(self):
        """Everything, in types that JSON has; times in seconds a call."""
        rows = [asdict(row) | {"times": {k: t._asdict() for k, t in row.times.items()}} for row in self.rows]
        return {"versions": self.versions, "missing": list(self.missing), "machine": self.machine, "rows": rows}

    def plot(self):
        """Draw nanoseconds a set, a mark for each library.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed, which the extra ``plot`` does.
        """
        figure_module = need("matplotlib.figure", "plot() of a comparison", "plot")
        panels = [[row for row in self.rows if (row.n_sets == 1) == single] for single in (True, False)]
        panels = [rows for rows in panels if rows]
        height = 1.5 + 0.3 * max(map(len, panels), default=1)
        figure = figure_module.Figure(figsize=(2.4 + 3.6 * len(panels), height), layout="constrained")
        named = [[f"{row.workload}, {row.what}" for row in rows] for rows in panels]
        share = named[1:] == named[:1]  # the names of the lines stand once
        all_axes = np.atleast_1d(figure.subplots(1, max(len(panels), 1), sharey=share))
        for axes, rows, names in zip(all_axes, panels, named, strict=False):
            for name in self.versions:
                points = [
                    (row.times[name].median * 1e9 / row.n_sets, k) for k, row in enumerate(rows) if name in row.times
                ]
                if points:
                    size, order = (60, 3) if name == OURS else (30, 2)
                    axes.scatter(*zip(*points, strict=True), s=size, color=COLOURS.get(name), label=name, zorder=order)
            axes.set_yticks(range(len(rows)), names, fontsize=8)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xscale("log")
            sets = ", ".join(f"{n:,}" for n in sorted({row.n_sets for row in rows}))
            axes.set_title(f"{sets} set{'s' * (sets != '1')} in a call", fontsize=10, loc="left")
            axes.set_xlabel("nanoseconds a set")
            axes.grid(axis="both", color="#e4e4e4", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        shown = {label: h for axes in all_axes for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        if shown:
            figure.legend(
                shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown), frameon=False, fontsize=8
            )
        return figure


def compare(workloads, n_sets=100_000, seconds=1.0, report=None):
    """Time formulas, their values and their gradients, for one set and for many, beside other libraries.

    Parameters
    ----------
    workloads : sequence of Workload
    n_sets : int
        Of a batch.
    seconds : float
        How long to measure each line, about, all libraries together.
    report : callable, optional
        Called with a line of text before each.

    Returns
    -------
    Comparison

    Raises
    ------
    ArgumentError
        If a formula has no names, or a number is not positive.
    FormulaError
        If a formula cannot be read.

    Notes
    -----
    All libraries do the operations that are left when equal ones are shared. Before it is timed, a library's value and
    gradient are held against the reference interpreter on the first sets: fastgraph's to the bit, those of the others
    to a billionth of the largest number. One that fails is not timed, and the result says so.
    """
    if n_sets < 1 or not seconds > 0:
        raise ArgumentError(f"n_sets and seconds must be positive, not {n_sets!r} and {seconds!r}")
    peers, missing = installed()
    rows = []
    for work in workloads:
        if not work.centre:
            raise ArgumentError(f"the formula {work.formula!r} has no names: there is nothing to vary")
        function = function_of(Formula(work.formula), list(work.centre))
        batch = work.sets(n_sets)
        inputs = [np.ascontiguousarray(batch[:, 0])] + [batch] * (batch.shape[1] > 1)
        for x in inputs:
            for gradient, what in KINDS.items():
                if report is not None:
                    report(f"{work.name}, {what}, {x[0].size:,} set{'s' * (x.ndim > 1)} ...")
                runs, skipped = _checked(peers, function, x, gradient)
                times = interleaved(runs, seconds)
                rows.append(ComparisonRow(work.name, function.program.n_operations, what, x[0].size, times, skipped))
    versions = {name: peer.version for name, peer in peers.items()}
    machine = {
        "system": platform.system(), "machine": platform.machine(), "python": platform.python_version(),
        "cpus": available_cpus(), "threads": get_num_threads(),
    }  # fmt: skip
    return Comparison(tuple(rows), versions, tuple(missing), machine)


def _checked(peers, function, x, gradient):
    """The callables that give what the reference gives; and why the others are left out."""
    expected = _reference(function.program, x if x.ndim == 1 else x[:, :CHECKED], gradient)
    runs, skipped = {}, {}
    for name, peer in peers.items():
        try:
            run = peer.run(function, x, gradient)
            _check(run(), expected, exact=name == OURS)
            runs[name] = run
        except Missing as reason:
            skipped[name] = str(reason)
        except Exception as error:  # of any kind: it is another library's
            if name == OURS:
                raise
            skipped[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return runs, skipped


def _reference(program, x, gradient):
    """Value, and gradient or None, by the reference interpreter."""
    values = forward(program, x)
    slot = int(program.outputs[0])
    shape = x.shape[1:]
    slopes = None
    if gradient:
        slopes = np.array(reverse(program, values, [1.0])[: program.n_leaves]).reshape(-1, *shape)
    return np.array(values[slot]).reshape(shape), slopes


def _check(result, expected, exact):
    """Raise unless value and gradient are those of the reference."""
    for got, wanted in zip(result, expected, strict=True):
        if wanted is None:
            continue
        got = np.asarray(got, np.float64)[..., : wanted.shape[-1]] if wanted.ndim and wanted.size else np.asarray(got)
        if exact:
            same = (got == wanted) & (np.signbit(got) == np.signbit(wanted)) | np.isnan(got) & np.isnan(wanted)
            if got.shape != wanted.shape or not same.all():
                raise AssertionError("the kernels and the reference interpreter disagree")
            continue
        difference = _disagreement(got.reshape(wanted.shape), wanted)
        if not difference <= TOLERANCE:
            raise Missing(f"differs from the reference by {difference:.1e} of the largest number")


def _disagreement(got, wanted):
    """The largest difference as a part of the largest finite number; inf where one is finite and the other is not."""
    finite = np.isfinite(wanted)
    apart = np.isnan(got) != np.isnan(wanted)
    apart |= ~finite & ~np.isnan(wanted) & (got != wanted)
    if apart.any():
        return np.inf
    with np.errstate(all="ignore"):
        difference = np.abs(got[finite] - wanted[finite]).max(initial=0.0)
    return float(difference / max(np.abs(wanted[finite]).max(initial=0.0), np.finfo(np.float64).tiny))
