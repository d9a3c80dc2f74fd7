"""The C interface: C programs and SciPy's C callbacks get the bits of calls from Python, or NaN and a reason."""

import ctypes
import gc
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastgraph as fg
from fastgraph.c_interface import KINDS, header
from fastgraph.cli import main
from fastgraph.errors import ArgumentError, ShapeError
from fastgraph.handle import IN_USE, IS_USED, NOT_BOUND, NOT_PREPARED, NOT_SCALAR, OK, STATUSES
from tests.bits import assert_same_bits
from tests.random_graphs import Seeded, record
from tests.subprocesses import run
from tests.test_embedding import K, V, X, scalar, several

NUMBERS = ctypes.POINTER(ctypes.c_double)
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

PROGRAM = r"""
#include <stdlib.h>
#include "fastgraph.h"

/* Steepest descent; the status of the first call that fails. */
int descend(fastgraph_function *f, double *x, int steps, double rate, double *value)
{
    double *g = malloc(sizeof(double) * f->n);
    int status = f->abi == FASTGRAPH_ABI ? FASTGRAPH_OK : -1;
    for (int k = 0; k < steps && status == FASTGRAPH_OK; ++k) {
        status = f->value_and_grad(f, x, value, g);
        for (int64_t i = 0; i < f->n; ++i) x[i] -= rate * g[i];
    }
    free(g);
    return status == FASTGRAPH_OK ? f->value(f, x, value) : status;
}

/* How many of `calls` found the block free; of those, how many gave another value than `expected`. */
int hammer(fastgraph_function *f, const double *x, double expected, int calls, int *wrong)
{
    int done = 0;
    for (int k = 0; k < calls; ++k) {
        double y;
        int status = f->value(f, x, &y);
        if (status == FASTGRAPH_OK) {
            ++done;
            *wrong += y != expected;
        } else {
            *wrong += status != FASTGRAPH_IN_USE || y == y;
        }
    }
    return done;
}

int all(fastgraph_function *f, const double *x, const double *v, const double *w, const double *p, double *out)
{
    int64_t n = f->n, m = f->m;
    int status = f->set_parameters(f, p);
    status |= f->call(f, x, out);
    status |= f->jvp(f, x, v, out, out + m);
    status |= f->vjp(f, x, w, out, out + 2 * m);
    status |= f->jacobian_values(f, x, out + 2 * m + n);
    return status;
}
"""


def pointer(array):
    return array.ctypes.data_as(NUMBERS)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C program above, compiled with the header that the command prints."""
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("c")
    (folder / "fastgraph.h").write_text(header())
    (folder / "program.c").write_text(PROGRAM)
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", "program.so"]
    subprocess.run([COMPILER, *flags, "program.c"], cwd=folder, check=True)
    made = ctypes.CDLL(str(folder / "program.so"))
    made.descend.argtypes = [ctypes.c_void_p, NUMBERS, ctypes.c_int, ctypes.c_double, NUMBERS]
    made.hammer.argtypes = [ctypes.c_void_p, NUMBERS, ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
    made.all.argtypes = [ctypes.c_void_p, *[NUMBERS] * 5]
    return made


@pytest.mark.parametrize("by", ["pointer", "address", "handle"])
def test_a_c_program_descends(library, by):
    graph = fg.Graph()
    x = graph.input("x", shape=3)
    graph.output(fg.sum((x - [1.0, 2.0, 3.0]) ** 2))
    f = graph.compile()
    block = {"pointer": lambda: f.ctypes, "address": lambda: f.address, "handle": lambda: f.numba.ctypes}[by]()
    x, value = np.zeros(3), ctypes.c_double()
    assert library.descend(block, pointer(x), 200, 0.25, ctypes.byref(value)) == OK
    np.testing.assert_allclose(x, [1.0, 2.0, 3.0], rtol=1e-15)
    assert value.value == f.flat(x)


def test_a_c_program_calls_everything(library):
    f, w = several(), np.array([1.0, -1.0, 0.5, 2.0])
    h = f.numba.prepare("jvp", "vjp", "jacobian_values")
    x, v, nnz = X[:3].copy(), V[:3].copy(), f.jacobian_sparsity().nnz
    out = np.empty(4 + 4 + 3 + nnz)
    assert library.all(h.ctypes, *map(pointer, (x, v, w, np.array([2.0]), out))) == OK
    assert h.ctypes.contents.nnz == nnz and h.status == "OK"
    assert_same_bits(out[:4], f.flat(x, k=2.0))
    assert_same_bits(out[4:8], f.flat.jvp(x, v, k=2.0)[1])
    assert_same_bits(out[8:11], f.flat.vjp(x, w, k=2.0)[1])
    assert_same_bits(out[11:], f.flat.sparse_jacobian_values(x, k=2.0))


def test_two_threads_with_one_block(library):
    """Whoever is second is told so; no number is ever wrong."""
    f = record(Seeded(3), n_inputs=4, n_ops=300).compile()
    x, block = np.array([0.3, 0.7, -0.2, 0.5]), f.ctypes
    expected, wrong, done = float(f.flat(x)), [ctypes.c_int(), ctypes.c_int()], [0, 0]
    assert np.isfinite(expected)

    def work(k):
        done[k] = library.hammer(block, pointer(x), expected, 20_000, ctypes.byref(wrong[k]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) > 0 and [w.value for w in wrong] == [0, 0]


def test_by_ctypes():
    """Every method of a scalar function, from Python's own caller of C."""
    f = scalar()
    h = f.numba.bind(k=K).prepare("hvp")
    block, x, v, y, g = h.ctypes, X.copy(), V.copy(), np.empty(1), np.empty(4)
    assert block.contents.value(block, pointer(x), pointer(y)) == OK
    assert_same_bits(y[0], f.flat(x, k=K))
    assert block.contents.value_and_grad(block, *map(pointer, (x, y, g))) == OK
    assert_same_bits(g, f.flat.value_and_grad(x, k=K)[1])
    assert block.contents.hvp(block, *map(pointer, (x, v, g))) == OK
    assert_same_bits(g, f.flat.hvp(x, v, k=K))


def test_errors_are_statuses_and_nan():
    h, x = scalar().numba, X.copy()
    block, y, g = h.ctypes, np.zeros(4), np.zeros(4)
    c = block.contents
    assert c.value_and_grad(block, *map(pointer, (x, y, g))) == c.status == NOT_BOUND
    assert np.isnan(y[0]) and np.isnan(g).all() and (y[1:] == 0.0).all() and h.status == "NOT_BOUND"
    assert c.set_parameters(block, pointer(K.copy())) == OK
    assert c.value(block, pointer(x), pointer(y)) == OK and c.status == NOT_BOUND  # until the caller changes it
    for method, arrays in (("jvp", (x, x, y, g)), ("hvp", (x, x, g)), ("jacobian_values", (x, g)), ("vjp", (x,) * 4)):
        x[:] = X
        assert getattr(c, method)(block, *map(pointer, arrays)) == c.status == NOT_PREPARED
    h.fields[IS_USED] = 1
    assert c.call(block, pointer(x), pointer(y)) == c.set_parameters(block, pointer(K.copy())) == IN_USE
    with pytest.raises(ValueError, match=r"in use by another thread: give each thread its own clone\(\)"):
        h.value(X)
    with pytest.raises(ValueError, match="in use"):
        h.set_parameters(K)
    h.fields[IS_USED] = 0
    assert h.value(X) == scalar().flat(X, k=K)
    block = several().numba.bind(k=1.0).ctypes
    assert block.contents.value(block, pointer(x), pointer(y)) == NOT_SCALAR
    assert block.contents.value_and_grad(block, *map(pointer, (x, y, g))) == NOT_PREPARED


def test_a_pointer_keeps_the_handle():
    """Only the pointer is held; what it points to is neither freed nor reused."""

    def pointers():
        graph = fg.Graph()
        graph.output(fg.sin(graph.input("x")))
        f = graph.compile()
        return f.numba.ctypes, f.lowlevel("quad").user_data, f(0.5)

    made = [pointers() for _ in range(20)]
    gc.collect()
    for block, data, expected in made:
        x, y = np.array([0.5]), np.empty(1)
        assert block.contents.value(block, pointer(x), pointer(y)) == OK
        assert data.handle.value(x) == y[0] == expected


def test_the_header(capsys):
    assert main(["header"]) == 0
    text = capsys.readouterr().out
    assert text == header()
    assert all(f"FASTGRAPH_{name} = {k}," in text for k, name in enumerate(STATUSES))
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_the_header_is_cpp(tmp_path):
    (tmp_path / "fastgraph.h").write_text(header())
    (tmp_path / "use.cpp").write_text('#include "fastgraph.h"\nlong n(fastgraph_function *f) { return f->n; }\n')
    flags = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run(["c++", *flags, "use.cpp"], cwd=tmp_path, check=True)


# -- SciPy's callables ------------------------------------------------------------------------------------------------
integrate = pytest.importorskip("scipy.integrate")
ndimage = pytest.importorskip("scipy.ndimage")


def of(expression, n, **parameters):
    """A function of the inputs x0, x1, … and parameters."""
    graph = fg.Graph("integrand")
    xs = [graph.input(f"x{k}") for k in range(n)]
    graph.output(expression(*xs, **{name: graph.parameter(name) for name in parameters}))
    return graph.compile()


def test_quad():
    f = of(lambda x, k: fg.exp(-k * x * x), 1, k=None)
    value, error = integrate.quad(f.lowlevel("quad", k=2.0), -np.inf, np.inf)
    assert abs(value - np.sqrt(np.pi / 2.0)) <= error < 1e-7
    assert value == integrate.quad(lambda x: f(x, k=2.0), -np.inf, np.inf)[0]
    f = of(lambda x, a, b: a * fg.sin(b * x), 3)
    assert integrate.quad(f.lowlevel("quad"), 0.0, 1.0, args=(3.0, 2.0))[0] == pytest.approx(
        1.5 * (1.0 - np.cos(2.0)), rel=1e-14
    )


def test_nquad():
    """The volume under a paraboloid, in SciPy's order of variables; and the same by dblquad."""
    f = of(lambda x, y, k: k * x * y * y, 2, k=None)
    low = f.lowlevel("nquad", k=3.0)
    assert integrate.nquad(low, [[0.0, 1.0], [0.0, 2.0]])[0] == pytest.approx(4.0, rel=1e-13)
    assert integrate.dblquad(low, 0.0, 2.0, 0.0, 1.0)[0] == pytest.approx(4.0, rel=1e-13)
    with_args = of(lambda x, y, k: k * x * y * y, 3).lowlevel("nquad")
    assert integrate.nquad(with_args, [[0.0, 1.0], [0.0, 2.0]], args=(3.0,))[0] == pytest.approx(4.0, rel=1e-13)


def test_generic_filter():
    image = np.random.default_rng(0).normal(size=(7, 9))
    f = of(lambda *xs: fg.maximum(xs[0], xs[5]) + fg.tanh(xs[4]) * xs[3], 6)
    found = ndimage.generic_filter(image, f.lowlevel("generic_filter"), size=(2, 3), mode="wrap")
    expected = ndimage.generic_filter(image, lambda window: f(*window), size=(2, 3), mode="wrap")
    assert_same_bits(found, expected)


def test_generic_filter1d():
    image = np.random.default_rng(1).normal(size=(4, 11))
    f = of(lambda a, b, c: a * b - fg.exp(c), 3)
    found = ndimage.generic_filter1d(image, f.lowlevel("generic_filter1d"), 3)
    expected = ndimage.generic_filter(image, lambda window: f(*window), size=(1, 3))
    assert_same_bits(found, expected)


def test_geometric_transform():
    """A rotation by a parameter."""
    graph = fg.Graph()
    place, angle = graph.input("place", shape=2), graph.parameter("angle")
    x, y = place - 4.0
    graph.output([4.0 + fg.cos(angle) * x - fg.sin(angle) * y, 4.0 + fg.sin(angle) * x + fg.cos(angle) * y])
    f, image = graph.compile(), np.random.default_rng(2).normal(size=(9, 9))
    found = ndimage.geometric_transform(image, f.lowlevel("geometric_transform", angle=0.3))
    expected = ndimage.geometric_transform(image, lambda at: tuple(f(at, angle=0.3)))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_wrong_length_is_nan():
    low = of(lambda x, a: x * a, 2).lowlevel("quad")
    with pytest.warns(integrate.IntegrationWarning):
        assert np.isnan(integrate.quad(low, 0.0, 1.0)[0])
    assert low.user_data.handle.status == "WRONG_LENGTH"
    for kind, call in (
        ("generic_filter", lambda low: ndimage.generic_filter(np.ones((4, 4)), low, size=3)),
        ("generic_filter1d", lambda low: ndimage.generic_filter1d(np.ones((4, 4)), low, 3)),
        ("geometric_transform", lambda low: ndimage.geometric_transform(np.ones((4, 4)), low)),
    ):
        low = of(lambda x, y: x * y, 2).lowlevel(kind)
        with pytest.raises(RuntimeError):
            call(low)
        assert low.user_data.handle.status == "WRONG_LENGTH"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: scalar().lowlevel("fold", k=K), ArgumentError, "'quad', 'nquad', .*not 'fold'"),
        (lambda: several().lowlevel("quad", k=1.0), ArgumentError, "exactly one scalar output"),
        (lambda: scalar().lowlevel("quad"), ArgumentError, "misses the parameter 'k'"),
        (lambda: scalar().lowlevel("quad", j=1.0, k=K), ArgumentError, "no parameter 'j'"),
        (lambda: scalar().lowlevel("quad", k=1.0), ShapeError, r"k"),
    ],
)
def test_what_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"fastgraph\[scipy\]"):
        of(lambda x: x, 1).lowlevel("quad")


USED = """
    import numpy as np
    from scipy import integrate
    import fastgraph as fg
    from fastgraph.c_interface import functions
    from fastgraph.jit import once
    graph = fg.Graph()
    graph.output(fg.sin(graph.input("x")))
    f = graph.compile()
    assert abs(integrate.quad(f.lowlevel("quad"), 0.0, np.pi)[0] - 2.0) < 1e-14
    f.address
    print(all(c.cache_hits == 1 for c in once(functions).values()))
"""


def test_another_process_compiles_nothing():
    """The C functions serve every graph, from disk."""
    run(USED)
    assert run(USED) == ["True"]


def test_every_kind_is_tested():
    assert set(KINDS) == {"quad", "nquad", "generic_filter", "generic_filter1d", "geometric_transform"}
