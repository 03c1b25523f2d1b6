"""Absences are what a tree lacks: the opposite of a set of paths."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hubfs.fs.absences import Absences
from hubfs.fs.attributes import NEVER_INODE, Attributes, NodeType
from hubfs.fs.inodes import Region, region_of
from hubfs.fs.trees import Trees
from tests.fs.shelf import MTIME, SNAPSHOT, Shelf

NOTHING = Attributes(7, NodeType.FILE, 0, MTIME)

names = st.sampled_from(["a", "b", "a.b", "c.d"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def kind_of(absences: Absences, path: str) -> str:
    """What a walk along `path` ends at: "file", "directory", or "" for nothing."""
    at = absences.of_snapshot(SNAPSHOT)
    for name in path.split("/"):
        if at.type is not NodeType.DIRECTORY:
            return ""
        is_made_up = region_of(at.inode) is Region.MADE_UP
        look = absences.lookup_made_up if is_made_up else absences.lookup
        at = look(at.inode, name)
        if at.inode == NEVER_INODE:
            return ""
    assert at == NOTHING or at.type is NodeType.DIRECTORY
    return at.type.value


def expected(tree: Shelf, path: str) -> str:
    """What the rule says, of all the paths at once."""
    files = {each.path_of(entry) for each in tree.every for entry in each if not entry.is_directory}
    directories = {each.path for each in tree.every}
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        at = "/".join(parts[:end])
        is_made_up_file = at not in directories and "." in parts[end - 1]
        if at in files or (is_made_up_file and end < len(parts)):
            return ""
        if is_made_up_file:
            return "file"
    return "directory"


@given(st.lists(paths, max_size=12), paths)
@example(["a/b.c"], "a/b.c")
@example(["a/b.c"], "a/b/c.d")
def test_a_path_is_there_or_known_to_be_absent(tree: list[str], path: str) -> None:
    shelf = Shelf(tree)
    assert kind_of(Absences(Trees(shelf), NOTHING), path) == expected(shelf, path)


@given(st.lists(paths, max_size=12), st.sets(paths, max_size=12))
def test_no_two_directories_are_one(tree: list[str], asked: set[str]) -> None:
    """The kernel lets a directory stand in one place only."""
    absences = Absences(Trees(Shelf(tree)), NOTHING)
    where: dict[int, str] = {}
    for path in asked:
        at, walked = absences.of_snapshot(SNAPSHOT), ""
        for name in path.split("/"):
            is_made_up = region_of(at.inode) is Region.MADE_UP
            at = (absences.lookup_made_up if is_made_up else absences.lookup)(at.inode, name)
            walked += f"/{name}"
            if at.type is not NodeType.DIRECTORY:
                break
            assert where.setdefault(at.inode, walked) == walked
