"""How much more may be fetched into the cache: set by who keeps the budget, spent by who asks."""

from __future__ import annotations

import math
from typing import Final

import trio

LONGEST_WAIT: Final = 2.0


class Room:
    """Without anybody who keeps a budget, there is always room."""

    def __init__(self) -> None:
        self.left = math.inf
        self.most = math.inf  # that can be here at once, were all the rest deleted
        self.reason = ""  # why nothing new is kept, as long as it is so
        self.is_disk_full = False
        self._news = trio.Event()
        self._allowed = trio.Event()

    @property
    def is_tight(self) -> bool:
        """Whether nothing can be deleted to make room, so that nothing new is kept."""
        return bool(self.reason)

    def could_hold(self, size: int) -> bool:
        """Whether so many bytes could ever be here."""
        return size <= self.most

    def allow(self, left: float, reason: str) -> None:
        """So much may be asked for from now on; with a `reason`, nothing new at all."""
        self.left, self.reason = left, reason
        self._allowed.set()
        self._allowed = trio.Event()

    async def wait_for_room(self) -> None:
        """Wait until there is room, or is said to be none; but not long: readers go first."""
        with trio.move_on_after(LONGEST_WAIT):
            while self.left <= 0 and not self.is_tight:
                self.wake()
                await self._allowed.wait()

    def take(self, count: int) -> None:
        """So many bytes have been asked for."""
        self.left -= count
        if self.left <= 0:
            self.wake()

    def note_disk_full(self) -> None:
        """The disk has refused bytes, whatever it says of its room."""
        self.is_disk_full = True
        self.wake()

    def wake(self) -> None:
        """Whoever keeps the budget shall look now."""
        self._news.set()

    async def wait_for_news(self) -> None:
        """Wait until there is a reason to look."""
        await self._news.wait()
        self._news = trio.Event()
