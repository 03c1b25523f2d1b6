"""Blobs looked at in threads and put right; whoever has a bad one open gets it anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial as bind
from typing import Protocol, TypeAlias

import trio

from hubfs.fetch.fetcher import Fetcher
from hubfs.store.checkup import Checkup, Diagnosis
from hubfs.store.flaws import Case, Finding


class CalledOff(Exception):
    """Nobody waits for the result any more. Never leaves its thread."""


Pace: TypeAlias = Callable[[int], float]
"""Takes the size of a piece that has been hashed, and says how many seconds to rest after it."""


class InThread(Protocol):
    """Runs something in a thread; cancelling it does not wait for its end."""

    async def __call__(self, work: Callable[[], Diagnosis], /) -> Diagnosis:
        """Return what `work` does."""


class Looker:
    """Looks at one blob at a time for each task that asks."""

    def __init__(self, checkup: Checkup, fetcher: Fetcher, in_thread: InThread) -> None:
        self._checkup = checkup
        self._fetcher = fetcher
        self._in_thread = in_thread

    async def look(self, case: Case, pace: Pace) -> list[Finding]:
        """Hash a blob and put right what is wrong. Cancelling it ends the reading soon.

        `pace` is called in the thread.
        """
        diagnosis = await self._examine(case, pace)
        if not diagnosis.flaws:
            return []
        with trio.CancelScope(shield=True):
            found = await trio.to_thread.run_sync(self._checkup.treat, diagnosis)
        for each in found:
            if each.aside:
                self._fetcher.distrust(each.keys)
        return found

    async def _examine(self, case: Case, pace: Pace) -> Diagnosis:
        is_over = threading.Event()

        def pace_or_end(count: int) -> None:
            if is_over.wait(pace(count)):
                raise CalledOff

        try:
            return await self._in_thread(bind(self._checkup.examine, case, pace_or_end))
        finally:
            is_over.set()
