"""The job that looks whether the cache is what the index says, and puts right what is not.

Blobs are looked at in the order of their hashes, several at once; after any end
the job goes on where it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial as bind

import trio

from hubfs.errors import HubfsError, StoreError
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.files import Files, known, repo_named
from hubfs.jobs.findings import Findings
from hubfs.jobs.looking import Looker
from hubfs.jobs.repairing import Repairing
from hubfs.jobs.run import Run
from hubfs.jobs.tidying import Tidying
from hubfs.store.catalog import Catalog
from hubfs.store.census import SHARDS, Amount
from hubfs.store.flaws import Case, Watermark
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


class Verifying:
    """A runner. Arguments: `repo`, `revision`, `repair`, `threads`; without `repo`, everything."""

    def __init__(self, store: Store, catalog: Catalog, syncer: Syncer, fetcher: Fetcher) -> None:
        self._store = store
        self._catalog = catalog
        self._syncer = syncer
        self._fetcher = fetcher

    async def __call__(self, run: Run) -> None:
        """Verify what the job names.

        Raises:
            NoSuchEntry, RepoNotFound: nothing is known of the repo.
            StoreError: the disk cannot be looked at.
            JobIncomplete: something is wrong and could not be put right.
        """
        only = await trio.to_thread.run_sync(self._chosen, run)
        findings = Findings(run, str(self._store.checkup.mending.bad))
        limiter = trio.CapacityLimiter(run.arguments["threads"])
        in_thread = bind(trio.to_thread.run_sync, abandon_on_cancel=True, limiter=limiter)
        looker = Looker(self._store.checkup, self._fetcher, in_thread)
        sweep = Sweep(run, self._store, looker, findings, only)
        await sweep.go()
        if only is None:
            await Tidying(self._store.checkup, self._fetcher).go(findings)
        await Repairing(self._catalog, self._store, self._fetcher).go(run, findings)
        findings.conclude()

    def _chosen(self, run: Run) -> Collection[str] | None:
        """The hashes of the blobs that are meant; None: of all."""
        if not run.arguments["repo"]:
            return None
        repo = repo_named(run.arguments["repo"])
        found = known(self._catalog, self._syncer, repo, run.arguments["revision"])
        files = Files(self._catalog, found.repo, found.ref.commit, found.snapshot, lambda *_: True)
        run.result.update(repo=str(found.repo), commit=found.ref.commit)
        blobs = self._store.blobs
        hashes = (content.sha256 or blobs.find(content) for content, _ in files)
        return {each for each in hashes if each}


@dataclass
class Sweep:
    """Looks at all chosen blobs that follow the one which `findings` has reached."""

    run: Run
    store: Store
    looker: Looker
    findings: Findings
    only: Collection[str] | None
    _hashed: dict[str, int] = field(default_factory=dict)
    _fatal: HubfsError | None = None

    async def go(self) -> None:
        """Look at them.

        Raises:
            StoreError: the disk cannot be looked at.
        """
        await self._count()
        self.run.tally.under_way = self._under_way
        self._mark = Watermark(self.findings.after)
        sending, receiving = trio.open_memory_channel[Case](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, sending, nursery.cancel_scope)
            for _ in range(self.run.arguments["threads"]):
                nursery.start_soon(self._work, receiving, nursery.cancel_scope)
        if self._fatal is not None:
            raise self._fatal

    async def _count(self) -> None:
        census, tally = self.store.checkup.census, self.run.tally
        amounts = bind(census.amounts, self.findings.after, self.only)
        done, everything = await trio.to_thread.run_sync(amounts)
        tally.files, tally.size = done
        tally.files_total, tally.size_total = everything
        if done != Amount():
            self.run.log(f"going on after {done.files} blobs")
        self.run.log(f"{everything.files} blobs are recorded, {everything.size} bytes")

    def _under_way(self) -> tuple[int, int]:
        hashed = sum(list(self._hashed.values()))
        return hashed, hashed

    async def _feed(
        self, sending: trio.MemorySendChannel[Case], everything: trio.CancelScope
    ) -> None:
        after = self.findings.after
        async with sending:
            for shard in SHARDS:
                if shard < after[:2]:
                    continue
                try:
                    cases = bind(self.store.checkup.census.cases, shard, self.only)
                    found = await trio.to_thread.run_sync(cases)
                except StoreError as error:
                    self._give_up(error, everything)
                    return
                for case in found:
                    if case.sha256 > after:
                        self._mark.begin(case.sha256)
                        await sending.send(case)

    async def _work(
        self, receiving: trio.MemoryReceiveChannel[Case], everything: trio.CancelScope
    ) -> None:
        async for case in receiving:
            try:
                await self._look(case)
            except StoreError as error:
                self._give_up(error, everything)

    def _give_up(self, error: HubfsError, everything: trio.CancelScope) -> None:
        self._fatal = self._fatal or error
        everything.cancel()

    async def _look(self, case: Case) -> None:
        tally = self.run.tally
        if case.recorded is None:
            tally.files_total, tally.size_total = (
                tally.files_total + 1,
                tally.size_total + case.size,
            )

        def pace(count: int) -> float:
            self._hashed[case.sha256] += count
            return 0.0

        self._hashed[case.sha256] = 0
        try:
            found = await self.looker.look(case, pace)
        finally:
            hashed = self._hashed.pop(case.sha256)
        for each in found:
            self.findings.note(each)
        tally.note_file(case.size if case.recorded is None else case.recorded, hashed)
        self._mark.end(case.sha256)
        self.findings.after = self._mark.reached
