"""The LMDB environment: tables, transactions, growth, and the check that it can be trusted.

Nothing outside `hubfs.store` sees LMDB. Readers see one consistent state and
never wait for writers; writers go one at a time. Calls may come from any
thread. Writes end with an fsync: make them from a worker thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import lmdb

from hubfs.errors import IndexCorrupt, IndexTooNew, StoreError, StoreFull

SCHEMA_VERSION: Final = 1
TABLES: Final = (
    "meta",  # schema version
    "repos",  # endpoint, kind, canonical name -> RepoRecord
    "aliases",  # endpoint, kind, other name -> canonical name
    "refs",  # endpoint, kind, name, revision -> RefRecord
    "snapshots",  # endpoint, kind, name, commit -> SnapshotRecord
    "listings",  # number, first ordinal -> packed Listing
    "numbers",  # node key -> number
    "nodes",  # number -> node key
    "blobs",  # sha256 -> BlobRecord
    "oids",  # git oid -> sha256
    "partials",  # content key -> PartialRecord
)
INITIAL_MAP_SIZE: Final = 1 << 30

T = TypeVar("T")
Transaction: TypeAlias = Any  # lmdb ships no types
Table: TypeAlias = Any


class Index:
    """An open index. One per process and cache."""

    def __init__(self, path: Path, *, map_size: int = INITIAL_MAP_SIZE) -> None:
        """Open or create the index in directory `path`.

        Raises:
            IndexCorrupt: it cannot be read.
            IndexTooNew: a newer hubfs wrote it.
            StoreFull: the disk has no room for it.
        """
        self._path = path
        self._gate = _Gate()
        self._environment = _open_environment(path, map_size)
        try:
            self._tables = self._open_tables()
            self._check_schema()
        except BaseException:
            self._environment.close()
            raise

    def _open_tables(self) -> dict[str, Table]:
        with _translated(self._path):
            return {name: self._environment.open_db(name.encode()) for name in TABLES}

    def _check_schema(self) -> None:
        meta = self.table("meta")
        with self.read() as txn:
            found = txn.get(b"schema", db=meta)
        if found is None:
            self.write(lambda txn: txn.put(b"schema", str(SCHEMA_VERSION).encode(), db=meta))
        elif not found.isdigit():
            raise IndexCorrupt(f"the index in {self._path} has no readable schema version")
        elif int(found) > SCHEMA_VERSION:
            raise IndexTooNew(
                f"the index in {self._path} has schema {int(found)},"
                f" this hubfs reads up to {SCHEMA_VERSION}",
                hint="upgrade hubfs, or choose another directory with --cache-dir",
            )

    def table(self, name: str) -> Table:
        """The handle of one of `TABLES`."""
        return self._tables[name]

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view. Keep it short: pages it sees cannot be reused meanwhile."""
        with self._gate.shared(), _translated(self._path), self._environment.begin() as txn:
            yield txn

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction and commit it durably.

        When the map is full it is doubled and `change` runs again, so it must
        have no effect but on its transaction. If it raises, nothing is stored.

        Raises:
            StoreFull: the disk has no room.
        """
        while True:
            try:
                with self._gate.shared(), _translated(self._path):
                    with self._environment.begin(write=True) as txn:
                        return change(txn)
            except lmdb.MapFullError:
                self._grow()

    def _grow(self) -> None:
        # mdb_env_set_mapsize is only allowed while this process has no transaction.
        with self._gate.exclusive():
            self._environment.set_mapsize(self._environment.info()["map_size"] * 2)

    def close(self) -> None:
        """Close it; no transaction may be open or begin afterwards."""
        with self._gate.exclusive():
            self._environment.close()


def _open_environment(path: Path, map_size: int) -> Any:  # noqa: ANN401 - lmdb ships no types
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = path / "data.mdb"
    size = data.stat().st_size if data.exists() else 0
    with _translated(path):
        environment = lmdb.open(
            str(path),
            map_size=max(map_size, 2 * size),
            max_dbs=len(TABLES) + 8,
            max_readers=1024,
            mode=0o600,
        )
    # LMDB maps the file: reading a page that a truncated file lacks would be SIGBUS, not an error.
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if data.stat().st_size < needed:
        environment.close()
        raise IndexCorrupt(f"the index in {path} is cut short: {size} of {needed} bytes are there")
    return environment


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.MapFullError:
        raise
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError) as error:
        raise IndexCorrupt(f"the index in {path} cannot be read: {error}") from error
    except lmdb.Error as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise StoreFull(f"the index in {path} cannot be written: {error}") from error
        raise StoreError(f"the index in {path} failed: {error}") from error


class _Gate:
    """Many at once, or one alone; the one alone is never starved by new arrivals."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if self._closed and not self._inside:
                    self._changed.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._closed = True
            while self._inside:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
