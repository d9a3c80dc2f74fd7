"""The doctests of an integration need the package that it is for."""

from importlib.util import find_spec

_PACKAGES = {"ipopt": "cyipopt", "jax": "jax", "torch": "torch"}
collect_ignore = [f"fastgraph/{module}.py" for module, package in _PACKAGES.items() if find_spec(package) is None]
