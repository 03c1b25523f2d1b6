from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from hubfs.errors import CacheInUse, IndexTooNew, StoreError, StoreFull
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.ranges import RangeSet
from hubfs.store.index import SCHEMA_VERSION
from hubfs.store.lock import find_owner
from hubfs.store.records import RepoRecord
from hubfs.store.store import Store
from tests.store.contents import admit, git_content, lfs_content, read
from tests.store.disks import fill_up, remount_read_only

LARGE, SMALL = b"weights" * 1000, b'{"hidden_size": 8}'
ACME = RepoId(RepoKind.MODEL, "acme/tiny")


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The directory of a closed cache with a blob of either kind, a partial and a repo."""
    store = Store(tmp_path / "cache")
    admit(store, lfs_content(LARGE), LARGE)
    admit(store, git_content(SMALL), SMALL)
    partial = store.partials.open(lfs_content(b"partly"))
    partial.claim(RangeSet([(0, 4)]))
    partial.close()
    store.catalog("https://hub").put_repo(ACME, RepoRecord(ACME.name))
    store.close()
    return tmp_path / "cache"


def has_blobs(store: Store) -> bool:
    return read(store, lfs_content(LARGE)) == LARGE and read(store, git_content(SMALL)) == SMALL


def test_everything_is_there_after_reopening(filled: Path) -> None:
    store = Store(filled)
    assert has_blobs(store)
    assert store.partials.held_bytes(lfs_content(b"partly")) == 4
    assert store.catalog("https://hub").find_repo(ACME) == RepoRecord(ACME.name)
    store.close()


def test_a_cache_has_one_owner_until_it_is_closed(tmp_path: Path) -> None:
    store = Store(tmp_path, "/mnt/models")
    with pytest.raises(CacheInUse, match="/mnt/models"):
        Store(tmp_path)
    store.close()
    store.close()
    Store(tmp_path).close()


def test_a_cache_is_its_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "new" / "cache").close()
    for path in (tmp_path / "new").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_endpoints_do_not_mix_but_share_blobs(filled: Path) -> None:
    store = Store(filled)
    assert store.catalog("https://other").find_repo(ACME) is None
    assert has_blobs(store)
    store.close()


def test_space_is_that_of_the_file_system(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    space = store.space()
    assert space.total == 1 << 20
    assert 0 < space.available <= space.free < space.total
    fill_up(tiny_disk)
    assert store.space().available == 0
    store.close()


# --- a lost index ----------------------------------------------------------------------


def garbage(index: Path) -> None:
    (index / "data.mdb").write_bytes(b"garbage!" * 10_000)


def cut(index: Path) -> None:
    os.truncate(index / "data.mdb", 3 * 4096 + 5)


def suspect(index: Path) -> None:
    (index / "suspect").touch()


@pytest.mark.parametrize("damage", [garbage, cut, suspect])
def test_a_damaged_index_is_set_aside_and_made_anew_from_the_blobs(
    filled: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    assert callable(damage)
    damage(filled / "index")
    kept = (filled / "index" / "data.mdb").stat().st_size
    with caplog.at_level(logging.WARNING):
        store = Store(filled)
    assert has_blobs(store)
    (aside,) = filled.glob("index.damaged-*")
    assert (aside / "data.mdb").stat().st_size == kept
    assert str(aside) in caplog.text
    assert "2 blobs" in caplog.text
    store.close()
    reopened = Store(filled)
    assert has_blobs(reopened)
    assert len(list(filled.glob("index.damaged-*"))) == 1
    reopened.close()


def emptied(index: Path) -> None:
    os.truncate(index / "data.mdb", 0)


def removed(index: Path) -> None:
    shutil.rmtree(index)


@pytest.mark.parametrize("loss", [emptied, removed])
def test_a_lost_index_is_made_anew_from_the_blobs(filled: Path, loss: object) -> None:
    assert callable(loss)
    loss(filled / "index")
    store = Store(filled)
    assert has_blobs(store)
    store.close()


def test_a_rebuilding_that_was_interrupted_is_done_again(filled: Path) -> None:
    shutil.rmtree(filled / "index")
    shutil.copytree(filled / "blobs", filled / "aside")
    shutil.rmtree(filled / "blobs")
    store = Store(filled)  # this index knows no blobs
    store.index.write(lambda txn: txn.delete(b"knows-blobs", db=store.index.table("meta")))
    store.close()
    shutil.rmtree(filled / "blobs")
    (filled / "aside").rename(filled / "blobs")
    store = Store(filled)
    assert has_blobs(store)
    store.close()


def test_a_cut_blob_is_not_adopted(filled: Path) -> None:
    store = Store(filled)
    path = store.blobs.path(next(iter(store.blobs.walk()))[0])
    contents = {lfs_content(LARGE): LARGE, git_content(SMALL): SMALL}
    store.close()
    size = path.stat().st_size
    os.truncate(path, size - 1)
    shutil.rmtree(filled / "index")
    store = Store(filled)
    for content, data in contents.items():
        assert read(store, content) == (None if content.size == size else data)
    store.close()


def test_strangers_among_the_blobs_do_no_harm(filled: Path) -> None:
    root = filled / "blobs/sha256"
    (root / "ab" / ("ab" * 32)).mkdir(parents=True)
    (root / "cd").mkdir(exist_ok=True)
    (root / "cd" / "stranger").write_text("?")
    (root / "ef").write_text("a file where a directory should be")
    shutil.rmtree(filled / "index")
    store = Store(filled)
    assert has_blobs(store)
    store.close()


def test_a_newer_index_is_refused_and_nothing_is_touched(filled: Path) -> None:
    store = Store(filled)
    newer = b"%d" % (SCHEMA_VERSION + 1)
    store.index.write(lambda txn: txn.put(b"schema", newer, db=store.index.table("meta")))
    store.close()
    before = snapshot_of(filled)
    for _ in range(2):  # a refusal does not keep the lock either
        with pytest.raises(IndexTooNew):
            Store(filled)
    assert snapshot_of(filled) == before
    assert find_owner(filled) is None


def snapshot_of(directory: Path) -> dict[str, bytes]:
    """The beginnings of all files but the locks."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_file() and "lock" not in path.name:
            with path.open("rb") as file:
                found[str(path)] = file.read(1 << 20)
    return found


# --- disks -----------------------------------------------------------------------------


def test_a_cache_on_a_full_disk_opens_and_reads(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    admit(store, lfs_content(LARGE), LARGE)
    admit(store, git_content(SMALL), SMALL)
    store.partials.open(lfs_content(b"never claimed")).close()
    store.close()
    filler = fill_up(tiny_disk)
    store = Store(tiny_disk)
    assert has_blobs(store)
    filler.unlink()
    admit(store, lfs_content(b"more"), b"more")
    assert read(store, lfs_content(b"more")) == b"more"
    store.close()


def test_a_cache_whose_leavings_cannot_be_cleaned_opens_all_the_same(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tiny_disk)
    admit(store, lfs_content(LARGE), LARGE)
    admit(store, git_content(SMALL), SMALL)
    partial = store.partials.open(lfs_content(b"gone"))
    partial.claim(RangeSet([(0, 4)]))
    partial.path.unlink()
    partial.close()
    store.close()
    fill_up(tiny_disk)
    store = Store(tiny_disk)
    assert has_blobs(store)
    store.close()


def test_a_new_cache_on_a_full_disk_is_refused(tiny_disk: Path) -> None:
    filler = fill_up(tiny_disk, but_for=1)
    with pytest.raises(StoreFull):
        Store(tiny_disk)
    filler.unlink()
    Store(tiny_disk).close()


def test_a_cache_that_may_not_be_written_is_served_as_it_is(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    admit(store, lfs_content(LARGE), LARGE)
    admit(store, git_content(SMALL), SMALL)
    store.catalog("https://hub").put_repo(ACME, RepoRecord(ACME.name))
    store.close()
    remount_read_only(tiny_disk)
    store = Store(tiny_disk)
    assert has_blobs(store)
    assert store.catalog("https://hub").find_repo(ACME) == RepoRecord(ACME.name)
    with pytest.raises(StoreFull, match="Read-only file system"):
        store.partials.open(lfs_content(b"new"))
    store.close()


def test_what_is_learnt_in_a_read_only_cache_lasts_until_it_is_closed(tiny_disk: Path) -> None:
    Store(tiny_disk).close()
    remount_read_only(tiny_disk)
    store = Store(tiny_disk)
    store.catalog("https://hub").put_repo(ACME, RepoRecord(ACME.name))
    assert store.catalog("https://hub").find_repo(ACME) is not None
    store.close()
    store = Store(tiny_disk)
    assert store.catalog("https://hub").find_repo(ACME) is None
    store.close()


@pytest.mark.parametrize("damage", [garbage, cut, suspect, emptied, removed])
def test_a_read_only_cache_with_a_damaged_index_still_has_its_blobs(
    tiny_disk: Path, damage: object
) -> None:
    store = Store(tiny_disk)
    admit(store, lfs_content(LARGE), LARGE)
    admit(store, git_content(SMALL), SMALL)
    store.close()
    assert callable(damage)
    damage(tiny_disk / "index")
    remount_read_only(tiny_disk)
    store = Store(tiny_disk)
    assert has_blobs(store)
    store.close()


def test_an_empty_read_only_directory_is_an_empty_cache(tiny_disk: Path) -> None:
    remount_read_only(tiny_disk)
    store = Store(tiny_disk)
    assert store.blobs.usage() == (0, 0)
    store.close()


def test_a_cache_below_a_read_only_directory_is_refused_with_a_clear_reason(
    tiny_disk: Path,
) -> None:
    remount_read_only(tiny_disk)
    with pytest.raises(StoreFull, match=rf"cannot write {tiny_disk}/new.*: Read-only file system"):
        Store(tiny_disk / "new")


def test_a_file_in_the_way_of_the_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"/file is a file, not a directory"):
        Store(tmp_path / "file")
