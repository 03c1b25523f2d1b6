"""Kinds of values: how each is written and read. Everything is read from text, whoever gave it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Generic, TypeVar

from hubfs.config.addresses import checked_endpoint, checked_webhook, parse_address
from hubfs.config.owners import find_group, find_user, number_text, parse_umask
from hubfs.config.places import absolute, find_obstacle, named
from hubfs.config.sizes import (
    amount_text,
    exact_text,
    pace_text,
    parse_amount,
    parse_pace,
    parse_size,
)
from hubfs.errors import UsageError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of value; `parse` raises UsageError, and says what a right text looks like."""

    metavar: str
    parse: Callable[[str], T]
    text: Callable[[T], str] = str
    """The inverse of `parse`."""
    choices: tuple[str, ...] = ()
    is_path: bool = False
    is_text: bool = False
    """A configuration file has it in quotes, since a number would mean something else."""


def _parse_flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip().lower()]
    except KeyError:
        raise UsageError(f"{text!r} is neither true nor false") from None


def _parse_directory(text: str) -> Path:
    if not text:
        raise UsageError("no directory is named")
    directory = absolute(Path(text))
    if (obstacle := find_obstacle(directory)) is not None:
        hint = "name another directory, or move the file away"
        raise UsageError(f"{obstacle} is a file, not a directory", hint=hint)
    return directory


def _parse_listening(text: str) -> str:
    """An address to listen at; an empty one stands for none."""
    if text:
        parse_address(text)
    return text


def _parse_file(text: str) -> Path | None:
    """A path as it is written: what a symlink leads to may change. An empty one stands for none."""
    return named(Path(text)) if text else None


def _text_of_file(path: Path | None) -> str:
    return "" if path is None else str(path)


def _text_of_seconds(seconds: float) -> str:
    return str(int(seconds)) if seconds == int(seconds) else repr(seconds)


def seconds(least: float) -> Kind[float]:
    """A duration of `least` seconds or more. Infinity and NaN are floats, but no durations."""

    def parse(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not least <= found < math.inf:
            example = f"such as 60, and at least {least:g}"
            raise UsageError(f"{text!r} is not a number of seconds {example}")
        return found

    return Kind("SECONDS", parse, _text_of_seconds)


def count(least: int, most: int) -> Kind[int]:
    """A number between `least` and `most`."""

    def parse(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise UsageError(f"{text!r} is not a number from {least} to {most}")
        return found

    return Kind("N", parse)


def choice(kind: type[E]) -> Kind[E]:
    """One of the values of an enumeration."""
    names = tuple(str(each.value) for each in kind)

    def parse(text: str) -> E:
        if text not in names:
            raise UsageError(f"{text!r} is not one of {', '.join(names)}")
        return kind(text)

    return Kind("|".join(names), parse, lambda value: str(value.value), choices=names)


SIZE: Final = Kind("SIZE", parse_size, exact_text)
PACE: Final = Kind[int | None]("RATE|auto|off", parse_pace, pace_text)
AMOUNT: Final = Kind("SIZE|PERCENT", parse_amount, amount_text)
FLAG: Final = Kind("", _parse_flag, lambda value: str(value).lower())
TEXT: Final = Kind("TEXT", str)
DIRECTORY: Final = Kind("DIR", _parse_directory, is_path=True)
ENDPOINT: Final = Kind("URL", checked_endpoint)
WEBHOOK: Final = Kind("URL", checked_webhook)
LISTENING: Final = Kind("HOST:PORT", _parse_listening)
FILE: Final = Kind[Path | None]("FILE", _parse_file, _text_of_file, is_path=True)
USER: Final = Kind[int | None]("USER", find_user, number_text)
GROUP: Final = Kind[int | None]("GROUP", find_group, number_text)
UMASK: Final = Kind("MODE", parse_umask, "{:03o}".format, is_text=True)
