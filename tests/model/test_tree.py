"""A tree of listings shows exactly what a dict of paths would, and numbers it without gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubfs.model.content import Content
from hubfs.model.tree import (
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    MOST_ENTRIES,
    Entry,
    Listing,
    TreeBuilder,
    TreeFile,
    TreeStats,
)

OID = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "89abcdef" * 8
XET = "76543210" * 8

# Few and short, so that paths often collide; among them what no directory can show.
PARTS = ["a", "b", "a.b", "é", "x\ny", "", ".", "..", "z" * (MAX_NAME_BYTES + 1), "n\0l", "\ud800"]
paths = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)
sizes = st.integers(0, 1 << 61)


def digests(size: int) -> st.SearchStrategy[str]:
    # Not all zeros: that stands for none.
    return st.binary(min_size=size, max_size=size).filter(any).map(bytes.hex)


files = st.builds(
    TreeFile, paths, sizes, digests(20), st.none() | digests(32), st.none() | digests(32)
)


def is_showable(path: str) -> bool:
    try:
        encoded = path.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return all(
        0 < len(name) <= MAX_NAME_BYTES and b"\0" not in name and name not in {b".", b".."}
        for name in encoded
    )


def parents_of(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def shown(files: Iterable[TreeFile]) -> dict[str, TreeFile]:
    """What must be found: the first to take a path has it, as a file or as a directory."""
    found: dict[str, TreeFile] = {}
    directories: set[str] = set()
    for file in files:
        is_taken = file.path in found or file.path in directories
        if (
            is_taken
            or not is_showable(file.path)
            or not found.keys().isdisjoint(parents_of(file.path))
        ):
            continue
        found[file.path] = file
        directories.update(parents_of(file.path))
    return found


def build(files: Iterable[TreeFile], most: int = MOST_ENTRIES) -> tuple[list[Listing], TreeStats]:
    builder = TreeBuilder()
    for file in files:
        builder.add(file)
    return list(builder.listings(most)), builder.stats


def find(listings: list[Listing], path: str) -> Entry | None:
    """Walk down from the root by name, as the kernel does."""
    by_first = {listing.first: listing for listing in listings}
    listing = by_first[1]
    *parents, base = path.split("/")
    for name in parents:
        directory = listing.find(name.encode())
        if directory is None or not directory.is_directory:
            return None
        listing = by_first[directory.first_child]
    return listing.find(base.encode())


def entries_by_path(listings: Iterable[Listing]) -> dict[str, Entry]:
    return {listing.path_of(entry): entry for listing in listings for entry in listing}


@given(st.lists(files))
def test_what_can_be_shown_is_found_by_walking_and_nothing_else_is(files: list[TreeFile]) -> None:
    expected = shown(files)
    listings, stats = build(files)
    for path, file in expected.items():
        entry = find(listings, path)
        assert entry is not None
        assert not entry.is_directory
        assert (entry.size, entry.oid) == (file.size, file.oid)
        assert (entry.sha256, entry.xet_hash) == (file.sha256, file.xet_hash)
    assert set(expected) == {
        path for path, entry in entries_by_path(listings).items() if not entry.is_directory
    }
    assert stats.files == len(expected)
    assert stats.size == sum(file.size for file in expected.values())
    assert stats.skipped == len(files) - len(expected)


@given(st.lists(files))
def test_directories_are_the_parents_of_files_and_never_empty(files: list[TreeFile]) -> None:
    listings, _ = build(files)
    directories = {path for path, each in entries_by_path(listings).items() if each.is_directory}
    assert directories == {parent for path in shown(files) for parent in parents_of(path)}
    assert all(len(listing) for listing in listings if listing.path)


@given(st.lists(files))
def test_ordinals_count_breadth_first_without_gaps(files: list[TreeFile]) -> None:
    listings, _ = build(files)
    entries = [entry for listing in listings for entry in listing]
    assert [entry.ordinal for entry in entries] == list(range(1, len(entries) + 1))
    children = [entry.first_child for entry in entries if entry.is_directory]
    assert children == [listing.first for listing in listings[1:]]


@given(st.lists(files), st.integers(1, 5))
def test_the_parts_of_a_directory_are_the_directory(files: list[TreeFile], most: int) -> None:
    directories = build(files)[0]
    parts = build(files, most)[0]
    assert all(len(part) <= most for part in parts)
    for whole in directories:
        mine = [part for part in parts if part.whole.start == whole.first]
        assert {(part.path, part.whole) for part in mine} == {(whole.path, whole.whole)}
        assert [entry for part in mine for entry in part] == list(whole)


@given(st.lists(files))
def test_names_are_sorted_by_their_bytes(files: list[TreeFile]) -> None:
    for listing in build(files)[0]:
        assert list(listing.names) == sorted(set(listing.names))


@given(st.lists(files))
def test_the_order_of_files_that_do_not_collide_does_not_matter(files: list[TreeFile]) -> None:
    apart = list(shown(files).values())
    one, other = build(apart)[0], build(reversed(apart))[0]
    assert [each.pack() for each in one] == [each.pack() for each in other]


@given(st.lists(files), st.integers(1, 5))
@example([], 1)
def test_a_listing_reads_back_as_it_was_packed(files: list[TreeFile], most: int) -> None:
    for listing in build(files, most)[0]:
        twin = Listing.unpack(listing.pack())
        assert (twin.path, twin.first, twin.whole) == (listing.path, listing.first, listing.whole)
        assert list(twin) == list(listing)
        assert twin.files == sum(not entry.is_directory for entry in listing)
        assert twin.pack() == listing.pack()


@given(st.lists(files))
def test_stat_rows_say_what_the_entries_say(files: list[TreeFile]) -> None:
    for listing in build(files)[0]:
        expected = [(each.name, each.ordinal, (each.is_directory, each.size)) for each in listing]
        for start in range(len(listing) + 1):
            assert list(listing.stat_rows(start)) == expected[start:]


@given(st.lists(files), st.sampled_from(PARTS))
def test_an_absent_name_is_not_found(files: list[TreeFile], name: str) -> None:
    encoded = name.encode(errors="surrogateescape" if name != "\ud800" else "replace")
    for listing in build(files)[0]:
        assert (listing.find(encoded) is None) == (encoded not in list(listing.names))


def test_a_directory_does_not_replace_a_file_of_its_name() -> None:
    listings, stats = build([TreeFile("a", 1, OID), TreeFile("a/b", 2, OID), TreeFile("c", 3, OID)])
    assert set(entries_by_path(listings)) == {"a", "c"}
    assert stats == TreeStats(files=2, size=4, skipped=1)


def test_a_file_does_not_replace_a_directory_of_its_name() -> None:
    listings, stats = build([TreeFile("a/b", 2, OID), TreeFile("a", 1, OID), TreeFile("c", 3, OID)])
    assert set(entries_by_path(listings)) == {"a", "a/b", "c"}
    assert stats == TreeStats(files=2, size=5, skipped=1)


def test_a_deep_conflict_leaves_no_half_made_directories() -> None:
    listings, _ = build([TreeFile("a/b", 1, OID), TreeFile("a/b/c/d/e", 2, OID)])
    assert set(entries_by_path(listings)) == {"a", "a/b"}


@pytest.mark.parametrize("hostile", ["/a", "/a/b", "a//b", "a/", "a/../b", "./a", "a/./b", ""])
def test_a_path_that_is_not_plain_hides_nothing(hostile: str) -> None:
    listings, stats = build([TreeFile(hostile, 1, OID), TreeFile("a", 2, OID)])
    assert set(entries_by_path(listings)) == {"a"}
    assert stats == TreeStats(files=1, size=2, skipped=1)


@pytest.mark.parametrize(
    "bad",
    [
        TreeFile("d/x", -1, OID),
        TreeFile("d/x", 1 << 62, OID),
        TreeFile("d/x", 1, "not hex"),
        TreeFile("d/x", 1, OID[:-2]),
        TreeFile("d/x", 1, OID, sha256="abcd"),
    ],
)
def test_a_file_without_a_size_or_a_hash_is_skipped_with_its_directory(bad: TreeFile) -> None:
    listings, stats = build([bad, TreeFile("d", 2, OID)])
    assert set(entries_by_path(listings)) == {"d"}
    assert stats.skipped == 1


@pytest.mark.parametrize("xet_hash", ["", "not hex", "abcd", XET + "00"])
def test_a_file_does_not_need_a_readable_xet_hash(xet_hash: str) -> None:
    listings, _ = build([TreeFile("a", 1, OID, SHA256, xet_hash)])
    assert entries_by_path(listings)["a"].xet_hash is None


def test_a_path_as_deep_as_a_program_can_name_is_shown() -> None:
    deep = "/".join(itertools.repeat("d", (MAX_PATH_BYTES + 1) // 2))
    listings, stats = build([TreeFile(deep, 1, OID), TreeFile("d/" + deep, 2, OID)])
    entry = find(listings, deep)
    assert entry is not None
    assert stats.skipped == 1


def test_an_empty_tree_has_an_empty_root() -> None:
    (root,), stats = build([])
    assert (root.path, root.first, len(root), list(root)) == ("", 1, 0, [])
    assert stats == TreeStats()


def test_the_content_of_an_lfs_file_is_told_by_its_sha256_not_by_its_pointer() -> None:
    listings, _ = build([TreeFile("large", 7, OID, SHA256), TreeFile("small", 3, OID)])
    found = entries_by_path(listings)
    assert found["large"].content == Content(7, sha256=SHA256)
    assert found["small"].content == Content(3, git_oid=OID)


def test_a_listing_weighs_about_what_it_takes() -> None:
    (root,), _ = build((TreeFile(f"{number:04}", 1, OID) for number in range(1000)), most=1000)
    assert 100_000 < root.weight < 300_000
