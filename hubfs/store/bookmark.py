"""How far the look at all blobs behind everybody's reading is, kept over restarts."""

from __future__ import annotations

from typing import Final

from hubfs.store.index import Index, Transaction
from hubfs.store.records import ScrubRecord, pack, unpack

_KEY: Final = b"scrub"


class Bookmark:
    """One record in the index."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def load(self) -> ScrubRecord:
        """As it was last kept."""
        with self._index.read() as txn:
            found = txn.get(_KEY, db=self._index.table("meta"))
        return unpack(ScrubRecord, found) if found else ScrubRecord()

    def save(self, record: ScrubRecord) -> None:
        """Keep it; syncs the disk."""

        def change(txn: Transaction) -> None:
            txn.put(_KEY, pack(record), db=self._index.table("meta"))

        self._index.write(change)
