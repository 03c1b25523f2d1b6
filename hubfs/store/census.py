"""Looking at a whole cache piece by piece: what the index says, and what is on disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from hubfs.errors import StoreDamaged
from hubfs.store.flaws import Case, Present, cases_of
from hubfs.store.index import Index, Transaction
from hubfs.store.records import BlobRecord, unpack

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
_SHA256_RE: Final = re.compile(r"[0-9a-f]{64}")
_BATCH: Final = 1000


class Amount(NamedTuple):
    """So many blobs, of so many bytes."""

    files: int = 0
    size: int = 0


class Census:
    """Reads only. Nothing is larger in memory than what one of 256 directories holds."""

    def __init__(self, index: Index, directory: Path) -> None:
        """Look at the cache in `directory`, whose index is `index`."""
        self._index = index
        self._blobs = directory / "blobs/sha256"
        self._partials = directory / "partial"

    # --- blobs -------------------------------------------------------------------------

    def cases(self, shard: str, only: Collection[str] | None = None) -> list[Case]:
        """What is known of the blobs whose hash begins with `shard`; of `only` those, if given.

        Raises:
            StoreDamaged: the disk failed.
        """
        recorded = dict(self._recorded(bytes.fromhex(shard), only))
        present = {
            name: found
            for name, found in self._files(shard)
            if found is not None and (only is None or name in only)
        }
        return cases_of(recorded, present)

    def case(self, sha256: str) -> Case:
        """What is known of one blob now."""
        with self._index.read() as txn:
            found = txn.get(bytes.fromhex(sha256), db=self._index.table("blobs"))
        recorded = unpack(BlobRecord, found).size if found else None
        try:
            present = _present(os.lstat(self._blobs / sha256[:2] / sha256))
        except OSError:
            present = None
        return Case(sha256, recorded, present)

    def strangers(self) -> Iterator[Path]:
        """What is among the blobs and is none, by its name or by what it is."""
        try:
            with os.scandir(self._blobs) as found:
                tops = sorted(found, key=lambda each: each.name)
        except OSError as error:
            raise StoreDamaged(f"cannot list {self._blobs}: {error.strerror}") from error
        for top in tops:
            if top.name not in SHARDS or not top.is_dir(follow_symlinks=False):
                yield Path(top.path)
                continue
            for name, present in self._files(top.name):
                if present is None:
                    yield Path(top.path, name)

    def _files(self, shard: str) -> list[tuple[str, Present | None]]:
        """The names in a directory of blobs; None beside those that are no blobs."""
        directory = self._blobs / shard
        try:
            with os.scandir(directory) as found:
                return sorted(self._looked_at(found, shard))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreDamaged(f"cannot list {directory}: {error.strerror}") from error

    def _looked_at(
        self, entries: Iterable[os.DirEntry[str]], shard: str
    ) -> Iterator[tuple[str, Present | None]]:
        for each in entries:
            with contextlib.suppress(FileNotFoundError):  # evicted just now; the others are here
                yield each.name, self._look(each, shard)

    def _look(self, entry: os.DirEntry[str], shard: str) -> Present | None:
        if not _SHA256_RE.fullmatch(entry.name) or not entry.name.startswith(shard):
            return None
        return _present(entry.stat(follow_symlinks=False))

    def _recorded(self, prefix: bytes, only: Collection[str] | None) -> list[tuple[str, int]]:
        table, found = self._index.table("blobs"), []
        with self._index.read() as txn, txn.cursor(db=table) as cursor:
            is_there = cursor.set_range(prefix)
            while is_there and cursor.key().startswith(prefix):
                name = cursor.key().hex()
                if only is None or name in only:
                    found.append((name, unpack(BlobRecord, cursor.value()).size))
                is_there = cursor.next()
        return found

    def amounts(
        self, after: str = "", only: Collection[str] | None = None
    ) -> tuple[Amount, Amount]:
        """How much the index knows of `only`: up to and with the hash `after`, and in all."""
        done, everything = Amount(), Amount()
        for shard in SHARDS:
            for name, size in self._recorded(bytes.fromhex(shard), only):
                everything = Amount(everything.files + 1, everything.size + size)
                if name <= after:
                    done = everything
        return done, everything

    # --- the rest ----------------------------------------------------------------------

    def partials(self) -> tuple[set[str], set[str]]:
        """(names of files, keys of records) of the partials."""
        try:
            files = set(os.listdir(self._partials))  # noqa: PTH208 - names alone
        except OSError as error:
            raise StoreDamaged(f"cannot list {self._partials}: {error.strerror}") from error
        with self._index.read() as txn, txn.cursor(db=self._index.table("partials")) as cursor:
            return files, {key.decode() for key in cursor.iternext(values=False)}

    def has_partial_record(self, key: str) -> bool:
        """Whether the index knows of such a partial now."""
        with self._index.read() as txn:
            return txn.get(key.encode(), db=self._index.table("partials")) is not None

    def dangling(self) -> list[bytes]:
        """The git ids that lead to a blob which the index does not know."""
        found: list[bytes] = []
        after = b""
        while True:
            with self._index.read() as txn:
                batch = list(itertools.islice(self._oids(txn, after), _BATCH))
                blobs = self._index.table("blobs")
                found += [oid for oid, digest in batch if txn.get(digest, db=blobs) is None]
            if len(batch) < _BATCH:
                return found
            after = batch[-1][0] + b"\0"

    def _oids(self, txn: Transaction, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        with txn.cursor(db=self._index.table("oids")) as cursor:
            is_there = cursor.set_range(after)
            while is_there:
                yield bytes(cursor.key()), bytes(cursor.value())
                is_there = cursor.next()


def _present(found: os.stat_result) -> Present | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    mode = stat.S_IMODE(found.st_mode)
    return Present(found.st_size, mode, found.st_nlink, found.st_ino)
