"""From bytes that arrived to a blob: hashing in order, claims that survive a crash, admission."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial as bind

import trio

from hubfs.background import YIELDING, Background
from hubfs.errors import ContentMismatch, StoreError
from hubfs.fetch.admission import Admission
from hubfs.fetch.plan import WHOLE_UP_TO
from hubfs.fetch.transfer import Transfer
from hubfs.fetch.verification import RollingHash
from hubfs.model.content import MIB
from hubfs.store.blobs import Verified
from hubfs.store.files import sync_bytes
from hubfs.store.partials import Partial
from hubfs.store.store import Store

log = logging.getLogger(__name__)

CLAIM_EVERY = 128 * MIB
HASH_STEP = 16 * MIB  # a stop waits for one
_HASH_AHEAD = 16 * MIB
SMALL_AT_ONCE = 8  # the disk syncs several in the time of one


class Settler:
    """Works on transfers in a nursery, in threads; `advance` is called as each piece ends."""

    def __init__(
        self,
        store: Store,
        advance: Callable[[Transfer], None],
        on_wrong: Callable[[Transfer, Partial], None],
    ) -> None:
        """Tell `on_wrong` of a transfer whose bytes, in that file, are not what they should be."""
        self._store = store
        self._advance = advance
        self._on_wrong = on_wrong
        self._threads = Background(2, YIELDING)
        self._limiter = trio.CapacityLimiter(SMALL_AT_ONCE)
        self._admission = Admission(store.blobs)
        self._nursery: trio.Nursery | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Work in `nursery` from now on."""
        self._nursery = nursery

    def stop(self) -> None:
        """Begin nothing new."""
        self._nursery = None

    def close(self) -> None:
        """After everything: let the threads end."""
        self._threads.close()

    async def _in_thread(self, transfer: Transfer, job: Callable[[], object]) -> None:
        """Do `job`, behind readers unless they wait for it: what is small they get verified."""
        if _is_small(transfer):
            await trio.to_thread.run_sync(job, limiter=self._limiter)
        else:
            await self._threads.run(job)

    # --- hashing and admission ---------------------------------------------------------

    def hash_if_due(self, transfer: Transfer) -> None:
        """Hash what has arrived in order, if all of the content is wanted."""
        plan = transfer.plan
        ahead = plan.held.contiguous_stop(0) - transfer.hash.position
        is_due = plan.is_complete or (plan.wants_rest and ahead >= _HASH_AHEAD)
        is_busy = transfer.is_hashing or transfer.is_admitted or transfer.has_failed
        is_early = plan.is_complete and transfer.may_be_rewritten
        if is_due and not is_busy and not is_early and self._nursery is not None:
            transfer.is_hashing = True
            self._nursery.start_soon(self._hash, transfer)

    async def _hash(self, transfer: Transfer) -> None:
        try:
            await self._hash_step(transfer)
        except ContentMismatch as error:
            await self._start_over(transfer, error)
        except StoreError as error:
            log.warning("%s cannot be kept: %s", transfer.sources[0], error)
            transfer.lose_unclaimed()
            transfer.fail(error)
        finally:
            transfer.is_hashing = False
        self._advance(transfer)

    async def _hash_step(self, transfer: Transfer) -> None:
        rolling, partial = transfer.hash, transfer.partial
        stop = min(transfer.plan.held.contiguous_stop(0), rolling.position + HASH_STEP)
        await self._in_thread(transfer, bind(rolling.advance, partial.descriptor, stop))
        if rolling.position == transfer.content.size:
            verified = Verified(
                partial.descriptor, partial.path, rolling.verified(), transfer.content
            )
            await self._admit(transfer, rolling, verified)

    async def _admit(self, transfer: Transfer, rolling: RollingHash, verified: Verified) -> None:
        async with transfer.disk:
            if transfer.hash is not rolling or transfer.may_be_rewritten:
                # A claim has failed meanwhile, and what was hashed may not be on the disk; or a
                # server sends all of it again, and it may not be what was hashed.
                return
            # Before it has a name by which it can be linked, and written to.
            written_ns = os.fstat(verified.descriptor).st_mtime_ns
            await self._make_blob(transfer, verified)
            transfer.note_admitted(written_ns)
        log.info("%s is here and verified, %d bytes", transfer.sources[0], transfer.content.size)

    async def _make_blob(self, transfer: Transfer, verified: Verified) -> None:
        if _is_small(transfer):
            sync = bind(sync_bytes, verified.descriptor, verified.path)
            await self._in_thread(transfer, sync)
            await self._admission.admit(verified)
        else:
            await self._threads.run(bind(self._store.blobs.admit, *verified))

    async def _start_over(self, transfer: Transfer, error: ContentMismatch) -> None:
        """Fetch it again from scratch, once; then tell the readers."""
        wrong, trouble = transfer.partial, None
        async with transfer.disk:
            try:
                await self._in_thread(transfer, wrong.discard)
                transfer.restart(self._store.partials.open(transfer.content))
            except StoreError as raised:
                trouble = raised
                transfer.restart(wrong)  # its file stays, and nothing in it counts any more
        self._on_wrong(transfer, wrong)
        if trouble is not None:
            log.warning("%s: %s, and cannot be kept: %s", transfer.sources[0], error, trouble)
            transfer.fail(trouble)
        elif transfer.restarts > 1:
            log.error("%s: %s, twice; it is refused", transfer.sources[0], error)
            transfer.fail(error)
        else:
            log.warning("%s: %s; fetching it again", transfer.sources[0], error)

    # --- claims ------------------------------------------------------------------------

    def claim_if_due(self, transfer: Transfer, least: int = CLAIM_EVERY) -> None:
        """Make what arrived survive a crash, if at least `least` bytes have not yet."""
        is_due = transfer.unclaimed >= least and not transfer.is_claiming
        if is_due and not transfer.is_admitted and self._nursery is not None:
            transfer.is_claiming = True
            self._nursery.start_soon(self._claim, transfer)

    async def _claim(self, transfer: Transfer) -> None:
        try:
            async with transfer.disk:
                if not transfer.is_admitted:
                    count, claim = transfer.unclaimed, _claim_of(transfer)
                    await self._in_thread(transfer, claim)
                    # What arrived meanwhile counts towards the next. One that is cancelled before
                    # its thread begins has claimed nothing: `claim_now` does it then.
                    transfer.unclaimed = max(0, transfer.unclaimed - count)
        except StoreError as error:
            # The kernel tells of a lost page once, and then takes it for clean: what was written
            # since the last claim may not be on disk, and no later sync would say so.
            log.warning("what arrived last is not kept: %s", error)
            transfer.lose_unclaimed()
            transfer.fail(error)
        finally:
            transfer.is_claiming = False
        self._advance(transfer)

    def claim_now(self, transfer: Transfer) -> None:
        """The same, blocking: for the end, when no task runs any more."""
        if transfer.is_admitted or not transfer.unclaimed:
            return
        try:
            _claim_of(transfer)()
        except StoreError as error:
            log.warning("progress is not recorded: %s", error)


def _is_small(transfer: Transfer) -> bool:
    """Whether readers wait until all of it is verified."""
    return transfer.content.size <= WHOLE_UP_TO


def _claim_of(transfer: Transfer) -> Callable[[], None]:
    return bind(transfer.partial.claim, transfer.plan.held.copy())
