"""Serves the bytes of contents: from blobs at once, else through one shared transfer each.

The fetcher is a service: transfers, hashing and claims live in its nursery, so
a reader that goes away never takes a download with it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial as bind

import trio

from hubfs.config import FetchSettings, Fill
from hubfs.errors import (
    ContentMismatch,
    FetchStopped,
    HubfsError,
    LocationExpired,
    RateLimited,
    StoreError,
    TransientHubError,
)
from hubfs.fetch.direct import DirectReader
from hubfs.fetch.opened import OpenContent, Place
from hubfs.fetch.plan import Priority, hints_of
from hubfs.fetch.pressure import current_pressure
from hubfs.fetch.pull import Pull, Throttle
from hubfs.fetch.transfer import Transfer
from hubfs.hub.content import ContentClient
from hubfs.model.content import MIB, Content, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.partials import Partial
from hubfs.store.store import Store

log = logging.getLogger(__name__)

MOST_PER_CONTENT = 8
RESERVED_FOR_READERS = 2
CLAIM_EVERY_BYTES = 128 * MIB
CLAIM_EVERY_SECONDS = 5.0
HASH_STEP = 64 * MIB
ABANDONED_FOR = 2.0
TIRED_AFTER = 5  # failures in a row after which nobody's fill is given up


class Fetcher:
    """Bytes on demand for everyone in this process.

    `distrusted` receives the inodes of which the kernel may hold wrong pages:
    what was served of them turned out not to be what the listing promised.
    """

    def __init__(self, store: Store, client: ContentClient, settings: FetchSettings) -> None:
        self._store = store
        self._client = client
        self._settings = settings
        self._throttle = Throttle(settings.limit_rate)
        self._direct = DirectReader(client, settings.patience)
        self._open: dict[str, OpenContent] = {}
        self._active = 0
        self._turn = 0
        self._abandoned: list[Pull] = []
        self._led: set[str] = set()
        self._doubts, self.distrusted = trio.open_memory_channel[frozenset[int]](math.inf)
        self._is_stopped = False
        self._nursery: trio.Nursery | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._pull_limiter = trio.CapacityLimiter(settings.max_connections)
        self._work_limiter = trio.CapacityLimiter(2)

    # --- the service -------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._token = trio.lowlevel.current_trio_token()
            task_status.started()
            while True:
                await trio.sleep(CLAIM_EVERY_SECONDS)
                pressure = current_pressure()
                for each in self._transfers():
                    each.plan.pressure = pressure
                    self._claim_if_due(each, least=1)

    def stop(self) -> None:
        """Fail everyone who waits, and end all requests."""
        self._is_stopped = True
        for each in self._transfers():
            each.fail(FetchStopped("hubfs is shutting down"))
            for pull in each.pulls:
                pull.lifeline.cut()
        self._direct.stop()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def close(self) -> None:
        """After `run` has ended: make durable what arrived, and close all files."""
        # A thread that still writes must not find its descriptor closed, and perhaps reused: if
        # one is stuck (in a name look-up, say), the end of the process closes the files instead.
        may_close = all(pull.ended.wait(ABANDONED_FOR) for pull in self._abandoned)
        for each in self._open.values():
            if each.transfer is not None and not each.transfer.is_admitted:
                self._store_claim(each.transfer)
            if may_close:
                each.close_files()
        self._open.clear()

    # --- opening and reading -----------------------------------------------------------

    def open(self, content: Content, source: Source) -> OpenContent:
        """The shared state of `content`; give it back with `release`.

        Raises:
            StoreDamaged: a blob is there and cannot be opened.
        """
        opened = self._open.get(content.key)
        if opened is None:
            opened = OpenContent(content, source, self._store.blobs.open(content))
            self._open[content.key] = opened
        opened.users += 1
        if opened.transfer is not None and source not in opened.transfer.sources:
            opened.transfer.sources.append(source)
        return opened

    def note_opened(self, opened: OpenContent, inode: int, following: tuple[Place, ...]) -> None:
        """A program opened it as `inode`; loaders that do will read `following` next."""
        opened.inodes.add(inode)
        opened.following = following
        if opened.is_complete and opened.content.key in self._led:
            self._lead(opened)  # it was fetched ahead: stay ahead

    def release(self, opened: OpenContent) -> None:
        """One user less; the last one lets readahead end and the files close."""
        opened.users -= 1
        if opened.users == 0 and opened.transfer is not None:
            opened.transfer.plan.streams.clear()
        self._retire_if_idle(opened)

    async def ensure(self, opened: OpenContent, span: ByteRange) -> None:
        """Have `span` in the file of `opened`, fetching what is missing.

        Readers of the same content share one transfer. Cancelling a reader
        ends its wait, not the transfer.

        Raises:
            FetchFailed: nothing came for the length of the user's patience.
            HubError, ContentMismatch: why it cannot be had.
            StoreFull: it cannot be kept; `read_direct` still works.
        """
        if opened.is_complete:
            return
        if self._is_stopped:
            raise FetchStopped("hubfs is shutting down")
        transfer = self._transfer(opened)
        waited = not transfer.has(span)
        self._note_read(opened, transfer, span, waited=waited)
        if not waited:
            self._schedule()
            return
        transfer.raise_failure()
        transfer.plan.demands.append(span)
        try:
            self._schedule()
            await transfer.wait_for(span, self._settings.patience)
        finally:
            transfer.plan.demands.remove(span)

    def _note_read(
        self, opened: OpenContent, transfer: Transfer, span: ByteRange, *, waited: bool
    ) -> None:
        plan = transfer.plan
        plan.streams.note_read(span, waited=waited)
        if waited and not plan.hints:
            plan.hints = hints_of(opened.source.path, span, plan.size)
        if not plan.wants_fill and self._wants_fill(transfer):
            plan.wants_fill = True
            self._lead(opened)

    def _lead(self, opened: OpenContent) -> None:
        """Fetch what loaders read after `opened`, behind everything else."""
        if self._settings.fill is Fill.AUTO:
            for content, source in opened.following:
                if content.key not in self._led:
                    self._led.add(content.key)
                    self._spawn(self._complete_quietly, content, source)

    async def _complete_quietly(self, content: Content, source: Source) -> None:
        try:
            await self.complete(content, source)
        except HubfsError as error:
            log.info("%s was not fetched ahead: %s", source, error)

    async def read_direct(self, opened: OpenContent, span: ByteRange) -> bytes:
        """The bytes of `span` straight from the Hub, for when they cannot be kept.

        Raises: as `ensure`.
        """
        return await self._direct.read(opened.content, opened.source, span)

    async def complete(self, content: Content, source: Source) -> None:
        """Have all of `content` as a blob, behind anybody's reading.

        Raises: as `ensure`.
        """
        opened = self.open(content, source)
        try:
            if not opened.is_complete:
                transfer = self._transfer(opened)
                transfer.raise_failure()
                transfer.plan.prefetchers += 1
                try:
                    self._schedule()
                    await transfer.wait_for(ByteRange(0, content.size), self._settings.patience)
                finally:
                    transfer.plan.prefetchers -= 1
        finally:
            self.release(opened)

    def cached_bytes(self, content: Content) -> int:
        """How many bytes of `content` are on this node."""
        opened = self._open.get(content.key)
        if opened is not None and opened.transfer is not None:
            return opened.transfer.plan.held.total
        if self._store.blobs.find(content) is not None or not content.size:
            return content.size
        return self._store.partials.held_bytes(content)

    def _transfer(self, opened: OpenContent) -> Transfer:
        if opened.transfer is None:
            partial = self._store.partials.open(opened.content)
            opened.transfer = Transfer(opened.content, partial, opened.source)
            self._hash_if_due(opened.transfer)
        return opened.transfer

    def _wants_fill(self, transfer: Transfer) -> bool:
        if self._settings.fill is Fill.AUTO:
            return transfer.plan.streams.is_earnest
        return self._settings.fill is Fill.ALWAYS

    def _transfers(self) -> list[Transfer]:
        return [each.transfer for each in self._open.values() if each.transfer is not None]

    # --- scheduling --------------------------------------------------------------------

    def _schedule(self) -> None:
        """Start requests while there are connections, the most urgent first, files in turn."""
        while self._active < self._settings.max_connections and self._nursery is not None:
            chosen = self._choose()
            if chosen is None:
                return
            transfer, claim = chosen
            self._active += 1
            self._nursery.start_soon(self._pull, transfer, claim)

    def _choose(self) -> tuple[Transfer, ByteRange] | None:
        now = trio.current_time()
        ready = [each for each in self._transfers() if self._may_ask(each, now)]
        self._turn += 1
        free = self._settings.max_connections - self._active
        for priority in Priority:
            if priority >= Priority.FILL and free <= RESERVED_FOR_READERS:
                return None
            for at in range(len(ready)):
                transfer = ready[(at + self._turn) % len(ready)]
                claim = transfer.plan.claim_next(priority, transfer.largest_piece)
                if claim is not None:
                    return transfer, claim
        return None

    def _may_ask(self, transfer: Transfer, now: float) -> bool:
        busy = len(transfer.pulls) >= MOST_PER_CONTENT
        return not busy and not transfer.is_admitted and not transfer.is_paused(now)

    async def _pull(self, transfer: Transfer, claim: ByteRange) -> None:
        source = transfer.sources[0]
        partial = transfer.partial
        pull = Pull(partial, claim, bind(self._report, transfer, partial), bind(_take, transfer))
        transfer.pulls.add(pull)
        error: HubfsError | None = None
        try:
            await trio.to_thread.run_sync(
                pull.run,
                self._client,
                source,
                self._throttle,
                abandon_on_cancel=True,
                limiter=self._pull_limiter,
            )
        except HubfsError as raised:
            error = raised
        except trio.Cancelled:
            self._abandoned.append(pull)
            raise
        finally:
            self._active -= 1
            transfer.pulls.discard(pull)
            transfer.take_arrivals()
            transfer.plan.release(claim)
        transfer.note_rate(pull)
        self._judge(transfer, source, error, made_progress=pull.received > 0)
        self._advance(transfer)

    def _report(self, transfer: Transfer, partial: Partial, start: int, stop: int) -> None:
        transfer.note_arrival(partial, start, stop)
        assert self._token is not None  # noqa: S101 - pulls start after `run` has
        # The loop may end while a thread still receives: then nobody wants to know.
        try:
            self._token.run_sync_soon(transfer.take_arrivals, idempotent=True)
        except trio.RunFinishedError:
            raise FetchStopped("hubfs is shutting down") from None

    def _judge(
        self, transfer: Transfer, source: Source, error: HubfsError | None, *, made_progress: bool
    ) -> None:
        if error is None or made_progress:
            transfer.note_success()
        if error is None:
            return
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
        self._spawn(self._resume_after, wait)

    async def _resume_after(self, wait: float) -> None:
        await trio.sleep(wait)
        self._schedule()

    def _spawn(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task, *args)

    # --- hashing, claims, admission ----------------------------------------------------

    def _advance(self, transfer: Transfer) -> None:
        """Do whatever the transfer's new state calls for."""
        self._hash_if_due(transfer)
        self._claim_if_due(transfer, least=CLAIM_EVERY_BYTES)
        self._schedule()
        opened = self._open.get(transfer.content.key)
        if opened is not None and opened.transfer is transfer:
            self._retire_if_idle(opened)

    def _hash_if_due(self, transfer: Transfer) -> None:
        plan = transfer.plan
        ahead = plan.held.contiguous_stop(0) - transfer.hash.position
        is_wanted = plan.wants_rest or plan.is_complete
        is_due = plan.is_complete or ahead >= HASH_STEP // 4
        if is_wanted and is_due and not transfer.is_hashing and not transfer.is_admitted:
            transfer.is_hashing = True
            self._spawn(self._hash, transfer)

    async def _hash(self, transfer: Transfer) -> None:
        rolling = transfer.hash
        try:
            stop = transfer.plan.held.contiguous_stop(0)
            step = bind(
                rolling.advance,
                transfer.partial.descriptor,
                min(stop, rolling.position + HASH_STEP),
            )
            await trio.to_thread.run_sync(step, limiter=self._work_limiter)
            if rolling is transfer.hash and rolling.position == transfer.content.size:
                await self._admit(transfer)
        except ContentMismatch as error:
            await self._start_over(transfer, error)
        except StoreError as error:
            log.warning("%s cannot be kept: %s", transfer.sources[0], error)
            transfer.fail(error)
        finally:
            transfer.is_hashing = False
        self._advance(transfer)

    async def _admit(self, transfer: Transfer) -> None:
        sha256 = transfer.hash.verified()
        partial = transfer.partial
        admit = bind(
            self._store.blobs.admit, partial.descriptor, partial.path, sha256, transfer.content
        )
        async with transfer.disk:
            await trio.to_thread.run_sync(admit, limiter=self._work_limiter)
            transfer.note_admitted()
        log.info("%s is here and verified, %d bytes", transfer.sources[0], transfer.content.size)

    async def _start_over(self, transfer: Transfer, error: ContentMismatch) -> None:
        """Fetch it again from scratch, once; then tell the readers."""
        wrong = transfer.partial
        async with transfer.disk:
            await trio.to_thread.run_sync(wrong.discard, limiter=self._work_limiter)
            self._open[transfer.content.key].retired.append(wrong)
            transfer.restart(self._store.partials.open(transfer.content))
        self._doubts.send_nowait(frozenset(self._open[transfer.content.key].inodes))
        if transfer.restarts > 1:
            log.error("%s: %s, twice; it is refused", transfer.sources[0], error)
            transfer.fail(error)
        else:
            log.warning("%s: %s; fetching it again", transfer.sources[0], error)

    def _claim_if_due(self, transfer: Transfer, least: int) -> None:
        is_due = transfer.unclaimed >= least and not transfer.is_claiming
        if is_due and not transfer.is_admitted:
            transfer.is_claiming = True
            self._spawn(self._claim, transfer)

    async def _claim(self, transfer: Transfer) -> None:
        try:
            async with transfer.disk:
                if not transfer.is_admitted:
                    transfer.unclaimed = 0
                    claim = bind(transfer.partial.claim, transfer.plan.held.copy())
                    await trio.to_thread.run_sync(claim, limiter=self._work_limiter)
        except StoreError as error:
            log.warning("progress is not recorded: %s", error)
        finally:
            transfer.is_claiming = False
        self._advance(transfer)

    def _store_claim(self, transfer: Transfer) -> None:
        try:
            transfer.partial.claim(transfer.plan.held)
        except StoreError as error:
            log.warning("progress is not recorded: %s", error)

    # --- ending ------------------------------------------------------------------------

    def _retire_if_idle(self, opened: OpenContent) -> None:
        transfer = opened.transfer
        if opened.users or self._open.get(opened.content.key) is not opened:
            return
        if transfer is not None and self._is_busy(transfer):
            return
        if transfer is not None and transfer.unclaimed and not transfer.is_admitted:
            self._claim_if_due(transfer, least=1)
            if transfer.is_claiming:
                return
        del self._open[opened.content.key]
        opened.close_files()

    def _is_busy(self, transfer: Transfer) -> bool:
        if transfer.pulls or transfer.is_hashing or transfer.is_claiming:
            return True
        is_tired = transfer.failures >= TIRED_AFTER or transfer.has_failed
        return transfer.plan.wants_rest and not transfer.is_admitted and not is_tired


def _take(transfer: Transfer) -> bool:
    """Whether a pull may take the whole file; called from threads, one wins."""
    first = not transfer.plan.is_rangeless
    transfer.plan.is_rangeless = True
    return first or len(transfer.pulls) <= 1
