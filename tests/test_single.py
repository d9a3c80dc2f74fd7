"""The variants for binary32: within 1 ulp of the functions of binary64 over all numbers, with one set of bits."""

import inspect

import numpy as np
import pytest

from fastgraph.reference import NumPyMachine
from fastgraph.vecmath import FUNCTIONS, SINGLE
from tests.bits import assert_same_bits
from tests.lanes_harness import compile_rules

UNARY = [name for name, function in SINGLE.items() if len(inspect.signature(function).parameters) == 2]
CHUNK = 1 << 20


@pytest.fixture(scope="module")
def compiled():
    """The variants at two widths, and the functions of binary64: name -> function of arrays."""
    rules = {
        name: (lambda m, *lanes, name=name: getattr(m, name)(*lanes), len(inspect.signature(f).parameters) - 1)
        for name, f in SINGLE.items()
    }
    return {
        1: compile_rules(rules, 1, np.float32),
        16: compile_rules(rules, 16, np.float32),
        "double": compile_rules(rules, 8),
    }


def errors(got, exact):
    """Errors of float32 ``got`` in its ulps; inf where it is not finite but should be, or a zero has the wrong sign."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
        unit = np.ldexp(1.0, np.maximum(np.frexp(np.where(np.isfinite(exact), exact, 1.0))[1] - 24, -149))
        off = np.abs(got.astype(np.float64) - exact) / unit
    same = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
    off = np.where(np.isfinite(got) & np.isfinite(nearest), off, np.where(same, 0.0, np.inf))
    return np.where((got == 0.0) & (nearest == 0.0) & (np.signbit(got) != np.signbit(nearest)), np.inf, off)


def worst_error(name, stride, compiled):
    """The largest error over every ``stride``-th float32, the starts of chunks shifted, and where it is."""
    worst, at = 0.0, None
    for k, start in enumerate(range(0, 1 << 32, CHUNK * stride)):
        bits = np.arange(start + k % stride, min(start + CHUNK * stride, 1 << 32), stride, dtype=np.uint64)
        x = bits.astype(np.uint32).view(np.float32)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            off = errors(compiled[16][name](x), compiled["double"][name](x.astype(np.float64)))
        if off.max() > worst:
            worst, at = off.max(), x[off.argmax()]
    return worst, at


def test_every_variant_is_of_a_function_that_is_not_inline():
    assert all(name in FUNCTIONS and not FUNCTIONS[name].inline for name in SINGLE)


@pytest.mark.parametrize("name", UNARY)
def test_within_an_ulp_over_four_million_numbers(name, compiled):
    worst, at = worst_error(name, 1051, compiled)
    assert worst < 1.0, at


@pytest.mark.long
@pytest.mark.parametrize("name", UNARY)
def test_within_an_ulp_over_all_numbers(name, compiled):
    worst, at = worst_error(name, 1, compiled)
    assert worst < 1.0, at


def pow_arguments(rng, count):
    """A third ordinary, a third of any size whose power is mostly normal, a third with x near 1 and any y."""
    x = [
        rng.uniform(0.0, 30.0, count),
        np.exp2(rng.uniform(-149.0, 128.0, count)),
        1.0 + rng.normal(size=count) / 4096.0,
    ]
    y = [rng.normal(scale=9.0, size=count), rng.uniform(-130.0, 130.0, count) / np.log2(x[1])]
    y += [rng.uniform(-90.0, 90.0, count) / np.log(x[2])]
    return np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.float32)


def worst_power(seed, compiled):
    x, y = pow_arguments(np.random.default_rng(seed), 1 << 20)
    return errors(
        compiled[16]["pow"](x, y), compiled["double"]["pow"](x.astype(np.float64), y.astype(np.float64))
    ).max()


def test_pow_within_an_ulp_over_ten_million_pairs(compiled):
    assert max(worst_power(seed, compiled) for seed in range(4)) < 0.55


@pytest.mark.long
def test_pow_within_an_ulp_over_a_billion_pairs(compiled):
    assert max(worst_power(seed, compiled) for seed in range(4, 350)) < 0.55


def test_logaddexp_within_an_ulp_of_its_operands(compiled):
    """Its error is in ulps of the result, or of the larger operand where the two cancel."""
    rng = np.random.default_rng(0)
    x = rng.normal(scale=20.0, size=1 << 20).astype(np.float32)
    y = np.where(rng.random(x.size) < 0.5, x + rng.normal(size=x.size), rng.normal(scale=20.0, size=x.size))
    y[::3] = np.log(-np.expm1(np.minimum(x[::3], -1e-3)))  # where the result is about 0
    y = y.astype(np.float32)
    exact = compiled["double"]["logaddexp"](x.astype(np.float64), y.astype(np.float64))
    unit = np.spacing(np.maximum(np.abs(exact), np.abs(np.maximum(x, y))).astype(np.float32))
    off = np.abs(compiled[16]["logaddexp"](x, y).astype(np.float64) - exact)
    assert np.all((errors(compiled[16]["logaddexp"](x, y), exact) < 0.55) | (off < 0.55 * unit))


@pytest.mark.parametrize("name", SINGLE)
def test_one_set_of_bits(name, compiled):
    """On any 32 bits at all, every width and the NumPy machine agree; 96 at a time, so that few lanes are rare."""
    arity = len(inspect.signature(SINGLE[name]).parameters) - 1
    rng = np.random.default_rng(len(name))
    lanes = [rng.integers(0, 1 << 32, 960, dtype=np.uint32).view(np.float32) for _ in range(arity)]
    lanes = [np.concatenate([rng.normal(scale=3.0, size=960).astype(np.float32), x]) for x in lanes]
    with np.errstate(all="ignore"):
        expected = getattr(NumPyMachine(np.float32), name)(*lanes)
        for width in (1, 16):
            assert_same_bits(compiled[width][name](*lanes), expected, f"width {width}")


def test_an_error_over_an_ulp_is_seen():
    x = np.array([1.0, -3.0, 0.0], np.float32)
    assert errors(x, x.astype(np.float64)).max() == 0.0
    assert errors(x, x * (1.0 + 2.0**-22)).max() > 1.0
    assert errors(-x, -0.0 * x)[2] == 0.0 and errors(-x, 0.0 * x)[2] == np.inf
