from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import Listing, TreeBuilder, TreeFile
from hubfs.store.catalog import Catalog, Node
from hubfs.store.index import Index
from hubfs.store.records import RefusalRecord, RepoRecord

OID = "0123456789abcdef0123456789abcdef01234567"
COMMIT = "c" * 40
ACME = RepoId(RepoKind.MODEL, "acme/tiny")

# Names that begin with one another, and with the characters on both sides of "/" and "@".
PARTS = ["a", "a-2", "a.2", "a0", "a_b", "aa", "A", "b"]
parts = st.sampled_from(PARTS)
names = parts | st.tuples(parts, parts).map("/".join)
kinds = st.sampled_from(RepoKind)
repos = st.builds(RepoId, kinds, names)
revisions = st.sampled_from(["", "main", "main-2", "main/x", "@", "v1", "v1.0", "é"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """One index for many examples: each takes endpoints of its own."""
    index = Index(tmp_path_factory.mktemp("catalog") / "index")
    yield index
    index.close()


_endpoints = (f"https://hub-{number}.example" for number in itertools.count())


def new_catalog(index: Index) -> Catalog:
    return Catalog(index, next(_endpoints))


@pytest.fixture
def catalog(index: Index) -> Catalog:
    return new_catalog(index)


def tree(*paths: str) -> TreeBuilder:
    builder = TreeBuilder()
    for path in paths:
        builder.add(TreeFile(path, len(path), OID))
    return builder


# --- names -----------------------------------------------------------------------------


def assert_lists(catalog: Catalog, known: Iterable[RepoId]) -> None:
    """All names, asked for in every way, are those of `known`."""
    for kind in RepoKind:
        of_kind = {repo for repo in known if repo.kind is kind}
        assert catalog.orgs(kind) == sorted({repo.org for repo in of_kind} - {""})
        assert catalog.bare(kind) == sorted(repo.name for repo in of_kind if not repo.org)
        for org in PARTS:
            expected = sorted(repo.base for repo in of_kind if repo.org == org)
            assert catalog.repos(kind, org) == expected
            assert catalog.has_org(kind, org) == bool(expected)


@given(st.frozensets(repos, max_size=8), st.frozensets(repos, max_size=4))
@settings(max_examples=50)
def test_every_endpoint_lists_its_own_repos_and_no_others(
    shared: Index, ours: frozenset[RepoId], theirs: frozenset[RepoId]
) -> None:
    here, there = new_catalog(shared), new_catalog(shared)
    for repo in ours:
        here.put_repo(repo, RepoRecord(repo.name, synced_at=1.0))
    for repo in theirs:
        there.put_repo(repo, RepoRecord(repo.name, synced_at=2.0))
    assert_lists(here, ours)
    assert_lists(there, theirs)
    for repo in ours | theirs:
        found = here.find_repo(repo)
        assert found == (RepoRecord(repo.name, synced_at=1.0) if repo in ours else None)


@given(st.dictionaries(st.tuples(kinds, names), names, max_size=8))
@settings(max_examples=50)
def test_aliases_are_found_and_listed_where_they_stand(
    shared: Index, aliases: dict[tuple[RepoKind, str], str]
) -> None:
    catalog = new_catalog(shared)
    numbers = {catalog.put_alias(*key, canonical) for key, canonical in aliases.items()}
    assert len(numbers) == len(aliases)
    for (kind, name), canonical in aliases.items():
        assert catalog.find_alias(kind, name) == canonical
    for kind, org in itertools.product(RepoKind, ["", *PARTS]):
        ours = (RepoId(*key) for key in aliases)
        expected = sorted(each.base for each in ours if (each.kind, each.org) == (kind, org))
        assert catalog.aliases(kind, org) == expected
    assert catalog.find_alias(RepoKind.MODEL, "nobody/nothing") is None


@given(st.dictionaries(st.tuples(repos, revisions), st.integers(0, 9), max_size=10))
@settings(max_examples=50)
def test_refs_belong_to_exactly_one_repo(
    shared: Index, refs: dict[tuple[RepoId, str], int]
) -> None:
    catalog = new_catalog(shared)
    for (repo, revision), number in refs.items():
        catalog.put_ref(repo, revision, f"{number:040}", checked_at=float(number))
    for repo in {repo for repo, _ in refs}:
        ours = sorted(revision for each, revision in refs if each == repo)
        assert sorted(catalog.refs(repo)) == ours
    for (repo, revision), number in refs.items():
        found = catalog.find_ref(repo, revision)
        assert found is not None
        assert (found.commit, found.checked_at) == (f"{number:040}", float(number))
        assert catalog.find_node(found.view) == Node(
            "view", repo.kind.value, repo.name, revision, found.commit
        )


def test_a_ref_that_moved_has_a_new_view_and_one_that_came_back_its_old_one(
    catalog: Catalog,
) -> None:
    first = catalog.put_ref(ACME, "main", "1" * 40, 0.0)
    second = catalog.put_ref(ACME, "main", "2" * 40, 1.0)
    third = catalog.put_ref(ACME, "main", "1" * 40, 2.0)
    assert first.view == third.view != second.view
    assert catalog.find_ref(ACME, "main") == third


def test_the_longest_names_fit(catalog: Catalog) -> None:
    repo = RepoId(RepoKind.DATASET, "o" * 96 + "/" + "n" * 96)
    catalog.put_repo(repo, RepoRecord(repo.name))
    catalog.put_alias(repo.kind, repo.name, repo.name)
    catalog.put_ref(repo, "r" * 200, COMMIT, 0.0)
    catalog.put_snapshot(repo, COMMIT, tree("a"), 0.0)
    assert catalog.refs(repo) == ["r" * 200]
    assert catalog.find_snapshot(repo, COMMIT) is not None


# --- numbers ---------------------------------------------------------------------------


def test_a_number_means_the_same_after_reopening(tmp_path: Path) -> None:
    nodes = [Node("org", "models", org) for org in PARTS]
    index = Index(tmp_path)
    numbers = [Catalog(index, "https://hub").number_of(node) for node in nodes]
    index.close()
    index = Index(tmp_path)
    catalog = Catalog(index, "https://hub")
    later = catalog.number_of(Node("org", "models", "later"))
    assert [catalog.number_of(node) for node in reversed(nodes)] == numbers[::-1]
    assert [catalog.find_node(number) for number in numbers] == nodes
    assert later not in numbers
    index.close()


def test_a_number_leaves_room_for_the_fixed_nodes(catalog: Catalog) -> None:
    assert catalog.number_of(Node("org", "models", "acme")) >= 16


def test_a_node_has_no_number_until_it_is_given_one(catalog: Catalog) -> None:
    node = Node("org", "models", "acme")
    assert catalog.find_number(node) is None
    assert catalog.find_number(node) is None
    assert catalog.number_of(node) == catalog.find_number(node)


def test_two_endpoints_never_share_a_number(index: Index) -> None:
    here, there = new_catalog(index), new_catalog(index)
    node = Node("org", "models", "acme")
    assert here.number_of(node) != there.number_of(node)
    assert there.find_node(here.number_of(node)) is None
    assert here.find_node(here.number_of(node)) == node


def test_registering_a_repo_numbers_its_organisation(catalog: Catalog) -> None:
    catalog.put_repo(ACME, RepoRecord(ACME.name))
    assert catalog.find_number(Node("org", "models", "acme")) is not None


def test_hearsay_is_withdrawn_and_what_is_known_is_not(catalog: Catalog) -> None:
    assert not catalog.withdraw_repo(ACME)
    catalog.put_repo(ACME, RepoRecord(ACME.name, is_hearsay=True))
    catalog.note_refusal(ACME, RefusalRecord("no answer"))
    assert catalog.withdraw_repo(ACME)
    assert (catalog.find_repo(ACME), catalog.find_refusal(ACME)) == (None, None)
    assert_lists(catalog, [])
    catalog.put_repo(ACME, RepoRecord(ACME.name))
    assert not catalog.withdraw_repo(ACME)
    assert_lists(catalog, [ACME])
    catalog.put_repo(ACME, RepoRecord(ACME.name, is_hearsay=True))
    catalog.put_snapshot(ACME, COMMIT, tree("config.json"), 1.0)
    catalog.put_ref(ACME, COMMIT, COMMIT, 1.0)
    assert not catalog.withdraw_repo(ACME)


def test_a_node_knows_its_repo() -> None:
    assert Node("view", "datasets", "acme/tiny").repo == RepoId(RepoKind.DATASET, "acme/tiny")


# --- snapshots -------------------------------------------------------------------------

paths = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map("/".join)


@given(st.lists(st.lists(paths, max_size=12), min_size=1, max_size=3))
@settings(max_examples=50)
def test_every_ordinal_finds_the_listing_it_stands_in(
    shared: Index, trees: list[list[str]]
) -> None:
    catalog = new_catalog(shared)
    for number, files in enumerate(trees):
        expected = list(tree(*files).listings())
        record = catalog.put_snapshot(ACME, f"{number:040}", tree(*files), 7.0)
        assert record.directories == len(expected)
        for listing in expected:
            for ordinal in {listing.first, *(entry.ordinal for entry in listing)}:
                assert pack(catalog.find_listing(record.number, ordinal)) == listing.pack()
        past = expected[-1].first + max(1, len(expected[-1]))
        for ordinal in (0, past, past + 1, (1 << 32) - 1):
            assert catalog.find_listing(record.number, ordinal) is None


def pack(listing: Listing | None) -> bytes:
    assert listing is not None
    return listing.pack()


def test_a_number_without_a_tree_has_no_listings(catalog: Catalog) -> None:
    record = catalog.put_snapshot(ACME, COMMIT, tree("a"), 0.0)
    assert catalog.find_listing(record.number - 1, 1) is None
    assert catalog.find_listing(record.number + 1, 1) is None


def test_a_snapshot_says_what_its_tree_holds(catalog: Catalog) -> None:
    catalog.put_snapshot(ACME, COMMIT, tree("a", "b/cd", "b/e", "/bad"), 12.5)
    record = catalog.find_snapshot(ACME, COMMIT)
    assert record is not None
    assert (record.files, record.size, record.mtime, record.directories) == (3, 8, 12.5, 2)
    assert catalog.find_snapshot(ACME, "d" * 40) is None
    assert catalog.find_snapshot(RepoId(RepoKind.MODEL, "acme/tiny-2"), COMMIT) is None


def test_a_stored_tree_is_kept_whatever_a_later_listing_says(catalog: Catalog) -> None:
    first = catalog.put_snapshot(ACME, COMMIT, tree("a", "b/c"), 1.0)
    second = catalog.put_snapshot(ACME, COMMIT, tree("x", "y/z", "y/zz"), 2.0)
    assert first == second == catalog.find_snapshot(ACME, COMMIT)
    root = catalog.find_listing(first.number, 1)
    assert root is not None
    assert root.names == [b"a", b"b"]


def test_a_tree_larger_than_the_map_is_stored_whole(tmp_path: Path) -> None:
    index = Index(tmp_path, map_size=1 << 16)
    catalog = Catalog(index, "https://hub")
    files = [f"{number // 100}/{number}" for number in range(5000)]
    record = catalog.put_snapshot(ACME, COMMIT, tree(*files), 0.0)
    expected = list(tree(*files).listings())
    found = [catalog.find_listing(record.number, listing.first) for listing in expected]
    assert [pack(listing) for listing in found] == [listing.pack() for listing in expected]
    index.close()
