"""Parts of the tree beside the repos: what the tree asks of them, and files held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from hubfs.fs.attributes import Attributes, DirectoryEntry
from hubfs.fs.inodes import Region

Lines = Callable[[int], Iterable[DirectoryEntry]]
"""The lines of a directory from a position on, as they were when it was opened."""


@dataclass(frozen=True, slots=True)
class InMemoryFile:
    """An open file that is all in memory: its bytes are those it had when it was opened."""

    data: bytes

    def read(self, offset: int, size: int) -> bytes:
        """The bytes asked for, fewer only at the end."""
        return self.data[offset : offset + size]


class Annex(Protocol):
    """A directory of the mount's root that holds no organisation, and all below it.

    It is found by its name and not listed, so that who walks the mount does
    not meet things twice. It owns the inodes of its regions. The kernel keeps
    what it reads of an inode: other bytes need another inode.
    """

    @property
    def name(self) -> str:
        """What it is called in the root."""

    @property
    def root(self) -> int:
        """The inode of the directory."""

    @property
    def regions(self) -> frozenset[Region]:
        """Where its inodes are; no other's are there."""

    async def lookup(self, parent: int, name: str) -> Attributes:
        """What `name` is in directory `parent`; an absent one has inode 0 and a time to live."""

    def attributes(self, inode: int) -> Attributes:
        """The attributes of a known inode; a file's size is that of its bytes."""

    def read_link(self, inode: int) -> bytes:
        """Where a symlink leads."""

    def lines(self, inode: int) -> Lines:
        """The lines of a directory as it is now."""

    async def data(self, inode: int) -> bytes:
        """The bytes of a file."""
