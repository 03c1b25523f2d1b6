"""Files being filled: sparse, private, resumable from what the index says they durably hold."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from hubfs.model.content import Content
from hubfs.model.ranges import RangeSet
from hubfs.store.files import write_all, writing
from hubfs.store.index import Index, Transaction
from hubfs.store.records import PartialRecord, pack, unpack


class Partial:
    """One open partial file. Writing at different offsets from several threads is safe."""

    def __init__(self, index: Index, path: Path, content: Content) -> None:
        """Open or create the file.

        Raises:
            StoreFull: it cannot be created.
        """
        self._index = index
        self.path = path
        self.content = content
        self.held = self._recorded()
        with writing(path), contextlib.ExitStack() as undo:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o600)
            undo.callback(os.close, self.descriptor)
            os.ftruncate(self.descriptor, content.size)
            undo.pop_all()

    def _recorded(self) -> RangeSet:
        with self._index.read() as txn:
            found = txn.get(self._key, db=self._index.table("partials"))
        return RangeSet((a, b) for a, b in _ranges(found))

    @property
    def _key(self) -> bytes:
        return self.content.key.encode()

    def write(self, data: memoryview, offset: int) -> None:
        """Put `data` at `offset`. Not durable, and not claimed, until `claim`.

        Raises:
            StoreFull: the disk has no room.
        """
        with writing(self.path):
            write_all(self.descriptor, data, offset)

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
        record = PartialRecord([(start, stop) for start, stop in held], updated_at=time.time())
        table = self._index.table("partials")

        def change(txn: Transaction) -> None:
            txn.put(self._key, pack(record), db=table)

        self._index.write(change)

    def discard(self) -> None:
        """Throw the file and its record away; the descriptor stays readable until closed."""
        self._index.write(lambda txn: txn.delete(self._key, db=self._index.table("partials")))
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the descriptor. What was not claimed may be fetched again."""
        os.close(self.descriptor)


class Partials:
    """The partial files of one cache."""

    def __init__(self, index: Index, root: Path) -> None:
        """Look after the partials in `root`, a directory of the store's own."""
        self._index = index
        self._root = root

    def open(self, content: Content) -> Partial:
        """The partial of `content`, new or as it was left. One caller at a time per content.

        One that was removed or cut behind our back begins anew.

        Raises:
            StoreFull: the disk has no room.
        """
        path = self._root / content.key
        if not path.exists() or path.stat().st_size != content.size:
            self._drop_record(content.key)
        return Partial(self._index, path, content)

    def held_bytes(self, content: Content) -> int:
        """How many bytes of `content` a restart would not fetch again."""
        with self._index.read() as txn:
            found = txn.get(content.key.encode(), db=self._index.table("partials"))
        return sum(stop - start for start, stop in _ranges(found))

    def clean(self) -> list[str]:
        """Drop files without a record and records without a file; return the files' names."""
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
        table = self._index.table("partials")
        with self._index.read() as txn:
            known = txn.get(key.encode(), db=table)
        if known:
            self._index.write(lambda txn: txn.delete(key.encode(), db=table))


def _ranges(found: bytes | None) -> list[tuple[int, int]]:
    return unpack(PartialRecord, found).ranges if found else []
