"""Layout: arrays as the kernels see them, an address, a stride and a kind per scalar.

In: what a user passed. Out: arrays and :class:`Table` s of addresses, without a copy where the layout allows.
"""

import math
from functools import lru_cache

import numpy as np

from fastgraph.engine.moves import KIND
from fastgraph.engine.workspace import Layout, Table, address_of, kind_of
from fastgraph.errors import ArgumentError, ShapeError

_DOUBLE = np.dtype(np.float64)
MAX_AXES = 32  # NumPy's limit for arrays that broadcast
MAX_SETS = 1 << 44  # no result of so many fits in memory, and NumPy's own errors name no argument


def batch_array(value, name, shape, label):
    """``value`` as an array of real numbers, and its batch shape, the axes before the declared ``shape``."""
    if type(value) is np.ndarray and value.dtype == _DOUBLE:  # as below, without the rest of the questions
        n = value.ndim - len(shape)
        if n >= 0 and value.shape[n:] == shape:
            return value, value.shape[:n]
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ArgumentError(f"{label} got a masked array for {name}: fill or drop the masked values first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{label} got {type(value).__name__} for {name}, which is no array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise ArgumentError(
            f"{label} got {name} of type {_kind(value, array)}: expected real numbers, a float or a float64 array"
        )
    n = array.ndim - len(shape)
    if n < 0 or array.shape[n:] != shape:
        what = f"its last axes must be {shape}" if len(shape) > 1 else f"its last axis must be {math.prod(shape)}"
        declared = f"{name} was declared with shape {shape}"
        raise ShapeError(f"{label} got {name} with shape {array.shape}: {what} ({declared})")
    if kind_of(array.dtype) is None:  # half and extended precision, foreign byte order: the kernels do not read them
        native = array.dtype.newbyteorder("=")
        with np.errstate(all="ignore"):
            array = array.astype(np.float64 if kind_of(native) is None else native)
    return array, array.shape[:n]


def as_doubles(array):
    """The array as the sweep of one set at a time reads it."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return np.require(array, np.float64, "A")


def _kind(value, array):
    if array.dtype.kind == "O":
        first = next((v for v in array.flat if not isinstance(v, int)), array.flat[0] if array.size else value)
        if isinstance(first, int) and any(not -(2**63) <= v < 2**64 for v in array.flat):
            return "int, too large for a float64"
        return f"{type(first).__name__}" if array.shape == () else f"object array of {type(first).__name__}"
    return str(array.dtype)


def common_batch(names, batches, label):
    """The shape that batch shapes broadcast to."""
    different = {own for own in batches if own}
    if not different:
        return ()
    if len(different) == 1:
        (batch,) = different
        if len(batch) <= MAX_AXES and math.prod(batch) <= MAX_SETS:
            return batch
    fault = f"broadcast to more than {MAX_SETS} sets: pass parts of them"
    try:
        batch = np.broadcast_shapes(*batches)
        if math.prod(batch) <= MAX_SETS:
            return batch
    except ValueError as error:
        if "too large" not in str(error):
            fault = "do not broadcast together"
    except RuntimeError:  # NumPy's, where there are more than 32 axes
        fault = "have too many axes: reshape them"
    listing = ", ".join(f"{name} {batch}" for name, batch in zip(names, batches, strict=True) if batch)
    raise ShapeError(f"{label}: the batch shapes {listing} {fault}")


def addresses_of(pairs, batch, any_axes=False):
    """The :class:`Table` of the scalars of ``(array of shape batch' + shape, shape)`` pairs, broadcast to ``batch``.

    ``None`` for an array gives addresses 0, which says that nobody wants these results. A stride of 0 says that the
    scalar is the same for every set. Arrays whose batch axes have no common stride are copied, unless the table may
    have ``any_axes``; results are made by :class:`Results`, so that theirs have.
    """
    kinds = [(shape, None if array is None else (array.shape, array.strides, array.dtype)) for array, shape in pairs]
    found = _layout(batch, tuple(kinds), any_axes)
    if found is None:
        pairs = [(array if array is None else _regular(array, batch, shape), shape) for array, shape in pairs]
        return addresses_of(pairs, batch)
    layout, relative, of_array = found
    addresses = np.array([0 if array is None else address_of(array) for array, _ in pairs], np.int64)[of_array]
    addresses += relative
    return Table(addresses, layout, [array for array, _ in pairs])


def _regular(array, batch, shape):
    """The array, or a copy that has a common stride over the batch."""
    spread = np.broadcast_to(array, batch + shape, subok=False)
    return np.ascontiguousarray(spread) if batch_stride(spread.shape, spread.strides, len(batch)) is None else array


@lru_cache(maxsize=256)
def _layout(batch, kinds, any_axes):
    """A :class:`Layout`, the bytes from the first scalar of an array to each, and the number of its array.

    None where the arrays have no common stride but need one. Calls repeat their layouts, and this costs as much as all
    the rest of binding arguments.
    """
    strides_of = [() if kind is None else _broadcast_strides(kind[0], kind[1], batch + shape) for shape, kind in kinds]
    axes = _axes(batch, [strides[: len(batch)] for strides in strides_of if strides])
    if len(axes) > 1 and not any_axes:
        return None
    dims = tuple(size for size, _ in axes[:-1])
    sizes = [math.prod(shape) for shape, _ in kinds]
    relative = np.zeros(sum(sizes), np.int64)
    columns = np.zeros((2 + len(dims), len(relative)), np.int64)
    start = 0
    for (shape, kind), strides, size in zip(kinds, strides_of, sizes, strict=True):
        stop = start + size
        if kind is not None:
            relative[start:stop] = _offsets(shape, strides[len(batch) :])
            columns[1, start:stop] = KIND[kind[2]]
            if axes:
                *outer, columns[0, start:stop] = (strides[axis] for _, axis in axes)
                for row, stride in enumerate(outer):
                    columns[2 + row, start:stop] = stride
        start = stop
    of_array = np.repeat(np.arange(len(sizes)), sizes)
    return Layout(columns, dims, axes[-1][0] if dims else 0), relative, of_array


def _axes(batch, strides_of):
    """The fewest axes the batch can be walked by, the outermost first: the size of each, and the axis of its stride."""
    if 0 in batch:
        return []
    axes = []
    for axis, size in enumerate(batch):
        if size == 1:
            continue
        if axes and all(s[axes[-1][1]] == size * s[axis] for s in strides_of):
            axes[-1] = axes[-1][0] * size, axis
        else:
            axes.append((size, axis))
    return axes


def _broadcast_strides(given, strides, shape):
    strides = (0,) * (len(shape) - len(given)) + strides
    given = (1,) * (len(shape) - len(given)) + given
    return tuple(0 if n == 1 and m != 1 else stride for n, m, stride in zip(given, shape, strides, strict=True))


def _offsets(shape, strides):
    """Bytes from the first scalar to each, in C order."""
    offsets = np.zeros(1, np.int64)
    for size, stride in zip(shape, strides, strict=True):
        offsets = (offsets[:, None] + stride * np.arange(size)).ravel()
    return offsets


def batch_stride(shape, strides, n_axes):
    """Bytes from one set to the next over the first ``n_axes`` axes in C order, or None if they have no one stride."""
    if 0 in shape:
        return 0
    step = None
    expected = 0
    for size, stride in zip(reversed(shape[:n_axes]), reversed(strides[:n_axes]), strict=True):
        if size == 1:
            continue
        if step is None:
            step = stride
        elif stride != expected:
            return None
        expected = stride * size
    return 0 if step is None else step


class Results:
    """Arrays to write results to, and the arrays to hand to the user.

    Without ``out`` they are new. An ``out`` that overlaps an input or another ``out``, or has no single stride over
    its ``n_axes`` batch axes, is written by a copy when all is done.
    """

    def __init__(self, shapes, dtype, n_axes, out=None, names=(), label="", inputs=()):
        if out is None:
            self.targets = self.given = [np.empty(shape, dtype) for shape in shapes]
            self._copies = ()
            return
        given = [out] if isinstance(out, np.ndarray) else list(out) if isinstance(out, tuple | list) else None
        if given is None or len(given) != len(shapes):
            wanted = f"one {dtype} array per result ({', '.join(names)})"
            what = type(out).__name__ if given is None else f"{len(given)} of them"
            raise ArgumentError(f"{label}: out must be {wanted}, not {what}")
        self.given, self.targets, self._copies = given, [], []
        for k, (array, shape, name) in enumerate(zip(given, shapes, names, strict=True)):
            _check_out(array, shape, dtype, name, label)
            others = [*inputs, *given[:k], *given[k + 1 :]]
            if batch_stride(array.shape, array.strides, n_axes) is None or any(
                _overlap(array, other) for other in others
            ):
                self.targets.append(np.empty(shape, dtype))
                self._copies.append((array, self.targets[-1]))
            else:
                self.targets.append(array)

    def finish(self):
        """Write what could not be written in place; the arrays for the user, NumPy scalars for 0-d ones."""
        for array, written in self._copies:
            array[...] = written
        return [scalar(array) for array in self.given]


def scalar(array):
    """A 0-d array as the NumPy scalar it holds."""
    return array[()] if array.shape == () else array


def _overlap(a, b):
    """Whether two arrays share a byte; True where that is hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # columns of one table do not: a copy would be as large as they
    except np.exceptions.TooHardError:
        return True


def _check_out(array, shape, dtype, name, label):
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray) or array.dtype != dtype:
        what = f"{type(array).__name__} of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ArgumentError(f"{label}: out for {name} must be a {dtype} array, not {what}")
    if array.shape != shape:
        raise ShapeError(f"{label}: out for {name} has shape {array.shape}, but the result has shape {shape}")
    if not array.flags.writeable or not array.flags.aligned:
        raise ArgumentError(f"{label}: out for {name} must be writeable and aligned: pass a fresh np.empty({shape})")
