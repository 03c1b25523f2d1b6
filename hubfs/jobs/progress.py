"""How far a job is, how fast it goes, when it will be done. Pure, over an explicit `now`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW = 10.0  # seconds over which a rate is taken
MOST_FAILURES = 100


@dataclass(slots=True)
class Tally:
    """What a run has done so far. Sizes in bytes.

    `size` counts what is here, fetched or found; `moved` only what came over the
    network, or off the disk, in this run. `under_way` gives the same two of files
    that are not done yet.
    """

    files: int = 0
    files_total: int = 0
    size: int = 0
    size_total: int = 0
    moved: int = 0
    failed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    under_way: Callable[[], tuple[int, int]] = lambda: (0, 0)

    def note_file(self, size: int, moved: int) -> None:
        """A file of `size` bytes is done; `moved` of them came just now."""
        self.files += 1
        self.size += size
        self.moved += moved

    def note_part(self, size: int, moved: int) -> None:
        """Of a file that is not gone on with, `size` bytes are here; `moved` came just now."""
        self.size += size
        self.moved += moved

    def note_failure(self, name: str, reason: str) -> None:
        """A file failed. The first ones are named, all are counted."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures[name] = reason

    def now(self) -> tuple[int, int]:
        """(bytes here, bytes moved), the files under way included."""
        size, moved = self.under_way()
        return self.size + size, self.moved + moved


class RateMeter:
    """Bytes per second over the last seconds, from readings of a counter."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        """The counter stands at `count`. A counter that went back begins anew."""
        if self._readings and count < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((now, count))
        # One reading from before the window stays: a rate needs a beginning.
        while len(self._readings) > 2 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()

    @property
    def rate(self) -> float:
        """Bytes per second; 0 until there are two readings."""
        if len(self._readings) < 2:
            return 0.0
        (begun, low), (ended, high) = self._readings[0], self._readings[-1]
        return (high - low) / (ended - begun) if ended > begun else 0.0


def eta(left: int, rate: float) -> float | None:
    """Seconds until `left` bytes have come at `rate`; None while nobody can tell."""
    if left <= 0:
        return 0.0
    return left / rate if rate > 0 else None
