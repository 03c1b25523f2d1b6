"""A fetcher whose cache is kept within a budget, on a local Hub."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from hubfs.budget.evictor import Evictor
from hubfs.config import CacheSettings
from hubfs.config.amounts import Amount
from hubfs.model.content import MIB
from tests.fetch.rig import Rig, running
from tests.localhub import LocalHub

NO_FLOOR = Amount(0)


def budget(mebibytes: float) -> CacheSettings:
    """So much and no more; the disk may be full otherwise."""
    return CacheSettings(Amount(int(mebibytes * MIB)), NO_FLOOR)


@asynccontextmanager
async def keeping(
    hub: LocalHub, directory: Path, cache: CacheSettings, **fetching: Any
) -> AsyncIterator[tuple[Rig, Evictor]]:
    """Both at work, and stopped in the daemon's order."""
    async with running(hub, directory, **fetching) as rig:
        evictor = Evictor(rig.store, rig.fetcher, cache)
        async with trio.open_nursery() as nursery:
            await nursery.start(evictor.run)
            yield rig, evictor
            nursery.cancel_scope.cancel()
        evictor.close()


def files_in(directory: Path) -> list[Path]:
    """The files of blobs and partials."""
    return [*directory.glob("blobs/sha256/*/*"), *directory.glob("partial/*")]


def taken(directory: Path) -> int:
    """What they take on disk, looked at one by one."""
    total = 0
    for path in files_in(directory):
        with contextlib.suppress(FileNotFoundError):  # evicted just now
            total += path.stat().st_blocks * 512
    return total
