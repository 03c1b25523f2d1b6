"""Mounting by ourselves, with mount(2): for root, whose FUSE device then is ours to relay."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from hubfs.errors import MountFailed

DEVICE: Final = "/dev/fuse"
_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_NOATIME: Final = 1024
_MNT_DETACH: Final = 2
_CAP_SYS_ADMIN: Final = 21

_libc = ctypes.CDLL(None, use_errno=True)


def can_mount() -> bool:
    """Whether this process may mount, and register backing files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def obstacle() -> str:
    """Why this user cannot open the device, and what to do; empty if nothing is in the way."""
    if not Path(DEVICE).exists():
        return (
            "there is no /dev/fuse: load the kernel's fuse module (modprobe fuse), "
            "or give a container --device /dev/fuse"
        )
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "this user may not open /dev/fuse; root lets everybody: chmod 666 /dev/fuse"
    return ""


def mount(mountpoint: Path, source: str, *, type_name: str, allow_other: bool) -> int:
    """Mount a new FUSE file system, read-only; return the device that serves it.

    Raises:
        MountFailed: the kernel refuses.
    """
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountFailed(f"cannot open /dev/fuse: {error.strerror}", hint=obstacle()) from error
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    options += ",default_permissions" + (",allow_other" if allow_other else "")
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOATIME
    arguments = (source, str(mountpoint), type_name)
    if _libc.mount(*map(os.fsencode, arguments), flags, options.encode()):
        reason = os.strerror(ctypes.get_errno())
        os.close(device)
        raise MountFailed(f"cannot mount at {mountpoint}: {reason}")
    return device


def detach(mountpoint: Path) -> None:
    """Take the mount out of the tree; programs that have files open keep them."""
    _libc.umount2(os.fsencode(mountpoint), _MNT_DETACH)
