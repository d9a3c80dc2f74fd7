"""The typed errors. Each derives from the built-in that a person would catch, and names what to change."""


class FastgraphError(Exception):
    """Base of every error that fastgraph raises on purpose."""


class GraphError(FastgraphError, ValueError):
    """A graph was recorded wrongly: foreign expressions, duplicate names, nothing to compute."""


class ExprError(FastgraphError, TypeError):
    """An expression was used where a number is needed, or something that is not a number in an expression."""


class ProgramError(FastgraphError, ValueError):
    """A program's arrays, or the bytes of a saved one, do not describe a program."""


class ArgumentError(FastgraphError, TypeError):
    """A call has the wrong arguments: too many, too few, unknown, or not real numbers."""


class ShapeError(FastgraphError, ValueError):
    """An array has the wrong shape, dtype or layout."""


class FormulaError(FastgraphError, ValueError):
    """A formula cannot be parsed; the message gives the position."""


class DataError(FastgraphError, ValueError):
    """A data file cannot be read as numbers; the message gives line and column."""
