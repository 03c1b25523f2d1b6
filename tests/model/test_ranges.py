"""A RangeSet is a set of integers that happens to be compact."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubfs.model.ranges import ByteRange, RangeSet

SIZE = 64

offsets = st.integers(0, SIZE)
pairs = st.tuples(offsets, offsets)
spans = pairs.map(lambda pair: ByteRange(min(pair), max(pair)))


def bytes_of(ranges: RangeSet) -> set[int]:
    return {byte for start, stop in ranges for byte in range(start, stop)}


class RangeSetBesideASetOfIntegers(RuleBasedStateMachine):
    """Whatever is done to both, both hold the same bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges = RangeSet()
        self.model: set[int] = set()

    @rule(pair=pairs)
    def add(self, pair: tuple[int, int]) -> None:
        self.ranges.add(*pair)
        self.model |= set(range(*pair))

    @rule(pair=pairs)
    def remove(self, pair: tuple[int, int]) -> None:
        self.ranges.remove(*pair)
        self.model -= set(range(*pair))

    @rule(pair=pairs)
    def ask(self, pair: tuple[int, int]) -> None:
        start, stop = pair
        wanted = set(range(start, stop))
        missing = {byte for gap in self.ranges.gaps(start, stop) for byte in range(*gap)}
        assert self.ranges.covers(start, stop) == (wanted <= self.model)
        assert missing == wanted - self.model
        assert self.ranges.find_gap(start, stop) == next(self.ranges.gaps(start, stop), None)

    @rule(start=offsets)
    def ask_for_a_run(self, start: int) -> None:
        stop = start
        while stop in self.model:
            stop += 1
        assert self.ranges.contiguous_stop(start) == stop

    @rule()
    def copy(self) -> None:
        twin = self.ranges.copy()
        twin.add(0, SIZE + 1)
        assert twin != self.ranges
        assert (twin.total, self.ranges.total) == (SIZE + 1, len(self.model))
        assert RangeSet(self.ranges) == self.ranges

    @invariant()
    def holds_the_same_bytes(self) -> None:
        assert bytes_of(self.ranges) == self.model
        assert self.ranges.total == len(self.model)

    @invariant()
    def keeps_its_ranges_sorted_apart_and_never_empty(self) -> None:
        held = list(self.ranges)
        assert all(each.size > 0 for each in held)
        assert all(left.stop < right.start for left, right in pairwise(held))
        assert len(self.ranges) == len(held)


TestRangeSetBesideASetOfIntegers = RangeSetBesideASetOfIntegers.TestCase


@given(st.lists(pairs))
def test_the_order_in_which_ranges_come_does_not_matter(ranges: list[tuple[int, int]]) -> None:
    assert RangeSet(ranges) == RangeSet(reversed(ranges))


@given(st.lists(pairs), pairs)
def test_gaps_come_in_order_and_never_touch(
    ranges: list[tuple[int, int]], span: tuple[int, int]
) -> None:
    gaps = list(RangeSet(ranges).gaps(*span))
    assert all(gap.size > 0 for gap in gaps)
    assert all(left.stop < right.start for left, right in pairwise(gaps))


def test_a_set_is_not_equal_to_something_else() -> None:
    assert RangeSet() != []


@given(spans, offsets)
def test_a_clipped_range_is_the_part_within_the_file(span: ByteRange, size: int) -> None:
    clipped = span.clipped(size)
    assert set(range(*clipped)) == set(range(*span)) & set(range(size))
    assert clipped.size >= 0
    assert clipped.stop <= size


@given(spans, st.integers(1, 20), offsets)
def test_an_aligned_range_is_the_least_of_whole_blocks(
    span: ByteRange, block: int, size: int
) -> None:
    blocks = {byte // block for byte in range(*span)}
    expected = {byte for byte in range(size) if byte // block in blocks}
    aligned = span.aligned(block, size)
    assert expected <= set(range(*aligned))
    if span.size:
        assert set(range(*aligned)) == expected
