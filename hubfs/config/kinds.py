"""Kinds of values: how each is written and read. Everything is read from text, whoever gave it.

Sizes are `500K`, `1.5G`, `20GiB`, in powers of 1024, as `du` and `curl` count.
"""

from __future__ import annotations

import grp
import math
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Generic, TypeVar

from hubfs.config.addresses import checked_endpoint, parse_address
from hubfs.config.amounts import Amount
from hubfs.config.places import absolute, named
from hubfs.errors import UsageError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# Of no more digits than a disk can have.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?(?:/s)?", re.IGNORECASE)
_SHARE = re.compile(r"(100|[0-9]{1,2}(?:\.[0-9]{1,4})?)\s*%")
_UMASK = re.compile(r"(0o)?[0-7]{1,4}")
_NOBODY_AT_ALL = (1 << 32) - 1  # the number that stands for "leave it"
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


def parse_size(text: str) -> int:
    """`text` in bytes.

    Raises:
        UsageError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a size such as 500M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def parse_amount(text: str) -> Amount:
    """`text` as an amount of a disk: `500G`, `80%`, the smaller of both as `500G,80%`, or `none`.

    Raises:
        UsageError: it is none of them.
    """
    if text.strip().lower() == "none":
        return Amount()
    size, share = None, None
    for part in text.split(","):
        if found := _SHARE.fullmatch(part.strip()):
            share = float(found[1]) / 100
        else:
            size = _parse_bytes(part, text)
    return Amount(size, share)


def _parse_bytes(part: str, whole: str) -> int:
    try:
        return parse_size(part)
    except UsageError:
        raise UsageError(f"{whole!r} is not an amount such as 500G, 80% or none") from None


def _parse_pace(text: str) -> int | None:
    """A rate, which is 0 for `off`; None for `auto`."""
    words: dict[str, int | None] = {"auto": None, "off": 0}
    try:
        return words[text] if text in words else parse_size(text)
    except UsageError:
        raise UsageError(f"{text!r} is not a rate such as 20M, auto or off") from None


def _text_of_pace(pace: int | None) -> str:
    return {None: "auto", 0: "off"}.get(pace, str(pace))


def amount_text(amount: Amount) -> str:
    """The inverse of `parse_amount`."""
    parts = [] if amount.size is None else [str(amount.size)]
    parts += [] if amount.share is None else [f"{amount.share * 100:g}%"]
    return ",".join(parts) or "none"


def _parse_flag(text: str) -> bool:
    try:
        return _FLAGS[text.strip().lower()]
    except KeyError:
        raise UsageError(f"{text!r} is neither true nor false") from None


def _parse_directory(text: str) -> Path:
    if not text:
        raise UsageError("no directory is named")
    return absolute(Path(text))


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


def _find_user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _find_group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _number_of(what: str, find: Callable[[str], int]) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        if text.isascii() and text.isdigit() and int(text) < _NOBODY_AT_ALL:
            return int(text)
        try:
            return find(text) if text else None
        except (KeyError, ValueError):
            example = f"give the name of one, or a number such as {os.getuid()}"
            raise UsageError(f"there is no {what} {text!r}", hint=example) from None

    return parse


def _text_of_number(number: int | None) -> str:
    return "" if number is None else str(number)


def _parse_umask(text: str) -> int:
    if not _UMASK.fullmatch(text):
        raise UsageError(f"{text!r} is not a mask such as 022 or 077")
    return int(text, 8)


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


SIZE: Final = Kind("SIZE", parse_size)
PACE: Final = Kind[int | None]("RATE|auto|off", _parse_pace, _text_of_pace)
AMOUNT: Final = Kind("SIZE|PERCENT", parse_amount, amount_text)
FLAG: Final = Kind("", _parse_flag, lambda value: str(value).lower())
TEXT: Final = Kind("TEXT", str)
DIRECTORY: Final = Kind("DIR", _parse_directory, is_path=True)
ENDPOINT: Final = Kind("URL", checked_endpoint)
LISTENING: Final = Kind("HOST:PORT", _parse_listening)
FILE: Final = Kind[Path | None]("FILE", _parse_file, _text_of_file, is_path=True)
USER: Final = Kind[int | None]("USER", _number_of("user", _find_user), _text_of_number)
GROUP: Final = Kind[int | None]("GROUP", _number_of("group", _find_group), _text_of_number)
UMASK: Final = Kind("MODE", _parse_umask, "{:03o}".format, is_text=True)
