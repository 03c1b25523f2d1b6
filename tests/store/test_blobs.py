from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfs.errors import StoreDamaged, StoreFull
from hubfs.model.content import Content
from hubfs.store.blobs import Verified
from hubfs.store.doubts import recheck
from hubfs.store.store import Store
from tests.store.contents import (
    admit,
    fetch,
    git_content,
    lfs_content,
    read,
    sha256_of,
)
from tests.store.disks import fill_up
from tests.store.programs import next_line, running

DATA = b"some weights" * 1000


@pytest.fixture(params=[lfs_content, git_content])
def content(request: pytest.FixtureRequest) -> Content:
    """A content promised by one hash or by the other."""
    promise: Callable[[bytes], Content] = request.param
    return promise(DATA)


def test_an_admitted_content_is_found_and_read(store: Store, content: Content) -> None:
    admit(store, content, DATA)
    assert store.blobs.find(content) == sha256_of(DATA)
    assert read(store, content) == DATA


def test_a_content_that_never_came_is_absent(store: Store, content: Content) -> None:
    assert store.blobs.find(content) is None
    assert read(store, content) is None


def test_a_blob_is_read_only_and_named_by_what_it_holds(store: Store, content: Content) -> None:
    path = admit(store, content, DATA)
    sha256 = sha256_of(DATA)
    assert path == store.directory / "blobs/sha256" / sha256[:2] / sha256
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert path.read_bytes() == DATA


def test_the_descriptor_of_an_admitted_partial_still_reads(store: Store, content: Content) -> None:
    partial = fetch(store, content, DATA)
    store.blobs.admit(partial.descriptor, partial.path, sha256_of(DATA), content)
    assert os.pread(partial.descriptor, len(DATA), 0) == DATA
    partial.close()


def test_many_are_admitted_together_and_none_hinders_another(store: Store) -> None:
    contents = [lfs_content(b"a"), git_content(b"a"), lfs_content(b"bb"), git_content(b"ccc")]
    datas = [b"a", b"a", b"bb", b"ccc"]
    partials = [fetch(store, *each) for each in zip(contents, datas, strict=True)]
    partials[2].path.unlink()
    found = [
        Verified(partial.descriptor, partial.path, sha256_of(data), content)
        for partial, data, content in zip(partials, datas, contents, strict=True)
    ]
    errors = store.blobs.admit_all(found)
    assert [isinstance(each, StoreDamaged) for each in errors] == [False, False, True, False]
    assert [read(store, each) for each in contents] == [b"a", b"a", None, b"ccc"]
    assert store.blobs.usage() == (2, 4)
    for each in partials:
        each.close()


def test_what_the_index_cannot_be_told_of_is_not_admitted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = fetch(store, lfs_content(DATA), DATA)
    found = Verified(partial.descriptor, partial.path, sha256_of(DATA), lfs_content(DATA))
    gone = found._replace(path=partial.path.with_name("gone"), sha256=sha256_of(b"else"))

    def full(_: object) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "record_all", full)
        errors = store.blobs.admit_all([gone, found])
    assert [type(each) for each in errors] == [StoreDamaged, StoreFull]
    # It is a partial again, that can be written to, and admitted once there is room.
    assert not store.blobs.path(sha256_of(DATA)).exists()
    assert stat.S_IMODE(partial.path.stat().st_mode) == 0o600
    assert store.blobs.admit_all([found]) == [None]
    assert read(store, lfs_content(DATA)) == DATA
    partial.close()


def test_admission_ends_the_partial(store: Store, content: Content) -> None:
    admit(store, content, DATA)
    assert store.partials.held_bytes(content) == 0
    assert store.partials.clean() == []
    assert list((store.directory / "partial").iterdir()) == []


def test_one_blob_serves_both_hashes_of_the_same_bytes(store: Store) -> None:
    admit(store, git_content(DATA), DATA)
    assert read(store, lfs_content(DATA)) == DATA
    assert store.blobs.usage() == (1, len(DATA))


def test_the_same_bytes_admitted_twice_are_stored_once(store: Store) -> None:
    admit(store, lfs_content(DATA), DATA)
    descriptor = store.blobs.open(lfs_content(DATA))
    assert descriptor is not None
    admit(store, git_content(DATA), DATA)
    assert os.pread(descriptor, len(DATA), 0) == DATA
    os.close(descriptor)
    assert store.blobs.usage() == (1, len(DATA))
    assert read(store, lfs_content(DATA)) == read(store, git_content(DATA)) == DATA


def test_a_listing_that_lies_about_the_size_finds_nothing(store: Store, content: Content) -> None:
    admit(store, content, DATA)
    lie = Content(len(DATA) + 1, sha256=content.sha256, git_oid=content.git_oid)
    assert store.blobs.find(lie) is None
    assert read(store, lie) is None
    assert read(store, content) == DATA


# --- behind our back -------------------------------------------------------------------


def test_a_blob_removed_behind_our_back_is_forgotten(store: Store, content: Content) -> None:
    admit(store, content, DATA).unlink()
    assert read(store, content) is None
    assert store.blobs.find(content) is None
    admit(store, content, DATA)
    assert read(store, content) == DATA


@pytest.mark.parametrize("size", [0, 1, len(DATA) - 1, len(DATA) + 1])
def test_a_blob_cut_behind_our_back_is_forgotten(store: Store, content: Content, size: int) -> None:
    os.truncate(admit(store, content, DATA), size)
    assert read(store, content) is None
    assert store.blobs.find(content) is None
    admit(store, content, DATA)
    assert read(store, content) == DATA


def test_an_open_blob_outlives_its_name(store: Store, content: Content) -> None:
    path = admit(store, content, DATA)
    descriptor = store.blobs.open(content)
    assert descriptor is not None
    path.unlink()
    assert os.pread(descriptor, len(DATA), 0) == DATA
    os.close(descriptor)


def test_a_blob_that_cannot_be_opened_is_damage_not_absence(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(StoreDamaged, match=f"cannot open blob {sha256_of(DATA)}"):
        store.blobs.open(lfs_content(DATA))


def test_a_missing_blob_is_no_error_on_a_full_disk(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    admit(store, lfs_content(DATA), DATA).unlink()
    fill_up(tiny_disk)
    assert read(store, lfs_content(DATA)) is None
    store.close()


# --- crashes ---------------------------------------------------------------------------


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.directory)


def test_a_crash_before_the_rename_leaves_a_partial_to_resume(
    store: Store, content: Content
) -> None:
    fetch(store, content, DATA).close()
    store = reopened(store)
    assert read(store, content) is None
    partial = store.partials.open(content)
    assert partial.held.covers(0, len(DATA))
    assert os.pread(partial.descriptor, len(DATA), 0) == DATA
    partial.close()
    store.close()


def crash_after_rename(store: Store, content: Content) -> Store:
    partial = fetch(store, content, DATA)
    path = store.blobs.path(sha256_of(DATA))
    path.parent.mkdir()
    partial.path.chmod(0o444)
    partial.path.rename(path)
    partial.close()
    return reopened(store)


def test_a_crash_after_the_rename_loses_no_lfs_blob(store: Store) -> None:
    store = crash_after_rename(store, lfs_content(DATA))
    assert read(store, lfs_content(DATA)) is None  # nobody has said that it is right
    recheck(store, lfs_content(DATA))
    assert read(store, lfs_content(DATA)) == DATA
    assert store.blobs.find(lfs_content(DATA)) == sha256_of(DATA)
    assert store.partials.held_bytes(lfs_content(DATA)) == 0
    store.close()


def test_what_a_crash_left_in_place_is_given_up_if_it_is_wrong(store: Store) -> None:
    store = crash_after_rename(store, lfs_content(DATA))
    path = store.blobs.path(sha256_of(DATA))
    path.chmod(0o600)
    path.write_bytes(DATA[::-1])
    path.chmod(0o444)
    recheck(store, lfs_content(DATA))
    assert store.blobs.find(lfs_content(DATA)) is None
    assert read(store, lfs_content(DATA)) is None
    assert [each.read_bytes() for each in (store.directory / "bad").iterdir()] == [DATA[::-1]]
    store.close()


def test_a_crash_after_the_rename_lets_a_small_file_be_fetched_again(store: Store) -> None:
    store = crash_after_rename(store, git_content(DATA))
    assert read(store, git_content(DATA)) is None
    assert not store.partials.open(git_content(DATA)).held
    admit(store, git_content(DATA), DATA)
    assert read(store, git_content(DATA)) == DATA
    store.close()


def test_recovery_adopts_a_blob_in_place_only_if_it_has_the_right_size(store: Store) -> None:
    path = store.blobs.path(sha256_of(DATA))
    path.parent.mkdir()
    assert not store.blobs.recover(lfs_content(DATA))
    path.write_bytes(DATA[:-1])
    assert not store.blobs.recover(lfs_content(DATA))
    path.write_bytes(DATA)
    assert not store.blobs.recover(git_content(DATA))
    assert store.blobs.recover(lfs_content(DATA))
    assert store.blobs.find(lfs_content(DATA)) == sha256_of(DATA)


ADMIT_FOR_EVER = """
import itertools, sys
from pathlib import Path
from hubfs.store.store import Store
from tests.store.contents import admit, git_content, lfs_content
store = Store(Path(sys.argv[1]))
for number in itertools.count():
    data = b"%d" % number * 5000
    admit(store, (lfs_content, git_content)[number % 2](data), data)
    print(number, flush=True)
"""


@pytest.mark.parametrize("blobs", [1, 2, 7])
def test_what_was_admitted_before_a_kill_is_there_after_it(tmp_path: Path, blobs: int) -> None:
    with running(ADMIT_FOR_EVER, tmp_path) as owner:
        while int(next_line(owner)) < blobs:
            pass
        owner.kill()
        owner.wait()
    store = Store(tmp_path)
    for number in range(blobs + 50):
        data = b"%d" % number * 5000
        found = read(store, (lfs_content, git_content)[number % 2](data))
        assert found == data or (found is None and number > blobs)
    store.close()


# --- the whole -------------------------------------------------------------------------


def test_walking_meets_every_blob_and_nothing_else(store: Store) -> None:
    contents = {bytes([number]) * 10 for number in range(20)}
    for data in contents:
        admit(store, lfs_content(data), data)
    root = store.directory / "blobs/sha256"
    (root / "zz").mkdir()
    (root / "aa").mkdir(exist_ok=True)
    for stray in ["aa/" + "g" * 64, "aa/short", "zz/" + "a" * 64, "aa/" + "b" * 64, "file"]:
        (root / stray).write_text("stray")
    assert list(store.blobs.walk()) == sorted((sha256_of(data), 10) for data in contents)


def test_usage_counts_what_the_index_knows(store: Store) -> None:
    assert store.blobs.usage() == (0, 0)
    for data in (b"a", b"bb", b"ccc"):
        admit(store, lfs_content(data), data)
    store.blobs.forget(sha256_of(b"bb"))
    assert store.blobs.usage() == (2, 4)


def test_a_full_disk_admits_nothing_and_keeps_the_partial(tiny_disk: Path) -> None:
    store = Store(tiny_disk)
    filler = fill_up(tiny_disk, but_for=80)
    partial = fetch(store, lfs_content(DATA), DATA)
    fill_up(tiny_disk)
    with pytest.raises(StoreFull):
        store.blobs.admit(partial.descriptor, partial.path, sha256_of(DATA), lfs_content(DATA))
    filler.unlink()
    assert read(store, lfs_content(DATA)) in {None, DATA}
    assert os.pread(partial.descriptor, len(DATA), 0) == DATA
    partial.close()
    store.close()
