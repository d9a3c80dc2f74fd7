"""The cache of machine code: a second process compiles nothing, an edited op is not served stale, no cache is no error.

Everything runs in subprocesses on a copy of the package, with a cache directory of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fastgraph"

PROGRAM = """
    import json
    from importlib import import_module
    import fastgraph as fg
    graph = fg.Graph()
    x = graph.input("x")
    graph.output(fg.sin(x) + x * 3.0)
    f = graph.compile()
    value, slope = f.value_and_grad(0.0)
    if COMPILED == "simplify":
        import_module("fastgraph.passes.simplify")._rewrite.machine
    # What simplify makes of these depends on which op it takes for which.
    reduced = fg.Graph()
    x = reduced.input("x")
    long = x
    for k in range(500 if COMPILED == "all" else 1):  # passes over a small graph run in Python
        long = long * 0.5 + float(k)
    reduced.output(
        [-(-x), abs(abs(x)), abs(-x), fg.square(-x), ~(x == 1.0), fg.where(~(x > 0.0), x, -x), x * x, 0.0 * long]
    )
    print(json.dumps([float(value), float(slope), reduced.compile()(-3.0).tolist(), fg.__file__]))
"""
REDUCED = [-3.0, 3.0, 3.0, 9.0, 1.0, -3.0, 9.0, 0.0]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory with a copy of the package, and room for a cache."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, folder / "fastgraph", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(site, cache, passes, **environment):
    """What the program printed in a new process: its values, and the lines in which Numba tells of its cache.

    ``passes`` are those that run as machine code: "all", "simplify" or "none".
    """
    caching = {"PYTHONPATH": str(site), "NUMBA_CACHE_DIR": str(cache), "NUMBA_DEBUG_CACHE": "1"}
    environment = os.environ | caching | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM).replace("COMPILED", repr(passes))],
        cwd=site, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    *values, file = json.loads(lines[-1])
    assert Path(file).parent.parent == site  # and not the package under development
    return values, lines[:-1]


def files(cache):
    """Every file of compiled code, with its size and time."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in Path(cache).rglob("*.nb[ci]")}


def saved(lines):
    """Names of the functions that were compiled and written to the cache."""
    return sorted(line for line in lines if "data saved" in line)


@pytest.fixture(scope="module")
def warm(site):
    """The cache after a first process, and what that printed."""
    cache = site / "cache"
    values, lines = run(site, cache, "all")
    assert values == [0.0, 4.0, REDUCED]
    assert saved(lines)
    return cache


def test_a_second_process_compiles_nothing(site, warm):
    before = files(warm)
    values, lines = run(site, warm, "all")
    assert values == [0.0, 4.0, REDUCED]
    assert saved(lines) == []
    assert files(warm) == before


EDIT = """
from dataclasses import replace as _replace
_at = {row.name: k for k, row in enumerate(ROWS)}
ROWS[_at["neg"]], ROWS[_at["abs"]] = ROWS[_at["abs"]], ROWS[_at["neg"]]
ROWS[_at["sin"]] = _replace(ROWS[_at["sin"]], partials=lambda m, r, x: (5.0 * m.cos(x),))
"""


def test_an_edited_op_table_is_never_served_stale(site, warm):
    """Another rule for a derivative, and two rows of one shape that changed places: both in one edit."""
    table = site / "fastgraph" / "ops" / "table.py"
    original = table.read_text()
    try:
        table.write_text(original + EDIT)
        values, _ = run(site, warm, "simplify")
    finally:
        table.write_text(original)
    assert values == [0.0, 8.0, REDUCED]
    values, compiled = run(site, warm, "all")  # and back again: the first cache is still good
    assert values == [0.0, 4.0, REDUCED]
    assert saved(compiled) == []


def test_without_a_cache_directory(tmp_path):
    """A read-only install in a home that does not exist: imports and answers, compiling for itself alone."""
    shutil.copytree(PACKAGE, tmp_path / "fastgraph", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [p for p in (tmp_path / "fastgraph").rglob("*") if p.is_dir()] + [tmp_path / "fastgraph"]:
        (folder / "__pycache__").write_text("a file, so that even root can make no directory of it")
    nowhere = "/proc/nonexistent" if sys.platform == "linux" else str(tmp_path / "fastgraph" / "__pycache__" / "x")
    values, lines = run(
        tmp_path,
        nowhere,
        "none",  # compiling them, too, would show nothing more
        HOME=nowhere,
        XDG_CACHE_HOME=nowhere,
        LOCALAPPDATA=nowhere,
        IPYTHONDIR=nowhere,
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert values == [0.0, 4.0, REDUCED]
    assert saved(lines) == []
