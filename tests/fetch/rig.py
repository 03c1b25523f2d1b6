"""A fetcher at work on a local Hub: store, client and service, without a mount."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from hubfs.config import FetchSettings
from hubfs.errors import StoreFull
from hubfs.fetch.fetcher import Fetcher
from hubfs.fetch.opened import OpenContent
from hubfs.fetch.transfer import Transfer
from hubfs.hub.content import ContentClient
from hubfs.hub.credentials import Credentials
from hubfs.hub.pace import Breaker, RateLimits
from hubfs.model.content import MIB, Content, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.reading import read_blocking
from hubfs.store.store import Store
from tests.localhub import LocalHub
from tests.localhub.log import RequestLog

PATIENCE = 60.0
"""Seconds that nothing takes on the busiest machine; only a failing test waits so long."""


@dataclass(frozen=True)
class Rig:
    """The parts, and what a file system does with them."""

    hub: LocalHub
    store: Store
    client: ContentClient
    fetcher: Fetcher

    def open(self, repo_id: str, path: str) -> OpenContent:
        """Open a file of the hub as it is at the head of its repo."""
        return self.fetcher.open(*listed(self.hub, repo_id, path))

    @contextmanager
    def opened(self, repo_id: str, path: str) -> Iterator[OpenContent]:
        """Open a file, and release it in the end."""
        opened = self.open(repo_id, path)
        try:
            yield opened
        finally:
            self.fetcher.release(opened)

    async def read(self, opened: OpenContent, start: int, stop: int) -> bytes:
        """Read as a file system does: from the file, or around it when it cannot be written."""
        span = ByteRange(start, stop).clipped(opened.content.size)
        try:
            await self.fetcher.ensure(opened, span)
        except StoreFull:
            return bytes(await self.fetcher.read_direct(opened, span))
        data = await trio.to_thread.run_sync(
            read_blocking, opened.descriptor, span.start, span.size
        )
        return bytes(data)

    async def read_file(self, repo_id: str, path: str, step: int = MIB) -> bytes:
        """Open a file, read it from its beginning to its end, and release it."""
        with self.opened(repo_id, path) as opened:
            starts = range(0, opened.content.size, step)
            return b"".join([await self.read(opened, at, at + step) for at in starts])

    @property
    def transfers(self) -> list[Transfer]:
        """What is being fetched, or was and is still open."""
        return [each.transfer for each in self.fetcher._open.values() if each.transfer]

    async def quiet(self) -> None:
        """Wait until nothing is fetched, hashed or claimed: unless asked, nothing will be."""
        await until(lambda: not any(each.is_at_work for each in self.transfers))
        await logged(self.hub, lambda log: not log._open)


@asynccontextmanager
async def running(
    hub: LocalHub, directory: Path, *, offline: bool = False, **settings: Any
) -> AsyncIterator[Rig]:
    """A running fetcher on `directory`; stopped and closed in the daemon's order after."""
    chosen = FetchSettings(**settings)
    store = Store(directory)
    client = client_of(hub, chosen.idle_timeout, offline=offline)
    rig = Rig(hub, store, client, Fetcher(store, client, chosen))
    try:
        async with _service(rig.fetcher):
            yield rig
    finally:
        rig.fetcher.close()
        client.close()
        store.close()


@asynccontextmanager
async def _service(fetcher: Fetcher) -> AsyncIterator[None]:
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(fetcher.run)
            try:
                yield
            finally:
                fetcher.stop()
    except BaseExceptionGroup as group:
        # One failure, the test's or the service's, is shown as what it is.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def client_of(
    hub: LocalHub, idle_timeout: float = PATIENCE, *, offline: bool = False
) -> ContentClient:
    """A client of the hub with the token that opens everything."""
    credentials = Credentials(hub.endpoint, token="hf_test")
    return ContentClient(
        hub.endpoint,
        credentials,
        RateLimits(),
        Breaker(),
        idle_timeout=idle_timeout,
        offline=offline,
    )


def listed(hub: LocalHub, repo_id: str, path: str) -> tuple[Content, Source]:
    """What the listing of the repo's head says of a file."""
    commit = hub.repo(repo_id).head
    found = commit.tree.files[path]
    promise = {"sha256": found.sha256} if found.sha256 else {"git_oid": found.oid}
    return Content(found.size, **promise), Source(repo_id, commit.oid, path)


# --- waiting ---------------------------------------------------------------------------


class _Watch(trio.abc.Instrument):
    """Looks, after each step of any task, whether something has come true."""

    def __init__(self, is_reached: Callable[[], object]) -> None:
        self._is_reached = is_reached
        self.reached = trio.Event()

    def after_task_step(self, _: trio.lowlevel.Task) -> None:
        if not self.reached.is_set() and self._is_reached():
            self.reached.set()


async def until(is_reached: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something that only tasks of this loop change has come true.

    Raises:
        TooSlowError: it did not in time.
    """
    watch = _Watch(is_reached)
    trio.lowlevel.add_instrument(watch)
    try:
        with trio.fail_after(seconds):
            await watch.reached.wait()
    finally:
        trio.lowlevel.remove_instrument(watch)


async def logged(
    hub: LocalHub, is_reached: Callable[[RequestLog], bool], seconds: float = PATIENCE
) -> None:
    """Wait until the hub's log says so.

    Raises:
        TimeoutError: it did not in time.
    """
    await trio.to_thread.run_sync(hub.log.wait_until, is_reached, seconds, abandon_on_cancel=True)
