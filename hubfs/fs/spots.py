"""Nodes of the Hub client's cache that the index has no number for.

An inode number is a digest of what the node is, so it is the same at every
mount and nothing is written to give it. What it is of is remembered: a few
nodes for each repo that has been touched, none for its files.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hubfs.errors import IsADirectory, NotASymlink, StaleHandle
from hubfs.fs.attributes import FOREVER, Attributes, NodeType
from hubfs.fs.inodes import Region, inode_of_name
from hubfs.model.folders import folder_of
from hubfs.model.identifiers import RepoId

# What clients write into a cache that they find without it, and the empty file.
TEXTS: Final = {
    "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This file marks a cache directory (https://bford.info/cachedir/): backups pass it over.\n",
    "version.txt": b"1",  # transformers before 4.56: the layout since its 4.22
    "": b"",
}


class Spot(NamedTuple):
    """A node: its role, the repo that it belongs to, and what tells it from others of its role.

    `path` is a text's name, where a link leads, or a directory of refs; all
    roles but "text" and "link" are directories.
    """

    role: str
    repo: RepoId | None = None
    path: str = ""

    @property
    def inode(self) -> int:
        """Its number."""
        folder = folder_of(self.repo) if self.repo else ""
        return inode_of_name(Region.CACHE, self.role, folder, self.path)

    @property
    def owner(self) -> RepoId:
        """The repo of a spot that has one."""
        assert self.repo is not None  # noqa: S101 - only a repo has such spots
        return self.repo


class Spots:
    """All that have been met."""

    def __init__(self, mtime: float) -> None:
        """Date them all `mtime`."""
        self._mtime = mtime
        self._known: dict[int, Spot] = {}

    def meet(self, spot: Spot, entry_ttl: float = FOREVER) -> Attributes:
        """The attributes of `spot`, by whose inode it will be known."""
        self._known[spot.inode] = spot
        type_, size = NodeType.DIRECTORY, 0
        if spot.role == "text":
            type_, size = NodeType.FILE, len(TEXTS[spot.path])
        elif spot.role == "link":
            type_, size = NodeType.SYMLINK, len(spot.path)
        return Attributes(spot.inode, type_, size, self._mtime, entry_ttl)

    def at(self, inode: int) -> Spot:
        """The spot of a known inode.

        Raises:
            StaleHandle: it is not known.
        """
        if inode not in self._known:
            raise StaleHandle(f"inode {inode} is unknown")
        return self._known[inode]

    def target(self, inode: int) -> bytes:
        """Where a link leads.

        Raises:
            NotASymlink: it is something else.
        """
        spot = self._known.get(inode)
        if spot is None or spot.role != "link":
            raise NotASymlink(f"inode {inode} is no symlink")
        return spot.path.encode()

    def data(self, inode: int) -> bytes:
        """The bytes of a text.

        Raises:
            IsADirectory: it is none.
        """
        spot = self._known.get(inode)
        if spot is None or spot.role != "text":
            raise IsADirectory(f"inode {inode} is no file")
        return TEXTS[spot.path]
