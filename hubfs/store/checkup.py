"""One blob at a time: looked at, hashed, and put right. Blocks; call it from worker threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hubfs.errors import StoreDamaged, StoreError, StoreFull
from hubfs.store.blobs import Blobs
from hubfs.store.census import Census
from hubfs.store.flaws import LOSSES, Case, Finding, Flaw, flaws_of
from hubfs.store.index import Index
from hubfs.store.leaving import Leaving
from hubfs.store.ledger import blob_name
from hubfs.store.mending import Mending
from hubfs.store.rehash import Digests, rehash


class Diagnosis(NamedTuple):
    """What is wrong with a blob, if anything, and what was read of it."""

    case: Case
    flaws: list[Flaw]
    found: Digests | None
    reason: str = ""


class Checkup:
    """The doctor of one cache: `census` looks, `mending` acts, this goes from one to the other."""

    def __init__(
        self, index: Index, blobs: Blobs, leaving: Leaving, directory: Path, *, may_write: bool
    ) -> None:
        """Look after the cache in `directory`; if it may not be written, only look."""
        self.census = Census(index, directory)
        self.mending = Mending(index, blobs, directory)
        self.may_write = may_write
        self._path = blobs.path
        self._leaving = leaving

    def examine(self, case: Case, pace: Callable[[int], None]) -> Diagnosis:
        """Read a blob whole. `pace` is called after each piece, and may end it by raising."""
        if case.present is None:
            return Diagnosis(case, flaws_of(case, None), None)
        if not case.present.mode & 0o400:
            with contextlib.suppress(StoreError):  # then it cannot be read, which is told
                self.mending.protect(case.sha256)
        try:
            found = rehash(self._path(case.sha256), pace)
        except StoreDamaged as error:
            return Diagnosis(case, flaws_of(case, None), None, str(error))
        return Diagnosis(case, flaws_of(case, found.sha256), found)

    def treat(self, diagnosis: Diagnosis) -> list[Finding]:
        """Put right what can be. A blob that has changed since it was looked at is left alone."""
        case = diagnosis.case
        # First: who puts it in place may tell the index in this moment, and be seen to have done.
        if self._leaving.is_moving(blob_name(case.sha256)):
            return []
        if not _is_same(self.census.case(case.sha256), case):
            return []
        return [self._treat_one(diagnosis, flaw) for flaw in diagnosis.flaws]

    def check_writable(self) -> None:
        """See to it that remedies last.

        Raises:
            StoreFull: they would not: the cache may not be written.
        """
        if not self.may_write:
            raise StoreFull("the cache may not be written")

    def _treat_one(self, diagnosis: Diagnosis, flaw: Flaw) -> Finding:
        case = diagnosis.case
        try:
            self.check_writable()
            return self._remedied(diagnosis, flaw)
        except StoreError as error:
            remedy = f"left as it is: {error}"
            return Finding(flaw, case.sha256, remedy, case.size, is_left=True)

    def _remedied(self, diagnosis: Diagnosis, flaw: Flaw) -> Finding:
        case, mending = diagnosis.case, self.mending
        if flaw is Flaw.MISSING:
            size = case.recorded or 0
            return Finding(flaw, case.sha256, "forgotten", size, keys=tuple(mending.forget(case)))
        if flaw in LOSSES:
            aside, keys = mending.set_aside(case)
            finding = Finding(flaw, case.sha256, "set aside", case.size, detail=_told(diagnosis))
            return replace(finding, aside=str(aside), keys=tuple(keys))
        if flaw is Flaw.MODE:
            mending.protect(case.sha256)
            return Finding(flaw, case.sha256, "made read-only", case.size)
        assert diagnosis.found is not None  # noqa: S101 - what is right has been read
        mending.record(diagnosis.found)
        return Finding(flaw, case.sha256, "recorded", case.size)


def _is_same(now: Case, before: Case) -> bool:
    """Whether it is the same file and the same record; examining may have changed the mode."""
    if now.present is None or before.present is None:
        return now == before
    return now.recorded == before.recorded and now.present.inode == before.present.inode


def _told(diagnosis: Diagnosis) -> str:
    if diagnosis.found is None:
        return diagnosis.reason
    return f"{diagnosis.found.size} bytes with sha256 {diagnosis.found.sha256}"
