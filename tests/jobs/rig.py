"""An engine at work on a local Hub, without a mount; stopped in the daemon's order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from hubfs.config import CacheSettings, FetchSettings, Settings
from hubfs.control.roles import Role
from hubfs.daemon.engine import Engine, built, services
from hubfs.jobs.queue import JobQueue, Wanted
from hubfs.jobs.states import JobKind, has_ended
from hubfs.store.records import JobRecord
from tests.localhub import LocalHub

PATIENCE = 60.0
UNBOUNDED = CacheSettings()


@asynccontextmanager
async def engine(
    hub: LocalHub,
    cache: Path,
    *,
    role: Role = Role.MOUNT,
    budget: CacheSettings = UNBOUNDED,
    **fetching: Any,
) -> AsyncIterator[Engine]:
    """The parts of a daemon but for its mount."""
    chosen = FetchSettings(**fetching)
    settings = Settings(None, cache, hub.endpoint, fetch=chosen, cache=budget)
    with built(settings, role) as engine:
        async with services(engine) as nursery:
            try:
                yield engine
            finally:
                engine.stop()
                nursery.cancel_scope.cancel()


def download(repo: str, *include: str, exclude: tuple[str, ...] = ()) -> Wanted:
    """A wish for files of a repo."""
    arguments = {"repo": repo, "revision": "", "include": [*include], "exclude": [*exclude]}
    return Wanted(JobKind.DOWNLOAD, arguments)


def sync(repo: str, eager_size: int = 1 << 20) -> Wanted:
    """A wish for a repo's metadata."""
    return Wanted(JobKind.SYNC, {"repo": repo, "revision": "", "eager_size": eager_size})


async def ended(jobs: JobQueue, number: int) -> JobRecord:
    """Wait for a job's end, and return it."""
    with trio.fail_after(PATIENCE), jobs.watching() as watcher:
        while not has_ended(jobs.find(number)):
            await watcher.changes()
    return jobs.find(number)


async def until_moved(jobs: JobQueue, number: int) -> JobRecord:
    """Wait until a job has brought some bytes."""
    with trio.fail_after(PATIENCE), jobs.watching() as watcher:
        while not jobs.find(number).size:
            await watcher.changes()
    return jobs.find(number)
