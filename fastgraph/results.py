"""Named tuples of results whose types are made at run time and can still be pickled."""

from collections import namedtuple

_types: dict[tuple[str, tuple[str, ...]], type] = {}


def named_tuple_type(typename, fields):
    """A named tuple type; equal arguments give the same type, in every process and thread."""
    kind = _types.get((typename, fields))
    # Not functools.cache: two threads at once would get two types.
    return kind if kind is not None else _types.setdefault((typename, fields), _make(typename, fields))


def _make(typename, fields):
    base = namedtuple(typename, fields, rename=True)  # results of derived functions have names that are none

    def reduce(self):
        return _rebuild, (typename, fields, tuple(self))

    return type(typename, (base,), {"__slots__": (), "__reduce__": reduce, "__doc__": base.__doc__})


def _rebuild(typename, fields, values):
    return named_tuple_type(typename, fields)._make(values)
