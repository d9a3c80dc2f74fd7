"""Sweeps: what a framework with derivatives of its own asks of a Function: values, and derivatives of any order.

In: a Function, and NumPy arrays of shape batch + declared shape. Out: arrays, by one call of the function, whatever the
batch. ``jax`` and ``torch`` say how the sweeps follow from one another.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from fastgraph import derived
from fastgraph.assembly import optimised
from fastgraph.engine.streams import columns_of
from fastgraph.errors import ArgumentError
from fastgraph.function import Function
from fastgraph.graph import Argument, Output


class Map:
    """A Function all of whose arguments are inputs, and its derivatives along them, each made when first asked for.

    Attributes
    ----------
    function : Function
    arguments, outputs : tuple of tuple
        Declared shapes.
    parent, moved : Map, tuple of int
        What this is the derivative of, and along which of its arguments: the directions, last among the arguments, in
        which it is linear. None and () for a function that was compiled.
    """

    def __init__(self, function, parent=None, moved=()):
        self.function, self.parent, self.moved = function, parent, moved
        self.arguments = tuple(a.shape for a in function.arguments)
        self.outputs = tuple(o.shape for o in function.outputs)
        self._has_singles = function.dtype == np.float64
        self._along, self._only, self._pulls = {}, {}, {}

    @classmethod
    def of(cls, f, user):
        """The one of a compiled Function; an ArgumentError for anything else."""
        if not isinstance(f, Function):
            raise ArgumentError(f"{user} takes a compiled Function, such as graph.compile(), not {type(f).__name__}")
        return f._made(("map",), cls._open, f)

    @classmethod
    def _open(cls, f):
        if all(a.differentiable for a in f.arguments):
            return cls(f)
        return cls(Function(f.program, [Argument(a.name, a.shape, True) for a in f.arguments], f.outputs, f.name))

    # Frameworks find what they compiled for a sweep by comparing: so there is one object for each that may come again.
    def along(self, positions):
        """The derivative of the outputs along arguments, by increasing positions; the directions come last."""
        if positions not in self._along:
            self._along.setdefault(positions, Map(self._derivative(positions), self, positions))
        return self._along[positions]

    def _derivative(self, positions):
        function = self.function
        program = derived.directional(function.program, function._wanted(positions))
        shapes = [*self.arguments, *(self.arguments[k] for k in positions)]
        arguments = [Argument(f"x{k}", shape, True) for k, shape in enumerate(shapes)]
        return Function(program, arguments, [Output(f"y{k}", o) for k, o in enumerate(self.outputs)], function.name)

    def only(self, chosen):
        """The one of these outputs alone: the rest weighs nothing, where a weight of 0 is 0 times infinity."""
        if len(chosen) == len(self.outputs):
            return self
        if chosen not in self._only:
            made = Map(self._pruned(chosen)) if self.parent is None else self.parent.only(chosen).along(self.moved)
            self._only.setdefault(chosen, made)
        return self._only[chosen]

    def _pruned(self, chosen):
        program = self.function.program
        columns = columns_of(program)
        columns = columns.change(outputs=columns.outputs[_places(self.outputs, chosen)])
        made = optimised(columns, program.n_leaves, program.dtype)
        return Function(made, self.function.arguments, [self.function.outputs[k] for k in chosen], self.function.name)

    def pull(self, by, shapes):
        """The :class:`Pull` by the positions ``by``, from the shapes of its operands, with the sums that these need.

        An argument that has not an axis of the batch, or has it with length 1, weighs in every set along it.
        """
        plain = self.pulled(by, ((),) * len(by))
        if shapes == plain.operands:
            return plain
        batch, sums = plain.batch(shapes), []
        for k in by:
            own = own_batch(shapes[k], self.arguments[k])
            own = (1,) * (len(batch) - len(own)) + own
            sums.append(tuple(a for a, (n, m) in enumerate(zip(own, batch, strict=True), -len(batch)) if n == 1 != m))
        return self.pulled(by, tuple(sums))

    def pulled(self, by, sums):
        """The :class:`Pull` by the positions ``by`` with these sums."""
        if (by, sums) not in self._pulls:
            self._pulls.setdefault((by, sums), Pull(self, by, sums))
        return self._pulls[by, sums]

    # -- one set: a vector of all arguments, by a ready workspace where there is one --------------------------------
    def single(self, x):
        """The outputs (m,)."""
        flat = self.function.flat
        return flat._single(x, False)[: flat.m] if self._has_singles else np.ravel(flat(x))

    def single_and_grad(self, x):
        """The one output, then its gradient, (1 + n,)."""
        flat = self.function.flat
        return flat._single(x, True) if self._has_singles else np.hstack(flat.value_and_grad(x))

    def single_pulled(self, x, weights):
        """The gradient (n,) of the outputs' sum weighted by (m,)."""
        flat = self.function.flat
        if self._has_singles:
            return flat._single_seeded(x, weights)[1]
        return flat.vjp(x, weights[0] if self.function.is_scalar else weights)[1]

    def __repr__(self):
        return f"<{self.function.label}>" if self.parent is None else f"<a derivative of {self.parent!r}>"


@dataclass(frozen=True)
class Sweep:
    """What one call computes, of operands of shape ``batch + shape`` with batches that broadcast.

    ``operands`` and ``results`` are the declared shapes. Of one set, ``packed`` makes a vector of all results from one
    of all operands; of many, ``batched`` makes arrays from arrays.
    """

    map: Map

    @property
    def operands(self):
        return self.map.arguments

    def batch(self, shapes):
        """The batch that operands of these shapes have together."""
        return np.broadcast_shapes(*map(own_batch, shapes, self.operands))

    def shapes(self, shapes):
        """Shapes of the results for operands of these."""
        batch = self.batch(shapes)
        return [batch + shape for shape in self.results]

    @cached_property
    def _parts(self):
        return list(zip(_spans(self.results), self.results, strict=True))

    def split(self, vector):
        """A vector of all results as arrays of their shapes."""
        return [vector[span].reshape(shape) for span, shape in self._parts]

    def of_vector(self, vector, dtype):
        """``packed``, rounded to ``dtype``."""
        return _rounded(self.packed(vector), dtype)

    def __call__(self, arrays, dtype):
        """The results for arrays, rounded to ``dtype``."""
        if tuple([array.shape for array in arrays]) == self.operands:
            vector = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)
            return self.split(self.of_vector(vector, dtype))
        return [_rounded(result, dtype) for result in self.batched(arrays)]


@dataclass(frozen=True)
class Values(Sweep):
    """The outputs."""

    @property
    def results(self):
        return self.map.outputs

    def packed(self, x):
        return self.map.single(x)

    def batched(self, arrays):
        results = self.map.function(*arrays)
        return results if len(self.results) > 1 else [results]


@dataclass(frozen=True)
class Gradient(Sweep):
    """The one scalar output, then its gradient by the arguments at the positions ``by``, increasing."""

    by: tuple

    @cached_property
    def results(self):
        return ((), *(self.map.arguments[k] for k in self.by))

    @cached_property
    def _taken(self):
        return _places(self.map.arguments, self.by)

    def packed(self, x):
        found = self.map.single_and_grad(x)
        return np.concatenate([found[:1], found[1:][self._taken]])

    def batched(self, arrays):
        function = self.map.function
        value, gradient = function.value_and_grad(*arrays, wrt=_names(function, self.by))
        return [value, *gradient]


@dataclass(frozen=True)
class Pull(Sweep):
    """The cotangents of the arguments at the positions ``by``, increasing, for cotangents of the outputs.

    The operands are the arguments, then the cotangents. For each of ``by``, ``sums`` has the axes, -1 being the last of
    the batch, that the result is summed over, and has with length 1. Made by :meth:`Map.pull` and :meth:`Map.pulled`.
    """

    by: tuple
    sums: tuple

    @cached_property
    def operands(self):
        return self.map.arguments + self.map.outputs

    @cached_property
    def results(self):
        return tuple(self.map.arguments[k] for k in self.by)

    def shapes(self, shapes):
        batch = self.batch(shapes)
        return [_with_ones(batch, axes) + shape for axes, shape in zip(self.sums, self.results, strict=True)]

    @cached_property
    def _taken(self):
        return _places(self.map.arguments, self.by)

    def packed(self, x):
        n = self.map.function.flat.n
        return self.map.single_pulled(x[:n], x[n:])[self._taken]

    def batched(self, arrays):
        batch = self.batch([array.shape for array in arrays])
        # What is summed over all of the batch takes no memory for it: a sweep for these, and one for the rest.
        is_total = [math.prod(_with_ones(batch, axes)) == 1 != math.prod(batch) for axes in self.sums]
        found = {}
        for total in set(is_total):
            chosen = tuple(k for k, own in zip(self.by, is_total, strict=True) if own == total)
            found |= zip(chosen, self._pulled(arrays, chosen, "sum" if total else None), strict=True)
        results = []
        for k, axes, total, shape in zip(self.by, self.sums, is_total, self.results, strict=True):
            if total:
                results.append(found[k].reshape((1,) * len(batch) + shape))
            else:
                results.append(np.sum(found[k], tuple(axis - len(shape) for axis in axes), keepdims=True))
        return results

    def _pulled(self, arrays, by, reduce):
        function, n = self.map.function, len(self.map.arguments)
        cotangents = arrays[n] if len(arrays) == n + 1 else arrays[n:]
        return function.vjp(tuple(arrays[:n]), cotangents, wrt=_names(function, by), reduce=reduce)[1]


def own_batch(shape, declared):
    """The axes of a shape before the declared ones."""
    return tuple(shape[: len(shape) - len(declared)])


def aligned(shapes, declared, mapped):
    """Shapes of operands in which the axis of a map, first in those that are mapped, is before all axes of the batch.

    Parameters
    ----------
    shapes, declared : sequence of tuple
    mapped : sequence of bool
    """
    owns = [own_batch(shape, d)[new:] for shape, d, new in zip(shapes, declared, mapped, strict=True)]
    rank = max(map(len, owns))
    return [
        (*shape[:1], *(1,) * (rank - len(own)), *shape[1:]) if new else shape
        for shape, own, new in zip(shapes, owns, mapped, strict=True)
    ]


def _names(function, positions):
    return tuple(function.arguments[k].name for k in positions)


def _with_ones(batch, axes):
    return tuple(1 if axis in axes else n for axis, n in enumerate(batch, -len(batch)))


def _spans(shapes):
    """Slices of a vector that has arrays of these shapes one after the other."""
    ends = [0, *accumulate(map(math.prod, shapes))]
    return list(map(slice, ends[:-1], ends[1:]))


def _places(shapes, chosen):
    """Where the scalars of the arrays at some positions stand in such a vector."""
    spans = _spans(shapes)
    if chosen == tuple(range(chosen[0], chosen[-1] + 1)):
        return slice(spans[chosen[0]].start, spans[chosen[-1]].stop)
    return np.concatenate([np.arange(spans[k].start, spans[k].stop) for k in chosen])


def _rounded(array, dtype):
    array = np.asarray(array)
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):  # what float32 cannot hold
        return array.astype(dtype)
