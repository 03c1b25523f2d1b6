"""Who waits for whom when small files become blobs together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from hubfs.errors import StoreError, StoreFull
from hubfs.fetch.admission import Admission
from hubfs.store.blobs import Blobs, Verified
from tests.store.contents import lfs_content, sha256_of


class SlowBlobs:
    """Takes what is admitted when it is let; refuses those that are named."""

    def __init__(self, *refused: Verified) -> None:
        self.batches: list[list[Verified]] = []
        self.go_on = threading.Semaphore(0)
        self._refused = refused

    def admit_all(self, synced: Sequence[Verified]) -> list[StoreError | None]:
        self.batches.append(list(synced))
        assert self.go_on.acquire(timeout=10)
        return [StoreFull("no room") if each in self._refused else None for each in synced]


def verified(number: int) -> Verified:
    data = b"%d" % number
    return Verified(number, Path(sha256_of(data)), sha256_of(data), lfs_content(data))


FILES = [verified(number) for number in range(10)]


async def test_who_comes_meanwhile_goes_together() -> None:
    blobs = SlowBlobs()
    admission = Admission(cast("Blobs", blobs))
    async with trio.open_nursery() as nursery:
        for each in FILES:
            nursery.start_soon(admission.admit, each)
        await trio.testing.wait_all_tasks_blocked()
        blobs.go_on.release(2)
    assert sorted(map(len, blobs.batches)) in ([10], [1, 9])
    assert sorted(each for batch in blobs.batches for each in batch) == sorted(FILES)


async def test_what_one_is_refused_for_is_no_other_s_trouble() -> None:
    blobs = SlowBlobs(FILES[3])
    blobs.go_on.release(2)
    admission = Admission(cast("Blobs", blobs))
    refused: list[Verified] = []

    async def admit(file: Verified) -> None:
        try:
            await admission.admit(file)
        except StoreFull:
            refused.append(file)

    async with trio.open_nursery() as nursery:
        for each in FILES:
            nursery.start_soon(admit, each)
    assert refused == [FILES[3]]


async def test_whoever_is_cancelled_is_admitted_all_the_same() -> None:
    blobs = SlowBlobs()
    admission = Admission(cast("Blobs", blobs))
    done: list[Verified] = []

    async def admit(file: Verified) -> None:
        await admission.admit(file)
        done.append(file)

    async with trio.open_nursery() as nursery:
        for each in FILES[:3]:
            nursery.start_soon(admit, each)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        blobs.go_on.release(2)
    assert len(done) == 3
    assert sum(map(len, blobs.batches)) == 3


async def test_nothing_is_taken_for_admitted_after_an_unexpected_failure() -> None:
    class Broken(SlowBlobs):
        def admit_all(self, synced: Sequence[Verified]) -> list[StoreError | None]:
            raise ZeroDivisionError(len(synced))

    admission = Admission(cast("Blobs", Broken()))
    for each in FILES[:2]:
        with pytest.raises(ZeroDivisionError):
            await admission.admit(each)
