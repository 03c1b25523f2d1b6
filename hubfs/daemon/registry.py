"""Which daemon serves which mountpoint: small files in the user's runtime directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hubfs.config.places import runtime_dir


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon and what it serves."""

    pid: int
    mountpoint: str
    cache_dir: str
    endpoint: str


def _file_of(mountpoint: Path) -> Path:
    name = hashlib.sha256(str(mountpoint).encode()).hexdigest()[:16]
    return runtime_dir() / f"{name}.json"


@contextlib.contextmanager
def registered(running: Running) -> Iterator[None]:
    """Listed within. Best effort: a daemon works without being listed."""
    file = _file_of(Path(running.mountpoint))
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(running)))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def find_running(mountpoint: Path) -> Running | None:
    """The daemon of `mountpoint`, if one is listed and lives."""
    try:
        found = Running(**json.loads(_file_of(mountpoint).read_text()))
        os.kill(found.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return found


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
    """Where the daemon of `mountpoint` logs when it may not write to its cache."""
    return _file_of(mountpoint).with_suffix(".log")
