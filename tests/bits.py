"""Bit equality: float64 or float32 arrays as integers, every NaN the same."""

import numpy as np


def bits(array):
    """The bits of a float array as integers; -1, the bits of no number, where it is NaN."""
    single = getattr(array, "dtype", None) == np.float32
    array = np.ascontiguousarray(array, dtype=np.float32 if single else np.float64)
    return np.where(np.isnan(array), -1, array.view(np.int32 if single else np.int64))


def same_bits(got, expected):
    """Whether two arrays have one shape, one precision and the same bits; NaN equals NaN."""
    a, b = bits(got), bits(expected)
    return a.dtype == b.dtype and np.shape(got) == np.shape(expected) and np.array_equal(a, b)


def assert_same_bits(got, expected, label=""):
    """Fail with the first places where bits differ."""
    assert np.shape(got) == np.shape(expected), (label, np.shape(got), np.shape(expected))
    assert bits(got).dtype == bits(expected).dtype, (label, "precision")
    wrong = np.argwhere(bits(got) != bits(expected))
    first = [(tuple(at), float(np.asarray(got)[tuple(at)]), float(np.asarray(expected)[tuple(at)])) for at in wrong[:3]]
    assert not len(wrong), f"{label}: {len(wrong)} differ, the first (at, got, expected): {first}"
