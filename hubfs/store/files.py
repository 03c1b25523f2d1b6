"""Small file operations shared by the store: durable, and named for what they guarantee."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from hubfs.config.places import find_obstacle
from hubfs.errors import StoreDamaged, StoreFull, StoreReadOnly

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# Also of a file that is larger than the file system's largest, as 4 GiB are on a FAT disk.
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})
BLOCK_SIZE = 512  # what st_blocks counts, whatever the file system


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into the store's.

    Raises:
        StoreFull: there is no room.
        StoreReadOnly: there is no permission to write, or never so much.
        StoreDamaged: any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot write {path}: {os.strerror(error.errno or errno.EIO)}"
        if error.errno in NO_ROOM:
            raise StoreFull(reason) from error
        if error.errno in FORBIDDEN:
            raise StoreReadOnly(reason) from error
        raise StoreDamaged(reason) from error


def make_private_directory(path: Path) -> None:
    """Make `path` and its parents; what is made is for the owner only.

    Raises:
        StoreDamaged: a file is in its place.
        StoreFull: it cannot be made.
    """
    if (obstacle := find_obstacle(path)) is not None:
        hint = "move it away, or choose another directory with --cache-dir"
        raise StoreDamaged(f"{obstacle} is a file, not a directory", hint=hint)
    with writing(path):
        for each in [*reversed(path.parents), path]:
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)


def sync_bytes(descriptor: int, path: Path) -> None:
    """Make the bytes of the file at `path` durable, and how long it is.

    Raises:
        StoreFull: the disk has no room for them.
        StoreDamaged: the disk failed; what was written since the last time may be lost.
    """
    with writing(path):
        os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable: a rename alone may be lost by a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`; the kernel may take it in parts."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def occupied_by(found: os.stat_result) -> int:
    """The bytes that a file takes on disk: less than its size if it is sparse."""
    return found.st_blocks * BLOCK_SIZE
