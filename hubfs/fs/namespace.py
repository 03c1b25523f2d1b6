"""Above the repos: the mount's root, organisations, aliases, and what names in them mean.

What no repo can be called is absent without a request. What the Hub denied a
moment ago is not asked again for a while.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import trio

from hubfs.errors import NotADirectory, NotOnHub, StaleHandle
from hubfs.fs.attributes import FOREVER, Attributes, DirectoryEntry, NodeType, absent
from hubfs.fs.inodes import DATASETS, ROOT, SPACES, inode_of
from hubfs.fs.trees import Trees
from hubfs.model.identifiers import (
    DEFAULT_REVISION,
    RepoId,
    RepoKind,
    RevisionName,
    find_revision_name,
    is_commit,
    is_name_part,
)
from hubfs.store.catalog import Catalog, Node
from hubfs.sync.syncer import Synced, Syncer

log = logging.getLogger(__name__)

NEGATIVE_TTL = 60.0
A_TURN = 32  # lines, some milliseconds of work
MOST_MISSES = 10_000

_FIXED: Final = {
    "datasets": (DATASETS, RepoKind.DATASET),
    "spaces": (SPACES, RepoKind.SPACE),
}
_KINDS: Final = {ROOT: RepoKind.MODEL, DATASETS: RepoKind.DATASET, SPACES: RepoKind.SPACE}


_Known: TypeAlias = tuple[str, Attributes | None]


class Misses:
    """Names that the Hub has said it does not have, and until when to believe it."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._until: OrderedDict[tuple[RepoKind, str], float] = OrderedDict()

    def add(self, kind: RepoKind, name: str) -> None:
        """The Hub has no `name`."""
        self._until[kind, name] = trio.current_time() + self._ttl
        while len(self._until) > MOST_MISSES:
            self._until.popitem(last=False)

    def remaining(self, kind: RepoKind, name: str) -> float:
        """Seconds for which `name` is still believed absent; 0 when it may be asked for."""
        return max(0.0, self._until.get((kind, name), 0.0) - trio.current_time())


class Namespace:
    """Everything above the repos' own directories."""

    def __init__(self, catalog: Catalog, syncer: Syncer, trees: Trees, ttl: float) -> None:
        """Let the kernel believe a branch's directory for `ttl` seconds."""
        self._catalog = catalog
        self._syncer = syncer
        self._trees = trees
        self.ttl = ttl
        self._misses = Misses(NEGATIVE_TTL)
        self._started = time.time()

    # --- lookups -----------------------------------------------------------------------

    async def lookup_fixed(self, inode: int, name: str) -> Attributes:
        """Look `name` up in the mount's root, `datasets` or `spaces`.

        Raises:
            HubError: it is not known, and the Hub cannot tell.
        """
        if inode == ROOT and name in _FIXED:
            return self.fixed_attributes(_FIXED[name][0])
        kind = _KINDS[inode]
        if is_name_part(name) and self._catalog.has_org(kind, name):
            return await self._org(kind, name)
        return await self._lookup(kind, "", name)

    async def lookup_in_org(self, node: Node, name: str) -> Attributes:
        """Look `name`, or `name@REV`, up in an organisation's directory.

        Raises:
            HubError: it is not known, and the Hub cannot tell.
        """
        return await self._lookup(RepoKind(node.kind), f"{node.name}/", name)

    async def _lookup(self, kind: RepoKind, prefix: str, name: str) -> Attributes:
        parsed = find_revision_name(name)
        if parsed is None:
            return absent(FOREVER)
        alias = self._find_alias(kind, f"{prefix}{parsed}")
        if alias is not None:
            return alias
        return await self._ask(RepoId(kind, prefix + parsed.base), parsed.revision)

    async def _ask(self, repo: RepoId, revision: str) -> Attributes:
        """A name that is no alias: from the index if it is known, else from the Hub."""
        spelt = str(RevisionName(repo.name, revision))
        remaining = self._misses.remaining(repo.kind, spelt)
        if not remaining:
            try:
                if repo.org or revision or self._syncer.find(repo, revision):
                    return await self._ask_for_repo(repo, revision)
                return await self._ask_for_org(repo.kind, repo.name)
            except NotOnHub as error:
                log.info("%s", error)
                self._misses.add(repo.kind, spelt)
                remaining = NEGATIVE_TTL
        if self._catalog.has_aliases_in(repo.kind, spelt):
            return await self._org(repo.kind, spelt)  # all of its repos have other names by now
        return absent(remaining)

    async def _ask_for_org(self, kind: RepoKind, name: str) -> Attributes:
        """`name` at the root: an organisation, another spelling of one, or a legacy repo."""
        author = await self._syncer.find_author(kind, name)
        if author == name:
            return await self._org(kind, name)
        if author is not None:
            return await self._link(kind, name, author)
        return await self._ask_for_repo(RepoId(kind, name), DEFAULT_REVISION)

    async def _ask_for_repo(self, repo: RepoId, revision: str) -> Attributes:
        found = await self._syncer.ensure(repo, revision)
        if isinstance(found, Synced):
            return self.view_attributes(found)
        if not revision and found.canonical.org == repo.name:
            return await self._org(repo.kind, repo.name)
        link = self._find_alias(repo.kind, str(RevisionName(repo.name, revision)))
        assert link is not None  # noqa: S101 - the syncer has stored it
        return link

    # --- nodes -------------------------------------------------------------------------

    def view_attributes(self, found: Synced) -> Attributes:
        """The directory of a repo at a revision."""
        node = Node(
            "view", found.repo.kind.value, found.repo.name, found.revision, found.ref.commit
        )
        tree = self._trees.tree(found.ref.view, node)
        return self._trees.root_attributes(tree, FOREVER if is_commit(found.revision) else self.ttl)

    async def _org(self, kind: RepoKind, name: str) -> Attributes:
        number = await self._number(Node("org", kind.value, name))
        return self.org_attributes(number)

    def org_attributes(self, number: int) -> Attributes:
        """The directory of an organisation."""
        return Attributes(inode_of(number), NodeType.DIRECTORY, 0, self._started)

    def fixed_attributes(self, inode: int) -> Attributes:
        """The root, `datasets` or `spaces`."""
        return Attributes(inode, NodeType.DIRECTORY, 0, self._started)

    async def _link(self, kind: RepoKind, name: str, canonical: str) -> Attributes:
        put = self._catalog.put_alias
        number = await trio.to_thread.run_sync(put, kind, name, canonical)
        return self.link_attributes(number, Node("alias", kind.value, name))

    def _find_alias(self, kind: RepoKind, name: str) -> Attributes | None:
        node = Node("alias", kind.value, name)
        number = self._catalog.find_number(node)
        # A repo that got its old name back, or was forgotten, leaves the number of an alias behind.
        if number is None or self._catalog.find_alias(kind, name) is None:
            return None
        return self.link_attributes(number, node)

    def link_attributes(self, number: int, node: Node) -> Attributes:
        """A symlink to the canonical spelling."""
        target = self.link_target(node)
        return Attributes(inode_of(number), NodeType.SYMLINK, len(target), self._started, self.ttl)

    def link_target(self, node: Node) -> bytes:
        """Where an alias leads, relative to the directory it stands in.

        Raises:
            StaleHandle: it is not an alias any more.
        """
        canonical = self._catalog.find_alias(RepoKind(node.kind), node.name)
        if canonical is None:
            raise StaleHandle(f"{node.name} is no alias")
        org, slash, _ = node.name.partition("/")
        if not slash:
            return canonical.encode()
        same_org, _, base = canonical.partition("/")
        return (base if same_org == org else f"../{canonical}").encode()

    async def _number(self, node: Node) -> int:
        number = self._catalog.find_number(node)
        if number is None:
            number = await trio.to_thread.run_sync(self._catalog.number_of, node)
        return number

    # --- listings ----------------------------------------------------------------------

    async def list_fixed(self, inode: int) -> list[DirectoryEntry]:
        """What is known below the root, `datasets` or `spaces`.

        Raises:
            NotADirectory: `inode` is none of them.
        """
        if inode not in _KINDS:
            raise NotADirectory(f"inode {inode} is no directory")
        return await _numbered(self._in_fixed(inode, _KINDS[inode]))

    def _in_fixed(self, inode: int, kind: RepoKind) -> Iterator[_Known]:
        if inode == ROOT:
            for name, (fixed, _) in _FIXED.items():
                yield name, self.fixed_attributes(fixed)
        for org in self._catalog.orgs(kind):
            yield org, self._known_org(kind, org)
        for name in self._catalog.bare(kind):
            yield name, self._known_view(RepoId(kind, name))
        for name in self._catalog.aliases(kind, ""):
            yield name, self._find_alias(kind, name)

    async def list_org(self, node: Node) -> list[DirectoryEntry]:
        """The known repos of an organisation, each at every revision that has been touched."""
        return await _numbered(self._in_org(node.name, RepoKind(node.kind)))

    def _in_org(self, org: str, kind: RepoKind) -> Iterator[_Known]:
        for base in self._catalog.repos(kind, org):
            repo = RepoId(kind, f"{org}/{base}")
            for revision in self._catalog.refs(repo):
                yield str(RevisionName(base, revision)), self._known_view(repo, revision)
        for name in self._catalog.aliases(kind, org):
            yield name, self._find_alias(kind, f"{org}/{name}")

    def entry_of(self, repo: RepoId, revision: str) -> tuple[int, bytes] | None:
        """The directory and the name under which a repo's revision stands, if anyone can know."""
        name = str(RevisionName(repo.base, revision)).encode()
        if not repo.org:
            fixed = {kind: inode for inode, kind in _KINDS.items()}
            return fixed[repo.kind], name
        number = self._catalog.find_number(Node("org", repo.kind.value, repo.org))
        return None if number is None else (inode_of(number), name)

    def _known_org(self, kind: RepoKind, name: str) -> Attributes | None:
        number = self._catalog.find_number(Node("org", kind.value, name))
        return None if number is None else self.org_attributes(number)

    def _known_view(self, repo: RepoId, revision: str = DEFAULT_REVISION) -> Attributes | None:
        found = self._syncer.find(repo, revision)
        return None if found is None else self.view_attributes(found)


async def _numbered(found: Iterable[_Known]) -> list[DirectoryEntry]:
    """The lines of a directory; there may be many, so others get their turn in between."""
    # The last of a name counts: a repo that was renamed is known, and an alias.
    known: dict[str, Attributes] = {}
    for at, (name, attributes) in enumerate(found):
        if attributes is not None:
            known[name] = attributes
        if not at % A_TURN:
            await trio.lowlevel.checkpoint()
    return [
        DirectoryEntry(name.encode(), attributes, at)
        for at, (name, attributes) in enumerate(known.items(), start=1)
    ]
