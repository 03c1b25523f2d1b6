"""A file's bytes in another file: shared copy-on-write where the disk can, else copied."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Final

from hubfs.model.content import MIB

_FICLONE: Final = 0x40049409
_CANNOT_CLONE: Final = frozenset(
    {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EPERM}
)
_STEP: Final = 64 * MIB


def clone(source: int, target: int) -> bool:
    """Let `target` share the bytes of `source` until either is written; whether that can be had.

    Raises:
        OSError: the disk failed.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True


def copy(source: int, target: int, size: int, note: Callable[[int], None] = lambda _: None) -> bool:
    """Copy the first `size` bytes into the empty file `target`. Blocks; `note` hears of each step.

    Returns True, as `clone` does where it can.

    Raises:
        OSError: a disk failed, has no room, or `source` became shorter.
        Exception: whatever `note` raises, to end it early.
    """
    position = 0
    while position < size:
        count = os.sendfile(target, source, position, min(_STEP, size - position))
        if not count:
            raise OSError(errno.ESTALE, "it became shorter while it was copied")
        position += count
        note(count)
    return True
