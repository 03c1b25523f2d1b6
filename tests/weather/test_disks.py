"""Disks that are full, fill up, or may not be written: readers get their bytes all the same."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from hubfs.config import Fill
from hubfs.fetch.fetcher import TICK
from hubfs.fetch.transfer import FAILURE_MEMORY
from hubfs.model.content import MIB
from tests.fetch.rig import Rig, listed, running
from tests.fetch.samples import sample
from tests.localhub import Fault, File, LocalHub
from tests.store.disks import PAGE, fill_up, remount_read_only
from tests.weather.conftest import Disk
from tests.weather.memory import resize

LARGE = sample(12 * MIB + 321)
SMALL = sample(200_000, seed=1)
REPO = "acme/model"
FILES = {"large.bin": LARGE, "small.bin": SMALL, "plain.txt": SMALL[:60_000]}
PAGES = -(-len(SMALL) // PAGE)


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo(REPO, {name: File(data) for name, data in FILES.items()})
    return hub


def is_blob(rig: Rig, name: str) -> bool:
    return rig.store.blobs.find(listed(rig.hub, REPO, name)[0]) is not None


def few_lines(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the log tells of a trouble without being flooded by it."""
    return 0 < len([each for each in caplog.records if each.levelno >= logging.WARNING]) < 30


# --- full ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
async def test_what_cannot_be_kept_is_served_all_the_same_and_kept_once_there_is_room(
    hub: LocalHub,
    disk: Disk,
    hurry: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    root = disk(1)
    async with running(hub, root / "cache") as rig:
        filler = fill_up(root)
        with rig.opened(REPO, name) as opened:
            size = opened.content.size
            for start in range(0, size, MIB):
                assert await rig.read(opened, start, start + MIB) == FILES[name][start:][:MIB]
            assert await rig.read(opened, size // 2, size) == FILES[name][size // 2 :]
        assert not is_blob(rig, name)
        assert few_lines(caplog)
        assert any("No space left" in each.message for each in caplog.records)
        filler.unlink()
        resize(root, 64)
        hurry.jump(FAILURE_MEMORY)
        await rig.fetcher.complete(*listed(hub, REPO, name))
        assert is_blob(rig, name)
        assert await rig.read_file(REPO, name) == FILES[name]


async def test_a_disk_that_fills_up_under_a_download_fails_no_reader(
    hub: LocalHub, disk: Disk, hurry: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    root = disk(6)
    async with running(hub, root / "cache", fill=Fill.ALWAYS) as rig:

        async def read(name: str) -> None:
            assert await rig.read_file(REPO, name, 128 << 10) == FILES[name]

        async with trio.open_nursery() as nursery:
            for name in 2 * list(FILES):
                nursery.start_soon(read, name)
        assert not is_blob(rig, "large.bin")
        assert few_lines(caplog)


@pytest.mark.parametrize("pages", [0, 1, 3, PAGES - 1, PAGES, *range(PAGES + 1, PAGES + 24, 2)])
async def test_wherever_on_the_way_to_a_blob_the_disk_is_full_the_bytes_are_right(
    hub: LocalHub,
    disk: Disk,
    hurry: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    pages: int,
) -> None:
    root = disk(2)
    async with running(hub, root / "cache") as rig:
        filler = fill_up(root, but_for=pages)
        assert await rig.read_file(REPO, "small.bin") == SMALL
        hurry.jump(TICK)
        await rig.quiet()
        filler.unlink()
        hurry.jump(FAILURE_MEMORY)
        assert await rig.read_file(REPO, "small.bin") == SMALL
        await rig.fetcher.complete(*listed(hub, REPO, "small.bin"))
        assert is_blob(rig, "small.bin")
    assert len(caplog.records) < 30
    async with running(hub, root / "cache") as rig:
        hub.log.clear()
        assert await rig.read_file(REPO, "small.bin") == SMALL
        assert len(hub.log) == 0


async def test_wrong_bytes_on_a_full_disk_are_not_served_and_end_nothing(
    hub: LocalHub, disk: Disk, hurry: trio.testing.MockClock
) -> None:
    root = disk(2)
    hub.faults.add(Fault("corrupt", path="small.bin", at=5))
    async with running(hub, root / "cache") as rig:
        fill_up(root, but_for=PAGES + 1)
        assert await rig.read_file(REPO, "small.bin") == SMALL
        assert await rig.read_file(REPO, "plain.txt") == FILES["plain.txt"]


async def test_what_is_a_blob_is_read_on_a_full_disk_and_after_a_restart_on_it(
    hub: LocalHub, disk: Disk
) -> None:
    root = disk(2)
    async with running(hub, root / "cache") as rig:
        await rig.fetcher.complete(*listed(hub, REPO, "small.bin"))
        fill_up(root)
        assert await rig.read_file(REPO, "small.bin") == SMALL
    hub.log.clear()
    async with running(hub, root / "cache") as rig:
        assert await rig.read_file(REPO, "small.bin") == SMALL
        assert len(hub.log) == 0
        assert await rig.read_file(REPO, "plain.txt") == FILES["plain.txt"]


# --- read-only -------------------------------------------------------------------------


async def test_a_cache_that_may_not_be_written_serves_what_it_has_and_passes_on_the_rest(
    hub: LocalHub, disk: Disk, hurry: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    root = disk(32)
    async with running(hub, root / "cache", fill=Fill.NEVER) as rig:
        await rig.fetcher.complete(*listed(hub, REPO, "small.bin"))
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 4 * MIB, 5 * MIB)
    remount_read_only(root)
    hub.log.clear()
    async with running(hub, root / "cache", fill=Fill.NEVER) as rig:
        assert await rig.read_file(REPO, "small.bin") == SMALL
        assert len(hub.log) == 0
        for name in ("large.bin", "plain.txt"):
            assert await rig.read_file(REPO, name, 512 << 10) == FILES[name]
        assert hub.log.content_bytes() <= len(LARGE) + 60_000
    assert few_lines(caplog)
