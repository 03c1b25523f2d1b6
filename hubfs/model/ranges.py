"""Half-open byte ranges and sets of them. Pure; all offsets in bytes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class ByteRange(NamedTuple):
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it spans; never negative for a well-formed range."""
        return self.stop - self.start

    def clipped(self, size: int) -> ByteRange:
        """The part of it that lies within a file of `size` bytes."""
        start = min(self.start, size)
        return ByteRange(start, max(start, min(self.stop, size)))

    def aligned(self, block: int, size: int) -> ByteRange:
        """The smallest range of whole blocks around it, cut at `size`."""
        stop = -(-self.stop // block) * block
        return ByteRange(self.start // block * block, stop).clipped(size)


class RangeSet:
    """A set of bytes kept as disjoint, sorted, never adjacent ranges."""

    __slots__ = ("_starts", "_stops", "_total")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._total = 0  # kept, not counted: each request asks for it, and ranges may be thousands
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[ByteRange]:
        return map(ByteRange, list(self._starts), list(self._stops))

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"RangeSet({[tuple(each) for each in self]})"

    @property
    def total(self) -> int:
        """How many bytes are in the set."""
        return self._total

    def copy(self) -> RangeSet:
        """A set of the same bytes that changes on its own."""
        twin = RangeSet()
        twin._starts, twin._stops, twin._total = self._starts[:], self._stops[:], self._total
        return twin

    def add(self, start: int, stop: int) -> None:
        """Put `[start, stop)` in, merging what it touches."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._replace(first, last, [start], [stop])

    def remove(self, start: int, stop: int) -> None:
        """Take `[start, stop)` out, splitting what it cuts."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        head, tail = self._starts[first], self._stops[last - 1]
        starts = [head] * (head < start) + [stop] * (tail > stop)
        stops = [start] * (head < start) + [tail] * (tail > stop)
        self._replace(first, last, starts, stops)

    def _replace(self, first: int, last: int, starts: list[int], stops: list[int]) -> None:
        """Put other ranges in place of those numbered from `first` up to `last`."""
        before = sum(self._stops[first:last]) - sum(self._starts[first:last])
        self._starts[first:last], self._stops[first:last] = starts, stops
        self._total += sum(stops) - sum(starts) - before

    def covers(self, start: int, stop: int) -> bool:
        """Whether every byte of `[start, stop)` is in the set."""
        return start >= stop or self.contiguous_stop(start) >= stop

    def contiguous_stop(self, start: int) -> int:
        """Where the run of held bytes that begins at `start` ends; `start` if it is not held."""
        at = bisect_right(self._starts, start) - 1
        return max(start, self._stops[at]) if at >= 0 else start

    def gaps(self, start: int, stop: int) -> Iterator[ByteRange]:
        """The parts of `[start, stop)` that are not in the set, in order."""
        at = max(0, bisect_right(self._starts, start) - 1)
        while start < stop:
            if at < len(self._starts) and self._starts[at] <= start:
                start = max(start, self._stops[at])
                at += 1
                continue
            end = self._starts[at] if at < len(self._starts) else stop
            yield ByteRange(start, min(end, stop))
            start = end

    def find_gap(self, start: int, stop: int) -> ByteRange | None:
        """The first missing part of `[start, stop)`, if any."""
        return next(self.gaps(start, stop), None)
