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

from hubfs.errors import IndexCorrupt, IndexTooNew, StoreError, StoreFull, StoreReadOnly
from hubfs.store.files import FORBIDDEN, NO_ROOM, make_private_directory, writing

SCHEMA_VERSION: Final = 2
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
    "links",  # sha256 of a blob whose file has other names -> Stamp
    "scanned",  # device, inode of a file elsewhere -> ScanRecord
    "partials",  # content key -> PartialRecord
    "checksums",  # content key, number of a MiB -> CRC32C of it and of those that follow
    "jobs",  # id -> JobRecord
    "job_logs",  # id of a job, number of a line -> LogLine
    "refusals",  # endpoint, kind, canonical name -> RefusalRecord
    "ledger",  # name of a blob or a partial -> when it was used, what it takes
    "recency",  # kind, time of last use, name -> nothing: the order in which they go
    "pins",  # digest of a pin -> PinRecord
)
INITIAL_MAP_SIZE: Final = 1 << 30
_MAX_READERS: Final = 1024
_LOCK_FILE_SIZE: Final = 64 * _MAX_READERS + 4096  # LMDB's slots, and what stands before them
_UPGRADE: Final = "upgrade hubfs, or choose another directory with --cache-dir"

# LMDB reports a short write, which is how a disk becomes full, as EIO.
_FULL: Final = tuple(os.strerror(code) for code in {*NO_ROOM, errno.EIO})
_READ_ONLY: Final = tuple(os.strerror(code) for code in FORBIDDEN)
_CORRUPT: Final = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError)

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
            # The schema first: what is newer must be left as it is.
            self._tables = self._open_tables(TABLES[:1])
            self._check_schema()
            _lengthen(path / "data.mdb", self._map_size())
            self._tables = self._open_tables(TABLES)
        except BaseException:
            self._environment.close()
            raise

    def _open_tables(self, names: tuple[str, ...]) -> dict[str, Table]:
        with _translated(self._path):
            return {name: self._environment.open_db(name.encode()) for name in names}

    def _check_schema(self) -> None:
        meta = self.table("meta")
        with self.read() as txn:
            found = txn.get(b"schema", db=meta)
        if found is None:
            self._put_schema()
        elif not found.isdigit():
            raise IndexCorrupt(f"the index in {self._path} has no readable schema version")
        elif int(found) > SCHEMA_VERSION:
            raise IndexTooNew(
                f"the index in {self._path} has schema {int(found)},"
                f" this hubfs reads up to {SCHEMA_VERSION}",
                hint=_UPGRADE,
            )
        elif int(found) < SCHEMA_VERSION:  # all that older ones wrote is still read
            self._put_schema()

    def _put_schema(self) -> None:
        version, meta = str(SCHEMA_VERSION).encode(), self.table("meta")
        self.write(lambda txn: txn.put(b"schema", version, db=meta))

    def table(self, name: str) -> Table:
        """The handle of one of `TABLES`."""
        return self._tables[name]

    def version(self) -> int:
        """Another number after each write, and the same until then."""
        with self._gate.shared(), _translated(self._path):
            return int(self._environment.info()["last_txnid"])

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view. Keep it short: pages it sees cannot be reused meanwhile.

        A thread must neither read nor write again inside it: a map that has to
        grow waits for it to end.
        """
        with self._gate.shared(), _translated(self._path), self._environment.begin() as txn:
            yield txn

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction and commit it durably.

        When the map is full it is doubled and `change` runs again, so it must
        have no effect but on its transaction. If it raises, nothing is stored.

        Raises:
            StoreFull: the disk has no room. The index is as it was, and may be used.
        """
        while True:
            size = self._map_size()
            try:
                return self._attempt(change)
            except lmdb.MapFullError:
                self._grow(size * 2)

    def _attempt(self, change: Callable[[Transaction], T]) -> T:
        with self._gate.shared(), _translated(self._path):
            txn = self._environment.begin(write=True)
            try:
                result = change(txn)
                txn.commit()
            except BaseException:
                # py-lmdb aborts only when it sees no reader inside a call: several busy
                # ones could keep it, and all writers, waiting for ever.
                with self._gate.barred():
                    txn.abort()
                raise
            return result

    def _map_size(self) -> int:
        with self._gate.shared(), _translated(self._path):
            return int(self._environment.info()["map_size"])

    def _grow(self, size: int) -> None:
        # mdb_env_set_mapsize is only allowed while this process has no transaction.
        with self._gate.exclusive(), _translated(self._path):
            if size > self._environment.info()["map_size"]:
                _lengthen(self._path / "data.mdb", size)
                self._environment.set_mapsize(size)

    def close(self) -> None:
        """Close it; no transaction may be open or begin afterwards."""
        with self._gate.exclusive():
            self._environment.close()


def copy_index(source: Path, target: Path) -> None:
    """Copy the index in `source`, if there is one, to the directory `target`; only its used pages.

    Nothing is written in `source`, not even a lock: an owner on another host
    may go on writing, so what it overtook is copied again.

    Raises:
        IndexCorrupt: it cannot be read.
    """
    data = source / "data.mdb"
    if not data.exists() or not data.stat().st_size:
        return
    with _translated(target):
        environment = lmdb.open(str(source), readonly=True, lock=False)
        with contextlib.closing(environment):
            _check_length(data, environment)
            before = None
            # A page in use may be written again from the second commit on.
            while before is None or environment.info()["last_txnid"] > before + 1:
                before = environment.info()["last_txnid"]
                (target / "data.mdb").unlink(missing_ok=True)
                environment.copy(str(target))


def _open_environment(path: Path, map_size: int) -> Any:  # noqa: ANN401 - lmdb ships no types
    make_private_directory(path)
    data = path / "data.mdb"
    size = data.stat().st_size if data.exists() else 0
    if (path / "suspect").exists():
        raise IndexCorrupt(f"the index in {path} was found to be damaged when it was last used")
    _reserve_lock_file(path / "lock.mdb")
    with _translated(path):
        environment = lmdb.open(
            str(path),
            map_size=max(map_size, size),
            max_dbs=len(TABLES) + 8,
            max_readers=_MAX_READERS,
            mode=0o600,
        )
    try:
        _check_length(data, environment)
    except BaseException:
        environment.close()
        raise
    return environment


def _reserve_lock_file(path: Path) -> None:
    # LMDB maps it for writing: on a full disk a page it lacks would be SIGBUS, not an error.
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _LOCK_FILE_SIZE)
        finally:
            os.close(descriptor)


def _check_length(data: Path, environment: Any) -> None:  # noqa: ANN401 - lmdb ships no types
    # LMDB maps the file: reading a page that a truncated file lacks would be SIGBUS, not an error.
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    size = data.stat().st_size
    if size < needed:
        raise IndexCorrupt(f"the index in {data} is cut short: {size} of {needed} bytes are there")


def _lengthen(data: Path, size: int) -> None:
    # Pages freed in the transaction that took them are never written, even at the end of the
    # file. So that a short file always means a cut one, it is as long as its map; the end is
    # sparse and takes no room.
    with writing(data):
        if data.stat().st_size < size:
            os.truncate(data, size)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.MapFullError:
        raise
    except _CORRUPT as error:
        with contextlib.suppress(OSError):
            (path / "suspect").touch()  # the next one to open it makes a new one
        raise IndexCorrupt(f"the index in {path} cannot be read: {error}") from error
    except lmdb.VersionMismatchError as error:
        raise IndexTooNew(f"the index in {path} is of a newer LMDB", hint=_UPGRADE) from error
    except lmdb.Error as error:
        reason = f"the index in {path} cannot be written: {error}"
        if any(refusal in str(error) for refusal in _FULL):
            raise StoreFull(reason) from error
        if any(refusal in str(error) for refusal in _READ_ONLY):
            raise StoreReadOnly(reason) from error
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
    def barred(self) -> Iterator[None]:
        """Let nobody new in meanwhile; for one who is inside."""
        with self._changed:
            was_open, self._closed = not self._closed, True
        try:
            yield
        finally:
            if was_open:
                self._open()

    def _open(self) -> None:
        with self._changed:
            self._closed = False
            self._changed.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._closed = True
        try:
            with self._changed:
                while self._inside:
                    self._changed.wait()
            yield
        finally:
            self._open()
