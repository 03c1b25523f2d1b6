"""The job that brings files of a repo here: one job, however many files.

A job keeps to the commit that it found when it began, also after a restart.
"""

from __future__ import annotations

import trio

from hubfs.budget.evictor import Evictor
from hubfs.budget.fitting import check_fits
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.files import Files, newest, nothing_matches, repo_named
from hubfs.jobs.run import Run
from hubfs.jobs.selection import Selection
from hubfs.jobs.transport import Transport
from hubfs.store.catalog import Catalog
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


class Downloading:
    """A runner. Arguments: `repo`, `revision`, `include`, `exclude`."""

    def __init__(
        self, store: Store, catalog: Catalog, syncer: Syncer, fetcher: Fetcher, evictor: Evictor
    ) -> None:
        self._store = store
        self._evictor = evictor
        self._catalog = catalog
        self._syncer = syncer
        self._fetcher = fetcher

    async def __call__(self, run: Run) -> None:
        """Bring the files here.

        Raises:
            HubError: the repo cannot be had.
            StoreFull: they cannot all be here at once.
            JobIncomplete: some of the files cannot.
        """
        files = await self._files(run)
        count, size = await trio.to_thread.run_sync(files.totals)
        run.tally.files_total, run.tally.size_total = count, size
        run.log(f"{files.repo} at {files.commit[:12]}: {count} files, {size} bytes")
        if not count:
            raise nothing_matches(files.repo)
        contents = (content for content, _ in files)
        await check_fits(self._store, self._evictor, str(files.repo), size, contents)
        await Transport(run, self._fetcher).bring(iter(files))

    async def _files(self, run: Run) -> Files:
        arguments = run.arguments
        selection = Selection(tuple(arguments["include"]), tuple(arguments["exclude"]))
        repo = repo_named(run.result.get("repo") or arguments["repo"])
        commit = run.result.get("commit", "")
        snapshot = self._catalog.find_snapshot(repo, commit) if commit else None
        if snapshot is None:
            found = await newest(self._syncer, repo, arguments["revision"])
            repo, commit, snapshot = found.repo, found.ref.commit, found.snapshot
            run.result.update(repo=str(repo), commit=commit)
        return Files(self._catalog, repo, commit, snapshot, lambda path, _: selection.accepts(path))
