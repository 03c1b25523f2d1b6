"""The job that makes room: of what was used longest ago, or of what only one repo has.

Arguments: `to` (bytes that the cache may take, None for its budget), or `repo`,
`revision` and `force`; `dry_run`: only say what would go.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial as bind
from shlex import quote
from typing import Any

import trio

from hubfs.budget import policy
from hubfs.budget.evictor import MOST_NAMED, Evictor
from hubfs.budget.forgetting import Parting, parting_of, prune
from hubfs.budget.sharing import names_of_items
from hubfs.errors import RevisionNotFound, StillNeeded
from hubfs.jobs.files import canonical, repo_named
from hubfs.jobs.run import Run
from hubfs.model.units import counted, size_text
from hubfs.store.catalog import Catalog
from hubfs.store.ledger import Item
from hubfs.store.pins import Pins
from hubfs.store.records import PinRecord
from hubfs.store.store import Store
from hubfs.sync.syncer import Syncer


class Evicting:
    """A runner."""

    def __init__(self, store: Store, catalog: Catalog, syncer: Syncer, evictor: Evictor) -> None:
        self._store = store
        self._catalog = catalog
        self._syncer = syncer
        self._evictor = evictor

    async def __call__(self, run: Run) -> None:
        """Make the room.

        Raises:
            RepoNotFound, RevisionNotFound: there is nothing to forget.
            StillNeeded: what is to go is pinned or open, and was not forced.
            StoreError: the disk failed.
        """
        if run.arguments["repo"]:
            await self._remove(run)
        else:
            await self._collect(run)

    # --- what was used longest ago -----------------------------------------------------

    async def _collect(self, run: Run) -> None:
        if not run.arguments["dry_run"]:
            await self._tidy_up(run)
        wanted = self._wanted(run.arguments["to"])
        if run.arguments["dry_run"]:
            choice = await self._evictor.preview(wanted)
            await self._report(run, choice.going, len(choice.going), choice.freed)
            freed = choice.freed
        else:
            done = await self._evictor.make_room(wanted)
            await self._report(run, done.first, done.items, done.size)
            freed = done.size
        short = max(0, wanted - freed)
        run.result["short"] = short
        if short:
            run.log(f"{size_text(short)} more should go, and are pinned or open", "warning")

    def _wanted(self, to: int | None) -> int:
        figures = self._evictor.figures()
        if to is None:
            return policy.excess_of(self._evictor.limits(), figures)
        return max(0, figures.taken - to)

    async def _tidy_up(self, run: Run) -> None:
        entered, forgotten = await self._evictor.reconcile()
        await self._evictor.drop_old_partials()
        pruned = await trio.to_thread.run_sync(prune, self._store, self._catalog)
        run.result.update(entered=entered, forgotten=forgotten, snapshots=pruned)
        run.log(f"{pruned} old commits are forgotten that no revision means any more")
        if entered or forgotten:
            run.log(f"{entered} blobs were not in the index, {forgotten} not on the disk")

    async def _report(self, run: Run, first: Iterable[Item], count: int, size: int) -> None:
        """Say what goes, by the names that people have for it."""
        shown = list(first)[:MOST_NAMED]
        names = await trio.to_thread.run_sync(names_of_items, self._catalog, shown)
        run.tally.files = run.tally.files_total = count
        run.tally.size = run.tally.size_total = size
        run.result.update(items=count, size=size, going=[_described(item, names) for item in shown])
        verb = "would go" if run.arguments["dry_run"] else "are deleted"
        run.log(f"{counted(count, 'file')} of {size_text(size)} {verb}")

    # --- what only one repo has --------------------------------------------------------

    async def _remove(self, run: Run) -> None:
        parting = await self._parting(run)
        pins = await trio.to_thread.run_sync(self._pins_of, parting, run.arguments["revision"])
        if not run.arguments["force"]:
            self._refuse_if_needed(parting, pins)
        size = sum(item.occupied for item in parting.items)
        await self._report(run, parting.items, len(parting.items), size)
        run.result.update(repo=str(parting.repo), shared=parting.shared, pins=len(pins))
        if not run.arguments["dry_run"]:
            await self._forget(parting, pins, is_whole=not run.arguments["revision"])
            await self._evictor.evict(parting.items, is_forced=run.arguments["force"])
            shared = counted(parting.shared, "file stays", "files stay")
            run.log(f"{parting.repo} is forgotten; {shared} that others have")

    async def _parting(self, run: Run) -> Parting:
        revision = run.arguments["revision"]
        repo = canonical(self._catalog, repo_named(run.arguments["repo"]))
        part = bind(parting_of, self._store, self._catalog, repo, revision)
        parting = await trio.to_thread.run_sync(part)
        if revision and not parting.revisions:
            raise RevisionNotFound(f"{repo} is not known at {revision}")
        return parting

    def _pins_of(self, parting: Parting, revision: str) -> list[PinRecord]:
        """The pins that would mean nothing any more."""
        return [
            pin
            for pin in Pins(self._store.index).all()
            if pin.endpoint == self._catalog.endpoint
            and revision in {"", pin.revision}
            and self._catalog.find_canonical(repo_named(pin.repo)) == parting.repo
        ]

    def _refuse_if_needed(self, parting: Parting, pins: list[PinRecord]) -> None:
        if pins:
            hint = f"hubfs unpin {quote(pins[0].text)}, or give --force, which unpins it"
            raise StillNeeded(f"{parting.repo} is pinned", hint=hint)
        opened = self._evictor.names_open()
        count = sum(item.name in opened for item in parting.items)
        if count:
            hint = "close them, or give --force: who has them open goes on reading"
            raise StillNeeded(f"{count} files of {parting.repo} are open", hint=hint)

    async def _forget(self, parting: Parting, pins: list[PinRecord], *, is_whole: bool) -> None:
        def forget() -> None:
            for pin in pins:
                Pins(self._store.index).drop(pin)
            if is_whole:
                self._catalog.drop_repo(parting.repo)
            for revision in () if is_whole else parting.revisions:
                self._catalog.drop_ref(parting.repo, revision)
            for commit in parting.commits:
                self._catalog.drop_snapshot(parting.repo, commit)

        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(forget)
        self._syncer.note_forgotten(parting.repo, parting.revisions)
        self._evictor.note_pins()


def _described(item: Item, names: dict[bytes, str]) -> dict[str, Any]:
    known_as = item.sha256 if item.is_blob else item.content.key
    return {
        "name": names.get(item.name, known_as),
        "kind": "blob" if item.is_blob else "partial",
        "size": item.occupied,
        "used_at": datetime.fromtimestamp(item.used_at, UTC).isoformat(),
    }
