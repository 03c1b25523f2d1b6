"""What a cache's directory, disk and index mean for hubfs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hubfs.daemon.diagnosis.verdicts import Verdict, fine, noted, wrong
from hubfs.store.inspection import IndexFacts
from hubfs.store.survey import CacheFacts

GIB: Final = 1 << 30
SCARCE: Final = GIB
TIGHT: Final = 20 * GIB
FEW_INODES: Final = 10_000
# LMDB maps its file, which these do not keep in step between hosts, or at all.
NETWORKED: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs", "beegfs"}
)


def judge_cache(facts: CacheFacts) -> Iterator[Verdict]:
    """The directory, the room in it, and what its file system can do."""
    yield from _judge_directory(facts)
    yield from _judge_owner(facts)
    yield from _judge_room(facts)
    yield from _judge_file_system(facts)


def _judge_directory(facts: CacheFacts) -> Iterator[Verdict]:
    if facts.write_error and not facts.exists:
        yield wrong("cache", f"{facts.directory} cannot be made: {facts.write_error}", _ELSEWHERE)
    elif facts.write_error:
        text = f"{facts.directory} cannot be written: {facts.write_error}"
        yield noted("cache", text, f"what is in it is read, nothing is kept; {_ELSEWHERE}")
    elif facts.foreign_owner is not None:
        text = f"{facts.directory} belongs to user {facts.foreign_owner}"
        yield noted("cache", text, "use it as that user, or choose another with --cache-dir")
    else:
        yield fine("cache", facts.directory if facts.exists else f"{facts.directory}, not made yet")


_ELSEWHERE: Final = "choose another with --cache-dir"


def _judge_owner(facts: CacheFacts) -> Iterator[Verdict]:
    if facts.is_locked:
        yield fine("owner", f"in use by {facts.owner or 'a process'}")
    elif facts.owner is not None:
        text = f"{facts.owner} did not end well"
        yield noted("owner", text, "the next mount checks what it left")
    else:
        yield fine("owner", "nobody uses the cache")


def _judge_room(facts: CacheFacts) -> Iterator[Verdict]:
    text = f"{_size(facts.available)} of {_size(facts.total)} free"
    if facts.available < SCARCE:
        advice = "make room: what does not fit is read again and again from the Hub"
        yield wrong("disk", text, advice)
    elif facts.inodes_left is not None and facts.inodes_left < FEW_INODES:
        yield wrong(
            "disk", f"{text}, but only {facts.inodes_left} more files", "make room for files"
        )
    elif facts.available < TIGHT:
        yield noted("disk", text, "large models may not fit: what does not is not kept")
    else:
        yield fine("disk", text)


def _judge_file_system(facts: CacheFacts) -> Iterator[Verdict]:
    kind = facts.file_system
    if kind in NETWORKED or kind.startswith("fuse"):
        advice = "an index needs a local disk, and one host at a time: choose one with --cache-dir"
        yield wrong("file system", f"{kind}, which is no local disk", advice)
    elif kind in {"tmpfs", "ramfs"}:
        yield noted("file system", f"{kind}: the cache takes memory, and goes with the machine")
    elif facts.has_nowait is False:
        text = f"{kind} without reads that do not wait"
        yield noted(
            "file system", text, "reads without passthrough are slower; ext4 and xfs have them"
        )
    else:
        yield fine("file system", kind + (", with reflinks" if facts.has_reflink else ""))


def judge_index(facts: IndexFacts) -> Iterator[Verdict]:
    """Whether the index can be read by this hubfs."""
    schema = facts.schema or 0
    if not facts.exists:
        yield fine("index", "none yet")
    elif facts.damage:
        text = f"it cannot be read: {facts.damage}"
        yield noted(
            "index", text, "the next mount sets it aside and makes a new one from the blobs"
        )
    elif schema > facts.known_schema:
        text = f"it has schema {schema}, this hubfs reads up to {facts.known_schema}"
        yield wrong("index", text, "upgrade hubfs, or choose another directory with --cache-dir")
    else:
        yield fine("index", f"schema {schema}, {_size(facts.size)}")
    if facts.aside:
        text = f"{facts.aside} damaged ones were set aside"
        yield noted("index", text, "delete index.damaged-* in the cache once nobody wants them")


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / (1 << 20):.1f} MiB"
