"""The cache directory as one thing: opened, owned, rebuilt when its index is lost."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hubfs.errors import IndexCorrupt, StoreFull
from hubfs.model.content import Content
from hubfs.store.blobs import Blobs
from hubfs.store.catalog import Catalog
from hubfs.store.checkup import Checkup
from hubfs.store.eviction import Eviction
from hubfs.store.files import make_private_directory, writing
from hubfs.store.holdings import Holdings
from hubfs.store.index import Index, Transaction, copy_index
from hubfs.store.leaving import Leaving
from hubfs.store.ledger import Ledger, partial_name
from hubfs.store.lock import CacheLock
from hubfs.store.partials import Partials
from hubfs.store.rehash import LARGEST_GIT_FILE
from hubfs.store.upgrading import ensure_ledger

log = logging.getLogger(__name__)

# Set in the index once it knows every blob that was there before it.
_KNOWS_BLOBS = b"knows-blobs"
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Space:
    """The file system under the cache, in bytes."""

    total: int
    free: int
    available: int


class Store:
    """An open cache. `close` it, or the next owner must wait for this process to end."""

    def __init__(self, directory: Path, mountpoint: str = "", *, gives_way_to: str = "") -> None:
        """Open the cache in `directory`, making what is missing; for the others, see `Owner`.

        A directory that may not be written is used as it is: what is in it is
        served, and what is learnt lasts until `close`.

        An index that cannot be read is set aside and made anew from the blobs:
        nothing that was downloaded is lost, repos are synced again when touched.

        Raises:
            CacheInUse: another process owns it.
            IndexTooNew: a newer hubfs wrote it.
            StoreFull: it cannot be written.
        """
        self.directory = directory
        with contextlib.ExitStack() as undo:
            self.is_read_only = self._may_not_be_written()
            if self.is_read_only:
                self._index_path = undo.enter_context(_copied_index(directory / "index"))
                was_left_behind = False
            else:
                self._index_path = directory / "index"
                was_left_behind = self._own(undo, mountpoint, gives_way_to)
            self.index = self._open_index()
            undo.callback(self.index.close)
            self.leaving = Leaving()
            self.ledger = Ledger(self.index)
            self.blobs = Blobs(self.index, directory / "blobs/sha256", self.leaving)
            self.partials = Partials(self.index, directory / "partial", self.leaving)
            self.holdings = Holdings(self.index)
            self.eviction = Eviction(self.index, self.blobs, self.partials, self.leaving)
            self.was_left_behind = was_left_behind
            may_write = not self.is_read_only
            self.checkup = Checkup(
                self.index, self.blobs, self.leaving, directory, may_write=may_write
            )
            self._make_consistent(was_left_behind=was_left_behind)
            self._undo = undo.pop_all()

    def _may_not_be_written(self) -> bool:
        return self.directory.is_dir() and not os.access(self.directory, os.W_OK)

    def _own(self, undo: contextlib.ExitStack, mountpoint: str, gives_way_to: str) -> bool:
        """Make the directories and take the lock; return whether the last owner ended badly."""
        for part in ("blobs/sha256", "partial", "index"):
            make_private_directory(self.directory / part)
        lock = CacheLock(self.directory, mountpoint, gives_way_to=gives_way_to)
        undo.callback(lock.release)
        return lock.was_left_behind

    def _open_index(self) -> Index:
        path = self._index_path
        try:
            return Index(path)
        except IndexCorrupt as error:
            aside = path.with_name(f"index.damaged-{time.time_ns()}")
            log.warning("%s; it is kept in %s and a new one is made from the blobs", error, aside)
            with writing(aside):
                path.rename(aside)
            return Index(path)

    def _make_consistent(self, *, was_left_behind: bool) -> None:
        meta = self.index.table("meta")
        with self.index.read() as txn:
            knows_blobs = txn.get(_KNOWS_BLOBS, db=meta) is not None
        if not knows_blobs:
            self._rebuild()
            self.index.write(lambda txn: txn.put(_KNOWS_BLOBS, b"yes", db=meta))
        ensure_ledger(self.index, self.blobs, self.partials)
        try:
            if was_left_behind:
                self.partials.suspect_all()
            self.partials.clean()
        except StoreFull as error:
            log.warning("what was left behind stays for now: %s", error)

    def _rebuild(self) -> None:
        count = 0
        on_disk = self.blobs.walk()
        while batch := list(itertools.islice(on_disk, _BATCH)):
            self.blobs.enter([each for blob in batch for each in self._contents_of(*blob)])
            count += len(batch)
        if count:
            log.warning("made a new index of %d blobs in %s", count, self.directory)

    def _contents_of(self, sha256: str, size: int) -> Iterator[tuple[str, Content]]:
        yield sha256, Content(size, sha256=sha256)
        if size > LARGEST_GIT_FILE:
            return
        try:
            yield sha256, Content(size, git_oid=_git_oid(self.blobs.path(sha256), size))
        except OSError as error:
            log.warning("blob %s cannot be read: %s", sha256, error.strerror)

    def catalog(self, endpoint: str) -> Catalog:
        """The metadata of the repos of `endpoint`; other endpoints' never mix with it."""
        return Catalog(self.index, endpoint)

    def note_used(self, used: Mapping[Content, float]) -> None:
        """Move contents to where they belong in the order of use, all in one transaction.

        Raises:
            StoreFull: the disk has no room; the order stays as it was.
        """

        def change(txn: Transaction) -> None:
            for content, moment in used.items():
                names = (self.blobs.name_of(txn, content), partial_name(content))
                for name in names:
                    if name is not None:
                        self.ledger.touch(txn, name, moment)

        if used:
            self.index.write(change)

    def space(self) -> Space:
        """How much room the file system under the cache has."""
        found = os.statvfs(self.directory)
        unit = found.f_frsize
        return Space(found.f_blocks * unit, found.f_bfree * unit, found.f_bavail * unit)

    def close(self) -> None:
        """Close the index and let the next owner in; a second call does nothing."""
        self._undo.close()


@contextlib.contextmanager
def _copied_index(path: Path) -> Iterator[Path]:
    """A copy of the index that may be written: for a cache that may not, and so has no writer."""
    with tempfile.TemporaryDirectory(prefix="hubfs-") as scratch:
        copy = Path(scratch) / "index"
        make_private_directory(copy)
        log.warning("the cache %s may not be written: nothing new is kept", path.parent)
        try:
            copy_index(path, copy)
        except IndexCorrupt as error:
            log.warning("%s; a new one is made from the blobs", error)
            (copy / "suspect").unlink(missing_ok=True)
        yield copy


def _git_oid(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()
