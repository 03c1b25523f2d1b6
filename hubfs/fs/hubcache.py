"""`.hub`: the repos as the Hub client's own cache, in which every file has been downloaded.

    models--org--name/refs/main                  the commit that the branch is at
    models--org--name/snapshots/<commit>/...     the files: the same inodes as in `org/name`
    models--org--name/.no_exist/<commit>/<path>  empty files, for what the commit lacks
    models--org--name/trees/<commit>.json        the commit's listing, as newer clients keep it
    models--org--name/blobs/                     empty: a file in `snapshots` needs no blob

`datasets--` and `spaces--` likewise. Beside them stands what clients look for,
found but not listed: `.locks`, `CACHEDIR.TAG`, `version.txt`, and other names
of repos, as symlinks. Nothing is ever written here, by us or by the index.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar, Final, NamedTuple

from hubfs.errors import (
    IsADirectory,
    NotADirectory,
    NotASymlink,
    NotOnHub,
    RevisionNotFound,
    StaleHandle,
)
from hubfs.fs.absences import Absences
from hubfs.fs.annex import Lines
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, NodeType, absent
from hubfs.fs.cachedfiles import CachedFiles
from hubfs.fs.inodes import Region, inode_of, inode_of_name, number_in, region_of
from hubfs.fs.revisions import Revisions
from hubfs.fs.trees import Trees
from hubfs.model.folders import find_folder_repo, folder_of
from hubfs.model.identifiers import RepoId, RepoKind, is_commit, is_revision
from hubfs.store.catalog import Catalog
from hubfs.sync.syncer import Syncer

NEGATIVE_TTL: Final = 60.0

# What clients write into a cache that they find without it.
_TEXTS: Final = {
    "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This file marks a cache directory (https://bford.info/cachedir/): backups pass it over.\n",
    "version.txt": b"1",  # transformers before 4.56: the layout since its 4.22
    "nothing": b"",
}
_ROOMS: Final = ("refs", "snapshots", ".no_exist", "trees", "blobs")


class Spot(NamedTuple):
    """A node that the index has no number for: what it is, of which repo, and which one."""

    role: str
    repo: RepoId | None = None
    path: str = ""

    @property
    def inode(self) -> int:
        """Its number, the same at every mount."""
        folder = folder_of(self.repo) if self.repo else ""
        return inode_of_name(Region.CACHE, self.role, folder, self.path)


class HubCache:
    """The annex `.hub`."""

    name: Final = ".hub"
    root: Final = Spot("cache").inode
    regions: Final = frozenset({Region.CACHE, Region.CACHED_FILES, Region.ABSENCES, Region.MADE_UP})

    def __init__(self, catalog: Catalog, syncer: Syncer, trees: Trees, ttl: float) -> None:
        """Let the kernel believe for `ttl` seconds that a repo is not called otherwise."""
        self._revisions = Revisions(catalog, syncer)
        self._trees = trees
        self._files = CachedFiles(catalog, trees)
        self._ttl = ttl
        self._started = time.time()
        self._spots: dict[int, Spot] = {}
        for spot in (Spot("cache"), Spot("text", path="nothing")):
            self._at(spot)
        self._absences = Absences(trees, self._at(Spot("text", path="nothing")))

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
        spot = self._spot(parent)
        if spot.role not in self._LOOKUPS:
            raise NotADirectory(f"inode {parent} is no directory")
        try:
            return await self._LOOKUPS[spot.role](self, spot, name)
        except NotOnHub:
            return absent(NEGATIVE_TTL)

    async def _lookup_folder(self, _: Spot, name: str) -> Attributes:
        if name == ".locks":
            return self._at(Spot("locks"))
        if name in _TEXTS:
            return self._at(Spot("text", path=name))
        repo = find_folder_repo(name)
        if repo is None:
            return absent(FOREVER)
        canonical = await self._revisions.canonical(repo)
        spot = Spot("repo", repo) if canonical == repo else Spot("link", repo, folder_of(canonical))
        return self._at(spot, self._ttl)

    async def _lookup_room(self, spot: Spot, name: str) -> Attributes:
        return self._at(Spot(name, spot.repo)) if name in _ROOMS else absent(FOREVER)

    async def _lookup_lock(self, spot: Spot, name: str) -> Attributes:
        """Each repo has a place for its locks, since older clients want to make one."""
        repo = None if spot.repo else find_folder_repo(name)
        return self._at(Spot("locks", repo)) if repo else absent(FOREVER)

    async def _lookup_nothing(self, _: Spot, __: str) -> Attributes:
        return absent(FOREVER)

    async def _lookup_ref(self, spot: Spot, name: str) -> Attributes:
        repo, path = _repo_of(spot), f"{spot.path}/{name}" if spot.path else name
        directory = Spot("refs", repo, path)
        if _is_git_directory(path) or self._revisions.knows_refs_below(repo, path):
            return self._at(directory, self._ttl)
        if not is_revision(path) or is_commit(path) or path.endswith(".tmp"):
            return absent(FOREVER)
        try:
            return self._files.ref(await self._revisions.ref(repo, path))
        except RevisionNotFound:
            if not await self._revisions.has_refs_below(repo, path):
                raise
            return self._at(directory, self._ttl)

    async def _lookup_snapshot(self, spot: Spot, name: str) -> Attributes:
        number = await self._snapshot(spot, name)
        return self._snapshot_root(number) if number else absent(FOREVER)

    async def _lookup_absences(self, spot: Spot, name: str) -> Attributes:
        number = await self._snapshot(spot, name)
        return self._absences.of_snapshot(number) if number else absent(FOREVER)

    async def _lookup_listing(self, spot: Spot, name: str) -> Attributes:
        commit, dot, ending = name.partition(".")
        number = await self._snapshot(spot, commit) if dot and ending == "json" else 0
        return await self._files.listing(number) if number else absent(FOREVER)

    async def _snapshot(self, spot: Spot, name: str) -> int:
        """The number of the snapshot of the commit `name`; 0 if no commit is called that."""
        if not is_commit(name):
            return 0
        return (await self._revisions.snapshot(_repo_of(spot), name)).number

    def _snapshot_root(self, number: int) -> Attributes:
        """A tree's root here. A directory can stand in one place only: it has its own inode."""
        mtime = self._trees.numbered(number).snapshot.mtime
        inode = inode_of(number_in(Region.CACHED_TREES, number))
        return Attributes(inode, NodeType.DIRECTORY, 0, mtime)

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
        if region in {Region.ABSENCES, Region.MADE_UP}:
            return self._absences.directory(inode)
        return self._at(self._spot(inode))

    def read_link(self, inode: int) -> bytes:
        """Where the symlink `inode` leads.

        Raises:
            NotASymlink: it is something else.
        """
        spot = self._spots.get(inode)
        if spot is None or spot.role != "link":
            raise NotASymlink(f"inode {inode} is no symlink")
        return spot.path.encode()

    async def data(self, inode: int) -> bytes:
        """The bytes of a file.

        Raises:
            IsADirectory: it is none.
        """
        if region_of(inode) is Region.CACHED_FILES:
            return await self._files.data(inode)
        spot = self._spots.get(inode)
        if spot is None or spot.role != "text":
            raise IsADirectory(f"inode {inode} is no file")
        return _TEXTS[spot.path]

    def _spot(self, inode: int) -> Spot:
        if inode not in self._spots:
            raise StaleHandle(f"inode {inode} is unknown")
        return self._spots[inode]

    def _at(self, spot: Spot, entry_ttl: float = FOREVER) -> Attributes:
        self._spots[spot.inode] = spot
        kind, size = NodeType.DIRECTORY, 0
        if spot.role == "text":
            kind, size = NodeType.FILE, len(_TEXTS[spot.path])
        if spot.role == "link":
            kind, size = NodeType.SYMLINK, len(spot.path)
        return Attributes(spot.inode, kind, size, self._started, entry_ttl)

    # --- directories -------------------------------------------------------------------

    def lines(self, inode: int) -> Lines:
        """What is known in a directory. What is absent, and what locks there could be, is not.

        Raises:
            NotADirectory: it is none.
        """
        if region_of(inode) in {Region.ABSENCES, Region.MADE_UP}:
            return _numbered([])
        spot = self._spot(inode)
        if spot.role == "cache":
            return self._folders()
        if spot.role in {"text", "link"}:
            raise NotADirectory(f"inode {inode} is no directory")
        return _numbered(list(self._rows(spot)))

    def _folders(self) -> Lines:
        """The repos: there may be many, so each is looked at when its line is wanted."""
        repos = [RepoId(kind, name) for kind in RepoKind for name in self._revisions.names(kind)]

        def lines(start: int) -> Iterator[DirectoryEntry]:
            for at, repo in enumerate(repos[start:], start=start + 1):
                if self._revisions.find_canonical(repo) == repo:
                    attributes = self._at(Spot("repo", repo), self._ttl)
                    yield DirectoryEntry(folder_of(repo).encode(), attributes, at)

        return lines

    def _rows(self, spot: Spot) -> Iterator[tuple[str, Attributes]]:
        if spot.role == "repo":
            yield from ((room, self._at(Spot(room, spot.repo))) for room in _ROOMS)
        elif spot.role == "refs":
            yield from self._refs_in(spot)
        elif spot.role == "snapshots":
            for commit, snapshot in self._revisions.find_snapshots(_repo_of(spot)).items():
                yield commit, self._snapshot_root(snapshot.number)

    def _refs_in(self, spot: Spot) -> Iterator[tuple[str, Attributes]]:
        repo, above = _repo_of(spot), f"{spot.path}/" if spot.path else ""
        directories = set()
        for path in self._revisions.refs(repo):
            if not path.startswith(above):
                continue
            name, slash, _ = path.removeprefix(above).partition("/")
            if slash and name not in directories:
                directories.add(name)
                yield name, self._at(Spot("refs", repo, above + name), self._ttl)
            elif not slash and (found := self._revisions.find_ref(repo, path)):
                yield name, self._files.ref(found)


def _numbered(rows: list[tuple[str, Attributes]]) -> Lines:
    lines = [
        DirectoryEntry(name.encode(), attributes, at)
        for at, (name, attributes) in enumerate(rows, start=1)
    ]
    return lambda start: lines[start:]


def _repo_of(spot: Spot) -> RepoId:
    assert spot.repo is not None  # noqa: S101 - only a repo has such spots
    return spot.repo


def _is_git_directory(path: str) -> bool:
    """Whether git keeps directories of refs there: `refs`, and what is right below it."""
    return path == "refs" or (path.startswith("refs/") and path.count("/") == 1)
