"""Options made from the table of settings, and what the command line said with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from hubfs.config.declaring import Setting
from hubfs.config.kinds import FLAG
from hubfs.config.resolving import Sources, sources_of
from hubfs.config.table import SETTINGS

F = TypeVar("F", bound=Callable[..., Any])

PUBLIC: Final = [each for each in SETTINGS.values() if not each.is_secret]
COMMON: Final = [each for each in PUBLIC if each.is_common]


class _Written(click.ParamType[str]):
    """Text as it was written: it is read where its origin is known too (`config.sources`)."""

    def __init__(self, setting: Setting[Any]) -> None:
        self._kind = setting.kind
        self.name = setting.kind.metavar

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The choices there are, or files."""
        del ctx, param
        if self._kind.is_path:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(each) for each in self._kind.choices if each.startswith(incomplete)]


def options_of(settings: Iterable[Setting[Any]]) -> Callable[[F], F]:
    """Add options for `settings`; each is an argument of its name, and None if it was not given."""
    chosen = [*settings]

    def with_options(command: F) -> F:
        for setting in reversed(chosen):
            command = _option(setting)(command)
        return command

    return with_options


def _option(setting: Setting[Any]) -> Callable[[F], F]:
    if setting.kind is FLAG:
        return click.option(
            f"{setting.option}/{setting.negation}", setting.name, default=None, help=_help(setting)
        )
    return click.option(
        setting.option,
        *setting.spellings,
        setting.name,
        type=_Written(setting),
        metavar=setting.kind.metavar,
        help=f"{_help(setting)}  [default: {setting.default_text}]",
    )


def _help(setting: Setting[Any]) -> str:
    if not setting.variables:
        return setting.help
    return f"{setting.help} Also {' or '.join(setting.variables)}."


def given_sources(given: Mapping[str, str | bool | None]) -> Sources:
    """Where this command's settings come from, with what its own options said.

    Raises:
        UsageError: one of them, or of the environment, cannot be right.
    """
    return sources_of(given, os.environ)
