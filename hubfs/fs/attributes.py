"""What `stat` answers, and for how long the kernel may answer it by itself."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

FOREVER: Final = 10 * 365 * 86400.0  # of what cannot change while the mount lives
NEVER_INODE: Final = 0  # stands for "no such entry": the kernel remembers the miss


class NodeType(enum.Enum):
    """The three kinds of things in the tree."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"


class Attributes(NamedTuple):
    """One inode's. Times to live in seconds, `mtime` in seconds since the epoch."""

    inode: int
    type: NodeType
    size: int
    mtime: float
    entry_ttl: float = FOREVER
    attribute_ttl: float = FOREVER


def absent(ttl: float) -> Attributes:
    """The answer for a name that is not there."""
    return Attributes(NEVER_INODE, NodeType.FILE, 0, 0.0, ttl, ttl)


class DirectoryEntry(NamedTuple):
    """One line of a directory; `following` is the position to go on from."""

    name: bytes
    attributes: Attributes
    following: int
