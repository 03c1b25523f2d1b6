"""Configuration files: TOML, of the user and of the system. A wrong key or value is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hubfs.config.places import home
from hubfs.config.places import named as in_full
from hubfs.config.sources import Chosen, Layer, chosen
from hubfs.config.table import SETTINGS, nearest
from hubfs.errors import UsageError

SYSTEM_FILE: Final = Path("/etc/hubfs/config.toml")
VARIABLE: Final = "HUBFS_CONFIG"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A place where a file is looked for; one that was asked for has to be there, and readable."""

    path: Path
    is_required: bool = False


def config_files(environment: Mapping[str, str]) -> tuple[ConfigFile, ...]:
    """Where to look, what counts more first: the one that `HUBFS_CONFIG` names, or the usual two.

    Raises:
        UsageError: the variable names no place.
    """
    given = environment.get(VARIABLE)
    if given:
        return (ConfigFile(in_full(Path(given)), is_required=True),)
    base = environment.get("XDG_CONFIG_HOME")
    with contextlib.suppress(UsageError):  # a number without a home, as in a container
        directory = Path(base) if base else home() / ".config"
        return ConfigFile(directory / "hubfs/config.toml"), ConfigFile(SYSTEM_FILE)
    return (ConfigFile(SYSTEM_FILE),)


def read(file: ConfigFile) -> Layer:
    """What a file says; nothing if it need not be there, and is not, or not for this user.

    Raises:
        UsageError: it cannot be read, or something in it cannot be right.
    """
    try:
        text = file.path.read_text()
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if not file.is_required:
            return {}  # one that may not be read is for others: for root, say, and its secrets
        hint = f"{VARIABLE} names it"
        raise UsageError(f"cannot read {file.path}: {error.strerror}", hint=hint) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UsageError(f"cannot read {file.path}: {reason}") from error
    return parse(text, file.path)


def parse(text: str, path: Path) -> Layer:
    """What `text`, found at `path`, says.

    Raises:
        UsageError: it is not TOML, or something in it cannot be right.
    """
    import tomllib  # noqa: PLC0415 - most commands find no file

    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = 'a line looks like cache_dir = "/data/hubfs" or offline = true'
        raise UsageError(f"{path} is not TOML: {error}", hint=hint) from error
    return {key: _entry(path, key, value) for key, value in table.items()}


def _entry(path: Path, key: str, value: object) -> Chosen:
    setting = SETTINGS.get(key)
    if setting is None:
        hint = nearest(key, SETTINGS) or "hubfs config show lists all settings"
        raise UsageError(f"{path}: there is no setting {key!r}", hint=hint)
    text = _text_of(value)
    if text is None:
        raise UsageError(f"{path}: {key} must be one value, not a {type(value).__name__}")
    if setting.kind.is_text and not isinstance(value, str):
        raise UsageError(f"{path}: {key} must be in quotes", hint=f'such as {key} = "{text}"')
    if setting.kind.is_path and text and not text.startswith(("/", "~")):
        hint = "such as /data/hubfs or ~/hubfs"
        raise UsageError(f"{path}: {key} must be an absolute path, not {text!r}", hint=hint)
    return chosen(setting, text, f"{path}: {key}", str(path))


def _text_of(value: Any) -> str | None:  # noqa: ANN401 - whatever TOML can say
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def secret_files(layer: Layer) -> set[Path]:
    """The files that `layer` has secrets from, or says that secrets are in."""
    origins = {Path(each.origin) for each in layer.values() if each.setting.is_secret}
    named = {each.value for each in layer.values() if each.setting.names_secret and each.value}
    return {file for file in origins | named if file.is_absolute()}  # "the environment" is none
