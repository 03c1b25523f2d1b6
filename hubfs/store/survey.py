"""What a cache directory and its disk can do, found out without opening the cache."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hubfs.config.places import find_obstacle
from hubfs.store.lock import Owner, find_owner

_FICLONE: Final = 0x40049409
_ESCAPES: Final = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """Of a cache directory, or of where it would be made.

    `write_error` is why nothing can be written there, empty if it can. Sizes in
    bytes. What could not be tried is None.
    """

    directory: str
    exists: bool
    write_error: str
    file_system: str
    available: int
    total: int
    inodes_left: int | None
    has_nowait: bool | None
    has_reflink: bool | None
    foreign_owner: int | None
    owner: Owner | None
    is_locked: bool


def survey(directory: Path) -> CacheFacts:
    """Look at `directory`; what is written for a trial is taken away."""
    place = _nearest_directory(directory)
    found = os.statvfs(place)
    error, nowait, reflink = _tried(place)
    if (obstacle := find_obstacle(directory)) is not None:
        error = f"{obstacle} is a file, not a directory"
    uid = place.stat().st_uid
    return CacheFacts(
        directory=str(directory),
        exists=directory.is_dir(),
        write_error=error,
        file_system=_type_of(place),
        available=found.f_bavail * found.f_frsize,
        total=found.f_blocks * found.f_frsize,
        inodes_left=found.f_favail if found.f_files else None,
        has_nowait=nowait,
        has_reflink=reflink,
        foreign_owner=uid if directory.is_dir() and uid != os.geteuid() else None,
        owner=find_owner(directory),
        is_locked=_is_locked(directory / "lock"),
    )


@contextlib.contextmanager
def trial_file(directory: Path) -> Iterator[Path]:
    """A file of a page where the cache is or would be; gone after.

    Raises:
        OSError: it cannot be made.
    """
    with tempfile.NamedTemporaryFile(
        prefix=".hubfs-trial-", dir=_nearest_directory(directory)
    ) as file:
        file.write(bytes(4096))
        file.flush()
        yield Path(file.name)


def _nearest_directory(directory: Path) -> Path:
    return next(each for each in (directory, *directory.parents) if each.is_dir())


def _type_of(path: Path) -> str:
    """The type of the file system of `path`, as the kernel lists it."""
    best, found = Path(), "unknown"
    resolved = path.resolve()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mountpoint = Path(_unescaped(left.split(" ")[4]))
        if resolved.is_relative_to(mountpoint) and len(mountpoint.parts) >= len(best.parts):
            best, found = mountpoint, right.split(" ")[0]
    return found


def _unescaped(field: str) -> str:
    for code, character in _ESCAPES:
        field = field.replace(code, character)
    return field


def _tried(place: Path) -> tuple[str, bool | None, bool | None]:
    """Why nothing can be written, and whether reads without waiting and clones are possible."""
    try:
        with trial_file(place) as file, trial_file(place) as clone:
            return "", _has_nowait(file), _has_reflink(file, clone)
    except OSError as error:
        return error.strerror or "it cannot be written", None, None


def _has_nowait(file: Path) -> bool:
    with file.open("rb") as opened:
        try:
            os.preadv(opened.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT)
        except OSError as error:
            return error.errno == errno.EAGAIN
    return True


def _has_reflink(file: Path, clone: Path) -> bool:
    with file.open("rb") as source, clone.open("wb") as target:
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        except OSError:
            return False
    return True


def _is_locked(path: Path) -> bool:
    """Whether somebody holds the lock; asked of the kernel, so that nobody else is kept out."""
    with contextlib.suppress(OSError):
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and any(each.rpartition(":")[2] == inode for each in fields):
                return True
    return False
