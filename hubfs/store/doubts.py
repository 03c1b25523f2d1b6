"""Blobs in doubt, looked at again: read whole, then trusted, or given up."""

from __future__ import annotations

import contextlib
import logging
import os

from hubfs.errors import StoreDamaged
from hubfs.model.content import Content
from hubfs.store.blobs import Blobs
from hubfs.store.files import sync_directory, writing
from hubfs.store.links import Stamp, has_writer, stilled
from hubfs.store.rehash import digests_of
from hubfs.store.store import Store

log = logging.getLogger(__name__)


def recheck(store: Store, content: Content) -> None:
    """If the blob of `content` is in doubt, read it whole: it is trusted again, or given up.

    The other names of a file that is given up keep what they hold; one without any is set aside.
    Blocks for as long as the disk takes.

    Raises:
        StoreFull: a wrong one cannot be removed.
    """
    blobs = store.blobs
    if blobs.find(content) is None:
        blobs.recover(content)
    sha256 = blobs.find(content)
    if sha256 is not None and _is_in_doubt(blobs, sha256) and not _is_right(blobs, sha256):
        _give_up(store, sha256)


def _is_in_doubt(blobs: Blobs, sha256: str) -> bool:
    try:
        return not blobs.is_sound(sha256, blobs.path(sha256).stat())
    except OSError:
        return False


def _is_right(blobs: Blobs, sha256: str) -> bool:
    try:
        descriptor = os.open(blobs.path(sha256), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_right_now(blobs, sha256, descriptor)
    except StoreDamaged:
        return False
    finally:
        os.close(descriptor)


def _is_right_now(blobs: Blobs, sha256: str, descriptor: int) -> bool:
    before = stilled(descriptor)
    if digests_of(descriptor, before.st_size).sha256 != sha256:
        return False
    after = os.fstat(descriptor)
    if Stamp.of(after) != Stamp.of(before):
        return False
    if after.st_nlink > 1 or has_writer(descriptor):
        blobs.links.put_all([(sha256, Stamp.of(after))])
    else:
        blobs.links.drop_all([sha256])
        with contextlib.suppress(OSError):
            os.utime(descriptor)  # its time may be to come, by a clock that has been put right
        blobs.record(sha256, Content(after.st_size, sha256=sha256))  # it takes room of ours now
    return True


def _give_up(store: Store, sha256: str) -> None:
    # The file first: a file without a record would be taken for a blob.
    path = store.blobs.path(sha256)
    fate = "is not there"
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_nlink > 1:
            with writing(path):
                path.unlink(missing_ok=True)
                sync_directory(path.parent)
            fate = "was changed from outside, where it stays"
        else:
            aside = store.checkup.mending.set_file_aside(path)
            fate = f"was changed from outside, and is moved to {aside}"
    log.warning("blob %s %s: it is given up", sha256, fate)
    store.blobs.forget(sha256)
    store.blobs.links.drop_all([sha256])
