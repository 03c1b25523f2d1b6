"""The Hub's metadata API: repos, listings, authors. Async, under trio, one error tree."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from hubfs.errors import NotOnHub, ProtocolViolation, RepoNotFound
from hubfs.hub import answers, urls
from hubfs.hub.credentials import Credentials
from hubfs.hub.metadata import MetadataClient
from hubfs.hub.pace import Breaker, RateLimits
from hubfs.hub.pages import Directories, Pages
from hubfs.model.identifiers import RepoId, RepoKind, is_commit
from hubfs.model.tree import TreeFile

MIRRORS_BRANCH = "main"


class HubApi:
    """A client of one endpoint. Use it as an async context manager; calls may run at once.

    A call retries what may pass (resets, 5xx, a short rate limit) within its
    `patience`, then raises.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        limits: RateLimits | None = None,
        breaker: Breaker | None = None,
        idle_timeout: float = 30.0,
        offline: bool = False,
    ) -> None:
        """Speak to `endpoint`; when `offline`, refuse every call without a request.

        Raises:
            UsageError: the environment names a proxy or certificates that are no use.
        """
        self.endpoint = endpoint
        self.limits = limits or RateLimits()
        self.breaker = breaker or Breaker()
        self._client = MetadataClient(
            endpoint,
            credentials,
            limits=self.limits,
            breaker=self.breaker,
            idle_timeout=idle_timeout,
            offline=offline,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def repo_info(
        self, repo: RepoId, revision: str = "", *, patience: float = 10.0
    ) -> answers.RepoInfo:
        """What the Hub says of `repo` at `revision` (default: the default branch).

        The answer's `name` is the canonical one, whatever spelling was asked for.

        Raises:
            RepoNotFound, RevisionNotFound: there is no such thing, or it is private.
            AccessDenied: the token may not see it.
            TransientHubError: no usable answer came within `patience` seconds.
            Offline: hubfs makes no requests.
        """
        subject = f"{repo}@{revision}" if revision else str(repo)
        url = urls.repo_url(self.endpoint, repo, revision)
        answer = await self._client.get(url, subject, patience)
        if not revision and answer.status == 401 and isinstance(answer.refusal, RepoNotFound):
            # Mirrors of plain git repos know branches, but not which of them is the default.
            url = urls.repo_url(self.endpoint, repo, MIRRORS_BRANCH)
            named = await self._client.get(url, subject, patience)
            answer = answer if named.refusal else named
        info = answers.repo_info(answer.checked(), subject)
        if is_commit(revision) and info.commit != revision:
            raise ProtocolViolation(f"{subject}: the answer is about another commit")
        return info

    async def tree_pages(
        self, repo: RepoId, commit: str, *, patience: float = 60.0
    ) -> AsyncIterator[list[TreeFile]]:
        """The recursive listing of `commit`, a page at a time.

        Raises: as `repo_info`, and
            CircularPages: they come again; `directory_pages` may do better.
        """
        url = urls.tree_url(self.endpoint, repo, commit)
        subject = _listing_of(repo, commit)
        async for body in self._pages(url, "recursive=true&expand=false", subject, patience):
            yield answers.tree_files(body, subject)

    async def directory_pages(
        self, repo: RepoId, commit: str, *, patience: float = 60.0
    ) -> AsyncIterator[list[TreeFile]]:
        """The listing of `commit`, a directory at a time: for mirrors that send first pages only.

        Raises: as `tree_pages`.
        """
        subject = _listing_of(repo, commit)
        directories = Directories()
        while (path := directories.next()) is not None:
            url = urls.tree_url(self.endpoint, repo, commit, path)
            async for body in self._pages(url, "recursive=false&expand=false", subject, patience):
                yield answers.tree_files(body, subject)
                with _about(subject):
                    directories.add(answers.tree_directories(body))

    async def _pages(
        self, url: str, query: str, subject: str, patience: float
    ) -> AsyncIterator[object]:
        pages = Pages(query)
        while pages.query is not None:
            answer = await self._client.get(f"{url}?{pages.query}", subject, patience)
            yield answer.checked()
            with _about(subject):
                pages.turn(answer.headers.get("link"), answer.size)

    async def ref_names(self, repo: RepoId, *, patience: float = 10.0) -> list[str]:
        """The names of the repo's branches and tags.

        Raises: as `repo_info`.
        """
        url = urls.refs_url(self.endpoint, repo)
        answer = await self._client.get(url, f"the refs of {repo}", patience)
        return answers.ref_names(answer.checked())

    async def find_author(self, kind: RepoKind, name: str, *, patience: float = 10.0) -> str | None:
        """The canonical spelling of an organisation or user that has repos of `kind`.

        A mirror that cannot list by author is believed to have them all.

        Raises: as `repo_info`, but for NotOnHub.
        """
        query = urlencode({"author": name, "limit": "1"})
        url = f"{urls.author_url(self.endpoint, kind.value)}?{query}"
        answer = await self._client.get(url, f"repos of {name}", patience)
        if isinstance(answer.refusal, NotOnHub):
            return name
        if not isinstance(answer.checked(), list):
            return name  # some mirrors answer with nothing at all
        names = answers.repo_names(answer.content)
        authors = [each.partition("/")[0] for each in names if "/" in each]
        return authors[0] if authors and authors[0].lower() == name.lower() else None


def _listing_of(repo: RepoId, commit: str) -> str:
    return f"the listing of {repo}@{commit[:12]}"


@contextlib.contextmanager
def _about(subject: str) -> Iterator[None]:
    """Say in a violation what it is about."""
    try:
        yield
    except ProtocolViolation as error:
        raise type(error)(f"{subject}: {error}") from None
