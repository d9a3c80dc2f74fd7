"""Derivatives called as nobody should: typed errors that name argument, expected, given and remedy; many threads."""

import gc
import threading
import weakref

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, FastgraphError, ShapeError
from tests.bits import assert_same_bits

ONES = np.ones(3)
ARGS = (ONES, 1.0, np.ones((2, 2)))  # of the function ``vector``
COMPLEX, OBJECTS = np.array([1j, 0, 0]), np.array([1, 2, None])
MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])


def refused(call, error, message, name):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, FastgraphError) and f"'{name}'" in str(caught.value)


BAD_DIRECTIONS = [
    (None, ArgumentError, "{what} must be a tuple of one array per argument .x \\(3,\\), t \\(\\).*, not NoneType"),
    (ONES, ArgumentError, "{what} must be a tuple .*, not ndarray"),
    ((ONES,), ArgumentError, "{what} must be a tuple .*, not tuple of 1"),
    ((ONES, 1.0, 1.0), ArgumentError, "{what} must be a tuple .*, not tuple of 3"),
    ({"x": ONES}, ArgumentError, "{what}: none for t; the arguments are x \\(3,\\), t \\(\\)"),
    ({"x": ONES, "t": 1.0, "q": 1.0}, ArgumentError, "{what}: for unknown arguments .'q'.; the arguments are"),
    ({"x": ONES, "t": 1.0, "k": 1.0}, ArgumentError, "{what}: for unknown arguments .'k'."),
    ((np.ones(2), 1.0), ShapeError, "the direction of x with shape \\(2,\\): its last axis must be 3"),
    ((1.0, 1.0), ShapeError, "the direction of x with shape \\(\\)"),
    ((ONES, np.ones((2, 1))), None, ""),
    (
        (np.ones((4, 3)), np.ones(5)),
        ShapeError,
        "of x \\(4,\\), the direction of t \\(5,\\) do not broadcast",
    ),
    ((COMPLEX, 1.0), ArgumentError, "the direction of x of type complex128: expected real numbers"),
    ((ONES, 1j), ArgumentError, "the direction of t of type complex"),
    ((OBJECTS, 1.0), ArgumentError, "the direction of x of type object array"),
    ((MASKED, 1.0), ArgumentError, "masked array for the direction of x: fill or drop"),
    ((["a", "b", "c"], 1.0), ArgumentError, "the direction of x of type"),
    (([[1.0], [1.0, 2.0]], 1.0), ShapeError, "the direction of x, which is no array"),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD_DIRECTIONS)
def test_directions(vector, given, error, message):
    for what, call in {
        "tangents": lambda: vector.jvp(ARGS, given),
        "vector": lambda: vector.hvp(ARGS, given, weights=(ONES, 1.0)),
    }.items():
        if error is None:
            call()
        else:
            refused(call, error, message.format(what=what), "vector")


def test_directions_that_do_not_fit_the_batch(vector):
    batch = np.ones((4, 3)), 1.0, np.ones((2, 2))
    for call in (
        lambda: vector.jvp(batch, (np.ones((5, 3)), 1.0)),
        lambda: vector.hvp(batch, (np.ones((5, 3)), 1.0), weights=(ONES, 1.0)),
    ):
        refused(call, ShapeError, r"batch shapes the arguments \(4,\), the direction of x \(5,\) do not", "vector")
    for call in (
        lambda: vector.hvp(batch, (ONES, 1.0), weights=(np.ones((5, 3)), 1.0)),
        lambda: vector.hessian(*batch, weights=(np.ones((5, 3)), 1.0)),
    ):
        refused(call, ShapeError, r"the arguments \(4,\), the weight of u \(5,\) do not broadcast", "vector")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (3.0, r"args must be a tuple of the arguments, or a mapping of their names, not float; .*write \(x,\)"),
        (ONES, "args must be a tuple"),
        (ARGS[:2], "misses k; it takes x, t, k"),
        ((*ARGS, 1.0), "takes 3 arguments .x, t, k., but 4 were given"),
        ({"x": ONES, "t": 1.0}, "misses k"),
        ({"x": ONES, "t": 1.0, "k": 1.0, "q": 1.0}, "has no argument 'q'; it has x, t, k"),
        ((COMPLEX, *ARGS[1:]), "got x of type complex128"),
        ((OBJECTS, *ARGS[1:]), "got x of type object array"),
        ((MASKED, *ARGS[1:]), "masked array for x"),
    ],
)
def test_arguments(vector, args, message):
    w = (ONES, 1.0)
    refused(lambda: vector.jvp(args, w), ArgumentError, message, "vector")
    refused(lambda: vector.hvp(args, w, weights=w), ArgumentError, message, "vector")
    if isinstance(args, tuple):
        refused(lambda: vector.jacobian(*args), ArgumentError, message, "vector")
        refused(lambda: vector.hessian(*args, weights=w), ArgumentError, message, "vector")
    elif isinstance(args, dict):
        refused(lambda: vector.jacobian(**args), ArgumentError, message, "vector")
        refused(lambda: vector.hessian(**args, weights=w), ArgumentError, message, "vector")


def every_method(f, args, vector, weights=None, **options):
    yield lambda: f.jvp(args, vector, **options)
    yield lambda: f.hvp(args, vector, weights=weights, **options)
    yield lambda: f.jacobian(*args, **options)
    yield lambda: f.hessian(*args, weights=weights, **options)


@pytest.mark.parametrize("wrt", ["q", (), ("x", "x"), 3, ("x", "q"), (None,), [1]])
def test_wrt(vector, wrt):
    for call in every_method(vector, ARGS, (ONES, 1.0), (ONES, 1.0), wrt=wrt):
        with pytest.raises(ArgumentError, match="wrt"):
            call()


@pytest.mark.parametrize("options", [{"reduce": "mean"}, {"reduce": np.sum}, {"threads": 0}, {"threads": 1.5}])
def test_options(vector, options):
    (name,) = options
    for n in (None, 1, 40):
        x = ONES if n is None else np.ones((n, 3))
        for call in every_method(vector, (x, *ARGS[1:]), (ONES, 1.0), (ONES, 1.0), **options):
            with pytest.raises(ArgumentError, match=name):
                call()


def test_no_scalar_output(vector):
    for what, call in {
        "hvp": lambda: vector.hvp(ARGS, (ONES, 1.0)),
        "hessian": lambda: vector.hessian(*ARGS),
    }.items():
        message = rf"{what} needs exactly one scalar output.* u \(3,\), v \(\): declare .* or weigh them: weights="
        refused(call, ArgumentError, message, "vector")


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (1.0, ArgumentError, r"weights must be a tuple of one array per output .u \(3,\), v \(\)., not float"),
        ((ONES,), ArgumentError, "weights must be a tuple .* not tuple of 1"),
        ({"u": ONES}, ArgumentError, "weights: none for v"),
        ({"u": ONES, "v": 1.0, "x": 1.0}, ArgumentError, "weights: for unknown outputs .'x'"),
        ((1.0, 1.0), ShapeError, "the weight of u with shape"),
        ((ONES, 1j), ArgumentError, "the weight of v of type complex"),
        ((MASKED, 1.0), ArgumentError, "masked array for the weight of u"),
    ],
)
def test_weights(vector, weights, error, message):
    refused(lambda: vector.hessian(*ARGS, weights=weights), error, message, "vector")
    refused(lambda: vector.hvp(ARGS, (ONES, 1.0), weights=weights), error, message, "vector")


def test_functions_without_inputs():
    graph = fg.Graph("none")
    k = graph.parameter("k")
    graph.output(k * k)
    f = graph.compile()
    for call in every_method(f, (2.0,), 1.0):
        refused(call, ArgumentError, "has no inputs: name the parameters to differentiate by in wrt", "none")
    assert f.jvp((3.0,), 2.0, wrt="k") == (9.0, 12.0) and f.hvp((3.0,), 2.0, wrt="k") == 4.0
    assert f.jacobian(3.0, wrt="k") == 6.0 and f.hessian(3.0, wrt=("k",)) == ((2.0,),)
    graph = fg.Graph("constant")
    graph.output(graph.constant(2.0))
    for call in every_method(graph.compile(), (), ()):
        refused(call, ArgumentError, "has no inputs", "constant")


# -- out ----------------------------------------------------------------------------------------------------


def read_only(shape=3):
    array = np.empty(shape)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty(4), ArgumentError, "out must be one float64 array per result"),
        ((np.empty(4),), ArgumentError, "not 1 of them"),
        ((np.empty(4), None), ArgumentError, "out for the tangent of y must be a float64 array, not NoneType"),
        ((np.empty(4), np.empty(5)), ShapeError, r"out for the tangent of y has shape \(5,\), but .* \(4,\)"),
        ((np.empty(4), np.empty(4, "f4")), ArgumentError, "must be a float64 array, not ndarray of float32"),
        ((np.empty(4), read_only(4)), ArgumentError, "out for the tangent of y must be writeable"),
        ((np.ma.empty(4), np.empty(4)), ArgumentError, "out for y must be a float64 array"),
    ],
)
def test_out_of_jvp(f, out, error, message):
    with pytest.raises(error, match=message):
        f.jvp((np.ones(4), 2.0, 3.0), (1.0, 1.0, 1.0), out=out)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty(4), ArgumentError, r"one float64 array per result \(the product by a, .* c\), not 1 of them"),
        ((np.empty(4),) * 2, ArgumentError, "out must be one float64 array per result .*, not 2 of them"),
        (
            (np.empty(4), np.empty(4), None),
            ArgumentError,
            "out for the product by c must be a float64 array, not NoneType",
        ),
        ((np.empty(4), np.empty(4), np.empty(3)), ShapeError, r"by c has shape \(3,\), but the result has"),
        ((np.empty(4), read_only(4), np.empty(4)), ArgumentError, "by b must be writeable"),
    ],
)
def test_out_of_hvp(f, out, error, message):
    with pytest.raises(error, match=message):
        f.hvp((np.ones(4), 2.0, 3.0), (1.0, 1.0, 1.0), out=out)


def test_out_and_sums_exclude_each_other(f):
    for call in (
        lambda: f.jvp((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), out=(np.empty(()), np.empty(())), reduce="sum"),
        lambda: f.hvp((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), out=(np.empty(()),) * 3, reduce="sum"),
    ):
        with pytest.raises(ArgumentError, match="out and reduce exclude each other"):
            call()


@pytest.mark.parametrize("n", [1, 2, 3, 50, 3000])
def test_out_that_overlaps(f, n):
    """As if arguments and directions had been copied first: shifted and reversed views of one buffer."""
    whole = np.arange(1.0, 4 * n + 1)
    for target in (slice(0, n), slice(1, n + 1), slice(n, None, -1)):
        buffer = whole.copy()
        x, v = buffer[:n], buffer[n : 2 * n]
        expected = f.jvp((x.copy(), 2.0, 3.0), (v.copy(), 1.0, 0.0))
        got = f.jvp((x, 2.0, 3.0), (v, 1.0, 0.0), out=(buffer[2 * n : 3 * n], buffer[target][:n]))
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)
        buffer = whole.copy()
        x, v = buffer[:n], buffer[n : 2 * n]
        expected = f.hvp((x.copy(), 2.0, 3.0), (v.copy(), 1.0, 0.0))
        out = (buffer[target][:n], buffer[2 * n : 3 * n], buffer[3 * n :])
        for a, b in zip(f.hvp((x, 2.0, 3.0), (v, 1.0, 0.0), out=out), expected, strict=True):
            assert_same_bits(a, b)


# -- memory, threads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 3000])
def test_nothing_is_kept_of_a_call(f, n):
    class Array(np.ndarray):
        pass

    for call in (
        lambda big: f.jvp((big, 1.0, 2.0), (1.0, 1.0, big)),
        lambda big: f.hvp((1.0, big, 2.0), (big, 1.0, 1.0), weights=big),
        lambda big: f.jacobian(big, big, 1.0),
        lambda big: f.hessian(big, 1.0, 2.0, weights=big),
    ):
        big = np.ones(n).view(Array)
        there = weakref.ref(big)
        call(big)
        del big
        if there() is not None:  # in a cycle, perhaps; to collect takes a while after many tests
            gc.collect()
        assert there() is None


def test_eight_threads_at_first_use():
    """Nothing derived is there yet; all make it, or wait, and all have the same bits."""
    for attempt in range(2):
        graph = fg.Graph()
        x, y = graph.inputs("x", "y")
        z = fg.sin(x * float(attempt + 1)) * fg.exp(-y * y)
        for k in range(6):
            z = z * fg.cos(x) + y * float(k)
        graph.output(z)
        f, results, start = graph.compile(), [None] * 8, threading.Barrier(8)
        points = np.linspace(-1.0, 1.0, 50)

        def call(k, f=f, results=results, start=start, points=points):
            start.wait()
            found = {}
            for name in ("jvp", "hvp", "jacobian", "hessian")[k % 4 :] + ("jvp", "hvp", "jacobian", "hessian")[: k % 4]:
                packed = name in ("jvp", "hvp")
                result = getattr(f, name)(*(((points, 0.5), (1.0, 2.0)) if packed else (points, 0.5)))
                found[name] = np.array([np.broadcast_to(part, 50) for part in _leaves(result)])
            results[k] = found

        threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert all(found is not None and len(found) == 4 for found in results)
        for found in results[1:]:
            for name, array in found.items():
                assert_same_bits(array, results[0][name], name)


def _leaves(result):
    if isinstance(result, tuple):
        return [leaf for part in result for leaf in _leaves(part)]
    return [result]
