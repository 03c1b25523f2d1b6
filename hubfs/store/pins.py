"""What people have asked to stay: kept for every endpoint, whoever owns the cache now."""

from __future__ import annotations

import hashlib
import json

from hubfs.store.index import Index, Transaction
from hubfs.store.records import PinRecord, pack, unpack


class Pins:
    """The pins of one cache. Writes sync the disk: call them from a worker thread."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def put(self, pin: PinRecord) -> PinRecord:
        """Keep a pin; return it, or the same one that was there before."""

        def change(txn: Transaction) -> PinRecord:
            known = txn.get(_key(pin), db=self._index.table("pins"))
            if known:
                return unpack(PinRecord, known)
            txn.put(_key(pin), pack(pin), db=self._index.table("pins"))
            return pin

        return self._index.write(change)

    def drop(self, pin: PinRecord) -> bool:
        """Drop the pin that says the same; return whether there was one."""
        key = _key(pin)
        return bool(self._index.write(lambda txn: txn.delete(key, db=self._index.table("pins"))))

    def all(self) -> list[PinRecord]:
        """All pins, oldest first."""
        with self._index.read() as txn, txn.cursor(db=self._index.table("pins")) as cursor:
            found = [unpack(PinRecord, value) for value in cursor.iternext(keys=False)]
        return sorted(found, key=lambda pin: (pin.created_at, pin.repo, pin.pattern))


def _key(pin: PinRecord) -> bytes:
    said = [pin.endpoint, pin.repo, pin.revision, pin.pattern]
    return hashlib.sha256(json.dumps(said).encode()).digest()
