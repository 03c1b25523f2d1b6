"""Files that are on disk elsewhere made blobs, without a change to them.

A reflink is best: it shares the bytes for as long as nobody writes, and costs
nothing. A hard link comes next; such a blob is guarded (see `links`). A copy is
made only when it is asked for.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hubfs.errors import CannotAdopt, StoreDamaged
from hubfs.store.blobs import Blobs
from hubfs.store.cloning import clone, copy
from hubfs.store.files import writing
from hubfs.store.links import Stamp, stilled
from hubfs.store.rehash import Digests, digests_of

_CANNOT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
SCRATCH: Final = "adopted-"  # how the names of files begin that are on their way to a blob
_HINT: Final = "copy it: hubfs scan --copy"

Note = Callable[[int], None]


class How(enum.StrEnum):
    """How a file's bytes came to be a blob's."""

    REFLINK = "reflink"
    LINK = "link"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class Placed:
    """A blob whose file is in place and whose record is not yet."""

    digests: Digests
    how: How
    stamp: Stamp


class Adopter:
    """Makes blobs of files that it is given. Threads may use it at once."""

    def __init__(
        self,
        blobs: Blobs,
        scratch: Path,
        *,
        copies: bool,
        cloning: Callable[[int, int], bool] = clone,
    ) -> None:
        """Work in `scratch`, beside the blobs. With `copies`, copy what cannot be reflinked."""
        self._blobs = blobs
        self._scratch = scratch
        self._copies = copies
        self._clone = cloning
        self._unclonable: set[int] = set()

    def place(self, source: int, digests: Digests, before: Stamp, note: Note) -> Placed:
        """Put the file open as `source`, which was hashed since it was as `before`, in place.

        Raises:
            CannotAdopt: it changed meanwhile, or can be neither reflinked nor linked.
            StoreFull, StoreDamaged: the cache's disk.
        """
        with writing(self._scratch), self._scratch_path() as path:
            is_as_hashed = Stamp.of(os.fstat(source)) == before
            how = self._fill(path, source, digests.size, note)
            stamp = _check_unchanged(source, before, how)
            self._blobs.put_in_place(path, digests.sha256)
            if how is How.LINK:
                stamp = self._stamped(source, before, digests.sha256)
        # With a stamp of the past it is in doubt, and read whole when it is opened.
        return Placed(digests, how, stamp if is_as_hashed else before)

    def _stamped(self, source: int, before: Stamp, sha256: str) -> Stamp:
        """The stamp of a link that is in place. What changed meanwhile must not be in it."""
        try:
            return _check_unchanged(source, before, How.LINK)
        except CannotAdopt:
            self._blobs.path(sha256).unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _scratch_path(self) -> Iterator[Path]:
        # What a crash leaves is a partial without a record: gone at the next start.
        path = self._scratch / f"{SCRATCH}{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)  # also after the renaming of a link onto its like

    def _fill(self, path: Path, source: int, size: int, note: Note) -> How:
        device = os.fstat(source).st_dev
        if device not in self._unclonable:
            if self._filled(path, lambda target: self._clone(source, target)):
                return How.REFLINK
            self._unclonable.add(device)
        if not self._copies:
            self._link(source, path)
            return How.LINK
        self._filled(path, lambda target: copy(source, target, size, note))
        return How.COPY

    def _filled(self, path: Path, fill: Callable[[int], bool]) -> bool:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if not fill(descriptor):
                path.unlink()
                return False
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

    def _link(self, source: int, path: Path) -> None:
        try:
            # By its descriptor: the very file that was hashed, whatever its name means now.
            # (Python follows links only when it is given a directory, be it of no account.)
            os.link(f"/proc/self/fd/{source}", path, src_dir_fd=source, follow_symlinks=True)
        except OSError as error:
            if error.errno == errno.EXDEV:
                text = "it is on another file system than the cache"
                raise CannotAdopt(text, hint=_HINT) from error
            if error.errno in _CANNOT_LINK:
                text = f"it cannot be linked: {os.strerror(error.errno)}"
                raise CannotAdopt(text, hint=_HINT) from error
            raise

    def record(self, placed: Sequence[Placed]) -> None:
        """Make the names durable, then tell the index, in a few transactions for all.

        Raises:
            StoreFull: the disk has no room.
        """
        self._blobs.sync_names(each.digests.sha256 for each in placed)
        self._blobs.record_all(
            [(each.digests.sha256, content) for each in placed for content in each.digests.contents]
        )
        links = self._blobs.links
        links.put_all((each.digests.sha256, each.stamp) for each in placed if each.how is How.LINK)
        links.drop_all(each.digests.sha256 for each in placed if each.how is not How.LINK)


@dataclass(frozen=True, slots=True)
class Hashed:
    """An open file, what it holds, and how it was before it was read."""

    descriptor: int
    digests: Digests
    before: Stamp


@contextlib.contextmanager
def hashed(path: str, note: Note) -> Iterator[Hashed]:
    """The file at `path`, open and hashed within. Nothing of it changes. Blocks.

    Raises:
        StoreDamaged: it cannot be read.
    """
    try:
        descriptor = _opened_unnoticed(path)
    except OSError as error:
        raise StoreDamaged(f"it cannot be opened: {error.strerror}") from error
    try:
        found = stilled(descriptor)
        yield Hashed(descriptor, digests_of(descriptor, found.st_size, note), Stamp.of(found))
    finally:
        os.close(descriptor)


def _opened_unnoticed(path: str) -> int:
    """Open `path` so that reading it leaves no time of access, as far as it is ours to say so."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # it belongs to somebody else
        return os.open(path, flags)


def _check_unchanged(source: int, before: Stamp, how: How) -> Stamp:
    """How the file is: as it was `before`. A link changes its time of change, and no more.

    Raises:
        CannotAdopt: it is not.
    """
    now = Stamp.of(os.fstat(source))
    expected = replace(before, ctime_ns=now.ctime_ns) if how is How.LINK else before
    if now != expected:
        raise CannotAdopt("it was changed while it was read", hint="scan it again")
    return now
