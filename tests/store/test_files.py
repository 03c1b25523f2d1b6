from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from hubfs.errors import StoreDamaged, StoreFull
from hubfs.store.files import make_private_directory, sync_directory, write_all, writing
from tests.store.disks import fill_up, remount_read_only


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
def test_a_disk_that_takes_nothing_more_is_full(code: int) -> None:
    with pytest.raises(StoreFull) as caught, writing(Path("/x/y")):
        raise OSError(code, "whatever")
    assert str(caught.value) == f"cannot write /x/y: {os.strerror(code)}"


@pytest.mark.parametrize("error", [OSError(errno.EIO, ""), OSError(errno.ENXIO, ""), OSError()])
def test_any_other_failure_of_a_disk_is_damage(error: OSError) -> None:
    with pytest.raises(StoreDamaged, match="cannot write /x/y: "), writing(Path("/x/y")):
        raise error


def test_a_bug_is_not_mistaken_for_a_disks_failure() -> None:
    with pytest.raises(ZeroDivisionError), writing(Path("/x")):
        raise ZeroDivisionError


def test_made_directories_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c"
    make_private_directory(path)
    made = [path, *path.parents[:2]]
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o700] * 3


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_directory(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_in_the_way_of_a_directory_is_damage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreDamaged, match="/file is a file, not a directory") as caught:
            make_private_directory(path)
        assert "--cache-dir" in caught.value.hint


def test_a_directory_on_a_read_only_disk_cannot_be_made(tiny_disk: Path) -> None:
    remount_read_only(tiny_disk)
    with pytest.raises(StoreFull, match="Read-only file system"):
        make_private_directory(tiny_disk / "a")


def test_everything_is_written_where_it_should_be(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        write_all(file.fileno(), memoryview(b"there"), 6)
        write_all(file.fileno(), memoryview(b"hello "), 0)
        write_all(file.fileno(), memoryview(b""), 100)
    assert path.read_bytes() == b"hello there"


def test_what_does_not_fit_is_an_error_and_never_cut(tiny_disk: Path) -> None:
    fill_up(tiny_disk, but_for=3)
    with (tiny_disk / "file").open("wb") as file, pytest.raises(OSError, match="No space left"):
        write_all(file.fileno(), memoryview(bytes(1 << 16)), 0)


def test_syncing_a_directory_needs_nothing_in_it(tmp_path: Path) -> None:
    sync_directory(tmp_path)
