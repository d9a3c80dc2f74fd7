"""Kinks: which choices of a function sit on, or near, their switch, where derivatives are a convention.

In: a function and arguments. Out: a :class:`Kink` for each operation concerned.
"""

from dataclasses import dataclass

import numpy as np

from fastgraph import derived
from fastgraph.errors import ArgumentError
from fastgraph.graph import Output
from fastgraph.ops import TABLE


@dataclass(frozen=True)
class Kink:
    """An operation that sits on its switch.

    Attributes
    ----------
    op : str
    slot : int
        Of its result, as ``f.program.disassemble()`` numbers them.
    sets : tuple of ndarray
        Where in the batch it does: an index, one array an axis of the batch; ``()`` without a batch.
    distances : ndarray
        How far from the switch, one number a set: of a comparison or maximum the difference of its operands.
    """

    op: str
    slot: int
    sets: tuple
    distances: np.ndarray

    def __str__(self):
        where = f" in {len(self.distances)} sets" if self.sets else ""
        return f"%{self.slot} = {self.op} is {np.min(self.distances):.3g} from its switch{where}"


def check_kinks(function, args, tolerance):
    """See :meth:`fastgraph.Function.check_kinks`."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number) or not tolerance >= 0:
        raise ArgumentError(f"{function.label}: tolerance must be a number that is not negative, not {tolerance!r}")
    arrays, batch = function.signature.bind_packed(args)
    if "switches" not in function._derivatives:
        program, slots = derived.switching(function.program)
        output = Output("switches", (len(slots),))
        made = program and type(function)(program, function.arguments, [output], function.name)
        function._derivatives.setdefault("switches", (made, slots))
    switching, slots = function._derivatives["switches"]
    if switching is None:
        return []
    distances = np.abs(switching._evaluate(arrays, batch, None, None, False, None)[0])
    codes = derived.columns_of(function.program).rows[slots, 0]
    kinks = []
    for k in np.flatnonzero((distances <= tolerance).reshape(-1, len(slots)).any(0)):
        sets = np.nonzero(distances[..., k] <= tolerance) if batch else ()
        kinks.append(Kink(TABLE[codes[k]].name, int(slots[k]), sets, np.atleast_1d(distances[..., k][sets])))
    return kinks
