"""Embedded: how a Function is handed to compiled code, the user's own, C's and SciPy's.

In: a Function. Out: handles, addresses and callables, made by ``embedding`` and ``c_interface`` when asked for.
"""


class Embedded:
    """Base of :class:`Function`."""

    @property
    def numba(self):
        """A new :class:`fastgraph.embedding.Handle`, by which ``@njit`` code calls this function.

        Examples
        --------
        >>> import numpy as np
        >>> from numba import njit
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x = graph.input("x", shape=2)
        >>> graph.output(x[0] * x[1])
        >>> twice = njit(lambda h, x: 2.0 * h.value(x))
        >>> twice(graph.compile().numba, np.array([3.0, 4.0]))
        24.0
        """
        from fastgraph.embedding import Handle

        return Handle(self)

    @property
    def ctypes(self):
        """A ctypes pointer to the block by which C code calls this function, as ``python -m fastgraph header`` says.

        There is one, that lives as long as the function and serves one thread at a time. A handle of :attr:`numba`
        has such a block of its own, with parameters bound, more methods prepared, and clones for threads.

        Raises
        ------
        ArgumentError
            If the function computes in float32.

        Examples
        --------
        >>> import ctypes
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> a, b = graph.inputs("a", "b")
        >>> graph.output(a * b)
        >>> f = graph.compile()
        >>> block, x, y = f.ctypes, (ctypes.c_double * 2)(3.0, 4.0), ctypes.c_double()
        >>> block.contents.value(block, x, ctypes.byref(y)), y.value
        (0, 12.0)
        """
        return self._c_handle.ctypes

    @property
    def address(self):
        """The address of the block that :attr:`ctypes` points to, an int."""
        return self._c_handle.address

    @property
    def _c_handle(self):
        return self._made("c_handle", lambda: self.numba)

    def lowlevel(self, kind, /, **parameters):
        """A ``scipy.LowLevelCallable``: SciPy calls the function without the interpreter.

        It keeps what it needs alive, serves one thread at a time, and never raises. Where it cannot compute the result
        is NaN, and ``callable.user_data.handle.status`` says why.

        Parameters
        ----------
        kind : str
            Which of SciPy's functions is to call it:

            - ``"quad"``: the first input is the variable of ``integrate.quad``, the others are its ``args``;
            - ``"nquad"``: the inputs are the variables in ``nquad``'s order, then its ``args``; for ``dblquad`` and
              ``tplquad``, too;
            - ``"generic_filter"``: the inputs are the elements of the window in C order;
            - ``"generic_filter1d"``: the inputs are ``filter_size`` neighbours, as a window moves along the line;
            - ``"geometric_transform"``: coordinates of the output to those of the input.
        **parameters : float or array_like
            Values of all parameters, each of its declared shape.

        Returns
        -------
        scipy.LowLevelCallable

        Raises
        ------
        ArgumentError
            For another kind, several outputs where one is wanted, an unknown or missing parameter, a float32 function.
        ImportError
            Without SciPy.

        Examples
        --------
        >>> from scipy.integrate import quad
        >>> import fastgraph as fg
        >>> graph = fg.Graph()
        >>> x, k = graph.input("x"), graph.parameter("k")
        >>> graph.output(fg.exp(-k * x * x))
        >>> value, _ = quad(graph.compile().lowlevel("quad", k=1.0), -10.0, 10.0)
        >>> round(value**2, 12)  # pi
        3.14159265359
        """
        from fastgraph.c_interface import check_kind, low_level
        from fastgraph.embedding import Handle

        check_kind(self, kind)
        handle = Handle(self, ("value",))
        return low_level(handle.bind(**parameters) if parameters or self.flat.parameters else handle, kind)
