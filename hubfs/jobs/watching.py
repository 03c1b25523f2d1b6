"""Telling of jobs that change: to as many as look on, without waiting for any of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trio

from hubfs.store.records import JobRecord


class Watcher:
    """Gets the newest state of each job that changed. Slow ones miss states, never the last."""

    def __init__(self) -> None:
        self._changed: dict[int, JobRecord] = {}
        self._news = trio.Event()

    def note(self, record: JobRecord) -> None:
        """A job is now so."""
        self._changed[record.id] = record
        self._news.set()

    async def changes(self) -> list[JobRecord]:
        """Wait for changes and return them."""
        await self._news.wait()
        changed, self._changed = self._changed, {}
        self._news = trio.Event()
        return list(changed.values())


class Watchers:
    """Everyone who looks on."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[Watcher]:
        """What is told goes to the watcher as well, within."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def tell(self, record: JobRecord) -> None:
        """A job is now so."""
        for watcher in self._watchers:
            watcher.note(record)
