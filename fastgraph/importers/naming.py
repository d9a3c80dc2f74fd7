"""Naming: names for the arguments of what is imported, and text of bounded length for messages.

In: the names that another package has. Out: Python identifiers, all different, that ``Graph`` takes.
"""

from fastgraph.graph import is_name

LONGEST = 60  # characters of a text in a message


def fit_names(wanted, taken=()):
    """A name for each argument: the one that is wanted where it can be had, else ``x`` and the argument's number.

    A keyword gets an underscore at its end. ``taken`` are names of arguments that come before.
    """
    found, used = [], set(taken)
    for name in wanted:
        name = name if name is None or is_name(name) else f"{name}_"
        name = name if is_name(name) and name not in used else None
        used.add(name)
        found.append(name)
    for k, name in enumerate(found):
        if name is None:
            found[k] = f"x{k + len(taken)}"
            while found[k] in used:
                found[k] += "_"
            used.add(found[k])
    return found


def shortened(text):
    """``text`` in one line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
