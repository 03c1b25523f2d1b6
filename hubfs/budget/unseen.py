"""What has been deleted, and the disk does not show as free yet. Pure.

Btrfs and ZFS free what was deleted with a later commit, XFS in the background: who
deleted until the disk shows it would delete all there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hubfs.budget.policy import Figures

SETTLES: Final = 35.0  # seconds after which a disk shows it; Btrfs commits every 30
NEAR: Final = 0.1  # of what was deleted: when no more than that is lacking, the disk shows it


@dataclass(slots=True)
class Unseen:
    """As long as nobody else writes, what is taken and what is available add up to the same."""

    _sum: int = 0
    _freed: int = 0
    _until: float = float("-inf")

    def note(self, before: Figures, freed: int, now: float) -> None:
        """So much has been deleted; it was as `before`, of which `seen` has told."""
        self._sum = before.available + before.taken
        self._freed += freed
        self._until = now + SETTLES

    def seen(self, figures: Figures, now: float) -> Figures:
        """The figures as they will be once the disk shows all that was deleted."""
        lacking = min(self._sum - figures.available - figures.taken, self._freed)
        if now >= self._until or lacking <= NEAR * self._freed:
            self._freed = 0  # from here on, what is lacking was taken by others
            return figures
        return replace(figures, available=figures.available + lacking)
