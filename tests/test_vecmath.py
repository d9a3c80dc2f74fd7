"""Every elementary function has the same bits on lanes of any width and on the NumPy machine."""

import inspect
import itertools
import math

import numpy as np
import pytest

from fastgraph.ops import OPS
from fastgraph.reference import NumPyMachine
from fastgraph.vecmath import FUNCTIONS
from tests.lanes_harness import compile_rules, named

WIDTHS = (1, 8)
POSITIVE = (
    0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    math.pi,
    709.8,
    745.2,
    2.0**31,
    2.0**52 + 0.5,
    2.0**53,
    1e22,
    math.inf,
    math.nan,
)
EDGES = (5e-324, 2.225073858507201e-308, 2.2250738585072014e-308, 1.7976931348623157e308)
SPECIALS = [sign * value for value in (*POSITIVE, *EDGES) for sign in (1.0, -1.0)]


def arity_of(name):
    return len(inspect.signature(FUNCTIONS[name]).parameters) - 1


def of_lanes(name):
    """A function as a rule of lanes: a table among its arguments is the longest of its row's."""
    op = OPS.get(name)
    if op is None or not op.names:
        return lambda m, *lanes: getattr(m, name)(*lanes), arity_of(name)
    return lambda m, *lanes: getattr(m, name)(*lanes, named(m, op)), arity_of(name) - 1


def draw(rng, count):
    """Ordinary numbers, numbers of any size, and any 64 bits at all."""
    ordinary = rng.uniform(-1.0, 1.0, count) * 10.0 ** rng.integers(-3, 7, count)
    with np.errstate(over="ignore"):
        any_size = rng.choice([-1.0, 1.0], count) * np.exp2(rng.uniform(-1074.0, 1024.0, count))
    any_bits = rng.integers(-(2**63), 2**63, count).view(np.float64)
    return np.select([rng.random(count) < 0.5, rng.random(count) < 0.5], [ordinary, any_size], any_bits)


def arguments_of(name, count=1000):
    """Random arguments of a function, then all combinations of special ones; immediates are integers in range."""
    rng = np.random.default_rng(len(name))
    arity = of_lanes(name)[1]
    immediate = name in OPS and not OPS[name].names and OPS[name].immediate
    count = count // 5 if immediate else count  # these leave the range in which the NumPy machine's fma is fast
    columns = [draw(rng, count) for _ in range(arity)]
    if arity == 3:
        columns[2][::2] = (-columns[0] * columns[1] * (1.0 + rng.integers(-4, 5, count) * 2.0**-52))[::2]
    specials = [SPECIALS] * arity
    if immediate:
        low, high = immediate
        columns[-1] = np.where(
            rng.random(count) < 0.7, rng.integers(-9, 100, count), rng.integers(low, high + 1, count)
        )
        columns[-1] = np.clip(columns[-1], low, high).astype(np.float64)
        specials[-1] = [float(n) for n in (low, 0, 2, 3, high) if low <= n <= high]
    if arity == 3:
        specials = [SPECIALS[::2], SPECIALS[1::2], SPECIALS[::3]]
    combined = np.array(list(itertools.product(*specials))).T
    return [np.concatenate([drawn, special]) for drawn, special in zip(columns, combined, strict=True)]


def differences(arguments, **results):
    """Where results differ in any bit, all NaNs counted as one: printable rows, at most five."""
    bits = {who: np.where(np.isnan(r), 0x7FF8 << 48, r.view(np.int64)) for who, r in results.items()}
    first = next(iter(bits.values()))
    wrong = np.flatnonzero(np.any([b != first for b in bits.values()], axis=0))
    return [
        [float(a[k]).hex() for a in arguments] + [f"{who}: {float(r[k]).hex()}" for who, r in results.items()]
        for k in wrong[:5]
    ]


@pytest.fixture(scope="module")
def compiled():
    rules = {name: of_lanes(name) for name in FUNCTIONS}
    return {width: compile_rules(rules, width) for width in WIDTHS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_on_every_machine(name, compiled):
    arguments = arguments_of(name)
    with np.errstate(all="ignore"):
        reference = np.asarray(of_lanes(name)[0](NumPyMachine(), *arguments))
    lanes = {f"lanes{width}": compiled[width][name](*arguments) for width in WIDTHS}
    assert differences(arguments, reference=reference, **lanes) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_do_not_depend_on_the_neighbours(name, compiled):
    arguments = [a[:320] for a in arguments_of(name)]
    order = np.random.default_rng(1).permutation(320)
    together = compiled[8][name](*arguments)
    shuffled = np.empty(320)
    shuffled[order] = compiled[8][name](*(a[order] for a in arguments))
    assert differences(arguments, together=together, shuffled=shuffled) == []


def test_a_difference_in_the_last_bit_is_seen():
    ones = np.ones(3)
    assert differences([ones], one=ones, other=np.array([1.0, 1.0, np.nextafter(1.0, 2.0)])) != []
    assert differences([ones], one=0.0 * ones, other=-0.0 * ones) != []
