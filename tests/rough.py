"""A quick machine, for tests that look at structure or compare two sweeps over the same numbers, whichever they are."""

from contextlib import contextmanager

import pytest

from fastgraph import interpreter
from fastgraph.reference import NumPyMachine


class Rough(NumPyMachine):
    """The reference machine with an fma of two roundings: functions lose their last bits, and 90% of their time."""

    def fma(self, x, y, z):
        return self.floats(x) * y + z


@contextmanager
def rough_interpreter():
    """The interpreter on that machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "NumPyMachine", Rough)
        yield
