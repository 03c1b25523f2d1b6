"""When to make room, how much, and what goes for it. Pure.

The budget is filled to its brim, and then emptied to a low mark at once: so
that room is made now and then, for much, and not for each file. Bytes count
when they are asked for, not when they arrive: room is made ahead of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from hubfs.config import CacheSettings
from hubfs.store.ledger import Item

LOW: Final = 0.9  # of the budget, and down to it
SPARE: Final = 0.1  # of the free floor, and above it


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that the cache may take, None for no limit; and what must stay free beside it."""

    size: int | None
    floor: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What is taken, what has been asked for and will be, and what the disk has left; in bytes."""

    taken: int
    coming: int
    available: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The items that go, in order; and those that would have had to, but are kept."""

    going: tuple[Item, ...] = ()
    kept: tuple[Item, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was looked at."""
        return bool(self.going or self.kept)

    @property
    def freed(self) -> int:
        """The bytes on disk that go."""
        return sum(item.occupied for item in self.going)

    def without(self, names: Collection[bytes]) -> Choice:
        """The same, but that the items with these names are kept."""
        going = tuple(item for item in self.going if item.name not in names)
        staying = tuple(item for item in self.going if item.name in names)
        return Choice(going, self.kept + staying)


def limits_of(settings: CacheSettings, disk: int) -> Limits:
    """The limits on a disk of so many bytes."""
    return Limits(settings.size.of(disk), settings.min_free.of(disk) or 0)


def room_of(limits: Limits, figures: Figures) -> int:
    """How many more bytes may be asked for; negative, how many too many there are."""
    on_disk = figures.available - figures.coming - limits.floor
    if limits.size is None:
        return on_disk
    return min(on_disk, limits.size - figures.taken - figures.coming)


def excess_of(limits: Limits, figures: Figures) -> int:
    """How many bytes to delete now; 0 as long as there is room."""
    if room_of(limits, figures) > 0:
        return 0
    spared = limits.floor + int(limits.floor * SPARE)
    wanted = 0
    if figures.available - figures.coming - limits.floor <= 0:
        wanted = spared + figures.coming - figures.available
    if limits.size is not None and figures.taken + figures.coming >= limits.size:
        wanted = max(wanted, figures.taken + figures.coming - int(limits.size * LOW))
    # At the very limit of a floor of 0, something must go all the same.
    return max(1, wanted)


def excess_on_full_disk(figures: Figures) -> int:
    """How many bytes to delete when the disk has refused more: what it took was its limit."""
    return max(1, figures.taken - int(figures.taken * LOW))


def choose(
    oldest: Iterable[Item], wanted: int, is_kept: Callable[[Item], bool], most: int
) -> Choice:
    """The least recently used items that free `wanted` bytes; looks at `most` items or fewer.

    Takes no more from `oldest` than it looks at. An item that takes no room
    goes if it stands before others that do.
    """
    going: list[Item] = []
    kept: list[Item] = []
    for item in oldest:
        if is_kept(item):
            kept.append(item)
        else:
            going.append(item)
            wanted -= item.occupied
        if wanted <= 0 or len(going) + len(kept) >= most:
            break
    return Choice(tuple(going), tuple(kept))


def capacity_of(limits: Limits, figures: Figures, fixed: int) -> int:
    """The most that could be here beside `fixed` bytes that no one may delete."""
    on_disk = figures.available + figures.taken - limits.floor - fixed
    return max(0, on_disk if limits.size is None else min(on_disk, limits.size - fixed))
