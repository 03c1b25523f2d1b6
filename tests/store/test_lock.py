from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hubfs.errors import CacheInUse, StoreFull
from hubfs.store.lock import CacheLock, Owner, find_owner, is_held
from tests.store.disks import fill_up, remount_read_only
from tests.store.programs import next_line, running

OWN = """
import sys
from pathlib import Path
from hubfs.store.lock import CacheLock
lock = CacheLock(Path(sys.argv[1]), "/mnt/models")
print("locked", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


def test_the_second_process_is_told_who_owns_the_cache(tmp_path: Path) -> None:
    with running(OWN, tmp_path) as owner:
        next_line(owner)
        with pytest.raises(CacheInUse) as caught:
            CacheLock(tmp_path)
    assert f"process {owner.pid}, mounted at /mnt/models" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "--cache-dir" in caught.value.hint


def test_a_killed_owner_leaves_the_cache_free(tmp_path: Path) -> None:
    with running(OWN, tmp_path) as owner:
        next_line(owner)
        owner.kill()
        owner.wait()
        CacheLock(tmp_path, "/here").release()


def test_a_new_owner_replaces_the_name_of_a_killed_one(tmp_path: Path) -> None:
    with running(OWN, tmp_path) as owner:
        next_line(owner)
    assert find_owner(tmp_path) is not None
    lock = CacheLock(tmp_path, "/here")
    named = find_owner(tmp_path)
    lock.release()
    assert named is not None
    assert (named.pid, named.mountpoint) == (os.getpid(), "/here")


def test_who_is_named_but_killed_does_not_hold_the_lock(tmp_path: Path) -> None:
    """Its number may be another process's by now."""
    with running(OWN, tmp_path) as owner:
        next_line(owner)
        assert is_held(tmp_path, owner.pid)
        assert not is_held(tmp_path, os.getpid())
    assert find_owner(tmp_path) is not None
    assert not is_held(tmp_path, owner.pid)


def test_a_released_cache_is_free_while_its_owner_lives_on(tmp_path: Path) -> None:
    with running(OWN, tmp_path) as owner:
        next_line(owner)
        assert owner.stdin is not None
        print(file=owner.stdin, flush=True)
        assert next_line(owner) == "released"
        assert find_owner(tmp_path) is None
        CacheLock(tmp_path).release()


def test_the_same_process_cannot_own_a_cache_twice(tmp_path: Path) -> None:
    lock = CacheLock(tmp_path)
    with pytest.raises(CacheInUse, match=f"process {os.getpid()}$"):
        CacheLock(tmp_path)
    lock.release()
    CacheLock(tmp_path).release()


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = CacheLock(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        lock.release()
        CacheLock(tmp_path).release()
        child.kill()


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"pid": 1, "who": 2}', "\0\0", "\udcff"])
def test_a_lock_file_of_garbage_names_nobody(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "lock").write_text(garbage, errors="surrogateescape")
    assert find_owner(tmp_path) is None
    CacheLock(tmp_path).release()


def test_an_owner_without_a_mountpoint_is_named_by_its_process() -> None:
    assert str(Owner(7)) == "process 7"


def test_a_full_disk_can_be_locked(tiny_disk: Path) -> None:
    CacheLock(tiny_disk).release()
    fill_up(tiny_disk)
    lock = CacheLock(tiny_disk)
    with pytest.raises(CacheInUse, match="another process"):
        CacheLock(tiny_disk)
    lock.release()


def test_a_read_only_disk_is_refused(tiny_disk: Path) -> None:
    CacheLock(tiny_disk).release()
    remount_read_only(tiny_disk)
    with pytest.raises(StoreFull, match="Read-only file system"):
        CacheLock(tiny_disk)


def test_a_crash_is_known_of_on_a_full_disk(tiny_disk: Path) -> None:
    fill_up(tiny_disk)
    with running(OWN, tiny_disk) as owner:
        next_line(owner)
        owner.kill()
    lock = CacheLock(tiny_disk)
    assert lock.was_left_behind
    lock.release()
