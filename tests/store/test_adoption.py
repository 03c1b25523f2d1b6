"""Files elsewhere as blobs: served while they are right, never after, and never altered."""

from __future__ import annotations

import mmap
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfs.errors import CannotAdopt, StoreDamaged, StoreFull
from hubfs.store.adoption import Adopter, How, hashed
from hubfs.store.cloning import clone, copy
from hubfs.store.doubts import recheck
from hubfs.store.store import Store
from tests.store.contents import admit, git_content, lfs_content, read, sha256_of
from tests.store.disks import fill_up
from tests.store.elsewhere import Untouched, write, write_in_place

DATA = b"weights of others" * 1000
WRONG = b"WEIGHTS"
ignore: Callable[[int], None] = lambda _: None  # noqa: E731 - a value


def cloned(source: int, target: int) -> bool:
    """What a disk with reflinks does, as far as can be seen."""
    return copy(source, target, os.fstat(source).st_size)


def unclonable(_: int, __: int) -> bool:
    return False


def adopt(
    store: Store, path: Path, *, copies: bool = False, cloning: Callable[..., bool] = unclonable
) -> How:
    adopter = Adopter(store.blobs, store.directory / "partial", copies=copies, cloning=cloning)
    with hashed(str(path), ignore) as found:
        placed = adopter.place(found.descriptor, found.digests, found.before, ignore)
    adopter.record([placed])
    return placed.how


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "elsewhere", {"model.gguf": DATA}) / "model.gguf"


def checked(store: Store, data: bytes = DATA) -> bytes | None:
    """What is read of the content, after a blob in doubt was looked at."""
    recheck(store, lfs_content(data))
    return read(store, lfs_content(data))


@pytest.mark.parametrize(
    ("copies", "cloning", "how"),
    [
        (False, unclonable, How.LINK),
        (True, unclonable, How.COPY),
        (False, cloned, How.REFLINK),
        (True, cloned, How.REFLINK),
    ],
)
def test_an_adopted_file_is_found_by_either_hash_and_stays_as_it_is(
    store: Store, source: Path, *, copies: bool, cloning: Callable[..., bool], how: How
) -> None:
    source.chmod(0o640)
    with Untouched(source.parent):
        assert adopt(store, source, copies=copies, cloning=cloning) == how
        assert read(store, lfs_content(DATA)) == DATA
        assert read(store, git_content(DATA)) == DATA
    blob = store.blobs.path(sha256_of(DATA))
    is_same = blob.stat().st_ino == source.stat().st_ino
    assert is_same == (how is How.LINK)
    assert is_same or stat.S_IMODE(blob.stat().st_mode) == 0o444
    assert store.blobs.usage() == (1, len(DATA))
    assert not list((store.directory / "partial").iterdir())


@pytest.mark.parametrize("copies", [True, False])
def test_that_a_file_was_read_does_not_show(store: Store, source: Path, *, copies: bool) -> None:
    modified = source.stat().st_mtime_ns
    os.utime(source, ns=(0, modified))  # so that any disk that keeps this time would move it
    adopt(store, source, copies=copies)
    found = source.stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == (0, modified)


def test_this_disk_clones_or_says_that_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        is_cloned = clone(source.fileno(), target.fileno())
    assert (tmp_path / "b").read_bytes() == (DATA if is_cloned else b"")


def test_a_linked_file_that_is_changed_is_never_read(store: Store, source: Path) -> None:
    adopt(store, source)
    write_in_place(source, WRONG)
    assert read(store, lfs_content(DATA)) is None
    recheck(store, lfs_content(DATA))
    assert store.blobs.find(lfs_content(DATA)) is None
    assert source.read_bytes() == WRONG + DATA[len(WRONG) :]
    assert not (store.directory / "bad").exists()
    admit(store, lfs_content(DATA), DATA)
    assert read(store, lfs_content(DATA)) == DATA


def test_one_that_is_changed_and_removed_is_not_read_either(store: Store, source: Path) -> None:
    adopt(store, source)
    write_in_place(source, WRONG)
    source.unlink()
    assert checked(store) is None


def test_one_that_is_only_renamed_touched_or_removed_is_trusted_again(
    store: Store, source: Path
) -> None:
    adopt(store, source)
    moved = source.rename(source.with_name("moved"))
    os.utime(moved)
    assert read(store, lfs_content(DATA)) is None
    assert checked(store) == DATA
    assert read(store, lfs_content(DATA)) == DATA
    moved.unlink()
    assert checked(store) == DATA
    # Now it is our own: whatever happens to it does not happen from outside.
    assert store.blobs.find_stamp(lfs_content(DATA)) is None


def test_one_that_is_cut_is_fetched_again(store: Store, source: Path) -> None:
    adopt(store, source)
    os.truncate(source, 10)
    assert checked(store) is None
    admit(store, lfs_content(DATA), DATA)
    assert checked(store) == DATA
    assert source.stat().st_size == 10


def test_a_lost_record_or_index_makes_nobody_trust_a_link(tmp_path: Path, source: Path) -> None:
    """As after a crash between the name and the record: a file with two names is in doubt."""
    for changes, expected in ((False, DATA), (True, None)):
        store = Store(tmp_path / "cache")
        source.write_bytes(DATA)
        adopt(store, source)
        store.close()
        (tmp_path / "cache/index/data.mdb").unlink()
        if changes:
            write_in_place(source, WRONG)
        again = Store(tmp_path / "cache")
        assert read(again, lfs_content(DATA)) is None
        assert checked(again) == expected
        again.close()


def test_what_is_linked_from_outside_is_looked_at_again(store: Store, tmp_path: Path) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    os.link(path, tmp_path / "exported")
    assert read(store, lfs_content(DATA)) is None
    assert checked(store) == DATA


@pytest.mark.parametrize("is_set_back", [False, True])
def test_one_that_was_changed_through_a_name_that_is_gone_is_not_read(
    store: Store, tmp_path: Path, *, is_set_back: bool
) -> None:
    """Not even if the time of its bytes is an old one, as of what `cp -p` has written."""
    path = admit(store, lfs_content(DATA), DATA)
    exported = tmp_path / "exported"
    os.link(path, exported)
    exported.chmod(0o644)
    with exported.open("r+b") as file:
        file.write(WRONG)
    if is_set_back:
        os.utime(exported, (1e9, 1e9))
    exported.unlink()
    assert read(store, lfs_content(DATA)) is None
    assert checked(store) is None


def test_one_that_somebody_can_still_write_to_is_looked_at_each_time(
    store: Store, tmp_path: Path
) -> None:
    """Who has opened the file by a name that is gone needs no name to change it."""
    path = admit(store, lfs_content(DATA), DATA)
    exported = tmp_path / "exported"
    os.link(path, exported)
    exported.chmod(0o644)
    with exported.open("r+b", buffering=0) as file:
        exported.unlink()
        assert checked(store) == DATA
        assert store.blobs.find_stamp(lfs_content(DATA))
        file.write(WRONG)
        assert read(store, lfs_content(DATA)) is None
        assert checked(store) is None


def test_one_of_a_time_that_is_to_come_is_trusted_again(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    os.utime(path, (time.time() + 1e6,) * 2)
    assert read(store, lfs_content(DATA)) is None
    assert checked(store) == DATA


def test_what_is_written_to_a_mapping_is_noticed_after_a_second_look_too(
    store: Store, source: Path
) -> None:
    adopt(store, source)
    with source.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = mapped[0]
        assert read(store, lfs_content(DATA)) is None
        assert checked(store) == DATA
        mapped[: len(WRONG)] = WRONG  # the page is not on disk yet, unless someone has seen to it
        assert read(store, lfs_content(DATA)) is None


def test_a_file_that_changes_while_it_is_put_in_place_is_not_adopted(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.blobs.put_in_place

    def interrupted(path: Path, sha256: str) -> None:
        write_in_place(source, WRONG)
        os.utime(source)
        put(path, sha256)

    monkeypatch.setattr(store.blobs, "put_in_place", interrupted)
    with pytest.raises(CannotAdopt, match="changed"):
        adopt(store, source)
    assert list(store.blobs.walk()) == []


def test_one_that_changed_in_secret_before_it_was_linked_is_looked_at(
    store: Store, source: Path
) -> None:
    adopter = Adopter(store.blobs, store.directory / "partial", copies=False, cloning=unclonable)
    with hashed(str(source), ignore) as found:
        write_in_place(source, WRONG)
        placed = adopter.place(found.descriptor, found.digests, found.before, ignore)
    adopter.record([placed])
    assert read(store, lfs_content(DATA)) is None
    assert checked(store) is None


@pytest.mark.parametrize("how", ["opened", "reconciled", "rebuilt"])
def test_one_that_a_crash_left_unrecorded_is_looked_at_be_its_source_gone(
    tmp_path: Path, source: Path, how: str
) -> None:
    store = Store(tmp_path / "cache")
    adopter = Adopter(store.blobs, store.directory / "partial", copies=False, cloning=unclonable)
    with hashed(str(source), ignore) as found:
        adopter.place(found.descriptor, found.digests, found.before, ignore)
    write_in_place(source, WRONG)
    source.unlink()
    store.close()
    if how == "rebuilt":
        shutil.rmtree(tmp_path / "cache/index")
    again = Store(tmp_path / "cache")
    if how == "reconciled":
        assert sum(entered for entered, _ in again.eviction.reconcile()) == 1
    assert read(again, lfs_content(DATA)) is None
    assert checked(again) is None
    again.close()


def test_a_download_takes_the_place_of_a_link(store: Store, source: Path) -> None:
    adopt(store, source)
    admit(store, lfs_content(DATA), DATA)
    write_in_place(source, WRONG)
    assert read(store, lfs_content(DATA)) == DATA


def test_a_file_that_changes_while_it_is_hashed_is_not_adopted(store: Store, source: Path) -> None:
    adopter = Adopter(store.blobs, store.directory / "partial", copies=False)
    with hashed(str(source), ignore) as found:
        source.write_bytes(b"other" * 3400)
        with pytest.raises(CannotAdopt, match="changed"):
            adopter.place(found.descriptor, found.digests, found.before, ignore)
    assert list(store.blobs.walk()) == []


def test_a_file_whose_name_is_given_to_another_is_the_one_that_was_hashed(
    store: Store, source: Path
) -> None:
    adopter = Adopter(store.blobs, store.directory / "partial", copies=False, cloning=unclonable)
    with hashed(str(source), ignore) as found:
        other = write(source.parent, {"other": b"an imposter"}) / "other"
        os.link(source, source.with_name("kept"))
        other.rename(source)
        before = found.before
        placed = adopter.place(found.descriptor, found.digests, before, ignore)
    adopter.record([placed])
    assert checked(store) == DATA


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="No such file"), hashed(str(tmp_path / "x"), ignore):
        pass


def test_a_full_disk_is_told_and_left_clean(tiny_disk: Path, source: Path) -> None:
    store = Store(tiny_disk / "cache")
    fill_up(tiny_disk, but_for=2)
    with pytest.raises(StoreFull):
        adopt(store, source, copies=True)
    assert not list((store.directory / "partial").iterdir())
    store.close()
