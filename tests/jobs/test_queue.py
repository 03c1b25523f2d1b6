"""What happens to a job while the disk writes about it or about another."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing

from hubfs.errors import NoConnection
from hubfs.jobs.queue import JobQueue, Wanted
from hubfs.jobs.run import Run
from hubfs.jobs.states import JobKind
from hubfs.store.index import Index
from hubfs.store.journal import Journal
from hubfs.store.records import JobRecord
from tests.fetch.rig import until
from tests.jobs import rig

ENDPOINT = "https://hub.example"


class SlowJournal(Journal):
    """Writes once it is let, and says when it has begun."""

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self._may_write = threading.Event()
        self._may_write.set()
        self.is_held = threading.Event()

    def hold(self) -> None:
        self._may_write.clear()
        self.is_held.clear()

    def let_go(self) -> None:
        self._may_write.set()

    def add_all(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        self._wait()
        return super().add_all(records)

    def put_all(self, *arguments: object) -> None:
        self._wait()
        super().put_all(*arguments)  # type: ignore[arg-type]

    def _wait(self) -> None:
        if not self._may_write.is_set():
            self.is_held.set()
        assert self._may_write.wait(rig.PATIENCE)


class Work:
    """A runner whose attempts fail when they are told to."""

    def __init__(self) -> None:
        self.attempts = 0
        self.failing = trio.Event()

    async def __call__(self, _: Run) -> None:
        self.attempts += 1
        await self.failing.wait()
        raise NoConnection("no route to the Hub")


@pytest.fixture
def journal(index: Index) -> SlowJournal:
    return SlowJournal(index)


@pytest.fixture
def work() -> Work:
    return Work()


def wanted(name: str, *, is_awaited: bool = True) -> Wanted:
    return Wanted(JobKind.SYNC, {"repo": f"acme/{name}"}, is_awaited=is_awaited)


@asynccontextmanager
async def serving(journal: Journal, work: Work) -> AsyncIterator[tuple[JobQueue, trio.Nursery]]:
    queue = JobQueue(journal, {JobKind.SYNC: work}, ENDPOINT)
    async with trio.open_nursery() as nursery:
        await nursery.start(queue.run)
        with trio.fail_after(rig.PATIENCE):
            yield queue, nursery
        queue.stop()
        nursery.cancel_scope.cancel()


async def begun(nursery: trio.Nursery, call: Callable[[], object]) -> None:
    """Start `call`, and let it come as far as it comes by itself."""
    nursery.start_soon(call)  # type: ignore[arg-type]
    await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_job_called_off_while_a_wish_that_joined_it_is_written_stays_so(
    journal: SlowJournal,
) -> None:
    queue = JobQueue(journal, {}, ENDPOINT)
    job = await queue.submit(wanted("model", is_awaited=False))
    journal.hold()
    async with trio.open_nursery() as nursery:
        await begun(nursery, lambda: queue.submit_all([wanted("model"), wanted("other")]))
        assert journal.is_held.is_set()
        await begun(nursery, lambda: queue.cancel(job.id))
        journal.let_go()
    assert [each.arguments["repo"] for each in queue.live()] == ["acme/other"]
    assert queue.find(job.id).state == "cancelled"


async def test_a_wish_is_noted_by_a_job_that_fails_while_it_is_written(
    journal: SlowJournal, work: Work
) -> None:
    async with serving(journal, work) as (queue, nursery):
        job = await queue.submit(wanted("model", is_awaited=False))
        await until(lambda: work.attempts == 1)
        journal.hold()
        await begun(nursery, lambda: queue.submit_all([wanted("model"), wanted("other")]))
        work.failing.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        journal.let_go()
        await until(lambda: queue.find(job.id).state == "pending")
        assert queue.find(job.id).awaited_since


async def test_a_wish_joins_a_job_whose_attempt_is_about_to_have_failed(
    journal: SlowJournal, work: Work
) -> None:
    async with serving(journal, work) as (queue, nursery):
        job = await queue.submit(wanted("model"))
        await until(lambda: work.attempts == 1)
        journal.hold()
        joined: list[JobRecord] = []

        async def join() -> None:
            joined.append(await queue.submit(wanted("model")))

        await begun(nursery, lambda: queue.submit(wanted("other")))
        await begun(nursery, join)
        work.failing.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        journal.let_go()
        await until(lambda: bool(joined))
        assert joined[0].id == job.id
        alike = [each.id for each in queue.live() if each.arguments["repo"] == "acme/model"]
        assert alike == [job.id]


async def test_a_job_called_off_while_its_failure_is_written_is_not_repeated(
    journal: SlowJournal, work: Work
) -> None:
    async with serving(journal, work) as (queue, nursery):
        job = await queue.submit(wanted("model"))
        await until(lambda: work.attempts == 1)
        journal.hold()
        work.failing.set()
        assert await trio.to_thread.run_sync(journal.is_held.wait, rig.PATIENCE)
        await begun(nursery, lambda: queue.cancel(job.id))
        journal.let_go()
        await until(lambda: queue.find(job.id).state == "cancelled")
        assert queue.is_idle
        assert work.attempts == 1


async def test_a_wish_with_a_webhook_joins_only_who_tells_it(journal: SlowJournal) -> None:
    queue = JobQueue(journal, {}, ENDPOINT)
    quiet = wanted("model", is_awaited=False)
    telling = replace(quiet, webhook="https://ci.example/told")
    first = await queue.submit(quiet)
    second = await queue.submit(telling)
    assert second.id != first.id
    assert (await queue.submit(telling)).id == second.id
    assert (await queue.submit(quiet)).id == first.id
    other = replace(quiet, webhook="https://ci.example/other")
    assert (await queue.submit(other)).webhook == other.webhook
