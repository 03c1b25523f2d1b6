"""The knobs that the kernel keeps outside the FUSE protocol, and what mounts there are."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Of the kernel's readahead: 128 KiB requests cost a third of the speed of 1 MiB ones. Not more,
# since a page fault reads around itself by as much, and a cold file would pay for it.
READ_AHEAD_KB = 1024

_CONNECTIONS = Path("/sys/fs/fuse/connections")


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of /proc/self/mountinfo."""

    mountpoint: str
    device: str
    type: str
    source: str


def mounts() -> list[MountEntry]:
    """All mounts that this process sees, oldest first."""
    found = []
    for line in os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).split("\n")[:-1]:
        left, _, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        found.append(MountEntry(_unescaped(fields[4]), fields[2], tail[0], _unescaped(tail[1])))
    return found


def find_mount(mountpoint: Path) -> MountEntry | None:
    """What is mounted at `mountpoint`, on top if several are. Does not touch the mount."""
    wanted = str(mountpoint)
    return next((each for each in reversed(mounts()) if each.mountpoint == wanted), None)


def _unescaped(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def tune(device: str) -> None:
    """Set what only root may set, for the FUSE mount of `device` (major:minor).

    Without the right, or where a container hides the file, the mount works
    with the kernel's default.
    """
    _write(Path(f"/sys/class/bdi/{device}/read_ahead_kb"), READ_AHEAD_KB)


def abort(device: str) -> bool:
    """End the FUSE connection of `device`: all its requests fail, its daemon is told."""
    _mount_control()
    return _write(_connection(device) / "abort", 1)


def _mount_control() -> None:
    """Mount the file system that shows FUSE connections, where systemd has not; as root only."""
    with contextlib.suppress(OSError):  # a container may hide it
        if os.getuid() == 0 and not any(_CONNECTIONS.iterdir()) and not _CONNECTIONS.is_mount():
            command = ["mount", "-t", "fusectl", "fusectl", str(_CONNECTIONS)]
            subprocess.run(command, capture_output=True, check=False)


def _connection(device: str) -> Path:
    # The kernel names the folder by its own packing of a device number, not by makedev(3)'s.
    major, minor = (int(part) for part in device.split(":"))
    return _CONNECTIONS / str(major << 20 | minor)


def _write(path: Path, value: int) -> bool:
    with contextlib.suppress(OSError):
        path.write_text(str(value))
        return True
    return False
