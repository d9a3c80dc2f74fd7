"""jvp, hvp, jacobian, hessian: every form of call on polynomials, exactly; the same bits however sets are arranged.

The polynomials have degree 3 and whole coefficients, arguments are small whole numbers: differences of values are
exact derivatives, and every engine must give them to the last bit, in float32 too.
"""

import itertools
import math
import pickle

import numpy as np
import pytest

import fastgraph as fg
from fastgraph import products
from fastgraph.program import DTYPES
from tests.bits import assert_same_bits, bits
from tests.random_graphs import ARITHMETIC, input_sets
from tests.test_adjoint import unsigned
from tests.test_tangent import QUICK, program_of

EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def one_number(graph):
    x = graph.input("x")
    graph.output(x**3 - 2.0 * x)


def one_array(graph):
    x = graph.input("x", shape=3)
    graph.output(x[0] * x[0] * x[1] + x[1] * x[2] - x[2] ** 3)


def numbers(graph):
    a, b, c = graph.inputs("a", "b", "c")
    graph.output((a + b) * (b - c) * a, name="y")


def mixed(graph):
    x, k, t = graph.input("x", shape=(2, 2)), graph.parameter("k", shape=2), graph.input("t")
    graph.output(k[0] * fg.sum(x) * t + x[0, 0] * x[1, 1] * k[1] + fg.square(t))


def several_outputs(graph):
    x, t, k = graph.input("x", shape=3), graph.input("t"), graph.parameter("k", shape=(2, 2))
    graph.output(x * t + k[0, 1] * fg.square(x), name="u")
    graph.output(fg.dot(x, x) * t - k[1, 0] * k[0, 0], name="v")
    graph.output(np.array([[x[0] * x[1], t], [x[2] ** 3, k[1, 1]]], object), name="w")


def one_output_array(graph):
    x, p = graph.input("x", shape=2), graph.parameter("p")
    graph.output(np.array([[x[0] * x[1] * p, x[0]], [x[1] ** 3, p * p]], object), name="table")


def trivial(graph):
    """Outputs that are inputs, constants, and one node twice."""
    x, y = graph.inputs("x", "y")
    for k, expression in enumerate((x, graph.constant(3.0), x * y, x * y, 2.0 * y)):
        graph.output(expression, name=f"y{k}")


FORMS = {
    form.__name__: form
    for form in (one_number, one_array, numbers, mixed, several_outputs, one_output_array, trivial)
}  # fmt: skip
SCALAR = ("one_number", "one_array", "numbers", "mixed")
EVERY_FORM = pytest.mark.parametrize("form", FORMS)
BATCHES = [((),), ((4,),), ((3,), ()), ((2, 1), (3,)), ((), (2, 3), (1, 3)), ((0,), (1,)), ((2, 0), (2, 1), ())]
_made = {}


def function_of(form, dtype=np.float64):
    if (form, dtype) not in _made:
        graph = fg.Graph(form)
        FORMS[form](graph)
        _made[form, dtype] = graph.compile(dtype=dtype)
    return _made[form, dtype]


def choices_of(f):
    """Values of ``wrt``: the default, one name, all of them backwards, and a tuple of one."""
    names = [a.name for a in f.arguments]
    return [None, names[-1], tuple(names[::-1]), (names[0],)]


def chosen(f, wrt):
    """The arguments to differentiate by, and whether the result is bare."""
    if wrt is None:
        found = [a for a in f.arguments if a.differentiable]
        return found, len(found) == 1
    by_name = {a.name: a for a in f.arguments}
    return [by_name[name] for name in ([wrt] if isinstance(wrt, str) else wrt)], isinstance(wrt, str)


def whole(rng, batches, items):
    """Small whole numbers for every item, with batch shapes in turn."""
    return [
        rng.integers(-3, 4, (*batch, *item.shape)).astype(np.float64)
        for batch, item in zip(itertools.cycle(batches), items, strict=False)
    ]


def outputs_of(f, result):
    if len(f.outputs) == 1:
        return [result]
    assert result._fields == tuple(o.name for o in f.outputs)
    return list(result)


def by_argument(f, wrt, result):
    """The parts of a result by argument, after a look at its form."""
    items, bare = chosen(f, wrt)
    if bare:
        return [result]
    assert result._fields == tuple(a.name for a in items)
    return list(result)


def moved(f, args, steps):
    """Outputs, in float64, with scalars of arguments moved: ``steps`` are (argument, index, by)."""
    args = [np.array(arg) for arg in args]
    for argument, index, by in steps:
        args[[a.name for a in f.arguments].index(argument.name)][(..., *index)] += by
    return outputs_of(f, f(*args))


def exact_jacobian(form, args, wrt):
    """By output and argument, arrays of shape batch + output.shape + argument.shape, from values alone."""
    f = function_of(form)
    rows = []
    for k in range(len(f.outputs)):
        row = []
        for argument in chosen(f, wrt)[0]:
            columns = []
            for index in np.ndindex(argument.shape):
                at = {by: np.asarray(moved(f, args, [(argument, index, by)])[k]) for by in (1, -1, 2, -2)}
                columns.append((8 * (at[1] - at[-1]) - (at[2] - at[-2])) / 12)
            row.append(np.stack(columns, -1).reshape(columns[0].shape + argument.shape))
        rows.append(row)
    return rows


def exact_hessian(form, args, wrt, weights=None):
    """By two arguments, arrays of shape batch + first.shape + second.shape; of the weighted sum of outputs."""
    f = function_of(form)

    def value(steps):
        found = moved(f, args, steps)
        if weights is None:
            return found[0]
        return sum(
            np.sum(y * w, axis=tuple(range(-len(o.shape), 0))) if o.shape else y * w
            for y, w, o in zip(found, weights, f.outputs, strict=True)
        )

    rows = []
    for first in chosen(f, wrt)[0]:
        row = []
        for second in chosen(f, wrt)[0]:
            entries = []
            for i, j in itertools.product(np.ndindex(first.shape), np.ndindex(second.shape)):
                terms = [(a * b, value([(first, i, a), (second, j, b)])) for a in (1, -1) for b in (1, -1)]
                entries.append(sum(sign * term for sign, term in terms) / 4)
            row.append(np.stack(entries, -1).reshape(np.shape(entries[0]) + first.shape + second.shape))
        rows.append(row)
    return rows


def assert_exact(got, expected, dtype, label=""):
    """Values, shape and type; -0 is 0."""
    assert np.shape(got) == np.shape(expected), (label, np.shape(got), np.shape(expected))
    assert got.dtype == dtype and (np.shape(got) != () or isinstance(got, np.floating)), label
    assert_same_bits(unsigned(got), unsigned(np.asarray(expected, dtype)), label)


def spread(args, f):
    """Arguments with the whole batch each."""
    batch = np.broadcast_shapes(
        *(arg.shape[: arg.ndim - len(a.shape)] for arg, a in zip(args, f.arguments, strict=True))
    )
    return [np.broadcast_to(arg, batch + a.shape) for arg, a in zip(args, f.arguments, strict=True)], batch


# -- forms, exactly -----------------------------------------------------------------------------------------


@EVERY_DTYPE
@EVERY_FORM
def test_jacobian(form, dtype):
    f, rng = function_of(form, dtype), np.random.default_rng(1)
    for batches, wrt in itertools.product(BATCHES, choices_of(f)):
        args = whole(rng, batches, f.arguments)
        all_, batch = spread(args, f)
        expected = exact_jacobian(form, all_, wrt)
        got = f.jacobian(*args, wrt=wrt)
        total = f.jacobian(*args, wrt=wrt, reduce="sum", threads=2)
        by_name = f.jacobian(**dict(zip((a.name for a in f.arguments), args, strict=True)), wrt=wrt, threads=1)
        for row, summed, named, wanted in zip(
            *(outputs_of(f, r) for r in (got, total, by_name)), expected, strict=True
        ):
            for a, s, n, w in zip(*(by_argument(f, wrt, r) for r in (row, summed, named)), wanted, strict=True):
                assert_exact(a, w, dtype, (form, batches, wrt))
                assert_same_bits(n, a)
                assert_exact(s, w.sum(tuple(range(len(batch)))), np.float64, (form, batches, wrt))


@EVERY_DTYPE
@EVERY_FORM
def test_jvp(form, dtype):
    f, rng = function_of(form, dtype), np.random.default_rng(2)
    for batches, wrt in itertools.product(BATCHES, choices_of(f)):
        args = whole(rng, batches, f.arguments)
        items, bare = chosen(f, wrt)
        directions = whole(rng, batches[::-1], items)
        names = [a.name for a in f.arguments]
        everything, batch = spread(args, f)
        batch = np.broadcast_shapes(
            batch, *(d.shape[: d.ndim - len(i.shape)] for d, i in zip(directions, items, strict=True))
        )
        everything = [np.broadcast_to(arg, batch + a.shape) for arg, a in zip(everything, f.arguments, strict=True)]
        whole_directions = [np.broadcast_to(d, batch + i.shape) for d, i in zip(directions, items, strict=True)]
        expected = [sum_over(row, whole_directions, items, len(batch)) for row in exact_jacobian(form, everything, wrt)]
        given = directions[0] if bare else tuple(directions)
        values, tangents = f.jvp(tuple(args), given, wrt=wrt)
        forms = [
            f.jvp(dict(zip(names, args, strict=True)), given, wrt=wrt, threads=1),
            f.jvp(list(args), {i.name: d for i, d in zip(items, directions, strict=True)}, wrt=wrt, threads=2),
        ]
        sums = f.jvp(tuple(args), given, wrt=wrt, reduce="sum")
        for y, exact in zip(outputs_of(f, values), moved(function_of(form), everything, []), strict=True):
            assert_exact(y, exact, dtype)
        for k, (t, wanted) in enumerate(zip(outputs_of(f, tangents), expected, strict=True)):
            assert_exact(t, wanted, dtype, (form, batches, wrt))
            for other in forms:
                assert_same_bits(outputs_of(f, other[1])[k], t)
            assert_exact(outputs_of(f, sums[1])[k], wanted.sum(tuple(range(len(batch)))), np.float64)


def sum_over(blocks, directions, items, n_axes):
    """Per set, the sum over arguments of block times direction; all with the whole batch of ``n_axes`` axes."""
    total = 0.0
    for block, direction, item in zip(blocks, directions, items, strict=True):
        axes = len(item.shape)
        own = block.ndim - n_axes - axes
        lined_up = direction.reshape(direction.shape[:n_axes] + (1,) * own + item.shape)
        total = total + (block * lined_up).sum(tuple(range(block.ndim - axes, block.ndim)))
    return np.asarray(total)


@EVERY_DTYPE
@EVERY_FORM
def test_hessian_and_hvp(form, dtype):
    """With weights where there is more than one scalar output, and where there is not."""
    f, rng = function_of(form, dtype), np.random.default_rng(3)
    weighted = (True,) if form not in SCALAR else (False, True)
    for batches, wrt, weigh in itertools.product(BATCHES, choices_of(f), weighted):
        args = whole(rng, batches, f.arguments)
        items, bare = chosen(f, wrt)
        weights = whole(rng, batches[::-1], f.outputs) if weigh else []
        batch = np.broadcast_shapes(
            spread(args, f)[1], *(w.shape[: w.ndim - len(o.shape)] for w, o in zip(weights, f.outputs, strict=False))
        )
        everything = [np.broadcast_to(arg, batch + a.shape) for arg, a in zip(args, f.arguments, strict=True)]
        all_weights = [np.broadcast_to(w, batch + o.shape) for w, o in zip(weights, f.outputs, strict=False)]
        expected = exact_hessian(form, everything, wrt, all_weights if weigh else None)
        given = None if not weigh else weights[0] if len(f.outputs) == 1 else tuple(weights)
        got = f.hessian(*args, wrt=wrt, weights=given)
        total = f.hessian(*args, wrt=wrt, weights=given, reduce="sum", threads=2)
        axes, label = tuple(range(len(batch))), (form, batches, wrt, weigh)
        for row, summed, wanted in zip(*(by_argument(f, wrt, r) for r in (got, total)), expected, strict=True):
            for a, s, w in zip(*(by_argument(f, wrt, r) for r in (row, summed)), wanted, strict=True):
                assert_exact(a, w, dtype, label)
                assert_exact(s, w.sum(axes), np.float64, label)
        vectors = whole(rng, [batch, ()], items)
        spread_vectors = [np.broadcast_to(v, batch + i.shape) for v, i in zip(vectors, items, strict=True)]
        vector = vectors[0] if bare else tuple(vectors)
        product = f.hvp(tuple(args), vector, wrt=wrt, weights=given)
        summed = f.hvp(tuple(args), vector, wrt=wrt, weights=given, reduce="sum", threads=1)
        for p, s, row in zip(*(by_argument(f, wrt, r) for r in (product, summed)), expected, strict=True):
            wanted = sum_over(row, spread_vectors, items, len(batch))
            assert_exact(p, wanted, dtype, label)
            assert_exact(s, wanted.sum(axes), np.float64, label)


@pytest.mark.parametrize("form", ["several_outputs", "trivial"])
def test_weights_by_name(form):
    f, rng = function_of(form), np.random.default_rng(4)
    args, weights = whole(rng, [(3,)], f.arguments), whole(rng, [(3,), ()], f.outputs)
    named = {o.name: w for o, w in zip(f.outputs, weights, strict=True)}
    expected, got = (f.hessian(*args, weights=w) for w in (tuple(weights), dict(reversed(named.items()))))
    for first, second in zip(expected, got, strict=True):
        for a, b in zip(first, second, strict=True):
            assert_same_bits(a, b)


@EVERY_DTYPE
@EVERY_FORM
def test_inner_products(form, dtype):
    """w . (J v) = (Jᵀ w) . v, exactly."""
    f, rng = function_of(form, dtype), np.random.default_rng(5)
    items = [a for a in f.arguments if a.differentiable]
    args, v, w = (whole(rng, [(7,)], things) for things in (f.arguments, items, f.outputs))
    _, tangents = f.jvp(tuple(args), v[0] if len(items) == 1 else tuple(v))
    _, back = f.vjp(tuple(args), w[0] if len(w) == 1 else tuple(w))
    forward = sum((a * b).reshape(7, -1).sum(1) for a, b in zip(outputs_of(f, tangents), w, strict=True))
    reverse = sum((a * b).reshape(7, -1).sum(1) for a, b in zip(by_argument(f, None, back), v, strict=True))
    assert np.abs(forward).max() > 0 and (forward == reverse).all()


@EVERY_DTYPE
@pytest.mark.parametrize("form", ["mixed", "several_outputs", "trivial"])
def test_a_few_directions_at_one_point(form, dtype):
    """However few they are, and however they are given, each has the bits that it has by itself."""
    f, rng = function_of(form, dtype), np.random.default_rng(3)
    args = [rng.normal(size=a.shape) for a in f.arguments]
    inputs = [a for a in f.arguments if a.differentiable]
    wholes = [([a.name for a in inputs], inputs), ([inputs[-1].name], inputs[-1:])]
    for k, (wrt, items) in itertools.product((1, 2, 3, 4, 8, 9), wholes):
        directions = [rng.normal(size=(k, *item.shape)) for item in items]
        directions[-1][:] = directions[-1][:1]  # of one shape (1, …), it broadcasts against the others
        expected = [outputs_of(f, part) for part in f.jvp(args, directions, wrt=wrt, out=outs(f, (k,)))]
        for given in (directions, [*directions[:-1], directions[-1][:1]] if len(items) > 1 else directions):
            got = [outputs_of(f, part) for part in f.jvp(args, given, wrt=wrt)]
            for one, other in zip(got[0] + got[1], expected[0] + expected[1], strict=True):
                assert_same_bits(one, other)
        for j in range(k):
            alone = [outputs_of(f, part) for part in f.jvp(args, [d[j] for d in directions], wrt=wrt)]
            for one, other in zip(alone[0] + alone[1], expected[0] + expected[1], strict=True):
                assert_same_bits(one, other[j])


@EVERY_DTYPE
@pytest.mark.parametrize("form", ["mixed", "several_outputs", "trivial"])
@pytest.mark.parametrize("own", [(3,), (2, 5)], ids=str)
def test_a_few_directions_at_every_point(form, dtype, own, monkeypatch):
    """Of a batch: however they are given and swept, each has the bits that it has by itself."""
    monkeypatch.setattr(products, "WORTH_MAKING", 0)
    f, rng = function_of(form, dtype), np.random.default_rng(4)
    inputs = [a for a in f.arguments if a.differentiable]
    args = whole(rng, [own, own[-1:], ()], f.arguments)
    args[0] = np.broadcast_to(args[0], own + f.arguments[0].shape)
    shared = (1,) * len(own)
    for k, wrt in itertools.product((2, 3, 4, 5, 8, 11), ([a.name for a in inputs], [inputs[-1].name])):
        items = [a for a in inputs if a.name in wrt]
        directions = whole(rng, [(k, *own), (k, *shared), (1, *own), (k, *shared[1:], own[-1])], items)
        full = [np.broadcast_to(d, (k, *own, *item.shape)) for d, item in zip(directions, items, strict=True)]
        if not any(d.shape[0] == k for d in directions):
            directions[0] = full[0]
        seen = []
        got = [
            outputs_of(f, part)
            for part in f.jvp(args, directions, wrt=wrt, threads=2, progress=lambda *done, seen=seen: seen.append(done))
        ]
        assert seen[-1] == (k * math.prod(own),) * 2 and seen == sorted(seen)
        into = outs(f, (k, *own))
        written = [outputs_of(f, part) for part in f.jvp(args, directions, wrt=wrt, out=into)]
        for one, other in zip(got[0] + got[1], written[0] + written[1], strict=True):
            assert_same_bits(one, other)
        for j in range(k):
            alone = [outputs_of(f, part) for part in f.jvp(args, [d[j] for d in full], wrt=wrt)]
            for one, other in zip(alone[0] + alone[1], got[0] + got[1], strict=True):
                assert_same_bits(one, other[j])


def test_directions_at_every_point_are_swept_together(monkeypatch):
    """Where it is worth it, and only where the first axis is that of the directions alone."""
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(fg.sum(fg.sin(x) * x))
    f = graph.compile()
    made = []
    monkeypatch.setattr(type(f), "_sweep_beside", lambda self, given, *rest: made.append(rest[1]))
    rows, many = np.ones((products.WORTH_MAKING // f.program.n_operations, 3)), np.ones((2, 1, 3))
    f.jvp((rows,), many)
    f.flat.jvp(rows, many)
    assert made == [(2, len(rows))] * 2
    for points, directions in ((rows, rows), (rows[:9], many), (rows[None], many), (rows, many[:1])):
        f.jvp((points,), directions)
        f.flat.jvp(points, directions)
        f.jvp((points,), directions, reduce="sum")
    assert len(made) == 2


def outs(f, batch):
    """Arrays for the outputs and their tangents, as ``out`` takes them."""
    made = [[np.empty(batch + o.shape, f.dtype) for o in f.outputs] for _ in range(2)]
    return tuple(part if len(part) > 1 else part[0] for part in made)


def test_many_directions_at_one_point():
    """k directions, and the identity, whose products are the Jacobian's columns and the Hessian's rows."""
    f = function_of("one_array")
    x, directions = np.array([1.0, -2.0, 3.0]), np.arange(15.0).reshape(5, 3) - 7.0
    values, tangents = f.jvp((x,), directions)
    assert values.shape == tangents.shape == (5,) and (values == f(x)).all()
    assert_same_bits(tangents, directions @ f.jacobian(x))
    assert_same_bits(f.hvp((x,), directions), directions @ f.hessian(x))
    assert_same_bits(f.jvp((x,), np.eye(3))[1], f.jacobian(x))
    assert_same_bits(f.hvp((x,), np.eye(3)), f.hessian(x))
    points = np.arange(12.0).reshape(4, 1, 3)
    assert_same_bits(f.hvp((points,), np.eye(3)), f.hessian(points[:, 0]))
    g = function_of("one_output_array")
    assert_same_bits(np.moveaxis(g.jvp(([1.0, 2.0], 3.0), np.eye(2))[1], 0, -1), g.jacobian([1.0, 2.0], 3.0))


@pytest.mark.parametrize("form", ["one_array", "several_outputs"])
def test_progress_and_pickles(form):
    """Sets are counted to the end, by directions too; a pickled function derives again what it had."""
    f, rng = function_of(form), np.random.default_rng(8)
    f = type(f)(f.program, f.arguments, f.outputs, f.name)
    args, v, w = (whole(rng, [(5,)], part) for part in (f.arguments, chosen(f, None)[0], f.outputs))
    v, w = (part[0] if len(part) == 1 else tuple(part) for part in (v, w))
    calls = {
        "jvp": lambda f, **o: f.jvp(tuple(args), v, **o),
        "hvp": lambda f, **o: f.hvp(tuple(args), v, weights=w, **o),
        "jacobian": lambda f, **o: f.jacobian(*args, **o),
        "hessian": lambda f, **o: f.hessian(*args, weights=w, **o),
    }
    for directions in (False, True):
        if directions:
            key = tuple(k for k, a in enumerate(f.arguments) if a.differentiable)
            f._derivatives["jacobian", key] = f._derived("weighted")._derivatives["hessian", key] = None
        for name, call in calls.items():
            for reduce in (None, "sum"):
                seen = []
                call(f, reduce=reduce, progress=lambda done, total, seen=seen: seen.append((done, total)))
                assert seen and seen[-1] == (5, 5) and seen == sorted(seen), (name, reduce)
    again = pickle.loads(pickle.dumps(f))
    for call in calls.values():
        for a, b in zip(leaves_of(call(f)), leaves_of(call(again)), strict=True):
            assert_same_bits(unsigned(a), unsigned(b))


def leaves_of(result):
    return [leaf for part in result for leaf in leaves_of(part)] if isinstance(result, tuple) else [result]


# -- out ----------------------------------------------------------------------------------------------------


@EVERY_DTYPE
def test_out_of_jvp(dtype):
    f = function_of("several_outputs", dtype)
    args = np.ones((5, 3)), np.arange(5.0), np.ones((2, 2))
    v = np.arange(3.0), np.ones(5)
    expected = f.jvp(args, v)
    rows = [np.empty((5, 3), dtype), np.empty(10, dtype)[::2], np.empty((2, 2, 5), dtype).transpose(2, 0, 1)]
    out = tuple(rows), [np.empty_like(row) for row in rows]
    got = f.jvp(args, v, out=out)
    for parts, given, wanted in zip(got, out, expected, strict=True):
        for a, b, c in zip(parts, given, wanted, strict=True):
            assert a is b
            assert_same_bits(a, c)
    one = function_of("one_number", dtype)
    x = np.arange(4.0).astype(dtype)
    expected = one.jvp((x,), 2.0)
    y, t = one.jvp((x,), 2.0, out=(np.empty(4, dtype), x))  # over the argument
    assert t is x
    assert_same_bits(y, expected[0])
    assert_same_bits(x, expected[1])


@EVERY_DTYPE
def test_out_of_hvp(dtype):
    f = function_of("numbers", dtype)
    args, v = [np.arange(4.0).astype(dtype), np.ones(4, dtype), 2.0], (1.0, np.arange(4.0).astype(dtype), -1.0)
    expected = f.hvp(args, v)
    out = tuple(np.empty(8, dtype)[::2] for _ in range(3))
    assert all(a is b for a, b in zip(f.hvp(args, v, out=out), out, strict=True))
    over = f.hvp(args, v, out=(args[0], v[1], args[1]))  # over arguments and the vector
    for a, b, c in zip(over, expected, out, strict=True):
        assert_same_bits(a, b)
        assert_same_bits(c, b)
    one = function_of("one_array", dtype)
    x, table = np.ones((6, 3)), np.empty((3, 6), dtype).T
    assert one.hvp((x,), [1.0, 0.0, 2.0], out=table) is table
    assert_same_bits(table, one.hvp((x,), [1.0, 0.0, 2.0]))


# -- the same bits ------------------------------------------------------------------------------------------


def methods(f, x, v, w, threads=None):
    """Every derivative of a function of three inputs and two outputs, at sets x with directions v and weights w."""
    yield from itertools.chain(*f.jvp(x, v, threads=threads))
    yield from itertools.chain(*f.jacobian(*x, threads=threads))
    yield from f.hvp(x, v, weights=w, threads=threads)
    yield from itertools.chain(*f.hessian(*x, weights=w, threads=threads))


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(6))
def test_the_same_bits_however_sets_are_arranged(seed, dtype):
    """Batch sizes, positions, threads, layouts, uniform arguments: at special values, too."""
    ops = {"ops": ARITHMETIC, "n_ops": 30} if seed % 2 else {"n_ops": 6 + seed}
    f = _function(seed, dtype, **ops)
    x, v, w = (list(input_sets(seed + s, 3, 140)) for s in (0, 50, 100))
    w = w[:2]
    expected = list(methods(f, x, v, w))
    assert all(array.shape == (140,) and array.dtype == dtype for array in expected)

    def check(got, part, label):
        for k, (a, b) in enumerate(zip(got, expected, strict=True)):
            assert_same_bits(a, b[part], (seed, label, k))

    for k in (0, 1, 63, 139):
        check(methods(f, *([row[k] for row in rows] for rows in (x, v, w))), k, "one set")
    for n in (1, 2, 3, 9, 65):
        for threads in (1, 2):
            check(methods(f, *([row[:n] for row in rows] for rows in (x, v, w)), threads), slice(n), n)
    backwards = [[np.repeat(row, 3)[::-3] for row in rows] for rows in (x, v, w)]
    check(methods(f, *backwards), slice(None, None, -1), "strides")
    table = np.array([*x, *v, *w]).T.copy().T
    check(methods(f, list(table[:3]), list(table[3:6]), list(table[6:])), slice(None), "interleaved")
    many = [[np.tile(row, 60) for row in rows] for rows in (x, v, w)]
    for a, b in zip(methods(f, *many, 2), expected, strict=True):
        assert (bits(a).reshape(60, 140) == bits(b)).all()
    # An argument, direction or weight without batch axes is one that is repeated.
    for uniform in ((x, 1), (v, 0), (w, 1)):
        rows, at = uniform
        kept, rows[at] = rows[at], float(rows[at][5])
        there = list(methods(f, x, v, w))
        rows[at] = np.full(140, rows[at])
        for a, b in zip(there, methods(f, x, v, w), strict=True):
            assert_same_bits(a, b, (seed, "uniform"))
        rows[at] = kept


def _function(seed, dtype, ops=QUICK, n_ops=10):
    program = program_of(seed, n_ops=n_ops, ops=ops, dtype=dtype)
    graph = fg.Graph()
    inputs = graph.inputs("x", "y", "z")
    for k in range(2):
        graph.output(inputs[k], name=f"y{k}")
    template = graph.compile(dtype=dtype)
    return type(template)(program, template.arguments, template.outputs)
