"""Numbers as people write them.

Sizes are `500K`, `1.5G`, `20GiB`, in powers of 1024, as `du` and `curl` count.
"""

from __future__ import annotations

import math
import re

import click

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# Of no more digits than a disk can have.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?(?:/s)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """`text` in bytes.

    Raises:
        ValueError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a size such as 500M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2].lower()])


class SizeType(click.ParamType[int]):
    """An option that takes a size."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the option's text."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = SizeType()


class SecondsType(click.ParamType[float]):
    """An option that takes a duration, of `least` seconds or more."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        self._least = least

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the option's text. Infinity and NaN are floats, but no durations."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not self._least <= seconds < math.inf:
            example = f"such as 60, and at least {self._least:g}"
            self.fail(f"{value!r} is not a number of seconds {example}", param, ctx)
        return seconds
