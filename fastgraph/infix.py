"""Infix: operations as people write them, ``(a + b) * sin(c)``, in the syntax that ``formula`` reads.

In: nodes, by a function that looks one up. Out: text. Bounded by a number of operations, and without recursion, so
that a graph of any size and depth shows something short at once.
"""

from collections import Counter, deque
from typing import NamedTuple

from fastgraph.ops import OPS
from fastgraph.text import number

MAX_CHARACTERS = 300
CUT = "..."

# By the stem of the operator's method: its sign and its precedence, Python's.
_PREFIX, _POWER, ATOM = 7, 8, 9
_BINARY = {
    "or": ("|", 3), "and": ("&", 4), "add": ("+", 5), "sub": ("-", 5), "mul": ("*", 6), "truediv": ("/", 6),
    "mod": ("%", 6), "pow": ("**", _POWER), **{
        stem: (sign, 2)
        for stem, sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!="))
    },
}  # fmt: skip
_UNARY = {"neg": "-", "invert": "~"}


class Part(NamedTuple):
    """Text, and how tightly what holds it together binds."""

    text: str
    precedence: int = ATOM

    def at(self, precedence):
        """The text, in parentheses if it binds less tightly."""
        return self.text if self.precedence >= precedence else f"({self.text})"


class Operation(NamedTuple):
    """What a node computes: the op, its operands' nodes, and the text of its immediate, if it has one."""

    op: object
    operands: list
    extra: Part | None = None


def constant(value, digits=None):
    """A number as a part."""
    text = number(value, digits)
    return Part(text, _PREFIX if text.startswith("-") else ATOM)


def immediate(op, given):
    """The text of an immediate: of an integer, a table of numbers, or a function of the user."""
    if op.names == "function":
        return Part(given.name)
    if op.names != "table":
        return constant(int(given))
    numbers = [number(v) for v in (given if len(given) <= 4 else [*given[:2], given[-1]])]
    return Part(f"[{', '.join(numbers)}]" if len(given) <= 4 else f"[{', '.join(numbers[:2])}, {CUT}, {numbers[2]}]")


_ONE, _TWO = Part("1"), Part("2")
_SPELT = {  # ops that are the case of another one
    "powi": lambda x, n: (OPS["pow"], x, n),
    "square": lambda x: (OPS["pow"], x, _TWO),
    "reciprocal": lambda x: (OPS["div"], _ONE, x),
}


def spelled(op, parts, extra=None):
    """An op of operands that are spelled already."""
    if op.names == "function":
        return Part(f"{extra.text}({', '.join(part.text for part in parts)})")
    parts = [*parts] if extra is None else [*parts, extra]
    if op.name in _SPELT:
        op, *parts = _SPELT[op.name](*parts)
    if op.operator in _UNARY:
        return Part(_UNARY[op.operator] + parts[0].at(_POWER), _PREFIX)
    if op.operator not in _BINARY:
        return Part(f"{op.name}({', '.join(part.text for part in parts)})")
    sign, precedence = _BINARY[op.operator]
    # From the left, but powers group from the right, and comparisons do not chain.
    left, right = precedence + (precedence in (2, _POWER)), precedence + 1
    if precedence == _POWER:
        right = _PREFIX
    return Part(f"{parts[0].at(left)} {sign} {parts[1].at(right)}", precedence)


def whole(look, node, limit, taken=()):
    """The formula of a node; what it uses twice has a name and follows. None beyond ``limit`` operations.

    Parameters
    ----------
    look : callable
        Of a node: a :class:`Part` for a leaf or constant, else an :class:`Operation`, whose operands have lower
        numbers.
    node, limit : int
    taken : container of str
        Names of something else.
    """
    rows, stack, n_operations = {}, [node], 0
    while stack:
        at = stack.pop()
        if at in rows:
            continue
        found = rows[at] = look(at)
        if isinstance(found, Operation):
            n_operations += 1
            if n_operations > limit:
                return None
            stack.extend(found.operands)
    uses = Counter(x for row in rows.values() if isinstance(row, Operation) for x in row.operands)
    shared = [at for at in sorted(rows) if uses[at] > 1 and isinstance(rows[at], Operation)]
    names = dict(zip(shared, fresh_names(len(shared), taken), strict=True))
    parts, meanings = {}, []
    for at in sorted(rows):
        found = rows[at]
        part = spelled(found.op, [parts[x] for x in found.operands], found.extra) if _is_op(found) else found
        if at in names:
            meanings.append(f"{names[at]} = {part.text}")
            part = Part(names[at])
        parts[at] = part
    text = parts[node].text + (f" with {', '.join(meanings)}" if meanings else "")
    return text if len(text) <= MAX_CHARACTERS else None


def top(look, node, most):
    """The last ``most`` operations of the formula of a node, with dots for what they are computed from."""
    rows, queue = {}, deque([node])
    while queue and len(rows) < most:
        at = queue.popleft()
        if at not in rows and _is_op(found := look(at)):
            rows[at] = found
            queue.extend(found.operands)
    parts = {}
    for at in sorted(rows):
        operands = []
        for x in rows[at].operands:
            found = parts[x] if x in parts else look(x)
            operands.append(Part(CUT) if _is_op(found) else found)
        part = spelled(rows[at].op, operands, rows[at].extra)
        parts[at] = part if len(part.text) <= MAX_CHARACTERS else Part(CUT)
    return parts[node].text if node in parts else look(node).text


def _is_op(found):
    return isinstance(found, Operation)


def fresh_names(n, taken):
    """Names ``t1``, ``t2``, … for what has none, with another beginning if one of these is taken."""
    prefix = "t"
    while True:
        names = [f"{prefix}{k}" for k in range(1, n + 1)]
        if not any(name in taken for name in names):
            return names
        prefix += "_"
