from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tests.localhub.content import Content, content_of
from tests.localhub.trees import PageKey, Tree

_names = st.text("abc.-", min_size=1, max_size=3)
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)


def tree_of(paths: Mapping[str, bytes] | set[str]) -> Tree:
    files: dict[str, Content] = {
        path: content_of(path.encode(), path, "model") for path in sorted(paths)
    }
    return Tree(files)


def without_conflicts(paths: set[str]) -> set[str]:
    """Leave out files that would be directories of others."""
    return {path for path in paths if not any(other.startswith(path + "/") for other in paths)}


def parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts))}


@given(paths=st.sets(_paths).map(without_conflicts))
def test_a_recursive_listing_has_every_file_and_directory_once(paths: set[str]) -> None:
    directories = set().union(*map(parents, paths)) if paths else set()

    listing = tree_of(paths).listing("", recursive=True)

    assert len(listing) == len(set(listing))
    assert set(listing) == paths | directories


@given(paths=st.sets(_paths, min_size=1).map(without_conflicts))
def test_a_listing_of_one_level_has_the_direct_children(paths: set[str]) -> None:
    tree = tree_of(paths)
    for directory in tree.directories:
        expected = {
            path
            for path in paths | set(tree.directories) - {""}
            if path.rpartition("/")[0] == directory
        }

        assert set(tree.listing(directory, recursive=False)) == expected


@given(paths=st.sets(_paths).map(without_conflicts), limit=st.integers(1, 5))
def test_pages_put_together_are_the_listing(paths: set[str], limit: int) -> None:
    tree, has_more = tree_of(paths), True
    found: list[str] = []
    while has_more:
        key = PageKey("", recursive=True, expand=False, offset=len(found), limit=limit)
        body, has_more = tree.page(key, lambda path: {"path": path})
        found += [line for line in body.decode().strip("[]").split(",") if line]

    expected = tree.listing("", recursive=True)
    assert found == [f'{{"path":"{path}"}}' for path in expected]


def test_a_page_is_rendered_once() -> None:
    tree, rendered = tree_of({"a", "b"}), []
    key = PageKey("", recursive=True, expand=False, offset=0, limit=10)
    for _ in range(3):
        tree.page(key, lambda path: rendered.append(path) or {})  # type: ignore[func-returns-value]

    assert rendered == ["a", "b"]
