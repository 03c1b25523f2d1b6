"""Partials after an unclean end: what the disk does not have is found out and fetched again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.content import MIB
from hubfs.model.ranges import RangeSet
from hubfs.store import checksums
from hubfs.store.checksums import Summing, whole_mibs
from hubfs.store.reading import read_blocking
from hubfs.store.store import Store
from tests.store.contents import lfs_content

SIZE = 3 * MIB + MIB // 2
DATA = bytes(range(255)) * (SIZE // 255 + 1)
DATA = DATA[:SIZE]
CONTENT = lfs_content(DATA)

offsets = st.integers(0, 10 * MIB) | st.integers(0, 10).map(lambda mib: mib * MIB)


@given(offsets, offsets, offsets)
def test_whole_mibs_are_those_of_which_every_byte_is_there(one: int, other: int, size: int) -> None:
    start, stop = sorted((min(one, size), min(other, size)))
    first, last = whole_mibs(start, stop, size)
    number_of_mibs = -(-size // MIB)
    expected = [
        mib
        for mib in range(number_of_mibs)
        if start <= mib * MIB and min((mib + 1) * MIB, size) <= stop
    ]
    if start < stop:
        assert list(range(first, last)) == expected


def crashed(
    directory: Path, *claims: tuple[int, int], harm: Callable[[int], object] = lambda _: None
) -> RangeSet:
    """What a partial holds after `claims`, an unclean end, and `harm` done to its file."""
    store = Store(directory)
    held = RangeSet()
    for start, stop in claims:
        partial = store.partials.open(CONTENT)
        partial.write(memoryview(DATA)[start:stop], start)
        held.add(start, stop)
        partial.claim(held)
        partial.close()
    descriptor = os.open(directory / "partial" / CONTENT.key, os.O_RDWR)
    harm(descriptor)
    os.close(descriptor)
    store.close()
    (directory / "lock").write_text("{}")  # what an owner that was killed leaves
    store = Store(directory)
    partial = store.partials.open(CONTENT)
    assert all(os.pread(partial.descriptor, each.size, each.start) for each in partial.held)
    partial.close()
    store.close()
    return partial.held


def test_a_sound_partial_loses_no_whole_mib(tmp_path: Path) -> None:
    assert crashed(tmp_path, (0, SIZE)) == RangeSet([(0, SIZE)])


def test_claims_one_after_the_other_add_up(tmp_path: Path) -> None:
    held = crashed(tmp_path, (2 * MIB, 3 * MIB), (0, MIB), (3 * MIB, SIZE))
    assert held == RangeSet([(0, MIB), (2 * MIB, SIZE)])


def test_less_than_a_mib_is_not_trusted(tmp_path: Path) -> None:
    assert crashed(tmp_path, (100, 2 * MIB + 100)) == RangeSet([(MIB, 2 * MIB)])


def test_a_mib_of_two_claims_is_trusted_once_it_is_whole(tmp_path: Path) -> None:
    held = crashed(tmp_path, (0, MIB + 1), (MIB + 1, 2 * MIB))
    assert held == RangeSet([(0, 2 * MIB)])


@pytest.mark.parametrize(
    "harm",
    [
        lambda descriptor: os.pwrite(descriptor, bytes(10), MIB + 5),
        lambda descriptor: os.pwrite(descriptor, b"\xff", 2 * MIB - 1),
        lambda descriptor: os.pwrite(descriptor, bytes(MIB), MIB),
    ],
)
def test_a_mib_that_the_disk_lost_is_found_out(
    tmp_path: Path, harm: Callable[[int], object]
) -> None:
    held = crashed(tmp_path, (0, SIZE), harm=harm)
    assert held == RangeSet([(0, MIB), (2 * MIB, SIZE)])


def test_a_lost_mib_that_came_again_is_trusted_again(tmp_path: Path) -> None:
    crashed(tmp_path, (0, SIZE), harm=lambda descriptor: os.pwrite(descriptor, b"?", MIB))
    assert crashed(tmp_path, (MIB, 2 * MIB), (0, SIZE)) == RangeSet([(0, SIZE)])


def test_a_clean_end_is_not_checked(tmp_path: Path) -> None:
    held = crashed(tmp_path, (0, 100))
    store = Store(tmp_path)
    partial = store.partials.open(CONTENT)
    assert partial.held == held
    partial.write(memoryview(DATA)[:100], 0)
    partial.claim(RangeSet([(0, 100)]))
    partial.close()
    store.close()
    store = Store(tmp_path)
    assert store.partials.open(CONTENT).held == RangeSet([(0, 100)])
    store.close()


def test_nothing_is_known_of_a_partial_that_was_discarded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    partial = store.partials.open(CONTENT)
    partial.write(memoryview(DATA), 0)
    partial.claim(RangeSet([(0, SIZE)]))
    partial.discard()
    partial.close()
    with store.index.read() as txn:
        assert txn.stat(store.index.table("checksums"))["entries"] == 0
    store.close()


# --- sums of what is written -----------------------------------------------------------


@given(
    st.integers(1, SIZE),
    st.lists(
        st.tuples(st.integers(0, SIZE), st.integers(0, SIZE), st.integers(1, MIB)), max_size=3
    ),
)
def test_a_mib_that_was_seen_whole_has_the_sum_that_reading_it_would_give(
    size: int, writes: list[tuple[int, int, int]]
) -> None:
    """Whatever pieces it comes in: one writer goes through some parts of a file in order."""
    found: dict[int, int] = {}
    expected: set[int] = set()
    summing = Summing(size, found)
    for start, stop, step in writes:
        low, high = sorted((min(start, size), min(stop, size)))
        for at in range(low, high, step):
            summing.add(memoryview(DATA)[at : min(at + step, high)], at)
        if low < high:
            expected |= set(range(*whole_mibs(low, high, size)))
    assert expected <= set(found)
    for mib, known in found.items():
        assert known == crc32c(DATA[mib * MIB : min((mib + 1) * MIB, size)])


def test_what_was_summed_in_passing_is_not_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = store.partials.open(CONTENT)
    summing = partial.summing()
    for at in range(0, 2 * MIB, MIB):
        partial.write(memoryview(DATA)[at : at + MIB], at)
        summing.add(memoryview(DATA)[at : at + MIB], at)
    partial.write(memoryview(DATA)[2 * MIB :], 2 * MIB)
    read: list[int] = []

    def reading(descriptor: int, offset: int, size: int) -> bytearray:
        read.append(offset)
        return read_blocking(descriptor, offset, size)

    monkeypatch.setattr(checksums, "read_blocking", reading)
    partial.claim(RangeSet([(0, SIZE)]))
    partial.close()
    assert read == [2 * MIB, 3 * MIB]
