"""The state of one content on its way: its plan, its file, its hash, and those who wait.

All methods run on the event loop, but for `note_arrival`, `may_take_whole` and `descriptor_with`,
which threads call.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence

import trio

from hubfs.errors import FetchFailed, HubfsError
from hubfs.fetch.plan import SMALLEST_PIECE, WHOLE_UP_TO, Plan, Priority
from hubfs.fetch.pull import Pull
from hubfs.fetch.verification import RollingHash
from hubfs.hub.pace import backoff
from hubfs.model.content import MIB, Content, Source
from hubfs.model.ranges import ByteRange, RangeSet
from hubfs.store.partials import Partial

log = logging.getLogger(__name__)

FAILURE_MEMORY = 5.0  # seconds in which a failed content is not asked for again
REQUEST_TIME = 1.5  # seconds that a request should take
_FIRST_PIECE = 16 * MIB
_PIECES = (8 * MIB, 64 * MIB)
ENOUGH = 800 * MIB  # per second: more connections than bring it only get in each other's way
FEWEST = 4
_FADING = 0.7  # of what a connection once brought, with each that brought less
_SHARES = 8  # of what is left of a content: one for each of its connections


class Transfer:
    """One content being fetched. Made on the first read that misses."""

    def __init__(self, content: Content, partial: Partial, sources: Sequence[Source]) -> None:
        self.content = content
        self.partial = partial
        self.sources = list(sources)
        self.plan = Plan(content.size, partial.held.copy())
        self.hash = RollingHash(content)
        self.pulls: set[Pull] = set()
        self.is_admitted = False
        self.written_ns = 0
        self.is_hashing = False
        self.is_claiming = False
        self.disk = trio.Lock()  # claims, admission and starting over go one at a time
        self.restarts = 0
        self.unclaimed = 0
        self.failures = 0
        self.not_before = 0.0
        self._failure: tuple[float, HubfsError] | None = None
        self._last_trouble: HubfsError | None = None
        self._progress_at = trio.current_time()
        self._waiters: set[tuple[Callable[[], bool], trio.Event]] = set()
        self._arrivals: deque[tuple[Partial, int, int]] = deque()
        self._holding = threading.Lock()  # what is held, and in which file, change together
        self._piece = _FIRST_PIECE
        self._rate = 0.0  # of one connection, in bytes per second

    # --- waiting -----------------------------------------------------------------------

    def has(self, span: ByteRange) -> bool:
        """Whether `span` may be served: it is here, and for a small content, verified."""
        if self.content.size <= WHOLE_UP_TO:
            return self.is_admitted
        return self.plan.holds(span)

    def descriptor_with(self, span: ByteRange) -> int | None:
        """The descriptor of its file, if `span` may be served from it. Thread-safe."""
        with self._holding:
            return self.partial.descriptor if self.has(span) else None

    async def wait_for(self, span: ByteRange, patience: float) -> None:
        """Wait until `has(span)`. Cancelling it leaves the transfer alone.

        Raises:
            FetchFailed: nothing arrived for `patience` seconds.
            HubfsError: the transfer failed for good; the reason.
        """
        await self._wait(lambda: self.has(span), patience)

    async def wait_until_admitted(self, patience: float) -> None:
        """Wait until all of it is here and verified.

        Raises: as `wait_for`.
        """
        await self._wait(lambda: self.is_admitted, patience)

    async def _wait(self, is_met: Callable[[], bool], patience: float) -> None:
        started = trio.current_time()
        while not is_met():
            self.raise_failure()
            deadline = max(started, self._progress_at) + patience
            if trio.current_time() >= deadline:
                if self.failures:
                    raise FetchFailed(self._patience_text(patience)) from self._last_trouble
                started = trio.current_time()  # others were served first; nothing is wrong
                continue
            with trio.move_on_at(deadline):
                await self._next_change(is_met)

    async def _next_change(self, is_met: Callable[[], bool]) -> None:
        waiter = (is_met, trio.Event())
        self._waiters.add(waiter)
        try:
            await waiter[1].wait()
        finally:
            self._waiters.discard(waiter)

    def _patience_text(self, patience: float) -> str:
        reason = f": {self._last_trouble}" if self._last_trouble else ""
        return f"no byte of {self.sources[0]} came for {patience:.0f} s{reason}"

    def _wake(self) -> None:
        """Wake those whose condition is met, and everyone after a failure."""
        is_over = self._failure is not None
        for is_met, event in list(self._waiters):
            if is_over or is_met():
                event.set()

    # --- arrivals ----------------------------------------------------------------------

    def note_arrival(self, partial: Partial, start: int, stop: int) -> None:
        """Bytes have been written to `partial`. Called by pulls in their threads."""
        self._arrivals.append((partial, start, stop))

    def take_arrivals(self) -> None:
        """Bring the plan up to date with what threads have written, and wake who waited for it."""
        while self._arrivals:
            partial, start, stop = self._arrivals.popleft()
            if partial is self.partial:
                before = self.plan.held.total
                with self._holding:
                    self.plan.note_arrived(start, stop)
                if self.plan.held.total - before < stop - start:
                    self._note_rewritten(start)
                self.unclaimed += stop - start
                self._progress_at = trio.current_time()
        self._wake()

    def _note_rewritten(self, start: int) -> None:
        """What was held from `start` on has been written again: hash it as it is now."""
        if self.is_hashing or self.hash.position > start:
            self.hash = RollingHash(self.content)

    def may_take_whole(self) -> bool:
        """Whether a pull may take the whole file, which it is sent; one wins. Thread-safe.

        It writes again what is held, so none may once all is: the file may be a blob by then.
        """
        with self._holding:
            is_first = not self.plan.is_rangeless
            self.plan.is_rangeless = True
            return not self.plan.is_complete and (is_first or len(self.pulls) <= 1)

    @property
    def may_be_rewritten(self) -> bool:
        """Whether what is held may be written again: by who takes the whole file, or beside it."""
        return self.plan.is_rangeless and bool(self.pulls)

    def note_rate(self, pull: Pull) -> None:
        """Size requests: so long that a round trip counts little, and nobody waits long for one."""
        if pull.received >= MIB and pull.seconds > 0:
            rate = pull.received / pull.seconds
            self._rate = max(rate, _FADING * self._rate)
            piece = int(min(_PIECES[1], max(_PIECES[0], REQUEST_TIME * rate)))
            self._piece = piece // MIB * MIB

    @property
    def busy_connections(self) -> int:
        """How many bring bytes for longer than it takes to ask for more."""
        return sum(not pull.is_ending for pull in self.pulls)

    @property
    def has_enough_connections(self) -> bool:
        """Whether another one would bring nothing: the processors are the limit, not the line."""
        enough = max(FEWEST, ENOUGH / self._rate if self._rate else math.inf)
        return self.busy_connections >= enough

    def largest_piece(self, priority: Priority) -> int:
        """The most bytes to ask for in one request.

        What is wanted whole is asked for in smaller pieces towards its end, so that all
        connections carry of it to the last.
        """
        if priority is Priority.DEMAND or not self.plan.wants_rest:
            return self._piece
        left = self.content.size - self.plan.held.total - self.plan.claimed.total
        share = max(left, self._piece) // _SHARES // MIB * MIB
        return max(SMALLEST_PIECE, min(self._piece, share))

    # --- troubles ----------------------------------------------------------------------

    def is_paused(self, now: float) -> bool:
        """Whether to leave the Hub alone for now: after a trouble or a failure."""
        return now < self.not_before or self._failure is not None

    def note_trouble(self, error: HubfsError, pause: float | None = None) -> float:
        """A request failed in a way that may pass; return the seconds to leave it alone.

        Requests that fail while it is left alone are part of the same trouble.
        """
        self._last_trouble = error
        now = trio.current_time()
        if now < self.not_before and pause is None:
            return self.not_before - now
        self.failures += 1
        wait = backoff(self.failures, longest=10.0) if pause is None else pause
        self.not_before = now + wait
        log.info("%s; trying again in %.1f s", error, wait)
        return wait

    def note_success(self) -> None:
        """A request did what it should."""
        self.failures = 0

    def add_source(self, source: Source) -> None:
        """It can be had at `source` too."""
        if source not in self.sources:
            self.sources.append(source)

    def drop_source(self, source: Source) -> bool:
        """Never ask for it at `source` again; return whether another place is left."""
        self.sources = [each for each in self.sources if each != source] or self.sources
        return source not in self.sources

    def fail(self, error: HubfsError) -> None:
        """Give everyone who waits now the reason; a later read tries anew."""
        self._failure = (trio.current_time(), error)
        self._wake()

    @property
    def failure(self) -> HubfsError | None:
        """Why it failed for good, if it did and nobody has read it since."""
        return self._failure[1] if self._failure else None

    @property
    def has_failed(self) -> bool:
        """Whether it failed for good and nobody has read it since."""
        return self._failure is not None

    def raise_failure(self) -> None:
        """Raise the failure if it is recent; forget an old one."""
        if self._failure is None:
            return
        failed_at, error = self._failure
        if trio.current_time() - failed_at < FAILURE_MEMORY:
            raise error
        self._failure = None

    def restart(self, partial: Partial) -> None:
        """Begin again in a new file: what arrived was not what it should be."""
        self.restarts += 1
        with self._holding:
            self.partial = partial
            self.plan.held = RangeSet()
        self.hash = RollingHash(self.content)
        self.unclaimed = 0

    def lose_unclaimed(self) -> None:
        """Hold only what is sure to be on disk: the disk failed to take the rest."""
        with self._holding:
            self.plan.held = self.partial.held.copy()
        self.hash = RollingHash(self.content)
        self.unclaimed = 0

    # --- ends --------------------------------------------------------------------------

    @property
    def is_at_work(self) -> bool:
        """Whether a thread uses its file."""
        return bool(self.pulls) or self.is_hashing or self.is_claiming

    def note_admitted(self, written_ns: int) -> None:
        """It is a blob now, whose file was last written then."""
        self.written_ns = written_ns
        self.is_admitted = True
        self._wake()
