"""Blobs as plain files elsewhere: whole or not at all, and never outside of the folder."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hubfs.errors import CannotExport, StoreDamaged
from hubfs.store.exporting import Folder, Piece, Way
from hubfs.store.store import Store
from tests.store.contents import admit, lfs_content, read, sha256_of

DATA = b"some weights" * 1000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "plain/folder"


def piece(store: Store, path: str, data: bytes = DATA) -> Piece:
    """A file that holds `data`, which is a blob."""
    blob = admit(store, lfs_content(data), data) if data else store.directory
    return Piece(path, len(data), sha256_of(data), blob)


def put(folder: Folder, wanted: Piece) -> Way:
    with folder.opened():
        return folder.put(wanted)


def left_behind(target: Path) -> Iterator[Path]:
    return target.rglob(".hubfs-export-*")


@pytest.mark.parametrize("way", [Way.REFLINK, Way.COPY, Way.LINK])
def test_a_file_is_there_whole_and_the_next_time_already(
    store: Store, target: Path, way: Way
) -> None:
    wanted = piece(store, "deep/er/model.bin")
    came = put(Folder(target, way), wanted)
    assert came is way or (way, came) == (Way.REFLINK, Way.COPY)
    assert (target / wanted.path).read_bytes() == DATA
    assert put(Folder(target, way), wanted) is Way.PRESENT
    assert not [*left_behind(target)]


def test_what_was_copied_is_its_owners_to_change(store: Store, target: Path) -> None:
    put(Folder(target, Way.COPY), piece(store, "model.bin"))
    (target / "model.bin").write_bytes(b"changed")
    assert read(store, lfs_content(DATA)) == DATA


def test_what_was_linked_takes_no_room_and_whoever_changes_it_has_it_noticed(
    store: Store, target: Path
) -> None:
    wanted = piece(store, "model.bin")
    put(Folder(target, Way.LINK), wanted)
    exported = target / "model.bin"
    assert exported.samefile(wanted.blob)
    assert not exported.stat().st_mode & 0o222
    exported.chmod(stat.S_IRUSR | stat.S_IWUSR)
    exported.write_bytes(b"X" * len(DATA))
    assert read(store, lfs_content(DATA)) is None
    with pytest.raises(StoreDamaged):
        put(Folder(target, Way.COPY), Piece("other.bin", len(DATA), sha256_of(DATA), wanted.blob))
    assert not [*left_behind(target)]


def test_exports_that_link_one_blob_at_once_all_have_it(
    store: Store, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = piece(store, "model.bin")
    together = threading.Barrier(2)
    link = os.link

    def slow(*arguments: Any, **named: Any) -> None:
        time.sleep(0.1)  # the other has it open by then, unless it waits for its turn
        link(*arguments, **named)

    def export(folder: Path) -> Way:
        together.wait(20)
        return put(Folder(folder, Way.LINK), wanted)

    monkeypatch.setattr(os, "link", slow)
    with ThreadPoolExecutor(2) as pool:
        folders = [target / "one", target / "two"]
        assert list(pool.map(export, folders)) == [Way.LINK, Way.LINK]
    assert wanted.blob.stat().st_nlink == 3


def test_an_empty_file_needs_no_blob(store: Store, target: Path) -> None:
    put(Folder(target), piece(store, "empty", b""))
    assert (target / "empty").read_bytes() == b""
    assert put(Folder(target), piece(store, "empty", b"")) is Way.PRESENT


def test_another_file_stays_unless_it_may_be_replaced(store: Store, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "model.bin").write_bytes(b"somebody's own")
    with pytest.raises(CannotExport, match="another file of that name"):
        put(Folder(target), piece(store, "model.bin"))
    assert (target / "model.bin").read_bytes() == b"somebody's own"
    put(Folder(target, replaces=True), piece(store, "model.bin"))
    assert (target / "model.bin").read_bytes() == DATA


def test_a_directory_is_never_replaced(store: Store, target: Path) -> None:
    (target / "model.bin").mkdir(parents=True)
    with pytest.raises(CannotExport, match="a directory is in its place"):
        put(Folder(target, replaces=True), piece(store, "model.bin"))


@pytest.mark.parametrize("path", ["../model.bin", "/model.bin", "a/../../b", "a//b", ".", "a\0b"])
def test_a_name_that_leads_out_is_refused(store: Store, target: Path, path: str) -> None:
    with pytest.raises(CannotExport, match="leads out"):
        put(Folder(target), piece(store, path))
    assert not target.exists()


def test_a_symlink_in_the_folder_leads_nowhere(store: Store, target: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target.mkdir(parents=True)
    (target / "sub").symlink_to(elsewhere)
    (target / "model.bin").symlink_to(elsewhere / "model.bin")
    with pytest.raises(CannotExport, match="no directory"):
        put(Folder(target, replaces=True), piece(store, "sub/model.bin"))
    put(Folder(target, replaces=True), piece(store, "model.bin"))
    assert [*elsewhere.iterdir()] == []
    assert not (target / "model.bin").is_symlink()


def test_a_blob_that_is_evicted_while_it_is_copied_is_copied_all_the_same(
    store: Store, target: Path
) -> None:
    wanted = piece(store, "model.bin")
    folder = Folder(target, Way.COPY)
    with folder.opened():
        folder.put(wanted, lambda _: wanted.blob.unlink())
    assert (target / "model.bin").read_bytes() == DATA


def test_a_blob_that_is_gone_is_told_and_leaves_nothing(store: Store, target: Path) -> None:
    wanted = piece(store, "model.bin")
    wanted.blob.unlink()
    with pytest.raises(FileNotFoundError):
        put(Folder(target), wanted)
    assert not target.exists()


def test_what_a_crash_left_is_in_nobodys_way(store: Store, target: Path) -> None:
    wanted = piece(store, "model.bin")
    target.mkdir(parents=True)
    (target / f".hubfs-export-{wanted.sha256[:16]}").write_bytes(b"half of it")
    put(Folder(target), wanted)
    assert [each.name for each in target.iterdir()] == ["model.bin"]


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with (
        pytest.raises(CannotExport, match=r"^cannot write /proc/hubfs: No such file or directory$"),
        Folder(Path("/proc/hubfs")).opened(),
    ):
        pytest.fail("it was made")


def test_two_exports_to_one_folder_are_one_too_many(target: Path) -> None:
    with (
        Folder(target).opened(),
        pytest.raises(CannotExport, match="another export"),
        Folder(target).opened(),
    ):
        pass
