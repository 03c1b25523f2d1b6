"""From pins to contents: what of the disk must stay, as the repos are now.

A pin means what its names mean: when a branch moves on, the pin keeps what the
new commit has, and no longer what it dropped. The contents of a commit never
change, so they are looked up once for each commit and pattern.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from hubfs.budget.figures import names_of
from hubfs.budget.sharing import contents_of, digest_of
from hubfs.model.content import Content
from hubfs.model.identifiers import find_repo_id, is_commit
from hubfs.model.patterns import matches
from hubfs.store.catalog import Catalog
from hubfs.store.ledger import Item
from hubfs.store.pins import Pins
from hubfs.store.records import PinRecord, SnapshotRecord
from hubfs.store.store import Store


@dataclass(frozen=True, slots=True)
class Match:
    """What a pin means now: files of the tree `number`; none while its revision is not known."""

    contents: frozenset[Content] = frozenset()
    number: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the pin's repo has been listed at its revision."""
        return self.number > 0

    @property
    def size(self) -> int:
        """The bytes of all of it, here or not."""
        return sum(content.size for content in self.contents)


class Pinned:
    """The contents that pins keep. `refresh` may take long; the questions are quick."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pins = Pins(store.index)
        self._known: dict[tuple[int, str], Match] = {}
        self._matches: dict[PinRecord, Match] = {}
        self._digests: frozenset[bytes] = frozenset()
        self._refreshing = threading.Lock()

    def refresh(self) -> None:
        """Look where the pins' revisions are now. Call it from a worker thread."""
        with self._refreshing:  # one that began earlier must not undo what a later one found
            found = {pin: self._match(pin) for pin in self._pins.all()}
            if found != self._matches:
                self._known = {(match.number, pin.pattern): match for pin, match in found.items()}
                contents = [content for match in found.values() for content in match.contents]
                self._digests = frozenset(map(digest_of, contents))
                self._matches = found

    def _match(self, pin: PinRecord) -> Match:
        catalog = self._store.catalog(pin.endpoint)
        snapshot = find_snapshot(catalog, pin)
        if snapshot is None:
            return Match()
        known = self._known.get((snapshot.number, pin.pattern))
        return known or Match(frozenset(_contents(catalog, snapshot, pin.pattern)), snapshot.number)

    @property
    def matches(self) -> dict[PinRecord, Match]:
        """What each pin means, as of the last `refresh`."""
        return self._matches

    def keeps(self, item: Item) -> bool:
        """Whether a pin wants the item to stay."""
        if not self._digests:
            return False
        if item.is_blob:
            return item.name[1:] in self._digests or item.oid in self._digests
        return digest_of(item.content) in self._digests

    def names(self) -> Iterator[bytes]:
        """The names in the ledger that the pinned contents have, if they are here."""
        contents = {content for match in self._matches.values() for content in match.contents}
        for content in contents:
            yield from names_of(self._store, content)


def find_snapshot(catalog: Catalog, pin: PinRecord) -> SnapshotRecord | None:
    """The tree that a pin is about, if it is known."""
    repo = find_repo_id(pin.repo)
    repo = catalog.find_canonical(repo) if repo else None
    if repo is None:
        return None
    ref = catalog.find_ref(repo, pin.revision)
    commit = ref.commit if ref else pin.revision
    return catalog.peek_snapshot(repo, commit) if is_commit(commit) else None


def _contents(catalog: Catalog, snapshot: SnapshotRecord, pattern: str) -> Iterator[Content]:
    for path, content in contents_of(catalog, snapshot):
        if content.size and (not pattern or matches(path, [pattern])):
            yield content
