"""The FUSE device of a new mount: made with mount(2) by who may, else by fusermount3."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from pathlib import Path
from typing import Final

from hubfs.errors import MountFailed

DEVICE: Final = "/dev/fuse"
HELPER: Final = "fusermount3"
HELPER_WITHIN: Final = 30.0  # seconds
_HELPERS_ANSWER: Final = "_FUSE_COMMFD"  # names the socket to which the helper sends the device
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


def mount(mountpoint: Path, source: str, *, subtype: str, allow_other: bool) -> int:
    """Mount a new FUSE file system, read-only; return the device that serves it.

    Raises:
        MountFailed: the kernel or the helper refuses.
    """
    mounting = _mount_alone if can_mount() else _mount_through_helper
    return mounting(mountpoint, source, subtype, allow_other=allow_other)


def _mount_alone(mountpoint: Path, source: str, subtype: str, *, allow_other: bool) -> int:
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountFailed(f"cannot open /dev/fuse: {error.strerror}", hint=obstacle()) from error
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    options += ",default_permissions" + (",allow_other" if allow_other else "")
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOATIME
    arguments = (source, str(mountpoint), f"fuse.{subtype}")
    if _libc.mount(*map(os.fsencode, arguments), flags, options.encode()):
        reason = os.strerror(ctypes.get_errno())
        os.close(device)
        raise MountFailed(f"cannot mount at {mountpoint}: {reason}")
    return device


def _mount_through_helper(mountpoint: Path, source: str, subtype: str, *, allow_other: bool) -> int:
    name = source.replace("\\", "\\\\").replace(",", "\\,")
    options = f"fsname={name},subtype={subtype},default_permissions,ro,nosuid,nodev,noatime"
    options += ",allow_other" if allow_other else ""
    command = [HELPER, "-o", options, "--", str(mountpoint)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        environment = {**os.environ, _HELPERS_ANSWER: str(number)}
        try:
            done = subprocess.run(
                command,
                env=environment,
                pass_fds=[number],
                capture_output=True,
                text=True,
                check=False,
                timeout=HELPER_WITHIN,
            )
        except OSError as error:
            hint = f"install fuse3, which brings {HELPER}"
            raise MountFailed(f"cannot run {HELPER}: {error.strerror}", hint=hint) from error
        except subprocess.TimeoutExpired as error:
            raise MountFailed(f"{HELPER} does not end", hint=_hint(allow_other=False)) from error
        if done.returncode:
            reason = done.stderr.strip().removeprefix(f"{HELPER}: ") or "it does not say why"
            hint = _hint(allow_other=allow_other)
            raise MountFailed(f"{HELPER} cannot mount at {mountpoint}: {reason}", hint=hint)
        theirs.close()
        ours.settimeout(HELPER_WITHIN)
        with contextlib.suppress(TimeoutError):
            _, devices, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
            if devices:
                return devices[0]
    raise MountFailed(f"{HELPER} mounts, and keeps the device", hint="is it that of fuse3?")


def _hint(*, allow_other: bool) -> str:
    if found := obstacle():
        return found
    if allow_other:
        return "--allow-other needs the line user_allow_other in /etc/fuse.conf"
    return "is the directory yours?"


def detach(mountpoint: Path) -> None:
    """Take the mount out of the tree; programs that have files open keep them."""
    if can_mount():
        _libc.umount2(os.fsencode(mountpoint), _MNT_DETACH)
        return
    command = [HELPER, "-u", "-q", "-z", "--", str(mountpoint)]
    with contextlib.suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)
