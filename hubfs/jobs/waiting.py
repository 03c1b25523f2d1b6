"""Jobs that wait: each kind in the order they came, some not before a moment. Pure.

Taking, finding and calling off cost the same with ten jobs and with ten thousand.
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hubfs.store.records import JobRecord


class Waiting:
    """The queue proper."""

    def __init__(self) -> None:
        self._records: dict[int, JobRecord] = {}
        self._ready: dict[str, dict[int, None]] = defaultdict(dict)
        self._moments: list[tuple[float, int]] = []  # a heap; what it says may be out of date

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[JobRecord]:
        return iter(self._records.values())

    def find(self, number: int) -> JobRecord | None:
        """The job with that id, if it waits."""
        return self._records.get(number)

    def add(self, record: JobRecord) -> None:
        """Let it wait, behind all that are ready by then; a job that waits already begins anew."""
        self.pop(record.id)
        self._records[record.id] = record
        if record.not_before:
            heapq.heappush(self._moments, (record.not_before, record.id))
        else:
            self._ready[record.kind][record.id] = None

    def update(self, record: JobRecord) -> None:
        """Let a job that waits go on waiting where it does, as `record`."""
        self._records[record.id] = record

    def pop(self, number: int) -> JobRecord | None:
        """Take the job with that id out, if it waits."""
        record = self._records.pop(number, None)
        if record is not None:
            self._ready[record.kind].pop(number, None)
        return record

    def take(self, kind: str, now: float) -> JobRecord | None:
        """Take out the first job of `kind` that is ready."""
        self._wake(now)
        first = next(iter(self._ready[kind]), None)
        return None if first is None else self.pop(first)

    def _wake(self, now: float) -> None:
        while self._moments and self._moments[0][0] <= now:
            moment, number = heapq.heappop(self._moments)
            record = self._records.get(number)
            if record is not None and record.not_before == moment:
                self._ready[record.kind][number] = None


class Wishes:
    """Which jobs that have not ended do the same about the same."""

    def __init__(self) -> None:
        self._alike: dict[str, dict[int, None]] = {}

    def add(self, record: JobRecord) -> None:
        """It has not ended."""
        self._alike.setdefault(wish_of(record), {})[record.id] = None

    def discard(self, record: JobRecord) -> None:
        """It has."""
        wish = wish_of(record)
        alike = self._alike.get(wish, {})
        alike.pop(record.id, None)
        if not alike:
            self._alike.pop(wish, None)

    def alike(self, record: JobRecord) -> list[int]:
        """The ids of those that are for what `record` is for, oldest wish first."""
        return list(self._alike.get(wish_of(record), ()))


def wish_of(record: JobRecord) -> str:
    """The same text for every job that does the same about the same."""
    wish: list[Any] = [record.kind, record.arguments]
    return json.dumps(wish, sort_keys=True)
