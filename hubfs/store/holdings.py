"""How much of whole trees is here: counted in bulk, and not again until something was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hubfs.model.content import Content
from hubfs.model.tree import Listing
from hubfs.store.index import Index
from hubfs.store.records import PartialRecord, SnapshotRecord, unpack


class Holdings:
    """Counts over one index. Thread-safe; a first look at a large tree belongs in a thread.

    What a transfer has brought since its last claim is not counted: a restart
    would bring it again.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        # One thing, so that no thread meets counts of before a write under the version after it.
        self._counted: tuple[int, dict[int, int]] = (-1, {})

    def held(self, snapshot: SnapshotRecord, listings: Iterable[Listing]) -> int:
        """How many bytes of the files in `listings`, all those of `snapshot`, are here."""
        counted = self._counted_at(self._index.version())
        found = counted.get(snapshot.number)
        if found is None:
            begun = self._begun()
            found = counted[snapshot.number] = sum(self._count(each, begun) for each in listings)
        return found

    def _counted_at(self, version: int) -> dict[int, int]:
        """What has been counted since the index had that version."""
        at, counted = self._counted
        if at != version:
            counted = {}
            self._counted = (version, counted)
        return counted

    def _count(self, listing: Listing, begun: Mapping[bytes, int]) -> int:
        blobs, oids = self._index.table("blobs"), self._index.table("oids")
        total = 0
        with self._index.read() as txn:
            find = txn.get
            for size, digest in listing.contents():
                sha256 = digest if len(digest) == 32 else find(digest, db=oids)
                if sha256 and find(sha256, db=blobs):
                    total += size
                elif begun:
                    total += min(size, begun.get(digest, 0))
        return total

    def _begun(self) -> dict[bytes, int]:
        """What partials durably hold, by the digests of what they are to become."""
        found = {}
        with self._index.read() as txn, txn.cursor(db=self._index.table("partials")) as cursor:
            for key, value in cursor:
                content = Content.from_key(key.decode())
                digest = bytes.fromhex(content.sha256 or content.git_oid or "")
                ranges = unpack(PartialRecord, value).ranges
                found[digest] = sum(stop - start for start, stop in ranges)
        return found
