"""Reading a file whole, to see what it holds, without pushing anything else out of memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from hubfs.errors import StoreDamaged
from hubfs.model.content import MIB, Content
from hubfs.store.reading import Extent, drop, read_into, read_nowait

PIECE: Final = MIB

# The Hub keeps plain git files below this size; larger ones are LFS and known by sha256 alone.
LARGEST_GIT_FILE: Final = 16 * MIB


class Digests(NamedTuple):
    """What a file holds, by the hashes that contents are promised by."""

    size: int
    sha256: str
    git_oid: str | None = None  # None: too large to be a plain git file

    @property
    def contents(self) -> list[Content]:
        """The contents that the file is, whichever way a listing promises them."""
        found = [Content(self.size, sha256=self.sha256)]
        return [*found, Content(self.size, git_oid=self.git_oid)] if self.git_oid else found


def rehash(path: Path, pace: Callable[[int], None] = lambda _: None) -> Digests:
    """Hash the file at `path`, as `digests_of` does.

    Raises:
        StoreDamaged: it cannot be opened or read, or is shorter than it says.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StoreDamaged(f"cannot open {path}: {error.strerror}") from error
    try:
        return digests_of(descriptor, os.fstat(descriptor).st_size, pace)
    finally:
        os.close(descriptor)


def digests_of(descriptor: int, size: int, pace: Callable[[int], None] = lambda _: None) -> Digests:
    """Hash the first `size` bytes of an open file. Blocks; lets other threads run.

    Pages that were in memory stay there, and those that were not are not left
    there. `pace` is called with the size of each piece when it is hashed: it
    may sleep, or raise to end the whole.

    Raises:
        StoreDamaged: it cannot be read, or is shorter than that.
    """
    # The kernel's readahead would make the next piece look as if somebody had wanted it.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    sha256 = hashlib.sha256(usedforsecurity=False)
    git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    is_small = size <= LARGEST_GIT_FILE
    buffer = memoryview(bytearray(min(PIECE, size)))
    for start in range(0, size, PIECE):
        piece = _read(Extent(descriptor, start, min(PIECE, size - start)), buffer)
        sha256.update(piece)
        if is_small:
            git.update(piece)
        pace(len(piece))
    return Digests(size, sha256.hexdigest(), git.hexdigest() if is_small else None)


def _read(extent: Extent, buffer: memoryview) -> memoryview:
    piece = buffer[: extent.size]
    if not read_nowait(extent, piece):
        read_into(extent.descriptor, extent.offset, piece)
        drop(extent)
    return piece
