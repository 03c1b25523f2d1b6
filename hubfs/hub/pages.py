"""Which page of a listing comes next, and when enough is enough. Pure."""

from __future__ import annotations

from hubfs.errors import ProtocolViolation
from hubfs.hub.urls import next_query

LARGEST_LISTING = 2 << 30  # of JSON: some seven million files
MOST_PAGES = 10_000


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
            ProtocolViolation: the pages go in a circle, or do not end.
        """
        self._size += size
        self.query = next_query(link)
        if self.query is None:
            return
        if hash(self.query) in self._seen:
            raise ProtocolViolation("its pages go in a circle")
        self._seen.add(hash(self.query))
        if len(self._seen) > MOST_PAGES or self._size > LARGEST_LISTING:
            raise ProtocolViolation("its pages do not end")
