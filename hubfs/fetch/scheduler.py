"""Which request to make next, and what its end means: a bounded pool over all transfers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial as bind

import trio

from hubfs.config import FetchSettings
from hubfs.counters import COUNTERS
from hubfs.errors import (
    FetchStopped,
    HubfsError,
    LocationExpired,
    RateLimited,
    StoreError,
    TransientHubError,
)
from hubfs.fetch.plan import Priority
from hubfs.fetch.pull import Pull, Throttle
from hubfs.fetch.room import Room
from hubfs.fetch.transfer import Transfer
from hubfs.hub.content import ContentClient
from hubfs.model.content import Source
from hubfs.model.ranges import ByteRange

log = logging.getLogger(__name__)

MOST_PER_CONTENT = 8  # or half of what `--max-connections` allows, if that is more
KEPT_OF = 8  # of so many connections one is kept for readers
ABANDONED_FOR = 2.0


class Scheduler:
    """Runs the pulls of `transfers()` in a nursery; `advance` is called as each one ends."""

    def __init__(
        self,
        client: ContentClient,
        settings: FetchSettings,
        transfers: Callable[[], Iterable[Transfer]],
        advance: Callable[[Transfer], None],
        room: Room,
    ) -> None:
        self._client = client
        self._room = room
        self._most = settings.max_connections
        self._throttle = Throttle(settings.limit_rate)
        self._transfers = transfers
        self._advance = advance
        self._limiter = trio.CapacityLimiter(settings.max_connections)
        self._active = 0
        self._turn = 0
        self._abandoned: list[Pull] = []
        self._nursery: trio.Nursery | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Run pulls in `nursery` from now on."""
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()

    def reconfigure(self, settings: FetchSettings) -> None:
        """Go on with these; requests under way end as they are."""
        self._most = settings.max_connections
        self._limiter.total_tokens = settings.max_connections
        self._throttle.change(settings.limit_rate)
        self.schedule()

    def stop(self) -> None:
        """Start no more, and wake the threads of those under way."""
        self._nursery = None
        for transfer in self._transfers():
            for pull in transfer.pulls:
                pull.lifeline.cut()

    def wait_for_threads(self) -> bool:
        """After the nursery is gone: whether all threads have ended, or do soon."""
        return all(pull.ended.wait(ABANDONED_FOR) for pull in self._abandoned)

    # --- choosing ----------------------------------------------------------------------

    def schedule(self) -> None:
        """Start requests while there are connections, the most urgent first, files in turn."""
        while self._active < self._most and self._nursery is not None:
            chosen = self._choose()
            if chosen is None:
                return
            transfer, claim = chosen
            self._room.take(claim.size)
            pull = self._pull(transfer, claim)
            self._active += 1
            transfer.pulls.add(pull)
            self._nursery.start_soon(self._run, transfer, pull, transfer.sources[0])

    def _choose(self) -> tuple[Transfer, ByteRange] | None:
        now = trio.current_time()
        ready = [each for each in self._transfers() if self._may_ask(each, now)]
        self._turn += 1
        at = self._turn % len(ready) if ready else 0
        # Requests differ in size: it is connections that files have an equal share of.
        ready = sorted(ready[at:] + ready[:at], key=lambda each: len(each.pulls))
        free = self._most - self._active
        for priority in Priority:
            if priority > Priority.DEMAND and not self._may_fetch_ahead(free):
                return None
            for transfer in ready:
                if priority > Priority.DEMAND and self._has_its_share(transfer):
                    continue
                claim = transfer.plan.claim_next(priority, transfer.largest_piece(priority))
                if claim is not None:
                    return transfer, claim
        return None

    def _may_fetch_ahead(self, free: int) -> bool:
        """Whether there are connections, and room, for what nobody waits for."""
        kept = min(max(1, self._most // KEPT_OF), self._most - 1)
        return free > kept and self._room.left > 0

    def _has_its_share(self, transfer: Transfer) -> bool:
        """Whether it has all connections that one content may have for what nobody waits for."""
        most = max(MOST_PER_CONTENT, self._most // 2)
        return transfer.busy_connections >= most or transfer.has_enough_connections

    def _may_ask(self, transfer: Transfer, now: float) -> bool:
        if transfer.plan.is_spoken_for:  # as most are when many small files are fetched
            return False
        # A server that ignores ranges sends the whole file to each: one is enough.
        is_busy = transfer.plan.is_rangeless and bool(transfer.pulls)
        return not is_busy and not transfer.is_admitted and not transfer.is_paused(now)

    # --- one pull ----------------------------------------------------------------------

    def _pull(self, transfer: Transfer, claim: ByteRange) -> Pull:
        report = bind(self._report, transfer)
        return Pull(transfer.partial, claim, report, transfer.may_take_whole)

    async def _run(self, transfer: Transfer, pull: Pull, source: Source) -> None:
        error: HubfsError | None = None
        try:
            await trio.to_thread.run_sync(
                pull.run,
                self._client,
                source,
                self._throttle,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        except HubfsError as raised:
            error = raised
        except trio.Cancelled:
            self._abandoned += [pull] if pull.has_begun else []
            raise
        finally:
            self._active -= 1
            transfer.pulls.discard(pull)
            transfer.take_arrivals()
            transfer.plan.release(pull.claim)
        COUNTERS.add("downloaded_bytes", pull.received)
        transfer.note_rate(pull)
        self._judge(transfer, source, error, made_progress=pull.received > 0)
        self._advance(transfer)

    def _report(self, transfer: Transfer, pull: Pull, start: int, stop: int) -> None:
        """Tell the event loop what a pull has written. Called in its thread."""
        transfer.note_arrival(pull.partial, start, stop)
        if not self.call_soon(transfer.take_arrivals):
            raise FetchStopped("hubfs is shutting down")
        if pull.is_ending:
            self.call_soon(self.schedule)

    def call_soon(self, call: Callable[[], object]) -> bool:
        """Have the event loop make `call`, once for all who ask until then. Thread-safe.

        Returns whether there is an event loop, which there is from `start` until its end.
        """
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(call, idempotent=True)
        except trio.RunFinishedError:
            return False
        return True

    # --- what an end means -------------------------------------------------------------

    def _judge(
        self, transfer: Transfer, source: Source, error: HubfsError | None, *, made_progress: bool
    ) -> None:
        if error is None or made_progress:
            transfer.note_success()
        if error is None:
            return
        COUNTERS.add("fetch_errors", kind=type(error).__name__)
        if isinstance(error, TransientHubError):
            self._try_later(transfer, error)
        elif isinstance(error, StoreError) or not transfer.drop_source(source):
            log.warning("%s cannot be read: %s", source, error)
            transfer.fail(error)

    def _try_later(self, transfer: Transfer, error: TransientHubError) -> None:
        pause = error.retry_after if isinstance(error, RateLimited) else None
        if isinstance(error, LocationExpired) and transfer.failures == 0:
            pause = 0.0
        wait = transfer.note_trouble(error, pause)
        if self._nursery is not None:
            self._nursery.start_soon(self._resume_after, wait)

    async def _resume_after(self, wait: float) -> None:
        await trio.sleep(wait)
        self.schedule()
