"""The queue: keeps jobs, runs a few of each kind at a time, tells who watches.

What is pending or running is in memory and in the journal; what has ended is in
the journal alone. Every change of state is durable before it is told; progress
is written now and then, since losing it costs nothing.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, Final

import trio

from hubfs.counters import COUNTERS
from hubfs.errors import FetchStopped, HubfsError, NoSuchJob, StoreError, WrongJobState
from hubfs.jobs import states
from hubfs.jobs.history import History
from hubfs.jobs.run import Pace, Run, Runner
from hubfs.jobs.states import JobKind, JobState
from hubfs.jobs.waiting import Waiting, Wishes, wish_of
from hubfs.jobs.watching import Watcher, Watchers
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
    """A job to be: what it does, what about, and who is told when it has ended.

    `is_awaited`: somebody looks on meanwhile. `in_background`: nobody does.
    """

    kind: JobKind
    arguments: Mapping[str, Any]
    webhook: str = ""
    is_awaited: bool = False
    in_background: bool = False


class Resumption(enum.Enum):
    """What of the jobs that an earlier process left goes on by itself."""

    NOTHING = enum.auto()
    BACKGROUND = enum.auto()
    ALL = enum.auto()


class JobQueue:
    """A service."""

    def __init__(self, journal: Journal, runners: Mapping[JobKind, Runner], endpoint: str) -> None:
        """Run the jobs of `endpoint`; those of others wait until it is theirs again."""
        self._journal = journal
        self._runners = runners
        self._endpoint = endpoint
        self._waiting = Waiting()
        self._parked: dict[int, JobRecord] = {}
        self._running: dict[int, Run] = {}
        self._wishes = Wishes()
        self._history = History()
        self._watchers = Watchers()
        self._writing = trio.Lock()
        self._nudge = trio.Event()
        self._kept_at = 0.0
        self._nursery: trio.Nursery | None = None

    # --- the service -------------------------------------------------------------------

    async def run(
        self,
        *,
        resumes: Resumption = Resumption.ALL,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`.

        Of what an earlier process left, that which is not resumed is only run
        when it is asked for again.
        """
        for each in await trio.to_thread.run_sync(self._recovered):
            self._wishes.add(each)
            if resumes is Resumption.ALL or (
                resumes is Resumption.BACKGROUND and each.in_background
            ):
                self._waiting.add(each)
            else:
                self._parked[each.id] = each
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
        found = self._journal.recent(_EVERYTHING)
        overdue = [number for each in reversed(found) for number in self._history.note(each)]
        unfinished = [each for each in reversed(found) if not states.has_ended(each)]
        with_lines = [self._after_restart(each) for each in unfinished]
        with contextlib.suppress(StoreError):
            self._journal.put_all([each for each in with_lines if each[1]], overdue)
        return [each for each, _ in with_lines if each.endpoint == self._endpoint]

    def _after_restart(self, record: JobRecord) -> tuple[JobRecord, list[LogLine]]:
        if record.state != JobState.RUNNING:
            return states.left(record), []
        line = LogLine(time.time(), "warning", "the process that ran it ended; it will go on")
        return states.left(record), [line]

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

    @property
    def left_in_background(self) -> list[int]:
        """What has not ended of that for which nobody looks on, oldest first."""
        unfinished = chain(self.live(), self._parked.values())
        return sorted(each.id for each in unfinished if each.in_background)

    def is_parked(self, record: JobRecord) -> bool:
        """Whether an earlier process left the job, and nobody has asked for it again."""
        return record.state == JobState.PENDING and self._find_live(record.id) is None

    # --- asking for work ---------------------------------------------------------------

    async def submit(self, wanted: Wanted) -> JobRecord:
        """Queue a job. One that is the same and has not ended is returned instead.

        Raises:
            StoreError: it cannot be kept.
        """
        return (await self.submit_all([wanted]))[0]

    async def submit_all(self, wanted: Sequence[Wanted]) -> list[JobRecord]:
        """Queue jobs as one batch: all that are new, or none. As `submit`, for each.

        Raises:
            StoreError: they cannot be kept.
        """
        records = [self._new(each) for each in wanted]
        asked = {wish_of(each): each for each in records}
        async with self._writing:
            # Joined before anything is waited for: whoever calls it off later means this wish too.
            found = {
                wish: self._joined(same, each)
                for wish, each in asked.items()
                if (same := self._find_same(each))
            }
            first = found.get(wish_of(records[0]))
            batch = first.batch if first else 0
            new = [replace(each, batch=batch) for wish, each in asked.items() if wish not in found]
            if promised := [found[wish] for wish in found if asked[wish].in_background]:
                await self._write([(each, []) for each in promised])
            with trio.CancelScope(shield=True):
                kept = await trio.to_thread.run_sync(self._journal.add_all, new)
            for each in kept:
                self._enqueue(each)
        found |= {wish_of(each): each for each in kept}
        return [found[wish_of(each)] for each in records]

    def _new(self, wanted: Wanted) -> JobRecord:
        return JobRecord(
            kind=wanted.kind,
            endpoint=self._endpoint,
            arguments=dict(wanted.arguments),
            state=JobState.PENDING,
            created_at=time.time(),
            webhook=wanted.webhook,
            awaited_since=time.time() if wanted.is_awaited else 0.0,
            in_background=wanted.in_background,
        )

    def _find_same(self, wanted: JobRecord) -> JobRecord | None:
        found = map(self._find_going_on, self._wishes.alike(wanted))
        # One that tells another of its end, or nobody, does not do what is wished for.
        same = (each for each in found if each and wanted.webhook in {"", each.webhook})
        return next(same, None)

    def _find_going_on(self, number: int) -> JobRecord | None:
        run = self._running.get(number)
        if run is not None:
            return None if run.is_called_off else run.record()
        return self._waiting.find(number) or self._parked.get(number)

    def _joined(self, record: JobRecord, wanted: JobRecord) -> JobRecord:
        """The job that is wished for once more: what was left begins, and who wishes is noted."""
        run = self._running.get(record.id)
        if run is not None:
            run.join(wanted)
            return run.record()
        was_left = self._parked.pop(record.id, None) is not None
        again = states.joined(record, wanted)
        if was_left or (wanted.awaited_since and record.not_before):
            again = replace(again, not_before=0.0)
            self._enqueue(again)
        else:
            self._waiting.update(again)
        return again

    def _enqueue(self, record: JobRecord) -> None:
        self._waiting.add(record)
        self._wishes.add(record)
        self._watchers.tell(record)
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
            self._waiting.pop(number)
            self._wishes.discard(record)
            await self._keep(called_off, "cancelled")
            self._watchers.tell(called_off)
            return called_off
        run.is_called_off = True
        with self.watching() as watcher:
            run.scope.cancel()
            while self._running.get(number) is run:
                await watcher.changes()
        if self._waiting.find(number):  # its attempt had failed by then, and was to be repeated
            return await self.cancel(number)
        return self.find(number)

    def resume(self, number: int) -> JobRecord:
        """The job; where an earlier process left it, it is queued again.

        Raises:
            NoSuchJob: no job has that id.
            WrongJobState: it waits for another endpoint.
        """
        record = self.find(number)
        if not self.is_parked(record):
            return record
        self._check_endpoint(record)
        if self._parked.pop(number, None) is not None:  # or it is being queued, or called off
            self._enqueue(record)
        return record

    def _check_endpoint(self, record: JobRecord) -> None:
        if record.endpoint != self._endpoint:
            raise WrongJobState(f"job {record.id} belongs to {record.endpoint}")

    async def retry(self, number: int, *, in_background: bool = False) -> JobRecord:
        """Queue a job again that failed or was cancelled, or that waits for a better time.

        Raises:
            NoSuchJob: no job has that id.
            WrongJobState: it is running, or it is done.
        """
        record = self.find(number)
        self._check_endpoint(record)
        if record.state == JobState.PENDING:
            self._parked.pop(number, None)
            again = replace(record, not_before=0.0)
        else:
            again = states.retried(record)
        again = replace(again, in_background=record.in_background or in_background)
        self._enqueue(again)
        await self._keep(again, "to be tried again")
        return again

    # --- running -----------------------------------------------------------------------

    def _start_ready(self) -> None:
        now = time.time()
        nursery = self._nursery
        if nursery is None:
            return
        for kind, most in AT_ONCE.items():
            room = most - sum(run.kind == kind for run in self._running.values())
            while room > 0 and (record := self._waiting.take(kind, now)):
                room -= 1
                run = self._running[record.id] = Run(states.started(record, now))
                nursery.start_soon(self._run, run, record.id)
                self._watchers.tell(run.record())

    async def _run(self, run: Run, number: int) -> None:
        try:
            error = await self._attempt(run)
        except FetchStopped:
            return  # the process ends: `close` keeps it
        # Until its end is being written it can be joined, and is judged with who joined it.
        async with self._writing:
            ended, line = self._judged(run, error)
            await self._write([(ended, _with_last(run.take_lines(), ended, line))])
            del self._running[number]
            self._note_end(ended)

    def _note_end(self, ended: JobRecord) -> None:
        COUNTERS.add("jobs_ended", kind=ended.kind, state=ended.state)
        if ended.state == JobState.FAILED:
            failure = states.failure_text(ended.kind, ended.arguments, ended.error)
            log.warning("job %d, %s", ended.id, failure)
        if ended.state == JobState.PENDING:
            self._waiting.add(ended)
        else:
            self._wishes.discard(ended)
        self._watchers.tell(ended)
        self._nudge.set()

    async def _attempt(self, run: Run) -> HubfsError | None:
        try:
            with run.scope:
                await self._runners[JobKind(run.kind)](run)
        except FetchStopped:
            raise
        except HubfsError as raised:
            return raised
        except Exception as raised:
            log.exception("a bug in job %d", run.record().id)
            return HubfsError(f"a bug: {raised!r}", hint="see the daemon's log")
        return None

    def _judged(self, run: Run, error: HubfsError | None) -> tuple[JobRecord, str]:
        record, now = run.record(), time.time()
        if run.scope.cancelled_caught or (error and run.is_called_off):
            return states.cancelled(record, now), "cancelled"
        if error is None:
            return states.completed(record, now), "completed"
        return states.failed(record, error, now), f"attempt {record.attempts} failed: {error}"

    # --- keeping -----------------------------------------------------------------------

    async def _keep(self, record: JobRecord, line: str) -> None:
        async with self._writing:
            await self._write([(record, _with_last([], record, line))])

    async def _write(self, changed: list[tuple[JobRecord, list[LogLine]]]) -> None:
        """Write down how jobs are, whatever happens meanwhile; `_writing` is held."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._write_now, changed)

    def _write_now(self, changed: list[tuple[JobRecord, list[LogLine]]]) -> None:
        try:
            overdue = [number for record, _ in changed for number in self._history.note(record)]
            self._journal.put_all(changed, overdue)
        except StoreError as error:
            log.warning("the state of jobs is not kept: %s", error)

    async def _keep_if_due(self) -> None:
        if self._running and time.monotonic() - self._kept_at >= KEEP_EVERY:
            await self.keep_progress()

    async def keep_progress(self) -> None:
        """Write down how far everything is."""
        self._kept_at = time.monotonic()
        async with self._writing:
            await self._write([(run.record(), run.take_lines()) for run in self._running.values()])

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
        return self._waiting.find(number)

    def recent(
        self,
        limit: int,
        before: int = 0,
        accepts: Callable[[JobRecord], bool] = lambda _: True,
        state: JobState | None = None,
    ) -> list[JobRecord]:
        """The newest jobs that `accepts`, newest first.

        Only those with ids below `before`, if it is given, and in `state`.
        """
        if state is None or state == JobState.PENDING:
            in_state = partial(_is_in, state, accepts)
            return self._journal.recent(limit, before, in_state, self._find_live)
        running = state == JobState.RUNNING
        found = self.running()[::-1] if running else self._journal.each(self._history.newest())
        chosen = (each for each in found if each.id < (before or _EVERYTHING))
        return list(islice((each for each in chosen if _is_in(state, accepts, each)), limit))

    def live(self) -> Iterator[JobRecord]:
        """What runs or waits to be run, in no order."""
        yield from (run.record() for run in self._running.values())
        yield from self._waiting

    def running(self) -> list[JobRecord]:
        """What runs, oldest first."""
        return [run.record() for _, run in sorted(self._running.items())]

    def count_waiting(self) -> int:
        """How many wait to be run, or to be asked for again."""
        return len(self._waiting) + len(self._parked)

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

    def watching(self) -> contextlib.AbstractContextManager[Watcher]:
        """What changes is told to the watcher, within."""
        return self._watchers.watching()

    def _take_readings(self) -> None:
        now = time.monotonic()
        for run in self._running.values():
            run.take_reading(now)
            self._watchers.tell(run.record())


def _is_in(state: JobState | None, accepts: Callable[[JobRecord], bool], record: JobRecord) -> bool:
    return state in {None, record.state} and accepts(record)


def _with_last(lines: list[LogLine], record: JobRecord, text: str) -> list[LogLine]:
    level = "error" if record.state == JobState.FAILED else "info"
    return [*lines, LogLine(time.time(), level, text)]
