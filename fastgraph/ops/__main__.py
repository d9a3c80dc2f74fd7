"""``python -m fastgraph.ops``: the measured accuracy of every op. Exit status 1 if one breaks the bound of its row."""

import argparse
import sys

import numpy as np

from fastgraph.ops import OPS, TABLE
from fastgraph.ops.accuracy import measure

HEADER = ("op", "bound", "largest error", "at")


def _arguments(argv):
    parser = argparse.ArgumentParser(prog="python -m fastgraph.ops", description=__doc__.partition(": ")[2])
    parser.add_argument("--points", type=int, default=2000, help="random points an op (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random points (default: %(default)s)")
    parser.add_argument("--op", action="append", choices=sorted(OPS), metavar="NAME", help="only this op; repeatable")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: %(default)s")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return parser.parse_args(argv)


def main(argv=None):
    """Print the table and return the exit status."""
    options = _arguments(argv)
    line = "| {} | {} | {} | {} |" if options.markdown else "{:<12} {:>5} {:>13}  {}"
    print(line.format(*HEADER))
    if options.markdown:
        print("|---|--:|--:|---|")
    broken = []
    for op in TABLE:
        if options.op and op.name not in options.op:
            continue
        found = measure(op, options.points, options.seed, np.dtype(options.dtype))
        print(line.format(op.name, f"{found.bound:g}", f"{found.worst:.3f}", found.where), flush=True)
        if not found.within_bound:
            broken.append(op.name)
    if broken:
        print(f"out of bounds: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
