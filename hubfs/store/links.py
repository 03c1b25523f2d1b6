"""Blobs whose file has names elsewhere too: whoever writes there changes the blob.

Such a blob was adopted by a hard link, or linked from outside. It is trusted for as
long as its file is, to the nanosecond, as it was when its hash was last found
right; the change time is part of that, which no program can set back. A
file with other names of which nothing is recorded is in doubt from the start,
so neither a crash nor a lost index makes one pass for a blob of our own.

What the kernel reads by itself nobody can look at. So no link is made of a blob
while that goes on (`unlinked` and `linking` exclude each other by a lock on the
file, which the kernel keeps as long as it has the file, even if the daemon dies).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from hubfs.store.index import Index, Transaction
from hubfs.store.records import pack, unpack

# A file's times advance in ticks of some milliseconds: what is written within the tick of
# the last change leaves no mark. Hashing begins when that tick is over.
_TICK_NS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file was. One that has the same stamp has not been written since."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """The stamp of a file that `found` describes."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


NEVER: Final = Stamp(0, 0, 0, 0)  # of no file: a blob that has it is in doubt until it is read


class Links:
    """The stamps of the blobs that share their file."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def find(self, sha256: str) -> Stamp | None:
        """How the blob's file was when it was last found right; None for a file of our own."""
        with self._index.read() as txn:
            found = txn.get(bytes.fromhex(sha256), db=self._index.table("links"))
        return unpack(Stamp, found) if found else None

    def put_all(self, stamps: Iterable[tuple[str, Stamp]]) -> None:
        """The blobs are right, and their files are so."""
        packed = [(bytes.fromhex(sha256), pack(stamp)) for sha256, stamp in stamps]

        def change(txn: Transaction) -> None:
            for digest, stamp in packed:
                txn.put(digest, stamp, db=self._index.table("links"))

        if packed:
            self._index.write(change)

    def drop_all(self, blobs: Iterable[str]) -> None:
        """The files of these blobs are our own. Syncs the disk only if that is news."""
        digests = [bytes.fromhex(sha256) for sha256 in blobs if self.find(sha256)]

        def change(txn: Transaction) -> None:
            for digest in digests:
                txn.delete(digest, db=self._index.table("links"))

        if digests:
            self._index.write(change)


def is_sound(found: os.stat_result, known: Stamp | None) -> bool:
    """Whether a blob's file must hold what it held when it was last found right. Pure."""
    return Stamp.of(found) == known if known else found.st_nlink <= 1


def wait_until_still(found: os.stat_result) -> None:
    """Return when a change of the file from now on will show in its times. Blocks, briefly."""
    age = time.time_ns() - found.st_mtime_ns
    if 0 <= age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)


def stilled(descriptor: int) -> os.stat_result:
    """How an open file is, once whatever is written to it from now on will show in its times.

    A page that a program has mapped and written shows once, and not again until it is on disk:
    so the file is synced first. That makes its bytes durable too. Blocks.
    """
    with contextlib.suppress(OSError):  # a disk that may not be written has nothing to sync
        os.fsync(descriptor)
    found = os.fstat(descriptor)
    wait_until_still(found)
    return found


@contextlib.contextmanager
def unlinked(descriptor: int) -> Iterator[int | None]:
    """Another descriptor of an open blob, of which no link is made while anything holds that open.

    It is closed at the end: whom it was given to, as the kernel, must keep its file. None of a
    blob that has another name, or is being given one.

    Raises:
        OSError: the file cannot be opened again, or locked.
    """
    kept = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield kept if _is_locked(kept, fcntl.LOCK_SH) and os.fstat(kept).st_nlink <= 1 else None
    finally:
        os.close(kept)


@contextlib.contextmanager
def linking(descriptor: int) -> Iterator[bool]:
    """Whether a link of the open blob may be made within.

    Raises:
        OSError: the file cannot be locked.
    """
    is_locked = _is_locked(descriptor, fcntl.LOCK_EX)
    try:
        yield is_locked
    finally:
        if is_locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _is_locked(descriptor: int, kind: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
