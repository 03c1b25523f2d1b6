"""A tree shows what a dict of its paths would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfs.errors import NotADirectory, StaleHandle
from hubfs.fs.attributes import FOREVER, NEVER_INODE, Attributes, NodeType
from hubfs.fs.inodes import ROOT_OF_TREE, place_of
from hubfs.fs.trees import Tree, Trees
from hubfs.store.catalog import Node
from tests.fs.shelf import COMMIT, MTIME, REPO, SNAPSHOT, VIEW, Shelf

names = st.sampled_from(["a", "b", "c", "dd", "é"])
paths = st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=40)


def tree_of(paths: list[str], most: int = 3) -> tuple[Trees, Tree]:
    """A tree whose directories are cut into listings of three entries."""
    trees = Trees(Shelf(paths, most))
    return trees, trees.numbered(VIEW)


def walk(
    trees: Trees, tree: Tree, ordinal: int = ROOT_OF_TREE, at: str = ""
) -> Iterator[tuple[str, Attributes]]:
    for line in trees.entries(tree, trees.listing(tree, ordinal), 0):
        path = at + line.name.decode()
        yield path, line.attributes
        if line.attributes.type is NodeType.DIRECTORY:
            inner = place_of(line.attributes.inode).ordinal
            yield from walk(trees, tree, inner, f"{path}/")


def shown(paths: list[str]) -> dict[str, NodeType]:
    """What must be there: of two that exclude each other, the first."""
    found: dict[str, NodeType] = {}
    for path in paths:
        parts = path.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if path in found or any(found.get(each) is NodeType.FILE for each in above):
            continue
        found |= dict.fromkeys(above, NodeType.DIRECTORY) | {path: NodeType.FILE}
    return found


@given(paths)
def test_a_walk_finds_every_path_once(paths: list[str]) -> None:
    trees, tree = tree_of(paths)
    found = list(walk(trees, tree))
    assert {path: attributes.type for path, attributes in found} == shown(paths)
    assert len({attributes.inode for _, attributes in found}) == len(found)


@given(paths)
def test_lookup_getattr_and_readdir_agree(paths: list[str]) -> None:
    trees, tree = tree_of(paths)
    for path, attributes in walk(trees, tree):
        ordinal = ROOT_OF_TREE
        for part in path.split("/"):
            found = trees.lookup(tree, ordinal, part.encode())
            ordinal = place_of(found.inode).ordinal
        assert found == attributes == trees.attributes(tree, place_of(attributes.inode))


@given(paths, st.integers(0, 40))
def test_a_directory_is_read_on_from_any_position(paths: list[str], start: int) -> None:
    trees, tree = tree_of(paths)
    listing = trees.listing(tree, ROOT_OF_TREE)
    lines = list(trees.entries(tree, listing, 0))
    assert list(trees.entries(tree, listing, start)) == lines[start:]
    assert [line.following for line in lines] == list(range(1, len(lines) + 1))


def test_files_belong_to_the_snapshot_and_directories_to_the_view() -> None:
    trees, tree = tree_of(["sub/file"])
    found = {path: place_of(attributes.inode).number for path, attributes in walk(trees, tree)}
    assert found == {"sub": VIEW, "sub/file": SNAPSHOT}
    assert trees.root_attributes(tree, FOREVER).inode == VIEW << 32


def test_sizes_and_times_are_those_of_the_listing() -> None:
    trees, tree = tree_of(["zero", "one", "two"])
    sizes = {path: (found.size, found.mtime) for path, found in walk(trees, tree)}
    assert sizes == {"zero": (0, MTIME), "one": (1, MTIME), "two": (2, MTIME)}


def test_a_miss_is_a_miss_for_ever() -> None:
    trees, tree = tree_of(["a"])
    missed = trees.lookup(tree, ROOT_OF_TREE, b"b")
    assert (missed.inode, missed.entry_ttl) == (NEVER_INODE, FOREVER)


def test_a_file_is_no_directory() -> None:
    trees, tree = tree_of(["a"])
    with pytest.raises(NotADirectory, match="a is a file"):
        trees.listing(tree, 1)
    with pytest.raises(NotADirectory):
        trees.lookup(tree, 1, b"b")


def test_what_the_index_does_not_know_is_stale() -> None:
    trees, _ = tree_of(["a"])
    with pytest.raises(StaleHandle):
        trees.numbered(99)
    with pytest.raises(StaleHandle):
        trees.tree(99, Node("view", REPO.kind.value, REPO.name, "", COMMIT[::-1].replace("c", "d")))
