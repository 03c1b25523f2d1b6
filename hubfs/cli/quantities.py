"""Sizes as options of commands; those of settings are made from their table (`options`)."""

from __future__ import annotations

import click

from hubfs.config.sizes import parse_size
from hubfs.errors import UsageError


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
        except UsageError as error:
            self.fail(str(error), param, ctx)


SIZE = SizeType()
