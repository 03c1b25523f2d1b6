"""Bytes on demand: right, shared, no more than asked for, and kept."""

from __future__ import annotations

import logging
import random
import threading
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.config import Fill
from hubfs.errors import FetchFailed, FetchStopped, HubfsError, Offline, RepoNotFound
from hubfs.fetch.opened import OpenContent
from hubfs.fetch.plan import BLOCK, WHOLE_UP_TO
from hubfs.fetch.transfer import FAILURE_MEMORY
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange
from tests.fetch.rig import PATIENCE, Rig, listed, logged, running, until
from tests.fetch.samples import sample
from tests.localhub import Fault, LocalHub

KIB = 1 << 10
DATA = sample(32 * MIB + 4321)
SMALL = sample(WHOLE_UP_TO - 5, seed=2)
REPO, NAME = "acme/model", "model.bin"


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    files = {NAME: DATA, "small.bin": SMALL, "config.json": b'{"a": 1}', "empty": b""}
    hub.create_repo(REPO, files)
    return hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def check_read(rig: Rig, opened: OpenContent, start: int, stop: int) -> None:
    assert await rig.read(opened, start, stop) == DATA[start:stop]


# --- right bytes -----------------------------------------------------------------------


async def test_any_part_of_a_file_is_what_the_hub_has(hub: LocalHub, cache: Path) -> None:
    chance = random.Random(3)
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            for _ in range(40):
                start = chance.randrange(len(DATA))
                await check_read(rig, opened, start, min(start + chance.randrange(MIB), len(DATA)))


@pytest.mark.parametrize(("name", "data"), [("small.bin", SMALL), ("config.json", b'{"a": 1}')])
async def test_a_small_file_is_fetched_whole_at_the_first_touch_and_once(
    hub: LocalHub, cache: Path, name: str, data: bytes
) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, name) as opened:
            assert await rig.read(opened, 0, 1) == data[:1]
            assert opened.is_complete
            assert await rig.read(opened, 0, len(data)) == data
    assert hub.log.content_bytes() == len(data)


async def test_an_empty_file_is_there_without_a_request(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, "empty") as opened:
            assert opened.is_complete
            assert rig.fetcher.cached_bytes(opened.content) == 0
        await rig.fetcher.complete(*listed(hub, REPO, "empty"))
    assert len(hub.log) == 0


async def test_what_is_a_blob_is_read_without_a_request(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig:
        await rig.fetcher.complete(*listed(hub, REPO, NAME))
    hub.close()
    async with running(hub, cache) as rig:
        assert await rig.read_file(REPO, NAME) == DATA


# --- every byte once -------------------------------------------------------------------


async def test_many_readers_of_a_file_share_its_bytes(hub: LocalHub, cache: Path) -> None:
    async def read_forward(rig: Rig, step: int) -> None:
        assert await rig.read_file(REPO, NAME, step) == DATA

    async def read_at_random(rig: Rig, seed: int) -> None:
        chance = random.Random(seed)
        with rig.opened(REPO, NAME) as opened:
            for start in chance.choices(range(len(DATA) - MIB), k=10):
                await check_read(rig, opened, start, start + chance.randrange(MIB))

    async with running(hub, cache) as rig:
        async with trio.open_nursery() as nursery:
            for number in range(16):
                nursery.start_soon(read_forward, rig, MIB >> number % 3)
            for number in range(48):
                nursery.start_soon(read_at_random, rig, number)
        await rig.quiet()
    assert hub.log.content_bytes() == len(DATA)


async def test_readers_of_two_names_of_a_content_share_its_bytes(
    hub: LocalHub, cache: Path
) -> None:
    hub.create_repo("other/copy", {"again.bin": DATA})
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as first, rig.opened("other/copy", "again.bin") as second:
            assert first is second
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read_file, REPO, NAME)
                nursery.start_soon(rig.read_file, "other/copy", "again.bin")
        await rig.quiet()
        await rig.fetcher.complete(*listed(hub, "other/copy", "again.bin"))
    assert hub.log.content_bytes() == len(DATA)


async def test_a_read_here_and_there_costs_its_blocks_alone(hub: LocalHub, cache: Path) -> None:
    blocks = [13, 8, 3]  # backwards, as no stream goes
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            for block in blocks:
                await check_read(rig, opened, block * BLOCK + 7, block * BLOCK + 4 * KIB)
            await rig.quiet()
            assert rig.fetcher.cached_bytes(opened.content) == len(blocks) * BLOCK
    assert hub.log.content_bytes() == len(blocks) * BLOCK


async def test_an_address_is_resolved_once_for_many_ranges(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig:
        assert await rig.read_file(REPO, NAME) == DATA
    assert len(hub.log.requests(origin="hub")) == 1
    assert len(hub.log.requests(origin="cdn")) > 1


# --- readers that give up --------------------------------------------------------------


async def test_a_reader_that_gives_up_does_not_stop_the_download(
    hub: LocalHub, cache: Path
) -> None:
    hub.rtt = 0.05
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read, opened, 0, 1)
                await until(lambda: opened.transfer and opened.transfer.pulls)
                nursery.cancel_scope.cancel()
            await check_read(rig, opened, 0, 1)
            await rig.quiet()
    assert hub.log.content_bytes() == BLOCK
    assert len(hub.log.requests(origin="cdn")) == 1


async def test_a_reader_that_gives_up_is_missed_by_nobody(hub: LocalHub, cache: Path) -> None:
    hub.rtt = 0.05
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            leaving = trio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await rig.read(opened, 0, len(DATA))

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(check_read, rig, opened, 0, len(DATA))
                nursery.start_soon(leave)
                await until(lambda: opened.transfer and opened.transfer.pulls)
                leaving.cancel()
            await rig.quiet()
            assert opened.transfer is not None
            assert not opened.transfer.plan.demands
    assert hub.log.content_bytes() == len(DATA)


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_read_that_outlives_its_file_is_answered_and_leaves_nothing_open(
    hub: LocalHub, cache: Path, has_begun: bool
) -> None:
    """Of a killed program the RELEASE may come before its READ has been answered."""
    hub.create_repo("other/model", {NAME: DATA[::-1]})
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn"))
    async with running(hub, cache, max_connections=1, idle_timeout=0.5) as rig:
        with rig.opened("other/model", NAME) as other, trio.fail_after(PATIENCE / 4):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read, other, 0, 1)
                await logged(hub, lambda log: len(log.requests(origin="cdn")) == 1)
                opened = rig.open(REPO, NAME)
                nursery.start_soon(rig.fetcher.ensure, opened, ByteRange(0, 1))
                await until(lambda: opened.transfer if has_begun else opened.opening.locked())
                rig.fetcher.release(opened)
        assert await rig.read_file(REPO, NAME) == DATA
        await until(lambda: not rig.fetcher.opened)
        assert files_open_below(cache / "partial") == []
        with pytest.raises(FetchStopped):
            await rig.fetcher.ensure(opened, ByteRange(0, len(DATA)))


@pytest.mark.parametrize("is_blob", [False, True])
async def test_what_is_closed_is_not_here_though_all_of_it_was(
    hub: LocalHub, cache: Path, is_blob: bool
) -> None:
    """The numbers of its descriptors may be those of other files by now."""
    async with running(hub, cache) as rig:
        for _ in range(1 + is_blob):  # first a transfer's file, then a blob's
            opened = rig.open(REPO, "small.bin")
            assert await rig.read(opened, 0, len(SMALL)) == SMALL
            await until(lambda: not rig.fetcher.under_way[0])
            assert opened.is_complete
            rig.fetcher.release(opened)
            await until(lambda: not rig.fetcher.opened)
        assert opened.at_hand(ByteRange(0, 1)) is None
        with pytest.raises(FetchStopped):
            await rig.fetcher.ensure(opened, ByteRange(0, 1))


class Distrusting(trio.abc.Instrument):
    """Gives a blob up as soon as it is one, before those who waited for it can go on."""

    def __init__(self, opened: OpenContent) -> None:
        self.opened = opened
        self.is_done = False

    def after_task_step(self, _: trio.lowlevel.Task) -> None:
        if self.opened.is_complete and not self.is_done:
            self.is_done = True
            self.opened.distrust()


async def test_who_waited_for_a_blob_that_is_given_up_at_once_is_served_all_the_same(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, "small.bin") as opened:
            distrusting = Distrusting(opened)
            trio.lowlevel.add_instrument(distrusting)
            assert await rig.read(opened, 0, len(SMALL)) == SMALL
            trio.lowlevel.remove_instrument(distrusting)
            assert distrusting.is_done


async def test_what_nobody_waits_for_any_more_is_not_asked_for(hub: LocalHub, cache: Path) -> None:
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn", times=None))
    async with running(hub, cache, max_connections=1, idle_timeout=0.5) as rig:
        with rig.opened(REPO, NAME) as opened:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read, opened, 0, 1)
                nursery.start_soon(rig.read, opened, 20 * MIB, 20 * MIB + 1)
                await logged(hub, lambda log: len(log.requests(origin="cdn")) == 1)
                nursery.cancel_scope.cancel()
            await rig.quiet()
    assert len(hub.log.requests(origin="cdn")) == 1


# --- filling ---------------------------------------------------------------------------


async def read_backwards(rig: Rig, opened: OpenContent, share: float) -> int:
    """Touch a share of the blocks, last ones first, as no stream does; return their bytes."""
    count = len(DATA) // BLOCK
    blocks = range(count - 1, count - 1 - round(count * share), -1)
    for block in blocks:
        await check_read(rig, opened, block * BLOCK, block * BLOCK + BLOCK)
    return len(blocks) * BLOCK


async def test_a_file_read_for_a_small_part_is_not_filled(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            size = await read_backwards(rig, opened, 0.2)
            await rig.quiet()
            assert rig.fetcher.cached_bytes(opened.content) == size


async def test_a_file_read_for_a_large_part_is_filled_and_becomes_a_blob(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            await read_backwards(rig, opened, 0.3)
            await until(lambda: opened.is_complete)
            assert rig.store.blobs.find(opened.content) == opened.content.sha256
    assert hub.log.content_bytes() == len(DATA)


async def test_a_fill_goes_on_when_its_reader_has_left(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            await read_backwards(rig, opened, 0.3)
        await until(lambda: rig.store.blobs.find(opened.content))
        await rig.quiet()
        assert not rig.fetcher._open


def is_at_hand(opened: OpenContent, span: ByteRange) -> bool:
    return opened.at_hand(span) is not None


async def test_a_reader_of_what_is_at_hand_finds_more_at_hand(hub: LocalHub, cache: Path) -> None:
    """It asks for nothing: that it reads on is enough, each time."""
    size = 80 * MIB
    hub.create_repo("acme/long", {NAME: sample(size)})
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened("acme/long", NAME) as opened, trio.fail_after(PATIENCE):
            for start in range(0, 12 * MIB, MIB):
                await rig.read(opened, start, start + MIB)
            for start in range(12 * MIB, size, MIB):
                span = ByteRange(start, start + MIB)
                await until(partial(is_at_hand, opened, span))
                await trio.to_thread.run_sync(rig.fetcher.note_served, opened, span)


async def test_never_means_that_nothing_but_what_is_read_comes(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, NAME) as opened:
            size = await read_backwards(rig, opened, 0.9)
            await rig.quiet()
            assert rig.fetcher.cached_bytes(opened.content) == size
    assert hub.log.content_bytes() == size


async def test_always_means_that_one_byte_brings_the_whole(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, fill=Fill.ALWAYS) as rig:
        with rig.opened(REPO, NAME) as opened:
            await check_read(rig, opened, 9 * MIB, 9 * MIB + 1)
            await until(lambda: opened.is_complete)
    assert hub.log.content_bytes() == len(DATA)


@pytest.mark.parametrize("connections", [1, 2, 16])
async def test_a_file_can_be_completed_over_any_number_of_connections(
    hub: LocalHub, cache: Path, connections: int
) -> None:
    async with running(hub, cache, max_connections=connections) as rig:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(rig.fetcher.complete, *listed(hub, REPO, NAME))
        assert await rig.read_file(REPO, NAME) == DATA
    assert hub.log.content_bytes() == len(DATA)


async def test_a_rate_is_kept_to(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, limit_rate=8 * MIB) as rig:
        began = trio.current_time()
        with rig.opened(REPO, NAME) as opened:
            await check_read(rig, opened, 0, 2 * MIB)
            await check_read(rig, opened, 20 * MIB, 22 * MIB)
        assert trio.current_time() - began >= 0.5 - 0.125 - 0.02


# --- failing ---------------------------------------------------------------------------


async def test_patience_ends_and_says_why_and_the_next_reader_finds_the_hub_back(
    hub: LocalHub, cache: Path, clock: trio.testing.MockClock
) -> None:
    hub.down()
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:

            async def lose_patience() -> None:
                await until(lambda: opened.transfer and opened.transfer.failures)
                clock.jump(600)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(lose_patience)
                with pytest.raises(FetchFailed, match="cannot be reached") as caught:
                    await rig.read(opened, 0, 1)
            assert REPO in str(caught.value)
            hub.up()
            clock.jump(10)
            await check_read(rig, opened, 0, 1)


async def test_a_refusal_is_remembered_for_a_while_and_then_asked_anew(
    hub: LocalHub, cache: Path, clock: trio.testing.MockClock
) -> None:
    place = listed(hub, REPO, NAME)
    hub.delete_repo(REPO)
    async with running(hub, cache) as rig:
        opened = rig.fetcher.open(*place)
        for _ in range(5):
            with pytest.raises(RepoNotFound):
                await rig.read(opened, 0, 1)
        asked = len(hub.log)
        hub.create_repo(REPO, {NAME: DATA}, date=None)
        hub.repo(REPO).commits[place[1].commit] = hub.repo(REPO).head
        with pytest.raises(RepoNotFound):
            await rig.read(opened, 0, 1)
        assert len(hub.log) == asked
        clock.jump(FAILURE_MEMORY + 1)
        await check_read(rig, opened, 0, 1)
        rig.fetcher.release(opened)
    assert asked == 1


async def test_a_refused_place_is_left_for_another_that_has_the_content(
    hub: LocalHub, cache: Path
) -> None:
    hub.create_repo("other/copy", {"again.bin": DATA})
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as first:
            await check_read(rig, first, 0, 1)
            with rig.opened("other/copy", "again.bin") as second:
                hub.delete_repo(REPO)
                hub.expire_signatures()
                await check_read(rig, second, 20 * MIB, 20 * MIB + 1)
                await rig.fetcher.complete(*listed(hub, "other/copy", "again.bin"))


async def test_all_places_named_before_the_first_byte_are_tried(hub: LocalHub, cache: Path) -> None:
    hub.create_repo("other/copy", {"again.bin": DATA})
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME), rig.opened("other/copy", "again.bin") as second:
            hub.delete_repo(REPO)
            await check_read(rig, second, 0, 1)


async def test_offline_nothing_is_asked_and_the_reader_is_told(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, offline=True) as rig:
        with rig.opened(REPO, NAME) as opened, pytest.raises(Offline):
            await rig.read(opened, 0, 1)
    assert len(hub.log) == 0


# --- stopping --------------------------------------------------------------------------

STUCK = {
    "before the head of the address": Fault("slow_headers", seconds=None, times=None),
    "before the head of the bytes": Fault("slow_headers", seconds=None, origin="cdn", times=None),
    "before the first byte": Fault("stall_after", seconds=None, origin="cdn", times=None),
    "between two attempts": Fault("status", status=503, times=None),
}


@pytest.mark.parametrize("fault", STUCK.values(), ids=STUCK)
async def test_all_who_are_stuck_are_told_at_once_when_hubfs_stops(
    hub: LocalHub, cache: Path, fault: Fault
) -> None:
    hub.faults.add(fault)
    told: list[HubfsError] = []

    async def read(rig: Rig, opened: OpenContent, at: int) -> None:
        with pytest.raises(FetchStopped) as caught:
            await rig.read(opened, at, at + 1)
        told.append(caught.value)

    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        opened = rig.open(REPO, NAME)
        for number in range(64):
            nursery.start_soon(read, rig, opened, number * len(DATA) // 64)
        await until(lambda: opened.transfer and opened.transfer.pulls)
        await logged(hub, lambda log: bool(log.requests(origin=fault.origin)))
        began = trio.current_time()
        rig.fetcher.stop()
    assert trio.current_time() - began < 5
    assert len(told) == 64


async def test_a_stopped_fetcher_refuses_and_still_takes_files_back(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            await check_read(rig, opened, 0, 1)
            rig.fetcher.stop()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(FetchStopped):
                await rig.read(opened, 20 * MIB, 20 * MIB + 1)
            with pytest.raises(FetchStopped):
                await rig.fetcher.complete(*listed(hub, REPO, "small.bin"))


# --- what survives ---------------------------------------------------------------------


async def test_what_came_is_kept_over_a_restart(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, NAME) as opened:
            size = await read_backwards(rig, opened, 0.5)
    assert hub.log.content_bytes() == size
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, NAME) as opened:
            assert rig.fetcher.cached_bytes(opened.content) == size
            await read_backwards(rig, opened, 0.5)
            assert hub.log.content_bytes() == size
        await rig.fetcher.complete(*listed(hub, REPO, NAME))
        assert await rig.read_file(REPO, NAME) == DATA
    assert hub.log.content_bytes() == len(DATA)


async def test_a_stop_in_mid_stream_costs_little(hub: LocalHub, cache: Path) -> None:
    hub.bandwidth = 40 * MIB
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened, trio.move_on_after(PATIENCE) as reading:

            async def stop() -> None:
                await logged(hub, lambda log: log.content_bytes() > len(DATA) // 2)
                rig.fetcher.stop()
                reading.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop)
                with pytest.raises(FetchStopped):
                    await rig.read(opened, 0, len(DATA))
    hub.bandwidth = None
    async with running(hub, cache) as rig:
        assert await rig.read_file(REPO, NAME) == DATA
    # What was on its way is lost: what a connection's buffers hold, for each connection.
    assert hub.log.content_bytes() <= len(DATA) + 16 * 6 * MIB


async def test_a_content_becomes_a_blob_in_the_second_life_of_its_partial(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache, fill=Fill.NEVER) as rig:
        with rig.opened(REPO, NAME) as opened:
            await read_backwards(rig, opened, 1)
    async with running(hub, cache) as rig:
        await rig.fetcher.complete(*listed(hub, REPO, NAME))
        assert rig.store.blobs.find(opened.content)
    assert hub.log.content_bytes() == len(DATA)


# --- nothing is left behind ------------------------------------------------------------


def create_many(hub: LocalHub, count: int) -> None:
    """Repos many/0, many/1, ... of a file each; every one is another content."""
    for number in range(count):
        hub.create_repo(f"many/{number}", {NAME: number.to_bytes(2) + DATA[: 9 * MIB]})


def descriptors() -> list[str]:
    return sorted(each.name for each in Path("/proc/self/fd").iterdir())


def files_open_below(directory: Path) -> list[str]:
    links = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(each.readlink()))
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return [link for link in links if link.startswith(str(directory))]


async def test_files_are_closed_when_nobody_uses_them_any_more(hub: LocalHub, cache: Path) -> None:
    create_many(hub, 20)
    async with running(hub, cache) as rig:
        before = files_open_below(cache)
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(rig.read_file, f"many/{number}", NAME, 3 * MIB)
            await rig.quiet()
            assert not rig.fetcher._open
            assert files_open_below(cache) == before


async def test_a_thousand_opens_cost_no_descriptor_and_no_thread(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache) as rig:
        with rig.opened(REPO, NAME) as opened:
            await check_read(rig, opened, 0, 1)
            await rig.quiet()
            before, threads = len(descriptors()), threading.active_count()
            for _ in range(1000):
                with rig.opened(REPO, NAME) as again:
                    await check_read(rig, again, 0, 1)
            assert len(descriptors()) <= before
            assert threading.active_count() <= threads + 1


async def test_many_stuck_readers_need_no_more_threads_than_connections(
    hub: LocalHub, cache: Path
) -> None:
    create_many(hub, 40)
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn", times=None))
    before = set(threading.enumerate())

    async def read(rig: Rig, number: int) -> None:
        with rig.opened(f"many/{number % 40}", NAME) as opened, pytest.raises(FetchStopped):
            await rig.read(opened, 0, 1)

    async with running(hub, cache, max_connections=8) as rig, trio.open_nursery() as nursery:
        for number in range(400):
            nursery.start_soon(read, rig, number)
        await logged(hub, lambda log: len(log.requests(origin="cdn")) == 8)
        names = [each.name for each in set(threading.enumerate()) - before]
        pulling = [name for name in names if " from hubfs." in name]
        idle = [name for name in names if name.startswith("Trio thread")]
        assert len(pulling) <= 8
        assert len(pulling + idle) <= 8 + 2 + 2
        rig.fetcher.stop()


async def test_everything_is_given_back_in_the_end(tmp_path: Path) -> None:
    async def live() -> None:
        with LocalHub(token="hf_test") as hub:
            hub.create_repo(REPO, {NAME: DATA})
            async with running(hub, tmp_path / "cache", fill=Fill.NEVER) as rig:
                with rig.opened(REPO, NAME) as opened:
                    await read_backwards(rig, opened, 0.3)

    await live()
    before = descriptors()
    for _ in range(5):
        await live()
    assert descriptors() == before


# --- several at once -------------------------------------------------------------------


async def test_unrelated_files_do_not_wait_for_a_stuck_one(hub: LocalHub, cache: Path) -> None:
    hub.create_repo("acme/stuck", {"stuck.bin": sample(20 * MIB, seed=5)})
    hub.faults.add(Fault("stall_after", path="stuck.bin", at=10, seconds=None, times=None))
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.read_file, "acme/stuck", "stuck.bin")
        await logged(hub, lambda log: bool(log.requests(origin="cdn")))
        with trio.fail_after(PATIENCE / 3):
            assert await rig.read_file(REPO, NAME) == DATA
        nursery.cancel_scope.cancel()


async def test_each_failure_that_a_reader_meets_is_logged_once(
    hub: LocalHub, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = listed(hub, REPO, NAME)
    hub.delete_repo(REPO)
    with caplog.at_level(logging.WARNING, "hubfs"):
        async with running(hub, cache) as rig:
            opened = rig.fetcher.open(*place)
            for _ in range(3):
                with pytest.raises(RepoNotFound):
                    await rig.fetcher.ensure(opened, ByteRange(0, 1))
            rig.fetcher.release(opened)
    [record] = caplog.records
    assert "cannot be read" in record.message
    assert str(place[1]) in record.message
