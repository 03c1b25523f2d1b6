"""Reading without keeping: right bytes, few requests, and an end when hubfs ends."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from hubfs.errors import ContentMismatch, FetchFailed, FetchStopped, RepoNotFound
from hubfs.fetch.direct import BLOCK, MOST_BLOCKS, DirectReader
from hubfs.fetch.plan import WHOLE_UP_TO
from hubfs.hub.content import ContentClient
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange
from tests.fetch.rig import PATIENCE, client_of, listed, logged, until
from tests.fetch.samples import sample
from tests.localhub import Fault, LocalHub

DATA = sample(WHOLE_UP_TO + 3 * MIB + 1234)
KIB = 1 << 10


@pytest.fixture
def client(hub: LocalHub) -> Iterator[ContentClient]:
    hub.create_repo("acme/model", {"model.bin": DATA})
    client = client_of(hub)
    yield client
    client.close()


@pytest.fixture
def reader(client: ContentClient) -> DirectReader:
    return DirectReader(client, PATIENCE)


async def read(hub: LocalHub, reader: DirectReader, start: int, stop: int) -> bytes:
    return await reader.read(*listed(hub, "acme/model", "model.bin"), ByteRange(start, stop))


async def test_any_part_of_a_file_is_what_the_hub_has(hub: LocalHub, reader: DirectReader) -> None:
    chance = random.Random(7)
    for _ in range(30):
        start, stop = sorted(chance.choices(range(len(DATA) + 1), k=2))
        assert await read(hub, reader, start, stop) == DATA[start:stop]


async def test_a_file_read_in_small_parts_is_fetched_once(
    hub: LocalHub, reader: DirectReader
) -> None:
    for at in range(0, len(DATA), 128 * KIB):
        stop = min(at + 128 * KIB, len(DATA))
        assert await read(hub, reader, at, stop) == DATA[at:stop]
    assert hub.log.content_bytes() == len(DATA)


async def test_readers_of_the_same_place_share_a_request(
    hub: LocalHub, reader: DirectReader
) -> None:
    async def read_first() -> None:
        assert await read(hub, reader, 0, 100) == DATA[:100]

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(read_first)
    assert hub.log.content_bytes() == BLOCK


async def test_few_blocks_are_kept_in_memory(hub: LocalHub, reader: DirectReader) -> None:
    data = sample(MOST_BLOCKS * BLOCK + 3 * BLOCK, seed=1)
    hub.create_repo("acme/larger", {"model.bin": data})
    place = listed(hub, "acme/larger", "model.bin")
    for at in range(0, len(data), BLOCK):
        assert await reader.read(*place, ByteRange(at, at + 10)) == data[at : at + 10]
    assert len(reader._blocks) == MOST_BLOCKS
    assert not reader._locks


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset_after", at=MIB, origin="cdn", times=2),
        Fault("short_body", at=MIB, origin="cdn", times=2),
        Fault("status", status=503, times=2),
        Fault("wrong_content_range", times=2),
        Fault("wrong_total", times=2),
        Fault("gzip", origin="cdn", times=2),
        Fault("ignore_range", origin="cdn", times=2),
        Fault("expired", origin="cdn"),
    ],
    ids=lambda fault: fault.action,
)
async def test_bad_weather_passes(hub: LocalHub, reader: DirectReader, fault: Fault) -> None:
    hub.faults.add(fault)
    assert await read(hub, reader, 3 * MIB, 5 * MIB) == DATA[3 * MIB : 5 * MIB]


async def test_a_small_file_is_fetched_whole_and_verified(
    hub: LocalHub, reader: DirectReader
) -> None:
    hub.create_repo("acme/small", {"config.json": b"{}" * 1000})
    hub.faults.add(Fault("corrupt", at=1500, path="config.json"))
    place = listed(hub, "acme/small", "config.json")
    with pytest.raises(ContentMismatch):
        await reader.read(*place, ByteRange(0, 2))
    assert await reader.read(*place, ByteRange(0, 2)) == b"{}"


async def test_a_refusal_is_told_at_once(hub: LocalHub, reader: DirectReader) -> None:
    place = listed(hub, "acme/model", "model.bin")
    hub.delete_repo("acme/model")
    with pytest.raises(RepoNotFound):
        await reader.read(*place, ByteRange(0, 1))


async def test_patience_ends(hub: LocalHub, client: ContentClient) -> None:
    hub.faults.add(Fault("status", status=500, times=None))
    with pytest.raises(FetchFailed, match="500"):
        await read(hub, DirectReader(client, 0.5), 0, 1)


async def test_a_reader_that_gives_up_leaves_nothing_behind(
    hub: LocalHub, reader: DirectReader
) -> None:
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, hub, reader, 0, 1)
        await logged(hub, lambda log: len(log.requests(origin="cdn")) == 1)
        nursery.cancel_scope.cancel()
    assert not reader._locks
    assert not reader._lifelines
    await logged(hub, lambda log: not log._open)


async def test_a_stuck_reader_ends_with_hubfs(hub: LocalHub, reader: DirectReader) -> None:
    hub.faults.add(Fault("slow_headers", seconds=None, origin="cdn", times=None))

    async def stop() -> None:
        await logged(hub, lambda log: len(log.requests(origin="cdn")) == 1)
        reader.stop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        with trio.fail_after(PATIENCE / 2), pytest.raises(FetchStopped):
            await read(hub, reader, 0, 1)


async def test_a_reader_between_two_attempts_ends_with_hubfs(
    hub: LocalHub, client: ContentClient, mock_clock: trio.testing.MockClock
) -> None:
    """Time stands still, so that a pause does not end by itself."""
    reader, outcomes = DirectReader(client, PATIENCE), []
    hub.faults.add(Fault("status", status=503, times=None))

    async def wait() -> None:
        with pytest.raises(FetchStopped):
            await read(hub, reader, 0, 1)
        outcomes.append("ended")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await until(lambda: len(hub.log) == 1 and not reader._lifelines)
        reader.stop()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert outcomes == ["ended"]
