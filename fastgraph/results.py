"""Named tuples of results whose types are made at run time and can still be pickled."""

from collections import namedtuple
from functools import cache


@cache
def named_tuple_type(typename, fields):
    """A named tuple type; equal arguments give the same type, in every process."""
    base = namedtuple(typename, fields)

    def reduce(self):
        return _rebuild, (typename, fields, tuple(self))

    return type(typename, (base,), {"__slots__": (), "__reduce__": reduce, "__doc__": base.__doc__})


def _rebuild(typename, fields, values):
    return named_tuple_type(typename, fields)._make(values)
