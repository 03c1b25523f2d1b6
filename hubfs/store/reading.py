"""Reading cached bytes: at once when they are in memory, from a thread when the disk must turn.

A pread from the page cache costs some 16 us; handing it to a thread costs 300.
`RWF_NOWAIT` asks the kernel which of the two it would be.
"""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple

from hubfs.errors import StoreDamaged

LARGEST_READ: Final = 1 << 20  # the kernel asks for at most 256 pages at once
LARGEST_FOLIO: Final = 2 << 20  # what readahead makes of pages that follow each other

_UNSUPPORTED = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL})


class Extent(NamedTuple):
    """`size` bytes at `offset` of an open file that holds them."""

    descriptor: int
    offset: int
    size: int


def read_nowait(extent: Extent, buffer: memoryview) -> bool:
    """Fill `buffer`, of the extent's size, if the page cache has all of it; return whether it had.

    Raises:
        StoreDamaged: the disk failed.
    """
    try:
        count = os.preadv(extent.descriptor, [buffer], extent.offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise StoreDamaged(f"the cache's disk failed: {error.strerror}") from error
    return count == extent.size


def drop(extent: Extent) -> None:
    """Let the page cache forget the extent."""
    os.posix_fadvise(*extent, os.POSIX_FADV_DONTNEED)


def drop_behind(extent: Extent) -> None:
    """Let the page cache forget what a reader has passed: it has a copy in pages of its own.

    The kernel forgets whole folios only, and one that began before the extent ends in it.
    """
    start = max(0, extent.offset - LARGEST_FOLIO)
    drop(Extent(extent.descriptor, start, extent.offset + extent.size - start))


def read_blocking(descriptor: int, offset: int, size: int) -> bytearray:
    """Exactly `size` bytes, however long the disk takes. Call it from a worker thread.

    Raises:
        StoreDamaged: the disk failed, or the file is shorter than it must be.
    """
    data = bytearray(size)
    read_into(descriptor, offset, memoryview(data))
    return data


def read_into(descriptor: int, offset: int, buffer: memoryview) -> None:
    """Fill `buffer`, however long the disk takes. Call it from a worker thread.

    Raises: as `read_blocking`.
    """
    while buffer:
        try:
            count = os.preadv(descriptor, [buffer], offset)
        except OSError as error:
            raise StoreDamaged(f"the cache's disk failed: {error.strerror}") from error
        if not count:
            raise StoreDamaged("the file is shorter than it was", hint="run a verification")
        offset, buffer = offset + count, buffer[count:]
