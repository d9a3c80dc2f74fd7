"""Sharing: sums and products of many operands, which may be computed in any order, in an order that shares pairs.

In: a plan, operations on earlier ones, sums and products among them without an order. Out: expressions of a graph. The
pair that most sums have is made once, again and again: greedy common subexpressions, as R. I. Hartley's for digital
filters (IEEE Trans. Circuits Syst. II 43, 1996).
"""

import heapq
from collections import Counter

from fastgraph.expr import Expr
from fastgraph.importers.sympy_heads import HEADS, tree

# Sums whose pairs are looked at: their number grows with the square of that of operands.
WIDEST = 32  # operands
MAX_PAIRS = 1_000_000  # of all sums together, narrow ones first
SUM, PRODUCT, LEAF = "a sum", "a product", "a leaf"


class Plan:
    """Operations in order, each a name of ``HEADS``, its operands and integers; equal ones are one.

    An operation is known by its number. Signs go beside it: a pair (number, whether its opposite is meant).
    """

    def __init__(self, graph):
        self._graph = graph
        self._rows = []
        self._numbers = {}

    def _number(self, *row):
        number = self._numbers.setdefault(row, len(self._rows))
        if number == len(self._rows):
            self._rows.append(row)
        return number

    def leaf(self, x):
        """An expression of the graph."""
        return self._number(LEAF, x.node), False

    def constant(self, value):
        """A number; a negative one is the opposite of a positive one."""
        return self._number(LEAF, self._graph.constant_node(abs(value))), value < 0.0

    def apply(self, name, pairs, *integers):
        """An operation of ``HEADS``."""
        return self._number(name, tuple(map(self._whole, pairs)), integers), False

    def sum(self, pairs):
        """A sum in any order; by its opposite, if that is there already or no operand is positive."""
        pairs = tuple(sorted(pairs))
        if len(pairs) < 2:
            return pairs[0] if pairs else self.constant(0.0)
        opposite = tuple((i, not sign) for i, sign in pairs)
        if (SUM, opposite) in self._numbers or all(sign for _, sign in pairs):
            return self._number(SUM, opposite), True
        return self._number(SUM, pairs), False

    def product(self, pairs):
        """A product in any order."""
        pairs = sorted(pairs)
        negative = sum(sign for _, sign in pairs) % 2 == 1
        if len(pairs) < 2:
            return pairs[0] if pairs else self.constant(1.0)
        return self._number(PRODUCT, tuple((i, False) for i, _ in pairs)), negative

    def _whole(self, pair):
        """The number of what a pair means."""
        i, negative = pair
        return self._number("neg", (i,), ()) if negative else i

    def record(self, results):
        """The expressions of pairs."""
        wanted = [self._whole(pair) for pair in results]
        graph, rows = self._graph, self._rows
        groups = {number: row[1] for number, row in enumerate(rows) if row[0] in (SUM, PRODUCT)}
        made, shared = {}, {}
        for kind in (SUM, PRODUCT):
            own = {number: group for number, group in groups.items() if rows[number][0] == kind}
            left, made[kind] = share(own, len(rows) + len(shared))
            shared.update(made[kind])
            groups.update(left)
        values = {}
        for number, (kind, *parts) in enumerate(rows):
            if kind == LEAF:
                values[number] = Expr(graph, parts[0])
            elif kind in (SUM, PRODUCT):
                values[number] = self._joined(kind, groups[number], shared, values)
            else:
                operands, integers = parts
                values[number] = HEADS[kind](*[values[i] for i in operands], *integers)
        return [values[i] for i in wanted]

    def _joined(self, kind, group, shared, values):
        """A sum or product of what is there, and of pairs that may have to be made first."""
        missing, waiting = [], [i for i, _ in group]
        while waiting:
            i = waiting.pop()
            if i not in values:
                missing.append(i)
                waiting += [j for j, _ in shared[i]]
        join = _signed_sum if kind == SUM else _signed_product
        for i in sorted(set(missing)):  # a pair has a greater number than the pairs it is made of
            (j, _), (k, opposite) = shared[i]
            values[i] = join((values[j], False), (values[k], opposite))[0]
        x, negative = tree(join, [(values[i], sign) for i, sign in group])
        return -x if negative else x


def share(groups, first):
    """Find pairs of operands that several groups have.

    Parameters
    ----------
    groups : dict of int to sequence of (int, bool)
        Operands of sums by their number, with signs; of products, where signs are False.
    first : int
        Above the number of every operand.

    Returns
    -------
    groups : dict of int to list of (int, bool)
        The same sums, of operands and pairs.
    pairs : dict of int to ((int, False), (int, bool))
        Pairs by number, from ``first`` on, made of operands and earlier pairs.
    """
    left = {g: dict(group) for g, group in _narrow(groups)}
    counts, found = Counter(), {}
    for signs in left.values():
        counts.update(_pairs(signs))
    for g, signs in left.items():
        for pair in _pairs(signs):
            if counts[pair] > 1:  # a pair that one sum has will not be one of two
                found.setdefault(pair, set()).add(g)
    heap = [(-len(having), pair) for pair, having in found.items()]
    heapq.heapify(heap)
    pairs, none = {}, set()
    while heap:
        count, pair = heapq.heappop(heap)
        having = found[pair]
        if len(having) != -count:
            if len(having) > 1:
                heapq.heappush(heap, (-len(having), pair))
            continue
        i, j, opposite = pair
        new = first + len(pairs)
        pairs[new] = (i, False), (j, opposite)
        touched = set()
        for g in sorted(having):
            signs = left[g]
            for k in signs:
                if k != i and k != j:
                    found.get(_pair(i, k, signs), none).discard(g)
                    found.get(_pair(j, k, signs), none).discard(g)
            sign = signs.pop(i)
            del signs[j]
            signs[new] = sign
            for k in signs:
                if k != new:
                    key = _pair(k, new, signs)
                    found.setdefault(key, set()).add(g)
                    touched.add(key)
        found[pair] = set()
        for key in sorted(touched):
            if len(found[key]) > 1:
                heapq.heappush(heap, (-len(found[key]), key))
    return {g: list(left[g].items()) if g in left else list(group) for g, group in groups.items()}, pairs


def _narrow(groups):
    """The groups whose pairs are looked at."""
    budget, found = MAX_PAIRS, []
    for g, group in sorted(groups.items(), key=lambda item: (len(item[1]), item[0])):
        n = len(group)
        budget -= n * (n - 1) // 2
        if n > WIDEST or budget < 0:
            break
        if len({i for i, _ in group}) == n:  # a product may have x twice
            found.append((g, group))
    return found


def _pairs(signs):
    members = list(signs)
    return [_pair(i, j, signs) for at, i in enumerate(members) for j in members[at + 1 :]]


def _pair(i, j, signs):
    return (i, j, signs[i] != signs[j]) if i < j else (j, i, signs[i] != signs[j])


def _signed_sum(a, b):
    (x, x_negative), (y, y_negative) = a, b
    if x_negative == y_negative:
        return x + y, x_negative
    return (y - x if x_negative else x - y), False


def _signed_product(a, b):
    return a[0] * b[0], False
