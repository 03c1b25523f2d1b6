"""The scrub at work on a real store: finds, puts right, remembers, rests."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hubfs.control.views import scrub_of
from hubfs.jobs.scrubbing import Scrubber
from hubfs.store.bookmark import Bookmark
from tests.fetch.rig import until
from tests.jobs import rig
from tests.jobs.test_verifying import SIZE, blobs, cache, fill, flip, hub, make_endless
from tests.localhub import LocalHub

__all__ = ["cache", "hub"]


@asynccontextmanager
async def scrubbing(engine: Any, rate: int | None) -> AsyncIterator[Scrubber]:
    scrubber = Scrubber(engine.store, engine.fetcher, rate)
    async with trio.open_nursery() as nursery:
        await nursery.start(scrubber.run)
        yield scrubber
        nursery.cancel_scope.cancel()


async def test_it_finds_sets_aside_and_says_so_once(
    hub: LocalHub, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.time()
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        bad = blobs(cache)[max(blobs(cache))]
        flip(bad)
        async with scrubbing(engine, 1 << 30) as scrubber:
            await until(lambda: scrubber.record.ended_at)
            assert (scrubber.record.files, scrubber.record.size) == (4, SIZE)
            assert scrubber.record.flaws == 1
            shown = scrub_of(scrubber)
            assert (shown.state, shown.size, shown.size_total) == ("resting", SIZE, SIZE)
        assert not bad.exists()
        assert sum("set aside" in each.message for each in caplog.records) == 1
        # A pass that has ended rests, also in the next process.
        async with scrubbing(engine, 1 << 30) as scrubber:
            assert scrubber.record.ended_at >= began
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not scrubber.is_running


async def test_it_goes_on_where_it_was(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        last = max(blobs(cache).values(), key=lambda path: path.name)
        make_endless(last)
        async with scrubbing(engine, 1 << 40) as scrubber:
            await until(lambda: scrubber.record.files == 3)
            # It is kept once a minute; a minute is long for a test.
            await scrubber._keep(scrubber.record)
        os.truncate(last, 100)
        async with scrubbing(engine, 1 << 40) as scrubber:
            assert scrubber.record.files == 3
            await until(lambda: scrubber.record.ended_at)
            assert (scrubber.record.files, scrubber.record.flaws) == (4, 1)


async def test_it_can_be_switched_off_and_on_while_it_runs(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        await fill(engine)
        async with scrubbing(engine, 0) as scrubber:
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert (scrubber.record.files, scrub_of(scrubber).state) == (0, "off")
            scrubber.reconfigure(1 << 30)
            await until(lambda: scrubber.record.ended_at)
            assert scrubber.record.files == 4


async def test_left_to_itself_it_leaves_a_starting_daemon_alone(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine, scrubbing(engine, None) as scrubber:
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (scrubber.is_on, scrubber.is_running) == (True, False)


async def test_what_it_remembers_is_kept(hub: LocalHub, cache: Path) -> None:
    async with rig.engine(hub, cache) as engine:
        bookmark = Bookmark(engine.store.index)
        record = replace(bookmark.load(), after="ab" * 32, files=7, flaws=2)
        bookmark.save(record)
        assert bookmark.load() == record
