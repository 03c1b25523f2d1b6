"""A Hub that is gone, or that asks for less: readers wait, and do not make it worse."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.model.content import MIB
from tests.fetch.rig import Rig, listed, logged, running, until
from tests.fetch.samples import sample
from tests.localhub import Fault, LocalHub

DATA = sample(9 * MIB)
COUNT = 20


def data_of(number: int) -> bytes:
    return number.to_bytes(2) + DATA[2:]


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    for number in range(COUNT):
        hub.create_repo(f"many/{number}", {"model.bin": data_of(number)})
    return hub


async def read(rig: Rig, number: int) -> None:
    assert await rig.read_file(f"many/{number}", "model.bin") == data_of(number)


async def test_readers_wait_for_a_hub_that_is_gone_and_comes_back(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock
) -> None:
    hub.down()
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(COUNT):
            nursery.start_soon(read, rig, number)
        await until(lambda: len(rig.transfers) == COUNT)
        await until(lambda: all(each.failures >= 3 for each in rig.transfers))
        hub.up()
    assert hub.log.content_bytes() == COUNT * len(DATA)


async def test_a_hub_that_goes_away_in_the_middle_costs_what_was_on_its_way(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock
) -> None:
    hub.bandwidth = 10 * MIB
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(COUNT):
            nursery.start_soon(read, rig, number)
        await logged(hub, lambda log: log.content_bytes() > COUNT * len(DATA) // 4)
        hub.down()
        hub.bandwidth = None
        hub.up()
    # The buffers of a connection that ends hold what its reader has not taken yet.
    assert hub.log.content_bytes() <= COUNT * len(DATA) + 16 * 6 * MIB


async def test_what_is_here_is_read_while_the_hub_is_gone(hub: LocalHub, cache: Path) -> None:
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        await rig.fetcher.complete(*listed(hub, "many/0", "model.bin"))
        with rig.opened("many/1", "model.bin") as opened:
            await rig.read(opened, 0, 1)
            await rig.quiet()
            hub.down()
            nursery.start_soon(read, rig, 2)
            await until(lambda: any(each.failures for each in rig.transfers))
            with trio.fail_after(5):
                await read(rig, 0)
                assert await rig.read(opened, 100, MIB) == data_of(1)[100:MIB]
            nursery.cancel_scope.cancel()


async def test_errors_are_not_answered_with_a_storm_of_requests(
    hub: LocalHub, cache: Path, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 60
    hub.faults.add(Fault("status", status=503, times=None))
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(COUNT):
            for _ in range(5):
                nursery.start_soon(read, rig, number)
        await trio.sleep(60)  # of the loop's time, which is a second
        nursery.cancel_scope.cancel()
    # A dozen pauses, of which the longest are 5 s on average, fit into a minute.
    assert COUNT <= len(hub.log) <= COUNT * 40


async def test_a_rate_limit_is_kept_to_by_all_files_together(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock
) -> None:
    hub.quota.window = 1
    hub.requests_per_window = 8
    began = time.monotonic()
    async with running(hub, cache) as rig, trio.open_nursery() as nursery:
        for number in range(COUNT):
            nursery.start_soon(read, rig, number)
    refused = hub.log.requests(status=429)
    # Those that were under way when the bucket became empty; nobody asks after them.
    assert len(refused) <= 16
    assert len(hub.log.requests(origin="hub", status=302)) == COUNT
    assert time.monotonic() - began >= 1
