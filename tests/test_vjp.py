"""vjp: products of cotangents with the Jacobian: shapes, broadcasting, the bits of the gradients they are made of."""

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.errors import ArgumentError, FastgraphError, ShapeError
from fastgraph.program import DTYPES
from tests.bits import assert_same_bits
from tests.random_graphs import ARITHMETIC, Seeded, input_sets, record

EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(12))
def test_cotangent_one_is_the_gradient(seed, dtype):
    f = record(Seeded(seed), n_ops=5 + 2 * seed, n_inputs=3, dtype=dtype).compile(dtype=dtype)
    x = input_sets(seed, 3, 150)
    for part in (x[:, 0], x[:, :1], x[:, :2], x[:, :3], x):
        y, g = f.value_and_grad(*part)
        for one in (1, 1.0, True, np.float32(1), np.ones(part.shape[1:]), np.ones(part.shape[1:], "i1")):
            z, back = f.vjp(tuple(part), one)
            assert_same_bits(z, y)
            assert type(back) is type(g) and type(z) is type(y)
            for a, b in zip(back, g, strict=True):
                assert_same_bits(a, b, seed)
    y, back = f.flat.vjp(x.T, 1.0)
    assert_same_bits(back, f.flat.grad(x.T))


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(10))
def test_outputs_add_up(seed, dtype):
    """Against the gradients of the outputs one by one, with the roundings of as many additions as there are."""
    graph = fg.Graph()
    x, y, z = graph.inputs("x", "y", "z")
    shared = x * y + z
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=2).tolist()
    expressions = [shared * a + x, fg.exp(-shared * shared) * b, shared, z]
    for k, expression in enumerate(expressions):
        graph.output(expression, name=f"y{k}")
    f = graph.compile(dtype=dtype)
    sets, weights = rng.normal(size=(3, 70)), rng.normal(size=(4, 70))
    outputs, back = f.vjp(tuple(sets), tuple(weights))
    assert outputs._fields == ("y0", "y1", "y2", "y3") and back._fields == ("x", "y", "z")
    eps = float(np.finfo(dtype).eps)
    for name in "xyz":
        total, size = np.zeros(70), np.zeros(70)
        for k in range(4):
            alone = tuple(weights[j] if j == k else 0.0 for j in range(4))
            part = getattr(f.vjp(tuple(sets), alone)[1], name).astype(np.float64)
            total, size = total + part, size + np.abs(part)
        # Sums inside the shared part may cancel, whose terms are no larger than |a| + 2|b shared| + 1 of a weight.
        scale = np.abs(weights).sum(0) * (2 + abs(a) + 2 * abs(b) * (1 + np.abs(sets[0] * sets[1] + sets[2])))
        scale = scale * (1 + np.abs(sets[0]) + np.abs(sets[1]))
        assert (np.abs(getattr(back, name) - total) <= 16 * eps * (size + scale)).all(), name


@EVERY_DTYPE
@pytest.mark.parametrize("seed", range(12))
def test_one_set_and_tiles_have_the_same_bits(seed, dtype):
    """Batches of any size, cotangents that vary or not, with arguments that do or not."""
    options = {"ops": ARITHMETIC, "n_ops": 60} if seed % 2 else {"n_ops": 10 + seed}
    f = record(Seeded(seed), n_inputs=3, n_outputs=3, dtype=dtype, **options).compile(dtype=dtype)
    x = input_sets(seed, 3, 140)
    w = input_sets(seed + 1, 3, 140)
    y, back = f.vjp(tuple(x), tuple(w))
    for k in (0, 1, 2, 63, 64, 139):
        one_y, one_back = f.vjp(tuple(x[:, k].tolist()), tuple(w[:, k].tolist()))
        for got, expected in zip((*one_y, *one_back), (*y, *back), strict=True):
            assert_same_bits(got, expected[k], k)
    for n in (1, 2, 3, 9, 65):
        some_y, some_back = f.vjp(tuple(x[:, :n]), dict(zip(("y0", "y1", "y2"), w[:, :n], strict=True)))
        for got, expected in zip((*some_y, *some_back), (*y, *back), strict=True):
            assert_same_bits(got, expected[:n], n)

    # Uniform arguments and cotangents are those repeated.
    def repeated(numbers):
        return [np.full(140, v) if np.ndim(v) == 0 else v for v in numbers]

    for args, weights in [
        (x[:, 0].tolist(), list(w)),
        (list(x), w[:, 0].tolist()),
        ([x[0], 0.5, x[2]], [w[0], 2.0, w[2]]),
    ]:
        got = f.vjp(args, weights, threads=2)
        expected = f.vjp(repeated(args), repeated(weights))
        for a, b in zip((*got[0], *got[1]), (*expected[0], *expected[1]), strict=True):
            assert_same_bits(a, b)


def test_shapes(vector):
    """Inputs x (3,) and t, parameter k (2, 2); outputs u (3,) and v ()."""
    rng = np.random.default_rng(0)
    k = rng.normal(size=(2, 2))
    for x_batch, t_batch, u_batch, v_batch in [
        ((), (), (), ()),
        ((5,), (), (), ()),
        ((), (), (4,), ()),
        ((), (), (4, 1), (5,)),
        ((2, 1), (7,), (), (2, 7)),
        ((1,), (3, 1), (1,), (4,)),
        ((0,), (), (), (1,)),
        ((), (0, 2), (2,), ()),
    ]:
        batch = np.broadcast_shapes(x_batch, t_batch, u_batch, v_batch)
        x, t = rng.normal(size=(*x_batch, 3)), rng.normal(size=t_batch)
        wu, wv = rng.normal(size=(*u_batch, 3)), rng.normal(size=v_batch)
        for cotangents in ((wu, wv), [wu, wv], {"v": wv, "u": wu}):
            y, back = vector.vjp((x, t, k), cotangents)
            assert (y.u.shape, y.v.shape, back._fields) == ((*batch, 3), batch, ("x", "t"))
            assert (back.x.shape, back.t.shape) == ((*batch, 3), batch)
        expected = wu * np.asarray(t)[..., None] + 2.0 * x * np.asarray(wv)[..., None]
        assert np.allclose(back.x, expected, rtol=1e-14, atol=1e-14)
        assert np.allclose(back.t, (wu * x).sum(-1) + wv, rtol=1e-14, atol=1e-14)
        by_name = vector.vjp({"k": k, "x": x, "t": t}, (wu, wv))
        assert_same_bits(by_name[1].x, back.x)
        flat = np.concatenate(np.broadcast_arrays(np.zeros((*batch, 1)), t[..., None])[1:], -1)
        whole = np.concatenate([np.broadcast_to(x, (*batch, 3)), np.broadcast_to(flat, (*batch, 1))], -1)
        weights = [np.broadcast_to(wu, (*batch, 3)), np.broadcast_to(np.asarray(wv)[..., None], (*batch, 1))]
        y, g = vector.flat.vjp(whole, np.concatenate(weights, -1), k=k)
        assert g.shape == (*batch, 4)
        assert_same_bits(g[..., :3], back.x)
        assert_same_bits(g[..., 3], np.asarray(back.t))


def test_rows_of_the_identity_give_the_jacobian(vector):
    x, k = np.array([0.5, -1.0, 2.0]), np.ones((2, 2))
    _, back = vector.vjp((x, 3.0, k), (np.eye(4)[:, :3], np.eye(4)[:, 3]))
    assert_same_bits(back.x, [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [1.0, -2.0, 4.0]])
    assert_same_bits(back.t, [0.5, -1.0, 2.0, 1.0])


def test_wrt(weighted):
    x, k, t = np.array([[2.0, 3.0], [1.0, 1.0]]), np.array([0.5, 1.0]), 4.0
    w = np.array([10.0, 1.0])
    assert weighted.vjp((x, k, t), w)[1]._fields == ("x", "t")
    assert weighted.vjp((x, k, t), w, wrt="k")[1].tolist() == [60.0, 1.0]
    assert weighted.vjp((x, k, t), w, wrt=("t",))[1]._fields == ("t",)
    both = weighted.vjp((x, k, t), w, wrt=("t", "k"))[1]
    assert both._fields == ("t", "k") and both.t.tolist() == [80.0, 8.0]
    for wrong in ("q", (), ("x", "x"), 3):
        with pytest.raises(ArgumentError, match="wrt"):
            weighted.vjp((x, k, t), w, wrt=wrong)


def test_a_cotangent_of_zero_is_a_number_like_any_other():
    """0 * inf is nan, as in any product; a branch not taken hands on nothing all the same."""
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.sqrt(x), name="root")
    graph.output(fg.where(y > 0.0, fg.sqrt(x), y), name="chosen")
    f = graph.compile()
    for n in (None, 3):
        zero, minus = (0.0, -1.0) if n is None else (np.zeros(n), np.full(n, -1.0))
        assert np.isnan(f.vjp((zero, minus), (0.0, 1.0))[1].x).all()
        _, back = f.vjp((zero + 4.0, minus), (0.0, 0.0))
        assert_same_bits(back.x, zero)
        assert_same_bits(back.y, zero)
    graph = fg.Graph()
    x, y = graph.inputs("x", "y")
    graph.output(fg.where(y > 0.0, fg.sqrt(x), y))
    f = graph.compile()
    for w in (0.0, 1.0, np.inf, np.nan):
        assert_same_bits(f.vjp(([0.0] * 5, [-1.0] * 5), w)[1].x, np.zeros(5))


def test_out(vector):
    x, t, k = np.ones((5, 3)), np.arange(5.0), np.ones((2, 2))
    w = (np.ones(3), 2.0)
    y, back = vector.vjp((x, t, k), w)
    out = (np.empty((5, 3)), np.empty(5)), (np.empty((3, 5)).T, np.empty(10)[::2])
    got = vector.vjp((x, t, k), w, out=out)
    assert got[0].u is out[0][0] and got[1].t is out[1][1]
    for a, b in zip((*got[0], *got[1]), (*y, *back), strict=True):
        assert_same_bits(a, b)
    # Results may be written over the arguments and the cotangents.
    w = np.arange(15.0).reshape(5, 3), np.arange(5.0)
    expected = vector.vjp((x, t, k), w)
    vector.vjp((x, t, k), w, out=((x, w[1]), (w[0], t)))
    for a, b in zip((x, w[1], w[0], t), (*expected[0], *expected[1]), strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize(
    ("args", "cotangents", "error", "message"),
    [
        (3.0, (np.ones(3), 1.0), ArgumentError, "args must be a tuple"),
        (np.ones(3), (np.ones(3), 1.0), ArgumentError, "args must be a tuple"),
        ((np.ones(3), 1.0), (np.ones(3), 1.0), ArgumentError, "misses k"),
        ({"x": np.ones(3), "t": 1.0}, (np.ones(3), 1.0), ArgumentError, "misses k"),
        ((np.ones(3), 1.0, np.ones((2, 2)), 1.0), (np.ones(3), 1.0), ArgumentError, "takes 3 arguments"),
        (None, np.ones(3), ArgumentError, r"cotangents must be a tuple of one array per output .u \(3,\), v \(\)"),
        (None, (np.ones(3),), ArgumentError, "cotangents must be a tuple"),
        (None, (np.ones(3), 1.0, 1.0), ArgumentError, "cotangents must be a tuple"),
        (None, {"u": np.ones(3)}, ArgumentError, "none for v"),
        (None, {"u": np.ones(3), "v": 1.0, "w": 1.0}, ArgumentError, "unknown outputs .'w'"),
        (None, (np.ones(2), 1.0), ShapeError, "cotangent of u with shape"),
        (None, (1.0, 1.0), ShapeError, "cotangent of u with shape"),
        (None, (np.ones((4, 3)), np.ones(5)), ShapeError, "do not broadcast"),
        (None, (np.ones(3), 1j), ArgumentError, "cotangent of v of type complex"),
        (None, (np.ones(3), None), ArgumentError, "cotangent of v"),
        (None, (np.array([1, 2, None]), 1.0), ArgumentError, "cotangent of u"),
    ],
)
def test_errors(vector, args, cotangents, error, message):
    with pytest.raises(error, match=message) as caught:
        vector.vjp((np.ones(3), 1.0, np.ones((2, 2))) if args is None else args, cotangents)
    assert isinstance(caught.value, FastgraphError) and "'vector'" in str(caught.value)


def test_functions_without_inputs():
    graph = fg.Graph()
    k = graph.parameter("k")
    graph.output(k * k)
    f = graph.compile()
    with pytest.raises(ArgumentError, match="no inputs"):
        f.vjp((2.0,), 1.0)
    assert f.vjp((2.0,), 3.0, wrt="k") == (4.0, 12.0)
    with pytest.raises(ArgumentError, match="no inputs"):
        f.flat.vjp(np.empty(0), 1.0, k=2.0)
