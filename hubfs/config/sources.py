"""Who says what a setting is: the command line, else the environment, else files, else nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hubfs.config.declaring import Setting
from hubfs.config.table import SETTINGS
from hubfs.errors import UsageError

DEFAULT: Final = "default"
MASK: Final = "********"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A setting's value, and who said so: an option, a variable, a file, or nobody."""

    setting: Setting[Any]
    value: Any = field(repr=False)
    origin: str

    @property
    def place(self) -> str:
        """Where it is said, as refusals name it: `--option`, `VARIABLE` or `FILE: key`."""
        return f"{self.origin}: {self.setting.name}" if self.origin.startswith("/") else self.origin

    @property
    def text(self) -> str:
        """The value as it would be written."""
        return str(self.setting.kind.text(self.value))

    @property
    def shown(self) -> str:
        """The same, for everybody's eyes."""
        return MASK if self.setting.is_secret and self.value else self.text


Layer = Mapping[str, Chosen]
"""What one source says, by the names of settings."""


def chosen(setting: Setting[Any], text: str, place: str, origin: str) -> Chosen:
    """The value that `text`, found at `place`, gives a setting.

    Raises:
        UsageError: it gives none; the sentence names the place, and no secret.
    """
    try:
        return Chosen(setting, setting.kind.parse(text), origin)
    except UsageError as error:
        raise UsageError(f"{place}: {error}", hint=error.hint) from None


def from_options(given: Mapping[str, str | bool | None]) -> Layer:
    """What the command line says: texts and flags by the names of settings, None where nothing.

    Raises:
        UsageError: one of them cannot be right.
    """
    found = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        if value is not None:
            text = value if isinstance(value, str) else str(value).lower()
            found[name] = chosen(setting, text, setting.option, setting.option)
    return found


def from_environment(environment: Mapping[str, str]) -> Layer:
    """What variables say; an empty one says nothing.

    Raises:
        UsageError: one of them cannot be right.
    """
    found = {}
    for name, setting in SETTINGS.items():
        for variable in (setting.variable, *setting.variables):
            if environment.get(variable):
                found[name] = chosen(setting, environment[variable], variable, variable)
                break
    return found


def combined(layers: Iterable[Layer]) -> Layer:
    """Every setting, as the first of the layers says that says anything."""
    found = {}
    remaining = [*layers]
    for name, setting in SETTINGS.items():
        said = next((layer[name] for layer in remaining if name in layer), None)
        found[name] = said or Chosen(setting, setting.default_value, DEFAULT)
    return found
