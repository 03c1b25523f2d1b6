from __future__ import annotations

import os
from pathlib import Path

from hubfs.store.foreign import Walk, devices_of, is_mount_of_ours
from hubfs.store.index import Index
from hubfs.store.scanned import Scanned, ScanRecord
from tests.store.elsewhere import Untouched, write


def walked(walk: Walk, root: Path) -> list[str]:
    return [str(Path(each.path).relative_to(root)) for each in walk.files(str(root))]


def test_links_are_followed_and_each_directory_is_entered_once(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"a/one": b"1", "b": b"2", ".git/object": b"3"})
    (root / "a/up").symlink_to("..")
    (root / "c").symlink_to("b")
    (root / "nowhere").symlink_to("absent")
    elsewhere = write(tmp_path / "elsewhere", {"two": b"22"})
    (root / "d").symlink_to(elsewhere)
    os.mkfifo(root / "pipe")
    walk = Walk(refuses=lambda name: name == ".git")
    with Untouched(root):
        assert walked(walk, root) == ["a/one", "b", "c", "d/two"]
    assert walk.special == 2


def test_a_place_that_is_avoided_is_not_entered(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"cache/blob": b"1", "file": b"2"})
    found = (root / "cache").stat()
    walk = Walk(lambda _: False, frozenset({(found.st_dev, found.st_ino)}))
    assert walked(walk, root) == ["file"]


def test_a_file_is_a_root_too(tmp_path: Path) -> None:
    root = write(tmp_path, {"model.gguf": b"1"})
    (found,) = Walk(lambda _: False).files(str(root / "model.gguf"))
    assert (found.size, found.identity[1]) == (1, (root / "model.gguf").stat().st_ino)


def test_what_cannot_be_entered_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"file": b"1"})
    (root / "loop").symlink_to("loop")
    walk = Walk(refuses=lambda _: False)
    assert walked(walk, root) == ["file"]
    assert list(walk.unreadable) == [str(root / "loop")]


def test_mounts_are_told_by_their_kind() -> None:
    assert Path("/proc").stat().st_dev in devices_of(frozenset({"proc"}))
    assert not is_mount_of_ours("/proc")
    assert not is_mount_of_ours("/absent")


def test_findings_are_kept_by_device_and_inode(index: Index) -> None:
    scanned = Scanned(index)
    large = ScanRecord(1 << 40, 5, "ab" * 32, None, job=3)
    small = ScanRecord(5, 1 << 62, "cd" * 32, "ef" * 20)
    scanned.put_all([(1, 1 << 63, large), (2, 7, small)])
    assert scanned.find(1, 1 << 63) == large
    assert scanned.find(2, 7) == small
    assert scanned.find(2, 8) is None
    assert small.digests.contents[1].git_oid == "ef" * 20
