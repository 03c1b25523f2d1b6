"""Serves the bytes of contents: from blobs at once, else through one shared transfer each.

The fetcher is a service: transfers, hashing and claims live in its nursery, so
a reader that goes away never takes a download with it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator

import trio

from hubfs.config import FetchSettings, Fill
from hubfs.counters import COUNTERS
from hubfs.errors import (
    BudgetSpent,
    FetchStopped,
    HubfsError,
    StoreDamaged,
    StoreFull,
    StoreReadOnly,
)
from hubfs.fetch.direct import DirectReader
from hubfs.fetch.opened import OpenBlob, OpenContent, Place
from hubfs.fetch.plan import hints_of
from hubfs.fetch.pressure import current_pressure
from hubfs.fetch.room import Room
from hubfs.fetch.scheduler import Scheduler
from hubfs.fetch.settler import Settler
from hubfs.fetch.transfer import Transfer
from hubfs.hub.content import ContentClient
from hubfs.model.content import Content, Source
from hubfs.model.ranges import ByteRange
from hubfs.store.doubts import recheck
from hubfs.store.partials import Partial
from hubfs.store.reading import Extent, read_blocking, read_nowait
from hubfs.store.store import Store

log = logging.getLogger(__name__)

TICK = 5.0  # seconds after which what arrived is claimed, be it little
MOST_AHEAD = 64  # contents that somebody may open next
MOST_POSTPONED = 256  # contents that are filled once there is room
TIRED_AFTER = 5  # failures in a row after which a fill that nobody waits for is given up


class Fetcher:
    """Bytes on demand for everyone in this process.

    `distrusted` receives the inodes of which the kernel may hold wrong pages:
    what was served of them turned out not to be what the listing promised.
    `used` tells when contents were opened or released; whoever keeps that takes
    it. `room` is what whoever keeps the budget allows.
    """

    def __init__(self, store: Store, client: ContentClient, settings: FetchSettings) -> None:
        self._store = store
        self._settings = settings
        self._direct = DirectReader(client, settings.patience)
        self.room = Room()
        self.used: dict[Content, float] = {}
        self._scheduler = Scheduler(client, settings, self._transfers, self._advance, self.room)
        self._settler = Settler(store, self._advance, self._note_wrong)
        self._open: dict[str, OpenContent] = {}
        self._led: set[str] = set()
        self._ahead = 0  # contents that are being fetched for who may open them next
        self._postponed: dict[str, Place] = {}
        self._is_catching_up = False
        self._replaced: set[str] = set()
        self._doubts, self.distrusted = trio.open_memory_channel[frozenset[int]](math.inf)
        self._served: deque[tuple[OpenContent, ByteRange]] = deque()
        self._will_look_ahead = False
        self._nursery: trio.Nursery | None = None
        self._is_stopped = False
        self.waiting = 0  # readers, for bytes to come
        self.pressure = 0

    # --- the service -------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._scheduler.start(nursery)
            self._settler.start(nursery)
            task_status.started()
            while True:
                await trio.sleep(TICK)
                self._tick()

    def _tick(self) -> None:
        self.pressure = current_pressure()
        for each in self._transfers():
            each.plan.pressure = self.pressure
            self._settler.claim_if_due(each, least=1)

    def reconfigure(self, settings: FetchSettings) -> None:
        """Go on with these; who waits already keeps its patience."""
        self._settings = settings
        self._direct.patience = settings.patience
        self._scheduler.reconfigure(settings)

    def stop(self) -> None:
        """Fail everyone who waits, and end all requests."""
        self._is_stopped = True
        for each in self._transfers():
            each.fail(FetchStopped("hubfs is shutting down"))
        self._scheduler.stop()
        self._settler.stop()
        self._direct.stop()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def close(self) -> None:
        """After `run` has ended: make durable what arrived, and close all files."""
        # A thread that still writes must not find its descriptor closed, and perhaps reused: if
        # one is stuck (in a name look-up, say), the end of the process closes the files instead.
        may_close = self._scheduler.wait_for_threads()
        for each in self._transfers():
            self._settler.claim_now(each)
        for opened in self._open.values():
            if may_close:
                opened.close_files()
        self._open.clear()
        self._settler.close()

    # --- opening -----------------------------------------------------------------------

    def open(self, content: Content, source: Source) -> OpenContent:
        """The shared state of `content`; give it back with `release`.

        Raises:
            StoreDamaged: a blob is there and cannot be opened.
        """
        opened = self._open.get(content.key)
        if opened is None:
            opened = OpenContent(content, source, self._blob_of(content))
            self._open[content.key] = opened
        opened.users += 1
        opened.add_source(source)
        self.used[content] = time.time()
        return opened

    def _blob_of(self, content: Content) -> OpenBlob | None:
        descriptor = self._store.blobs.open(content)
        if descriptor is None:
            return None
        written_ns = os.fstat(descriptor).st_mtime_ns
        return OpenBlob(descriptor, written_ns, self._store.blobs.find_stamp(content))

    def note_opened(self, opened: OpenContent, inode: int, following: tuple[Place, ...]) -> None:
        """A program opened it as `inode`; loaders that do will read `following` next."""
        opened.inodes.add(inode)
        opened.following = following
        if opened.is_complete and opened.content.key in self._led:
            self._lead(opened)  # it was fetched ahead: stay ahead

    def release(self, opened: OpenContent) -> None:
        """One user less; the last one lets readahead end and the files close."""
        opened.users -= 1
        self.used[opened.content] = time.time()
        if opened.users == 0 and opened.transfer is not None:
            opened.transfer.plan.note_unused()
        self._retire_if_idle(opened)

    def distrust(self, keys: Iterable[str]) -> None:
        """The blob of the contents with these keys was bad and is no more: serve nothing of it.

        Whoever has one open is served what is fetched anew.
        """
        for key in keys:
            self._replaced.add(key)
            opened = self._open.get(key)
            if opened is not None:
                opened.distrust()
                self._doubts.send_nowait(frozenset(opened.inodes))

    def was_replaced(self, content: Content) -> bool:
        """Whether the kernel may hold pages of `content` that came from a bad blob."""
        return content.key in self._replaced

    def is_open(self, key: str) -> bool:
        """Whether the content with that key is in use: its files may be made and removed now."""
        return key in self._open

    def cached_bytes(self, content: Content) -> int:
        """How many bytes of `content` are on this node."""
        opened = self._open.get(content.key)
        if opened is not None and opened.transfer is not None:
            return opened.transfer.plan.held.total
        if self._store.blobs.find(content) is not None or not content.size:
            return content.size
        return self._store.partials.held_bytes(content)

    # --- what it takes on disk ---------------------------------------------------------

    @property
    def opened(self) -> list[OpenContent]:
        """Everything that is open, or still at work."""
        return list(self._open.values())

    def allow(self, left: float, reason: str = "") -> None:
        """Let so many bytes be asked for from now on; with a `reason`, no new ones at all.

        Then what nobody has open any more, and would have been filled, is let go until
        there is room: as long as it is open its part takes some that nobody may take back.
        """
        self.room.allow(left, reason)
        if self.room.is_tight:
            for opened in self.opened:
                self._retire_if_idle(opened)
        else:
            self._catch_up_if_due()
        self._scheduler.schedule()

    def _catch_up_if_due(self) -> None:
        is_due = bool(self._postponed) and not self._is_catching_up and not self._is_stopped
        if is_due and self._nursery is not None:
            self._is_catching_up = True
            self._nursery.start_soon(self._catch_up)

    async def _catch_up(self) -> None:
        """Fill what found no room, one after the other, as long as there is some."""
        try:
            while self._postponed and not self.room.is_tight:
                await self._complete_quietly(*self._postponed.pop(next(iter(self._postponed))))
        finally:
            self._is_catching_up = False

    def give_up_prefetches(self) -> None:
        """There is no room, nor will there be soon: let whoever fetches for later know."""
        for each in self._transfers():
            if each.plan.prefetchers and not each.is_admitted:
                each.fail(BudgetSpent(self.room.reason))

    def _note_full(self, error: HubfsError | None) -> None:
        if isinstance(error, StoreFull) and not isinstance(error, StoreReadOnly | BudgetSpent):
            self.room.note_disk_full()

    # --- reading -----------------------------------------------------------------------

    async def ensure(self, opened: OpenContent, span: ByteRange) -> bool:
        """Have `span` in the file of `opened`; return whether some of it had to come first.

        Readers of the same content share one transfer. Cancelling a reader
        ends its wait, not the transfer.

        Raises:
            FetchFailed: nothing came for the length of the user's patience.
            HubError, ContentMismatch: why it cannot be had.
            FetchStopped: nobody has it open any more, or hubfs is shutting down.
            StoreFull: it cannot be kept, since there is no room on the disk or in the budget;
                `read_direct` still works.
        """
        if opened.is_complete:
            return False
        waited = False
        with self._in_use(opened):
            self._take_served()
            transfer = opened.transfer or await self._begin(opened)
            # Its blob may be given up the moment that it is one: then there is nothing here again.
            while transfer is not None:
                waited = await self._bring(opened, transfer, span) or waited
                if opened.transfer is transfer or opened.is_complete:
                    break
                transfer = opened.transfer or await self._begin(opened)
        return waited

    @contextlib.contextmanager
    def _in_use(self, opened: OpenContent) -> Iterator[None]:
        """Keep the files of `opened` within: a killed program's READ may outlive its RELEASE.

        Raises:
            FetchStopped: they are closed already.
        """
        if self._open.get(opened.content.key) is not opened:
            raise FetchStopped(f"{opened.sources[0]} was closed meanwhile")
        opened.users += 1
        try:
            yield
        finally:
            self.release(opened)

    async def _bring(self, opened: OpenContent, transfer: Transfer, span: ByteRange) -> bool:
        """Have `transfer` hold `span`; return whether some of it had to come first."""
        waited = not transfer.has(span)
        self._note_read(opened, transfer, span, waited=waited)
        if not waited:
            self._scheduler.schedule()
            return False
        transfer.raise_failure()
        self._settler.hash_if_due(transfer)  # a failure that is forgotten now may have ended it
        began = trio.current_time()
        self.waiting += 1
        try:
            await self._find_room(transfer, span)
            with transfer.plan.demanded(span):
                self._scheduler.schedule()
                await transfer.wait_for(span, self._settings.patience)
        finally:
            self.waiting -= 1
        COUNTERS.note("read_wait", trio.current_time() - began)
        return True

    async def _find_room(self, transfer: Transfer, span: ByteRange) -> None:
        """See to it that what `span` lacks may be asked for."""
        if self.room.left > 0 or not transfer.plan.lacks(span):
            return
        await self.room.wait_for_room()
        if self.room.is_tight and transfer.plan.lacks(span):
            raise BudgetSpent(self.room.reason)

    async def read_shared(
        self, opened: OpenContent, blob: OpenBlob, span: ByteRange
    ) -> bytes | None:
        """The bytes of `span` of a blob whose file others may change; None if they have.

        Then `ensure` finds out what became of it.

        Raises:
            StoreDamaged: the disk failed.
            FetchStopped: nobody has it open any more.
        """
        extent = Extent(blob.descriptor, span.start, span.size)
        buffer = bytearray(span.size)
        with self._in_use(opened):
            try:
                if not read_nowait(extent, memoryview(buffer)):
                    buffer[:] = await trio.to_thread.run_sync(read_blocking, *extent)
            except StoreDamaged:
                if blob.is_as_it_was:
                    raise
            # What it says before the bytes are read, it need not be while they are.
            if blob.is_as_it_was:
                return bytes(buffer)
            opened.doubt(blob)
        return None

    async def read_direct(self, opened: OpenContent, span: ByteRange) -> bytes:
        """The bytes of `span` straight from the Hub, for when they cannot be kept.

        Raises: as `ensure`.
        """
        return await self._direct.read(opened.content, opened.sources[0], span)

    async def complete(self, content: Content, source: Source) -> None:
        """Have all of `content` as a blob, behind anybody's reading.

        Raises: as `ensure`.
        """
        opened = self.open(content, source)
        try:
            transfer = opened.transfer or await self._begin(opened)
            if transfer is not None and not opened.is_complete:
                await self._complete(transfer)
        finally:
            self.release(opened)

    async def _complete(self, transfer: Transfer) -> None:
        transfer.raise_failure()
        with transfer.plan.prefetched():
            self._settler.hash_if_due(transfer)
            self._scheduler.schedule()
            await transfer.wait_until_admitted(self._settings.patience)

    async def _begin(self, opened: OpenContent) -> Transfer | None:
        """The transfer of `opened`, begun or resumed; None if its blob is here after all."""
        async with opened.opening:
            if opened.transfer is None and not opened.is_complete:
                # A cancelled reader must not leave a file open that nobody knows of.
                with trio.CancelScope(shield=True):
                    found = await self._find_file(opened.content)
                if isinstance(found, Partial):
                    opened.transfer = Transfer(opened.content, found, opened.sources)
                    self._settler.hash_if_due(opened.transfer)
                else:
                    opened.adopt(found)
        if self._is_stopped:
            raise FetchStopped("hubfs is shutting down")
        return opened.transfer

    async def _find_file(self, content: Content) -> Partial | OpenBlob:
        try:
            return await trio.to_thread.run_sync(self._open_file, content)
        except StoreFull as error:
            self._note_full(error)
            raise

    def _open_file(self, content: Content) -> Partial | OpenBlob:
        recheck(self._store, content)
        return self._blob_of(content) or self._store.partials.open(content)

    def fresh_bytes(self, repo: str) -> int:
        """How many bytes have come for files of `repo` that are not durable, or not claimed yet."""
        return sum(
            max(0, each.plan.held.total - each.partial.held.total)
            for each in self._transfers()
            if not each.is_admitted and any(source.repo_path == repo for source in each.sources)
        )

    @property
    def under_way(self) -> tuple[int, int]:
        """(contents that are on their way, requests for them that run)."""
        transfers = [each for each in self._transfers() if not each.is_admitted]
        return len(transfers), sum(len(each.pulls) for each in transfers)

    # --- reading ahead -----------------------------------------------------------------

    def note_served(self, opened: OpenContent, span: ByteRange) -> None:
        """Somebody read `span` from what is here: fetch what comes next. Thread-safe."""
        if opened.is_complete:
            return
        self._served.append((opened, span))
        if not self._will_look_ahead:  # to wake the loop costs more than all the rest of a read
            self._will_look_ahead = True
            self._scheduler.call_soon(self._look_ahead)

    def _look_ahead(self) -> None:
        self._take_served()
        self._scheduler.schedule()

    def _take_served(self) -> None:
        self._will_look_ahead = False  # before: what comes meanwhile must not be left
        while self._served:
            opened, span = self._served.popleft()
            if opened.transfer is not None and opened.users:
                self._note_read(opened, opened.transfer, span, waited=False)

    def _note_read(
        self, opened: OpenContent, transfer: Transfer, span: ByteRange, *, waited: bool
    ) -> None:
        plan = transfer.plan
        plan.streams.note_read(span, waited=waited)
        if waited and not plan.hints:
            plan.hints = hints_of(opened.sources[0].path, span, plan.size)
        if not plan.wants_fill and self._wants_fill(transfer):
            plan.wants_fill = True
            self._lead(opened)

    def _wants_fill(self, transfer: Transfer) -> bool:
        if not self.room.could_hold(transfer.content.size):
            return False
        if self._settings.fill is Fill.AUTO:
            return transfer.plan.streams.is_earnest
        return self._settings.fill is Fill.ALWAYS

    def _lead(self, opened: OpenContent) -> None:
        """Fetch what loaders read after `opened`, behind everything else."""
        if self._nursery is None or not self._may_lead:
            return
        for content, source in opened.following:
            if content.key not in self._led:
                self._led.add(content.key)
                self._nursery.start_soon(self._complete_quietly, content, source)

    def fetch_ahead(self, places: Iterable[Place]) -> None:
        """Fetch what somebody is likely to open next, behind everything else.

        What would be too much, or finds no room, is left to whoever opens it.
        """
        if self._nursery is None or not self._may_lead or self.room.is_tight:
            return
        for content, source in places:
            if self._ahead < MOST_AHEAD:
                self._ahead += 1
                self._nursery.start_soon(self._complete_ahead, content, source)

    @property
    def _may_lead(self) -> bool:
        """Whether to fetch what nobody has asked for."""
        return self._settings.fill is Fill.AUTO and not self._is_stopped

    async def _complete_ahead(self, content: Content, source: Source) -> None:
        try:
            await self._complete_quietly(content, source)
        finally:
            self._ahead -= 1

    async def _complete_quietly(self, content: Content, source: Source) -> None:
        if not self.room.could_hold(content.size):
            return
        try:
            await self.complete(content, source)
        except HubfsError as error:
            log.info("%s was not fetched ahead: %s", source, error)

    # --- from state to state -----------------------------------------------------------

    def _transfers(self) -> list[Transfer]:
        return [each.transfer for each in self._open.values() if each.transfer is not None]

    def _advance(self, transfer: Transfer) -> None:
        """Do whatever the transfer's new state calls for."""
        self._note_full(transfer.failure)
        self._settler.hash_if_due(transfer)
        self._settler.claim_if_due(transfer)
        self._scheduler.schedule()
        opened = self._open.get(transfer.content.key)
        if opened is not None and opened.transfer is transfer:
            self._retire_if_idle(opened)

    def _note_wrong(self, transfer: Transfer, wrong: Partial) -> None:
        opened = self._open[transfer.content.key]
        if wrong is not transfer.partial:
            opened.retired.append(wrong)
        self._doubts.send_nowait(frozenset(opened.inodes))

    def _retire_if_idle(self, opened: OpenContent) -> None:
        if opened.users or self._open.get(opened.content.key) is not opened or self._is_stopped:
            return
        if opened.transfer is not None:
            self._settler.claim_if_due(opened.transfer, least=1)
            if opened.transfer.is_at_work or self._will_go_on(opened.transfer):
                return
            self._postpone_if_tight(opened, opened.transfer)
        del self._open[opened.content.key]
        opened.close_files()
        if self.room.is_tight:
            self.room.wake()

    def _postpone_if_tight(self, opened: OpenContent, transfer: Transfer) -> None:
        is_wanted = transfer.plan.wants_rest and not transfer.is_admitted
        is_barred = transfer.failure is None or isinstance(transfer.failure, StoreFull)
        if self.room.is_tight and is_wanted and is_barred and len(self._postponed) < MOST_POSTPONED:
            self._postponed[opened.content.key] = (opened.content, opened.sources[0])

    def _will_go_on(self, transfer: Transfer) -> bool:
        if transfer.is_admitted or not transfer.plan.wants_rest:
            return False
        is_tired = transfer.failures >= TIRED_AFTER or transfer.has_failed
        return not is_tired and not self.room.is_tight
