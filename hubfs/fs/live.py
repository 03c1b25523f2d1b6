"""The annex `.hubfs`: small files that say how things are, true at each time they are opened.

The kernel keeps what it reads of an inode, so what changes needs a new inode
each time: a name is believed for no time at all, and looking it up again writes
its file anew. Sizes are real, and any program can read it.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from hubfs.errors import IsADirectory, NotADirectory, NotASymlink, StaleHandle
from hubfs.fs.annex import Lines
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, NodeType, absent
from hubfs.fs.inodes import Region, inode_of_name

MOST_KEPT: Final = 1024
_NUMBERS_FROM: Final = 1 << 40

Writer = Callable[[], Awaitable[bytes]]


class Live:
    """An annex. `writers` may be filled while it is looked at."""

    name = ".hubfs"
    regions = frozenset({Region.LIVE})

    def __init__(self) -> None:
        self.writers: dict[str, Writer] = {}
        self.root = inode_of_name(Region.LIVE, "root")
        self._numbers = itertools.count(_NUMBERS_FROM)
        self._kept: OrderedDict[int, tuple[bytes, float]] = OrderedDict()
        self._started = time.time()

    async def lookup(self, parent: int, name: str) -> Attributes:
        """The file `name`, written now."""
        if parent != self.root:
            raise NotADirectory(f"inode {parent} is no directory")
        writer = self.writers.get(name)
        if writer is None:
            return absent(0.0)
        inode = self._next_inode()
        self._kept[inode] = (await writer(), time.time())
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return self.attributes(inode)

    def _next_inode(self) -> int:
        return Region.LIVE << 60 | next(self._numbers)

    def attributes(self, inode: int) -> Attributes:
        """The attributes of the directory, or of a file as it was written."""
        if inode == self.root:
            return Attributes(inode, NodeType.DIRECTORY, 0, self._started)
        data, written_at = self._found(inode)
        return Attributes(inode, NodeType.FILE, len(data), written_at, 0.0, FOREVER)

    def _found(self, inode: int) -> tuple[bytes, float]:
        found = self._kept.get(inode)
        if found is None:
            raise StaleHandle(f"inode {inode} was written long ago")
        return found

    def read_link(self, inode: int) -> bytes:
        """Nothing here is a symlink."""
        raise NotASymlink(f"inode {inode} is no symlink")

    def lines(self, inode: int) -> Lines:
        """The names. Their files are written when they are looked up: until then they are empty."""
        if inode != self.root:
            raise NotADirectory(f"inode {inode} is no directory")
        entries = [
            DirectoryEntry(name.encode(), self._unwritten(name), at)
            for at, name in enumerate(sorted(self.writers), start=1)
        ]
        return lambda start: entries[start:]

    def _unwritten(self, name: str) -> Attributes:
        inode = inode_of_name(Region.LIVE, "unwritten", name)
        self._kept[inode] = (b"", self._started)
        return Attributes(inode, NodeType.FILE, 0, self._started, 0.0, 0.0)

    async def data(self, inode: int) -> bytes:
        """The bytes of a file, as it was written when its name was looked up."""
        if inode == self.root:
            raise IsADirectory(f"inode {inode} is no file")
        return self._found(inode)[0]
