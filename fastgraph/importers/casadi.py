"""CasADi: its SX Functions, instruction by instruction.

In: a ``casadi.Function``, read through its public instruction stream. Out: a ``Function`` of the same arguments.
"""

import numpy as np

from fastgraph.compiler import Graph
from fastgraph.errors import ArgumentError, ExprError
from fastgraph.expr import Symbols
from fastgraph.extras import need
from fastgraph.importers.naming import fit_names

M = Symbols()


def from_casadi(function, parameters=(), *, name=None, dtype=np.float64):
    """Record a CasADi Function of SX expressions, and compile it.

    Parameters
    ----------
    function : casadi.Function
        An SXFunction. Of an MXFunction pass ``function.expand()``.
    parameters : sequence of str, optional
        Names of inputs that derivatives leave out.
    name : str, optional
        As of :class:`Graph`; the default is CasADi's.
    dtype : float64 or float32
        As of :meth:`Graph.compile`.

    Returns
    -------
    Function
        Its arguments and outputs are CasADi's, in order, by the same names where these are Python identifiers. A
        1-by-1 matrix is a scalar, ``()``, a column of n rows has the shape ``(n,)``, any other matrix, a row too, that
        of the matrix. All are dense: what is structurally zero in an output is 0, and an element of an input that is
        structurally zero is not read. Empty inputs and outputs are left out. Called with expressions, it is recorded
        into their graph.

    Raises
    ------
    ArgumentError
        For what is no SXFunction, one with free variables, or a parameter that is no input.
    ExprError
        For an instruction that has no op, such as erfinv: named, with its number, as ``function.disp(True)`` shows it.
    ImportError
        If CasADi is not installed.

    Notes
    -----
    Operations and their operands are CasADi's, so values differ by the rounding of functions alone; a power with a
    constant integer exponent is the op with an integer. Derivatives are fastgraph's: a tie of fmin or fmax, where
    CasADi takes one side, splits in halves.

    Examples
    --------
    >>> import casadi
    >>> import fastgraph as fg
    >>> x, k = casadi.SX.sym("x", 2), casadi.SX.sym("k")
    >>> f = fg.from_casadi(casadi.Function("f", [x, k], [k * casadi.sumsqr(x)], ["x", "k"], ["y"]), ["k"])
    >>> f
    <Function 'f': (x[2], k) -> (y), 4 operations>
    >>> f.grad([1.0, 2.0], k=0.5)
    array([1., 2.])
    """
    casadi = need("casadi", "fg.from_casadi")
    label = _checked(casadi, function)
    names = [function.name_in(i) for i in range(function.n_in())]
    unknown = [word for word in parameters if word not in names]
    if unknown:
        raise ArgumentError(f"from_casadi: {label} has no input {unknown[0]!r}; it has {', '.join(names)}")
    graph = Graph(function.name() if name is None else name)
    inputs = []
    for word, own, i in zip(fit_names(names), names, range(len(names)), strict=True):
        sparsity = function.sparsity_in(i)
        leaves = None
        if 0 not in sparsity.shape:
            declare = graph.parameter if own in parameters else graph.input
            leaves = np.ravel(np.array(declare(word, _shape(sparsity)), object))
        inputs.append([leaves[place] for place in _places(sparsity)])
    outputs = [[None] * function.nnz_out(i) for i in range(function.n_out())]
    _record(casadi, function, graph, inputs, outputs, label)
    for i, word in enumerate(fit_names([function.name_out(i) for i in range(function.n_out())])):
        sparsity = function.sparsity_out(i)
        if 0 not in sparsity.shape:
            dense = np.zeros(sparsity.numel(), object)
            dense[_places(sparsity)] = outputs[i]
            shape = _shape(sparsity)
            graph.output(dense.reshape(shape) if shape else dense[0], word)
    return graph.compile(dtype)


def _checked(casadi, function):
    """The label of a Function that has instructions to read."""
    if not isinstance(function, casadi.Function):
        raise ArgumentError(
            f"from_casadi takes a casadi.Function, not {type(function).__name__}: "
            "casadi.Function('f', [x], [y]) makes one of expressions"
        )
    label = f"{function.class_name()} {function.name()!r}"
    if not function.is_a("SXFunction"):
        raise ArgumentError(f"from_casadi takes an SXFunction, not the {label}: pass function.expand()")
    if function.has_free():
        free = ", ".join(map(str, function.free_sx()))
        raise ArgumentError(f"from_casadi: {label} has the free variables {free}: make them inputs")
    return label


def _shape(sparsity):
    rows, columns = sparsity.shape
    return () if rows == columns == 1 else (rows,) if columns == 1 else (rows, columns)


def _places(sparsity):
    """Where the entries of a matrix, column by column, are in the dense one, row by row."""
    return np.array(sparsity.row(), np.int64) * sparsity.shape[1] + np.array(sparsity.get_col(), np.int64)


def _record(casadi, function, graph, inputs, outputs, label):
    """Record all instructions; put what they give into ``outputs``."""
    rules = {getattr(casadi, f"OP_{name}"): rule for name, rule in RULES.items() if hasattr(casadi, f"OP_{name}")}
    enter, leave, constant = casadi.OP_INPUT, casadi.OP_OUTPUT, casadi.OP_CONST
    powers = casadi.OP_POW, casadi.OP_CONSTPOW
    work, numbers = [None] * function.sz_w(), {}
    for k in range(function.n_instructions()):
        code = function.instruction_id(k)
        arguments, results = function.instruction_input(k), function.instruction_output(k)
        if code == leave:
            outputs[results[0]][results[1]] = work[arguments[0]]
            continue
        if code == enter:
            value = inputs[arguments[0]][arguments[1]]
        elif code == constant:
            number = function.instruction_constant(k)
            value = graph.constant(number)
            numbers[value.node] = number
        elif code in rules:
            operands = [work[i] for i in arguments]
            if code in powers:
                operands[1] = numbers.get(operands[1].node, operands[1])  # an integer is an immediate
            value = rules[code](*operands)
        else:
            what, of = _named(casadi, code), ", ".join(f"@{i}" for i in arguments)
            place = (
                f"instruction {k} of {label}, {'@' if results else ''}{', @'.join(map(str, results))} = {what}({of})"
            )
            raise ExprError(f"from_casadi: {what} has no op: {place}")
        work[results[0]] = value


def _named(casadi, code):
    """CasADi's name of an operation."""
    return next((n[3:].lower() for n in dir(casadi) if n.startswith("OP_") and getattr(casadi, n) == code), str(code))


def _remainder(x, y):
    """IEEE's remainder, x - n y for n the integer nearest to x / y, exactly: by fmod, as C libraries do it."""
    a, b = M.abs(x), M.abs(y)
    a = M.fmod(a, b + b)
    less = a - b
    less = M.where(less + less >= b, less - b, less)
    return M.where(x < 0.0, -1.0, 1.0) * M.where(a + a > b, less, a)


_SAME = (
    "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh",
    "atanh", "atan2", "floor", "ceil", "fmod", "sign", "copysign", "erf", "fmin", "fmax", "log1p", "expm1", "hypot",
    "lt", "le", "eq", "ne",
)  # fmt: skip
RULES = {
    **{name.upper(): getattr(M, name) for name in _SAME},
    "ADD": lambda x, y: x + y,
    "SUB": lambda x, y: x - y,
    "MUL": lambda x, y: x * y,
    "DIV": lambda x, y: x / y,
    "NEG": lambda x: -x,
    "INV": M.reciprocal,
    "SQ": M.square,
    "TWICE": lambda x: x + x,
    "POW": M.pow,
    "CONSTPOW": M.pow,
    "FABS": M.abs,
    "NOT": M.logical_not,
    "AND": M.logical_and,
    "OR": M.logical_or,
    "IF_ELSE_ZERO": lambda condition, x: M.where(condition, x, 0.0),
    "REMAINDER": _remainder,
}
