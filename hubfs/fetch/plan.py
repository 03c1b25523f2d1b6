"""What to ask the Hub for next, of one content. Pure.

Every byte is in at most one of three states: held, claimed by one request, or
missing. A claim is taken and given back in synchronous code, so no byte is ever
asked for twice while it is on its way.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterable, Iterator

from hubfs.fetch.streams import PROVEN_WINDOW, Streams
from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange, RangeSet

BLOCK = 2 * MIB  # what one read of a byte fetches
WHOLE_UP_TO = 8 * MIB  # fetched whole at the first touch, and verified before it is served
WITH_DEMAND = 8 * MIB  # what it fetches of a file that is wanted whole
SMALLEST_PIECE = 4 * MIB  # readahead is split over connections in pieces no smaller


class Priority(enum.IntEnum):
    """Why bytes are wanted; a lower number goes first."""

    DEMAND = 0
    READAHEAD = 1
    FILL = 2
    PREFETCH = 3


class Plan:
    """The state of one content of `size` bytes; `held` becomes the plan's own."""

    def __init__(self, size: int, held: RangeSet) -> None:
        self.size = size
        self.held = held
        self.claimed = RangeSet()
        self.streams = Streams(size)
        self.demands: list[ByteRange] = []
        self.hints: list[ByteRange] = []  # what the kind of file says will be read next
        self.wants_fill = False
        self.prefetchers = 0
        self.is_rangeless = False  # the server answers ranges with the whole file
        self.pressure = 0

    @property
    def is_complete(self) -> bool:
        """Whether every byte is held."""
        return self.held.covers(0, self.size)

    @property
    def is_spoken_for(self) -> bool:
        """Whether every byte is held or on its way."""
        return self.held.total + self.claimed.total >= self.size

    @property
    def wants_rest(self) -> bool:
        """Whether all of it is wanted, be it without hurry."""
        return self.wants_fill or self.prefetchers > 0

    def holds(self, span: ByteRange) -> bool:
        """Whether `span` is held."""
        return self.held.covers(*span)

    def lacks(self, span: ByteRange) -> bool:
        """Whether a part of what answers `span` is neither held nor on its way."""
        return self._missing(self._block(span)) is not None

    def claim_next(self, priority: Priority, largest: int) -> ByteRange | None:
        """Claim the next missing range that `priority` calls for, of at most `largest` bytes.

        None when nothing of that priority is missing and unclaimed.
        """
        for target, most in self._targets(priority, largest):
            gap = self._missing(target)
            if gap is not None and not self._is_early(priority, target, gap):
                claim = self._shaped(self._extended(gap, priority), most)
                self.claimed.add(*claim)
                return claim
        return None

    def _targets(self, priority: Priority, largest: int) -> Iterable[tuple[ByteRange, int]]:
        whole = ByteRange(0, self.size)
        if priority is Priority.DEMAND:
            return ((self._block(span), largest) for span in self.demands)
        if priority is Priority.READAHEAD:
            targets = self.streams.targets(self.pressure) + self.hints
            blocks = map(self._block, targets)
            if self.wants_rest:
                return ((each, largest) for each in blocks)
            return ((each, min(largest, _piece(each))) for each in blocks)
        if priority is Priority.FILL and self.wants_fill:
            ahead = ByteRange(self.streams.frontier // BLOCK * BLOCK, self.size)
            return ((ahead, largest), (whole, largest))
        if priority is Priority.PREFETCH and self.prefetchers > 0:
            return ((whole, largest),)
        return ()

    def _is_early(self, priority: Priority, target: ByteRange, gap: ByteRange) -> bool:
        """Whether the end of a large window has moved too little to be worth a request yet."""
        is_at_end = gap.stop == target.stop < self.size
        is_large = priority is Priority.READAHEAD and target.size >= PROVEN_WINDOW
        return is_large and is_at_end and gap.size < _piece(target)

    def _extended(self, gap: ByteRange, priority: Priority) -> ByteRange:
        """More of what is missing after the start of `gap`, if it is wanted all the same.

        What is waited for comes first, and a round trip brings more than a block.
        """
        if not self.wants_rest or priority > Priority.READAHEAD:
            return gap
        rest = self._missing(ByteRange(gap.start, self.size)) or gap
        if priority is Priority.DEMAND:
            return ByteRange(rest.start, min(rest.stop, max(gap.stop, rest.start + WITH_DEMAND)))
        return rest

    def _block(self, span: ByteRange) -> ByteRange:
        if self.size <= WHOLE_UP_TO:
            return ByteRange(0, self.size)
        return span.aligned(BLOCK, self.size)

    def _missing(self, target: ByteRange) -> ByteRange | None:
        if self.is_rangeless:
            return ByteRange(0, self.size) if not self.claimed and not self.is_complete else None
        for gap in self.held.gaps(*target):
            free = self.claimed.find_gap(*gap)
            if free is not None:
                return free
        return None

    def _shaped(self, gap: ByteRange, most: int) -> ByteRange:
        if self.is_rangeless:
            return gap
        return ByteRange(gap.start, min(gap.stop, gap.start + most))

    @contextlib.contextmanager
    def demanded(self, span: ByteRange) -> Iterator[None]:
        """Somebody waits for `span` within."""
        self.demands.append(span)
        try:
            yield
        finally:
            self.demands.remove(span)

    @contextlib.contextmanager
    def prefetched(self) -> Iterator[None]:
        """All of it is wanted, without hurry, within."""
        self.prefetchers += 1
        try:
            yield
        finally:
            self.prefetchers -= 1

    def note_unused(self) -> None:
        """No program has it open: fetch nothing ahead any more."""
        self.streams.clear()
        self.hints = []

    def note_arrived(self, start: int, stop: int) -> None:
        """`[start, stop)` has been written: it is held and no longer claimed."""
        self.held.add(start, stop)
        self.claimed.remove(start, stop)

    def release(self, claim: ByteRange) -> None:
        """The request for `claim` has ended: what did not arrive is missing again."""
        self.claimed.remove(*claim)

    def reset(self) -> None:
        """Hold nothing: what was held turned out to be wrong."""
        self.held = RangeSet()


def _piece(target: ByteRange) -> int:
    return max(SMALLEST_PIECE, target.size // 8 // MIB * MIB)


def hints_of(path: str, span: ByteRange, size: int) -> list[ByteRange]:
    """What follows a read of `span` in a file called `path`: GGUF loaders try the tail first."""
    if path.endswith(".gguf") and span.start >= max(BLOCK, size - BLOCK):
        return [ByteRange(0, BLOCK).clipped(size)]
    return []
