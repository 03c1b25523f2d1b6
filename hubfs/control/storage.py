"""What the API says of the cache's room, and does about it, free of HTTP."""

from __future__ import annotations

import logging
import time

import trio

from hubfs.budget.evictor import Evicted
from hubfs.budget.pinned import Match
from hubfs.control import models
from hubfs.control.parts import Parts, checked_revision
from hubfs.control.views import moment
from hubfs.errors import AccessDenied, NoSuchEntry, Offline, TransientHubError
from hubfs.jobs.files import ensure_known, repo_named
from hubfs.jobs.queue import Wanted
from hubfs.jobs.states import JobKind
from hubfs.model.identifiers import RepoId
from hubfs.store.pins import Pins
from hubfs.store.records import JobRecord, PinRecord

log = logging.getLogger(__name__)


class Storage:
    """Questions and wishes about the room on this node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pins = Pins(parts.store.index)

    async def cache(self) -> models.Cache:
        """How full the cache is. What is pinned was added up some seconds ago."""
        store, evictor = self._parts.store, self._parts.evictor
        totals, space, limits = store.ledger.totals(), store.space(), evictor.limits()
        return models.Cache(
            directory=str(self._parts.settings.cache_dir),
            blobs=totals.blobs,
            size=totals.size,
            partials=totals.partials,
            taken=evictor.figures().taken,
            budget=limits.size,
            min_free=limits.floor,
            pinned=await evictor.pinned_size(),
            tight=self._parts.fetcher.room.reason,
            evicted=_evicted(evictor.last),
            disk_total=space.total,
            disk_available=space.available,
        )

    async def evict(self, wish: models.EvictRequest) -> JobRecord:
        """Queue the making of room.

        Raises:
            UsageError: no repo, or no revision, can be called that.
        """
        self._parts.check_webhook(wish.webhook)
        arguments = {
            "to": wish.to,
            "repo": str(repo_named(wish.repo)) if wish.repo else "",
            "revision": checked_revision(wish.revision),
            "force": wish.force,
            "dry_run": wish.dry_run,
        }
        return await self._parts.jobs.submit(Wanted(JobKind.EVICT, arguments, wish.webhook))

    # --- pins --------------------------------------------------------------------------

    async def pins(self) -> models.Pins:
        """The pins of this endpoint, and what each means now."""
        return models.Pins(pins=await trio.to_thread.run_sync(self._described))

    def _described(self) -> list[models.Pin]:
        self._parts.evictor.pinned.refresh()
        matches = self._parts.evictor.pinned.matches
        ours = [pin for pin in matches if pin.endpoint == self._parts.settings.endpoint]
        return [self._shown(pin, matches[pin]) for pin in ours]

    def _shown(self, pin: PinRecord, match: Match) -> models.Pin:
        created = moment(pin.created_at)
        assert created is not None  # noqa: S101 - no clock stands at 1970
        return models.Pin(
            repo=pin.repo,
            revision=pin.revision,
            pattern=pin.pattern,
            created_at=created,
            is_known=match.is_known,
            files=len(match.contents),
            size=match.size,
            cached=sum(map(self._parts.fetcher.cached_bytes, match.contents)),
        )

    async def pin(self, wish: models.PinRequest) -> models.Pin:
        """Keep files here from now on.

        What is not known yet is listed first, since what nobody has listed keeps nothing.

        Raises:
            UsageError: no repo, or no revision, can be called that.
            NotOnHub: there is no such repo, or revision.
        """
        await self._make_known(repo_named(wish.repo), checked_revision(wish.revision))
        pin = await trio.to_thread.run_sync(self._pins.put, self._record(wish))
        self._parts.evictor.note_pins()
        found = (await self.pins()).pins
        (shown,) = [each for each in found if _said(each) == _said(pin)]
        return shown

    async def _make_known(self, repo: RepoId, revision: str) -> None:
        try:
            await ensure_known(self._parts.syncer, repo, revision)
        except (TransientHubError, Offline, AccessDenied) as error:
            log.info("%s is pinned, and cannot be listed yet: %s", repo, error)

    async def unpin(self, wish: models.PinRequest) -> models.Pins:
        """Let files go again; what is left is returned.

        Raises:
            NoSuchEntry: they are not pinned.
        """
        pin = self._record(wish)
        if not await trio.to_thread.run_sync(self._pins.drop, pin):
            others = [each.text for each in self._pins.all() if each.repo == pin.repo]
            hint = f"pinned are {', '.join(others)}" if others else "hubfs pin lists all pins"
            raise NoSuchEntry(f"{pin.text} is not pinned", hint=hint)
        self._parts.evictor.note_pins()
        return await self.pins()

    def _record(self, wish: models.PinRequest) -> PinRecord:
        repo, revision = str(repo_named(wish.repo)), checked_revision(wish.revision)
        endpoint = self._parts.settings.endpoint
        return PinRecord(endpoint, repo, revision, wish.pattern, time.time())


def _said(pin: models.Pin | PinRecord) -> tuple[str, str, str]:
    return pin.repo, pin.revision, pin.pattern


def _evicted(last: Evicted) -> models.Evicted | None:
    at = moment(last.at)
    return models.Evicted(at=at, items=last.items, size=last.size) if at else None
