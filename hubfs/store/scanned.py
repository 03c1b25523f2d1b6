"""What scans found in files elsewhere, so that the next one need not read them again."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hubfs.store.index import Index, Transaction
from hubfs.store.records import pack, unpack
from hubfs.store.rehash import Digests

_KEY: Final = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """What a file held, when it was of that size and age; `job` adopted it, if one did.

    Nothing is served, or adopted, because of it: it only says what need not be read.
    """

    size: int
    mtime_ns: int
    sha256: str
    git_oid: str | None = None
    job: int = 0

    @property
    def digests(self) -> Digests:
        """The hashes."""
        return Digests(self.size, self.sha256, self.git_oid)


class Scanned:
    """What all scans have read, by device and inode."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def find(self, device: int, inode: int) -> ScanRecord | None:
        """What was found in that file."""
        with self._index.read() as txn:
            found = txn.get(_KEY.pack(device, inode), db=self._index.table("scanned"))
        return unpack(ScanRecord, found) if found else None

    def put_all(self, records: Iterable[tuple[int, int, ScanRecord]]) -> None:
        """Keep what was read: device, inode, record."""
        packed = [(_KEY.pack(device, inode), pack(each)) for device, inode, each in records]

        def change(txn: Transaction) -> None:
            for key, value in packed:
                txn.put(key, value, db=self._index.table("scanned"))

        self._index.write(change)
