"""The command line: formulas over CSV files, pictures, profiles and comparisons of them, and a demo of the machine.

In: arguments. Out: an exit status: 0, 1 (nobody reads the output), 2 (bad arguments or data), 130 (Ctrl-C). What the
subcommands need is imported when they run.
"""

import argparse
import os
import sys
from contextlib import nullcontext
from time import perf_counter

from fastgraph.errors import FastgraphError

_EVAL = """
Evaluate FORMULA for every row of a CSV file whose header row names the columns. The result is a CSV file of the
columns of the input, as they are, and the columns y and, with --grad, dy/da for each column a that the formula uses.
Numbers are written so that they read back to the same bits.
"""
_FORMULA = """
+ - * / % **, one comparison at a time, & | ~, x if condition else y, parentheses, pi, e, inf, nan, and the functions of
fastgraph (sin, exp, where, maximum, ndtr, ...). A column that has the name of a constant hides it. Put a formula that
begins with - in parentheses.
"""
_BY_FORMAT = object()
_SHOW = """
Show what a formula, or a Function in a file, consists of: a table, the program, or a picture; with --at also every
number of the forward and of the reverse pass, so that they can be followed by hand.
"""
_PROFILE = """
Measure where the time of FORMULA, or of a saved function, goes, by op: its values or, with --grad, values and
gradients, at one set of numbers or over the rows of a CSV file, in one thread. A saved function is a file of what
Function.to_bytes() gives, which is verified as it is read.
"""
_BENCH = """
Time formulas, their values and gradients, for one set and for many, beside NumPy and those of numexpr, JAX, CasADi and
heyoka that are installed. Each library is held against the reference interpreter before it is timed.
"""
_TARGET = (
    "a formula as of eval, or the path of a file that Function.to_bytes wrote; a formula that happens to be the name "
    "of a file goes in parentheses"
)


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        The default is that of the process.

    Returns
    -------
    int
        The exit status.
    """
    options = _parser().parse_args(argv)
    try:
        options.run(options)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it exits: nobody reads that either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FastgraphError, OSError) as error:
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        print(f"error: {where}", file=sys.stderr)
        return 2


def _parser():
    parser = argparse.ArgumentParser(prog="python -m fastgraph", description="Fast evaluation and differentiation.")
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    evaluate = commands.add_parser("eval", help="a formula over the rows of a CSV file", description=_EVAL)
    evaluate.add_argument("formula", metavar="FORMULA", help=_FORMULA.replace("%", "%%"))
    evaluate.add_argument("--data", required=True, metavar="FILE", help="the CSV file to read; - is standard input")
    evaluate.add_argument("--grad", action="store_true", help="add the partial derivatives")
    evaluate.add_argument(
        "--out", metavar="FILE", help="the CSV file to write, complete or not at all; default: stdout"
    )
    evaluate.add_argument("--name", default="y", help="name of the result column (default: %(default)s)")
    evaluate.add_argument("--results-only", action="store_true", help="leave out the columns of the input")
    evaluate.add_argument("--threads", type=positive_integer, metavar="N", help="at most N threads (default: all CPUs)")
    evaluate.set_defaults(run=_evaluate)

    show = commands.add_parser("show", help="what a formula or a saved Function consists of", description=_SHOW)
    _add_target(show)
    show.add_argument("--at", metavar="a=2,b=3", help="the point to explain or draw; an array is x=[1,2,3]")
    show.add_argument("--cotangents", metavar="u=1,v=0", help="the weights of several outputs, or of elements of one")
    show.add_argument(
        "--format",
        default="table",
        choices=("table", "disassembly", "dot", "mermaid", "svg"),
        help="default: %(default)s; svg needs Graphviz",
    )
    show.add_argument(
        "--limit",
        type=limit,
        default=_BY_FORMAT,
        metavar="N",
        help="how many operations, or lines of a disassembly, to show; all for no limit",
    )
    show.add_argument("--digits", type=positive_integer, metavar="N", help="significant digits of numbers")
    show.set_defaults(run=_show)

    profile = commands.add_parser("profile", help="where the time of a formula goes, by op", description=_PROFILE)
    _add_target(profile)
    _add_inputs(profile)
    profile.add_argument("--grad", action="store_true", help="profile the value and the gradient")
    _add_seconds(profile, "to measure")
    profile.add_argument("--plot", metavar="FILE", help="draw it, as .png, .svg or .pdf (needs matplotlib)")
    profile.set_defaults(run=_profile)

    bench = commands.add_parser("bench", help="time formulas beside other libraries", description=_BENCH)
    bench.add_argument("workloads", metavar="WORKLOAD", nargs="*", help="by name; default: all, unless --formula")
    bench.add_argument("--list", action="store_true", help="print the workloads and their formulas, and exit")
    bench.add_argument("--formula", metavar="FORMULA", help="one of your own; inputs are about 1, or about --at")
    _add_inputs(bench)
    bench.add_argument("--sets", type=positive_integer, default=100_000, help="size of a batch (default: %(default)s)")
    _add_seconds(bench, "for each line")
    bench.add_argument("--json", metavar="FILE", help="write everything as JSON")
    bench.add_argument("--plot", metavar="FILE", help="draw it, as .png, .svg or .pdf (needs matplotlib)")
    bench.set_defaults(run=_bench)

    demo = commands.add_parser("demo", help="the README's example, step by step")
    demo.add_argument(
        "--sets", type=positive_integer, default=1_000_000, help="size of the batch (default: %(default)s)"
    )
    demo.set_defaults(run=_demo)

    header = commands.add_parser("header", help="print fastgraph.h, by which C code calls functions")
    header.set_defaults(run=_header)
    return parser


def _add_target(parser):
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    parser.add_argument(
        "--unpickle",
        action="store_true",
        help="TARGET is a pickle. Unpickling runs the code that is in it: only for files that you trust",
    )


def _add_inputs(parser):
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("--at", metavar="a=2,b=3", help="one input set; an array is x=[1,2,3]")
    inputs.add_argument(
        "--data", metavar="FILE", help="a CSV file of input sets, with columns a, x[0], ...; - is standard input"
    )


def _add_seconds(parser, what):
    parser.add_argument("--seconds", type=_positive, default=1.0, help=f"how long {what} (default: %(default)s)")


class _Version(argparse.Action):
    def __init__(self, option_strings, dest):
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser, *_):
        from fastgraph import __version__

        print(f"fastgraph {__version__}")
        parser.exit()


def positive_integer(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def limit(text):
    """A number of operations, or None for ``all``."""
    return None if text == "all" else positive_integer(text)


def _show(options):
    from fastgraph.show import shown

    given = {"digits": options.digits} if options.digits is not None else {}
    if options.limit is not _BY_FORMAT:
        given["limit"] = options.limit
    text = shown(options.target, options.format, options.at, options.cotangents, unpickle=options.unpickle, **given)
    sys.stdout.buffer.write(f"{text}\n".encode())


def _profile(options):
    from fastgraph.commands import profile

    profile(options)


def _bench(options):
    from fastgraph.commands import bench

    bench(options)


def _positive(text):
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _demo(options):
    from fastgraph.demo import show

    show(options.sets)


def _header(options):
    from fastgraph.c_interface import header

    print(header(), end="")


# -- eval ---------------------------------------------------------------------------------------------------
def _evaluate(options):
    from fastgraph.errors import DataError
    from fastgraph.formula import Formula
    from fastgraph.tables import TableReader, TableWriter, check_columns, source

    started = perf_counter()
    formula = Formula(options.formula)
    with source(options.data) as (stream, where):
        reader = TableReader(stream, where)
        check_columns(formula, reader.header, where)
        names = [column for column in reader.header if column in formula.names]
        sweep = _compile(formula, names, options)
        results = [options.name, *(f"d{options.name}/d{name}" for name in names if options.grad)]
        kept = [] if options.results_only else reader.header
        for name in results:
            if name in kept:
                raise DataError(f"{where} has a column {name!r} already: name the result with --name, or leave the "
                                "columns of the input out with --results-only")  # fmt: skip
        prepared = perf_counter()
        n_rows, seconds = 0, 0.0
        with _destination(options.out, options.data) as out:
            writer = TableWriter(out, [*kept, *results])
            for rows, x in reader.chunks(names):
                begun = perf_counter()
                columns = sweep(x)
                seconds += perf_counter() - begun
                writer.rows(rows if kept else [()] * len(rows), columns)
                n_rows += len(rows)
            out.flush()
    total = perf_counter() - started
    rate = f"{n_rows / seconds:,.0f} sets/s" if n_rows and seconds else "no sets"
    print(
        f"{options.out or 'stdout'}: {n_rows:,} rows of {', '.join(results)}\n"
        f"sweep {seconds:.6f} s ({rate}), preparation {prepared - started:.3f} s, total {total:.3f} s",
        file=sys.stderr,
    )


def _compile(formula, names, options):
    """The function ``(columns, rows) -> [value, *partials]`` of a formula."""
    import numpy as np

    from fastgraph.compiler import function_of

    function, threads = function_of(formula, names), options.threads

    def sweep(x):
        if not names:
            return [np.full(x.shape[1], function())]
        if not options.grad:
            return [function.flat(x, axis=0, threads=threads)]
        value, gradient = function.flat.value_and_grad(x, axis=0, threads=threads)
        return [value, *gradient]

    sweep(np.ones((len(names), 1024)))  # loads the kernels, or compiles them the first time on this machine
    return sweep


def _destination(path, data):
    from fastgraph.errors import DataError
    from fastgraph.tables import replacing

    if path is None:
        return nullcontext(sys.stdout.buffer)
    if data != "-" and os.path.exists(path) and os.path.samefile(path, data):
        raise DataError(f"--out {path} is the data file itself: write to another file")
    return replacing(path)
