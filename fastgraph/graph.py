"""Recorder: what a graph is made of while it is recorded, flat columns that only grow.

In: declarations and, through ``expr``, Python operators. Out: rows of four 32-bit numbers (code, operands), read
by the passes. ``compiler.Graph`` is the recorder that can compile itself.
"""

import keyword
import math
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fastgraph import infix
from fastgraph.callee import Callee, callee_of
from fastgraph.errors import ExprError, GraphError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, nodes_of
from fastgraph.lines import TracedRows
from fastgraph.ops import MAX_ARITY, TABLE
from fastgraph.ops.row import table_at
from fastgraph.text import element_name

# Codes of the two kinds of leaves, above every opcode.
INPUT, CONSTANT = 0xFFFE, 0xFFFF
MAX_NODES = 2**32 - 1
MAX_NUMBERS = 2**24 - 1  # of a table: float32 holds their places
N_COLUMNS = MAX_ARITY + 1  # code, then operand nodes; an immediate follows the operands


@dataclass(frozen=True)
class Argument:
    """A declared argument: its name, its shape, and whether derivatives are taken with respect to it by default."""

    name: str
    shape: tuple[int, ...]
    differentiable: bool

    @property
    def size(self):
        return math.prod(self.shape)


@dataclass(frozen=True)
class Output:
    """A declared output: its name and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self):
        return math.prod(self.shape)


class Recorder:
    """Records declarations and operations; see :class:`fastgraph.Graph`."""

    def __init__(self, name=None, trace_lines=False):
        if name is not None and not isinstance(name, str):
            raise GraphError(f"Graph name must be a string or None, not {type(name).__name__}")
        if not isinstance(trace_lines, bool):
            raise GraphError(f"Graph: trace_lines must be True or False, not {trace_lines!r}")
        self.name = name
        self._rows = TracedRows() if trace_lines else array("I")
        self._constants = array("d")
        self._constant_nodes = {}
        self._arguments = {}
        self._handles = {}
        self._leaves = 0
        self._first_leaves = []  # of each argument
        self._outputs = {}
        self._output_nodes = []
        self._tables = array("d")
        self._table_starts = {}
        self._functions = {}

    # -- declaring ----------------------------------------------------------------------------------------
    def input(self, name=None, shape=()):
        """Declare a differentiable input and return it.

        Parameters
        ----------
        name : str, optional
            A Python identifier, unique among the arguments; the default is ``x0``, ``x1``, … by position.
        shape : int or tuple of int
            ``()`` gives an :class:`Expr`, any other shape an :class:`ExprArray`.

        Raises
        ------
        GraphError
            If the name is taken or no identifier, or the shape is not one.
        """
        return self._declare(name, shape, differentiable=True)

    def inputs(self, *names):
        """Declare several scalar inputs: ``a, b = graph.inputs("a", "b")``."""
        return tuple(self.input(name) for name in names)

    def parameter(self, name=None, shape=()):
        """Declare a run-time argument that derivatives leave out unless ``wrt`` names it; else as :meth:`input`."""
        return self._declare(name, shape, differentiable=False)

    def constant(self, value):
        """Record a constant, or an :class:`ExprArray` of constants for an array.

        Numbers and arrays of them in expressions become constants by themselves; this is for the rest.
        """
        values = np.asarray(value)
        if values.shape == ():
            return Expr(self, self.constant_node(value))
        return ExprArray(self, nodes_of(self, values))

    def output(self, expr, name=None):
        """Declare an output: an expression, a number, or an array of expressions and numbers.

        Raises
        ------
        GraphError
            If the name is taken or no identifier, or an expression belongs to another graph.
        """
        name = self._fresh_name(name, self._outputs, "output", f"y{len(self._outputs)}")
        try:
            nodes = np.asarray(nodes_of(self, expr))
        except (GraphError, ExprError) as error:
            raise type(error)(f"Output {name!r}: {error}") from None
        shape = nodes.shape
        if not nodes.size:
            raise GraphError(f"Output {name!r} is empty, shape {shape}: an output needs at least one expression")
        self._outputs[name] = Output(name, shape)
        self._output_nodes.extend(nodes.ravel().tolist())

    # -- what the passes read -----------------------------------------------------------------------------
    @property
    def arguments(self):
        """Declared inputs and parameters, in order."""
        return tuple(self._arguments.values())

    @property
    def outputs(self):
        """Declared outputs, in order."""
        return tuple(self._outputs.values())

    def columns(self):
        """Copies of what was recorded: rows (n, 4) uint32, constants float64, output nodes int64."""
        rows = np.array(self._rows, dtype=np.uint32).reshape(-1, N_COLUMNS)
        return rows, np.array(self._constants, dtype=np.float64), np.array(self._output_nodes, dtype=np.int64)

    @property
    def lines(self):
        """The ``Lines`` of the nodes; None if they are not traced."""
        return self._rows.lines if isinstance(self._rows, TracedRows) else None

    @property
    def tables(self):
        """The tables of numbers that ops name, as of a ``Program``."""
        return np.array(self._tables, np.float64)

    @property
    def functions(self):
        """The functions that ops call, as of a ``Program``."""
        return tuple(self._functions)

    def refers(self, first, nodes):
        """Whether a row from node ``first`` on has one of ``nodes`` among its operands, or might have."""
        rows = np.array(self._rows[N_COLUMNS * first :], np.int64).reshape(-1, N_COLUMNS)
        return bool(np.isin(rows[:, 1:], nodes).any())

    def argument(self, name):
        """What :meth:`input` or :meth:`parameter` returned for ``name``.

        Raises
        ------
        GraphError
            If nothing was declared under this name.
        """
        if name not in self._handles:
            raise GraphError(f"{self!r} has no argument {name!r}; it has {', '.join(self._handles) or 'none'}")
        return self._handles[name]

    def name_of(self, handle):
        """The name of the argument that ``handle`` is, or None: an Expr or array as it was declared."""
        return next((name for name, declared in self._handles.items() if declared is handle), None)

    def append(self, rows, constants):
        """Append rows that passes have made, uint32 (k, 4), and their constants; operands are nodes of this graph."""
        self.need_room(len(rows))
        self._rows.frombytes(np.ascontiguousarray(rows, np.uint32).tobytes())
        self._constants.extend(constants)

    def add_tables(self, tables):
        """Have the tables of a program, too: where each begins here, by where it began there, int64 (len(tables),)."""
        starts, at = np.full(len(tables), -1, np.int64), 0
        while at < len(tables):
            numbers = table_at(tables, at)
            starts[at] = self.table(numbers)
            at += 1 + len(numbers)
        return starts

    def function_number(self, function):
        """The number of a function that ops call: a ``Callee``, or what it is made of."""
        if not isinstance(function, Callee):
            function = callee_of(function)
        return self._functions.setdefault(function, len(self._functions))

    def table(self, numbers):
        """Where the table of these numbers begins, float64 (k,); equal bits share one.

        Raises
        ------
        GraphError
            If there is no number, or no room for so many.
        """
        numbers = np.ascontiguousarray(numbers, np.float64)
        start = self._table_starts.get(key := numbers.tobytes())
        if start is None:
            start = len(self._tables)
            if not 1 <= len(numbers) <= MAX_NUMBERS or start + len(numbers) > 2**31 - 2:
                raise GraphError(
                    f"{self!r} cannot have a table of {len(numbers)} numbers beside {start}: one has from 1 to "
                    f"{MAX_NUMBERS}, and all together less than 2**31"
                )
            self._tables.append(len(numbers))
            self._tables.frombytes(key)
            self._table_starts[key] = start
        return start

    # -- what people read ---------------------------------------------------------------------------------
    def look(self, node):
        """What a node is: the name of a leaf or the number of a constant as a ``Part``, or an ``Operation``."""
        code, *fields = self._rows[N_COLUMNS * node : N_COLUMNS * (node + 1)]
        if code == INPUT:
            k = bisect_right(self._first_leaves, fields[0]) - 1
            argument = next(islice(self._arguments.values(), max(k, 0), None), None)
            if argument is None:  # a leaf of a recorder of rules, which declares none
                return infix.Part(f"input{fields[0]}")
            return infix.Part(element_name(argument, fields[0] - self._first_leaves[k]))
        if code == CONSTANT:
            return infix.constant(self._constants[fields[0]])
        op = TABLE[code]
        if op.immediate is None:
            return infix.Operation(op, fields[: op.arity])
        n = (fields[op.arity] ^ 2**31) - 2**31  # 32 bits of a signed number
        given = table_at(memoryview(self._tables), n) if op.names == "table" else n
        given = self.functions[n] if op.names == "function" else given
        return infix.Operation(op, fields[: op.arity], infix.immediate(op, given))

    def formula(self, node, most=40):
        """The formula of a node; where it has more than ``most`` operations, its end."""
        if node >= len(self):
            return f"node {node}"
        text = infix.whole(self.look, node, most, self._arguments)
        return text or f"{self.top(node)}, the end of a long formula"

    def top(self, node):
        """The end of the formula of a node, or all of a short one."""
        return infix.top(self.look, node, 4)

    # -- what Expr writes ---------------------------------------------------------------------------------
    def record(self, code, x, y=0, z=0):
        """Append one row; return its node."""
        rows = self._rows
        rows.extend((code, x, y, z))
        return (len(rows) >> 2) - 1

    def need_room(self, n):
        """Raise a GraphError unless ``n`` more nodes can be numbered."""
        if len(self) + n > MAX_NODES:
            raise GraphError(f"{self!r} would have {len(self) + n} nodes: at most {MAX_NODES} can be numbered")

    def record_many(self, code, operands, immediate=None):
        """Append a row for each element of the operands, arrays of nodes that broadcast; return their nodes."""
        shape = operands[0].shape
        if any(operand.shape != shape for operand in operands[1:]):
            shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        first, n = len(self), math.prod(shape)
        self.need_room(n)
        rows = np.empty((*shape, N_COLUMNS), np.uint32)
        rows[..., 0] = code
        fields = operands if immediate is None else [*operands, immediate]
        for k in range(N_COLUMNS - 1):
            rows[..., 1 + k] = fields[k] if k < len(fields) else 0
        if n:
            self._rows.frombytes(memoryview(rows).cast("B"))
        return np.arange(first, first + n).reshape(shape)

    def constant_nodes(self, values):
        """The nodes of an array of real numbers, of its shape; equal bits share one."""
        with np.errstate(over="ignore"):
            numbers = np.asarray(values, np.float64)
        distinct, inverse = np.unique(numbers.view(np.int64), return_inverse=True)
        nodes = np.array([self.constant_node(v) for v in distinct.view(np.float64).tolist()], np.int64)
        return nodes[inverse].reshape(numbers.shape)

    def constant_node(self, value):
        """The node of a constant; equal bits share one."""
        number = _real(value)
        key = number if number == number and number != 0.0 else (repr(number), math.copysign(1.0, number))
        node = self._constant_nodes.get(key)
        if node is None:
            node = self._constant_nodes[key] = self.record(CONSTANT, len(self._constants))
            self._constants.append(number)
        return node

    def node_of(self, value):
        """The node of an operand: an Expr of this graph, or a real number, which becomes a constant."""
        if isinstance(value, Expr):
            if value.graph is not self:
                raise GraphError(
                    f"{value!r} belongs to {value.graph!r}, not to {self!r}: an operation takes expressions of one "
                    "graph. Record both in the same Graph"
                )
            return value.node
        return self.constant_node(value)

    # -- checks -------------------------------------------------------------------------------------------
    def _declare(self, name, shape, differentiable):
        name = self._fresh_name(name, self._arguments, "input", f"x{len(self._arguments)}")
        shape = _shape(shape, name)
        argument = Argument(name, shape, differentiable)
        nodes = self.record_many(INPUT, [np.arange(self._leaves, self._leaves + argument.size).reshape(shape)])
        nodes.flags.writeable = False
        self._first_leaves.append(self._leaves)
        self._leaves += argument.size
        self._arguments[name] = argument
        self._handles[name] = Expr(self, int(nodes)) if shape == () else ExprArray(self, nodes)
        return self._handles[name]

    def _fresh_name(self, name, taken, kind, default):
        if name is None:
            while default in taken:
                default += "_"
            return default
        if not is_name(name):
            raise GraphError(
                f"{kind} name {name!r} must be a Python identifier such as 'x' or 'rate_1': no keyword, not beginning "
                f"with an underscore, since results are named tuples, and none of {', '.join(sorted(RESERVED))}, which "
                "calls take themselves"
            )
        if name in taken:
            raise GraphError(f"{kind} name {name!r} is already taken in {self!r}: give each {kind} its own name")
        return name

    def __len__(self):
        return len(self._rows) // N_COLUMNS

    def __repr__(self):
        name = "" if self.name is None else f" {self.name!r}"
        return f"<Graph{name}: {len(self)} nodes, {len(self._arguments)} arguments, {len(self._outputs)} outputs>"


_REAL = (int, float, np.integer, np.floating, np.bool_)


def _real(value):
    """``value`` as a float, or an ExprError that says why not."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if not isinstance(value, _REAL):
        raise ExprError(
            f"an expression cannot hold {value!r} of type {type(value).__name__}: expected an Expr or a real number"
        )
    try:
        return float(value)
    except OverflowError:
        raise ExprError(f"the integer constant {str(value)[:20]}… does not fit a float64") from None


# Keywords of calls, today's and those the design has a use for: an argument of that name could not be passed by name.
RESERVED = frozenset(("axis", "out", "progress", "reduce", "threads", "wrt"))


def is_name(name):
    """Whether ``name`` can name an argument or output: a keyword of a call, and the field of a named tuple."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        return False
    return not name.startswith("_") and name not in RESERVED


def _shape(shape, name):
    axes = (shape,) if isinstance(shape, int | np.integer) else shape
    try:
        axes = tuple(int(n) for n in axes if int(n) == n and not isinstance(n, str))
        valid = len(axes) == len(tuple(shape if not isinstance(shape, int | np.integer) else (shape,)))
    except (TypeError, ValueError):
        valid = False
    if not valid or any(n < 1 for n in axes):
        raise GraphError(f"input {name!r}: shape must be a tuple of positive integers, not {shape!r}")
    return axes
