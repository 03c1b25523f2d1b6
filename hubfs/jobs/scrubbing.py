"""Looks at all blobs, again and again, so slowly that nobody notices: disks lie, bits rot.

It stands behind everything else: one thread of the lowest priority that sleeps
most of the time, and leaves the page cache as it was. What it finds it puts
right, with a line in the log, as a verification does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial as bind
from typing import Final, TypeVar

import trio

from hubfs.background import LAST, Background
from hubfs.errors import StoreError
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.looking import Looker
from hubfs.jobs.scrubplan import rate_for, rest_after, wait_before
from hubfs.store.bookmark import Bookmark
from hubfs.store.census import SHARDS, Amount
from hubfs.store.flaws import Case
from hubfs.store.records import ScrubRecord
from hubfs.store.store import Store

log = logging.getLogger(__name__)

KEEP_EVERY: Final = 60.0
LOOK_EVERY: Final = 3600.0  # at the clock: a machine may have slept
AFTER_TROUBLE: Final = 3600.0

T = TypeVar("T")


class Scrubber:
    """A service. `record` says how far it is, and when it was last done with everything."""

    def __init__(self, store: Store, fetcher: Fetcher, rate: int | None) -> None:
        """Read `rate` bytes per second at most; None for as few as will do, 0 for none."""
        self._census = store.checkup.census
        self._bookmark = Bookmark(store.index)
        self._thread = Background(1, LAST)
        self._looker = Looker(store.checkup, fetcher, self._in_thread)
        self._rate = rate if store.checkup.may_write else 0
        self._may_write = store.checkup.may_write
        self._changed = trio.Event()
        self._kept_at = 0.0
        self._is_started = False
        self.is_running = False
        self.everything = Amount()
        self.record = self._bookmark.load()

    @property
    def is_on(self) -> bool:
        """Whether it is at work, or will be."""
        return self._is_started and self._rate != 0

    def reconfigure(self, rate: int | None) -> None:
        """Go on at another rate."""
        self._rate = rate if self._may_write else 0
        self._changed.set()
        self._changed = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Scrub until cancelled, pass after pass."""
        self._is_started, started_at = True, time.time()
        task_status.started()
        while True:
            await self._wait_until_due(started_at)
            try:
                await self._go_on()
            except StoreError as error:
                log.warning("the cache is not scrubbed for a while: %s", error)
                await trio.sleep(AFTER_TROUBLE)

    async def _wait_until_due(self, started_at: float) -> None:
        while wait := wait_before(self.record, self._rate, started_at, time.time()):
            with trio.move_on_after(min(wait, LOOK_EVERY)):
                await self._changed.wait()

    async def _go_on(self) -> None:
        """Do the rest of a pass; one that is switched off meanwhile stays where it is."""
        if not self.record.after:
            self.record = ScrubRecord(began_at=time.time(), ended_at=self.record.ended_at)
        _, self.everything = await self._in_thread(self._census.amounts)
        self.is_running = True
        try:
            for shard in SHARDS:
                await self._look_at(shard)
        finally:
            self.is_running = False
        if self._rate != 0:
            await self._finish()

    async def _look_at(self, shard: str) -> None:
        if shard < self.record.after[:2] or self._rate == 0:
            return
        for case in await self._in_thread(bind(self._census.cases, shard)):
            if case.sha256 > self.record.after and self._rate != 0:
                await self._look(case)

    async def _look(self, case: Case) -> None:
        found = await self._looker.look(case, bind(self._rest_after, case.size))
        for each in found:
            log.warning("scrub: %s", each)
        self.record = replace(
            self.record,
            after=case.sha256,
            files=self.record.files + 1,
            size=self.record.size + case.size,
            flaws=self.record.flaws + len(found),
        )
        if found or time.monotonic() - self._kept_at > KEEP_EVERY:
            await self._keep(self.record)

    def _rest_after(self, blob: int, count: int) -> float:
        # Someone may have switched it off meanwhile: then what is left of the blob can wait.
        rate = rate_for(self._rate, self.everything.size, blob)
        return rest_after(count, rate) if rate else LOOK_EVERY

    async def _finish(self) -> None:
        done = replace(self.record, after="", ended_at=time.time())
        await self._keep(done)
        self.record = done
        log.info("scrubbed %d blobs, %d flaws", done.files, done.flaws)

    async def _keep(self, record: ScrubRecord) -> None:
        self._kept_at = time.monotonic()
        await self._in_thread(bind(self._bookmark.save, record))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do `work` in the thread that comes last; cancelling it does not wait for the end."""
        return await self._thread.run(work, abandon_on_cancel=True)
