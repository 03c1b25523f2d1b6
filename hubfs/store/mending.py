"""Putting a cache right after a look at it. Nothing that was here is deleted without a trace.

What is bad is moved to `<cache>/bad`, where nobody reads it and a person may.
The order is: the file's name, then the index; after a crash in between a
record stands alone, which the next who opens the blob finds out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from hubfs.model.content import Content
from hubfs.store.blobs import Blobs
from hubfs.store.files import make_private_directory, sync_directory, writing
from hubfs.store.flaws import MODE, Case
from hubfs.store.index import Index, Transaction
from hubfs.store.ledger import blob_name
from hubfs.store.partials import forget_partial
from hubfs.store.rehash import LARGEST_GIT_FILE, Digests


class Mending:
    """The remedies, each durable when it returns. Call them from a worker thread."""

    def __init__(self, index: Index, blobs: Blobs, directory: Path) -> None:
        """Mend the cache in `directory`."""
        self._index = index
        self._blobs = blobs
        self._partials = directory / "partial"
        self.bad = directory / "bad"

    # --- what is lost ------------------------------------------------------------------

    def set_aside(self, case: Case) -> tuple[Path, list[str]]:
        """Move a bad blob away, so that it is fetched again when it is read.

        Returns where it is now, and the keys of the contents that it stood for.
        Who has it open keeps what they have.

        Raises:
            StoreFull: it cannot be moved: the disk is full, or may not be written.
        """
        aside = self.set_file_aside(self._blobs.path(case.sha256))
        return aside, self.forget(case)

    def set_file_aside(self, path: Path) -> Path:
        """Move whatever is at `path` away; return where it is now.

        Raises:
            StoreFull: it cannot be moved.
        """
        make_private_directory(self.bad)
        aside = self.bad / f"{path.name}-{time.time_ns()}"
        with writing(path):
            path.rename(aside)
            sync_directory(self.bad)
            sync_directory(path.parent)
        return aside

    def forget(self, case: Case) -> list[str]:
        """Drop a blob's record and the git ids that lead to it.

        Returns the keys of the contents that it stood for.
        """
        digest = bytes.fromhex(case.sha256)
        size = case.size if case.recorded is None else case.recorded

        def change(txn: Transaction) -> list[bytes]:
            oids = self._oids_of(txn, digest) if size <= LARGEST_GIT_FILE else []
            for oid in oids:
                txn.delete(oid, db=self._index.table("oids"))
            self._blobs.strike(txn, blob_name(case.sha256))
            return oids

        oids = self._index.write(change)
        self._blobs.links.drop_all([case.sha256])
        contents = [Content(size, sha256=case.sha256)]
        contents += [Content(size, git_oid=oid.hex()) for oid in oids]
        return [each.key for each in contents]

    def _oids_of(self, txn: Transaction, digest: bytes) -> list[bytes]:
        with txn.cursor(db=self._index.table("oids")) as cursor:
            return [bytes(key) for key, value in cursor if value == digest]

    # --- what is right but for its description -----------------------------------------

    def record(self, found: Digests) -> None:
        """Tell the index of a right blob, under all hashes that ask for it."""
        self._blobs.record_all([(found.sha256, each) for each in found.contents])

    def protect(self, sha256: str) -> None:
        """Give a blob the permissions of one.

        Raises:
            StoreFull: they cannot be changed.
        """
        path = self._blobs.path(sha256)
        with writing(path):
            path.chmod(MODE)

    # --- what leads nowhere ------------------------------------------------------------

    def drop_partial(self, key: str) -> None:
        """Forget a partial whose file is gone; one that has come back meanwhile is kept."""
        path, content = self._partials / key, Content.from_key(key)

        def change(txn: Transaction) -> None:
            if not path.exists():
                forget_partial(self._index, txn, content)

        self._index.write(change)

    def remove_stray(self, name: str) -> None:
        """Remove a partial's file of which nothing is known to be good. Nobody may open it now.

        Raises:
            StoreFull: it cannot be removed.
        """
        path = self._partials / name
        with writing(path):
            path.unlink(missing_ok=True)

    def drop_oids(self, oids: Iterable[bytes]) -> None:
        """Forget git ids that lead to no blob, but for those that do by now."""
        oids = list(oids)
        ids, blobs = self._index.table("oids"), self._index.table("blobs")

        def change(txn: Transaction) -> None:
            for oid in oids:
                digest = txn.get(oid, db=ids)
                if digest and txn.get(digest, db=blobs) is None:
                    txn.delete(oid, db=ids)

        self._index.write(change)
