"""The Hub's metadata API: repos, listings, authors. Async, under trio, one error tree.

A call retries what may pass (resets, 5xx, a short rate limit) within its
`patience`, then raises. Redirects are followed by hand: the token goes with
them only as long as they stay at the endpoint's origin.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx
import trio

from hubfs.errors import (
    HubUnreachable,
    NotOnHub,
    Offline,
    ProtocolViolation,
    RateLimited,
    TransientHubError,
)
from hubfs.hub import answers, urls
from hubfs.hub.credentials import Credentials
from hubfs.hub.pace import Breaker, RateLimits, backoff
from hubfs.hub.tls import tls_context
from hubfs.model.identifiers import RepoId, RepoKind
from hubfs.model.tree import TreeFile

log = logging.getLogger(__name__)

BUCKET = "api"
LARGEST_ANSWER = 64 << 20
LONGEST_CHAIN = 5
USER_AGENT = "hubfs/0.1.0"


class HubApi:
    """A client of one endpoint. Use it as an async context manager; calls may run at once."""

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
        """Speak to `endpoint`; when `offline`, refuse every call without a request."""
        self.endpoint = endpoint
        self.limits = limits or RateLimits()
        self.breaker = breaker or Breaker()
        self._credentials = credentials
        self._offline = offline
        self._client = httpx.AsyncClient(
            verify=tls_context(),
            timeout=httpx.Timeout(idle_timeout, connect=min(10.0, idle_timeout)),
            headers={"user-agent": USER_AGENT},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with trio.move_on_after(1, shield=True):
            await self._client.aclose()

    # --- calls -------------------------------------------------------------------------

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
        body, _ = await self._get_json(url, {}, subject, patience)
        return answers.repo_info(body, subject)

    async def tree_pages(
        self, repo: RepoId, commit: str, *, patience: float = 60.0
    ) -> AsyncIterator[list[TreeFile]]:
        """The recursive listing of `commit`, a page at a time.

        Raises: as `repo_info`.
        """
        url = urls.tree_url(self.endpoint, repo, commit)
        subject = f"the listing of {repo}@{commit[:12]}"
        query: str | None = "recursive=true&expand=false"
        seen = set()
        while query is not None:
            seen.add(query)
            body, headers = await self._get_json(f"{url}?{query}", {}, subject, patience)
            yield answers.tree_files(body, subject)
            query = urls.next_query(headers.get("link"))
            if query in seen:
                raise ProtocolViolation(f"{subject}: its pages go in a circle")

    async def find_author(self, kind: RepoKind, name: str, *, patience: float = 10.0) -> str | None:
        """The canonical spelling of an organisation or user that has repos of `kind`.

        A mirror that cannot list by author is believed to have them all.

        Raises: as `repo_info`, but for NotOnHub.
        """
        url = urls.author_url(self.endpoint, kind.value)
        query = {"author": name, "limit": "1"}
        try:
            body, _ = await self._get_json(url, query, f"repos of {name}", patience)
        except NotOnHub:
            return name
        if not isinstance(body, list):
            return name
        ids = [each.get("id") for each in body if isinstance(each, dict)]
        names = [each.partition("/")[0] for each in ids if isinstance(each, str) and "/" in each]
        return names[0] if names and names[0].lower() == name.lower() else None

    # --- one request -------------------------------------------------------------------

    async def _get_json(
        self, url: str, query: Mapping[str, str], subject: str, patience: float
    ) -> tuple[object, httpx.Headers]:
        if self._offline:
            raise Offline(f"{subject}: not known here, and hubfs is offline")
        deadline = trio.current_time() + patience
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(url, query, subject)
            except TransientHubError as error:
                wait = max(backoff(attempt), self.limits.wait(BUCKET, time.monotonic()))
                if trio.current_time() + wait > deadline or self._is_hopeless(attempt, error):
                    raise
                log.info("%s; trying again in %.1f s", error, wait)
                await trio.sleep(wait)

    def _is_hopeless(self, attempt: int, error: TransientHubError) -> bool:
        # Somebody waits in a path lookup, holding a directory: a dead Hub must not hold it long.
        tired = attempt >= 3 or self.breaker.is_open(time.monotonic())
        return tired and not isinstance(error, RateLimited)

    async def _attempt(
        self, url: str, query: Mapping[str, str], subject: str
    ) -> tuple[object, httpx.Headers]:
        if self.breaker.is_open(time.monotonic()):
            raise HubUnreachable(f"{subject}: {self.breaker.reason}")
        try:
            answer, body = await self._follow(url, query, subject)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = f"{urls.host_of(self.endpoint)} cannot be reached: {_reason(error)}"
            self.breaker.note_failure(time.monotonic(), reason)
            raise HubUnreachable(f"{subject}: {reason}") from error
        self.breaker.note_success()
        if answer.status_code == 401 and self._credentials.refresh():
            answer, body = await self._follow(url, query, subject)
        self._note_rate(answer)
        if answer.status_code != 200:
            raise answers.error_of(answer.status_code, answer.headers, subject)
        return _parsed(body, subject), answer.headers

    async def _follow(
        self, url: str, query: Mapping[str, str], subject: str
    ) -> tuple[httpx.Response, bytes]:
        params = dict(query) or None
        for _ in range(LONGEST_CHAIN):
            headers = self._credentials.headers_for(url)
            async with self._client.stream("GET", url, params=params, headers=headers) as answer:
                if not answer.has_redirect_location:
                    return answer, await _read(answer, subject)
                url, params = urljoin(str(answer.url), answer.headers["location"]), None
        raise ProtocolViolation(f"{subject}: redirected in circles")

    def _note_rate(self, answer: httpx.Response) -> None:
        now = time.monotonic()
        self.limits.note(answers.rate_state(answer.headers), now)
        if answer.status_code == 429:
            self.limits.close(BUCKET, now, answers.retry_after(answer.headers))


async def _read(answer: httpx.Response, subject: str) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise ProtocolViolation(f"{subject}: the answer does not end")
    return b"".join(parts)


def _parsed(body: bytes, subject: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation(f"{subject}: the answer is not JSON") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
