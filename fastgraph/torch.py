"""PyTorch: a Function as one of PyTorch's own, differentiated to any order by autograd and by ``torch.func``.

In: a Function. Out: a callable of tensors. Its sweeps (``sweeps``) are one ``torch.autograd.Function``, with the rules
by which PyTorch differentiates and maps it; each is one call, on NumPy's views of the tensors.
"""

import inspect
from functools import cache, reduce

import numpy as np

from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.extras import need
from fastgraph.layout import batch_array, common_batch
from fastgraph.sweeps import Map, Pull, Values, aligned, own_batch

_USER = "fg.torch.wrap"


def wrap(f):
    """Make a Function callable from PyTorch.

    Parameters
    ----------
    f : Function
        Of any number of inputs, parameters and outputs.

    Returns
    -------
    Wrapped
        Takes the arguments of ``f`` in order or by name, each of shape ``batch + declared shape`` with batches that
        broadcast, as ``f`` does; returns a tensor, or a named tuple for several outputs. Works with autograd in both
        modes and under the transforms of ``torch.func``, to any order; inputs and parameters are differentiated alike.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ArgumentError
        If ``f`` is no compiled Function; by a call, for missing, surplus or unknown arguments, or not real numbers, or
        a tensor that is not on the CPU.
    ShapeError
        By a call, for shapes that do not fit the declaration or do not broadcast.

    Notes
    -----
    A batch, be it of axes or of ``torch.vmap``, is one sweep, with what is not mapped read where it is, and never
    repeated. A gradient by what a batch shares is summed in the sweep, in memory that does not grow with the batch.

    Tensors are read where they lie. Results have the widest floating type among the tensors, or the default type
    where there is none, but none wider than that of ``f``; numbers and arrays that are no tensors do not count. In
    between, ``f`` computes in its own precision. With float64 throughout, values and gradients are those of ``f`` to
    the bit.

    Examples
    --------
    >>> import fastgraph as fg
    >>> import torch
    >>> graph = fg.Graph()
    >>> x, k = graph.input("x", shape=2), graph.parameter("k")
    >>> graph.output(k * x[0] * x[1] ** 2)
    >>> g = fg.torch.wrap(graph.compile())
    >>> x = torch.tensor([3.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> (g(x, k=0.5) ** 2).backward()
    >>> x.grad.tolist()
    [24.0, 72.0]
    >>> torch.func.jacrev(torch.func.grad(g))(x.detach(), 0.5).tolist()
    [[0.0, 2.0], [2.0, 3.0]]
    >>> g(x, torch.arange(3.0)).tolist()
    [0.0, 12.0, 24.0]
    """
    return Wrapped(f)


@cache
def _torch():
    return need("torch", _USER)


class Wrapped:
    """A Function as PyTorch calls it; see :func:`wrap`.

    Attributes
    ----------
    function : Function
    """

    def __init__(self, function):
        _torch()
        self._values = Values(Map.of(function, _USER))
        self.function = function

    def __call__(self, /, *args, **named):
        compiler = need("torch", _USER).compiler
        if compiler.is_compiling():  # torch.compile would trace the sweeps themselves
            return compiler.disable(self._call)(args, named)
        return self._call(args, named)

    def _call(self, args, named):
        torch, f = _torch(), self.function
        given = f.signature.in_order(args, named)
        values = [_checked(value, a, f.label) for value, a in zip(given, f.arguments, strict=True)]
        shapes = tuple([tuple(value.shape) for value in values])
        if shapes != self._values.operands:
            common_batch(f.signature.positions, list(map(own_batch, shapes, self._values.operands)), f.label)
        kinds = {value.dtype for value in values if isinstance(value, torch.Tensor)}
        floating = [kind for kind in kinds if kind.is_floating_point]
        dtype = reduce(torch.promote_types, floating) if floating else torch.get_default_dtype()
        if f.dtype == np.float32 and dtype == torch.float64:
            dtype = torch.float32
        # What PyTorch has besides these, halves and quarters, NumPy has not.
        exchanged = torch.float64 if dtype == torch.float64 else torch.float32
        results = _apply(self._values, [_tensor(value, exchanged) for value in values], exchanged)
        return f._in_form([result.to(dtype) for result in results])

    def __reduce__(self):
        return wrap, (self.function,)

    def __repr__(self):
        return f"<fg.torch.wrap of {self.function!r}>"


def _checked(value, argument, label):
    """A tensor, or array for what is none, of real numbers whose last axes are the declared ones."""
    torch, name = _torch(), argument.name
    if not isinstance(value, torch.Tensor):
        if _holds_tensors(value, torch):
            raise ArgumentError(f"{label} got a {type(value).__name__} of tensors for {name}: make one by torch.stack")
        return batch_array(value, name, argument.shape, label)[0]
    if not value.is_cpu:
        raise ArgumentError(f"{label} got {name} on the device {value.device}, but computes on the CPU: {name}.cpu()")
    if value.layout is not torch.strided or value.is_complex() or value.is_quantized:
        raise ArgumentError(
            f"{label} got {name} of type {value.dtype}, {value.layout}: expected a dense tensor of real numbers"
        )
    shape = value.shape
    n = len(shape) - len(argument.shape)
    if n < 0 or shape[n:] != argument.shape:
        raise ShapeError(
            f"{label} got {name} with shape {tuple(shape)}: its last axes must be {argument.shape} "
            f"({name} was declared with shape {argument.shape})"
        )
    return value


def _holds_tensors(value, torch):
    return isinstance(value, list | tuple) and any(
        isinstance(v, torch.Tensor) or _holds_tensors(v, torch) for v in value
    )


def _tensor(value, dtype):
    torch = _torch()
    if not isinstance(value, torch.Tensor):
        value = torch.from_numpy(np.array(value, np.float64))  # a copy: an array may be read-only
    return value.to(dtype)


def _apply(sweep, operands, dtype):
    return _sweeping().apply(sweep, dtype, *operands)


@cache
def _sweeping():
    """The ``torch.autograd.Function`` that every sweep is, made at the first use of PyTorch.

    Its derivatives are sweeps again, so that there are all orders.
    """
    torch = _torch()
    types = {torch.float64: np.dtype(np.float64), torch.float32: np.dtype(np.float32)}

    class FastgraphSweep(torch.autograd.Function):
        @staticmethod
        def forward(sweep, dtype, *operands):
            try:
                arrays = [operand.numpy(force=True) for operand in operands]
            except RuntimeError as error:
                raise ArgumentError(
                    f"{_USER}: an operand of {sweep.map!r} holds no numbers ({error}). To map over derivatives, use "
                    "torch.vmap and torch.func, not is_grads_batched or vectorize=True"
                ) from error
            return tuple([torch.from_numpy(result) for result in sweep(arrays, types[dtype])])

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.sweep, ctx.dtype, *operands = inputs
            ctx.save_for_backward(*operands)
            ctx.save_for_forward(*operands)
            ctx.set_materialize_grads(False)

        @staticmethod
        def backward(ctx, *cotangents):
            operands, found = ctx.saved_tensors, {}
            if _given(cotangents):
                wanted = [k for k, is_needed in enumerate(ctx.needs_input_grad[2:]) if is_needed]
                rule = _pull_cotangents if isinstance(ctx.sweep, Pull) else _cotangents
                found = rule(ctx.sweep, operands, cotangents, wanted, ctx.dtype)
            return None, None, *(found.get(k) for k in range(len(operands)))

        @staticmethod
        def jvp(ctx, _sweep, _dtype, *tangents):
            rule = _pull_tangents if isinstance(ctx.sweep, Pull) else _tangents
            return rule(ctx.sweep, ctx.saved_tensors, tangents, ctx.dtype)

        @staticmethod
        def vmap(info, axes, sweep, dtype, *operands):
            mapped = [axis is not None for axis in axes[2:]]
            operands = [
                x.movedim(axis, 0) if new else x for x, axis, new in zip(operands, axes[2:], mapped, strict=True)
            ]
            shapes = aligned([tuple(x.shape) for x in operands], sweep.operands, mapped)
            results = _apply(sweep, [x.reshape(s) for x, s in zip(operands, shapes, strict=True)], dtype)
            return results, (0,) * len(results)

    # Looked up at every call; 10 to 20 microseconds where it must be made.
    FastgraphSweep.forward.__signature__ = inspect.signature(FastgraphSweep.forward)
    return FastgraphSweep


# -- rules ----------------------------------------------------------------------------------------------------------
def _cotangents(sweep, operands, cotangents, wanted, dtype):
    """Cotangents of the operands of values, by position."""
    there = _given(cotangents)
    return _pulled(sweep.map.only(there), tuple(wanted), [*operands, *(cotangents[k] for k in there)], dtype)


def _given(items):
    return tuple(k for k, item in enumerate(items) if item is not None)


def _pulled(of, by, operands, dtype):
    found = _apply(of.pull(by, tuple([tuple(x.shape) for x in operands])), operands, dtype)
    return {k: _fitted(result, operands[k].shape) for k, result in zip(by, found, strict=True)}


def _pull_cotangents(sweep, operands, given, wanted, dtype):
    """Cotangents of the operands of a pull: its arguments', then, in which it is linear, the cotangents'."""
    n, there = len(sweep.map.arguments), _given(given)
    along, by = sweep.map.along(tuple(sweep.by[k] for k in there)), tuple(k for k in wanted if k < n)
    arguments = [*operands[:n], *(given[k] for k in there)]
    found = _pulled(along, by, [*arguments, *operands[n:]], dtype) if by else {}
    if len(by) < len(wanted):
        results = _apply(Values(along), arguments, dtype)
        found |= {k: _fitted(results[k - n], operands[k].shape) for k in wanted if k >= n}
    return found


def _tangents(sweep, operands, tangents, dtype):
    moved = _given(tangents)
    return _apply(Values(sweep.map.along(moved)), [*operands, *(tangents[k] for k in moved)], dtype)


def _pull_tangents(sweep, operands, tangents, dtype):
    """The derivative of a pull: of its arguments, a pull of the derivative along them; in cotangents it is linear."""
    n, parts = len(sweep.map.arguments), []
    inner, outer = _given(tangents[:n]), _given(tangents[n:])
    if inner:
        along = sweep.map.along(inner).pulled(sweep.by, sweep.sums)
        parts.append(_apply(along, [*operands[:n], *(tangents[k] for k in inner), *operands[n:]], dtype))
    if outer:
        linear = sweep.map.only(outer).pulled(sweep.by, sweep.sums)
        parts.append(_apply(linear, [*operands[:n], *(tangents[n + k] for k in outer)], dtype))
    return tuple(sum(terms[1:], terms[0]) for terms in zip(*parts, strict=True))


def _fitted(x, shape):
    """``x`` summed over the axes that ``shape`` has not, and repeated along those that only it has."""
    return x if x.shape == shape else x.expand(_torch().broadcast_shapes(x.shape, shape)).sum_to_size(shape)
