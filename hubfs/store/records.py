"""What the index stores: a dataclass for each table, kept as JSON to be readable in years."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class RepoRecord:
    """A known repo, under its canonical name. Times in seconds since the epoch.

    `is_hearsay`: somebody wants it to be known, and the Hub has yet to say that there is one.
    """

    name: str
    private: bool = False
    gated: bool = False
    synced_at: float = 0.0
    is_hearsay: bool = False


@dataclass(frozen=True, slots=True)
class RefRecord:
    """What a revision's name meant when last asked; `view` is the number of its directory."""

    commit: str
    view: int
    checked_at: float


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """The tree of a commit; `number` is the upper half of its files' inode numbers."""

    number: int
    files: int
    size: int
    mtime: float
    directories: int = 0


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """A complete, verified blob."""

    size: int
    admitted_at: float


@dataclass(frozen=True, slots=True)
class PartialRecord:
    """What a partial durably holds; `is_suspect` after an owner that did not end well."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    updated_at: float = 0.0
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """What the ledger adds up to: blobs, their contents' bytes, and what they take on disk.

    `partly` is what partials take on disk.
    """

    blobs: int = 0
    size: int = 0
    occupied: int = 0
    partials: int = 0
    partly: int = 0

    @property
    def taken(self) -> int:
        """Bytes on disk."""
        return self.occupied + self.partly


@dataclass(frozen=True, slots=True)
class PinRecord:
    """What shall stay: the files of a repo at a revision whose paths match; "" matches all."""

    endpoint: str
    repo: str
    revision: str = ""
    pattern: str = ""
    created_at: float = 0.0

    @property
    def text(self) -> str:
        """As people write it: `org/name@REV:GLOB`."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{revision}" + (f":{self.pattern}" if self.pattern else "")


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Why the last sync of a repo failed."""

    error: str
    hint: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ScrubRecord:
    """A pass over all blobs: up to which hash it is (empty: it has ended), and what it has found.

    `ended_at` is the end of the last pass that came to one.
    """

    after: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    files: int = 0
    size: int = 0
    flaws: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job, as it is kept. Sizes in bytes, times in seconds since the epoch, 0 for never.

    `awaited_since` is when somebody began to wait for it, if anybody does; `cut_off_since` when
    it first found no connection, if it has found none since. `in_background`: it goes on though
    the command ends that asked for it.
    `failures` names the first files that failed, each with its reason;
    `failed` counts them all.
    """

    kind: str
    endpoint: str
    arguments: dict[str, Any]
    state: str
    id: int = 0
    batch: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    not_before: float = 0.0
    attempts: int = 0
    files: int = 0
    files_total: int = 0
    size: int = 0
    size_total: int = 0
    failed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    webhook: str = ""
    awaited_since: float = 0.0
    cut_off_since: float = 0.0
    in_background: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log; `number` counts from 1 over the whole life of the job."""

    at: float
    level: str
    text: str
    number: int = 0


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=_Record)


def pack(record: _Record) -> bytes:
    """The stored form of a record."""
    return json.dumps(asdict(record), separators=(",", ":")).encode()


def unpack(kind: type[R], data: bytes) -> R:
    """Read a record; fields that a later version added are passed over."""
    values = json.loads(data)
    known = _names(kind)
    return kind(**{name: value for name, value in values.items() if name in known})


@functools.cache
def _names(kind: type[_Record]) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind))
