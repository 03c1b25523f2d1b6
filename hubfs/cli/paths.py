"""Paths as arguments and options of commands; those of settings are made from their table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from hubfs.errors import UsageError


class PathType(click.Path):
    """A path that names something. An empty one would stand for the current directory.

    It is that of a variable that is not set: `hubfs scan "$MODELS"`.
    """

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's own type
        """Read the text; only there can an empty path still be told from `.`.

        Raises:
            UsageError: it is empty.
        """
        if value == "":
            hint = "for the current directory, say ."
            raise UsageError("an empty path names nothing", hint=hint)
        return super().convert(value, param, ctx)


PATH = PathType(path_type=Path)
