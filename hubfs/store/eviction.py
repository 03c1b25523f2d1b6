"""Deleting: the index forgets an item, then its file goes. What is open stays readable.

The order makes a crash harmless: a file that the index has forgotten is a good
blob still, and is entered again by the next look at the whole (`reconcile`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from hubfs.errors import StoreError, StoreFull, StoreReadOnly
from hubfs.model.content import Content
from hubfs.store.blobs import Blobs
from hubfs.store.files import writing
from hubfs.store.index import Index, Transaction
from hubfs.store.leaving import Leaving
from hubfs.store.ledger import Item, Ledger, blob_name
from hubfs.store.partials import Partials, forget_partial

_PAGE: Final = 1000


class Eviction:
    """Takes blobs and partials away."""

    def __init__(self, index: Index, blobs: Blobs, partials: Partials, leaving: Leaving) -> None:
        self._index = index
        self._blobs = blobs
        self._partials = partials
        self._leaving = leaving
        self._ledger = Ledger(index)

    def carry_out(self, items: Sequence[Item]) -> None:
        """Delete items that have been marked as leaving. Blocks; call it from a worker thread.

        Raises:
            StoreReadOnly: nothing may be deleted here.
            StoreError: the disk failed.
        """
        with self._leaving.ending([item.name for item in items]):
            self._check_may_delete()
            try:
                self._forget(items)
            except StoreReadOnly:
                raise
            except StoreFull:
                # The index itself has no room, and will have some once files are gone. A record
                # without a file is found out by whoever opens it.
                self._unlink(items)
                self._forget(items)
            else:
                self._unlink(items)

    def _check_may_delete(self) -> None:
        """Before the index forgets what would stay."""
        if not os.access(self._blobs.root, os.W_OK):
            hint = "mount it without the budget's limits, or make it writable"
            raise StoreReadOnly("nothing can be deleted: the cache may not be written", hint=hint)

    def _forget(self, items: Sequence[Item]) -> None:
        def change(txn: Transaction) -> None:
            for item in items:
                if item.is_blob:
                    self._blobs.strike(txn, item.name)
                else:
                    forget_partial(self._index, txn, item.content)

        self._index.write(change)

    def _unlink(self, items: Sequence[Item]) -> None:
        """Unlink all that can be; one that cannot must not keep the others."""
        failure: StoreError | None = None
        for item in items:
            path = self._path_of(item)
            try:
                with writing(path):
                    path.unlink(missing_ok=True)
            except StoreError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _path_of(self, item: Item) -> Path:
        return self._blobs.path(item.sha256) if item.is_blob else self._partials.path(item.content)

    # --- what a crash left -------------------------------------------------------------

    def reconcile(self) -> Iterator[tuple[int, int]]:
        """Make index and disk agree on which blobs are here, a part of the cache at each step.

        Yields (blobs entered, blobs forgotten). No eviction may run meanwhile;
        every step blocks, so take them in a worker thread.
        """
        on_disk = self._blobs.walk()
        while part := list(itertools.islice(on_disk, _PAGE)):
            entered = [each for each in part if not self._is_known(each[0])]
            for sha256, size in entered:
                self._blobs.enter([(sha256, Content(size, sha256=sha256))])
            yield len(entered), 0
        start = b""
        while page := self._recorded(start):
            gone = sum(map(self._is_forgotten, page))
            yield 0, gone
            start = page[-1] + b"\0"

    def _is_forgotten(self, digest: bytes) -> bool:
        """Whether the file of a recorded blob is gone; else see what it takes on disk by now."""
        name = blob_name(digest.hex())
        occupied = self._blobs.measured(digest.hex())
        known = self._ledger.find(name)
        if occupied is None:
            self._blobs.forget(digest.hex())
        elif known is not None and known.occupied != occupied:
            self._index.write(lambda txn: self._ledger.measure(txn, name, occupied))
        return occupied is None

    def _is_known(self, sha256: str) -> bool:
        with self._index.read() as txn:
            return txn.get(bytes.fromhex(sha256), db=self._index.table("blobs")) is not None

    def _recorded(self, start: bytes) -> list[bytes]:
        found: list[bytes] = []
        with self._index.read() as txn, txn.cursor(db=self._index.table("blobs")) as cursor:
            is_there = cursor.set_range(start)
            while is_there and len(found) < _PAGE:
                found.append(bytes(cursor.key()))
                is_there = cursor.next()
        return found
