"""Inside a repo: directories of a view, files of a snapshot. No network, ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from hubfs.errors import NotADirectory, StaleHandle
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, NodeType, absent
from hubfs.fs.inodes import FIRST_CHILD_OF_ROOT, ROOT_OF_TREE, Place, inode_of
from hubfs.fs.listings import Finder, Listings
from hubfs.model.identifiers import RepoId
from hubfs.model.tree import Entry, Listing
from hubfs.store.catalog import Catalog, Node
from hubfs.store.records import RepoRecord, SnapshotRecord

MOST_TREES = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """A commit of a repo seen through a view (`number` for directories) or by itself."""

    number: int
    repo: RepoId
    revision: str
    commit: str
    record: RepoRecord
    snapshot: SnapshotRecord


class Trees:
    """All trees of the mount, loaded when touched. Thread-safe."""

    def __init__(self, catalog: Catalog, finder: Finder | None = None) -> None:
        """Load what is touched, or find what `finder` does."""
        self._catalog = catalog
        self._listings = finder or Listings(catalog)
        self._recent: OrderedDict[int, Tree] = OrderedDict()

    def in_memory(self) -> Trees:
        """Trees for who must not wait: looking at what has to be loaded raises `NotInMemory`."""
        return Trees(self._catalog, self._listings.resident())

    def recent(self, number: int) -> Tree | None:
        """The tree behind a view's or a snapshot's number, if it is in memory."""
        return self._recent.get(number)

    def tree(self, number: int, node: Node) -> Tree:
        """The tree behind a view's or a snapshot's number.

        Raises:
            StaleHandle: the index does not know it any more.
        """
        found = self._recent.get(number)
        if found is None:
            found = self._recent[number] = self._load(number, node)
            if len(self._recent) > MOST_TREES:
                self._recent.popitem(last=False)
        return found

    def numbered(self, number: int) -> Tree:
        """The tree that the index gave `number` to.

        Raises:
            StaleHandle: it gave it to none.
        """
        found = self._recent.get(number)
        if found is not None:
            return found
        node = self._catalog.find_node(number)
        if node is None:
            raise StaleHandle(f"inode number {number} is unknown")
        return self.tree(number, node)

    def _load(self, number: int, node: Node) -> Tree:
        record = self._catalog.find_repo(node.repo)
        snapshot = self._catalog.find_snapshot(node.repo, node.commit)
        if record is None or snapshot is None:
            raise StaleHandle(f"{node.repo}@{node.commit[:12]} is not in the index")
        return Tree(number, node.repo, node.revision, node.commit, record, snapshot)

    # --- entries -----------------------------------------------------------------------

    def find_entry(self, tree: Tree, ordinal: int) -> tuple[Listing, Entry] | None:
        """The entry at `ordinal` with the listing it stands in; None for the root."""
        if ordinal == ROOT_OF_TREE:
            return None
        return self._listings.entry(tree.snapshot.number, ordinal)

    def find(self, tree: Tree, listing: Listing, name: bytes) -> tuple[Listing, Entry] | None:
        """The entry called `name` in the directory that `listing` is of."""
        return self._listings.find(tree.snapshot.number, listing, name)

    def listing(self, tree: Tree, ordinal: int) -> Listing:
        """The listing with which the directory at `ordinal` begins.

        Raises:
            NotADirectory: a file is there.
        """
        found = self.find_entry(tree, ordinal)
        if found is None:
            return self._listings.containing(tree.snapshot.number, FIRST_CHILD_OF_ROOT)
        if not found[1].is_directory:
            raise NotADirectory(f"{found[0].path_of(found[1])} is a file")
        return self._listings.containing(tree.snapshot.number, found[1].first_child)

    # --- attributes --------------------------------------------------------------------

    def attributes(self, tree: Tree, place: Place) -> Attributes:
        """The attributes of the inode at `place`."""
        found = self.find_entry(tree, place.ordinal)
        if found is None:
            return self.root_attributes(tree, FOREVER)
        entry = found[1]
        return self._attributes(tree, entry.ordinal, entry.size, is_directory=entry.is_directory)

    def root_attributes(self, tree: Tree, entry_ttl: float) -> Attributes:
        """The attributes of the repo's own directory."""
        inode = inode_of(tree.number)
        return Attributes(inode, NodeType.DIRECTORY, 0, tree.snapshot.mtime, entry_ttl)

    def lookup(self, tree: Tree, ordinal: int, name: bytes) -> Attributes:
        """The entry called `name` in the directory at `ordinal`; both answers hold for ever."""
        found = self.find(tree, self.listing(tree, ordinal), name)
        if found is None:
            return absent(FOREVER)
        entry = found[1]
        return self._attributes(tree, entry.ordinal, entry.size, is_directory=entry.is_directory)

    def entries(self, tree: Tree, listing: Listing, start: int) -> Iterator[DirectoryEntry]:
        """The lines of a directory from position `start` on."""
        # For a million lines every call counts: this is `_attributes`, written out, with tuples
        # made as such, which is twice as fast as by the names of their fields.
        files, directories = inode_of(tree.snapshot.number), inode_of(tree.number)
        file, directory, mtime = NodeType.FILE, NodeType.DIRECTORY, tree.snapshot.mtime
        new, following = tuple.__new__, start
        for part, position in self._listings.parts(tree.snapshot.number, listing, start):
            for name, ordinal, (is_directory, size) in part.stat_rows(position):
                following += 1
                if is_directory:
                    row = (directories + ordinal, directory, 0, mtime, FOREVER, FOREVER)
                else:
                    row = (files + ordinal, file, size, mtime, FOREVER, FOREVER)
                yield new(DirectoryEntry, (name, new(Attributes, row), following))

    def _attributes(self, tree: Tree, ordinal: int, size: int, *, is_directory: bool) -> Attributes:
        if is_directory:
            inode = inode_of(tree.number, ordinal)
            return Attributes(inode, NodeType.DIRECTORY, 0, tree.snapshot.mtime)
        inode = inode_of(tree.snapshot.number, ordinal)
        return Attributes(inode, NodeType.FILE, size, tree.snapshot.mtime)
