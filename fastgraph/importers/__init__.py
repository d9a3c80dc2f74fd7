"""Importers: expressions of other packages, recorded into graphs: SymPy's, CasADi's, JAX's.

In: what those packages call an expression, a function, a jaxpr. Out: ``Function``s. What has no op is refused by name,
with the place it stands in. A Function called with expressions is recorded into their graph, so one way in is enough.
"""
