"""A cache that something has happened to: looked at, told, put right, with nothing lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hubfs.errors import StoreDamaged
from hubfs.model.content import Content
from hubfs.store.census import SHARDS, Amount
from hubfs.store.flaws import Finding, Flaw
from hubfs.store.ledger import blob_name
from hubfs.store.rehash import PIECE, rehash
from hubfs.store.store import Store
from tests.store.contents import admit, fetch, git_content, git_oid_of, lfs_content, read, sha256_of
from tests.store.disks import remount_read_only
from tests.store.pages import pieces_in_memory

DATA = b"some weights" * 1000
OTHER = b"other weights" * 1000


def treated(store: Store) -> list[Finding]:
    """What a look at all blobs finds; a second look has to find nothing more."""
    found = looked(store)
    assert [each for each in looked(store) if not each.is_left] == []
    return found


def looked(store: Store) -> list[Finding]:
    checkup, found = store.checkup, list[Finding]()
    for shard in SHARDS:
        for case in checkup.census.cases(shard):
            found += checkup.treat(checkup.examine(case, lambda _: None))
    return found


def flip(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(5)
        file.write(b"!")
    path.chmod(0o444)


def cut(path: Path) -> None:
    os.truncate(path, 100)


def lengthen(path: Path) -> None:
    os.truncate(path, 20_000)


BAD: dict[str, tuple[Callable[[Path], None], Flaw]] = {
    "flipped": (flip, Flaw.CORRUPT),
    "cut": (cut, Flaw.CUT),
    "longer": (lengthen, Flaw.CUT),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_blob_is_set_aside_and_nothing_of_it_is_found_any_more(
    store: Store, how: str
) -> None:
    spoil, flaw = BAD[how]
    admit(store, lfs_content(OTHER), OTHER)
    path = admit(store, git_content(DATA), DATA)
    spoil(path)
    spoilt = path.read_bytes()
    (finding,) = treated(store)
    assert (finding.flaw, finding.name) == (flaw, sha256_of(DATA))
    assert not path.exists()
    assert Path(finding.aside).read_bytes() == spoilt
    assert Path(finding.aside).parent == store.directory / "bad"
    assert read(store, git_content(DATA)) is None
    assert read(store, lfs_content(DATA)) is None
    # Whoever had it, by either hash, is to be told.
    assert set(finding.keys) == {git_content(DATA).key, lfs_content(DATA).key}
    assert store.checkup.census.dangling() == []
    assert read(store, lfs_content(OTHER)) == OTHER
    admit(store, git_content(DATA), DATA)
    assert read(store, git_content(DATA)) == DATA


def test_two_bad_files_of_one_name_are_both_kept(store: Store) -> None:
    for _ in range(2):
        flip(admit(store, lfs_content(DATA), DATA))
        treated(store)
    assert len(list((store.directory / "bad").iterdir())) == 2


def test_one_that_is_evicted_during_a_look_does_not_hide_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    gone = path.with_name(path.name[:2] + "0" * 62)
    gone.touch()
    look = store.checkup.census._look

    def late(entry: os.DirEntry[str], shard: str) -> object:
        gone.unlink(missing_ok=True)
        return look(entry, shard)

    monkeypatch.setattr(store.checkup.census, "_look", late)
    (case,) = store.checkup.census.cases(path.name[:2])
    assert case.present is not None


def test_a_record_without_its_file_is_forgotten(store: Store) -> None:
    admit(store, git_content(DATA), DATA).unlink()
    (finding,) = treated(store)
    assert (finding.flaw, finding.size) == (Flaw.MISSING, len(DATA))
    assert store.blobs.find(lfs_content(DATA)) is None


def test_a_right_file_without_its_record_is_adopted_under_both_its_hashes(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    store.blobs.forget(sha256_of(DATA))
    (finding,) = treated(store)
    assert finding.flaw is Flaw.UNRECORDED
    assert read(store, git_content(DATA)) == DATA
    assert path.exists()


def test_a_wrong_file_without_its_record_is_not_adopted(store: Store) -> None:
    flip(admit(store, lfs_content(DATA), DATA))
    store.blobs.forget(sha256_of(DATA))
    assert [each.flaw for each in treated(store)] == [Flaw.CORRUPT]


def test_a_record_of_another_size_is_corrected(store: Store) -> None:
    admit(store, lfs_content(DATA), DATA)
    store.blobs.record(sha256_of(DATA), Content(5, sha256=sha256_of(DATA)))
    assert [each.flaw for each in treated(store)] == [Flaw.MISRECORDED]
    assert read(store, lfs_content(DATA)) == DATA


@pytest.mark.parametrize("mode", [0, 0o644, 0o777])
def test_a_blob_that_may_be_written_by_accident_is_protected(store: Store, mode: int) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    path.chmod(mode)
    assert [each.flaw for each in treated(store)] == [Flaw.MODE]
    assert path.stat().st_mode & 0o777 == 0o444


def test_what_is_no_blob_is_told_from_what_is(store: Store) -> None:
    path = admit(store, lfs_content(DATA), DATA)
    root = path.parents[1]
    strangers = [root / "zz", root / "note.txt", path.parent / "x", path.parent / ("0" * 64)]
    for each in strangers:
        each.write_bytes(b"mine")
    link = path.parent / (path.name[:2] + "1" * 62)
    link.symlink_to(path)
    assert set(store.checkup.census.strangers()) == {*strangers, link}
    for each in store.checkup.census.strangers():
        store.checkup.mending.set_file_aside(each)
    assert list(store.checkup.census.strangers()) == []
    assert treated(store) == []


def test_a_git_id_that_leads_nowhere_is_found_and_dropped(store: Store) -> None:
    admit(store, git_content(OTHER), OTHER)
    oid, digest = (bytes.fromhex(each) for each in (git_oid_of(DATA), sha256_of(DATA)))
    store.index.write(lambda txn: txn.put(oid, digest, db=store.index.table("oids")))
    assert store.checkup.census.dangling() == [oid]
    store.checkup.mending.drop_oids([oid, bytes.fromhex(git_oid_of(OTHER))])
    assert store.checkup.census.dangling() == []
    assert read(store, git_content(OTHER)) == OTHER


def test_what_is_being_evicted_is_left_alone(store: Store) -> None:
    flip(admit(store, lfs_content(DATA), DATA))
    store.leaving.mark([blob_name(sha256_of(DATA))])
    assert looked(store) == []


def test_what_is_just_being_put_in_place_is_left_alone(store: Store) -> None:
    admit(store, lfs_content(DATA), DATA)
    store.blobs.forget(sha256_of(DATA))
    with store.leaving.arriving(blob_name(sha256_of(DATA))):
        assert treated(store) == []
    assert [each.flaw for each in treated(store)] == [Flaw.UNRECORDED]


def test_a_partial_that_is_here_after_all_keeps_its_record(store: Store) -> None:
    content = lfs_content(DATA)
    fetch(store, content, DATA).close()
    store.checkup.mending.drop_partial(content.key)
    assert store.partials.held_bytes(content) == len(DATA)
    (store.directory / "partial" / content.key).unlink()
    store.checkup.mending.drop_partial(content.key)
    assert store.checkup.census.partials() == (set(), set())


def test_what_changed_since_it_was_looked_at_is_left_alone(store: Store) -> None:
    flip(admit(store, lfs_content(DATA), DATA))
    checkup = store.checkup
    (case,) = [case for shard in SHARDS for case in checkup.census.cases(shard)]
    diagnosis = checkup.examine(case, lambda _: None)
    admit(store, lfs_content(DATA), DATA)
    assert checkup.treat(diagnosis) == []
    assert read(store, lfs_content(DATA)) == DATA


def test_on_a_disk_that_may_not_be_written_all_is_told_and_left(tiny_disk: Path) -> None:
    store = Store(tiny_disk / "cache")
    flip(admit(store, lfs_content(DATA), DATA))
    admit(store, lfs_content(OTHER), OTHER).unlink()
    store.close()
    remount_read_only(tiny_disk)
    store = Store(tiny_disk / "cache")
    found = looked(store)
    assert {each.flaw for each in found} == {Flaw.CORRUPT, Flaw.MISSING}
    assert all(each.is_left and "may not be written" in each.remedy for each in found)
    assert looked(store) == found
    store.close()


def test_a_large_number_of_blobs_is_counted_up_to_any_of_them(store: Store) -> None:
    everything = sorted(sha256_of(bytes([number])) for number in range(50))
    store.blobs.record_all([(each, Content(3, sha256=each)) for each in everything])
    amounts = store.checkup.census.amounts
    assert amounts() == (Amount(), Amount(50, 150))
    assert amounts(everything[9]) == (Amount(10, 30), Amount(50, 150))
    assert amounts(everything[9], set(everything[5:15])) == (Amount(5, 15), Amount(10, 30))
    assert [case.sha256 for shard in SHARDS for case in store.checkup.census.cases(shard)] == (
        everything
    )


# --- reading ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_a_file_is_hashed_whole_whatever_its_size(tmp_path: Path, size: int) -> None:
    data = (DATA * (size // len(DATA) + 1))[:size]
    (tmp_path / "file").write_bytes(data)
    pieces: list[int] = []
    assert rehash(tmp_path / "file", pieces.append) == (size, sha256_of(data), git_oid_of(data))
    assert sum(pieces) == size


def test_reading_leaves_memory_as_it_was(tmp_path: Path) -> None:
    """Pages that somebody wants stay, and those that nobody wanted go."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(os.urandom(4 * PIECE))
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb", buffering=0) as file:
        number = file.fileno()
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        if any(pieces_in_memory(number, PIECE)):
            pytest.skip("this file system keeps all it has in memory")
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_RANDOM)
        assert len(os.pread(number, PIECE, 2 * PIECE)) == PIECE
        rehash(path)
        assert pieces_in_memory(number, PIECE) == [False, False, True, False]


def test_what_cannot_be_opened_is_damage(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreDamaged, match="cannot open"):
        rehash(tmp_path / "missing")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreDamaged, match="cannot open"):
        rehash(tmp_path / "link")
    shutil.rmtree(store.directory / "blobs/sha256")
    with pytest.raises(StoreDamaged, match="cannot list"):
        list(store.checkup.census.strangers())


def test_only_the_blobs_that_are_meant_are_looked_for(store: Store) -> None:
    admit(store, lfs_content(DATA), DATA)
    assert store.checkup.census.cases(sha256_of(DATA)[:2], only={sha256_of(OTHER)}) == []
