"""Blobs looked at in threads and put right; whoever has a bad one open gets it anew."""

from __future__ import annotations

import threading
from collections.abc import Callable

import trio

from hubfs.fetch.fetcher import Fetcher
from hubfs.store.checkup import Checkup, Diagnosis
from hubfs.store.flaws import LOSSES, Case, Finding, Flaw


class CalledOff(Exception):
    """Nobody waits for the result any more. Never leaves its thread."""


class Looker:
    """Looks at one blob at a time for each task that asks."""

    def __init__(self, checkup: Checkup, fetcher: Fetcher, threads: int) -> None:
        self._checkup = checkup
        self._fetcher = fetcher
        self._limiter = trio.CapacityLimiter(threads)

    async def look(self, case: Case, pace: Callable[[int], None]) -> list[Finding]:
        """Hash a blob and put right what is wrong. Cancelling it ends the reading soon.

        `pace` is called in the thread, after each piece.
        """
        diagnosis = await self._examine(case, pace)
        if not diagnosis.flaws:
            return []
        with trio.CancelScope(shield=True):
            found = await trio.to_thread.run_sync(self._checkup.treat, diagnosis)
        for each in found:
            if each.flaw in LOSSES and each.flaw is not Flaw.MISSING:
                self._fetcher.distrust(each.keys)
        return found

    async def _examine(self, case: Case, pace: Callable[[int], None]) -> Diagnosis:
        is_over = threading.Event()

        def pace_or_end(count: int) -> None:
            if is_over.is_set():
                raise CalledOff
            pace(count)

        try:
            return await trio.to_thread.run_sync(
                self._checkup.examine,
                case,
                pace_or_end,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        finally:
            is_over.set()
