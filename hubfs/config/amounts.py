"""Amounts of a disk: bytes, or a share of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """So many bytes, or that share of a disk; of both, the smaller one. Of neither: no bound."""

    size: int | None = None
    share: float | None = None

    def of(self, total: int) -> int | None:
        """In bytes, of a disk of `total` bytes."""
        shares = None if self.share is None else int(self.share * total)
        return min((each for each in (self.size, shares) if each is not None), default=None)
