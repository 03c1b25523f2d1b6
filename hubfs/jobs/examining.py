"""One file of a scan: looked at, hashed if that can matter, adopted if it is wanted."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hubfs.errors import CannotAdopt, HubfsError, StoreDamaged
from hubfs.jobs.matching import Known
from hubfs.jobs.survey import Candidate
from hubfs.store.adoption import Adopter, Hashed, Placed, hashed
from hubfs.store.blobs import Blobs
from hubfs.store.rehash import Digests
from hubfs.store.scanned import Scanned, ScanRecord


class Fate(enum.StrEnum):
    """What became of a file."""

    ADOPTED = "adopted"
    KNOWN = "known"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file's fate; `record` and `placed` are to be recorded, `error` says why it failed."""

    candidate: Candidate
    fate: Fate
    record: ScanRecord | None = None
    placed: Placed | None = None
    error: HubfsError | None = None


@dataclass(frozen=True, slots=True)
class Examiner:
    """Looks at files, in threads. It writes no record."""

    blobs: Blobs
    scanned: Scanned
    adopter: Adopter
    known: Known
    job: int
    _taken: set[str] = field(default_factory=set)
    _taking: threading.Lock = field(default_factory=threading.Lock)

    def examine(self, candidate: Candidate, note: Callable[[int], None]) -> Outcome:
        """Read the file if need be, and put its bytes in place if they are wanted.

        `note` hears of bytes as they are read, and may raise.

        Raises:
            StoreFull: the cache's disk has no room.
        """
        outcome = self._find_remembered(candidate)
        if outcome is not None:
            return outcome
        if not (candidate.is_wanted or self.known.may_have(candidate.file.size)):
            return Outcome(candidate, Fate.UNKNOWN)
        try:
            with hashed(candidate.file.path, note) as found:
                return self._judged(candidate, found, note)
        except (CannotAdopt, StoreDamaged) as error:
            return Outcome(candidate, Fate.FAILED, error=error)

    def _find_remembered(self, candidate: Candidate) -> Outcome | None:
        """The fate of a file that was read before, if reading it again would not change it."""
        file = candidate.file
        found = self.scanned.find(*file.identity)
        if found is None or (found.size, found.mtime_ns) != (file.size, file.mtime_ns):
            return None
        if self._is_here(found.digests):
            fate = Fate.ADOPTED if found.job == self.job else Fate.KNOWN
            return Outcome(candidate, fate)
        is_wanted = candidate.is_wanted or self.known.has(found.digests)
        return None if is_wanted else Outcome(candidate, Fate.UNKNOWN)

    def _is_here(self, digests: Digests) -> bool:
        return self.blobs.find(digests.contents[0]) is not None

    def _judged(self, candidate: Candidate, found: Hashed, note: Callable[[int], None]) -> Outcome:
        digests, before = found.digests, found.before
        record = ScanRecord(before.size, before.mtime_ns, digests.sha256, digests.git_oid)
        is_wanted = candidate.is_wanted or self.known.has(digests)
        if not is_wanted and not self._is_here(digests):
            return Outcome(candidate, Fate.UNKNOWN, record)
        if not self._takes(digests):
            return Outcome(candidate, Fate.KNOWN, record)
        try:
            placed = self.adopter.place(found.descriptor, digests, before, note)
        except BaseException:
            self._taken.discard(digests.sha256)
            raise
        return Outcome(candidate, Fate.ADOPTED, replace(record, job=self.job), placed)

    def _takes(self, digests: Digests) -> bool:
        """Whether this file is to be the blob: of several that are the same, one is."""
        with self._taking:
            if digests.sha256 in self._taken or self._is_here(digests):
                return False
            self._taken.add(digests.sha256)
            return True
