"""Reading without keeping: what is left when the cache's disk is full or may not be written.

A few recent blocks stay in memory, since the kernel asks for a file in parts.
Small contents are verified as ever; of large ones, ranges and sizes alone.
"""

from __future__ import annotations

from collections import OrderedDict

import trio

from hubfs.errors import FetchFailed, FetchStopped, TransientHubError
from hubfs.fetch.plan import WHOLE_UP_TO
from hubfs.fetch.verification import check_whole
from hubfs.hub.connections import Lifeline
from hubfs.hub.content import ContentClient
from hubfs.hub.pace import backoff
from hubfs.model.content import MIB, Content, Source
from hubfs.model.ranges import ByteRange

BLOCK = 2 * MIB
MOST_BLOCKS = 32
AT_ONCE = 16  # threads: what else needs one must not wait for a Hub that is slow


class DirectReader:
    """Blocks of contents in memory, each fetched once while it is remembered."""

    def __init__(self, client: ContentClient, patience: float) -> None:
        self._client = client
        self.patience = patience
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._locks: dict[tuple[str, int], trio.Lock] = {}
        self._lifelines: set[Lifeline] = set()
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._stopped = trio.Event()

    async def read(self, content: Content, source: Source, span: ByteRange) -> bytes:
        """The bytes of `span`, which lies within `content`.

        Raises:
            FetchFailed: nothing came for the length of the user's patience.
            ContentMismatch: it is small, and not what the listing promised.
            HubError: why it cannot be had.
        """
        size = WHOLE_UP_TO if content.size <= WHOLE_UP_TO else BLOCK
        parts = []
        start = span.start
        while start < span.stop:
            number, skip = divmod(start, size)
            block = await self._block(
                content, source, ByteRange(number * size, (number + 1) * size)
            )
            parts.append(block[skip : skip + span.stop - start])
            start = (number + 1) * size
        return b"".join(parts)

    async def _block(self, content: Content, source: Source, span: ByteRange) -> bytes:
        key = (content.key, span.start)
        lock = self._locks.setdefault(key, trio.Lock())
        try:
            async with lock:
                if key not in self._blocks:
                    self._blocks[key] = await self._fetch(
                        content, source, span.clipped(content.size)
                    )
                    while len(self._blocks) > MOST_BLOCKS:
                        self._blocks.popitem(last=False)
                self._blocks.move_to_end(key)
                return self._blocks[key]
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(key, None)

    async def _fetch(self, content: Content, source: Source, span: ByteRange) -> bytes:
        deadline = trio.current_time() + self.patience
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(content, source, span)
            except TransientHubError as error:
                wait = backoff(attempt, longest=10.0)
                if trio.current_time() + wait > deadline:
                    raise FetchFailed(f"{source} cannot be read: {error}") from error
                with trio.move_on_after(wait):
                    await self._stopped.wait()
                if self._stopped.is_set():
                    raise FetchStopped("hubfs is shutting down") from None

    async def _attempt(self, content: Content, source: Source, span: ByteRange) -> bytes:
        lifeline = Lifeline()
        self._lifelines.add(lifeline)
        try:
            return await trio.to_thread.run_sync(
                self._receive,
                content,
                source,
                span,
                lifeline,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        except trio.Cancelled:
            lifeline.cut()
            raise
        finally:
            self._lifelines.discard(lifeline)

    def _receive(
        self, content: Content, source: Source, span: ByteRange, lifeline: Lifeline
    ) -> bytes:
        stream = self._client.open(source, span, content.size, lifeline)
        try:
            wanted = bytearray(span.size)
            position, buffer = stream.span.start, memoryview(bytearray(MIB))
            while position < span.stop and (count := stream.readinto(buffer)):
                low, high = max(position, span.start), min(position + count, span.stop)
                if low < high:
                    wanted[low - span.start : high - span.start] = buffer[
                        low - position : high - position
                    ]
                position += count
        finally:
            stream.close()
        if content.size <= WHOLE_UP_TO:
            check_whole(content, wanted)
        return bytes(wanted)

    def stop(self) -> None:
        """End all requests; their readers fail."""
        self._stopped.set()
        for each in self._lifelines:
            each.cut()
