"""What the Hub's client would have written of a commit, as it reads it itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub._tree_cache import TreeCacheEntry, read_tree_cache
from hypothesis import given
from hypothesis import strategies as st

from hubfs.fs.attributes import NodeType
from hubfs.fs.cachedfiles import MOST_LISTINGS_KEPT, CachedFiles, listed
from hubfs.fs.trees import Trees
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog
from hubfs.store.records import RepoRecord
from hubfs.sync.syncer import Synced

REPO = RepoId(RepoKind.MODEL, "acme/tiny")
OID = "0123456789abcdef0123456789abcdef01234567"

names = st.sampled_from(["a", "b", "é", '"\\', "c d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
digests = st.binary(min_size=32, max_size=32).filter(any).map(bytes.hex)  # zeros stand for none
files = st.builds(
    TreeFile,
    path=paths,
    size=st.integers(0, 1 << 40),
    oid=st.binary(min_size=20, max_size=20).map(bytes.hex),
    sha256=st.none() | digests,
    xet_hash=st.none() | digests,
)


def builder_of(each: list[TreeFile]) -> TreeBuilder:
    builder = TreeBuilder()
    for file in each:
        builder.add(file)
    return builder


@given(st.lists(files, max_size=20))
def test_the_client_reads_in_a_listing_what_the_hub_said(
    tmp_path_factory: pytest.TempPathFactory, each: list[TreeFile]
) -> None:
    builder = builder_of(each)
    count, listings = builder.stats.files, list(builder.listings())
    shown = {row.path_of(entry) for row in listings for entry in row if not entry.is_directory}
    expected: dict[str, TreeCacheEntry] = {}
    for file in each:
        large = file.size if file.sha256 else None
        entry = TreeCacheEntry(file.size, file.oid, file.sha256, large, file.xet_hash)
        if file.path in shown:
            expected.setdefault(file.path, entry)
    folder: Path = tmp_path_factory.mktemp("repo")  # the client remembers by path what it has read
    (folder / "trees").mkdir()
    (folder / "trees" / "commit.json").write_bytes(listed(listings))
    assert read_tree_cache(str(folder), "commit") == expected
    assert len(expected) == count


@pytest.fixture
def cached(catalog: Catalog) -> CachedFiles:
    return CachedFiles(catalog, Trees(catalog))


def synced(catalog: Catalog, commit: str, *each: TreeFile) -> Synced:
    """A commit of REPO, as its default revision."""
    record = RepoRecord(REPO.name)
    catalog.put_repo(REPO, record)
    snapshot = catalog.put_snapshot(REPO, commit, builder_of(list(each)), 5.0)
    return Synced(REPO, "", record, catalog.put_ref(REPO, "", commit, 1.0), snapshot)


async def test_a_ref_is_a_file_of_its_commit(cached: CachedFiles, catalog: Catalog) -> None:
    old = cached.ref(synced(catalog, "a" * 40))
    new = cached.ref(synced(catalog, "b" * 40))
    assert (old.type, old.size, old.mtime, old.entry_ttl) == (NodeType.FILE, 40, 5.0, 0.0)
    assert old.inode != new.inode
    assert await cached.data(old.inode) == b"a" * 40
    assert await cached.data(new.inode) == b"b" * 40
    assert cached.attributes(old.inode).size == 40


async def test_a_listing_has_the_size_of_its_bytes(cached: CachedFiles, catalog: Catalog) -> None:
    """Listings that are not kept any more are made again, the same."""
    found = []
    for number in range(MOST_LISTINGS_KEPT + 2):
        file = TreeFile(f"{number}/a", number, OID)
        number_of = synced(catalog, f"{number:040x}", file).snapshot.number
        found.append(await cached.listing(number_of))
    for attributes in found:
        data = await cached.data(attributes.inode)
        assert len(data) == attributes.size == cached.attributes(attributes.inode).size
    assert len({attributes.inode for attributes in found}) == len(found)
