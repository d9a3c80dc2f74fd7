"""Arguments: what a call's positions, names and ``wrt`` mean to one function.

In: what a user passed. Out: arrays in order of declaration, their batch shape, positions to differentiate by.
"""

from collections.abc import Mapping

import numpy as np

from fastgraph.errors import ArgumentError
from fastgraph.expr import Expr
from fastgraph.expr_array import ExprArray
from fastgraph.layout import batch_array, common_batch
from fastgraph.results import named_tuple_type

_MISSING = object()


class Signature:
    """The declared arguments and outputs of a function, and the checks that follow from them."""

    def __init__(self, arguments, outputs, label):
        self.arguments, self.outputs, self.label = arguments, outputs, label
        self.positions = {argument.name: k for k, argument in enumerate(arguments)}
        self.differentiable = tuple(k for k, a in enumerate(arguments) if a.differentiable)
        self.default_gradient = self._gradient_type(self.differentiable)

    @property
    def names(self):
        return ", ".join(a.name for a in self.arguments) or "no arguments"

    def bind(self, args, named):
        """Arrays in order of declaration, and the batch shape they broadcast to."""
        arrays, batches = [], []
        values = self.in_order(args, named) if named or len(args) != len(self.arguments) else args
        for argument, value in zip(self.arguments, values, strict=True):
            array, batch = batch_array(value, argument.name, argument.shape, self.label)
            arrays.append(array)
            batches.append(batch)
        return arrays, common_batch(self.positions, batches, self.label)

    def bind_packed(self, args):
        """As :meth:`bind`, for arguments that come as one tuple or as a mapping of names."""
        if isinstance(args, Mapping):
            return self.bind((), args)
        if not isinstance(args, tuple | list):
            raise ArgumentError(
                f"{self.label}: args must be a tuple of the arguments, or a mapping of their names, not "
                f"{type(args).__name__}; for one argument write (x,)"
            )
        return self.bind(args, {})

    def bind_cotangents(self, cotangents, batch):
        """Arrays, one an output, of shape ``batch' + output.shape``, and the batch shape with theirs."""
        bare = len(self.outputs) == 1
        return self._bind_each(cotangents, self.outputs, bare, batch, "cotangents", "the cotangent of")

    def bind_weights(self, weights, batch):
        """As :meth:`bind_cotangents`, for the weights of a Lagrangian."""
        return self._bind_each(weights, self.outputs, len(self.outputs) == 1, batch, "weights", "the weight of")

    def bind_directions(self, given, positions, bare, batch, plural):
        """Arrays, one for each argument of ``positions``, and the batch shape with theirs."""
        items = [self.arguments[k] for k in positions]
        return self._bind_each(given, items, bare, batch, plural, "the direction of")

    def _bind_each(self, given, items, bare, batch, plural, what):
        kind = "outputs" if items is self.outputs else "arguments"
        listing = ", ".join(f"{item.name} {item.shape}" for item in items)
        if isinstance(given, Mapping):
            unknown = set(given) - {item.name for item in items}
            missing = [item.name for item in items if item.name not in given]
            if unknown or missing:
                fault = f"for unknown {kind} {sorted(map(str, unknown))}" if unknown else f"none for {missing[0]}"
                raise ArgumentError(f"{self.label}: {plural}: {fault}; the {kind} are {listing}")
            values = [given[item.name] for item in items]
        elif bare:
            values = [given]
        elif isinstance(given, tuple | list) and len(given) == len(items):
            values = list(given)
        else:
            found = type(given).__name__ + (f" of {len(given)}" if isinstance(given, tuple | list) else "")
            raise ArgumentError(
                f"{self.label}: {plural} must be a tuple of one array per {kind[:-1]} ({listing}), not {found}"
            )
        arrays, batches = [], [batch]
        for item, value in zip(items, values, strict=True):
            array, own = batch_array(value, f"{what} {item.name}", item.shape, self.label)
            arrays.append(array)
            batches.append(own)
        names = ["the arguments", *(f"{what} {item.name}" for item in items)]
        return arrays, common_batch(names, batches, self.label)

    def _outputs(self):
        return ", ".join(f"{o.name} {o.shape}" for o in self.outputs)

    def in_order(self, args, named):
        """What was passed by position and by name, in order of declaration."""
        if len(args) > len(self.arguments):
            raise ArgumentError(
                f"{self.label} takes {len(self.arguments)} arguments ({self.names}), but {len(args)} were given"
            )
        values = list(args) + [_MISSING] * (len(self.arguments) - len(args))
        for name, value in named.items():
            k = self.positions.get(name)
            if k is None:
                raise ArgumentError(f"{self.label} has no argument {name!r}; it has {self.names}")
            if values[k] is not _MISSING:
                raise ArgumentError(f"{self.label} got two values for {name!r}: by position and by name")
            values[k] = value
        missing = [a.name for a, v in zip(self.arguments, values, strict=True) if v is _MISSING]
        if missing:
            raise ArgumentError(f"{self.label} misses {', '.join(missing)}; it takes {self.names}")
        return values

    def wrt(self, wrt):
        """Positions of the arguments to differentiate by, and the type of the result, None for a bare gradient."""
        if wrt is None:
            if not self.differentiable:
                raise ArgumentError(f"{self.label} has no inputs: name the parameters to differentiate by in wrt")
            return self.differentiable, self.default_gradient
        bare = isinstance(wrt, str | Expr | ExprArray | np.ndarray)
        try:
            names = tuple(map(_name_of, (wrt,) if bare else wrt))
        except TypeError:
            raise ArgumentError(f"wrt must be a name or several of {self.names}, not {wrt!r}") from None
        positions = []
        for name in names:
            if not isinstance(name, str) or name not in self.positions:
                raise ArgumentError(f"wrt: {self.label} has no argument {name!r}; it has {self.names}")
            positions.append(self.positions[name])
        if not positions or len(set(positions)) < len(positions):
            raise ArgumentError(f"wrt must name at least one argument, each once, not {wrt!r}")
        return tuple(positions), None if bare else self._gradient_type(positions, bare=False)

    def _gradient_type(self, positions, bare=True):
        if bare and len(positions) <= 1:
            return None
        return named_tuple_type("Gradient", tuple(self.arguments[k].name for k in positions))

    def need_scalar_output(self, what, remedy=""):
        """Raise an ArgumentError unless there is exactly one output, a scalar."""
        if len(self.outputs) != 1 or self.outputs[0].shape != ():
            raise ArgumentError(
                f"{what} needs exactly one scalar output, but {self.label} has {self._outputs()}: declare one output "
                f"that is the sum or the component you want{remedy and ', '}{remedy}"
            )


def _name_of(item):
    """The name under which an expression, or array of them, was declared; anything else as it is."""
    if isinstance(item, Expr | ExprArray):
        return item.graph.name_of(item) or repr(item)
    return item


def is_sum(reduce, out, label):
    """Whether results are to be summed over the batch; an ArgumentError for what is neither None nor ``"sum"``."""
    if reduce is None:
        return False
    if not isinstance(reduce, str) or reduce != "sum":
        raise ArgumentError(f'{label}: reduce must be None or "sum", not {reduce!r}')
    if out is not None:
        raise ArgumentError(f"{label}: out and reduce exclude each other: sums over the batch are small new arrays")
    return True
