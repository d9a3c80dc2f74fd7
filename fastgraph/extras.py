"""Extras: packages that fastgraph works with but does not need.

In: the name of one. Out: the module, or an ImportError that says how to install it.
"""

import importlib


def need(module, what, extra=None, or_else=""):
    """Import ``module`` for ``what``; where it is missing, name the extra that installs it.

    Raises
    ------
    ImportError
        With the command to type, and what else would do.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        remedy = f"pip install 'fastgraph[{extra or package}]'{or_else}"
        raise ImportError(f"{what} needs {package}, which cannot be imported ({error}): {remedy}") from error
