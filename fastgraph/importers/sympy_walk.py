"""SymPy's expressions, one after the other: operands before what is made of them, each subexpression once.

In: SymPy expressions, and the expressions of a graph that symbols stand for. Out: expressions of the graph. What waits
is a list, so depth is no limit. ``sympy_heads`` has the heads; those whose arguments need a closer look are here.
"""

import math

from fastgraph.errors import ExprError, FastgraphError
from fastgraph.expr import NUMBERS
from fastgraph.importers.naming import shortened
from fastgraph.importers.sharing import Plan
from fastgraph.importers.sympy_heads import ADVICE, HEADS
from fastgraph.ops.rules import HIGHEST_POLYGAMMA

MAX_TERMS = 1_000_000  # of all sums and products together
_SHOWN = 40  # nodes of an expression that a message prints
_EXACT = 2**53  # integers below are float64
_LIMIT = 2**31  # of an integer exponent


def is_symbol(sympy, item):
    """Whether ``item`` may be an argument: a symbol, q(t), a derivative of one, x[0], an element of a MatrixSymbol."""
    kinds = sympy.Symbol, sympy.Derivative, sympy.Indexed, sympy.matrices.expressions.matexpr.MatrixElement
    return isinstance(item, (*kinds, sympy.core.function.AppliedUndef))


class Walk:
    """Records expressions.

    Parameters
    ----------
    sympy : module
    graph : Graph
    places : dict of symbol to Expr
    """

    def __init__(self, sympy, graph, places):
        self._sympy, self._plan = sympy, Plan(graph)
        self._places = {symbol: self._plan.leaf(x) for symbol, x in places.items()}
        # What subexpressions became, by identity: SymPy compares and hashes by recursion. The plan joins what is equal.
        self._done = {}
        self._started = {}
        self._kept = []  # what is done, so that nothing else gets its identity
        self._symbolic = {}  # by type
        self._terms = 0
        self._splits = {
            "Add": self._of_sum, "Mul": self._of_product, "Pow": self._of_power, "polygamma": self._of_polygamma,
            "Piecewise": self._of_piecewise, "Sum": self._of_series, "Product": self._of_series,
        }  # fmt: skip

    def record(self, expressions):
        """The expressions, in the graph."""
        return self._plan.record([self._walked(e) for e in expressions])

    def _walked(self, expression):
        """What an expression is in the plan."""
        if isinstance(expression, NUMBERS):
            return self._plan.constant(float(expression))
        if not isinstance(expression, self._sympy.Basic):
            raise ExprError(
                f"from_sympy: {shortened(repr(expression))} of type {type(expression).__name__} is no SymPy "
                "expression; fg.parse reads text"
            )
        done, started, stack = self._done, self._started, [expression]
        while stack:
            top = stack[-1]
            key = id(top)
            if key not in done and key not in started:
                self._kept.append(top)
                try:
                    started[key] = self._split(top)
                except FastgraphError as error:
                    raise type(error)(f"from_sympy: {error}\n    {self._place(stack)}") from None
                waiting = [x for x in started[key][0] if id(x) not in done]
                if waiting:
                    stack.extend(reversed(waiting))
                    continue
            if key not in done:
                operands, rule = started.pop(key)
                done[key] = rule([done[id(x)] for x in operands])
            stack.pop()
        return done[id(expression)]

    def _split(self, e):
        """What comes before ``e``, and the rule that makes ``e`` of it: of a list of what operands are in the plan."""
        plan, kind = self._plan, type(e)
        head = kind.__name__
        if kind not in self._symbolic:
            self._symbolic[kind] = is_symbol(self._sympy, e)
        if self._symbolic[kind]:
            if e not in self._places:
                raise ExprError(self._unknown(e))
            return (), lambda _: self._places[e]
        if not kind.__module__.startswith("sympy."):
            raise ExprError(f"{head} is not SymPy's own: write it by SymPy's functions")
        if head in self._splits:
            return self._splits[head](e)
        if head in HEADS:
            return e.args, lambda pairs: plan.apply(head, pairs)
        if head in ("BooleanTrue", "BooleanFalse"):
            return (), lambda _: plan.constant(float(bool(e)))
        if head not in ADVICE and (e.is_Number or e.is_NumberSymbol):
            return (), lambda _: plan.constant(_number(e))
        number = self._constant(e)
        if number is not None:
            return (), lambda _: plan.constant(number)
        advice = ADVICE.get(head, "it has no op; write it by functions that have one, expression.rewrite(…)")
        raise ExprError(f"{head} cannot be recorded: {advice}")

    def _constant(self, e):
        """The value of what has no op, but no symbol either: zeta(3), a root of a polynomial; else None."""
        if not isinstance(e, self._sympy.Expr) or type(e).__name__ in ADVICE or not e.is_number:
            return None
        value = e.evalf(40)
        return float(value) if value.is_Float else None

    # -- heads that need a closer look --------------------------------------------------------------------------
    def _of_sum(self, e):
        return e.args, self._plan.sum

    def _of_product(self, e):
        """Factors above and below one fraction bar."""
        plan, above, below, divisors, is_negative = self._plan, [], [], [], False
        for factor in e.args:
            if factor.is_Rational and abs(factor.p) == 1 and factor.q < _EXACT:
                is_negative ^= factor.p < 0
                if factor.q != 1:
                    divisors.append(plan.constant(float(factor.q)))  # x / 3 is rounded once
            elif factor.is_Pow and factor.exp.is_Rational and factor.exp.is_negative:
                below.append(factor)
            else:
                above.append(factor)
        n = len(above)

        def multiply(pairs):
            number, negative = plan.product(pairs[:n])
            powers = [self._power(x, -factor.exp) for x, factor in zip(pairs[n:], below, strict=True)]
            if powers or divisors:
                under = plan.product(powers + divisors)
                number, _ = plan.apply("div", [(number, False), under]) if n else plan.apply("reciprocal", [under])
            return number, negative ^ is_negative

        return [*above, *(factor.base for factor in below)], multiply

    def _of_power(self, e):
        base, exponent = e.args
        if exponent.is_Number:
            return (base,), lambda pairs: self._power(pairs[0], exponent)
        if base.is_Integer and base == 2:
            return (exponent,), lambda pairs: self._plan.apply("exp2", pairs)
        return e.args, lambda pairs: self._plan.apply("pow", pairs)

    def _power(self, pair, exponent):
        """A power by a SymPy number."""
        plan, number = self._plan, _number(exponent)
        if number.is_integer() and abs(number) < _LIMIT:
            return pair if number == 1.0 else plan.apply("powi", [pair], int(number))
        if exponent.is_Rational and exponent.q == 2 and abs(exponent.p) == 1:
            root = plan.apply("sqrt", [pair])
            return root if exponent.p == 1 else plan.apply("reciprocal", [root])
        return plan.apply("pow", [pair, plan.constant(number)])

    def _of_polygamma(self, e):
        order, x = e.args
        if not order.is_Integer or not 0 <= order <= HIGHEST_POLYGAMMA:
            raise ExprError(f"polygamma has an op for integer orders from 0 to {HIGHEST_POLYGAMMA}, not for {order}")
        if order == 0:
            return (x,), lambda pairs: self._plan.apply("digamma", pairs)
        return (x,), lambda pairs: self._plan.apply("polygamma", pairs, int(order))

    def _of_piecewise(self, e):
        """Values and conditions in turn, then what it is elsewhere."""
        operands = []
        for value, condition in e.args:
            operands.append(value)
            if condition is self._sympy.true:
                break
            operands.append(condition)
        return operands, lambda pairs: self._plan.apply("Piecewise", pairs)

    def _of_series(self, e):
        """A Sum or Product with the terms of its last, outermost, index written out."""
        plan, head = self._plan, type(e).__name__
        *inner, (index, low, high) = e.limits
        if not (low.is_Integer and high.is_Integer):
            raise ExprError(f"{head} must have integer limits to be written out, not {low} and {high}")
        # By Karr's convention, SymPy's, a sum from a to b < a is the opposite of that from b + 1 to a - 1.
        turned = high < low
        first, last = (int(high) + 1, int(low) - 1) if turned else (int(low), int(high))
        self._terms += last - first + 1
        if self._terms > MAX_TERMS:
            raise ExprError(f"{head} has {last - first + 1:,} terms: {MAX_TERMS:,} in all can be written out")
        body = e.func(e.function, *inner) if inner else e.function
        terms = [body.subs(index, k) for k in range(first, last + 1)]
        self._kept.append(terms)

        def join(pairs):
            if head == "Product":
                product = plan.product(pairs)
                return plan.apply("reciprocal", [product]) if turned else product
            number, negative = plan.sum(pairs)
            return number, negative ^ turned

        return terms, join

    # -- messages -----------------------------------------------------------------------------------------------
    def _unknown(self, symbol):
        """What to say of a symbol that is not among the arguments."""
        if isinstance(symbol, self._sympy.Derivative):
            return f"Derivative is not among variables and parameters: {ADVICE['Derivative']}"
        name = shortened(str(symbol))
        if name in map(str, self._places):
            return (
                f"{name} is not the {name} among variables and parameters: symbols of one name differ by what is "
                "assumed of them, symbols('x', real=True)"
            )
        known = ", ".join(map(str, [*self._places][:30]))
        return f"{name} is not among variables and parameters: they are {known or 'none'}"

    def _place(self, stack):
        """The expression on top of the stack, what it is an operand of, and the whole."""
        inner, texts = stack[-1], [_shown(stack[-1])]
        for outer in reversed(stack[:-1]):
            if any(operand is inner for operand in self._started.get(id(outer), ((),))[0]):
                texts.append(_shown(outer))
                inner = outer
        texts = list(dict.fromkeys(texts))
        return "\n    in ".join(texts if len(texts) <= 3 else [*texts[:2], texts[-1]])


def _number(e):
    """A number of SymPy's, rounded to the nearest float64."""
    if not e.is_Rational:
        return float(e if e.is_Float or not e.is_finite else e.evalf(40))
    try:
        return e.p / e.q
    except OverflowError:
        return math.inf if e.p > 0 else -math.inf


def _shown(e):
    """The text of an expression, if it is not long."""
    waiting, count = [e], 0
    while waiting and count <= _SHOWN:
        waiting.extend(waiting.pop().args)
        count += 1
    return shortened(str(e)) if count <= _SHOWN else f"{type(e).__name__} of {len(e.args)} operands"
