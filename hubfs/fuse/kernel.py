"""The knobs that the kernel keeps outside the FUSE protocol, and what mounts there are."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from hubfs.model.mountinfo import MountEntry, mounts_in

# Of the kernel's readahead: 128 KiB requests cost a third of the speed of 1 MiB ones. Not more,
# since a page fault reads around itself by as much, and a cold file would pay for it.
READ_AHEAD_KB = 1024

_CONNECTIONS = Path("/sys/fs/fuse/connections")


def mounts() -> list[MountEntry]:
    """All mounts that this process sees, oldest first."""
    return mounts_in(Path("/proc/self/mountinfo").read_bytes())


def find_mount(mountpoint: Path) -> MountEntry | None:
    """What is mounted at `mountpoint`, on top if several are. Does not touch the mount."""
    wanted = str(mountpoint)
    return next((each for each in reversed(mounts()) if each.mountpoint == wanted), None)


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
