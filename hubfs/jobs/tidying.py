"""What lies about in a cache beside its blobs: looked for, told, and put away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial as bind
from pathlib import Path
from typing import TypeVar

import trio

from hubfs.errors import StoreError
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.findings import Findings
from hubfs.store.adoption import SCRATCH
from hubfs.store.checkup import Checkup
from hubfs.store.flaws import Finding, Flaw, split_partials

T = TypeVar("T")


class Tidying:
    """Strangers among the blobs, partials without a record or a file, git ids that lead nowhere."""

    def __init__(self, checkup: Checkup, fetcher: Fetcher) -> None:
        self._checkup = checkup
        self._fetcher = fetcher

    async def go(self, findings: Findings) -> None:
        """Look for all of it, and note it.

        Raises:
            StoreError: the disk cannot be looked at.
        """
        census, mending = self._checkup.census, self._checkup.mending
        for path in await trio.to_thread.run_sync(lambda: list(census.strangers())):
            finding = bind(self._set_aside, path)
            findings.note(await trio.to_thread.run_sync(finding))
        strays, lost = await self._partials()
        for name in strays:
            if (stray := self._remove_stray(name)) is not None:
                findings.note(stray)
        for key in lost:
            dropped = bind(self._treated, Flaw.LOST_PARTIAL, key, "forgotten")
            findings.note(await trio.to_thread.run_sync(dropped, bind(mending.drop_partial, key)))
        oids = await trio.to_thread.run_sync(census.dangling)
        for oid in oids:
            forgotten = bind(self._treated, Flaw.DANGLING, oid.hex(), "forgotten")
            findings.note(await trio.to_thread.run_sync(forgotten, bind(mending.drop_oids, [oid])))

    def _set_aside(self, path: Path) -> Finding:
        try:
            self._checkup.check_writable()
            aside = self._checkup.mending.set_file_aside(path)
        except StoreError as error:
            return Finding(Flaw.STRANGER, path.name, f"left as it is: {error}", is_left=True)
        return Finding(Flaw.STRANGER, path.name, "set aside", aside=str(aside))

    async def _partials(self) -> tuple[list[str], list[str]]:
        files, recorded = await trio.to_thread.run_sync(self._checkup.census.partials)
        in_use = [each for each in files | recorded if self._is_in_use(each)]
        return split_partials(files, recorded, in_use)

    def _is_in_use(self, name: str) -> bool:
        """Whether a partial is somebody's. What a crash left of an adoption goes at a start."""
        return self._fetcher.is_open(name) or name.startswith(SCRATCH)

    def _remove_stray(self, name: str) -> Finding | None:
        """Remove a partial's file, unless it has come into use. On the event loop.

        Nobody but this loop lets a content be opened, so nobody does meanwhile.
        """
        if self._is_in_use(name) or self._checkup.census.has_partial_record(name):
            return None
        remove = bind(self._checkup.mending.remove_stray, name)
        return self._treated(
            Flaw.STRAY_PARTIAL, name, "removed: nothing in it is known good", remove
        )

    def _treated(self, flaw: Flaw, name: str, remedy: str, act: Callable[[], None]) -> Finding:
        try:
            self._checkup.check_writable()
            act()
        except StoreError as error:
            return Finding(flaw, name, f"left as it is: {error}", is_left=True)
        return Finding(flaw, name, remedy)
