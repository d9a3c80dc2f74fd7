"""The elementary functions, written once over a *machine* and run by two of them.

A machine offers W lanes of binary64 and their bits: ``engine.lanes.Lanes`` turns each step into LLVM IR,
``reference.NumPyMachine`` computes it with NumPy. Each step is one exactly specified IEEE or integer operation,
so both give the same bits at every width, and a function can be stepped through in a debugger.

A function takes the machine ``m`` first, then lanes. It may use

====================================  ============================================================================
on floats                             ``+ - * /``, unary ``-``, comparisons (a mask; ordered, ``!=`` is true on NaN)
on 64-bit integers                    ``+ - * & | ^ << >>`` (wrapping; ``>>`` keeps the sign), signed comparisons
on masks                              ``& | ^ ~``
``m.fma(x, y, z)``                    x*y + z, rounded once
``m.sqrt abs floor ceil trunc rint``  one rounding at most; ``rint`` is half to even
``m.copysign(x, y)``                  magnitude of x, sign bit of y
``m.bits(x)``, ``m.from_bits(i)``     reinterpretation, float to integer and back
``m.to_int(x)``, ``m.to_float(i)``    conversion (truncating; in range, or the lane's result is unspecified)
``m.shr(i, k)``                       logical shift right
``m.table(values, i)``                ``values[i]`` from a constant table
``m.size(t)``, ``m.entry(t, i)``      of a table that an op of the program names; ``i`` in range
``m.call(f, x, …)``                   a function of numbers that an op of the program names, lane by lane
``m.where(mask, x, y)``               selection, lane by lane
``m.rare(mask, slow, fast)``          ``where(mask, slow(), fast)``; ``slow`` runs only if some lane asks for it
``m.loop(state, condition, body)``    a while loop over a tuple of lanes; finished lanes must pass through unchanged
``m.exp(x)`` …                        any other function defined here (a call, not inlined)
====================================  ============================================================================

A machine of binary32 runs these functions in binary64 and rounds (``m.widened(name, x)``), unless they are inline or
there is a variant. Those of ``single`` use the same operations on binary32 and integers of 32 bits; those of
``single_wide`` run in binary64 as well.

A plain Python call of a helper (``_reduce(m, x)``) inlines it. Python numbers mix with lanes as constants; at
least one operand of every operation must be lanes. Python's ``if`` sees no lane: use ``where`` and ``rare``.
"""

from fastgraph.vecmath import (
    exponential,
    gamma,
    hyperbolic,
    inverse_trigonometric,
    powers,
    rounding,
    single,
    single_wide,
    special,
    tables,
    trigonometric,
)
from fastgraph.vecmath._registry import FUNCTIONS, SINGLE, function, variant

__all__ = [
    "FUNCTIONS",
    "SINGLE",
    "function",
    "variant",
    "exponential",
    "gamma",
    "hyperbolic",
    "inverse_trigonometric",
    "powers",
    "rounding",
    "single",
    "single_wide",
    "special",
    "tables",
    "trigonometric",
]
