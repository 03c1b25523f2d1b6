"""What the API does, free of HTTP: questions and wishes as calls on the parts of an engine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import NamedTuple

import trio

from hubfs.control import models
from hubfs.control.parts import Parts, checked_revision
from hubfs.control.storage import Storage
from hubfs.control.views import job_of, moment, scrub_of, standing_of, trouble_of
from hubfs.errors import NoSuchEntry, UsageError
from hubfs.fs.xattrs import state_of
from hubfs.jobs.files import Files, canonical, newest, nothing_matches, repo_named
from hubfs.jobs.queue import Wanted
from hubfs.jobs.selection import Selection
from hubfs.jobs.states import JobKind
from hubfs.model.classification import classify
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import Entry
from hubfs.store.records import JobRecord, RepoRecord
from hubfs.sync.syncer import Synced

MOST_COUNTED = 100_000  # files of a repo of which a list of repos says how much is here


class Load(NamedTuple):
    """What is under way in the fetcher."""

    transfers: int
    connections: int
    waiting: int


class Control:
    """All questions and wishes. Runs on the engine's event loop; what may take long, in threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self.jobs = parts.jobs
        self._started_at = time.time()
        self.storage = Storage(parts)

    @property
    def parts(self) -> Parts:
        """What it speaks to, for routes whose wishes are not worth a method here."""
        return self._parts

    # --- wishes ------------------------------------------------------------------------

    async def register(self, wish: models.RegisterRequest) -> models.Registration:
        """Make a repo known, and have it synced if that is wished: then the Hub may refuse it.

        Raises:
            UsageError: no repo can be called that.
        """
        repo, revision = repo_named(wish.repo), checked_revision(wish.revision)
        self._parts.check_webhook(wish.webhook)
        before = self._catalog.find_repo(repo)
        if before is None or (before.is_hearsay and not wish.auto_sync):
            record = RepoRecord(repo.name, is_hearsay=wish.auto_sync)
            await trio.to_thread.run_sync(self._catalog.put_repo, repo, record)
        job = None
        if wish.auto_sync:
            request = models.SyncRequest(  # type: ignore[call-arg]  # the others have defaults
                repo=str(repo), revision=revision, awaited=wish.awaited, webhook=wish.webhook
            )
            job = await self.sync(request)
        known = self._model(repo, self._syncing())
        return models.Registration(repo=str(repo), status=known.status, job=job)

    async def sync(self, wish: models.SyncRequest) -> models.Job:
        """Queue a sync.

        Raises:
            UsageError: it does not say of what.
        """
        if (wish.repo is None) != wish.all:
            raise UsageError("what is to be synced?", hint="give either a repo, or all: true")
        self._parts.check_webhook(wish.webhook)
        repo = str(repo_named(wish.repo)) if wish.repo else ""
        arguments = {
            "repo": repo,
            "revision": checked_revision(wish.revision),
            "eager_size": wish.eager_size,
        }
        wanted = Wanted(
            JobKind.SYNC,
            arguments,
            wish.webhook,
            is_awaited=wish.awaited,
            in_background=not wish.awaited,
        )
        return self.job(await self.jobs.submit(wanted))

    async def download(self, wish: models.DownloadRequest) -> models.Batch:
        """Queue downloads, one job for each repo.

        Raises:
            UsageError: no repo, or no revision, can be called that.
        """
        self._parts.check_webhook(wish.webhook)
        everything = [_download_arguments(item) for item in wish.items]
        queued = await self.jobs.submit_all(
            [
                Wanted(JobKind.DOWNLOAD, arguments, wish.webhook, in_background=wish.background)
                for arguments in everything
            ]
        )
        return models.Batch(batch=queued[0].batch, jobs=[self.job(each) for each in queued])

    async def check(self, wish: models.DownloadItem) -> models.Check:
        """What a download would bring. The repo's metadata is brought up to date for it.

        Raises:
            HubError: the repo cannot be had, or has no file that matches.
            UsageError: no repo can be called that.
        """
        found = await newest(
            self._parts.syncer, repo_named(wish.repo), checked_revision(wish.revision)
        )
        selection = Selection(tuple(wish.include), tuple(wish.exclude))
        files = Files(
            self._catalog,
            found.repo,
            found.ref.commit,
            found.snapshot,
            lambda path, _: selection.accepts(path),
        )
        count = size = missing_files = missing_size = 0
        for content, _ in files:
            cached = self._parts.fetcher.cached_bytes(content)
            count, size = count + 1, size + content.size
            missing_files += cached < content.size
            missing_size += content.size - cached
            if not count % 256:
                await trio.lowlevel.checkpoint()
        if not count:
            raise nothing_matches(found.repo)
        return models.Check(
            repo=str(found.repo),
            commit=found.ref.commit,
            files=count,
            size=size,
            missing_files=missing_files,
            missing_size=missing_size,
        )

    # --- jobs --------------------------------------------------------------------------

    def job(self, record: JobRecord) -> models.Job:
        """A job as the API shows it."""
        is_parked = self.jobs.is_parked(record)
        return job_of(record, self.jobs.pace(record.id), is_parked=is_parked)

    # --- repos -------------------------------------------------------------------------

    async def repos(
        self, kind: RepoKind, limit: int, after: str, *, counts_cached: bool
    ) -> models.Models:
        """A page of the known repos."""
        names = self._catalog.names(kind, limit + 1, after)
        syncing = self._syncing()
        found = []
        for name in names[:limit]:
            known = self._model(RepoId(kind, name), syncing)
            if counts_cached and known.files <= MOST_COUNTED:
                known.cached = await self._cached_of(RepoId(kind, name))
            found.append(known)
        following = names[limit - 1] if len(names) > limit else None
        return models.Models(models=found, next=following)

    async def repo(self, text: str, revision: str, limit: int, after: int) -> models.ModelDetail:
        """A repo with a page of its files.

        Raises:
            RepoNotFound: it is not known here.
            NoSuchEntry: it is, but not at that revision.
        """
        repo = canonical(self._catalog, repo_named(text))
        known = self._model(repo, self._syncing())
        found = self._parts.syncer.find(repo, checked_revision(revision))
        if found is None and revision:
            hint = f"sync it: hubfs sync {repo}@{revision}"
            raise NoSuchEntry(f"{repo} is not known at {revision}", hint=hint)
        page: list[models.File] = []
        following, last = None, after
        for path, entry in self._entries(found, after + 1):
            if len(page) == limit:
                following = last
                break
            page.append(self._file(path, entry))
            last = entry.ordinal
            if not len(page) % 64:
                await trio.lowlevel.checkpoint()
        known.commit = found.ref.commit if found else None
        return models.ModelDetail(
            **known.model_dump(), revision=revision, listing=page, next=following
        )

    def _model(self, repo: RepoId, syncing: set[str]) -> models.Model:
        record = self._catalog.find_repo(repo) or RepoRecord(repo.name)
        refusal = self._catalog.find_refusal(repo)
        found = self._parts.syncer.find(repo, "")
        ref = found.ref if found else None
        is_syncing = str(repo) in syncing
        standing = standing_of(ref, refusal, time.time(), is_syncing=is_syncing)
        return models.Model(
            repo=str(repo),
            status=standing,
            error=refusal.error if refusal and standing == "failed" else "",
            commit=ref.commit if ref else None,
            checked_at=moment(ref.checked_at) if ref else None,
            files=found.snapshot.files if found else 0,
            size=found.snapshot.size if found else 0,
            private=record.private,
            gated=bool(record.gated),
        )

    def _syncing(self) -> set[str]:
        syncs = (job for job in self.jobs.live() if job.kind == JobKind.SYNC)
        return {job.arguments.get("repo", "") for job in syncs}

    def _entries(self, found: Synced | None, first: int) -> Iterator[tuple[str, Entry]]:
        for listing in self._catalog.listings(found.snapshot, first) if found else ():
            for position in range(max(0, first - listing.first), len(listing)):
                entry = listing.entry(position)
                if not entry.is_directory:
                    yield listing.path_of(entry), entry

    def _file(self, path: str, entry: Entry) -> models.File:
        content, told = entry.content, classify(path)
        blob = self._parts.store.blobs.find(content)
        cached = content.size if blob else self._parts.fetcher.cached_bytes(content)
        return models.File(
            path=path,
            size=entry.size,
            kind=told.kind.value,
            format=told.format,
            precision=told.precision,
            sha256=entry.sha256 or blob,
            git_oid=entry.oid,
            state=state_of(content, cached, blob),  # type: ignore[arg-type]
            cached=cached,
        )

    async def _cached_of(self, repo: RepoId) -> int:
        found = self._parts.syncer.find(repo, "")
        if found is None:
            return 0
        held, listings = self._parts.store.holdings.held, self._catalog.listings(found.snapshot)
        durable = await trio.to_thread.run_sync(held, found.snapshot, listings)
        return durable + self._parts.fetcher.fresh_bytes(str(repo))

    # --- the whole ---------------------------------------------------------------------

    async def status(self) -> models.Status:
        """The engine at a glance."""
        settings, breaker = self._parts.settings, self._parts.api.breaker
        mode = self._parts.mode()
        started = moment(self._started_at)
        assert started is not None  # noqa: S101 - no clock stands at 1970
        return models.Status(
            version=version("hubfs"),
            pid=os.getpid(),
            started_at=started,
            endpoint=settings.endpoint,
            mountpoint=self._parts.mountpoint,
            mode=models.Mode(**asdict(mode)) if mode else None,
            offline=settings.offline,
            hub="offline" if settings.offline else breaker.standing,
            cache=await self.storage.cache(),
            repos=await trio.to_thread.run_sync(self._catalog.count_repos),
            jobs={"running": len(self.jobs.running()), "pending": self.jobs.count_waiting()},
            scrub=scrub_of(self._parts.scrubber),
            troubles=[trouble_of(each) for each in self._parts.troubles.recent()],
        )

    def load(self) -> Load:
        """What is under way."""
        return Load(*self._parts.fetcher.under_way, self._parts.fetcher.waiting)


def _download_arguments(item: models.DownloadItem) -> dict[str, object]:
    return {
        "repo": str(repo_named(item.repo)),
        "revision": checked_revision(item.revision),
        "include": item.include,
        "exclude": item.exclude,
    }
