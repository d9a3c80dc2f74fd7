"""Where the modules of ``vecmath`` register their functions. In: functions. Out: ``FUNCTIONS``, ``SINGLE``, by name."""

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


def single(fn):
    """Register ``fn(m, *lanes)`` as what lanes of binary32 compute for the function of its name.

    Without a variant it is ``m.widened(name, *lanes)``: the function itself in binary64, rounded.
    """
    SINGLE[fn.__name__.rstrip("_")] = fn
    return fn


def variant(name):
    """What lanes of binary32 compute for the function ``name``, which is not inline: ``fn(m, *lanes)``."""
    return SINGLE.get(name, lambda m, *lanes: m.widened(name, *lanes))
