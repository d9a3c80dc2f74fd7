"""Colourings: valid by definition, as few colours as known patterns need, and every entry read off exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgraph.errors import ArgumentError
from fastgraph.jit import adaptive
from fastgraph.sparsity import (
    Pattern,
    coloring,
    distance2_coloring,
    fewest_colors,
    n_colors,
    recover_columns,
    recover_rows,
    recover_star,
    star_coloring,
)


def band(n, reach=1):
    i = np.arange(n)
    return abs(i[:, None] - i) <= reach


def arrow(n, heads=1):
    matrix = np.eye(n, dtype=bool)
    matrix[:heads] = matrix[:, :heads] = True
    return matrix


def grid(side):
    """The five-point stencil."""
    i, j = np.divmod(np.arange(side * side), side)
    return abs(i[:, None] - i) + abs(j[:, None] - j) <= 1


def shuffled(matrix, seed=0):
    order = np.random.default_rng(seed).permutation(len(matrix))
    return matrix[order][:, order]


def scattered(m, n, density, seed=0):
    return np.random.default_rng(seed).random((m, n)) < density


def symmetric(matrix):
    return matrix | matrix.T


@st.composite
def matrices(draw, square=False):
    m = draw(st.integers(1, 14))
    n = m if square else draw(st.integers(1, 14))
    density = draw(st.sampled_from([0.05, 0.2, 0.5, 0.9]))
    matrix = scattered(m, n, density, draw(st.integers(0, 2**32 - 1)))
    if square:
        matrix = symmetric(matrix)
        if draw(st.booleans()):
            np.fill_diagonal(matrix, True)
    return matrix


@pytest.fixture(params=["python", "machine"])
def compiled(request, monkeypatch):
    for name, step in list(vars(coloring).items()):
        if isinstance(step, adaptive):
            monkeypatch.setattr(coloring, name, getattr(step, request.param))


def assert_ordinary(colors, used):
    """Colours are 0, 1, 2… without a gap, and -1 just where nothing is."""
    assert colors.dtype == np.int64
    assert np.array_equal(colors >= 0, used)
    assert set(colors.tolist()) - {-1} == set(range(n_colors(colors)))


def is_distance2(matrix, colors):
    return all(len(set(colors[row].tolist())) == row.sum() for row in matrix)


def is_star(matrix, colors):
    """Neighbours differ, and no path over four vertices has two colours; by looking at all of them."""
    n = len(matrix)
    near = [[j for j in range(n) if matrix[i, j] and j != i] for i in range(n)]
    for b in range(n):
        for c in near[b]:
            if colors[b] == colors[c]:
                return False
            for a in near[b]:
                for d in near[c]:
                    if len({a, b, c, d}) == 4 and colors[a] == colors[c] and colors[b] == colors[d]:
                        return False
    return True


def numbered(matrix, mirrored=False):
    """Integers where the matrix has entries, so that sums are exact and no two are mistaken."""
    values = np.arange(1.0, matrix.size + 1).reshape(matrix.shape) ** 2
    if mirrored:
        values = values + values.T
    return values * matrix


def seeds(colors):
    return (colors[:, None] == np.arange(n_colors(colors))).astype(float)


def check_columns(matrix):
    pattern = Pattern.of_dense(matrix)
    colors = distance2_coloring(pattern)
    assert_ordinary(colors, matrix.any(axis=0))
    assert is_distance2(matrix, colors)
    values = numbered(matrix)
    assert np.array_equal((values @ seeds(colors))[recover_columns(pattern, colors)], values[matrix])
    return n_colors(colors)


def check_rows(matrix):
    pattern = Pattern.of_dense(matrix)
    colors = distance2_coloring(pattern.transposed())
    assert is_distance2(matrix.T, colors)
    values = numbered(matrix)
    assert np.array_equal((seeds(colors).T @ values)[recover_rows(pattern, colors)], values[matrix])
    return n_colors(colors)


def check_star(matrix, definition=True):
    pattern = Pattern.of_dense(matrix)
    colors = star_coloring(pattern)
    assert_ordinary(colors, matrix.any(axis=0))
    assert not definition or is_star(matrix, colors)
    values = numbered(matrix, mirrored=True)
    rows, columns = recover_star(pattern, colors)
    assert np.array_equal((values @ seeds(colors))[rows, columns], values[matrix])
    return n_colors(colors)


@settings(deadline=None)
@given(matrices())
def test_columns_and_rows(matrix):
    check_columns(matrix)
    check_rows(matrix)


@settings(deadline=None)
@given(matrices(square=True))
def test_stars(matrix):
    check_star(matrix)


@pytest.mark.parametrize("seed", range(6))
def test_python_and_machine_code_are_right(seed, compiled):
    check_columns(scattered(60, 50, 0.02 * (seed + 1), seed))
    check_rows(scattered(60, 50, 0.02 * (seed + 1), seed))
    check_star(symmetric(scattered(40, 40, 0.02 * (seed + 1), seed)))


def test_python_and_machine_code_agree(monkeypatch):
    pattern = Pattern.of_dense(shuffled(grid(12)))
    got = []
    for kind in ("python", "machine"):
        with monkeypatch.context() as patch:
            for name, step in list(vars(coloring).items()):
                if isinstance(step, adaptive):
                    patch.setattr(coloring, name, getattr(step, kind))
            colors = star_coloring(pattern)
            got.append([distance2_coloring(pattern), colors, *recover_star(pattern, colors)])
    assert all(np.array_equal(a, b) for a, b in zip(*got, strict=True))


@pytest.mark.parametrize("limit", [0, 2, 5])
def test_long_rows_are_treated_apart(limit, monkeypatch):
    """With any bound of what is long, colourings stay valid, and long rows cost no more colours than they must."""
    monkeypatch.setattr(coloring, "LONG", limit)
    for seed in range(30):
        check_columns(scattered(14, 17, 0.2, seed))
        check_star(symmetric(scattered(13, 13, 0.25, seed)))
    assert check_columns(arrow(40) | band(40)) == 40
    assert limit == 0 or check_star(arrow(40)) == 2


def test_dense_rows_of_large_patterns_cost_linear_time():
    """A full row over 200,000 columns: squared, this would take a minute and more."""
    n = 200_000
    i = np.arange(n)
    rows, columns = np.concatenate([i * 0, i[1:], i[1:]]), np.concatenate([i, i[1:], i[1:] * 0])
    pattern = Pattern.of_pairs(rows, columns, (n, n))
    assert n_colors(distance2_coloring(pattern)) == n
    colors = star_coloring(pattern)
    assert n_colors(colors) == 2
    where = recover_star(pattern, colors)
    # The row of the head holds the sum of all others: nothing but its own diagonal is read there.
    assert np.flatnonzero((where[0] == 0) & (where[1] != colors[0])).size == 0


KNOWN = {
    # name: (matrix, colours of columns, colours of rows, colours of stars or None)
    "diagonal": (np.eye(50, dtype=bool), 1, 1, 1),
    "tridiagonal": (band(50), 3, 3, 3),
    "two beside the diagonal": (band(50, 2), 5, 5, 5),
    "shuffled band": (shuffled(band(300, 5)), 11, 11, 11),
    "arrow": (arrow(50), 50, 50, 2),
    "three arrows": (arrow(50, 3), 50, 50, 4),
    "dense": (np.ones((20, 20), bool), 20, 20, 20),
    "blocks": (np.kron(np.eye(10), np.ones((4, 4))).astype(bool), 4, 4, 4),
    "empty": (np.zeros((7, 7), bool), 0, 0, 0),
    "one full row": (np.arange(30)[:, None] * np.ones(30) == 0, 30, 1, None),
    "grid": (grid(12), 7, 7, 6),
    "shuffled grid": (shuffled(grid(12)), 8, 8, 7),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_patterns_take_no_more_colors(name):
    matrix, columns, rows, stars = KNOWN[name]
    pattern = Pattern.of_dense(matrix)
    least = fewest_colors(pattern)
    assert least == (matrix.sum(axis=1).max(), matrix.sum(axis=0).max())
    assert least[0] <= check_columns(matrix) <= columns
    assert least[1] <= check_rows(matrix) <= rows
    if stars is not None:
        assert check_star(matrix, definition=len(matrix) < 200) <= stars


@settings(deadline=None)
@given(matrices(square=True))
def test_an_entry_and_its_mirror_are_read_at_one_place(matrix):
    pattern = Pattern.of_dense(matrix)
    rows, columns = recover_star(pattern, star_coloring(pattern))
    place = np.zeros((*matrix.shape, 2), np.int64)
    place[pattern.rows, pattern.indices] = np.stack([rows, columns], axis=-1)
    assert np.array_equal(place, place.transpose(1, 0, 2))


def test_an_invalid_coloring_is_noticed():
    """The checks above can fail: two colours on a path of four vertices, one colour on two columns of a row."""
    assert not is_star(band(4), np.array([0, 1, 0, 1]))
    assert not is_star(band(4), np.array([0, 0, 1, 2]))
    assert is_star(band(4), np.array([0, 1, 0, 2]))
    assert not is_distance2(band(4), np.array([0, 1, 0, 2]))


def test_no_columns_at_all():
    for shape in ((0, 0), (3, 0), (0, 3)):
        pattern = Pattern.of_dense(np.zeros(shape))
        assert distance2_coloring(pattern).tolist() == [-1] * shape[1]
        assert fewest_colors(pattern) == (0, 0)
    assert star_coloring(Pattern.of_dense(np.zeros((0, 0)))).tolist() == []


@pytest.mark.parametrize(
    "matrix", [[[0, 1], [0, 0]], [[1, 1], [0, 1]], [[0, 0], [1, 0]], [[1, 0, 1], [0, 1, 0]], [[1], [1]]]
)
def test_stars_are_refused_where_a_mirror_is_missing(matrix):
    pattern = Pattern.of_dense(matrix)
    with pytest.raises(ArgumentError, match="for symmetric patterns"):
        star_coloring(pattern)
    with pytest.raises(ArgumentError, match="for symmetric patterns"):
        recover_star(pattern, [0] * pattern.shape[1])


@pytest.mark.parametrize("colors", [[0, 1], [0, 1, 3], [0, 1, -2], [[0, 1, 2]]])
def test_colors_are_checked(colors):
    with pytest.raises(ArgumentError, match="3 integers from -1 to 2"):
        recover_star(Pattern.of_dense(np.eye(3)), colors)


# -- patterns as arrays -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(matrices(), st.randoms(use_true_random=False))
def test_patterns_hold_what_they_were_made_of(matrix, random):
    pattern = Pattern.of_dense(matrix)
    assert np.array_equal(pattern.to_dense(), matrix)
    assert np.array_equal(pattern.transposed().to_dense(), matrix.T)
    pairs = list(zip(pattern.rows.tolist(), pattern.indices.tolist(), strict=True))
    random.shuffle(pairs)
    again = Pattern.of_pairs([i for i, _ in pairs], [j for _, j in pairs], matrix.shape)
    assert np.array_equal(again.indptr, pattern.indptr) and np.array_equal(again.indices, pattern.indices)
    assert again.nnz == matrix.sum()


@pytest.mark.parametrize(
    ("indptr", "indices", "what"),
    [
        ([0, 1], [0], "indptr .* in 3 steps"),
        ([1, 1, 1], [0], "indptr"),
        ([0, 2, 1], [0], "indptr"),
        ([0, 1, 1], [0, 1], "indptr"),
        ([0, 1, 1], [3], "from 0 to 2"),
        ([0, 1, 1], [-1], "from 0 to 2"),
        ([0, 2, 2], [1, 1], "ascend"),
        ([0, 2, 3], [2, 1, 0], "ascend"),
        ([0, 0, 2], [1, 0], "ascend"),
        ([0, 1.0, 1], [1], "int64"),
        ([0, 1, 1], [[1]], "int64"),
    ],
)
def test_arrays_that_are_no_pattern_are_refused(indptr, indices, what):
    with pytest.raises(ArgumentError, match=what):
        Pattern((2, 3), np.array(indptr), np.array(indices))


def test_arrays_that_are_a_pattern_are_kept_read_only():
    pattern = Pattern((3, 3), np.array([0, 2, 2, 3]), np.array([0, 2, 1]))
    assert pattern.to_dense().astype(int).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    for array in (pattern.indptr, pattern.indices):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(("rows", "columns"), [([2], [0]), ([-1], [0]), ([0], [3]), ([0], [-1]), ([0], [0, 1])])
def test_pairs_outside_the_shape_are_refused(rows, columns):
    with pytest.raises(ArgumentError, match="within its shape"):
        Pattern.of_pairs(rows, columns, (2, 3))
