"""Every fault alone: right bytes after a delay, or the reason why there are none."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from hubfs.errors import (
    AccessDenied,
    BadToken,
    EntryNotFound,
    FetchFailed,
    HubError,
    RepoNotFound,
)
from hubfs.model.content import MIB
from tests.fetch.rig import Rig, listed, running, until
from tests.fetch.samples import sample
from tests.localhub import Fault, File, LocalHub
from tests.weather.faults import LASTING, PASSING

LARGE = sample(12 * MIB + 321)
SMALL = sample(100_000, seed=1)
REPO = "acme/model"
FILES = {"large.bin": LARGE, "small.bin": SMALL, "plain.txt": SMALL[:60_000]}
PATIENCE = 120.0  # seconds of the event loop, of which up to ten pass in a real one
SILENCE = 1.0  # seconds; real ones, whatever the event loop's clock does


@pytest.fixture
def hub(hub: LocalHub) -> LocalHub:
    hub.create_repo(REPO, {name: File(data) for name, data in FILES.items()})
    return hub


def blobs_below(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in cache.glob("blobs/sha256/*/*")]


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
async def test_a_passing_fault_costs_nothing_but_time(
    hub: LocalHub,
    cache: Path,
    hurry: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    faults: Sequence[Fault],
) -> None:
    async def read(rig: Rig, name: str) -> None:
        assert await rig.read_file(REPO, name) == FILES[name]

    hub.faults.add(*faults)
    async with running(hub, cache, idle_timeout=SILENCE, patience=PATIENCE) as rig:
        async with trio.open_nursery() as nursery:
            for name in FILES:
                nursery.start_soon(read, rig, name)
        for name in FILES:
            await rig.fetcher.complete(*listed(hub, REPO, name))
    assert not hub.faults.waiting
    assert sorted(blobs_below(cache)) == sorted(FILES.values())
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
async def test_a_fault_in_the_middle_of_reading_is_not_noticed(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock, faults: Sequence[Fault]
) -> None:
    chance = random.Random(5)
    async with running(hub, cache, idle_timeout=SILENCE, patience=PATIENCE) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            await rig.quiet()
            hub.expire_signatures()  # so that the address is asked for again
            hub.faults.add(*faults)
            for start in chance.choices(range(len(LARGE) - MIB), k=10):
                assert await rig.read(opened, start, start + MIB) == LARGE[start : start + MIB]


@pytest.mark.parametrize("name", LASTING)
async def test_a_lasting_fault_is_named_when_patience_ends_and_passes_with_its_cause(
    hub: LocalHub, cache: Path, mock_clock: trio.testing.MockClock, name: str
) -> None:
    mock_clock.rate = 1
    fault, reason = LASTING[name]
    hub.faults.add(fault)
    async with running(hub, cache, idle_timeout=SILENCE, patience=PATIENCE) as rig:
        with rig.opened(REPO, "large.bin") as opened:

            async def lose_patience() -> None:
                await until(lambda: opened.transfer and opened.transfer.failures)
                mock_clock.jump(PATIENCE)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(lose_patience)
                with pytest.raises(FetchFailed, match=reason) as caught:
                    await rig.read(opened, 0, 1)
            assert f"{REPO}@" in str(caught.value)
            hub.faults.clear()
            mock_clock.rate = 10
            assert await rig.read(opened, 0, MIB) == LARGE[:MIB]


REFUSALS = {
    "gated": (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"}, AccessDenied),
    "disabled": (403, {"X-Error-Message": "Access to this resource is disabled."}, AccessDenied),
    "forbidden": (403, {}, AccessDenied),
    "gone": (404, {"X-Error-Code": "RepoNotFound"}, RepoNotFound),
    "private": (401, {"X-Error-Code": "RepoNotFound"}, RepoNotFound),
    "no file": (404, {"X-Error-Code": "EntryNotFound"}, EntryNotFound),
    "bad token": (
        401,
        {"X-Error-Message": "Invalid credentials in Authorization header"},
        BadToken,
    ),
}


@pytest.mark.parametrize(("status", "headers", "error"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_not_tried_again_and_says_what_it_is(
    hub: LocalHub, cache: Path, status: int, headers: dict[str, str], error: type[HubError]
) -> None:
    refusal = Fault("status", status=status, headers=headers, origin="hub", times=None)
    hub.faults.add(refusal)
    async with running(hub, cache) as rig:
        for name in FILES:
            with rig.opened(REPO, name) as opened, pytest.raises(error):
                await rig.read(opened, 0, 1)
    assert len(hub.log) == len(FILES)


async def test_many_addresses_that_expire_at_once_are_looked_up_again_and_nobody_is_refused(
    hub: LocalHub, cache: Path, hurry: trio.testing.MockClock
) -> None:
    hub.rtt = 0.05  # all are on their way with the old address before the first is refused

    async def read(rig: Rig, at: int) -> None:
        with rig.opened(REPO, "large.bin") as opened:
            assert await rig.read(opened, at, at + 1) == LARGE[at : at + 1]

    async with running(hub, cache) as rig:
        with rig.opened(REPO, "large.bin") as opened:
            await rig.read(opened, 0, 1)
            hub.expire_signatures()
            async with trio.open_nursery() as nursery:
                for block in range(1, 6):
                    nursery.start_soon(read, rig, block * 2 * MIB)


async def test_a_total_that_stays_wrong_is_told_with_both_sizes(
    hub: LocalHub, cache: Path, mock_clock: trio.testing.MockClock
) -> None:
    """A server whose file has another length than the listing said has other content."""
    mock_clock.rate = 1
    hub.faults.add(Fault("wrong_total", at=7, times=None))
    async with running(hub, cache) as rig:
        with rig.opened(REPO, "large.bin") as opened:

            async def lose_patience() -> None:
                await until(lambda: opened.transfer and opened.transfer.failures)
                mock_clock.jump(600)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(lose_patience)
                with pytest.raises(FetchFailed) as caught:
                    await rig.read(opened, 0, 1)
    assert f"/{len(LARGE) + 7}" in str(caught.value)
    assert f" {len(LARGE)}" in str(caught.value)


async def test_an_untrusted_certificate_is_refused_without_a_word_sent(
    cache: Path, local_hub_tls: LocalHub, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 1
    local_hub_tls.create_repo(REPO, {"small.bin": SMALL})
    async with running(local_hub_tls, cache) as rig:
        with rig.opened(REPO, "small.bin") as opened:

            async def lose_patience() -> None:
                await until(lambda: opened.transfer and opened.transfer.failures)
                mock_clock.jump(600)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(lose_patience)
                with pytest.raises(FetchFailed, match=r"(?i)certificate"):
                    await rig.read(opened, 0, 1)
    assert len(local_hub_tls.log) == 0
