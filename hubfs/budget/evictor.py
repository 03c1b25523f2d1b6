"""Keeps the cache within its budget: makes room ahead of need, and says when there is none.

What is chosen to go, and what is in use, is decided in synchronous code: a
content that is opened after it was chosen is not here any more, and one that was
opened before is not chosen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial as bind
from itertools import takewhile
from typing import Final, TypeAlias

import trio

from hubfs.budget import policy
from hubfs.budget.figures import figures_of, names_in_use, names_open
from hubfs.budget.pinned import Pinned
from hubfs.budget.unseen import Unseen
from hubfs.config import CacheSettings
from hubfs.counters import COUNTERS
from hubfs.errors import StoreError
from hubfs.fetch.fetcher import Fetcher
from hubfs.fetch.transfer import FAILURE_MEMORY
from hubfs.model.content import Content
from hubfs.model.units import size_text
from hubfs.store.index import Transaction
from hubfs.store.ledger import PARTIAL, Item
from hubfs.store.store import Store

log = logging.getLogger(__name__)

TICK: Final = 5.0  # seconds after which the disk is looked at, though nobody has asked for much
BREATH: Final = 0.01  # between two looks: what happens meanwhile is one reason for the next
REST: Final = 10.0  # times as long as a look in vain took
OLD_EVERY: Final = 60.0  # seconds after which old partials are looked for
KEEP_USED_EVERY: Final = 60.0
KEEP_OPEN_EVERY: Final = 600.0
TIGHT_FOR: Final = 30.0  # seconds after which what is fetched for later is given up
TELL_EVERY: Final = 600.0
PINNED_FOR: Final = 10.0  # seconds for which a sum of what is pinned is good enough
MOST_AT_ONCE: Final = 256
MOST_NAMED: Final = 200
_ALL: Final = 1 << 62


Keeps: TypeAlias = Callable[[Item], bool]


@dataclass(slots=True)
class Evicted:
    """What has been deleted in one go; `first` are the first of its items."""

    at: float = 0.0
    items: int = 0
    size: int = 0
    first: list[Item] = field(default_factory=list)

    def note(self, choice: policy.Choice) -> None:
        """So much more."""
        self.items += len(choice.going)
        self.size += choice.freed
        self.first += choice.going[: MOST_NAMED - len(self.first)]


class Evictor:
    """A service."""

    def __init__(self, store: Store, fetcher: Fetcher, settings: CacheSettings) -> None:
        self._store = store
        self._fetcher = fetcher
        self._settings = settings
        self.pinned = Pinned(store)
        self.last = Evicted()
        self._turn = trio.Lock()  # evictions, and looks at the whole, go one at a time
        self._used_at = self._opened_at = self._told_at = self._full_at = float("-inf")
        self._old_at = float("-inf")
        self._unseen = Unseen()
        self._tight_since = float("inf")
        self._pinned_at, self._pinned_size = float("-inf"), 0

    # --- the service -------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._store.was_left_behind:
                nursery.start_soon(self._reconcile_safely)
            task_status.started()
            while True:
                began = trio.current_time()
                await self._look_safely()
                # Where nothing may go, a look goes through all that is here: it shall be no burden.
                took = trio.current_time() - began if self._fetcher.room.is_tight else 0.0
                await trio.sleep(max(BREATH, REST * took))
                with trio.move_on_after(TICK):
                    await self._fetcher.room.wait_for_news()

    def reconfigure(self, settings: CacheSettings) -> None:
        """Keep to these from now on."""
        self._settings = settings
        self._fetcher.room.wake()

    async def _reconcile_safely(self) -> None:
        try:
            await self.reconcile()
        except StoreError as error:
            log.warning("what a crash left is not entered until `hubfs gc`: %s", error)
        except Exception:
            log.exception("a bug in looking at what a crash left")

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except StoreError as error:
            self._tell_once("the cache's budget cannot be kept: %s", error)
        except Exception:
            log.exception("a bug in keeping the cache's budget")

    async def look(self) -> None:
        """Make room if there is too little, and say how much there is."""
        await self._keep_used_if_due()
        if trio.current_time() - self._old_at > OLD_EVERY:
            self._old_at = trio.current_time()
            await self.drop_old_partials()
        wanted = self._wanted()
        freed = (await self.make_room(wanted)).size if wanted else 0
        if self._tell_of_room():
            return
        if freed < wanted:
            self._tell_of_none()
        else:
            self._fetcher.room.wake()  # more has been asked for meanwhile

    def _wanted(self) -> int:
        figures = self.figures()
        wanted = policy.excess_of(self.limits(), figures)
        room, now = self._fetcher.room, trio.current_time()
        # All requests that were under way meet the same full disk: once is enough for them.
        if room.is_disk_full and now - self._full_at > FAILURE_MEMORY:
            self._full_at = now
            wanted = max(wanted, policy.excess_on_full_disk(figures))
        room.is_disk_full = False
        return wanted

    def _tell_of_room(self) -> bool:
        """Let what may still come be known, and return whether anything may."""
        limits, figures = self.limits(), self.figures()
        self._fetcher.room.most = policy.capacity_of(limits, figures, 0)
        left = policy.room_of(limits, figures)
        if left > 0:
            self._tight_since = float("inf")
            self._fetcher.allow(left)
        return left > 0

    def _tell_of_none(self) -> None:
        """Let it be known that nothing new is kept: what could go is gone."""
        now, size = trio.current_time(), self.limits().size
        whole = "the disk" if size is None else f"the budget of {size_text(size)}"
        reason = f"nothing new is kept: all that fills {whole} is open or pinned"
        self._fetcher.allow(0, reason)
        self._tight_since = min(self._tight_since, now)
        self._tell_once("%s; reads go on without the cache", reason)
        if now - self._tight_since > TIGHT_FOR:
            self._fetcher.give_up_prefetches()

    def _tell_once(self, text: str, *arguments: object) -> None:
        """Warn, but not again and again."""
        if trio.current_time() - self._told_at > TELL_EVERY:
            self._told_at = trio.current_time()
            log.warning(text, *arguments)

    # --- what there is -----------------------------------------------------------------

    def limits(self) -> policy.Limits:
        """The limits in bytes, as the disk is now."""
        return policy.limits_of(self._settings, self._store.space().total)

    def figures(self) -> policy.Figures:
        """What is taken, coming and left, as it is now."""
        found = figures_of(self._store, self._fetcher.opened)
        return self._unseen.seen(found, trio.current_time())

    # --- making room -------------------------------------------------------------------

    async def make_room(self, wanted: int) -> Evicted:
        """Delete what was used longest ago until `wanted` bytes are free, or no more may go."""
        done, kept = Evicted(time.time()), list[Item]()
        async with self._turn:
            await self._begin()
            oldest = self._store.ledger.oldest()
            keeper = self._keeper_for_room
            while done.size < wanted and (
                choice := self._choose(oldest, wanted - done.size, keeper)
            ):
                await self._carry_out(choice)
                done.note(choice)
                kept += choice.kept
                self._tell_of_room()
            if done.items:
                await self._send_to_the_end(kept)
        return self._noted(done)

    async def evict(self, items: Iterable[Item], *, is_forced: bool = False) -> Evicted:
        """Delete these; what is in use or pinned only if forced, and readers keep their bytes.

        A partial that is being filled is never deleted: who fills it would fail.
        """
        done, left = Evicted(time.time()), iter(items)
        async with self._turn:
            await self._begin()
            keeper = self._keeper_of_partials if is_forced else self._keeper
            while choice := self._choose(left, _ALL, keeper):
                await self._carry_out(choice)
                done.note(choice)
        return self._noted(done)

    async def preview(self, wanted: int) -> policy.Choice:
        """What `make_room` would delete now."""
        async with self._turn:
            await self._begin()
            kept = self._keeper_for_room()
            oldest = self._store.ledger.oldest()
            return await trio.to_thread.run_sync(policy.choose, oldest, wanted, kept, _ALL)

    def names_open(self) -> set[bytes]:
        """The names in the ledger of all that is open."""
        return names_open(self._store, self._fetcher)

    async def names_that_stay(self) -> set[bytes]:
        """The same of all that is open or pinned."""
        opened = self.names_open()
        return opened | await trio.to_thread.run_sync(self._pinned_names)

    def _pinned_names(self) -> set[bytes]:
        self.pinned.refresh()
        return set(self.pinned.names())

    async def pinned_size(self) -> int:
        """What of the disk pins keep; as it was some seconds ago."""
        if trio.current_time() - self._pinned_at > PINNED_FOR:
            self._pinned_at = trio.current_time()
            self._pinned_size = await trio.to_thread.run_sync(self._size_of_pinned)
        return self._pinned_size

    def _size_of_pinned(self) -> int:
        found = map(self._store.ledger.find, self._pinned_names())
        return sum(item.occupied for item in found if item is not None)

    def note_pins(self) -> None:
        """Pins have changed."""
        self._pinned_at = float("-inf")
        self._fetcher.room.wake()

    async def _begin(self) -> None:
        await self._keep_used()
        await trio.to_thread.run_sync(self.pinned.refresh)

    def _choose(
        self, items: Iterator[Item], wanted: int, keeper: Callable[[], Keeps]
    ) -> policy.Choice:
        """Choose, and mark what was chosen, in one breath."""
        choice = policy.choose(items, wanted, keeper(), MOST_AT_ONCE)
        return choice.without(self._store.leaving.mark([item.name for item in choice.going]))

    def _keeper(self) -> Keeps:
        used = names_in_use(self._store, self._fetcher)
        return lambda item: item.name in used or self.pinned.keeps(item)

    def _keeper_for_room(self) -> Keeps:
        """What has another name elsewhere stays too: deleting it would make no room."""
        keeps = self._keeper()
        return lambda item: _takes_none(item) or keeps(item)

    def _keeper_of_partials(self) -> Keeps:
        used = names_in_use(self._store, self._fetcher)
        return lambda item: item.name in used and not item.is_blob

    async def _carry_out(self, choice: policy.Choice) -> None:
        before, names = self.figures(), [item.name for item in choice.going]
        # What has been marked must be unmarked: nobody may call it off in between, and a machine
        # that has no thread to spare must not leave it so.
        with trio.CancelScope(shield=True), self._store.leaving.ending(names):
            await trio.to_thread.run_sync(self._store.eviction.carry_out, choice.going)
        self._unseen.note(before, choice.freed, trio.current_time())

    async def _send_to_the_end(self, items: list[Item]) -> None:
        """What was kept need not be looked at again before all others."""

        def change(txn: Transaction) -> None:
            for item in items:
                self._store.ledger.touch(txn, item.name, time.time())

        if items:
            await trio.to_thread.run_sync(self._store.index.write, change)

    def _noted(self, done: Evicted) -> Evicted:
        if done.items:
            self.last = done
            COUNTERS.add("evictions", done.items)
            COUNTERS.add("evicted_bytes", done.size)
            log.info("%d items of %d bytes are deleted to make room", done.items, done.size)
        return done

    async def drop_old_partials(self) -> None:
        """Delete what is here in part and was not used for the time that is allowed."""
        before = time.time() - self._settings.partial_age
        oldest = next(self._store.ledger.oldest_of(PARTIAL), None)
        if oldest is not None and oldest.used_at < before:
            partials = self._store.ledger.oldest_of(PARTIAL)
            await self.evict(list(takewhile(lambda each: each.used_at < before, partials)))

    # --- recency -----------------------------------------------------------------------

    async def _keep_used_if_due(self) -> None:
        now = trio.current_time()
        if now - self._opened_at > KEEP_OPEN_EVERY:
            self._opened_at = now
            moment = time.time()
            self._fetcher.used.update({each.content: moment for each in self._fetcher.opened})
        if now - self._used_at > KEEP_USED_EVERY:
            async with self._turn:  # nobody who walks along the order shall see it change
                await self._keep_used()

    async def _keep_used(self) -> None:
        """Write down what was used since the last time."""
        self._used_at = trio.current_time()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self.keep_used_now, self._taken())

    def _taken(self) -> dict[Content, float]:
        used, self._fetcher.used = self._fetcher.used, {}
        return used

    def close(self) -> None:
        """After `run` has ended: write down what was used last."""
        self.keep_used_now(self._taken())

    def keep_used_now(self, used: dict[Content, float]) -> None:
        """The same, blocking."""
        in_order = dict(sorted(used.items(), key=lambda each: each[1]))
        try:
            self._store.note_used(in_order)
        except StoreError as error:
            log.warning("what was used last is not recorded: %s", error)

    # --- what a crash left -------------------------------------------------------------

    async def reconcile(self) -> tuple[int, int]:
        """Look at every blob: enter those that the index lacks, forget those that are gone."""
        entered = forgotten = 0
        steps = self._store.eviction.reconcile()
        step = bind(next, steps, None)
        while True:
            async with self._turn:
                found = await trio.to_thread.run_sync(step)
            if found is None:
                break
            entered, forgotten = entered + found[0], forgotten + found[1]
        if entered or forgotten:
            log.warning("after a crash: %d blobs entered, %d were gone", entered, forgotten)
        return entered, forgotten


def _takes_none(item: Item) -> bool:
    """Whether a blob's file takes no room of its own."""
    return item.is_blob and not item.occupied and item.size > 0
