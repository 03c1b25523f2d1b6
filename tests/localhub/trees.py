"""The directory tree of one commit: ids, listings, pages.

Pure. A tree never changes, so every page of its listing is rendered once.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.localhub.content import Content
from tests.localhub.gitobjects import TreeItem, tree_oid
from tests.localhub.wire import to_json

Json = dict[str, Any]


class PageKey(NamedTuple):
    """Which page of which listing; offsets count entries."""

    path: str
    recursive: bool
    expand: bool
    offset: int
    limit: int


class Tree:
    """Files by path, and every directory above them."""

    def __init__(self, files: Mapping[str, Content]) -> None:
        self.files = files
        self._children: dict[str, set[str]] = defaultdict(set)
        self._pages: dict[PageKey, tuple[bytes, bool]] = {}
        self._listings: dict[tuple[str, bool], list[str]] = {}
        for path in files:
            self._adopt(path)
        self.directories = self._directory_oids()
        self.oid = self.directories[""]

    def has(self, path: str) -> bool:
        return path in self.files or path in self.directories

    def listing(self, path: str, *, recursive: bool) -> list[str]:
        """Return the paths below a directory: directories first, each part sorted."""
        key = path, recursive
        if key not in self._listings:
            found = self._below(path) if recursive else self._children[path]
            self._listings[key] = sorted(found, key=lambda name: (name in self.files, name))
        return self._listings[key]

    def page(self, key: PageKey, render: Callable[[str], Json]) -> tuple[bytes, bool]:
        """Return one page as JSON, and whether another follows.

        `render` is asked once per page; it must give the same for ever.
        """
        if key not in self._pages:
            listing = self.listing(key.path, recursive=key.recursive)
            stop = key.offset + key.limit
            body = to_json([render(path) for path in listing[key.offset : stop]])
            self._pages[key] = body, stop < len(listing)
        return self._pages[key]

    def _adopt(self, path: str) -> None:
        while path:
            parent = path.rpartition("/")[0]
            if path in self._children[parent]:
                return
            self._children[parent].add(path)
            path = parent

    def _below(self, path: str) -> list[str]:
        prefix = path and path + "/"
        every = [*self.files, *self.directories]
        return [name for name in every if name and name.startswith(prefix)]

    def _directory_oids(self) -> dict[str, str]:
        oids: dict[str, str] = {}
        inner = {path for path in self._children if path}
        for path in sorted(inner, key=lambda name: name.count("/"), reverse=True):
            oids[path] = tree_oid(self._items(path, oids))
        oids[""] = tree_oid(self._items("", oids))
        return oids

    def _items(self, path: str, oids: Mapping[str, str]) -> list[TreeItem]:
        items = []
        for child in self._children[path]:
            file = self.files.get(child)
            oid = file.oid if file else oids[child]
            items.append(TreeItem(child.rpartition("/")[2], oid, file is None))
        return items
