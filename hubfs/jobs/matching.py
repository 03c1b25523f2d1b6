"""Which files are known to a repo, told by size before anything is read, by hash after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from hubfs.model.content import Content
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.store.rehash import Digests

_PAGE = 1000


class Known:
    """The contents of all known repos that have one of a number of sizes."""

    def __init__(self, contents: Collection[Content]) -> None:
        self._keys = {each.key for each in contents}
        self._sizes = {each.size for each in contents}

    def may_have(self, size: int) -> bool:
        """Whether some content is of that size."""
        return size in self._sizes

    def has(self, digests: Digests) -> bool:
        """Whether some repo has that very content."""
        return any(each.key in self._keys for each in digests.contents)


def known_among(
    catalog: Catalog, sizes: Collection[int], note: Callable[[], None] = lambda: None
) -> Known:
    """What repos have of these sizes. Looks at every listing: call it from a thread.

    `note` is called now and then, and may raise to end it.
    """
    found: set[Content] = set()
    for repo in _repos(catalog):
        note()
        for commit in catalog.snapshots(repo):
            snapshot = catalog.peek_snapshot(repo, commit)
            for listing in catalog.listings(snapshot) if snapshot else ():
                rows = listing.stat_rows(0)
                stats = enumerate(stat for _, _, stat in rows)
                hits = [at for at, (is_dir, size) in stats if not is_dir and size in sizes]
                found.update(listing.entry(at).content for at in hits)
    return Known(found)


def _repos(catalog: Catalog) -> Iterator[RepoId]:
    for kind in RepoKind:
        after = ""
        while names := catalog.names(kind, _PAGE, after):
            yield from (RepoId(kind, name) for name in names)
            after = names[-1]
