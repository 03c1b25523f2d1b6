"""Files that the Hub client writes beside a repo's own: where a ref is at, what a commit lists.

Both are made of what the index knows. Their bytes cannot change: a ref that
moves gets another inode, as the view of that branch does.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import trio

from hubfs.fs.attributes import FOREVER, Attributes, NodeType, absent
from hubfs.fs.inodes import Region, inode_of, number_in, number_within, place_of
from hubfs.fs.trees import Tree, Trees
from hubfs.model.tree import Entry, Listing
from hubfs.store.catalog import Catalog
from hubfs.sync.syncer import Synced

MOST_FILES_LISTED: Final = 10_000
MOST_LISTINGS_KEPT: Final = 8
ASK_EACH_TIME: Final = 0.0
FORMAT_VERSION: Final = 1


class CachedFiles:
    """`refs/<name>` and `trees/<commit>.json` of all repos."""

    def __init__(self, catalog: Catalog, trees: Trees) -> None:
        self._catalog = catalog
        self._trees = trees
        self._listings: OrderedDict[int, bytes] = OrderedDict()

    def ref(self, found: Synced) -> Attributes:
        """The file that says where a ref is; the kernel asks again whenever it is looked up."""
        inode = inode_of(number_in(Region.CACHED_FILES, found.ref.view))
        size, mtime = len(found.ref.commit), found.snapshot.mtime
        return Attributes(inode, NodeType.FILE, size, mtime, entry_ttl=ASK_EACH_TIME)

    async def listing(self, snapshot: int) -> Attributes:
        """The file that lists a commit, by its snapshot's number; absent for a very large one.

        Clients then ask the Hub, which sends such a listing page by page.
        """
        tree = self._trees.numbered(snapshot)
        if tree.snapshot.files > MOST_FILES_LISTED:
            return absent(FOREVER)
        await trio.to_thread.run_sync(self._list, tree)
        return self.attributes(inode_of(number_in(Region.CACHED_FILES, snapshot)))

    def attributes(self, inode: int) -> Attributes:
        """The attributes of either."""
        tree = self._tree(inode)
        return Attributes(inode, NodeType.FILE, len(self._bytes(tree)), tree.snapshot.mtime)

    async def data(self, inode: int) -> bytes:
        """The bytes of either."""
        return await trio.to_thread.run_sync(self._bytes, self._tree(inode))

    def _tree(self, inode: int) -> Tree:
        return self._trees.numbered(number_within(place_of(inode).number))

    def _bytes(self, tree: Tree) -> bytes:
        is_snapshot = tree.number == tree.snapshot.number
        return self._list(tree) if is_snapshot else tree.commit.encode()

    def _list(self, tree: Tree) -> bytes:
        """Thread-safe: two at once make the same bytes."""
        data = self._listings.get(tree.number)
        if data is None:
            data = self._listings[tree.number] = listed(self._catalog.listings(tree.snapshot))
            if len(self._listings) > MOST_LISTINGS_KEPT:
                self._listings.popitem(last=False)
        return data


def listed(listings: Iterable[Listing]) -> bytes:
    """What huggingface_hub writes of a commit's files, from 1.33 on (`_tree_cache.py`)."""
    files = {
        listing.path_of(entry): _description(entry)
        for listing in listings
        for entry in listing
        if not entry.is_directory
    }
    document = {"format_version": FORMAT_VERSION, "files": files}
    return json.dumps(document, separators=(",", ":")).encode()


def _description(entry: Entry) -> dict[str, object]:
    found: dict[str, object] = {"size": entry.size, "blob_id": entry.oid}
    if entry.sha256:
        found |= {"lfs_sha256": entry.sha256, "lfs_size": entry.size}
    if entry.xet_hash:
        found["xet_hash"] = entry.xet_hash
    return found
