"""Where the modules of ``vecmath`` register their functions. In: functions. Out: ``FUNCTIONS``, ``SINGLE``, by name."""

from functools import wraps

FUNCTIONS = {}
SINGLE = {}  # variants for lanes of binary32, of functions that are in FUNCTIONS


def function(fn=None, *, inline=False):
    """Register ``fn(m, *lanes)`` as an elementary function of its own name.

    ``inline=True`` is for functions of a few instructions: their body is emitted at each use instead of a call, and
    holds for lanes of either precision.
    """

    def register(fn):
        fn.inline = inline
        FUNCTIONS[fn.__name__.rstrip("_")] = fn
        return fn

    return register if fn is None else register(fn)


def single(fn=None, *, wide=False):
    """Register ``fn(m, *lanes)`` as what lanes of binary32 compute for the function of its name.

    ``wide=True`` is for those whose body runs in binary64, on widened lanes, and is rounded.
    """

    def register(fn):
        SINGLE[fn.__name__.rstrip("_")] = wraps(fn)(lambda m, *lanes: m.widened(fn, *lanes)) if wide else fn
        return fn

    return register if fn is None else register(fn)


def variant(name):
    """What lanes of binary32 compute for the function ``name``, which is not inline: ``fn(m, *lanes)``.

    That is its variant, or the function itself in binary64, rounded.
    """
    return SINGLE.get(name, lambda m, *lanes: m.widened(name, *lanes))
