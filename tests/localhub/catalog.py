"""All repos of the Hub, and every way to change them.

This is what tests script. Readers on other threads see each change whole:
commits are immutable and a name moves in one assignment.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.localhub.content import Content, Kind
from tests.localhub.repository import Changes, Commit, Gate, Repository, full_ref

_EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class _Key(NamedTuple):
    kind: Kind
    folded_id: str


def _key(kind: Kind, repo_id: str) -> _Key:
    # The Hub tells ids apart by more than case, but finds them in any case.
    return _Key(kind, repo_id.lower())


class Catalog:
    """Repos by kind and id.

    Dates follow the count of pushes, one minute each, so that ids are the same
    in every run.
    """

    def __init__(self) -> None:
        self.contents: dict[str, Content] = {}
        self._repos: dict[_Key, Repository] = {}
        self._aliases: dict[_Key, str] = {}
        self._pushes = 0
        self._changing = threading.RLock()

    def create_repo(
        self,
        repo_id: str,
        files: Changes | None = None,
        *,
        kind: Kind = "model",
        private: bool = False,
        gated: Gate | None = None,
        disabled: bool = False,
        card: dict[str, object] | None = None,
        date: datetime | None = None,
    ) -> str:
        """Create a repo with one commit on `main`; return the commit.

        `card` adds to or overrides fields of the repo info.
        """
        with self._changing:
            repo = Repository(
                kind, repo_id, date or self._next_date(), private, gated, disabled, card=card or {}
            )
            commit = self._commit(repo, files or {}, None, repo.created, "initial commit")
            repo.move("refs/heads/main", commit.oid)
            self._aliases.pop(_key(kind, repo_id), None)
            self._repos[_key(kind, repo_id)] = repo
            return commit.oid

    def push(
        self,
        repo_id: str,
        files: Changes,
        revision: str = "main",
        *,
        kind: Kind = "model",
        title: str | None = None,
        date: datetime | None = None,
    ) -> str:
        """Commit on top of a branch and move it; None deletes a file. Return the commit."""
        with self._changing:
            repo = self.repo(repo_id, kind)
            head = repo.commits[repo.refs[full_ref(revision)]]
            words = title or f"Update {', '.join(list(files)[:3])}"
            commit = self._commit(repo, files, head, date or self._next_date(), words)
            repo.move(full_ref(revision), commit.oid)
            return commit.oid

    def force_push(
        self,
        repo_id: str,
        files: Changes,
        revision: str = "main",
        *,
        onto: str | None = None,
        kind: Kind = "model",
    ) -> str:
        """Point a branch at a new commit on top of `onto` (None: a new history)."""
        with self._changing:
            repo = self.repo(repo_id, kind)
            parent = repo.resolve(onto) if onto else None
            commit = self._commit(repo, files, parent, self._next_date(), "force push")
            repo.move(full_ref(revision), commit.oid)
            return commit.oid

    def create_branch(
        self, repo_id: str, name: str, revision: str = "main", *, kind: Kind = "model"
    ) -> None:
        """Create or move a branch; a full name (`refs/pr/1`) is taken as it is."""
        repo = self.repo(repo_id, kind)
        repo.move(full_ref(name), repo.resolve(revision).oid)

    def create_tag(
        self, repo_id: str, name: str, revision: str = "main", *, kind: Kind = "model"
    ) -> None:
        self.create_branch(repo_id, f"refs/tags/{name}", revision, kind=kind)

    def delete_ref(self, repo_id: str, name: str, *, kind: Kind = "model") -> None:
        """Delete a branch, or any ref by its full name."""
        self.repo(repo_id, kind).move(full_ref(name), None)

    def delete_repo(self, repo_id: str, *, kind: Kind = "model") -> None:
        del self._repos[_key(kind, repo_id)]

    def rename_repo(self, old: str, new: str, *, kind: Kind = "model") -> None:
        """Give a repo another id; the old one redirects from now on."""
        with self._changing:
            repo = self._repos.pop(_key(kind, old))
            repo.id = new
            self._repos[_key(kind, new)] = repo
            self.add_alias(old, new, kind=kind)

    def add_alias(self, alias: str, repo_id: str, *, kind: Kind = "model") -> None:
        """Let an id that is no repo redirect to one that is."""
        self._aliases[_key(kind, alias)] = repo_id

    def set_access(
        self,
        repo_id: str,
        *,
        kind: Kind = "model",
        private: bool = False,
        gated: Gate | None = None,
        disabled: bool = False,
    ) -> None:
        """Change who may see a repo."""
        repo = self.repo(repo_id, kind)
        repo.private, repo.gated, repo.disabled = private, gated, disabled

    def repo(self, repo_id: str, kind: Kind = "model") -> Repository:
        """Return a repo by its id, in any case.

        Raises:
            KeyError: there is none; aliases are not followed.
        """
        return self._repos[_key(kind, repo_id)]

    def find_repo(self, repo_id: str, kind: Kind) -> Repository | None:
        """Return the repo that an id or alias leads to."""
        followed = 0
        while repo_id and followed < 10:
            if found := self._repos.get(_key(kind, repo_id)):
                return found
            repo_id = self._aliases.get(_key(kind, repo_id), "")
            followed += 1
        return None

    def repos(self, kind: Kind) -> list[Repository]:
        """Return all repos of a kind, oldest first."""
        return [repo for key, repo in list(self._repos.items()) if key.kind == kind]

    def _commit(
        self, repo: Repository, files: Changes, parent: Commit | None, date: datetime, title: str
    ) -> Commit:
        commit = repo.commit(files, parent=parent, date=date, title=title)
        for path in files:
            content = commit.tree.files.get(path)
            if content and content.sha256:
                self.contents[content.xet_hash] = content
        return commit

    def _next_date(self) -> datetime:
        self._pushes += 1
        return _EPOCH + timedelta(minutes=self._pushes)
