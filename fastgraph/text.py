"""Text: numbers, lists and tables as plain text, and as HTML for notebooks.

In: numbers and strings. Out: text that is the same everywhere, so that files of it can be compared.
"""

from html import escape


def number(value, digits=None):
    """A float with ``digits`` significant digits, or with as many as read back to the same bits; no ``.0``."""
    text = repr(float(value)) if digits is None else f"{float(value):.{digits}g}"
    return text.removesuffix(".0")


def counted(n, what):
    """``1 output``, ``2,345 outputs``."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def shaped(item):
    """The name of an argument or output, with its shape if it has one: ``x[3]``."""
    return item.name + (str(list(item.shape)) if item.shape else "")


def listing(items, most=8):
    """Names and shapes of arguments or outputs: all of a few, else the first ones and the last."""
    if len(items) <= most:
        return ", ".join(map(shaped, items))
    shown = [shaped(item) for item in items[: most - 2]]
    return f"{', '.join(shown)}, ... {len(items) - most + 1:,} more ..., {shaped(items[-1])}"


def element_names(item):
    """The names of the scalars of an argument or output, in C order: ``x[0, 1]``."""
    if item.shape == ():
        return [item.name]
    return [element_name(item, k) for k in range(item.size)]


def element_name(item, k):
    """The name of one of them."""
    places = []
    for n in reversed(item.shape):
        k, place = divmod(k, n)
        places.append(place)
    return item.name + (str(places[::-1]) if places else "")


def aligned(rows, right=(), indent="  "):
    """Rows of cells as lines of columns; those in ``right`` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def html_title(text):
    """A line above a table."""
    return f'<div style="font-weight: bold; margin-top: 0.8em">{escape(text)}</div>'


def html_table(rows, heads=(), right=(), font="inherit"):
    """Rows of cells, which are plain text, as an HTML table."""
    lines = [f'<table style="font-family: {font}">']
    if heads:
        lines.append(_html_row("th", heads, right))
    lines += [_html_row("td", row, right) for row in rows]
    return "\n".join([*lines, "</table>"])


def _html_row(kind, cells, right):
    inside = ""
    for k, cell in enumerate(cells):
        style = f"text-align: {'right' if k in right else 'left'}; padding: 0 1em 0 0; vertical-align: top"
        inside += f'<{kind} style="{style}">{escape(cell)}</{kind}>'
    return f"<tr>{inside}</tr>"
