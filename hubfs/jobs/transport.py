"""Many files fetched by one job: a few at a time, each counted, failures named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import trio

from hubfs.errors import AccessDenied, FetchStopped, HubfsError, JobIncomplete, Offline, StoreError
from hubfs.fetch.fetcher import Fetcher
from hubfs.jobs.run import Run
from hubfs.jobs.states import may_pass
from hubfs.model.content import MIB, Content, Source
from hubfs.model.text import shown
from hubfs.model.units import counted

AT_ONCE = 32  # round trips, not bytes, are what small files take
LARGE = 8 * MIB
LARGE_AT_ONCE = 8

# What fails for one file fails for all: asking thousands of times more would help no one.
_FATAL = (AccessDenied, FetchStopped, Offline, StoreError)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    content: Content
    held_before: int


class Transport:
    """Brings files here for one run. Nothing but the files under way is held in memory."""

    def __init__(self, run: Run, fetcher: Fetcher) -> None:
        self._run = run
        self._fetcher = fetcher
        self._under_way: dict[str, _UnderWay] = {}
        self._fatal: HubfsError | None = None
        self._may_pass = False
        self._taken = self._failed = 0
        self._large = trio.CapacityLimiter(LARGE_AT_ONCE)
        run.tally.under_way = self._moved

    def _moved(self) -> tuple[int, int]:
        held = moved = 0
        for each in self._under_way.values():
            now = self._fetcher.cached_bytes(each.content)
            held, moved = held + now, moved + max(0, now - each.held_before)
        return held, moved

    async def bring(self, files: Iterator[tuple[Content, Source]]) -> None:
        """Have all `files` as blobs. Cancelling it keeps what has arrived.

        Raises:
            JobIncomplete: some could not be had; the tally names them.
            HubfsError: the reason why none can be had.
        """
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._work, files, nursery.cancel_scope)
        if self._fatal is not None:
            raise self._fatal
        if self._failed:
            text = f"{self._failed} of {counted(self._taken, 'file')} could not be fetched"
            hint = "the job names them; try again with: hubfs jobs ID --retry"
            raise JobIncomplete(text, may_pass=self._may_pass, hint=hint)

    async def _work(
        self, files: Iterator[tuple[Content, Source]], everything: trio.CancelScope
    ) -> None:
        for content, source in files:
            self._taken += 1
            try:
                await self._bring_one(content, source)
            except _FATAL as error:
                self._fatal = self._fatal or error
                everything.cancel()
            except HubfsError as error:
                self._note_failure(source, error)

    def _note_failure(self, source: Source, error: HubfsError) -> None:
        self._failed += 1
        self._may_pass |= may_pass(error)
        self._run.tally.note_failure(source.path, str(error))
        self._run.log(f"{shown(source.path)}: {error}", "error")

    async def _bring_one(self, content: Content, source: Source) -> None:
        before = self._fetcher.cached_bytes(content)
        self._under_way[content.key] = _UnderWay(content, before)
        try:
            # Even what is here already gives others a turn: there may be a million of them.
            await trio.lowlevel.checkpoint()
            if content.size:
                async with self._large if content.size >= LARGE else nullcontext():
                    await self._fetcher.complete(content, source)
        except BaseException:
            here = self._fetcher.cached_bytes(content)
            self._run.tally.note_part(here, max(0, here - before))
            raise
        finally:
            del self._under_way[content.key]
        self._run.tally.note_file(content.size, content.size - before)
        if content.size >= LARGE and before < content.size:
            self._run.log(f"{shown(source.path)} is here and verified, {content.size} bytes")
