"""Files being filled: sparse, private, resumable from what the index says they durably hold."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hubfs.model.content import Content
from hubfs.model.ranges import RangeSet
from hubfs.store.checksums import Checksums, Summing
from hubfs.store.files import occupied_by, write_all, writing
from hubfs.store.index import Index, Transaction
from hubfs.store.leaving import Leaving
from hubfs.store.ledger import Item, Ledger, partial_name
from hubfs.store.records import PartialRecord, pack, unpack

log = logging.getLogger(__name__)


class Partial:
    """One open partial file; `held` is what it durably holds. Threads may write at once."""

    def __init__(self, index: Index, path: Path, content: Content) -> None:
        """Open or create the file.

        Raises:
            StoreFull: it cannot be created.
        """
        self._index = index
        self.path = path
        self.content = content
        with writing(path), contextlib.ExitStack() as undo:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o600)
            undo.callback(os.close, self.descriptor)
            os.ftruncate(self.descriptor, content.size)
            self._checksums = Checksums(index, content.key, content.size)
            self.held = self._recorded()
            undo.pop_all()

    def _recorded(self) -> RangeSet:
        with self._index.read() as txn:
            found = txn.get(self._key, db=self._index.table("partials"))
        record = unpack(PartialRecord, found) if found else PartialRecord()
        held = RangeSet((start, stop) for start, stop in record.ranges)
        if record.is_suspect:
            return self._checked(held)
        self._checksums.load()
        return held

    def _checked(self, held: RangeSet) -> RangeSet:
        good = self._checksums.verified(self.descriptor, held)
        lost = held.total - good.total
        log.warning("checked %s after an unclean end: %d bytes lost", self.content.key, lost)
        self._record(good, [])
        return good

    @property
    def _key(self) -> bytes:
        return self.content.key.encode()

    @property
    def occupied(self) -> int:
        """The bytes that the file takes on disk now."""
        return occupied_by(os.fstat(self.descriptor))

    def write(self, data: memoryview, offset: int) -> None:
        """Put `data` at `offset`. Not durable, and not claimed, until `claim`.

        Raises:
            StoreFull: the disk has no room.
        """
        with writing(self.path):
            write_all(self.descriptor, data, offset)

    def summing(self) -> Summing:
        """For one thread to show in order what it writes: what `claim` then need not read again."""
        return self._checksums.summing()

    def claim(self, held: RangeSet) -> None:
        """Make everything in `held`, all of it written before the call, survive a crash.

        Raises:
            StoreFull: the disk has no room.
            StoreDamaged: the disk failed.

        After either, what was written since the last claim is lost, though it
        may still read well for a while: the kernel reports a lost page once.
        """
        with writing(self.path):
            os.fdatasync(self.descriptor)
        sums = self._checksums.sums_of(self.descriptor, held)
        self._record(held, sums)
        self._checksums.note_put(sums)
        self.held = held

    def _record(self, held: RangeSet, sums: list[tuple[bytes, bytes]]) -> None:
        now = time.time()
        record = PartialRecord([(start, stop) for start, stop in held], updated_at=now)
        item = Item(partial_name(self.content), now, held.total, self.occupied)
        table = self._index.table("partials")

        def change(txn: Transaction) -> None:
            txn.put(self._key, pack(record), db=table)
            Ledger(self._index).put(txn, item)
            self._checksums.put(txn, sums)

        self._index.write(change)

    def discard(self) -> None:
        """Throw the file and its record away; the descriptor stays readable until closed."""
        self._index.write(lambda txn: forget_partial(self._index, txn, self.content))
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the descriptor. What was not claimed may be fetched again."""
        os.close(self.descriptor)


class Partials:
    """The partial files of one cache."""

    def __init__(self, index: Index, root: Path, leaving: Leaving) -> None:
        """Look after the partials in `root`, a directory of the store's own."""
        self._index = index
        self._root = root
        self._leaving = leaving

    def path(self, content: Content) -> Path:
        """Where the partial of `content` is, or would be."""
        return self._root / content.key

    def open(self, content: Content) -> Partial:
        """The partial of `content`, new or as it was left. One caller at a time per content.

        One that was removed or cut behind our back begins anew. One whose last
        owner did not end well is read whole and checked: call it from a thread.

        Raises:
            StoreFull: the disk has no room.
        """
        self._leaving.wait_until_gone(partial_name(content))
        path = self.path(content)
        found = path.stat() if path.exists() else None
        if found is None or found.st_size != content.size:
            self._drop_record(content.key)
        elif not found.st_mode & stat.S_IWUSR:  # its owner died as it was made a blob
            with writing(path):
                path.chmod(0o600)
        return Partial(self._index, path, content)

    def held_bytes(self, content: Content) -> int:
        """How many bytes of `content` a restart would not fetch again."""
        with self._index.read() as txn:
            found = txn.get(content.key.encode(), db=self._index.table("partials"))
        return sum(stop - start for start, stop in _ranges(found))

    def clean(self) -> list[str]:
        """Drop files without a record and records without a file; return the files' names."""
        if not os.access(self._root, os.W_OK):
            return []
        recorded = set(self._recorded())
        present = {path.name for path in self._root.iterdir() if path.is_file()}
        orphans = sorted(present - recorded)
        for name in orphans:
            with writing(self._root / name):
                (self._root / name).unlink(missing_ok=True)
        for key in recorded - present:
            self._drop_record(key)
        return orphans

    def _recorded(self) -> Iterator[str]:
        with self._index.read() as txn, txn.cursor(db=self._index.table("partials")) as cursor:
            for key in cursor.iternext(values=False):
                yield key.decode()

    def _drop_record(self, key: str) -> None:
        content = Content.from_key(key)
        with self._index.read() as txn:
            known = txn.get(key.encode(), db=self._index.table("partials"))
        if known:
            self._index.write(lambda txn: forget_partial(self._index, txn, content))

    def suspect_all(self) -> None:
        """The last owner did not end well: check every partial before it is used again."""
        table = self._index.table("partials")

        def change(txn: Transaction) -> None:
            with txn.cursor(db=table) as cursor:
                found = [(bytes(key), bytes(value)) for key, value in cursor]
            for key, value in found:
                record = replace(unpack(PartialRecord, value), is_suspect=True)
                txn.put(key, pack(record), db=table)

        self._index.write(change)


def forget_partial(index: Index, txn: Transaction, content: Content) -> None:
    """Drop what `txn` knows of the partial of `content`."""
    txn.delete(content.key.encode(), db=index.table("partials"))
    Ledger(index).delete(txn, partial_name(content))
    Checksums(index, content.key, content.size).delete(txn)


def _ranges(found: bytes | None) -> list[tuple[int, int]]:
    return unpack(PartialRecord, found).ranges if found else []
