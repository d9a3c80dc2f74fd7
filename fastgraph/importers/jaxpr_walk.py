"""JAX's equations, one after the other: calls inlined, loops unrolled, what is constant computed by JAX.

In: a jaxpr, its constants, expressions for its arguments. Out: expressions or numbers for its outputs. What cannot be
recorded is ``Missing``, with the reason, which is an error only where an output needs it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastgraph.array_functions import wrapped
from fastgraph.errors import FastgraphError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray, nodes_of
from fastgraph.functions import FUNCTIONS
from fastgraph.importers.jaxpr_rules import BEAR_MISSING, RULES, Refusal, kind_of
from fastgraph.importers.naming import shortened

MAX_STEPS = 100_000  # of all loops together
_BY_JAX = ("jit", "pjit", "cond", "scan", "while")  # what JAX computes as a whole where it is constant


@dataclass(frozen=True)
class Missing:
    """In place of a value that cannot be recorded."""

    why: str


def is_traced(value):
    """Whether a value is of expressions; else it is of numbers, or Missing."""
    return isinstance(value, Expr | ExprArray)


class Walk:
    """Records jaxprs into a graph.

    Parameters
    ----------
    jax : module
    graph : Graph
    """

    def __init__(self, jax, graph):
        self.jax, self.graph = jax, graph
        self._steps = 0
        self._within = []  # the calls and loops that the equation is in: labels and equations
        self._not_users = str(Path(jax.__file__).parent), str(Path(__file__).parent)
        self._calls = {
            "cond": self._cond, "scan": self._scan, "while": self._while,
            **dict.fromkeys(
                ("jit", "pjit", "closed_call", "core_call", "composite", "remat", "remat2", "checkpoint",
                 "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), self._call,
            ),
        }  # fmt: skip

    def run(self, jaxpr, consts, arguments):
        """The outputs of a jaxpr, expressions, numbers or Missing."""
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
        for equation in jaxpr.eqns:
            found = self._equation(equation, [_read(values, v) for v in equation.invars])
            values.update(zip(equation.outvars, found, strict=True))
        return [_read(values, v) for v in jaxpr.outvars]

    def output(self, value):
        """A value as an output: expressions, or real numbers."""
        return value if is_traced(value) else np.asarray(value, np.float64)

    # -- for rules ----------------------------------------------------------------------------------------------
    def nodes(self, value):
        """The nodes of a value, int64 of its shape."""
        return np.asarray(nodes_of(self.graph, self.output(value)))

    def of_nodes(self, nodes):
        """Expressions of nodes."""
        return wrapped(self.graph, nodes)

    def constant(self, value):
        """The node of a number."""
        return self.graph.constant_node(value)

    # -- equations ------------------------------------------------------------------------------------------------
    def _equation(self, equation, values):
        """The values of the outputs of an equation."""
        name, count = equation.primitive.name, len(equation.outvars)
        try:
            missing = [v for v in values if isinstance(v, Missing)]
            is_constant = not any(map(is_traced, values)) and not missing
            if name in self._calls and not (is_constant and name in _BY_JAX):
                return self._calls[name](equation, values)
            if is_constant:
                found = equation.primitive.bind(*values, **equation.params)
                return list(found) if equation.primitive.multiple_results else [found]
            if missing and name not in BEAR_MISSING:
                return missing[:1] * count
            rule = RULES.get(name)
            if rule is None:
                raise Refusal("it is not among those that can be recorded, see help(fg.from_jaxpr)")
            if any(kind_of(v) == "c" for v in [*equation.invars, *equation.outvars]):
                raise Refusal("expressions are real numbers, not complex ones")
            found = rule(self, equation, *values)
            return found if isinstance(found, list) else [found]
        except FastgraphError as error:
            return [Missing(self._placed(equation, error))] * count

    def _placed(self, equation, error):
        """What cannot be recorded, why, and where it stands."""
        lines = [f"{equation.primitive.name} cannot be recorded: {error}", shortened(str(equation))]
        lines += [f"in {label}" for label, _ in reversed(self._within)]
        around = [equation, *(outer for _, outer in reversed(self._within))]
        return "\n    ".join(lines + list(filter(None, map(self._line, around)))[:1])

    def _line(self, equation):
        """Where the user's code made an equation; nothing where JAX does not say."""
        frames = getattr(getattr(getattr(equation, "source_info", None), "traceback", None), "frames", ())
        for frame in frames:
            if not frame.file_name.startswith(self._not_users):
                return f"{frame.file_name}, line {frame.line_num}, in {frame.function_name}"
        return ""

    # -- calls and loops ------------------------------------------------------------------------------------------
    def _inside(self, equation, label, closed, arguments):
        """The outputs of a jaxpr that an equation has."""
        self._within.append((label, equation))
        try:
            return self.run(getattr(closed, "jaxpr", closed), getattr(closed, "consts", ()), arguments)
        finally:
            self._within.pop()

    def _call(self, equation, values):
        closed = next(equation.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in equation.params)
        name = equation.params.get("name", "")
        return self._inside(equation, f"{equation.primitive.name} {name}".strip(), closed, values)

    def _cond(self, equation, values):
        """The branch that is taken, or a choice among the values of all."""
        index, *values = values
        branches = equation.params["branches"]
        if isinstance(index, Missing):
            return [index] * len(equation.outvars)
        if not is_traced(index):
            return self._inside(equation, "cond", branches[int(np.clip(index, 0, len(branches) - 1))], values)
        every = [self._inside(equation, f"branch {k} of cond", branch, values) for k, branch in enumerate(branches)]
        chosen = []
        for options in zip(*every, strict=True):
            result = options[-1]
            for k in reversed(range(len(options) - 1)):
                result = self._either(index <= float(k), options[k], result)
            chosen.append(result)
        return chosen

    def _either(self, condition, x, y):
        missing = [v for v in (x, y) if isinstance(v, Missing)]
        return missing[0] if missing else FUNCTIONS["where"](condition, self.output(x), self.output(y))

    def _count(self, steps):
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise Refusal(f"loops are unrolled, {MAX_STEPS:,} steps in all at most")

    def _scan(self, equation, values):
        params = equation.params
        n_consts, n_carry, length = params["num_consts"], params["num_carry"], params["length"]
        consts, carry, xs = values[:n_consts], values[n_consts : n_consts + n_carry], values[n_consts + n_carry :]
        self._count(length)
        rows = []
        for k in reversed(range(length)) if params["reverse"] else range(length):
            found = self._inside(equation, "scan", params["jaxpr"], [*consts, *carry, *(_element(x, k) for x in xs)])
            carry = found[:n_carry]
            rows.append(found[n_carry:])
        if params["reverse"]:
            rows.reverse()
        variables = equation.outvars[n_carry:]
        return [*carry, *(self._stacked([row[j] for row in rows], v) for j, v in enumerate(variables))]

    def _stacked(self, parts, variable):
        missing = [part for part in parts if isinstance(part, Missing)]
        if missing:
            return missing[0]
        if not any(map(is_traced, parts)):
            return np.array(parts, variable.aval.dtype).reshape(variable.aval.shape)
        return self.of_nodes(np.stack([self.nodes(part) for part in parts]))

    def _while(self, equation, values):
        params = equation.params
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        of_cond, of_body, carry = values[:n_cond], values[n_cond : n_cond + n_body], values[n_cond + n_body :]
        while True:
            self._count(1)
            (goes_on,) = self._inside(equation, "the condition of while", params["cond_jaxpr"], [*of_cond, *carry])
            if isinstance(goes_on, Missing):
                return [goes_on] * len(carry)
            if is_traced(goes_on):
                raise Refusal("how often it runs depends on values: scan has a fixed number of steps")
            if not goes_on:
                return carry
            carry = self._inside(equation, "while", params["body_jaxpr"], [*of_body, *carry])


def _read(values, variable):
    return variable.val if hasattr(variable, "val") else values[variable]


def _element(value, k):
    return value if isinstance(value, Missing) else value[k]
