"""Commands: what ``python -m fastgraph profile`` and ``bench`` do.

In: the options that ``cli`` has parsed. Out: text on stdout, and files.
"""

import json
import os
import sys

import numpy as np

from fastgraph import targets
from fastgraph.comparing import WORKLOADS, Workload, compare
from fastgraph.errors import ArgumentError, DataError
from fastgraph.extras import need
from fastgraph.tables import replacing


def profile(options):
    """Print, and draw, where the time of a formula or saved function goes."""
    draw = _drawing(options.plot)
    function, point = targets.target(options.target, options.at, options.data, options.unpickle)
    found = function.profile(*targets.values_of(function, point), gradient=options.grad, seconds=options.seconds)
    print(found)
    draw(found.plot)


def bench(options):
    """Print, write and draw how workloads, and a formula of the user's, compare with other libraries."""
    if options.list:
        for work in WORKLOADS.values():
            print(f"{work.name}\n    {work.formula}")
        return
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        raise ArgumentError(f"there is no workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    draw = _drawing(options.plot)
    works = [WORKLOADS[name] for name in options.workloads]
    if options.formula is not None:
        works.append(_workload(options))
    elif options.at is not None or options.data is not None:
        raise ArgumentError("--at and --data are inputs of --formula")
    found = compare(
        works or WORKLOADS.values(), options.sets, options.seconds, lambda line: print(line, file=sys.stderr)
    )
    print(found)
    if options.json:
        with replacing(options.json) as stream:
            stream.write(json.dumps(found.as_dict(), indent=1).encode())
    draw(found.plot)


def _workload(options):
    """The one of a formula, about 1, about ``--at``, or at the rows of ``--data``."""
    if options.data is not None:
        rows = targets.columns_of(options.formula, options.data)
        return Workload("formula", options.formula, rows, data=np.array(list(rows.values())))
    point = {} if options.at is None else targets.assignments(options.at, "--at")
    names, _ = targets.compiled(options.formula, point)
    return Workload("formula", options.formula, {name: point.get(name, 1.0) for name in names})


def _drawing(path):
    """What writes a plot to ``path``, given what draws it; errors that can be said before are."""
    if path is None:
        return lambda plot: None
    kind = os.path.splitext(path)[1][1:].lower()
    try:
        kinds = need("matplotlib.figure", "--plot", "plot").Figure().canvas.get_supported_filetypes()
    except ImportError as error:
        raise DataError(str(error)) from None
    if kind not in kinds:
        raise DataError(f"--plot {path}: the name must end in one of {', '.join(f'.{k}' for k in sorted(kinds))}")

    def draw(plot):
        with replacing(path) as stream:
            plot().savefig(stream, format=kind, dpi=150)

    return draw
