"""What an index of an earlier hubfs lacks: a ledger of the blobs and partials that it knows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hubfs.model.content import Content
from hubfs.store.blobs import Blobs
from hubfs.store.files import occupied_by
from hubfs.store.index import Index, Transaction
from hubfs.store.ledger import BLOB, Item, Ledger, partial_name
from hubfs.store.partials import Partials
from hubfs.store.records import BlobRecord, PartialRecord, unpack

_HAS_LEDGER: Final = b"has-ledger"
_BATCH: Final = 1000


def ensure_ledger(index: Index, blobs: Blobs, partials: Partials) -> None:
    """Enter what came before there was a ledger; looks at every file, once in a cache's life."""
    meta = index.table("meta")
    with index.read() as txn:
        if txn.get(_HAS_LEDGER, db=meta) is not None:
            return
    items = iter(sorted(_items(index, blobs, partials), key=lambda item: item.used_at))
    while batch := list(itertools.islice(items, _BATCH)):
        _enter(index, batch)
    index.write(lambda txn: txn.put(_HAS_LEDGER, b"yes", db=meta))


def _enter(index: Index, items: list[Item]) -> None:
    ledger = Ledger(index)

    def change(txn: Transaction) -> None:
        for item in items:
            ledger.put(txn, item)

    index.write(change)


def _items(index: Index, blobs: Blobs, partials: Partials) -> Iterator[Item]:
    oids = {digest: oid for oid, digest in _records(index, "oids")}
    for digest, found in _records(index, "blobs"):
        blob = unpack(BlobRecord, found)
        taken = blobs.measured(digest.hex())
        occupied = blob.size if taken is None else taken
        yield Item(BLOB + digest, blob.admitted_at, blob.size, occupied, oids.get(digest, b""))
    for key, found in _records(index, "partials"):
        partial, content = unpack(PartialRecord, found), Content.from_key(key.decode())
        held = sum(stop - start for start, stop in partial.ranges)
        occupied = _occupied(partials.path(content), held)
        yield Item(partial_name(content), partial.updated_at, held, occupied)


def _records(index: Index, table: str) -> list[tuple[bytes, bytes]]:
    with index.read() as txn, txn.cursor(db=index.table(table)) as cursor:
        return [(bytes(key), bytes(value)) for key, value in cursor]


def _occupied(path: Path, otherwise: int) -> int:
    try:
        return occupied_by(os.stat(path))  # noqa: PTH116 - one call for each of a million files
    except OSError:
        return otherwise
