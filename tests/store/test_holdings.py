"""What is here of whole trees, beside a sum over each file asked by itself."""

from __future__ import annotations

from hubfs.model.content import Content
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.ranges import RangeSet
from hubfs.model.tree import TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog
from hubfs.store.records import RepoRecord, SnapshotRecord
from hubfs.store.store import Store
from tests.store.contents import admit, git_content, git_oid_of, lfs_content, sha256_of

REPO = RepoId(RepoKind.MODEL, "acme/model")
FILES = {
    "large": b"l" * 5000,
    "again/large": b"l" * 5000,
    "begun": b"b" * 7000,
    "config.json": b"{}",
    "empty": b"",
    "absent": b"a" * 900,
}
LARGE = {"large", "again/large", "begun"}


def content_of(path: str) -> Content:
    return (lfs_content if path in LARGE else git_content)(FILES[path])


def put_tree(catalog: Catalog) -> SnapshotRecord:
    builder = TreeBuilder()
    for path, data in FILES.items():
        sha256 = sha256_of(data) if path in LARGE else None
        builder.add(TreeFile(path, len(data), git_oid_of(data), sha256))
    return catalog.put_snapshot(REPO, "c" * 40, builder, 1.0)


def test_what_is_here_of_a_tree_is_the_sum_over_its_files(store: Store) -> None:
    catalog = store.catalog("https://hub.example")
    snapshot = put_tree(catalog)

    def expected() -> int:
        total = 0
        for path in FILES:
            content = content_of(path)
            is_here = store.blobs.find(content) is not None
            total += content.size if is_here else store.partials.held_bytes(content)
        return total

    def held() -> int:
        return store.holdings.held(snapshot, catalog.listings(snapshot))

    assert held() == expected() == 0
    partial = store.partials.open(content_of("begun"))
    partial.write(memoryview(FILES["begun"])[:4096], 0)
    partial.claim(RangeSet([(0, 4096)]))
    assert held() == expected() == 4096
    admit(store, content_of("large"), FILES["large"])
    admit(store, content_of("config.json"), FILES["config.json"])
    assert held() == expected() == 4096 + 2 * 5000 + 2
    store.blobs.forget(sha256_of(FILES["large"]))
    assert held() == expected() == 4096 + 2
    partial.close()


def test_nothing_is_counted_again_before_something_is_written(store: Store) -> None:
    catalog = store.catalog("https://hub.example")
    snapshot = put_tree(catalog)
    counted = store.holdings.held(snapshot, catalog.listings(snapshot))
    assert store.holdings.held(snapshot, iter(())) == counted
    admit(store, content_of("absent"), FILES["absent"])
    assert store.holdings.held(snapshot, catalog.listings(snapshot)) == counted + 900


def test_repos_of_every_kind_are_counted_and_no_other_endpoints(store: Store) -> None:
    ours, others = store.catalog("https://hub.example"), store.catalog("https://other.example")
    for number in range(3):
        for kind in RepoKind:
            ours.put_repo(RepoId(kind, f"acme/{number}"), RepoRecord(f"acme/{number}"))
    others.put_repo(REPO, RepoRecord(REPO.name))
    assert (ours.count_repos(), others.count_repos()) == (9, 1)
