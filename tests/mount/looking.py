"""What a program sees of a tree, as plain values."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path


def names(path: Path) -> set[str]:
    """The names in a directory."""
    return {each.name for each in path.iterdir()}


def link(path: Path) -> str:
    """Where a symlink leads, as it is written."""
    return str(path.readlink())


def is_there(path: Path) -> bool:
    """Whether the name is in its directory, be it a symlink to nowhere."""
    return os.path.lexists(path)


def sizes_below(root: Path) -> dict[str, int]:
    """The size of each file, by its path from `root`."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.stat().st_size for path in files}


def sha256(data: bytes | Path) -> str:
    """The hash of bytes, or of what a file holds."""
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def errno_of(call: Callable[..., object], *arguments: object) -> str:
    """The name of the error that a call fails with; empty if it does not."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def attribute(path: Path, name: str) -> str:
    """One of the `user.hubfs.` attributes."""
    return os.getxattr(path, f"user.hubfs.{name}").decode()


def open_files(pid: int) -> list[str]:
    """Where the descriptors of a process lead; those that it closes meanwhile are left out."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return found


def read_anew(path: Path) -> bytes:
    """The bytes of a file, of which the kernel has forgotten what it had."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()
