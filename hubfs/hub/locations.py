"""Where files' bytes are. Each place is found out by one thread, for all that wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hubfs.errors import HubError
from hubfs.hub import urls
from hubfs.hub.lifeline import Lifeline
from hubfs.model.content import Source

EXPIRY_MARGIN = 30.0
MOST_LOCATIONS = 10_000
_GLANCE = 0.25

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a file's bytes are; good until `expires`, seconds since the epoch."""

    url: str
    expires: float


class _Search:
    """A thread's search for a location, and what others who want it learn of it."""

    def __init__(self) -> None:
        self.error: HubError | None = None
        self._ended = threading.Event()

    def end(self, error: HubError | None) -> None:
        self.error = error
        self._ended.set()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be learnt from it, though its thread may still be at it."""
        return self._ended.is_set()

    def wait(self, lifeline: Lifeline) -> None:
        while not self._ended.wait(_GLANCE):
            lifeline.check()
        if self.error is not None:
            raise self.error


class Locations:
    """The locations found so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Source, Location] = {}
        self._searches: dict[Source, _Search] = {}

    def find(self, source: Source) -> str | None:
        """The address at which the bytes of `source` are, while it can be used."""
        found = self._known.get(source)
        return found.url if found and time.time() < found.expires - EXPIRY_MARGIN else None

    def remember(self, source: Source, url: str) -> None:
        """The bytes of `source` are at `url`: who waits for a search of it need not any more."""
        with self._lock:
            self._known.pop(source, None)
            while len(self._known) >= MOST_LOCATIONS:
                self._known.pop(next(iter(self._known)))
            self._known[source] = Location(url, urls.expiry_of(url, time.time()))
            search = self._searches.get(source)
        if search is not None:
            search.end(None)

    def forget(self, source: Source, url: str) -> None:
        """The bytes of `source` are not at `url` any more."""
        with self._lock:
            found = self._known.get(source)
            if found is not None and found.url == url:
                del self._known[source]

    def search(
        self, source: Source, find: Callable[[], _Found], lifeline: Lifeline
    ) -> _Found | None:
        """Run `find`, which remembers what it finds, unless another thread is at it.

        Then wait for that one, and return None.

        Raises:
            HubError: why it failed, whichever thread it was that searched. But
                one that was given up says nothing to the others.
        """
        lifeline.check()
        mine = _Search()
        with self._lock:
            other = self._searches.get(source)
            if other is None or other.has_ended:
                other, self._searches[source] = None, mine
        if other is not None:
            other.wait(lifeline)
            return None
        error: HubError | None = None
        try:
            return find()
        except HubError as raised:
            error = None if lifeline.is_cut else raised
            raise
        finally:
            with self._lock:
                if self._searches.get(source) is mine:
                    del self._searches[source]
            mine.end(error)
