"""Directories in memory: the recently used listings, found by any ordinal in them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_right, insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterator

from hubfs.errors import StaleHandle
from hubfs.model.tree import Entry, Listing
from hubfs.store.catalog import Catalog

LARGEST_WEIGHT = 64 << 20


class NotInMemory(Exception):
    """It would have to be loaded."""


class Finder(ABC):
    """Finds what is in listings."""

    @abstractmethod
    def containing(self, number: int, ordinal: int) -> Listing:
        """The listing of snapshot `number` that begins at `ordinal` or in which it stands."""

    @abstractmethod
    def resident(self) -> Finder:
        """A finder of what is in memory."""

    def entry(self, number: int, ordinal: int) -> tuple[Listing, Entry]:
        """The entry of that ordinal, and the listing it stands in.

        Raises:
            StaleHandle: there is none.
        """
        listing = self.containing(number, ordinal)
        position = ordinal - listing.first
        if not 0 <= position < len(listing):
            raise StaleHandle(f"no entry {ordinal} in tree {number}")
        return listing, listing.entry(position)

    def parts(self, number: int, listing: Listing, start: int) -> Iterator[tuple[Listing, int]]:
        """The listings of the directory that `listing` is of, from position `start` on.

        Each with the position in itself at which to begin; loaded as they are asked for.
        """
        at = listing.whole.start + start
        while at < listing.whole.stop:
            part = self.containing(number, at)
            yield part, at - part.first
            at = part.first + len(part)

    def find(self, number: int, listing: Listing, name: bytes) -> tuple[Listing, Entry] | None:
        """The entry called `name` in the directory that `listing` is of."""
        low, high = listing.whole.start, listing.whole.stop
        while low < high:
            part = self.containing(number, (low + high) // 2)
            if name < part.names[0]:
                high = part.first
            elif name > part.names[-1]:
                low = part.first + len(part)
            else:
                entry = part.find(name)
                return None if entry is None else (part, entry)
        return None


class Listings(Finder):
    """A cache over the catalog, bounded by `largest` bytes. Thread-safe."""

    def __init__(self, catalog: Catalog, largest: int = LARGEST_WEIGHT) -> None:
        self._catalog = catalog
        self._largest = largest
        self._weight = 0
        self._recent: OrderedDict[tuple[int, int], Listing] = OrderedDict()
        self._firsts: dict[int, list[int]] = defaultdict(list)
        self._lock = threading.Lock()

    def containing(self, number: int, ordinal: int) -> Listing:
        """As told above; loaded if it must be.

        Raises:
            StaleHandle: there is none.
        """
        held = self.held(number, ordinal)
        return self._load(number, ordinal) if held is None else held

    def held(self, number: int, ordinal: int) -> Listing | None:
        """The same, if it is in memory."""
        with self._lock:
            firsts = self._firsts.get(number, ())
            at = bisect_right(firsts, ordinal) - 1
            if at < 0:
                return None
            key = (number, firsts[at])
            listing = self._recent[key]
            if ordinal >= listing.first + max(1, len(listing)):
                return None
            self._recent.move_to_end(key)
            return listing

    def resident(self) -> Finder:
        """As told above."""
        return Resident(self)

    def _load(self, number: int, ordinal: int) -> Listing:
        listing = self._catalog.find_listing(number, ordinal)
        if listing is None:
            raise StaleHandle(f"tree {number} is not in the index")
        key = (number, listing.first)
        with self._lock:
            if key not in self._recent:
                self._recent[key] = listing
                insort(self._firsts[number], listing.first)
                self._weight += listing.weight
                self._shrink()
        return listing

    def _shrink(self) -> None:
        while self._weight > self._largest and len(self._recent) > 1:
            (number, first), listing = self._recent.popitem(last=False)
            self._weight -= listing.weight
            firsts = self._firsts[number]
            firsts.remove(first)
            if not firsts:
                del self._firsts[number]


class Resident(Finder):
    """What of other listings is in memory: for who must not wait. Thread-safe."""

    def __init__(self, listings: Listings) -> None:
        self._listings = listings

    def containing(self, number: int, ordinal: int) -> Listing:
        """As told above.

        Raises:
            NotInMemory: it is not.
        """
        listing = self._listings.held(number, ordinal)
        if listing is None:
            raise NotInMemory
        return listing

    def resident(self) -> Finder:
        """As told above."""
        return self
