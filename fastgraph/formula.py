"""Formula: text such as ``(a + b) * (b - c)`` as expressions of a graph, without running any of it as Python.

In: untrusted text. Out: steps in postfix order, then what they record in a graph. The syntax is that of Python's
arithmetic, read by a parser of its own, which keeps its stack in a list: Python's ``ast.parse`` refuses a sum of
3,000 terms (RecursionError), and this one has to read what programs write, too.
"""

import difflib
import inspect
import math
import operator
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from fastgraph.errors import ExprError, FormulaError
from fastgraph.expr import FUNCTIONS, Expr
from fastgraph.functions import clip, relu
from fastgraph.ops import OPS, TABLE

MAX_CHARACTERS = 1_000_000
CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

_OWN = {op.name: FUNCTIONS[op.name] for op in TABLE if not op.names}
_NUMPYS = {op.ufunc: FUNCTIONS[op.name] for op in TABLE if op.ufunc and not op.names} | {"round": FUNCTIONS["rint"]}
_CALLS = {**_OWN, **_NUMPYS, "clip": clip, "relu": relu}
_ARITIES = {name: len(inspect.signature(function).parameters) for name, function in _CALLS.items()}

# Precedences are Python's; a comparison does not chain, ** groups from the right, and the rest from the left.
_TERNARY, _COMPARISON, _PREFIX, _POWER = 1, 2, 7, 8
_BINARY = {
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), _COMPARISON),
    "|": 3, "&": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "**": _POWER,
}  # fmt: skip
_ACTIONS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "|": operator.or_, "&": operator.and_, "+": operator.add, "-": operator.sub, "*": operator.mul,
    "/": operator.truediv, "%": operator.mod, "**": operator.pow,
}  # fmt: skip
_PREFIX_ACTIONS = {"-": operator.neg, "+": operator.pos, "~": operator.invert}
_WORDS = {"if", "else", "and", "or", "not"}

_DIGITS = "[0-9](?:_?[0-9])*"
TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+)
    | (?P<number>(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)
    | (?P<name>[^\W\d]\w*)
    | (?P<symbol>\*\*|//|<=|>=|==|!=|<<|>>|&&|\|\||:=|.)""",
    re.VERBOSE | re.DOTALL,
)

_INSTEAD = {  # what people write, and what to write
    "//": "write floor(a / b)",
    "^": "write ** for a power, logical_xor(a, b) for the exclusive or",
    "=": "write == to compare; arguments of a call have no names",
    "!": "write ~ for not, != for not equal",
    "~": "it comes before one value, not between two",
    "&&": "write &, with each comparison in parentheses",
    "||": "write |, with each comparison in parentheses",
    "and": "write &, with each comparison in parentheses",
    "or": "write |, with each comparison in parentheses",
    "not": "write ~, with the comparison in parentheses",
    ".": "a formula has no attributes; begin a decimal with a digit",
    "'": "a formula has no strings",
    '"': "a formula has no strings",
    "[": "a formula has no subscripts and no lists: each name is one number",
    "\N{MINUS SIGN}": "write -",
    "\N{EN DASH}": "write -",
    "\N{MULTIPLICATION SIGN}": "write *",
    "\N{MIDDLE DOT}": "write *",
    "\N{DIVISION SIGN}": "write /",
    "\N{LESS-THAN OR EQUAL TO}": "write <=",
    "\N{GREATER-THAN OR EQUAL TO}": "write >=",
    "\N{NOT EQUAL TO}": "write !=",
}
_SPELLINGS = {
    "max": "maximum", "min": "minimum", "ln": "log", "int": "trunc", "fabs": "abs", "norm_cdf": "ndtr",
    "psi": "digamma", "gammaln": "lgamma", "expit": "sigmoid", "iif": "where", "IF": "where", "True": "1", "False": "0",
}  # fmt: skip


class Step(NamedTuple):
    """One step in postfix order: takes ``arity`` operands off the stack, or is an operand itself."""

    at: int
    what: float | str  # a number, a variable's name, an operator or a function
    arity: int = 0
    action: Callable | None = None


class Formula:
    """A formula, read once; :meth:`record` puts it into a graph.

    Numbers, names, ``+ - * / % **``, one comparison at a time, ``& | ~``, ``x if condition else y``, parentheses,
    and calls of fastgraph's functions by their names or NumPy's mean what they mean in Python. Every number is a
    float64, so ``9**9**9**9`` is ``inf``. Line breaks count as blanks.

    Parameters
    ----------
    text : str
        At most ``MAX_CHARACTERS`` characters, nested as deeply as they allow.

    Attributes
    ----------
    text : str
    names : tuple of str
        The names it uses, the functions it calls left out, in order of first appearance.

    Raises
    ------
    FormulaError
        With line and column, and what to write instead.

    Examples
    --------
    >>> import fastgraph as fg
    >>> formula = Formula("(a + b) * (b - c)")
    >>> formula.names
    ('a', 'b', 'c')
    >>> graph = fg.Graph()
    >>> a, b, c = graph.inputs(*formula.names)
    >>> graph.output(formula.record(graph, {"a": a, "b": b, "c": c}))
    >>> float(graph.compile()(2.0, 3.0, 1.0))
    10.0
    """

    def __init__(self, text):
        if not isinstance(text, str):
            raise FormulaError(f"a formula is a string, not {type(text).__name__}")
        if len(text) > MAX_CHARACTERS:
            raise FormulaError(f"the formula has {len(text):,} characters, more than {MAX_CHARACTERS:,}: split it up")
        self.text = text
        self._steps = Parser(text).parse()
        self.names = tuple(dict.fromkeys(step.what for step in self._steps if is_variable(step)))

    def check(self, names):
        """Raise a FormulaError unless every name it uses is among ``names`` or a constant."""
        for step in self._steps:
            if is_variable(step) and step.what not in names and step.what not in CONSTANTS:
                raise error_at(self.text, step.at, unknown(step.what, "name", [*names, *CONSTANTS]))

    def record(self, graph, variables):
        """Record the formula in ``graph``.

        Parameters
        ----------
        graph : Graph
        variables : mapping of str to Expr
            What names stand for. Comes before the constants ``pi``, ``e``, ``inf`` and ``nan``.

        Returns
        -------
        Expr

        Raises
        ------
        FormulaError
            If a name is not among the variables, or an integer argument of a function is out of range.
        """
        self.check(variables)
        return as_expr(graph, recorded(self.text, self._steps, graph, variables))

    def __repr__(self):
        return f"Formula({_shown(self.text)})"


class Parser:
    """Operator precedence by two lists: steps done, and operators and openings that wait for their right side."""

    def __init__(self, text):
        self.text = text
        self.steps = []
        self.pending = []  # [precedence, at, token, count of arguments]; precedence 0 opens something
        self.opened = 0  # of those, how many open something
        self._after, self._before = self._operand, None  # what reads the next token, and the kind of the last one

    def parse(self):
        """The steps of the whole text."""
        for match in TOKEN.finditer(self.text):
            if match.lastgroup != "space":
                self.feed(match.start(), match.lastgroup, match.group())
        return self.finish(len(self.text))

    def feed(self, at, kind, token):
        """Read one token."""
        if kind == "name" and not token.isidentifier():
            raise self._error(at, f"{_shown(token)} is not a name{_foreign(token)}")
        if kind == "name" and token in _WORDS:
            kind = "symbol"
        self._after = self._after(at, kind, token, self._before)
        self._before = kind

    @property
    def may_end(self):
        """Whether what was read so far is a formula."""
        return not self.opened and self._after == self._operator

    def finish(self, end):
        """The steps of what was read, which ends at ``end``."""
        if self._after == self._operand:
            raise self._error(end, "the formula ends where a value is expected" if self.text.strip() else "it is empty")
        self._finish()
        if self.pending:
            _, at, token, _ = self.pending[-1]
            raise self._error(at, f"{token!r} is never closed" if token == "(" else "this call is never closed")
        return self.steps

    def _open(self, at, token, count):
        self.pending.append([0, at, token, count])
        self.opened += 1

    def _operand(self, at, kind, token, _):
        """Where a value is expected. Returns what reads the next token."""
        if kind == "number":
            value = float(token)
            if math.isinf(value):
                raise self._error(at, f"the number {_shown(token)} does not fit a float64: write inf if you mean it")
            self.steps.append(Step(at, value))
        elif kind == "name":
            self.steps.append(Step(at, token))
        elif token == "(":
            self._open(at, token, 0)
            return self._operand
        elif token in _PREFIX_ACTIONS:
            self.pending.append([_PREFIX, at, token, 1])
            return self._operand
        else:
            raise self._error(at, self._refusal(token) or f"a value is expected before {token!r}")
        return self._operator

    def _operator(self, at, kind, token, before):
        """Where an operator, or the end of something, is expected. Returns what reads the next token."""
        if token == "(" and before == "name":
            self._open_call()
        elif token in _BINARY:
            precedence = _BINARY[token]
            self._reduce(precedence + (precedence in (_POWER, _COMPARISON)))
            if precedence == _COMPARISON and self.pending and self.pending[-1][0] == _COMPARISON:
                raise self._error(
                    at,
                    "comparisons do not chain: write (a < b) & (b < c), each in parentheses because & binds tighter; "
                    "where(condition, x, y), which is fg.where, chooses by one",
                )
            self.pending.append([precedence, at, token, 2])
        elif token in ("if", "else"):
            self._choose(at, token)
        elif token == ",":
            self._next_argument(at)
        elif token == ")":
            self._close(at)
            return self._operator
        elif kind == "symbol" and token != "(":
            raise self._error(at, self._refusal(token) or f"{token!r} is not an operator")
        else:
            raise self._error(at, f"an operator, such as *, is expected before {_shown(token)}")
        return self._operand

    def _open_call(self):
        name = self.steps.pop()
        if name.what not in _CALLS:
            raise self._error(name.at, unknown(name.what, "function", _CALLS))
        self._open(name.at, name.what, 1)

    def _next_argument(self, at):
        self._finish()
        if not self.pending or self.pending[-1][2] == "(":
            raise self._error(at, "',' separates the arguments of a call: write . for the decimal point")
        self.pending[-1][3] += 1

    def _choose(self, at, token):
        if token == "if":
            self._reduce(_COMPARISON)
            if self.pending and self.pending[-1][2] == "if":
                raise self._error(at, "put the condition in parentheses if it is itself a choice")
            self._open(at, "if", 0)
            return
        self._reduce(_TERNARY)
        if not self.pending or self.pending[-1][2] != "if":
            raise self._error(at, "'else' without 'if': write x if condition else y")
        self.pending[-1] = [_TERNARY, self.pending[-1][1], "else", 3]
        self.opened -= 1

    def _close(self, at):
        self._finish()
        if not self.pending:
            raise self._error(at, "')' closes nothing")
        _, start, name, count = self.pending.pop()
        self.opened -= 1
        if name == "(":
            return
        if count != _ARITIES[name]:
            raise self._error(
                start, f"write {_signature(name)}: it takes {_ARITIES[name]}, not {count}, between commas"
            )
        self.steps.append(Step(start, name, count, _CALLS[name]))

    def _finish(self):
        """Emit all that waits since the last opening."""
        self._reduce(_TERNARY)
        if self.pending and self.pending[-1][2] == "if":
            raise self._error(self.pending[-1][1], "'if' without 'else': write x if condition else y")

    def _reduce(self, precedence):
        """Emit the waiting operators that bind at least as tightly as ``precedence``."""
        while self.pending and self.pending[-1][0] >= precedence:
            _, at, token, arity = self.pending.pop()
            action = _choice if token == "else" else _PREFIX_ACTIONS[token] if arity == 1 else _ACTIONS[token]
            self.steps.append(Step(at, token, arity, action))

    def _refusal(self, token):
        if token in _INSTEAD:
            return f"{token!r} cannot stand here: {_INSTEAD[token]}"
        if len(token) == 1 and token not in _BINARY and token not in "(),":
            return f"{token!r} has no meaning in a formula{_foreign(token)}"
        return None

    def _error(self, at, message):
        return error_at(self.text, at, message)


def _choice(x, condition, y):
    return FUNCTIONS["where"](condition, x, y)


def _signature(name):
    return f"{name}({', '.join(inspect.signature(_CALLS[name]).parameters)})"


def is_variable(step):
    """Whether a step is a name that stands for a value."""
    return not step.arity and isinstance(step.what, str)


def is_function(name):
    """Whether formulas can call ``name``."""
    return name in _CALLS


def as_expr(graph, value):
    """A value that :func:`recorded` gives, as an expression."""
    return value if isinstance(value, Expr) else graph.constant(value)


def recorded(text, steps, graph, variables):
    """Record steps of ``text`` in ``graph``, names standing for ``variables`` or constants: an Expr, or a number."""
    stack = []
    for step in steps:
        if step.arity:
            operands = stack[-step.arity :]
            del stack[-step.arity :]
            stack.append(_applied(text, graph, step, operands))
        elif is_variable(step):
            stack.append(variables[step.what] if step.what in variables else CONSTANTS[step.what])
        else:
            stack.append(step.what)
    return stack.pop()


def _applied(text, graph, step, operands):
    """Record one step; numbers stay numbers only where an op wants one: exponents, integers, signs."""
    if step.what in ("-", "+") and step.arity == 1 and isinstance(operands[0], float):
        return step.action(operands[0])
    op = OPS.get(step.what)
    if op is not None and op.immediate is not None:
        n = operands[-1]
        if not isinstance(n, float) or not n.is_integer():
            raise error_at(text, step.at, f"the last argument of {op.name} must be an integer written as digits")
        operands[-1] = int(n)
    operands[0] = as_expr(graph, operands[0])
    try:
        return step.action(*operands)
    except ExprError as error:
        raise error_at(text, step.at, str(error)) from None


# -- messages -----------------------------------------------------------------------------------------------
def error_at(text, at, message):
    """A FormulaError that gives line and column and shows the place."""
    line, start = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    first, last = max(start, at - 50), min(at + 20, len(text) if end < 0 else end)
    excerpt = "".join(c if c.isprintable() else " " for c in text[first:last])
    return FormulaError(
        f"formula, line {line}, column {at - start + 1}: {message}\n    {excerpt}\n    {' ' * (at - first)}^"
    )


def unknown(name, kind, names):
    """What to say of a name that is not among ``names``."""
    message = f"unknown {kind} {_shown(name)}{_foreign(name)}"
    if kind == "name" and name in _CALLS:
        return f"{name!r} is a function: write {_signature(name)}"
    if name in _SPELLINGS:
        return f"{message}: write {_SPELLINGS[name]}"
    close = difflib.get_close_matches(name, names, 3) if len(name) <= 40 else []
    if close:
        return f"{message}: did you mean {' or '.join(close)}?"
    if kind == "name":
        return f"{message}: the names are {', '.join(names[:30])}{', …' if len(names) > 30 else ''}"
    return f"{message}: the functions are those of fastgraph.__all__ that take numbers"


def _foreign(text):
    """The first character outside ASCII by its name, since it may look like another one."""
    for c in text:
        if not c.isascii():
            return f" (it has U+{ord(c):04X} {unicodedata.name(c, 'without a name')})"
    return ""


def _shown(text):
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"
