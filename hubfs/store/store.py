"""The cache directory as one thing: opened, owned, rebuilt when its index is lost."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from hubfs.errors import IndexCorrupt
from hubfs.model.content import MIB, Content
from hubfs.store.blobs import Blobs
from hubfs.store.catalog import Catalog
from hubfs.store.files import make_private_directory
from hubfs.store.index import Index
from hubfs.store.lock import CacheLock
from hubfs.store.partials import Partials

log = logging.getLogger(__name__)

# The Hub keeps plain git files below this size; larger ones are LFS and known by sha256 alone.
_LARGEST_GIT_FILE = 16 * MIB


@dataclass(frozen=True, slots=True)
class Space:
    """The file system under the cache, in bytes."""

    total: int
    free: int
    available: int


class Store:
    """An open cache. `close` it, or the next owner must wait for this process to end."""

    def __init__(self, directory: Path, mountpoint: str = "") -> None:
        """Open the cache in `directory`, making what is missing.

        An index that cannot be read is set aside and made anew from the blobs:
        nothing that was downloaded is lost, repos are synced again when touched.

        Raises:
            CacheInUse: another process owns it.
            IndexTooNew: a newer hubfs wrote it.
            StoreFull: it cannot be written.
        """
        self.directory = directory
        for part in ("", "blobs/sha256", "partial", "index"):
            make_private_directory(directory / part)
        self._lock = CacheLock(directory, mountpoint)
        try:
            self.index = self._open_index()
        except BaseException:
            self._lock.release()
            raise
        self.blobs = Blobs(self.index, directory / "blobs/sha256")
        self.partials = Partials(self.index, directory / "partial")
        if self._is_new_index:
            self._rebuild()
        self.partials.clean()

    def _open_index(self) -> Index:
        path = self.directory / "index"
        self._is_new_index = not (path / "data.mdb").exists()
        try:
            return Index(path)
        except IndexCorrupt as error:
            aside = self.directory / f"index.damaged-{int(time.time())}"
            log.warning("%s; it is kept in %s and a new one is made from the blobs", error, aside)
            path.rename(aside)
            self._is_new_index = True
            return Index(path)

    def _rebuild(self) -> None:
        count = 0
        for sha256, size in self.blobs.walk():
            self.blobs.record(sha256, Content(size, sha256=sha256))
            if size <= _LARGEST_GIT_FILE:
                oid = _git_oid(self.blobs.path(sha256), size)
                self.blobs.record(sha256, Content(size, git_oid=oid))
            count += 1
        if count:
            log.warning("made a new index of %d blobs in %s", count, self.directory)

    def catalog(self, endpoint: str) -> Catalog:
        """The metadata of the repos of `endpoint`; other endpoints' never mix with it."""
        return Catalog(self.index, endpoint)

    def space(self) -> Space:
        """How much room the file system under the cache has."""
        found = os.statvfs(self.directory)
        unit = found.f_frsize
        return Space(found.f_blocks * unit, found.f_bfree * unit, found.f_bavail * unit)

    def close(self) -> None:
        """Close the index and let the next owner in."""
        self.index.close()
        self._lock.release()


def _git_oid(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()
