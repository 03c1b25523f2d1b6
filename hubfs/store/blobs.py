"""Complete, verified blobs, named by the sha256 of what they hold. They never change."""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hubfs.errors import StoreDamaged, StoreError, StoreFull
from hubfs.model.content import Content
from hubfs.store.files import (
    make_private_directory,
    occupied_by,
    sync_bytes,
    sync_directory,
    writing,
)
from hubfs.store.index import Index, Transaction
from hubfs.store.leaving import Leaving
from hubfs.store.ledger import Item, Ledger, blob_name
from hubfs.store.links import NEVER, Links, Stamp, is_sound
from hubfs.store.partials import forget_partial
from hubfs.store.records import BlobRecord, pack, unpack

_SHA256_RE = re.compile(r"[0-9a-f]{64}")


class Verified(NamedTuple):
    """A file whose bytes are those of `content`, with the hash that they have."""

    descriptor: int
    path: Path
    sha256: str
    content: Content


class Blobs:
    """The blobs of one cache. Finding is cheap; admitting syncs the disk."""

    def __init__(self, index: Index, root: Path, leaving: Leaving) -> None:
        """Look after the blobs below `root`, a directory of the store's own."""
        self._index = index
        self._root = root
        self._leaving = leaving
        self._ledger = Ledger(index)
        self.links = Links(index)

    @property
    def root(self) -> Path:
        """The directory of all of them."""
        return self._root

    def path(self, sha256: str) -> Path:
        """Where the blob of that hash is, or would be."""
        return self._root / sha256[:2] / sha256

    def find(self, content: Content) -> str | None:
        """The sha256 of the blob that holds `content`, if it is here and of the right size."""
        with self._index.read() as txn:
            digest = self._digest(txn, content)
            found = digest and txn.get(digest, db=self._index.table("blobs"))
        if not digest or not found or unpack(BlobRecord, found).size != content.size:
            return None
        sha256 = digest.hex()
        return None if blob_name(sha256) in self._leaving else sha256

    def _digest(self, txn: Transaction, content: Content) -> bytes | None:
        if content.sha256:
            return bytes.fromhex(content.sha256)
        digest: bytes | None = txn.get(
            bytes.fromhex(content.git_oid or ""), db=self._index.table("oids")
        )
        return digest

    def open(self, content: Content) -> int | None:
        """A descriptor of the blob of `content` to read from; None if it is not here.

        A blob that was removed or cut behind our back is forgotten, so that it
        will be fetched again; one that a crash left unrecorded is adopted. One
        whose file others may have changed is not here until `doubts.recheck` has
        looked at it. The caller closes the descriptor.

        Raises:
            StoreDamaged: it is here but cannot be opened.
        """
        sha256 = self.find(content) or self._find_unrecorded(content)
        if sha256 is None:
            return None
        try:
            descriptor = os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._try_to_forget(sha256)
            return None
        except OSError as error:
            reason = f"cannot open blob {sha256}: {error.strerror}"
            raise StoreDamaged(reason, hint="check the cache directory's permissions") from error
        found = os.fstat(descriptor)
        if found.st_size == content.size and self.is_sound(sha256, found):
            return descriptor
        os.close(descriptor)
        if found.st_size != content.size:
            self._try_to_forget(sha256)
        return None

    def is_sound(self, sha256: str, found: os.stat_result) -> bool:
        """Whether the blob's file, which is as `found`, must hold what its name says.

        One of our own is as it was recorded: who changed it through a name that it had for a
        while, as an export's, has left a mark. The time of its bytes can be set back, that of
        its inode by nobody.
        """
        stamp = self.links.find(sha256)
        changed_at = max(found.st_mtime, found.st_ctime)
        is_changed = stamp is None and changed_at > self._recorded_at(sha256)
        return is_sound(found, stamp) and not is_changed

    def _recorded_at(self, sha256: str) -> float:
        with self._index.read() as txn:
            found = txn.get(bytes.fromhex(sha256), db=self._index.table("blobs"))
        return unpack(BlobRecord, found).admitted_at if found else math.inf

    def find_stamp(self, content: Content) -> Stamp | None:
        """How the file of the blob of `content` was when it was found right, if it was shared."""
        sha256 = self.find(content)
        return self.links.find(sha256) if sha256 else None

    def _find_unrecorded(self, content: Content) -> str | None:
        with contextlib.suppress(StoreFull):
            return content.sha256 if self.recover(content) else None
        return None

    def _try_to_forget(self, sha256: str) -> None:
        # A full disk must not turn a missing blob into an error: it is not here either way.
        with contextlib.suppress(StoreFull):
            self.forget(sha256)

    def admit(self, descriptor: int, path: Path, sha256: str, content: Content) -> None:
        """Make the verified file at `path` the blob `sha256`; `content` is found there from now on.

        The order makes a crash harmless: bytes, then the name, then the index.
        `descriptor` stays valid; the partial record of `content` ends with it.

        Raises:
            StoreFull: the disk has no room for it.
        """
        sync_bytes(descriptor, path)
        (error,) = self.admit_all([Verified(descriptor, path, sha256, content)])
        if error is not None:
            raise error

    def admit_all(self, synced: Sequence[Verified]) -> list[StoreError | None]:
        """Do `admit` for many files whose bytes are durable (`sync_bytes`), in one transaction.

        Returns why each of them could not be admitted; None for those that are blobs now.
        """
        with contextlib.ExitStack() as stack:
            for each in synced:
                stack.enter_context(self._leaving.arriving(blob_name(each.sha256)))
            errors = [self._placed(each) for each in synced]
            placed = [each for each, error in zip(synced, errors, strict=True) if error is None]
            try:
                self._keep(placed)
            except StoreError as error:
                for each in placed:
                    self._take_back(each)
                return [before or error for before in errors]
        return errors

    def _placed(self, verified: Verified) -> StoreError | None:
        try:
            with writing(verified.path):
                os.fchmod(verified.descriptor, 0o444)
            self.put_in_place(verified.path, verified.sha256)
        except StoreError as error:
            return error
        return None

    def _take_back(self, verified: Verified) -> None:
        """It is no blob after all: whoever is still fetching it may write to it again."""
        target = self.path(verified.sha256)
        with contextlib.suppress(OSError):
            if os.path.samestat(target.stat(), os.fstat(verified.descriptor)):
                os.fchmod(verified.descriptor, 0o600)
                target.rename(verified.path)

    def _keep(self, placed: Sequence[Verified]) -> None:
        names = [each.sha256 for each in placed]
        self.sync_names(names)
        self.links.drop_all(names)
        if placed:
            self.record_all([(each.sha256, each.content) for each in placed])

    def put_in_place(self, path: Path, sha256: str) -> None:
        """Give the file at `path` the name of a blob, once no other is leaving under it.

        Raises:
            StoreFull: the disk has no room for it.
        """
        target = self.path(sha256)
        with self._leaving.arriving(blob_name(sha256)), writing(target):
            if not target.parent.is_dir():
                make_private_directory(target.parent)
                sync_directory(self._root)
            path.rename(target)

    def sync_names(self, blobs: Iterable[str]) -> None:
        """Make the names of blobs that were put in place durable."""
        for directory in {self.path(sha256).parent for sha256 in blobs}:
            with writing(directory):
                sync_directory(directory)

    def record(self, sha256: str, content: Content) -> None:
        """Tell the index that the blob `sha256` is in place and holds `content`."""
        self.record_all([(sha256, content)])

    def record_all(self, found: Sequence[tuple[str, Content]]) -> None:
        """Do `record` for many blobs in one transaction."""
        now = time.time()
        items = [self._item(sha256, content, now) for sha256, content in found]

        def change(txn: Transaction) -> None:
            for item, (_, content) in zip(items, found, strict=True):
                self._record(txn, item, content, now)

        self._index.write(change)

    def _item(self, sha256: str, content: Content, now: float) -> Item:
        occupied = self.measured(sha256)
        if occupied is None:
            occupied = content.size  # gone again; whoever opens it will find out
        oid = bytes.fromhex(content.git_oid or "")
        return Item(blob_name(sha256), now, content.size, occupied, oid)

    def measured(self, sha256: str) -> int | None:
        """What the blob's file takes on disk now; None if there is none."""
        try:
            found = self.path(sha256).stat()
        except FileNotFoundError:
            return None
        # What has another name takes no room of ours, and deleting it would make none.
        return 0 if found.st_nlink > 1 else occupied_by(found)

    def _record(self, txn: Transaction, item: Item, content: Content, now: float) -> None:
        digest = item.name[1:]
        txn.put(digest, pack(BlobRecord(content.size, now)), db=self._index.table("blobs"))
        if item.oid:
            txn.put(item.oid, digest, db=self._index.table("oids"))
        self._ledger.put(txn, item)
        forget_partial(self._index, txn, content)

    def recover(self, content: Content) -> bool:
        """Adopt a blob that a crash left in place between its rename and its record.

        It is read whole before it is trusted: nobody has said yet that it is one.
        """
        if not content.sha256 or blob_name(content.sha256) in self._leaving:
            return False
        try:
            size = self.path(content.sha256).stat().st_size
        except OSError:
            return False
        if size != content.size:
            return False
        self.links.put_all([(content.sha256, NEVER)])
        self.record(content.sha256, content)
        return True

    def enter(self, found: Sequence[tuple[str, Content]]) -> None:
        """Do `record_all` for blobs that were found without a record.

        One that was linked, and is not ours alone or was not made read-only, is in doubt.
        """
        doubted = dict.fromkeys(sha256 for sha256, _ in found if self._may_be_anothers(sha256))
        self.links.put_all((sha256, NEVER) for sha256 in doubted)
        self.record_all(found)

    def _may_be_anothers(self, sha256: str) -> bool:
        try:
            found = self.path(sha256).stat()
        except OSError:
            return False
        return found.st_nlink > 1 or bool(found.st_mode & 0o222)

    def forget(self, sha256: str) -> None:
        """Drop the record of a blob whose file is gone or bad; the file is not touched."""
        self._index.write(lambda txn: self.strike(txn, blob_name(sha256)))

    def strike(self, txn: Transaction, name: bytes) -> None:
        """Drop all that the index knows of the blob with this name in the ledger."""
        known = self._ledger.get(txn, name)
        if known is not None and known.oid:
            txn.delete(known.oid, db=self._index.table("oids"))
        for table in ("blobs", "links"):
            txn.delete(name[1:], db=self._index.table(table))
        self._ledger.delete(txn, name)

    def name_of(self, txn: Transaction, content: Content) -> bytes | None:
        """The name in the ledger that the blob of `content` has, or would have if it is known."""
        digest = self._digest(txn, content)
        return blob_name(digest.hex()) if digest else None

    def walk(self) -> Iterator[tuple[str, int]]:
        """(sha256, size) of every blob file on disk, whatever the index says."""
        for shard in sorted(self._root.glob("[0-9a-f][0-9a-f]/")):
            for path in sorted(shard.iterdir()):
                if _SHA256_RE.fullmatch(path.name) and path == self.path(path.name):
                    with contextlib.suppress(FileNotFoundError):  # evicted just now
                        yield path.name, path.stat().st_size

    def usage(self) -> tuple[int, int]:
        """(count, bytes) of the blobs that the index knows."""
        totals = self._ledger.totals()
        return totals.blobs, totals.size
