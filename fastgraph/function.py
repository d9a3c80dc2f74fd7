"""Function: what a user calls. Checks arguments, broadcasts the batch, and hands addresses to the sweeper.

In: Python numbers and arrays. Out: NumPy scalars, arrays and named tuples. Whatever is wrong is said here, before
any machine code runs.
"""

import math
import struct
from operator import itemgetter

import numpy as np

from fastgraph import saving
from fastgraph.engine.sweeper import Sweeper
from fastgraph.errors import ArgumentError, ProgramError, ShapeError
from fastgraph.flat import Flat
from fastgraph.layout import addresses_of, batch_array, results_like
from fastgraph.results import named_tuple_type

_NUMBERS = frozenset((float, int, np.float64)).issuperset
_tuple = tuple.__new__


class Function:
    """A compiled graph: immutable, picklable, callable from many threads at once.

    Call it with its arguments in order of declaration, or by name. Each has the shape ``batch + declared shape``;
    the batch parts broadcast as NumPy's do. Made by :meth:`Graph.compile`.

    Attributes
    ----------
    name : str or None
    program : Program
        The flat arrays.
    arguments, outputs : tuple
        Names and shapes as declared.
    flat : Flat
        The same function seen as Rⁿ → Rᵐ.

    Examples
    --------
    >>> import fastgraph as fg
    >>> graph = fg.Graph()
    >>> a, b, c = graph.inputs("a", "b", "c")
    >>> graph.output((a + b) * (b - c), name="y")
    >>> f = graph.compile()
    >>> f([1.0, 2.0], 3.0, c=1.0)
    array([ 8., 10.])
    >>> y, gradient = f.value_and_grad(2.0, 3.0, 1.0)
    >>> [float(g) for g in gradient]
    [2.0, 7.0, -5.0]
    """

    def __init__(self, program, arguments, outputs, name=None):
        sizes = sum(a.size for a in arguments), sum(o.size for o in outputs)
        if sizes != (program.n_leaves, len(program.outputs)):
            raise ProgramError(
                f"the declared arguments and outputs hold {sizes[0]} and {sizes[1]} scalars, but the program has "
                f"{program.n_leaves} leaves and {len(program.outputs)} outputs"
            )
        self.name = name
        self.program = program
        self.arguments = tuple(arguments)
        self.outputs = tuple(outputs)
        self._positions = {argument.name: k for k, argument in enumerate(self.arguments)}
        self._offsets = np.cumsum([0] + [a.size for a in self.arguments])
        self._default_wrt = tuple(k for k, a in enumerate(self.arguments) if a.differentiable)
        self.sweeper = Sweeper(program)
        self._run = self.sweeper.run
        all_scalar = all(a.shape == () for a in self.arguments) and all(o.shape == () for o in self.outputs)
        self._n_fast = len(self.arguments) if all_scalar and self.arguments else -1  # else no call is that simple
        self.is_scalar = len(self.outputs) == 1 and self.outputs[0].shape == ()
        self._results = None
        if len(self.outputs) > 1:
            self._results = named_tuple_type("Outputs", tuple(o.name for o in self.outputs))
        self._output_items = itemgetter(*range(len(self.outputs)))
        # The type of the default gradient, or None for a bare one, and what picks it from the results of one set.
        self._gradients = self._gradient_type(self._default_wrt)
        self._gradient_items = None
        if self.is_scalar and self._default_wrt:
            self._gradient_items = itemgetter(0, *(1 + k for k in self._default_wrt))
        self.flat = Flat(self)

    # -- calls --------------------------------------------------------------------------------------------
    def __call__(self, /, *args, out=None, threads=None, **named):
        """Evaluate the outputs.

        Parameters
        ----------
        *args, **named : float or array_like
            The arguments, in order or by name, each of shape ``batch + declared shape``.
        out : ndarray, or tuple of ndarray for several outputs, optional
            float64 arrays of shape ``batch + output.shape`` to write to; may overlap the arguments.
        threads : int, optional
            Upper limit of threads; the default is as many as the process may use. Never changes a bit.

        Returns
        -------
        numpy.float64, ndarray, or named tuple of them for several outputs

        Raises
        ------
        ArgumentError
            Missing, surplus or unknown arguments, or not real numbers.
        ShapeError
            Shapes that do not fit the declaration or do not broadcast, or an unfit ``out``.
        """
        if len(args) == self._n_fast and out is threads is None and not named and _NUMBERS(map(type, args)):
            results = self._sweep_numbers(args, False, self._output_items)
            if results is not None:
                return results if self._results is None else _tuple(self._results, results)
        arrays, batch = self._bind(args, named)
        shapes = [batch + output.shape for output in self.outputs]
        names = [output.name for output in self.outputs]
        targets, finish, results = results_like(shapes, len(batch), out, names, self.label, arrays)
        self.sweep(arrays, batch, targets, None, threads)
        finish()
        results = [_scalar(result) for result in results]
        return results[0] if self._results is None else self._results._make(results)

    def value_and_grad(self, /, *args, wrt=None, threads=None, **named):
        """Evaluate the scalar output and its gradient in one forward and one reverse sweep.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call.
        wrt : str or sequence of str, optional
            The arguments to differentiate by; the default is every input and no parameter.
        threads : int, optional
            As for a call.

        Returns
        -------
        value : numpy.float64 or ndarray
            Of shape ``batch``.
        gradient : numpy.float64, ndarray, or named tuple of them for several arguments
            Per argument, of shape ``batch + argument.shape``.

        Raises
        ------
        ArgumentError
            As for a call; also if the function has not exactly one scalar output.
        ShapeError
            As for a call.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x, k = graph.input("x"), graph.parameter("k")
        >>> graph.output(k * fg.square(x))
        >>> f = graph.compile()
        >>> y, dy = f.value_and_grad(3.0, 0.5)
        >>> float(y), float(dy)
        (4.5, 3.0)
        """
        fast = len(args) == self._n_fast and self._gradient_items is not None and wrt is threads is None and not named
        if fast and _NUMBERS(map(type, args)):
            results = self._sweep_numbers(args, True, self._gradient_items)
            if results is not None:
                return results if self._gradients is None else (results[0], _tuple(self._gradients, results[1:]))
        self.need_scalar_output("value_and_grad")
        positions, kind = self._wrt(wrt)
        arrays, batch = self._bind(args, named)
        value = np.empty(batch)
        gradient = [np.empty(batch + self.arguments[k].shape) for k in positions]
        self.sweep(arrays, batch, [value], dict(zip(positions, gradient, strict=True)), threads)
        gradient = [_scalar(g) for g in gradient]
        return _scalar(value), gradient[0] if kind is None else kind._make(gradient)

    def grad(self, /, *args, wrt=None, threads=None, **named):
        """The gradient alone; see :meth:`value_and_grad`."""
        return self.value_and_grad(*args, wrt=wrt, threads=threads, **named)[1]

    # -- binding ------------------------------------------------------------------------------------------
    def _bind(self, args, named):
        """Arrays of float64 in order of declaration, and the batch shape they broadcast to."""
        values = self._in_order(args, named)
        arrays, batches = [], []
        for argument, value in zip(self.arguments, values, strict=True):
            array, batch = batch_array(value, argument.name, argument.shape, self.label)
            arrays.append(array)
            batches.append(batch)
        try:
            return arrays, np.broadcast_shapes(*batches)
        except ValueError:
            listing = ", ".join(f"{a.name} {b}" for a, b in zip(self.arguments, batches, strict=True) if b)
            raise ShapeError(f"{self.label}: the batch shapes {listing} do not broadcast together") from None

    def _in_order(self, args, named):
        if len(args) > len(self.arguments):
            raise ArgumentError(
                f"{self.label} takes {len(self.arguments)} arguments ({self._names()}), but {len(args)} were given"
            )
        values = list(args) + [_MISSING] * (len(self.arguments) - len(args))
        for name, value in named.items():
            k = self._positions.get(name)
            if k is None:
                raise ArgumentError(f"{self.label} has no argument {name!r}; it has {self._names()}")
            if values[k] is not _MISSING:
                raise ArgumentError(f"{self.label} got two values for {name!r}: by position and by name")
            values[k] = value
        missing = [a.name for a, v in zip(self.arguments, values, strict=True) if v is _MISSING]
        if missing:
            raise ArgumentError(f"{self.label} misses {', '.join(missing)}; it takes {self._names()}")
        return values

    def _wrt(self, wrt):
        """Positions of the arguments to differentiate by, and the type of the result, None for a bare gradient."""
        if wrt is None:
            if not self._default_wrt:
                raise ArgumentError(f"{self.label} has no inputs: name the parameters to differentiate by in wrt")
            return self._default_wrt, self._gradients
        try:
            names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        except TypeError:
            raise ArgumentError(f"wrt must be a name or several of {self._names()}, not {wrt!r}") from None
        positions = []
        for name in names:
            if not isinstance(name, str) or name not in self._positions:
                raise ArgumentError(f"wrt: {self.label} has no argument {name!r}; it has {self._names()}")
            positions.append(self._positions[name])
        if not positions or len(set(positions)) < len(positions):
            raise ArgumentError(f"wrt must name at least one argument, each once, not {wrt!r}")
        return tuple(positions), None if isinstance(wrt, str) else self._gradient_type(positions, bare=False)

    def _gradient_type(self, positions, bare=True):
        if bare and len(positions) <= 1:
            return None
        return named_tuple_type("Gradient", tuple(self.arguments[k].name for k in positions))

    def need_scalar_output(self, what):
        """Raise an ArgumentError unless there is exactly one output, a scalar."""
        if not self.is_scalar:
            listing = ", ".join(f"{o.name} {o.shape}" for o in self.outputs)
            raise ArgumentError(
                f"{what} needs exactly one scalar output, but {self.label} has {listing}: declare one output "
                "that is the sum or the component you want"
            )

    def _names(self):
        return ", ".join(a.name for a in self.arguments) or "no arguments"

    @property
    def label(self):
        """What errors call this function."""
        return "Function" if self.name is None else f"Function {self.name!r}"

    # -- sweeping -----------------------------------------------------------------------------------------
    def _sweep_numbers(self, args, with_gradient, pick):
        """``pick`` of the outputs and the gradient of one set of Python numbers.

        The way of a call that costs a microsecond: a ready workspace, no arrays, no tables. None where the general
        way must say what is wrong.
        """
        idle = self.sweeper.idle_singles[with_gradient]
        try:
            single = idle.pop()
        except IndexError:
            single = self.sweeper.single(with_gradient)
        try:
            single.pack(single.buffer, 0, *args)
        except (OverflowError, struct.error):  # an integer too large for a float
            return None
        self._run(single.address)
        results = pick(single.results)
        idle.append(single)
        return results

    def sweep(self, arrays, batch, results, gradients, threads):
        """Sweep float64 ``arrays`` over ``batch`` into ``results`` and, by argument position, ``gradients``."""
        sets = math.prod(batch)
        leaves = addresses_of([(array, a.shape) for array, a in zip(arrays, self.arguments, strict=True)], batch)
        outputs = addresses_of([(r, o.shape) for r, o in zip(results, self.outputs, strict=True)], batch)
        wanted = None
        if gradients is not None:
            wanted = addresses_of([(gradients.get(k), a.shape) for k, a in enumerate(self.arguments)], batch)
        self.sweeper.sweep(sets, leaves, outputs, wanted, threads)

    # -- saving -------------------------------------------------------------------------------------------
    def to_bytes(self):
        """The function as bytes, for :meth:`from_bytes`."""
        return saving.to_bytes(self.program, self.arguments, self.outputs, self.name)

    @classmethod
    def from_bytes(cls, data):
        """Rebuild a function from :meth:`to_bytes`, through verification: nothing in the bytes is trusted.

        Raises
        ------
        ProgramError
            If the bytes are not those of a valid function.
        """
        return cls(*saving.from_bytes(data))

    def __reduce__(self):
        return Function.from_bytes, (self.to_bytes(),)

    def __repr__(self):
        arguments = ", ".join(a.name + (str(list(a.shape)) if a.shape else "") for a in self.arguments)
        outputs = ", ".join(o.name + (str(list(o.shape)) if o.shape else "") for o in self.outputs)
        return f"<{self.label}: ({arguments}) -> ({outputs}), {self.program.n_operations} operations>"


_MISSING = object()


def _scalar(array):
    """A 0-d array as the NumPy scalar it holds."""
    return array[()] if array.shape == () else array
