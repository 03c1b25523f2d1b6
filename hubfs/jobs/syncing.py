"""The job that brings metadata up to date, and small files of metadata with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import trio

from hubfs.errors import (
    AccessDenied,
    HubError,
    JobIncomplete,
    NoConnection,
    NotOnHub,
    RevisionNotFound,
)
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.files import Files, refreshed, repo_named
from hubfs.jobs.run import Run
from hubfs.jobs.selection import is_eager
from hubfs.jobs.states import may_pass
from hubfs.jobs.transport import Transport
from hubfs.model.classification import classify
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.units import counted
from hubfs.store.catalog import Catalog
from hubfs.store.records import RefusalRecord
from hubfs.sync.syncer import Synced, Syncer

PAGE = 200


class Syncing:
    """A runner. Arguments: `repo`, `revision`, `eager_size`; without `repo`, all that are known."""

    def __init__(self, catalog: Catalog, syncer: Syncer, fetcher: Fetcher) -> None:
        self._catalog = catalog
        self._syncer = syncer
        self._fetcher = fetcher

    async def __call__(self, run: Run) -> None:
        """Sync what the job names.

        Raises:
            HubError: the repo cannot be had; if it is known, it is noted as failed.
            JobIncomplete: some repos, or some of the small files, cannot.
        """
        if not run.arguments["repo"]:
            await self._sync_all(run)
            return
        repo, revision = repo_named(run.arguments["repo"]), run.arguments["revision"]
        found = await self._sync(repo, revision)
        run.result.update(
            repo=str(found.repo),
            commit=found.ref.commit,
            files=found.snapshot.files,
            size=found.snapshot.size,
        )
        await self._describe(run, found)
        await self._bring_small_files(run, found)

    async def _sync(self, repo: RepoId, revision: str) -> Synced:
        try:
            found = await refreshed(self._syncer, repo, revision)
        except HubError as error:
            await trio.to_thread.run_sync(self._note_refusal, repo, revision, error)
            raise
        await trio.to_thread.run_sync(self._note_success, repo, found.repo)
        return found

    def _note_refusal(self, repo: RepoId, revision: str, error: HubError) -> None:
        """What is known goes on being served; what nobody but its name was known of is not."""
        if isinstance(error, NotOnHub | AccessDenied):
            self._catalog.withdraw_repo(repo)
        if revision and isinstance(error, RevisionNotFound):
            return  # of the repo it says no more than that it is there
        known = self._catalog.find_canonical(repo)
        if known is not None:
            refusal = RefusalRecord(str(error), error.hint, time.time())
            self._catalog.note_refusal(known, refusal)

    def _note_success(self, repo: RepoId, canonical: RepoId) -> None:
        if repo != canonical:
            self._catalog.withdraw_repo(repo)  # it is known by its own name from now on
        self._catalog.note_refusal(canonical, None)

    async def _describe(self, run: Run, found: Synced) -> None:
        kinds = await trio.to_thread.run_sync(self._kinds, found)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        files, commit = found.snapshot.files, found.ref.commit[:12]
        run.log(f"{found.repo} at {commit}: {files} files, {found.snapshot.size} bytes ({counts})")

    def _kinds(self, found: Synced) -> Counter[str]:
        return Counter(
            classify(listing.path_of(entry)).kind.value
            for listing in self._catalog.listings(found.snapshot)
            for entry in listing
            if not entry.is_directory
        )

    async def _bring_small_files(self, run: Run, found: Synced) -> None:
        largest = run.arguments["eager_size"]
        files = Files(
            self._catalog,
            found.repo,
            found.ref.commit,
            found.snapshot,
            lambda path, size: is_eager(path, size, largest),
        )
        count, size = await trio.to_thread.run_sync(files.totals)
        run.tally.files_total += count
        run.tally.size_total += size
        await Transport(run, self._fetcher).bring(iter(files))

    # --- everything --------------------------------------------------------------------

    async def _sync_all(self, run: Run) -> None:
        refused: list[tuple[RepoId, HubError]] = []
        count = incomplete = 0
        passing = False
        for repo in self._known():
            count += 1
            try:
                await self._bring_small_files(run, await self._sync(repo, ""))
            except HubError as error:
                refused.append((repo, error))
                passing |= may_pass(error)
                run.tally.note_failure(str(repo), _reason(repo, error))
                run.log(f"{repo}: {error}", "error")
            except JobIncomplete as error:
                incomplete += 1
                passing |= may_pass(error)
                run.log(f"{repo}: {error}", "error")
        run.result.update(repos=count, refused=len(refused))
        if refused or incomplete:
            text = f"{len(refused) + incomplete} of {counted(count, 'repo')} could not be synced"
            cut_off = [_reason(*each) for each in refused if isinstance(each[1], NoConnection)]
            text += f": {cut_off[0]}" if cut_off else ""
            raise JobIncomplete(text, may_pass=passing, lacks_connection=bool(cut_off))

    def _known(self) -> Iterator[RepoId]:
        for kind in RepoKind:
            after = ""
            while names := self._catalog.names(kind, PAGE, after):
                yield from (RepoId(kind, name) for name in names)
                after = names[-1]


def _reason(repo: RepoId, error: HubError) -> str:
    return str(error).removeprefix(f"{repo}: ")
