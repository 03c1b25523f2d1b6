"""What has been counted since the start: plain numbers, for whoever shows them.

Any thread may count. A race between two may lose one: counts are for looking
on, and a lock in the path of every read would cost more than it tells.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Final

BOUNDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """How often seconds fell below each bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def note(self, seconds: float) -> None:
        """It took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Reads:
    """Reads that this process answered. In the path of each: nothing but additions."""

    __slots__ = ("answered", "size", "waited")

    def __init__(self) -> None:
        self.answered = self.size = self.waited = 0

    def note(self, size: int, *, waited: bool) -> None:
        """One of `size` bytes, that `waited` for some of them to come, or not."""
        self.answered += 1
        self.size += size
        self.waited += waited


class Counters:
    """Counts and histograms, by name and labels; and all reads."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self.histograms: dict[str, dict[Labels, Histogram]] = defaultdict(
            lambda: defaultdict(Histogram)
        )
        self.reads = Reads()

    def add(self, name: str, by: float = 1, **labels: str) -> None:
        """It happened, or so much of it."""
        self.counts[name][tuple(sorted(labels.items()))] += by

    def note(self, name: str, seconds: float, **labels: str) -> None:
        """It took so long."""
        self.histograms[name][tuple(sorted(labels.items()))].note(seconds)


COUNTERS: Final = Counters()
"""Of this process: one engine runs in it."""
