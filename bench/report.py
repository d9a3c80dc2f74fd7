"""Report: the rows of the speed contract in one process, peers interleaved, written into docs/benchmarks.md.

``python -m bench.report`` runs all groups; ``--only call batch`` some of them, which are then printed, not written.
"""

import argparse
import sys

from bench import batch_rows, derivative_rows, document, embed_rows, pendulum_rows, rows, solver_rows, table_rows
from bench.peers import installed
from fastgraph.timing import digits

GROUPS = (
    rows.GROUPS
    | batch_rows.GROUPS
    | table_rows.GROUPS
    | embed_rows.GROUPS
    | derivative_rows.GROUPS
    | solver_rows.GROUPS
    | pendulum_rows.GROUPS
)


def line(row):
    """One row as Markdown: what, fastgraph, goal, met, and each peer with its ratio to fastgraph."""
    if not row.results:
        return f"| {row.what} | {row.unit} | – | | | {row.extra} |"
    ours = row.results["fastgraph"]
    goal, met = "", ""
    if row.goal is not None:
        goal = row.goal_text or f"≤ {row.goal:g}"
        met = "met" if ours.median <= row.goal else "**missed**"
    others = {name: times.median for name, times in row.results.items() if name != "fastgraph"}
    peers = [f"{name} {digits(median)} ({digits(median / ours.median)}×)" for name, median in others.items()]
    notes = "; ".join([", ".join(peers)] * bool(peers) + [row.extra] * bool(row.extra))
    return f"| {' | '.join((row.what, row.unit, str(ours), goal, met, notes))} |"


def table(peers, groups):
    """Run the groups; the lines of the table, as they come."""
    yield "| what | unit | fastgraph: median (quartiles) | goal | | peers: median (times fastgraph's) |"
    yield "|---|---|---|---|---|---|"
    for group in groups:
        print(f"{group} …", file=sys.stderr)
        yield from map(line, GROUPS[group](peers))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    options = parser.parse_args(arguments)
    peers, lines = installed(), []
    for text in table(peers, options.only or GROUPS):
        print(text, flush=True)
        lines.append(text)
    if options.only is None:
        document.write("bench.report", document.heading("bench.report", peers) + lines)


if __name__ == "__main__":
    main()
