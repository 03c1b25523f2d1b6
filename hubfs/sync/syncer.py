"""Keeps repos' metadata in step: synced at the first touch, checked again in the background.

A name that is known is answered from the index at once, however old the
answer; the check that it may call for happens behind it. Work runs in the
syncer's own nursery, one flight per repo and revision, so a lookup that is
given up takes nothing with it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, TypeVarTuple

import trio

from hubfs.errors import (
    CircularPages,
    FetchStopped,
    HubError,
    HubfsError,
    HubUnreachable,
    NotOnHub,
    TreeTooLarge,
)
from hubfs.hub.answers import RepoInfo
from hubfs.hub.api import HubApi
from hubfs.model.identifiers import RepoId, RepoKind, RevisionName, is_commit
from hubfs.model.tree import MAX_WEIGHT, TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog
from hubfs.store.records import RefRecord, RepoRecord, SnapshotRecord

log = logging.getLogger(__name__)

MOST_CHECKS = 4
RETRY_AFTER_FAILURE = 15.0
LONGEST_LISTING = 3600.0  # seconds; a million files take some minutes
WORTH_A_REST = 16 << 20  # of a tree's weight: some 50 ms, after which others have a turn

_Arguments = TypeVarTuple("_Arguments")
_Answer = TypeVar("_Answer")
Key: TypeAlias = tuple[RepoId, str]


@dataclass(frozen=True, slots=True)
class Synced:
    """A repo at a revision, as last seen."""

    repo: RepoId
    revision: str
    record: RepoRecord
    ref: RefRecord
    snapshot: SnapshotRecord


@dataclass(frozen=True, slots=True)
class Renamed:
    """The name is another spelling of `canonical`."""

    canonical: RepoId


Found: TypeAlias = Synced | Renamed


class _Flight:
    """One sync under way, and how it ended."""

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.found: Found | None = None
        self.error: HubfsError | None = None

    def outcome(self) -> Found:
        if self.found is None:
            raise self.error or FetchStopped("hubfs is shutting down")
        return self.found


class Syncer:
    """A service. `switched` receives the key of every name that came to mean a new commit."""

    def __init__(
        self, catalog: Catalog, api: HubApi, ttl: float, *, largest: int = MAX_WEIGHT
    ) -> None:
        """Check names again after `ttl` seconds; refuse trees that are heavier than `largest`."""
        self._catalog = catalog
        self._api = api
        self.ttl = ttl
        self._largest = largest
        self._flights: dict[Key, _Flight] = {}
        self._not_before: dict[Key, float] = {}
        self._checks = trio.CapacityLimiter(MOST_CHECKS)
        self._nursery: trio.Nursery | None = None
        self._asking: set[trio.CancelScope] = set()
        self._switches, self.switched = trio.open_memory_channel[Key](math.inf)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def stop(self) -> None:
        """Fail everyone who waits."""
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            self._nursery = None
        for flight in self._flights.values():
            flight.landed.set()
        for asking in self._asking:
            asking.cancel()

    # --- what names mean ---------------------------------------------------------------

    async def ensure(self, repo: RepoId, revision: str) -> Found:
        """What `revision` of `repo` is, syncing it if it is not known.

        Raises:
            NotOnHub: there is no such repo or revision, or a private one.
            AccessDenied: the token may not see it.
            HubError: it is not known, and the Hub cannot be asked.
        """
        known = self.find(repo, revision)
        if known is None:
            return await self._fly((repo, revision), self._sync)
        if self._is_stale(known):
            self._check_later((repo, revision))
        return known

    def find(self, repo: RepoId, revision: str) -> Synced | None:
        """What the index says of `revision` of `repo`; no request is made."""
        record = self._catalog.find_repo(repo)
        ref = self._catalog.find_ref(repo, revision) if record else None
        snapshot = self._catalog.find_snapshot(repo, ref.commit) if ref else None
        if record is None or ref is None or snapshot is None:
            return None
        return Synced(repo, revision, record, ref, snapshot)

    async def refresh(self, repo: RepoId, revision: str = "") -> Found:
        """Ask the Hub now, whatever is known.

        Raises: as `ensure`.
        """
        return await self._fly((repo, revision), self._sync)

    async def find_author(self, kind: RepoKind, name: str) -> str | None:
        """The canonical spelling of an organisation or user that has repos of `kind`.

        Raises:
            HubError: the Hub cannot be asked.
        """
        return await self._ask(self._api.find_author, kind, name)

    async def ref_names(self, repo: RepoId) -> list[str]:
        """The names of the repo's branches and tags, as the Hub says now.

        Raises: as `ensure`.
        """
        return await self._ask(self._api.ref_names, repo)

    def note_forgotten(self, repo: RepoId, revisions: Iterable[str]) -> None:
        """These names are not known any more: let the kernel look them up anew."""
        for revision in revisions:
            self._switches.send_nowait((repo, revision))

    async def _ask(
        self,
        question: Callable[[*_Arguments], Awaitable[_Answer]],
        *args: *_Arguments,
    ) -> _Answer:
        with trio.CancelScope() as asking:
            self._asking.add(asking)
            try:
                return await question(*args)
            finally:
                self._asking.discard(asking)
        raise FetchStopped("hubfs is shutting down")

    def _is_stale(self, known: Synced) -> bool:
        if is_commit(known.revision):
            return False
        # A negative age means that the clock was set back: it must not freeze a branch.
        return not 0 <= time.time() - known.ref.checked_at < self.ttl

    # --- flights -----------------------------------------------------------------------

    async def _fly(self, key: Key, work: Callable[[Key], Awaitable[Found]]) -> Found:
        flight = self._flights.get(key)
        if flight is None:
            if self._nursery is None:
                raise FetchStopped("hubfs is shutting down")
            flight = self._flights[key] = _Flight()
            self._nursery.start_soon(self._run_flight, key, flight, work)
        await flight.landed.wait()
        return flight.outcome()

    async def _run_flight(
        self, key: Key, flight: _Flight, work: Callable[[Key], Awaitable[Found]]
    ) -> None:
        try:
            flight.found = await work(key)
        except HubfsError as error:
            flight.error = error
        except Exception:
            log.exception("a bug in syncing %s", key[0])
            flight.error = HubfsError(f"{key[0]}: it cannot be synced", hint="see the log")
        finally:
            del self._flights[key]
            flight.landed.set()

    def _check_later(self, key: Key) -> None:
        now = trio.current_time()
        if key in self._flights or now < self._not_before.get(key, 0.0) or self._nursery is None:
            return
        flight = self._flights[key] = _Flight()
        self._nursery.start_soon(self._run_flight, key, flight, self._check)

    async def _check(self, key: Key) -> Found:
        async with self._checks:
            try:
                return await self._sync(key)
            except HubError as error:
                # The known snapshot goes on being served: an outage or a deletion loses nothing.
                self._not_before[key] = trio.current_time() + RETRY_AFTER_FAILURE
                level = logging.WARNING if isinstance(error, NotOnHub) else logging.INFO
                log.log(
                    level, "%s could not be checked, what is known is served: %s", key[0], error
                )
                raise

    # --- syncing -----------------------------------------------------------------------

    async def _sync(self, key: Key) -> Found:
        repo, revision = key
        if is_commit(revision) and self._knows_commit(repo, revision):
            return await self._point(repo, revision, revision)
        info = await self._api.repo_info(repo, revision)
        canonical = RepoId(repo.kind, info.name)
        await self._sync_snapshot(canonical, info)
        found = await self._point(canonical, revision, info.commit)
        await self._note_own_name(canonical, revision)
        if canonical == repo:
            return found
        # A link from `acme` to `acme/model` would lead into itself.
        if revision or canonical.org != repo.name:
            await self._note_other_name(repo, revision, canonical)
        return Renamed(canonical)

    async def _note_own_name(self, repo: RepoId, revision: str) -> None:
        """`repo` is called so now: renamed and back, it would else lead in a circle."""
        drop, name = self._catalog.drop_alias, str(RevisionName(repo.name, revision))
        if await trio.to_thread.run_sync(drop, repo.kind, name):
            log.info("%s has its name again", repo)
            self._switches.send_nowait((repo, revision))

    async def _note_other_name(self, repo: RepoId, revision: str, canonical: RepoId) -> None:
        """`repo` leads elsewhere: from the start, or because it was renamed since it was synced."""
        put, name = self._catalog.put_alias, str(RevisionName(repo.name, revision))
        target = str(RevisionName(canonical.name, revision))
        await trio.to_thread.run_sync(put, repo.kind, name, target)
        if self.find(repo, revision) is not None:
            log.info("%s is now called %s", repo, canonical)
            self._switches.send_nowait((repo, revision))

    def _knows_commit(self, repo: RepoId, commit: str) -> bool:
        is_known = self._catalog.find_repo(repo) is not None
        return is_known and self._catalog.find_snapshot(repo, commit) is not None

    async def _sync_snapshot(self, repo: RepoId, info: RepoInfo) -> None:
        record = RepoRecord(info.name, info.private, info.gated, time.time())
        if self._catalog.find_snapshot(repo, info.commit) is None:
            builder = await self._listed(repo, info.commit)
            await trio.to_thread.run_sync(
                self._catalog.put_snapshot, repo, info.commit, builder, info.last_modified
            )
            self._report(repo, info.commit, builder)
        await trio.to_thread.run_sync(self._catalog.put_repo, repo, record)

    async def _listed(self, repo: RepoId, commit: str) -> TreeBuilder:
        with trio.move_on_after(LONGEST_LISTING):
            return await self._listed_somehow(repo, commit)
        raise HubUnreachable(f"{repo}: its listing did not end within an hour")

    async def _listed_somehow(self, repo: RepoId, commit: str) -> TreeBuilder:
        try:
            return await self._built(self._api.tree_pages(repo, commit), repo)
        except CircularPages as error:
            log.info("%s; asking directory by directory", error)
            return await self._built(self._api.directory_pages(repo, commit), repo)

    async def _built(self, pages: AsyncIterator[list[TreeFile]], repo: RepoId) -> TreeBuilder:
        builder, rest_at = TreeBuilder(), WORTH_A_REST
        async for page in pages:
            for file in page:
                builder.add(file)
                if builder.weight > self._largest:
                    text = f"{repo}: its {builder.stats.files} files and more are too many to show"
                    raise TreeTooLarge(text, hint="deep directories count for many")
                if builder.weight > rest_at:
                    rest_at = builder.weight + WORTH_A_REST
                    await trio.lowlevel.checkpoint()
        return builder

    def _report(self, repo: RepoId, commit: str, builder: TreeBuilder) -> None:
        stats = builder.stats
        log.info("synced %s at %s: %d files", repo, commit[:12], stats.files)
        if stats.skipped:
            log.warning(
                "%s at %s: %d names cannot be shown as files", repo, commit[:12], stats.skipped
            )

    async def _point(self, repo: RepoId, revision: str, commit: str) -> Synced:
        before = self._catalog.find_ref(repo, revision)
        await trio.to_thread.run_sync(self._catalog.put_ref, repo, revision, commit, time.time())
        if before is not None and before.commit != commit:
            log.info("%s@%s is now at %s", repo, revision or "default", commit[:12])
            self._switches.send_nowait((repo, revision))
        found = self.find(repo, revision)
        assert found is not None  # noqa: S101 - all of it was stored just now
        return found
