"""Checksums of the MiBs of a partial, to tell after a crash which of them the disk really has.

Data is synced before the index claims it, so a sound disk never needs them;
a disk that lies about syncing, or a kernel that lost pages, is found out here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from crc32c import crc32c

from hubfs.errors import StoreDamaged
from hubfs.model.content import MIB
from hubfs.model.ranges import RangeSet
from hubfs.store.index import Index, Transaction
from hubfs.store.reading import read_blocking


class Checksums:
    """The known checksums of one partial of `size` bytes."""

    def __init__(self, index: Index, key: str, size: int) -> None:
        self._index = index
        self._prefix = f"{key}:".encode()
        self._size = size
        self._known = RangeSet()
        self._fresh: dict[int, int] = {}

    def summing(self) -> Summing:
        """Takes in what one thread writes, so that it need not be read again."""
        return Summing(self._size, self._fresh)

    def sums_of(self, descriptor: int, held: RangeSet) -> list[tuple[bytes, bytes]]:
        """Records for the whole MiBs in `held` that have none yet.

        Those that no `Summing` has seen whole are read; blocks.
        """
        found = []
        for start, stop in held:
            for run in self._known.gaps(*whole_mibs(start, stop, self._size)):
                sums = [self._fresh_or_read(descriptor, mib) for mib in range(*run)]
                found.append((self._key(run.start), struct.pack(f"<{len(sums)}I", *sums)))
        return found

    def put(self, txn: Transaction, records: list[tuple[bytes, bytes]]) -> None:
        """Store what `sums_of` found."""
        for key, value in records:
            txn.put(key, value, db=self._index.table("checksums"))

    def note_put(self, records: list[tuple[bytes, bytes]]) -> None:
        """The records are stored for good."""
        for key, value in records:
            first = self._number(key)
            self._known.add(first, first + len(value) // 4)

    def verified(self, descriptor: int, held: RangeSet) -> RangeSet:
        """The part of `held` whose checksums are known and right. Reads all of it; blocks."""
        good = RangeSet()
        for mib, known in self._stored():
            start, stop = mib * MIB, min((mib + 1) * MIB, self._size)
            if held.covers(start, stop) and self._is_right(descriptor, mib, known):
                good.add(start, stop)
                self._known.add(mib, mib + 1)
        return good

    def _fresh_or_read(self, descriptor: int, mib: int) -> int:
        found = self._fresh.pop(mib, None)
        return self._sum(descriptor, mib) if found is None else found

    def _is_right(self, descriptor: int, mib: int, known: int) -> bool:
        try:
            return self._sum(descriptor, mib) == known
        except StoreDamaged:
            return False

    def _sum(self, descriptor: int, mib: int) -> int:
        start = mib * MIB
        return crc32c(read_blocking(descriptor, start, min(MIB, self._size - start)))

    def load(self) -> None:
        """Take the stored records for right, without looking at the file."""
        for mib, _ in self._stored():
            self._known.add(mib, mib + 1)

    def _stored(self) -> Iterator[tuple[int, int]]:
        for key, value in self._records():
            sums = struct.unpack(f"<{len(value) // 4}I", value)
            yield from enumerate(sums, start=self._number(key))

    def _records(self) -> list[tuple[bytes, bytes]]:
        table = self._index.table("checksums")
        found: list[tuple[bytes, bytes]] = []
        with self._index.read() as txn, txn.cursor(db=table) as cursor:
            if cursor.set_range(self._prefix):
                for key, value in cursor:
                    if not key.startswith(self._prefix):
                        break
                    found.append((key, value))
        return found

    def delete(self, txn: Transaction) -> None:
        """Drop all records: the partial is no more."""
        with txn.cursor(db=self._index.table("checksums")) as cursor:
            while cursor.set_range(self._prefix) and cursor.key().startswith(self._prefix):
                cursor.delete()

    def _key(self, mib: int) -> bytes:
        return self._prefix + b"%08x" % mib

    def _number(self, key: bytes) -> int:
        return int(key[len(self._prefix) :], 16)


class Summing:
    """The checksums of MiBs whose bytes pass by in order, one thread's. Pure."""

    def __init__(self, size: int, found: dict[int, int]) -> None:
        """Put those of a file of `size` bytes into `found`, by number."""
        self._size = size
        self._found = found
        self._at = 0
        self._sum: int | None = None  # None while the beginning of a MiB is missing

    def add(self, data: memoryview, offset: int) -> None:
        """`data` is at `offset`."""
        if offset != self._at:
            self._at, self._sum = offset, None
        while data:
            part = data[: MIB - self._at % MIB]
            self._add(part)
            data = data[len(part) :]

    def _add(self, part: memoryview) -> None:
        if self._at % MIB == 0:
            self._sum = 0
        self._at += len(part)
        if self._sum is None:
            return
        self._sum = crc32c(part, self._sum)
        if self._at % MIB == 0 or self._at == self._size:
            self._found[(self._at - 1) // MIB] = self._sum


def whole_mibs(start: int, stop: int, size: int) -> tuple[int, int]:
    """The numbers, from and up to, of the MiBs that lie whole in `[start, stop)`. Pure.

    The last one of a file of `size` bytes is whole though shorter.
    """
    first = -(-start // MIB)
    last = -(-size // MIB) if stop >= size else stop // MIB
    return first, max(first, last)
