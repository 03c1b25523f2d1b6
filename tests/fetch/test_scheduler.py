"""Which request goes first when not all can go at once, and what becomes of the refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.config import Fill
from hubfs.errors import AccessDenied
from hubfs.fetch.plan import BLOCK
from hubfs.fetch.scheduler import MOST_PER_CONTENT
from hubfs.model.content import MIB
from tests.fetch.rig import PATIENCE, Rig, listed, logged, running, until
from tests.fetch.samples import sample
from tests.localhub import Fault, File, LocalHub, Record
from tests.localhub.log import RequestLog

DATA = sample(40 * MIB)
LONGER = sample(160 * MIB, seed=1)
WAITED, FILLED = "acme/waited", "acme/filled"
NEVER_ANSWERED = Fault("slow_headers", path=f"{FILLED}/*", seconds=None, origin="cdn", times=None)


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo(WAITED, {"model.bin": DATA})
    hub.create_repo(FILLED, {"model.bin": LONGER})
    return hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def asked(log: RequestLog, repo_id: str) -> list[Record]:
    return [each for each in log.requests(origin="cdn") if each.repo == repo_id]


async def resolve(rig: Rig, repo_id: str) -> None:
    """Have the address of a file's bytes known, and the log empty again."""
    with rig.opened(repo_id, "model.bin") as opened:
        await rig.read(opened, 158 * MIB, 158 * MIB + 1)
        await rig.quiet()
    rig.hub.log.clear()


def first_bytes(records: list[Record]) -> list[int]:
    """Where the ranges begin that were asked for, in order."""
    return [int((each.range or "").removeprefix("bytes=").partition("-")[0]) for each in records]


# --- who goes first --------------------------------------------------------------------


async def test_a_reader_gets_in_while_downloads_hold_all_they_may(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache, max_connections=4) as rig, trio.open_nursery() as nursery:
        await resolve(rig, FILLED)
        hub.faults.add(NEVER_ANSWERED)
        nursery.start_soon(rig.fetcher.complete, *listed(hub, FILLED, "model.bin"))
        await logged(hub, lambda log: len(asked(log, FILLED)) == 4 - 1)
        with trio.fail_after(PATIENCE / 2), rig.opened(WAITED, "model.bin") as opened:
            assert await rig.read(opened, 0, 100) == DATA[:100]
            assert await rig.read(opened, 20 * MIB, 20 * MIB + 1) == DATA[20 * MIB : 20 * MIB + 1]
        assert len(asked(hub.log, FILLED)) == 4 - 1
        nursery.cancel_scope.cancel()


async def test_a_reader_gets_in_while_readahead_holds_all_it_may(
    hub: LocalHub, cache: Path
) -> None:
    async with running(hub, cache, max_connections=3, fill=Fill.NEVER) as rig:
        with rig.opened(FILLED, "model.bin") as ahead, rig.opened(WAITED, "model.bin") as other:
            for at in range(0, 80 * MIB, MIB):
                await rig.read(ahead, at, at + MIB)
            await rig.quiet()
            hub.faults.add(NEVER_ANSWERED)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rig.read, ahead, 80 * MIB, 150 * MIB)
                await until(lambda: ahead.transfer and ahead.transfer.pulls)
                with trio.fail_after(3):
                    assert await rig.read(other, 0, 100) == DATA[:100]
                nursery.cancel_scope.cancel()


async def test_what_is_waited_for_goes_before_what_is_only_wanted(
    hub: LocalHub, cache: Path
) -> None:
    hub.rtt = 0.02
    async with running(hub, cache, max_connections=2) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.fetcher.complete, *listed(hub, WAITED, "model.bin"))
        await logged(hub, lambda log: bool(asked(log, WAITED)))
        with rig.opened(WAITED, "model.bin") as opened:
            await rig.read(opened, len(DATA) - 10, len(DATA))
    last_block = len(DATA) - BLOCK
    assert last_block in first_bytes(asked(hub.log, WAITED))[1:3]
    assert hub.log.content_bytes() == len(DATA)


async def test_a_reader_of_one_file_waits_for_few_of_the_many_of_another(
    hub: LocalHub, cache: Path
) -> None:
    hub.rtt = 0.02
    async with running(hub, cache, max_connections=2) as rig:
        with rig.opened(FILLED, "model.bin") as many, rig.opened(WAITED, "model.bin") as one:
            async with trio.open_nursery() as nursery:
                for block in range(0, 60, 2):
                    nursery.start_soon(rig.read, many, block * BLOCK, block * BLOCK + 1)
                await logged(hub, lambda log: len(asked(log, FILLED)) >= 4)
                before = len(asked(hub.log, FILLED))
                await rig.read(one, 0, 1)
                assert len(asked(hub.log, FILLED)) <= before + 4
                nursery.cancel_scope.cancel()


async def test_a_short_download_does_not_wait_for_the_end_of_a_long_one(
    hub: LocalHub, cache: Path
) -> None:
    hub.bandwidth = 15 * MIB
    long, short = listed(hub, FILLED, "model.bin"), listed(hub, WAITED, "model.bin")
    async with running(hub, cache, max_connections=4) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.fetcher.complete, *long)
        await logged(hub, lambda log: bool(asked(log, FILLED)))
        nursery.start_soon(rig.fetcher.complete, *short)
        # How soon the disk has it is another matter.
        await until(lambda: rig.fetcher.cached_bytes(short[0]) == short[0].size)
        assert rig.fetcher.cached_bytes(long[0]) < len(LONGER)
        nursery.cancel_scope.cancel()


# --- how many at once ------------------------------------------------------------------


@pytest.mark.parametrize(("of", "most"), [(16, MOST_PER_CONTENT), (24, 12)])
async def test_a_download_takes_some_connections_and_readers_of_its_file_the_rest(
    hub: LocalHub, cache: Path, of: int, most: int
) -> None:
    hub.bandwidth = 20 * MIB  # of fast connections few would do
    async with running(hub, cache, max_connections=of) as rig, trio.open_nursery() as nursery:
        with rig.opened(FILLED, "model.bin") as opened:
            await rig.read(opened, 0, BLOCK)
            await rig.quiet()
            transfer = opened.transfer
            assert transfer is not None
            hub.faults.add(NEVER_ANSWERED)
            nursery.start_soon(rig.fetcher.complete, *listed(hub, FILLED, "model.bin"))
            await until(lambda: len(transfer.pulls) >= most)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(transfer.pulls) == most
            for block in range(len(LONGER) - BLOCK, len(LONGER) - 3 * BLOCK, -BLOCK):
                nursery.start_soon(rig.read, opened, block, block + 1)
            await until(lambda: len(transfer.pulls) > most)
            nursery.cancel_scope.cancel()


async def test_the_next_request_is_on_its_way_before_one_ends(hub: LocalHub, cache: Path) -> None:
    hub.rtt, hub.bandwidth = 0.2, 20 * MIB
    most = 0

    def count(rig: Rig) -> bool:
        nonlocal most
        for each in rig.transfers:
            most = max(most, len(each.pulls))
            assert each.busy_connections <= MOST_PER_CONTENT
        return False

    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(until, lambda: count(rig))
        await rig.fetcher.complete(*listed(hub, FILLED, "model.bin"))
        nursery.cancel_scope.cancel()
    assert most > MOST_PER_CONTENT
    assert hub.log.content_bytes() == len(LONGER)


async def test_a_late_first_answer_holds_up_no_other_range_of_the_file(
    hub: LocalHub, cache: Path
) -> None:
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn"))
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        with rig.opened(WAITED, "model.bin") as opened:
            nursery.start_soon(rig.read, opened, 0, 1)
            await logged(hub, lambda log: len(asked(log, WAITED)) == 1)
            with trio.fail_after(3):
                await rig.read(opened, 20 * MIB, 20 * MIB + 1)
            nursery.cancel_scope.cancel()


async def test_there_are_never_more_requests_than_connections(hub: LocalHub, cache: Path) -> None:
    for number in range(10):
        hub.create_repo(f"many/{number}", {"model.bin": number.to_bytes(2) + DATA[2:]})
    most = 0

    def count(rig: Rig) -> bool:
        nonlocal most
        most = max(most, sum(len(each.pulls) for each in rig.transfers))
        return False

    async with running(hub, cache, max_connections=3) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(until, lambda: count(rig))
        async with trio.open_nursery() as downloads:
            for number in range(10):
                place = listed(hub, f"many/{number}", "model.bin")
                downloads.start_soon(rig.fetcher.complete, *place)
        nursery.cancel_scope.cancel()
    assert most <= 3
    assert hub.log.content_bytes() == 10 * len(DATA)


# --- troubles --------------------------------------------------------------------------


async def test_a_trouble_of_one_file_does_not_pause_another(hub: LocalHub, cache: Path) -> None:
    hub.faults.add(Fault("status", path=f"{FILLED}/*", times=None))
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        with rig.opened(FILLED, "model.bin") as opened:
            nursery.start_soon(rig.read, opened, 0, 1)
            await until(lambda: opened.transfer and opened.transfer.failures >= 3)
            with trio.fail_after(PATIENCE / 2):
                assert await rig.read_file(WAITED, "model.bin") == DATA
            nursery.cancel_scope.cancel()


async def test_connections_that_fail_together_are_one_trouble(
    hub: LocalHub, cache: Path, mock_clock: trio.testing.MockClock
) -> None:
    """Time stands still, so that nothing is tried again before the pause is looked at."""
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        with rig.opened(WAITED, "model.bin") as opened:
            await rig.read(opened, 38 * MIB, 38 * MIB + 1)
            hub.rtt = 0.2  # all are on their way before the first is answered
            hub.faults.add(Fault("status", origin="cdn", times=MOST_PER_CONTENT))
            for number in range(MOST_PER_CONTENT):
                nursery.start_soon(rig.read, opened, number * 4 * MIB, number * 4 * MIB + 1)
            await until(lambda: opened.transfer and opened.transfer.failures)
            await until(lambda: opened.transfer and not opened.transfer.pulls)
            assert opened.transfer is not None
            assert opened.transfer.failures == 1
            nursery.cancel_scope.cancel()


async def test_a_server_that_ignores_ranges_sends_everything_once(
    hub: LocalHub, cache: Path
) -> None:
    hub.bandwidth = 40 * MIB
    hub.faults.add(Fault("ignore_range", origin="cdn", times=None))
    async with running(hub, cache) as rig:
        assert await rig.read_file(WAITED, "model.bin") == DATA
        await rig.quiet()
    assert hub.log.content_bytes() == len(DATA)


async def test_a_mirror_that_ignores_ranges_is_asked_once_however_many_read(
    hub: LocalHub, cache: Path
) -> None:
    """It answers where a file's address is; who waited for that answer has seen what it does."""
    hub.create_repo(WAITED, {"model.bin": File(DATA, lfs=False)})
    hub.faults.add(Fault("ignore_range", path="*/model.bin", times=None))
    async with running(hub, cache) as rig:
        with rig.opened(WAITED, "model.bin") as opened:
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(rig.read, opened, number * 2 * MIB, number * 2 * MIB + 1)
            assert await rig.read(opened, 0, len(DATA)) == DATA
        await rig.quiet()
    assert len([each for each in hub.log if each.is_content]) == 1


async def test_a_refusal_ends_the_wait_of_all_readers_of_the_file(
    hub: LocalHub, cache: Path
) -> None:
    refusal = Fault("status", status=403, path=f"{WAITED}/*", origin="hub", times=None)
    hub.faults.add(refusal)
    refused = []

    async def read(rig: Rig, at: int) -> None:
        with rig.opened(WAITED, "model.bin") as opened, pytest.raises(AccessDenied) as caught:
            await rig.read(opened, at, at + 1)
        refused.append(caught.value)

    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(read, rig, number * 2 * MIB)
    assert len(refused) == 20
    assert len(hub.log) <= MOST_PER_CONTENT
