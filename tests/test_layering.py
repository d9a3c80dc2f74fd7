"""The house: imports form a DAG, every module says where it stands, and no module is long."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastgraph"
MAX_LINES = 450

# Where data flows. None of these imports from one after it; the modules between them need only keep the DAG.
PIPELINE = ["errors", "ops", "expr", "graph", "passes", "program", "sparsity", "engine", "assembly", "derived",
            "derivatives", "flat", "function", "symbolic", "compiler", "cli", "__main__"]  # fmt: skip
TOOLS = {"fastgraph.ops.accuracy", "fastgraph.ops.__main__"}  # they measure what lies downstream


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path):
    """Modules of the package that a file imports, anywhere in it, type checking aside."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {
                module if (module := f"{node.module}.{alias.name}") in PATHS else node.module for alias in node.names
            }
    return {module for module in found if module in PATHS}


IMPORTS = {name: imported(path) for name, path in PATHS.items()}


def check_acyclic(imports):
    TopologicalSorter(imports).prepare()


def stage_of(name):
    part = name.split(".")[1] if "." in name else name
    return PIPELINE.index(part) if part in PIPELINE else None


def test_imports_form_a_dag():
    try:
        check_acyclic(IMPORTS)
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_a_cycle_is_noticed():
    with pytest.raises(CycleError):
        check_acyclic({**IMPORTS, "fastgraph.errors": {"fastgraph.function"}})


@pytest.mark.parametrize("name", sorted(name for name in PATHS.keys() - TOOLS if stage_of(name) is not None))
def test_imports_point_one_way(name):
    backward = [m for m in IMPORTS[name] if stage_of(m) is not None and stage_of(m) > stage_of(name)]
    assert not backward


def test_every_stage_exists():
    assert set(range(len(PIPELINE))) <= {stage_of(name) for name in PATHS}


@pytest.mark.parametrize("name", sorted(PATHS))
def test_module_says_what_it_is(name):
    text = PATHS[name].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module opens with what it is, what comes in, what goes out"
    assert text.count("\n") <= MAX_LINES


def test_nothing_evaluates_text():
    """No eval, no exec, no compile of source: untrusted formulas and files never become Python."""
    for name, path in PATHS.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), name
