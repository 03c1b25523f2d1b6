"""Which repos have a content: looked for where it matters, since the index keeps no such list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hubfs.model.content import Content
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.store.catalog import Catalog
from hubfs.store.ledger import Item
from hubfs.store.records import SnapshotRecord

_PAGE: Final = 500


def known_repos(catalog: Catalog) -> Iterator[RepoId]:
    """All known repos; read page by page."""
    for kind in RepoKind:
        after = ""
        while names := catalog.names(kind, _PAGE, after):
            yield from (RepoId(kind, name) for name in names)
            after = names[-1]


def referred(catalog: Catalog, repo: RepoId) -> set[str]:
    """The commits that a known revision of the repo means."""
    refs = (catalog.find_ref(repo, revision) for revision in catalog.refs(repo))
    return {ref.commit for ref in refs if ref is not None}


def contents_of(catalog: Catalog, snapshot: SnapshotRecord) -> Iterator[tuple[str, Content]]:
    """The files of a tree: path and content."""
    for listing in catalog.listings(snapshot):
        for entry in listing:
            if not entry.is_directory:
                yield listing.path_of(entry), entry.content


def names_of_items(catalog: Catalog, items: Iterable[Item]) -> dict[bytes, str]:
    """What people call items: a repo and a path that has it, for those that a known one has.

    Looks through the known repos until all are found: call it from a thread.
    """
    wanted = {digest: item.name for item in items for digest in digests_of(item)}
    found: dict[bytes, str] = {}
    for repo in known_repos(catalog):
        for commit in referred(catalog, repo):
            snapshot = catalog.peek_snapshot(repo, commit)
            for path, content in contents_of(catalog, snapshot) if snapshot else ():
                name = wanted.get(digest_of(content))
                if name is not None:
                    found.setdefault(name, f"{repo}/{path}")
            if len(found) == len(set(wanted.values())):
                return found
    return found


def digest_of(content: Content) -> bytes:
    """The hash by which a content is promised."""
    return bytes.fromhex(content.sha256 or content.git_oid or "")


def digests_of(item: Item) -> list[bytes]:
    """The hashes by which an item may be promised."""
    if not item.is_blob:
        return [digest_of(item.content)]
    return [item.name[1:]] + ([item.oid] if item.oid else [])
