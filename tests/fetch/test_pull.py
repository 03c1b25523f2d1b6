"""One request: what it reports is written, and it ends when it is told to."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hubfs.errors import HubUnreachable, ProtocolViolation, TransientHubError
from hubfs.fetch.pull import Pull, Throttle
from hubfs.hub.content import ContentClient
from hubfs.model.content import MIB, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.partials import Partial
from hubfs.store.store import Store
from tests.fetch.rig import client_of, listed
from tests.fetch.samples import sample
from tests.localhub import Fault, LocalHub

DATA = sample(8 * MIB)
CLAIM = ByteRange(MIB, 5 * MIB + 17)
UNLIMITED = Throttle(0)


@pytest.fixture
def client(hub: LocalHub) -> Iterator[ContentClient]:
    hub.create_repo("acme/model", {"model.bin": DATA})
    client = client_of(hub)
    yield client
    client.close()


@pytest.fixture
def source(hub: LocalHub, client: ContentClient) -> Source:
    return listed(hub, "acme/model", "model.bin")[1]


@pytest.fixture
def partial(hub: LocalHub, client: ContentClient, store: Store) -> Iterator[Partial]:
    partial = store.partials.open(listed(hub, "acme/model", "model.bin")[0])
    yield partial
    partial.close()


class Reports:
    """What a pull reports; each is checked against the file at once."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial
        self.spans: list[ByteRange] = []
        self.endings: list[bool] = []

    def __call__(self, pull: Pull, start: int, stop: int) -> None:
        self.endings.append(pull.is_ending)
        assert os.pread(self._partial.descriptor, stop - start, start) == DATA[start:stop]
        self.spans.append(ByteRange(start, stop))

    def are_gapless_from(self, start: int) -> bool:
        return [span.start for span in self.spans] == [start, *(each.stop for each in self.spans)][
            : len(self.spans)
        ]

    @property
    def stop(self) -> int:
        return self.spans[-1].stop


def pull_of(partial: Partial, reports: Reports, *, takes_whole: bool = True) -> Pull:
    return Pull(partial, CLAIM, reports, lambda: takes_whole)


def test_what_is_reported_is_written_gapless_and_exactly_the_claim(
    client: ContentClient, source: Source, partial: Partial
) -> None:
    reports = Reports(partial)
    pull = pull_of(partial, reports)
    pull.run(client, source, UNLIMITED)
    assert reports.are_gapless_from(CLAIM.start)
    assert reports.stop == CLAIM.stop
    assert pull.received == CLAIM.size
    assert pull.ended.is_set()


def test_it_ends_when_what_is_left_takes_no_longer_than_an_answer(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub
) -> None:
    hub.rtt, hub.bandwidth = 0.1, 8 * MIB
    Pull(partial, ByteRange(7 * MIB, 8 * MIB), lambda *_: None, lambda: True).run(
        client, source, UNLIMITED
    )  # the next knows the way, and has a connection
    reports = Reports(partial)
    pull_of(partial, reports).run(client, source, UNLIMITED)
    assert reports.endings == sorted(reports.endings)  # once it is so, it stays so
    ending = [span for span, ends in zip(reports.spans, reports.endings, strict=True) if ends]
    assert MIB // 4 <= CLAIM.stop - ending[0].start <= 2 * MIB  # 0.8 MiB come in a round trip


def test_near_by_no_request_is_ending(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub
) -> None:
    hub.bandwidth = 8 * MIB
    hub.rtt = 0.0
    reports = Reports(partial)
    pull_of(partial, reports).run(client, source, UNLIMITED)
    early = zip(reports.spans, reports.endings, strict=True)
    assert not any(ends for span, ends in early if span.stop < CLAIM.stop - MIB)


@pytest.mark.parametrize("action", ["reset_after", "short_body"])
def test_what_came_before_an_interruption_is_kept(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub, action: str
) -> None:
    hub.faults.add(Fault(action, at=2 * MIB, origin="cdn"))  # type: ignore[arg-type]
    reports = Reports(partial)
    with pytest.raises((HubUnreachable, ProtocolViolation)):
        pull_of(partial, reports).run(client, source, UNLIMITED)
    assert reports.are_gapless_from(CLAIM.start)
    assert CLAIM.start < reports.stop <= CLAIM.start + 2 * MIB


def test_not_a_byte_that_came_before_a_reset_is_lost(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub
) -> None:
    hub.faults.add(Fault("reset_after", at=2 * MIB + 12345, origin="cdn"))
    reports = Reports(partial)
    with pytest.raises(HubUnreachable):
        pull_of(partial, reports).run(client, source, UNLIMITED)
    assert reports.stop == CLAIM.start + 2 * MIB + 12345


@pytest.mark.parametrize(
    "fault",
    [
        Fault("slow_headers", seconds=None),
        Fault("slow_headers", seconds=None, origin="cdn"),
        Fault("stall_after", at=MIB, seconds=None, origin="cdn"),
    ],
    ids=["while it resolves", "before the head", "within the body"],
)
def test_a_request_that_waits_ends_as_soon_as_it_is_cut(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub, fault: Fault
) -> None:
    hub.faults.add(fault)
    pull = pull_of(partial, Reports(partial))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(pull.run, client, source, UNLIMITED)
        hub.log.wait_until(lambda _: not hub.faults.waiting, 60)
        began = time.monotonic()
        pull.lifeline.cut()
        with pytest.raises(TransientHubError):
            running.result(60)
    assert time.monotonic() - began < 30  # the idle timeout is a minute


def test_a_request_that_was_cut_before_it_began_asks_for_nothing(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub
) -> None:
    pull = pull_of(partial, Reports(partial))
    pull.lifeline.cut()
    with pytest.raises(HubUnreachable, match="given up"):
        pull.run(client, source, UNLIMITED)
    assert len(hub.log) == 0


def test_a_server_that_ignores_ranges_is_taken_at_its_word_by_one(
    client: ContentClient, source: Source, partial: Partial, hub: LocalHub
) -> None:
    hub.faults.add(Fault("ignore_range", origin="cdn", times=2))
    other = Reports(partial)
    with pytest.raises(HubUnreachable, match="one request is enough"):
        pull_of(partial, other, takes_whole=False).run(client, source, UNLIMITED)
    assert other.spans == []
    reports = Reports(partial)
    pull_of(partial, reports).run(client, source, UNLIMITED)
    assert reports.are_gapless_from(0)
    assert reports.stop == len(DATA)


# --- the limit of the rate -------------------------------------------------------------


def test_all_threads_together_keep_to_the_rate() -> None:
    throttle = Throttle(1_000_000)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(throttle.take, [25_000] * 12))
    assert time.monotonic() - began >= 0.3 - 0.025


def test_without_a_limit_nobody_waits() -> None:
    done = threading.Event()
    for _ in range(1000):
        UNLIMITED.take(1 << 40)
    done.set()
    assert done.is_set()
