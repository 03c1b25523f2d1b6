"""Options that choose files by globs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hubfs.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def choosing_files(command: F) -> F:
    """Add `--include` and `--exclude`, which become tuples of globs."""
    for option, text in (
        ("--exclude", "No file that matches; repeatable."),
        ("--include", "Only files that match; repeatable."),
    ):
        add = click.option(option, multiple=True, metavar="GLOB", callback=_checked, help=text)
        command = add(command)
    return command


def _checked(
    _: click.Context, parameter: click.Parameter, globs: tuple[str, ...]
) -> tuple[str, ...]:
    """The globs of an option. A blank one is that of a variable that is not set.

    Raises:
        UsageError: one is.
    """
    if not all(map(str.strip, globs)):
        raise UsageError(f"{parameter.opts[0]}: a blank glob matches nothing", hint="leave it out")
    return globs
