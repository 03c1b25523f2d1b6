"""What `stat` tells beside what the tree says: owner, mode, blocks. Pure."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final, NamedTuple

from hubfs.config import Ownership
from hubfs.fs.attributes import NodeType

IO_SIZE: Final = 4096  # st_blksize
_BLOCK_SIZE = 512  # what st_blocks counts, whatever the file system
_MODES = {
    NodeType.DIRECTORY: stat.S_IFDIR | 0o555,
    NodeType.FILE: stat.S_IFREG | 0o444,
    NodeType.SYMLINK: stat.S_IFLNK | 0o777,
}


class Permissions(NamedTuple):
    """Owner and group of every inode, and its mode by what it is."""

    uid: int
    gid: int
    modes: Mapping[NodeType, int]


def permissions_of(ownership: Ownership) -> Permissions:
    """What the user wants, else what who mounts has. Modes of symlinks mean nothing and stay."""
    uid = os.getuid() if ownership.uid is None else ownership.uid
    gid = os.getgid() if ownership.gid is None else ownership.gid
    modes = {
        kind: mode if kind is NodeType.SYMLINK else mode & ~ownership.umask
        for kind, mode in _MODES.items()
    }
    return Permissions(uid, gid, modes)


def blocks_of(size: int) -> int:
    """All of a file, cached or not: programs take a file of no blocks for one of zeros."""
    return -(-size // _BLOCK_SIZE)


def nanoseconds_of(seconds: float) -> int:
    """A time or a span of `seconds`, to the last digit that a float of them has."""
    whole = int(seconds)
    return whole * 1_000_000_000 + int((seconds - whole) * 1e9)
