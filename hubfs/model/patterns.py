"""Globs over paths in a repo, as the Hub's own client reads them. Pure.

`*` crosses slashes, and a pattern that ends in `/` means all that is below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means the file at `path`."""
    return any(
        fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern)
        for pattern in patterns
    )
