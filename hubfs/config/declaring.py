"""How a setting is declared: once, where its value is kept; all that names it is made from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, Generic, TypedDict, TypeVar, Unpack

from hubfs.config.kinds import Kind

T = TypeVar("T")

_KEY = "setting"


@dataclass(frozen=True)
class Setting(Generic[T]):
    """What is known of a setting beside its value.

    It is `--its-name` on the command line, `HUBFS_ITS_NAME` in the environment
    and `its_name` in a configuration file.
    """

    kind: Kind[Any]
    default: T | Callable[[], T]
    help: str
    name: str = ""
    """Where it is not that of the field."""
    shown_default: str | None = None
    variables: tuple[str, ...] = ()
    """Of other programs, which say it too, the first that is set before the others."""
    spellings: tuple[str, ...] = ()
    """Other names of the option."""
    is_secret: bool = False
    """It is never shown, and never an option: everybody can see a command line."""
    names_secret: bool = False
    """It is the name of a file that holds one."""
    is_common: bool = False
    """It is an option of all commands that need a cache, not of `mount` alone."""
    is_reloaded: bool = False
    """A running daemon takes a new value when it is told to reload."""

    @property
    def option(self) -> str:
        """`--its-name`."""
        return "--" + self.name.replace("_", "-")

    @property
    def negation(self) -> str:
        """`--no-its-name`, where it is a flag."""
        return "--no-" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """`HUBFS_ITS_NAME`."""
        return "HUBFS_" + self.name.upper()

    @property
    def default_value(self) -> T:
        """What it is when nobody says."""
        return self.default() if callable(self.default) else self.default

    @property
    def default_text(self) -> str:
        """The same, for people."""
        if self.shown_default is not None:
            return self.shown_default
        return str(self.kind.text(self.default_value))


class _More(TypedDict, total=False):
    name: str
    shown_default: str
    variables: tuple[str, ...]
    spellings: tuple[str, ...]
    is_secret: bool
    names_secret: bool
    is_common: bool
    is_reloaded: bool


def declared(kind: Kind[T], default: T | Callable[[], T], text: str, **more: Unpack[_More]) -> T:
    """The field of a dataclass that keeps a setting's value; by type, the value. See `Setting`."""
    setting = Setting(kind, default, text, **more)
    shown, metadata = not setting.is_secret, {_KEY: setting}
    if callable(default):
        return field(default_factory=default, repr=shown, metadata=metadata)
    return field(default=default, repr=shown, metadata=metadata)


def setting_of(kept: Field[Any]) -> Setting[Any] | None:
    """The setting whose value a field keeps, if it keeps one."""
    found: Setting[Any] | None = kept.metadata.get(_KEY)
    return found
