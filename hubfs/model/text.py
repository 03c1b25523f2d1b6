"""Words of others as a part of ours. Pure."""

from __future__ import annotations


def shown(text: str) -> str:
    r"""`text` on one line, as a terminal may show it: `\n` and the like are spelt out.

    A file may be called anything, a false line of a log or a command to the
    terminal too.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
