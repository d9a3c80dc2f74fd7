"""Colourings: which columns, or rows, of a sparse derivative one sweep can give at once, and where entries are then.

In: a ``Pattern``. Out: an int64 colour per column or row, and for each entry its place in the compressed matrix. What
has no entries gets the colour -1: no sweep must seed it.

The greedy algorithms are those of Gebremedhin, Manne and Pothen, "What color is your Jacobian? Graph coloring for
computing derivatives", SIAM Review 47 (2005), and for stars of Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic
and star coloring algorithms with application to computing Hessians", SIAM J. Sci. Comput. 29 (2007).
"""

import numpy as np

from fastgraph.errors import ArgumentError
from fastgraph.jit import adaptive, helper

# Rows with more entries are treated in time linear in them, which may take a few more colours than so many.
LONG = 1024
# A second order of columns, which may take fewer colours, is tried where rows have about so many entries or fewer.
SHORT = 128


def fewest_colors(pattern):
    """Lower bounds of the number of colours, in linear time: of columns, and of rows.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    (int, int)
        Entries of the longest row, which the columns need, and of the longest column, which the rows need.

    Examples
    --------
    >>> from fastgraph.sparsity import Pattern
    >>> fewest_colors(Pattern.of_dense([[1, 1, 1], [0, 0, 1]]))
    (3, 2)
    """
    longest_row = np.diff(pattern.indptr).max(initial=0)
    return int(longest_row), int(np.bincount(pattern.indices).max(initial=0))


def n_colors(colors):
    """Number of colours: of sweeps that give the compressed matrix."""
    return int(colors.max(initial=-1)) + 1


def distance2_coloring(pattern):
    """Colour columns so that no two of one colour have entries in one row; for rows, pass ``pattern.transposed()``.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    ndarray of int64 (columns,)
        The smallest colours are 0, 1, 2…; -1 where a column is empty.

    Examples
    --------
    >>> from fastgraph.sparsity import Pattern
    >>> pattern = Pattern.of_dense([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]])
    >>> distance2_coloring(pattern)
    array([0, 1, 1, 0])
    >>> distance2_coloring(pattern.transposed())
    array([0, 1, 0])
    """
    columns = pattern.transposed()
    arrays = pattern.indices, pattern.indptr, columns.indices, columns.indptr
    colors = _distance2(*arrays, np.arange(pattern.shape[1]), LONG)
    lengths = np.diff(pattern.indptr)
    if n_colors(colors) == lengths.max(initial=0) or (lengths**2).sum() > SHORT * pattern.nnz:
        return colors
    other = _distance2(*arrays, _smallest_last_by_rows(*arrays, LONG), LONG)
    return other if n_colors(other) < n_colors(colors) else colors


def star_coloring(pattern):
    """Colour the rows, and so the columns, of a symmetric matrix so that every entry can be read off directly.

    No two neighbours have one colour, and every path over four of them has three colours or more, so that of entries
    (i, j) and (j, i) one stands alone in its row among the columns of its colour.

    Parameters
    ----------
    pattern : Pattern
        Symmetric.

    Returns
    -------
    ndarray of int64 (n,)
        The smallest colours are 0, 1, 2…; -1 where a row is empty.

    Raises
    ------
    ArgumentError
        If the pattern is not symmetric.

    Examples
    --------
    An arrow: however large, two colours.

    >>> from fastgraph.sparsity import Pattern
    >>> star_coloring(Pattern.of_dense([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]))
    array([0, 1, 1, 1])
    """
    indices, indptr = pattern.indices, pattern.indptr
    return _star(indices, indptr, _mirrors_of(pattern), _smallest_last(indices, indptr), LONG)


def recover_columns(pattern, colors):
    """Where each entry of a Jacobian stands in ``B = J @ S``, S having a column per colour of J's columns.

    Parameters
    ----------
    pattern : Pattern
    colors : ndarray of int64 (columns,)

    Returns
    -------
    (ndarray, ndarray)
        ``B[recover]`` are the values of the entries, in the pattern's order.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgraph.sparsity import Pattern
    >>> jacobian = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 4.0]])
    >>> pattern = Pattern.of_dense(jacobian)
    >>> colors = distance2_coloring(pattern)
    >>> seeds = (colors[:, None] == np.arange(colors.max() + 1)).astype(float)
    >>> (jacobian @ seeds)[recover_columns(pattern, colors)]
    array([1., 2., 3., 4.])
    """
    return pattern.rows, colors[pattern.indices]


def recover_rows(pattern, colors):
    """Where each entry of a Jacobian stands in ``B = S.T @ J``, S having a column per colour of J's rows.

    As :func:`recover_columns`; ``colors`` are those of the transposed pattern.
    """
    return colors[pattern.rows], pattern.indices


def recover_star(pattern, colors):
    """Where each entry of a Hessian stands in ``B = H @ S``, S having a column per colour.

    As :func:`recover_columns`; an entry and its mirror are read from the same place, so that the result is symmetric to
    the last bit.
    """
    colors = _checked(colors, pattern.shape[1])
    return _recover_star(pattern.indices, pattern.indptr, _mirrors_of(pattern), colors)


def _checked(colors, n):
    colors = np.asarray(colors, np.int64)
    if colors.shape != (n,) or (n and not -1 <= colors.min() <= colors.max() < n):
        raise ArgumentError(f"colors must be {n} integers from -1 to {n - 1}")
    return colors


def _mirrors_of(pattern):
    mirrors, is_symmetric = _mirrors(pattern.indices, pattern.indptr)
    if pattern.shape[0] != pattern.shape[1] or not is_symmetric:
        raise ArgumentError(f"a star colouring is for symmetric patterns, and {pattern!r} is not")
    return mirrors


@adaptive
def _distance2(indices, indptr, rows, begin, order, long):
    """Greedy: the smallest colour that no other column of its rows has.

    In a long row colours ascend, instead: there is no need to look at the others then.
    """
    colors = np.full(len(order), -1, np.int64)
    taken = np.full(len(order) + 1, -1, np.int64)  # per colour, the last column it was refused
    above = np.zeros(len(indptr), np.int64)  # per long row, the smallest colour above those it has
    for column in order:
        if begin[column] == begin[column + 1]:
            continue
        color = 0
        for e in range(begin[column], begin[column + 1]):
            row = rows[e]
            if indptr[row + 1] - indptr[row] > long:
                color = max(color, above[row])
                continue
            for f in range(indptr[row], indptr[row + 1]):
                other = colors[indices[f]]
                if other >= 0:
                    taken[other] = column
        while taken[color] == column:
            color += 1
        colors[column] = color
        for e in range(begin[column], begin[column + 1]):
            above[rows[e]] = max(above[rows[e]], color + 1)
    return colors


@adaptive
def _smallest_last(indices, indptr):
    """Vertices of a symmetric pattern, the last of them the one with the fewest neighbours, and so on.

    Matula and Beck, "Smallest-last ordering and clustering and graph coloring algorithms", J. ACM 30 (1983).
    """
    degree = indptr[1:] - indptr[:-1]
    order, place, begin = _by_degree(degree)
    for i in range(len(order)):
        v = order[i]
        for e in range(indptr[v], indptr[v + 1]):
            if degree[indices[e]] > degree[v]:
                _lower(indices[e], degree, order, place, begin)
    return order[::-1].copy()


@adaptive
def _smallest_last_by_rows(indices, indptr, rows, begin_column, long):
    """The same of columns, neighbours being those in a row, counted once for each; long rows are left out."""
    n = len(begin_column) - 1
    degree = np.zeros(n, np.int64)
    for column in range(n):
        for e in range(begin_column[column], begin_column[column + 1]):
            length = indptr[rows[e] + 1] - indptr[rows[e]]
            if length <= long:
                degree[column] = min(degree[column] + length - 1, n)
    order, place, begin = _by_degree(degree)
    for i in range(n):
        column = order[i]
        for e in range(begin_column[column], begin_column[column + 1]):
            row = rows[e]
            if indptr[row + 1] - indptr[row] > long:
                continue
            for f in range(indptr[row], indptr[row + 1]):
                if degree[indices[f]] > degree[column]:
                    _lower(indices[f], degree, order, place, begin)
    return order[::-1].copy()


@helper
def _by_degree(degree):
    """Vertices sorted by degree, the place of each, and where each degree begins."""
    begin = np.zeros(len(degree) + 2, np.int64)
    for d in degree:
        begin[d + 1] += 1
    for d in range(len(degree) + 1):
        begin[d + 1] += begin[d]
    fill = begin.copy()
    order, place = np.empty(len(degree), np.int64), np.empty(len(degree), np.int64)
    for v in range(len(degree)):
        place[v] = fill[degree[v]]
        order[place[v]] = v
        fill[degree[v]] += 1
    return order, place, begin


@helper
def _lower(v, degree, order, place, begin):
    """Take one from a vertex's degree: it changes places with the first of its degree."""
    first = begin[degree[v]]
    other, at = order[first], place[v]
    order[first], order[at] = v, other
    place[v], place[other] = first, at
    begin[degree[v]] += 1
    degree[v] -= 1


@adaptive
def _star(indices, indptr, mirrors, order, long):
    """Greedy: the smallest colour that leaves no path of two colours over four vertices.

    The edges between two colours then form stars, which are kept: per edge (at both its entries) the star's number, and
    per star its hub, or -1 while it has one edge. A vertex with many neighbours gets a colour that no other has: no
    path through it has two colours only, and the rest is coloured without it.
    """
    n = len(order)
    colors = np.full(n, -1, np.int64)
    taken = np.full(n + 1, -1, np.int64)  # per colour, the last vertex it was refused
    first = np.full(n + 1, -1, np.int64)  # per colour, the last vertex that had a neighbour of it …
    entry = np.full(n + 1, -1, np.int64)  # … and the entry of the first such neighbour
    treated = np.full(n, -1, np.int64)
    star = np.full(len(indices), -1, np.int64)
    hub = np.full(len(indices), -1, np.int64)
    n_stars = highest = 0
    for v in order:
        degree = indptr[v + 1] - indptr[v]
        if degree == 0 or degree > long:
            continue
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            color = colors[w]
            if color < 0 or w == v:
                continue
            taken[color] = v
            if first[color] == v:
                # Two neighbours of one colour: v is to be their hub, and no other neighbour of theirs has its colour.
                q = indices[entry[color]]
                if treated[q] != v:
                    _refuse_neighbours(q, v, indices, indptr, colors, taken, treated)
                _refuse_neighbours(w, v, indices, indptr, colors, taken, treated)
            else:
                first[color], entry[color] = v, e
                for f in range(indptr[w], indptr[w + 1]):
                    x = indices[f]
                    if x != v and colors[x] >= 0 and star[f] >= 0 and hub[star[f]] == x:
                        taken[colors[x]] = v
        color = 0
        while taken[color] == v:
            color += 1
        colors[v] = color
        highest = max(highest, color + 1)
        n_stars = _join_stars(v, indices, indptr, mirrors, colors, first, entry, star, hub, n_stars)
    for v in order:
        if indptr[v + 1] - indptr[v] > long:
            colors[v] = highest
            highest += 1
    return colors


@helper
def _refuse_neighbours(w, v, indices, indptr, colors, taken, treated):
    for f in range(indptr[w], indptr[w + 1]):
        if colors[indices[f]] >= 0:
            taken[colors[indices[f]]] = v
    treated[w] = v


@helper
def _join_stars(v, indices, indptr, mirrors, colors, first, entry, star, hub, n_stars):
    """Put the edges of v, which has its colour now, into the stars that they extend or begin."""
    for e in range(indptr[v], indptr[v + 1]):
        w = indices[e]
        color = colors[w]
        if color < 0 or w == v:
            continue
        joined = -1
        for f in range(indptr[w], indptr[w + 1]):
            x = indices[f]
            if x != v and x != w and colors[x] == colors[v]:
                joined = star[f]
                hub[joined] = w
                break
        if joined < 0:
            if entry[color] != e and first[color] == v:
                joined = star[entry[color]]
                hub[joined] = v
            else:
                joined = n_stars
                n_stars += 1
        star[e] = star[mirrors[e]] = joined
    return n_stars


@adaptive
def _mirrors(indices, indptr):
    """For each entry (i, j), the place of (j, i); and whether there always is one."""
    mirrors = np.empty(len(indices), np.int64)
    place = indptr.copy()
    for row in range(len(indptr) - 1):
        for e in range(indptr[row], indptr[row + 1]):
            column = indices[e]
            if column >= len(indptr) - 1 or place[column] == indptr[column + 1] or indices[place[column]] != row:
                return mirrors, False
            mirrors[e] = place[column]
            place[column] += 1
    return mirrors, True


@adaptive
def _recover_star(indices, indptr, mirrors, colors):
    """Rows and colours. An entry is read in the row of its higher vertex, if it stands alone there, or its mirror."""
    rows, columns = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
    found = np.full(len(colors) + 1, -1, np.int64)  # per colour, the last row that had it
    twice = np.full(len(colors) + 1, -1, np.int64)  # … and the last that had it twice
    for row in range(len(indptr) - 1):
        for e in range(indptr[row], indptr[row + 1]):
            color = colors[indices[e]]
            if found[color] == row:
                twice[color] = row
            found[color] = row
        for e in range(indptr[row], indptr[row + 1]):
            column = indices[e]
            if column > row:
                continue
            alone = twice[colors[column]] != row
            rows[e], columns[e] = (row, colors[column]) if alone else (column, colors[row])
            rows[mirrors[e]], columns[mirrors[e]] = rows[e], columns[e]
    return rows, columns
