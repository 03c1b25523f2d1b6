"""What the Hub client's cache says of a repo at a moment: is it there, where is a ref, a commit.

What is known is answered from the index, and checked again behind the answer,
as it is for the repos' own directories. A commit that nobody has heard of is
different: whoever asks for it has just learnt it from the Hub, and expects the
refs to agree with it.
"""

from __future__ import annotations

import contextlib
from typing import Final

import trio

from hubfs.errors import HubError, RevisionNotFound
from hubfs.model.identifiers import DEFAULT_REVISION, RepoId, RepoKind, is_commit, is_repo_name
from hubfs.store.catalog import Catalog
from hubfs.store.records import SnapshotRecord
from hubfs.sync.syncer import Renamed, Synced, Syncer

DEFAULT_BRANCH: Final = "main"
"""What clients call a repo's default revision."""


class Revisions:
    """The repos of one endpoint, by the names that the Hub's clients have for them."""

    def __init__(self, catalog: Catalog, syncer: Syncer) -> None:
        self._catalog = catalog
        self._syncer = syncer
        self._catching_up: dict[RepoId, trio.Event] = {}

    # --- repos -------------------------------------------------------------------------

    def names(self, kind: RepoKind) -> list[str]:
        """The known repos of a kind, and those that are known by another name now."""
        return self._catalog.names(kind, _ALL)

    def find_canonical(self, repo: RepoId) -> RepoId | None:
        """The known repo that `repo` is a name of; an organisation's other spelling is none."""
        name = self._catalog.find_alias(repo.kind, repo.name)
        if name is not None and is_repo_name(name):
            canonical = RepoId(repo.kind, name)
            if self._catalog.find_repo(canonical) is not None:
                return canonical
        return None if self._catalog.find_repo(repo) is None else repo

    async def canonical(self, repo: RepoId) -> RepoId:
        """The repo that `repo` is a name of, synced if it was not known.

        Raises:
            NotOnHub: there is none.
            HubError: it is not known, and the Hub cannot tell.
        """
        known = self.find_canonical(repo)
        if known is not None:
            return known
        found = await self._syncer.ensure(repo, DEFAULT_REVISION)
        return found.canonical if isinstance(found, Renamed) else repo

    # --- refs --------------------------------------------------------------------------

    def refs(self, repo: RepoId) -> list[str]:
        """The known names of revisions, as clients spell them."""
        revisions = (each for each in self._catalog.refs(repo) if not is_commit(each))
        return sorted({revision or DEFAULT_BRANCH for revision in revisions})

    def find_ref(self, repo: RepoId, name: str) -> Synced | None:
        """Where a ref was when it was last checked."""
        return self._syncer.find(repo, self._revision(repo, name))

    def _revision(self, repo: RepoId, name: str) -> str:
        """Our name for what clients call `name`: the default branch has none of its own."""
        if name != DEFAULT_BRANCH:
            return name
        knows_branch_only = (
            self._syncer.find(repo, DEFAULT_REVISION) is None
            and self._syncer.find(repo, DEFAULT_BRANCH) is not None
        )
        return DEFAULT_BRANCH if knows_branch_only else DEFAULT_REVISION

    async def ref(self, repo: RepoId, name: str) -> Synced:
        """Where a ref is, as far as is known; synced if it was not.

        Raises:
            NotOnHub: the repo has no such branch, tag or commit.
            HubError: it is not known, and the Hub cannot tell.
        """
        while repo in self._catching_up:
            await self._catching_up[repo].wait()
        revision = self._revision(repo, name)
        found = await self._syncer.ensure(repo, revision)
        if isinstance(found, Synced):
            return found
        moved = self._syncer.find(found.canonical, revision)
        if moved is None:
            raise RevisionNotFound(f"{found.canonical} has no {name}")
        return moved

    def knows_refs_below(self, repo: RepoId, path: str) -> bool:
        """Whether `path/...` is a known name."""
        return any(name.startswith(f"{path}/") for name in self.refs(repo))

    async def has_refs_below(self, repo: RepoId, path: str) -> bool:
        """Whether the Hub has a branch or a tag that is called `path/...`.

        Raises:
            HubError: the Hub cannot tell.
        """
        return any(name.startswith(f"{path}/") for name in await self._syncer.ref_names(repo))

    # --- commits -----------------------------------------------------------------------

    def find_snapshots(self, repo: RepoId) -> dict[str, SnapshotRecord]:
        """The trees that are known, by their commits."""
        commits = self._catalog.snapshots(repo)
        found = ((commit, self._catalog.find_snapshot(repo, commit)) for commit in commits)
        return {commit: snapshot for commit, snapshot in found if snapshot is not None}

    async def snapshot(self, repo: RepoId, commit: str) -> SnapshotRecord:
        """The tree of a commit, synced if it was not known.

        Raises:
            NotOnHub: the repo has no such commit.
            HubError: it is not known, and the Hub cannot tell.
        """
        known = self._catalog.find_snapshot(repo, commit)
        if known is None:
            await self._catch_up(repo, commit)
            known = self._catalog.find_snapshot(repo, commit)
        if known is None:
            found = await self._syncer.ensure(repo, commit)
            owner = found.canonical if isinstance(found, Renamed) else repo
            known = self._catalog.find_snapshot(owner, commit)
        if known is None:
            raise RevisionNotFound(f"{repo} has no {commit}")
        return known

    async def _catch_up(self, repo: RepoId, commit: str) -> None:
        """Ask where the branches are until one of them is at `commit`.

        Clients write down what they learn of a ref, and older ones fail if
        they cannot; where ours agrees with theirs they have nothing to write.
        """
        if repo in self._catching_up:
            await self._catching_up[repo].wait()
            return
        caught_up = self._catching_up[repo] = trio.Event()
        try:
            for revision in self._catalog.refs(repo):
                if not is_commit(revision):
                    with contextlib.suppress(HubError):
                        await self._syncer.refresh(repo, revision)
                if self._catalog.find_snapshot(repo, commit) is not None:
                    return
        finally:
            del self._catching_up[repo]
            caught_up.set()


_ALL: Final = 1 << 62
