"""What arrived is verified before it is kept, kept for good once it is, and claimed in between."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.config import Fill
from hubfs.errors import ContentMismatch, StoreDamaged, StoreFull
from hubfs.fetch.fetcher import TICK
from hubfs.fetch.plan import BLOCK, WHOLE_UP_TO
from hubfs.fetch.transfer import FAILURE_MEMORY
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange
from hubfs.store.partials import Partial
from tests.fetch.rig import PATIENCE, Rig, listed, logged, running, until
from tests.fetch.samples import sample
from tests.localhub import Fault, File, LocalHub
from tests.store.contents import fetch

LARGE = sample(WHOLE_UP_TO + 4 * MIB)
SMALL = sample(MIB, seed=1)
REPO = "acme/model"
FILES = {"large.bin": LARGE, "small.bin": SMALL, "plain.txt": SMALL[:1000]}


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo(REPO, {name: File(data) for name, data in FILES.items()})
    return hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def corruption(name: str, times: int | None = 1) -> Fault:
    return Fault("corrupt", path=f"{REPO}/{name}", at=500, times=times)


def blobs_below(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.glob("blobs/sha256/*/*")}


def partials_below(cache: Path) -> list[Path]:
    return list(cache.glob("partial/*"))


# --- admission -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
async def test_a_complete_file_becomes_a_blob_named_by_its_hash(
    hub: LocalHub, cache: Path, name: str
) -> None:
    async with running(hub, cache) as rig:
        content, source = listed(hub, REPO, name)
        await rig.fetcher.complete(content, source)
        [(sha256, data)] = blobs_below(cache).items()
        assert data == FILES[name]
        assert rig.store.blobs.find(content) == sha256
        assert partials_below(cache) == []


async def test_a_file_that_is_open_stays_readable_as_it_becomes_a_blob(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache, fill=Fill.ALWAYS) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            assert await rig.read(opened, 0, 10) == LARGE[:10]
            await until(lambda: opened.is_complete)
            assert await rig.read(opened, 0, len(LARGE)) == LARGE


async def test_what_the_disk_has_lost_since_it_was_hashed_is_not_admitted(
    hub: LocalHub, cache: Path, clock: trio.testing.MockClock
) -> None:
    """A claim that fails while an admission waits for its turn: no later sync would tell."""
    content, source = listed(hub, REPO, "large.bin")
    async with running(hub, cache) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            transfer = opened.transfer
            assert transfer is not None
            waiting, rolling = transfer.disk.statistics, transfer.hash
            async with trio.open_nursery() as nursery, transfer.disk:
                nursery.start_soon(fails_to_complete, rig)
                await until(lambda: rolling.position == len(LARGE) and waiting().tasks_waiting)
                transfer.lose_unclaimed()
                transfer.fail(StoreDamaged("the disk has lost a page"))
            await rig.quiet()
            assert blobs_below(cache) == {}
            clock.jump(FAILURE_MEMORY + 1)
            await rig.fetcher.complete(content, source)
    assert [*blobs_below(cache).values()] == [LARGE]


async def fails_to_complete(rig: Rig) -> None:
    with pytest.raises(StoreDamaged):
        await rig.fetcher.complete(*listed(rig.hub, REPO, "large.bin"))


async def test_a_failed_admission_is_tried_again_though_no_byte_is_missing(
    hub: LocalHub,
    cache: Path,
    clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, _ = listed(hub, REPO, "small.bin")
    async with running(hub, cache) as rig:
        fetch(rig.store, content, SMALL).close()  # as a stop leaves it
        with rig.opened(REPO, "small.bin") as opened:
            with monkeypatch.context() as patch:
                patch.setattr(rig.store.blobs, "admit_all", lambda _: [StoreDamaged("bad")])
                with pytest.raises(StoreDamaged):
                    await rig.fetcher.ensure(opened, ByteRange(0, 10))
            clock.jump(FAILURE_MEMORY + 1)
            with trio.fail_after(PATIENCE):
                assert await rig.read(opened, 0, 10) == SMALL[:10]
    assert hub.log.content_bytes() == 0


async def test_wrong_bytes_never_stay_where_an_admission_failed(
    hub: LocalHub,
    cache: Path,
    clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The index had no room: the file was in place already, and what came next went into it."""

    def full(_: object) -> None:
        raise StoreFull("no room")

    async with running(hub, cache) as rig, trio.open_nursery():
        with rig.opened(REPO, "small.bin") as opened:
            with monkeypatch.context() as patch:
                patch.setattr(rig.store.blobs, "record_all", full)
                with pytest.raises(StoreFull):
                    await rig.fetcher.ensure(opened, ByteRange(0, 10))
            assert blobs_below(cache) == {}
            hub.faults.add(corruption("small.bin", times=2))
            clock.jump(FAILURE_MEMORY + 1)
            with pytest.raises(ContentMismatch):
                await rig.fetcher.ensure(opened, ByteRange(0, 10))
        assert blobs_below(cache) == {}
        clock.jump(FAILURE_MEMORY + 1)
        assert await rig.read_file(REPO, "small.bin") == SMALL


# --- wrong bytes -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small.bin", "plain.txt"])
async def test_wrong_bytes_of_a_small_file_are_never_served_and_fetched_again(
    hub: LocalHub, cache: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub.faults.add(corruption(name))
    with caplog.at_level(logging.WARNING, "hubfs"):
        async with running(hub, cache) as rig:
            assert await rig.read_file(REPO, name) == FILES[name]
    [record] = caplog.records
    assert "fetching it again" in record.message
    assert hub.log.content_bytes() == 2 * len(FILES[name])


@pytest.mark.parametrize("name", FILES)
async def test_bytes_that_stay_wrong_are_refused_and_never_admitted(
    hub: LocalHub, cache: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub.faults.add(corruption(name, times=None))
    with caplog.at_level(logging.WARNING, "hubfs"):
        async with running(hub, cache) as rig:
            with pytest.raises(ContentMismatch, match="came for"):
                await rig.fetcher.complete(*listed(hub, REPO, name))
            assert blobs_below(cache) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "twice; it is refused" in caplog.records[1].message
    assert hub.log.content_bytes() == 2 * len(FILES[name])


@pytest.mark.parametrize("name", ["small.bin", "large.bin"])
async def test_wrong_bytes_that_cannot_be_thrown_away_end_no_service(
    hub: LocalHub,
    cache: Path,
    name: str,
    clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.faults.add(corruption(name))

    def full(_: Partial) -> None:
        raise StoreFull("no space left on device")

    async with running(hub, cache) as rig:
        with rig.opened(REPO, name):
            with monkeypatch.context() as patched:
                patched.setattr(Partial, "discard", full)
                with pytest.raises(StoreFull):
                    await rig.fetcher.complete(*listed(hub, REPO, name))
            clock.jump(FAILURE_MEMORY + 1)
            assert await rig.read_file(REPO, name) == FILES[name]


async def test_a_file_that_was_refused_is_had_once_the_hub_is_right_again(
    hub: LocalHub, cache: Path, clock: trio.testing.MockClock
) -> None:
    hub.faults.add(corruption("small.bin", times=2))
    async with running(hub, cache) as rig:
        with rig.opened(REPO, "small.bin") as opened:
            with pytest.raises(ContentMismatch):
                await rig.read(opened, 0, 1)
            clock.jump(FAILURE_MEMORY + 1)
            assert await rig.read(opened, 0, len(SMALL)) == SMALL


async def test_bytes_that_were_hashed_and_come_again_wrong_are_not_admitted(
    hub: LocalHub, cache: Path
) -> None:
    """A server that ignores ranges, as some behind one name may, sends what is here once more."""
    data = sample(24 * MIB, seed=4)
    hub.create_repo("acme/larger", {"model.bin": File(data)})
    async with running(hub, cache, fill=Fill.NEVER, idle_timeout=0.5) as rig:
        with rig.opened("acme/larger", "model.bin") as opened:
            for at in reversed(range(0, 20 * MIB, BLOCK)):  # so that nothing is read ahead
                assert await rig.read(opened, at, at + BLOCK) == data[at : at + BLOCK]
            await rig.quiet()
            hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn", times=None))
            [transfer] = rig.transfers
            with transfer.plan.prefetched():
                rig.fetcher._settler.hash_if_due(transfer)
                await until(lambda: transfer.pulls)
                assert transfer.hash.position == 16 * MIB
                transfer.partial.write(memoryview(b"wrong"), 500)
                transfer.note_arrival(transfer.partial, 0, MIB)
                hub.faults.clear()
                await until(lambda: opened.is_complete)
            assert await rig.read(opened, 0, len(data)) == data
    assert list(blobs_below(cache).values()) == [data]


async def test_a_file_that_may_still_be_written_is_not_admitted(hub: LocalHub, cache: Path) -> None:
    """One server sends a range, slowly, and meanwhile another the whole file."""
    last = f"bytes={10 * MIB}-*"
    hub.faults.add(Fault("stall_after", at=1000, seconds=None, origin="cdn", range=last))
    hub.faults.add(Fault("ignore_range", origin="cdn", range="bytes=0-*"))
    async with running(hub, cache, fill=Fill.NEVER, idle_timeout=3.0) as rig:
        with rig.opened("acme/model", "large.bin") as opened:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read, opened, 10 * MIB, 10 * MIB + 1)
                await logged(hub, lambda log: len(log.requests(origin="cdn")) == 1)
                nursery.start_soon(rig.read, opened, 0, 1)
            [transfer] = rig.transfers
            await until(lambda: transfer.is_admitted)
            assert transfer.plan.is_rangeless
            assert not transfer.pulls


async def test_wrong_bytes_of_a_large_file_are_replaced_and_its_readers_named(
    hub: LocalHub, cache: Path
) -> None:
    """They were served before the last byte could tell: the kernel must drop what it kept."""
    hub.faults.add(corruption("large.bin"))
    async with running(hub, cache, fill=Fill.ALWAYS) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            rig.fetcher.note_opened(opened, 42, ())
            await rig.read(opened, 0, 1)
            assert await rig.fetcher.distrusted.receive() == {42}
            await until(lambda: opened.is_complete)
            assert await rig.read(opened, 0, len(LARGE)) == LARGE
    assert list(blobs_below(cache).values()) == [LARGE]


async def test_readers_that_wait_while_wrong_bytes_are_replaced_get_right_ones(
    hub: LocalHub, cache: Path
) -> None:
    hub.faults.add(corruption("large.bin"))

    async def read(rig: Rig, at: int) -> None:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.fetcher.complete(*listed(hub, REPO, "large.bin"))
            assert await rig.read(opened, at, at + MIB) == LARGE[at : at + MIB]

    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(read, rig, number * MIB)


async def test_what_was_admitted_is_not_touched_by_later_troubles(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        await rig.fetcher.complete(*listed(hub, REPO, "large.bin"))
        before = blobs_below(cache)
        hub.faults.add(corruption("small.bin", times=None))
        with pytest.raises(ContentMismatch):
            await rig.fetcher.complete(*listed(hub, REPO, "small.bin"))
        assert blobs_below(cache) == before


# --- claims ----------------------------------------------------------------------------


async def test_what_arrived_is_claimed_within_seconds(
    hub: LocalHub, cache: Path, clock: trio.testing.MockClock
) -> None:
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            await rig.quiet()
            assert rig.store.partials.held_bytes(opened.content) == 0
            clock.jump(TICK)
            await until(lambda: rig.store.partials.held_bytes(opened.content))
            held = rig.fetcher.cached_bytes(opened.content)
            assert rig.store.partials.held_bytes(opened.content) == held


async def test_the_last_reader_to_leave_has_its_bytes_claimed(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            await rig.quiet()
            held = rig.fetcher.cached_bytes(opened.content)
        await until(lambda: not rig.fetcher._open)
        assert rig.store.partials.held_bytes(opened.content) == held > 0


async def test_a_claim_that_waits_for_its_turn_is_made_at_the_end(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        for number in range(2):  # what hashing or claiming of others may take
            rig.fetcher._settler._limiter.acquire_on_behalf_of_nowait(number)
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            await rig.quiet()
        await until(lambda: rig.transfers[0].is_claiming)
        await trio.testing.wait_all_tasks_blocked()
    async with running(hub, cache) as rig:
        assert rig.fetcher.cached_bytes(listed(hub, REPO, "large.bin")[0]) >= 2 * MIB
