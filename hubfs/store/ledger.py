"""What is on the disk, what it takes there, and in what order it was last used.

An item is a blob or a partial. It stands in the ledger under its name, and a
second time in the order of its last use, so that what has not been used for
longest is found without a look at the rest. The totals are kept as items come
and go: nobody ever adds them up.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from hubfs.model.content import Content
from hubfs.store.index import Index, Transaction
from hubfs.store.records import Totals, pack, unpack

BLOB: Final = b"b"
PARTIAL: Final = b"p"
PAGE: Final = 128

_TOTALS: Final = b"totals"
_VALUE: Final = struct.Struct(">QQQ")  # microseconds since the epoch, size, bytes on disk
_MOMENT: Final = struct.Struct(">Q")


class Item(NamedTuple):
    """A blob or a partial: what it holds, what it takes on disk, when it was last used.

    `size` of a partial is what it durably holds. `oid` is the git id of a
    blob's bytes, as far as anyone has promised them by it.
    """

    name: bytes
    used_at: float
    size: int
    occupied: int
    oid: bytes = b""

    @property
    def moment(self) -> int:
        """When it was last used, in microseconds since the epoch."""
        return round(self.used_at * 1e6)

    @property
    def is_blob(self) -> bool:
        """Whether it is complete."""
        return self.name[:1] == BLOB

    @property
    def sha256(self) -> str:
        """The hash of a blob."""
        return self.name[1:].hex()

    @property
    def content(self) -> Content:
        """What a partial is to become."""
        return Content.from_key(self.name[1:].decode())


def blob_name(sha256: str) -> bytes:
    """The name of a blob in the ledger."""
    return BLOB + bytes.fromhex(sha256)


def partial_name(content: Content) -> bytes:
    """The name of a partial in the ledger."""
    return PARTIAL + content.key.encode()


class Ledger:
    """All items of one cache. Changes are parts of the transactions that make them true."""

    def __init__(self, index: Index) -> None:
        self._index = index

    # --- within a transaction ----------------------------------------------------------

    def put(self, txn: Transaction, item: Item) -> None:
        """Enter an item, or enter it anew, behind all others of its kind.

        A clock that was set back must not make what is used now the first to go.
        """
        known = self.get(txn, item.name)
        self.delete(txn, item.name)
        oid = item.oid or (known.oid if known else b"")
        moment = max(round(item.used_at * 1e6), self._newest(txn, item.name[:1]) + 1)
        value = _VALUE.pack(moment, item.size, item.occupied) + oid
        txn.put(item.name, value, db=self._index.table("ledger"))
        txn.put(_place(item.name, moment), b"", db=self._index.table("recency"))
        self._add(txn, item, 1)

    def delete(self, txn: Transaction, name: bytes) -> None:
        """Strike an item out, if it is there."""
        known = self.get(txn, name)
        if known is not None:
            txn.delete(name, db=self._index.table("ledger"))
            place = _place(name, known.moment)
            txn.delete(place, db=self._index.table("recency"))
            self._add(txn, known, -1)

    def touch(self, txn: Transaction, name: bytes, now: float) -> None:
        """An item was used; one that is not there is none of ours."""
        known = self.get(txn, name)
        if known is not None:
            self.put(txn, known._replace(used_at=now))

    def measure(self, txn: Transaction, name: bytes, occupied: int) -> None:
        """An item takes so much on disk by now; its place in the order stays."""
        known = self.get(txn, name)
        if known is not None:
            self._add(txn, known, -1)
            value = _VALUE.pack(known.moment, known.size, occupied) + known.oid
            txn.put(name, value, db=self._index.table("ledger"))
            self._add(txn, known._replace(occupied=occupied), 1)

    def get(self, txn: Transaction, name: bytes) -> Item | None:
        """An item by its name."""
        found = txn.get(name, db=self._index.table("ledger"))
        if not found:
            return None
        moment, size, occupied = _VALUE.unpack_from(found)
        return Item(name, moment / 1e6, size, occupied, bytes(found[_VALUE.size :]))

    def _newest(self, txn: Transaction, kind: bytes) -> int:
        with txn.cursor(db=self._index.table("recency")) as cursor:
            is_followed = cursor.set_range(_after(kind))
            _ = cursor.prev() if is_followed else cursor.last()
            key: bytes = cursor.key()
        return int(_MOMENT.unpack_from(key, 1)[0]) if key[:1] == kind else -1

    def _add(self, txn: Transaction, item: Item, sign: int) -> None:
        before = self._totals(txn)
        if item.is_blob:
            after = replace(
                before,
                blobs=before.blobs + sign,
                size=before.size + sign * item.size,
                occupied=before.occupied + sign * item.occupied,
            )
        else:
            after = replace(
                before,
                partials=before.partials + sign,
                partly=before.partly + sign * item.occupied,
            )
        txn.put(_TOTALS, pack(after), db=self._index.table("meta"))

    def _totals(self, txn: Transaction) -> Totals:
        found = txn.get(_TOTALS, db=self._index.table("meta"))
        return unpack(Totals, found) if found else Totals()

    # --- reading -----------------------------------------------------------------------

    def totals(self) -> Totals:
        """How many items there are, and what they take."""
        with self._index.read() as txn:
            return self._totals(txn)

    def find(self, name: bytes) -> Item | None:
        """An item by its name."""
        with self._index.read() as txn:
            return self.get(txn, name)

    def oldest(self) -> Iterator[Item]:
        """Blobs and partials, from the least recently used on; read as they are asked for."""
        kinds = (self.oldest_of(BLOB), self.oldest_of(PARTIAL))
        return heapq.merge(*kinds, key=lambda item: item.used_at)

    def oldest_of(self, kind: bytes) -> Iterator[Item]:
        """The items of one kind, from the least recently used on."""
        page = self._page(kind)
        while page:
            yield from page
            page = self._page(_place(page[-1].name, page[-1].moment) + b"\0")

    def _page(self, start: bytes) -> list[Item]:
        found: list[Item] = []
        with self._index.read() as txn, txn.cursor(db=self._index.table("recency")) as cursor:
            is_there = cursor.set_range(start)
            while is_there and cursor.key()[:1] == start[:1] and len(found) < PAGE:
                item = self.get(txn, start[:1] + bytes(cursor.key()[1 + _MOMENT.size :]))
                found += [item] if item else []
                is_there = cursor.next()
        return found


def _after(kind: bytes) -> bytes:
    return bytes([kind[0] + 1])


def _place(name: bytes, moment: int) -> bytes:
    """The key of an item in the order of use."""
    return name[:1] + _MOMENT.pack(moment) + name[1:]
