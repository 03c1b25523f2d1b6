"""Which page or directory of a listing comes next, and when enough is enough. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hubfs.errors import CircularPages, ProtocolViolation
from hubfs.hub.urls import next_query

LARGEST_LISTING = 2 << 30  # of JSON: some seven million files
MOST_PAGES = 10_000
MOST_DIRECTORIES = 10_000


class Pages:
    """A walk through the pages of one listing; `query` is that of the page to ask for."""

    def __init__(self, first: str) -> None:
        self.query: str | None = first
        # Without a query, a next page would be the first one. Hashes: a cursor may be long.
        self._seen = {hash(""), hash(first)}
        self._size = 0

    def turn(self, link: str | None, size: int) -> None:
        """The page has come: it has `size` bytes, and a `Link` header. None is next to the last.

        Raises:
            CircularPages: the pages go in a circle.
            ProtocolViolation: they do not end.
        """
        self._size += size
        self.query = next_query(link)
        if self.query is None:
            return
        if hash(self.query) in self._seen:
            raise CircularPages("its pages go in a circle")
        self._seen.add(hash(self.query))
        if len(self._seen) > MOST_PAGES or self._size > LARGEST_LISTING:
            raise ProtocolViolation("its pages do not end")


class Directories:
    """A walk through the directories of a listing, the root (`""`) first."""

    def __init__(self) -> None:
        self._known = {""}
        self._waiting = deque(self._known)

    def next(self) -> str | None:
        """The directory to list next; None when there is none any more."""
        return self._waiting.popleft() if self._waiting else None

    def add(self, paths: Iterable[str]) -> None:
        """These have been found; those that were found before are passed over.

        Raises:
            ProtocolViolation: they do not end.
        """
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        self._known.update(new)
        self._waiting.extend(new)
        if len(self._known) > MOST_DIRECTORIES:
            raise ProtocolViolation("its directories do not end")
