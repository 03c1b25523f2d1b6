"""Blobs whose file has names elsewhere too: whoever writes there changes the blob.

Such a blob was adopted by a hard link, or linked from outside. It is trusted for as
long as its file is, to the nanosecond, as it was when its hash was last found
right; the change time is part of that, which no program can set back. A
file with other names of which nothing is recorded is in doubt from the start,
so neither a crash nor a lost index makes one pass for a blob of our own.

What the kernel reads by itself nobody can look at. So no link is made of a blob
that anybody has open or mapped, and the kernel is given none while a link is made:
a lock on the file lets only one of the two go on. A lease tells who has a file:
mappings count, whose descriptor is closed and whose daemon is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
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
def unlinked(descriptor: int) -> Iterator[bool]:
    """Whether the open blob has no other name; within, it is given none.

    Raises:
        OSError: the file cannot be locked.
    """
    with _locked(descriptor, fcntl.LOCK_SH) as is_locked:
        yield is_locked and os.fstat(descriptor).st_nlink <= 1


@contextlib.contextmanager
def linking(descriptor: int) -> Iterator[bool]:
    """Whether a link of the blob may be made within: nobody else has it open or mapped.

    Raises:
        OSError: the file cannot be locked.
    """
    with _locked(descriptor, fcntl.LOCK_EX) as is_locked:
        yield is_locked and _is_ours_alone(descriptor, fcntl.F_WRLCK)


def has_writer(descriptor: int) -> bool:
    """Whether anybody has the file open to write, or it cannot be told.

    `descriptor` is one to read.
    """
    return not _is_ours_alone(descriptor, fcntl.F_RDLCK)


def _is_ours_alone(descriptor: int, lease: int) -> bool:
    """Whether a lease could be had: fcntl(2) gives one where no other descriptor is in its way."""
    try:
        # Who opens the file meanwhile breaks the lease: by a signal that does nothing.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, lease)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _locked(descriptor: int, kind: int) -> Iterator[bool]:
    """Whether the lock could be had at once; it is held within."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
