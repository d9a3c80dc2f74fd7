"""Plots: the panels of ``bench.scaling`` as SVG whose bytes depend on the numbers alone.

In: panels, and a path. Out: the file. Needs matplotlib.
"""

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

VALUE, GRADIENT = "#0b6e99", "#c8501e"
COLOURS = {"value": VALUE, "value + gradient": GRADIENT}
DASHES = {
    "batch": "-",
    "batch, machine code": (0, (5, 1, 1, 1)),
    "one by one, compiled loop": "--",
    "one by one, Python calls": ":",
    "one set": "--",
    "L1 bound": (0, (1, 3)),
}
SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.hashsalt": "fastgraph",  # or the names inside the file would be random
    "svg.fonttype": "path",
}


def save(figure, path):
    """Write the figure, without the date."""
    figure.savefig(
        path, format=path.suffix[1:], metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None
    )


def _time(nanoseconds, _=None):
    """1 ns, 10 µs: what a tick says."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0), ("ps", 1e-3)):
        if nanoseconds >= size * 0.999:
            return f"{nanoseconds / size:g} {unit}"
    return f"{nanoseconds:g} ns"


def _power(number, _=None):
    exponent = len(f"{number:.0f}") - 1
    return f"{number:,.0f}" if number < 10_000 else f"$10^{{{exponent}}}$"


def _lines(axes, panel, xlabel, ylabel):
    for (kind, how), points in panel.lines.items():
        x = sorted(points)
        y = [points[k] * 1e9 for k in x]
        marker = "" if how == "L1 bound" else "o"
        label = f"{kind}: {how}"
        axes.plot(x, y, linestyle=DASHES[how], color=COLOURS[kind], marker=marker, label=label, markeredgewidth=0.0)
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel, title=panel.title)
    axes.xaxis.set_major_formatter(FuncFormatter(_power))
    axes.yaxis.set_major_formatter(FuncFormatter(_time))
    axes.minorticks_off()
    axes.legend()


def batches(panels, path):
    """Time a set against the size of the batch, a pair of axes a workload."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(10.0, 4.4), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
            _lines(axes, panel, "input sets in a call", "time a set")
        save(figure, path)


def graphs(panels, path):
    """Time a set and operation against the number of operations."""
    (panel,) = panels
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(7.0, 4.4), layout="constrained")
        _lines(figure.subplots(), panel, "operations in the graph", "time a set and operation")
        save(figure, path)


def threads(panels, path):
    """Bars of the speed-up over one thread, and marks of what as many calls at once, apart, give."""
    panel, apart = panels
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(7.0, 0.6 + 0.5 * len(panel.lines)), layout="constrained")
        axes = figure.subplots()
        names = list(panel.lines)
        counts = sorted(panel.lines[names[0]])
        shown = [count for count in counts if count > 1] or counts
        height = 0.8 / len(shown)
        for k, count in enumerate(shown):
            gain = [panel.lines[name][1] / panel.lines[name][count] for name in names]
            places = [i + (k - (len(shown) - 1) / 2) * height for i in range(len(names))]
            shade = matplotlib.colormaps["Blues"](0.75 if len(shown) == 1 else 0.35 + 0.6 * k / (len(shown) - 1))
            bars = axes.barh(places, gain, 0.9 * height, color=shade, label=f"{count} threads")
            axes.bar_label(bars, fmt="%.2f×", padding=3, fontsize=8.0)
            axes.axvline(count, color="#808080", linewidth=0.8, linestyle="--")
        limits = [panel.lines[name][1] / min(apart.lines[name].values()) for name in names]
        axes.plot(
            limits, range(len(names)), "|", color="#b03030", markersize=14, markeredgewidth=2, label="calls apart"
        )
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="times as fast as one thread (dashed: threads)", xlim=(0.0, 1.12 * max(shown)))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1 + len(shown))
        save(figure, path)
