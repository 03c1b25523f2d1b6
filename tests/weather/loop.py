"""A fetcher on an event loop of its own, driven step by step from a test that has none."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import outcome
import trio
import trio.testing

from hubfs.errors import HubfsError
from tests.fetch.rig import PATIENCE, Rig, running, until
from tests.localhub import LocalHub

T = TypeVar("T")


class Loop:
    """One life of a fetcher, from its construction to `stop`.

    Its clock is `haste` times as fast as the world's: pauses are short,
    sockets are as they are.
    """

    def __init__(self, hub: LocalHub, cache: Path, *, haste: float = 1, **settings: Any) -> None:
        """Start it; it serves when this returns."""
        self._hub, self._cache, self._settings = hub, cache, settings
        self._clock = trio.testing.MockClock(rate=haste)
        self._begun: queue.Queue[tuple[Rig, trio.lowlevel.TrioToken, trio.Event]] = queue.Queue()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._live, name="fetcher")
        self._thread.start()
        self.rig, self._token, self._over = self._begun.get(timeout=PATIENCE)

    def _live(self) -> None:
        try:
            trio.run(self._main, clock=self._clock)
        except BaseException as error:  # noqa: BLE001 - told by `stop`
            self._failures.append(error)

    async def _main(self) -> None:
        async with running(self._hub, self._cache, **self._settings) as rig:
            over = trio.Event()
            self._begun.put((rig, trio.lowlevel.current_trio_token(), over))
            await over.wait()

    def call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """What `function` returns or raises on the loop."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)

    def call_impatiently(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """The same, but each trouble takes all the time that patience lasts."""

        async def watch() -> None:
            while True:
                await self._new_trouble(self._troubles())
                self._clock.jump(self._settings["patience"])

        async def run() -> T:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                captured = await outcome.acapture(function, *arguments)
                nursery.cancel_scope.cancel()
            return captured.unwrap()

        return self.call(run)

    async def _new_trouble(self, before: set[HubfsError]) -> None:
        await until(lambda: self._troubles() - before, math.inf)

    def _troubles(self) -> set[HubfsError]:
        return {each._last_trouble for each in self.rig.transfers if each._last_trouble}

    def do(self, function: Callable[..., T], *arguments: object) -> T:
        """The same for a function that does not wait."""
        return trio.from_thread.run_sync(function, *arguments, trio_token=self._token)

    def jump(self, seconds: float) -> None:
        """Let so much of its time pass."""
        self.do(self._clock.jump, seconds)

    def stop(self) -> None:
        """End it in the daemon's order; an error that ended it before is raised."""
        if not self._failures:
            self.do(self._over.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._failures:
            raise self._failures[0]
