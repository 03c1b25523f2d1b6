"""Which daemon serves which mountpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfs.daemon.registry import (
    Running,
    find_running,
    log_file_beside,
    registered,
    wait_for_exit,
)
from hubfs.errors import StoreFull
from hubfs.store.lock import CacheLock

PLACE = Path("/models")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the test's own, which only the environment can name."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def running(pid: int, place: Path = PLACE) -> Running:
    return Running(pid, str(place), "/cache")


def test_a_daemon_is_found_by_its_mountpoint_while_it_serves(runtime: Path) -> None:
    me = running(os.getpid())
    with registered(me):
        assert find_running(PLACE) == me
        assert find_running(Path("/other")) is None
    assert find_running(PLACE) is None
    assert list((runtime / "hubfs").iterdir()) == []


def test_several_daemons_are_told_apart(runtime: Path) -> None:
    here, there = running(os.getpid()), running(os.getpid(), Path("/else"))
    with registered(here), registered(there):
        assert find_running(PLACE) == here
        assert find_running(Path("/else")) == there


def test_the_owner_of_the_cache_is_found_though_its_note_is_gone(
    runtime: Path, tmp_path: Path
) -> None:
    """As after the user's last logout, which takes the runtime directory away."""
    cache = tmp_path / "cache"
    cache.mkdir()
    lock = CacheLock(cache, str(PLACE))
    assert find_running(PLACE) is None
    assert find_running(PLACE, cache) == Running(os.getpid(), str(PLACE), str(cache))
    assert find_running(Path("/other"), cache) is None
    lock.release()
    assert find_running(PLACE, cache) is None


def test_a_daemon_that_died_is_not_found(runtime: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with registered(running(child.pid)):
        assert find_running(PLACE) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}'])
def test_a_note_that_cannot_be_read_is_nobody(runtime: Path, text: str) -> None:
    with registered(running(os.getpid())):
        (note,) = (runtime / "hubfs").iterdir()
        note.write_text(text)
        assert find_running(PLACE) is None


def test_the_notes_are_private(runtime: Path) -> None:
    with registered(running(os.getpid())):
        assert (runtime / "hubfs").stat().st_mode & 0o777 == 0o700


def test_a_daemon_that_cannot_be_listed_works_all_the_same(runtime: Path) -> None:
    (runtime / "hubfs").write_text("in the way")
    with registered(running(os.getpid())):
        assert find_running(PLACE) is None


def test_a_spare_log_belongs_to_its_mountpoint(runtime: Path) -> None:
    assert log_file_beside(PLACE) != log_file_beside(Path("/other"))
    assert log_file_beside(PLACE).parent == runtime / "hubfs"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its input ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_an_exit_is_waited_for(child: subprocess.Popen[bytes]) -> None:
    assert not wait_for_exit(child.pid, 0)
    child.kill()
    assert wait_for_exit(child.pid, 30)
    child.wait()
    assert wait_for_exit(child.pid, 0)


def test_what_somebody_else_put_there_is_not_written_through(runtime: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    with registered(running(os.getpid())):
        (file,) = (runtime / "hubfs").iterdir()
    file.symlink_to(target)
    with registered(running(os.getpid())):
        assert find_running(PLACE) == running(os.getpid())
    assert target.read_text() == "precious"


def test_a_directory_that_others_may_write_to_is_not_used(runtime: Path) -> None:
    (runtime / "hubfs").mkdir()
    (runtime / "hubfs").chmod(0o777)
    with registered(running(os.getpid())):
        assert list((runtime / "hubfs").iterdir()) == []
    with pytest.raises(StoreFull, match="someone else"):
        log_file_beside(PLACE)


def test_the_note_of_who_came_after_is_left_alone(runtime: Path) -> None:
    first, second = running(os.getpid()), running(os.getppid())
    with registered(first):
        successor = registered(second)
        successor.__enter__()
    assert find_running(PLACE) == second
    successor.__exit__(None, None, None)
    assert find_running(PLACE) is None


def test_a_daemon_without_a_session_is_found_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "models"  # nobody else's
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with registered(running(os.getpid(), place)):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert find_running(place) == running(os.getpid(), place)
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert find_running(place) is None
