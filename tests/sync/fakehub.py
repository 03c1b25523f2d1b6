"""A Hub of a few lines: answers from a dict, remembers what was asked, waits when told to."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import trio

from hubfs.errors import CircularPages, RepoNotFound
from hubfs.hub.answers import RepoInfo
from hubfs.hub.api import HubApi
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeFile


def commit_of(text: str) -> str:
    """A commit hash that `text` stands for."""
    return hashlib.sha1(text.encode()).hexdigest()


class FakeHub(HubApi):
    """`repos` holds commit and files by `name` or `name@REV`; `error`, if set, is the answer."""

    def __init__(self) -> None:
        self.repos: dict[str, tuple[str, list[str]]] = {}
        self.names: dict[str, str] = {}
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.turns_pages = True
        self.knows_authors = True
        self.gate = trio.Event()
        self.gate.set()
        self.pages_come = trio.Event()
        self.pages_come.set()

    def put(self, name: str, commit: str, *paths: str) -> str:
        """Let `name` be at the commit that `commit` stands for; return its hash."""
        self.repos[name] = (commit_of(commit), list(paths))
        return commit_of(commit)

    async def repo_info(
        self, repo: RepoId, revision: str = "", *, patience: float = 10.0
    ) -> RepoInfo:
        asked = f"{repo}@{revision}" if revision else str(repo)
        del patience
        await self._answer(asked)
        canonical = self.names.get(repo.name, repo.name)
        found = self.repos.get(asked.replace(repo.name, canonical))
        if found is None:
            raise RepoNotFound(f"{asked}: no such repo")
        return RepoInfo(canonical, found[0], 1_700_000_000.0)

    async def tree_pages(
        self, repo: RepoId, commit: str, *, patience: float = 60.0
    ) -> AsyncIterator[list[TreeFile]]:
        del patience
        await self._answer(f"tree {repo}@{commit}")
        paths = next(paths for at, paths in self.repos.values() if at == commit)
        yield _files(paths[:2])
        await self.pages_come.wait()
        if not self.turns_pages:
            raise CircularPages("the first page came again")
        yield _files(paths[2:])

    async def directory_pages(
        self, repo: RepoId, commit: str, *, patience: float = 60.0
    ) -> AsyncIterator[list[TreeFile]]:
        del patience
        await self._answer(f"directories {repo}@{commit}")
        paths = next(paths for at, paths in self.repos.values() if at == commit)
        for path in paths:
            yield _files([path])

    async def find_author(self, kind: RepoKind, name: str, *, patience: float = 10.0) -> str | None:
        del kind, patience
        await self._answer(f"author {name}")
        owners = [each.partition("/")[0] for each in self.repos if "/" in each]
        owners = owners if self.knows_authors else []
        return next((each for each in owners if each.lower() == name.lower()), None)

    async def ref_names(self, repo: RepoId, *, patience: float = 10.0) -> list[str]:
        del patience
        await self._answer(f"refs {repo}")
        return [each.partition("@")[2] for each in self.repos if each.startswith(f"{repo}@")]

    async def _answer(self, asked: str) -> None:
        self.asked.append(asked)
        await self.gate.wait()
        if self.error is not None:
            raise self.error


def _files(paths: list[str]) -> list[TreeFile]:
    return [TreeFile(path, 1, commit_of(path)) for path in paths]
