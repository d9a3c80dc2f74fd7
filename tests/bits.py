"""Bit equality: float64 arrays as integers, every NaN the same."""

import numpy as np


def bits(array):
    """The bits of a float64 array as int64; -1, the bits of no number, where it is NaN."""
    array = np.ascontiguousarray(array, dtype=np.float64)
    return np.where(np.isnan(array), np.int64(-1), array.view(np.int64))


def same_bits(got, expected):
    """Whether two float64 arrays have one shape and the same bits; NaN equals NaN."""
    return np.shape(got) == np.shape(expected) and np.array_equal(bits(got), bits(expected))


def assert_same_bits(got, expected, label=""):
    """Fail with the first places where bits differ."""
    assert np.shape(got) == np.shape(expected), (label, np.shape(got), np.shape(expected))
    wrong = np.argwhere(bits(got) != bits(expected))
    first = [(tuple(at), float(np.asarray(got)[tuple(at)]), float(np.asarray(expected)[tuple(at)])) for at in wrong[:3]]
    assert not len(wrong), f"{label}: {len(wrong)} differ, the first (at, got, expected): {first}"
