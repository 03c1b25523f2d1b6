"""Which jobs have ended, and which of those are forgotten. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort

from hubfs.jobs.states import HISTORY, has_ended
from hubfs.store.records import JobRecord


class History:
    """The ids of the ended jobs that are kept: never more than `keep`, the newest ones."""

    def __init__(self, keep: int = HISTORY) -> None:
        self._keep = max(1, keep)
        self._ended: list[int] = []

    def note(self, record: JobRecord) -> list[int]:
        """A job is now so; return the ids of those that are to be forgotten for it."""
        at = bisect_left(self._ended, record.id)
        is_noted = self._ended[at : at + 1] == [record.id]
        if has_ended(record) and not is_noted:
            insort(self._ended, record.id)
        elif is_noted and not has_ended(record):
            del self._ended[at]
        overdue = self._ended[: -self._keep]
        del self._ended[: -self._keep]
        return overdue

    def newest(self) -> list[int]:
        """All of them, newest first. Thread-safe."""
        return self._ended[::-1]
