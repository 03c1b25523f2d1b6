"""One owner per cache. The kernel drops the lock with the process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hubfs.errors import CacheInUse
from hubfs.store.files import writing


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a cache, as written in its lock file.

    To a mount of the endpoint that it `gives_way_to` it does, when it is sent SIGTERM: the mount
    goes on with all that it does.
    """

    pid: int
    mountpoint: str = ""
    since: float = 0.0
    gives_way_to: str = ""

    def __str__(self) -> str:
        where = f", mounted at {self.mountpoint}" if self.mountpoint else ""
        return f"process {self.pid}{where}"


class CacheLock:
    """The held lock of a cache directory; `was_left_behind` if its last owner did not end well."""

    def __init__(self, directory: Path, mountpoint: str = "", *, gives_way_to: str = "") -> None:
        """Take the lock, and write down who did, as `Owner` has it.

        Raises:
            CacheInUse: another process has it.
            StoreFull: the lock file cannot be made or opened.
        """
        path = directory / "lock"
        with writing(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            owner = find_owner(directory)
            raise CacheInUse(
                f"the cache {directory} is in use by {owner or 'another process'}",
                hint=_way_out(owner),
            ) from None
        # A clean end empties the file.
        self.was_left_behind = os.fstat(self._descriptor).st_size > 0
        owner = Owner(os.getpid(), mountpoint, time.time(), gives_way_to)
        note = json.dumps(asdict(owner)).encode()
        # The lock holds without its note, and a cache on a full disk must still be readable.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 1)  # not empty, for which a full disk has room
            os.pwrite(self._descriptor, note, 0)
            os.ftruncate(self._descriptor, len(note))
            os.fsync(self._descriptor)

    def release(self) -> None:
        """Let another process have the cache; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


def _way_out(owner: Owner | None) -> str:
    if owner is not None and not owner.mountpoint:
        return "wait until its jobs have ended, or stop them: hubfs jobs, hubfs jobs ID --cancel"
    return (
        "unmount that one first, or choose another directory with --cache-dir;"
        " one that is detached already (umount --lazy) ends with the last who reads there"
    )


def is_held(directory: Path, pid: int) -> bool:
    """Whether the kernel says that the process holds the lock of `directory`."""
    try:
        inode = (directory / "lock").stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    # "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF"; Btrfs has other devices there than in stat.
    held = ((words[4], words[5].rpartition(":")[2]) for words in map(str.split, lines))
    return (str(pid), str(inode)) in held


def find_holder(directory: Path) -> Owner | None:
    """Who owns the cache in `directory` and says so, as the kernel confirms."""
    owner = find_owner(directory)
    return owner if owner is not None and is_held(directory, owner.pid) else None


def find_owner(directory: Path) -> Owner | None:
    """Who says to own the cache in `directory`; a crashed owner may still be named."""
    try:
        return Owner(**json.loads((directory / "lock").read_text()))
    except (OSError, ValueError, TypeError):
        return None
