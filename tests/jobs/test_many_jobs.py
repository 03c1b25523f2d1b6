"""Ten thousand jobs that wait and a thousand that have ended: what the next one costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from hubfs.jobs.queue import JobQueue, Wanted
from hubfs.jobs.run import Run
from hubfs.jobs.states import HISTORY, JobKind, JobState
from hubfs.store.index import Index
from hubfs.store.journal import Journal
from hubfs.store.records import JobRecord
from tests.jobs import rig

WAITING = 10_000
ENDPOINT = "https://hub.example"
ENDED = JobRecord("sync", ENDPOINT, {"repo": "acme/model"}, "completed", ended_at=1.0)


class CountingJournal(Journal):
    """Counts the jobs that it looks at, and its transactions."""

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self.looked_at = 0
        self.writes = 0

    def recent(
        self,
        limit: int,
        before: int = 0,
        accepts: Callable[[JobRecord], bool] = lambda _: True,
        newer: Callable[[int], JobRecord | None] = lambda _: None,
    ) -> list[JobRecord]:
        def counted(number: int) -> JobRecord | None:
            self.looked_at += 1
            return newer(number)

        return super().recent(limit, before, accepts, counted)

    def put_all(self, *arguments: object) -> None:
        self.writes += 1
        super().put_all(*arguments)  # type: ignore[arg-type]


def wanted(number: int) -> Wanted:
    return Wanted(JobKind.SYNC, {"repo": f"acme/model{number}"})


async def test_a_job_costs_the_same_behind_ten_thousand_others(index: Index) -> None:
    journal = CountingJournal(index)
    journal.put_all([(replace(ENDED, id=number), []) for number in range(1, HISTORY + 51)])
    journal.writes = 0
    gate = trio.Event()
    ended = 0

    async def work(_: Run) -> None:
        nonlocal ended
        await gate.wait()
        ended += 1

    queue = JobQueue(journal, {JobKind.SYNC: work}, ENDPOINT)
    async with trio.open_nursery() as nursery:
        await nursery.start(queue.run)
        assert journal.writes == 1  # more had ended than are kept
        journal.looked_at = 0
        queued = await queue.submit_all([wanted(number) for number in range(WAITING)])
        assert {each.batch for each in queued} == {queued[0].id}
        assert await queue.submit(wanted(WAITING - 1)) == queued[-1]
        assert journal.looked_at == 0
        gate.set()
        with queue.watching() as watcher, trio.fail_after(rig.PATIENCE):
            while ended < 40:
                await watcher.changes()
        # A page is as much work as it has lines, and an end is one transaction and no look.
        assert journal.looked_at == 0
        assert journal.writes <= ended + 4
        page = queue.recent(50)
        assert [each.id for each in page] == [each.id for each in queued[:-51:-1]]
        assert journal.looked_at <= 51
        running = queue.recent(50, state=JobState.RUNNING)
        assert {each.state for each in running} <= {"running"}
        done = queue.recent(50, before=queued[0].id, state=JobState.COMPLETED)
        assert [each.id for each in done] == [*range(HISTORY + 50, HISTORY, -1)]
        assert not queue.recent(50, state=JobState.FAILED)
        assert journal.looked_at <= 51
        assert await queue.cancel(queued[-1].id) == queue.find(queued[-1].id)
        queue.stop()
    queue.close()
    everything = journal.recent(2 * WAITING)
    assert sum(each.ended_at > 0 for each in everything) == HISTORY
    assert len(everything) < WAITING + HISTORY


async def test_a_batch_that_names_the_same_twice_is_that_many_jobs_less(journal: Journal) -> None:
    queue = JobQueue(journal, {}, ENDPOINT)
    first = await queue.submit(wanted(1))
    batch = await queue.submit_all([wanted(2), wanted(1), wanted(2), wanted(3)])
    assert [each.id for each in batch] == [2, 1, 2, 3]
    assert [each.batch for each in batch] == [2, first.batch, 2, 2]
    assert queue.count_waiting() == 3
