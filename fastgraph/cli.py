"""The command line: formulas over CSV files, pictures, profiles and comparisons of them, and a demo of the machine.

In: arguments. Out: an exit status: 0, 1 (nobody reads the output), 2 (bad arguments or data), 130 (Ctrl-C). What the
subcommands need is imported when they run.
"""

import argparse
import os
import re
import sys
from contextlib import contextmanager, nullcontext
from time import perf_counter

from fastgraph.errors import FastgraphError, FormulaError

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
Function.to_bytes() gives, which is verified as it is read; pickles, which run code as they are read, are not taken.
"""
_BENCH = """
Time formulas, their values and gradients, for one set and for many, beside NumPy and those of numexpr, JAX, CasADi and
heyoka that are installed. Each library is held against the reference interpreter before it is timed.
"""
_AT = "numbers, such as a=1,b=2.5; those of an array one by one: x[0]=1,x[1]=2"


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
    show.add_argument(
        "target",
        metavar="TARGET",
        help="a formula as of eval, or the path of a file that Function.to_bytes wrote; a formula that happens to be "
        "the name of a file goes in parentheses",
    )
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
    show.add_argument(
        "--unpickle",
        action="store_true",
        help="TARGET is a pickle. Unpickling runs the code that is in it: only for files that you trust",
    )
    show.set_defaults(run=_show)

    profile = commands.add_parser("profile", help="where the time of a formula goes, by op", description=_PROFILE)
    profile.add_argument("formula", metavar="FORMULA", nargs="?", help="as of eval")
    profile.add_argument("--function", metavar="FILE", help="a saved function, instead of a formula")
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


def _add_inputs(parser):
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("--at", metavar="NUMBERS", help=_AT)
    inputs.add_argument("--data", metavar="FILE", help="a CSV file of input sets; - is standard input")


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
    from fastgraph.tables import TableReader, TableWriter

    started = perf_counter()
    formula = Formula(options.formula)
    with _source(options.data) as (stream, source):
        reader = TableReader(stream, source)
        try:
            formula.check(reader.header)
        except FormulaError as error:
            columns = ", ".join(map(repr, reader.header[:50]))
            raise FormulaError(f"{error}\nthe columns of {source} are {columns}") from None
        names = [column for column in reader.header if column in formula.names]
        sweep = _compile(formula, names, options)
        results = [options.name, *(f"d{options.name}/d{name}" for name in names if options.grad)]
        kept = [] if options.results_only else reader.header
        for name in results:
            if name in kept:
                raise DataError(f"{source} has a column {name!r} already: name the result with --name, or leave the "
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


@contextmanager
def _source(path):
    if path == "-":
        yield sys.stdin.buffer, "standard input"
        return
    with open(path, "rb") as stream:
        yield stream, path


def _destination(path, data):
    from fastgraph.errors import DataError
    from fastgraph.tables import replacing

    if path is None:
        return nullcontext(sys.stdout.buffer)
    if data != "-" and os.path.exists(path) and os.path.samefile(path, data):
        raise DataError(f"--out {path} is the data file itself: write to another file")
    return replacing(path)


# -- profile, bench -----------------------------------------------------------------------------------------
def _profile(options):
    import numpy as np

    from fastgraph.compiler import function_of
    from fastgraph.errors import ArgumentError
    from fastgraph.formula import Formula
    from fastgraph.function import Function
    from fastgraph.nonfinite import leaf_names

    if (options.formula is None) == (options.function is None):
        raise ArgumentError("give a formula, or --function FILE, and not both")
    draw = _drawing(options.plot)
    if options.function is None:
        formula = Formula(options.formula)
        numbers = _inputs(options, formula.names, formula)
        names = [name for name in formula.names if name in numbers]
        function, args = function_of(formula, names, apart=True), [numbers[name] for name in names]
        if len(function.arguments) < len(args):
            args = [np.array(args).T]
    else:
        with open(options.function, "rb") as stream:
            function = Function.from_bytes(stream.read())
        numbers = _inputs(options, leaf_names(function.arguments))
        columns, args = list(numbers.values()), []
        for argument in function.arguments:
            part = np.array(columns[: argument.size])
            args.append(part.T.reshape(part.shape[1:] + argument.shape))
            del columns[: argument.size]
    found = function.profile(*args, gradient=options.grad, seconds=options.seconds)
    print(found)
    draw(found.plot)


def _bench(options):
    import json

    import numpy as np

    from fastgraph.comparing import WORKLOADS, Workload, compare
    from fastgraph.errors import ArgumentError
    from fastgraph.formula import Formula
    from fastgraph.tables import replacing

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
        formula = Formula(options.formula)
        has_inputs = options.at is not None or options.data is not None
        centre = _inputs(options, formula.names, formula) if has_inputs else dict.fromkeys(_variables(formula), 1.0)
        data = np.array(list(centre.values())) if options.data is not None else None
        works.append(Workload("formula", options.formula, centre, data=data))
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


def _variables(formula):
    """Names of a formula that are no constants."""
    from fastgraph.formula import CONSTANTS

    return [name for name in formula.names if name not in CONSTANTS]


def _inputs(options, names, formula=None):
    """The numbers of ``--at``, or the columns of ``--data``, by name; with a formula, those of the names it uses."""
    import numpy as np

    from fastgraph.errors import DataError
    from fastgraph.tables import TableReader

    if options.at is None and options.data is None:
        if formula is not None and not _variables(formula) or not names:
            return {}
        raise DataError(f"give numbers for {', '.join(names)}: --at {names[0]}=1,... or --data FILE")
    wanted = {name.replace(" ", ""): name for name in names}
    if options.at is not None:
        given, source = _numbers(options.at), "--at"
        for name in given:
            if name not in wanted:
                raise DataError(f"--at: there is no {name!r}; there are {', '.join(names)}")
        _check_names(formula, names, wanted, given, source)
        return {name: given[key] for key, name in wanted.items() if key in given}
    with _source(options.data) as (stream, source):
        reader = TableReader(stream, source)
        columns = {column.replace(" ", ""): column for column in reader.header}
        _check_names(formula, names, wanted, columns, source)
        used = [key for key in wanted if key in columns]
        parts = [x for _, x in reader.chunks([columns[key] for key in used])]
    if not parts:
        raise DataError(f"{source} has no rows")
    return {wanted[key]: row for key, row in zip(used, np.concatenate(parts, axis=1), strict=True)}


def _check_names(formula, names, wanted, given, source):
    """Raise unless what is given has every name that is wanted; what a formula lacks may be one of its constants."""
    from fastgraph.errors import DataError

    if formula is not None:
        try:
            formula.check([name for key, name in wanted.items() if key in given])
        except FormulaError as error:
            raise FormulaError(f"{error}\n{source} has {', '.join(map(repr, list(given)[:50]))}") from None
    missing = [] if formula is not None else [name for key, name in wanted.items() if key not in given]
    if missing:
        raise DataError(f"{source} has no {missing[0]}: the function takes {', '.join(names)}")


_NUMBER = re.compile(r"\s*([^\W\d]\w*(?:\[[\d,\s]*\])?)\s*=\s*([^,=\s]+)\s*(,|$)")


def _numbers(text):
    """``a=1,x[0]=2`` as a dict; names without blanks."""
    from fastgraph.errors import DataError

    found, at = {}, 0
    while at < len(text) or not found:
        match = _NUMBER.match(text, at)
        try:
            name, value = match[1].replace(" ", ""), float(match[2])
        except (TypeError, ValueError):
            raise DataError(f"--at {text}: from character {at + 1} on it is not of the form a=1,b=2") from None
        if name in found:
            raise DataError(f"--at {text}: {name} stands twice")
        found[name] = value
        at = match.end()
    return found


def _drawing(path):
    """What writes a plot to ``path``, given what draws it; errors that can be said before are."""
    from fastgraph.errors import DataError
    from fastgraph.extras import need
    from fastgraph.tables import replacing

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
