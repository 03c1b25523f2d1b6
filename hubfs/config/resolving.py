"""From all sources to one value: what a command or a daemon works with, now and after a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubfs.config import Settings
from hubfs.config.files import ConfigFile, config_files, read
from hubfs.config.kinds import FLAG
from hubfs.config.sources import Chosen, Layer, combined, from_environment, from_options
from hubfs.config.table import settings_of


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given to this process, which stays, and the files, which may change under it."""

    options: Layer
    environment: Layer
    files: tuple[ConfigFile, ...]

    def combined(self) -> Layer:
        """Every setting, as it is given now: the files are read anew.

        Raises:
            UsageError: a file cannot be right.
        """
        return combined([self.options, self.environment, *map(read, self.files)])

    def settings(self) -> Settings:
        """The same as what a command works with."""
        return settings_from(self.combined())

    def arguments(self) -> list[str]:
        """What the command line said, for another process of the same environment."""
        return [_argument(each) for each in self.options.values()]


def settings_from(layer: Layer, mountpoint: Path | None = None) -> Settings:
    """The settings that have the values of `layer`, which has one for each."""
    return settings_of({name: each.value for name, each in layer.items()}, mountpoint)


def _argument(given: Chosen) -> str:
    setting = given.setting
    if setting.kind is FLAG:
        return setting.option if given.value else setting.negation
    return f"{setting.option}={given.text}"


def sources_of(given: Mapping[str, str | bool | None], environment: Mapping[str, str]) -> Sources:
    """Where settings come from, for a process that was given these.

    Raises:
        UsageError: one of them cannot be right.
    """
    return Sources(from_options(given), from_environment(environment), config_files(environment))
