"""The queue: keeps jobs, runs a few of each kind at a time, tells who watches.

What is pending or running is in memory and in the journal; what has ended is in
the journal alone. Every change of state is durable before it is told; progress
is written now and then, since losing it costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import trio

from hubfs.counters import COUNTERS
from hubfs.errors import FetchStopped, HubfsError, NoSuchJob, StoreError, WrongJobState
from hubfs.jobs import states
from hubfs.jobs.run import Pace, Run, Runner
from hubfs.jobs.states import HISTORY, JobKind, JobState
from hubfs.store.journal import MOST_LINES, Journal
from hubfs.store.records import JobRecord, LogLine

log = logging.getLogger(__name__)

AT_ONCE: Final = {
    JobKind.SYNC: 4,
    JobKind.DOWNLOAD: 2,
    JobKind.SCAN: 1,
    JobKind.VERIFY: 1,
    JobKind.EVICT: 1,
}
TICK: Final = 0.5
KEEP_EVERY: Final = 3.0
_EVERYTHING: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to be: what it does, what about, and who is told when it has ended."""

    kind: JobKind
    arguments: Mapping[str, Any]
    webhook: str = ""
    batch: int = 0


class Watcher:
    """Gets the newest state of each job that changed. Slow ones miss states, never the last."""

    def __init__(self) -> None:
        self._changed: dict[int, JobRecord] = {}
        self._news = trio.Event()

    def note(self, record: JobRecord) -> None:
        """A job is now so."""
        self._changed[record.id] = record
        self._news.set()

    async def changes(self) -> list[JobRecord]:
        """Wait for changes and return them."""
        await self._news.wait()
        changed, self._changed = self._changed, {}
        self._news = trio.Event()
        return list(changed.values())


class JobQueue:
    """A service."""

    def __init__(self, journal: Journal, runners: Mapping[JobKind, Runner], endpoint: str) -> None:
        """Run the jobs of `endpoint`; those of others wait until it is theirs again."""
        self._journal = journal
        self._runners = runners
        self._endpoint = endpoint
        self._waiting: dict[int, JobRecord] = {}
        self._parked: dict[int, JobRecord] = {}
        self._running: dict[int, Run] = {}
        self._watchers: set[Watcher] = set()
        self._writing = trio.Lock()
        self._nudge = trio.Event()
        self._kept_at = 0.0
        self._nursery: trio.Nursery | None = None

    # --- the service -------------------------------------------------------------------

    async def run(
        self,
        *,
        resumes: bool = True,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`.

        Without `resumes`, jobs that an earlier process left are only run when
        they are asked for again.
        """
        unfinished = await trio.to_thread.run_sync(self._recovered)
        chosen = self._waiting if resumes else self._parked
        chosen.update((each.id, each) for each in unfinished)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                self._start_ready()
                self._take_readings()
                await self._keep_if_due()
                await self._nap()

    def _recovered(self) -> list[JobRecord]:
        """Make what ran when the last process ended pending; return this endpoint's, by age."""
        with contextlib.suppress(StoreError):
            self._forget_overdue()
        found = self._journal.recent(_EVERYTHING, accepts=lambda job: not states.has_ended(job))
        with_lines = [self._after_restart(each) for each in reversed(found)]
        with contextlib.suppress(StoreError):
            self._journal.put_all([each for each in with_lines if each[1]])
        return [each for each, _ in with_lines if each.endpoint == self._endpoint]

    def _after_restart(self, record: JobRecord) -> tuple[JobRecord, list[LogLine]]:
        if record.state != JobState.RUNNING:
            return record, []
        line = LogLine(time.time(), "warning", "the process that ran it ended; it will go on")
        return states.interrupted(record), [line]

    async def _nap(self) -> None:
        is_busy = self._running or self._waiting
        with trio.move_on_after(TICK if is_busy else float("inf")):
            await self._nudge.wait()
            self._nudge = trio.Event()

    def stop(self) -> None:
        """Start no more, and break off what runs: it is gone on with next time."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            self._nursery = None

    def close(self) -> None:
        """After `run` has ended: write down how far everything is."""
        left = [
            (states.interrupted(run.record()), run.take_lines()) for run in self._running.values()
        ]
        with contextlib.suppress(StoreError):
            self._journal.put_all(left)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits to be run."""
        return not self._running and not self._waiting

    # --- asking for work ---------------------------------------------------------------

    async def submit(self, wanted: Wanted) -> JobRecord:
        """Queue a job. One that is the same and has not ended is returned instead.

        Raises:
            StoreError: it cannot be kept.
        """
        record = JobRecord(
            kind=wanted.kind,
            endpoint=self._endpoint,
            arguments=dict(wanted.arguments),
            state=JobState.PENDING,
            batch=wanted.batch,
            created_at=time.time(),
            webhook=wanted.webhook,
        )
        async with self._writing:
            same = self._find_same(record)
            if same is not None:
                return self._unparked(same)
            with trio.CancelScope(shield=True):
                kept = await trio.to_thread.run_sync(self._journal.add, record)
        self._enqueue(kept)
        return kept

    def _find_same(self, wanted: JobRecord) -> JobRecord | None:
        going_on = (run for run in self._running.values() if not run.is_called_off)
        running = [run.record() for run in going_on if not run.is_over]
        for each in [*running, *self._waiting.values(), *self._parked.values()]:
            if (each.kind, each.arguments) == (wanted.kind, wanted.arguments):
                return each
        return None

    def _unparked(self, record: JobRecord) -> JobRecord:
        if self._parked.pop(record.id, None) is not None:
            self._enqueue(record)
        return record

    def _enqueue(self, record: JobRecord) -> None:
        self._waiting[record.id] = record
        self._tell(record)
        self._nudge.set()

    async def cancel(self, number: int) -> JobRecord:
        """Call a job off, and return it when it has ended.

        Raises:
            NoSuchJob: no job has that id.
            WrongJobState: it has ended before.
        """
        run = self._running.get(number)
        if run is None:
            record = self.find(number)
            self._parked.pop(number, None)
            called_off = states.cancelled(record, time.time())
            self._waiting.pop(number, None)
            await self._keep(called_off, "cancelled")
            self._tell(called_off)
            return called_off
        run.is_called_off = True
        with self.watching() as watcher:
            run.scope.cancel()
            while self._running.get(number) is run:
                await watcher.changes()
        return self.find(number)

    async def retry(self, number: int) -> JobRecord:
        """Queue a job again that failed or was cancelled, or that waits for a better time.

        Raises:
            NoSuchJob: no job has that id.
            WrongJobState: it is running, or it is done.
        """
        record = self.find(number)
        if record.endpoint != self._endpoint:
            raise WrongJobState(f"job {number} belongs to {record.endpoint}")
        if record.state == JobState.PENDING:
            self._parked.pop(number, None)
            again = replace(record, not_before=0.0)
        else:
            again = states.retried(record)
        self._enqueue(again)
        await self._keep(again, "to be tried again")
        return again

    # --- running -----------------------------------------------------------------------

    def _start_ready(self) -> None:
        now = time.time()
        nursery = self._nursery
        if nursery is None:
            return
        for record in list(self._waiting.values()):
            if record.not_before <= now and self._has_room(JobKind(record.kind)):
                del self._waiting[record.id]
                run = self._running[record.id] = Run(states.started(record, now))
                nursery.start_soon(self._run, run, record.id)
                self._tell(run.record())

    def _has_room(self, kind: JobKind) -> bool:
        running = sum(run.kind == kind for run in self._running.values())
        return running < AT_ONCE[kind]

    async def _run(self, run: Run, number: int) -> None:
        try:
            ended, line = await self._attempt(run)
        except FetchStopped:
            return  # the process ends: `close` keeps it
        COUNTERS.add("jobs_ended", kind=ended.kind, state=ended.state)
        run.is_over = True  # its end is written: nothing may write over it
        await self._keep(ended, line, run.take_lines())
        del self._running[number]
        if ended.state == JobState.PENDING:
            self._waiting[number] = ended
        self._tell(ended)
        self._nudge.set()

    async def _attempt(self, run: Run) -> tuple[JobRecord, str]:
        error: HubfsError | None = None
        try:
            with run.scope:
                await self._runners[JobKind(run.kind)](run)
        except FetchStopped:
            raise
        except HubfsError as raised:
            error = raised
        except Exception as raised:
            log.exception("a bug in job %d", run.record().id)
            error = HubfsError(f"a bug: {raised!r}", hint="see the daemon's log")
        return self._judged(run, error)

    def _judged(self, run: Run, error: HubfsError | None) -> tuple[JobRecord, str]:
        record, now = run.record(), time.time()
        if run.scope.cancelled_caught or (error and run.is_called_off):
            return states.cancelled(record, now), "cancelled"
        if error is None:
            return states.completed(record, now), "completed"
        return states.failed(record, error, now), f"attempt {record.attempts} failed: {error}"

    # --- keeping -----------------------------------------------------------------------

    async def _keep(self, record: JobRecord, line: str, before: Collection[LogLine] = ()) -> None:
        level = "error" if record.state == JobState.FAILED else "info"
        lines = [*before, LogLine(time.time(), level, line)]
        async with self._writing:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._keep_now, [(record, lines)])

    def _keep_now(self, changed: list[tuple[JobRecord, list[LogLine]]]) -> None:
        try:
            self._journal.put_all(changed)
            if any(states.has_ended(record) for record, _ in changed):
                self._forget_overdue()
        except StoreError as error:
            log.warning("the state of jobs is not kept: %s", error)

    def _forget_overdue(self) -> None:
        overdue = states.overdue(self._journal.recent(_EVERYTHING), HISTORY)
        if overdue:
            self._journal.drop(overdue)

    async def _keep_if_due(self) -> None:
        if self._running and time.monotonic() - self._kept_at >= KEEP_EVERY:
            await self.keep_progress()

    async def keep_progress(self) -> None:
        """Write down how far everything is."""
        self._kept_at = time.monotonic()
        async with self._writing:
            going_on = [run for run in self._running.values() if not run.is_over]
            changed = [(run.record(), run.take_lines()) for run in going_on]
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._keep_now, changed)

    # --- looking -----------------------------------------------------------------------

    def find(self, number: int) -> JobRecord:
        """The job with that id, as it is now.

        Raises:
            NoSuchJob: there is none.
        """
        found = self._find_live(number) or self._journal.find(number)
        if found is None:
            raise NoSuchJob(f"there is no job {number}", hint="list them with: hubfs jobs")
        return found

    def _find_live(self, number: int) -> JobRecord | None:
        run = self._running.get(number)
        if run is not None:
            return run.record()
        return self._waiting.get(number)

    def recent(
        self, limit: int, before: int = 0, accepts: Callable[[JobRecord], bool] = lambda _: True
    ) -> list[JobRecord]:
        """The newest jobs that `accepts`, newest first; with ids below `before` if it is given."""
        found = self._journal.recent(limit, before, lambda each: accepts(self._newest(each)))
        return [self._newest(each) for each in found]

    def _newest(self, record: JobRecord) -> JobRecord:
        return self._find_live(record.id) or record

    def live(self) -> list[JobRecord]:
        """What runs or waits to be run, oldest first."""
        running = {number: run.record() for number, run in self._running.items()}
        return [each for _, each in sorted((running | self._waiting).items())]

    def pace(self, number: int) -> Pace:
        """How fast a job goes."""
        run = self._running.get(number)
        return run.pace() if run else Pace()

    async def lines(self, number: int, after: int = 0, limit: int = MOST_LINES) -> list[LogLine]:
        """The last lines of a job's log that follow line `after`.

        Raises:
            NoSuchJob: there is no such job.
        """
        self.find(number)
        if number in self._running:
            await self.keep_progress()
        return self._journal.log(number, after, limit)

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watcher]:
        """What changes is told to the watcher, within."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def _tell(self, record: JobRecord) -> None:
        for watcher in self._watchers:
            watcher.note(record)

    def _take_readings(self) -> None:
        now = time.monotonic()
        for run in self._running.values():
            run.take_reading(now)
            self._tell(run.record())
