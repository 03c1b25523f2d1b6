"""Which daemon serves which mountpoint: small files in the user's runtime directory."""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hubfs.config.places import make_runtime_dir, runtime_dir, runtime_dirs, short_name
from hubfs.errors import StoreFull
from hubfs.store.lock import find_holder


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon and what it serves."""

    pid: int
    mountpoint: str
    cache_dir: str


def _file_of(mountpoint: Path) -> Path:
    return runtime_dir() / _name_of(mountpoint)


def _name_of(mountpoint: Path) -> str:
    return f"{short_name(mountpoint)}.json"


@contextlib.contextmanager
def registered(running: Running) -> Iterator[None]:
    """Listed within. Best effort: a daemon works without being listed."""
    file = _file_of(Path(running.mountpoint))
    with contextlib.suppress(OSError, StoreFull):
        make_runtime_dir()
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            json.dump(asdict(running), opened)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _read(file) == running:  # not that of who mounted there since
                file.unlink()


def find_running(mountpoint: Path, cache_dir: Path | None = None) -> Running | None:
    """The daemon of `mountpoint`, if one is listed and lives.

    It may be listed no more: with a user's last session, the system takes the directory away. The
    one that owns `cache_dir` is found all the same.
    """
    noted = [_read(directory / _name_of(mountpoint)) for directory in runtime_dirs()]
    noted.append(_owner_of(cache_dir, mountpoint) if cache_dir else None)
    return next((each for each in noted if each is not None and _lives(each.pid)), None)


def _owner_of(cache_dir: Path, mountpoint: Path) -> Running | None:
    owner = find_holder(cache_dir)
    if owner is None or owner.mountpoint != str(mountpoint):
        return None
    return Running(owner.pid, owner.mountpoint, str(cache_dir))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _read(file: Path) -> Running | None:
    try:
        return Running(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def wait_for_exit(pid: int, seconds: float) -> bool:
    """Wait until the process is gone; return whether it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def log_file_beside(mountpoint: Path) -> Path:
    """Where the daemon of `mountpoint` logs when it may not write to its cache.

    Raises:
        StoreFull: there is no directory that is this user's alone.
    """
    make_runtime_dir()
    return _file_of(mountpoint).with_suffix(".log")
