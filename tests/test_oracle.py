"""Every row of the op table against mpmath: values, special values, partial derivatives; and the checkers."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import mpmath
import numpy as np
import pytest

from fastgraph.ops import OPS, TABLE, contribution
from fastgraph.ops.__main__ import main
from fastgraph.ops.accuracy import arguments, bound, error, immediates_of, measure, specials_of, values
from fastgraph.ops.oracle import Oracle, Real, exact_partials, exact_value, spacing, ulps
from fastgraph.program import DTYPES
from fastgraph.reference import NumPyMachine
from tests.random_graphs import EVERY

INF, NAN = math.inf, math.nan
EVERY_OP = pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
# Whose partials are the derivatives of their values.
EVERY_TRUE_OP = pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
ONCE_AND_MORE = pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long)])


# -- values -------------------------------------------------------------------------------------------------


@ONCE_AND_MORE
@EVERY_DTYPE
@EVERY_OP
def test_value_is_within_the_bound_of_its_row(op, dtype, times):
    found = measure(op, points=times * (200 if dtype == np.float64 else 75), seed=1, dtype=dtype)
    assert found.within_bound, f"{found.worst} ulps at {found.where}"


@EVERY_DTYPE
@EVERY_OP
def test_special_values_and_signs_of_zero(op, dtype):
    wrong = []
    combinations = np.array(list(itertools.product(*specials_of(op, dtype))), dtype).T
    for lanes_of_n, immediates, operands in side_by_side(
        op, [(n, combinations) for n in immediates_of(op, dtype) or (None,)]
    ):
        found = values(op, operands, lanes_of_n)
        for got, n, args in zip(found.tolist(), immediates, operands.T.tolist(), strict=True):
            exact = exact_value(op, args, n)
            same_zero = got != 0.0 or math.copysign(1.0, got) == (-1.0 if exact.negative else 1.0)
            if not (error(op, args, n, got, exact, dtype) <= bound(op, dtype) and same_zero):
                wrong.append((args, n, got, exact))
    assert wrong == []


# Where fastgraph (and C99) deliberately differ from NumPy 2.
UNLIKE_NUMPY = {
    # NumPy gives NaN; C99 and Python's math.pow give inf, and 0 without a sign.
    "pow": [((-INF, 0.5), INF), ((-0.0, 0.5), 0.0)],
    # NumPy takes either zero; here -0 is below +0 in either order.
    "minimum": [((-0.0, 0.0), -0.0), ((0.0, -0.0), -0.0)],
    "maximum": [((-0.0, 0.0), 0.0), ((0.0, -0.0), 0.0)],
    "fmin": [((-0.0, 0.0), -0.0), ((0.0, -0.0), -0.0)],
    "fmax": [((-0.0, 0.0), 0.0), ((0.0, -0.0), 0.0)],
}
IN_NUMPY = [op for op in TABLE if hasattr(np, op.ufunc or op.name) and op.immediate is None and op.name != "where"]


@pytest.mark.parametrize("op", IN_NUMPY, ids=lambda op: op.name)
def test_oracle_and_numpy_agree_on_special_values(op):
    function, unlike = getattr(np, op.ufunc or op.name), UNLIKE_NUMPY.get(op.name, [])
    wrong = []
    for args in itertools.product(*op.domain.specials):
        exact = exact_value(op, args)
        with np.errstate(all="ignore"):
            expected = float(function(*map(np.float64, args)))
        for special, instead in unlike:
            if list(map(repr, special)) == list(map(repr, args)):
                expected = instead
        same_zero = expected != 0.0 or math.copysign(1.0, expected) == (-1.0 if exact.negative else 1.0)
        if not (ulps(expected, exact) <= 4.0 and same_zero):
            wrong.append((args, expected, exact))
    assert wrong == []


@pytest.mark.parametrize("y", [2.5, -2.5, 3e-5, INF, -INF])
@pytest.mark.parametrize("x", [7.5, -7.5, 6.0, -6.0, 0.0, -0.0, 1e300])
def test_mod_is_that_of_python(x, y):
    got = values(OPS["mod"], np.array([[x], [y]]))[0]
    assert float(got).hex() == (x % y).hex()


# -- partial derivatives ------------------------------------------------------------------------------------

# A partial may be wrong by this many times: its unit in the last place, plus what it moves by when an operand moves by
# half a unit (relative 2**-53), plus what it moves by with the rounding of a subnormal value, which rules may use. And
# by the smallest normal number in any case: an intermediate result may underflow. Values that overflow have no partials
# to speak of. In float32 the same holds with float32's numbers.
ALLOWANCE = 4
COARSE = ("pow", 1)  # its rule forms y - 1, so that a small y is rounded in units of 1
# The same rule forms x ** (y - 1), which overflows for a subnormal x and a small y although y times it does not.
OVERFLOWING = ("pow", 0)


def rule_partials(op, m, operands, n=None):
    """What the sweeps make of a rule for adjoint 1: a list with a value of the algebra an operand."""
    immediate = () if n is None else (n,)
    one = m.where(operands[0] == operands[0], 1.0, 1.0)
    partials = op.partials(m, op.apply(m, *operands, *immediate), *operands, *immediate)
    shares = [contribution(m, one, partial) for partial in partials]
    return [0.0 * one if share is None else share for share in shares]


def allowance(op, args, n, exact, k, dtype=np.float64):
    """How far partial ``k`` may be off, in ulps of ``exact``, its true value."""
    moved, kind = mpmath.mpf(0), np.finfo(dtype)
    smallest_normal = float(kind.tiny)
    with mpmath.workprec(200):
        for j, arg in enumerate(args):
            if arg == 0.0:
                continue
            for direction in (1, -1):
                size = max(abs(arg), 1.0) if (op.name, j) == COARSE else abs(arg)
                nearby = arg + direction * mpmath.ldexp(size, -1 - kind.nmant)
                there = exact_partials(op, [*args[:j], nearby, *args[j + 1 :]], n, dtype)[k]
                if there is not None:
                    moved += abs(there.value - exact.value)
                    break
        size = abs(exact_value(op, args, n).value)
        if 0 < size < smallest_normal:
            moved += abs(exact.value) * mpmath.ldexp(1, kind.minexp - kind.nmant - 1) / size
        return float(ALLOWANCE * (1 + moved / spacing(exact, dtype)) + smallest_normal / spacing(exact, dtype))


def side_by_side(op, blocks):
    """(immediate of all points, of each, operands) of blocks of points: the machine takes as long for all as for one.

    A table is that of all lanes.
    """
    for group in [[block] for block in blocks] if op.names else [list(blocks)]:
        immediates = [n for n, operands in group for _ in range(operands.shape[1])]
        n = None if op.immediate is None else group[0][0] if op.names else immediates
        yield n, immediates, np.concatenate([operands for _, operands in group], axis=1)


def wrong_partials(op, points, rule=None):
    """The checker: where partials of ``rule`` (or ``op``'s own) on NumPy are not the true ones, for given blocks."""
    wrong, checked = [], 0
    for lanes_of_n, immediates, operands in side_by_side(op, points):
        dtype = operands.dtype
        lanes_of_n = lanes_of_n if lanes_of_n is None or op.names else np.array(lanes_of_n, dtype)
        with np.errstate(all="ignore"):
            found = np.broadcast_arrays(*rule_partials(rule or op, NumPyMachine(dtype), list(operands), lanes_of_n))
        checked += _compare_partials(op, operands, immediates, found, dtype, wrong)
    assert checked
    return wrong


def _compare_partials(op, operands, immediates, found, dtype, wrong):
    """Add to ``wrong`` what is; how many were compared."""
    checked = 0
    for args, n, got in zip(operands.T.tolist(), immediates, np.transpose(found).tolist(), strict=True):
        for k, exact in enumerate(exact_partials(op, args, n, dtype)):
            subnormal = 0.0 < abs(args[k]) < np.finfo(dtype).tiny
            if exact is None or (subnormal and (op.name, k) == OVERFLOWING and math.isinf(got[k])):
                continue
            checked += 1
            off = ulps(got[k], exact, dtype=dtype)
            if off > ALLOWANCE and off > (allowed := allowance(op, args, n, exact, k, dtype)):
                wrong.append((args, n, k, got[k], float(exact), f"{off:.3g} ulps, {allowed:.3g} allowed"))
    return checked


def some_points(op, count, special=40, seed=0, dtype=np.float64):
    """``count`` random and some special points an op, shared by its immediates."""
    rng = np.random.default_rng(seed)
    blocks = arguments(op, count, seed, dtype)
    share = -(-count // len(blocks))
    for n, operands in blocks:
        chosen = rng.permutation(operands[:, share:], axis=1)[:, : -(-special // len(blocks))]
        yield n, np.concatenate([operands[:, :share], chosen], axis=1)


@ONCE_AND_MORE
@EVERY_DTYPE
@EVERY_TRUE_OP
def test_partials_are_the_derivatives_of_the_value(op, dtype, times):
    points = some_points(op, times * (30 if dtype == np.float64 else 13), times * 20, dtype=dtype)
    assert wrong_partials(op, points) == []


@EVERY_DTYPE
@pytest.mark.parametrize(
    ("name", "partials"),
    [
        ("tan", lambda m, r, x: (1.0 - r * r,)),
        ("sub", lambda m, r, x, y: (1, 1)),
        ("mul", lambda m, r, x, y: (x, y)),
        ("fma", lambda m, r, x, y, z: (y, x, 0)),
        ("log2", lambda m, r, x: (1.0 / x,)),
        ("atan2", lambda m, r, y, x: (x / (x * x + y * y), y / (x * x + y * y))),
        ("maximum", lambda m, r, x, y: (m.where(x > y, 0, 1), m.where(x > y, 1, 0))),
        # Right in exact arithmetic, and inaccurate:
        ("tanh", lambda m, r, x: (1.0 - r * r,)),
        ("log", lambda m, r, x: (m.exp(-r),)),
        ("hypot", lambda m, r, x, y: (x / m.sqrt(x * x + y * y), y / m.sqrt(x * x + y * y))),
        ("log1p", lambda m, r, x: (m.exp(-r),)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_rule_is_caught(name, partials, dtype):
    op = OPS[name]
    assert wrong_partials(op, some_points(op, 60, dtype=dtype), replace(op, partials=partials)) != []


@pytest.mark.parametrize("relative_error", [2.0**-51, -(2.0**-51)])
def test_a_wrong_value_is_caught(relative_error):
    op = replace(OPS["exp"], value=lambda m, x: m.exp(x) * (1.0 + relative_error))
    n, operands = arguments(op, 50)[0]
    errors = [
        error(op, args, n, got, exact_value(OPS["exp"], args, n))
        for got, args in zip(values(op, operands), operands.T.tolist(), strict=True)
    ]
    assert 1.0 < max(e for e in errors if e < INF) < 5.0


# The numerical contract: derivatives where there is none, or where rules could go wrong.
CONTRACT = [
    ("abs", (0.0,), None, (0.0,)),
    ("abs", (-0.0,), None, (0.0,)),
    ("sign", (0.0,), None, (0.0,)),
    ("floor", (2.0,), None, (0.0,)),
    ("ceil", (2.5,), None, (0.0,)),
    ("trunc", (-2.5,), None, (0.0,)),
    ("rint", (2.5,), None, (0.0,)),
    ("lt", (1.0, 1.0), None, (0.0, 0.0)),
    ("eq", (1.0, 1.0), None, (0.0, 0.0)),
    ("maximum", (2.0, 2.0), None, (0.5, 0.5)),
    ("minimum", (2.0, 2.0), None, (0.5, 0.5)),
    ("maximum", (0.0, -0.0), None, (0.5, 0.5)),
    ("maximum", (INF, INF), None, (0.5, 0.5)),
    ("maximum", (NAN, 1.0), None, (NAN, NAN)),
    ("minimum", (1.0, NAN), None, (NAN, NAN)),
    ("fmax", (NAN, 1.0), None, (0.0, 1.0)),
    ("fmax", (1.0, NAN), None, (1.0, 0.0)),
    ("fmin", (NAN, 1.0), None, (0.0, 1.0)),
    ("fmin", (1.0, NAN), None, (1.0, 0.0)),
    ("fmax", (3.0, 3.0), None, (0.5, 0.5)),
    ("sqrt", (0.0,), None, (INF,)),
    ("sqrt", (-0.0,), None, (INF,)),
    ("sqrt", (-1.0,), None, (NAN,)),
    ("cbrt", (0.0,), None, (INF,)),
    ("log", (0.0,), None, (INF,)),
    ("log", (-1.0,), None, (NAN,)),
    ("log1p", (-1.0,), None, (INF,)),
    ("log1p", (-2.0,), None, (NAN,)),
    ("asin", (1.0,), None, (INF,)),
    ("acos", (-1.0,), None, (-INF,)),
    ("acosh", (1.0,), None, (INF,)),
    ("acosh", (0.5,), None, (NAN,)),
    ("atanh", (-1.0,), None, (INF,)),
    ("atanh", (2.0,), None, (NAN,)),
    ("hypot", (0.0, 0.0), None, (0.0, 0.0)),
    ("hypot", (0.0, -3.0), None, (0.0, -1.0)),
    ("atan2", (0.0, 0.0), None, (0.0, 0.0)),
    ("atan2", (0.0, -2.0), None, (-0.5, 0.0)),
    ("powi", (0.0,), 0, (0.0,)),
    ("powi", (0.0,), 1, (1.0,)),
    ("powi", (0.0,), 2, (0.0,)),
    ("powi", (-3.0,), 2, (-6.0,)),
    ("powi", (-2.0,), 3, (12.0,)),
    ("powi", (-2.0,), -1, (-0.25,)),
    ("powi", (NAN,), 0, (0.0,)),
    ("pow", (0.0, 0.0), None, (0.0, -INF)),
    ("pow", (0.0, 1.0), None, (1.0, 0.0)),
    ("pow", (0.0, 2.0), None, (0.0, 0.0)),
    ("pow", (0.0, 0.5), None, (INF, 0.0)),
    ("pow", (-2.0, 3.0), None, (12.0, NAN)),
    ("pow", (-2.0, 0.0), None, (0.0, NAN)),
    ("pow", (NAN, 0.0), None, (0.0, NAN)),
    ("mod", (7.0, 3.0), None, (1.0, -2.0)),
    ("mod", (-7.0, 3.0), None, (1.0, 3.0)),
    ("mod", (7.0, -3.0), None, (1.0, 3.0)),
    ("fmod", (-7.0, 3.0), None, (1.0, 2.0)),
    ("copysign", (-3.0, 2.0), None, (-1.0, 0.0)),
    ("copysign", (0.0, 2.0), None, (0.0, 0.0)),
    ("where", (1.0, NAN, INF), None, (0.0, 1.0, 0.0)),
    ("where", (-0.0, NAN, INF), None, (0.0, 0.0, 1.0)),
    ("where", (NAN, 1.0, 2.0), None, (0.0, 1.0, 0.0)),
    ("xlogy", (0.0, 0.0), None, (0.0, 0.0)),
    ("xlogy", (0.0, 2.0), None, (math.log(2.0), 0.0)),
    ("logaddexp", (-INF, -INF), None, (0.5, 0.5)),
    ("logaddexp", (INF, 1.0), None, (1.0, 0.0)),
    ("tanh", (1e3,), None, (0.0,)),
    ("tanh", (-INF,), None, (0.0,)),
    ("erf", (INF,), None, (0.0,)),
    ("erfcx", (INF,), None, (0.0,)),
    ("exp", (-INF,), None, (0.0,)),
    ("sigmoid", (-INF,), None, (0.0,)),
    ("softplus", (INF,), None, (1.0,)),
]


@pytest.mark.parametrize(("name", "args", "n", "expected"), CONTRACT)
def test_numerical_contract_of_partials(name, args, n, expected):
    immediate = None if n is None else np.array([float(n)])
    with np.errstate(all="ignore"):
        found = rule_partials(OPS[name], NumPyMachine(), [np.array([arg]) for arg in args], immediate)
    got = tuple(float(np.ravel(partial)[0]) for partial in found)
    assert all(ulps(g, e) <= 1.0 for g, e in zip(got, expected, strict=True)), got


@pytest.mark.parametrize("weight", [INF, NAN])
def test_the_branch_not_taken_contributes_nothing(weight):
    m, op, lanes = NumPyMachine(), OPS["where"], [np.array([v]) for v in (1.0, 2.0, 3.0)]
    partials = op.partials(m, op.apply(m, *lanes), *lanes)
    assert contribution(m, np.array([weight]), partials[0]) is None
    assert contribution(m, np.array([weight]), partials[2])[0] == 0.0


# -- the oracle itself --------------------------------------------------------------------------------------


@EVERY_TRUE_OP
def test_rules_run_on_mpmath(op):
    """At ordinary points a rule on mpmath gives the true partials up to its binary64 constants."""
    rng = np.random.default_rng(op.code)
    for n in op.domain.immediates[:4] or (None,):
        args = [float(rng.uniform(max(low, -3.0), min(high, 3.0))) for low, high in op.domain.intervals]
        with mpmath.workprec(200):
            found = rule_partials(op, Oracle(), [Real(arg) for arg in args], n)
        for got, exact in zip(found, exact_partials(op, args, n), strict=True):
            assert ulps(float(Real(got)), exact) <= 32.0, args


@pytest.mark.parametrize(
    ("got", "exact", "expected"),
    [
        (1.0, 1, 0.0),
        (1.0 + 2.0**-52, 1, 1.0),
        (1.0 - 2.0**-53, 1, 0.5),
        (0.0, mpmath.ldexp(1, -1075), 0.5),
        (5e-324, mpmath.ldexp(1, -2000), 1.0),
        (-0.0, 0, 0.0),
        (INF, mpmath.mpf(2) ** 1024 - mpmath.mpf(2) ** 970, 0.0),
        (INF, mpmath.mpf(10) ** 400, 0.0),
        (1.7976931348623157e308, mpmath.mpf(2) ** 1024, 1.0),
        (INF, 1.7976931348623157e308, 1.0),
        (-INF, mpmath.mpf(2) ** 1024, 2.0**54),
        (INF, INF, 0.0),
        (NAN, NAN, 0.0),
        (1.0, NAN, INF),
        (NAN, 1, INF),
        (1.0, INF, INF),
    ],
)
def test_ulps(got, exact, expected):
    with mpmath.workprec(2300):
        found = ulps(got, mpmath.mpf(exact))
    assert found == expected


@pytest.mark.parametrize(
    ("name", "args", "partials"),
    [
        ("abs", (0.0,), (None,)),
        ("maximum", (1.0, 1.0), (None, None)),
        ("floor", (1.0,), (None,)),
        ("floor", (1.5,), (0,)),
        ("sqrt", (0.0,), (None,)),
        ("cbrt", (0.0,), (None,)),
        ("atan2", (0.0, 0.0), (None, None)),
        ("hypot", (0.0, 0.0), (None, None)),
        ("square", (0.0,), (0,)),
        ("exp", (1e4,), (None,)),
        ("div", (6.0, 2.0), (0.5, -1.5)),
        ("mul", (5e-324, 1e300), (1e300, 5e-324)),
        ("sin", (INF,), (None,)),
    ],
)
def test_exact_partials(name, args, partials):
    found = exact_partials(OPS[name], args)
    assert [p is None for p in found] == [p is None for p in partials]
    assert all(abs(f.value - p) <= abs(p) * 2.0**-60 for f, p in zip(found, partials, strict=True) if p is not None)


def test_oracle_knows_the_sign_of_zero():
    m = Oracle()
    assert float(Real(1.0) / -0.0) == -INF
    assert float(m.atan2(Real(-0.0), Real(-1.0))) == -math.pi
    assert math.copysign(1.0, float(m.sin(-0.0))) == -1.0


# -- the command --------------------------------------------------------------------------------------------


def test_command_prints_the_table(capsys):
    assert main(["--op", "exp", "--op", "add", "--points", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["op", "add", "exp"]
    assert main(["--op", "erf", "--points", "20", "--dtype", "float32"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["erf", "1"]


@EVERY_DTYPE
def test_the_published_table_has_every_op_and_its_bound(dtype):
    """``docs/accuracy.md`` holds what the command prints, one table a dtype."""
    text = (Path(__file__).parents[1] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    section = text.partition(f"## {dtype}")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert [(row[0][2:], float(row[1])) for row in rows] == [(op.name, bound(op, dtype)) for op in TABLE]
    assert all(float(row[2]) <= float(row[1]) for row in rows)


def test_command_fails_on_a_broken_bound(capsys, monkeypatch):
    monkeypatch.setattr("fastgraph.ops.__main__.TABLE", (replace(OPS["exp"], ulps=0.25),))
    assert main(["--markdown", "--points", "20"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("| op |") and "exp" in err
