"""Users, groups and masks as people write them: by name or number, in octal."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable

from hubfs.errors import UsageError

_UMASK = re.compile(r"(0o)?[0-7]{1,4}")
_NOBODY_AT_ALL = (1 << 32) - 1  # the number that stands for "leave it"


def find_user(text: str) -> int | None:
    """The number of a user; None for an empty text.

    Raises:
        UsageError: there is no such user.
    """
    return _find("user", text, lambda name: pwd.getpwnam(name).pw_uid)


def find_group(text: str) -> int | None:
    """The number of a group; None for an empty text.

    Raises:
        UsageError: there is no such group.
    """
    return _find("group", text, lambda name: grp.getgrnam(name).gr_gid)


def _find(what: str, text: str, by_name: Callable[[str], int]) -> int | None:
    if text.isascii() and text.isdigit() and int(text) < _NOBODY_AT_ALL:
        return int(text)
    try:
        return by_name(text) if text else None
    except (KeyError, ValueError):
        example = f"give the name of one, or a number such as {os.getuid()}"
        raise UsageError(f"there is no {what} {text!r}", hint=example) from None


def number_text(number: int | None) -> str:
    """The inverse of both."""
    return "" if number is None else str(number)


def parse_umask(text: str) -> int:
    """`text` as a mask.

    Raises:
        UsageError: it is none.
    """
    if not _UMASK.fullmatch(text):
        raise UsageError(f"{text!r} is not a mask such as 022 or 077")
    return int(text, 8)
