"""One request for one claimed range, from the wire to the partial file. Runs in a worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hubfs.hub.connections import Lifeline
from hubfs.hub.content import ContentClient, ContentStream, one_is_enough
from hubfs.model.content import MIB, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.partials import Partial

_SMALLEST_STEP = MIB // 8
_LARGEST_STEP = MIB
_QUICK = 0.004  # a step received within it (seconds) may be larger: fewer wake-ups, same latency


class Throttle:
    """Shares `rate` bytes per second among all threads; 0 means as fast as can be."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Sleep until `count` bytes may have passed."""
        with self._lock:
            if not self._rate:
                return
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._rate
            wait = self._free_at - now
        time.sleep(wait)

    def change(self, rate: int) -> None:
        """Share `rate` from now on; who sleeps for the old one sleeps on."""
        with self._lock:
            self._rate, self._free_at = rate, 0.0


class Pull:
    """Fetches `claim` into `partial`.

    `report(pull, start, stop)` is called, in the thread, as bytes land.

    A server that ignores ranges sends the whole file: `take_whole` is asked
    whether this pull shall take it, since one is enough.
    """

    def __init__(
        self,
        partial: Partial,
        claim: ByteRange,
        report: Callable[[Pull, int, int], None],
        take_whole: Callable[[], bool],
    ) -> None:
        self.partial = partial
        self.claim = claim
        self.lifeline = Lifeline()
        self.received = 0
        self.seconds = 0.0
        self.is_ending = False  # what is left comes before another request would be answered
        self.has_begun = False
        self.ended = threading.Event()
        self._report = report
        self._take_whole = take_whole

    def run(self, client: ContentClient, source: Source, throttle: Throttle) -> None:
        """Do it.

        Raises:
            HubError: the request failed, or ended early; what was reported is written.
            StoreFull: the disk has no room.
        """
        self.has_begun = True
        try:
            self._run(client, source, throttle)
        finally:
            self.ended.set()

    def _run(self, client: ContentClient, source: Source, throttle: Throttle) -> None:
        asked = time.monotonic()
        stream = client.open(source, self.claim, self.partial.content.size, self.lifeline)
        latency = time.monotonic() - asked
        try:
            if stream.span != self.claim and not self._take_whole():
                raise one_is_enough(source)
            self._receive(stream, throttle, latency)
        finally:
            stream.close()

    def _receive(self, stream: ContentStream, throttle: Throttle, latency: float) -> None:
        buffer = memoryview(bytearray(min(stream.span.size, _LARGEST_STEP)))
        summing = self.partial.summing()
        step, position = _SMALLEST_STEP, stream.span.start
        started = before = time.monotonic()
        while count := stream.readinto(buffer[: min(step, MIB - position % MIB)]):
            self.partial.write(buffer[:count], position)
            summing.add(buffer[:count], position)
            position += count
            self.received += count
            left = stream.span.stop - position
            self.is_ending |= 0 < left * (latency + self.seconds) < self.received * latency
            self._report(self, position - count, position)
            throttle.take(count)
            now = time.monotonic()
            step = min(step * 2, _LARGEST_STEP) if now - before < _QUICK else step
            before, self.seconds = now, now - started
