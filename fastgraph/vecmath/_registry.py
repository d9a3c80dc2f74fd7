"""Where the modules of ``vecmath`` register their functions. In: functions. Out: ``FUNCTIONS``, by name."""

FUNCTIONS = {}


def function(fn=None, *, inline=False):
    """Register ``fn(m, *lanes)`` as an elementary function of its own name.

    ``inline=True`` is for functions of a few instructions: their body is emitted at each use instead of a call.
    """

    def register(fn):
        fn.inline = inline
        FUNCTIONS[fn.__name__.rstrip("_")] = fn
        return fn

    return register if fn is None else register(fn)
