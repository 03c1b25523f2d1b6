"""Which readers of a blob go forward through it, and how far ahead of each to fetch. Pure.

Streams belong to the content, not to a descriptor: loaders share descriptors
between threads and interleave offsets, which defeats any single cursor.
"""

from __future__ import annotations

from dataclasses import dataclass

from hubfs.model.content import MIB
from hubfs.model.ranges import ByteRange, RangeSet

MOST_STREAMS = 16
FORWARD_SKIP = 16 * MIB  # a loader that skips a tensor is still the same reader
BACKWARD_SLACK = 2 * MIB  # the kernel sends the parts of one readahead out of order
CONFIRMED_AFTER = 3 * MIB  # of a file's beginning; `head` ends before it, with the kernel's part
CONFIRMED_LATER = 12 * MIB  # anywhere else; most slices of a tensor end before it
FIRST_WINDOW = 1 * MIB  # until the reader is proven: the rest of a block costs nothing extra
PROVEN_RUN = 10 * MIB  # straight from the beginning; `file` reads 7, the kernel 8 for it
PROVEN_TOTAL = 24 * MIB  # anywhere in the file; a slice of a tensor ends before it
PROVEN_WINDOW = 32 * MIB
LARGEST_WINDOW = 64 * MIB
EARNEST_RUN = 64 * MIB
EARNEST_PART = 16 * MIB  # of a run, where so much as EARNEST_RUN has been read in all
EARNEST_SHARE = 0.25


@dataclass(slots=True)
class Stream:
    """One forward reader, which has come to `position` and `read` so many bytes on the way.

    What it skipped does not count: a few pages at long steps are no reason to
    fetch what lies between them.
    """

    position: int
    read: int = 0
    window: int = 0
    grown_at: int = 0
    is_straight: bool = False  # from the file's beginning, leaving nothing out

    def distance(self, span: ByteRange) -> int | None:
        """How far `span` begins from where this reader is; None when it is another reader."""
        offset = span.start - self.position
        return abs(offset) if -BACKWARD_SLACK <= offset <= FORWARD_SKIP else None

    def advance(self, span: ByteRange) -> None:
        """The reader has come to the end of `span`."""
        self.is_straight &= span.start - self.position <= BACKWARD_SLACK
        self.read += max(0, span.stop - max(span.start, self.position))
        self.position = max(self.position, span.stop)
        enough = CONFIRMED_AFTER if self.is_straight else CONFIRMED_LATER
        if not self.window and self.read >= enough:
            self.window, self.grown_at = FIRST_WINDOW, self.position

    def stall(self, *, is_proven: bool) -> None:
        """The reader had to wait: if it goes on, look further ahead.

        Once proven, its window doubles each time that half of it has been read.
        """
        if not self.window or not is_proven:
            return
        if self.window < PROVEN_WINDOW:
            self.window, self.grown_at = PROVEN_WINDOW, self.position
        elif self.position - self.grown_at >= self.window // 2:
            self.window = min(LARGEST_WINDOW, self.window * 2)
            self.grown_at = self.position


class Streams:
    """The readers of one content of `size` bytes, most recent first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._streams: list[Stream] = []
        self._touched = RangeSet()
        self.is_earnest = False

    def note_read(self, span: ByteRange, *, waited: bool) -> None:
        """Somebody read `span`; `waited` says whether it was not there yet."""
        stream = self._stream_of(span)
        stream.advance(span)
        if not self.is_earnest:
            self._touched.add(*span)
            self.is_earnest = self._is_in_earnest(stream)
        if waited:
            stream.stall(is_proven=self._is_proven(stream))

    def _is_in_earnest(self, stream: Stream) -> bool:
        """Whether all of the file is wanted, by what was read of it.

        Loaders take tensors in an order of their own, so that their runs are short.
        """
        total = self._touched.total
        is_run = stream.read >= EARNEST_RUN
        is_parted = total >= EARNEST_RUN and stream.read >= EARNEST_PART
        return is_run or is_parted or total >= EARNEST_SHARE * self._size

    def _is_proven(self, stream: Stream) -> bool:
        """Whether it is likely to go on: what is fetched ahead of one that stops is wasted."""
        is_run = stream.is_straight and stream.read >= PROVEN_RUN
        return self.is_earnest or is_run or self._touched.total >= PROVEN_TOTAL

    def _stream_of(self, span: ByteRange) -> Stream:
        near = [(each.distance(span), at) for at, each in enumerate(self._streams)]
        matches = [(distance, at) for distance, at in near if distance is not None]
        if matches:
            stream = self._streams.pop(min(matches)[1])
        else:
            stream = Stream(span.start, is_straight=span.start <= BACKWARD_SLACK)
            del self._streams[MOST_STREAMS - 1 :]
        self._streams.insert(0, stream)
        return stream

    def targets(self, pressure: int = 0) -> list[ByteRange]:
        """What to have ready ahead of each reader, each window halved `pressure` times."""
        return [
            ByteRange(each.position, each.position + (each.window >> pressure)).clipped(self._size)
            for each in self._streams
            if each.window
        ]

    @property
    def frontier(self) -> int:
        """Where the most recent reader is: what a fill should fetch first."""
        return self._streams[0].position if self._streams else 0

    def clear(self) -> None:
        """Forget the readers: they have all closed the file."""
        self._streams.clear()
