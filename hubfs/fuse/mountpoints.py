"""Mountpoints: made ready, looked after when their daemon is dead, given back.

Needs no FUSE library, and so costs a command that only starts or ends a daemon nothing.
"""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path
from typing import Final

from hubfs.errors import MountFailed, UnfitMountpoint
from hubfs.fuse import kernel

log = logging.getLogger(__name__)

SUBTYPE: Final = "hubfs"
TYPE: Final = f"fuse.{SUBTYPE}"


def prepared(mountpoint: Path) -> Path:
    """`mountpoint`, absolute and ready to be mounted on; a dead mount left there is taken away.

    Raises:
        UnfitMountpoint: it is no directory, or something lives there.
        MountFailed: something of hubfs is mounted there, or it cannot be looked into.
    """
    path = Path(os.path.abspath(mountpoint))  # noqa: PTH100 - resolve() would touch a dead mount
    found = kernel.find_mount(path)
    if found is not None and found.type == TYPE:
        if is_alive(path):
            raise MountFailed(
                f"{path} is mounted already", hint=f"unmount it first: hubfs umount {path}"
            )
        log.warning("taking away the dead mount at %s", path)
        unmount(path, lazy=True)
    check(path)
    return path


def check(path: Path) -> None:
    """See to it that one can mount at `path`, where nothing of hubfs is mounted.

    Raises:
        UnfitMountpoint: it is no directory, or something lives there.
        MountFailed: it cannot be looked into.
    """
    if path.exists() and not path.is_dir():
        hint = "name an empty directory"
        raise UnfitMountpoint(f"{path} is not a directory, but a file", hint=hint)
    if not path.is_dir():
        raise UnfitMountpoint(f"{path} is not a directory", hint=f"make it first: mkdir {path}")
    if not _is_empty(path):
        raise UnfitMountpoint(f"{path} is not empty", hint="choose an empty directory")


def _is_empty(path: Path) -> bool:
    try:
        return next(path.iterdir(), None) is None
    except OSError as error:
        raise MountFailed(f"cannot mount at {path}: {error.strerror}") from error


def is_alive(path: Path) -> bool:
    """Whether a daemon answers for the mount at `path`. A child asks, since it might never."""
    # Of the file system: the kernel remembers a directory's attributes, and tells of a dead one.
    command = ["stat", "--file-system", "--", str(path)]
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return True


def unmount(path: Path, *, lazy: bool = False) -> None:
    """Take the mount at `path` away; `lazy` does it under programs that still use it.

    Raises:
        MountFailed: it is busy, or not ours to unmount.
    """
    command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
    flags = [] if not lazy else ["-l"] if os.getuid() == 0 else ["-z"]
    done = subprocess.run(
        [*command, *flags, "--", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().rpartition(": ")[2].rstrip(".") or "it failed"
        hint = f"see who uses it with: fuser -vm {path}; or take it away anyway with --lazy"
        raise MountFailed(f"cannot unmount {path}: {reason}", hint=hint)


def force_unmount(path: Path) -> None:
    """Take away a mount whose daemon does not answer: end its connection, then unmount lazily.

    Raises:
        MountFailed: it is not ours to unmount.
    """
    found = kernel.find_mount(path)
    if found is not None:
        kernel.abort(found.device)
    unmount(path, lazy=True)
