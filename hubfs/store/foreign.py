"""Walking folders that are not ours. Nothing in them is opened, let alone changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from hubfs.model.mountinfo import mounts_in

_MOUNTS: Final = Path("/proc/self/mountinfo")
_OURS: Final = frozenset({"fuse.hubfs"})
_NO_FILES: Final = frozenset({"proc", "sysfs", "cgroup2", "debugfs", "tracefs"})

Identity: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A regular file somewhere, under one of its names."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def identity(self) -> Identity:
        """What it is under all of its names."""
        return self.device, self.inode


@dataclass(slots=True)
class Walk:
    """One walk. Links are followed, but not into mounts of hubfs; a directory is entered once."""

    refuses: Callable[[str], bool]
    """Whether a directory of that name is passed over."""
    avoided: frozenset[Identity] = frozenset()
    unreadable: dict[str, str] = field(default_factory=dict)
    """What could not be looked at, and why."""
    special: int = 0
    """How many names had no bytes of their own: sockets, links to nowhere or into a mount."""
    _entered: set[Identity] = field(default_factory=set)
    _closed_devices: frozenset[int] = frozenset()

    def files(self, root: str) -> Iterator[ForeignFile]:
        """Every regular file at or below `root`, in the order of names."""
        self._closed_devices = devices_of(_OURS | _NO_FILES)
        waiting = [root]
        while waiting:
            path = waiting.pop()
            try:
                found = Path(path).stat()
            except OSError as error:
                self._note(path, error)
                continue
            if found.st_dev in self._closed_devices:
                self.special += 1
            elif stat.S_ISREG(found.st_mode):
                yield ForeignFile(
                    path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
                )
            elif stat.S_ISDIR(found.st_mode):
                waiting += self._entries(path, found)
            else:
                self.special += 1

    def _note(self, path: str, error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            self.special += 1
        else:
            self.unreadable[path] = error.strerror or str(error)

    def _entries(self, path: str, found: os.stat_result) -> list[str]:
        identity = (found.st_dev, found.st_ino)
        if identity in self.avoided or identity in self._entered:
            return []
        self._entered.add(identity)
        try:
            names = sorted((each.name for each in os.scandir(path)), reverse=True)
        except OSError as error:
            self._note(path, error)
            return []
        return [os.path.join(path, name) for name in names if not self.refuses(name)]  # noqa: PTH118 - a million of them


def devices_of(kinds: frozenset[str]) -> frozenset[int]:
    """The devices of all mounts of these file systems."""
    try:
        found = mounts_in(_MOUNTS.read_bytes())
    except OSError:
        return frozenset()
    return frozenset(each.st_dev for each in found if each.type in kinds)


def is_mount_of_ours(path: str) -> bool:
    """Whether `path` lies in a mount of hubfs."""
    try:
        return Path(path).stat().st_dev in devices_of(_OURS)
    except OSError:
        return False
