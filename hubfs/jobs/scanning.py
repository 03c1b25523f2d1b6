"""The job that adopts what is on disk elsewhere: a Hub client's cache, or any folder of models.

What an earlier attempt has read is remembered, so one that was broken off goes
on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import trio

from hubfs.errors import JobIncomplete, StoreError, UsageError
from hubfs.jobs.examining import Examiner, Fate, Outcome
from hubfs.jobs.matching import known_among
from hubfs.jobs.restoring import restore
from hubfs.jobs.run import Run
from hubfs.jobs.survey import Candidate, Survey, survey_of
from hubfs.model.text import shown
from hubfs.model.units import counted
from hubfs.store.adoption import Adopter
from hubfs.store.catalog import Catalog
from hubfs.store.foreign import is_mount_of_ours
from hubfs.store.scanned import Scanned, ScanRecord
from hubfs.store.store import Store

AT_ONCE: Final = min(4, os.cpu_count() or 1)
MOST_UNRECORDED: Final = 256
RECORD_EVERY: Final = 1.0


class Scanning:
    """A runner. Arguments: `path`; `copy`, instead of linking; `all`, also what is no model."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    async def __call__(self, run: Run) -> None:
        """Adopt what is below the path, and make the repos known that can be.

        Raises:
            UsageError: there is nothing that could be scanned.
            StoreFull: the disk has no room.
            JobIncomplete: some files could not be adopted; the others are.
        """
        survey = await trio.to_thread.run_sync(self._survey, run)
        examiner = await trio.to_thread.run_sync(self._examiner, run, survey)
        scan = Scan(run, examiner, survey)
        await scan.examine_all()
        await trio.to_thread.run_sync(self._restore, run, survey)
        scan.conclude()

    def _survey(self, run: Run) -> Survey:
        root = run.arguments["path"]
        if not Path(root).exists():
            raise UsageError(f"there is no {root}", hint="name a folder, or a file")
        if is_mount_of_ours(root):
            raise UsageError(f"{root} is a mount of hubfs itself", hint="name another folder")
        found = self._store.directory.stat()
        avoided = frozenset({(found.st_dev, found.st_ino)})
        check = trio.from_thread.check_cancelled
        return survey_of(root, avoided, wants_all=run.arguments["all"], note=check)

    def _examiner(self, run: Run, survey: Survey) -> Examiner:
        sizes = {each.file.size for each in survey.candidates.values()}
        known = known_among(self._catalog, sizes, trio.from_thread.check_cancelled)
        store, number = self._store, run.record().id
        adopter = Adopter(store.blobs, store.directory / "partial", copies=run.arguments["copy"])
        return Examiner(store.blobs, Scanned(store.index), adopter, known, number)

    def _restore(self, run: Run, survey: Survey) -> None:
        listed, unlisted = 0, 0
        for folder in sorted(survey.repo_folders):
            trio.from_thread.check_cancelled()
            found = restore(self._catalog, Path(folder))
            if found is None:
                continue
            repo, is_listed = found
            listed, unlisted = listed + is_listed, unlisted + (not is_listed)
            if not is_listed:
                run.log(f"{repo}: its cache has no listing; it is listed when the Hub is asked")
        run.result["repos"] = {"listed": listed, "unlisted": unlisted}


class Scan:
    """The files of one run: a few at a time, recorded together, counted by their fates."""

    def __init__(self, run: Run, examiner: Examiner, survey: Survey) -> None:
        self._run = run
        self._examiner = examiner
        self._files = iter(survey.candidates.values())
        self._under_way: dict[Candidate, int] = {}
        self._unrecorded: list[Outcome] = []
        self._recorded_at = time.monotonic()
        self._recording = trio.Lock()
        self._fatal: StoreError | None = None
        self._hints: dict[str, None] = {}
        # What an earlier attempt adopted counts among the adopted: so does how.
        self._hows: dict[str, int] = dict(run.result.get("hows", {}))
        self._counts = {fate.value: [0, 0] for fate in Fate}
        self._counts["skipped"] = [survey.skipped, survey.skipped_size]
        tally = run.tally
        tally.files_total = len(survey.candidates)
        tally.size_total = sum(each.file.size for each in survey.candidates.values())
        tally.under_way = self._moved
        for path, reason in survey.unreadable.items():
            self._note_failure(path, 0, reason)
        files = counted(tally.files_total, "file")
        run.log(f"{files}, {tally.size_total} bytes below {run.arguments['path']}")

    def _moved(self) -> tuple[int, int]:
        read = sum(self._under_way.values())
        return read, read

    async def examine_all(self) -> None:
        """Look at every file. Cancelling it keeps what has been found out.

        Raises:
            StoreError: the cache's disk failed, or has no room.
        """
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(self._work, nursery.cancel_scope)
        finally:
            with trio.CancelScope(shield=True):
                await self._record()
        if self._fatal is not None:
            raise self._fatal

    async def _work(self, everything: trio.CancelScope) -> None:
        for candidate in self._files:
            try:
                await self._take(candidate)
                is_due = time.monotonic() - self._recorded_at > RECORD_EVERY
                if is_due or len(self._unrecorded) >= MOST_UNRECORDED:
                    await self._record()
            except StoreError as error:
                self._fatal = self._fatal or error
                everything.cancel()

    async def _take(self, candidate: Candidate) -> None:
        self._under_way[candidate] = 0
        try:
            outcome = await trio.to_thread.run_sync(self._examine, candidate)
        finally:
            read = self._under_way.pop(candidate)
        self._count(outcome, read)
        self._unrecorded.append(outcome)

    def _examine(self, candidate: Candidate) -> Outcome:
        def note(count: int) -> None:
            trio.from_thread.check_cancelled()
            self._under_way[candidate] = min(
                candidate.file.size, self._under_way[candidate] + count
            )

        return self._examiner.examine(candidate, note)

    def _count(self, outcome: Outcome, read: int) -> None:
        file = outcome.candidate.file
        if outcome.error is not None:
            self._note_failure(file.path, file.size, str(outcome.error))
            self._hints[outcome.error.hint] = None
        else:
            self._add(outcome.fate, file.size)
            self._run.tally.note_file(file.size, read)
        if outcome.placed is not None:
            how = outcome.placed.how.value
            self._hows[how] = self._hows.get(how, 0) + 1
            self._run.log(f"adopted by {how}: {shown(file.path)}")

    def _add(self, fate: str, size: int) -> None:
        count = self._counts[fate]
        count[0], count[1] = count[0] + 1, count[1] + size

    def _note_failure(self, path: str, size: int, reason: str) -> None:
        self._add(Fate.FAILED, size)
        path, reason = shown(path), shown(reason)
        self._run.tally.note_failure(path, reason)
        self._run.log(f"{path}: {reason}", "error")

    # --- recording ---------------------------------------------------------------------

    async def _record(self) -> None:
        """Make durable what was found out so far. Bytes first, then what is said of them."""
        async with self._recording:
            outcomes, self._unrecorded = self._unrecorded, []
            self._recorded_at = time.monotonic()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._record_now, outcomes)
        self._tell()

    def _record_now(self, outcomes: list[Outcome]) -> None:
        placed = [each.placed for each in outcomes if each.placed is not None]
        if placed:
            self._examiner.adopter.record(placed)
        found = list(_records_of(outcomes))
        if found:
            self._examiner.scanned.put_all(found)

    def _tell(self) -> None:
        for name, (files, size) in self._counts.items():
            self._run.result[name] = {"files": files, "bytes": size}
        self._run.result["hows"] = dict(self._hows)

    def conclude(self) -> None:
        """Say how it went.

        Raises:
            JobIncomplete: some files could not be read, or not be adopted.
        """
        counts = (f"{files} {name}" for name, (files, _) in self._counts.items())
        self._run.log(", ".join(counts))
        failed = self._counts[Fate.FAILED][0]
        if failed:
            hint = next(filter(None, self._hints), "")
            text = f"{counted(failed, 'file')} could not be adopted"
            raise JobIncomplete(text, may_pass=False, hint=hint)


def _records_of(outcomes: list[Outcome]) -> Iterator[tuple[int, int, ScanRecord]]:
    for each in outcomes:
        if each.record is not None:
            yield *each.candidate.file.identity, each.record
