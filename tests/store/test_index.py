from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest

from hubfs.errors import HubfsError, IndexCorrupt, IndexTooNew, StoreError, StoreFull
from hubfs.store.index import INITIAL_MAP_SIZE, SCHEMA_VERSION, Index, Transaction
from tests.store.disks import PAGE, fill_up, remount_read_only

TINY = 64 * 1024


def put(index: Index, key: bytes, value: bytes) -> None:
    index.write(lambda txn: txn.put(key, value, db=index.table("refs")))


def get(index: Index, key: bytes) -> bytes | None:
    with index.read() as txn:
        value: bytes | None = txn.get(key, db=index.table("refs"))
    return value


def delete(index: Index, key: bytes) -> None:
    index.write(lambda txn: txn.delete(key, db=index.table("refs")))


@contextlib.contextmanager
def opened(path: Path, map_size: int = INITIAL_MAP_SIZE) -> Iterator[Index]:
    index = Index(path, map_size=map_size)
    try:
        yield index
    finally:
        index.close()


# --- transactions ----------------------------------------------------------------------


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    with opened(tmp_path / "index") as index:
        put(index, b"key", b"value")
        assert get(index, b"key") == b"value"
    with opened(tmp_path / "index") as index:
        assert get(index, b"key") == b"value"


def test_a_change_that_fails_stores_nothing(index: Index) -> None:
    def change(txn: Transaction) -> None:
        txn.put(b"key", b"value", db=index.table("refs"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        index.write(change)
    assert get(index, b"key") is None


def test_a_write_returns_what_its_change_returns(index: Index) -> None:
    assert index.write(lambda _: "done") == "done"


def test_a_reader_keeps_its_view_while_others_write(index: Index) -> None:
    put(index, b"key", b"old")
    with index.read() as txn:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(put, index, b"key", b"new").result()
        assert txn.get(b"key", db=index.table("refs")) == b"old"
    assert get(index, b"key") == b"new"


def test_a_closed_index_refuses_without_harm(tmp_path: Path) -> None:
    with opened(tmp_path / "index") as index:
        pass
    with pytest.raises(StoreError):
        get(index, b"key")
    with pytest.raises(StoreError):
        put(index, b"key", b"value")


def test_a_key_that_lmdb_cannot_store_is_our_own_error(index: Index) -> None:
    with pytest.raises(StoreError):
        put(index, b"x" * 600, b"value")


# --- growth ----------------------------------------------------------------------------


def test_a_tiny_map_grows_under_readers_that_never_stop(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", map_size=TINY)
    refs, done = index.table("refs"), threading.Event()

    def write(number: int) -> None:
        def change(txn: Transaction) -> None:
            for side in (b"left", b"right"):
                txn.put(side, b"%d" % number, db=refs)
            txn.put(b"%d" % number, bytes(5000), db=refs)

        index.write(change)

    def read_until_done() -> int:
        seen = 0
        while not done.is_set():
            with index.read() as txn:
                left, right = txn.get(b"left", db=refs), txn.get(b"right", db=refs)
                assert left == right
                assert left is None or len(txn.get(left, db=refs)) == 5000
            seen += 1
        return seen

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read_until_done) for _ in range(4)]
        try:
            for writer in [pool.submit(write, number) for number in range(80)]:
                writer.result()
        finally:
            done.set()
        assert all(reader.result() for reader in readers)
    assert all(len(get(index, b"%d" % number) or b"") == 5000 for number in range(80))
    index.close()


def test_a_single_large_change_grows_the_map_as_often_as_it_takes(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", map_size=TINY)
    put(index, b"key", bytes(50 * TINY))
    assert get(index, b"key") == bytes(50 * TINY)
    index.close()


def test_a_grown_index_opens_again_with_a_small_map(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = Index(path, map_size=TINY)
    put(index, b"key", bytes(50 * TINY))
    index.close()
    index = Index(path, map_size=TINY)
    put(index, b"other", bytes(50 * TINY))
    assert get(index, b"key") == get(index, b"other")
    index.close()


# --- what cannot be trusted ------------------------------------------------------------


def write_schema(path: Path, schema: bytes) -> None:
    environment = lmdb.open(str(path), max_dbs=32, map_size=1 << 20)
    with environment.begin(write=True) as txn:
        txn.put(b"schema", schema, db=environment.open_db(b"meta", txn=txn))
    environment.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    write_schema(tmp_path, b"%d" % (SCHEMA_VERSION + 1))
    before = (tmp_path / "data.mdb").read_bytes()
    with pytest.raises(IndexTooNew, match=f"has schema {SCHEMA_VERSION + 1}") as caught:
        Index(tmp_path)
    assert "upgrade hubfs" in caught.value.hint
    assert (tmp_path / "data.mdb").read_bytes() == before


def test_a_newer_lmdb_is_refused_too(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with (tmp_path / "data.mdb").open("r+b") as file:
        for meta in (0, PAGE):  # the version follows the page header and the magic number
            file.seek(meta + 16 + 4)
            file.write((99).to_bytes(4, sys.byteorder))
    with pytest.raises(StoreError) as caught:
        Index(tmp_path)
    assert not isinstance(caught.value, IndexCorrupt)  # that would set it aside
    assert not (tmp_path / "suspect").exists()


def test_an_older_schema_is_read_and_from_now_on_refused_by_older_hubfs(tmp_path: Path) -> None:
    write_schema(tmp_path, b"%d" % (SCHEMA_VERSION - 1))
    index = Index(tmp_path)
    with index.read() as txn:
        assert txn.get(b"schema", db=index.table("meta")) == b"%d" % SCHEMA_VERSION
    index.close()


def test_a_schema_that_is_no_number_is_corrupt(tmp_path: Path) -> None:
    write_schema(tmp_path, b"one")
    with pytest.raises(IndexCorrupt):
        Index(tmp_path)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """The directory of a closed index with some pages of everything in it."""
    path = tmp_path / "index"
    with opened(path, TINY) as index:
        for number in range(50):
            put(index, b"key-%d" % number, bytes([number]) * 3000)
    return path


def used_size(path: Path) -> int:
    environment = lmdb.open(str(path), readonly=True, lock=False)
    size = (environment.info()["last_pgno"] + 1) * PAGE
    environment.close()
    return int(size)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_an_index_that_was_cut_short_is_corrupt(used: Path, share: float) -> None:
    with (used / "data.mdb").open("r+b") as file:
        file.truncate(int(used_size(used) * share))
    with pytest.raises(IndexCorrupt):
        Index(used)


@pytest.mark.parametrize("content", [b"\0" * 100_000, b"garbage!" * 10_000, b"x"])
def test_an_index_of_garbage_is_corrupt(used: Path, content: bytes) -> None:
    (used / "data.mdb").write_bytes(content)
    with pytest.raises(IndexCorrupt):
        Index(used)


def test_an_index_found_damaged_in_use_is_not_opened_again(used: Path) -> None:
    data = (used / "data.mdb").read_bytes()
    at = data.index(b"key-1", 2 * PAGE) // PAGE * PAGE
    with (used / "data.mdb").open("r+b") as file:
        file.seek(at + 10)  # a page's flags
        file.write(b"\0\0")
    with opened(used) as index, pytest.raises(IndexCorrupt):
        [get(index, b"key-%d" % number) for number in range(50)]
    with pytest.raises(IndexCorrupt, match="when it was last used"):
        Index(used)


def test_a_healthy_index_does_not_look_cut_short(tmp_path: Path) -> None:
    # LMDB never writes a page that is freed in the transaction that took it: here the last ones.
    def come_and_go(txn: Transaction) -> None:
        txn.put(b"other", bytes(100_000), db=index.table("refs"))
        txn.delete(b"other", db=index.table("refs"))

    with opened(tmp_path / "index") as index:
        put(index, b"key", bytes(100_000))
        put(index, b"key", bytes(100_000))
        index.write(come_and_go)
    with opened(tmp_path / "index") as index:
        assert get(index, b"key") == bytes(100_000)


# --- full disks ------------------------------------------------------------------------


def fill_index(index: Index) -> list[bytes]:
    """Write until the disk is full; return what was stored."""
    stored: list[bytes] = []
    with contextlib.suppress(StoreFull):
        while True:
            key = b"%06d" % len(stored)
            put(index, key, key * 500)
            stored.append(key)
    return stored


def test_a_full_disk_stores_nothing_of_the_change_and_all_before_it(tiny_disk: Path) -> None:
    with opened(tiny_disk / "index") as index:
        stored = fill_index(index)
        assert stored
        assert all(get(index, key) == key * 500 for key in stored)
        assert get(index, b"%06d" % len(stored)) is None
    with opened(tiny_disk / "index") as index:
        assert all(get(index, key) == key * 500 for key in stored)


def test_an_index_is_usable_again_once_there_is_room(tiny_disk: Path) -> None:
    filler = fill_up(tiny_disk, but_for=100)
    with opened(tiny_disk / "index") as index:
        fill_index(index)
        filler.unlink()
        put(index, b"later", b"value")
        assert get(index, b"later") == b"value"


def test_an_index_on_a_full_disk_can_make_room_for_itself(tiny_disk: Path) -> None:
    with opened(tiny_disk / "index") as index:
        stored = fill_index(index)
        for key in stored:
            delete(index, key)
        put(index, b"later", b"value")
        assert get(index, b"later") == b"value"


@pytest.mark.parametrize("pages", range(1, 9))
def test_a_disk_that_fills_up_within_a_write_is_full_not_broken(
    tiny_disk: Path, pages: int
) -> None:
    # LMDB calls a short write an I/O error.
    with opened(tiny_disk / "index") as index:
        fill_up(tiny_disk, but_for=pages)
        with pytest.raises(StoreFull):
            put(index, b"key", bytes(16 * PAGE))
        assert get(index, b"key") is None


OPEN = """
import sys
from pathlib import Path
from hubfs.errors import HubfsError
from hubfs.store.index import Index
try:
    Index(Path(sys.argv[1])).close()
except HubfsError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("pages", [0, 1, 3, 8, 16, 20])
def test_a_new_index_on_a_full_disk_is_refused_and_no_bus_error(
    tiny_disk: Path, pages: int
) -> None:
    fill_up(tiny_disk, but_for=pages)
    # In a process of its own: a bus error would end this one.
    command = [sys.executable, "-c", OPEN, str(tiny_disk / "index")]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout == "StoreFull\n"


def test_an_index_on_a_full_disk_opens_and_reads(tiny_disk: Path) -> None:
    with opened(tiny_disk / "index") as index:
        put(index, b"key", b"value")
    fill_up(tiny_disk)
    with opened(tiny_disk / "index") as index:
        assert get(index, b"key") == b"value"


def test_a_read_only_index_is_refused(tiny_disk: Path) -> None:
    with opened(tiny_disk / "index"):
        pass
    remount_read_only(tiny_disk)
    with pytest.raises(StoreFull, match="Read-only file system"):
        Index(tiny_disk / "index")


def test_an_index_takes_little_room_however_long_its_file_looks(index: Index) -> None:
    put(index, b"key", b"value")
    status = (index._path / "data.mdb").stat()
    assert status.st_size == INITIAL_MAP_SIZE
    assert status.st_blocks * 512 < 1 << 20


def test_all_failures_of_the_index_are_the_stores() -> None:
    assert all(issubclass(each, HubfsError) for each in (IndexCorrupt, IndexTooNew, StoreFull))
