"""Readers are told apart by where they read; what is fetched ahead follows from what they read."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hubfs.fetch.streams import (
    BACKWARD_SLACK,
    CONFIRMED_AFTER,
    CONFIRMED_LATER,
    EARNEST_PART,
    EARNEST_RUN,
    FIRST_WINDOW,
    FORWARD_SKIP,
    LARGEST_WINDOW,
    MOST_STREAMS,
    PROVEN_TOTAL,
    PROVEN_WINDOW,
    Streams,
)
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange

KIB = 1 << 10
GIB = 1 << 30
HUGE = 1024 * GIB

steps = st.sampled_from([4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, MIB])
chances = st.randoms(use_true_random=False)


def span(start: int, size: int) -> ByteRange:
    return ByteRange(start, start + size)


def read_forward(streams: Streams, start: int, stop: int, step: int, *, waited: bool) -> None:
    for at in range(start, stop, step):
        streams.note_read(ByteRange(at, min(at + step, stop)), waited=waited)


def starts(streams: Streams) -> set[int]:
    return {target.start for target in streams.targets()}


# --- who is a reader -------------------------------------------------------------------


@given(st.integers(1, MOST_STREAMS), st.sampled_from([256 * KIB, MIB]), st.booleans(), chances)
def test_each_of_many_interleaved_readers_gets_a_window_of_its_own(
    count: int, step: int, waited: bool, chance: random.Random
) -> None:
    streams = Streams(HUGE)
    reads = -(-CONFIRMED_LATER // step)
    positions = [number * GIB for number in range(count)]
    order = [number for number in range(count) for _ in range(reads)]
    chance.shuffle(order)
    for number in order:
        streams.note_read(span(positions[number], step), waited=waited)
        positions[number] += step
    assert starts(streams) == set(positions)


@given(st.integers(1, 2), st.sampled_from([128 * KIB, 256 * KIB, MIB]), chances)
def test_a_reader_whose_requests_the_kernel_shuffles_is_one_reader(
    megabytes: int, step: int, chance: random.Random
) -> None:
    streams = Streams(HUGE)
    for window in range(0, 32 * MIB, megabytes * MIB):
        requests = list(range(window, window + megabytes * MIB, step))
        chance.shuffle(requests)
        for at in requests:
            streams.note_read(span(at, step), waited=False)
    assert streams.targets() == [span(32 * MIB, FIRST_WINDOW)]


@given(st.lists(st.integers(0, FORWARD_SKIP), min_size=12, max_size=16), st.booleans())
def test_a_reader_that_skips_a_little_is_the_same_reader(skips: list[int], waited: bool) -> None:
    streams, at = Streams(HUGE), 0
    for skip in skips:
        read_forward(streams, at + skip, at + skip + MIB, 128 * KIB, waited=waited)
        at += skip + MIB
    assert starts(streams) == {at}


@given(st.integers(FORWARD_SKIP + 1, GIB))
def test_a_reader_that_goes_far_begins_anew(skip: int) -> None:
    streams = Streams(HUGE)
    read_forward(streams, 0, 4 * MIB, MIB, waited=False)
    streams.note_read(span(4 * MIB + skip, 4 * KIB), waited=False)
    assert starts(streams) == {4 * MIB}


@given(steps, st.integers(2, 5))
def test_readers_of_the_same_bytes_share_a_window(step: int, readers: int) -> None:
    streams = Streams(HUGE)
    for at in range(0, 4 * MIB, step):
        for _ in range(readers):
            streams.note_read(span(at, step), waited=False)
    assert len(streams.targets()) == 1


# --- who is none -----------------------------------------------------------------------


@given(st.lists(st.integers(0, 1000), max_size=60), steps)
def test_a_reader_of_scattered_places_gets_no_window(places: list[int], step: int) -> None:
    streams = Streams(HUGE)
    for place in places:
        # Farther apart than any skip, in any order, some more than once.
        streams.note_read(span(place * 4 * FORWARD_SKIP, step), waited=True)
    assert streams.targets() == []
    assert not streams.is_earnest


@given(chances)
def test_a_random_reader_of_a_file_of_a_gigabyte_gets_no_window(chance: random.Random) -> None:
    streams = Streams(GIB)
    for _ in range(40):
        streams.note_read(span(chance.randrange(GIB // (4 * KIB)) * 4 * KIB, 4 * KIB), waited=True)
    assert streams.targets() == []


def test_a_few_pages_read_at_long_steps_are_no_reason_to_fetch_ahead_or_all() -> None:
    streams = Streams(HUGE)
    for at in range(0, 10 * FORWARD_SKIP, FORWARD_SKIP):
        streams.note_read(span(at, 4 * KIB), waited=True)
    assert not streams.is_earnest
    assert streams.targets() == []


@given(st.integers(1, CONFIRMED_AFTER - 1), steps, st.booleans())
def test_whoever_sniffs_at_the_beginning_causes_no_readahead(
    stop: int, step: int, waited: bool
) -> None:
    streams = Streams(GIB)
    read_forward(streams, 0, stop, step, waited=waited)
    assert streams.targets() == []
    assert not streams.is_earnest


# --- windows ---------------------------------------------------------------------------


def windows_while(streams: Streams, stop: int, *, waited: bool) -> list[int]:
    """The window after each MiB that a single reader reads."""
    found = []
    for at in range(0, stop, MIB):
        streams.note_read(span(at, MIB), waited=waited)
        targets = streams.targets()
        assert len(targets) <= 1
        found += [each.size for each in targets]
    return found


def test_a_window_doubles_while_its_reader_waits_and_ends_at_the_largest() -> None:
    windows = windows_while(Streams(HUGE), 256 * MIB, waited=True)
    assert list(dict.fromkeys(windows)) == [FIRST_WINDOW, PROVEN_WINDOW, LARGEST_WINDOW]


def test_a_window_that_is_large_enough_stays() -> None:
    assert set(windows_while(Streams(HUGE), 64 * MIB, waited=False)) == {FIRST_WINDOW}


@given(st.integers(BACKWARD_SLACK + 1, GIB), st.integers(0, PROVEN_TOTAL // MIB - 1))
def test_whoever_reads_a_part_in_the_middle_is_not_looked_far_ahead_of(
    start: int, megabytes: int
) -> None:
    streams = Streams(HUGE)
    read_forward(streams, start, start + megabytes * MIB, MIB, waited=True)
    assert all(each.size == FIRST_WINDOW for each in streams.targets())


@given(st.integers(BACKWARD_SLACK + 1, FORWARD_SKIP))
def test_whoever_skips_after_the_header_has_not_read_straight_from_the_beginning(
    skip: int,
) -> None:
    streams = Streams(HUGE)
    streams.note_read(span(0, MIB), waited=True)
    read_forward(streams, MIB + skip, MIB + skip + CONFIRMED_LATER, MIB, waited=True)
    assert [each.size for each in streams.targets()] == [FIRST_WINDOW]


def test_in_a_file_of_which_much_was_read_every_new_reader_is_looked_far_ahead_of() -> None:
    streams = Streams(HUGE)
    read_forward(streams, GIB, GIB + PROVEN_TOTAL, MIB, waited=True)
    read_forward(streams, 2 * GIB, 2 * GIB + CONFIRMED_LATER, MIB, waited=True)
    assert [each.size for each in streams.targets()] == [PROVEN_WINDOW, PROVEN_WINDOW]


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_window_never_shrinks_and_grows_by_waiting_alone(waits: list[bool]) -> None:
    streams, before = Streams(HUGE), FIRST_WINDOW
    for number, waited in enumerate([False] * 3 + waits):
        streams.note_read(span(number * MIB, MIB), waited=waited)
        for target in streams.targets():
            grown = PROVEN_WINDOW if before == FIRST_WINDOW else min(2 * before, LARGEST_WINDOW)
            assert target.size in ({before, grown} if waited else {before})
            before = target.size


@given(st.integers(0, 6))
def test_pressure_halves_the_windows(pressure: int) -> None:
    streams = Streams(HUGE)
    read_forward(streams, 0, 200 * MIB, MIB, waited=True)
    assert [each.size for each in streams.targets(pressure)] == [LARGEST_WINDOW >> pressure]


reads = st.tuples(st.integers(0, 200 * MIB), st.integers(1, MIB), st.booleans())


@given(st.integers(MIB, 200 * MIB), st.lists(reads, max_size=120), st.integers(0, 3))
def test_windows_are_few_within_the_file_and_bounded(
    size: int, reads: list[tuple[int, int, bool]], pressure: int
) -> None:
    streams = Streams(size)
    for start, length, waited in reads:
        streams.note_read(span(start, length).clipped(size), waited=waited)
        targets = streams.targets(pressure)
        assert len(targets) <= MOST_STREAMS
        assert all(0 <= each.start <= each.stop <= size for each in targets)
        assert all(each.size <= LARGEST_WINDOW >> pressure for each in targets)


# --- who wants the whole file ----------------------------------------------------------

UNIT = 256 * KIB


@given(st.integers(1, 400), st.lists(st.integers(0, 399), max_size=120))
def test_a_quarter_of_a_file_in_any_order_is_earnest(units: int, places: list[int]) -> None:
    size, touched = units * UNIT, set[int]()
    streams = Streams(size)
    for place in (each % units for each in places):
        streams.note_read(span(place * UNIT, UNIT), waited=False)
        touched.add(place)
        if len(touched) * 4 >= units:
            assert streams.is_earnest


@given(steps)
def test_a_long_run_is_earnest_and_a_shorter_one_is_not(step: int) -> None:
    streams = Streams(HUGE)
    read_forward(streams, GIB, GIB + EARNEST_RUN - step, step, waited=False)
    assert not streams.is_earnest
    streams.note_read(span(GIB + EARNEST_RUN - step, step), waited=False)
    assert streams.is_earnest


def test_long_parts_in_any_order_are_earnest_and_pages_are_not() -> None:
    streams = Streams(HUGE)
    for part in (5, 2, 7):
        read_forward(streams, part * GIB, part * GIB + EARNEST_PART, MIB, waited=False)
    assert not streams.is_earnest
    for page in range(EARNEST_RUN // MIB):
        streams.note_read(span(20 * GIB + page * GIB, MIB), waited=True)
    assert not streams.is_earnest
    read_forward(streams, 3 * GIB, 3 * GIB + EARNEST_PART, MIB, waited=False)
    assert streams.is_earnest


# --- readers that come and go ----------------------------------------------------------


def test_the_frontier_is_where_the_latest_reader_is() -> None:
    streams = Streams(HUGE)
    assert streams.frontier == 0
    read_forward(streams, GIB, GIB + MIB, MIB, waited=False)
    read_forward(streams, 0, MIB, MIB, waited=False)
    assert streams.frontier == MIB
    read_forward(streams, GIB + MIB, GIB + 2 * MIB, MIB, waited=False)
    assert streams.frontier == GIB + 2 * MIB


def test_the_reader_not_heard_of_for_longest_is_forgotten_first() -> None:
    streams = Streams(HUGE)
    for number in range(MOST_STREAMS + 1):
        read_forward(streams, number * GIB, number * GIB + CONFIRMED_LATER, MIB, waited=False)
    assert starts(streams) == {
        number * GIB + CONFIRMED_LATER for number in range(1, MOST_STREAMS + 1)
    }


def test_readers_that_have_closed_the_file_are_forgotten() -> None:
    streams = Streams(HUGE)
    read_forward(streams, 0, EARNEST_RUN, MIB, waited=False)
    streams.clear()
    assert streams.targets() == []
    assert streams.is_earnest
