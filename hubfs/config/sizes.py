"""Sizes, shares and rates as people write them. Pure.

Sizes are `500K`, `1.5G`, `20GiB`, in powers of 1024, as `du` and `curl` count.
"""

from __future__ import annotations

import re

from hubfs.config.amounts import Amount
from hubfs.errors import UsageError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# Of no more digits than a disk can have.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?(?:/s)?", re.IGNORECASE)
_SHARE = re.compile(r"(100|[0-9]{1,2}(?:\.[0-9]{1,4})?)\s*%")


def parse_size(text: str) -> int:
    """`text` in bytes.

    Raises:
        UsageError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a size such as 500M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def parse_amount(text: str) -> Amount:
    """`text` as an amount of a disk: `500G`, `80%`, the smaller of both as `500G,80%`, or `none`.

    Raises:
        UsageError: it is none of them.
    """
    if text.strip().lower() == "none":
        return Amount()
    size, share = None, None
    for part in text.split(","):
        if found := _SHARE.fullmatch(part.strip()):
            share = float(found[1]) / 100
        else:
            size = _parse_bytes(part, text)
    return Amount(size, share)


def _parse_bytes(part: str, whole: str) -> int:
    try:
        return parse_size(part)
    except UsageError:
        raise UsageError(f"{whole!r} is not an amount such as 500G, 80% or none") from None


def parse_pace(text: str) -> int | None:
    """`text` as bytes per second: 0 for `off`, None for `auto`.

    Raises:
        UsageError: it is none of them.
    """
    words: dict[str, int | None] = {"auto": None, "off": 0}
    try:
        return words[text] if text in words else parse_size(text)
    except UsageError:
        raise UsageError(f"{text!r} is not a rate such as 20M, auto or off") from None


def exact_text(count: int) -> str:
    """The inverse of `parse_size`: bytes in the largest unit that loses none."""
    for letter in ("T", "G", "M", "K"):
        unit = _UNITS[letter.lower()]
        if count and not count % unit:
            return f"{count // unit}{letter}"
    return str(count)


def pace_text(pace: int | None) -> str:
    """The inverse of `parse_pace`."""
    return "auto" if pace is None else exact_text(pace) if pace else "off"


def amount_text(amount: Amount) -> str:
    """The inverse of `parse_amount`."""
    parts = [] if amount.size is None else [exact_text(amount.size)]
    parts += [] if amount.share is None else [f"{amount.share * 100:g}%"]
    return ",".join(parts) or "none"
