"""One attempt at a job: what its runner sees of it, and what it leaves behind."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import trio

from hubfs.jobs import states
from hubfs.jobs.progress import RateMeter, Tally, eta
from hubfs.store.journal import MOST_LINES
from hubfs.store.records import JobRecord, LogLine


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job goes, in bytes per second, and for how many seconds more."""

    rate: float = 0.0
    eta: float | None = None


class Run:
    """An attempt under way. `tally` and `result` are the runner's to change."""

    def __init__(self, record: JobRecord) -> None:
        self.tally = Tally()
        self.result: dict[str, Any] = dict(record.result)
        self.scope = trio.CancelScope()
        self.is_called_off = False
        self._record = record
        self._meter = RateMeter()
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)

    @property
    def kind(self) -> str:
        """What the job does."""
        return self._record.kind

    @property
    def arguments(self) -> dict[str, Any]:
        """What the job is about."""
        return self._record.arguments

    def join(self, wanted: JobRecord) -> None:
        """Somebody wishes for the same as this job does."""
        self._record = states.joined(self._record, wanted)

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log."""
        self._lines.append(LogLine(time.time(), level, text))

    def take_lines(self) -> list[LogLine]:
        """The lines that have not been taken yet."""
        taken = list(self._lines)
        self._lines.clear()
        return taken

    def record(self) -> JobRecord:
        """The job as it is now."""
        tally = self.tally
        return replace(
            self._record,
            files=tally.files,
            files_total=tally.files_total,
            size=tally.now()[0],
            size_total=tally.size_total,
            failed=tally.failed,
            failures=dict(tally.failures),
            result=dict(self.result),
        )

    def take_reading(self, now: float) -> None:
        """Let the rate be known."""
        self._meter.note(now, self.tally.now()[1])

    def pace(self) -> Pace:
        """How fast it goes."""
        left = self.tally.size_total - self.tally.now()[0]
        return Pace(self._meter.rate, eta(left, self._meter.rate))


Runner: TypeAlias = Callable[[Run], Awaitable[None]]
"""Does a job's work. It returns when all is done and raises a HubfsError when not; it is
cancelled when the job is called off or the process ends, and is called again to go on."""
