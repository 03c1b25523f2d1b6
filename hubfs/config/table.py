"""The table of all settings, made from where they are declared."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, Final

from hubfs.config import (
    CacheSettings,
    ControlSettings,
    FetchSettings,
    LogSettings,
    Ownership,
    Settings,
)
from hubfs.config.declaring import Setting, setting_of

_SECTIONS: Final[Mapping[str, type]] = {
    "ownership": Ownership,
    "log": LogSettings,
    "cache": CacheSettings,
    "fetch": FetchSettings,
    "control": ControlSettings,
}
"""The parts of `Settings`, by their fields."""


def _declared_in(section: type) -> Iterator[tuple[Field[Any], Setting[Any]]]:
    for field in fields(section):
        setting = setting_of(field)
        if setting is not None:
            yield field, replace(setting, name=setting.name or field.name)


SETTINGS: Final[Mapping[str, Setting[Any]]] = {
    setting.name: setting
    for section in (Settings, *_SECTIONS.values())
    for _, setting in _declared_in(section)
}
"""Every setting by its name, in the order of the help."""


def settings_of(values: Mapping[str, Any], mountpoint: Path | None) -> Settings:
    """The settings that have these values."""

    def arguments(section: type) -> dict[str, Any]:
        return {field.name: values[setting.name] for field, setting in _declared_in(section)}

    sections = {name: section(**arguments(section)) for name, section in _SECTIONS.items()}
    return Settings(mountpoint, **sections, **arguments(Settings))


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint that names what was probably meant, if anything was."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {found[0]}?" if found else ""
