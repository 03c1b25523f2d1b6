"""From pins to contents: what of the disk must stay, as the repos are now.

A pin means what its names mean: when a branch moves on, the pin keeps what the
new commit has, and no longer what it dropped. The contents of a commit never
change, so they are looked up once for each commit and pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hubfs.budget.figures import names_of
from hubfs.model.content import Content
from hubfs.model.identifiers import RepoId, find_repo_id, is_commit, is_repo_name
from hubfs.model.patterns import matches
from hubfs.store.catalog import Catalog
from hubfs.store.ledger import Item
from hubfs.store.pins import Pins
from hubfs.store.records import PinRecord, SnapshotRecord
from hubfs.store.store import Store


@dataclass(frozen=True, slots=True)
class Match:
    """What a pin means now: nothing as long as its repo is not known at its revision."""

    is_known: bool
    contents: frozenset[Content] = frozenset()

    @property
    def size(self) -> int:
        """The bytes of all of it, here or not."""
        return sum(content.size for content in self.contents)


class Pinned:
    """The contents that pins keep. `refresh` may take long; the questions are quick."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pins = Pins(store.index)
        self._known: dict[tuple[int, str], frozenset[Content]] = {}
        self._matches: dict[PinRecord, Match] = {}
        self._digests: frozenset[bytes] = frozenset()

    def refresh(self) -> None:
        """Look where the pins' revisions are now. Call it from a worker thread."""
        found = {pin: self._match(pin) for pin in self._pins.all()}
        if found != self._matches:
            contents = [content for match in found.values() for content in match.contents]
            self._digests = frozenset(map(_digest, contents))
            self._matches = found

    def _match(self, pin: PinRecord) -> Match:
        catalog = self._store.catalog(pin.endpoint)
        snapshot = find_snapshot(catalog, pin)
        if snapshot is None:
            return Match(is_known=False)
        key = (snapshot.number, pin.pattern)
        if key not in self._known:
            self._known[key] = frozenset(_contents(catalog, snapshot, pin.pattern))
        return Match(is_known=True, contents=self._known[key])

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
        return self.keeps_content(item.content)

    def keeps_content(self, content: Content) -> bool:
        """Whether a pin wants the content to stay, once it is here."""
        return _digest(content) in self._digests

    def names(self) -> Iterator[bytes]:
        """The names in the ledger that the pinned contents have, if they are here."""
        contents = {content for match in self._matches.values() for content in match.contents}
        for content in contents:
            yield from names_of(self._store, content)


def find_snapshot(catalog: Catalog, pin: PinRecord) -> SnapshotRecord | None:
    """The tree that a pin is about, if it is known."""
    repo = find_repo_id(pin.repo)
    repo = canonical(catalog, repo) if repo else None
    if repo is None:
        return None
    ref = catalog.find_ref(repo, pin.revision)
    commit = ref.commit if ref else pin.revision
    return catalog.find_snapshot(repo, commit) if is_commit(commit) else None


def canonical(catalog: Catalog, repo: RepoId) -> RepoId | None:
    """The known repo that `repo` is a name of."""
    if catalog.find_repo(repo) is not None:
        return repo
    name = catalog.find_alias(repo.kind, repo.name)
    return RepoId(repo.kind, name) if name and is_repo_name(name) else None


def _contents(catalog: Catalog, snapshot: SnapshotRecord, pattern: str) -> Iterator[Content]:
    for listing in catalog.listings(snapshot):
        for entry in listing:
            if entry.is_directory or not entry.size:
                continue
            if not pattern or matches(listing.path_of(entry), [pattern]):
                yield entry.content


def _digest(content: Content) -> bytes:
    return bytes.fromhex(content.sha256 or content.git_oid or "")
