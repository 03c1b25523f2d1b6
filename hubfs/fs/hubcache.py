"""`.hub`: the repos as the Hub client's own cache, in which every file has been downloaded.

    models--org--name/refs/main                  the commit that the branch is at
    models--org--name/snapshots/<commit>/...     the files: the same inodes as in `org/name`
    models--org--name/.no_exist/<commit>/<path>  empty files, for what the commit lacks
    models--org--name/trees/<commit>.json        the commit's listing, as newer clients keep it
    models--org--name/blobs/                     empty: a file in `snapshots` needs no blob

`datasets--` and `spaces--` likewise. Beside them stands what clients look for,
found but not listed: `.locks`, `CACHEDIR.TAG`, `version.txt`, and other names
of repos, as symlinks. Nothing is ever written here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar, Final

from hubfs.errors import NotADirectory, NotOnHub, RevisionNotFound
from hubfs.fs.absences import Absences
from hubfs.fs.annex import Lines
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, NodeType, absent
from hubfs.fs.cachedfiles import CachedFiles
from hubfs.fs.inodes import Region, inode_of, number_in, region_of
from hubfs.fs.revisions import Revisions
from hubfs.fs.spots import TEXTS, Spot, Spots
from hubfs.fs.trees import Trees
from hubfs.model.folders import find_folder_repo, folder_of
from hubfs.model.identifiers import RepoId, RepoKind, is_commit, is_revision
from hubfs.store.catalog import Catalog
from hubfs.store.records import SnapshotRecord
from hubfs.sync.syncer import Syncer

NEGATIVE_TTL: Final = 60.0

_CACHE: Final = Spot("cache")
_ROOMS: Final = ("refs", "snapshots", ".no_exist", "trees", "blobs")
_UNLISTED: Final = frozenset({Region.ABSENCES, Region.MADE_UP})
_NO_LINES: Final[list[DirectoryEntry]] = []


class HubCache:
    """The annex `.hub`."""

    name: Final = ".hub"
    root: Final = _CACHE.inode
    regions: Final = frozenset({Region.CACHE, Region.CACHED_FILES, *_UNLISTED})

    def __init__(self, catalog: Catalog, syncer: Syncer, trees: Trees, ttl: float) -> None:
        """Let the kernel believe for `ttl` seconds that a repo is not called otherwise."""
        self._revisions = Revisions(catalog, syncer)
        self._files = CachedFiles(catalog, trees)
        self._spots = Spots(mtime=time.time())
        self._absences = Absences(trees, nothing=self._spots.meet(Spot("text")))
        self.ttl = ttl
        self._spots.meet(_CACHE)

    # --- names -------------------------------------------------------------------------

    async def lookup(self, parent: int, name: str) -> Attributes:
        """What `name` is in directory `parent`.

        Raises:
            NotADirectory: `parent` is none.
            HubError: the name is not known, and the Hub cannot tell.
        """
        region = region_of(parent)
        if region is Region.ABSENCES:
            return self._absences.lookup(parent, name)
        if region is Region.MADE_UP:
            return self._absences.lookup_made_up(parent, name)
        spot = self._spots.at(parent)
        if spot.role not in self._LOOKUPS:
            raise NotADirectory(f"inode {parent} is no directory")
        try:
            return await self._LOOKUPS[spot.role](self, spot, name)
        except NotOnHub:
            return absent(NEGATIVE_TTL)

    async def _lookup_folder(self, _: Spot, name: str) -> Attributes:
        if name == ".locks":
            return self._spots.meet(Spot("locks"))
        if name in TEXTS:
            return self._spots.meet(Spot("text", path=name))
        repo = find_folder_repo(name)
        if repo is None:
            return absent(FOREVER)
        canonical = await self._revisions.canonical(repo)
        spot = Spot("repo", repo) if canonical == repo else Spot("link", repo, folder_of(canonical))
        return self._spots.meet(spot, self.ttl)

    async def _lookup_room(self, spot: Spot, name: str) -> Attributes:
        return self._spots.meet(Spot(name, spot.repo)) if name in _ROOMS else absent(FOREVER)

    async def _lookup_lock(self, spot: Spot, name: str) -> Attributes:
        """Each repo has a place for its locks, since older clients want to make one."""
        repo = None if spot.repo else find_folder_repo(name)
        return self._spots.meet(Spot("locks", repo)) if repo else absent(FOREVER)

    async def _lookup_nothing(self, _: Spot, __: str) -> Attributes:
        return absent(FOREVER)

    async def _lookup_ref(self, spot: Spot, name: str) -> Attributes:
        path = f"{spot.path}/{name}" if spot.path else name
        directory = Spot("refs", spot.repo, path)
        if _is_git_directory(path) or self._revisions.knows_refs_below(spot.owner, path):
            return self._spots.meet(directory, self.ttl)
        if not is_revision(path) or is_commit(path) or path.endswith(".tmp"):
            return absent(FOREVER)
        try:
            return self._files.ref(await self._revisions.ref(spot.owner, path))
        except RevisionNotFound:
            if not await self._revisions.has_refs_below(spot.owner, path):
                raise
            return self._spots.meet(directory, self.ttl)

    async def _lookup_snapshot(self, spot: Spot, name: str) -> Attributes:
        snapshot = await self._snapshot(spot, name)
        return _root_of(snapshot) if snapshot else absent(FOREVER)

    async def _lookup_absences(self, spot: Spot, name: str) -> Attributes:
        snapshot = await self._snapshot(spot, name)
        return self._absences.of_snapshot(snapshot.number) if snapshot else absent(FOREVER)

    async def _lookup_listing(self, spot: Spot, name: str) -> Attributes:
        commit, _, ending = name.partition(".")
        snapshot = await self._snapshot(spot, commit) if ending == "json" else None
        return await self._files.listing(snapshot.number) if snapshot else absent(FOREVER)

    async def _snapshot(self, spot: Spot, name: str) -> SnapshotRecord | None:
        """The tree of the commit `name`; None for what is no commit's name."""
        return await self._revisions.snapshot(spot.owner, name) if is_commit(name) else None

    _LOOKUPS: ClassVar[dict[str, Callable[[HubCache, Spot, str], Awaitable[Attributes]]]] = {
        "cache": _lookup_folder,
        "locks": _lookup_lock,
        "repo": _lookup_room,
        "refs": _lookup_ref,
        "snapshots": _lookup_snapshot,
        ".no_exist": _lookup_absences,
        "trees": _lookup_listing,
        "blobs": _lookup_nothing,
    }

    # --- inodes ------------------------------------------------------------------------

    def attributes(self, inode: int) -> Attributes:
        """The attributes of a known inode.

        Raises:
            StaleHandle: it is not known.
        """
        region = region_of(inode)
        if region is Region.CACHED_FILES:
            return self._files.attributes(inode)
        if region in _UNLISTED:
            return self._absences.directory(inode)
        return self._spots.meet(self._spots.at(inode))

    def read_link(self, inode: int) -> bytes:
        """Where the symlink `inode` leads.

        Raises:
            NotASymlink: it is something else.
        """
        return self._spots.target(inode)

    async def data(self, inode: int) -> bytes:
        """The bytes of a file.

        Raises:
            IsADirectory: it is none.
        """
        is_made = region_of(inode) is Region.CACHED_FILES
        return await self._files.data(inode) if is_made else self._spots.data(inode)

    # --- directories -------------------------------------------------------------------

    def lines(self, inode: int) -> Lines:
        """What is known in a directory. What is absent, and what locks there could be, is not.

        Raises:
            NotADirectory: it is none.
        """
        if region_of(inode) in _UNLISTED:
            return lambda _: _NO_LINES
        spot = self._spots.at(inode)
        if spot.role not in self._LOOKUPS:
            raise NotADirectory(f"inode {inode} is no directory")
        if spot.role == "cache":
            return self._folders()
        rows = enumerate(self._rows(spot).items(), start=1)
        lines = [DirectoryEntry(name.encode(), found, at) for at, (name, found) in rows]
        return lambda start: lines[start:]

    def _folders(self) -> Lines:
        """The repos: there may be many, so each is looked at when its line is wanted."""
        repos = [RepoId(kind, name) for kind in RepoKind for name in self._revisions.names(kind)]

        def lines(start: int) -> Iterator[DirectoryEntry]:
            for at in range(start, len(repos)):
                repo = repos[at]
                if self._revisions.find_canonical(repo) == repo:
                    found = self._spots.meet(Spot("repo", repo), self.ttl)
                    yield DirectoryEntry(folder_of(repo).encode(), found, at + 1)

        return lines

    def _rows(self, spot: Spot) -> dict[str, Attributes]:
        if spot.role == "repo":
            return {room: self._spots.meet(Spot(room, spot.repo)) for room in _ROOMS}
        if spot.role == "refs":
            return self._refs_in(spot)
        if spot.role == "snapshots":
            known = self._revisions.find_snapshots(spot.owner)
            return {commit: _root_of(snapshot) for commit, snapshot in known.items()}
        return {}

    def _refs_in(self, spot: Spot) -> dict[str, Attributes]:
        """The refs in a directory, and the directories of others. Both of one name are these."""
        above = f"{spot.path}/" if spot.path else ""
        rows = {}
        for path in self._revisions.refs(spot.owner):
            name, slash, _ = path.removeprefix(above).partition("/")
            if not path.startswith(above):
                continue
            if slash:
                rows[name] = self._spots.meet(Spot("refs", spot.repo, above + name), self.ttl)
            elif found := self._revisions.find_ref(spot.owner, path):
                rows[name] = self._files.ref(found)
        return rows


def _root_of(snapshot: SnapshotRecord) -> Attributes:
    """A tree's root in `snapshots`: the kernel lets a directory stand in one place only."""
    inode = inode_of(number_in(Region.CACHED_TREES, snapshot.number))
    return Attributes(inode, NodeType.DIRECTORY, 0, snapshot.mtime)


def _is_git_directory(path: str) -> bool:
    """Whether git keeps directories of refs there: `refs`, and what is right below it."""
    return path == "refs" or (path.startswith("refs/") and path.count("/") == 1)
