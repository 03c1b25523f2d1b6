"""Blobs as plain files in a folder that is not ours: each appears whole, or not at all.

A path is followed from the folder down, one directory at a time and never by a
symlink, so whatever a repo calls its files, and whatever lies in the folder
already, nothing outside of it is written.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hubfs.errors import CannotExport, StoreDamaged, UsageError
from hubfs.store.cloning import clone, copy
from hubfs.store.links import Stamp, linking
from hubfs.store.rehash import digests_of

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Note = Callable[[int], None]


class Way(enum.StrEnum):
    """How a file's bytes come to be there."""

    REFLINK = "reflink"
    COPY = "copy"
    LINK = "link"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Piece:
    """A file to export: its path in the folder, what it holds, and the blob that has it.

    One without bytes needs no blob.
    """

    path: str
    size: int
    sha256: str
    blob: Path


@dataclass(slots=True)
class Folder:
    """A folder under export. `way` is what is tried: a REFLINK that cannot be had is a COPY."""

    path: Path
    way: Way = Way.REFLINK
    replaces: bool = False
    _descriptor: int = field(default=-1, init=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """The folder made, and this export's alone, within; one that stays empty is taken away.

        Raises:
            UsageError: it is a file.
            CannotExport: it cannot be made or opened, or another export is at it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file", hint="name a folder")
        with _told(self.path):
            is_new = self._open()
        try:
            self._take()
            yield
        finally:
            os.close(self._descriptor)
            if is_new:
                with contextlib.suppress(OSError):  # there is something in it
                    self.path.rmdir()

    def _open(self) -> bool:
        """Open it; return whether it was made for that."""
        is_new = not self.path.is_dir()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:  # as /proc has it, where no directory can be made
            raise CannotExport(f"cannot write {self.path}: {error.strerror}") from error
        return is_new

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotExport(f"another export writes to {self.path}") from None

    def put(self, piece: Piece, note: Note = lambda _: None) -> Way:
        """Have the file there; return how it came. Blocks; `note` hears of bytes that are copied.

        Raises:
            FileNotFoundError: there is no such blob.
            CannotExport: it would lie outside, or take another file's place.
            StoreDamaged: the blob is not what its name says.
        """
        *above, name = _parts(piece.path)
        with _told(self.path / piece.path), self._directory(above) as directory:
            if self._is_there(directory, name, piece):
                return Way.PRESENT
            temporary = f".hubfs-export-{piece.sha256[:16]}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)  # what a crash left
            try:
                way = self._write(directory, temporary, piece, note)
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)
                raise
        return way

    @contextlib.contextmanager
    def _directory(self, parts: list[str]) -> Iterator[int]:
        current = os.dup(self._descriptor)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
                below = os.open(part, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    # --- what is there -----------------------------------------------------------------

    def _is_there(self, directory: int, name: str, piece: Piece) -> bool:
        """Whether the very file is there already; another one may be replaced, or is in the way."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if self._is_same(directory, name, piece, found):
            return True
        if stat.S_ISDIR(found.st_mode):
            raise CannotExport("a directory is in its place")
        if not self.replaces:
            hint = "export to another folder, or replace what differs with --force"
            raise CannotExport("there is another file of that name", hint=hint)
        return False

    def _is_same(self, directory: int, name: str, piece: Piece, found: os.stat_result) -> bool:
        if not stat.S_ISREG(found.st_mode) or found.st_size != piece.size:
            return False
        if self.way is Way.LINK and piece.size:
            blob = piece.blob.stat()
            return (blob.st_dev, blob.st_ino) == (found.st_dev, found.st_ino)
        descriptor = os.open(name, _FILE, dir_fd=directory)
        try:
            return not piece.size or digests_of(descriptor, piece.size).sha256 == piece.sha256
        finally:
            os.close(descriptor)

    # --- writing -----------------------------------------------------------------------

    def _write(self, directory: int, name: str, piece: Piece, note: Note) -> Way:
        if not piece.size:
            os.close(os.open(name, _NEW, 0o666, dir_fd=directory))
            return Way.COPY
        with _turn(piece.blob.parent) if self.way is Way.LINK else contextlib.nullcontext():
            return self._write_blob(directory, name, piece, note)

    def _write_blob(self, directory: int, name: str, piece: Piece, note: Note) -> Way:
        blob = os.open(piece.blob, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = _checked(blob, piece)
            way = self._fill(directory, name, blob, piece.size, note)
            now = Stamp.of(os.fstat(blob))
            # A name more, or less, changes the time of change: others export it, or it is evicted.
            if now != replace(before, ctime_ns=now.ctime_ns):
                raise StoreDamaged("the blob was changed while it was exported")
        finally:
            os.close(blob)
        return way

    def _fill(self, directory: int, name: str, blob: int, size: int, note: Note) -> Way:
        if self.way is Way.LINK:
            _link(blob, directory, name)
            return Way.LINK
        target = os.open(name, _NEW, 0o666, dir_fd=directory)
        try:
            is_cloned = self.way is Way.REFLINK and clone(blob, target)
            if not is_cloned:
                copy(blob, target, size, note)
            os.fsync(target)
        finally:
            os.close(target)
        return Way.REFLINK if is_cloned else Way.COPY


@contextlib.contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Wait until no other export links a blob of `directory`: it would have open what we link."""
    descriptor = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _link(blob: int, directory: int, name: str) -> None:
    with linking(blob) as is_allowed:
        if not is_allowed:
            text = "a program has it open or mapped, and might not notice a change"
            hint = "end that program, or leave out --link: it is copied then"
            raise CannotExport(text, hint=hint)
        source = f"/proc/self/fd/{blob}"
        os.link(source, name, src_dir_fd=blob, dst_dir_fd=directory, follow_symlinks=True)


def _parts(path: str) -> list[str]:
    """The names of a path, none of which leads up or out.

    Raises:
        CannotExport: one does.
    """
    parts = path.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise CannotExport("its name leads out of the folder")
    return parts


def _checked(blob: int, piece: Piece) -> Stamp:
    """How a blob's file is. One that has other names may have been changed through them.

    Raises:
        StoreDamaged: it is not what its name says.
    """
    found = os.fstat(blob)
    is_right = found.st_size == piece.size
    if is_right and found.st_nlink > 1:
        is_right = digests_of(blob, piece.size).sha256 == piece.sha256
    if not is_right:
        hint = "hubfs verify --repair has it fetched again"
        raise StoreDamaged("its blob is not what it was", hint=hint)
    return Stamp.of(found)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into what a person can use; a blob that is gone is not one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            text = "it is on another file system than the cache"
            raise CannotExport(text, hint="leave out --link: it is copied then") from error
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise CannotExport(f"no directory, but something else, leads to {path}") from error
        raise CannotExport(f"cannot write {path}: {error.strerror}") from error
