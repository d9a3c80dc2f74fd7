"""The doctests of an integration need the package that it is for."""

from importlib.util import find_spec

_PACKAGES = {
    "importers/casadi": "casadi", "importers/jaxpr": "jax", "importers/sympy": "sympy",
    "ipopt": "cyipopt", "jax": "jax", "torch": "torch",
}  # fmt: skip
collect_ignore = [f"fastgraph/{module}.py" for module, package in _PACKAGES.items() if find_spec(package) is None]
