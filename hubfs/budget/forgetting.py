"""Forgetting repos and old commits: what of the index and of the disk is nobody else's.

Looks through all that the index lists, so call it from a thread. Nothing here
deletes a content: it only says which ones could go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hubfs.budget.figures import names_of
from hubfs.budget.pinned import find_snapshot
from hubfs.budget.sharing import contents_of, digest_of, digests_of, referred
from hubfs.model.identifiers import RepoId
from hubfs.store.catalog import Catalog
from hubfs.store.ledger import Item
from hubfs.store.pins import Pins
from hubfs.store.store import Store


@dataclass(frozen=True, slots=True)
class Parting:
    """A repo, or one revision of it, that is to be forgotten, and what goes with it."""

    repo: RepoId
    revisions: tuple[str, ...]
    commits: tuple[str, ...]
    items: tuple[Item, ...]
    shared: int  # items that others have too, and that stay


def parting_of(store: Store, catalog: Catalog, repo: RepoId, revision: str = "") -> Parting:
    """What goes with `repo`, or with `revision` of it; a commit that is known otherwise stays."""
    revisions: tuple[str, ...]
    if revision:
        revisions = (revision,) if catalog.find_ref(repo, revision) else ()
        commits = _commits_of_no_other(catalog, repo, revision)
    else:
        revisions = tuple(catalog.refs(repo))
        commits = tuple(catalog.snapshots(repo))
    here = _here(store, catalog, repo, commits)
    alone = _without_shared(catalog, repo, commits, here)
    return Parting(repo, revisions, commits, tuple(alone), len(here) - len(alone))


def _commits_of_no_other(catalog: Catalog, repo: RepoId, revision: str) -> tuple[str, ...]:
    ref = catalog.find_ref(repo, revision)
    others = (catalog.find_ref(repo, each) for each in catalog.refs(repo) if each != revision)
    is_shared = ref is None or any(
        each is not None and each.commit == ref.commit for each in others
    )
    return () if is_shared or ref is None else (ref.commit,)


def _here(
    store: Store, catalog: Catalog, repo: RepoId, commits: tuple[str, ...]
) -> dict[bytes, Item]:
    """What is here of the commits' files, by its name in the ledger."""
    found = {}
    for commit in commits:
        snapshot = catalog.peek_snapshot(repo, commit)
        for _, content in contents_of(catalog, snapshot) if snapshot else ():
            for name in names_of(store, content):
                item = store.ledger.find(name)
                if item is not None:
                    found[name] = item
    return found


def _without_shared(
    catalog: Catalog, repo: RepoId, commits: tuple[str, ...], here: dict[bytes, Item]
) -> list[Item]:
    """The items that no other tree has, whatever endpoint it belongs to."""
    going = (catalog.peek_snapshot(repo, commit) for commit in commits)
    numbers = {snapshot.number for snapshot in going if snapshot is not None}
    alone = dict(here)
    names = {digest: item.name for item in here.values() for digest in digests_of(item)}
    for snapshot in catalog.every_snapshot():
        if snapshot.number in numbers or not alone:
            continue
        for _, content in contents_of(catalog, snapshot):
            alone.pop(names.get(digest_of(content), b""), None)
    return list(alone.values())


def prune(store: Store, catalog: Catalog) -> int:
    """Forget the trees that no revision and no pin means any more; return how many went.

    One that anybody has found since the start stays: its inodes may be in use.
    """
    count = 0
    kept = set(_pinned_numbers(store))
    for repo, commit in list(catalog.every_commit()):
        snapshot = catalog.peek_snapshot(repo, commit)
        if snapshot is not None and snapshot.number not in kept:
            is_meant = commit in referred(catalog, repo)
            count += not is_meant and catalog.drop_snapshot(repo, commit)
    return count


def _pinned_numbers(store: Store) -> Iterator[int]:
    for pin in Pins(store.index).all():
        snapshot = find_snapshot(store.catalog(pin.endpoint), pin)
        if snapshot is not None:
            yield snapshot.number
