"""Reading cached bytes: at once when they are in memory, from a thread when the disk must turn.

A pread from the page cache costs some 16 us; handing it to a thread costs 300.
`RWF_NOWAIT` asks the kernel which of the two it would be.
"""

from __future__ import annotations

import errno
import os

from hubfs.errors import StoreDamaged

LARGEST_READ = 1 << 20  # the kernel asks for at most 256 pages at once

_UNSUPPORTED = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL})


def read_nowait(descriptor: int, offset: int, size: int, buffer: bytearray) -> memoryview | None:
    """The bytes, as a view of `buffer`, if the page cache has them all and they fit; else None.

    Raises:
        StoreDamaged: the disk failed.
    """
    if size > len(buffer):
        return None
    view = memoryview(buffer)[:size]
    try:
        count = os.preadv(descriptor, [view], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise StoreDamaged(f"the cache's disk failed: {error.strerror}") from error
    return view if count == size else None


def read_blocking(descriptor: int, offset: int, size: int) -> bytes:
    """Exactly `size` bytes, however long the disk takes. Call it from a worker thread.

    Raises:
        StoreDamaged: the disk failed, or the file is shorter than it must be.
    """
    parts = []
    while size:
        try:
            part = os.pread(descriptor, size, offset)
        except OSError as error:
            raise StoreDamaged(f"the cache's disk failed: {error.strerror}") from error
        if not part:
            raise StoreDamaged("a cached file is shorter than it was", hint="run a verification")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
