"""The tree as one object: every question that a file system is asked, free of FUSE.

Only `lookup` in the directories above repos and `read` of what is not cached
may wait for the network.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hubfs.counters import COUNTERS
from hubfs.errors import (
    IsADirectory,
    NoSuchAttribute,
    NotADirectory,
    NotASymlink,
    StaleHandle,
    StoreFull,
)
from hubfs.fetch.fetcher import Fetcher
from hubfs.fetch.opened import OpenContent
from hubfs.fs import xattrs
from hubfs.fs.ahead import Ahead
from hubfs.fs.annex import Annex, InMemoryFile
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, absent
from hubfs.fs.inodes import ROOT, SPACES, Place, number_within, place_of, region_of
from hubfs.fs.listings import NotInMemory
from hubfs.fs.namespace import Namespace
from hubfs.fs.trees import Tree, Trees
from hubfs.model.content import Source
from hubfs.model.ranges import ByteRange
from hubfs.model.tree import Entry, Listing
from hubfs.store.catalog import Catalog, Node
from hubfs.store.reading import Extent
from hubfs.store.store import Space, Store
from hubfs.sync.syncer import Key

FIRST_BYTE = ByteRange(0, 1)


@dataclass(slots=True)
class OpenDirectory:
    """A directory as it was when it was opened: `entries(start)` gives its lines from there on.

    A frozen one, inside a repo, can never have other lines.
    """

    entries: Callable[[int], Iterable[DirectoryEntry]]
    is_frozen: bool


class Filesystem:
    """The read-only tree of one endpoint, and the annexes of its root."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        namespace: Namespace,
        trees: Trees,
        fetcher: Fetcher,
        *,
        annexes: Iterable[Annex] = (),
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._namespace = namespace
        self._trees, self._in_memory = trees, trees.in_memory()
        self._ahead = Ahead(trees)
        self._fetcher = fetcher
        self._nodes: dict[int, Node] = {}
        self._handles = itertools.count(1)
        self._files: dict[int, OpenContent | InMemoryFile] = {}
        self._directories: dict[int, OpenDirectory] = {}
        self._annexes = {annex.name: annex for annex in annexes}
        self._owners = {
            region: annex for annex in self._annexes.values() for region in annex.regions
        }

    # --- names and attributes ----------------------------------------------------------

    async def lookup(self, parent: int, name: bytes) -> Attributes:
        """What `name` is in directory `parent`; an absent one has inode 0 and a time to live.

        Raises:
            NotADirectory: `parent` is none.
            HubError: the name is not known, and the Hub cannot tell.
        """
        annex = self._owner(parent)
        number, ordinal = place_of(parent)
        if not annex and number and (node := self._node(number)).role == "view":
            return self._trees.lookup(self._trees.tree(number, node), ordinal, name)
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return absent(FOREVER)  # the Hub speaks JSON: no name there is spelt so
        if annex is not None:
            return await annex.lookup(parent, text)
        if parent == ROOT and text in self._annexes:
            return self._annexes[text].attributes(self._annexes[text].root)
        if not number:
            return await self._namespace.lookup_fixed(parent, text)
        if node.role == "org":
            return await self._namespace.lookup_in_org(node, text)
        raise NotADirectory(f"inode {parent} is no directory")

    def known_entry(self, parent: int, name: bytes) -> Attributes | None:
        """What `lookup` tells of a name in a repo, if it is in memory. Thread-safe; never waits."""
        number, ordinal = place_of(parent)
        tree = self._known_tree(parent)
        if tree is None or self._nodes[number].role != "view":
            return None
        with contextlib.suppress(NotInMemory):
            return self._in_memory.lookup(tree, ordinal, name)
        return None

    def attributes(self, inode: int) -> Attributes:
        """The attributes of a known inode.

        Raises:
            StaleHandle: it is not known.
        """
        annex = self._owner(inode)
        if annex is not None:
            return annex.attributes(inode)
        place = place_of(inode)
        if not place.number:
            if not 1 <= inode <= SPACES:
                raise StaleHandle(f"inode {inode} is unknown")
            return self._namespace.fixed_attributes(inode)
        node = self._node(place.number)
        if node.role == "org":
            return self._namespace.org_attributes(place.number)
        if node.role == "alias":
            return self._namespace.link_attributes(place.number, node)
        return self._trees.attributes(self._trees.tree(place.number, node), place)

    def known_attributes(self, inode: int) -> Attributes | None:
        """What `attributes` tells of an inode in a repo, if it is in memory. As `known_entry`."""
        tree = self._known_tree(inode)
        with contextlib.suppress(NotInMemory):
            return self._in_memory.attributes(tree, place_of(inode)) if tree else None
        return None

    def _known_tree(self, inode: int) -> Tree | None:
        """The tree that `inode` is in, if it is in memory."""
        number = place_of(inode).number
        if self._owner(inode) or number not in self._nodes:
            return None
        return self._trees.recent(number)

    def read_link(self, inode: int) -> bytes:
        """Where the symlink `inode` leads.

        Raises:
            NotASymlink: it is something else.
        """
        annex = self._owner(inode)
        if annex is not None:
            return annex.read_link(inode)
        number = place_of(inode).number
        if not number or (node := self._node(number)).role != "alias":
            raise NotASymlink(f"inode {inode} is no symlink")
        return self._namespace.link_target(node)

    def _owner(self, inode: int) -> Annex | None:
        return self._owners.get(region_of(inode))

    def _node(self, number: int) -> Node:
        node = self._nodes.get(number)
        if node is None:
            node = self._catalog.find_node(number_within(number))
            if node is None:
                raise StaleHandle(f"inode number {number} is unknown")
            if number != number_within(number):  # a snapshot's tree, seen in the Hub client's cache
                node = node._replace(role="view", revision=node.commit)
            self._nodes[number] = node
        return node

    def entry_of(self, key: Key) -> tuple[int, bytes] | None:
        """The directory's inode and the name under which the kernel may know a repo's revision."""
        repo, revision = key
        return self._namespace.entry_of(repo, revision)

    # --- directories -------------------------------------------------------------------

    async def open_directory(self, inode: int) -> int:
        """A handle on the directory as it is now.

        Raises:
            NotADirectory: it is none.
        """
        handle = next(self._handles)
        self._directories[handle] = await self._directory(inode)
        return handle

    def is_frozen_directory(self, handle: int) -> bool:
        """Whether an open directory can never change. Thread-safe."""
        directory = self._directories.get(handle)
        return directory is not None and directory.is_frozen

    async def _directory(self, inode: int) -> OpenDirectory:
        annex = self._owner(inode)
        if annex is not None:
            return OpenDirectory(annex.lines(inode), is_frozen=False)
        place = place_of(inode)
        node = self._node(place.number) if place.number else None
        if node is not None and node.role in {"view", "snapshot"}:
            lines = self._tree_lines(self._trees.tree(place.number, node), place)
            return OpenDirectory(lines, is_frozen=True)
        if node is None:
            known = await self._namespace.list_fixed(inode)
        elif node.role == "org":
            known = await self._namespace.list_org(node)
        else:
            raise NotADirectory(f"inode {inode} is no directory")
        return OpenDirectory(lambda start: known[start:], is_frozen=False)

    def _tree_lines(self, tree: Tree, place: Place) -> Callable[[int], Iterator[DirectoryEntry]]:
        listing = self._trees.listing(tree, place.ordinal)
        return lambda start: self._trees.entries(tree, listing, start)

    def read_directory(self, handle: int, start: int) -> Iterable[DirectoryEntry]:
        """The lines of an open directory from position `start` on."""
        directory = self._directories.get(handle)
        if directory is None:
            raise StaleHandle(f"directory handle {handle} is unknown")
        return directory.entries(start)

    def close_directory(self, handle: int) -> None:
        """The handle is not used any more."""
        self._directories.pop(handle, None)

    # --- files -------------------------------------------------------------------------

    async def open_file(self, inode: int) -> int:
        """A handle that reads the content of `inode` to its end, whatever the Hub does.

        A file of a gated repo is tried at once: a refusal should meet `open`,
        not a mapped page.

        Raises:
            IsADirectory: it is no file.
            AccessDenied: the repo is gated for this token.
        """
        annex = self._owner(inode)
        if annex is not None:
            return self._new_handle(InMemoryFile(await annex.data(inode)))
        tree, place = self._file_place(inode)
        listing, entry = self._entry(tree, place)
        source = Source(str(tree.repo), tree.commit, listing.path_of(entry))
        opened = self._fetcher.open(entry.content, source)
        self._fetcher.note_opened(opened, inode, self._ahead.shards(tree, listing, entry))
        try:
            if tree.record.gated and not opened.is_complete:
                await self._fetcher.ensure(opened, FIRST_BYTE)
        except BaseException:
            self._fetcher.release(opened)
            raise
        is_cold = not opened.is_complete
        self._fetcher.fetch_ahead(self._ahead.siblings(tree, listing, entry, is_cold=is_cold))
        COUNTERS.add("opens")
        return self._new_handle(opened)

    def _new_handle(self, file: OpenContent | InMemoryFile) -> int:
        handle = next(self._handles)
        self._files[handle] = file
        return handle

    async def locate(self, handle: int, offset: int, size: int) -> Extent | bytes:
        """Where the bytes asked for are, once they are; fewer only at the end of the file.

        What cannot be kept is not anywhere, and returned itself.

        Raises:
            StaleHandle: the handle is closed.
            FetchError, HubError, StoreError: why the bytes cannot be had.
        """
        opened = self._files.get(handle)
        if opened is None:
            raise StaleHandle(f"file handle {handle} is unknown")
        if isinstance(opened, InMemoryFile):
            return opened.read(offset, size)
        span = ByteRange(offset, offset + size).clipped(opened.content.size)
        if not span.size:
            return b""
        try:
            waited, found = await self._located(opened, span)
        except StoreFull:
            waited, found = True, await self._fetcher.read_direct(opened, span)
        COUNTERS.reads.note(span.size, waited=waited)
        return found

    async def _located(self, opened: OpenContent, span: ByteRange) -> tuple[bool, Extent | bytes]:
        waited = False
        while True:
            opened.doubt_if_linked()
            if not opened.is_complete:
                waited = await self._fetcher.ensure(opened, span) or waited
            blob = opened.shared_blob
            if blob is None:
                return waited, Extent(opened.descriptor, span.start, span.size)
            data = await self._fetcher.read_shared(opened, blob, span)
            if data is not None:
                return waited, data

    def at_hand(self, handle: int, offset: int, size: int) -> Extent | None:
        """Where the bytes asked for are, if they can be read at once; else `locate` them.

        Tell it by `note_read` when they have been. Thread-safe.
        """
        opened = self._files.get(handle)
        if not isinstance(opened, OpenContent):
            return None
        span = ByteRange(offset, offset + size).clipped(opened.content.size)
        descriptor = opened.at_hand(span) if span.size else None
        return None if descriptor is None else Extent(descriptor, span.start, span.size)

    def note_read(self, handle: int, extent: Extent) -> None:
        """Bytes that were `at_hand` have been read: what follows them is fetched. Thread-safe."""
        COUNTERS.reads.note(extent.size, waited=False)
        opened = self._files.get(handle)
        if isinstance(opened, OpenContent):
            span = ByteRange(extent.offset, extent.offset + extent.size)
            self._fetcher.note_served(opened, span)

    def may_keep_pages(self, handle: int) -> bool:
        """Whether what the kernel holds of an open file is sure to be right."""
        opened = self._files.get(handle)
        return not isinstance(opened, OpenContent) or not self._fetcher.was_replaced(opened.content)

    @property
    def is_short_of_memory(self) -> bool:
        """Whether pages that are cached twice should not be. Thread-safe."""
        return self._fetcher.pressure > 0

    def backing_descriptor(self, handle: int) -> int | None:
        """A descriptor of the complete blob behind an open file, if it is here. Thread-safe.

        None for one that others may change: each read of it must be looked at.
        """
        opened = self._files.get(handle)
        if not isinstance(opened, OpenContent) or not opened.content.size:
            return None
        return opened.own_descriptor

    def source_of(self, handle: int) -> str:
        """Where an open file is from, for people. Thread-safe."""
        opened = self._files.get(handle)
        return str(opened.sources[0]) if isinstance(opened, OpenContent) else f"handle {handle}"

    def close_file(self, handle: int) -> None:
        """The handle is not used any more."""
        opened = self._files.pop(handle, None)
        if isinstance(opened, OpenContent):
            self._fetcher.release(opened)

    # --- what is known of an inode -----------------------------------------------------

    def extended_attributes(self, inode: int) -> dict[bytes, bytes]:
        """All extended attributes of `inode`; nothing above the repos has any."""
        number, ordinal = place_of(inode)
        if self._owner(inode) or not number:
            return {}
        node = self._node(number)
        if node.role not in {"view", "snapshot"}:
            return {}
        tree = self._trees.tree(number, node)
        found = self._trees.find_entry(tree, ordinal)
        path = found[0].path_of(found[1]) if found else ""
        values = xattrs.of_tree(tree, path)
        if found and not found[1].is_directory:
            values |= xattrs.of_file(found[1], path, self._fetcher, self._store.blobs)
        return {(xattrs.PREFIX + name).encode(): text.encode() for name, text in values.items()}

    def extended_attribute(self, inode: int, name: bytes) -> bytes:
        """One extended attribute.

        Raises:
            NoSuchAttribute: there is none of that name.
        """
        if not name.startswith(xattrs.PREFIX.encode()):
            raise NoSuchAttribute(name.decode(errors="replace"))
        values = self.extended_attributes(inode)
        if name not in values:
            raise NoSuchAttribute(name.decode(errors="replace"))
        return values[name]

    def space(self) -> Space:
        """The cache's room: the tree itself takes none."""
        return self._store.space()

    # --- helpers -----------------------------------------------------------------------

    def _file_place(self, inode: int) -> tuple[Tree, Place]:
        place = place_of(inode)
        if not place.number or (node := self._node(place.number)).role != "snapshot":
            raise IsADirectory(f"inode {inode} is no file")
        return self._trees.tree(place.number, node), place

    def _entry(self, tree: Tree, place: Place) -> tuple[Listing, Entry]:
        found = self._trees.find_entry(tree, place.ordinal)
        if found is None or found[1].is_directory:
            raise IsADirectory(f"ordinal {place.ordinal} is no file")
        return found
