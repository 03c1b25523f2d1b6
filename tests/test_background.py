"""Work in threads that come after all others."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from hubfs.background import YIELDING, Background


@pytest.fixture
def background() -> Iterator[Background]:
    threads = Background(1, YIELDING)
    yield threads
    threads.close()


async def test_a_job_is_done_by_a_thread_that_yields(background: Background) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert await background.run(niceness) == min(niceness() + YIELDING, 19)
    assert await background.run(threading.get_ident) != threading.get_ident()


async def test_a_failure_is_raised_where_it_is_waited_for(background: Background) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await background.run(fail)
    assert await background.run(lambda: 1) == 1


async def test_cancelling_waits_for_a_job_that_has_begun(background: Background) -> None:
    begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)
        has_ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background.run, work)
        await trio.to_thread.run_sync(begun.wait, 10)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            assert not has_ended.is_set()
            may_end.set()
    assert has_ended.is_set()


async def test_what_is_cancelled_before_its_turn_is_never_done(background: Background) -> None:
    begun, may_end, done = threading.Event(), threading.Event(), []

    def hold() -> None:
        begun.set()
        may_end.wait(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background.run, hold)
        await trio.to_thread.run_sync(begun.wait, 10)
        with trio.move_on_after(0.01) as scope:
            await background.run(lambda: done.append(1))
        assert scope.cancelled_caught
        may_end.set()
    assert await background.run(lambda: 1) == 1
    assert not done


async def test_an_abandoned_job_is_not_waited_for(background: Background) -> None:
    may_end = threading.Event()

    def hold() -> None:
        may_end.wait(10)

    with trio.move_on_after(0.01) as scope:
        await background.run(hold, abandon_on_cancel=True)
    assert scope.cancelled_caught
    may_end.set()
