"""Function: what a user calls. Checks arguments, broadcasts the batch, and hands addresses to the sweeper.

In: Python numbers and arrays. Out: NumPy scalars, arrays and named tuples. Whatever is wrong is said here, before
any machine code runs.
"""

import math
import struct
from operator import itemgetter

import numpy as np

from fastgraph import saving
from fastgraph.arguments import Signature, is_sum
from fastgraph.asking import Asking
from fastgraph.composition import Composition, hold_expressions
from fastgraph.derivatives import Derivatives
from fastgraph.embedded import Embedded
from fastgraph.engine.pool import check_threads
from fastgraph.engine.sweeper import Sweeper
from fastgraph.errors import ArgumentError, ProgramError
from fastgraph.flat import Flat
from fastgraph.layout import Results, addresses_of, as_doubles, scalar
from fastgraph.looking import Looking
from fastgraph.results import named_tuple_type

_NUMBERS = frozenset((float, int, np.float64)).issuperset
_tuple = tuple.__new__


class Function(Composition, Embedded, Asking, Derivatives, Looking):
    """A compiled graph: immutable, picklable, callable from many threads at once.

    Call it with its arguments in order of declaration, or by name. Each has the shape ``batch + declared shape``;
    the batch parts broadcast as NumPy's do. Made by :meth:`Graph.compile`.

    Attributes
    ----------
    name : str or None
    program : Program
        The flat arrays.
    dtype : numpy.dtype
        float64 or float32: the precision of every operation and of the results.
    arguments, outputs : tuple
        Names and shapes as declared.
    flat : Flat
        The same function seen as Rⁿ → Rᵐ.

    Notes
    -----
    Arguments of any real type are read where they are: float64 and float32, integers and booleans are converted a
    tile at a time, other types as a whole. What depends only on arguments without batch axes is computed once a call.

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

    def __init__(self, program, arguments, outputs, name=None, *, paired=False, along=None):
        sizes = sum(a.size for a in arguments), sum(o.size for o in outputs)
        if sizes != (program.n_leaves, len(program.outputs)):
            raise ProgramError(
                f"the declared arguments and outputs hold {sizes[0]} and {sizes[1]} scalars, but the program has "
                f"{program.n_leaves} leaves and {len(program.outputs)} outputs"
            )
        self.name = name
        self.program = program
        self.dtype = program.dtype
        self.arguments = tuple(arguments)
        self.outputs = tuple(outputs)
        self.signature = Signature(self.arguments, self.outputs, self.label)
        self.sweeper = Sweeper(program, paired, along)
        self._run = self.sweeper.run
        all_scalar = all(a.shape == () for a in self.arguments) and all(o.shape == () for o in self.outputs)
        simple = all_scalar and self.arguments and self.dtype == np.float64
        self._n_fast = len(self.arguments) if simple else -1  # -1: no call is that simple
        self.is_scalar = len(self.outputs) == 1 and self.outputs[0].shape == ()
        self._results = None
        if len(self.outputs) > 1:
            self._results = named_tuple_type("Outputs", tuple(o.name for o in self.outputs))
        self._output_items = itemgetter(*range(len(self.outputs)))
        # The type of the default gradient, or None for a bare one, and what picks it from the results of one set.
        self._gradients = self.signature.default_gradient
        self._gradient_items = None
        if self.is_scalar and self.signature.differentiable:
            self._gradient_items = itemgetter(0, *(1 + k for k in self.signature.differentiable))
        self._ends = np.cumsum([a.size for a in self.arguments]).tolist()
        self._derivatives = {}
        self._varying = {}
        self.flat = Flat(self)

    # -- calls --------------------------------------------------------------------------------------------
    def __call__(self, /, *args, out=None, threads=None, reduce=None, progress=None, **named):
        """Evaluate the outputs.

        Parameters
        ----------
        *args, **named : float or array_like
            The arguments, in order or by name, each of shape ``batch + declared shape``. If there are expressions among
            them, the function is recorded into their graph, once for each set of the batch.
        out : ndarray, or tuple of ndarray for several outputs, optional
            Arrays of the function's dtype and of shape ``batch + output.shape`` to write to; may overlap the arguments.
        threads : int, optional
            Upper limit of threads; the default is that of :func:`get_num_threads`. Never changes a bit.
        reduce : "sum", optional
            Give the sums over the batch, each of the output's own shape, as float64. They are added in the order of a
            fixed tree, which does not depend on ``threads``, in memory that does not grow with the batch.
        progress : callable or True, optional
            Called as ``progress(done, total)`` with numbers of input sets, in this thread; True shows a bar by tqdm.

        Returns
        -------
        numpy.float64, ndarray, or named tuple of them for several outputs; expressions of expressions

        Raises
        ------
        ArgumentError
            Missing, surplus or unknown arguments, or not real numbers.
        ShapeError
            Shapes that do not fit the declaration or do not broadcast, or an unfit ``out``.
        """
        plain = out is threads is reduce is progress is None and not named
        if plain and len(args) == self._n_fast and _NUMBERS(map(type, args)):
            results = self._sweep_numbers(args, False, self._output_items)
            if results is not None:
                return results if self._results is None else _tuple(self._results, results)
        if hold_expressions(args) or hold_expressions(named.values()):
            if not out is threads is reduce is progress is None:
                raise ArgumentError(
                    f"{self.label} of expressions is recorded: it takes no out, threads, reduce or progress"
                )
            return self._in_form(self._recorded(args, named))
        summed = is_sum(reduce, out, self.label)
        arrays, batch = self.signature.bind(args, named)
        return self._in_form(self._evaluate(arrays, batch, out, threads, summed, progress))

    def value_and_grad(self, /, *args, wrt=None, out=None, threads=None, reduce=None, progress=None, **named):
        """Evaluate the scalar output and its gradient in one forward and one reverse sweep.

        Parameters
        ----------
        *args, **named : float or array_like
            As for a call.
        wrt : str or Expr, or sequence of them, optional
            The arguments to differentiate by, by name or as the graph declared them; the default is every input and no
            parameter.
        out : tuple, optional
            ``(value, gradient)``: arrays to write to, in the form in which they are returned.
        threads, progress : optional
            As for a call.
        reduce : "sum", optional
            Give the sums over the batch of the value and of the gradient: the value and gradient of a sum over data
            rows. As for a call; the gradient by an argument has the argument's declared shape.

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
        >>> y, dy = f.value_and_grad(3.0, [0.5, 1.0, 2.0], reduce="sum")
        >>> float(y), float(dy)
        (31.5, 21.0)
        """
        plain = wrt is out is threads is reduce is progress is None and not named
        if plain and len(args) == self._n_fast and self._gradient_items is not None and _NUMBERS(map(type, args)):
            results = self._sweep_numbers(args, True, self._gradient_items)
            if results is not None:
                return results if self._gradients is None else (results[0], _tuple(self._gradients, results[1:]))
        self.signature.need_scalar_output("value_and_grad")
        summed = is_sum(reduce, out, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind(args, named)
        (value,), gradient = self._derive(arrays, batch, None, positions, kind, out, threads, summed, progress)
        return value, gradient

    def grad(self, /, *args, wrt=None, threads=None, reduce=None, progress=None, **named):
        """The gradient alone; see :meth:`value_and_grad`."""
        return self.value_and_grad(*args, wrt=wrt, threads=threads, reduce=reduce, progress=progress, **named)[1]

    def vjp(self, args, cotangents, /, *, wrt=None, out=None, threads=None, reduce=None, progress=None):
        """Evaluate the outputs and the product of cotangents with the Jacobian, in one sweep each way.

        Parameters
        ----------
        args : tuple or mapping
            The arguments, in order or by name; shapes as for a call.
        cotangents : float or array_like, or tuple or mapping of them for several outputs
            The weight of each output, of shape ``batch + output.shape``; broadcasts with the arguments.
        wrt, threads, reduce, progress
            As for :meth:`value_and_grad`.
        out : tuple, optional
            ``(outputs, input_cotangents)``: arrays to write to, in the form in which they are returned.

        Returns
        -------
        outputs : numpy.float64, ndarray, or named tuple of them for several outputs
        input_cotangents : numpy.float64, ndarray, or named tuple of them for several arguments
            Per argument, of shape ``batch + argument.shape``.

        Raises
        ------
        ArgumentError, ShapeError
            As for a call.

        Examples
        --------
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(x * x, name="squares")
        >>> f = graph.compile()
        >>> f.vjp(([1.0, 2.0],), [1.0, 10.0])
        (array([1., 4.]), array([ 2., 40.]))
        """
        summed = is_sum(reduce, out, self.label)
        positions, kind = self.signature.wrt(wrt)
        arrays, batch = self.signature.bind_packed(args)
        seeds, batch = self.signature.bind_cotangents(cotangents, batch)
        results, gradient = self._derive(arrays, batch, seeds, positions, kind, out, threads, summed, progress)
        return self._in_form(results), gradient

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

    def _evaluate(self, arrays, batch, out, threads, summed, progress, names=None):
        """The outputs as a list; errors about ``out`` call them by ``names``."""
        few = self._few(arrays, batch, None, threads) if out is progress is None and not summed else None
        if few is not None or summed:
            return (few or self._sum(arrays, batch, None, None, threads, progress))[0]
        place = self._place(batch, out, names or [output.name for output in self.outputs], arrays)
        self._sweep(arrays, batch, place.targets, None, None, threads, progress)
        return place.finish()

    def _place(self, batch, out, names, arrays):
        """Where the outputs go; errors about ``out`` call them by ``names``."""
        shapes = [batch + output.shape for output in self.outputs]
        return Results(shapes, self.dtype, len(batch), out, names, self.label, arrays)

    def _derive(self, arrays, batch, seeds, positions, kind, out, threads, summed, progress):
        """Outputs, as a list, and the gradient in the form of ``kind``."""
        few = self._few(arrays, batch, positions, threads) if out is seeds is progress is None and not summed else None
        if few is not None or summed:
            results, gradients = few or self._sum(arrays, batch, positions, seeds, threads, progress)
            return results, gradients[0] if kind is None else kind._make(gradients)
        names = [o.name for o in self.outputs] + [f"the gradient by {self.arguments[k].name}" for k in positions]
        shapes = [batch + o.shape for o in self.outputs] + [batch + self.arguments[k].shape for k in positions]
        place = Results(
            shapes, self.dtype, len(batch), self._joined(out, kind), names, self.label, [*arrays, *(seeds or ())]
        )
        m = len(self.outputs)
        gradients = dict(zip(positions, place.targets[m:], strict=True))
        self._sweep(arrays, batch, place.targets[:m], gradients, seeds, threads, progress)
        results = place.finish()
        return results[:m], results[m] if kind is None else kind._make(results[m:])

    def _few(self, arrays, batch, positions, threads):
        """Outputs and, for ``positions``, gradients of a few sets through a ready workspace; None if it cannot be."""
        sets = math.prod(batch)
        if self.dtype != np.float64 or any(array.dtype != np.float64 for array in arrays):
            return None
        if batch == ():
            return self._one(arrays, positions, threads)
        if positions is not None and not set(positions).issubset(self.signature.differentiable):
            return None
        wanted = None if positions is None else self.flat.leaf_is_input
        found = self.sweeper.few(sets, wanted, self._varying_leaves(arrays))
        if found is None:
            return None
        if threads is not None:
            check_threads(threads)
        few, give_back = found
        for array, argument, end in zip(arrays, self.arguments, self._ends, strict=True):
            if argument.shape == () and len(batch) == 1:
                few.inputs[end - 1, :sets] = array
            else:
                filled = np.broadcast_to(array, batch + argument.shape).reshape(sets, -1)
                few.inputs[end - argument.size : end, :sets] = filled.T
        few.sweep(0, sets)
        m = self.flat.m
        rows = few.results[:, :sets].copy() if positions is not None else few.results[:m, :sets].copy()
        give_back(few)
        results, gradients = _columns(rows[:m], self.outputs, batch), None
        if positions is not None:
            gradients = _columns(rows[m:], self.arguments, batch)
            gradients = [gradients[k] for k in positions]
        return results, gradients

    def _varying_leaves(self, arrays):
        """Which leaves have a batch, bool (n_leaves,), or None where all do."""
        key = tuple([array.ndim > len(a.shape) for array, a in zip(arrays, self.arguments, strict=True)])
        if all(key):
            return None
        if key not in self._varying:
            self._varying[key] = np.repeat(key, [a.size for a in self.arguments])
        return self._varying[key]

    def _one(self, arrays, positions, threads):
        """As ``_few``, of one set."""
        if threads is not None:
            check_threads(threads)
        with_gradient = positions is not None
        single = self.sweeper.single(with_gradient)
        for array, argument, end in zip(arrays, self.arguments, self._ends, strict=True):
            single.inputs[end - argument.size : end] = array.ravel()
        self._run(single.address)
        results, m = single.results.copy(), len(self.program.outputs)
        self.sweeper.idle_singles[with_gradient].append(single)
        if not with_gradient:
            return _shaped(results[:m], self.outputs), None
        gradients = _shaped(results[m:], self.arguments)
        return _shaped(results[:m], self.outputs), [gradients[k] for k in positions]

    def _joined(self, out, kind):
        """``(outputs, gradient)`` as one list of arrays; what does not fit is left for ``Results`` to refuse."""
        if not isinstance(out, tuple | list) or len(out) != 2:
            return out if out is None or not isinstance(out, np.ndarray) else [out]
        outputs, gradient = out
        outputs = [outputs] if self._results is None or not isinstance(outputs, tuple | list) else outputs
        return [*outputs, *([gradient] if kind is None or not isinstance(gradient, tuple | list) else gradient)]

    def _tables(self, arrays, batch, seeds, one_by_one):
        """Tables of the leaves and of the cotangents."""
        if one_by_one:
            arrays, seeds = (None if given is None else [as_doubles(a) for a in given] for given in (arrays, seeds))
        pairs = [(array, a.shape) for array, a in zip(arrays, self.arguments, strict=True)]
        leaves = addresses_of(pairs, batch, any_axes=not one_by_one)
        if seeds is not None:
            seeds = addresses_of([(array, o.shape) for array, o in zip(seeds, self.outputs, strict=True)], batch)
        return leaves, seeds

    def _sweep(self, arrays, batch, results, gradients, seeds, threads, progress):
        """Sweep ``arrays`` over ``batch`` into ``results`` and, by argument position, ``gradients``."""
        sets = math.prod(batch)
        leaves, seeds = self._tables(arrays, batch, seeds, self.sweeper.one_by_one(sets, gradients is not None))
        outputs = addresses_of([(r, o.shape) for r, o in zip(results, self.outputs, strict=True)], batch)
        wanted = None
        if gradients is not None:
            wanted = addresses_of([(gradients.get(k), a.shape) for k, a in enumerate(self.arguments)], batch)
        self.sweeper.sweep(sets, leaves, outputs, wanted, threads, seeds, progress)

    def _sum(self, arrays, batch, positions, seeds, threads, progress):
        """Sums over the batch: outputs and, for ``positions``, gradients, as lists."""
        leaves, seeds = self._tables(arrays, batch, seeds, False)
        wanted = None
        if positions is not None:
            wanted = np.repeat([k in positions for k in range(len(self.arguments))], [a.size for a in self.arguments])
        totals, gradient = self.sweeper.sum(math.prod(batch), leaves, wanted, threads, seeds, progress)
        results = _shaped(totals, self.outputs)
        if positions is None:
            return results, None
        in_order = sorted(positions)
        gradients = dict(zip(in_order, _shaped(gradient, [self.arguments[k] for k in in_order]), strict=True))
        return results, [gradients[k] for k in positions]

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
        return saving.reduced(self)


def _columns(rows, declared, batch):
    """Rows of scalars over a batch as one array per declared shape; they may share one memory."""
    arrays, start = [], 0
    for item in declared:
        if item.shape == () and len(batch) == 1:
            arrays.append(rows[start])
        else:
            part = rows[start : start + item.size].T.reshape(batch + item.shape)
            arrays.append(scalar(np.ascontiguousarray(part) if part.ndim else part))
        start += item.size
    return arrays


def _shaped(numbers, declared):
    """One flat array of all scalars as arrays of the declared shapes."""
    arrays, start = [], 0
    for item in declared:
        arrays.append(scalar(numbers[start : start + item.size].reshape(item.shape)))
        start += item.size
    return arrays
